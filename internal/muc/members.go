package muc

import (
	"context"
	"errors"
	"slices"
	"unicode/utf8"

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

// admission says how admit makes users members.
type admission struct {
	needs store.Mark              // they must have this mark
	tell  msync.MUCBody_Operation // what they are told; 0: nothing
	quiet bool                    // the other members are not told
	ext   string                  // of PRESENCE, in rooms
}

// admit makes users members, in slices, and tells the others. It returns one result for each.
func (s *Service) admit(ctx context.Context, sc scene, people []person, how admission) ([]Result, error) {
	results := make([]Result, len(people))
	at := map[int64]int{}
	var users []store.Peer
	for i, p := range people {
		results[i] = Result{User: p.user.Name, Err: p.err}
		if p.err == nil {
			at[p.user.ID] = i
			users = append(users, peer(p.user))
			// Who does not come back from the store has been a member, or was deleted a moment ago. In a room that is no
			// error: there the client would wait for ever for its answer.
			if sc.muc.Kind != store.MucRoom {
				results[i].Err = alreadyMember(sc.muc, p.user.Name)
			}
		}
	}
	_, perUser := limits(s.settings(sc.App), sc.muc.Kind)
	if sc.muc.Kind == store.MucThread {
		perUser = 1 << 30
	}
	for part := range slices.Chunk(users, memberSlice) {
		joined, err := s.store.AddMembers(ctx, store.Join{Muc: sc.muc.ID, Users: part, Needs: how.needs, PerUser: perUser, Force: sc.IsBackend(), Now: s.now()})
		switch {
		case errors.Is(err, store.ErrFull):
			return results, full(sc.muc)
		case errors.Is(err, store.ErrNotFound) && how.needs == store.MarkInvite:
			return results, refuse(errcode.PermissionDenied, ErrNoInvitation, "%s has not been invited", part[0].Name)
		case errors.Is(err, store.ErrNotFound) && how.needs == store.MarkApply:
			return results, refuse(errcode.PermissionDenied, ErrNoApplication, "%s has not applied", part[0].Name)
		case errors.Is(err, store.ErrNotFound):
			return results, notExist(sc.muc.Kind, sc.muc.Name)
		case err != nil:
			return results, err
		}
		for _, user := range joined.Banned {
			results[at[user.ID]].Err = banned(sc.muc, user.Name)
		}
		for _, user := range joined.Full {
			results[at[user.ID]].Err = tooManyJoined(user.Name)
		}
		for _, user := range joined.Users {
			results[at[user.ID]].Err = nil
		}
		if len(joined.Users) == 0 {
			continue
		}
		s.begun(sc.muc, joined)
		if how.tell != 0 {
			if err := s.toUsers(ctx, sc.Actor, sc.muc, event{operation: how.tell, to: namesOf(joined.Users)}, joined.Users...); err != nil {
				return results, err
			}
		}
		if !how.quiet {
			if err := s.present(ctx, sc.Actor, sc.muc, joined, how.ext); err != nil {
				return results, err
			}
		}
	}
	return results, nil
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

// ask invites users who must consent.
func (s *Service) ask(ctx context.Context, sc scene, people []person, reason string) ([]Result, error) {
	results := make([]Result, len(people))
	members, err := s.roles(ctx, sc.muc, people)
	if err != nil {
		return nil, err
	}
	var invited []store.Peer
	var marks []store.Marked
	for i, p := range people {
		results[i] = Result{User: p.user.Name, Err: p.err}
		if p.err != nil {
			continue
		}
		if _, in := members[p.user.ID]; in {
			results[i].Err = alreadyMember(sc.muc, p.user.Name)
			continue
		}
		st, err := s.store.Standing(ctx, sc.muc.ID, p.user.ID)
		if err != nil {
			return results, err
		}
		if st.Banned {
			results[i].Err = banned(sc.muc, p.user.Name)
			continue
		}
		marks = append(marks, store.Marked{User: peer(p.user), By: peer(sc.User), Reason: reason, Created: s.now()})
		invited = append(invited, peer(p.user))
	}
	if len(marks) == 0 {
		return results, nil
	}
	if err := s.mark(ctx, sc.muc, store.MarkInvite, marks, MaxPending); err != nil {
		return results, err
	}
	return results, s.toUsers(ctx, sc.Actor, sc.muc, event{operation: msync.MUCBody_INVITE, to: namesOf(invited), reason: reason}, invited...)
}

// mark writes marks of users.
func (s *Service) mark(ctx context.Context, m store.Muc, mark store.Mark, marks []store.Marked, limit int) error {
	err := s.store.PutMarks(ctx, m.ID, mark, marks, limit)
	var users []int64
	for _, marked := range marks {
		users = append(users, marked.User.ID)
	}
	s.moved(m, users...)
	switch {
	case errors.Is(err, store.ErrFull):
		return refuse(errcode.MaxLimit, ErrListFull, "a %s can have %d of them", noun(m.Kind), limit)
	case errors.Is(err, store.ErrNotFound):
		return notExist(m.Kind, m.Name)
	}
	return err
}

// Invite invites users to a group: at once they are in, or are asked where the group wants their consent. The error is one
// of the policy, or -3 (ErrNoNames), 50 (ErrTooManyNames), 606 (ErrFull), or if all users are refused that of the first:
// 601 (ErrMember), 603 (ErrBanned), 204, 50 (ErrTooManyJoined). Results say how each user fared.
func (s *Service) Invite(ctx context.Context, actor Actor, id string, names []string) ([]Result, error) {
	sc, err := s.enter(ctx, actor, store.MucGroup, id)
	if err != nil {
		return nil, err
	}
	op := Invite
	if sc.muc.AllowInvites {
		op = InviteOpen
	}
	if err := s.allow(sc, op); err != nil {
		return nil, err
	}
	people, err := s.persons(ctx, actor.App, names, MaxNames)
	if err != nil {
		return nil, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	var results []Result
	if sc.muc.InviteConfirm && !actor.IsBackend() {
		if sc.muc.Members >= sc.muc.MaxUsers {
			return nil, full(sc.muc)
		}
		results, err = s.ask(ctx, sc, people, "")
	} else {
		results, err = s.admit(ctx, sc, people, admission{tell: msync.MUCBody_DIRECT_JOINED})
	}
	if err != nil {
		return nil, err
	}
	return whole(results)
}

// AddMembers makes users members of a group or room without asking anyone, as a backend may, and in rooms the owner and
// admins. Any number may be added in one call. The errors are those of Invite; for rooms 704 instead of 606, and it is no
// error to be in one already.
func (s *Service) AddMembers(ctx context.Context, actor Actor, kind store.MucKind, id string, names []string) ([]Result, error) {
	sc, err := s.permit(ctx, actor, kind, id, Add)
	if err != nil {
		return nil, err
	}
	people, err := s.persons(ctx, actor.App, names, sizeLimit(s.settings(actor.App), kind))
	if err != nil {
		return nil, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	results, err := s.admit(ctx, sc, people, admission{tell: msync.MUCBody_DIRECT_JOINED})
	if err != nil {
		return nil, err
	}
	return whole(results)
}

// AnswerInvitation accepts or declines the invitation of a user, who must be the actor unless that is a backend, and tells
// the inviter. The errors are those of the policy (603 without an invitation), 204 and 606 (ErrFull) and 50 (ErrTooManyJoined).
func (s *Service) AnswerInvitation(ctx context.Context, actor Actor, id, invitee string, accept bool) error {
	if !actor.IsBackend() && account.Fold(invitee) != actor.User.Name {
		return refuse(errcode.PermissionDenied, ErrDenied, "only the invited user can answer")
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, id, AnswerInvitation)
	if err != nil {
		return err
	}
	user := actor.User
	if actor.IsBackend() {
		if user, err = s.accounts.User(ctx, actor.App, invitee); err != nil {
			return err
		}
		if sc.stand, err = s.store.Standing(ctx, sc.muc.ID, user.ID); err != nil {
			return err
		}
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	e := event{operation: msync.MUCBody_INVITE_ACCEPT, from: user.Name}
	if accept {
		results, err := s.admit(ctx, sc, []person{{user: user}}, admission{needs: store.MarkInvite})
		if err != nil {
			return err
		}
		if results[0].Err != nil {
			return results[0].Err
		}
	} else {
		dropped, err := s.store.DropMarks(ctx, sc.muc.ID, store.MarkInvite, []int64{user.ID})
		s.moved(sc.muc, user.ID)
		if err != nil {
			return err
		}
		if len(dropped) == 0 {
			return refuse(errcode.PermissionDenied, ErrNoInvitation, "%s has not been invited", user.Name)
		}
		e.operation = msync.MUCBody_INVITE_DECLINE
	}
	inviter, err := s.accounts.User(ctx, actor.App, sc.stand.InvitedBy.Name)
	if errors.Is(err, account.ErrNoUser) || err == nil && inviter.ID != sc.stand.InvitedBy.ID {
		return nil // the inviter has been deleted
	} else if err != nil {
		return err
	}
	e.to = []string{inviter.Name}
	return s.toUsers(ctx, actor, sc.muc, e, peer(inviter))
}

// Apply joins a group, or asks the owner and admins where that needs consent, and reports whether the user is in. Who has
// been invited is in at once. The errors are those of the policy (601 for members), and code 606 (ErrFull), 50
// (ErrTooManyJoined, ErrListFull) and 17 (ErrText).
func (s *Service) Apply(ctx context.Context, actor Actor, id, message string) (joined bool, err error) {
	sc, err := s.enter(ctx, actor, store.MucGroup, id)
	if err != nil {
		return false, err
	}
	op := Join
	if !sc.muc.Public {
		op = JoinPrivate
	}
	if err := s.allow(sc, op); err != nil {
		return false, err
	}
	if !store.IsText(message) || utf8.RuneCountInString(message) > MaxReason {
		return false, refuse(errcode.RequestFailed, ErrText, "the message is longer than %d characters", MaxReason)
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if !sc.muc.Approval || sc.stand.Invited {
		results, err := s.admit(ctx, sc, []person{{user: actor.User}}, admission{})
		if err == nil {
			err = results[0].Err
		}
		return err == nil, err
	}
	if sc.muc.Members >= sc.muc.MaxUsers {
		return false, full(sc.muc)
	}
	if err := s.mark(ctx, sc.muc, store.MarkApply, []store.Marked{{User: peer(actor.User), Reason: message, Created: s.now()}}, MaxPending); err != nil {
		return false, err
	}
	staff, err := s.store.ListMembers(ctx, sc.muc.ID, store.MemberQuery{Role: store.RoleAdmin, Limit: MaxAdmins + 1})
	if err != nil {
		return false, err
	}
	return false, s.toMembers(ctx, actor, sc.muc, event{operation: msync.MUCBody_APPLY, reason: message}, staff...)
}

// AnswerApplication accepts or declines the application of a user, who is told. The errors are those of the policy, and
// code 204, 603 (ErrNoApplication), 601 (ErrMember), 606 (ErrFull), 50 (ErrTooManyJoined) and 17 (ErrText).
func (s *Service) AnswerApplication(ctx context.Context, actor Actor, id, applicant string, accept bool, reason string) error {
	sc, err := s.permit(ctx, actor, store.MucGroup, id, Answer)
	if err != nil {
		return err
	}
	if !store.IsText(reason) || utf8.RuneCountInString(reason) > MaxReason {
		return refuse(errcode.RequestFailed, ErrText, "the reason is longer than %d characters", MaxReason)
	}
	user, err := s.accounts.User(ctx, actor.App, applicant)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if accept {
		results, err := s.admit(ctx, sc, []person{{user: user}}, admission{needs: store.MarkApply, tell: msync.MUCBody_APPLY_ACCEPT})
		if err == nil {
			err = results[0].Err
		}
		return err
	}
	dropped, err := s.store.DropMarks(ctx, sc.muc.ID, store.MarkApply, []int64{user.ID})
	if err != nil {
		return err
	}
	if len(dropped) == 0 {
		return refuse(errcode.PermissionDenied, ErrNoApplication, "%s has not applied", user.Name)
	}
	return s.toUsers(ctx, actor, sc.muc, event{operation: msync.MUCBody_APPLY_DECLINE, to: []string{user.Name}, reason: reason}, peer(user))
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

// SetMemberAttributes changes attributes of a member and tells all members; a key with an empty value is removed. It returns
// all attributes of the member. The errors are those of the policy, and code 505 (ErrAttributesOff), 609 (ErrAttribute: a
// key or a value is illegal), 50 (ErrAttributeSize), 204 and 602 (ErrNotMember).
func (s *Service) SetMemberAttributes(ctx context.Context, actor Actor, id, name string, set map[string]string) (map[string]string, error) {
	if !s.settings(actor.App).GroupMemberAttributes {
		return nil, attributesOff()
	}
	op := SetAttributes
	if !actor.IsBackend() && account.Fold(name) == actor.User.Name {
		op = SetOwnAttributes
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, id, op)
	if err != nil {
		return nil, err
	}
	if err := checkAttributes(set); err != nil {
		return nil, err
	}
	user, err := s.accounts.User(ctx, actor.App, name)
	if err != nil {
		return nil, err
	}
	return s.setMemberAttributes(ctx, sc, user, set)
}

// checkAttributes refuses illegal keys and values.
func checkAttributes(set map[string]string) error {
	for key, value := range set {
		if key == "" || len(key) > maxMemberKey || !store.IsText(key) || !store.IsText(value) {
			return refuse(errcode.GroupMemberAttributesFailed, ErrAttribute, "a key has 1 to %d bytes of text", maxMemberKey)
		}
		if len(value) > maxMemberValue {
			return refuse(errcode.MaxLimit, ErrAttributeSize, "exceeds chatgroup user metadata single value limit: %d bytes", maxMemberValue)
		}
	}
	return nil
}

func (s *Service) setMemberAttributes(ctx context.Context, sc scene, user store.User, set map[string]string) (map[string]string, error) {
	ctx, cancel := outlast(ctx)
	defer cancel()
	all, err := s.store.SetMemberAttributes(ctx, sc.muc.ID, user.ID, set, maxMemberBytes)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, notMember(store.MucGroup, user.Name)
	case errors.Is(err, store.ErrFull):
		return nil, refuse(errcode.MaxLimit, ErrAttributeSize, "exceeds chatgroup user metadata single value limit: %d bytes together", maxMemberBytes)
	case err != nil || len(set) == 0:
		return all, err
	}
	return all, s.toAll(ctx, sc.Actor, sc.muc, event{operation: msync.MUCBody_GROUP_MEMBER_METADATA_UPDATE,
		detail: map[string]any{"username": user.Name, "properties": set}})
}

// Attributed is a member with attributes.
type Attributed struct {
	User       string
	Attributes map[string]string // to set; afterwards all that the member has
	Err        error             // nil: done
}

// SetMembersAttributes is SetMemberAttributes for several members, each with attributes of their own, as a backend sets them.
// It changes nobody's if one is no member or a key or value is illegal; what single ones may fail with then is 50
// (ErrAttributeSize). The errors are those of SetMemberAttributes, -3 (ErrNoNames) and 50 (ErrTooManyNames: more than
// MaxAttributed).
func (s *Service) SetMembersAttributes(ctx context.Context, actor Actor, id string, changes []Attributed) ([]Attributed, error) {
	if !s.settings(actor.App).GroupMemberAttributes {
		return nil, attributesOff()
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, id, SetAttributes)
	if err != nil {
		return nil, err
	}
	if len(changes) > MaxAttributed {
		return nil, refuse(errcode.MaxLimit, ErrTooManyNames, "exceeds chatgroup metadata batch put users limit")
	}
	var names []string
	for _, change := range changes {
		if err := checkAttributes(change.Attributes); err != nil {
			return nil, err
		}
		names = append(names, change.User)
	}
	people, err := s.persons(ctx, actor.App, names, MaxAttributed)
	if err != nil {
		return nil, err
	}
	members, err := s.roles(ctx, sc.muc, people)
	if err != nil {
		return nil, err
	}
	users := map[string]store.User{}
	for _, p := range people {
		if _, in := members[p.user.ID]; p.err != nil || !in {
			return nil, refuse(errcode.GroupNotJoined, ErrNotMember, "Some users are not in the group: %s", p.user.Name)
		}
		users[p.user.Name] = p.user
	}
	var results []Attributed
	for _, change := range changes { // a member may be named twice
		user := users[account.Fold(change.User)]
		all, err := s.setMemberAttributes(ctx, sc, user, change.Attributes)
		if _, refused := errcode.CodeOf(err); err != nil && !refused {
			return nil, err
		}
		results = append(results, Attributed{User: user.Name, Attributes: all, Err: err})
	}
	return results, nil
}

func attributesOff() error {
	return refuse(errcode.ServiceNotEnabled, ErrAttributesOff, "attributes are switched off for this app")
}

// MemberAttributes returns attributes of members, by user id; without keys all of them. Who is no member is left out. The
// errors are those of the policy, and code 505 (ErrAttributesOff), -3 (ErrNoNames) and 50 (ErrTooManyNames: more than
// MaxTargets).
func (s *Service) MemberAttributes(ctx context.Context, actor Actor, id string, names, keys []string) (map[string]map[string]string, error) {
	if !s.settings(actor.App).GroupMemberAttributes {
		return nil, attributesOff()
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, id, ReadList)
	if err != nil {
		return nil, err
	}
	people, err := s.persons(ctx, actor.App, names, MaxTargets)
	if err != nil {
		return nil, err
	}
	rows, err := s.roles(ctx, sc.muc, people)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]string{}
	for _, row := range rows {
		attributes := map[string]string{}
		for key, value := range row.Attributes {
			if len(keys) == 0 || slices.Contains(keys, key) {
				attributes[key] = value
			}
		}
		found[row.User.Name] = attributes
	}
	return found, nil
}
