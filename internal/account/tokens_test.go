package account

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/token"
)

func TestAppTokensNeedIDAndSecret(t *testing.T) {
	w := newWorld(t)
	got, err := w.AppToken(w.app, "id", "secret", TTL{})
	w.must(err)
	if who, err := w.Authenticate(t.Context(), w.app, got.Text); err != nil || !who.App || who.User.ID != 0 {
		t.Errorf("the token is of %+v, %v", who, err)
	}
	for _, test := range []struct {
		id, secret string
		want       error
	}{{"", "secret", ErrClientID}, {"ID", "secret", ErrClientID}, {"id", "", ErrClientSecret}, {"id", "secre", ErrClientSecret}, {"", "", ErrClientID}} {
		_, err := w.AppToken(w.app, test.id, test.secret, TTL{})
		refused(t, test.id+"/"+test.secret, err, errcode.LoginFailed, test.want)
	}
}

func TestLivesOfTokens(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name string
		ttl  TTL
		want time.Duration // -1: refused
	}{
		{"none asked for", TTL{}, 60 * 24 * time.Hour},
		{"none asked for, whatever the number", TTL{Seconds: 5}, 60 * 24 * time.Hour},
		{"one second", TTL{Set: true, Seconds: 1}, time.Second},
		{"for ever", TTL{Set: true}, 0},
		{"the longest", TTL{Set: true, Seconds: math.MaxInt32}, math.MaxInt32 * time.Second},
		{"longer", TTL{Set: true, Seconds: math.MaxInt32 + 1}, -1},
		{"longest of all", TTL{Set: true, Seconds: math.MaxInt64}, -1},
		{"negative", TTL{Set: true, Seconds: -1}, -1},
	} {
		got, err := w.AppToken(w.app, "id", "secret", test.ttl)
		if test.want < 0 {
			refused(t, test.name, err, errcode.InvalidParameter, ErrTokenLife)
			continue
		}
		if err != nil || got.Life != test.want || got.Expires.IsZero() != (test.want == 0) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
		who, err := w.Authenticate(t.Context(), w.app, got.Text)
		if err != nil || !who.Expires.Equal(got.Expires.Truncate(time.Millisecond)) {
			t.Errorf("%s: the token ends at %v, said was %v, %v", test.name, who.Expires, got.Expires, err)
		}
	}
}

func TestPasswordTokens(t *testing.T) {
	w := newWorld(t)
	alice := w.register("alice")
	if _, err := w.Register(t.Context(), w.app, NewUser{Name: "nopass"}); err != nil {
		t.Fatal(err)
	}
	w.register("carol")
	if _, err := w.SetActive(t.Context(), w.app, "carol", false); err != nil {
		t.Fatal(err)
	}
	got, err := w.PasswordToken(t.Context(), w.app, "ALICE", "secret", TTL{})
	if err != nil || got.User.ID != alice.ID {
		t.Errorf("alice gets %+v, %v", got, err)
	}
	for _, test := range []struct {
		name, user, password string
		code                 errcode.Code
		sentinel             error
	}{
		{"nobody", "nobody", "secret", errcode.UserNotFound, ErrNoUser},
		{"an illegal name", "no body", "secret", errcode.UserNotFound, ErrNoUser},
		{"a wrong password", "alice", "Secret", errcode.LoginFailed, ErrWrongPassword},
		{"an empty password", "alice", "", errcode.LoginFailed, ErrWrongPassword},
		{"a long password", "alice", strings.Repeat("x", 10_000), errcode.LoginFailed, ErrWrongPassword},
		{"a user without a password", "nopass", "", errcode.LoginFailed, ErrWrongPassword},
		{"a banned user", "carol", "secret", errcode.LoginFailed, ErrBanned},
		{"a banned user with a wrong password learns nothing of the ban", "carol", "wrong", errcode.LoginFailed, ErrWrongPassword},
	} {
		_, err := w.PasswordToken(t.Context(), w.app, test.user, test.password, TTL{})
		refused(t, test.name, err, test.code, test.sentinel)
	}
	_, err = w.PasswordToken(t.Context(), w.app, "alice", "secret", TTL{Set: true, Seconds: -1})
	refused(t, "a bad life", err, errcode.InvalidParameter, ErrTokenLife)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.PasswordToken(ended, w.app, "alice", "secret", TTL{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestInheritedTokens(t *testing.T) {
	w := newWorld(t)
	w.register("alice")
	w.register("carol")
	if _, err := w.SetActive(t.Context(), w.app, "carol", false); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, user string
		create     bool
		code       errcode.Code // 0: succeeds
		sentinel   error
	}{
		{"a user", "Alice", false, 0, nil},
		{"a user who need not be made", "alice", true, 0, nil},
		{"nobody", "bob", false, errcode.UserNotFound, ErrNoUser},
		{"nobody, who is made", "Bob", true, 0, nil},
		{"who was made", "bob", false, 0, nil},
		{"an illegal name", "no body", true, errcode.InvalidParameter, ErrUserName},
		{"a banned user", "carol", true, errcode.LoginFailed, ErrBanned},
	} {
		got, err := w.InheritToken(t.Context(), w.app, test.user, test.create, TTL{})
		if test.code != 0 {
			refused(t, test.name, err, test.code, test.sentinel)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if who, err := w.Authenticate(t.Context(), w.app, got.Text); err != nil || who.App || who.User.Name != Fold(test.user) {
			t.Errorf("%s: the token is of %+v, %v", test.name, who, err)
		}
	}
}

// access makes an AccessToken2 as a customer's backend does.
func (w *world) access(user string, change func(*token.AccessToken), cert string) string {
	w.Helper()
	privilege := token.PrivilegeUser
	if user == "" {
		privilege = token.PrivilegeApp
	}
	at := &token.AccessToken{AppID: agoraID, IssuedAt: uint32(w.clock.Now().Unix()), Expire: 3600, Salt: 1,
		Services: []token.Service{{Type: token.ServiceChat, User: user, Privileges: map[token.Privilege]uint32{privilege: 3600}}}}
	if change != nil {
		change(at)
	}
	text, err := at.Build(cert)
	w.must(err)
	return text
}

func (w *world) dynamic(user string, change func(*token.DynamicToken), secret string) string {
	w.Helper()
	d := &token.DynamicToken{AppKey: "acme#demo", User: user, IssuedAt: uint32(w.clock.Now().Unix()), TTL: 3600}
	if change != nil {
		change(d)
	}
	text, err := d.Build("id", secret)
	w.must(err)
	return text
}

// TestEveryTokenAndEveryRefusal goes through Authenticate, which REST asks, and Login as alice, which the socket asks.
func TestEveryTokenAndEveryRefusal(t *testing.T) {
	w := newWorld(t)
	alice, carol := w.register("alice"), w.register("carol")
	bob := w.register("bob")
	if _, err := w.SetActive(t.Context(), w.app, "carol", false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ChangeSettings(t.Context(), w.app, []byte(`{"dynamic_tokens":true}`)); err != nil {
		t.Fatal(err)
	}
	app := w.Current(w.app)
	issued := func(u store.User, change func(*token.Claims), key string) string {
		c := token.Claims{Privilege: token.PrivilegeUser, App: app.ID, User: u.ID, Generation: u.Generation, IssuedAt: w.clock.Now(), ExpiresAt: w.clock.Now().Add(time.Hour)}
		if change != nil {
			change(&c)
		}
		return token.Mint([]byte(key), c)
	}
	seconds := func(d time.Duration) uint32 { return uint32(w.clock.Now().Add(d).Unix()) }
	type verdict struct {
		code     errcode.Code // 0: succeeds
		sentinel error
	}
	ok := verdict{}
	malformed, unknown := verdict{28, ErrTokenMalformed}, verdict{28, ErrTokenUnknown}
	otherApp, expired, privilege := verdict{28, ErrTokenOtherApp}, verdict{56, ErrTokenExpired}, verdict{28, ErrTokenPrivilege}
	noUser, banned := verdict{204, ErrNoUser}, verdict{2, ErrBanned}
	for _, test := range []struct {
		name        string
		text        string
		rest, login verdict
	}{
		{"nothing", "", verdict{28, ErrNoToken}, verdict{28, ErrNoToken}},
		{"a word", "token", malformed, malformed},
		{"half an issued token", issued(alice, nil, "key")[:40], malformed, malformed},
		{"half an AccessToken2", w.access("alice", nil, certificate)[:40], malformed, malformed},
		{"half a dynamic token", w.dynamic("alice", nil, "secret")[:40], malformed, malformed},

		{"an issued token", issued(alice, nil, "key"), ok, ok},
		{"an issued token without end", issued(alice, func(c *token.Claims) { c.ExpiresAt = time.Time{} }, "key"), ok, ok},
		{"an issued token of the app", issued(alice, func(c *token.Claims) { c.Privilege, c.User = token.PrivilegeApp, 0 }, "key"), ok, privilege},
		{"an issued token of bob", issued(bob, nil, "key"), ok, unknown},
		{"an issued token of another app", issued(alice, func(c *token.Claims) { c.App++ }, "key"), otherApp, otherApp},
		{"an issued token with another key", issued(alice, nil, "other"), unknown, unknown},
		{"an issued token that has ended", issued(alice, func(c *token.Claims) { c.ExpiresAt = w.clock.Now().Add(-time.Second) }, "key"), expired, expired},
		{"a forged one that has ended", issued(alice, func(c *token.Claims) { c.ExpiresAt = w.clock.Now().Add(-time.Second) }, "other"), unknown, unknown},
		{"a revoked issued token", issued(alice, func(c *token.Claims) { c.Generation-- }, "key"), unknown, unknown},
		{"an issued token of tomorrow's generation", issued(alice, func(c *token.Claims) { c.Generation++ }, "key"), unknown, unknown},
		{"an issued token of nobody", issued(store.User{ID: 999}, nil, "key"), noUser, unknown},
		{"an issued token from before a ban", issued(carol, nil, "key"), unknown, unknown},

		{"an AccessToken2", w.access("alice", nil, certificate), ok, ok},
		{"an AccessToken2 in capitals", w.access("ALICE", nil, certificate), ok, ok},
		{"an AccessToken2 with the second certificate", w.access("alice", nil, certificate2), ok, ok},
		{"an AccessToken2 of the UUID", w.access(alice.UUID, nil, certificate), ok, ok},
		{"an AccessToken2 of bob's UUID", w.access(bob.UUID, nil, certificate), ok, unknown},
		{"an AccessToken2 of nobody's UUID", w.access("00000000-0000-4000-8000-000000000000", nil, certificate), noUser, unknown},
		{"an AccessToken2 of the app", w.access("", nil, certificate), ok, privilege},
		{"an AccessToken2 of bob", w.access("bob", nil, certificate), ok, unknown},
		{"an AccessToken2 of nobody", w.access("nobody", nil, certificate), noUser, unknown},
		{"an AccessToken2 of carol, who is banned", w.access("carol", nil, certificate), banned, unknown},
		{"an AccessToken2 of another app", w.access("alice", func(a *token.AccessToken) { a.AppID = certificate }, certificate), otherApp, otherApp},
		{"an AccessToken2 with another certificate", w.access("alice", nil, agoraID), unknown, unknown},
		{"an AccessToken2 that has ended", w.access("alice", func(a *token.AccessToken) { a.IssuedAt = seconds(-2 * time.Hour) }, certificate), expired, expired},
		{"an AccessToken2 of tomorrow", w.access("alice", func(a *token.AccessToken) { a.IssuedAt = seconds(24 * time.Hour) }, certificate), privilege, privilege},
		{"an AccessToken2 without a privilege", w.access("alice", func(a *token.AccessToken) { clear(a.Services[0].Privileges) }, certificate), privilege, privilege},
		{"an AccessToken2 whose privilege has ended", w.access("alice", func(a *token.AccessToken) {
			a.IssuedAt = seconds(-time.Hour / 2)
			a.Services[0].Privileges[token.PrivilegeUser] = 60
		}, certificate), privilege, privilege},
		{"an AccessToken2 for another service", w.access("alice", func(a *token.AccessToken) { a.Services[0].Type = token.ServiceRTC }, certificate), privilege, privilege},

		{"a dynamic token", w.dynamic("alice", nil, "secret"), ok, ok},
		{"a dynamic token of bob", w.dynamic("bob", nil, "secret"), ok, unknown},
		{"a dynamic token of another app", w.dynamic("alice", func(d *token.DynamicToken) { d.AppKey = "acme#other" }, "secret"), otherApp, otherApp},
		{"a dynamic token with another secret", w.dynamic("alice", nil, "guess"), unknown, unknown},
		{"a dynamic token that has ended", w.dynamic("alice", func(d *token.DynamicToken) { d.IssuedAt = seconds(-2 * time.Hour) }, "secret"), expired, expired},
		{"a dynamic token for a year", w.dynamic("alice", func(d *token.DynamicToken) { d.TTL = 365 * 24 * 3600 }, "secret"), unknown, unknown},
	} {
		who, err := w.Authenticate(t.Context(), app, test.text)
		if test.rest.code != 0 {
			refused(t, test.name+" by REST", err, test.rest.code, test.rest.sentinel)
		} else if err != nil {
			t.Errorf("%s by REST: %v", test.name, err)
		} else if !who.App && (who.User.ID == 0 || !who.User.Active) {
			t.Errorf("%s by REST is of %+v", test.name, who)
		}
		login, err := w.Login(t.Context(), "acme#demo", "Alice", test.text)
		if test.login.code != 0 {
			refused(t, test.name+" as a login", err, test.login.code, test.login.sentinel)
		} else if err != nil || login.User.ID != alice.ID || login.Generation != alice.Generation {
			t.Errorf("%s as a login: %+v, %v", test.name, login, err)
		}
	}
	for name, want := range map[string]verdict{"nobody": noUser, "": noUser, "no body": noUser, "ali\x00ce": noUser, "carol": banned} {
		bearer := name
		if name == "" || strings.ContainsRune(name, 0) {
			bearer = "alice"
		}
		text := w.access(bearer, nil, certificate)
		_, err := w.Login(t.Context(), "acme#demo", name, text)
		refused(t, "login as "+name, err, want.code, want.sentinel)
	}
	_, err := w.Login(t.Context(), "no#app", "alice", issued(alice, nil, "key"))
	refused(t, "an unknown app", err, errcode.InvalidAppKey, ErrNoApp)
	if _, err := w.ChangeSettings(t.Context(), w.app, []byte(`{"dynamic_tokens":false,"serving":false}`)); err != nil {
		t.Fatal(err)
	}
	_, err = w.Authenticate(t.Context(), w.Current(w.app), w.dynamic("alice", nil, "secret"))
	refused(t, "dynamic tokens that are off", err, errcode.InvalidToken, ErrTokenMalformed)
	_, err = w.Login(t.Context(), "acme#demo", "alice", issued(alice, nil, "key"))
	refused(t, "an app that is off", err, errcode.ServingDisabled, ErrServingDisabled)
	if _, err = w.Authenticate(t.Context(), w.Current(w.app), issued(alice, nil, "key")); err != nil {
		t.Errorf("REST of an app that is off: %v", err)
	}
}

func TestTokensEndWithTheClock(t *testing.T) {
	w := newWorld(t)
	w.register("alice")
	short, err := w.InheritToken(t.Context(), w.app, "alice", false, TTL{Set: true, Seconds: 60})
	w.must(err)
	signed := w.access("alice", nil, certificate)
	for _, text := range []string{short.Text, signed} {
		if _, err := w.Authenticate(t.Context(), w.app, text); err != nil {
			t.Error(err)
		}
	}
	login, err := w.Login(t.Context(), "acme#demo", "alice", short.Text)
	if err != nil || login.Expires != short.Expires.UnixMilli() {
		t.Errorf("the login ends at %d, the token at %v, %v", login.Expires, short.Expires, err)
	}
	w.clock.Advance(time.Minute + time.Second)
	_, err = w.Authenticate(t.Context(), w.app, short.Text)
	refused(t, "after a minute", err, errcode.TokenExpired, ErrTokenExpired)
	if _, err := w.Authenticate(t.Context(), w.app, signed); err != nil {
		t.Error(err)
	}
	w.clock.Advance(time.Hour)
	_, err = w.Authenticate(t.Context(), w.app, signed)
	refused(t, "after an hour", err, errcode.TokenExpired, ErrTokenExpired)
}

func TestAPasswordChangeRevokesTokens(t *testing.T) {
	w := newWorld(t)
	w.register("alice")
	old, err := w.PasswordToken(t.Context(), w.app, "alice", "secret", TTL{Set: true})
	w.must(err)
	w.must(w.SetPassword(t.Context(), w.app, "alice", "new"))
	_, err = w.Authenticate(t.Context(), w.app, old.Text)
	refused(t, "the old token", err, errcode.InvalidToken, ErrTokenUnknown)
	_, err = w.PasswordToken(t.Context(), w.app, "alice", "secret", TTL{})
	refused(t, "the old password", err, errcode.LoginFailed, ErrWrongPassword)
	fresh, err := w.PasswordToken(t.Context(), w.app, "alice", "new", TTL{})
	w.must(err)
	if _, err := w.Login(t.Context(), "acme#demo", "alice", fresh.Text); err != nil {
		t.Errorf("the new token: %v", err)
	}
	_, err = w.Delete(t.Context(), w.app, "alice")
	w.must(err)
	w.register("alice")
	_, err = w.Authenticate(t.Context(), w.app, fresh.Text)
	refused(t, "the token of a removed user whose name is there again", err, errcode.UserNotFound, ErrNoUser)
	_, err = w.Login(t.Context(), "acme#demo", "alice", fresh.Text)
	refused(t, "as a login", err, errcode.InvalidToken, ErrTokenUnknown)
}

// Whoever may choose a name may choose somebody's UUID. A token signed for that name must not be one for that person.
func TestAUUIDTakenForANameGivesNothing(t *testing.T) {
	w := newWorld(t)
	alice := w.register("alice")
	mallory := w.register(alice.UUID)
	text := w.access(alice.UUID, nil, certificate)
	who, err := w.Authenticate(t.Context(), w.app, text)
	if err != nil || who.User.ID != mallory.ID {
		t.Errorf("the token is of %+v, %v", who, err)
	}
	_, err = w.Login(t.Context(), "acme#demo", "alice", text)
	refused(t, "login as alice", err, errcode.InvalidToken, ErrTokenUnknown)
	if login, err := w.Login(t.Context(), "acme#demo", alice.UUID, text); err != nil || login.User.ID != mallory.ID {
		t.Errorf("login under the UUID: %+v, %v", login, err)
	}
}

func TestExchangeKeepsThePrivilege(t *testing.T) {
	w := newWorld(t)
	alice := w.register("alice")
	got, err := w.Exchange(t.Context(), w.app, w.access("alice", nil, certificate), TTL{Set: true, Seconds: 60})
	w.must(err)
	if who, err := w.Authenticate(t.Context(), w.app, got.Text); err != nil || who.User.ID != alice.ID || got.User.ID != alice.ID {
		t.Errorf("of a user: %+v, %v", who, err)
	}
	got, err = w.Exchange(t.Context(), w.app, w.access("", nil, certificate), TTL{})
	w.must(err)
	if who, err := w.Authenticate(t.Context(), w.app, got.Text); err != nil || !who.App {
		t.Errorf("of the app: %+v, %v", who, err)
	}
	_, err = w.Exchange(t.Context(), w.app, got.Text, TTL{})
	refused(t, "an issued token", err, errcode.InvalidToken, ErrTokenMalformed)
	_, err = w.Exchange(t.Context(), w.app, w.access("alice", nil, agoraID), TTL{})
	refused(t, "another certificate", err, errcode.InvalidToken, ErrTokenUnknown)
	_, err = w.Exchange(t.Context(), w.app, w.access("nobody", nil, certificate), TTL{})
	refused(t, "nobody", err, errcode.UserNotFound, ErrNoUser)
	_, err = w.Exchange(t.Context(), w.app, w.access("alice", nil, certificate), TTL{Set: true, Seconds: -1})
	refused(t, "a bad life", err, errcode.InvalidParameter, ErrTokenLife)
}
