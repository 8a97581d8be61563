package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/store"
)

// maxStatuses is how many users one call may ask about.
const maxStatuses = 100

// Backends use several methods for some of these, as the vendor's pages contradict each other
// (docs/protocol/admin-rest.md §22).
func (a *API) deviceRoutes() []Route {
	return []Route{
		{http.MethodGet, "/users/{user}/resources", AppOrSelf, a.listDevices},
		{http.MethodGet, "/users/{user}/status", AppOrSelf, a.getStatus},
		{http.MethodPost, "/users/batch/status", AppToken, a.getStatuses},
		{http.MethodGet, "/users/{user}/offline_msg_count", AppOrSelf, a.countWaiting},
		{http.MethodGet, "/users/{user}/offline_msg_status/{message}", AppOrSelf, a.isDelivered},
		{http.MethodGet, "/users/{user}/disconnect", AppToken, a.disconnect},
		{http.MethodPost, "/users/{user}/disconnect", AppToken, a.disconnect},
		{http.MethodGet, "/users/{user}/disconnect/{resource}", AppOrSelf, a.disconnect},
		{http.MethodDelete, "/users/{user}/disconnect/{resource}", AppOrSelf, a.disconnect},
	}
}

// device is where a user is online.
type device struct {
	Resource string `json:"res"`
	UUID     string `json:"device_uuid"`
	Name     string `json:"device_name"`
}

func (a *API) listDevices(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	sessions, err := a.accounts.Sessions(ctx, user)
	if err != nil {
		return Answer{}, err
	}
	devices := []device{}
	for _, s := range sessions {
		devices = append(devices, device{s.Resource, s.UUID, s.Name})
	}
	return Answer{Data: devices}, nil
}

func (a *API) status(ctx context.Context, user store.User) (string, error) {
	sessions, err := a.accounts.Sessions(ctx, user)
	if err != nil || len(sessions) == 0 {
		return "offline", err
	}
	return "online", nil
}

func (a *API) getStatus(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	status, err := a.status(ctx, user)
	return Answer{Data: map[string]string{user.Name: status}}, err
}

// getStatuses tells who of some users is online. Those who are not known are offline.
func (a *API) getStatuses(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Usernames []string `json:"usernames"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Usernames == nil {
		return Answer{}, refuseBody
	}
	if len(in.Usernames) > maxStatuses {
		return Answer{}, tooMany(maxStatuses)
	}
	statuses := []map[string]string{}
	for _, name := range in.Usernames {
		status := "offline"
		user, err := a.accounts.User(ctx, c.App, name)
		if err == nil {
			status, err = a.status(ctx, user)
		}
		if err != nil && !errors.Is(err, account.ErrNoUser) {
			return Answer{}, err
		}
		statuses = append(statuses, map[string]string{account.Fold(name): status})
	}
	return Answer{Action: "get batch user status", Data: statuses}, nil
}

// disconnect ends all sessions of a user, or those of the device that the path names.
func (a *API) disconnect(ctx context.Context, c *Call) (Answer, error) {
	if err := a.accounts.Disconnect(ctx, c.App, c.User(), c.Value("resource")); err != nil {
		return Answer{}, err
	}
	return Answer{Data: map[string]bool{"result": true}}, nil
}

// countWaiting tells how many messages wait for a user.
func (a *API) countWaiting(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	n, err := a.messages.Waiting(ctx, user)
	return Answer{Data: map[string]int{user.Name: n}}, err
}

// isDelivered tells whether a user has been given a message.
func (a *API) isDelivered(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	id := c.Value("message")
	delivered, err := a.messages.Delivered(ctx, c.App, user, messageID(id))
	if errors.Is(err, message.ErrNotSent) {
		say := refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "message " + id + " was not sent to " + user.Name}
		return Answer{}, say.because(err)
	}
	status := "undelivered"
	if delivered {
		status = "delivered"
	}
	return Answer{Data: map[string]string{id: status}}, err
}
