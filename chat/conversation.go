package chat

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Conversation is an entry in the server's list of a user's conversations.
type Conversation struct {
	Target
	Unread      int
	LastMessage *Message // nil: none
	Pinned      bool
	PinnedAt    time.Time
	Marks       []int // from 0 to 19; what they mean is the application's choice
}

// Conversations returns the user's conversations, the one with the newest message first.
func (c *Client) Conversations(ctx context.Context) iter.Seq2[*Conversation, error] {
	return c.conversations(ctx, nil, "list")
}

// PinnedConversations returns the conversations that the user has pinned, the latest first.
func (c *Client) PinnedConversations(ctx context.Context) iter.Seq2[*Conversation, error] {
	return c.conversations(ctx, url.Values{"is_top": {"true"}}, "list")
}

// MarkedConversations returns the conversations with a mark.
func (c *Client) MarkedConversations(ctx context.Context, mark int) iter.Seq2[*Conversation, error] {
	return c.conversations(ctx, url.Values{"mark": {markName(mark)}}, "mark", "search")
}

func markName(mark int) string { return "mark_" + strconv.Itoa(mark) }

func (c *Client) conversations(ctx context.Context, filter url.Values, path ...string) iter.Seq2[*Conversation, error] {
	return restclient.Pages("", func(cursor string) ([]*Conversation, string, error) {
		var answer struct {
			Data struct {
				Cursor string `json:"cursor"`
				Infos  []struct {
					ID      string             `json:"session_to"`
					Type    string             `json:"session_type"`
					Pinned  bool               `json:"is_top"`
					PinTime restclient.Millis  `json:"update_top_status_time"`
					Unread  restclient.Integer `json:"unread_num"`
					Marks   []string           `json:"marks"`
					Meta    *messageJSON       `json:"meta"`
				} `json:"channel_infos"`
			} `json:"data"`
		}
		query := url.Values{"limit": {"50"}, "cursor": {cursor}, "need_mark": {"true"}}
		maps.Copy(query, filter)
		err := c.get(ctx, "conversations", &answer, query, append([]string{"sdk", "user", me, "user_channels"}, path...)...)
		user, _, _ := c.credentials()
		var list []*Conversation
		for _, row := range answer.Data.Infos {
			v := &Conversation{
				Target: Target{chatTypeNamed(row.Type), row.ID}, Unread: int(row.Unread), LastMessage: row.Meta.message(user),
				Pinned: row.Pinned,
			}
			if row.Pinned {
				v.PinnedAt = row.PinTime.Time
			}
			for _, name := range row.Marks {
				if mark, ok := markOf(name); ok {
					v.Marks = append(v.Marks, mark)
				}
			}
			list = append(list, v)
		}
		return list, answer.Data.Cursor, err
	})
}

func markOf(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "mark_")
	mark, err := strconv.Atoi(digits)
	return mark, ok && err == nil
}

// channelName is the kind of conversation as the routes for single conversations call it.
func (t ChatType) channelName() string {
	if t == SingleChat {
		return "chat"
	}
	return "groupChat"
}

// PinConversation puts a conversation on top of the list, on all the user's devices. It returns 1400 for one that does not
// exist, and 50 for more than the app allows.
func (c *Client) PinConversation(ctx context.Context, t Target) error {
	in := map[string]string{"type": t.Type.channelName(), "to": t.ID}
	return c.change(ctx, "pin conversation", http.MethodPost, in, nil, "sdk", "user", me, "user_channel", "top")
}

// UnpinConversation ends what PinConversation began.
func (c *Client) UnpinConversation(ctx context.Context, t Target) error {
	return c.do(ctx, call{op: "unpin conversation", method: http.MethodDelete, own: true,
		path: []string{"sdk", "user", me, "user_channel", "top"}, query: url.Values{"type": {t.Type.channelName()}, "to": {t.ID}}})
}

// MarkConversations puts a mark, from 0 to 19, on up to 20 conversations. It returns 50 for more, and 1400 when some do not
// exist, with their ids in Data under "conversations"; the others are marked.
func (c *Client) MarkConversations(ctx context.Context, mark int, targets ...Target) error {
	return c.changeMark(ctx, "mark conversations", http.MethodPost, mark, targets)
}

// UnmarkConversations takes a mark off conversations.
func (c *Client) UnmarkConversations(ctx context.Context, mark int, targets ...Target) error {
	return c.changeMark(ctx, "unmark conversations", http.MethodDelete, mark, targets)
}

func (c *Client) changeMark(ctx context.Context, op, method string, mark int, targets []Target) error {
	if mark < 0 || mark > 19 {
		return fail(errcode.InvalidParameter, op, fmt.Sprintf("the mark %d is not from 0 to 19", mark), nil)
	}
	if len(targets) == 0 || slices.ContainsFunc(targets, func(t Target) bool { return t.ID == "" }) {
		return fail(errcode.InvalidParameter, op, "a conversation has no id, or there is none", nil)
	}
	type target struct {
		To   string `json:"to"`
		Type string `json:"type"`
	}
	rows := make([]target, len(targets))
	for i, t := range targets {
		rows[i] = target{t.ID, t.Type.name()}
	}
	var answer struct {
		Data struct {
			Ignored []target `json:"ignore"`
		} `json:"data"`
	}
	in := map[string]any{"mark": markName(mark), "targets": rows}
	err := c.change(ctx, op, method, in, &answer, "sdk", "user", me, "user_channels", "mark")
	if err != nil || len(answer.Data.Ignored) == 0 {
		return err
	}
	var unknown []string
	for _, row := range answer.Data.Ignored {
		unknown = append(unknown, row.To)
	}
	e := fail(errcode.ConversationNotExist, op, "", nil)
	e.Data = map[string]any{"conversations": unknown}
	return e
}

// DeleteConversation takes a conversation out of the list, on all the user's devices; with messages, also what the user
// has of it in the history. A new message brings it back.
func (c *Client) DeleteConversation(ctx context.Context, t Target, messages bool) error {
	in := map[string]any{"channel": t.ID, "type": t.Type.channelName(), "delete_roam": messages}
	return c.change(ctx, "delete conversation", http.MethodDelete, in, nil, "user", me, "user_channel")
}
