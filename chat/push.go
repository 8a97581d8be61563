package chat

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// PushToken is how a push service reaches a device.
type PushToken struct {
	Device   string // the device's own id
	Token    string
	Notifier string // the name of the push service's entry at the server
}

// SetPushToken tells the server how to reach this device when it is offline.
//
// It returns 700 (wrapping 28) without a session, 52 when the server does not accept the token any more, 505 when the app
// has no push, and the codes of a failed request: 17, 500, -1, -2, -4. So do the other methods here.
func (c *Client) SetPushToken(ctx context.Context, t PushToken) error {
	return c.do(ctx, call{op: "set push token", method: http.MethodPut, path: []string{"users", me},
		in: map[string]string{"device_id": t.Device, "device_token": t.Token, "notifier_name": t.Notifier}})
}

// RemovePushToken ends push notices for a device, by the id that it was set with.
func (c *Client) RemovePushToken(ctx context.Context, device string) error {
	return c.SetPushToken(ctx, PushToken{Device: device})
}

// SetPushNickname sets the name that push notices show for the user.
func (c *Client) SetPushNickname(ctx context.Context, nickname string) error {
	return c.do(ctx, call{op: "set nickname", method: http.MethodPut, path: []string{"users", me},
		in: map[string]string{"nickname": nickname}})
}

// Remind says for which messages there are push notices.
type Remind string

// The kinds of reminding.
const (
	RemindDefault   Remind = ""     // as for all conversations, or all messages
	RemindAll       Remind = "ALL"  // all messages
	RemindMentioned Remind = "AT"   // those that mention the user
	RemindNone      Remind = "NONE" // no message
)

// SilentMode says when push notices are kept from the user.
type SilentMode struct {
	Remind Remind
	Until  time.Time // silent until then; zero: not
	// Daily is silent every day from one time to another; nil: not. It counts for all conversations only.
	Daily *Interval
}

// Interval is a part of each day, in UTC. It may go over midnight; one that ends where it begins is the whole day.
type Interval struct{ From, To Clock }

// Clock is a time of day.
type Clock struct{ Hour, Minute int }

// SilentChange is what of a silent mode is to be changed: exactly one of its fields.
type SilentChange struct {
	Remind Remind
	For    time.Duration // from now on
	Daily  *Interval
}

func (x SilentChange) body(op string) (map[string]any, *Error) {
	in := map[string]any{}
	if x.Remind != RemindDefault {
		in["type"] = x.Remind
	}
	if x.For > 0 {
		in["ignoreDuration"] = x.For.Milliseconds()
	}
	if x.Daily != nil {
		for _, c := range []Clock{x.Daily.From, x.Daily.To} {
			if c.Hour < 0 || c.Hour > 23 || c.Minute < 0 || c.Minute > 59 {
				return nil, fail(errcode.InvalidParameter, op, fmt.Sprintf("%d:%d is no time of day", c.Hour, c.Minute), nil)
			}
		}
		in["ignoreInterval"] = fmt.Sprintf("%d:%d-%d:%d", x.Daily.From.Hour, x.Daily.From.Minute, x.Daily.To.Hour, x.Daily.To.Minute)
	}
	if len(in) != 1 {
		return nil, fail(errcode.InvalidParameter, op, "exactly one field must be set", nil)
	}
	return in, nil
}

// silentJSON is a silent mode in the server's answers and notices.
type silentJSON struct {
	Type     string            `json:"type"`
	Until    restclient.Millis `json:"ignoreDuration"`
	Interval string            `json:"ignoreInterval"`
}

func (s *silentJSON) mode() SilentMode {
	mode := SilentMode{Remind: Remind(s.Type), Until: s.Until.Time}
	if mode.Remind == "DEFAULT" {
		mode.Remind = RemindDefault
	}
	var i Interval
	if n, _ := fmt.Sscanf(s.Interval, "%d:%d-%d:%d", &i.From.Hour, &i.From.Minute, &i.To.Hour, &i.To.Minute); n == 4 {
		mode.Daily = &i
	}
	return mode
}

// SetSilentMode changes the silent mode of all conversations.
func (c *Client) SetSilentMode(ctx context.Context, x SilentChange) error {
	const op = "set silent mode"
	in, err := x.body(op)
	if err != nil {
		return err
	}
	return c.change(ctx, op, http.MethodPut, in, nil, "users", me, "notification", "user", me)
}

// SilentMode returns the silent mode of all conversations.
func (c *Client) SilentMode(ctx context.Context) (SilentMode, error) {
	return c.silentMode(ctx, "user", me)
}

// SetConversationSilentMode changes the silent mode of one conversation.
func (c *Client) SetConversationSilentMode(ctx context.Context, of Target, x SilentChange) error {
	const op = "set silent mode"
	if x.Daily != nil {
		return fail(errcode.InvalidParameter, op, "one conversation has no daily silence", nil)
	}
	in, err := x.body(op)
	if err != nil {
		return err
	}
	return c.change(ctx, op, http.MethodPut, in, nil, "users", me, "notification", of.Type.silentKind(), of.ID)
}

// ClearSilentMode ends the silence of all conversations: that for a time, the daily one, and that by kind of message.
// Conversations with a silent mode of their own keep it.
func (c *Client) ClearSilentMode(ctx context.Context) error {
	return c.change(ctx, "clear silent mode", http.MethodPut, map[string]any{"type": "DEFAULT", "ignoreDuration": 0, "ignoreInterval": ""},
		nil, "users", me, "notification", "user", me)
}

// ClearConversationSilentMode makes one conversation as all others are.
func (c *Client) ClearConversationSilentMode(ctx context.Context, of Target) error {
	return c.change(ctx, "clear silent mode", http.MethodPut, map[string]any{"type": "DEFAULT", "ignoreDuration": 0}, nil,
		"users", me, "notification", of.Type.silentKind(), of.ID)
}

// ConversationSilentMode returns the silent mode of one conversation.
func (c *Client) ConversationSilentMode(ctx context.Context, of Target) (SilentMode, error) {
	return c.silentMode(ctx, of.Type.silentKind(), of.ID)
}

func (c *Client) silentMode(ctx context.Context, path ...string) (SilentMode, error) {
	var answer struct {
		Data silentJSON `json:"data"`
	}
	err := c.get(ctx, "silent mode", &answer, nil, append([]string{"users", me, "notification"}, path...)...)
	return answer.Data.mode(), err
}

// silentKind is the kind of conversation in the addresses of silent modes.
func (t ChatType) silentKind() string {
	if t == SingleChat {
		return "user"
	}
	return "chatgroup"
}

// ConversationSilentModes returns the silent modes of conversations; those without one of their own are left out.
// Chatrooms and threads are told as groups.
func (c *Client) ConversationSilentModes(ctx context.Context, of ...Target) (map[Target]SilentMode, error) {
	const op = "silent modes"
	var users, groups []string
	for _, t := range of {
		if t.Type == SingleChat {
			users = append(users, t.ID)
		} else {
			groups = append(groups, t.ID)
		}
	}
	if _, err := restclient.Join(op, append(users, groups...)); err != nil {
		return nil, err
	}
	query := url.Values{}
	for key, ids := range map[string][]string{"user": users, "group": groups} {
		if len(ids) > 0 {
			query.Set(key, strings.Join(ids, ","))
		}
	}
	var answer struct {
		Data struct {
			User  map[string]silentJSON `json:"user"`
			Group map[string]silentJSON `json:"group"`
		} `json:"data"`
	}
	if err := c.get(ctx, op, &answer, query, "users", me, "notification"); err != nil {
		return nil, err
	}
	modes := map[Target]SilentMode{}
	for id, mode := range answer.Data.User {
		modes[ToUser(id)] = mode.mode()
	}
	for id, mode := range answer.Data.Group {
		modes[ToGroup(id)] = mode.mode()
	}
	return modes, nil
}

// ConversationRemind is a conversation with its own kind of reminding.
type ConversationRemind struct {
	Target
	Remind Remind
}

// SilentConversations returns the conversations that have a kind of reminding of their own.
func (c *Client) SilentConversations(ctx context.Context) iter.Seq2[ConversationRemind, error] {
	return restclient.Pages("", func(cursor string) ([]ConversationRemind, string, error) {
		query := url.Values{"limit": {"50"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var answer struct {
			Data []struct {
				User  string `json:"user"`
				Group string `json:"group"`
				Value string `json:"value"`
			} `json:"data"`
			Cursor string `json:"cursor"`
		}
		err := c.get(ctx, "silent conversations", &answer, query, "users", me, "notification", "mute", "type")
		var reminds []ConversationRemind
		for _, row := range answer.Data {
			r := ConversationRemind{ToGroup(row.Group), Remind(row.Value)}
			if row.User != "" {
				r.Target = ToUser(row.User)
			}
			reminds = append(reminds, r)
		}
		return reminds, answer.Cursor, err
	})
}

// SetPushLanguage sets the language, by its code, that push notices are translated to.
func (c *Client) SetPushLanguage(ctx context.Context, code string) error {
	return c.do(ctx, call{op: "set push language", method: http.MethodPut, path: []string{"users", me, "notification", "language"},
		in: map[string]string{"translationLanguage": code}})
}

// PushLanguage returns the language of push notices; it is empty where none was set.
func (c *Client) PushLanguage(ctx context.Context) (string, error) {
	var answer struct {
		Data struct {
			Language string `json:"language"`
		} `json:"data"`
	}
	err := c.get(ctx, "push language", &answer, nil, "users", me, "notification", "language")
	return answer.Data.Language, err
}
