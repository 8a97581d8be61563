package rest

import (
	"context"
	"net/http"

	"github.com/stoa-chat/stoa/internal/message"
)

const (
	pageOfPins       = 10
	maxPageOfPins    = 50
	pageOfReports    = 20
	maxPageOfReports = 100
)

func (a *API) pinRoutes() []Route {
	return []Route{
		{http.MethodPost, "/sdk/user/{user}/user_channel/pin", AppOrSelf, a.pinMessage},
		{http.MethodDelete, "/sdk/user/{user}/user_channel/pin", AppOrSelf, a.unpinMessage},
		{http.MethodGet, "/sdk/user/{user}/user_channel/pin", AppOrSelf, a.pinnedMessages},
		{http.MethodPost, "/user/{user}/moderation/report/message/{message}", AppOrSelf, a.reportMessage},
		{http.MethodGet, "/moderation/reports", AppToken, a.reports},
	}
}

func (a *API) pinMessage(ctx context.Context, c *Call) (Answer, error) {
	return a.setPin(ctx, c, a.messages.PinMessage)
}

func (a *API) unpinMessage(ctx context.Context, c *Call) (Answer, error) {
	return a.setPin(ctx, c, a.messages.UnpinMessage)
}

func (a *API) setPin(ctx context.Context, c *Call, set func(context.Context, message.Sender, message.Place, int64) error) (Answer, error) {
	var in struct {
		To      string `json:"to"`
		Type    string `json:"type"`
		Message string `json:"pin_msg_id"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	kind, err := message.ParseChatType(in.Type)
	if err != nil {
		return Answer{}, err
	}
	id := messageID(in.Message)
	if id == 0 {
		return Answer{}, illegal("param pin_msg_id illegal, please check it!")
	}
	sender, err := a.sender(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), set(ctx, sender, message.Place{Type: kind, ID: in.To}, id)
}

func (a *API) pinnedMessages(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	kind, err := message.ParseChatType(c.Query("type"))
	if err != nil {
		return Answer{}, err
	}
	limit, err := c.Limit(pageOfPins, maxPageOfPins)
	if err != nil {
		return Answer{}, err
	}
	below, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	list, next, err := a.messages.PinnedMessages(ctx, c.App, user, message.Place{Type: kind, ID: c.Query("to")}, below, limit)
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for _, p := range list {
		text, err := p.Message.AsText()
		if err != nil {
			return Answer{}, err
		}
		rows = append(rows, map[string]any{"message": text, "pin_opt_at": p.Time, "pin_operator": p.By.Name})
	}
	cursor := ""
	if next != 0 {
		cursor = nextCursor(next)
	}
	return Answer{Data: map[string]any{"msg_infos": rows, "cursor": cursor}}, nil
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
	cursor := ""
	if len(list) > limit {
		list = list[:limit]
		cursor = nextCursor(list[limit-1].Row)
	}
	rows, count := []map[string]any{}, len(list)
	for _, r := range list {
		rows = append(rows, map[string]any{"username": r.Reporter.Name, "reportType": r.Type, "reportReason": r.Reason, "timestamp": r.Time,
			"message": r.Message})
	}
	return Answer{Data: rows, Count: &count, Cursor: cursor}, nil
}
