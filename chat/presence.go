package chat

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// presenceLimit is how many bytes the text of a presence may have.
const presenceLimit = 1024

// Presence is whether and where a user is online.
type Presence struct {
	User     string
	Text     string    // that the user has published
	LastSeen time.Time // or when it last changed
	Expires  time.Time // of the subscription; zero: there is none
	// Devices holds the state of each device by its name: 0 is offline, 1 online; others are the app's own.
	Devices map[string]int
}

// Online reports whether one of the devices is online.
func (p *Presence) Online() bool {
	for _, state := range p.Devices {
		if state != 0 {
			return true
		}
	}
	return false
}

// presenceJSON is a presence in the server's answers and notices.
type presenceJSON struct {
	User     string                        `json:"uid"`
	LastTime restclient.Integer            `json:"last_time"`
	Expiry   restclient.Integer            `json:"expiry"`
	Ext      string                        `json:"ext"`
	Status   map[string]restclient.Integer `json:"status"`
}

func (p presenceJSON) presence() *Presence {
	out := &Presence{User: p.User, Text: p.Ext, LastSeen: unixSeconds(p.LastTime), Expires: unixSeconds(p.Expiry)}
	for device, state := range p.Status {
		if out.Devices == nil {
			out.Devices = map[string]int{}
		}
		out.Devices[device] = int(state)
	}
	return out
}

// PublishPresence tells the subscribers a text, up to 1,024 bytes.
//
// It returns 1100 for a longer one, 700 (wrapping 28) without a session, 505 when the app has no presence, 52 when the
// server does not accept the token any more, and the codes of a failed request: 17, 500, -1, -2, -4. So do the other
// methods for presence but for 1100; those for other users also return -3 for no or an invalid user id, and
// SubscribePresence for less than a second.
func (c *Client) PublishPresence(ctx context.Context, text string) error {
	const op = "publish presence"
	if len(text) > presenceLimit {
		return fail(errcode.PresenceTooLong, op, fmt.Sprintf("the text has %d bytes, it may have %d", len(text), presenceLimit), nil)
	}
	_, device, _ := c.credentials()
	return c.do(ctx, call{op: op, method: http.MethodPost, path: []string{"users", me, "presence", device, "1"},
		in: map[string]string{"ext": text}})
}

// SubscribePresence asks to be told by OnPresence of changes of up to 100 users, for up to 30 days in whole seconds, and
// returns what they are now.
func (c *Client) SubscribePresence(ctx context.Context, d time.Duration, users ...string) ([]*Presence, error) {
	const op = "subscribe presence"
	if d < time.Second {
		return nil, fail(errcode.InvalidParameter, op, "the subscription is shorter than a second", nil)
	}
	return c.presences(ctx, op, users, strconv.FormatInt(int64(d/time.Second), 10))
}

// PresenceOf returns the presence of up to 100 users.
func (c *Client) PresenceOf(ctx context.Context, users ...string) ([]*Presence, error) {
	return c.presences(ctx, "presence", users)
}

func (c *Client) presences(ctx context.Context, op string, users []string, more ...string) ([]*Presence, error) {
	if _, err := restclient.Join(op, users); err != nil {
		return nil, err
	}
	var answer struct {
		Result []presenceJSON `json:"result"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodPost, path: append([]string{"users", me, "presence"}, more...),
		in: map[string]any{"usernames": users}, out: &answer})
	if err != nil {
		return nil, err
	}
	out := make([]*Presence, len(answer.Result))
	for i, row := range answer.Result {
		out[i] = row.presence()
	}
	return out, nil
}

// UnsubscribePresence ends subscriptions.
func (c *Client) UnsubscribePresence(ctx context.Context, users ...string) error {
	const op = "unsubscribe presence"
	if _, err := restclient.Join(op, users); err != nil {
		return err
	}
	return c.do(ctx, call{op: op, method: http.MethodDelete, path: []string{"users", me, "presence"}, in: users})
}

// Subscription is whose presence the user has subscribed to.
type Subscription struct {
	User    string
	Expires time.Time
}

// PresenceSubscriptions returns the user's subscriptions.
func (c *Client) PresenceSubscriptions(ctx context.Context) iter.Seq2[Subscription, error] {
	const size = 50
	return restclient.NumberedPages(1, size, func(page int) ([]Subscription, error) {
		var answer struct {
			Result struct {
				List []presenceJSON `json:"sublist"`
			} `json:"result"`
		}
		query := url.Values{"pageNum": {strconv.Itoa(page)}, "pageSize": {strconv.Itoa(size)}}
		if err := c.get(ctx, "presence subscriptions", &answer, query, "users", me, "presence", "sublist"); err != nil {
			return nil, err
		}
		subscriptions := make([]Subscription, len(answer.Result.List))
		for i, row := range answer.Result.List {
			subscriptions[i] = Subscription{User: row.User, Expires: unixSeconds(row.Expiry)}
		}
		return subscriptions, nil
	})
}
