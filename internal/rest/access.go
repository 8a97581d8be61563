package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/stoa-chat/stoa/internal/account"
)

// Access says who may use a route.
type Access int

const (
	// Anyone: no token is looked at.
	Anyone Access = iota + 1
	// AppToken: the app's backend.
	AppToken
	// AnyToken: the app's backend and every user.
	AnyToken
	// UserToken: every user, for what only a user can do. Where it also depends on the user's role, the service decides.
	UserToken
	// AppOrSelf: the app's backend, and the user whom {user} names.
	AppOrSelf
	// AppOrOpen: the app's backend; anyone, if the app has open registration.
	AppOrOpen
)

// String returns the name of the constant.
func (a Access) String() string {
	switch a {
	case Anyone:
		return "Anyone"
	case AppToken:
		return "AppToken"
	case AnyToken:
		return "AnyToken"
	case UserToken:
		return "UserToken"
	case AppOrSelf:
		return "AppOrSelf"
	case AppOrOpen:
		return "AppOrOpen"
	}
	return "?"
}

// authorise checks that the caller may do what asks for the access, and notes in the call who it is.
func (a *API) authorise(ctx context.Context, c *Call, access Access) error {
	if access == Anyone || access == AppOrOpen && c.App.Settings.OpenRegistration {
		return nil
	}
	token := bearer(c.http)
	if access == AppOrOpen && token == "" {
		return account.ErrNotOpen
	}
	who, err := a.accounts.Authenticate(ctx, c.App, token)
	if err != nil {
		return callerGone(err)
	}
	switch {
	case access == UserToken:
		if who.App {
			return refuseApp
		}
	case who.App, access == AnyToken:
	case access == AppOrSelf:
		if who.User.Name != c.User() {
			return refuseOther
		}
	default:
		return refuseUser
	}
	c.Who = who
	return nil
}

// callerGone words that the user who bears a token has been deleted: it is not the one whom the path names that is missing.
func callerGone(err error) error {
	if errors.Is(err, account.ErrNoUser) {
		return &refusal{status: http.StatusNotFound, slug: "entity_not_found", description: "User null not found", err: err}
	}
	return err
}

// bearer returns the token of a request; empty: it has none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
