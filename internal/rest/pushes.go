package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/push"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxPageOfLabels = 100 // also the standard
	maxNicknames    = 50  // in one call
)

// backendPushRoutes are how backends notify users, docs/protocol/admin-rest.md §17.2 to §17.5.
func (a *API) backendPushRoutes() []Route {
	return []Route{
		{http.MethodPut, "/push/nickname", AppToken, a.setNicknames},

		{http.MethodPost, "/notification/template", AppToken, a.setPushTemplate},
		{http.MethodGet, "/notification/template/{name}", AppToken, a.pushTemplate(a.push.Template)},
		{http.MethodDelete, "/notification/template/{name}", AppToken, a.pushTemplate(a.push.RemoveTemplate)},

		{http.MethodPost, "/push/sync/{member}", AppToken, a.pushNow},
		{http.MethodPost, "/push/single", AppToken, a.pushUsers},
		{http.MethodPost, "/push/list/label", AppToken, a.pushLabels},
		{http.MethodPost, "/push/task", AppToken, a.pushAll},

		{http.MethodPost, "/push/label", AppToken, a.createLabel},
		{http.MethodGet, "/push/label", AppToken, a.labels},
		{http.MethodGet, "/push/label/{label}", AppToken, a.label},
		{http.MethodDelete, "/push/label/{label}", AppToken, a.removeLabel},
		{http.MethodPost, "/push/label/{label}/user", AppToken, a.labelUsers(a.push.LabelUsers)},
		{http.MethodDelete, "/push/label/{label}/user", AppToken, a.labelUsers(a.push.UnlabelUsers)},
		{http.MethodGet, "/push/label/{label}/user", AppToken, a.labelled},
		{http.MethodGet, "/push/label/{label}/user/{member}", AppToken, a.labelledUser},
	}
}

// nickname is what notifications call a user.
type nickname struct {
	User string `json:"username"`
	Name string `json:"push_nickname"`
}

func (a *API) setNicknames(ctx context.Context, c *Call) (Answer, error) {
	data, err := c.Body()
	if err != nil {
		return Answer{}, err
	}
	var in []nickname
	if json.Unmarshal(data, &in) != nil {
		return Answer{}, refuseBody
	}
	switch {
	case len(in) == 0:
		return Answer{}, illegal("put user push nicknames illegal empty request body")
	case len(in) > maxNicknames:
		return Answer{}, illegal("put user push nicknames exceeds the limit")
	}
	for _, one := range in { // all or none
		if _, err := a.accounts.User(ctx, c.App, one.User); err != nil {
			return Answer{}, err
		}
	}
	done := []nickname{}
	for _, one := range in {
		user, err := a.accounts.SetNickname(ctx, c.App, one.User, one.Name)
		if err != nil {
			return Answer{}, err
		}
		done = append(done, nickname{user.Name, user.Nickname})
	}
	return Answer{Entities: done}, nil
}

// templateEntity is a template in answers.
type templateEntity struct {
	Name    string `json:"name"`
	Title   string `json:"title_pattern"`
	Content string `json:"content_pattern"`
	Created int64  `json:"createAt"`
	Updated int64  `json:"updateAt"`
}

func (a *API) setPushTemplate(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Name    string `json:"name"`
		Title   string `json:"title_pattern"`
		Content string `json:"content_pattern"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	t, err := a.push.SetTemplate(ctx, c.App, in.Name, in.Title, in.Content)
	return Answer{Data: templateEntity(t)}, err
}

func (a *API) pushTemplate(do func(ctx context.Context, app *account.App, name string) (store.PushTemplate, error)) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		t, err := do(ctx, c.App, c.Value("name"))
		return Answer{Data: templateEntity(t)}, err
	}
}

func (a *API) choosePushTemplate(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Name *string `json:"templateName"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Name == nil {
		return Answer{}, refuseBody
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Data: map[string]string{"templateName": *in.Name}}, a.push.ChooseTemplate(ctx, c.App, user, *in.Name)
}

// backendPush is the body of the routes that notify.
type backendPush struct {
	Targets  []string     `json:"targets"` // users, or labels
	Strategy *int         `json:"strategy"`
	Message  push.Message `json:"pushMessage"`
}

func (c *Call) backendPush() (in backendPush, strategy int, err error) {
	strategy = push.StrategyVendor
	if err = c.Decode(&in); err == nil && in.Strategy != nil {
		strategy = *in.Strategy
	}
	return in, strategy, err
}

func (a *API) pushNow(ctx context.Context, c *Call) (Answer, error) {
	in, strategy, err := c.backendPush()
	if err != nil {
		return Answer{}, err
	}
	type row struct {
		Status string            `json:"pushStatus"`
		Data   map[string]string `json:"data,omitempty"`
		Desc   string            `json:"desc,omitempty"`
	}
	rows := []row{}
	user, err := a.accounts.User(ctx, c.App, c.Value("member"))
	if errors.Is(err, account.ErrNoUser) {
		return Answer{Data: append(rows, row{Status: "FAIL", Desc: "appUser not exists"})}, nil
	} else if err != nil {
		return Answer{}, err
	}
	outcomes, err := a.push.PushNow(ctx, c.App, user, strategy, in.Message)
	for _, o := range outcomes {
		r := row{Status: "FAIL", Desc: o.Reason}
		if o.Taken {
			r.Status = "SUCCESS"
		} else if o.Device != "" {
			r.Status = "ERROR"
		}
		if o.Device != "" {
			r.Data = map[string]string{"device_id": o.Device}
		}
		rows = append(rows, r)
	}
	return Answer{Data: rows}, err
}

func (a *API) pushUsers(ctx context.Context, c *Call) (Answer, error) {
	in, strategy, err := c.backendPush()
	if err != nil {
		return Answer{}, err
	}
	failed, err := a.push.PushUsers(ctx, c.App, in.Targets, strategy, in.Message)
	rows := []map[string]string{}
	for _, name := range in.Targets {
		row := map[string]string{"id": account.Fold(name), "pushStatus": "ASYNC_SUCCESS", "desc": "async success."}
		for _, name := range []string{name, account.Fold(name)} {
			if reason := failed[name]; reason != "" {
				row["pushStatus"], row["desc"] = "FAIL", reason
			}
		}
		rows = append(rows, row)
	}
	return Answer{Data: rows}, err
}

func (a *API) pushLabels(ctx context.Context, c *Call) (Answer, error) {
	in, strategy, err := c.backendPush()
	if err != nil {
		return Answer{}, err
	}
	if len(in.Targets) == 0 {
		return Answer{}, illegal("targets must name labels")
	}
	id, err := a.push.PushLabels(ctx, c.App, in.Targets, strategy, in.Message)
	return Answer{Data: map[string]int64{"taskId": id}}, err
}

func (a *API) pushAll(ctx context.Context, c *Call) (Answer, error) {
	in, strategy, err := c.backendPush()
	if err != nil {
		return Answer{}, err
	}
	id, err := a.push.PushLabels(ctx, c.App, nil, strategy, in.Message)
	return Answer{Data: id}, err
}

// labelEntity is a label in answers.
type labelEntity struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Count       int    `json:"count"`
	Created     int64  `json:"createdAt"`
}

func labelOf(l store.PushLabel) labelEntity {
	return labelEntity{l.Name, l.Description, l.Users, l.Created}
}

func (a *API) createLabel(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	label, err := a.push.CreateLabel(ctx, c.App, in.Name, in.Description)
	return Answer{Data: labelOf(label)}, err
}

func (a *API) label(ctx context.Context, c *Call) (Answer, error) {
	label, err := a.push.Label(ctx, c.App, c.Value("label"))
	return Answer{Data: labelOf(label)}, err
}

func (a *API) labels(ctx context.Context, c *Call) (Answer, error) {
	limit, err := c.Limit(maxPageOfLabels, maxPageOfLabels)
	if err != nil {
		return Answer{}, err
	}
	below, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	labels, err := a.push.Labels(ctx, c.App, below, limit+1)
	if err != nil {
		return Answer{}, err
	}
	labels, cursor := pageOf(labels, limit, func(i int) int64 { return labels[i].ID })
	rows := []labelEntity{}
	for _, label := range labels {
		rows = append(rows, labelOf(label))
	}
	return Answer{Data: rows, Cursor: cursor}, nil
}

func (a *API) removeLabel(ctx context.Context, c *Call) (Answer, error) {
	return Answer{Data: "success"}, a.push.RemoveLabel(ctx, c.App, c.Value("label"))
}

func (a *API) labelUsers(do func(ctx context.Context, app *account.App, label string, names []string) (push.LabelResult, error)) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		names, err := c.usernames()
		if err != nil {
			return Answer{}, err
		}
		result, err := do(ctx, c.App, c.Value("label"), names)
		failed := map[string]string{}
		for name, err := range result.Failed {
			failed[name] = reason(err)
		}
		return Answer{Data: map[string]any{"success": result.Done, "fail": failed}}, err
	}
}

// labelledRow is a user with a label.
type labelledRow struct {
	User    string `json:"username"`
	Created int64  `json:"created"`
}

func (a *API) labelled(ctx context.Context, c *Call) (Answer, error) {
	limit, err := c.Limit(maxPageOfLabels, maxPageOfLabels)
	if err != nil {
		return Answer{}, err
	}
	above, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	users, err := a.push.Labelled(ctx, c.App, c.Value("label"), above, limit+1)
	if err != nil {
		return Answer{}, err
	}
	users, cursor := pageOf(users, limit, func(i int) int64 { return users[i].User.ID })
	rows := []labelledRow{}
	for _, u := range users {
		rows = append(rows, labelledRow{u.User.Name, u.Created})
	}
	return Answer{Data: rows, Cursor: cursor}, nil
}

func (a *API) labelledUser(ctx context.Context, c *Call) (Answer, error) {
	u, err := a.push.LabelledUser(ctx, c.App, c.Value("label"), c.Value("member"))
	return Answer{Data: labelledRow{u.User.Name, u.Created}}, err
}
