package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stoa-chat/stoa/internal/store"
)

// mucModel is what a store does with the members of a group, as simple as can be.
type mucModel struct {
	roles map[int64]store.Role
	marks map[store.Mark]map[int64]bool
}

func (m *mucModel) add(users []store.User) (joined []store.Peer) {
	for _, user := range users {
		if m.roles[user.ID] == store.RoleNone && !m.marks[store.MarkBan][user.ID] {
			m.roles[user.ID] = store.RoleMember
			delete(m.marks[store.MarkInvite], user.ID)
			delete(m.marks[store.MarkApply], user.ID)
			joined = append(joined, peer(user))
		}
	}
	return joined
}

func (m *mucModel) remove(users []store.User) (left []store.Peer) {
	for _, user := range users {
		if role := m.roles[user.ID]; role == store.RoleMember || role == store.RoleAdmin {
			delete(m.roles, user.ID)
			delete(m.marks[store.MarkAllow], user.ID)
			left = append(left, peer(user))
		}
	}
	slices.SortFunc(left, func(a, b store.Peer) int { return int(a.ID - b.ID) })
	return left
}

var mucModelTests = []test{
	{"random changes give what a model gives", func(t *testing.T, e *env) {
		app := e.app()
		var users []store.User
		for i := range 6 {
			users = append(users, e.user(app, fmt.Sprint("user", i)))
		}
		rapid.Check(t, func(r *rapid.T) {
			e := &env{tb: r, Store: e.Store, ctx: e.ctx, last: e.last}
			owner := users[0]
			g, _, err := e.CreateMuc(e.ctx, store.Muc{App: app.ID, Kind: store.MucGroup, Owner: peer(owner), MaxUsers: plenty, Created: start}, 1<<30, 1<<30)
			e.check("create group", err)
			m := mucModel{roles: map[int64]store.Role{owner.ID: store.RoleOwner}, marks: map[store.Mark]map[int64]bool{}}
			for mark := store.MarkMute; mark <= store.MarkApply; mark++ {
				m.marks[mark] = map[int64]bool{}
			}
			one := func(r *rapid.T) store.User { return rapid.SampledFrom(users).Draw(r, "user") }
			some := func(r *rapid.T) []store.User { return rapid.SliceOfN(rapid.SampledFrom(users), 1, 4).Draw(r, "users") }
			r.Repeat(map[string]func(*rapid.T){
				"add": func(r *rapid.T) {
					joining := some(r)
					want := m.add(joining)
					same(r, "who has joined", e.add(g, joining...).Users, want)
				},
				"remove": func(r *rapid.T) {
					leaving := some(r)
					got := e.remove(g, leaving...).Users
					slices.SortFunc(got, func(a, b store.Peer) int { return int(a.ID - b.ID) })
					same(r, "who has left", got, m.remove(leaving))
				},
				"role": func(r *rapid.T) {
					user, role := one(r), rapid.SampledFrom([]store.Role{store.RoleMember, store.RoleAdmin}).Draw(r, "role")
					_, err := e.SetRole(e.ctx, g.ID, user.ID, role, plenty)
					if old := m.roles[user.ID]; old == store.RoleNone || old == store.RoleOwner {
						e.is("set role", err, store.ErrNotFound)
						return
					}
					e.check("set role", err)
					m.roles[user.ID] = role
				},
				"owner": func(r *rapid.T) {
					user := one(r)
					err := e.ChangeOwner(e.ctx, g.ID, user.ID, start)
					if m.roles[user.ID] == store.RoleNone {
						e.is("change owner", err, store.ErrNotFound)
						return
					}
					e.check("change owner", err)
					for id, role := range m.roles {
						if role == store.RoleOwner {
							m.roles[id] = store.RoleMember
						}
					}
					m.roles[user.ID] = store.RoleOwner
				},
				"mark": func(r *rapid.T) {
					mark, marked := rapid.SampledFrom(slices.Sorted(maps.Keys(m.marks))).Draw(r, "mark"), some(r)
					slices.SortFunc(marked, func(a, b store.User) int { return int(a.ID - b.ID) })
					marked = slices.CompactFunc(marked, func(a, b store.User) bool { return a.ID == b.ID })
					e.mark(g, mark, 0, marked...)
					for _, user := range marked {
						m.marks[mark][user.ID] = true
					}
				},
				"unmark": func(r *rapid.T) {
					mark, marked := rapid.SampledFrom(slices.Sorted(maps.Keys(m.marks))).Draw(r, "mark"), some(r)
					_, err := e.DropMarks(e.ctx, g.ID, mark, ids(marked...))
					e.check("drop marks", err)
					for _, user := range marked {
						delete(m.marks[mark], user.ID)
					}
				},
				"": func(r *rapid.T) {
					row, err := e.MucByID(e.ctx, g.ID)
					e.check("find group", err)
					same(r, "count", row.Members, len(m.roles))
					list, err := e.ListMembers(e.ctx, g.ID, store.MemberQuery{Limit: plenty})
					e.check("list members", err)
					same(r, "rows", len(list), len(m.roles))
					for _, user := range users {
						st := e.standing(g, user)
						same(r, "standing of "+user.Name, []any{st.Role, st.Allowed, st.Banned, st.Invited, st.Applied},
							[]any{m.roles[user.ID], m.marks[store.MarkAllow][user.ID], m.marks[store.MarkBan][user.ID], m.marks[store.MarkInvite][user.ID], m.marks[store.MarkApply][user.ID]})
						if role := m.roles[user.ID]; role == store.RoleOwner {
							same(r, "owner", row.Owner, peer(user))
						}
					}
				},
			})
		})
	}},
}
