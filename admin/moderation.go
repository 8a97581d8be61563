package admin

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// Never is how long a mute lasts that does not end.
const Never time.Duration = -1 * time.Second

// AppMute says how long a user is muted in the whole app, in conversations of each kind, in whole seconds: [Never] ends not,
// and 0 is not muted.
type AppMute struct {
	Chats, Groups, Rooms time.Duration
}

// MuteUser mutes a user in the whole app; the user's messages are refused with 219.
func (c *Client) MuteUser(ctx context.Context, user string, m AppMute) error {
	return c.do(ctx, call{op: "mute user", method: http.MethodPost, path: []string{"mutes"}, in: map[string]any{"username": user,
		"chat": int64(m.Chats.Seconds()), "groupchat": int64(m.Groups.Seconds()), "chatroom": int64(m.Rooms.Seconds())}})
}

// muteJSON is a row about mutes, in seconds.
type muteJSON struct {
	User   string `json:"username"`
	Chats  int64  `json:"chat"`
	Groups int64  `json:"groupchat"`
	Rooms  int64  `json:"chatroom"`
}

func (m muteJSON) mute() AppMute {
	return AppMute{time.Duration(m.Chats) * time.Second, time.Duration(m.Groups) * time.Second, time.Duration(m.Rooms) * time.Second}
}

// UserMute returns how much longer a user is muted.
func (c *Client) UserMute(ctx context.Context, user string) (AppMute, error) {
	row, err := data[muteJSON](ctx, c, call{op: "get mute", method: http.MethodGet, path: []string{"mutes", user}})
	return row.mute(), err
}

// MutedUser is a user who is muted in the whole app.
type MutedUser struct {
	User string
	AppMute
}

// MutedUsers returns the muted users, with a row for each kind of conversation.
func (c *Client) MutedUsers(ctx context.Context) iter.Seq2[MutedUser, error] {
	const rows = 50
	return restclient.NumberedPages(1, rows, func(page int) ([]MutedUser, error) {
		answer, err := data[struct {
			Rows []muteJSON `json:"data"`
		}](ctx, c, call{op: "list mutes", method: http.MethodGet, path: []string{"mutes"}, query: pageQuery(page, rows)})
		list := make([]MutedUser, len(answer.Rows))
		for i, row := range answer.Rows {
			list[i] = MutedUser{row.User, row.mute()}
		}
		return list, err
	})
}

// Action is what a rule does with a message.
type Action string

// What a rule can do.
const (
	ActionBlock Action = "block" // it is refused
	ActionMask  Action = "mask"  // what matches is made unreadable
	ActionFlag  Action = "flag"  // it is delivered, and on the list of matches
)

// Rule is a rule of moderation (docs/moderation.md).
type Rule struct {
	Words      []string `json:"words,omitempty"`
	Patterns   []string `json:"patterns,omitempty"` // regular expressions
	WholeWords bool     `json:"whole_words,omitempty"`
	Action     Action   `json:"action"`
	Code       int      `json:"code,omitempty"` // what a blocked sender is told: 501 or 508
}

// ruleJSON is a rule with its name.
type ruleJSON[T any] struct {
	Name string `json:"name"`
	Rule T      `json:"rule"`
}

func listRules[T any](ctx context.Context, c *Client, op string, path ...string) (map[string]T, error) {
	rows, err := data[[]ruleJSON[T]](ctx, c, call{op: op, method: http.MethodGet, path: path})
	rules := map[string]T{}
	for _, row := range rows {
		rules[row.Name] = row.Rule
	}
	return rules, err
}

// Rules returns the rules of moderation by name.
func (c *Client) Rules(ctx context.Context) (map[string]Rule, error) {
	return listRules[Rule](ctx, c, "list rules", "moderation", "rules")
}

// SetRule makes or changes the rule of that name. It holds for messages that are sent from now on.
func (c *Client) SetRule(ctx context.Context, name string, r Rule) error {
	return c.do(ctx, call{op: "set rule", method: http.MethodPut, path: []string{"moderation", "rules", name}, in: r})
}

// DeleteRule deletes a rule. The error is 17 if there is none of that name.
func (c *Client) DeleteRule(ctx context.Context, name string) error {
	return c.do(ctx, call{op: "delete rule", method: http.MethodDelete, path: []string{"moderation", "rules", name}})
}

// Match is a message that matched a rule.
type Match struct {
	ID        string
	Rule      string // its name
	Action    Action
	Found     string // what matched
	User      string // who sent it
	Delivered bool
	Time      time.Time
	Message   Reported
}

// Reported is a message of which the operator is told.
type Reported struct {
	ID, From, To string
	Time         time.Time
	Bodies       []map[string]any
}

type reportedJSON struct {
	ID      string            `json:"id"`
	From    string            `json:"from"`
	To      string            `json:"to"`
	Time    restclient.Millis `json:"timestamp"`
	Payload struct {
		Bodies []map[string]any `json:"bodies"`
	} `json:"payload"`
}

func (r reportedJSON) message() Reported {
	return Reported{r.ID, r.From, r.To, r.Time.Time, r.Payload.Bodies}
}

// Matches returns the messages that matched rules, the newest first.
func (c *Client) Matches(ctx context.Context) iter.Seq2[Match, error] {
	type row struct {
		ID        string            `json:"id"`
		Rule      string            `json:"rule"`
		Action    Action            `json:"action"`
		Found     string            `json:"found"`
		User      string            `json:"username"`
		Delivered bool              `json:"delivered"`
		Time      restclient.Millis `json:"timestamp"`
		Message   reportedJSON      `json:"message"`
	}
	rows := pages[row](ctx, c, call{op: "list matches", method: http.MethodGet, path: []string{"moderation", "matches"}}, 50)
	return mapped(rows, func(r row) Match {
		return Match{r.ID, r.Rule, r.Action, r.Found, r.User, r.Delivered, r.Time.Time, r.Message.message()}
	})
}

// DismissMatch takes a message from the list of matches.
func (c *Client) DismissMatch(ctx context.Context, id string) error {
	return c.do(ctx, call{op: "dismiss match", method: http.MethodDelete, path: []string{"moderation", "matches", id}})
}

// Report is a message that a user has reported.
type Report struct {
	User         string // who reports
	Type, Reason string
	Time         time.Time
	Message      Reported
}

// Reports returns the reported messages, the newest first.
func (c *Client) Reports(ctx context.Context) iter.Seq2[Report, error] {
	type row struct {
		User    string            `json:"username"`
		Type    string            `json:"reportType"`
		Reason  string            `json:"reportReason"`
		Time    restclient.Millis `json:"timestamp"`
		Message reportedJSON      `json:"message"`
	}
	rows := pages[row](ctx, c, call{op: "list reports", method: http.MethodGet, path: []string{"moderation", "reports"}}, 50)
	return mapped(rows, func(r row) Report { return Report{r.User, r.Type, r.Reason, r.Time.Time, r.Message.message()} })
}
