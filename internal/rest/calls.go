package rest

import (
	"context"
	"net/http"
)

func (a *API) callRoutes() []Route {
	return []Route{
		{http.MethodGet, "/users/{user}/token/rtc", AppOrSelf, a.callToken},
		{http.MethodPost, "/rtc_mapper/batch/get", AnyToken, a.callUsers},
	}
}

// callToken answers without an envelope: the web client reads the fields at the top.
func (a *API) callToken(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	channel := c.Query("channelName")
	if channel == "" {
		channel = "*"
	}
	t, err := a.accounts.CallToken(c.App, user, channel)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Bare: map[string]any{
		"app_id": t.AppID, "rtc_token": t.Text, "channel_name": t.Channel, "rtcUid": t.UID, "expires_in": int64(t.Life.Seconds()),
	}}, nil
}

func (a *API) callUsers(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		UIDs []uint32 `json:"data"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.UIDs == nil {
		return Answer{}, refuseBody
	}
	names, err := a.accounts.CallUsers(ctx, c.App, in.UIDs)
	return Answer{Data: names}, err
}
