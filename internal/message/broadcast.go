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

// Broadcast is a message to all chatrooms or all users of an app.
type Broadcast struct {
	From    string // as receivers see it
	Level   int64  // in chatrooms: 0 high, 1 normal, 2 low
	Content *msync.MessageBody_Content
	Ext     []*msync.KeyValue
}

// Broadcasts of one message are read and sent in pages of so many rooms or users.
const pageOfBroadcast = 500

// offersBroadcasts refuses with code 505 where the app has switched them off.
func (s *Service) offersBroadcasts(app *account.App) error {
	if !s.accounts.Current(app).Settings.Broadcasts {
		return disabled("broadcast", "message broadcast service is unopened")
	}
	return nil
}

// BroadcastToUsers sends a backend's message to all users of an app but the sender, and returns the id of the broadcast: each
// user has it as a message of its own, in the conversation with the sender, who is registered if nobody knows the name yet.
// With online, only those who are online now are given it, and nothing is kept. It returns once all are durable, and goes on
// when its context ends: half a broadcast is none. The errors are code 505 (switched off), 206 (ErrUserName of
// account), 511 and 604.
func (s *Service) BroadcastToUsers(ctx context.Context, app *account.App, b Broadcast, online bool) (int64, error) {
	if err := s.offersBroadcasts(app); err != nil {
		return 0, err
	}
	from, err := s.inNameOf(ctx, app, b.From)
	if err != nil {
		return 0, err
	}
	o := Outgoing{Type: Chat, Content: b.Content, Ext: b.Ext, Online: online}
	body, content, err := s.compose(from, o)
	if err != nil {
		return 0, err
	}
	ctx = context.WithoutCancel(ctx)
	unheard := store.Audience{Users: []int64{from.User.ID}, Except: true} // the sender's devices are not given it
	for after := int64(0); ; {
		users, err := s.accounts.ListUsers(ctx, app, after, pageOfBroadcast)
		if err != nil {
			return 0, err
		}
		results := make(chan Result, len(users))
		for _, user := range users {
			after = user.ID
			if user.ID == from.User.ID {
				results <- Result{}
			} else if err := s.deliverTo(from, withPeer(from, user), o, body, content, unheard, func(r Result) { results <- r }); err != nil {
				return 0, err
			}
		}
		for range users {
			if r := <-results; r.Err != nil {
				return 0, r.Err
			}
		}
		if len(users) < pageOfBroadcast {
			return s.delivery.NewID(), nil
		}
	}
}

// BroadcastToRooms sends a backend's message to all chatrooms that are not disabled, marked as a broadcast, and returns its
// id. Each room has it as a message of its own. It returns once all are on their way. The sender need not be a user. The
// errors are code 505 (switched off), 511 and 604.
func (s *Service) BroadcastToRooms(ctx context.Context, app *account.App, b Broadcast) (int64, error) {
	if err := s.offersBroadcasts(app); err != nil {
		return 0, err
	}
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
	query := muc.ListQuery{Limit: pageOfBroadcast}
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
		if len(rooms) < pageOfBroadcast {
			return s.delivery.NewID(), nil
		}
		query.Below = rooms[len(rooms)-1].ID
	}
}
