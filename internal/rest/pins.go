package rest

import (
	"context"
	"net/http"

	"github.com/stoa-chat/stoa/internal/message"
)

const (
	pageOfPins    = 10
	maxPageOfPins = 50
)

func (a *API) pinRoutes() []Route {
	return []Route{
		{http.MethodPost, "/sdk/user/{user}/user_channel/pin", AppOrSelf, a.pinMessage},
		{http.MethodDelete, "/sdk/user/{user}/user_channel/pin", AppOrSelf, a.unpinMessage},
		{http.MethodGet, "/sdk/user/{user}/user_channel/pin", AppOrSelf, a.pinnedMessages},
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
