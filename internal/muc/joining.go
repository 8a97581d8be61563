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
