package account

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestUserIDsAreFoldedAndChecked(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name, want string // want "": refused
	}{
		{"a", "a"},
		{"Anna", "anna"},
		{"ANNA.B-c_9", "anna.b-c_9"},
		{"42", "42"},
		{".", "."},
		{strings.Repeat("x", 64), strings.Repeat("x", 64)},
		{strings.Repeat("x", 65), ""},
		{"", ""},
		{" ", ""},
		{"two words", ""},
		{"tab\t", ""},
		{"line\n", ""},
		{"nul\x00", ""},
		{"at@example", ""},
		{"pl+us", ""},
		{"sl/ash", ""},
		{"ümlaut", ""},
		{"Ümlaut", ""},
		{"\u212aelvin", ""},   // the Kelvin sign, which Unicode folds to k
		{"\u0130stanbul", ""}, // the Turkish dotted I, which folds to i
		{"bad\xff", ""},
	} {
		user, err := w.Register(t.Context(), w.app, NewUser{Name: test.name})
		if test.want == "" {
			refused(t, fmt.Sprintf("register %q", test.name), err, errcode.InvalidParameter, ErrUserName)
			_, err = w.User(t.Context(), w.app, test.name)
			refused(t, fmt.Sprintf("look up %q", test.name), err, errcode.UserNotFound, ErrNoUser)
			continue
		}
		if err != nil || user.Name != test.want || user.UUID == "" || !user.Active || user.ID == 0 || user.Created == 0 {
			t.Errorf("register %q: %+v, %v", test.name, user, err)
		}
		if found, err := w.User(t.Context(), w.app, strings.ToUpper(test.name)); err != nil || found.ID != user.ID {
			t.Errorf("look up %q: %+v, %v", strings.ToUpper(test.name), found, err)
		}
	}
}

func TestWhatRegistrationRefuses(t *testing.T) {
	w := newWorld(t)
	w.register("alice")
	for _, test := range []struct {
		name     string
		user     NewUser
		code     errcode.Code
		sentinel error
	}{
		{"a name that is taken", NewUser{Name: "alice"}, errcode.RequestFailed, ErrUserExists},
		{"in other letters", NewUser{Name: "ALICE"}, errcode.RequestFailed, ErrUserExists},
		{"with a password", NewUser{Name: "alice", Password: "p"}, errcode.RequestFailed, ErrUserExists},
		{"a long password", NewUser{Name: "bob", Password: strings.Repeat("p", 65)}, errcode.InvalidParameter, ErrPassword},
		{"a long password, counted in bytes", NewUser{Name: "bob", Password: strings.Repeat("é", 33)}, errcode.InvalidParameter, ErrPassword},
		{"a long nickname", NewUser{Name: "bob", Nickname: strings.Repeat("é", 101)}, errcode.InvalidParameter, ErrNickname},
		{"a nickname that is no text", NewUser{Name: "bob", Nickname: "\xff"}, errcode.InvalidParameter, ErrNickname},
	} {
		_, err := w.Register(t.Context(), w.app, test.user)
		refused(t, test.name, err, test.code, test.sentinel)
	}
	if user, err := w.Register(t.Context(), w.app, NewUser{Name: "bob", Password: strings.Repeat("p", 64), Nickname: strings.Repeat("é", 100)}); err != nil || user.PasswordHash == "" {
		t.Errorf("the longest password and nickname: %+v, %v", user, err)
	}
	if user, err := w.Register(t.Context(), w.other, NewUser{Name: "alice"}); err != nil || user.PasswordHash != "" {
		t.Errorf("the same name in another application: %+v, %v", user, err)
	}
}

func TestAUserIsReadOnce(t *testing.T) {
	w := newWorld(t)
	w.register("alice")
	before := w.hooks.userReads()
	for range 3 {
		if _, err := w.User(t.Context(), w.app, "Alice"); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.hooks.userReads() - before; n != 1 {
		t.Errorf("%d reads", n)
	}
	// Who does not exist is asked for again: the next moment may register it.
	for range 2 {
		_, err := w.User(t.Context(), w.app, "bob")
		refused(t, "nobody", err, errcode.UserNotFound, ErrNoUser)
	}
	w.register("bob")
	if _, err := w.User(t.Context(), w.app, "bob"); err != nil {
		t.Error(err)
	}
	// What cannot be a name does not reach the database.
	before = w.hooks.userReads()
	w.User(t.Context(), w.app, "no\x00body")
	if n := w.hooks.userReads() - before; n != 0 {
		t.Errorf("%d reads for an illegal name", n)
	}
}

func TestChangesOfAUserAreSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	elsewhere := w.node()
	alice := w.register("alice")
	for _, test := range []struct {
		name string
		do   func() error
		ok   func(store.User, error) bool
	}{
		{"a nickname", func() error { _, err := w.SetNickname(t.Context(), w.app, "Alice", "Al"); return err },
			func(u store.User, err error) bool { return err == nil && u.Nickname == "Al" }},
		{"a password", func() error { return w.SetPassword(t.Context(), w.app, "Alice", "other") },
			func(u store.User, err error) bool {
				return err == nil && u.Generation == alice.Generation+1 && u.PasswordHash != alice.PasswordHash
			}},
		{"a ban", func() error { _, err := w.SetActive(t.Context(), w.app, "Alice", false); return err },
			func(u store.User, err error) bool {
				return err == nil && u.Generation == alice.Generation+2 && !u.Active
			}},
		{"its end", func() error { _, err := w.SetActive(t.Context(), w.app, "Alice", true); return err },
			func(u store.User, err error) bool {
				return err == nil && u.Generation == alice.Generation+2 && u.Active
			}},
		{"removal", func() error { _, err := w.Delete(t.Context(), w.app, "Alice"); return err },
			func(_ store.User, err error) bool { return errors.Is(err, ErrNoUser) }},
		{"registration again", func() error { _, err := w.Register(t.Context(), w.app, NewUser{Name: "alice"}); return err },
			func(u store.User, err error) bool { return err == nil && u.ID != alice.ID && u.UUID != alice.UUID }},
	} {
		w.User(t.Context(), w.app, "alice") // is in the caches now
		elsewhere.User(t.Context(), w.app, "alice")
		if err := test.do(); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if user, err := w.User(t.Context(), w.app, "alice"); !test.ok(user, err) {
			t.Errorf("%s is not seen: %+v, %v", test.name, user, err)
		}
		// The other node, whose bus lets it hear.
		elsewhere.Heard([]byte(fmt.Sprintf("u%d alice", w.app.ID)))
		if user, err := elsewhere.User(t.Context(), w.app, "alice"); !test.ok(user, err) {
			t.Errorf("%s is not seen elsewhere: %+v, %v", test.name, user, err)
		}
	}
}

// A read that began before a change must not put what it found into the cache after it.
func TestALateReadDoesNotUndoAChange(t *testing.T) {
	w := newWorld(t)
	w.register("alice")
	read, go_on := make(chan struct{}), make(chan struct{})
	w.hooks.set(func() {
		w.hooks.user = func(store.User) {
			close(read)
			<-go_on
		}
	})
	done := make(chan error)
	go func() {
		_, err := w.User(t.Context(), w.app, "alice")
		done <- err
	}()
	soon(t, "the read", read)
	w.hooks.set(func() { w.hooks.user = nil })
	if _, err := w.SetActive(t.Context(), w.app, "alice", false); err != nil {
		t.Fatal(err)
	}
	close(go_on)
	if err := soon(t, "its end", done); err != nil {
		t.Fatal(err)
	}
	if user, err := w.User(t.Context(), w.app, "alice"); err != nil || user.Active {
		t.Errorf("alice is %+v, %v", user, err)
	}
}

func TestChangesRefuseWhoDoesNotExist(t *testing.T) {
	w := newWorld(t)
	_, active := w.SetActive(t.Context(), w.app, "nobody", false)
	_, nickname := w.SetNickname(t.Context(), w.app, "nobody", "N")
	_, deleted := w.Delete(t.Context(), w.app, "nobody")
	for name, err := range map[string]error{
		"password": w.SetPassword(t.Context(), w.app, "nobody", "p"), "active": active, "nickname": nickname, "delete": deleted,
		"disconnect": w.Disconnect(t.Context(), w.app, "nobody", ""),
	} {
		refused(t, name, err, errcode.UserNotFound, ErrNoUser)
	}
	// Between the look and the change somebody else may remove the user.
	w.register("alice")
	w.User(t.Context(), w.app, "alice")
	user, err := w.User(t.Context(), w.app, "alice")
	w.must(err)
	w.must(w.hooks.Store.DeleteUser(t.Context(), user.ID))
	_, err = w.SetNickname(t.Context(), w.app, "alice", "A")
	refused(t, "a user that has just gone", err, errcode.UserNotFound, ErrNoUser)
	_, err = w.User(t.Context(), w.app, "alice")
	refused(t, "the cache after that", err, errcode.UserNotFound, ErrNoUser)
	w.register("bob")
	refused(t, "an empty password", w.SetPassword(t.Context(), w.app, "bob", ""), errcode.InvalidParameter, ErrPassword)
	refused(t, "a long password", w.SetPassword(t.Context(), w.app, "bob", strings.Repeat("x", 65)), errcode.InvalidParameter, ErrPassword)
	_, err = w.SetNickname(t.Context(), w.app, "bob", strings.Repeat("x", 101))
	refused(t, "a long nickname", err, errcode.InvalidParameter, ErrNickname)
}

func TestListingPages(t *testing.T) {
	w := newWorld(t)
	var last int64
	for i := range 5 {
		w.register(fmt.Sprint("user", i))
	}
	var names []string
	for {
		page, err := w.ListUsers(t.Context(), w.app, last, 2)
		w.must(err)
		if len(page) == 0 {
			break
		}
		for _, u := range page {
			names, last = append(names, u.Name), u.ID
		}
	}
	if got := strings.Join(names, " "); got != "user0 user1 user2 user3 user4" {
		t.Errorf("listed %s", got)
	}
}
