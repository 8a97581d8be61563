package storetest

import (
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

var roomTests = []test{
	{"rooms have attributes", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		m := e.muc(app, store.MucRoom, alice, "r")
		set := func(user store.User, auto, forced bool, values map[string]string) map[string]error {
			refused, err := e.SetRoomAttributes(e.ctx, store.AttributeChange{Muc: m.ID, User: user.ID, Auto: auto, Forced: forced, Limit: 3}, values)
			e.check("set attributes", err)
			return refused
		}
		_, err := e.SetRoomAttributes(e.ctx, store.AttributeChange{Muc: m.ID, User: bob.ID, Limit: 3}, map[string]string{"a": "1"})
		e.is("by a stranger", err, store.ErrNotFound)
		e.add(m, bob)
		same(t, "refused", set(alice, false, false, map[string]string{"a": "1", "b": "2"}), nil)
		same(t, "refused", set(bob, true, false, map[string]string{"a": "9", "c": "3", "d": "4"}), map[string]error{"a": store.ErrExists, "d": store.ErrFull})
		same(t, "refused", set(bob, true, true, map[string]string{"b": "8"}), nil)
		list, err := e.RoomAttributes(e.ctx, m.ID, nil)
		e.check("read attributes", err)
		same(t, "attributes", list, []store.Attribute{{Key: "a", Value: "1", User: alice.ID}, {Key: "b", Value: "8", User: bob.ID, Auto: true}, {Key: "c", Value: "3", User: bob.ID, Auto: true}})
		list, err = e.RoomAttributes(e.ctx, m.ID, []string{"a", "z"})
		e.check("read attributes", err)
		same(t, "one attribute", len(list), 1)
		refused, err := e.DropRoomAttributes(e.ctx, store.AttributeChange{Muc: m.ID, User: bob.ID}, []string{"a", "c", "z"})
		e.check("drop attributes", err)
		same(t, "refused", refused, map[string]error{"a": store.ErrExists, "z": store.ErrNotFound})
		same(t, "went with bob", e.remove(m, bob).Keys, []string{"b"})
		list, err = e.RoomAttributes(e.ctx, m.ID, nil)
		e.check("read attributes", err)
		same(t, "what is left", len(list), 1)
	}},
	{"members of rooms have tags", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		room, other := e.muc(app, store.MucRoom, alice, "r"), e.muc(app, store.MucRoom, alice, "other")
		e.add(room, bob, carol)
		e.add(other, bob)
		tags := func(user store.User) []store.RoomTag {
			list, err := e.RoomTags(e.ctx, room.ID, user.ID)
			e.check("tags", err)
			return list
		}
		e.is("of a stranger", e.SetRoomTags(e.ctx, other.ID, carol.ID, []string{"a"}), store.ErrNotFound)
		_, err := e.RoomTags(e.ctx, other.ID, carol.ID)
		e.is("of a stranger", err, store.ErrNotFound)
		e.is("in nothing", e.SetRoomTags(e.ctx, 1<<40, bob.ID, nil), store.ErrNotFound)
		e.check("set", e.SetRoomTags(e.ctx, other.ID, bob.ID, []string{"a"}))
		for _, user := range []store.User{alice, bob, carol} {
			e.check("set", e.SetRoomTags(e.ctx, room.ID, user.ID, []string{"b", "a"}))
		}
		muted, err := e.MuteRoomTag(e.ctx, room.ID, "a", start+hour)
		e.check("mute", err)
		same(t, "who is muted", muted, peers(bob, carol))
		_, err = e.MuteRoomTag(e.ctx, room.ID, "c", start+hour)
		e.is("mute what nobody has", err, store.ErrNotFound)
		e.check("set", e.SetRoomTags(e.ctx, room.ID, bob.ID, []string{"a", "c", "c"}))
		same(t, "bob's", tags(bob), []store.RoomTag{{Tag: "a", Until: start + hour}, {Tag: "c"}})
		e.remove(room, carol)
		e.add(room, carol)
		same(t, "carol's, who has left", tags(carol), nil)
		e.check("set none", e.SetRoomTags(e.ctx, room.ID, bob.ID, nil))
		same(t, "bob's", tags(bob), nil)
		list, err := e.RoomTags(e.ctx, other.ID, bob.ID)
		e.check("tags", err)
		same(t, "bob's in the other room", list, []store.RoomTag{{Tag: "a"}})
	}},
	{"some users may create rooms", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		for range 2 {
			e.check("put", e.PutSuperAdmin(e.ctx, app.ID, peer(bob)))
		}
		e.check("put", e.PutSuperAdmin(e.ctx, app.ID, peer(alice)))
		e.is("who is gone", e.PutSuperAdmin(e.ctx, app.ID, store.Peer{ID: 1 << 40}), store.ErrNotFound)
		list, err := e.ListSuperAdmins(e.ctx, app.ID, 1, 1)
		e.check("list", err)
		same(t, "second page", list, peers(bob))
		for _, want := range []bool{true, false} {
			is, err := e.IsSuperAdmin(e.ctx, app.ID, bob.ID)
			e.check("is", err)
			same(t, "is", is, want)
			dropped, err := e.DropSuperAdmin(e.ctx, app.ID, bob.ID)
			e.check("drop", err)
			same(t, "dropped", dropped, want)
		}
	}},
	{"who is away from rooms is known", func(t *testing.T, e *env) {
		app := e.app()
		lease := e.join(start, start+hour)
		alice, bob, carol, dave := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol"), e.user(app, "dave")
		room, group := e.muc(app, store.MucRoom, alice, "r"), e.muc(app, store.MucGroup, alice, "g")
		e.add(room, bob, carol, dave)
		e.add(group, bob)
		e.put(lease, 1, e.device(bob, "r"), start)
		e.mark(room, store.MarkAllow, 0, dave)
		away := func(before int64) (names []string) {
			list, err := e.AwayMembers(e.ctx, app.ID, before, plenty)
			e.check("away", err)
			for _, stay := range list {
				same(t, "room", stay.Muc, room.ID)
				names = append(names, stay.User.Name)
			}
			return names
		}
		check := func(since int64) {
			for after, first := int64(0), true; first || after != 0; first = false {
				var err error
				after, err = e.CheckAway(e.ctx, after, since, start, 3)
				e.check("check", err)
			}
		}
		same(t, "nobody is away", away(start+hour), nil)
		check(start + 5)
		same(t, "who is away", away(start+5), []string{"carol"}) // alice owns the room, and dave may stay
		same(t, "who was away before", away(start+4), nil)
		e.check("bob goes", e.SetAway(e.ctx, bob.ID, start+7))
		check(start + 9)
		same(t, "bob is here after all", away(start+hour), []string{"carol"})
		e.check("carol comes", e.SetAway(e.ctx, carol.ID, 0))
		same(t, "nobody is away", away(start+hour), nil)
	}},
}
