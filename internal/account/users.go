package account

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/token"
)

// Limits of docs/protocol/tokens.md §9, in characters (password: bytes).
const (
	maxPassword = 64
	maxNickname = 100
)

var nameForm = regexp.MustCompile(`^[a-z0-9_.-]{1,64}$`)

// Fold returns a user id in the form in which it is kept: lower case. Only A to Z are folded: Unicode would make an
// ordinary k of the Kelvin sign.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

type userKey struct {
	app  int64
	name string
}

// forget drops a user, named as on the bus: the app's number, a space, the name.
func (a *Service) forget(which string) {
	number, name, _ := strings.Cut(which, " ")
	app, _ := strconv.ParseInt(number, 10, 64)
	a.users.Forget(userKey{app, name})
}

// User finds a user by name, in any case of letters. The error is code 204, wrapping ErrNoUser. The row may be some
// seconds old.
func (a *Service) User(ctx context.Context, app *App, name string) (store.User, error) {
	key := userKey{app.ID, Fold(name)}
	if !nameForm.MatchString(key.name) {
		return store.User{}, noUser(name) // nor shall the database see it: PostgreSQL refuses NUL
	}
	user, err := a.users.Get(key, func() (store.User, error) { return a.store.User(ctx, key.app, key.name) })
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, noUser(name)
	} else if err != nil {
		return store.User{}, fmt.Errorf("read user: %w", err)
	}
	return user, nil
}

func noUser(name string) error {
	return &errcode.Error{Code: errcode.UserNotFound, Message: fmt.Sprintf("there is no user %q", name),
		Reason: fmt.Sprintf("username %s doesn't exist!", name), Err: ErrNoUser}
}

// changed lets all nodes forget what they know of a user.
func (a *Service) changed(u store.User) {
	which := strconv.FormatInt(u.App, 10) + " " + u.Name
	a.forget(which)
	a.tell(string(heardUser) + which)
}

// NewUser says whom to register.
type NewUser struct {
	Name     string
	Password string // empty: no login by password
	Nickname string
}

func (n NewUser) check() error {
	refuse := func(sentinel error, format string, args ...any) error {
		e := errcode.Newf(errcode.InvalidParameter, format, args...)
		e.Op, e.Err = "register", sentinel
		return e
	}
	switch {
	case !nameForm.MatchString(n.Name):
		return refuse(ErrUserName, "user id %q is not 1 to 64 of a-z, 0-9, _, - and .", n.Name)
	case len(n.Password) > maxPassword:
		return refuse(ErrPassword, "the password is longer than %d bytes", maxPassword)
	case utf8.RuneCountInString(n.Nickname) > maxNickname || !store.IsText(n.Nickname):
		return refuse(ErrNickname, "the nickname is longer than %d characters", maxNickname)
	}
	return nil
}

// Register makes a user. The errors are code -3 (ErrUserName, ErrPassword, ErrNickname) and code 17 (ErrUserExists).
func (a *Service) Register(ctx context.Context, app *App, n NewUser) (store.User, error) {
	n.Name = Fold(n.Name)
	if err := n.check(); err != nil {
		return store.User{}, err
	}
	hash := ""
	if n.Password != "" {
		// A name that is taken should not cost a hash.
		if _, err := a.User(ctx, app, n.Name); err == nil {
			return store.User{}, userExists(n.Name)
		}
		var err error
		if hash, err = token.HashPassword(ctx, n.Password); err != nil {
			return store.User{}, err
		}
	}
	return a.RegisterHashed(ctx, app, n, hash)
}

// RegisterHashed is Register for a password that has been hashed already.
func (a *Service) RegisterHashed(ctx context.Context, app *App, n NewUser, hash string) (store.User, error) {
	if err := n.check(); err != nil {
		return store.User{}, err
	}
	now := a.now()
	user, err := a.store.CreateUser(ctx, store.User{App: app.ID, Name: n.Name, UUID: uuid.NewString(), Nickname: n.Nickname,
		PasswordHash: hash, Active: true, Created: now, Modified: now})
	if errors.Is(err, store.ErrExists) {
		return store.User{}, userExists(n.Name)
	}
	return user, err
}

func userExists(name string) error {
	return &errcode.Error{Code: errcode.RequestFailed, Op: "register", Message: fmt.Sprintf("there is a user %q already", name), Err: ErrUserExists}
}

// ListUsers returns up to limit users registered after the one with the given number.
func (a *Service) ListUsers(ctx context.Context, app *App, after int64, limit int) ([]store.User, error) {
	return a.store.ListUsers(ctx, app.ID, after, limit)
}

// SetPassword changes a user's password, revokes the user's tokens and ends the sessions with code 216.
func (a *Service) SetPassword(ctx context.Context, app *App, name, password string) error {
	if password == "" || len(password) > maxPassword {
		return &errcode.Error{Code: errcode.InvalidParameter, Op: "password", Message: fmt.Sprintf("a password has 1 to %d bytes", maxPassword), Err: ErrPassword}
	}
	user, err := a.User(ctx, app, name)
	if err != nil {
		return err
	}
	hash, err := token.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	if _, err := a.update(ctx, user, store.UserChange{PasswordHash: &hash, Revoke: true}); err != nil {
		return err
	}
	return a.end(ctx, user, msync.StatisticsBody_USER_KICKED_BY_CHANGE_PASSWORD)
}

func (a *Service) update(ctx context.Context, user store.User, change store.UserChange) (store.User, error) {
	changed, err := a.store.UpdateUser(ctx, user.ID, a.now(), change)
	if errors.Is(err, store.ErrNotFound) {
		err = noUser(user.Name)
	}
	a.changed(user)
	return changed, err
}

// SetActive bans a user (false), which revokes the tokens and ends the sessions with code 217, or lifts the ban.
func (a *Service) SetActive(ctx context.Context, app *App, name string, active bool) (store.User, error) {
	user, err := a.User(ctx, app, name)
	if err != nil {
		return user, err
	}
	if user, err = a.update(ctx, user, store.UserChange{Active: &active, Revoke: !active}); err != nil || active {
		return user, err
	}
	return user, a.end(ctx, user, msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE)
}

// Revoke makes all tokens that the server has given a user invalid and ends the sessions with code 217. The user may be
// named by the UUID. Signed tokens are not the server's; who holds one can log in again.
func (a *Service) Revoke(ctx context.Context, app *App, name string) error {
	user, err := a.User(ctx, app, name)
	if errors.Is(err, ErrNoUser) {
		var found store.User
		if found, err = a.store.UserByUUID(ctx, app.ID, name); errors.Is(err, store.ErrNotFound) {
			return noUser(name)
		}
		user = found
	}
	if err != nil {
		return err
	}
	if _, err := a.update(ctx, user, store.UserChange{Revoke: true}); err != nil {
		return err
	}
	return a.end(ctx, user, msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE)
}

// SetNickname changes the name that is shown in push notifications.
func (a *Service) SetNickname(ctx context.Context, app *App, name, nickname string) (store.User, error) {
	user, err := a.User(ctx, app, name)
	if err != nil {
		return user, err
	}
	if err := (NewUser{Name: user.Name, Nickname: nickname}).check(); err != nil {
		return user, err
	}
	return a.update(ctx, user, store.UserChange{Nickname: &nickname})
}

// BeforeDelete has a function called before a user is deleted, by a service that has to tell others of it. It is not to be
// called once the service is in use.
func (a *Service) BeforeDelete(leave func(ctx context.Context, app *App, user store.User) error) {
	a.beforeDelete = append(a.beforeDelete, leave)
}

// Delete removes a user and ends the sessions with code 207.
func (a *Service) Delete(ctx context.Context, app *App, name string) (store.User, error) {
	user, err := a.User(ctx, app, name)
	if err != nil {
		return user, err
	}
	for _, leave := range a.beforeDelete {
		if err := leave(ctx, app, user); err != nil {
			return user, err
		}
	}
	err = a.store.DeleteUser(ctx, user.ID)
	a.changed(user)
	if errors.Is(err, store.ErrNotFound) {
		return user, noUser(name)
	} else if err != nil {
		return user, err
	}
	a.delivery.Kick(user.ID, delivery.Kick{Operation: int32(msync.StatisticsBody_USER_REMOVED)})
	return user, nil
}
