package muc

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
)

// slowStore counts what the message path asks, and can hold a reading up after it was taken.
type slowStore struct {
	Store
	mu    sync.Mutex
	asked int
	taken chan struct{} // a reading of a standing was taken; nil: nothing is held up
	go_   chan struct{}
}

func (s *slowStore) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
}

func (s *slowStore) Muc(ctx context.Context, app int64, name string) (store.Muc, error) {
	s.count()
	return s.Store.Muc(ctx, app, name)
}

func (s *slowStore) MucByID(ctx context.Context, id int64) (store.Muc, error) {
	s.count()
	return s.Store.MucByID(ctx, id)
}

func (s *slowStore) Standing(ctx context.Context, muc, user int64) (store.Standing, error) {
	s.count()
	st, err := s.Store.Standing(ctx, muc, user)
	if s.taken != nil {
		s.taken <- struct{}{}
		<-s.go_
	}
	return st, err
}

func (w *world) sends(who Actor, m store.Muc) error {
	_, err := w.MaySend(w.Context(), w.app, who.User, m.Name)
	return err
}

func TestWhoMaySendCostsNoQuery(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	g := w.group(u[0], Options{Title: "g"}, u[1])
	counted := &slowStore{Store: w.store}
	w.Service.store = counted
	target, err := w.MaySend(t.Context(), w.app, u[1].User, g.Name)
	w.must(err)
	same(t, target, Target{ID: g.ID, Kind: store.MucGroup, Name: g.Name, Title: "g", Owner: peer(u[0].User), Members: 2, Role: store.RoleMember})
	first := counted.asked
	for range 100 {
		w.must(w.sends(u[1], g))
	}
	if counted.asked != first {
		t.Errorf("a hundred messages cost %d queries", counted.asked-first)
	}
}

func TestAnIDThatIsUsedAgainIsTheNewGroup(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	other := New(w.accounts, w.store, w.delivery, w.bus, w.clock, w.log)
	w.Service.bus = hearing{w.bus, other.Heard}
	for _, title := range []string{"first", "second", "third"} {
		g := w.group(u[0], Options{ID: "mine", Title: title}, u[1])
		for _, node := range []*Service{w.Service, other} {
			target, err := node.MaySend(t.Context(), w.app, u[1].User, "mine")
			w.must(err)
			same(t, target.Title, title)
		}
		w.must(w.Destroy(t.Context(), u[0], store.MucGroup, g.Name))
		for _, node := range []*Service{w.Service, other} {
			_, err := node.MaySend(t.Context(), w.app, u[1].User, "mine")
			w.refused(err, errcode.GroupNotExist, ErrNotExist)
		}
	}
}

func TestEveryChangeIsSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	alice, bob, carol := u[0], u[1], u[2]
	ctx := t.Context()
	for _, m := range []store.Muc{w.group(alice, Options{Title: "g"}, bob), w.room(alice, Options{Title: "r"}, bob)} {
		names := []string{"bob"}
		w.refused(w.sends(carol, m), errcode.GroupNotJoined, ErrNotMember)
		_, err := w.AddMembers(ctx, Backend(w.app), m.Kind, m.Name, []string{"carol"})
		w.must(err)
		w.must(w.sends(carol, m))
		w.must(w.MuteAll(ctx, alice, m.Kind, m.Name, true))
		w.refused(w.sends(bob, m), errcode.NotAllowedMuteAll, ErrMutedAll)
		w.must(w.sends(alice, m))
		_, err = w.Allow(ctx, alice, m.Kind, m.Name, names)
		w.must(err)
		w.must(w.sends(bob, m))
		_, err = w.Mute(ctx, alice, m.Kind, m.Name, names, time.Hour) // beats the allow list
		w.must(err)
		w.refused(w.sends(bob, m), errcode.Muted, ErrMuted)
		_, err = w.Unmute(ctx, alice, m.Kind, m.Name, names)
		w.must(err)
		_, err = w.Disallow(ctx, alice, m.Kind, m.Name, names)
		w.must(err)
		w.refused(w.sends(bob, m), errcode.NotAllowedMuteAll, ErrMutedAll)
		w.must(w.Appoint(ctx, alice, m.Kind, m.Name, "bob"))
		w.must(w.sends(bob, m))
		w.must(w.Dismiss(ctx, alice, m.Kind, m.Name, "bob"))
		w.must(w.MuteAll(ctx, alice, m.Kind, m.Name, false))
		w.must(w.Disable(ctx, w.app, m.Kind, m.Name, true))
		w.refused(w.sends(bob, m), errcode.GroupDisabled, ErrDisabled)
		w.must(w.Disable(ctx, w.app, m.Kind, m.Name, false))
		w.must(w.sends(bob, m))
		_, err = w.Ban(ctx, alice, m.Kind, m.Name, names)
		w.must(err)
		w.refused(w.sends(bob, m), errcode.GroupNotJoined, ErrNotMember)
		w.must(w.Destroy(ctx, alice, m.Kind, m.Name))
		w.refused(w.sends(carol, m), errcode.GroupNotExist, ErrNotExist)
	}
}

func TestAMuteEndsByTheAppsClock(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	g := w.group(u[0], Options{Title: "g"}, u[1])
	results, err := w.Mute(t.Context(), u[0], store.MucGroup, g.Name, []string{"bob"}, time.Hour)
	w.must(err)
	if lasts := time.UnixMilli(results[0].Until).Sub(w.clock.Now()); lasts < 59*time.Minute || lasts > time.Hour {
		t.Errorf("the mute lasts %v", lasts)
	}
	w.refused(w.sends(u[1], g), errcode.Muted, ErrMuted)
	w.clock.Advance(time.Hour + time.Second)
	w.must(w.sends(u[1], g))
	_, err = w.Mute(t.Context(), u[0], store.MucGroup, g.Name, []string{"bob"}, -1)
	w.must(err)
	w.clock.Advance(10_000 * time.Hour)
	w.refused(w.sends(u[1], g), errcode.Muted, ErrMuted)
	_, err = w.Mute(t.Context(), u[0], store.MucGroup, g.Name, []string{"bob"}, 0)
	w.refused(err, errcode.InvalidParameter, ErrDuration)
}

func TestALateReadingIsNotKeptAfterAChange(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	g := w.group(u[0], Options{Title: "g"}, u[1])
	slow := &slowStore{Store: w.store, taken: make(chan struct{}), go_: make(chan struct{})}
	reader := New(w.accounts, slow, w.delivery, w.bus, w.clock, w.log)
	result := make(chan error)
	go func() {
		_, err := reader.MaySend(context.Background(), w.app, u[1].User, g.Name)
		result <- err
	}()
	<-slow.taken // what was read is from before the mute
	_, err := w.Mute(t.Context(), u[0], store.MucGroup, g.Name, []string{"bob"}, time.Hour)
	w.must(err)
	reader.Heard(wordOf(g.ID, u[1].User.ID))
	slow.go_ <- struct{}{}
	w.must(<-result)
	slow.taken = nil
	_, err = reader.MaySend(t.Context(), w.app, u[1].User, g.Name)
	w.refused(err, errcode.Muted, ErrMuted)
}

func TestAChangeIsToldToOtherNodes(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	g := w.group(u[0], Options{Title: "g"}, u[1])
	other := New(w.accounts, w.store, w.delivery, w.bus, w.clock, w.log)
	w.Service.bus = hearing{w.bus, other.Heard}
	_, err := other.MaySend(t.Context(), w.app, u[1].User, g.Name)
	w.must(err)
	_, err = w.Mute(t.Context(), u[0], store.MucGroup, g.Name, []string{"bob"}, time.Hour)
	w.must(err)
	_, err = other.MaySend(t.Context(), w.app, u[1].User, g.Name)
	w.refused(err, errcode.Muted, ErrMuted)
	w.must(w.Disable(t.Context(), w.app, store.MucGroup, g.Name, true))
	_, err = other.MaySend(t.Context(), w.app, u[1].User, g.Name)
	w.refused(err, errcode.GroupDisabled, ErrDisabled)
}

// hearing is a bus that another node hears.
type hearing struct {
	bus.Bus
	heard func([]byte)
}

func (h hearing) Publish(subject bus.Subject, data []byte) error {
	if subject.Kind == bus.KindAll {
		h.heard(data)
	}
	return h.Bus.Publish(subject, data)
}
