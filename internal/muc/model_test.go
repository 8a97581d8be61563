package muc

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
)

// model is what the service does with one group or room, as simple as can be.
type model struct {
	kind                   store.MucKind
	roles                  map[string]store.Role
	muted, allowed, banned map[string]bool
	muteAll                bool
}

func (m *model) standing(name string) Standing {
	switch {
	case m.roles[name] == store.RoleOwner:
		return Owner
	case m.roles[name] == store.RoleAdmin:
		return Admin
	case m.roles[name] == store.RoleMember && m.muted[name]:
		return Muted
	case m.roles[name] == store.RoleMember:
		return Member
	case m.banned[name]:
		return Blocked
	}
	return Stranger
}

// may is the code with which the policy answers.
func (m *model) may(op Operation, by string) errcode.Code {
	code, _ := Allows(m.kind, op, m.standing(by))
	return code
}

// touch is the code of an operation by one on another, who with member must be one.
func (m *model) touch(op Operation, by, on string, member bool) errcode.Code {
	code := m.may(op, by)
	switch {
	case code != 0:
		return code
	case member && m.roles[on] == store.RoleNone:
		return m.outside()
	case m.roles[on] == store.RoleOwner, m.roles[on] == store.RoleAdmin && m.roles[by] != store.RoleOwner && by != on:
		return errcode.PermissionDenied
	}
	return 0
}

func (m *model) outside() errcode.Code {
	if m.kind == store.MucRoom {
		return errcode.ChatroomNotJoined
	}
	return errcode.GroupNotJoined
}

func (m *model) join(name string) {
	if m.roles[name] == store.RoleNone {
		m.roles[name] = store.RoleMember
	}
}

func (m *model) leave(name string) {
	if m.roles[name] != store.RoleOwner {
		delete(m.roles, name)
		delete(m.allowed, name)
	}
}

// sends is the code with which a message is answered.
func (m *model) sends(name string) errcode.Code {
	switch role := m.roles[name]; {
	case role == store.RoleNone:
		return errcode.GroupNotJoined
	case m.muted[name] && role != store.RoleOwner:
		return errcode.Muted
	case m.muteAll && role < store.RoleAdmin && !m.allowed[name]:
		return errcode.NotAllowedMuteAll
	}
	return 0
}

func TestModel(t *testing.T) {
	// A hundred runs would take some seconds; -rapid.checks asks for as many as one likes.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("30"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { checks.Value.Set(checks.DefValue) })
	}
	w := newWorld(t)
	names := []string{"u0", "u1", "u2", "u3", "u4"}
	w.users(names...)
	w.set(`{"rooms_per_user": 1000000, "groups_per_user": 1000000}`)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]store.MucKind{store.MucGroup, store.MucRoom}).Draw(t, "kind")
		g := w.make(kind, w.find("u0"), Options{Title: "g", Public: true})
		m := &model{kind: kind, roles: map[string]store.Role{"u0": store.RoleOwner}, muted: map[string]bool{}, allowed: map[string]bool{}, banned: map[string]bool{}}
		ctx := w.Context()
		// try does an operation and compares its code; change is what it does if that is 0.
		try := func(t *rapid.T, what string, want errcode.Code, err error, change func()) {
			t.Helper()
			if got, _ := errcode.CodeOf(err); got != want {
				t.Fatalf("%s: %v, want %d", what, err, want)
			}
			if want == 0 {
				change()
			}
		}
		pair := func(t *rapid.T) (by, on string) {
			return rapid.SampledFrom(names).Draw(t, "by"), rapid.SampledFrom(names).Draw(t, "on")
		}
		actions := map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				by, _ := pair(t)
				var err error
				if kind == store.MucRoom {
					_, _, err = w.JoinRoom(ctx, w.find(by), g.Name, JoinOptions{})
				} else {
					_, err = w.Apply(ctx, w.find(by), g.Name, "")
				}
				try(t, by+" joins", m.may(Join, by), err, func() { m.join(by) })
			},
			"add": func(t *rapid.T) {
				by, on := pair(t)
				var err error
				want := errcode.Code(0)
				if kind == store.MucRoom {
					want = m.may(Add, by)
					_, err = w.AddMembers(ctx, w.find(by), kind, g.Name, []string{on})
				} else {
					want = m.may(Invite, by)
					_, err = w.Invite(ctx, w.find(by), g.Name, []string{on})
				}
				switch in := m.roles[on] != store.RoleNone; {
				case want != 0:
				case in && kind == store.MucGroup:
					want = errcode.GroupAlreadyJoined
				case !in && m.banned[on]:
					want = errcode.PermissionDenied
				}
				try(t, by+" adds "+on, want, err, func() { m.join(on) })
			},
			"leave": func(t *rapid.T) {
				by, _ := pair(t)
				_, err := w.Leave(ctx, w.find(by), kind, g.Name)
				try(t, by+" leaves", m.may(Leave, by), err, func() { m.leave(by) })
			},
			"remove": func(t *rapid.T) {
				by, on := pair(t)
				_, err := w.Remove(ctx, w.find(by), kind, g.Name, []string{on})
				try(t, by+" removes "+on, m.touch(Remove, by, on, true), err, func() { m.leave(on) })
			},
			"appoint": func(t *rapid.T) {
				by, on := pair(t)
				try(t, by+" appoints "+on, m.touch(Appoint, by, on, true), w.Appoint(ctx, w.find(by), kind, g.Name, on), func() { m.roles[on] = store.RoleAdmin })
			},
			"dismiss": func(t *rapid.T) {
				by, on := pair(t)
				try(t, by+" dismisses "+on, m.touch(Appoint, by, on, true), w.Dismiss(ctx, w.find(by), kind, g.Name, on), func() { m.roles[on] = store.RoleMember })
			},
			"transfer": func(t *rapid.T) {
				by, on := pair(t)
				want := m.may(Transfer, by)
				switch {
				case want != 0:
				case by == on:
					want = errcode.PermissionDenied
				case m.roles[on] == store.RoleNone:
					want = m.outside()
				}
				try(t, by+" makes "+on+" the owner", want, w.Transfer(ctx, w.find(by), kind, g.Name, on), func() {
					m.roles[by], m.roles[on] = store.RoleMember, store.RoleOwner
					delete(m.muted, on)
				})
			},
			"mute all": func(t *rapid.T) {
				by, _ := pair(t)
				on := rapid.Bool().Draw(t, "on")
				try(t, by+" mutes all", m.may(MuteAll, by), w.MuteAll(ctx, w.find(by), kind, g.Name, on), func() { m.muteAll = on })
			},
			"ban": func(t *rapid.T) {
				by, on := pair(t)
				_, err := w.Ban(ctx, w.find(by), kind, g.Name, []string{on})
				try(t, by+" bans "+on, m.touch(Ban, by, on, false), err, func() { m.banned[on] = true; m.leave(on) })
			},
			"": func(t *rapid.T) {
				info, err := w.Get(ctx, Backend(w.app), kind, g.Name)
				w.must(err)
				if info.Members != len(m.roles) || m.roles[info.Owner.Name] != store.RoleOwner || info.MuteAll != m.muteAll {
					t.Fatalf("the row is %+v, the model %+v", info.Muc, m)
				}
				list, _, err := w.Members(ctx, Backend(w.app), kind, g.Name, MembersQuery{Limit: 10})
				w.must(err)
				roles := map[string]store.Role{}
				for _, row := range list {
					roles[row.User.Name] = row.Role
				}
				if !maps.Equal(roles, m.roles) {
					t.Fatalf("members are %v, want %v", roles, m.roles)
				}
				for mark, want := range map[store.Mark]map[string]bool{store.MarkMute: m.muted, store.MarkAllow: m.allowed, store.MarkBan: m.banned} {
					marked, err := w.store.ListMarks(ctx, g.ID, mark, 0, 0, 10)
					w.must(err)
					got := map[string]bool{}
					for _, row := range marked {
						got[row.User.Name] = true
					}
					if !maps.Equal(got, want) {
						t.Fatalf("mark %d is on %v, want %v", mark, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
					}
				}
				for _, name := range names {
					try(t, name+" sends", m.sends(name), w.sends(w.find(name), g), func() {})
				}
			},
		}
		// Marks that are put and taken away alike.
		for what, list := range map[string]struct {
			op      Operation
			of      map[string]bool
			member  bool
			put     bool
			perform func(by, on string) error
		}{
			"mute": {Mute, m.muted, true, true, func(by, on string) error {
				_, err := w.Mute(ctx, w.find(by), kind, g.Name, []string{on}, -1)
				return err
			}},
			"unmute": {Mute, m.muted, false, false, func(by, on string) error { _, err := w.Unmute(ctx, w.find(by), kind, g.Name, []string{on}); return err }},
			"allow":  {Allow, m.allowed, true, true, func(by, on string) error { _, err := w.Allow(ctx, w.find(by), kind, g.Name, []string{on}); return err }},
			"disallow": {Allow, m.allowed, false, false, func(by, on string) error {
				_, err := w.Disallow(ctx, w.find(by), kind, g.Name, []string{on})
				return err
			}},
			"unban": {Ban, m.banned, false, false, func(by, on string) error { _, err := w.Unban(ctx, w.find(by), kind, g.Name, []string{on}); return err }},
		} {
			actions[what] = func(t *rapid.T) {
				by, on := pair(t)
				try(t, fmt.Sprint(by, " does to ", on, ": ", what), m.touch(list.op, by, on, list.member), list.perform(by, on), func() {
					if list.put {
						list.of[on] = true
					} else {
						delete(list.of, on)
					}
				})
			}
		}
		t.Repeat(actions)
	})
}
