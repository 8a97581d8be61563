package message

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// Broadcast is a message to all chatrooms of an app.
type Broadcast struct {
	From    string // as receivers see it; need not be a user
	Level   int64  // 0 high, 1 normal, 2 low
	Content *msync.MessageBody_Content
	Ext     []*msync.KeyValue
}

// BroadcastToRooms sends a backend's message to all chatrooms that are not disabled, marked as a broadcast, and returns its
// id. Each room has it as a message of its own. It returns once all are on their way. The errors are code 511 and 604.
func (s *Service) BroadcastToRooms(ctx context.Context, app *account.App, b Broadcast) (int64, error) {
	body := &msync.MessageBody{Type: msync.MessageBody_CHATROOM, From: &msync.JID{Name: b.From}, Contents: []*msync.MessageBody_Content{b.Content}, Ext: b.Ext}
	meta := &msync.Meta{Ns: msync.Meta_CHAT, Ext: []*msync.KeyValue{
		{Key: "chatroom_msg_tag", Type: msync.KeyValue_INT, Value: &msync.KeyValue_VarintValue{VarintValue: b.Level}},
		{Key: serverOnly, Type: msync.KeyValue_BOOL, Value: &msync.KeyValue_VarintValue{VarintValue: 1}},
	}}
	if err := checkBody(meta, body); err != nil {
		return 0, err
	}
	content, err := contentOf(body)
	if err != nil {
		return 0, err
	}
	payload, err := proto.Marshal(body)
	if err != nil {
		return 0, bad("the message cannot be packed", err)
	}
	settings := s.accounts.Current(app).Settings
	if err := withinLimit(payload, settings); err != nil {
		return 0, err
	}
	const page = 500
	query := muc.ListQuery{Limit: page}
	for {
		rooms, err := s.mucs.List(ctx, app, store.MucRoom, query)
		if err != nil {
			return 0, err
		}
		for _, room := range rooms {
			if room.Disabled {
				continue
			}
			to := &msync.JID{AppKey: app.Key(), Name: room.Name, Domain: msync.PlaceDomain}
			body.To = &msync.JID{Name: room.Name}
			if meta.Payload, err = proto.Marshal(body); err != nil {
				return 0, bad("the message cannot be packed", err)
			}
			meta.From, meta.To = &msync.JID{Name: b.From, Domain: msync.UserDomain}, to
			stored, err := msync.StoredMeta(meta)
			if err != nil {
				return 0, bad("the message cannot be packed", err)
			}
			if !settings.RoomHistory {
				s.delivery.PushMuc(room.ID, stored, 0, store.Audience{})
				continue
			}
			s.delivery.Append(delivery.Post{Key: store.MucKey(app.ID, room.ID), Content: content, Live: true, Meta: stored})
		}
		if len(rooms) < page {
			return s.delivery.NewID(), nil
		}
		query.Below = rooms[len(rooms)-1].ID
	}
}
