package chat

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// PinnedMessage is a message that was pinned in its conversation.
type PinnedMessage struct {
	Message *Message
	By      string // user id
	Time    time.Time
}

// PinEvent tells that a message was pinned or unpinned.
type PinEvent struct {
	Target    Target
	MessageID string
	By        string // user id
	Pinned    bool   // else unpinned
	Time      time.Time
}

// PinMessage pins a message in its conversation; the members are told by OnMessagePin. Only ID, Conversation and ChatType
// of the message count.
//
// It returns 700 (wrapping 28) without a session, -3 for an id that is none, 51 for a message that the server does not
// have, 50 for too many, 603 for who may not pin there, 505 when the app has no pins, 52 when the server does not accept
// the token any more, and the codes of a failed request: 17, 500, -1, -2, -4. So do the other methods for pins.
func (c *Client) PinMessage(ctx context.Context, m *Message) error {
	return c.changePin(ctx, "pin message", http.MethodPost, m)
}

// UnpinMessage unpins a message; 51 for one that is not pinned.
func (c *Client) UnpinMessage(ctx context.Context, m *Message) error {
	return c.changePin(ctx, "unpin message", http.MethodDelete, m)
}

func (c *Client) changePin(ctx context.Context, op, method string, m *Message) error {
	if m == nil || parseID(m.ID) == 0 || m.Conversation == "" {
		return fail(errcode.InvalidParameter, op, "the message has no id or no conversation", nil)
	}
	in := map[string]string{"to": m.Conversation, "type": m.ChatType.name(), "pin_msg_id": m.ID}
	return c.change(ctx, op, method, in, nil, "sdk", "user", me, "user_channel", "pin")
}

// PinnedMessages returns the pinned messages of a conversation, the latest pinned first.
func (c *Client) PinnedMessages(ctx context.Context, of Target) iter.Seq2[*PinnedMessage, error] {
	return restclient.Pages("", func(cursor string) ([]*PinnedMessage, string, error) {
		var answer struct {
			Data struct {
				Cursor string `json:"cursor"`
				Infos  []struct {
					Message  *messageJSON      `json:"message"`
					Time     restclient.Millis `json:"pin_opt_at"`
					Operator string            `json:"pin_operator"`
				} `json:"msg_infos"`
			} `json:"data"`
		}
		query := url.Values{"to": {of.ID}, "type": {of.Type.name()}, "limit": {"20"}, "cursor": {cursor}}
		err := c.get(ctx, "pinned messages", &answer, query, "sdk", "user", me, "user_channel", "pin")
		user, _, _ := c.credentials()
		var pinned []*PinnedMessage
		for _, row := range answer.Data.Infos {
			if m := row.Message.message(user); m != nil {
				pinned = append(pinned, &PinnedMessage{Message: m, By: row.Operator, Time: row.Time.Time})
			}
		}
		return pinned, answer.Data.Cursor, err
	})
}
