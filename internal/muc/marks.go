package muc

import (
	"context"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Mute forbids members to write for a time: until it ends, or for ever (negative). It lasts also if they leave and come
// again. All members of a group are told; of a room the muted, its owner and its admins. The error is one of the policy, or
// -3 (ErrNoNames, ErrDuration), 50 (ErrTooManyNames), or if all users are refused that of the first: 602 and 702
// (ErrNotMember), 603 (ErrOnOwner, ErrOnAdmin), 204.
func (s *Service) Mute(ctx context.Context, actor Actor, kind store.MucKind, id string, names []string, lasts time.Duration) ([]Result, error) {
	if lasts == 0 {
		return nil, refuse(errcode.InvalidParameter, ErrDuration, "the duration is in milliseconds; -1 is for ever")
	}
	until := s.muteEnd(lasts)
	return s.onMembers(ctx, actor, kind, id, Mute, names, func(ctx context.Context, sc scene, users []store.Peer, results []Result) error {
		for i := range results {
			if results[i].Err == nil {
				results[i].Until = until
			}
		}
		return s.mute(ctx, sc, users, until)
	})
}

// muteEnd is when a mute ends that lasts so long; negative: for ever.
func (s *Service) muteEnd(lasts time.Duration) int64 {
	if lasts < 0 {
		return store.Forever
	}
	return s.now() + lasts.Milliseconds()
}

// mute marks members as muted and tells of it.
func (s *Service) mute(ctx context.Context, sc scene, users []store.Peer, until int64) error {
	var marks []store.Marked
	for _, user := range users {
		marks = append(marks, store.Marked{User: user, Until: until, Created: s.now()})
	}
	if err := s.mark(ctx, sc.muc, store.MarkMute, marks, sc.muc.MaxUsers+MaxBanned); err != nil {
		return err
	}
	for _, user := range users {
		e := event{operation: msync.MUCBody_ADD_MUTE, to: []string{user.Name}, ext: muteTimes(user.Name, until)}
		if err := s.toConcerned(ctx, sc, e, user); err != nil {
			return err
		}
	}
	return nil
}

// muteTimes is the ext of ADD_MUTE.
func muteTimes(name string, until int64) string {
	return `{"user_mute_time":{` + strconv.Quote(name) + `:` + strconv.FormatInt(until, 10) + `}}`
}

// toConcerned tells of a mute: in a group all members, in a room the member, the owner and the admins.
func (s *Service) toConcerned(ctx context.Context, sc scene, e event, user store.Peer) error {
	if sc.muc.Kind != store.MucRoom {
		return s.toAll(ctx, sc.Actor, sc.muc, e)
	}
	staff, err := s.store.ListMembers(ctx, sc.muc.ID, store.MemberQuery{Role: store.RoleAdmin, Limit: MaxAdmins + 1})
	if err != nil {
		return err
	}
	told := []store.Peer{user}
	for _, member := range staff {
		if member.User.ID != user.ID {
			told = append(told, member.User)
		}
	}
	return s.toUsers(ctx, sc.Actor, sc.muc, e, told...)
}

// Unmute ends mutes, and tells as Mute does. It is no error if a member is not muted. The errors are those of Mute.
func (s *Service) Unmute(ctx context.Context, actor Actor, kind store.MucKind, id string, names []string) ([]Result, error) {
	return s.lift(ctx, actor, kind, id, Mute, names, s.unmute)
}

// unmute ends mutes and tells of it.
func (s *Service) unmute(ctx context.Context, sc scene, users []store.Peer) error {
	return s.drop(ctx, sc, store.MarkMute, users, func(user store.Peer) error {
		return s.toConcerned(ctx, sc, event{operation: msync.MUCBody_REMOVE_MUTE, to: []string{user.Name}}, user)
	})
}

// Allow puts members on the allow list: they may write while all are muted. They are told. The errors are those of Mute.
func (s *Service) Allow(ctx context.Context, actor Actor, kind store.MucKind, id string, names []string) ([]Result, error) {
	return s.onMembers(ctx, actor, kind, id, Allow, names, func(ctx context.Context, sc scene, users []store.Peer, _ []Result) error {
		var marks []store.Marked
		for _, user := range users {
			marks = append(marks, store.Marked{User: user, Created: s.now()})
		}
		if err := s.mark(ctx, sc.muc, store.MarkAllow, marks, sc.muc.MaxUsers); err != nil {
			return err
		}
		for _, user := range users {
			if err := s.toMember(ctx, sc, event{operation: msync.MUCBody_ADD_USER_WHITE_LIST, to: []string{user.Name}}, user); err != nil {
				return err
			}
		}
		return nil
	})
}

// Disallow takes members off the allow list, and tells them. It is no error if one is not there. The errors are those of
// Mute.
func (s *Service) Disallow(ctx context.Context, actor Actor, kind store.MucKind, id string, names []string) ([]Result, error) {
	return s.lift(ctx, actor, kind, id, Allow, names, func(ctx context.Context, sc scene, users []store.Peer) error {
		return s.drop(ctx, sc, store.MarkAllow, users, func(user store.Peer) error {
			return s.toMember(ctx, sc, event{operation: msync.MUCBody_REMOVE_USER_WHITE_LIST, to: []string{user.Name}}, user)
		})
	})
}

// onMembers does something to several members.
func (s *Service) onMembers(ctx context.Context, actor Actor, kind store.MucKind, id string, op Operation, names []string,
	do func(ctx context.Context, sc scene, users []store.Peer, results []Result) error) ([]Result, error) {
	sc, users, results, err := s.touch(ctx, actor, kind, id, op, names, true)
	if err != nil {
		return nil, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if len(users) > 0 {
		if err := do(ctx, sc, users, results); err != nil {
			return nil, err
		}
	}
	return whole(results)
}

// lift removes marks of users who need be no members any more.
func (s *Service) lift(ctx context.Context, actor Actor, kind store.MucKind, id string, op Operation, names []string,
	do func(ctx context.Context, sc scene, users []store.Peer) error) ([]Result, error) {
	sc, users, results, err := s.touch(ctx, actor, kind, id, op, names, false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if err := do(ctx, sc, users); err != nil {
		return nil, err
	}
	return whole(results)
}

// drop removes marks and tells those who had them.
func (s *Service) drop(ctx context.Context, sc scene, mark store.Mark, users []store.Peer, tell func(user store.Peer) error) error {
	dropped, err := s.store.DropMarks(ctx, sc.muc.ID, mark, idsOf(users))
	s.moved(sc.muc, idsOf(users)...)
	if err != nil {
		return err
	}
	for _, user := range dropped {
		if err := tell(user); err != nil {
			return err
		}
	}
	return nil
}

// Ban keeps users out, members or not: members are removed as by Remove. The errors are those of Mute, but users need be no
// members, and 50 (ErrListFull).
func (s *Service) Ban(ctx context.Context, actor Actor, kind store.MucKind, id string, names []string) ([]Result, error) {
	sc, users, results, err := s.touch(ctx, actor, kind, id, Ban, names, false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	var marks []store.Marked
	for _, user := range users {
		marks = append(marks, store.Marked{User: user, Created: s.now()})
	}
	if len(users) > 0 {
		// First the ban, then the removal: who is out cannot come in again between the two.
		if err := s.mark(ctx, sc.muc, store.MarkBan, marks, MaxBanned); err != nil {
			return nil, err
		}
		if err := s.expel(ctx, sc, users); err != nil {
			return nil, err
		}
		if err := s.unheard(sc.Actor, sc.muc, event{operation: msync.MUCBody_BAN, to: namesOf(users)}); err != nil {
			return nil, err
		}
	}
	return whole(results)
}

// Unban lets users in again, and tells them. It is no error if one is not on the block list. The errors are those of the
// policy, -3 (ErrNoNames), 50 (ErrTooManyNames) and 204.
func (s *Service) Unban(ctx context.Context, actor Actor, kind store.MucKind, id string, names []string) ([]Result, error) {
	return s.lift(ctx, actor, kind, id, Ban, names, func(ctx context.Context, sc scene, users []store.Peer) error {
		return s.drop(ctx, sc, store.MarkBan, users, func(user store.Peer) error {
			return s.toUsers(ctx, sc.Actor, sc.muc, event{operation: msync.MUCBody_ALLOW, to: []string{user.Name}}, user)
		})
	})
}

// Muted returns up to limit muted users, in the order in which they were muted first, from the row above after on. The
// errors are those of the policy.
func (s *Service) Muted(ctx context.Context, actor Actor, kind store.MucKind, id string, after int64, limit int) ([]store.Marked, error) {
	return s.marked(ctx, actor, kind, id, ReadMutes, store.MarkMute, after, limit)
}

// Allowed is Muted for the allow list. The owner and admins, who may always write, need not be on it.
func (s *Service) Allowed(ctx context.Context, actor Actor, kind store.MucKind, id string, after int64, limit int) ([]store.Marked, error) {
	return s.marked(ctx, actor, kind, id, ReadAllowed, store.MarkAllow, after, limit)
}

// Banned is Muted for the block list.
func (s *Service) Banned(ctx context.Context, actor Actor, kind store.MucKind, id string, after int64, limit int) ([]store.Marked, error) {
	return s.marked(ctx, actor, kind, id, ReadBanned, store.MarkBan, after, limit)
}

func (s *Service) marked(ctx context.Context, actor Actor, kind store.MucKind, id string, op Operation, mark store.Mark, after int64, limit int) ([]store.Marked, error) {
	sc, err := s.permit(ctx, actor, kind, id, op)
	if err != nil {
		return nil, err
	}
	return s.store.ListMarks(ctx, sc.muc.ID, mark, s.now(), after, limit)
}
