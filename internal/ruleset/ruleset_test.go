package ruleset

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
)

// made is what rules are made into here; each is another one.
type made struct{ definition string }

// world is a store, and what has been said on its bus.
type world struct {
	*testing.T
	store *sqlite.Store
	bus   bus.Bus
	said  [][]byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t}
	var err error
	if w.store, err = sqlite.Open(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	w.bus = bus.NewLocal(func(_ bus.Subject, data []byte) { w.said = append(w.said, data) })
	return w
}

// set returns the callbacks that one node holds; an app may have three.
func (w *world) set() *Set[*made] {
	w.Helper()
	parse := func(definition []byte) (*made, error) {
		if strings.Contains(string(definition), "bad") {
			return nil, errors.New("it is bad")
		}
		return &made{string(definition)}, nil
	}
	set, err := New(w.Context(), store.RuleCallback, 3, parse, w.store, w.bus, slog.New(slog.DiscardHandler))
	w.must(err)
	return set
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// shape is what an app's rules are, in words.
func shape(rules []Rule[*made]) (s string) {
	for _, r := range rules {
		s += fmt.Sprintf("%s %s %s;", r.Name, r.Definition, r.Made.definition)
	}
	return s
}

func TestRulesAreKeptByAppAndName(t *testing.T) {
	w := newWorld(t)
	set := w.set()
	w.must(set.Put(t.Context(), 1, "b", []byte(`{"n":1}`)))
	w.must(set.Put(t.Context(), 1, "a", []byte(`{"n":2}`)))
	w.must(set.Put(t.Context(), 2, "a", []byte(`{"n":3}`)))
	w.must(set.Put(t.Context(), 1, "b", []byte(`{"n":4}`)))
	for app, want := range map[int64]string{1: `a {"n":2} {"n":2};b {"n":4} {"n":4};`, 2: `a {"n":3} {"n":3};`, 3: ""} {
		if got := shape(set.Of(app)); got != want {
			t.Errorf("app %d has %q, want %q", app, got, want)
		}
	}
	w.must(set.Drop(t.Context(), 1, "a"))
	if got, want := shape(w.set().Of(1)), `b {"n":4} {"n":4};`; got != want {
		t.Errorf("after a restart there is %q, want %q", got, want)
	}
}

func TestBadRulesAreRefused(t *testing.T) {
	w := newWorld(t)
	set := w.set()
	for _, name := range []string{"a", "b", "c"} {
		w.must(set.Put(t.Context(), 1, name, []byte(`{}`)))
	}
	put := func(name, definition string) error { return set.Put(t.Context(), 1, name, []byte(definition)) }
	for what, test := range map[string]struct {
		err  error
		want error
		code errcode.Code
	}{
		"no name":            {put("", `{}`), ErrBad, errcode.InvalidParameter},
		"a name of signs":    {put("a/b", `{}`), ErrBad, errcode.InvalidParameter},
		"a long name":        {put(strings.Repeat("a", 65), `{}`), ErrBad, errcode.InvalidParameter},
		"a long rule":        {put("a", `"`+strings.Repeat("a", maxDefinition)+`"`), ErrBad, errcode.InvalidParameter},
		"what parse refuses": {put("a", `"bad"`), ErrBad, errcode.InvalidParameter},
		"one too many":       {put("d", `{}`), ErrFull, errcode.MaxLimit},
		"no rule to drop":    {set.Drop(t.Context(), 1, "d"), ErrUnknown, errcode.InvalidParameter},
	} {
		if code, _ := errcode.CodeOf(test.err); !errors.Is(test.err, test.want) || code != test.code {
			t.Errorf("%s: %v, want %v with code %d", what, test.err, test.want, test.code)
		}
	}
	w.must(put("c", `{"n":1}`)) // one of three may be replaced
	if got, want := shape(set.Of(1)), `a {} {};b {} {};c {"n":1} {"n":1};`; got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
}

func TestOtherNodesHearOfAChange(t *testing.T) {
	w := newWorld(t)
	here, there := w.set(), w.set()
	w.must(here.Put(t.Context(), 1, "a", []byte(`{}`)))
	if len(w.said) != 1 || !there.Heard(w.said[0]) {
		t.Fatalf("said is %q", w.said)
	}
	w.must(there.Reload(t.Context()))
	if got, want := shape(there.Of(1)), `a {} {};`; got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
	w.must(here.Drop(t.Context(), 1, "a"))
	if len(w.said) != 2 || !there.Heard(w.said[1]) {
		t.Errorf("said is %q", w.said)
	}
	for _, other := range []string{"", "p", "p1", "p22", "g2"} { // p1: rules of another kind
		if there.Heard([]byte(other)) {
			t.Errorf("%q is taken for a change of the rules", other)
		}
	}
}

// TestAChangeLeavesOtherRulesAlone matters because a callback remembers whether its backend answers.
func TestAChangeLeavesOtherRulesAlone(t *testing.T) {
	w := newWorld(t)
	set := w.set()
	w.must(set.Put(t.Context(), 1, "a", []byte(`{"n":1}`)))
	w.must(set.Put(t.Context(), 1, "b", []byte(`{"n":1}`)))
	w.must(set.Put(t.Context(), 2, "a", []byte(`{"n":1}`)))
	before := [3]*made{set.Of(1)[0].Made, set.Of(1)[1].Made, set.Of(2)[0].Made}
	w.must(set.Put(t.Context(), 1, "a", []byte(`{"n":2}`)))
	after := [3]*made{set.Of(1)[0].Made, set.Of(1)[1].Made, set.Of(2)[0].Made}
	if after[0] == before[0] || after[1] != before[1] || after[2] != before[2] {
		t.Errorf("what rules are made into was %v and is %v", before, after)
	}
}

// TestARuleOfALaterReleaseIsLeftOut has one that this release cannot read.
func TestARuleOfALaterReleaseIsLeftOut(t *testing.T) {
	w := newWorld(t)
	for name, definition := range map[string]string{"a": `{}`, "b": `"bad"`} {
		w.must(w.store.PutRule(t.Context(), store.Rule{App: 1, Kind: store.RuleCallback, Name: name, Definition: []byte(definition)}, 3))
	}
	if got, want := shape(w.set().Of(1)), `a {} {};`; got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
}

func TestRulesMayBeReadWhileTheyChange(t *testing.T) {
	w := newWorld(t)
	set := w.set()
	w.must(set.Put(t.Context(), 1, "a", []byte(`{}`)))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 100 {
				if rules := set.Of(1); len(rules) == 0 || rules[0].Name != "a" {
					t.Errorf("there is %q", shape(rules))
				}
			}
		})
	}
	for n := range 10 {
		w.must(set.Put(t.Context(), 1, "a", fmt.Appendf(nil, `{"n":%d}`, n)))
	}
	readers.Wait()
}
