package message

import (
	"context"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
)

// message sends a message.
func (s *Service) message(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	content, err := contentOf(body)
	if err != nil {
		return err
	}
	if err := s.checkSize(from, meta.Payload); err != nil {
		return err
	}
	to, err := s.writable(ctx, from, meta, body)
	if err != nil {
		return err
	}
	bodyMeta, err := cleanMeta(body.Meta, nil)
	if err != nil {
		return err
	}
	stored, err := pack(from, to.to, meta, body, bodyMeta)
	if err != nil {
		return err
	}
	if meta.Routetype == msync.Meta_ROUTE_ONLINE {
		s.push(from, to, stored, done)
		return nil
	}
	s.delivery.Append(delivery.Post{Key: to.key, Sender: from.User.ID, Device: from.Device, ClientID: meta.Id, Content: content,
		Meta: stored, Done: func(r delivery.Result) { done(kept(r)) }})
	return nil
}

func (s *Service) checkSize(from Sender, payload []byte) error {
	limit := s.settings(from).MessageMaxBytes
	if size := contentSize(payload); size > limit {
		return errcode.Newf(errcode.MessageTooLarge, "body and extension have %d bytes, the limit is %d", size, limit)
	}
	return nil
}

// push delivers to who is online, and keeps nothing.
func (s *Service) push(from Sender, to *conversation, stored []byte, done Done) {
	id, time := s.delivery.Push(to.peer.ID, stored, from.Device)
	done(Result{ID: id, Time: time})
	if to.peer.ID != from.User.ID {
		s.delivery.Push(from.User.ID, stored, from.Device)
	}
}
