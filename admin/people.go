package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// Presence is what a user publishes.
type Presence struct {
	User     string
	Text     string
	Statuses map[string]int // by device: 1 is online, other numbers are the app's own
	Last     time.Time      // when it changed
}

// Publish publishes the presence of a user's device, with a status that is 0 for offline, 1 for online or the app's own, and a
// text of up to 1,024 bytes (1500).
func (c *Client) Publish(ctx context.Context, user, device string, status int, text string) error {
	return c.do(ctx, call{op: "publish presence", method: http.MethodPost, path: []string{"users", user, "presence", device, strconv.Itoa(status)},
		in: map[string]string{"ext": text}})
}

// Presence returns the presence of up to 100 users, as a user sees it.
func (c *Client) Presence(ctx context.Context, as string, users ...string) ([]Presence, error) {
	return c.presences(ctx, "get presence", users, "users", as, "presence")
}

// Watch has a user watch up to 100 others, for whole seconds, up to 30 days, and returns their presence: the user's clients
// are told of changes.
func (c *Client) Watch(ctx context.Context, user string, d time.Duration, users ...string) ([]Presence, error) {
	return c.presences(ctx, "watch presence", users, "users", user, "presence", strconv.FormatInt(int64(d.Seconds()), 10))
}

func (c *Client) presences(ctx context.Context, op string, users []string, path ...string) ([]Presence, error) {
	var answer struct {
		Rows []struct {
			User   string                        `json:"uid"`
			Text   string                        `json:"ext"`
			Last   restclient.Integer            `json:"last_time"` // s
			Status map[string]restclient.Integer `json:"status"`
		} `json:"result"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodPost, path: path, in: names(users), out: &answer})
	list := make([]Presence, len(answer.Rows))
	for i, row := range answer.Rows {
		list[i] = Presence{User: row.User, Text: row.Text, Statuses: map[string]int{}}
		if row.Last > 0 {
			list[i].Last = time.Unix(int64(row.Last), 0)
		}
		for device, status := range row.Status {
			list[i].Statuses[device] = int(status)
		}
	}
	return list, err
}

// Unwatch ends Watch for some.
func (c *Client) Unwatch(ctx context.Context, user string, users ...string) error {
	return c.do(ctx, call{op: "unwatch presence", method: http.MethodDelete, path: []string{"users", user, "presence"}, in: users})
}

// Notify says of which messages a user is notified.
type Notify string

// What users can be notified of.
const (
	NotifyAll     Notify = "ALL"
	NotifyMention Notify = "AT" // only of messages that mention the user
	NotifyNone    Notify = "NONE"
	NotifyDefault Notify = "DEFAULT" // as set for all conversations
)

// PushSetting says how a user is notified. Zero fields are not changed.
type PushSetting struct {
	Notify Notify
	// Quiet is the hours of each day without notifications, as "21:30-08:00"; of all conversations only.
	Quiet string
	// QuietFor is how long from now there are none, up to 7 days; negative ends it.
	QuietFor time.Duration
	// QuietUntil is what the server answers: when the time ends; it is not sent.
	QuietUntil time.Time
}

// SetPushSetting changes the setting of a user for all conversations, and returns it.
func (c *Client) SetPushSetting(ctx context.Context, user string, s PushSetting) (PushSetting, error) {
	return c.push(ctx, http.MethodPut, s, user, "user", user)
}

// PushSetting returns the setting of a user for all conversations.
func (c *Client) PushSetting(ctx context.Context, user string) (PushSetting, error) {
	return c.push(ctx, http.MethodGet, PushSetting{}, user, "user", user)
}

// SetPushSettingOf changes the setting of a user for a conversation with another, and returns it.
func (c *Client) SetPushSettingOf(ctx context.Context, user, other string, s PushSetting) (PushSetting, error) {
	return c.push(ctx, http.MethodPut, s, user, "user", other)
}

// PushSettingOf returns the setting of a user for a conversation with another.
func (c *Client) PushSettingOf(ctx context.Context, user, other string) (PushSetting, error) {
	return c.push(ctx, http.MethodGet, PushSetting{}, user, "user", other)
}

// SetPushSetting changes the setting of a member for the place, and returns it.
func (p place) SetPushSetting(ctx context.Context, user string, s PushSetting) (PushSetting, error) {
	return p.c.push(ctx, http.MethodPut, s, user, "chatgroup", p.id)
}

// PushSetting returns the setting of a member for the place.
func (p place) PushSetting(ctx context.Context, user string) (PushSetting, error) {
	return p.c.push(ctx, http.MethodGet, PushSetting{}, user, "chatgroup", p.id)
}

func (c *Client) push(ctx context.Context, method string, s PushSetting, user, kind, key string) (PushSetting, error) {
	k := call{op: "push setting", method: method, path: []string{"users", user, "notification", kind, key}}
	if method == http.MethodPut {
		in := map[string]any{}
		if s.Notify != "" {
			in["type"] = s.Notify
		}
		if s.Quiet != "" {
			in["ignoreInterval"] = s.Quiet
		}
		if s.QuietFor != 0 {
			in["ignoreDuration"] = max(s.QuietFor.Milliseconds(), 0)
		}
		k.in = in
	}
	answer, err := data[struct {
		Type     Notify            `json:"type"`
		Interval string            `json:"ignoreInterval"`
		Duration restclient.Millis `json:"ignoreDuration"`
	}](ctx, c, k)
	return PushSetting{Notify: answer.Type, Quiet: answer.Interval, QuietUntil: answer.Duration.Time}, err
}

// SetPushLanguage sets the language of a user's notifications, as "fr"; empty: none.
func (c *Client) SetPushLanguage(ctx context.Context, user, language string) error {
	return c.do(ctx, call{op: "set push language", method: http.MethodPut, path: []string{"users", user, "notification", "language"},
		in: map[string]string{"translationLanguage": language}})
}

// PushLanguage returns the language of a user's notifications; empty: none.
func (c *Client) PushLanguage(ctx context.Context, user string) (string, error) {
	answer, err := data[struct {
		Language string `json:"language"`
	}](ctx, c, call{op: "get push language", method: http.MethodGet, path: []string{"users", user, "notification", "language"}})
	return answer.Language, err
}

// PushToken is where a provider notifies a device.
type PushToken struct {
	Device   string `json:"device_id"`
	Provider string `json:"notifier_name"` // of the app's settings
	Token    string `json:"device_token"`  // the provider's; empty ends it
}

// SetPushToken binds a device of a user to a provider.
func (c *Client) SetPushToken(ctx context.Context, user string, t PushToken) error {
	return c.do(ctx, call{op: "set push token", method: http.MethodPut, path: []string{"users", user, "push", "binding"}, in: t})
}

// PushTokens returns the devices of a user that are bound.
func (c *Client) PushTokens(ctx context.Context, user string) ([]PushToken, error) {
	return data[[]PushToken](ctx, c, call{op: "list push tokens", method: http.MethodGet, path: []string{"users", user, "push", "binding"}})
}

// CallToken is a user's token for audio and video calls.
type CallToken struct {
	AppID   string
	Token   string
	Channel string
	UID     uint32 // the user's number in calls
	Life    time.Duration
}

// CallToken returns a user's token for a channel of calls; "" is every channel.
func (c *Client) CallToken(ctx context.Context, user, channel string) (CallToken, error) {
	var answer struct {
		AppID   string `json:"app_id"`
		Token   string `json:"rtc_token"`
		Channel string `json:"channel_name"`
		UID     uint32 `json:"rtcUid"`
		Life    int64  `json:"expires_in"`
	}
	query := url.Values{}
	if channel != "" {
		query.Set("channelName", channel)
	}
	err := c.do(ctx, call{op: "get call token", method: http.MethodGet, path: []string{"users", user, "token", "rtc"}, query: query, out: &answer})
	return CallToken{answer.AppID, answer.Token, answer.Channel, answer.UID, time.Duration(answer.Life) * time.Second}, err
}
