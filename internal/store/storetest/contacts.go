package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

const plenty = 1000 // a limit that is not reached

func peer(u store.User) store.Peer { return store.Peer{ID: u.ID, Name: u.Name} }

func (e *env) befriend(a, b store.User) {
	e.Helper()
	e.check("add contact", e.AddContact(e.ctx, peer(a), peer(b), false, start, plenty))
}

func (e *env) invite(user, by store.User) {
	e.Helper()
	e.check("put invitation", e.PutInvitation(e.ctx, peer(user), peer(by), "hello", start, plenty))
}

func (e *env) relation(user, other store.User) store.Relation {
	e.Helper()
	r, err := e.Relation(e.ctx, user.ID, other.ID)
	e.check("relation", err)
	return r
}

// contacts returns the names in a user's list, newest first.
func (e *env) contacts(user store.User) (names []string) {
	e.Helper()
	list, err := e.ListContacts(e.ctx, user.ID, 0, plenty)
	e.check("list contacts", err)
	for _, c := range list {
		names = append(names, c.Peer.Name)
	}
	return names
}

func (e *env) blocked(user store.User) (names []string) {
	e.Helper()
	list, err := e.ListBlocked(e.ctx, user.ID, 0, plenty)
	e.check("list blocked", err)
	for _, b := range list {
		names = append(names, b.Peer.Name)
	}
	return names
}

// is fails the test if the error is another.
func (e *env) is(what string, err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Fatalf("%s: error is %v, want %v", what, err, want)
	}
}

var contactTests = []test{
	{"contacts are contacts of each other", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		same(t, "relation of strangers", e.relation(alice, bob), store.Relation{})
		e.befriend(alice, bob)
		for _, pair := range [][2]store.User{{alice, bob}, {bob, alice}} {
			same(t, "relation", e.relation(pair[0], pair[1]), store.Relation{Contact: true})
			same(t, "contacts", e.contacts(pair[0]), []string{pair[1].Name})
		}
		same(t, "relation to another", e.relation(alice, carol), store.Relation{})
		e.is("again", e.AddContact(e.ctx, peer(bob), peer(alice), false, start, plenty), store.ErrExists)

		removed, err := e.RemoveContact(e.ctx, bob.ID, alice.ID)
		e.check("remove contact", err)
		same(t, "removed", removed, true)
		removed, err = e.RemoveContact(e.ctx, bob.ID, alice.ID)
		e.check("remove contact", err)
		same(t, "removed again", removed, false)
		same(t, "relation", e.relation(alice, bob), store.Relation{})
		same(t, "relation", e.relation(bob, alice), store.Relation{})
		same(t, "contacts", append(e.contacts(alice), e.contacts(bob)...), nil)
	}},
	{"an invitation is open until it is answered", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		e.is("without an invitation", e.AddContact(e.ctx, peer(bob), peer(alice), true, start, plenty), store.ErrNotFound)
		e.invite(bob, alice)
		e.invite(bob, alice)
		same(t, "relation of the invited", e.relation(bob, alice), store.Relation{Invited: true})
		same(t, "relation of the inviter", e.relation(alice, bob), store.Relation{})
		e.is("accepted by the inviter", e.AddContact(e.ctx, peer(alice), peer(bob), true, start, plenty), store.ErrNotFound)
		same(t, "relation after a refusal", e.relation(bob, alice), store.Relation{Invited: true})

		e.invite(alice, bob) // they have asked each other: one answer is enough
		e.check("accept", e.AddContact(e.ctx, peer(bob), peer(alice), true, start, plenty))
		same(t, "relation of the invited", e.relation(bob, alice), store.Relation{Contact: true})
		same(t, "relation of the inviter", e.relation(alice, bob), store.Relation{Contact: true})
		e.is("invitation of a contact", e.PutInvitation(e.ctx, peer(bob), peer(alice), "", start, plenty), store.ErrExists)
	}},
	{"a dropped invitation is gone", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		e.invite(bob, alice)
		for _, want := range []bool{true, false} {
			dropped, err := e.DropInvitation(e.ctx, bob.ID, alice.ID)
			e.check("drop invitation", err)
			same(t, "dropped", dropped, want)
		}
		same(t, "relation", e.relation(bob, alice), store.Relation{})
		e.is("accept", e.AddContact(e.ctx, peer(bob), peer(alice), true, start, plenty), store.ErrNotFound)
	}},
	{"full lists refuse", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		e.befriend(alice, bob)
		e.is("add to a full list", e.AddContact(e.ctx, peer(alice), peer(carol), false, start, 1), store.ErrFull)
		e.is("add to the other's full list", e.AddContact(e.ctx, peer(carol), peer(alice), false, start, 1), store.ErrPeerFull)
		e.is("invite one whose list is full", e.PutInvitation(e.ctx, peer(alice), peer(carol), "", start, 1), store.ErrFull)
		e.is("invite with a full list", e.PutInvitation(e.ctx, peer(carol), peer(alice), "", start, 1), store.ErrPeerFull)
		e.is("contacts stay contacts", e.AddContact(e.ctx, peer(alice), peer(bob), false, start, 1), store.ErrExists)
		same(t, "contacts", e.contacts(carol), nil)
		e.check("add below the limit", e.AddContact(e.ctx, peer(alice), peer(carol), false, start, 2))
	}},
	{"contacts are listed page by page, newest first, with their remarks", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		var want []store.Contact
		for i := range 5 {
			friend := e.user(app, fmt.Sprint("friend", 9-i))
			e.check("add contact", e.AddContact(e.ctx, peer(friend), peer(alice), false, start+int64(i), plenty))
			remark := fmt.Sprint("number ", i, " \u2603")
			e.check("set remark", e.SetRemark(e.ctx, alice.ID, friend.ID, remark))
			want = append([]store.Contact{{Peer: peer(friend), Remark: remark, Created: start + int64(i)}}, want...)
			list, err := e.ListContacts(e.ctx, friend.ID, 0, plenty)
			e.check("list contacts", err)
			same(t, "remark of the other side", list[0].Remark, "")
		}
		var got []store.Contact
		for below := int64(0); ; {
			page, err := e.ListContacts(e.ctx, alice.ID, below, 2)
			e.check("list contacts", err)
			if len(page) > 2 || len(got) > 5 {
				t.Fatalf("a page has %d contacts, after %d", len(page), len(got))
			}
			if len(page) == 0 {
				break
			}
			below = page[len(page)-1].Row
			for _, c := range page {
				c.Row = 0
				got = append(got, c)
			}
		}
		same(t, "contacts", got, want)
		e.is("remark on a stranger", e.SetRemark(e.ctx, alice.ID, alice.ID, "me"), store.ErrNotFound)
	}},
	{"blocking is one-sided and leaves contacts alone", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		e.befriend(alice, bob)
		e.check("block", e.Block(e.ctx, alice.ID, []store.Peer{peer(bob), peer(carol)}, start, plenty))
		e.check("block again", e.Block(e.ctx, alice.ID, []store.Peer{peer(bob)}, start, plenty))
		same(t, "relation", e.relation(alice, bob), store.Relation{Contact: true, Blocked: true})
		same(t, "relation of the other", e.relation(bob, alice), store.Relation{Contact: true})
		same(t, "blocked", e.blocked(alice), []string{"carol", "bob"})
		page, err := e.ListBlocked(e.ctx, alice.ID, 0, 1)
		e.check("list blocked", err)
		rest, err := e.ListBlocked(e.ctx, alice.ID, page[0].Row, 5)
		e.check("list blocked", err)
		same(t, "second page", rest, []store.Blocked{{Row: rest[0].Row, Peer: peer(bob), Created: start}})
		for range 2 {
			e.check("unblock", e.Unblock(e.ctx, alice.ID, []int64{bob.ID, bob.ID + 1000}))
		}
		same(t, "relation", e.relation(alice, bob), store.Relation{Contact: true})
		same(t, "blocked", e.blocked(alice), []string{"carol"})
	}},
	{"a block list takes all of several or none", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		var others []store.Peer
		for i := range 4 {
			others = append(others, peer(e.user(app, fmt.Sprint("user", i))))
		}
		e.check("block", e.Block(e.ctx, alice.ID, others[:2], start, 3))
		e.is("too many", e.Block(e.ctx, alice.ID, others[2:], start, 3), store.ErrFull)
		same(t, "blocked", e.blocked(alice), []string{"user1", "user0"})
		e.check("block", e.Block(e.ctx, alice.ID, others[:3], start, 3))
		e.is("a user who is gone", e.Block(e.ctx, alice.ID, []store.Peer{{ID: 999_999, Name: "ghost"}}, start, 9), store.ErrNotFound)
	}},
	{"limits hold when many write at once", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		var others []store.User
		for i := range 8 {
			others = append(others, e.user(app, fmt.Sprint("user", i)))
		}
		var added atomic.Int64
		var wg sync.WaitGroup
		for i, other := range others {
			wg.Go(func() {
				user, to, full := peer(alice), peer(other), store.ErrFull
				if i%2 == 0 {
					user, to, full = to, user, store.ErrPeerFull
				}
				switch err := e.AddContact(e.ctx, user, to, false, start, 3); {
				case err == nil:
					added.Add(1)
				case !errors.Is(err, full):
					t.Errorf("error is %v, want %v", err, full)
				}
			})
		}
		wg.Wait()
		same(t, "additions that succeeded", added.Load(), 3)
		same(t, "contacts", len(e.contacts(alice)), 3)
	}},
	{"who is gone has no relations, and a name registered again inherits none", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		relate := func(a store.User) {
			e.befriend(a, bob)
			e.invite(a, carol)
			e.check("block", e.Block(e.ctx, a.ID, []store.Peer{peer(bob), peer(carol)}, start, plenty))
			e.check("block", e.Block(e.ctx, bob.ID, []store.Peer{peer(a)}, start, plenty))
			e.check("block", e.Block(e.ctx, carol.ID, []store.Peer{peer(a)}, start, plenty))
		}
		relate(alice)
		e.invite(carol, alice)
		e.befriend(bob, carol)
		e.check("delete user", e.DeleteUser(e.ctx, alice.ID))
		again := e.user(app, "alice")
		for _, gone := range []store.User{alice, again} {
			for _, other := range []store.User{bob, carol} {
				same(t, "relation", e.relation(gone, other), store.Relation{})
				same(t, "relation of the other", e.relation(other, gone), store.Relation{})
			}
			same(t, "lists", append(e.contacts(gone), e.blocked(gone)...), nil)
		}
		same(t, "contacts of bob", e.contacts(bob), []string{"carol"})
		same(t, "blocked by bob and carol", append(e.blocked(bob), e.blocked(carol)...), nil)

		e.is("add", e.AddContact(e.ctx, peer(bob), peer(alice), false, start, plenty), store.ErrNotFound)
		e.is("be added", e.AddContact(e.ctx, peer(alice), peer(bob), false, start, plenty), store.ErrNotFound)
		e.is("invite", e.PutInvitation(e.ctx, peer(bob), peer(alice), "", start, plenty), store.ErrNotFound)
		e.is("block", e.Block(e.ctx, alice.ID, []store.Peer{peer(bob)}, start, plenty), store.ErrNotFound)
		e.is("be blocked", e.Block(e.ctx, bob.ID, []store.Peer{peer(alice)}, start, plenty), store.ErrNotFound)
		e.is("unblock", e.Unblock(e.ctx, alice.ID, []int64{bob.ID}), store.ErrNotFound)
		e.is("remark", e.SetRemark(e.ctx, bob.ID, alice.ID, "gone"), store.ErrNotFound)
		relate(again)
	}},
	{"contacts who are deleted at once do not wait for one another", func(t *testing.T, e *env) {
		app := e.app()
		for round := range 5 {
			var users []store.User
			for i := range 4 {
				users = append(users, e.user(app, fmt.Sprintf("user%d.%d", round, i)))
			}
			for i, a := range users {
				for _, b := range users[i+1:] {
					e.befriend(a, b)
				}
			}
			var wg sync.WaitGroup
			for _, user := range users {
				wg.Go(func() {
					if err := e.DeleteUser(e.ctx, user.ID); err != nil {
						t.Errorf("delete user: %v", err)
					}
				})
			}
			wg.Wait()
		}
	}},
}
