package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/account/accounttest"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// world is a node without edges, with one application.
type world struct {
	*testing.T
	*Service
	store    *sqlite.Store
	accounts *account.Service
	hub      *delivery.Hub
	delivery *delivery.Service
	clock    *clock.Clock
	app      *account.App
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	s := sqlitetest.Open(t, log)
	n := accounttest.New(t, s, log)
	w := &world{T: t, store: s, accounts: n.Accounts, hub: n.Hub, delivery: n.Delivery, clock: n.Clock, app: n.App}
	w.start()
	t.Cleanup(func() { w.must(w.Close(context.Background())) })
	return w
}

// start puts a new service in place of the old one.
func (w *world) start() {
	w.Service = New(w.accounts, w.store, w.delivery, w.clock, slog.New(slog.DiscardHandler))
	w.accounts.Observe(w.Service)
}

func TestADeletedUserIsNotThereAnyMore(t *testing.T) {
	w := newWorld(t)
	w.accounts.BeforeDelete(w.Forget)
	alice := w.user("alice")
	bob := w.watch("bob", alice)
	w.open(alice, "webim_web_1")
	bob.hears("alice", "", devices{"webim_web_1": "1"})
	_, err := w.accounts.Delete(t.Context(), w.app, "alice")
	w.must(err)
	bob.hears("alice", "", devices{"webim_web_1": "0"})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) user(name string) store.User {
	w.Helper()
	user, err := w.accounts.RegisterHashed(w.Context(), w.app, account.NewUser{Name: name}, "")
	w.must(err)
	return user
}

func (w *world) open(user store.User, resource string) store.Session {
	w.Helper()
	session, err := w.accounts.OpenSession(w.Context(), account.Login{App: w.app, User: user}, account.DeviceInfo{Resource: resource})
	w.must(err)
	return session
}

func (w *world) close(session store.Session) {
	w.Helper()
	w.must(w.accounts.CloseSession(w.Context(), session))
}

// watcher is a device that hears of others.
type watcher struct {
	t       *testing.T
	notices chan Value
}

func (r *watcher) Queue(frame []byte, _ bool) bool {
	var envelope msync.MSync
	var batch msync.CommSyncDL
	if err := errors.Join(proto.Unmarshal(frame, &envelope), proto.Unmarshal(envelope.Payload, &batch)); err != nil {
		r.t.Errorf("frame: %v", err)
		return true
	}
	for _, meta := range batch.Metas {
		var body struct {
			Type string
			Data struct{ Values []Value }
		}
		if err := json.Unmarshal(meta.Payload, &body); err != nil || body.Type != "presence" || len(body.Data.Values) != 1 || meta.Ns != msync.Meta_NOTIFY {
			r.t.Errorf("notice %s of %v: %v", meta.Payload, meta.Ns, err)
			continue
		}
		for _, b := range meta.Payload {
			if b < 0x10 {
				r.t.Errorf("notice %q has a byte that clients do not take", meta.Payload)
			}
		}
		r.notices <- body.Data.Values[0]
	}
	return true
}
func (r *watcher) Flush()             {}
func (r *watcher) Kick(delivery.Kick) {}
func (r *watcher) Extend(int64)       {}

// watch subscribes a new user to others for an hour and connects its device.
func (w *world) watch(name string, targets ...store.User) *watcher {
	w.Helper()
	user := w.user(name)
	var names []string
	for _, target := range targets {
		names = append(names, target.Name)
	}
	_, _, err := w.Subscribe(w.Context(), w.app, user, names, time.Hour)
	w.must(err)
	return w.connect(user, 16)
}

func (w *world) connect(user store.User, room int) *watcher {
	w.Helper()
	r := &watcher{t: w.T, notices: make(chan Value, room)}
	session, err := w.hub.Open(delivery.Identity{Session: 1, User: user.ID, Device: 1, Name: user.Name, Alias: user.Name}, r)
	w.must(err)
	w.Cleanup(func() { w.must(session.Close(context.Background())) })
	return r
}

// hears fails unless that is the next notice: user, text and devices.
func (r *watcher) hears(name, text string, devices map[string]string) {
	r.t.Helper()
	select {
	case got := <-r.notices:
		want := Value{User: name, Text: text, Devices: devices, Changed: got.Changed, Expires: got.Expires}
		if diff := cmp.Diff(want, got); diff != "" {
			r.t.Fatalf("notice (-want +got):\n%s", diff)
		}
	case <-time.After(patience):
		r.t.Fatalf("no notice of %s %v", name, devices)
	}
}

type devices = map[string]string

func TestWatchersHearWhoComesAndGoes(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	bob := w.watch("bob", alice)
	web := w.open(alice, "webim_web_1")
	bob.hears("alice", "", devices{"webim_web_1": "1"})
	phone := w.open(alice, "android_1")
	bob.hears("alice", "", devices{"webim_web_1": "1", "android_1": "1"})
	w.close(web)
	w.clock.Advance(grace)
	bob.hears("alice", "", devices{"webim_web_1": "0", "android_1": "1"})
	w.close(phone)
	w.clock.Advance(grace)
	bob.hears("alice", "", devices{"android_1": "0"})
}

func TestADeviceThatComesBackSoonIsNoNews(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	bob := w.watch("bob", alice)
	web := w.open(alice, "webim_web_1")
	bob.hears("alice", "", devices{"webim_web_1": "1"})
	w.close(web)
	w.clock.Advance(grace - time.Second)
	phone := w.open(alice, "android_1") // the absence of the other device is not told yet
	bob.hears("alice", "", devices{"webim_web_1": "1", "android_1": "1"})
	w.open(alice, "webim_web_1")
	w.clock.Advance(grace)
	w.close(phone)
	w.clock.Advance(grace)
	bob.hears("alice", "", devices{"webim_web_1": "1", "android_1": "0"})
}

func TestADeviceThatGoesAtOnceIsNoNews(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	bob := w.watch("bob", alice)
	w.close(w.open(alice, "webim_web_1"))
	w.clock.Advance(grace)
	w.open(alice, "android_1")
	bob.hears("alice", "", devices{"android_1": "1"})
}

func TestWhatIsPublishedIsHeardAtOnce(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	bob, carol := w.watch("bob", alice), w.watch("carol", alice)
	w.must(w.Publish(t.Context(), w.app, alice, "webim_web_1", 1, "\x01 away ☃"))
	for _, r := range []*watcher{bob, carol} {
		r.hears("alice", "\x01 away ☃", devices{})
	}
	w.open(alice, "webim_web_1")
	bob.hears("alice", "\x01 away ☃", devices{"webim_web_1": "1"})
	w.open(alice, "android_1")
	bob.hears("alice", "\x01 away ☃", devices{"webim_web_1": "1", "android_1": "1"})
	w.must(w.Publish(t.Context(), w.app, alice, "android_1", 101, "busy"))
	bob.hears("alice", "busy", devices{"webim_web_1": "1", "android_1": "101"})
	w.must(w.Publish(t.Context(), w.app, alice, "android_1", 0, "busy")) // there, but not to be seen
	bob.hears("alice", "busy", devices{"webim_web_1": "1", "android_1": "0"})
}

func TestNobodyHearsMoreThanIsWished(t *testing.T) {
	w := newWorld(t)
	alice, dave := w.user("alice"), w.user("dave")
	bob, carol := w.watch("bob", alice, dave), w.watch("carol", alice, dave)
	carolUser, err := w.accounts.User(t.Context(), w.app, "carol")
	w.must(err)

	w.must(w.Unsubscribe(t.Context(), w.app, carolUser, []string{"alice", "nobody"}))
	w.must(w.Publish(t.Context(), w.app, alice, "r", 1, "1"))
	bob.hears("alice", "1", devices{})
	w.must(w.Publish(t.Context(), w.app, dave, "r", 1, "2"))
	carol.hears("dave", "2", devices{})
	bob.hears("dave", "2", devices{})

	_, err = w.accounts.ChangeSettings(t.Context(), w.app, []byte(`{"presence":false}`))
	w.must(err)
	notices, err := w.tell(t.Context(), []due{{user: alice.ID, changes: map[string]change{published: {}}}})
	if notices != 0 || err != nil {
		t.Errorf("%d notices while presence is off, %v", notices, err)
	}
	_, err = w.accounts.ChangeSettings(t.Context(), w.app, []byte(`{"presence":true}`))
	w.must(err)

	w.clock.Advance(time.Hour - time.Minute)
	_, _, err = w.Subscribe(t.Context(), w.app, carolUser, []string{"dave"}, time.Hour) // bob's ends meanwhile
	w.must(err)
	w.clock.Advance(time.Minute)
	w.must(w.Publish(t.Context(), w.app, dave, "r", 1, "3"))
	carol.hears("dave", "3", devices{})
	if len(bob.notices) > 0 {
		t.Errorf("bob heard %v", <-bob.notices)
	}
}

// TestAStormIsToldOncePerUserAndPaced lets 5,000 users come, flicker and publish at the same time.
func TestAStormIsToldOncePerUserAndPaced(t *testing.T) {
	const users = 5000
	w := newWorld(t)
	bob := w.user("bob")
	var peers []store.Peer
	var mu sync.Mutex
	work := make(chan int)
	var workers sync.WaitGroup
	for range 64 { // so that the writes share commits
		workers.Go(func() {
			for i := range work {
				name := fmt.Sprint("user", i)
				user, err := w.store.CreateUser(t.Context(), store.User{App: w.app.ID, Name: name, UUID: name, Active: true})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				peers = append(peers, store.Peer{ID: user.ID, Name: user.Name})
				mu.Unlock()
			}
		})
	}
	for i := range users {
		work <- i
	}
	close(work)
	workers.Wait()
	w.must(w.store.Watch(t.Context(), w.app.ID, bob.ID, peers, w.now()+time.Hour.Milliseconds(), w.now(), users))
	eye := w.connect(bob, users+1)

	began := time.Now()
	for _, peer := range peers {
		session := store.Session{ID: peer.ID, User: peer.ID, Device: peer.ID, Resource: "webim_web_1", Since: w.now()}
		_, err := w.store.PutSession(t.Context(), session, w.now())
		w.must(err)
		for range 3 {
			w.SessionOpened(session)
			w.SessionClosed(session, account.ClosedItself)
		}
		w.SessionOpened(session)
	}
	seen := map[string]int{}
	for range users {
		select {
		case v := <-eye.notices:
			seen[v.User]++
			if !maps.Equal(v.Devices, devices{"webim_web_1": "1"}) {
				t.Fatalf("%s is shown as %v", v.User, v.Devices)
			}
		case <-time.After(patience):
			t.Fatalf("%d of %d users were told", len(seen), users)
		}
	}
	took := time.Since(began)
	if len(seen) != users || len(eye.notices) > 0 {
		t.Errorf("%d users were told, and %d notices too many", len(seen), len(eye.notices))
	}
	if least := time.Duration(users-round) * time.Second / noticesPerSecond; took < least {
		t.Errorf("%d notices took %v, the pace allows no less than %v", users, took, least)
	}
	t.Logf("%d notices took %v", users, took)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changes) > 0 {
		t.Errorf("%d users are remembered", len(w.changes))
	}
}

func TestWhoLeavesWithTheNodeIsToldByTheNext(t *testing.T) {
	w := newWorld(t)
	alice, carol := w.user("alice"), w.user("carol")
	bob := w.watch("bob", alice, carol)
	first, second := w.open(alice, "webim_web_1"), w.open(carol, "webim_web_1")
	for range 2 {
		<-bob.notices
	}
	w.close(first)
	w.close(second)
	w.must(w.Close(t.Context()))
	w.start()
	w.open(carol, "webim_web_1") // she comes back in time
	bob.hears("carol", "", devices{"webim_web_1": "1"})
	w.clock.Advance(grace)
	w.takeDepartures(t.Context())
	w.clock.Advance(grace)
	bob.hears("alice", "", devices{"webim_web_1": "0"})
	w.must(w.Publish(t.Context(), w.app, carol, "webim_web_1", 1, "last"))
	bob.hears("carol", "last", devices{"webim_web_1": "1"})
}

func TestFullListsAreRefused(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	var peers []store.Peer
	for i := range maxUsers + 1 {
		user := w.user(fmt.Sprint("user", i))
		peers = append(peers, store.Peer{ID: user.ID, Name: user.Name})
	}
	// A row for each of 3,000 users would take the test long: the store is told that the limit is here.
	w.must(w.store.Watch(t.Context(), w.app.ID, alice.ID, peers[:maxUsers], w.now()+time.Hour.Milliseconds(), w.now(), maxUsers))
	err := w.store.Watch(t.Context(), w.app.ID, alice.ID, peers[maxUsers:], w.now()+time.Hour.Milliseconds(), w.now(), maxUsers)
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("store: %v", err)
	}
	states, expires, err := w.Subscribe(t.Context(), w.app, alice, []string{"user1", "USER1"}, maxExpiry)
	w.must(err)
	if len(states) != 2 || states[0].Name != "user1" || !expires.After(w.clock.Now().Add(maxExpiry-time.Minute)) {
		t.Errorf("states are %v until %v", states, expires)
	}
	_, _, err = w.Subscribe(t.Context(), w.app, alice, []string{"user1"}, maxExpiry+1)
	if code, _ := errcode.CodeOf(err); code != errcode.InvalidParameter || !errors.Is(err, ErrExpiry) {
		t.Errorf("too long: %v", err)
	}
}

func TestTheOldestChangesAreTakenFirstAndWithAllOfTheirUser(t *testing.T) {
	s := &Service{clock: clock.New(), changes: map[int64]map[string]change{}, wake: make(chan struct{}, 1)}
	now := s.clock.Now()
	for user := range int64(2*round + 10) { // the highest first
		s.note(user, "a", change{due: now.Add(-time.Duration(user+1) * time.Second)})
	}
	s.note(5, "b", change{due: now})                                       // due with the other
	s.note(5, "c", change{online: true, due: now.Add(time.Hour)})          // may come back
	s.note(6, published, change{due: now.Add(time.Minute)})                // later
	s.note(7, "gone", change{online: true, due: now.Add(-time.Hour)})      // comes back:
	s.note(7, "gone", change{online: false, due: now.Add(-2 * time.Hour)}) // nothing to tell
	last := int64(2*round + 10)
	for _, want := range []int{round, round, 10, 0} {
		taken, wait := s.take()
		if len(taken) != want {
			t.Fatalf("%d users are taken, want %d", len(taken), want)
		}
		for _, d := range taken {
			if d.user != last-1 {
				t.Fatalf("user %d is taken after %d", d.user, last)
			}
			if last = d.user; d.user == 5 && (len(d.changes) != 2 || len(d.still) != 1) {
				t.Errorf("of user 5 is taken %v, still away is %v", d.changes, d.still)
			}
		}
		if want == 0 && (wait > time.Minute || wait < 50*time.Second) {
			t.Errorf("wait %v", wait)
		}
	}
}
