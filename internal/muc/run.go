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
	warn("finish destroyed groups", s.finish(ctx))
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
	}
}

// finish removes what is left of groups and rooms that were being destroyed.
func (s *Service) finish(ctx context.Context) error {
	const page = 100
	for {
		closed, err := s.store.ClosedMucs(ctx, page)
		if err != nil || len(closed) == 0 {
			return err
		}
		for _, m := range closed {
			app, ok := s.accounts.AppByID(m.App)
			if !ok {
				return fmt.Errorf("group %d belongs to no application", m.ID)
			}
			if err := s.dissolve(ctx, Backend(app), m); err != nil {
				return err
			}
		}
	}
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
