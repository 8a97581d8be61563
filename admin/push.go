package admin

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Notification is what a push says.
type Notification struct {
	Title    string         `json:"title,omitempty"`    // up to 32 characters
	Subtitle string         `json:"subTitle,omitempty"` // up to 10 characters, of Apple's devices
	Content  string         `json:"content,omitempty"`  // up to 100 characters
	Ext      map[string]any `json:"ext,omitempty"`      // for the app, up to 10 pairs
}

// Push is a notification with the providers' own words and marks.
type Push struct {
	Notification
	APNs  *Notification `json:"apns,omitempty"` // in place of the others on Apple's devices
	FCM   *Notification `json:"fcm,omitempty"`  // and through Google
	Extra *PushConfig   `json:"config,omitempty"`
	// IfAway: who is online is not notified.
	IfAway bool `json:"-"`
}

// PushConfig says what a notification does.
type PushConfig struct {
	Click *PushClick `json:"clickAction,omitempty"`
	Badge *PushBadge `json:"badge,omitempty"`
}

// PushClick is what opens when a notification is tapped: one of the three.
type PushClick struct {
	URL      string `json:"url,omitempty"`
	Action   string `json:"action,omitempty"`
	Activity string `json:"activity,omitempty"`
}

// PushBadge changes the number on the app's icon.
type PushBadge struct {
	Add int `json:"addNum,omitempty"`
	Set int `json:"setNum,omitempty"`
}

// ask is a body that holds a push.
func (p Push) ask(targets []string) map[string]any {
	in := map[string]any{"pushMessage": p}
	if p.IfAway {
		in["strategy"] = 3
	}
	if targets != nil {
		in["targets"] = targets
	}
	return in
}

// PushResult is what became of a push for a device or a user.
type PushResult struct {
	User   string // of PushTo
	Device string // of PushAndWait
	// Sent: the provider has taken it, or with PushTo will be given it.
	Sent   bool
	Reason string // why not
}

// PushAndWait notifies a user on all devices and waits for the provider, with a result for each device, or one without a
// device.
func (c *Client) PushAndWait(ctx context.Context, user string, p Push) ([]PushResult, error) {
	rows, err := data[[]struct {
		Status string `json:"pushStatus"`
		Reason string `json:"desc"`
		Data   struct {
			Device string `json:"device_id"`
		} `json:"data"`
	}](ctx, c, call{op: "push", method: http.MethodPost, path: []string{"push", "sync", user}, in: p.ask(nil)})
	results := make([]PushResult, len(rows))
	for i, row := range rows {
		results[i] = PushResult{User: user, Device: row.Data.Device, Sent: row.Status == "SUCCESS", Reason: row.Reason}
	}
	return results, err
}

// PushTo notifies up to 100 users, and does not wait for the provider.
func (c *Client) PushTo(ctx context.Context, p Push, users ...string) ([]PushResult, error) {
	rows, err := data[[]struct {
		User   string `json:"id"`
		Status string `json:"pushStatus"`
		Reason string `json:"desc"`
	}](ctx, c, call{op: "push", method: http.MethodPost, path: []string{"push", "single"}, in: p.ask(users)})
	results := make([]PushResult, len(rows))
	for i, row := range rows {
		results[i] = PushResult{User: row.User, Sent: row.Status == "ASYNC_SUCCESS"}
		if !results[i].Sent {
			results[i].Reason = row.Reason
		}
	}
	return results, err
}

// PushToLabels notifies the users who have all of up to 5 labels, and returns the number of the push. The error is 50 if three
// pushes to many are under way.
func (c *Client) PushToLabels(ctx context.Context, p Push, labels ...string) (int64, error) {
	answer, err := data[struct {
		Task int64 `json:"taskId"`
	}](ctx, c, call{op: "push to labels", method: http.MethodPost, path: []string{"push", "list", "label"}, in: p.ask(labels)})
	return answer.Task, err
}

// PushToAll notifies all users of the app, and returns the number of the push. The error is that of PushToLabels.
func (c *Client) PushToAll(ctx context.Context, p Push) (int64, error) {
	return data[int64](ctx, c, call{op: "push to all", method: http.MethodPost, path: []string{"push", "task"}, in: p.ask(nil)})
}

// SetNicknames sets what notifications call up to 50 users, by user. If one does not exist, nobody's is changed.
func (c *Client) SetNicknames(ctx context.Context, nicknames map[string]string) error {
	type row struct {
		User     string `json:"username"`
		Nickname string `json:"push_nickname"`
	}
	rows := []row{}
	for user, nickname := range nicknames {
		rows = append(rows, row{user, nickname})
	}
	return c.do(ctx, call{op: "set nicknames", method: http.MethodPut, path: []string{"push", "nickname"}, in: rows})
}

// PushTemplate words notifications. In the patterns {0}, {1}… stand for title_args and content_args of em_push_template in a
// message's extension, {$fromNickname} for the sender and {$msg} for the text. The template "default" words what nothing
// else words.
type PushTemplate struct {
	Name    string `json:"name"`
	Title   string `json:"title_pattern"`
	Content string `json:"content_pattern"`
}

// SetPushTemplate makes a template, or changes the one of that name.
func (c *Client) SetPushTemplate(ctx context.Context, t PushTemplate) error {
	return c.do(ctx, call{op: "set push template", method: http.MethodPost, path: []string{"notification", "template"}, in: t})
}

// PushTemplate returns a template. The error is 17 if there is none of that name.
func (c *Client) PushTemplate(ctx context.Context, name string) (PushTemplate, error) {
	return data[PushTemplate](ctx, c, call{op: "get push template", method: http.MethodGet, path: []string{"notification", "template", name}})
}

// DeletePushTemplate deletes a template. The error is 17 if there is none of that name.
func (c *Client) DeletePushTemplate(ctx context.Context, name string) error {
	return c.do(ctx, call{op: "delete push template", method: http.MethodDelete, path: []string{"notification", "template", name}})
}

// ChoosePushTemplate has a template word the notifications of a user; "" is none.
func (c *Client) ChoosePushTemplate(ctx context.Context, user, name string) error {
	return c.do(ctx, call{op: "choose push template", method: http.MethodPut, path: []string{"users", user, "notification", "template"},
		in: map[string]string{"templateName": name}})
}

// Label gathers users who are notified together.
type Label struct {
	Name, Description string
	Users             int // their number
	Created           time.Time
}

type labelJSON struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Count       int               `json:"count"`
	Created     restclient.Millis `json:"createdAt"`
}

func (l labelJSON) label() Label { return Label{l.Name, l.Description, l.Count, l.Created.Time} }

// CreateLabel makes a label. The error is 17 for one that exists, 50 for more than 100.
func (c *Client) CreateLabel(ctx context.Context, name, description string) error {
	return c.do(ctx, call{op: "create label", method: http.MethodPost, path: []string{"push", "label"},
		in: map[string]string{"name": name, "description": description}})
}

// Label returns a label. The error is 17 if there is none of that name.
func (c *Client) Label(ctx context.Context, name string) (Label, error) {
	row, err := data[labelJSON](ctx, c, call{op: "get label", method: http.MethodGet, path: []string{"push", "label", name}})
	return row.label(), err
}

// Labels returns the labels.
func (c *Client) Labels(ctx context.Context) iter.Seq2[Label, error] {
	return mapped(pages[labelJSON](ctx, c, call{op: "list labels", method: http.MethodGet, path: []string{"push", "label"}}, 100), labelJSON.label)
}

// DeleteLabel takes a label from all users.
func (c *Client) DeleteLabel(ctx context.Context, name string) error {
	return c.do(ctx, call{op: "delete label", method: http.MethodDelete, path: []string{"push", "label", name}})
}

// AddLabel gives a label to up to 100 users. If some are refused, the error is 17 with the reasons in Data under "users".
func (c *Client) AddLabel(ctx context.Context, name string, users ...string) error {
	return c.changeLabel(ctx, "add label", http.MethodPost, name, users)
}

// RemoveLabel takes a label from up to 100 users. Its errors are those of AddLabel.
func (c *Client) RemoveLabel(ctx context.Context, name string, users ...string) error {
	return c.changeLabel(ctx, "remove label", http.MethodDelete, name, users)
}

func (c *Client) changeLabel(ctx context.Context, op, method, name string, users []string) error {
	answer, err := data[struct {
		Refused map[string]string `json:"fail"`
	}](ctx, c, call{op: op, method: method, path: []string{"push", "label", name, "user"}, in: names(users)})
	if err != nil || len(answer.Refused) == 0 {
		return err
	}
	var outcomes restclient.Outcomes
	for user, reason := range answer.Refused {
		outcomes = append(outcomes, restclient.Outcome{User: user, Result: false, Reason: reason})
	}
	return asError(outcomes.Refused(op))
}

// Labelled returns the users with a label.
func (c *Client) Labelled(ctx context.Context, name string) iter.Seq2[string, error] {
	type row struct {
		User string `json:"username"`
	}
	rows := pages[row](ctx, c, call{op: "list labelled", method: http.MethodGet, path: []string{"push", "label", name, "user"}}, 100)
	return mapped(rows, func(r row) string { return r.User })
}

// HasLabel reports whether a user has a label.
func (c *Client) HasLabel(ctx context.Context, name, user string) (bool, error) {
	err := c.do(ctx, call{op: "has label", method: http.MethodGet, path: []string{"push", "label", name, "user", user}})
	var refused *Error
	if errors.As(err, &refused) && refused.Data["http_status"] == http.StatusNotFound && !errors.Is(err, errcode.UserNotFound) {
		return false, nil
	}
	return err == nil, err
}
