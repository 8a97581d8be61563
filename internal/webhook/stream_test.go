package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
)

func (w *world) same(what string, got, want any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func TestABackendIsToldOfMessagesInOrder(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.say("alice", "bob", "before the rule")
	w.listen("all", b.URL, "")
	for i := range 50 {
		w.say("alice", "bob", fmt.Sprint(i))
	}
	w.same("texts", b.texts(t, 50), numbered(0, 50))
	first := b.count(t, 50)[0]
	w.same("call id", first.CallID, "acme#demo_"+first.ID)
	w.same("security", first.Security, security(first.CallID, "s3cret", first.Timestamp))
	w.same("signature", first.header.Get(SignatureHeader), signature("s3cret", first.body))
	w.must(w.service.Listeners.Drop(t.Context(), w.app.ID, "all"))
	w.say("alice", "bob", "after the rule")
	w.stop()
	w.same("calls", len(b.count(t, 50)), 50)
}

func TestWhatWasAcknowledgedIsToldAfterACrash(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, "")
	w.say("alice", "bob", "0")
	b.count(t, 1)
	hang := make(chan struct{})
	b.answers(func(call, int) int { <-hang; return http.StatusServiceUnavailable })
	for i := range 600 {
		w.say("alice", "bob", fmt.Sprint(i+1))
	}
	b.count(t, 2)
	w.crash()
	close(hang)
	b.answers(nil)
	w.start(nil)
	calls := b.wait(t, func(calls []call) bool { return calls[len(calls)-1].text() == "600" })
	var texts []string
	for _, c := range calls {
		if !slices.Contains(texts, c.text()) { // what was under way at the crash is told again
			texts = append(texts, c.text())
		}
	}
	w.same("texts", texts, numbered(0, 601))
}

func TestASlowBackendDoesNotHoldUpMessages(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, `,"timeout_ms":60000`)
	hang := make(chan struct{})
	b.answers(func(call, int) int { <-hang; return http.StatusOK })
	w.say("alice", "bob", "0")
	b.count(t, 1)
	// More than the queue takes: the rest is read from the store.
	one := find((*w.service.streams.Load())[w.app.ID], "all")
	one.mu.Lock()
	one.limit = 500
	one.mu.Unlock()
	alice, bob := w.user("alice"), w.user("bob")
	var done sync.WaitGroup
	const total = 1200
	meta := message(t, "x")
	for range total {
		done.Add(1)
		w.delivery.Append(delivery.Post{Key: store.PairKey(w.app.ID, alice.ID, bob.ID), Content: store.ContentText, Sender: alice.ID, Device: 1, Meta: meta,
			Done: func(r delivery.Result) { done.Done() }})
	}
	done.Wait()
	if age := w.service.age(); age < 0 || age > 60 {
		t.Errorf("the oldest waits for %v seconds", age)
	}
	close(hang)
	ids := map[string]bool{}
	for _, c := range b.count(t, total+1) {
		ids[c.ID] = true
	}
	w.same("messages", len(ids), total+1)
}

func TestEventsThatFailAreTriedAgain(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, "")
	b.answers(func(c call, n int) int {
		if c.text() == "bad" && n < 4 {
			return http.StatusTeapot
		}
		return http.StatusNoContent
	})
	w.say("alice", "bob", "bad")
	w.say("alice", "bob", "good")
	b.wait(t, func(calls []call) bool {
		return slices.ContainsFunc(calls, func(c call) bool { return c.text() == "good" })
	})
	first := b.count(t, 1)[0]
	for waits := 1; waits > 0; {
		w.clock.Advance(time.Second)
		var err error
		waits, _, err = w.store.CallbackBacklog(t.Context())
		w.must(err)
	}
	for _, c := range b.count(t, 5) {
		if c.text() == "bad" {
			w.same("what is told again", string(c.body), string(first.body))
		}
	}
	w.same("delivered", w.metric(resultDelivered), 2)
}

func TestWhatIsGivenUpCanBeReplayed(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, "")
	var dead atomic.Bool
	dead.Store(true)
	b.answers(func(call, int) int {
		if dead.Load() {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	at := w.say("alice", "bob", "hello").Time
	b.count(t, 1)
	var list []store.Callback
	for len(list) == 0 {
		w.clock.Advance(maxAge)
		var err error
		list, err = w.service.Dead(t.Context(), w.app, store.DeadQuery{Limit: 10})
		w.must(err)
	}
	w.same("reason", list[0].Error, "status 500")
	w.same("metric", w.metric(resultDead), 1)
	counts, err := w.service.DeadByTime(t.Context(), w.app)
	w.must(err)
	w.same("counts", counts, []store.DeadCallbacks{{From: at / 600_000 * 600_000, Count: 1}})

	dead.Store(false)
	told := len(b.count(t, 1))
	n, err := w.service.Replay(t.Context(), w.app, store.DeadQuery{IDs: []int64{list[0].ID}}, "")
	w.must(err)
	w.same("replayed", n, 1)
	w.same("text", b.count(t, told+1)[told].text(), "hello")
	n, err = w.service.ReplayBucket(t.Context(), w.app, Bucket(at), "")
	w.must(err)
	w.same("replayed again", n, 0)
}

func TestAReplayMayGoElsewhereAndMustSayWhat(t *testing.T) {
	w, b, other := newWorld(t), newBackend(t), newBackend(t)
	w.listen("all", b.URL, `,"enabled":false`)
	at := w.clock.Now().UnixMilli()
	row := store.Callback{App: w.app.ID, Rule: "all", Event: "e", Created: at, Dead: at, Error: "gone", Body: []byte(`{"msg_id":"1"}`)}
	w.must(w.store.PutCallbacks(t.Context(), []store.Callback{row}, store.CallbackMark{}))
	for what, call := range map[string]func() (int, error){
		"nothing is said": func() (int, error) { return w.service.Replay(t.Context(), w.app, store.DeadQuery{}, "") },
		"no address":      func() (int, error) { return w.service.Replay(t.Context(), w.app, store.DeadQuery{Since: 1}, "x") },
		"too many": func() (int, error) {
			return w.service.Replay(t.Context(), w.app, store.DeadQuery{IDs: make([]int64, maxReplayed+1)}, "")
		},
		"a date of no form": func() (int, error) { return w.service.ReplayBucket(t.Context(), w.app, "yesterday", "") },
	} {
		if _, err := call(); !errors.Is(err, ErrReplay) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.listen("all", b.URL, "")
	n, err := w.service.ReplayBucket(t.Context(), w.app, Bucket(at), other.URL)
	w.must(err)
	w.same("replayed", n, 1)
	w.same("told", other.count(t, 1)[0].ID, "1")
	w.same("told the rule's own", len(b.calls), 0)
}

func TestARuleThatIsGoneLeavesNothing(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, "")
	b.answers(func(call, int) int { return http.StatusInternalServerError })
	w.say("alice", "bob", "hello")
	waiting := func(want int) {
		t.Helper()
		for late := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			count, _, err := w.store.CallbackBacklog(t.Context())
			w.must(err)
			if count == want {
				return
			}
			if time.Now().After(late) {
				t.Fatalf("%d callbacks wait, want %d", count, want)
			}
		}
	}
	waiting(1)
	w.must(w.service.Listeners.Drop(t.Context(), w.app.ID, "all"))
	waiting(0)
	mark, err := w.store.CallbackMark(t.Context(), w.app.ID, "all", 0)
	w.must(err)
	w.same("mark", mark, int64(0))
}

// lost is a store in which node 1 has ended.
type lost struct {
	*sqlite.Store
	mark *store.CallbackMark
}

func (l lost) LostCallbackMarks(context.Context, int64, int64, int) ([]store.CallbackMark, error) {
	if l.mark.ID == 0 {
		return nil, nil
	}
	defer func() { l.mark.ID = 0 }()
	return []store.CallbackMark{*l.mark}, nil
}

func TestWhatANodeHasLeftIsToldByAnother(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, "")
	w.crash()
	mark := &store.CallbackMark{App: w.app.ID, Rule: "all", Node: 1}
	w.start(func(s *sqlite.Store) Store { return lost{s, mark} })
	// Node 1 has appended two messages, and told of the first.
	ids := delivery.NewIDs(1, w.floor+1)
	var drafts []store.Draft
	alice, bob := w.user("alice"), w.user("bob")
	for i := range 2 {
		drafts = append(drafts, store.Draft{Key: store.PairKey(w.app.ID, alice.ID, bob.ID), ID: ids.Next(), Time: w.clock.Now().UnixMilli(), Sender: alice.ID, Device: 1,
			Content: store.ContentText, Meta: message(t, fmt.Sprint(i))})
	}
	_, err := w.store.Append(t.Context(), drafts)
	w.must(err)
	mark.ID = drafts[0].ID
	w.must(w.store.PutCallbacks(t.Context(), nil, *mark))
	w.must(w.service.adopt(t.Context()))
	w.same("texts", b.texts(t, 1), []string{"1"})
	for {
		id, err := w.store.CallbackMark(t.Context(), w.app.ID, "all", 1)
		w.must(err)
		if id == 0 {
			break
		}
	}
}

// fakeNet answers calls in a bubble of synctest, where nothing real may be waited for.
type fakeNet struct {
	mu     sync.Mutex
	times  []time.Time
	texts  []string
	status int
}

func (f *fakeNet) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times, f.texts = append(f.times, time.Now()), append(f.texts, string(body))
	return &http.Response{StatusCode: f.status, Body: io.NopCloser(strings.NewReader("")), Request: r}, err
}

func TestABackendThatFailsIsLeftAloneForLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))) // a bubble begins before ids do
		w := newWorld(t)
		net := &fakeNet{status: http.StatusBadGateway}
		w.service.client.Transport = net
		w.listen("all", "http://backend", "")
		synctest.Wait()
		for i := range 100 {
			w.say("alice", "bob", fmt.Sprint("text", i))
		}
		time.Sleep(time.Hour)
		net.mu.Lock()
		tries := len(net.times)
		for i := 3; i < 11; i++ { // seconds: 1, 2, 4, … until it is five minutes
			if gap := net.times[i].Sub(net.times[i-1]); gap < firstRest<<(i-3) || gap > firstRest<<(i-3)+2*lookEvery {
				t.Errorf("attempt %d came after %v", i, gap)
			}
		}
		net.status = http.StatusOK
		net.mu.Unlock()
		if tries < 15 || tries > 30 {
			t.Errorf("the backend was tried %d times in an hour", tries)
		}
		if age := w.service.age(); age < 3500 || age > 3700 {
			t.Errorf("the oldest waits for %v seconds", age)
		}
		time.Sleep(2 * lastRest)
		time.Sleep(lastRetry) // for those that have failed themselves
		net.mu.Lock()
		defer net.mu.Unlock()
		told := map[string]bool{}
		for _, text := range net.texts[tries:] {
			told[text] = true
		}
		if len(told) != 100 {
			t.Errorf("the backend was told of %d messages", len(told))
		}
		if age := w.service.age(); age != 0 {
			t.Errorf("something waits for %v seconds", age)
		}
		w.stop()
	})
}

func TestABackendThatIsGoneForADayFindsAllInTheListOfWhatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))) // a bubble begins before ids do
		w := newWorld(t)
		w.service.client.Transport = &fakeNet{status: http.StatusBadGateway}
		w.listen("all", "http://backend", "")
		for i := range 50 {
			w.say("alice", "bob", fmt.Sprint("text", i))
		}
		w.service.Happened(store.Found{Key: store.PairKey(w.app.ID, 1, 2), Entry: store.Entry{ID: 7, Time: w.clock.Now().UnixMilli(), Device: 1, Meta: message(t, "not kept")}})
		time.Sleep(time.Minute)
		w.clock.Advance(maxAge)
		time.Sleep(time.Minute)
		list, err := w.service.Dead(t.Context(), w.app, store.DeadQuery{Limit: 100})
		w.must(err)
		w.same("given up", len(list), 51)
		w.clock.Advance(keepDead)
		time.Sleep(2 * forgetEvery)
		list, err = w.service.Dead(t.Context(), w.app, store.DeadQuery{Limit: 100})
		w.must(err)
		w.same("kept", len(list), 0)
		w.stop()
	})
}

func TestWithoutRulesNothingIsDone(t *testing.T) {
	w := newWorld(t)
	entry := store.Found{Key: store.PairKey(w.app.ID, 1, 2), Entry: store.Entry{Meta: message(t, "hello")}}
	if n := testing.AllocsPerRun(100, func() { w.service.Committed(entry, false) }); n != 0 {
		t.Errorf("a message costs %v allocations", n)
	}
}

func BenchmarkCommittedWithoutRules(b *testing.B) {
	s := &Service{}
	s.streams.Store(&map[int64][]*stream{})
	entry := store.Found{Key: store.PairKey(1, 1, 2), Entry: store.Entry{Meta: []byte("hello")}}
	for b.Loop() {
		s.Committed(entry, false)
	}
}
