package storetest

import (
	"fmt"
	"sort"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

// muc makes a group, room or thread.
func (e *env) muc(app store.App, kind store.MucKind, owner store.User, title string) store.Muc {
	e.Helper()
	m, _, err := e.CreateMuc(e.ctx, store.Muc{App: app.ID, Kind: kind, Owner: peer(owner), Title: title, MaxUsers: plenty, Created: start, Modified: start}, plenty, plenty)
	e.check("create group", err)
	return m
}

func peers(users ...store.User) (list []store.Peer) {
	for _, u := range users {
		list = append(list, peer(u))
	}
	return list
}

func ids(users ...store.User) (list []int64) {
	for _, u := range users {
		list = append(list, u.ID)
	}
	return list
}

func (e *env) add(m store.Muc, users ...store.User) store.MemberChange {
	e.Helper()
	change, err := e.AddMembers(e.ctx, store.Join{Muc: m.ID, Users: peers(users...), PerUser: 1 << 30, Now: start})
	e.check("add members", err)
	return change
}

func (e *env) remove(m store.Muc, users ...store.User) store.MemberChange {
	e.Helper()
	change, err := e.RemoveMembers(e.ctx, m.ID, ids(users...))
	e.check("remove members", err)
	return change
}

// members returns "name role", in order of joining.
func (e *env) members(m store.Muc) (lines []string) {
	e.Helper()
	list, err := e.ListMembers(e.ctx, m.ID, store.MemberQuery{Limit: plenty})
	e.check("list members", err)
	for _, member := range list {
		lines = append(lines, fmt.Sprintf("%s %d", member.User.Name, member.Role))
	}
	return lines
}

func (e *env) standing(m store.Muc, user store.User) store.Standing {
	e.Helper()
	st, err := e.Standing(e.ctx, m.ID, user.ID)
	e.check("standing", err)
	return st
}

func (e *env) mark(m store.Muc, mark store.Mark, until int64, users ...store.User) {
	e.Helper()
	var marks []store.Marked
	for _, u := range users {
		marks = append(marks, store.Marked{User: peer(u), Until: until, Created: start})
	}
	e.check("put marks", e.PutMarks(e.ctx, m.ID, mark, marks, plenty))
}

func (e *env) marked(m store.Muc, mark store.Mark, now int64) (names []string) {
	e.Helper()
	list, err := e.ListMarks(e.ctx, m.ID, mark, now, 0, plenty)
	e.check("list marks", err)
	for _, marked := range list {
		names = append(names, marked.User.Name)
	}
	return names
}

func (e *env) titles(q store.MucQuery) (titles []string) {
	e.Helper()
	if q.Limit == 0 {
		q.Limit = plenty
	}
	list, err := e.ListMucs(e.ctx, q)
	e.check("list groups", err)
	for _, m := range list {
		titles = append(titles, m.Title)
	}
	return titles
}

func (e *env) joined(user store.User, kind store.MucKind) (titles []string) {
	e.Helper()
	list, err := e.JoinedMucs(e.ctx, store.JoinedQuery{User: user.ID, Kind: kind, Limit: plenty})
	e.check("list joined", err)
	for _, j := range list {
		titles = append(titles, j.Muc.Title)
	}
	n, err := e.CountJoined(e.ctx, user.ID, kind)
	e.check("count joined", err)
	same(e, "count of joined groups", n, len(titles))
	return titles
}

// reads returns which entries of a group a user may read: after which, and up to which (0: it lasts).
func (e *env) reads(m store.Muc, user store.User) []int64 {
	e.Helper()
	line, err := e.FindTimeline(e.ctx, store.MucKey(m.App, m.ID))
	e.check("find timeline", err)
	sub, err := e.Subscription(e.ctx, user.ID, line.ID)
	if err == store.ErrNotFound {
		return nil
	}
	e.check("subscription", err)
	return []int64{sub.Start, sub.Until}
}

func (e *env) talk(m store.Muc, n int) {
	e.Helper()
	for range n {
		e.append(store.Draft{Key: store.MucKey(m.App, m.ID), Sender: m.Owner.ID, Meta: []byte("x")})
	}
}

var mucTests = []test{
	{"a group has a number, a name and an owner", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice := e.user(app, "alice")
		row := store.Muc{App: app.ID, Kind: store.MucGroup, Owner: peer(alice), Title: "Devs", Description: "d", Avatar: "a", Custom: "c",
			Public: true, Approval: true, AllowInvites: true, InviteConfirm: true, MaxUsers: 7, Created: start, Modified: start}
		m, change, err := e.CreateMuc(e.ctx, row, plenty, plenty)
		e.check("create group", err)
		row.ID, row.Name, row.Members = m.ID, fmt.Sprint(store.MucIDBase+m.ID), 1
		same(t, "group", m, row)
		same(t, "who has joined", change.Users, peers(alice))
		for _, find := range []func() (store.Muc, error){
			func() (store.Muc, error) { return e.Muc(e.ctx, app.ID, m.Name) },
			func() (store.Muc, error) { return e.MucByID(e.ctx, m.ID) },
		} {
			found, err := find()
			e.check("find group", err)
			same(t, "found", found, row)
		}
		_, err = e.Muc(e.ctx, other.ID, m.Name)
		e.is("in another app", err, store.ErrNotFound)
		same(t, "members", e.members(m), []string{"alice 3"})

		row.Name = "my-own"
		_, _, err = e.CreateMuc(e.ctx, row, plenty, plenty)
		e.check("create with a name", err)
		_, _, err = e.CreateMuc(e.ctx, row, plenty, plenty)
		e.is("the name again", err, store.ErrExists)
		row.Name = ""
		_, _, err = e.CreateMuc(e.ctx, row, 2, plenty)
		e.is("more than the app may have", err, store.ErrFull)
		_, _, err = e.CreateMuc(e.ctx, row, plenty, 2)
		e.is("more than the owner may join", err, store.ErrPeerFull)
		e.check("close one", e.CloseMuc(e.ctx, m.ID))
		_, _, err = e.CreateMuc(e.ctx, row, 2, plenty)
		e.check("one in its place", err)
		row.Owner.ID = 1 << 40
		_, _, err = e.CreateMuc(e.ctx, row, plenty, plenty)
		e.is("an owner who is gone", err, store.ErrNotFound)
	}},
	{"a message has one thread", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		group := e.muc(app, store.MucGroup, alice, "g")
		row := store.Muc{App: app.ID, Kind: store.MucThread, Owner: peer(alice), Parent: group.ID, Message: 77, Title: "t", MaxUsers: 9, Created: start}
		thread, _, err := e.CreateMuc(e.ctx, row, plenty, plenty)
		e.check("create thread", err)
		_, _, err = e.CreateMuc(e.ctx, row, plenty, plenty)
		e.is("another thread of the message", err, store.ErrExists)
		same(t, "threads of the group", e.titles(store.MucQuery{App: app.ID, Kind: store.MucThread, Parent: group.ID}), []string{"t"})
		for _, messages := range [][]int64{{76}, {}, {76, 77, 78}} {
			found := e.titles(store.MucQuery{App: app.ID, Kind: store.MucThread, Parent: group.ID, Messages: messages})
			same(t, "threads of messages", len(found), len(messages)/2)
		}
		list, err := e.JoinedMucs(e.ctx, store.JoinedQuery{User: alice.ID, Kind: store.MucThread, Parent: group.ID + 1, Limit: plenty})
		e.check("joined threads", err)
		same(t, "joined threads of another group", len(list), 0)
		members, err := e.ListMembers(e.ctx, thread.ID, store.MemberQuery{Limit: plenty})
		e.check("members", err)
		same(t, "role of who has started it", members[0].Role, store.RoleMember)
		left, err := e.RemoveMembers(e.ctx, thread.ID, []int64{alice.ID})
		e.check("leave", err)
		same(t, "who has left", []any{left.Users, left.Members}, []any{[]store.Peer{peer(alice)}, 0})
		e.check("close", e.CloseMuc(e.ctx, thread.ID))
		_, _, err = e.CreateMuc(e.ctx, row, plenty, plenty)
		e.check("a thread where one was", err)
	}},
	{"groups are listed in pages", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice := e.user(app, "alice")
		var made []store.Muc
		for _, title := range []string{"Ada", "adam", "bee", "ÄRA", "secret"} {
			m, _, err := e.CreateMuc(e.ctx, store.Muc{App: app.ID, Kind: store.MucGroup, Owner: peer(alice), Title: title, MaxUsers: 9, Public: title != "secret", Created: start}, plenty, plenty)
			e.check("create group", err)
			made = append(made, m)
		}
		e.muc(app, store.MucRoom, alice, "room")
		all := store.MucQuery{App: app.ID, Kind: store.MucGroup}
		same(t, "all", e.titles(all), []string{"secret", "ÄRA", "bee", "adam", "Ada"})
		with := func(change func(q *store.MucQuery)) store.MucQuery { q := all; change(&q); return q }
		same(t, "public", e.titles(with(func(q *store.MucQuery) { q.Public = true })), []string{"ÄRA", "bee", "adam", "Ada"})
		same(t, "below", e.titles(with(func(q *store.MucQuery) { q.Below, q.Limit = made[2].ID, 1 })), []string{"adam"})
		same(t, "offset", e.titles(with(func(q *store.MucQuery) { q.Offset, q.Limit = 1, 2 })), []string{"ÄRA", "bee"})
		same(t, "oldest first", e.titles(with(func(q *store.MucQuery) { q.Oldest, q.Below, q.Limit = true, made[0].ID, 2 })), []string{"adam", "bee"})
		same(t, "search", e.titles(with(func(q *store.MucQuery) { q.Search = "ADA" })), []string{"adam", "Ada"})
		same(t, "search in another script", e.titles(with(func(q *store.MucQuery) { q.Search = "är" })), []string{"ÄRA"})
		same(t, "search for a pattern", e.titles(with(func(q *store.MucQuery) { q.Search = "%" })), nil)
		same(t, "another app", e.titles(store.MucQuery{App: other.ID, Kind: store.MucGroup}), nil)
		e.check("close", e.CloseMuc(e.ctx, made[2].ID))
		same(t, "without one that is closed", e.titles(all), []string{"secret", "ÄRA", "adam", "Ada"})
	}},
	{"a change touches what it names", func(t *testing.T, e *env) {
		app := e.app()
		m := e.muc(app, store.MucGroup, e.user(app, "alice"), "old")
		title, text, yes, size := "New", "", true, 3
		got, err := e.UpdateMuc(e.ctx, m.ID, start+5, store.MucChange{Title: &title, Description: &text, MuteAll: &yes, MaxUsers: &size})
		e.check("update", err)
		m.Title, m.MuteAll, m.MaxUsers, m.Modified = "New", true, 3, start+5
		same(t, "changed", got, m)
		same(t, "found by its new title", e.titles(store.MucQuery{App: app.ID, Kind: store.MucGroup, Search: "new"}), []string{"New"})
		_, err = e.UpdateMuc(e.ctx, m.ID+1, start, store.MucChange{})
		e.is("one that does not exist", err, store.ErrNotFound)
	}},
	{"members join and leave, and read meanwhile", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		m := e.muc(app, store.MucGroup, alice, "g")
		e.talk(m, 2)
		change := e.add(m, bob, carol, alice, bob)
		same(t, "who has joined", change.Users, peers(bob, carol))
		same(t, "members", []int{change.Members, int(change.At)}, []int{3, 2})
		same(t, "members", e.members(m), []string{"alice 3", "bob 1", "carol 1"})
		e.talk(m, 3)
		left := e.remove(m, bob, alice)
		same(t, "who has left", left.Users, peers(bob))
		same(t, "after who has left", []int64{int64(left.Members), left.At, left.Timeline}, []int64{2, 5, change.Timeline})
		e.talk(m, 1)
		same(t, "alice reads", e.reads(m, alice), []int64{0, 0})
		same(t, "bob reads", e.reads(m, bob), []int64{2, 5})
		same(t, "carol reads", e.reads(m, carol), []int64{2, 0})
		same(t, "standing", e.standing(m, bob), store.Standing{})
		e.add(m, bob)
		same(t, "bob reads again", e.reads(m, bob), []int64{6, 0})
		same(t, "standing", e.standing(m, bob), store.Standing{Role: store.RoleMember, Joined: start})
		same(t, "who has left twice", e.remove(m, carol).Users, peers(carol))
		same(t, "who has left twice", e.remove(m, carol).Users, nil)
		row, err := e.MucByID(e.ctx, m.ID)
		e.check("find group", err)
		same(t, "count", row.Members, 2)
		_, err = e.AddMembers(e.ctx, store.Join{Muc: m.ID + 1, Users: peers(bob), PerUser: plenty})
		e.is("add to nothing", err, store.ErrNotFound)
		_, err = e.RemoveMembers(e.ctx, m.ID+1, ids(bob))
		e.is("remove from nothing", err, store.ErrNotFound)
	}},
	{"a group takes as many as it has room for", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol, dave := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol"), e.user(app, "dave")
		m := e.muc(app, store.MucRoom, alice, "r")
		size := 2
		_, err := e.UpdateMuc(e.ctx, m.ID, start, store.MucChange{MaxUsers: &size})
		e.check("update", err)
		_, err = e.AddMembers(e.ctx, store.Join{Muc: m.ID, Users: peers(bob, carol), PerUser: plenty})
		e.is("two into one place", err, store.ErrFull)
		same(t, "members", e.members(m), []string{"alice 3"})
		e.add(m, bob)
		_, err = e.AddMembers(e.ctx, store.Join{Muc: m.ID, Users: peers(dave), PerUser: plenty})
		e.is("one into none", err, store.ErrFull)
		e.add(m, bob)

		other := e.muc(app, store.MucRoom, alice, "other")
		change, err := e.AddMembers(e.ctx, store.Join{Muc: other.ID, Users: peers(bob, carol), PerUser: 1})
		e.check("add members", err)
		same(t, "who has joined too many", change.Full, peers(bob))
		same(t, "who has joined", change.Users, peers(carol))
		change, err = e.AddMembers(e.ctx, store.Join{Muc: other.ID, Users: append(peers(dave), store.Peer{ID: 1 << 40, Name: "gone"}), PerUser: 9})
		e.check("add members", err)
		same(t, "without who is gone", change.Users, peers(dave))
	}},
	{"invitations, applications and bans decide who joins", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		m := e.muc(app, store.MucGroup, alice, "g")
		join := func(needs store.Mark, force bool, users ...store.User) (store.MemberChange, error) {
			return e.AddMembers(e.ctx, store.Join{Muc: m.ID, Users: peers(users...), Needs: needs, PerUser: plenty, Force: force, Now: start})
		}
		_, err := join(store.MarkInvite, false, bob)
		e.is("without an invitation", err, store.ErrNotFound)
		e.check("invite", e.PutMarks(e.ctx, m.ID, store.MarkInvite, []store.Marked{{User: peer(bob), By: peer(alice), Reason: "come", Created: start}}, plenty))
		e.mark(m, store.MarkApply, 0, bob, carol)
		same(t, "bob", e.standing(m, bob), store.Standing{Invited: true, InvitedBy: peer(alice), Applied: true})
		change, err := join(store.MarkInvite, false, bob)
		e.check("join", err)
		same(t, "who has joined", change.Users, peers(bob))
		same(t, "bob", e.standing(m, bob), store.Standing{Role: store.RoleMember, Joined: start})
		e.mark(m, store.MarkBan, 0, carol)
		change, err = join(store.MarkApply, false, carol)
		e.check("join", err)
		same(t, "who is banned", [][]store.Peer{change.Users, change.Banned}, [][]store.Peer{nil, peers(carol)})
		change, err = join(0, true, carol)
		e.check("join", err)
		same(t, "who has joined all the same", change.Users, peers(carol))
	}},
	{"marks are lists", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol, dave := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol"), e.user(app, "dave")
		m := e.muc(app, store.MucGroup, alice, "g")
		e.add(m, bob, carol)
		e.mark(m, store.MarkMute, start+hour, carol, bob)
		e.mark(m, store.MarkMute, store.Forever, bob)
		e.mark(m, store.MarkAllow, 0, bob)
		same(t, "muted", e.marked(m, store.MarkMute, start), []string{"carol", "bob"})
		same(t, "muted later", e.marked(m, store.MarkMute, start+hour), []string{"bob"})
		same(t, "bob", e.standing(m, bob), store.Standing{Role: store.RoleMember, Joined: start, MutedUntil: store.Forever, Allowed: true})
		page, err := e.ListMarks(e.ctx, m.ID, store.MarkMute, start, 0, 1)
		e.check("list marks", err)
		page, err = e.ListMarks(e.ctx, m.ID, store.MarkMute, start, page[0].Row, 1)
		e.check("list marks", err)
		page[0].Row = 0
		same(t, "second page", page, []store.Marked{{User: peer(bob), Until: store.Forever, Created: start}})
		e.remove(m, bob)
		same(t, "bob, who has left", e.standing(m, bob), store.Standing{MutedUntil: store.Forever})
		dropped, err := e.DropMarks(e.ctx, m.ID, store.MarkMute, ids(bob, dave))
		e.check("drop marks", err)
		same(t, "dropped", dropped, peers(bob))
		e.is("too many", e.PutMarks(e.ctx, m.ID, store.MarkMute, []store.Marked{{User: peer(bob)}, {User: peer(dave)}}, 2), store.ErrFull)
		same(t, "muted", e.marked(m, store.MarkMute, start), []string{"carol"})
		e.check("after the end", e.PutMarks(e.ctx, m.ID, store.MarkMute, []store.Marked{{User: peer(bob), Until: start + 3*hour, Created: start + 2*hour}}, 1))
		same(t, "muted, for those that have ended are gone", e.marked(m, store.MarkMute, start), []string{"bob"})
		e.check("a user who is gone", e.PutMarks(e.ctx, m.ID, store.MarkBan, []store.Marked{{User: store.Peer{ID: 1 << 40, Name: "gone"}}}, 2))
		same(t, "banned", e.marked(m, store.MarkBan, start), nil)
		e.is("in nothing", e.PutMarks(e.ctx, m.ID+1, store.MarkBan, []store.Marked{{User: peer(bob)}}, 2), store.ErrNotFound)
	}},
	{"roles change", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol, dave := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol"), e.user(app, "dave")
		m := e.muc(app, store.MucGroup, alice, "g")
		e.add(m, bob, carol)
		changed, err := e.SetRole(e.ctx, m.ID, bob.ID, store.RoleAdmin, 1)
		e.check("set role", err)
		same(t, "changed", changed, true)
		changed, err = e.SetRole(e.ctx, m.ID, bob.ID, store.RoleAdmin, 1)
		e.check("set role", err)
		same(t, "changed again", changed, false)
		_, err = e.SetRole(e.ctx, m.ID, carol.ID, store.RoleAdmin, 1)
		e.is("too many admins", err, store.ErrFull)
		for _, user := range []store.User{alice, dave} {
			_, err = e.SetRole(e.ctx, m.ID, user.ID, store.RoleAdmin, 9)
			e.is("the owner, and a stranger", err, store.ErrNotFound)
		}
		staff, err := e.ListMembers(e.ctx, m.ID, store.MemberQuery{Role: store.RoleAdmin, Limit: plenty})
		e.check("list staff", err)
		same(t, "staff", len(staff), 2)
		e.is("to a stranger", e.ChangeOwner(e.ctx, m.ID, dave.ID, start), store.ErrNotFound)
		same(t, "members", e.members(m), []string{"alice 3", "bob 2", "carol 1"})
		e.check("change owner", e.ChangeOwner(e.ctx, m.ID, carol.ID, start+1))
		same(t, "members", e.members(m), []string{"alice 1", "bob 2", "carol 3"})
		row, err := e.MucByID(e.ctx, m.ID)
		e.check("find group", err)
		same(t, "owner", row.Owner, peer(carol))
	}},
	{"members are listed in pages", func(t *testing.T, e *env) {
		app := e.app()
		m := e.muc(app, store.MucGroup, e.user(app, "u0"), "g")
		for i := range 4 {
			e.add(m, e.user(app, fmt.Sprint("u", i+1)))
		}
		names := func(q store.MemberQuery) (names []string) {
			list, err := e.ListMembers(e.ctx, m.ID, q)
			e.check("list members", err)
			for _, member := range list {
				names = append(names, member.User.Name)
			}
			return names
		}
		first, err := e.ListMembers(e.ctx, m.ID, store.MemberQuery{Limit: 2})
		e.check("list members", err)
		same(t, "first page", first[1].User.Name, "u1")
		same(t, "next page", names(store.MemberQuery{After: first[1].Row, Limit: 2}), []string{"u2", "u3"})
		same(t, "by number", names(store.MemberQuery{Offset: 3, Limit: 9}), []string{"u3", "u4"})
		found, err := e.FindMembers(e.ctx, m.ID, []int64{first[0].User.ID, 1 << 40})
		e.check("find members", err)
		same(t, "found", found, first[:1])
	}},
	{"who blocks the messages does not read them", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		m := e.muc(app, store.MucGroup, alice, "g")
		e.add(m, bob)
		e.talk(m, 1)
		change, err := e.SetShield(e.ctx, m.ID, peer(bob), true)
		e.check("block messages", err)
		same(t, "read up to", change.At, 1)
		same(t, "standing", e.standing(m, bob).Shielded, true)
		e.talk(m, 2)
		same(t, "bob reads", e.reads(m, bob), []int64{0, 1})
		list, err := e.ListMembers(e.ctx, m.ID, store.MemberQuery{Shielded: true, Limit: plenty})
		e.check("list members", err)
		same(t, "who blocks", len(list), 1)
		_, err = e.SetShield(e.ctx, m.ID, peer(bob), false)
		e.check("read again", err)
		same(t, "bob reads", e.reads(m, bob), []int64{3, 0})
		_, err = e.SetShield(e.ctx, m.ID, store.Peer{ID: 1 << 40}, true)
		e.is("a stranger", err, store.ErrNotFound)
	}},
	{"members have attributes", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		m := e.muc(app, store.MucGroup, alice, "g")
		all, err := e.SetMemberAttributes(e.ctx, m.ID, alice.ID, map[string]string{"a": "1", "b": "2"}, 6)
		e.check("set attributes", err)
		same(t, "attributes", all, map[string]string{"a": "1", "b": "2"})
		_, err = e.SetMemberAttributes(e.ctx, m.ID, alice.ID, map[string]string{"c": "33", "": ""}, 6)
		e.is("too large", err, store.ErrFull)
		all, err = e.SetMemberAttributes(e.ctx, m.ID, alice.ID, map[string]string{"a": "", "b": "\"é"}, 6)
		e.check("set attributes", err)
		same(t, "attributes", all, map[string]string{"b": "\"é"})
		found, err := e.FindMembers(e.ctx, m.ID, ids(alice))
		e.check("find members", err)
		same(t, "kept", found[0].Attributes, all)
		_, err = e.SetMemberAttributes(e.ctx, m.ID, 1<<40, nil, 6)
		e.is("of a stranger", err, store.ErrNotFound)
	}},
	{"what is closed is found no more, and its members are removed in parts", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		m := e.muc(app, store.MucGroup, alice, "g")
		e.add(m, bob, carol)
		e.mark(m, store.MarkBan, 0, bob)
		e.talk(m, 1)
		e.check("close", e.CloseMuc(e.ctx, m.ID))
		e.is("close again", e.CloseMuc(e.ctx, m.ID), store.ErrNotFound)
		_, err := e.MucByID(e.ctx, m.ID)
		e.is("find", err, store.ErrNotFound)
		same(t, "joined", e.joined(bob, store.MucGroup), nil)
		closed, err := e.ClosedMucs(e.ctx, plenty)
		e.check("closed", err)
		same(t, "closed", len(closed), 1)
		var left []string
		for {
			change, err := e.DropMembers(e.ctx, m.ID, 2)
			e.check("drop members", err)
			if len(change.Users) == 0 {
				break
			}
			for _, user := range change.Users {
				left = append(left, user.Name)
			}
		}
		sort.Strings(left)
		same(t, "who has left", left, []string{"alice", "bob", "carol"})
		same(t, "alice reads", e.reads(m, alice), []int64{0, 1})
		closed, err = e.ClosedMucs(e.ctx, plenty)
		e.check("closed", err)
		same(t, "closed", len(closed), 0)
		same(t, "standing", e.standing(m, bob), store.Standing{})
	}},
	{"who is deleted leaves everything", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		m, own := e.muc(app, store.MucGroup, alice, "g"), e.muc(app, store.MucGroup, bob, "own")
		e.add(m, bob)
		e.add(own, alice)
		e.mark(m, store.MarkMute, store.Forever, bob)
		e.check("put", e.PutSuperAdmin(e.ctx, app.ID, peer(bob)))
		e.check("delete user", e.DeleteUser(e.ctx, bob.ID))
		same(t, "members", e.members(m), []string{"alice 3"})
		same(t, "members of what bob owned", e.members(own), []string{"alice 1"})
		same(t, "muted", e.marked(m, store.MarkMute, start), nil)
		for _, g := range []store.Muc{m, own} {
			row, err := e.MucByID(e.ctx, g.ID)
			e.check("find group", err)
			same(t, "count", row.Members, 1)
			if g.ID == own.ID {
				same(t, "owner", row.Owner, store.Peer{})
			}
		}
	}},
}
