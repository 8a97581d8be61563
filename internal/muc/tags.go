package muc

import (
	"context"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

// Tags gather members of a chatroom, so that a backend can mute them together (docs/protocol/admin-rest.md §14.2). Clients do
// not see them.

// tagged finds a chatroom of a backend's app and a user.
func (s *Service) tagged(ctx context.Context, app *account.App, id, name string) (store.Muc, store.User, error) {
	m, err := s.find(ctx, app, store.MucRoom, id)
	if err != nil {
		return m, store.User{}, err
	}
	user, err := s.accounts.User(ctx, app, name)
	return m, user, err
}

// SetRoomTags replaces the tags of a member of a chatroom. They go when the member leaves. The errors are code 705
// (ErrNotExist), 204, 702 (ErrNotMember), 50 (ErrTooManyTags, ErrTagLength) and -3 (ErrTag).
func (s *Service) SetRoomTags(ctx context.Context, app *account.App, id, name string, tags []string) error {
	m, user, err := s.tagged(ctx, app, id, name)
	if err != nil {
		return err
	}
	if len(tags) > MaxTags {
		return refuse(errcode.MaxLimit, ErrTooManyTags, "user group tag count exceed limit")
	}
	for _, tag := range tags {
		if err := checkTag(tag); err != nil {
			return err
		}
	}
	return roomRefusal(m, user, s.store.SetRoomTags(ctx, m.ID, user.ID, tags))
}

func checkTag(tag string) error {
	switch {
	case tag == "" || !store.IsText(tag):
		return refuse(errcode.InvalidParameter, ErrTag, "a tag is no text")
	case utf8.RuneCountInString(tag) > MaxTag:
		return refuse(errcode.MaxLimit, ErrTagLength, "tag length exceeds limit!")
	}
	return nil
}

// RoomTags returns the tags of a member of a chatroom. The errors are code 705 (ErrNotExist), 204 and 702 (ErrNotMember).
func (s *Service) RoomTags(ctx context.Context, app *account.App, id, name string) ([]store.RoomTag, error) {
	m, user, err := s.tagged(ctx, app, id, name)
	if err != nil {
		return nil, err
	}
	tags, err := s.store.RoomTags(ctx, m.ID, user.ID)
	return tags, roomRefusal(m, user, err)
}

// MuteTag mutes those members of a chatroom who have a tag now, but the owner, as Mute does: for a time, or for ever
// (negative). With 0 it ends their mutes. The errors are code 705 (ErrNotExist), 50 (ErrTagLength) and -3 (ErrTag,
// ErrNoTag: nobody has it).
func (s *Service) MuteTag(ctx context.Context, app *account.App, id, tag string, lasts time.Duration) error {
	m, err := s.find(ctx, app, store.MucRoom, id)
	if err != nil {
		return err
	}
	if err := checkTag(tag); err != nil {
		return err
	}
	until := int64(0)
	if lasts != 0 {
		until = s.muteEnd(lasts)
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	users, err := s.store.MuteRoomTag(ctx, m.ID, tag, until)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(errcode.InvalidParameter, ErrNoTag, "group tag not found")
	} else if err != nil {
		return err
	}
	sc := scene{Actor: Backend(app), muc: m}
	for part := range slices.Chunk(users, memberSlice) {
		if lasts != 0 {
			err = s.mute(ctx, sc, part, until)
		} else {
			err = s.unmute(ctx, sc, part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
