package rest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/stoa-chat/stoa/internal/account"
)

// These are Stoa's own: in the cloud the settings of an application are in the vendor's console.
func (a *API) settingsRoutes() []Route {
	return []Route{
		{http.MethodGet, "/settings", AppToken, a.getSettings},
		{http.MethodPut, "/settings", AppToken, a.changeSettings},
	}
}

func (a *API) getSettings(_ context.Context, c *Call) (Answer, error) {
	return Answer{Data: c.App.Settings.Shown()}, nil
}

// changeSettings changes the settings that the body names.
func (a *API) changeSettings(ctx context.Context, c *Call) (Answer, error) {
	data, err := c.Body()
	if err != nil {
		return Answer{}, err
	}
	object, err := objectOf(data)
	if err != nil {
		return Answer{}, err
	}
	if err := onlyKeys(object, settingsKeys()...); err != nil {
		return Answer{}, err
	}
	if json.Unmarshal(data, &account.Settings{}) != nil {
		return Answer{}, refuseBody
	}
	settings, err := a.accounts.ChangeSettings(ctx, c.App, data)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Data: settings.Shown()}, nil
}

// settingsKeys returns the names of all settings.
func settingsKeys() []string {
	var object map[string]json.RawMessage
	text, err := json.Marshal(account.DefaultSettings())
	if err == nil {
		err = json.Unmarshal(text, &object)
	}
	if err != nil {
		panic(err) // a plain struct
	}
	return slices.Collect(maps.Keys(object))
}
