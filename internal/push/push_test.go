package push

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestAppleIsAskedAsItWants(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	before := w.clock.Now().Unix()
	sent := w.send(alice, bob, "hello", nil)
	got := w.provider.next()
	if got.path != "/3/device/token-of-bob" {
		t.Errorf("path %s", got.path)
	}
	header, claims := claimsOf(t, strings.TrimPrefix(got.authorization, "bearer "))
	if header["kid"] != "KEY" || claims["iss"] != "TEAM" || int64(claims["iat"].(float64)) < before {
		t.Errorf("token says %v %v", header, claims)
	}
	for key, want := range map[string]string{"apns-topic": "org.example", "apns-push-type": "alert", "apns-priority": "10",
		"apns-collapse-id": fmt.Sprint(sent.ID), "content-type": "application/json"} {
		if got.header.Get(key) != want {
			t.Errorf("%s is %q, want %q", key, got.header.Get(key), want)
		}
	}
	want := map[string]any{
		"aps": map[string]any{"alert": map[string]any{"title": "New message", "body": "You have a new message"}, "badge": 1.0,
			"sound": "default", "thread-id": "alice"},
		"f": "alice", "t": "alice", "m": fmt.Sprint(sent.ID), "kind": "chat",
	}
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Error(diff)
	}
	w.send(alice, bob, "again", nil)
	again := w.provider.next()
	if again.authorization != got.authorization {
		t.Error("the token is not used again")
	}
	if badge := again.body["aps"].(map[string]any)["badge"]; badge != 2.0 {
		t.Errorf("badge %v, want 2", badge)
	}
	w.clock.Advance(apnsTokenLife)
	w.send(alice, bob, "later", nil)
	if w.provider.next().authorization == got.authorization {
		t.Error("the token is used too long")
	}
}

func TestGoogleIsAskedAsItWants(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob := w.user("alice", ""), w.user("bob", "google")
	w.must(w.SetDetailed(t.Context(), w.app, bob, true))
	_, err := w.accounts.SetNickname(t.Context(), w.app, "alice", "Al")
	w.must(err)
	sent := w.send(alice, bob, "hello\n  you", nil)
	form, err := url.ParseQuery(w.provider.next().form)
	w.must(err)
	header, claims := claimsOf(t, form.Get("assertion"))
	if form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || header["kid"] != "k1" || claims["iss"] != "stoa@proj" ||
		claims["scope"] != fcmScope || claims["aud"] != w.provider.server.URL+"/token" || claims["exp"].(float64)-claims["iat"].(float64) != 3600 {
		t.Errorf("asked for an access token by %v %v", header, claims)
	}
	got := w.provider.next()
	if got.path != "/v1/projects/proj/messages:send" || got.authorization != "Bearer access-1" {
		t.Errorf("%s with %s", got.path, got.authorization)
	}
	want := map[string]any{"message": map[string]any{
		"token": "token-of-bob", "notification": map[string]any{"title": "Al", "body": "hello you"},
		"data":    map[string]any{"f": "alice", "t": "alice", "m": fmt.Sprint(sent.ID), "kind": "chat"},
		"android": map[string]any{"priority": "HIGH", "ttl": "86400s", "notification": map[string]any{"notification_count": 1.0, "tag": fmt.Sprint(sent.ID)}},
	}}
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Error(diff)
	}
	w.provider.answers(reply{status: 401, body: `{"error":{"status":"UNAUTHENTICATED"}}`})
	w.send(alice, bob, "again", nil)
	w.provider.next() // refused
	w.clock.Advance(firstRetry)
	w.provider.next() // a new access token
	if again := w.provider.next(); again.authorization != "Bearer access-2" {
		t.Errorf("again with %s", again.authorization)
	}
}

// TestWhoIsTold sends each message to bob and then one to carol: what carol is told of comes after what bob is told of.
func TestWhoIsTold(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob, carol := w.user("alice", "apple"), w.user("bob", "apple"), w.user("carol", "apple")
	at := w.clock.Now().UTC()
	around := func(from, to time.Duration) string {
		f, u := at.Add(from), at.Add(to)
		return fmt.Sprintf("%d:%d-%d:%d", f.Hour(), f.Minute(), u.Hour(), u.Minute())
	}
	all, conversation := Conversation{}, Conversation{Peer: "alice"}
	kind := func(k string) Change { return Change{Type: &k} }
	quiet := func(q string) Change { return Change{Quiet: &q} }
	silent := time.Minute
	type set map[Conversation]Change
	for _, test := range []struct {
		name     string
		settings set
		ext      map[string]any
		told     bool
	}{
		{"by default", nil, nil, true},
		{"who wants nothing", set{all: kind(TypeNone)}, nil, false},
		{"who wants nothing of the sender", set{conversation: kind(TypeNone)}, nil, false},
		{"who wants only the sender's", set{all: kind(TypeNone), conversation: kind(TypeAll)}, nil, true},
		{"another conversation is silent", set{{Peer: "carol"}: kind(TypeNone)}, nil, true},
		{"who wants mentions, without one", set{all: kind(TypeAt)}, nil, false},
		{"with a mention of another", set{all: kind(TypeAt)}, map[string]any{"em_at_list": []string{"carol"}}, false},
		{"with a mention", set{all: kind(TypeAt)}, map[string]any{"em_at_list": []string{"carol", "Bob"}}, true},
		{"with a mention in a text", set{all: kind(TypeAt)}, map[string]any{"em_at_list": `["bob"]`}, true},
		{"with a mention of all", set{all: kind(TypeAt)}, map[string]any{"em_at_list": "ALL"}, true},
		{"who is silent for a time", set{all: {For: &silent}}, nil, false},
		{"whose conversation is silent for a time", set{conversation: {For: &silent}}, nil, false},
		{"in quiet hours", set{all: quiet(around(-time.Hour, time.Hour))}, nil, false},
		{"out of quiet hours", set{all: quiet(around(time.Hour, 3*time.Hour))}, nil, true},
		{"in quiet hours of a whole day", set{all: quiet("5:0-5:0")}, nil, false},
		{"a message that wants to be heard", set{all: quiet("5:0-5:0")}, map[string]any{"em_force_notification": true}, true},
		{"which does not change the type", set{all: kind(TypeNone)}, map[string]any{"em_force_notification": true}, false},
		{"a silent message", nil, map[string]any{"em_ignore_notification": true}, false},
	} {
		for about, change := range test.settings {
			_, err := w.Set(t.Context(), w.app, bob, Device{}, about, change)
			w.must(err)
		}
		w.send(alice, bob, "hello", test.ext)
		if test.told {
			if got := w.provider.next(); got.path != "/3/device/token-of-bob" {
				t.Errorf("%s: %s was told", test.name, got.path)
			}
		}
		w.send(alice, carol, "hello", nil)
		if got := w.provider.next(); got.path != "/3/device/token-of-carol" {
			t.Errorf("%s: %s was told, want %v", test.name, got.path, test.told)
		}
		zero, none, loud := time.Duration(0), "", TypeDefault
		for about := range test.settings {
			change := Change{Type: &loud, For: &zero}
			if about == all {
				change.Quiet = &none
			}
			_, err := w.Set(t.Context(), w.app, bob, Device{}, about, change)
			w.must(err)
		}
	}
	w.provider.quiet()
}

func TestWhoIsOnlineIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob, carol := w.user("alice", ""), w.user("bob", "apple"), w.user("carol", "apple")
	session, err := w.accounts.OpenSession(t.Context(), account.Login{App: w.app, User: bob}, account.DeviceInfo{Resource: "webim_web_1"})
	w.must(err)
	w.send(alice, bob, "hello", nil)
	w.send(alice, carol, "hello", nil)
	if got := w.provider.next(); got.path != "/3/device/token-of-carol" {
		t.Errorf("%s was told", got.path)
	}
	w.must(w.accounts.CloseSession(t.Context(), session))
	w.send(alice, bob, "hello", nil)
	if got := w.provider.next(); got.path != "/3/device/token-of-bob" {
		t.Errorf("%s was told", got.path)
	}
}

func TestWhoIsBannedIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob, carol := w.user("alice", ""), w.user("bob", "apple"), w.user("carol", "apple")
	_, err := w.accounts.SetActive(t.Context(), w.app, "bob", false)
	w.must(err)
	w.send(alice, bob, "hello", nil)
	w.send(alice, carol, "hello", nil)
	if got := w.provider.next(); got.path != "/3/device/token-of-carol" {
		t.Errorf("%s was told", got.path)
	}
	w.provider.quiet()
}

func TestAGroupIsTold(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob, carol := w.user("alice", "apple"), w.user("bob", "apple"), w.user("carol", "apple")
	w.user("dave", "apple")
	peer := func(u store.User) store.Peer { return store.Peer{ID: u.ID, Name: u.Name} }
	group, _, err := w.store.CreateMuc(t.Context(), store.Muc{App: w.app.ID, Kind: store.MucGroup, Name: "42", Title: "Friends", Owner: peer(alice), MaxUsers: 10}, 10, 10)
	w.must(err)
	_, err = w.store.AddMembers(t.Context(), store.Join{Muc: group.ID, Users: []store.Peer{peer(bob), peer(carol)}, PerUser: 10})
	w.must(err)
	none := TypeNone
	_, err = w.Set(t.Context(), w.app, carol, Device{}, Conversation{Place: "42"}, Change{Type: &none})
	w.must(err)
	w.must(w.SetDetailed(t.Context(), w.app, bob, true))
	image := &msync.MessageBody_Content{Type: msync.MessageBody_Content_IMAGE}
	_, err = w.delivery.AppendWait(t.Context(), w.post(alice, store.MucKey(w.app.ID, group.ID), "42", image, nil))
	w.must(err)
	got := w.provider.next()
	alert := got.body["aps"].(map[string]any)["alert"]
	if diff := cmp.Diff(map[string]any{"title": "Friends", "body": "alice: [Image]"}, alert); diff != "" || got.path != "/3/device/token-of-bob" || got.body["t"] != "42" {
		t.Errorf("%s: %s", got.path, diff)
	}
	directed := w.post(alice, store.MucKey(w.app.ID, group.ID), "42", text("psst"), nil)
	directed.Audience = store.Audience{Users: []int64{alice.ID, carol.ID}}
	_, err = w.delivery.AppendWait(t.Context(), directed)
	w.must(err)
	w.send(alice, carol, "hello", nil)
	if got := w.provider.next(); got.path != "/3/device/token-of-carol" || got.body["kind"] != "chat" {
		t.Errorf("%s was told of %v", got.path, got.body)
	}
	w.provider.quiet()
}

func TestWhatTheAppSaysIsShown(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	w.send(alice, bob, "hello", map[string]any{"em_push_ext": map[string]any{"title": strings.Repeat("t", 100), "content": "c"}})
	alert := w.provider.next().body["aps"].(map[string]any)["alert"]
	if diff := cmp.Diff(map[string]any{"title": strings.Repeat("t", 63) + "…", "body": "c"}, alert); diff != "" {
		t.Error(diff)
	}
}

func TestAFailureIsTriedAgainLaterAndLater(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	w.provider.answers(reply{status: 503}, reply{status: 500, body: "oops"}, reply{status: 429, header: map[string]string{"Retry-After": "600"}}, reply{status: 200})
	w.send(alice, bob, "hello", nil)
	w.provider.next()
	for i, wait := range []time.Duration{firstRetry, 2 * firstRetry, 10 * time.Minute} {
		w.noted(i+1, wait)
		w.clock.Advance(wait - time.Second)
		w.provider.quiet()
		w.clock.Advance(time.Second)
		w.provider.next()
	}
	w.send(alice, bob, "next", nil)
	w.provider.next()
	w.provider.quiet()
}

// noted waits until so many failed attempts are noted, of which the next one is due after a time.
func (w *world) noted(attempts int, wait time.Duration) {
	w.Helper()
	got := w.store.next(w.T) // the clock has gone on since
	if at := w.now() + wait.Milliseconds(); got.finished || got.attempts != attempts || got.due > at {
		w.Fatalf("noted is %+v, want %d attempts, and the next until %d", got, attempts, at)
	}
}

func TestATokenThatIsNotKnownAnyMoreIsRemoved(t *testing.T) {
	for name, test := range map[string]struct {
		notifier string
		answer   reply
		removed  bool
	}{
		"Apple: gone":             {"apple", reply{status: 410, body: `{"reason":"Unregistered"}`}, true},
		"Apple: bad token":        {"apple", reply{status: 400, body: `{"reason":"BadDeviceToken"}`}, true},
		"Apple: another app":      {"apple", reply{status: 400, body: `{"reason":"DeviceTokenNotForTopic"}`}, false},
		"Apple: no JSON":          {"apple", reply{status: 400, body: `<html>`}, false},
		"Google: gone":            {"google", reply{status: 404, body: `{"error":{"status":"NOT_FOUND","details":[{"errorCode":"UNREGISTERED"}]}}`}, true},
		"Google: another project": {"google", reply{status: 404, body: `{"error":{"status":"NOT_FOUND"}}`}, false},
		"Google: bad request":     {"google", reply{status: 400, body: `{"error":{"status":"INVALID_ARGUMENT"}}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.run()
			alice, bob, carol := w.user("alice", ""), w.user("bob", test.notifier), w.user("carol", "apple")
			w.provider.answers(test.answer)
			w.send(alice, bob, "hello", nil)
			if test.notifier == "google" {
				w.provider.next()
			}
			w.provider.next()
			if got, want := w.store.next(t), (outcome{finished: true}); got != want { // neither is tried again
				t.Errorf("noted is %+v, want %+v", got, want)
			}
			tokens, err := w.Bound(t.Context(), w.app, bob)
			w.must(err)
			if removed := len(tokens) == 0; removed != test.removed {
				t.Errorf("removed is %v", removed)
			}
			w.send(alice, carol, "hello", nil)
			w.provider.next()
		})
	}
}

func TestWhatACrashInterruptsIsToldAfterIt(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	w.must(w.begin(t.Context()))
	w.send(alice, bob, "1", nil)
	w.fresh() // it had not been looked at who is to be told
	recalled := w.send(alice, bob, "recalled", nil)
	_, err := w.delivery.AppendWait(t.Context(), delivery.Post{Key: store.PairKey(w.app.ID, alice.ID, bob.ID), Sender: alice.ID,
		Ref: recalled.Seq, Amend: &store.Amend{Seq: recalled.Seq, Recall: true}, Meta: []byte("recall")})
	w.must(err)
	w.send(alice, bob, "2", nil)
	w.fresh()
	w.must(w.begin(t.Context())) // nor had the provider been asked
	_, err = w.store.TakeNotifications(t.Context(), w.node, w.now(), w.now()+again.Milliseconds(), 1)
	w.must(err)
	w.fresh() // of one it just was
	w.run()
	for range 2 {
		w.provider.next()
	}
	w.send(alice, bob, "3", nil)
	if badge := w.provider.next().body["aps"].(map[string]any)["badge"]; badge != 3.0 {
		t.Errorf("the last has badge %v", badge)
	}
	w.provider.quiet()
}

func TestAFullQueueLosesNothing(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	w.must(w.begin(t.Context()))
	w.Service.behind = true // as if the queue had run over
	for range 3 {
		w.send(alice, bob, "hello", nil)
	}
	if len(w.queue) > 0 {
		t.Fatalf("%d messages are queued", len(w.queue))
	}
	w.run()
	for range 3 {
		w.provider.next()
	}
	w.send(alice, bob, "hello", nil)
	w.provider.next()
	w.provider.quiet()
}

func TestNobodyIsToldOfWhatIsOld(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	w.must(w.begin(t.Context()))
	w.send(alice, bob, "old", nil)
	w.fresh()
	w.clock.Advance(maxLate + time.Minute)
	w.run()
	recent := w.send(alice, bob, "new", nil)
	if got := w.provider.next().body["m"]; got != fmt.Sprint(recent.ID) {
		t.Errorf("told of %v, want %d", got, recent.ID)
	}
	w.provider.quiet()
}

func TestAStartDoesNotGoThroughWhatNobodyWasToBeToldOf(t *testing.T) {
	w := newWorld(t)
	current, _ := w.accounts.AppByID(w.app.ID)
	providers := current.Settings.PushProviders
	alice, bob := w.user("alice", ""), w.user("bob", "apple")
	mark := func() int64 {
		t.Helper()
		id, err := w.store.PushMark(t.Context(), 0)
		w.must(err)
		return id
	}
	w.set(map[string]any{"push_providers": []account.PushProvider{}})
	w.must(w.begin(t.Context()))
	first := w.send(alice, bob, "without providers", nil)
	if w.must(w.moveOn(t.Context())); mark() >= first.ID {
		t.Errorf("the mark moves though nobody is told of anything")
	}
	w.fresh()
	w.must(w.begin(t.Context()))
	if mark() < first.ID {
		t.Errorf("the mark is %d, the message %d", mark(), first.ID)
	}
	w.set(map[string]any{"push_providers": providers})
	w.fresh()
	w.run()
	second := w.send(alice, bob, "with providers", nil)
	if got := w.provider.next().body["m"]; got != fmt.Sprint(second.ID) {
		t.Errorf("told of %v, want %d", got, second.ID)
	}
}

func TestTheLogTellsThatThereIsSomethingButNotWhat(t *testing.T) {
	w := newWorld(t)
	w.run()
	alice, bob, carol := w.user("alice", ""), w.user("bob", "log"), w.user("carol", "apple")
	w.must(w.SetDetailed(t.Context(), w.app, bob, true))
	w.send(alice, bob, "a secret", nil)
	w.store.next(t)
	if !strings.Contains(w.log.String(), "msg=notification ") {
		t.Errorf("log: %s", w.log)
	}
	w.send(alice, carol, "hello", nil)
	w.provider.next()
	if strings.Contains(w.log.String(), "secret") {
		t.Errorf("log: %s", w.log)
	}
}

func TestBadKeysAreSaidInTheLog(t *testing.T) {
	w := newWorld(t)
	for _, settings := range []account.PushProvider{
		{Type: account.ProviderAPNs, Secret: "no key"},
		{Type: account.ProviderAPNs, Secret: pemOf(rsaKey())},
		{Type: account.ProviderFCM, Secret: "no JSON"},
		{Type: account.ProviderFCM, Secret: `{"project_id":"p"}`},
		{Type: account.ProviderFCM, Secret: `{"project_id":"p","client_email":"e","token_uri":"https://t","private_key":"no key"}`},
	} {
		if p, err := w.newProvider(settings); err == nil {
			t.Errorf("%v was taken: %v", settings, p)
		} else if strings.Contains(err.Error(), settings.Secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}
