package account

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
)

// Limits of user attributes (docs/protocol/errors.md §11).
const (
	maxProfile      = 2048 // bytes of all names and values of a user
	maxProfileUsers = 100  // users in one call
)

// NotOffered is the refusal of a service that the app has switched off: code 505.
func NotOffered(service string) error {
	return errcode.Newf(errcode.ServiceNotEnabled, "the app has %s switched off", service)
}

func (a *Service) offersProfiles(app *App) error {
	if !app.Settings.UserAttributes {
		return NotOffered("user attributes")
	}
	return nil
}

func refuseProfile(code errcode.Code, sentinel error, format string, args ...any) error {
	e := errcode.Newf(code, format, args...)
	e.Op, e.Err = "user attributes", sentinel
	return e
}

// SetAttributes sets attributes of a user, beside those that are there, and returns all. The errors are code 505, 204,
// -3 (ErrAttribute: not text, or a name that is empty) and 17 (ErrAttributesFull).
func (a *Service) SetAttributes(ctx context.Context, app *App, user store.User, set map[string]string) (map[string]string, error) {
	if err := a.offersProfiles(app); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if key == "" || !store.IsText(key) || !store.IsText(set[key]) {
			return nil, refuseProfile(errcode.InvalidParameter, ErrAttribute, "attribute %q is not text under a name", key)
		}
	}
	all, err := a.store.SetAttributes(ctx, app.ID, user.ID, set, maxProfile)
	switch {
	case errors.Is(err, store.ErrFull):
		return nil, refuseProfile(errcode.RequestFailed, ErrAttributesFull, "the attributes of a user have at most %d bytes", maxProfile)
	case errors.Is(err, store.ErrNotFound):
		return nil, noUser(user.Name)
	}
	return all, err
}

// Attributes returns attributes of users by their names, as the caller wrote them: those with the given keys, or all
// without any. Users who do not exist have none. The errors are code 505 and 50 (ErrTooManyUsers).
func (a *Service) Attributes(ctx context.Context, app *App, names, keys []string) (map[string]map[string]string, error) {
	if err := a.offersProfiles(app); err != nil {
		return nil, err
	}
	if len(names) > maxProfileUsers {
		return nil, refuseProfile(errcode.MaxLimit, ErrTooManyUsers, "there are %d users, the limit is %d", len(names), maxProfileUsers)
	}
	numbers := make([]int64, len(names))
	for i, name := range names {
		user, err := a.User(ctx, app, name)
		if err != nil && !errors.Is(err, ErrNoUser) {
			return nil, err
		}
		numbers[i] = user.ID
	}
	stored, err := a.store.Attributes(ctx, numbers)
	if err != nil {
		return nil, fmt.Errorf("read attributes: %w", err)
	}
	found := map[string]map[string]string{}
	for i, name := range names {
		found[name] = map[string]string{}
		for key, value := range stored[numbers[i]] {
			if len(keys) == 0 || slices.Contains(keys, key) {
				found[name][key] = value
			}
		}
	}
	return found, nil
}

// DropAttributes removes the attributes of a user; it is no error if there are none, or no such user. The error is code
// 505.
func (a *Service) DropAttributes(ctx context.Context, app *App, name string) error {
	if err := a.offersProfiles(app); err != nil {
		return err
	}
	user, err := a.User(ctx, app, name)
	if errors.Is(err, ErrNoUser) {
		return nil
	} else if err != nil {
		return err
	}
	return a.store.DropAttributes(ctx, user.ID)
}

// AttributeBytes returns how many bytes the attributes of all users of an app have. The error is code 505.
func (a *Service) AttributeBytes(ctx context.Context, app *App) (int64, error) {
	if err := a.offersProfiles(app); err != nil {
		return 0, err
	}
	return a.store.AttributeBytes(ctx, app.ID)
}
