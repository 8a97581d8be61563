package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/presence"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	pageOfWatches    = 10
	maxPageOfWatches = 500
)

// Answers to these calls have no envelope: there is only a result.
func (a *API) presenceRoutes() []Route {
	return []Route{
		{http.MethodPost, "/users/{user}/presence", AppOrSelf, a.getPresence},
		{http.MethodDelete, "/users/{user}/presence", AppOrSelf, a.unsubscribePresence},
		{http.MethodGet, "/users/{user}/presence/sublist", AppOrSelf, a.listPresence},
		{http.MethodPost, "/users/{user}/presence/{expiry}", AppOrSelf, a.subscribePresence},
		{http.MethodPost, "/users/{user}/presence/{resource}/{status}", AppOrSelf, a.publishPresence},
		{http.MethodGet, "/presence/online/{place}/type/{type}", AppToken, a.countOnline},
	}
}

func result(v any) Answer { return Answer{Bare: map[string]any{"result": v}} }

func (a *API) publishPresence(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Text string `json:"ext"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	status, err := strconv.Atoi(c.Value("status"))
	if err != nil {
		return Answer{}, illegal("the status is not a number")
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return result("ok"), a.presence.Publish(ctx, c.App, user, c.Value("resource"), status, in.Text)
}

// usersOf reads names of users: an array, or an object that has one under usernames or users.
func usersOf(c *Call) ([]string, error) {
	data, err := c.Body()
	if err != nil {
		return nil, err
	}
	var names []string
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		err = json.Unmarshal(data, &names)
	} else {
		var in struct {
			Usernames []string `json:"usernames"`
			Users     []string `json:"users"`
		}
		err = decode(data, &in)
		names = append(in.Usernames, in.Users...)
	}
	if err != nil || names == nil {
		return nil, refuseBody
	}
	return names, nil
}

func values(states []presence.State, expires int64) []presence.Value {
	all := make([]presence.Value, len(states))
	for i, state := range states {
		all[i] = presence.ValueOf(state, expires)
	}
	return all
}

func (a *API) subscribePresence(ctx context.Context, c *Call) (Answer, error) {
	names, err := usersOf(c)
	if err != nil {
		return Answer{}, err
	}
	seconds, err := strconv.ParseInt(c.Value("expiry"), 10, 32)
	if err != nil {
		return Answer{}, illegal("the expiry is not a number of seconds")
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	states, expires, err := a.presence.Subscribe(ctx, c.App, user, names, time.Duration(seconds)*time.Second)
	if err != nil {
		return Answer{}, err
	}
	return result(values(states, expires.UnixMilli())), nil
}

func (a *API) unsubscribePresence(ctx context.Context, c *Call) (Answer, error) {
	names, err := usersOf(c)
	if err != nil {
		return Answer{}, err
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return result("ok"), a.presence.Unsubscribe(ctx, c.App, user, names)
}

func (a *API) getPresence(ctx context.Context, c *Call) (Answer, error) {
	names, err := usersOf(c)
	if err != nil {
		return Answer{}, err
	}
	states, err := a.presence.Status(ctx, c.App, names)
	if err != nil {
		return Answer{}, err
	}
	return result(values(states, 0)), nil
}

func (a *API) listPresence(ctx context.Context, c *Call) (Answer, error) {
	page, err := c.limit("pageNum", 1, 1<<16)
	if err != nil {
		return Answer{}, err
	}
	size, err := c.limit("pageSize", pageOfWatches, maxPageOfWatches)
	if err != nil {
		return Answer{}, err
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	watches, total, err := a.presence.Subscriptions(ctx, c.App, user, (page-1)*size, size)
	if err != nil {
		return Answer{}, err
	}
	type row struct {
		User    string `json:"uid"`
		Expires string `json:"expiry"`
	}
	rows := []row{}
	for _, w := range watches {
		rows = append(rows, row{w.Target.Name, presence.Seconds(w.Expires)})
	}
	return result(map[string]any{"totalnum": strconv.Itoa(total), "sublist": rows}), nil
}

// countOnline counts the members of a group who are online. What the type of the path means is not known; it is passed over.
func (a *API) countOnline(ctx context.Context, c *Call) (Answer, error) {
	const page = 500
	total := 0
	for query := (muc.MembersQuery{Limit: page}); ; {
		members, _, err := a.mucs.Members(ctx, muc.Backend(c.App), store.MucGroup, c.Value("place"), query)
		if err != nil {
			return Answer{}, err
		}
		users := make([]int64, len(members))
		for i, member := range members {
			users[i], query.After = member.User.ID, member.Row
		}
		online, err := a.presence.Online(ctx, c.App, users)
		if err != nil {
			return Answer{}, err
		}
		if total += online; len(members) < page {
			return result(total), nil
		}
	}
}
