package message

import (
	"context"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// conversation is where a message goes.
type conversation struct {
	key  store.Key
	to   *msync.JID // as receivers are told it
	peer store.User // the other user, or oneself
}

// chatType is what the notice of an edit calls it.
func (c *conversation) chatType() string { return "chat:user" }

// governs reports whether the user may recall and edit a message of the conversation.
func (c *conversation) governs(from Sender, found store.Found) bool {
	return found.Sender == from.User.ID
}

// isPlace reports whether a meta is for a group, chatroom or thread.
func isPlace(meta *msync.Meta, body *msync.MessageBody) bool {
	return meta.To.GetDomain() == msync.PlaceDomain ||
		body.Type == msync.MessageBody_GROUPCHAT || body.Type == msync.MessageBody_CHATROOM
}

func noGroup(meta *msync.Meta) error {
	return errcode.Newf(errcode.GroupNotExist, "there is no group or chatroom %q", meta.To.GetName())
}

// find returns the conversation that a meta names.
func (s *Service) find(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody) (*conversation, error) {
	if meta.To.GetName() == "" {
		return nil, bad("the message has no receiver", nil)
	}
	if isPlace(meta, body) {
		return nil, noGroup(meta)
	}
	to, err := s.accounts.User(ctx, from.App, meta.To.GetName())
	if err != nil {
		return nil, err
	}
	return &conversation{key: store.PairKey(from.App.ID, from.User.ID, to.ID), peer: to,
		to: &msync.JID{Name: to.Name, Domain: msync.UserDomain}}, nil
}

// writable is find for who wants to write there.
func (s *Service) writable(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody) (*conversation, error) {
	c, err := s.find(ctx, from, meta, body)
	if err != nil {
		return nil, err
	}
	return c, s.contacts.MayWrite(ctx, from.App, from.User, c.peer)
}
