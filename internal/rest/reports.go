package rest

import (
	"context"
	"net/http"
)

const (
	pageOfReports    = 20
	maxPageOfReports = 100
)

func (a *API) reportRoutes() []Route {
	return []Route{
		{http.MethodPost, "/user/{user}/moderation/report/message/{message}", AppOrSelf, a.reportMessage},
		{http.MethodGet, "/moderation/reports", AppToken, a.reports},
	}
}

func (a *API) reportMessage(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Type   string `json:"reportType"`
		Reason string `json:"reportReason"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.messages.ReportMessage(ctx, c.App, user, messageID(c.Value("message")), in.Type, in.Reason)
}

// reports lists what users have reported, for the app's backend.
func (a *API) reports(ctx context.Context, c *Call) (Answer, error) {
	limit, err := c.Limit(pageOfReports, maxPageOfReports)
	if err != nil {
		return Answer{}, err
	}
	below, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	list, err := a.messages.Reports(ctx, c.App, below, limit+1)
	if err != nil {
		return Answer{}, err
	}
	list, cursor := pageOf(list, limit, func(i int) int64 { return list[i].Row })
	rows, count := []map[string]any{}, len(list)
	for _, r := range list {
		rows = append(rows, map[string]any{"username": r.Reporter.Name, "reportType": r.Type, "reportReason": r.Reason, "timestamp": r.Time,
			"message": r.Message})
	}
	return Answer{Data: rows, Count: &count, Cursor: cursor}, nil
}
