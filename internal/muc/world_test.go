package muc

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/account/accounttest"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

// world is a node without edges, with one application.
type world struct {
	testing.TB
	*Service
	store *sqlite.Store
	hub   *delivery.Hub
	app   *account.App
	clock *clock.Clock
}

func newWorld(t testing.TB) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := sqlitetest.Open(t, log)
	n := accounttest.New(t, s, log)
	w := &world{TB: t, Service: New(n.Accounts, s, n.Delivery, n.Bus, n.Clock, log), store: s, hub: n.Hub, app: n.App, clock: n.Clock}
	n.Accounts.BeforeDelete(w.Forget)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) user(name string) Actor {
	w.Helper()
	user, err := w.accounts.RegisterHashed(w.Context(), w.app, account.NewUser{Name: name}, "")
	w.must(err)
	return Actor{App: w.app, User: user}
}

func (w *world) users(names ...string) (actors []Actor) {
	w.Helper()
	for _, name := range names {
		actors = append(actors, w.user(name))
	}
	return actors
}

func (w *world) set(settings string) {
	w.Helper()
	_, err := w.accounts.ChangeSettings(w.Context(), w.app, []byte(settings))
	w.must(err)
}

// group makes a group of an owner and members, without an event to them.
func (w *world) group(owner Actor, o Options, members ...Actor) store.Muc {
	w.Helper()
	return w.make(store.MucGroup, owner, o, members...)
}

func (w *world) room(owner Actor, o Options, members ...Actor) store.Muc {
	w.Helper()
	return w.make(store.MucRoom, owner, o, members...)
}

func (w *world) make(kind store.MucKind, owner Actor, o Options, members ...Actor) store.Muc {
	w.Helper()
	o.Owner = owner.User.Name
	for _, member := range members {
		o.Members = append(o.Members, member.User.Name)
	}
	m, err := w.Create(w.Context(), Backend(w.app), kind, o)
	w.must(err)
	return m
}

// told returns the MUC events that a user has been given on a timeline, or with none on all: "OPERATION from to: reason".
func (w *world) told(who Actor, kinds ...store.Kind) (lines []string) {
	w.Helper()
	subscriptions, err := w.store.Subscriptions(w.Context(), who.User.ID)
	w.must(err)
	for _, sub := range subscriptions {
		if len(kinds) > 0 && sub.Key.Kind != kinds[0] {
			continue
		}
		entries, err := w.store.ReadTimeline(w.Context(), sub.ID, 0, 500, 1<<20)
		w.must(err)
		for _, e := range entries {
			if sub.Reads(e.Seq) && e.Audience.Has(who.User.ID) {
				lines = append(lines, w.line(e))
			}
		}
	}
	return lines
}

func (w *world) line(e store.Entry) string {
	w.Helper()
	var meta msync.Meta
	var body msync.MUCBody
	w.must(proto.Unmarshal(e.Meta, &meta))
	w.must(proto.Unmarshal(meta.Payload, &body))
	if meta.Ns != msync.Meta_MUC || meta.From == nil || body.MucId.GetName() == "" || body.From == nil {
		w.Errorf("meta lacks something that clients need: %v %v", &meta, &body)
	}
	line := fmt.Sprintf("%v %s", body.Operation, body.From.GetName())
	var to []string
	for _, jid := range body.To {
		to = append(to, jid.Name)
	}
	if len(to) > 0 {
		line += " to " + strings.Join(to, ",")
	}
	if len(body.Members) > 0 {
		line += " members " + strings.Join(body.Members, ",")
	}
	for _, text := range []string{body.Reason, body.Ext, body.EventInfo.GetExt()} {
		if text != "" {
			line += ": " + text
		}
	}
	if body.MucMemberCount != 0 {
		line += fmt.Sprintf(" (%d)", body.MucMemberCount)
	}
	if e.Device != 0 {
		line += fmt.Sprintf(" not to %d", e.Device)
	}
	return line
}

func (w *world) refused(err error, code errcode.Code, sentinel error) {
	w.Helper()
	if got, _ := errcode.CodeOf(err); got != code || sentinel != nil && !errors.Is(err, sentinel) {
		w.Errorf("error is %v, want %d, %v", err, code, sentinel)
	}
}

func same[T any](t testing.TB, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// sink is a session's edge: it keeps what is pushed.
type sink struct{ frames chan []byte }

func (s *sink) Queue(frame []byte, _ bool) bool { s.frames <- frame; return true }
func (s *sink) Flush()                          {}
func (s *sink) Kick(delivery.Kick)              {}
func (s *sink) Extend(int64)                    {}

// online opens a session of a user and returns what is pushed to it.
func (w *world) online(who Actor) (*delivery.Session, *sink) {
	w.Helper()
	s := &sink{make(chan []byte, 10_000)}
	row := store.Session{ID: 1000 + who.User.ID, User: who.User.ID, Device: 2000 + who.User.ID, Resource: "r"}
	_, err := w.store.PutSession(w.Context(), row, time.Now().UnixMilli())
	w.must(err)
	session, err := w.hub.Open(delivery.Identity{Session: row.ID, User: row.User, Device: row.Device, Name: who.User.Name, Alias: who.User.Name}, s)
	w.must(err)
	w.Cleanup(func() { session.Close(w.Context()) })
	_, err = session.Unread(w.Context()) // as a client does, before it is sent anything
	w.must(err)
	return session, s
}
