package muc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	gatherTime = 250 * time.Millisecond // who comes to a room within it, after the first, is told of together
	sweepEvery = 4                      // times gatherTime
	// finishEvery is how often one looks for what nodes that have died have left. It is longer than a change may take: what
	// is found twice is nobody's any more.
	finishEvery = 2 * writeTime
)

// Run does what has to be done from time to time, until the context ends: it tells rooms who has come and gone, removes from
// chatrooms who has been away for too long, and finishes what a node that died has left of destroyed groups.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(gatherTime)
	defer tick.Stop()
	warn := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			s.log.Warn(what, "error", err)
		}
	}
	_, err := s.finish(ctx, func(int64) bool { return true })
	warn("finish destroyed groups", err)
	var closed map[int64]bool
	looked := time.Now()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.Flush()
		warn("tell of messages in threads", s.tellSpoken(ctx))
		if n%sweepEvery == 0 {
			warn("look for members who are away", s.Sweep(ctx))
		}
		if time.Since(looked) >= finishEvery {
			looked = time.Now()
			closed, err = s.finish(ctx, func(muc int64) bool { return closed[muc] })
			warn("finish destroyed groups", err)
		}
	}
}

// finish removes what is left of groups and rooms that were being destroyed, of those that are abandoned, and returns the
// others.
func (s *Service) finish(ctx context.Context, abandoned func(muc int64) bool) (others map[int64]bool, err error) {
	const most = 1000
	closed, err := s.store.ClosedMucs(ctx, most)
	others = map[int64]bool{}
	for _, m := range closed {
		if !abandoned(m.ID) {
			others[m.ID] = true
			continue
		}
		app, ok := s.accounts.AppByID(m.App)
		if !ok {
			return others, fmt.Errorf("group %d belongs to no application", m.ID)
		}
		if err := s.dissolve(ctx, Backend(app), m); err != nil {
			return others, err
		}
	}
	return others, err
}

// Forget takes a user out of everything, before the user is deleted: what the user owns goes to the oldest admin, else to
// the oldest member, and is destroyed if there is nobody else.
func (s *Service) Forget(ctx context.Context, app *account.App, user store.User) error {
	ctx = context.WithoutCancel(ctx)
	for _, kind := range []store.MucKind{store.MucThread, store.MucGroup, store.MucRoom} {
		for {
			joined, err := s.store.JoinedMucs(ctx, store.JoinedQuery{User: user.ID, Kind: kind, Limit: memberSlice})
			if err != nil {
				return err
			}
			if len(joined) == 0 {
				break
			}
			for _, j := range joined {
				if err := s.forget(ctx, scene{Actor: Backend(app), muc: j.Muc, stand: store.Standing{Role: j.Role}}, user); err != nil && !errors.Is(err, ErrNotExist) {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Service) forget(ctx context.Context, sc scene, user store.User) error {
	if sc.stand.Role == store.RoleOwner {
		heir, err := s.heir(ctx, sc.muc)
		if err != nil {
			return err
		}
		if heir.ID == 0 && sc.muc.Kind == store.MucThread {
			return s.DestroyThread(ctx, sc.Actor, sc.muc.Name)
		}
		if heir.ID == 0 {
			return s.Destroy(ctx, sc.Actor, sc.muc.Kind, sc.muc.Name)
		}
		if err := s.transfer(ctx, sc, heir); err != nil {
			return err
		}
	}
	return s.leave(ctx, sc, peer(user))
}

// heir is who follows the owner; zero: there is nobody.
func (s *Service) heir(ctx context.Context, m store.Muc) (store.Peer, error) {
	for _, role := range []store.Role{store.RoleAdmin, store.RoleMember} {
		members, err := s.store.ListMembers(ctx, m.ID, store.MemberQuery{Role: role, Limit: 2})
		if err != nil {
			return store.Peer{}, err
		}
		for _, member := range members {
			if member.Role != store.RoleOwner {
				return member.User, nil
			}
		}
	}
	return store.Peer{}, nil
}
