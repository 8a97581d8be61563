package errors

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/chattest"
	"github.com/stoa-chat/stoa/errcode"
)

// TestSessions is about coming, staying and going.
func TestSessions(t *testing.T) {
	t.Parallel()
	shows(t, errcode.RequestSuccess, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		_, err := alice.SendText(t.Context(), "bob", "all is well")
		ok(t, err)
	})
	shows(t, errcode.LoginFailed, goReturn, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.client(t)
		want(t, c.Login(t.Context(), "alice", chat.Password("wrong")), errcode.LoginFailed)
		ok(t, c.Login(t.Context(), "alice", chat.Password(chattest.Password)))
	})
	for _, way := range []string{goReturn, goOnError} {
		refused := func(code errcode.Code, login func(t *testing.T, w world, c *chat.Client) error) {
			shows(t, code, way, func(t *testing.T) {
				w := newWorld(t)
				c, h := w.client(t)
				err := login(t, w, c)
				if way == goOnError {
					err = next(t, h.errors)
				}
				want(t, err, code)
			})
		}
		shows(t, errcode.AuthFailed, way, func(t *testing.T) {
			w := newWorld(t)
			w.set(t, "allowed_origins", []string{"https://app.example.com"})
			c, h := w.client(t, chat.WithHTTPClient(&http.Client{Transport: fromPage("https://elsewhere.example.com")}))
			err := c.Login(t.Context(), "alice", chat.Token(w.User(t, "alice")))
			if way == goOnError {
				err = next(t, h.errors)
			}
			want(t, err, errcode.AuthFailed)
		})
		refused(errcode.InvalidToken, func(t *testing.T, w world, c *chat.Client) error {
			return c.Login(t.Context(), "alice", chat.Token(w.User(t, "bob")))
		})
		refused(errcode.TokenExpired, func(t *testing.T, w world, c *chat.Client) error {
			token := w.User(t, "alice")
			w.Advance(100 * 24 * time.Hour)
			return c.Login(t.Context(), "alice", chat.Token(token))
		})
		refused(errcode.ServingDisabled, func(t *testing.T, w world, c *chat.Client) error {
			token := w.User(t, "alice")
			w.set(t, "serving", false)
			return c.Login(t.Context(), "alice", chat.Token(token))
		})
		refused(errcode.UserNotFound, func(t *testing.T, w world, c *chat.Client) error {
			return c.Login(t.Context(), "nobody", chat.Token(w.User(t, "alice")))
		})
	}
	shows(t, errcode.TokenFetchFailed, goReturn, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.client(t)
		broken := chat.TokenProvider(func(context.Context) (string, error) { return "", errors.New("the token service is down") })
		want(t, c.Login(t.Context(), "alice", broken), errcode.TokenFetchFailed)
	})
	shows(t, errcode.TokenFetchFailed, goOnError, func(t *testing.T) {
		w := newWorld(t)
		cable := newCable(t, w.URL)
		c, h := w.client(t, chat.WithServer(cable.URL()))
		token, asked := w.User(t, "alice"), 0
		ok(t, c.Login(t.Context(), "alice", chat.TokenProvider(func(context.Context) (string, error) {
			if asked++; asked > 1 {
				return "", errors.New("the token service is down")
			}
			return token, nil
		})))
		w.Advance(100 * 24 * time.Hour) // the token is refused on the reconnect, and there is no other
		for {
			if err := next(t, h.errors); errors.Is(err, errcode.TokenFetchFailed) {
				return
			}
		}
	})
	shows(t, errcode.Disconnected, goOnError, func(t *testing.T) {
		w := newWorld(t)
		cable := newCable(t, w.URL)
		_, h := w.login(t, "alice", chat.WithServer(cable.URL()))
		cable.Cut()
		want(t, next(t, h.errors), errcode.Disconnected)
		want(t, next(t, h.disconnected), errcode.Disconnected) // after the last attempt
	})
	shows(t, errcode.Disconnected, goReturn, func(t *testing.T) {
		w := newWorld(t)
		cable := newCable(t, w.URL)
		alice, h := w.login(t, "alice", chat.WithServer(cable.URL()), chat.WithReconnect(chat.Reconnect{Attempts: -1, Min: time.Hour, Max: time.Hour}))
		room := w.room(t, "alice")
		cable.Cut()
		want(t, next(t, h.errors), errcode.Disconnected)
		_, err := alice.Room(room).Join(t.Context(), chat.JoinOptions{})
		want(t, err, errcode.Disconnected)
	})
	shows(t, errcode.InvalidAppKey, goReturn, func(t *testing.T) {
		_, err := chat.New("nokey")
		want(t, err, errcode.InvalidAppKey)
		w := newWorld(t)
		other, err := chat.New("acme#unknown", chat.WithServer(w.URL))
		ok(t, err)
		defer other.Close()
		want(t, other.Login(t.Context(), "alice", chat.Password(chattest.Password)), errcode.InvalidAppKey)
	})
	shows(t, errcode.CallbackPanic, goOnError, func(t *testing.T) {
		w := newWorld(t)
		alice, h := w.login(t, "alice")
		bob, _ := w.login(t, "bob")
		alice.AddEventListener("buggy", chat.Listener{OnTextMessage: func(*chat.Message) { panic("a bug in the app") }})
		must[*chat.Message](t)(bob.SendText(t.Context(), "alice", "hello"))
		want(t, next(t, h.errors), errcode.CallbackPanic)
		next(t, h.texts) // the other listener got it
		must[*chat.Message](t)(alice.SendText(t.Context(), "bob", "still here"))
	})
	shows(t, errcode.ClientOffline, goReturn, func(t *testing.T) {
		w := newWorld(t)
		cable := newCable(t, w.URL)
		alice, h := w.login(t, "alice", chat.WithServer(cable.URL()), chat.WithOfflineQueue(0),
			chat.WithReconnect(chat.Reconnect{Attempts: -1, Min: time.Hour, Max: time.Hour}))
		cable.Cut()
		next(t, h.errors)
		_, err := alice.SendText(t.Context(), "bob", "into the void")
		want(t, err, errcode.ClientOffline)
	})
	shows(t, errcode.NotLoggedIn, goReturn, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.client(t)
		_, err := c.SendText(t.Context(), "bob", "too early")
		want(t, err, errcode.NotLoggedIn)
		ok(t, c.Login(t.Context(), "alice", chat.Password(chattest.Password)))
		ok(t, c.Logout(t.Context()))
		_, err = c.SendText(t.Context(), "bob", "too late")
		want(t, err, errcode.NotLoggedIn)
	})
	for _, way := range []string{goReturn, goOnError} {
		shows(t, errcode.ConnectionFailed, way, func(t *testing.T) {
			w := newWorld(t)
			cable := newCable(t, w.URL)
			c, h := w.client(t, chat.WithServer(cable.URL()))
			token := w.User(t, "alice")
			cable.Cut()
			err := c.Login(t.Context(), "alice", chat.Token(token))
			if way == goOnError {
				err = next(t, h.errors)
			}
			want(t, err, errcode.ConnectionFailed)
		})
	}
	for code, end := range map[errcode.Code]func(t *testing.T, w world){
		errcode.LoginAnotherDevice: func(t *testing.T, w world) {
			w.set(t, "multi_device", false)
			w.login(t, "alice")
		},
		errcode.UserRemoved: func(t *testing.T, w world) { w.admin(t, "DELETE", "/users/alice", nil) },
		errcode.PasswordChanged: func(t *testing.T, w world) {
			w.admin(t, "PUT", "/users/alice/password", map[string]string{"newpassword": "new"})
		},
		errcode.KickedByOtherDevice: func(t *testing.T, w world) { w.admin(t, "POST", "/users/alice/disconnect", nil) },
	} {
		shows(t, code, goOnError, func(t *testing.T) {
			w := newWorld(t)
			alice, h := w.login(t, "alice")
			end(t, w)
			want(t, next(t, h.errors), code)
			want(t, next(t, h.disconnected), code)
			_, err := alice.SendText(t.Context(), "bob", "after the end")
			want(t, err, errcode.NotLoggedIn)
		})
	}
	shows(t, errcode.BadMessage, goOnError, func(t *testing.T) {
		w := newWorld(t)
		cable := newCable(t, w.URL)
		alice, h := w.login(t, "alice", chat.WithServer(cable.URL()))
		must[*chat.Message](t)(alice.SendText(t.Context(), "bob", "the line is quiet after this"))
		cable.Say([]byte("\x82\x03\xff\xff\xff")) // a frame that is no protobuf
		want(t, next(t, h.errors), errcode.BadMessage)
		must[*chat.Message](t)(alice.SendText(t.Context(), "bob", "still here"))
	})
	shows(t, errcode.AlreadyLoggedIn, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		want(t, alice.Login(t.Context(), "alice", chat.Password(chattest.Password)), errcode.AlreadyLoggedIn)
	})
	shows(t, errcode.RestNoSession, goReturn, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.client(t)
		_, err := c.Contacts(t.Context())
		want(t, err, errcode.RestNoSession)
		want(t, err, errcode.InvalidToken) // it wraps 28
	})
	shows(t, errcode.RequestAbort, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := alice.Contacts(ctx)
		want(t, err, errcode.RequestAbort)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not context.Canceled", err)
		}
	})
	shows(t, errcode.RequestUnknown, goReturn, func(t *testing.T) {
		w := newWorld(t)
		cable := newCable(t, w.URL)
		alice, _ := w.login(t, "alice", chat.WithServer(cable.URL()))
		cable.Cut()
		_, err := alice.Contacts(t.Context())
		want(t, err, errcode.RequestUnknown)
	})
	shows(t, errcode.RequestTimeout, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		_, err := alice.Contacts(within(t, time.Nanosecond))
		want(t, err, errcode.RequestTimeout)
	})
	shows(t, errcode.RequestFailed, goReturn, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.client(t)
		want(t, c.Register(t.Context(), "alice", "secret", ""), errcode.RequestFailed) // there is one
	})
	shows(t, errcode.InvalidParameter, goReturn, func(t *testing.T) {
		_, err := chat.New("stoa#demo", chat.WithServer("nowhere"))
		want(t, err, errcode.InvalidParameter)
	})
	shows(t, errcode.NoPermission, goReturn, func(t *testing.T) {
		w := newWorld(t)
		cable := newCable(t, w.URL)
		alice, _ := w.login(t, "alice", chat.WithServer(cable.URL()))
		w.Advance(100 * 24 * time.Hour)
		_, err := alice.Contacts(t.Context())
		want(t, err, errcode.NoPermission)
	})
}

// fromPage makes requests as a page of an origin does.
type fromPage string

func (origin fromPage) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Origin", string(origin))
	return http.DefaultTransport.RoundTrip(r)
}
