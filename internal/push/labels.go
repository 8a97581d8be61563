package push

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxLabels      = 100 // of an app
	maxLabelName   = 64  // characters
	maxDescription = 255
	maxLabelled    = 20_000 // users with a label
	maxLabelUsers  = 100    // in one call
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrLabel       = errors.New("bad push label")
	ErrNoLabel     = errors.New("no such push label")
	ErrLabelTaken  = errors.New("the push label exists")
	ErrNotLabelled = errors.New("the user has not the push label")
)

func noLabel(name string) error {
	return refuse(errcode.InvalidParameter, ErrNoLabel, "push label not exists of %s", strings.ToValidUTF8(name, "?"))
}

// CreateLabel makes a label, by which an app's backend notifies users together. The errors are code 505, -3 (ErrLabel,
// ErrLabelTaken) and 50 (ErrFull).
func (s *Service) CreateLabel(ctx context.Context, app *account.App, name, description string) (store.PushLabel, error) {
	if err := s.offered(app); err != nil {
		return store.PushLabel{}, err
	}
	if n := utf8.RuneCountInString(name); n == 0 || n > maxLabelName || !plain(name, 4*maxLabelName) {
		return store.PushLabel{}, refuse(errcode.InvalidParameter, ErrLabel, "name has not 1 to %d characters", maxLabelName)
	}
	if utf8.RuneCountInString(description) > maxDescription || !plain(description, 4*maxDescription) {
		return store.PushLabel{}, refuse(errcode.InvalidParameter, ErrLabel, "description has more than %d characters", maxDescription)
	}
	label, err := s.store.CreatePushLabel(ctx, app.ID, store.PushLabel{Name: name, Description: description, Created: s.now()}, maxLabels)
	switch {
	case errors.Is(err, store.ErrExists):
		err = refuse(errcode.InvalidParameter, ErrLabelTaken, "push label exists of %s", name)
	case errors.Is(err, store.ErrFull):
		err = refuse(errcode.MaxLimit, ErrFull, "an app has at most %d push labels", maxLabels)
	}
	return label, err
}

// Label returns a label. The errors are code 505 and -3 (ErrNoLabel).
func (s *Service) Label(ctx context.Context, app *account.App, name string) (store.PushLabel, error) {
	if err := s.offered(app); err != nil {
		return store.PushLabel{}, err
	}
	label, err := s.store.PushLabel(ctx, app.ID, strings.ToValidUTF8(name, "?"))
	if errors.Is(err, store.ErrNotFound) {
		err = noLabel(name)
	}
	return label, err
}

// Labels returns up to limit labels, newest first, whose number is below the given one; 0: any. The error is code 505.
func (s *Service) Labels(ctx context.Context, app *account.App, below int64, limit int) ([]store.PushLabel, error) {
	if err := s.offered(app); err != nil {
		return nil, err
	}
	return s.store.ListPushLabels(ctx, app.ID, below, limit)
}

// RemoveLabel removes a label, from all users. The errors are those of Label.
func (s *Service) RemoveLabel(ctx context.Context, app *account.App, name string) error {
	if err := s.offered(app); err != nil {
		return err
	}
	err := s.store.DropPushLabel(ctx, app.ID, strings.ToValidUTF8(name, "?"))
	if errors.Is(err, store.ErrNotFound) {
		err = noLabel(name)
	}
	return err
}

// LabelResult tells which users were given or have lost a label, and why others were not.
type LabelResult struct {
	Done   []string
	Failed map[string]error // *errcode.Error, by the name that the caller gave
}

// LabelUsers gives users a label, up to 100 in one call. The errors are those of Label, -3 (ErrLabel) without users, and 50
// (ErrFull: too many in the call, or with the label).
func (s *Service) LabelUsers(ctx context.Context, app *account.App, name string, names []string) (LabelResult, error) {
	label, users, result, err := s.labelling(ctx, app, name, names)
	if err != nil || len(users) == 0 {
		return result, err
	}
	switch err := s.store.LabelUsers(ctx, label.ID, idsOf(users), s.now(), maxLabelled); {
	case errors.Is(err, store.ErrFull):
		return LabelResult{}, refuse(errcode.MaxLimit, ErrFull, "a push label has at most %d users", maxLabelled)
	case errors.Is(err, store.ErrNotFound):
		return LabelResult{}, noLabel(name)
	case err != nil:
		return LabelResult{}, err
	}
	for _, user := range users {
		result.Done = append(result.Done, user.Name)
	}
	return result, nil
}

// UnlabelUsers takes a label from users. The errors are those of LabelUsers.
func (s *Service) UnlabelUsers(ctx context.Context, app *account.App, name string, names []string) (LabelResult, error) {
	label, users, result, err := s.labelling(ctx, app, name, names)
	if err != nil || len(users) == 0 {
		return result, err
	}
	had, err := s.store.UnlabelUsers(ctx, label.ID, idsOf(users))
	if err != nil {
		return LabelResult{}, err
	}
	lost := map[int64]bool{}
	for _, user := range had {
		lost[user] = true
	}
	for _, user := range users {
		if lost[user.ID] {
			result.Done = append(result.Done, user.Name)
		} else {
			result.Failed[user.Name] = notLabelled(user.Name)
		}
	}
	return result, nil
}

func notLabelled(name string) error {
	return refuse(errcode.InvalidParameter, ErrNotLabelled, "%s has not the label", name)
}

// labelling finds a label and the users whom a call names.
func (s *Service) labelling(ctx context.Context, app *account.App, name string, names []string) (store.PushLabel, []store.User, LabelResult, error) {
	result := LabelResult{Done: []string{}, Failed: map[string]error{}}
	label, err := s.Label(ctx, app, name)
	switch {
	case err != nil:
		return label, nil, result, err
	case len(names) == 0:
		return label, nil, result, refuse(errcode.InvalidParameter, ErrLabel, "there are no user names")
	case len(names) > maxLabelUsers:
		return label, nil, result, refuse(errcode.MaxLimit, ErrFull, "there are %d users, the limit is %d", len(names), maxLabelUsers)
	}
	users, failed, err := s.users(ctx, app, names)
	result.Failed = failed
	return label, users, result, err
}

// users finds users by their names, and why others are not found. Names that are repeated count once.
func (s *Service) users(ctx context.Context, app *account.App, names []string) (users []store.User, failed map[string]error, err error) {
	failed = map[string]error{}
	seen := map[int64]bool{}
	for _, name := range names {
		user, err := s.accounts.User(ctx, app, name)
		if _, refused := errcode.CodeOf(err); refused {
			failed[strings.ToValidUTF8(name, "?")] = err
			continue
		} else if err != nil {
			return nil, nil, err
		}
		if !seen[user.ID] {
			seen[user.ID] = true
			users = append(users, user)
		}
	}
	return users, failed, nil
}

func idsOf(users []store.User) []int64 {
	ids := make([]int64, len(users))
	for i, user := range users {
		ids[i] = user.ID
	}
	return ids
}

// Labelled returns up to limit users with a label, from the user above the given one on. The errors are those of Label.
func (s *Service) Labelled(ctx context.Context, app *account.App, name string, above int64, limit int) ([]store.Labelled, error) {
	label, err := s.Label(ctx, app, name)
	if err != nil {
		return nil, err
	}
	return s.store.ListLabelled(ctx, label.ID, above, limit)
}

// LabelledUser returns since when a user has a label. The errors are those of Label, 204 and -3 (ErrNotLabelled).
func (s *Service) LabelledUser(ctx context.Context, app *account.App, name, user string) (store.Labelled, error) {
	label, err := s.Label(ctx, app, name)
	if err != nil {
		return store.Labelled{}, err
	}
	u, err := s.accounts.User(ctx, app, user)
	if err != nil {
		return store.Labelled{}, err
	}
	found, err := s.store.ListLabelled(ctx, label.ID, u.ID-1, 1)
	if err == nil && (len(found) == 0 || found[0].User.ID != u.ID) {
		err = notLabelled(u.Name)
	}
	if err != nil {
		return store.Labelled{}, err
	}
	return found[0], nil
}
