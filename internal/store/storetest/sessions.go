package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

var sessionTests = []test{
	{"the other sessions are returned, oldest first", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		lease := e.join(start, start+hour)
		e.put(lease, 1000, e.device(bob, "phone"), start)
		var want []store.Session
		for i := range int64(4) {
			device := e.device(alice, fmt.Sprint("device", 9-i))
			same(t, "other sessions", e.put(lease, i+1, device, start+i), want)
			want = append(want, session(lease, i+1, device, start+i))
		}
		same(t, "sessions", e.sessions(alice, start+10), want)
	}},
	{"a session comes back as it was put", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		device, err := e.OpenDevice(e.ctx, store.Device{
			User: alice.ID, Resource: "webim_r", Platform: "web", UUID: "uuid", Name: "Firefox \u2603", Seen: start,
		})
		e.check("open device", err)
		lease := e.join(start, start+hour)
		e.put(lease, 1<<62, device, start+5)
		same(t, "sessions", e.sessions(alice, start+10), []store.Session{{
			ID: 1 << 62, User: alice.ID, Device: device.ID, Resource: "webim_r", Platform: "web", UUID: "uuid",
			Name: "Firefox \u2603", Node: lease.Node, Since: start + 5,
		}})
	}},
	{"a new session replaces the older one of the same device", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		phone, laptop := e.device(alice, "phone"), e.device(alice, "laptop")
		lease := e.join(start, start+hour)
		e.put(lease, 1, phone, start)
		e.put(lease, 2, laptop, start+1)
		same(t, "other sessions", e.put(lease, 3, phone, start+2), []store.Session{session(lease, 2, laptop, start+1)})
		same(t, "sessions", e.sessions(alice, start+10),
			[]store.Session{session(lease, 2, laptop, start+1), session(lease, 3, phone, start+2)})
		for id, want := range map[int64]bool{1: false, 2: true, 3: true, 4: false} {
			got, err := e.HasSession(e.ctx, alice.ID, id)
			e.check("has session", err)
			if got != want {
				t.Errorf("has session %d: %v, want %v", id, got, want)
			}
		}
	}},
	{"a replaced session that ends late does not end its successor", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		phone := e.device(alice, "phone")
		lease := e.join(start, start+hour)
		e.put(lease, 1, phone, start)
		e.put(lease, 2, phone, start+1)
		e.check("drop session", e.DropSession(e.ctx, alice.ID, 1))
		same(t, "sessions", e.sessions(alice, start+10), []store.Session{session(lease, 2, phone, start+1)})
	}},
	{"a dropped session is gone, and dropping it again is no error", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		lease := e.join(start, start+hour)
		e.put(lease, 1, e.device(alice, "phone"), start)
		e.check("drop another user's session", e.DropSession(e.ctx, bob.ID, 1))
		if ok, err := e.HasSession(e.ctx, alice.ID, 1); !ok || err != nil {
			t.Fatalf("has session: %v, %v", ok, err)
		}
		if ok, err := e.HasSession(e.ctx, bob.ID, 1); ok || err != nil {
			t.Fatalf("another user has the session: %v, %v", ok, err)
		}
		for range 2 {
			e.check("drop session", e.DropSession(e.ctx, alice.ID, 1))
			if ok, err := e.HasSession(e.ctx, alice.ID, 1); ok || err != nil {
				t.Fatalf("has session: %v, %v", ok, err)
			}
		}
		same(t, "sessions", e.sessions(alice, start), nil)
	}},
	{"sessions do not count when their node's lease has ended", func(t *testing.T, e *env) {
		e.several(t)
		alice := e.user(e.app(), "alice")
		phone, laptop := e.device(alice, "phone"), e.device(alice, "laptop")
		old := e.join(start, start+1000)
		e.put(old, 1, phone, start)
		same(t, "sessions while the lease lasts", len(e.sessions(alice, start+999)), 1)
		same(t, "sessions after its end", e.sessions(alice, start+1001), nil)

		if !e.renew(old, start+900, start+3000) {
			t.Fatal("the lease is lost")
		}
		same(t, "sessions after a renewal", len(e.sessions(alice, start+1001)), 1)

		// The next holder of the number is not the one who held those sessions.
		lease := e.join(start+5000, start+6000)
		for lease.Node != old.Node {
			lease = e.join(start+5000, start+6000)
		}
		same(t, "sessions after the number was given again", e.sessions(alice, start+5000), nil)
		same(t, "other sessions", e.put(lease, 2, laptop, start+5001), nil)
		same(t, "sessions", e.sessions(alice, start+5001), []store.Session{session(lease, 2, laptop, start+5001)})
	}},
	{"logins at the same time all see each other", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		lease := e.join(start, start+hour)
		const n = 8
		var mu sync.Mutex
		pairs := make(map[[2]int64]bool) // who has seen whom
		var wg sync.WaitGroup
		for i := range int64(n) {
			wg.Go(func() {
				device, err := e.OpenDevice(e.ctx, store.Device{User: alice.ID, Resource: fmt.Sprint("device", i), Seen: start})
				if err != nil {
					t.Errorf("open device: %v", err)
					return
				}
				others, err := e.PutSession(e.ctx, session(lease, i+1, device, start), start)
				if err != nil {
					t.Errorf("put session: %v", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for _, other := range others {
					pairs[[2]int64{i + 1, other.ID}] = true
				}
			})
		}
		wg.Wait()
		same(t, "number of sessions", len(e.sessions(alice, start)), n)
		for a := int64(1); a <= n; a++ {
			for b := a + 1; b <= n; b++ {
				if !pairs[[2]int64{a, b}] && !pairs[[2]int64{b, a}] {
					t.Errorf("neither of the sessions %d and %d was told of the other", a, b)
				}
			}
		}
	}},
}

var deviceTests = []test{
	{"a device is found by its resource", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		want := store.Device{User: alice.ID, Resource: "webim_1", Platform: "web", UUID: "u", Name: "Firefox", Seen: start}
		made, err := e.OpenDevice(e.ctx, want)
		e.check("open device", err)
		if made.ID <= 0 {
			t.Fatalf("device number is %d", made.ID)
		}
		want.ID = made.ID
		same(t, "new device", made, want)

		want.Seen = start + 50
		found, err := e.OpenDevice(e.ctx, store.Device{
			User: alice.ID, Resource: "webim_1", Platform: "web", UUID: "u", Name: "Firefox", Seen: start + 50,
		})
		e.check("open device again", err)
		same(t, "device", found, want)

		ids := map[int64]bool{made.ID: true}
		for _, other := range []store.Device{e.device(alice, "webim_2"), e.device(bob, "webim_1"), e.device(alice, "")} {
			if ids[other.ID] {
				t.Errorf("the device %q of user %d has the number of another", other.Resource, other.User)
			}
			ids[other.ID] = true
		}
	}},
	{"a device opened by many at once is one", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		ids := make([]int64, 8)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				device, err := e.OpenDevice(e.ctx, store.Device{User: alice.ID, Resource: "phone", Seen: start})
				if err != nil {
					t.Errorf("open device: %v", err)
				}
				ids[i] = device.ID
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("device numbers are %v", ids)
			}
		}
	}},
	{"the first device begins at the start of every timeline", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		e.save(e.device(bob, "phone"), e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 3), 3)
		positions := e.positions(alice.ID, e.device(alice, "phone").ID)
		same(t, "number of positions", len(positions), 1)
		same(t, "head", positions[0].Head, 3)
		same(t, "cursor", positions[0].Cursor, 0)
	}},
	{"a new device begins with what no other device of the user has had", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		phone, laptop := e.device(alice, "phone"), e.device(alice, "laptop")
		bobs := e.device(bob, "phone")
		withBob := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 10)
		withCarol := e.fill(store.PairKey(app.ID, alice.ID, carol.ID), 10)
		own := e.fill(store.UserKey(app.ID, alice.ID), 5)
		e.save(phone, withBob, 7)
		e.save(laptop, withBob, 4)
		e.save(laptop, withCarol, 9)
		e.save(phone, withCarol, 1)
		e.save(bobs, withBob, 10) // another user's device; alice's have not had it

		tablet := e.device(alice, "tablet")
		same(t, "positions of the new device", e.positions(alice.ID, tablet.ID), []store.Position{
			{Timeline: withBob, Head: 10, Cursor: 7}, {Timeline: withCarol, Head: 10, Cursor: 9},
			{Timeline: own, Head: 5, Cursor: 0},
		})
		same(t, "positions of the old device", e.positions(alice.ID, phone.ID), []store.Position{
			{Timeline: withBob, Head: 10, Cursor: 7}, {Timeline: withCarol, Head: 10, Cursor: 1},
			{Timeline: own, Head: 5, Cursor: 0},
		})

		// From here on each goes its own way.
		e.save(laptop, withBob, 10)
		later := e.fill(store.UserKey(app.ID, carol.ID), 1)
		dave := e.user(app, "dave")
		withDave := e.fill(store.PairKey(app.ID, alice.ID, dave.ID), 3)
		e.save(laptop, withDave, 3)
		same(t, "positions of the new device later", e.positions(alice.ID, e.device(alice, "tablet").ID), []store.Position{
			{Timeline: withBob, Head: 10, Cursor: 7}, {Timeline: withCarol, Head: 10, Cursor: 9},
			{Timeline: own, Head: 5, Cursor: 0}, {Timeline: withDave, Head: 3, Cursor: 0},
		})
		if later == withDave {
			t.Error("two keys share a timeline")
		}
	}},
	{"a device is forgotten when it was not seen for long and is not online", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		open := func(user store.User, resource string, seen int64) store.Device {
			device, err := e.OpenDevice(e.ctx, store.Device{User: user.ID, Resource: resource, Seen: seen})
			e.check("open device", err)
			return device
		}
		for i := range int64(3) {
			open(alice, fmt.Sprint("old", i), start+i)
		}
		open(bob, "old", start)
		kept := open(alice, "kept", start+100)
		online := open(alice, "online", start)
		renewed := open(alice, "renewed", start)
		open(alice, "renewed", start+200)
		lease := e.join(start, start+hour)
		e.put(lease, 1, online, start)

		before := start + 100
		forget := func(limit, want int) {
			t.Helper()
			n, err := e.ForgetDevices(e.ctx, before, limit)
			e.check("forget devices", err)
			same(t, "forgotten devices", n, want)
		}
		forget(3, 3)
		forget(3, 1)
		forget(3, 0)
		for _, device := range []store.Device{kept, online, renewed} {
			same(t, device.Resource, open(alice, device.Resource, start+300).ID, device.ID)
		}
		e.check("drop session", e.DropSession(e.ctx, alice.ID, 1))
		before = start + 301
		forget(10, 3)
		if again := open(alice, "kept", start); again.ID <= renewed.ID {
			t.Errorf("device number %d was given before", again.ID)
		}
	}},
	{"a device that was seen later is not forgotten, and is not seen earlier again", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		phone := e.device(alice, "phone")
		for _, seen := range []int64{start + 100, start + 50} {
			e.check("see device", e.SeeDevice(e.ctx, alice.ID, phone.ID, seen))
		}
		e.check("see a device that is gone", e.SeeDevice(e.ctx, alice.ID, phone.ID+100, start))
		for _, step := range []struct {
			before int64
			want   int
		}{{start + 100, 0}, {start + 101, 1}} {
			n, err := e.ForgetDevices(e.ctx, step.before, 10)
			e.check("forget devices", err)
			same(t, "forgotten devices", n, step.want)
		}
	}},
	{"the cursors of a forgotten device go with it, what it has had is not sent again", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		phone := e.device(alice, "phone")
		timeline := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 5)
		e.save(phone, timeline, 4)
		n, err := e.ForgetDevices(e.ctx, start+1, 10)
		e.check("forget devices", err)
		same(t, "forgotten devices", n, 1)
		again := e.device(alice, "phone")
		if again.ID == phone.ID {
			t.Fatal("the device was not forgotten")
		}
		same(t, "positions of the new device", e.positions(alice.ID, again.ID),
			[]store.Position{{Timeline: timeline, Head: 5, Cursor: 4}})
	}},
}
