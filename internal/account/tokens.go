package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/token"
)

// Token is a token that was given out.
type Token struct {
	Text    string
	Life    time.Duration // 0: no end
	Expires time.Time     // zero: no end
	User    store.User    // zero in an app token
}

// TTL is how long a token that is asked for shall live.
type TTL struct {
	Set     bool  // false: as the app's settings say
	Seconds int64 // 0: no end
}

// issue makes a token for a user, or for the app if the user is nil.
func (a *Service) issue(app *App, user *store.User, ttl TTL) (Token, error) {
	seconds := app.Settings.TokenTTLSeconds
	if ttl.Set {
		seconds = ttl.Seconds
	}
	if seconds < 0 || seconds > math.MaxInt32 {
		return Token{}, &errcode.Error{Code: errcode.InvalidParameter, Op: "token", Message: "ttl must be 0 (no end) to 2147483647 seconds", Err: ErrTokenLife}
	}
	now := a.clock.Now()
	t := Token{Life: time.Duration(seconds) * time.Second}
	if seconds > 0 {
		t.Expires = now.Add(t.Life)
	}
	claims := token.Claims{Privilege: token.PrivilegeApp, App: app.ID, IssuedAt: now, ExpiresAt: t.Expires}
	if user != nil {
		t.User = *user
		claims.Privilege, claims.User, claims.Generation = token.PrivilegeUser, user.ID, user.Generation
	}
	t.Text = token.Mint(app.SigningKey, claims)
	return t, nil
}

// AppToken gives a backend the token of an app for its client id and secret. The errors are code 1 (ErrClientID,
// ErrClientSecret).
func (a *Service) AppToken(app *App, clientID, secret string, ttl TTL) (Token, error) {
	if !same(clientID, app.ClientID) {
		return Token{}, refuseLogin(ErrClientID, "the client id is not that of the app")
	}
	if !same(secret, app.ClientSecret) {
		return Token{}, refuseLogin(ErrClientSecret, "the client secret is not that of the app")
	}
	return a.issue(app, nil, ttl)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func refuseLogin(sentinel error, message string) error {
	return &errcode.Error{Code: errcode.LoginFailed, Op: "login", Message: message, Err: sentinel}
}

// PasswordToken gives a user a token for a password. The errors are code 204 (ErrNoUser) and code 1 (ErrWrongPassword,
// ErrBanned).
func (a *Service) PasswordToken(ctx context.Context, app *App, name, password string, ttl TTL) (Token, error) {
	user, err := a.User(ctx, app, name)
	if err != nil {
		return Token{}, err
	}
	if user.PasswordHash == "" || len(password) > maxPassword {
		return Token{}, refuseLogin(ErrWrongPassword, "the password is wrong")
	}
	ok, err := token.CheckPassword(ctx, user.PasswordHash, password)
	if err != nil {
		return Token{}, fmt.Errorf("check password: %w", err)
	}
	if !ok {
		return Token{}, refuseLogin(ErrWrongPassword, "the password is wrong")
	}
	if !user.Active {
		return Token{}, banned()
	}
	return a.issue(app, &user, ttl)
}

func banned() error { return refuseLogin(ErrBanned, "the user is banned") }

// InheritToken gives a backend a token for one of its users, and makes the user if that is wished. The errors are code
// 204 (ErrNoUser), code 1 (ErrBanned) and those of Register.
func (a *Service) InheritToken(ctx context.Context, app *App, name string, create bool, ttl TTL) (Token, error) {
	user, err := a.User(ctx, app, name)
	if errors.Is(err, ErrNoUser) && create {
		user, err = a.Register(ctx, app, NewUser{Name: name})
		if errors.Is(err, ErrUserExists) { // another request was faster
			user, err = a.User(ctx, app, name)
		}
	}
	if err != nil {
		return Token{}, err
	}
	if !user.Active {
		return Token{}, banned()
	}
	return a.issue(app, &user, ttl)
}

// Exchange gives an issued token for an AccessToken2, with the same privilege and no longer life. The errors are those of Authenticate.
func (a *Service) Exchange(ctx context.Context, app *App, text string, ttl TTL) (Token, error) {
	if token.KindOf(text) != token.KindAccessToken {
		return Token{}, refuseToken(ErrTokenMalformed)
	}
	who, err := a.Authenticate(ctx, app, text)
	if err != nil {
		return Token{}, err
	}
	// Whoever could not use the signed token any more shall not use what it was exchanged for either.
	rest := int64(who.Expires.Sub(a.clock.Now()).Seconds())
	if !ttl.Set {
		ttl.Seconds = app.Settings.TokenTTLSeconds
	}
	if ttl.Seconds == 0 || ttl.Seconds > rest {
		ttl.Seconds = max(rest, 1)
	}
	ttl.Set = true
	if who.App {
		return a.issue(app, nil, ttl)
	}
	return a.issue(app, &who.User, ttl)
}

// Principal is the bearer of a token.
type Principal struct {
	App     bool       // the app's backend; else User
	User    store.User // whom the token was made for
	Expires time.Time  // zero: no end
}

func refuseToken(sentinel error) error {
	code := errcode.InvalidToken
	if sentinel == ErrTokenExpired {
		code = errcode.TokenExpired
	}
	return &errcode.Error{Code: code, Message: sentinel.Error(), Err: sentinel}
}

// Authenticate says who bears a token of any kind. The errors are code 28 (ErrNoToken, ErrTokenMalformed,
// ErrTokenUnknown, ErrTokenOtherApp, ErrTokenPrivilege), 56 (ErrTokenExpired), 204 (ErrNoUser) and 2 (ErrBanned).
func (a *Service) Authenticate(ctx context.Context, app *App, text string) (Principal, error) {
	c, err := a.claim(app, text)
	if err != nil {
		return Principal{}, err
	}
	if c.app {
		return Principal{App: true, Expires: c.expires}, nil
	}
	user, err := a.bearer(ctx, app, c)
	if err != nil {
		return Principal{}, err
	}
	return Principal{User: user, Expires: c.expires}, nil
}

// bearer finds the user whom a claim is about and checks that the claim still holds.
func (a *Service) bearer(ctx context.Context, app *App, c claim) (user store.User, err error) {
	if c.number != 0 {
		user, err = a.store.UserByID(ctx, c.number)
	} else if user, err = a.User(ctx, app, c.user); errors.Is(err, ErrNoUser) && uuid.Validate(c.user) == nil {
		user, err = a.store.UserByUUID(ctx, app.ID, c.user)
	}
	if errors.Is(err, store.ErrNotFound) {
		return user, noUser(c.user)
	} else if err != nil {
		return user, err
	}
	return user, a.check(ctx, app, c, user)
}

// check says whether the user may do what the claim allows.
func (a *Service) check(ctx context.Context, app *App, c claim, user store.User) error {
	if c.user == user.UUID && Fold(c.user) != user.Name {
		// Older backends sign the UUID. But somebody may have taken another user's UUID for a name: such a token is theirs.
		if _, err := a.User(ctx, app, c.user); !errors.Is(err, ErrNoUser) {
			return refuseToken(ErrTokenUnknown)
		}
	}
	switch {
	case c.number != 0 && (c.number != user.ID || c.generation != user.Generation):
		return refuseToken(ErrTokenUnknown)
	case c.user != "" && Fold(c.user) != user.Name && c.user != user.UUID:
		return refuseToken(ErrTokenUnknown)
	case !user.Active:
		return &errcode.Error{Code: errcode.AuthFailed, Op: "login", Message: "the user is banned", Err: ErrBanned}
	}
	return nil
}

// claim is what a token that verifies says.
type claim struct {
	app        bool   // the app's backend
	number     int64  // the user's number, in an issued token
	generation uint32 // with number
	user       string // name or UUID, in a signed token
	expires    time.Time
}

// claim reads and verifies a token; whether its user exists and may use it is not looked at.
func (a *Service) claim(app *App, text string) (claim, error) {
	now := a.clock.Now()
	switch token.KindOf(text) {
	case token.KindIssued:
		return claimIssued(app, text, now)
	case token.KindAccessToken:
		return claimAccess(app, text, now)
	case token.KindDynamic:
		if app.Settings.DynamicTokens {
			return claimDynamic(app, text, now)
		}
	}
	if text == "" {
		return claim{}, refuseToken(ErrNoToken)
	}
	return claim{}, refuseToken(ErrTokenMalformed)
}

func claimIssued(app *App, text string, now time.Time) (claim, error) {
	t, err := token.ParseIssued(text)
	if err != nil {
		return claim{}, refuseToken(ErrTokenMalformed)
	}
	if t.App != app.ID {
		return claim{}, refuseToken(ErrTokenOtherApp)
	}
	if err := t.Verify(app.SigningKey, now); errors.Is(err, token.ErrExpired) {
		return claim{}, refuseToken(ErrTokenExpired)
	} else if err != nil {
		return claim{}, refuseToken(ErrTokenUnknown)
	}
	return claim{app: t.Privilege == token.PrivilegeApp, number: t.User, generation: t.Generation, expires: t.ExpiresAt}, nil
}

func claimAccess(app *App, text string, now time.Time) (claim, error) {
	t, err := token.ParseAccessToken(text)
	if err != nil {
		return claim{}, refuseToken(ErrTokenMalformed)
	}
	if t.AppID != app.AgoraID {
		return claim{}, refuseToken(ErrTokenOtherApp)
	}
	if !t.Verify(app.Certificate) && !t.Verify(app.Certificate2) {
		return claim{}, refuseToken(ErrTokenUnknown)
	}
	user, expires, err := t.UserAt(now)
	if err == nil {
		return claim{user: user, expires: expires}, nil
	}
	if errors.Is(err, token.ErrNotUser) {
		if expires, err = t.AppAt(now); err == nil {
			return claim{app: true, expires: expires}, nil
		}
	}
	if errors.Is(err, token.ErrExpired) {
		return claim{}, refuseToken(ErrTokenExpired)
	}
	return claim{}, refuseToken(ErrTokenPrivilege)
}

func claimDynamic(app *App, text string, now time.Time) (claim, error) {
	t, err := token.ParseDynamic(text)
	if err != nil {
		return claim{}, refuseToken(ErrTokenMalformed)
	}
	if t.AppKey != app.Key() {
		return claim{}, refuseToken(ErrTokenOtherApp)
	}
	expires, err := t.Verify(app.ClientID, app.ClientSecret, now)
	if errors.Is(err, token.ErrExpired) {
		return claim{}, refuseToken(ErrTokenExpired)
	} else if err != nil {
		return claim{}, refuseToken(ErrTokenUnknown)
	}
	return claim{user: t.User, expires: expires}, nil
}
