package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

var appTests = []test{
	{"a new store has no apps and answers", func(t *testing.T, e *env) {
		apps, err := e.Apps(e.ctx)
		e.check("apps", err)
		same(t, "apps", apps, nil)
		e.check("ping", e.Ping(e.ctx))
	}},
	{"apps come back as they were made, oldest first", func(t *testing.T, e *env) {
		var want []store.App
		for i := range 3 {
			app := store.App{
				Org: "org", Name: fmt.Sprint("name", 9-i), UUID: fmt.Sprint("uuid", i), AgoraID: fmt.Sprintf("%032x", i+1),
				Certificate: "a", Certificate2: "b", ClientID: fmt.Sprint("client", i), ClientSecret: "secret \u00e9",
				SigningKey: []byte{0, 255, 0, 128}, Settings: []byte("{ \"b\":1, \"a\" : [] }"), Created: start - int64(i),
			}
			made, err := e.CreateApp(e.ctx, app)
			e.check("create app", err)
			if made.ID <= 0 {
				t.Fatalf("app number is %d", made.ID)
			}
			app.ID = made.ID
			same(t, "made app", made, app)
			want = append(want, app)
		}
		apps, err := e.Apps(e.ctx)
		e.check("apps", err)
		same(t, "apps", apps, want)
	}},
	{"app key, Agora App ID and client id are unique", func(t *testing.T, e *env) {
		first := e.app()
		fresh := func() store.App {
			n := e.next()
			return store.App{
				Org: "other", Name: fmt.Sprint("app", n), UUID: fmt.Sprint(n), AgoraID: fmt.Sprintf("%032x", n),
				ClientID: fmt.Sprint("other", n), SigningKey: []byte("key"), Settings: []byte("{}"), Created: start,
			}
		}
		for name, clash := range map[string]func(*store.App){
			"app key":      func(a *store.App) { a.Org, a.Name = first.Org, first.Name },
			"Agora App ID": func(a *store.App) { a.AgoraID = first.AgoraID },
			"client id":    func(a *store.App) { a.ClientID = first.ClientID },
		} {
			app := fresh()
			clash(&app)
			if _, err := e.CreateApp(e.ctx, app); !errors.Is(err, store.ErrExists) {
				t.Errorf("same %s: error is %v, want ErrExists", name, err)
			}
		}
		app := fresh()
		app.Name = first.Name
		_, err := e.CreateApp(e.ctx, app)
		e.check("the same name in another organisation", err)
		apps, err := e.Apps(e.ctx)
		e.check("apps", err)
		if len(apps) != 2 {
			t.Errorf("there are %d apps, want 2", len(apps))
		}
	}},
	{"settings are replaced in one app only", func(t *testing.T, e *env) {
		a, b := e.app(), e.app()
		a.Settings = []byte(`{"recall":{"window":"2m"}}`)
		e.check("save settings", e.SaveAppSettings(e.ctx, a.ID, a.Settings))
		apps, err := e.Apps(e.ctx)
		e.check("apps", err)
		same(t, "apps", apps, []store.App{a, b})
		if err := e.SaveAppSettings(e.ctx, b.ID+100, nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("settings of no app: error is %v, want ErrNotFound", err)
		}
	}},
}

var userTests = []test{
	{"a user comes back as it was made", func(t *testing.T, e *env) {
		want := store.User{
			App: e.app().ID, Name: "alice", UUID: "u-1", Nickname: "Alice \u2603", PasswordHash: "$argon2id$v=19$x",
			Active: true, Generation: 4_000_000_000, Created: start, Modified: start + 1,
		}
		made, err := e.CreateUser(e.ctx, want)
		e.check("create user", err)
		if made.ID <= 0 {
			t.Fatalf("user number is %d", made.ID)
		}
		want.ID = made.ID
		same(t, "made user", made, want)
		got, err := e.User(e.ctx, want.App, want.Name)
		e.check("user", err)
		same(t, "user", got, want)
		got, err = e.UserByID(e.ctx, want.ID)
		e.check("user by number", err)
		same(t, "user by number", got, want)
		got, err = e.UserByUUID(e.ctx, want.App, want.UUID)
		e.check("user by UUID", err)
		same(t, "user by UUID", got, want)
	}},
	{"names may hold anything that the account service lets pass", func(t *testing.T, e *env) {
		app := e.app()
		seen := make(map[int64]string)
		for _, name := range []string{
			"a.b", "a.b.c", "a_b", "a%b", "a-b", "ab", "1", "01", "1.0", "user@example.com", "a:b", "*", ">", "stoa.u.1",
			"'; drop table user; --", `"`, `\`, "%", "_", "null", "\u0142\u00f3d\u017a", "\U0001f600",
		} {
			user := e.user(app, name)
			if other, ok := seen[user.ID]; ok {
				t.Errorf("%q has the number of %q", name, other)
			}
			seen[user.ID] = name
			got, err := e.User(e.ctx, app.ID, name)
			e.check("user", err)
			same(t, "user", got, user)
		}
	}},
	{"a name is unique in its app", func(t *testing.T, e *env) {
		a, b := e.app(), e.app()
		inA := e.user(a, "alice")
		if _, err := e.CreateUser(e.ctx, store.User{App: a.ID, Name: "alice", UUID: "other"}); !errors.Is(err, store.ErrExists) {
			t.Fatalf("error is %v, want ErrExists", err)
		}
		inB := e.user(b, "alice")
		if inA.ID == inB.ID {
			t.Error("users of two apps have the same number")
		}
		got, err := e.User(e.ctx, a.ID, "alice")
		e.check("user", err)
		same(t, "user", got, inA)
	}},
	{"of those who register a name at once one succeeds", func(t *testing.T, e *env) {
		app := e.app()
		var made atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_, err := e.CreateUser(e.ctx, store.User{App: app.ID, Name: "alice", UUID: fmt.Sprint(i)})
				switch {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, store.ErrExists):
					t.Errorf("error is %v, want ErrExists", err)
				}
			})
		}
		wg.Wait()
		if n := made.Load(); n != 1 {
			t.Errorf("%d registrations succeeded, want 1", n)
		}
	}},
	{"who is not there is not found", func(t *testing.T, e *env) {
		a, b := e.app(), e.app()
		user := e.user(a, "alice")
		for what, call := range map[string]func() error{
			"user by another name":    func() error { _, err := e.User(e.ctx, a.ID, "bob"); return err },
			"user of another app":     func() error { _, err := e.User(e.ctx, b.ID, "alice"); return err },
			"user by number":          func() error { _, err := e.UserByID(e.ctx, user.ID+100); return err },
			"user by UUID":            func() error { _, err := e.UserByUUID(e.ctx, a.ID, "no such"); return err },
			"user by UUID in another": func() error { _, err := e.UserByUUID(e.ctx, b.ID, user.UUID); return err },
			"update": func() error {
				_, err := e.UpdateUser(e.ctx, user.ID+100, start, store.UserChange{Revoke: true})
				return err
			},
			"delete": func() error { return e.DeleteUser(e.ctx, user.ID+100) },
		} {
			if err := call(); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: error is %v, want ErrNotFound", what, err)
			}
		}
	}},
	{"users are listed page by page in order of registration", func(t *testing.T, e *env) {
		a, b := e.app(), e.app()
		var want []store.User
		for i := range 7 {
			want = append(want, e.user(a, fmt.Sprint("user", 9-i)))
			e.user(b, fmt.Sprint("stranger", i))
		}
		e.check("delete user", e.DeleteUser(e.ctx, want[3].ID))
		want = append(want[:3:3], want[4:]...)
		var got []store.User
		for pages := 0; ; pages++ {
			after := int64(0)
			if len(got) > 0 {
				after = got[len(got)-1].ID
			}
			page, err := e.ListUsers(e.ctx, a.ID, after, 2)
			e.check("list users", err)
			if len(page) == 0 {
				break
			}
			if len(page) > 2 || pages > 10 {
				t.Fatalf("page %d has %d users", pages, len(page))
			}
			got = append(got, page...)
		}
		same(t, "users", got, want)
	}},
	{"an update changes what it names and no more", func(t *testing.T, e *env) {
		app := e.app()
		want, bystander := e.user(app, "alice"), e.user(app, "bob")
		hash, nick, off, on, empty := "$argon2id$", "Al", false, true, ""
		for i, step := range []struct {
			change store.UserChange
			effect func()
		}{
			{store.UserChange{PasswordHash: &hash}, func() { want.PasswordHash = hash }},
			{store.UserChange{Nickname: &nick}, func() { want.Nickname = nick }},
			{store.UserChange{Active: &off}, func() { want.Active = false }},
			{store.UserChange{Revoke: true}, func() { want.Generation++ }},
			{store.UserChange{Active: &on, Nickname: &empty, Revoke: true}, func() {
				want.Active, want.Nickname = true, ""
				want.Generation++
			}},
		} {
			now := start + int64(i) + 1
			got, err := e.UpdateUser(e.ctx, want.ID, now, step.change)
			e.check("update user", err)
			step.effect()
			want.Modified = now
			same(t, fmt.Sprintf("result of step %d", i), got, want)
			got, err = e.User(e.ctx, app.ID, "alice")
			e.check("user", err)
			same(t, fmt.Sprintf("user after step %d", i), got, want)
		}
		got, err := e.User(e.ctx, app.ID, "bob")
		e.check("user", err)
		same(t, "the other user", got, bystander)
	}},
	{"each of several revocations at once raises the generation", func(t *testing.T, e *env) {
		user := e.user(e.app(), "alice")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := e.UpdateUser(e.ctx, user.ID, start, store.UserChange{Revoke: true}); err != nil {
					t.Errorf("update user: %v", err)
				}
			})
		}
		wg.Wait()
		got, err := e.User(e.ctx, user.App, user.Name)
		e.check("user", err)
		same(t, "generation", got.Generation, 10)
	}},
	{"a name registered again inherits nothing", func(t *testing.T, e *env) {
		app := e.app()
		bob := e.user(app, "bob")
		alice := e.user(app, "alice") // the highest number, which a store is most tempted to give again
		phone := e.device(alice, "phone")
		timeline := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 2)
		e.fill(store.UserKey(app.ID, alice.ID), 1)
		e.save(phone, timeline, 2)
		lease := e.join(start, start+hour)
		e.put(lease, 1, phone, start)

		e.check("delete user", e.DeleteUser(e.ctx, alice.ID))
		if _, err := e.User(e.ctx, app.ID, "alice"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("deleted user: error is %v, want ErrNotFound", err)
		}
		if _, err := e.UserByID(e.ctx, alice.ID); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("deleted user by number: error is %v, want ErrNotFound", err)
		}
		same(t, "sessions of the deleted user", e.sessions(alice, start), nil)
		if ok, err := e.HasSession(e.ctx, alice.ID, 1); ok || err != nil {
			t.Errorf("the deleted user's session: %v, %v", ok, err)
		}
		same(t, "positions of the deleted user", e.positions(alice.ID, phone.ID), nil)
		if err := e.DeleteUser(e.ctx, alice.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("second deletion: error is %v, want ErrNotFound", err)
		}

		again := e.user(app, "alice")
		if again.ID <= alice.ID {
			t.Fatalf("the new user has number %d, the deleted one had %d", again.ID, alice.ID)
		}
		tablet := e.device(again, "phone")
		if tablet.ID <= phone.ID {
			t.Fatalf("the new device has number %d, the deleted one had %d", tablet.ID, phone.ID)
		}
		same(t, "positions of the new user", e.positions(again.ID, tablet.ID), nil)
		same(t, "sessions of the new user", e.sessions(again, start), nil)
	}},
	{"what a deleted user wrote to others stays", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		laptop := e.device(bob, "laptop")
		key := store.PairKey(app.ID, alice.ID, bob.ID)
		timeline := e.append(store.Draft{Key: key, Sender: alice.ID, Meta: []byte("hello")})[0].Timeline
		e.check("delete user", e.DeleteUser(e.ctx, alice.ID))
		same(t, "entries", len(e.read(timeline)), 1)
		same(t, "positions of the other", e.positions(bob.ID, laptop.ID), []store.Position{{Timeline: timeline, Head: 1}})

		// The timeline goes on for the one who is left, and does not bring the deleted user's subscription back.
		same(t, "result", e.append(store.Draft{Key: key, ID: 77, Sender: bob.ID, Meta: []byte("gone?")}),
			[]store.Appended{{Timeline: timeline, Seq: 2, ID: 77, Time: start}})
		same(t, "positions of the other", e.positions(bob.ID, laptop.ID), []store.Position{{Timeline: timeline, Head: 2}})
		same(t, "positions of the deleted user", e.positions(alice.ID, 0), nil)
	}},
}
