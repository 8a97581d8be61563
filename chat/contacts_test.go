package chat_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

// roster is what the listeners of a client hear of contacts.
type roster struct{ invited, agreed, refused, added, deleted chan *chat.ContactEvent }

func watchContacts(c *chat.Client) *roster {
	events := func() chan *chat.ContactEvent { return make(chan *chat.ContactEvent, 100) }
	r := &roster{events(), events(), events(), events(), events()}
	c.AddEventListener("roster", chat.Listener{
		OnContactInvited: func(e *chat.ContactEvent) { r.invited <- e },
		OnContactAgreed:  func(e *chat.ContactEvent) { r.agreed <- e },
		OnContactRefused: func(e *chat.ContactEvent) { r.refused <- e },
		OnContactAdded:   func(e *chat.ContactEvent) { r.added <- e },
		OnContactDeleted: func(e *chat.ContactEvent) { r.deleted <- e },
	})
	return r
}

func TestContactsAgainstTheServer(t *testing.T) {
	server := startServer(t)
	for _, user := range []string{"carol", "dave"} {
		register(t, server, user)
	}
	loginWatched := func(t *testing.T, user, password string, opts ...chat.Option) (*chat.Client, *roster, *watch) {
		t.Helper()
		c, w := newClient(t, server, opts...)
		r := watchContacts(c)
		if err := c.Login(t.Context(), user, chat.Password(password)); err != nil {
			t.Fatal(err)
		}
		return c, r, w
	}
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is := func(t *testing.T, what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
	}
	list := func(t *testing.T, c *chat.Client) []chat.Contact {
		t.Helper()
		contacts, err := c.Contacts(t.Context())
		ok(t, err)
		return contacts
	}

	t.Run("from an invitation to the end", func(t *testing.T) {
		alice, hers, _ := loginWatched(t, "alice", "stoa")
		phone, onPhone, _ := loginWatched(t, "bob", "stoa")
		_, onTablet, _ := loginWatched(t, "bob", "stoa")

		ok(t, alice.AddContact(t.Context(), "bob", "it is me"))
		is(t, "invitation", next(t, onPhone.invited, "OnContactInvited"), &chat.ContactEvent{User: "alice", From: "alice", Reason: "it is me"})
		ok(t, phone.DeclineContact(t.Context(), "alice"))
		is(t, "refusal", next(t, hers.refused, "OnContactRefused"), &chat.ContactEvent{User: "bob", From: "bob"})
		is(t, "refusal on the other device", next(t, onTablet.refused, "OnContactRefused"), &chat.ContactEvent{User: "alice", From: "bob"})
		want(t, phone.AcceptContact(t.Context(), "alice"), errcode.PermissionDenied)

		ok(t, alice.AddContact(t.Context(), "bob", ""))
		next(t, onPhone.invited, "OnContactInvited")
		ok(t, phone.AcceptContact(t.Context(), "alice"))
		is(t, "consent", next(t, hers.agreed, "OnContactAgreed"), &chat.ContactEvent{User: "bob", From: "bob"})
		is(t, "added to hers", next(t, hers.added, "OnContactAdded"), &chat.ContactEvent{User: "bob", From: "bob"})
		for _, his := range []*roster{onPhone, onTablet} {
			is(t, "added to his", next(t, his.added, "OnContactAdded"), &chat.ContactEvent{User: "alice", From: "alice"})
		}
		ok(t, alice.SetContactRemark(t.Context(), "bob", "Bobby"))
		is(t, "her contacts", list(t, alice), []chat.Contact{{User: "bob", Remark: "Bobby"}})
		is(t, "her contacts, one by one", all(t, alice.EachContact(t.Context())), []chat.Contact{{User: "bob", Remark: "Bobby"}})
		is(t, "his contacts", list(t, phone), []chat.Contact{{User: "alice"}})

		ok(t, phone.RemoveContact(t.Context(), "alice"))
		is(t, "end for her", next(t, hers.deleted, "OnContactDeleted"), &chat.ContactEvent{User: "bob", From: "bob"})
		is(t, "end on the other device", next(t, onTablet.deleted, "OnContactDeleted"), &chat.ContactEvent{User: "alice", From: "bob"})
		is(t, "her contacts", list(t, alice), []chat.Contact{})
		ok(t, phone.RemoveContact(t.Context(), "alice"))
		if len(onPhone.deleted) != 0 || len(onPhone.refused) != 0 {
			t.Error("the device that acted was told")
		}
	})

	t.Run("who was away is told after the login", func(t *testing.T) {
		carol, _, _ := loginWatched(t, "carol", "pw")
		ok(t, carol.AddContact(t.Context(), "dave", "hello"))
		_, his, _ := loginWatched(t, "dave", "pw", chat.WithDevice("phone"))
		is(t, "invitation", next(t, his.invited, "OnContactInvited"), &chat.ContactEvent{User: "carol", From: "carol", Reason: "hello"})
	})

	t.Run("block lists", func(t *testing.T) {
		alice, _, _ := loginWatched(t, "alice", "stoa")
		bob, _, w := loginWatched(t, "bob", "stoa")
		ok(t, alice.BlockUsers(t.Context(), "bob", "carol"))
		blocked, err := alice.BlockedUsers(t.Context())
		ok(t, err)
		is(t, "blocked", blocked, []string{"carol", "bob"})
		_, err = bob.SendText(t.Context(), "alice", "hello")
		want(t, err, errcode.PermissionDenied)
		want(t, bob.AddContact(t.Context(), "alice", ""), errcode.PermissionDenied)
		m, err := alice.SendText(t.Context(), "bob", "the other way is open")
		ok(t, err)
		ok(t, bob.SendRead(t.Context(), next(t, w.texts, "OnTextMessage")))
		ok(t, alice.UnblockUsers(t.Context(), "bob", "carol"))
		if _, err := bob.SendText(t.Context(), "alice", "thank you for "+m.ID); err != nil {
			t.Error(err)
		}
	})

	t.Run("an app may want contacts", func(t *testing.T) {
		token := appToken(t, server)
		rest(t, server, token, "PUT", "/settings", map[string]any{"contacts_only": true})
		defer rest(t, server, token, "PUT", "/settings", map[string]any{"contacts_only": false})
		carol, _, _ := loginWatched(t, "carol", "pw")
		_, err := carol.SendText(t.Context(), "bob", "hello")
		want(t, err, errcode.UserNotFriend)
		rest(t, server, token, "POST", "/users/bob/contacts/users/carol", nil)
		_, err = carol.SendText(t.Context(), "bob", "hello")
		ok(t, err)
	})

	t.Run("refusals", func(t *testing.T) {
		c, _ := newClient(t, server)
		want(t, c.AddContact(t.Context(), "bob", ""), errcode.RestNoSession)
		_, err := c.Contacts(t.Context())
		want(t, err, errcode.RestNoSession)
		dave, _, _ := loginWatched(t, "dave", "pw")
		for name, tt := range map[string]struct {
			call func() error
			code errcode.Code
		}{
			"unknown user":     {func() error { return dave.AddContact(t.Context(), "nobody", "") }, errcode.UserNotFound},
			"no user":          {func() error { return dave.AcceptContact(t.Context(), "") }, errcode.InvalidParameter},
			"a path":           {func() error { return dave.RemoveContact(t.Context(), "..") }, errcode.InvalidParameter},
			"no users":         {func() error { return dave.BlockUsers(t.Context()) }, errcode.InvalidParameter},
			"remark on nobody": {func() error { return dave.SetContactRemark(t.Context(), "nobody", "x") }, errcode.UserNotFound},
			"remark on one who is no contact": {func() error { return dave.SetContactRemark(t.Context(), "alice", "x") },
				errcode.UserNotFriend},
			"remark too long":    {func() error { return dave.SetContactRemark(t.Context(), "alice", strings.Repeat("x", 101)) }, errcode.MaxLimit},
			"too many to block":  {func() error { return dave.BlockUsers(t.Context(), strings.Fields(strings.Repeat("alice ", 51))...) }, errcode.MaxLimit},
			"unblocking nobody":  {func() error { return dave.UnblockUsers(t.Context(), "nobody") }, errcode.UserNotFound},
			"an id with a slash": {func() error { return dave.RemoveContact(t.Context(), "a/b") }, errcode.UserNotFound},
		} {
			t.Run(name, func(t *testing.T) { want(t, tt.call(), tt.code) })
		}
	})
}
