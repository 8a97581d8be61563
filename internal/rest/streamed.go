package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/stoa-chat/stoa/internal/message"
)

func (a *API) streamedRoutes() []Route {
	return []Route{
		{http.MethodPost, "/stream_message/user", AppToken, a.sendPart(message.Chat)},
		{http.MethodPost, "/stream_message/chatgroup", AppToken, a.sendPart(message.Group)},
	}
}

// badPart refuses a part of a text, docs/protocol/admin-rest.md §7.6.
func badPart(code int, description string) *refusal {
	return &refusal{status: http.StatusBadRequest, slug: "message_send_error", exception: "MessageSendException", code: code, description: description}
}

// sendPart sends a part of a text that is still being made.
func (a *API) sendPart(t message.ChatType) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		var in struct {
			From *string         `json:"from"`
			To   string          `json:"to"`
			Body json.RawMessage `json:"body"`
			Ext  json.RawMessage `json:"ext"`
		}
		if err := c.Decode(&in); err != nil {
			return Answer{}, err
		}
		var body struct {
			ID     scalar `json:"msgId"`
			Text   string `json:"msg"`
			Seq    *int64 `json:"seq"`
			Finish bool   `json:"finish"`
			Reason int32  `json:"finishReason"`
			Format string `json:"type"`
		}
		switch {
		case in.From != nil && *in.From == "":
			return Answer{}, badPart(14001, "param from can't be empty")
		case in.To == "":
			return Answer{}, badPart(14002, "param to can't be empty")
		case in.Body == nil || decode(in.Body, &body) != nil:
			return Answer{}, badPart(14005, "param body can't be empty")
		case body.Seq == nil || *body.Seq < 0:
			return Answer{}, badPart(14030, "param body.seq is illegal")
		}
		from, err := speaker(in.From)
		if err != nil {
			return Answer{}, err
		}
		p := message.Part{From: from, To: in.To, Type: t, Seq: *body.Seq, Text: body.Text, Last: body.Finish, Reason: body.Reason, Format: body.Format}
		if body.ID != "" {
			if p.ID = messageID(string(body.ID)); p.ID == 0 {
				return Answer{}, badPart(int(message.StreamNotFound), message.StreamNotFound.Error())
			}
		}
		if p.Ext, err = extension(in.Ext); err != nil {
			return Answer{}, err
		}
		id, err := a.messages.SendPart(ctx, c.App, p)
		var fault message.StreamFault
		if errors.As(err, &fault) {
			return Answer{}, badPart(int(fault), fault.Error()).because(err)
		}
		return Answer{Data: map[string]string{"msgId": strconv.FormatInt(id, 10)}}, sayMessage(c, from, err)
	}
}
