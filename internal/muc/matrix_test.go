package muc

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

// fixture is a group or room in which everybody stands somehow.
type fixture struct {
	*world
	kind store.MucKind
	muc  store.Muc
}

// cast are the users of the matrix: one for each standing, one on whom the others act, one who has applied, and two who have
// nothing to do with it.
var cast = append(standingNames[:], "victim", "applicant", "outsider")

// trials are the ways to do each operation. Those that the policy words differently from kind to kind do both.
var trials = map[Operation]func(f *fixture, by Actor) error{
	Send: func(f *fixture, by Actor) error {
		_, err := f.MaySend(f.Context(), by.App, by.User, f.muc.Name)
		return err
	},
	See:        func(f *fixture, by Actor) error { _, err := f.Get(f.Context(), by, f.kind, f.muc.Name); return err },
	SeePrivate: func(f *fixture, by Actor) error { _, err := f.Get(f.Context(), by, f.kind, f.muc.Name); return err },
	ReadList: func(f *fixture, by Actor) error {
		_, _, err := f.Members(f.Context(), by, f.kind, f.muc.Name, MembersQuery{Limit: 10})
		if _, again := f.Admins(f.Context(), by, f.kind, f.muc.Name); fmt.Sprint(again) != fmt.Sprint(err) {
			return fmt.Errorf("members: %v, admins: %w", err, again)
		}
		return err
	},
	ReadOwn: func(f *fixture, by Actor) error {
		_, err := f.Announcement(f.Context(), by, f.kind, f.muc.Name)
		if _, again := f.StandingOf(f.Context(), by, f.kind, f.muc.Name, by.User.Name); fmt.Sprint(again) != fmt.Sprint(err) {
			return fmt.Errorf("announcement: %v, standing: %w", err, again)
		}
		return err
	},
	Join: func(f *fixture, by Actor) error {
		if f.kind == store.MucRoom {
			_, _, err := f.JoinRoom(f.Context(), by, f.muc.Name, JoinOptions{})
			return err
		}
		_, err := f.Apply(f.Context(), by, f.muc.Name, "")
		return err
	},
	JoinPrivate: func(f *fixture, by Actor) error { _, err := f.Apply(f.Context(), by, f.muc.Name, ""); return err },
	AnswerInvitation: func(f *fixture, by Actor) error {
		return f.AnswerInvitation(f.Context(), by, f.muc.Name, by.User.Name, true)
	},
	Leave:  func(f *fixture, by Actor) error { _, err := f.Leave(f.Context(), by, f.kind, f.muc.Name); return err },
	Shield: func(f *fixture, by Actor) error { return f.Shield(f.Context(), by, f.muc.Name, true) },
	Invite: func(f *fixture, by Actor) error {
		_, err := f.Invite(f.Context(), by, f.muc.Name, []string{"outsider"})
		return err
	},
	InviteOpen: func(f *fixture, by Actor) error {
		_, err := f.Invite(f.Context(), by, f.muc.Name, []string{"outsider"})
		return err
	},
	Add: func(f *fixture, by Actor) error {
		_, err := f.AddMembers(f.Context(), by, f.kind, f.muc.Name, []string{"outsider"})
		return err
	},
	Answer: func(f *fixture, by Actor) error {
		return f.AnswerApplication(f.Context(), by, f.muc.Name, "applicant", true, "")
	},
	Remove: onVictim((*Service).Remove),
	Update: func(f *fixture, by Actor) error {
		title := "new"
		_, err := f.Update(f.Context(), by, f.kind, f.muc.Name, Change{Title: &title})
		return err
	},
	Announce: func(f *fixture, by Actor) error {
		return f.SetAnnouncement(f.Context(), by, f.kind, f.muc.Name, "news")
	},
	Transfer: func(f *fixture, by Actor) error { return f.Transfer(f.Context(), by, f.kind, f.muc.Name, "victim") },
	Destroy:  func(f *fixture, by Actor) error { return f.Destroy(f.Context(), by, f.kind, f.muc.Name) },
	Appoint:  func(f *fixture, by Actor) error { return f.Appoint(f.Context(), by, f.kind, f.muc.Name, "victim") },
	Mute: func(f *fixture, by Actor) error {
		_, err := f.Mute(f.Context(), by, f.kind, f.muc.Name, []string{"victim"}, time.Minute)
		return err
	},
	ReadMutes:   listing((*Service).Muted),
	MuteAll:     func(f *fixture, by Actor) error { return f.MuteAll(f.Context(), by, f.kind, f.muc.Name, true) },
	Allow:       onVictim((*Service).Allow),
	ReadAllowed: listing((*Service).Allowed),
	Ban:         onVictim((*Service).Ban),
	ReadBanned:  listing((*Service).Banned),
	SetOwnAttributes: func(f *fixture, by Actor) error {
		if f.kind == store.MucRoom {
			_, err := f.SetRoomAttributes(f.Context(), by, f.muc.Name, by.User.Name, map[string]string{"k": "v"}, false, false)
			return err
		}
		_, err := f.SetMemberAttributes(f.Context(), by, f.muc.Name, by.User.Name, map[string]string{"k": "v"})
		return err
	},
	SetAttributes: func(f *fixture, by Actor) error {
		_, err := f.SetMemberAttributes(f.Context(), by, f.muc.Name, "victim", map[string]string{"k": "v"})
		return err
	},
	ReadFiles:    permitted(ReadFiles),
	AddFile:      permitted(AddFile),
	RemoveFile:   permitted(RemoveFile),
	UseThread:    permitted(UseThread),
	ManageThread: permitted(ManageThread),
}

// reads are the operations that change nothing where they are allowed.
var reads = map[Operation]bool{Send: true, See: true, SeePrivate: true, ReadList: true, ReadOwn: true, ReadMutes: true, ReadAllowed: true, ReadBanned: true,
	ReadFiles: true, AddFile: true, RemoveFile: true, UseThread: true, ManageThread: true}

func onVictim(do func(*Service, context.Context, Actor, store.MucKind, string, []string) ([]Result, error)) func(f *fixture, by Actor) error {
	return func(f *fixture, by Actor) error {
		_, err := do(f.Service, f.Context(), by, f.kind, f.muc.Name, []string{"victim"})
		return err
	}
}

func listing(do func(*Service, context.Context, Actor, store.MucKind, string, int64, int) ([]store.Marked, error)) func(f *fixture, by Actor) error {
	return func(f *fixture, by Actor) error {
		_, err := do(f.Service, f.Context(), by, f.kind, f.muc.Name, 0, 10)
		return err
	}
}

func permitted(op Operation) func(f *fixture, by Actor) error {
	return func(f *fixture, by Actor) error {
		_, err := f.Permit(f.Context(), by, f.kind, f.muc.Name, op)
		return err
	}
}

// fixture makes a group or room for an operation. Users must be there.
func (w *world) fixture(kind store.MucKind, op Operation) *fixture {
	w.Helper()
	f := &fixture{world: w, kind: kind}
	private := op == SeePrivate || op == JoinPrivate || op == InviteOpen
	f.muc = w.make(kind, w.find("owner"), Options{Title: "old", Public: !private, AllowInvites: op == InviteOpen, MaxUsers: 20},
		w.find("admin"), w.find("member"), w.find("muted"), w.find("victim"))
	_, err := w.store.SetRole(w.Context(), f.muc.ID, w.find("admin").User.ID, store.RoleAdmin, 9)
	w.must(err)
	for mark, name := range map[store.Mark]string{store.MarkMute: "muted", store.MarkBan: "blocked", store.MarkInvite: "invited", store.MarkApply: "applicant"} {
		w.must(w.store.PutMarks(w.Context(), f.muc.ID, mark, []store.Marked{{User: peer(w.find(name).User), By: peer(w.find("owner").User), Until: store.Forever}}, 10))
	}
	return f
}

func (w *world) find(name string) Actor {
	w.Helper()
	user, err := w.accounts.User(w.Context(), w.app, name)
	w.must(err)
	return Actor{App: w.app, User: user}
}

// state is all that is known of a group or room.
func (f *fixture) state() string {
	f.Helper()
	var b strings.Builder
	m, err := f.store.MucByID(f.Context(), f.muc.ID)
	fmt.Fprintln(&b, m, err)
	members, err := f.store.ListMembers(f.Context(), f.muc.ID, store.MemberQuery{Limit: 100})
	fmt.Fprintln(&b, members, err)
	for mark := store.MarkMute; mark <= store.MarkApply; mark++ {
		marked, err := f.store.ListMarks(f.Context(), f.muc.ID, mark, 0, 0, 100)
		fmt.Fprintln(&b, marked, err)
	}
	attributes, err := f.store.RoomAttributes(f.Context(), f.muc.ID, nil)
	fmt.Fprintln(&b, attributes, err)
	return b.String()
}

func TestEveryOperationIsAllowedToWhomThePolicySaysAndToNobodyElse(t *testing.T) {
	for _, kind := range []store.MucKind{store.MucGroup, store.MucRoom} {
		t.Run(noun(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.users(cast...)
			other, err := w.accounts.CreateApp(t.Context(), account.NewApp{Key: "acme#other", Settings: account.DefaultSettings()})
			w.must(err)
			stranger, err := w.accounts.RegisterHashed(t.Context(), other, account.NewUser{Name: "owner"}, "")
			w.must(err)
			for _, rule := range Policy {
				if _, ok := Allows(kind, rule.Operation, Owner); !ok {
					continue
				}
				do := trials[rule.Operation]
				if do == nil {
					t.Errorf("%s is not tried", rule.Means)
					continue
				}
				f := w.fixture(kind, rule.Operation)
				for who := range standings {
					code, _ := Allows(kind, rule.Operation, who)
					before := f.state()
					err := do(f, w.find(who.String()))
					got, _ := errcode.CodeOf(err)
					changed := f.state() != before
					if got != code || changed != (code == 0 && !reads[rule.Operation]) && !(rule.Operation == Join && kind == store.MucRoom || rule.Operation == Leave) {
						t.Errorf("%s by %s: %v, want %d; changed: %v", rule.Means, who, err, code, changed)
					}
					if code != 0 && changed {
						t.Errorf("%s by %s is refused and changes something", rule.Means, who)
					}
					if changed {
						f = w.fixture(kind, rule.Operation)
					}
				}
				before := f.state()
				want := errcode.GroupNotExist
				if kind == store.MucRoom && rule.Operation != Send {
					want = errcode.ChatroomNotExist
				}
				err := do(f, Actor{App: other, User: stranger})
				if got, _ := errcode.CodeOf(err); got != want || f.state() != before {
					t.Errorf("%s by a user of another app: %v, want %d", rule.Means, err, want)
				}
			}
		})
	}
}

func TestNobodyTouchesTheOwnerAndOnlyTheOwnerAnAdmin(t *testing.T) {
	w := newWorld(t)
	w.users(cast...)
	w.user("second")
	for _, kind := range []store.MucKind{store.MucGroup, store.MucRoom} {
		f := w.fixture(kind, Remove)
		_, err := w.AddMembers(t.Context(), Backend(w.app), kind, f.muc.Name, []string{"second"})
		w.must(err)
		w.must(w.Appoint(t.Context(), w.find("owner"), kind, f.muc.Name, "second"))
		ctx, admin := t.Context(), w.find("admin")
		for name, do := range map[string]func(by Actor, name string) error{
			"remove": func(by Actor, name string) error {
				_, err := w.Remove(ctx, by, kind, f.muc.Name, []string{name})
				return err
			},
			"mute": func(by Actor, name string) error {
				_, err := w.Mute(ctx, by, kind, f.muc.Name, []string{name}, -1)
				return err
			},
			"ban": func(by Actor, name string) error {
				_, err := w.Ban(ctx, by, kind, f.muc.Name, []string{name})
				return err
			},
		} {
			before := f.state()
			for _, by := range []Actor{admin, w.find("owner"), Backend(w.app)} {
				w.refused(do(by, "owner"), errcode.PermissionDenied, ErrOnOwner)
			}
			w.refused(do(admin, "second"), errcode.PermissionDenied, ErrOnAdmin)
			if f.state() != before {
				t.Errorf("%s: a refusal has changed something", name)
			}
		}
		_, err = w.Remove(ctx, w.find("owner"), kind, f.muc.Name, []string{"second"})
		w.must(err)
		w.refused(w.Appoint(ctx, w.find("owner"), kind, f.muc.Name, "owner"), errcode.PermissionDenied, ErrOnOwner)
	}
}

func TestABackendMayDoEverything(t *testing.T) {
	w := newWorld(t)
	w.users(cast...)
	for _, kind := range []store.MucKind{store.MucGroup, store.MucRoom} {
		for _, rule := range Policy {
			switch rule.Operation {
			case Send, Join, JoinPrivate, AnswerInvitation, Leave, Shield, ReadOwn, SetOwnAttributes: // by users, for themselves
				continue
			}
			if _, ok := Allows(kind, rule.Operation, Owner); !ok && rule.Operation != Add {
				continue
			}
			if err := trials[rule.Operation](w.fixture(kind, rule.Operation), Backend(w.app)); err != nil {
				t.Errorf("%s in a %s: %v", rule.Means, noun(kind), err)
			}
		}
	}
}

func TestADisabledGroupOnlyShowsItself(t *testing.T) {
	w := newWorld(t)
	w.users(cast...)
	for _, kind := range []store.MucKind{store.MucGroup, store.MucRoom} {
		f := w.fixture(kind, See)
		w.must(w.Disable(t.Context(), w.app, kind, f.muc.Name, true))
		for _, rule := range Policy {
			if _, ok := Allows(kind, rule.Operation, Owner); !ok || rule.Operation == SeePrivate || whileDisabled[rule.Operation] {
				continue
			}
			before := f.state()
			w.refused(trials[rule.Operation](f, w.find("owner")), errcode.GroupDisabled, ErrDisabled)
			if f.state() != before {
				t.Errorf("%s has changed something", rule.Means)
			}
		}
		w.must(trials[See](f, w.find("stranger")))
		w.must(trials[Leave](f, w.find("member")))
		w.must(w.Disable(t.Context(), w.app, kind, f.muc.Name, false))
		w.must(trials[Announce](f, w.find("owner")))
	}
}
