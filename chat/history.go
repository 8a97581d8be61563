package chat

import (
	"context"
	"encoding/base64"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// HistoryQuery narrows what [Client.History] returns; its zero value is everything, newest first.
type HistoryQuery struct {
	OldestFirst bool
	Kinds       []Kind    // only these; none: all
	From        string    // only messages of this user; in groups, rooms and threads
	Since       time.Time // not older
	Until       time.Time // not newer
	// After goes on behind a message, in the direction of the query: its id.
	After string
}

// History returns the messages of a conversation that the server has, without commands and what was recalled.
//
// It yields 700 (wrapping 28) without a session, -3 for an empty id, 602 for who is not in the group, 505 when the app
// keeps no history, 604 for a message that does not decode, 52 when the server does not accept the token any more, and the
// codes of a failed request: 17, 500, -1, -2, -4. So do all methods for history and conversations; those below name what
// they return besides.
func (c *Client) History(ctx context.Context, of Target, q HistoryQuery) iter.Seq2[*Message, error] {
	const op = "history"
	if of.ID == "" {
		return failed[*Message](fail(errcode.InvalidParameter, op, "the id of the conversation is empty", nil))
	}
	in := map[string]any{
		"queue": of.ID + "@" + of.Type.domain(), "pull_number": 50, "is_positive": q.OldestFirst, "end": -1,
		"msgType": namesOf(q.Kinds), "startTime": nil, "endTime": nil, "userId": nil,
	}
	if !q.Since.IsZero() {
		in["startTime"] = q.Since.UnixMilli()
	}
	if !q.Until.IsZero() {
		in["endTime"] = q.Until.UnixMilli()
	}
	if q.From != "" {
		in["userId"] = q.From
	}
	return restclient.Pages(q.After, func(cursor string) ([]*Message, string, error) {
		in["start"] = -1
		if cursor != "" {
			in["start"] = cursor
		}
		var answer struct {
			Data struct {
				Messages []storedJSON `json:"msgs"`
				Next     string       `json:"next_key"`
				Last     bool         `json:"is_last"`
			} `json:"data"`
		}
		err := c.do(ctx, call{op: op, method: http.MethodPost, path: []string{"users", me, "messageroaming"}, in: in, out: &answer})
		if err != nil {
			return nil, "", err
		}
		if answer.Data.Last {
			answer.Data.Next = ""
		}
		messages, err := c.stored(op, answer.Data.Messages)
		return messages, answer.Data.Next, err
	})
}

// SearchQuery narrows what [Client.Search] returns.
type SearchQuery struct {
	In    Target // only in this conversation; zero: in all
	Kinds []Kind // only these; none: all
}

// Search returns the user's messages that hold all words of a text, newest first. A word is found by its beginning, what
// has no blanks, as Chinese, by any part. It is a route of Stoa's; other servers answer with 17. For the errors see
// [Client.History]; 17 also for a text without a letter or of more than 512 bytes.
func (c *Client) Search(ctx context.Context, text string, q SearchQuery) iter.Seq2[*Message, error] {
	const op = "search"
	return restclient.Pages("", func(cursor string) ([]*Message, string, error) {
		query := url.Values{"text": {text}, "limit": {"50"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		if len(q.Kinds) > 0 {
			query.Set("msgType", namesOf(q.Kinds))
		}
		if q.In.ID != "" {
			query.Set("to", q.In.ID)
			query.Set("type", q.In.Type.name())
		}
		var answer struct {
			Data struct {
				Messages []storedJSON `json:"msgs"`
				Cursor   string       `json:"cursor"`
			} `json:"data"`
		}
		if err := c.get(ctx, op, &answer, query, "users", me, "messages", "search"); err != nil {
			return nil, "", err
		}
		messages, err := c.stored(op, answer.Data.Messages)
		return messages, answer.Data.Cursor, err
	})
}

// storedJSON is a message as the server keeps it, in base64.
type storedJSON struct {
	Meta string `json:"msg"`
}

// stored reads messages, and leaves out what is none. The error is 604.
func (c *Client) stored(op string, rows []storedJSON) ([]*Message, error) {
	user, _, _ := c.credentials()
	var messages []*Message
	for _, row := range rows {
		m, err := decodeStored(user, row.Meta)
		if err != nil {
			return nil, badMessage(op, "a message", 0, err)
		}
		if m != nil {
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// namesOf joins the names of kinds.
func namesOf(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = kindNames[kind]
	}
	return strings.Join(names, ",")
}

// failed yields an error and nothing else.
func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

// decodeStored reads a message as the server keeps it; it is nil for what is no message.
func decodeStored(user, text string) (*Message, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	var meta msync.Meta
	var body msync.MessageBody
	if err := proto.Unmarshal(data, &meta); err != nil {
		return nil, err
	}
	if meta.GetNs() != msync.Meta_CHAT {
		return nil, nil
	}
	if err := proto.Unmarshal(meta.GetPayload(), &body); err != nil {
		return nil, err
	}
	return decodeMessage(user, &meta, &body)
}

// DeleteMessages removes up to 50 messages of a conversation from the user's history, on all the user's devices; others
// keep them.
func (c *Client) DeleteMessages(ctx context.Context, of Target, ids ...string) error {
	joined, err := restclient.Join("delete messages", ids)
	if err != nil {
		return err
	}
	return c.deleteRoaming(ctx, of, url.Values{"msgIdList": {joined}})
}

// DeleteMessagesBefore removes the messages of a conversation that are older than a time from the user's history, on all
// the user's devices; others keep them.
func (c *Client) DeleteMessagesBefore(ctx context.Context, of Target, before time.Time) error {
	return c.deleteRoaming(ctx, of, url.Values{"delTime": {strconv.FormatInt(before.UnixMilli(), 10)}}, "time")
}

func (c *Client) deleteRoaming(ctx context.Context, of Target, query url.Values, more ...string) error {
	if of.ID == "" {
		return fail(errcode.InvalidParameter, "delete messages", "the id of the conversation is empty", nil)
	}
	kind, key := "chat", "userId"
	if of.Type != SingleChat {
		kind, key = "group", "groupId"
	}
	query.Set(key, of.ID)
	return c.do(ctx, call{op: "delete messages", method: http.MethodDelete, query: query, own: true,
		path: append([]string{"sdk", "message", "roaming", kind, "user", me}, more...)})
}

// DeleteAllMessages removes all messages and conversations of the user from the server; others keep theirs.
func (c *Client) DeleteAllMessages(ctx context.Context) error {
	return c.change(ctx, "delete all messages", http.MethodPost, nil, nil, "sdk", "message", "roaming", "user", me, "delete", "all")
}
