package message

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// maxDirected is how many receivers a message to some of a group may name.
const maxDirected = 20

// message sends a message.
func (s *Service) message(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	content, err := contentOf(body)
	if err != nil {
		return err
	}
	if err := s.checkSize(from, meta.Payload); err != nil {
		return err
	}
	if err := s.mayWrite(ctx, from, body); err != nil {
		return err
	}
	to, err := s.writable(ctx, from, meta, body)
	if err != nil {
		return err
	}
	audience, err := s.audience(ctx, from, to, meta)
	if err != nil {
		return err
	}
	verdict, err := s.judge(ctx, from, to, meta, body)
	if err != nil {
		return err
	}
	if err := s.ask(ctx, from, to, meta, body, &verdict); err != nil {
		return err
	}
	stored, err := stored(from, to, meta, body)
	if err != nil {
		return err
	}
	if done, err = s.tells(ctx, from, stored, verdict, done); err != nil {
		return err
	}
	s.deliver(from, to, meta, stored, content, audience, done)
	return nil
}

// stored is what receivers get of a message.
func stored(from Sender, to *conversation, meta *msync.Meta, body *msync.MessageBody) ([]byte, error) {
	bodyMeta, err := cleanMeta(body.Meta, to.thread)
	if err != nil {
		return nil, err
	}
	return pack(from, to.to, meta, body, bodyMeta)
}

// deliver sends a message that may be sent. What it is stored as was made of its meta.
func (s *Service) deliver(from Sender, to *conversation, meta *msync.Meta, stored []byte, content store.Content, audience store.Audience, done Done) {
	if meta.Routetype == msync.Meta_ROUTE_ONLINE || to.isRoom() && !s.settings(from).RoomHistory {
		done(s.push(from, to, content, stored, audience))
		return
	}
	s.delivery.Append(delivery.Post{Key: to.key, Sender: from.User.ID, Device: from.Device, ClientID: meta.Id, Content: content,
		Audience: audience, Live: to.isRoom(), Meta: stored, Done: func(r delivery.Result) {
			s.told(from, to, r)
			done(kept(r))
		}})
}

func (s *Service) checkSize(from Sender, payload []byte) error {
	return withinLimit(payload, s.settings(from))
}

// withinLimit refuses a body that is too large: code 511.
func withinLimit(payload []byte, settings account.Settings) error {
	limit := settings.MessageMaxBytes
	if size := contentSize(payload); size > limit {
		return errcode.Newf(errcode.MessageTooLarge, "body and extension have %d bytes, the limit is %d", size, limit)
	}
	return nil
}

// audience returns who is given a message that names its receivers: those and the sender's own devices. Names of nobody
// are passed over; who is named and is no member is given nothing all the same.
func (s *Service) audience(ctx context.Context, from Sender, to *conversation, meta *msync.Meta) (store.Audience, error) {
	if meta.Routetype != msync.Meta_ROUTE_DIRECT || !to.isPlace() {
		return store.Audience{}, nil
	}
	if n := len(meta.DirectedUsers); n > maxDirected {
		return store.Audience{}, &errcode.Error{Code: errcode.MaxLimit, Op: "send", Reason: "limit directed users",
			Message: fmt.Sprintf("the message names %d receivers, the limit is %d", n, maxDirected)}
	}
	users := []int64{from.User.ID}
	for _, name := range meta.DirectedUsers {
		user, err := s.accounts.User(ctx, from.App, name)
		if errors.Is(err, account.ErrNoUser) {
			continue
		} else if err != nil {
			return store.Audience{}, err
		}
		if !slices.Contains(users, user.ID) {
			users = append(users, user.ID)
		}
	}
	return store.Audience{Users: users}, nil
}

// push delivers to who is online, and keeps nothing.
func (s *Service) push(from Sender, to *conversation, content store.Content, stored []byte, audience store.Audience) (r Result) {
	if to.isPlace() {
		r.ID, r.Time = s.delivery.PushMuc(to.place.ID, stored, from.Device, audience)
	} else {
		r.ID, r.Time = s.delivery.Push(to.peer.ID, stored, from.Device)
		if to.peer.ID != from.User.ID && audience.Has(from.User.ID) {
			s.delivery.Push(from.User.ID, stored, from.Device)
		}
	}
	if s.Webhooks != nil {
		s.Webhooks.Happened(store.Found{Key: to.key, Entry: store.Entry{ID: r.ID, Time: r.Time, Sender: from.User.ID, Device: from.Device,
			Content: content, Audience: audience, Meta: stored}})
	}
	return r
}
