package account

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestDisplacedSessions(t *testing.T) {
	sessions := func(platforms ...string) (all []store.Session) {
		for i, p := range platforms {
			all = append(all, store.Session{ID: int64(i + 1), Device: int64(i + 1), Platform: p})
		}
		return all
	}
	for _, test := range []struct {
		name   string
		multi  bool
		limit  int
		mine   string
		others []store.Session
		want   []int64
	}{
		{"alone", true, 4, "web", nil, nil},
		{"below the limit", true, 4, "web", sessions("web", "web", "web"), nil},
		{"at the limit: the earliest goes", true, 4, "web", sessions("web", "web", "web", "web"), []int64{1}},
		{"beyond the limit, which was lowered", true, 2, "web", sessions("web", "web", "web", "web"), []int64{1, 2, 3}},
		{"one device of a platform", true, 1, "web", sessions("web"), []int64{1}},
		{"other platforms do not count", true, 1, "web", sessions("android", "ios", "other"), nil},
		{"platforms are counted apart", true, 2, "web", sessions("android", "web", "ios", "web", "android"), []int64{2}},
		{"one device at all", false, 4, "web", sessions("android", "web"), []int64{1, 2}},
		{"one device at all, alone", false, 4, "web", nil, nil},
	} {
		rules := Settings{MultiDevice: test.multi, MaxDevicesPerPlatform: test.limit}
		var got []int64
		for _, s := range displaced(rules, store.Session{ID: 99, Platform: test.mine}, test.others) {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v go, want %v", test.name, got, test.want)
		}
	}
}

func TestPlatformsOfResources(t *testing.T) {
	for resource, want := range map[string]string{
		"webim_web_1700000000000": "web", "webim_random_web_17": "web", "webim": "web", "web_x": "web", "webim_wx_1": "web",
		"android_1": "android", "ios_9f": "ios", "custom5_ab": "custom5", "x": "other", "": "other", "_x": "other", "x_": "other",
	} {
		if got := (DeviceInfo{Resource: resource}).platform(); got != want {
			t.Errorf("%q is of platform %s, want %s", resource, got, want)
		}
	}
}

// login signs a user in on a device and puts it online.
func (w *world) login(user store.User, resource string) (Login, store.Session, *sink) {
	w.Helper()
	login := Login{App: w.Current(w.app), User: user, Generation: user.Generation}
	session, err := w.OpenSession(w.Context(), login, DeviceInfo{Resource: resource, UUID: "u-" + resource, Name: "n-" + resource, Reason: "from " + resource})
	w.must(err)
	out := &sink{}
	if _, err = w.hub.Open(delivery.Identity{Session: session.ID, User: user.ID, Device: session.Device, Name: user.Name, Alias: user.Name}, out); err != nil {
		w.Fatal(err)
	}
	return login, session, out
}

func (w *world) resources(user store.User) (resources []string) {
	w.Helper()
	sessions, err := w.Sessions(w.Context(), user)
	w.must(err)
	for _, s := range sessions {
		resources = append(resources, s.Resource)
	}
	return resources
}

func TestSessionsAreListedOldestFirst(t *testing.T) {
	w := newWorld(t)
	alice := w.register("alice")
	_, first, _ := w.login(alice, "webim_web_1")
	_, second, _ := w.login(alice, "android_1")
	sessions, err := w.Sessions(t.Context(), alice)
	if err != nil || !slices.Equal(sessions, []store.Session{first, second}) {
		t.Errorf("listed %+v, %v", sessions, err)
	}
	if first.Platform != "web" || first.UUID != "u-webim_web_1" || first.Name != "n-webim_web_1" || first.ID == second.ID || first.Device == second.Device {
		t.Errorf("%+v and %+v", first, second)
	}
	// The same device again takes the place of its older session.
	_, again, _ := w.login(alice, "webim_web_1")
	if again.Device != first.Device || again.ID == first.ID {
		t.Errorf("again %+v, first %+v", again, first)
	}
	if got := w.resources(alice); !slices.Equal(got, []string{"android_1", "webim_web_1"}) {
		t.Errorf("online are %v", got)
	}
	// The end of the older session does not take the younger one along.
	w.must(w.CloseSession(t.Context(), first))
	if got := w.resources(alice); len(got) != 2 {
		t.Errorf("online are %v", got)
	}
	w.must(w.CloseSession(t.Context(), again))
	w.must(w.CloseSession(t.Context(), second))
	if got := w.resources(alice); len(got) != 0 {
		t.Errorf("online are %v", got)
	}
}

func TestALoginBeyondTheLimitEndsTheEarliest(t *testing.T) {
	w := newWorld(t)
	alice := w.register("alice")
	if _, err := w.ChangeSettings(t.Context(), w.app, []byte(`{"max_devices_per_platform":2}`)); err != nil {
		t.Fatal(err)
	}
	_, first, firstOut := w.login(alice, "webim_web_1")
	_, _, secondOut := w.login(alice, "webim_web_2")
	_, _, thirdOut := w.login(alice, "webim_web_3")
	if len(firstOut.kicks) != 1 || firstOut.kicks[0] != (delivery.Kick{Session: first.ID, Operation: int32(msync.StatisticsBody_USER_LOGIN_ANOTHER_DEVICE), Reason: "from webim_web_3"}) {
		t.Errorf("the first is told %+v", firstOut.kicks)
	}
	if len(secondOut.kicks)+len(thirdOut.kicks) != 0 {
		t.Errorf("others are told %+v %+v", secondOut.kicks, thirdOut.kicks)
	}
	if got := w.resources(alice); !slices.Equal(got, []string{"webim_web_2", "webim_web_3"}) {
		t.Errorf("online are %v", got)
	}
}

// A login that fails in the middle must not leave a session behind that nobody holds.
func TestALoginThatFailsLeavesNoSession(t *testing.T) {
	w := newWorld(t)
	alice := w.register("alice")
	_, first, _ := w.login(alice, "webim_web_1")
	if _, err := w.ChangeSettings(t.Context(), w.app, []byte(`{"multi_device":false}`)); err != nil {
		t.Fatal(err)
	}
	w.hooks.set(func() {
		w.hooks.drop = func(session int64) error {
			if session == first.ID {
				return errBroken
			}
			return nil
		}
	})
	_, err := w.OpenSession(t.Context(), Login{App: w.Current(w.app), User: alice}, DeviceInfo{Resource: "webim_web_2"})
	if !errors.Is(err, errBroken) {
		t.Fatalf("the login ended with %v", err)
	}
	if got := w.resources(alice); !slices.Equal(got, []string{"webim_web_1"}) {
		t.Errorf("online are %v", got)
	}
}

func TestWhetherASessionMayGoOn(t *testing.T) {
	w := newWorld(t)
	const removed, password, other = msync.StatisticsBody_USER_REMOVED, msync.StatisticsBody_USER_KICKED_BY_CHANGE_PASSWORD, msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE
	for i, test := range []struct {
		name string
		do   func(user string, s store.Session) error
		ok   bool
		want msync.StatisticsBody_Operation
	}{
		{"nothing happened", func(string, store.Session) error { return nil }, true, 0},
		{"the user was removed", func(user string, _ store.Session) error { _, err := w.Delete(t.Context(), w.app, user); return err }, false, removed},
		{"and registered again", func(user string, _ store.Session) error {
			_, err := w.Delete(t.Context(), w.app, user)
			w.register(user)
			return err
		}, false, removed},
		{"a new password", func(user string, _ store.Session) error { return w.SetPassword(t.Context(), w.app, user, "p") }, false, password},
		{"a ban", func(user string, _ store.Session) error {
			_, err := w.SetActive(t.Context(), w.app, user, false)
			return err
		}, false, other},
		{"a ban that was lifted", func(user string, _ store.Session) error {
			_, err := w.SetActive(t.Context(), w.app, user, false)
			_, err2 := w.SetActive(t.Context(), w.app, user, true)
			return errors.Join(err, err2)
		}, false, password},
		{"a new nickname", func(user string, _ store.Session) error {
			_, err := w.SetNickname(t.Context(), w.app, user, "N")
			return err
		}, true, 0},
		{"disconnected", func(user string, _ store.Session) error { return w.Disconnect(t.Context(), w.app, user, "") }, false, other},
		{"disconnected by device", func(user string, _ store.Session) error {
			return w.Disconnect(t.Context(), w.app, user, "webim_web_1")
		}, false, other},
		{"another device came", func(user string, _ store.Session) error {
			u, err := w.User(t.Context(), w.app, user)
			w.login(u, "webim_web_2")
			return err
		}, true, 0},
		{"replaced by oneself", func(user string, _ store.Session) error {
			u, err := w.User(t.Context(), w.app, user)
			w.login(u, "webim_web_1")
			return err
		}, true, 0},
		{"replaced by oneself, who was disconnected", func(user string, _ store.Session) error {
			u, err := w.User(t.Context(), w.app, user)
			w.login(u, "webim_web_1")
			return errors.Join(err, w.Disconnect(t.Context(), w.app, user, "webim_web_1"))
		}, false, other},
	} {
		user := fmt.Sprint("user", i)
		login, session, _ := w.login(w.register(user), "webim_web_1")
		if err := test.do(user, session); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		kick, ok, err := w.CheckSession(t.Context(), login, session)
		if err != nil || ok != test.ok || !ok && kick.Operation != int32(test.want) {
			t.Errorf("%s: %t, %+v, %v", test.name, ok, kick, err)
		}
	}
}

func TestDisconnectEndsOneDeviceOrAll(t *testing.T) {
	w := newWorld(t)
	alice := w.register("alice")
	_, _, web := w.login(alice, "webim_web_1")
	_, _, phone := w.login(alice, "android_1")
	w.must(w.Disconnect(t.Context(), w.app, "Alice", "android_1"))
	if len(web.kicks) != 0 || len(phone.kicks) != 1 || phone.kicks[0].Operation != 4 {
		t.Errorf("one device: %+v, %+v", web.kicks, phone.kicks)
	}
	refused(t, "a device that is not online", w.Disconnect(t.Context(), w.app, "alice", "android_1"), errcode.RequestFailed, ErrNoDevice)
	w.must(w.Disconnect(t.Context(), w.app, "alice", ""))
	if len(web.kicks) != 1 || web.kicks[0].Operation != 4 {
		t.Errorf("all: %+v", web.kicks)
	}
	w.must(w.Disconnect(t.Context(), w.app, "alice", "")) // nobody there is no error
	if got := w.resources(alice); len(got) != 0 {
		t.Errorf("online are %v", got)
	}
}

func TestExtendReachesTheSessionsOfTheBearer(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.register("alice"), w.register("bob")
	_, _, web := w.login(alice, "webim_web_1")
	_, _, other := w.login(bob, "webim_web_1")
	end := w.clock.Now().Add(time.Hour)
	w.Extend(Principal{User: alice, Expires: end})
	w.Extend(Principal{User: alice})
	if !slices.Equal(web.extends, []int64{end.UnixMilli(), 0}) || len(other.extends) != 0 {
		t.Errorf("extended: %v, %v", web.extends, other.extends)
	}
}
