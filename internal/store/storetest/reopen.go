package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

// RunReopen tests what must survive a restart. Open returns an empty store of its own, and a function that closes the
// store and opens it again on the same data; the last one is closed when the test has ended.
func RunReopen(t *testing.T, open func(t *testing.T) (s store.Store, reopen func() store.Store)) {
	for _, test := range reopenTests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, reopen := open(t)
			e := newEnv(t, s)
			test.run(t, e, func() { e.Store = reopen() })
		})
	}
}

var reopenTests = []struct {
	name string
	run  func(t *testing.T, e *env, reopen func())
}{
	{"apps, users and devices survive", func(t *testing.T, e *env, reopen func()) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob.b")
		hash := "$argon2id$"
		alice, err := e.UpdateUser(e.ctx, alice.ID, start+1, store.UserChange{PasswordHash: &hash, Revoke: true})
		e.check("update user", err)
		app.Settings = []byte(`{"a":1}`)
		e.check("save settings", e.SaveAppSettings(e.ctx, app.ID, app.Settings))
		phone := e.device(alice, "phone")
		reopen()
		apps, err := e.Apps(e.ctx)
		e.check("apps", err)
		same(t, "apps", apps, []store.App{app})
		users, err := e.ListUsers(e.ctx, app.ID, 0, 10)
		e.check("list users", err)
		same(t, "users", users, []store.User{alice, bob})
		same(t, "device", e.device(alice, "phone"), phone)
	}},
	{"numbers are not given again", func(t *testing.T, e *env, reopen func()) {
		app := e.app()
		alice := e.user(app, "alice")
		phone := e.device(alice, "phone")
		e.check("delete user", e.DeleteUser(e.ctx, alice.ID))
		reopen()
		again := e.user(app, "alice")
		if again.ID <= alice.ID {
			t.Errorf("user number %d was given before", again.ID)
		}
		if device := e.device(again, "phone"); device.ID <= phone.ID {
			t.Errorf("device number %d was given before", device.ID)
		}
	}},
	{"timelines go on where they were", func(t *testing.T, e *env, reopen func()) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := store.PairKey(app.ID, alice.ID, bob.ID)
		draft := store.Draft{
			Key: key, ID: 100, Time: start, Sender: alice.ID, Device: 7, ClientID: 1 << 63, Meta: []byte("a\x00\xff"),
		}
		first := e.append(store.Draft{Key: key, Meta: []byte("0")}, draft)[1]
		before := e.read(first.Timeline)
		for i := range int64(2) {
			reopen()
			same(t, "entries", e.read(first.Timeline)[:2], before)
			draft.ID, draft.Time = 200+i, start+hour
			want := first
			want.Repeated = true
			same(t, "repetition", e.append(draft)[0], want)
			same(t, "next", e.append(store.Draft{Key: key, ID: 300 + i, Meta: []byte("more")})[0],
				store.Appended{Timeline: first.Timeline, Seq: 3 + i, ID: 300 + i, Time: start})
		}
	}},
	{"repetitions are recognised whatever the ids are like", func(t *testing.T, e *env, reopen func()) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		var drafts []store.Draft
		for i := range int64(600) {
			client := uint64(1000 + i)
			switch i % 3 {
			case 1: // falling, and the same from two devices
				client = uint64(500 - i/2)
			case 2:
				client = 1<<63 + uint64(i*7919%600)
			}
			drafts = append(drafts, store.Draft{Key: store.PairKey(app.ID, alice.ID, bob.ID), ID: 1 + i, Time: start,
				Sender: alice.ID, Device: 1 + i%2, ClientID: client, Meta: fmt.Append(nil, i)})
		}
		want := e.append(drafts...)
		for i := range want {
			want[i].Repeated = true
		}
		for range 2 {
			reopen()
			same(t, "repetitions", e.append(drafts...), want)
		}
		other := drafts[7]
		other.Meta = []byte("something else")
		same(t, "the id again for another message", e.append(other)[0].Repeated, false)
	}},
	{"cursors that were saved before the end survive it", func(t *testing.T, e *env, reopen func()) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		phone, laptop := e.device(alice, "phone"), e.device(alice, "laptop")
		timeline := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 5)
		e.save(phone, timeline, 4)
		reopen()
		same(t, "phone", e.positions(alice.ID, phone.ID), []store.Position{{Timeline: timeline, Head: 5, Cursor: 4}})
		same(t, "laptop", e.positions(alice.ID, laptop.ID), []store.Position{{Timeline: timeline, Head: 5}})
		same(t, "new device", e.positions(alice.ID, e.device(alice, "tablet").ID),
			[]store.Position{{Timeline: timeline, Head: 5, Cursor: 4}})
	}},
	{"reserved ids stay reserved, also when the clock goes back", func(t *testing.T, e *env, reopen func()) {
		reserved := make(map[int]int64)
		for i, now := range []int64{start, start + 100, start - hour, start - hour + 100, start - hour + 200, start + hour} {
			lease := e.join(now, now+1000)
			if lease.IDFloor < reserved[lease.Node] {
				t.Errorf("step %d: node %d has the floor %d, but ids up to %d may have been made", i, lease.Node,
					lease.IDFloor-start, reserved[lease.Node]-start)
			}
			if !e.renew(lease, now+500, now+5000) {
				t.Fatal("the lease is lost")
			}
			reserved[lease.Node] = max(lease.IDFloor+1000, now+5000)
			if i%2 == 0 {
				e.leave(lease)
			}
			reopen()
		}
	}},
	{"what was acknowledged while the store closed is there, and nothing else", func(t *testing.T, e *env, reopen func()) {
		app := e.app()
		alice := e.user(app, "alice")
		const callers = 6
		written := make([][]string, callers)
		var started, wg sync.WaitGroup
		started.Add(callers)
		s := e.Store
		for caller := range callers {
			key := store.PairKey(app.ID, alice.ID, e.user(app, fmt.Sprint("user", caller)).ID)
			wg.Go(func() {
				begun := sync.OnceFunc(started.Done)
				defer begun()
				for i := range 100_000 {
					meta := fmt.Appendf(nil, "%d/%d", caller, i)
					results, err := s.Append(context.Background(), []store.Draft{{
						Key: key, ID: int64(caller*1_000_000 + i + 1000), Time: start, Sender: alice.ID, Meta: meta,
					}})
					if err != nil || results[0].Err != nil {
						return // closed
					}
					written[caller] = append(written[caller], string(meta))
					if i == 10 {
						begun()
					}
				}
			})
		}
		started.Wait()
		reopen()
		wg.Wait()
		total := 0
		for _, position := range e.positions(alice.ID, e.device(alice, "phone").ID) {
			var got []string
			for _, entry := range e.read(position.Timeline) {
				got = append(got, string(entry.Meta))
			}
			var caller int
			if _, err := fmt.Sscanf(got[0], "%d/", &caller); err != nil {
				t.Fatalf("entry %q: %v", got[0], err)
			}
			same(t, "entries", got, written[caller])
			total += len(got)
		}
		if total < callers*10 {
			t.Errorf("%d entries are left", total)
		}
	}},
}
