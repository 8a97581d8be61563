package chat

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Client is one user's connection to a chat server. Make it with [New]; it is safe for concurrent use.
type Client struct {
	appKey, org, app string
	opt              options
	events           dispatcher
	seen             seenIDs // touched by events only

	mu      sync.Mutex // guards what follows and the sessions; never held over I/O or a callback
	closed  bool
	session *session // from the start of a Login to the end of what it began
	lastID  uint64
	uploads uploadLimits

	running sync.WaitGroup // sessions that still hold a connection or a goroutine
}

// New returns a client for the app with this key, "org#app", without connecting. It returns 27 (InvalidAppKey) for a
// malformed key and -3 (InvalidParameter) for an option that makes no sense.
func New(appKey string, opts ...Option) (*Client, error) {
	org, app, ok := strings.Cut(appKey, "#")
	if !ok || org == "" || app == "" || strings.Contains(app, "#") {
		return nil, fail(errcode.InvalidAppKey, "new", fmt.Sprintf("the app key %q is not of the form org#app", appKey), nil)
	}
	c := &Client{appKey: appKey, org: org, app: app, opt: defaultOptions(), lastID: rand.Uint64() >> 1}
	for _, opt := range opts {
		if err := opt(&c.opt); err != nil {
			return nil, err
		}
	}
	if c.opt.socket == nil {
		socket := c.opt.server.JoinPath("ws")
		socket.Scheme = strings.Replace(socket.Scheme, "http", "ws", 1)
		c.opt.socket = socket
	}
	if c.opt.device == "" {
		c.opt.device = fmt.Sprintf("go_%016x", rand.Uint64())
	}
	c.opt.log = c.opt.log.With("app", appKey)
	c.events.log, c.events.limit = c.opt.log, c.opt.eventQueue
	// After a reconnect, all that waited for its callbacks can come a second time.
	c.seen.size = 2*c.opt.eventQueue + 1000
	return c, nil
}

// Login logs the user in and returns when the server has accepted the session. What happened while the user was away
// follows through the listeners.
//
// It returns 1 for a missing user id or credential, a refused password, or while another Login runs; 208 when logged in
// already; 28, 56 or 204 for a token that is empty, not valid for this user, expired, or of an unknown user; 2, -3, 50 or
// 57 when the server refuses the app or the session; 27 when the server does not know the app; 12 when no token could be
// obtained; 40 when the socket could not be opened, 16 when it broke, -1 when the server was silent, in three attempts;
// 999 when nothing could be written to it; 39 after Close. A refusal of the session reaches OnError and OnDisconnected too,
// an attempt that opened no socket reaches OnError.
func (c *Client) Login(ctx context.Context, user string, cred Credential) error {
	const op = "login"
	c.mu.Lock()
	var refused *Error
	switch {
	case c.closed:
		refused = fail(errcode.NotLoggedIn, op, "the client is closed", nil)
	case c.session != nil && c.session.phase == connecting:
		refused = fail(errcode.LoginFailed, op, "another login is under way", nil)
	case c.session != nil:
		refused = fail(errcode.AlreadyLoggedIn, op, "", nil)
	case user == "":
		refused = fail(errcode.LoginFailed, op, "the user id is empty", nil)
	case cred == nil:
		refused = fail(errcode.LoginFailed, op, "there is no credential", nil)
	case ctx.Err() != nil:
		refused = restclient.ContextError(ctx, op)
	}
	if refused != nil {
		c.mu.Unlock()
		return refused
	}
	run, cancel := context.WithCancel(context.Background())
	s := newSession(c, user, cred, run.Done(), cancel)
	c.session = s
	c.running.Add(1)
	c.mu.Unlock()

	// The attempt ends with the caller's context as well as with the session.
	attempt, cancelAttempt := context.WithCancel(ctx)
	defer cancelAttempt()
	defer context.AfterFunc(run, cancelAttempt)()
	cn, err := s.login(attempt)
	if err != nil {
		c.mu.Lock()
		if s.phase == ended && ctx.Err() == nil { // by Logout or Close
			err = fail(errcode.NotLoggedIn, op, "the client was logged out during the login", nil)
		}
		s.finish(nil)
		c.mu.Unlock()
		s.release()
		return err
	}
	go s.run(run, cn)
	return nil
}

// Logout ends the session and waits until the connection is closed or the context ends. Calls under way return 510, those
// that only waited 39; OnDisconnected follows. Without a session it does nothing. The error is -1 or -4.
func (c *Client) Logout(ctx context.Context) error {
	c.mu.Lock()
	s := c.session
	if s == nil {
		c.mu.Unlock()
		return nil
	}
	s.leave("logout")
	c.mu.Unlock()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return restclient.ContextError(ctx, "logout")
	}
}

// Close logs out and releases what the client holds; later calls return 39. It waits for the connection to be closed (at
// most some seconds, when the server hangs) but not for callbacks, since it may be called in one: the one that runs goes
// on, and no message is handed out after it. It always returns nil.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.session != nil {
		c.session.leave("close")
	}
	c.mu.Unlock()
	c.running.Wait()
	if c.opt.ownTransport != nil {
		c.opt.ownTransport.CloseIdleConnections()
	}
	return nil
}

// User returns the id of the user who is logged in, and whether there is one. It is also true while the client
// reconnects.
func (c *Client) User() (id string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil || c.session.phase == connecting {
		return "", false
	}
	return c.session.user, true
}

// Connected reports whether the user is logged in and the connection is up.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session != nil && c.session.conn != nil
}

// Probe asks the server for a sign of life now, instead of after the next silence. A program that was asleep calls it, to
// find out soon that its connection is dead.
func (c *Client) Probe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.session.conn != nil {
		cn := c.session.conn
		cn.heard = time.Now().Add(-c.opt.timeouts.Heartbeat)
		cn.signal()
	}
}

// RenewToken gives the session a new token, without reconnecting: the server is asked for its end, and it is used from
// then on. It returns 700 (wrapping 28) without a session, 28 for an empty token, 52 for one that the server does not
// accept, and the codes of a failed request: 17, 500, -1, -2, -4.
func (c *Client) RenewToken(ctx context.Context, token string) error {
	const op = "renew token"
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	switch {
	case s == nil || !s.loggedIn():
		return fail(errcode.RestNoSession, op, "", errcode.InvalidToken)
	case token == "":
		return fail(errcode.InvalidToken, op, "the token is empty", nil)
	}
	return asError(s.adopt(ctx, op, token))
}

// nextID returns a client message id. Ids begin at a random number, so that a program started again under the same
// device name does not repeat those of its past.
func (c *Client) nextID() uint64 {
	c.lastID++
	if c.lastID == 0 || c.lastID >= 1<<63 {
		c.lastID = 1
	}
	return c.lastID
}
