package message

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// conversation is where a message goes: to another user, or to a group, chatroom or thread.
type conversation struct {
	key    store.Key
	to     *msync.JID // as receivers are told it
	peer   store.User // of a pair: the other user, or oneself
	place  muc.Target // its ID is 0 of a pair
	thread *threadOf  // nil: it is no thread
}

func (c *conversation) isPlace() bool { return c.place.ID != 0 }

// isRoom reports whether what is sent there goes to who is in the room now.
func (c *conversation) isRoom() bool { return c.place.Kind == store.MucRoom }

// chatType is what the notice of an edit calls it.
func (c *conversation) chatType() string {
	switch {
	case c.isRoom():
		return "chat:room"
	case c.isPlace():
		return "chat:group"
	}
	return "chat:user"
}

// bodyType is what messages of the conversation say that they are.
func (c *conversation) bodyType() msync.MessageBody_Type {
	switch {
	case c.isRoom():
		return msync.MessageBody_CHATROOM
	case c.isPlace():
		return msync.MessageBody_GROUPCHAT
	}
	return msync.MessageBody_CHAT
}

// governs reports whether the user may recall and edit a message of the conversation: the sender may, and who leads the
// group or room.
func (c *conversation) governs(from Sender, found store.Found) bool {
	return found.Sender == from.User.ID || c.isPlace() && c.thread == nil && c.place.Role >= store.RoleAdmin
}

// namesPlace reports whether a meta is for a group, chatroom or thread.
func namesPlace(meta *msync.Meta, body *msync.MessageBody) bool {
	return meta.To.GetDomain() == msync.PlaceDomain ||
		body.Type == msync.MessageBody_GROUPCHAT || body.Type == msync.MessageBody_CHATROOM
}

func noGroup(id string) error {
	return errcode.Newf(errcode.GroupNotExist, "there is no group or thread %q", id)
}

func noRoom(id string) *errcode.Error {
	reason := fmt.Sprintf("grpID %s does not exist!", id)
	return &errcode.Error{Code: errcode.ChatroomNotExist, Op: "send", Message: fmt.Sprintf("there is no chatroom %q", id), Reason: reason}
}

// find returns the conversation that a meta names. The user must be a member of a place.
func (s *Service) find(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody) (*conversation, error) {
	name := meta.To.GetName()
	if name == "" {
		return nil, bad("the message has no receiver", nil)
	}
	if namesPlace(meta, body) {
		place, err := s.mucs.MayRead(ctx, from.App, from.User, name)
		if err != nil {
			return nil, err
		}
		return inPlace(from, place), nil
	}
	return s.withUser(ctx, from, name)
}

// writable is find for who wants to write there.
func (s *Service) writable(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody) (*conversation, error) {
	name := meta.To.GetName()
	if name == "" {
		return nil, bad("the message has no receiver", nil)
	}
	if namesPlace(meta, body) {
		place, err := s.mucs.MaySend(ctx, from.App, from.User, name)
		switch {
		case body.Type == msync.MessageBody_CHATROOM && (errors.Is(err, muc.ErrNotExist) || place.ID != 0 && place.Kind != store.MucRoom):
			return nil, noRoom(name)
		case body.Type == msync.MessageBody_CHAT, body.Type == msync.MessageBody_GROUPCHAT && place.Kind == store.MucRoom:
			return nil, noGroup(name) // the receivers' clients would take it for what it is not
		case err != nil:
			return nil, err
		}
		return inPlace(from, place), nil
	}
	c, err := s.withUser(ctx, from, name)
	if err != nil {
		return nil, err
	}
	return c, s.contacts.MayWrite(ctx, from.App, from.User, c.peer)
}

func (s *Service) withUser(ctx context.Context, from Sender, name string) (*conversation, error) {
	to, err := s.accounts.User(ctx, from.App, name)
	if err != nil {
		return nil, err
	}
	return withPeer(from, to), nil
}

func withPeer(from Sender, to store.User) *conversation {
	return &conversation{key: store.PairKey(from.App.ID, from.User.ID, to.ID), peer: to,
		to: &msync.JID{Name: to.Name, Domain: msync.UserDomain}}
}

func inPlace(from Sender, place muc.Target) *conversation {
	c := &conversation{key: store.MucKey(from.App.ID, place.ID), place: place,
		to: &msync.JID{Name: place.Name, Domain: msync.PlaceDomain}}
	if place.Kind == store.MucThread {
		c.thread = &threadOf{Message: strconv.FormatInt(place.Message, 10), Group: place.Group.Name, Name: place.Title}
	}
	return c
}

// told has the group hear that there is something new in its thread.
func (s *Service) told(from Sender, c *conversation, r delivery.Result) {
	if r.Err == nil && c.thread != nil {
		s.mucs.Spoke(from.App, c.place, from.User)
	}
}
