package admin

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// Callback is a callback before delivery (docs/callbacks.md): the server asks the address what to do with a message.
type Callback struct {
	URL     string `json:"url"`
	Secret  string `json:"secret"`
	Enabled bool   `json:"enabled"`
	// ChatTypes and MessageTypes say of which messages it is asked; none: of all.
	ChatTypes    []string `json:"chat_types,omitempty"`
	MessageTypes []string `json:"message_types,omitempty"`
	// TimeoutMS is how long an answer is waited for, in ms; 0: the server's choice. Fallback is what happens then: "pass" or
	// "block".
	TimeoutMS int    `json:"timeout_ms,omitempty"`
	Fallback  string `json:"fallback,omitempty"`
	// ReportError tells the sender that a message was blocked; else the sender believes it was sent.
	ReportError bool `json:"report_error,omitempty"`
}

// Callbacks returns the callbacks before delivery by name.
func (c *Client) Callbacks(ctx context.Context) (map[string]Callback, error) {
	return listRules[Callback](ctx, c, "list callbacks", "callbacks", "pre")
}

// SetCallback makes or changes the callback of that name.
func (c *Client) SetCallback(ctx context.Context, name string, b Callback) error {
	return c.do(ctx, call{op: "set callback", method: http.MethodPut, path: []string{"callbacks", "pre", name}, in: b})
}

// DeleteCallback deletes a callback. The error is 17 if there is none of that name.
func (c *Client) DeleteCallback(ctx context.Context, name string) error {
	return c.do(ctx, call{op: "delete callback", method: http.MethodDelete, path: []string{"callbacks", "pre", name}})
}

// Listener is a callback after delivery (docs/callbacks.md): the server tells the address what has happened. Lists that are
// empty leave nothing out.
type Listener struct {
	URL          string   `json:"url"`
	Secret       string   `json:"secret"`
	Enabled      bool     `json:"enabled"`
	Events       []string `json:"events,omitempty"`
	ChatTypes    []string `json:"chat_types,omitempty"`
	MessageTypes []string `json:"message_types,omitempty"`
	From         []string `json:"from,omitempty"`
	To           []string `json:"to,omitempty"`
	// ExtKey: only messages whose extension has this key.
	ExtKey string `json:"ext_key,omitempty"`
	// Backend: also what backends send.
	Backend bool `json:"rest,omitempty"`
	// Format of events of groups: "muc" or "group_op_event"; empty: the server's choice.
	Format    string `json:"format,omitempty"`
	TimeoutMS int    `json:"timeout_ms,omitempty"` // 0: the server's choice
}

// Listeners returns the callbacks after delivery by name.
func (c *Client) Listeners(ctx context.Context) (map[string]Listener, error) {
	return listRules[Listener](ctx, c, "list listeners", "callbacks", "post")
}

// SetListener makes or changes the callback after delivery of that name.
func (c *Client) SetListener(ctx context.Context, name string, l Listener) error {
	return c.do(ctx, call{op: "set listener", method: http.MethodPut, path: []string{"callbacks", "post", name}, in: l})
}

// DeleteListener deletes a callback after delivery, and what its address has not been told. The error is 17 if there is none
// of that name.
func (c *Client) DeleteListener(ctx context.Context, name string) error {
	return c.do(ctx, call{op: "delete listener", method: http.MethodDelete, path: []string{"callbacks", "post", name}})
}

// Dead says which events that an address was not told, and that the server has given up, are meant: those with these ids, or
// those of a listener and a time.
type Dead struct {
	IDs          []string
	Listener     string    // empty: of all
	Since, Until time.Time // when they happened; zero: at any time
}

// DeadEvent is an event that the server has given up telling.
type DeadEvent struct {
	ID       string
	Listener string // its name
	CallID   string // what the address can recognise it by
	Time     time.Time
	GivenUp  time.Time
	Attempts int
	Replayed int    // how often
	Error    string // of the last attempt
	Body     json.RawMessage
}

// DeadEvents returns the events that the server has given up telling, the newest first. IDs are not looked at.
func (c *Client) DeadEvents(ctx context.Context, d Dead) iter.Seq2[DeadEvent, error] {
	type row struct {
		ID       string            `json:"id"`
		Rule     string            `json:"rule"`
		CallID   string            `json:"callId"`
		Time     restclient.Millis `json:"timestamp"`
		Dead     restclient.Millis `json:"dead"`
		Attempts int               `json:"attempts"`
		Retry    int               `json:"retry"`
		Error    string            `json:"error"`
		Body     json.RawMessage   `json:"body"`
	}
	query := url.Values{}
	if d.Listener != "" {
		query.Set("rule", d.Listener)
	}
	for name, t := range map[string]time.Time{"since": d.Since, "until": d.Until} {
		if !t.IsZero() {
			query.Set(name, strconv.FormatInt(t.UnixMilli(), 10))
		}
	}
	rows := pages[row](ctx, c, call{op: "list dead events", method: http.MethodGet, path: []string{"callbacks", "dead"}, query: query}, 100)
	return mapped(rows, func(r row) DeadEvent {
		return DeadEvent{r.ID, r.Rule, r.CallID, r.Time.Time, r.Dead.Time, r.Attempts, r.Retry, r.Error, r.Body}
	})
}

// Replay tries to tell events again that were given up, and returns how many they are. With an address they go there, in place
// of the listener's own.
func (c *Client) Replay(ctx context.Context, d Dead, address string) (int, error) {
	in := map[string]any{}
	if len(d.IDs) > 0 {
		in["ids"] = d.IDs
	}
	if d.Listener != "" {
		in["rule"] = d.Listener
	}
	for name, t := range map[string]time.Time{"since": d.Since, "until": d.Until} {
		if !t.IsZero() {
			in[name] = t.UnixMilli()
		}
	}
	if address != "" {
		in["targetUrl"] = address
	}
	answer, err := data[struct {
		Replayed int `json:"replayed"`
	}](ctx, c, call{op: "replay events", method: http.MethodPost, path: []string{"callbacks", "dead", "replay"}, in: in})
	return answer.Replayed, err
}
