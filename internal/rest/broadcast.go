package rest

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
)

func (a *API) broadcastRoutes() []Route {
	return []Route{{http.MethodPost, "/messages/chatrooms/broadcast", AppToken, a.broadcastToRooms}}
}

// levels are the priorities of messages in chatrooms.
var levels = map[string]int64{"high": 0, "normal": 1, "": 1, "low": 2}

func (a *API) broadcastToRooms(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		From  *string                    `json:"from"`
		Level string                     `json:"chatroom_msg_level"`
		Ext   map[string]json.RawMessage `json:"ext"`
		Msg   json.RawMessage            `json:"msg"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	from := "admin"
	if in.From != nil {
		from = *in.From
	}
	level, ok := levels[in.Level]
	switch {
	case from == "":
		return Answer{}, errcode.New(errcode.InvalidParameter, "from can't be empty")
	case !ok:
		return Answer{}, errcode.New(errcode.InvalidParameter, "chatroom_msg_level is high, normal or low")
	}
	content, err := msync.ContentFromJSON(in.Msg)
	if err != nil {
		return Answer{}, &errcode.Error{Code: errcode.InvalidParameter, Op: "broadcast", Message: err.Error(), Err: err}
	}
	id, err := a.messages.BroadcastToRooms(ctx, c.App, message.Broadcast{From: from, Level: level, Content: content, Ext: msync.ValuesFromJSON(in.Ext)})
	return Answer{Data: map[string]int64{"id": id}}, err
}
