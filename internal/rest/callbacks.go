package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/webhook"
)

func (a *API) callbackRoutes() []Route {
	routes := ruleRoutes[*webhook.Hook]("/callbacks/pre", a.webhooks.Hooks)
	routes = append(routes, ruleRoutes[*webhook.Listener]("/callbacks/post", a.webhooks.Listeners)...)
	return append(routes,
		Route{http.MethodGet, "/callbacks/dead", AppToken, a.deadCallbacks},
		Route{http.MethodPost, "/callbacks/dead/replay", AppToken, a.replayCallbacks},
		Route{http.MethodGet, "/callbacks/storage/info", AppToken, a.callbackStorage},
		Route{http.MethodPost, "/callbacks/storage/retry", AppToken, a.retryCallbacks})
}

// deadCallbacks lists what a backend has not taken.
func (a *API) deadCallbacks(ctx context.Context, c *Call) (Answer, error) {
	limit, err := c.Limit(pageOfReports, maxPageOfReports)
	if err != nil {
		return Answer{}, err
	}
	below, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	query := store.DeadQuery{Rule: c.Query("rule"), Below: below, Limit: limit + 1}
	if query.Since, err = c.time("since"); err != nil {
		return Answer{}, err
	}
	if query.Until, err = c.time("until"); err != nil {
		return Answer{}, err
	}
	list, err := a.webhooks.Dead(ctx, c.App, query)
	if err != nil {
		return Answer{}, err
	}
	list, cursor := pageOf(list, limit, func(i int) int64 { return list[i].ID })
	rows, count := []map[string]any{}, len(list)
	for _, d := range list {
		rows = append(rows, map[string]any{"id": strconv.FormatInt(d.ID, 10), "rule": d.Rule, "callId": d.Event, "timestamp": d.Created,
			"attempts": d.Attempts, "dead": d.Dead, "retry": d.Replays, "error": d.Error, "body": json.RawMessage(d.Body)})
	}
	return Answer{Data: rows, Count: &count, Cursor: cursor}, nil
}

// time reads a parameter of the query: milliseconds since 1970; 0: it is not there.
func (c *Call) time(name string) (int64, error) {
	text := c.Query(name)
	if text == "" {
		return 0, nil
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil || at < 0 {
		refused := badRequest("illegal_argument", name+" is no time in milliseconds")
		return 0, &refused
	}
	return at, nil
}

func (a *API) replayCallbacks(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		IDs    []string `json:"ids"`
		Rule   string   `json:"rule"`
		Since  int64    `json:"since"`
		Until  int64    `json:"until"`
		Target string   `json:"targetUrl"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	query := store.DeadQuery{Rule: in.Rule, Since: in.Since, Until: in.Until}
	for _, text := range in.IDs {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			continue // there is none of that name
		}
		query.IDs = append(query.IDs, id)
	}
	if in.IDs != nil && query.IDs == nil {
		query.IDs = []int64{}
	}
	n, err := a.webhooks.Replay(ctx, c.App, query, in.Target)
	return Answer{Data: map[string]int{"replayed": n}}, err
}

// callbackStorage counts what a backend has not taken, in the form of docs/protocol/admin-rest.md §18.10.
func (a *API) callbackStorage(ctx context.Context, c *Call) (Answer, error) {
	list, err := a.webhooks.DeadByTime(ctx, c.App)
	rows := []map[string]any{}
	for _, d := range list {
		rows = append(rows, map[string]any{"date": webhook.Bucket(d.From), "size": d.Count, "retry": d.Replays})
	}
	return Answer{Data: rows}, err
}

func (a *API) retryCallbacks(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Date   string `json:"date"`
		Target string `json:"targetUrl"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	n, err := a.webhooks.ReplayBucket(ctx, c.App, in.Date, in.Target)
	if err != nil && !errors.Is(err, webhook.ErrReplay) {
		return Answer{}, err
	}
	if n == 0 {
		return Answer{Data: "failure"}, nil
	}
	return Answer{Data: "success"}, nil
}
