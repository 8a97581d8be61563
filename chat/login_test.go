package chat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

func TestNewRefusesMalformedKeysAndOptions(t *testing.T) {
	for _, key := range []string{"", "stoa", "#demo", "stoa#", "stoa#demo#x", "#"} {
		_, err := New(key)
		wantCode(t, err, errcode.InvalidAppKey)
	}
	for name, opt := range map[string]Option{
		"server without scheme": WithServer("chat.example.com"),
		"server of a socket":    WithServer("ws://chat.example.com"),
		"server unreadable":     WithServer("http://[::1"),
		"socket of a server":    WithSocketURL("http://chat.example.com/ws"),
		"no device":             WithDevice(""),
		"no HTTP client":        WithHTTPClient(nil),
		"no logger":             WithLogger(nil),
		"negative queue":        WithOfflineQueue(-1),
		"empty event queue":     WithEventQueue(0),
		"negative timeout":      WithTimeouts(Timeouts{Send: -1}),
		"pauses swapped":        WithReconnect(Reconnect{Min: time.Minute, Max: time.Second}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New("stoa#demo", opt)
			wantCode(t, err, errcode.InvalidParameter)
		})
	}
}

func TestSocketAddressFollowsTheServer(t *testing.T) {
	for server, want := range map[string]string{
		"http://127.0.0.1:8080":      "ws://127.0.0.1:8080/ws",
		"https://chat.example.com":   "wss://chat.example.com/ws",
		"https://example.com/chat/":  "wss://example.com/chat/ws",
		"https://chat.example.com/?": "wss://chat.example.com/ws?",
	} {
		c, err := New("stoa#demo", WithServer(server))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.opt.socket.String(); got != want {
			t.Errorf("socket of %s is %s, want %s", server, got, want)
		}
	}
	c, err := New("stoa#demo", WithSocketURL("wss://other.example.com/x"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.opt.socket.String(); got != "wss://other.example.com/x" {
		t.Errorf("socket is %s", got)
	}
}

func TestLoginPresentsUserDeviceAndToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, events := p.client()
		result := later(func() error { return c.Login(t.Context(), "alice", Token("t1")) })
		s := p.next()
		if got, want := s.auth, "$t$t1"; got != want {
			t.Errorf("auth is %q, want %q", got, want)
		}
		if got, want := s.guid.String(), (&msync.JID{AppKey: "stoa#demo", Name: "alice", Domain: userDomain, ClientResource: "go_test"}).String(); got != want {
			t.Errorf("guid is %s, want %s", got, want)
		}
		if got := s.login.GetResource(); got != "go_test" {
			t.Errorf("resource is %q", got)
		}
		if got := s.login.GetAuthToken(); got != `{"token":"$t$t1"}` {
			t.Errorf("auth token is %s", got)
		}
		if _, ok := c.User(); ok {
			t.Error("a user is logged in before the server's answer")
		}
		s.accept(time.Time{})
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		if user, ok := c.User(); !ok || user != "alice" {
			t.Errorf("user is %q, %v", user, ok)
		}
		s.welcome()
		wantEvents(t, events, "connected")
		if err := c.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantEvents(t, events, "disconnected")
		if !s.ended() {
			t.Error("the connection is open after Logout")
		}
	})
}

func TestLoginCanBeRepeatedAfterLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, _, events := p.online()
		if err := c.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Logout(t.Context()); err != nil {
			t.Fatalf("second Logout: %v", err)
		}
		result := later(func() error { return c.Login(t.Context(), "bob", Token("t2")) })
		s := p.next()
		s.accept(time.Time{})
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		s.welcome()
		wantEvents(t, events, "disconnected", "connected")
		if s.guid.GetName() != "bob" || s.auth != "$t$t2" {
			t.Errorf("second login is of %s with %s", s.guid.GetName(), s.auth)
		}
	})
}

func TestLoginIsRefusedLocally(t *testing.T) {
	var none TokenProvider
	for name, tt := range map[string]struct {
		user   string
		cred   Credential
		code   errcode.Code
		events []string
	}{
		"no user":              {"", Token("t"), errcode.LoginFailed, nil},
		"no credential":        {"alice", nil, errcode.LoginFailed, nil},
		"empty password":       {"alice", Password(""), errcode.LoginFailed, nil},
		"empty token":          {"alice", Token(""), errcode.InvalidToken, []string{"error 28"}},
		"nil provider":         {"alice", none, errcode.LoginFailed, nil},
		"provider fails":       {"alice", TokenProvider(func(context.Context) (string, error) { return "", errors.New("down") }), errcode.TokenFetchFailed, nil},
		"provider gives none":  {"alice", TokenProvider(func(context.Context) (string, error) { return "", nil }), errcode.TokenFetchFailed, nil},
		"provider panics":      {"alice", TokenProvider(func(context.Context) (string, error) { panic("x") }), errcode.TokenFetchFailed, nil},
		"user is not UTF-8":    {"\xff", Token("t"), errcode.InvalidParameter, []string{"error -3", "disconnected -3"}},
		"token is not UTF-8":   {"alice", Token("\xff"), errcode.InvalidParameter, []string{"error -3", "disconnected -3"}},
		"provider wraps cause": {"alice", TokenProvider(func(context.Context) (string, error) { return "", http.ErrServerClosed }), errcode.TokenFetchFailed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t)
				c, events := p.client()
				err := c.Login(t.Context(), tt.user, tt.cred)
				wantCode(t, err, tt.code)
				wantEvents(t, events, tt.events...)
				if name == "provider wraps cause" && !errors.Is(err, http.ErrServerClosed) {
					t.Errorf("%v does not wrap the provider's error", err)
				}
				if name == "provider panics" && !errors.Is(err, errcode.CallbackPanic) {
					t.Errorf("%v does not wrap 31", err)
				}
			})
		})
	}
}

func TestOneLoginAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, _ := p.client()
		first := later(func() error { return c.Login(t.Context(), "alice", Token("t1")) })
		s := p.next()
		wantCode(t, c.Login(t.Context(), "alice", Token("t1")), errcode.LoginFailed)
		s.accept(time.Time{})
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		wantCode(t, c.Login(t.Context(), "alice", Token("t1")), errcode.AlreadyLoggedIn)
		c.Close()
		wantCode(t, c.Login(t.Context(), "alice", Token("t1")), errcode.NotLoggedIn)
	})
}

func TestLoginEndsWithItsContextAndWithTheClient(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(c *Client, cancel context.CancelFunc)
		code errcode.Code
	}{
		"cancelled":  {func(_ *Client, cancel context.CancelFunc) { cancel() }, errcode.RequestAbort},
		"logged out": {func(c *Client, _ context.CancelFunc) { c.Logout(context.Background()) }, errcode.NotLoggedIn},
		"closed":     {func(c *Client, _ context.CancelFunc) { c.Close() }, errcode.NotLoggedIn},
		"deadline":   {func(*Client, context.CancelFunc) { time.Sleep(5 * time.Second) }, errcode.RequestTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t)
				c, events := p.client()
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				result := later(func() error { return c.Login(ctx, "alice", Token("t1")) })
				s := p.next()
				tt.end(c, cancel)
				err := <-result
				wantCode(t, err, tt.code)
				if name == "cancelled" && !errors.Is(err, context.Canceled) || name == "deadline" && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not match the context's error", err)
				}
				wantEvents(t, events)
				if !s.ended() {
					t.Error("the connection stays open")
				}
			})
		})
	}
}

func TestRefusedLoginIsReturnedAndReported(t *testing.T) {
	for _, tt := range []struct {
		status msync.Status_ErrorCode
		reason string
		code   errcode.Code
	}{
		{msync.Status_FAIL, "Sorry, token expired", errcode.TokenExpired},
		{msync.Status_FAIL, "Sorry, token or password does not match login info", errcode.InvalidToken},
		{msync.Status_FAIL, "Sorry, user not found", errcode.UserNotFound},
		{msync.Status_FAIL, "Sorry, user register limit", errcode.MaxLimit},
		{msync.Status_UNAUTHORIZED, "", errcode.AuthFailed},
		{msync.Status_WRONG_PARAMETER, "", errcode.InvalidParameter},
		{msync.Status_IM_FORBIDDEN, "", errcode.ServingDisabled},
		{msync.Status_PERMISSION_DENIED, "Sorry, the app online count limit", errcode.MaxLimit},
		{msync.Status_TOO_MANY_DEVICES, "too many", errcode.AuthFailed},
	} {
		t.Run(fmt.Sprintf("%d %s", tt.status, tt.reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t)
				c, events := p.client()
				result := later(func() error { return c.Login(t.Context(), "alice", Token("t1")) })
				s := p.next()
				s.verdict(tt.status, tt.reason)
				wantCode(t, <-result, tt.code)
				wantEvents(t, events, fmt.Sprintf("error %d", tt.code), fmt.Sprintf("disconnected %d", tt.code))
				if !s.ended() {
					t.Error("the connection stays open")
				}
				_, err := c.SendText(t.Context(), "bob", "hi")
				wantCode(t, err, errcode.NotLoggedIn)
				if len(p.sockets) > 0 {
					t.Error("the client tried again")
				}
			})
		})
	}
}

func TestLoginTriesThreeConnections(t *testing.T) {
	tests := map[string]struct {
		setup  func(p *peer)
		socket func(s *socket)
		code   errcode.Code
		events []string
		after  time.Duration
	}{
		"nobody listens": {
			setup: func(p *peer) { p.down = true },
			code:  errcode.ConnectionFailed, events: []string{"error 40", "error 40", "error 40"},
		},
		"no upgrade": {
			setup: func(p *peer) { p.refusal = http.StatusUnauthorized },
			code:  errcode.ConnectionFailed, events: []string{"error 40", "error 40", "error 40"},
		},
		"the dial hangs": {
			setup: func(p *peer) { p.hang = true },
			code:  errcode.RequestTimeout, after: 30 * time.Second,
		},
		"the connection breaks": {
			socket: func(s *socket) { s.ws.CloseNow() },
			code:   errcode.Disconnected,
		},
		"the server is silent": {
			socket: func(s *socket) {},
			code:   errcode.RequestTimeout, after: 30 * time.Second,
		},
		"the answer does not decode": {
			socket: func(s *socket) { s.raw([]byte{0x40, 3, 0x4a, 1, 0xff}) },
			code:   errcode.BadMessage,
		},
		"the first write fails": {
			setup: func(p *peer) { p.hangUp = true },
			code:  errcode.SDKRuntimeError, events: []string{"error 999"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t)
				if tt.setup != nil {
					p.set(func() { tt.setup(p) })
				}
				c, events := p.client()
				began := time.Now()
				result := later(func() error { return c.Login(t.Context(), "alice", Token("t1")) })
				if tt.socket != nil {
					for range 3 {
						tt.socket(p.next())
					}
				}
				err := <-result
				wantCode(t, err, tt.code)
				wantEvents(t, events, tt.events...)
				if got := time.Since(began); got != tt.after {
					t.Errorf("it took %v, want %v", got, tt.after)
				}
				if tt.code == errcode.RequestTimeout && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not match context.DeadlineExceeded", err)
				}
				if name == "no upgrade" && err.(*Error).Data["http_status"] != http.StatusUnauthorized {
					t.Errorf("data is %v", err.(*Error).Data)
				}
			})
		})
	}
}

func TestLoginIsSixteenWhenOneAttemptOpenedTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, _ := p.client()
		result := later(func() error { return c.Login(t.Context(), "alice", Token("t1")) })
		s := p.next()
		p.set(func() { p.down = true })
		s.ws.CloseNow()
		err := <-result
		wantCode(t, err, errcode.Disconnected)
		if !errors.Is(err, errcode.ConnectionFailed) {
			t.Errorf("%v does not wrap 40", err)
		}
	})
}

func TestPasswordLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		p.rest = func(w http.ResponseWriter, r *http.Request) {
			body := readJSON(t, r)
			if r.Method != "POST" || r.URL.Path != "/stoa/demo/token" || body["grant_type"] != "password" ||
				body["username"] != "alice" || body["password"] != "secret" {
				t.Errorf("request is %s %s %v", r.Method, r.URL.Path, body)
			}
			writeJSON(w, 200, map[string]any{"access_token": "issued", "expires_in": 86400})
		}
		c, _ := p.client()
		result := later(func() error { return c.Login(t.Context(), "alice", Password("secret")) })
		s := p.next()
		if s.auth != "$t$issued" {
			t.Errorf("auth is %q", s.auth)
		}
		s.accept(time.Time{})
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	})
}

func TestPasswordLoginFails(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		code   errcode.Code
		inner  errcode.Code
	}{
		"wrong password":       {400, `{"error":"invalid_grant","error_description":"invalid password"}`, errcode.LoginFailed, errcode.RequestFailed},
		"unknown user":         {404, `{"error":"invalid_grant","error_description":"user not found"}`, errcode.LoginFailed, errcode.UserNotFound},
		"refused":              {401, `{"error_description":"Unable to authenticate (OAuth)"}`, errcode.LoginFailed, errcode.NoPermission},
		"forbidden":            {403, `{}`, errcode.LoginFailed, errcode.PermissionDenied},
		"unknown app":          {404, `{"error":"organization_application_not_found","error_description":"Could not find application"}`, errcode.InvalidAppKey, errcode.InvalidAppKey},
		"server error":         {500, `{"error_description":"boom"}`, errcode.TokenFetchFailed, errcode.RequestFailed},
		"gateway error":        {502, `<html>`, errcode.TokenFetchFailed, errcode.RequestFailed},
		"busy":                 {429, `{"error":"reach_limit","error_description":"This request has reached api limit"}`, errcode.TokenFetchFailed, errcode.ServerBusy},
		"not the chat server":  {404, `<html>`, errcode.TokenFetchFailed, errcode.RequestFailed},
		"no token":             {200, `{}`, errcode.TokenFetchFailed, errcode.TokenFetchFailed},
		"answer is not JSON":   {200, `ok`, errcode.TokenFetchFailed, errcode.RequestFailed},
		"created is not 200":   {201, `{"access_token":"t"}`, errcode.TokenFetchFailed, errcode.RequestFailed},
		"answer breaks off":    {-1, ``, errcode.TokenFetchFailed, errcode.RequestUnknown},
		"server says nothing":  {-2, ``, errcode.TokenFetchFailed, errcode.RequestTimeout},
		"nothing listens here": {-3, ``, errcode.TokenFetchFailed, errcode.RequestUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t)
				p.down = tt.status == -3
				p.rest = func(w http.ResponseWriter, r *http.Request) {
					switch tt.status {
					case -1:
						panic(http.ErrAbortHandler)
					case -2:
						readJSON(t, r)
						<-r.Context().Done()
						return
					}
					w.Header().Set("Retry-After", "7")
					w.Header().Set("X-Request-Id", "r1")
					w.WriteHeader(tt.status)
					w.Write([]byte(tt.body))
				}
				c, events := p.client()
				err := c.Login(t.Context(), "alice", Password("secret"))
				wantCode(t, err, tt.code)
				if !errors.Is(err, tt.inner) {
					t.Errorf("%v does not wrap %d", err, tt.inner)
				}
				if tt.status > 200 {
					var e *Error
					errors.As(err, &e)
					if e.Data["http_status"] != tt.status || e.Data["body"] != tt.body || e.Data["retry_after"] != "7" {
						t.Errorf("data is %v", e.Data)
					}
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("%v shows the password", err)
				}
				wantEvents(t, events)
			})
		})
	}
}

func TestPasswordLoginEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		p.rest = func(w http.ResponseWriter, r *http.Request) {
			readJSON(t, r)
			<-r.Context().Done()
		}
		c, _ := p.client()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.Login(ctx, "alice", Password("secret"))
		wantCode(t, err, errcode.RequestTimeout)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v does not match context.DeadlineExceeded", err)
		}
	})
}
