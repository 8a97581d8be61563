package message

import (
	"context"
	"errors"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// receipt sends a receipt to whom it concerns: it is an entry of that user's own timeline. A receipt for somebody who is
// not there is taken and dropped (docs/protocol/wire.md §18.1).
func (s *Service) receipt(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	if meta.To.GetDomain() == msync.PlaceDomain && body.Type != msync.MessageBody_DELIVER_ACK {
		return noGroup(meta.To.GetName())
	}
	to, err := s.accounts.User(ctx, from.App, meta.To.GetName())
	if errors.Is(err, account.ErrNoUser) {
		done(Result{ID: s.delivery.NewID()})
		return nil
	} else if err != nil {
		return err
	}
	if err := s.markRead(ctx, from, to, body); err != nil {
		return err
	}
	bodyMeta, err := cleanMeta(body.Meta, nil)
	if err != nil {
		return err
	}
	stored, err := pack(from, &msync.JID{Name: to.Name, Domain: msync.UserDomain}, meta, body, bodyMeta)
	if err != nil {
		return err
	}
	s.delivery.Append(delivery.Post{Key: store.UserKey(from.App.ID, to.ID), Sender: from.User.ID, Device: from.Device,
		ClientID: meta.Id, Meta: stored, Done: func(r delivery.Result) { done(kept(r)) }})
	return nil
}

// markRead moves the read mark of who has read a message, or the whole conversation, of another user.
func (s *Service) markRead(ctx context.Context, from Sender, with store.User, body *msync.MessageBody) error {
	key := store.PairKey(from.App.ID, from.User.ID, with.ID)
	switch body.Type {
	case msync.MessageBody_READ_ACK:
		found, err := s.store.FindEntry(ctx, from.App.ID, int64(body.AckMessageId))
		if errors.Is(err, store.ErrNotFound) || err == nil && found.Key != key {
			return nil
		} else if err != nil {
			return err
		}
		return s.store.MarkRead(ctx, from.User.ID, found.Timeline, found.Seq)
	case msync.MessageBody_CHANNEL_ACK:
		return s.markAll(ctx, from, key)
	}
	return nil
}

// markAll marks all of a conversation as read.
func (s *Service) markAll(ctx context.Context, from Sender, key store.Key) error {
	line, err := s.store.FindTimeline(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	return s.store.MarkRead(ctx, from.User.ID, line.ID, line.Head)
}
