package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/message"
)

func (a *API) broadcastRoutes() []Route {
	return []Route{
		{http.MethodPost, "/messages/chatrooms/broadcast", AppToken, a.broadcastTo(a.messages.BroadcastToRooms)},
		{http.MethodPost, "/messages/broadcast", AppToken, a.broadcastToUsers(false)},
		{http.MethodPost, "/messages/users/broadcast", AppToken, a.broadcastToUsers(true)},
	}
}

// levels are the priorities of messages in chatrooms.
var levels = map[string]int64{"high": 0, "normal": 1, "": 1, "low": 2}

// broadcastToUsers sends to all users, or to those that are online.
func (a *API) broadcastToUsers(online bool) Handler {
	return a.broadcastTo(func(ctx context.Context, app *account.App, b message.Broadcast) (int64, error) {
		return a.messages.BroadcastToUsers(ctx, app, b, online)
	})
}

// broadcastTo reads a broadcast and has it sent.
func (a *API) broadcastTo(send func(context.Context, *account.App, message.Broadcast) (int64, error)) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		var in struct {
			From   *string         `json:"from"`
			Target *string         `json:"target_type"`
			Level  string          `json:"chatroom_msg_level"`
			Ext    json.RawMessage `json:"ext"`
			Msg    json.RawMessage `json:"msg"`
		}
		if err := c.Decode(&in); err != nil {
			return Answer{}, err
		}
		level, ok := levels[in.Level]
		switch {
		case !ok:
			return Answer{}, illegal("chatroom_msg_level is high, normal or low")
		case in.Target != nil && *in.Target != "users":
			return Answer{}, illegal("target_type can only be 'users' or 'chatgroups' or 'chatrooms'")
		}
		b := message.Broadcast{Level: level}
		var err error
		if b.From, err = speaker(in.From); err != nil {
			return Answer{}, err
		}
		if b.Content, err = typed(in.Msg); err != nil {
			return Answer{}, err
		}
		if b.Ext, err = extension(in.Ext); err != nil {
			return Answer{}, err
		}
		id, err := send(ctx, c.App, b)
		if errors.Is(err, errcode.ServiceNotEnabled) {
			say := forbidden("forbidden_op", "message broadcast service is unopened")
			return Answer{}, say.because(err)
		}
		return Answer{Data: map[string]int64{"id": id}}, sayMessage(c, b.From, err)
	}
}
