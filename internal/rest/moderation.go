package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/ruleset"
	"github.com/stoa-chat/stoa/internal/store"
)

func (a *API) moderationRoutes() []Route {
	routes := []Route{
		{http.MethodPost, "/mutes", AppToken, a.mute},
		{http.MethodGet, "/mutes", AppToken, a.mutes},
		{http.MethodGet, "/mutes/{user}", AppToken, a.mutesOf},
		{http.MethodGet, "/moderation/matches", AppToken, a.matches},
		{http.MethodDelete, "/moderation/matches/{match}", AppToken, a.dropMatch},
	}
	return append(routes, ruleRoutes[*moderation.Filter]("/moderation/rules", a.moderation.Rules)...)
}

// rules is a ruleset.Set, or what stands before one.
type rules[T any] interface {
	Of(app int64) []ruleset.Rule[T]
	Put(ctx context.Context, app int64, name string, definition []byte) error
	Drop(ctx context.Context, app int64, name string) error
}

// ruleRoutes are those of a set of rules, for the app's backend.
func ruleRoutes[T any](path string, set rules[T]) []Route {
	show := func(r ruleset.Rule[T]) map[string]any { return map[string]any{"name": r.Name, "rule": r.Definition} }
	return []Route{
		{http.MethodGet, path, AppToken, func(_ context.Context, c *Call) (Answer, error) {
			rows := []map[string]any{}
			for _, r := range set.Of(c.App.ID) {
				rows = append(rows, show(r))
			}
			return Answer{Data: rows}, nil
		}},
		{http.MethodPut, path + "/{rule}", AppToken, func(ctx context.Context, c *Call) (Answer, error) {
			definition, err := c.Body()
			if err != nil {
				return Answer{}, err
			}
			if err := set.Put(ctx, c.App.ID, c.Value("rule"), definition); err != nil {
				return Answer{}, err
			}
			return Answer{Data: map[string]any{"name": c.Value("rule"), "rule": json.RawMessage(definition)}}, nil
		}},
		{http.MethodDelete, path + "/{rule}", AppToken, func(ctx context.Context, c *Call) (Answer, error) {
			return done(), set.Drop(ctx, c.App.ID, c.Value("rule"))
		}},
	}
}

var scopes = map[store.Scope]string{store.ScopeChat: "chat", store.ScopeGroup: "groupchat", store.ScopeRoom: "chatroom"}

func (a *API) mute(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		User  string `json:"username"`
		Chat  *int64 `json:"chat"`
		Group *int64 `json:"groupchat"`
		Room  *int64 `json:"chatroom"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	seconds := map[store.Scope]int64{}
	for scope, n := range map[store.Scope]*int64{store.ScopeChat: in.Chat, store.ScopeGroup: in.Group, store.ScopeRoom: in.Room} {
		if n != nil {
			seconds[scope] = *n
		}
	}
	return Answer{Data: map[string]string{"result": "ok"}}, a.moderation.SetMutes(ctx, c.App, in.User, seconds)
}

// mutes lists one row for each user and kind of conversation.
func (a *API) mutes(ctx context.Context, c *Call) (Answer, error) {
	offset, limit, err := c.Page(1, 50, 50)
	if err != nil {
		return Answer{}, err
	}
	list, err := a.moderation.Mutes(ctx, c.App, offset, limit)
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for _, m := range list {
		rows = append(rows, map[string]any{"username": m.User, scopes[m.Scope]: m.Seconds})
	}
	return Answer{Data: map[string]any{"data": rows, "unixtime": a.clock.Now().Unix()}}, nil
}

func (a *API) mutesOf(ctx context.Context, c *Call) (Answer, error) {
	list, err := a.moderation.MutesOf(ctx, c.App, c.User())
	if err != nil {
		return Answer{}, err
	}
	data := map[string]any{"userid": c.App.Key() + "_" + c.User(), "unixtime": a.clock.Now().Unix()}
	for _, word := range scopes {
		data[word] = 0
	}
	for _, m := range list {
		data[scopes[m.Scope]] = m.Seconds
	}
	return Answer{Data: data}, nil
}

// matches lists messages that matched the app's rules.
func (a *API) matches(ctx context.Context, c *Call) (Answer, error) {
	limit, err := c.Limit(pageOfReports, maxPageOfReports)
	if err != nil {
		return Answer{}, err
	}
	below, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	list, err := a.moderation.Verdicts(ctx, c.App, below, limit+1)
	if err != nil {
		return Answer{}, err
	}
	list, cursor := pageOf(list, limit, func(i int) int64 { return list[i].Row })
	rows, count := []map[string]any{}, len(list)
	for _, v := range list {
		message, err := msync.MessageJSON(v.Message, v.Time, v.Meta)
		if err != nil {
			return Answer{}, err
		}
		rows = append(rows, map[string]any{"id": strconv.FormatInt(v.Row, 10), "rule": v.Rule, "action": v.Action, "found": v.Found,
			"username": v.Sender.Name, "timestamp": v.Time, "delivered": v.Message != 0, "message": message})
	}
	return Answer{Data: rows, Count: &count, Cursor: cursor}, nil
}

func (a *API) dropMatch(ctx context.Context, c *Call) (Answer, error) {
	row, err := strconv.ParseInt(c.Value("match"), 10, 64)
	if err != nil {
		return Answer{}, moderation.ErrNoVerdict
	}
	return done(), a.moderation.DropVerdict(ctx, c.App, row)
}
