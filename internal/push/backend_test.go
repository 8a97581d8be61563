package push

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
)

// alertOf is what an Apple device shows.
func alertOf(r request) any { return r.body["aps"].(map[string]any)["alert"] }

func TestTemplatesWordNotifications(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	_, err := w.accounts.SetNickname(t.Context(), w.app, "alice", "Al")
	w.must(err)
	shows := func(ext map[string]any, title, body string) {
		t.Helper()
		w.send(alice, bob, "hello", ext)
		if diff := cmp.Diff(map[string]any{"title": title, "body": body}, alertOf(w.provider.next())); diff != "" {
			t.Error(diff)
		}
	}
	template := func(name, title, body string) {
		t.Helper()
		_, err := w.SetTemplate(t.Context(), w.app, name, title, body)
		w.must(err)
	}
	args := func(name string) map[string]any {
		return map[string]any{"em_push_template": map[string]any{"name": name, "title_args": []any{"one"}, "content_args": []any{"two", "{$fromNickname} says {$msg}"}}}
	}
	shows(nil, "New message", "You have a new message")
	shows(args("none"), "New message", "You have a new message")
	template("default", "From {$dynamicFrom}", "{0}{$msg}")
	shows(nil, "From Al", "hello")
	shows(args(""), "From Al", "twohello")
	shows(map[string]any{"em_push_ext": map[string]any{"title": "own"}}, "own", "hello")
	template("bobs", "Dear Bob", "{0}, {1}, {2}.")
	w.must(w.ChooseTemplate(t.Context(), w.app, bob, "bobs"))
	shows(map[string]any{"em_push_ext": map[string]any{"title": "own", "content": "own"}}, "Dear Bob", ", , .")
	shows(args(""), "Dear Bob", "two, Al says hello, .")
	template("sale", "{0}: {$fromNickname}", "{1}")
	shows(args("sale"), "one: Al", "Al says hello")
	template("vip", "For {0}", "only")
	directed := args("sale")
	directed["em_push_template"].(map[string]any)["directed_template"] = map[string]any{"target": []any{"Bob"}, "name": "vip", "title_args": []any{"you"}}
	shows(directed, "For you", "only")
	directed["em_push_template"].(map[string]any)["directed_template"] = map[string]any{"target": []any{"carol"}, "name": "vip"}
	shows(directed, "one: Al", "Al says hello")
	_, err = w.RemoveTemplate(t.Context(), w.app, "bobs")
	w.must(err)
	shows(nil, "From Al", "hello")
}

func TestWhatABackendTellsReachesDevices(t *testing.T) {
	w := newWorld(t)
	w.run()
	bob, carol := w.user("bob", "apple"), w.user("carol", "google")
	m := Message{Wording: Wording{Title: "Sale", Subtitle: "now", Content: "All must go", Ext: map[string]any{"k": 1, "s": "x"}}, FCM: &Wording{Title: "Sale!"}}
	m.Config.Badge.Set, m.Config.Click.Action, m.Config.Click.URL = 3, "open", "https://example.org"
	_, err := w.PushUsers(t.Context(), w.app, []string{"bob"}, StrategyVendor, m)
	w.must(err)
	got := w.provider.next()
	want := map[string]any{"k": "1", "s": "x", "url": "https://example.org", "kind": "push", "m": got.body["m"],
		"aps": map[string]any{"alert": map[string]any{"title": "Sale", "subtitle": "now", "body": "All must go"}, "badge": 3.0, "sound": "default", "category": "open"}}
	if diff := cmp.Diff(want, got.body); diff != "" || !strings.HasPrefix(fmt.Sprint(got.body["m"]), "push-") {
		t.Error(diff)
	}
	_, err = w.PushUsers(t.Context(), w.app, []string{"carol"}, StrategyVendor, m)
	w.must(err)
	if w.provider.next().form == "" {
		t.Error("Google was not asked for an access token")
	}
	told := w.provider.next().body["message"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"title": "Sale!", "body": "All must go"}, told["notification"]); diff != "" {
		t.Error(diff)
	}

	// Who is online is told, unless the push is for who is not.
	_, err = w.store.PutSession(t.Context(), store.Session{ID: 1, User: bob.ID, Device: 7, Resource: "r"}, w.now())
	w.must(err)
	_, err = w.PushUsers(t.Context(), w.app, []string{"bob"}, StrategyAway, m)
	w.must(err)
	_, err = w.PushUsers(t.Context(), w.app, []string{"bob"}, StrategyFirst, Message{Wording: Wording{Title: "all the same"}})
	w.must(err)
	if alert := alertOf(w.provider.next()).(map[string]any); alert["title"] != "all the same" {
		t.Errorf("told of %v", alert)
	}

	// By labels, and to all.
	for name, users := range map[string][]string{"most": {"bob", "carol"}, "some": {"bob"}} {
		_, err := w.CreateLabel(t.Context(), w.app, name, "")
		w.must(err)
		_, err = w.LabelUsers(t.Context(), w.app, name, users)
		w.must(err)
	}
	_, err = w.PushLabels(t.Context(), w.app, []string{"most", "some"}, StrategyVendor, m)
	w.must(err)
	if got := w.provider.next(); got.path != "/3/device/token-of-bob" {
		t.Errorf("%s was told", got.path)
	}
	_, err = w.PushLabels(t.Context(), w.app, nil, StrategyVendor, m)
	w.must(err)
	if paths := map[string]bool{w.provider.next().path: true, w.provider.next().path: true}; len(paths) != 2 {
		t.Errorf("%v were told", paths)
	}
	w.provider.quiet()

	// And at once, with what the provider says.
	w.provider.answers(reply{status: 400, body: `{"reason":"PayloadTooLarge"}`}, reply{status: 410, body: `{"reason":"Unregistered"}`})
	for _, want := range []string{"PayloadTooLarge", "Unregistered", "no push binding"} {
		outcomes, err := w.PushNow(t.Context(), w.app, bob, StrategyVendor, m)
		w.must(err)
		if len(outcomes) != 1 || outcomes[0].Taken || !strings.Contains(outcomes[0].Reason, want) {
			t.Errorf("outcomes are %v, want %s", outcomes, want)
		}
		if want != "no push binding" {
			w.provider.next()
		}
	}
	outcomes, err := w.PushNow(t.Context(), w.app, carol, StrategyVendor, m)
	w.must(err)
	if len(outcomes) != 1 || !outcomes[0].Taken {
		t.Errorf("outcomes are %v", outcomes)
	}
}

func TestAnAppHasFewPushesUnderWay(t *testing.T) {
	w := newWorld(t)
	m := Message{Wording: Wording{Title: "t"}}
	for range maxUnderWay {
		_, err := w.PushLabels(t.Context(), w.app, nil, StrategyVendor, m)
		w.must(err)
	}
	_, err := w.PushLabels(t.Context(), w.app, nil, StrategyVendor, m)
	if code, _ := errcode.CodeOf(err); code != errcode.MaxLimit {
		t.Errorf("one more: %v", err)
	}
}

func TestWhatWasCaughtUpIsNotToldAgainFromTheQueue(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	w.must(w.begin(t.Context()))
	w.fresh()
	w.send(alice, bob, "1", nil)
	w.must(w.begin(t.Context())) // reads it from the store; it is queued, too
	queued := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.queue)
	}
	for deadline := time.Now().Add(patience); queued() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the message is not queued")
		}
	}
	_, err := w.deliverSome(t.Context())
	w.must(err)
	w.provider.next()
	w.run()
	second := w.send(alice, bob, "2", nil)
	if got := w.provider.next().body["m"]; got != fmt.Sprint(second.ID) {
		t.Errorf("told of %v, want %d", got, second.ID)
	}
	w.provider.quiet()
}
