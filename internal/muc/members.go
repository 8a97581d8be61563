package muc

import (
	"context"
	"errors"
	"slices"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// begun does what follows when users have become members: all nodes forget how they stood, and their sessions are sent what
// comes after entry at of the timeline, or what happens in the room.
func (s *Service) begun(m store.Muc, joined store.MemberChange) {
	ids := idsOf(joined.Users)
	s.moved(m, ids...)
	if m.Kind == store.MucRoom {
		s.delivery.Subscribed(ids, m.ID, 0, 0)
	} else {
		s.delivery.Subscribed(ids, m.ID, joined.Timeline, joined.At)
	}
}

// ended is begun for users who are members no more.
func (s *Service) ended(m store.Muc, left store.MemberChange) {
	ids := idsOf(left.Users)
	s.moved(m, ids...)
	if m.Kind == store.MucRoom {
		s.delivery.Unsubscribed(ids, m.ID, 0, 0)
	} else {
		s.delivery.Unsubscribed(ids, m.ID, left.Timeline, left.At)
	}
}

func idsOf(users []store.Peer) []int64 {
	ids := make([]int64, len(users))
	for i, user := range users {
		ids[i] = user.ID
	}
	return ids
}

func namesOf(users []store.Peer) []string {
	names := make([]string, len(users))
	for i, user := range users {
		names[i] = user.Name
	}
	return names
}

// present tells the members who has come.
func (s *Service) present(ctx context.Context, actor Actor, m store.Muc, joined store.MemberChange, ext string) error {
	return s.comeOrGone(ctx, actor, m, event{operation: msync.MUCBody_PRESENCE, count: joined.Members, ext: ext}, joined.Users)
}

// absent tells the members who has gone.
func (s *Service) absent(ctx context.Context, actor Actor, m store.Muc, left store.MemberChange) error {
	return s.comeOrGone(ctx, actor, m, event{operation: msync.MUCBody_ABSENCE, count: left.Members}, left.Users)
}

func (s *Service) comeOrGone(ctx context.Context, actor Actor, m store.Muc, e event, users []store.Peer) error {
	if m.Kind == store.MucThread || actor.Quiet { // of threads there are no such events
		return nil
	}
	if m.Kind == store.MucRoom {
		s.gather(actor, m, e, users)
		return nil
	}
	e.from = users[0].Name
	if len(users) > 1 {
		e.members = namesOf(users)
	}
	return s.toAll(ctx, actor, m, e)
}

// Leave ends the actor's membership, and tells the others. The owner cannot leave a group, and stays the owner of a
// chatroom. The errors are those of the policy.
func (s *Service) Leave(ctx context.Context, actor Actor, kind store.MucKind, id string) (Target, error) {
	sc, err := s.permit(ctx, actor, kind, id, Leave)
	if err != nil {
		return Target{}, err
	}
	return target(sc.muc, sc.stand), s.leave(ctx, sc, peer(actor.User))
}

// leave ends the membership of users by their own doing.
func (s *Service) leave(ctx context.Context, sc scene, users ...store.Peer) error {
	ctx, cancel := outlast(ctx)
	defer cancel()
	left, err := s.part(ctx, sc, idsOf(users))
	if err != nil || len(left.Users) == 0 {
		return err
	}
	if err := s.absent(ctx, sc.Actor, sc.muc, left); err != nil || sc.muc.Kind != store.MucGroup {
		return err
	}
	return s.toSelf(ctx, sc.Actor, sc.muc, event{operation: msync.MUCBody_LEAVE})
}

// part removes members, and with them the attributes of a room that they have set.
func (s *Service) part(ctx context.Context, sc scene, users []int64) (store.MemberChange, error) {
	left, err := s.store.RemoveMembers(ctx, sc.muc.ID, users)
	if errors.Is(err, store.ErrNotFound) {
		return left, notExist(sc.muc.Kind, sc.muc.Name)
	} else if err != nil || len(left.Users) == 0 {
		return left, err
	}
	s.ended(sc.muc, left)
	if sc.muc.Kind == store.MucGroup {
		return left, s.leaveThreads(ctx, sc.Actor, sc.muc, left.Users)
	}
	return left, s.toldAttributes(ctx, sc, msync.MUCBody_DELETE_METADATA, left.Keys, nil)
}

// Remove ends the membership of others, who are told, and so are the remaining members. The error is one of the policy, or
// -3 (ErrNoNames), 50 (ErrTooManyNames), or if all users are refused that of the first: 602 and 702 (ErrNotMember), 603
// (ErrOnOwner, ErrOnAdmin), 204.
func (s *Service) Remove(ctx context.Context, actor Actor, kind store.MucKind, id string, names []string) ([]Result, error) {
	sc, people, results, err := s.touch(ctx, actor, kind, id, Remove, names, true)
	if err != nil {
		return nil, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if err := s.expel(ctx, sc, people); err != nil {
		return nil, err
	}
	return whole(results)
}

// touch begins an operation on several users: it returns those on whom it is allowed, and the results so far. With members
// the others must be members.
func (s *Service) touch(ctx context.Context, actor Actor, kind store.MucKind, id string, op Operation, names []string, members bool) (scene, []store.Peer, []Result, error) {
	sc, err := s.permit(ctx, actor, kind, id, op)
	if err != nil {
		return sc, nil, nil, err
	}
	people, err := s.persons(ctx, actor.App, names, MaxNames)
	if err != nil {
		return sc, nil, nil, err
	}
	rows, err := s.roles(ctx, sc.muc, people)
	if err != nil {
		return sc, nil, nil, err
	}
	results := make([]Result, len(people))
	var users []store.Peer
	for i, p := range people {
		results[i] = Result{User: p.user.Name, Err: p.err}
		if p.err != nil {
			continue
		}
		row, in := rows[p.user.ID]
		if members && !in {
			results[i].Err = notMember(kind, p.user.Name)
		} else {
			results[i].Err = mayTouch(sc, p.user, row.Role)
		}
		if results[i].Err == nil {
			users = append(users, peer(p.user))
		}
	}
	return sc, users, results, nil
}

// expel removes members, tells them, and tells the others.
func (s *Service) expel(ctx context.Context, sc scene, users []store.Peer) error {
	if len(users) == 0 {
		return nil
	}
	left, err := s.part(ctx, sc, idsOf(users))
	if err != nil || len(left.Users) == 0 {
		return err
	}
	for _, user := range left.Users {
		if err := s.toUsers(ctx, sc.Actor, sc.muc, event{operation: msync.MUCBody_KICK, to: []string{user.Name}}, user); err != nil {
			return err
		}
	}
	return s.absent(ctx, sc.Actor, sc.muc, left)
}

// MembersQuery asks for a page of a member list, in order of joining.
type MembersQuery struct {
	After  int64 // only rows above it: store.Member.Row of the last one of the page before
	Offset int
	Limit  int
}

// Members returns a page of the members, and where the list ends. The errors are those of the policy.
func (s *Service) Members(ctx context.Context, actor Actor, kind store.MucKind, id string, q MembersQuery) ([]store.Member, Target, error) {
	sc, err := s.permit(ctx, actor, kind, id, ReadList)
	if err != nil {
		return nil, Target{}, err
	}
	members, err := s.store.ListMembers(ctx, sc.muc.ID, store.MemberQuery{After: q.After, Offset: q.Offset, Limit: q.Limit})
	return members, target(sc.muc, sc.stand), err
}

// Admins returns the admins, without the owner. The errors are those of the policy.
func (s *Service) Admins(ctx context.Context, actor Actor, kind store.MucKind, id string) ([]store.Member, error) {
	sc, err := s.permit(ctx, actor, kind, id, ReadList)
	if err != nil {
		return nil, err
	}
	staff, err := s.store.ListMembers(ctx, sc.muc.ID, store.MemberQuery{Role: store.RoleAdmin, Limit: MaxAdmins + 1})
	return slices.DeleteFunc(staff, func(m store.Member) bool { return m.Role == store.RoleOwner }), err
}

// StandingOf returns how a user stands. Members ask about themselves, admins and the owner about anybody. The errors are
// those of the policy, and code 204.
func (s *Service) StandingOf(ctx context.Context, actor Actor, kind store.MucKind, id, name string) (store.Standing, error) {
	op := ReadAllowed
	if !actor.IsBackend() && account.Fold(name) == actor.User.Name {
		op = ReadOwn
	}
	sc, err := s.permit(ctx, actor, kind, id, op)
	if err != nil || op == ReadOwn {
		return sc.stand, err
	}
	user, err := s.accounts.User(ctx, actor.App, name)
	if err != nil {
		return store.Standing{}, err
	}
	return s.store.Standing(ctx, sc.muc.ID, user.ID)
}

// Appoint makes a member an admin, who is told. It is no error if it is one. The errors are those of the policy, and code
// 204, 602 and 702 (ErrNotMember) and 603 (ErrOnOwner, ErrAdminsFull).
func (s *Service) Appoint(ctx context.Context, actor Actor, kind store.MucKind, id, name string) error {
	return s.setRole(ctx, actor, kind, id, name, store.RoleAdmin, msync.MUCBody_ADD_ADMIN)
}

// Dismiss makes an admin a member, who is told. It is no error if it is one. The errors are those of Appoint.
func (s *Service) Dismiss(ctx context.Context, actor Actor, kind store.MucKind, id, name string) error {
	return s.setRole(ctx, actor, kind, id, name, store.RoleMember, msync.MUCBody_REMOVE_ADMIN)
}

func (s *Service) setRole(ctx context.Context, actor Actor, kind store.MucKind, id, name string, role store.Role, op msync.MUCBody_Operation) error {
	sc, people, results, err := s.touch(ctx, actor, kind, id, Appoint, []string{name}, true)
	if err != nil {
		return err
	}
	if results[0].Err != nil {
		return results[0].Err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	user := people[0]
	changed, err := s.store.SetRole(ctx, sc.muc.ID, user.ID, role, MaxAdmins)
	s.moved(sc.muc, user.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return notMember(kind, user.Name)
	case errors.Is(err, store.ErrFull):
		return refuse(errcode.PermissionDenied, ErrAdminsFull, "a %s can have %d admins", noun(kind), MaxAdmins)
	case err != nil || !changed:
		return err
	}
	return s.toMember(ctx, sc, event{operation: op, to: []string{user.Name}}, user)
}

// toMember tells one member.
func (s *Service) toMember(ctx context.Context, sc scene, e event, user store.Peer) error {
	members, err := s.store.FindMembers(ctx, sc.muc.ID, []int64{user.ID})
	if err != nil {
		return err
	}
	return s.toMembers(ctx, sc.Actor, sc.muc, e, members...)
}

// Shield stops the messages of a group for the actor, or has them come again from now on, and tells the actor's other
// devices. The errors are those of the policy.
func (s *Service) Shield(ctx context.Context, actor Actor, id string, on bool) error {
	sc, err := s.permit(ctx, actor, store.MucGroup, id, Shield)
	if err != nil || sc.stand.Shielded == on {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	change, err := s.store.SetShield(ctx, sc.muc.ID, peer(actor.User), on)
	if errors.Is(err, store.ErrNotFound) {
		return notMember(store.MucGroup, actor.User.Name)
	} else if err != nil {
		return err
	}
	e := event{operation: msync.MUCBody_BLOCK}
	if on {
		s.ended(sc.muc, change)
	} else {
		s.begun(sc.muc, change)
		e.operation = msync.MUCBody_UNBLOCK
	}
	return s.toSelf(ctx, actor, sc.muc, e)
}
