package message

import (
	"context"
	"errors"
	"slices"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// seen is a message that a user can see.
type seen struct {
	store.Found
	object msync.MessageObject
}

// errForeign is what a one-to-one message between others is refused with.
var errForeign = errors.New("a message between others")

// look finds a message that a user can see: one that is kept, not recalled, and of a conversation in which the user is.
// The errors are code 51 (which wraps errForeign for a message between others), and those of member.
func (s *Service) look(ctx context.Context, app *account.App, user store.User, id int64) (seen, error) {
	none := func(cause error) (seen, error) { return seen{}, noMessage(cause) }
	found, err := s.store.FindEntry(ctx, app.ID, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return none(err)
	case err != nil:
		return seen{}, err
	case found.Recalled || !store.History.Has(found.Content):
		return none(store.ErrNotFound)
	}
	object, err := msync.MessageJSON(found.ID, found.Time, found.Meta)
	if err != nil {
		return none(err)
	}
	if found.Key.Kind == store.KindPair && !slices.Contains(found.Key.Readers(), user.ID) {
		return none(errForeign)
	}
	if found.Key.Kind == store.KindMuc {
		if _, err := s.member(ctx, app, user, Place{ChatType(object.Payload.Type), object.To}); err != nil {
			return seen{}, err
		}
	}
	if !found.Audience.Has(user.ID) {
		return none(store.ErrNotFound)
	}
	return seen{found, object}, nil
}

func noMessage(cause error) error {
	return &errcode.Error{Code: errcode.MessageNotFound, Op: "find", Message: "there is no such message", Err: cause}
}

// placeOfMember finds the timeline of a place in which the user is. The errors are code 204, and those of member.
func (s *Service) placeOfMember(ctx context.Context, app *account.App, user store.User, p Place) (store.Key, error) {
	if p.Type == Chat {
		other, err := s.accounts.User(ctx, app, p.ID)
		return store.PairKey(app.ID, user.ID, other.ID), err
	}
	place, err := s.member(ctx, app, user, p)
	return store.MucKey(app.ID, place.ID), err
}

// member finds a group, room or thread in which the user is. The errors are code 605 and 602, of a room 705 and 702.
func (s *Service) member(ctx context.Context, app *account.App, user store.User, p Place) (muc.Target, error) {
	place, err := s.mucs.MayRead(ctx, app, user, p.ID)
	switch {
	case p.Type == Room && errors.Is(err, muc.ErrNotExist):
		err = &errcode.Error{Code: errcode.ChatroomNotExist, Op: "find", Message: "there is no such chatroom", Err: muc.ErrNotExist}
	case p.Type == Room && errors.Is(err, muc.ErrNotMember):
		err = &errcode.Error{Code: errcode.ChatroomNotJoined, Op: "find", Message: user.Name + " is not in this chatroom", Err: muc.ErrNotMember}
	}
	return place, err
}

// other returns the other user of a one-to-one message; ok is false for one in a group.
func (m seen) other(user store.User) (other store.User, ok bool) {
	if m.Key.Kind != store.KindPair {
		return user, false
	}
	other = store.User{ID: m.Key.A, App: m.Key.App, Name: m.object.From}
	if m.Key.A == user.ID {
		other.ID = m.Key.B
	}
	if other.Name == user.Name {
		other.Name = m.object.To
	}
	return other, true
}
