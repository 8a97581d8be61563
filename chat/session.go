package chat

import (
	"container/list"
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

type phase int

const (
	connecting phase = iota // inside Login
	online
	reconnecting
	ended
)

// session is what one Login began. Its fields below the line are guarded by Client.mu; methods that want the lock held
// say so.
type session struct {
	c    *Client
	user string
	cred Credential

	done    <-chan struct{} // closed by finish
	cancel  context.CancelFunc
	stopped chan struct{} // closed when connection and goroutines are gone

	// ---
	phase    phase
	silenced bool // left by the app: what waits for its callbacks is not handed out any more
	token    string
	device   string
	conn     *conn // nil while there is none

	// Every open call stands in calls and in one of the lists: inflight, in the order of writing, when it was written to
	// conn; queue when it waits to be.
	calls           map[uint64]*uplink
	inflight, queue *list.List

	expiry expiry
}

func newSession(c *Client, user string, cred Credential, done <-chan struct{}, cancel context.CancelFunc) *session {
	return &session{
		c: c, user: user, cred: cred, done: done, cancel: cancel, stopped: make(chan struct{}),
		device: c.opt.device, calls: map[uint64]*uplink{}, inflight: list.New(), queue: list.New(),
	}
}

func (s *session) loggedIn() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.phase == online || s.phase == reconnecting
}

// release tells those who wait that connection and goroutines of the session are gone.
func (s *session) release() {
	close(s.stopped)
	s.c.running.Done()
}

// loginAttempts is how often the first connection is tried, without a pause.
const loginAttempts = 3

// login obtains a token and the first connection, and reports what the listeners shall see of it.
func (s *session) login(ctx context.Context) (*conn, *Error) {
	token, err := s.cred.obtain(ctx, s.c, s.user)
	if err != nil {
		if err.Code == errcode.InvalidToken {
			s.c.events.failed(err)
		}
		return nil, err
	}
	s.c.mu.Lock()
	s.token = token
	s.c.mu.Unlock()

	var last *connectError
	opened := false
	for range loginAttempts {
		cn, failure := s.connect(ctx, "login")
		if failure == nil {
			if !s.begin(cn) {
				cn.close(false)
				return nil, restclient.ContextError(ctx, "login")
			}
			return cn, nil
		}
		if ctx.Err() != nil {
			return nil, failure.err
		}
		last = failure
		opened = opened || failure.opened
		switch {
		case failure.refused:
			s.c.events.failed(failure.err)
			s.c.events.disconnected(failure.err)
			return nil, failure.err
		case failure.err.Code == errcode.SDKRuntimeError:
			s.c.events.failed(failure.err)
			return nil, failure.err
		case failure.err.Code == errcode.ConnectionFailed:
			s.c.events.failed(failure.err)
		}
	}
	if opened && last.err.Code == errcode.ConnectionFailed {
		return nil, fail(errcode.Disconnected, "login", "the connection broke during the login", last.err)
	}
	return nil, last.err
}

// begin puts a connection to use that the server has accepted. It is false when the session has ended meanwhile.
func (s *session) begin(cn *conn) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.phase == ended {
		return false
	}
	s.phase, s.conn = online, cn
	if cn.device != "" {
		s.device = cn.device
	}
	cn.heard, cn.backlog = time.Now(), s.queue.Len()
	s.expiry.start(s, cn.tokenEnd)
	cn.push(unreadFrame())
	cn.push(informationFrame())
	s.c.events.connected()
	return true
}

// stable is how long a connection must have lived for the count of attempts to begin again.
const stable = 30 * time.Second

// run keeps the session connected until it ends.
func (s *session) run(ctx context.Context, cn *conn) {
	defer s.release()
	attempts := 0
	for cn != nil {
		began := time.Now()
		cause := s.serve(ctx, cn)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= stable {
			attempts = 0
		}
		if !s.interrupted(cause) {
			return
		}
		cn = s.reconnect(ctx, &attempts)
	}
}

// interrupted takes a lost connection out of use. It is false when the session has ended meanwhile.
func (s *session) interrupted(cause error) bool {
	lost := fail(errcode.Disconnected, "session", "the connection was lost", cause)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.phase == ended {
		return false
	}
	s.phase, s.conn = reconnecting, nil
	for _, u := range s.calls {
		if u.prompt {
			s.settle(u, nil, u.failed(errcode.Disconnected, "", lost))
		}
	}
	for e := s.inflight.Back(); e != nil; e = s.inflight.Back() {
		u := e.Value.(*uplink)
		if u.writes >= maxWrites || s.c.opt.offlineQueue == 0 {
			s.settle(u, nil, u.failed(errcode.SendInterrupted, "", lost))
			continue
		}
		s.inflight.Remove(e)
		u.place(s.queue, s.queue.PushFront(u))
	}
	if s.c.opt.offlineQueue == 0 {
		for e := s.queue.Front(); e != nil; e = s.queue.Front() {
			u := e.Value.(*uplink)
			s.settle(u, nil, u.failed(errcode.ClientOffline, "", lost))
		}
	}
	s.c.events.failed(lost)
	s.c.events.reconnecting()
	return true
}

// reconnect returns the next connection, or nil when the session has ended.
func (s *session) reconnect(ctx context.Context, attempts *int) *conn {
	policy := s.c.opt.reconnect
	var last *Error
	for {
		if *attempts++; policy.Attempts > 0 && *attempts > policy.Attempts {
			s.stop(fail(errcode.Disconnected, "session", "no reconnect succeeded", asError(last)), false)
			return nil
		}
		pause := time.NewTimer(policy.pause(*attempts, rand.Float64()))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil
		}
		cn, failure := s.connect(ctx, "reconnect")
		if failure != nil && failure.refused {
			if cn, failure = s.connectRenewed(ctx, failure); failure != nil && failure.refused {
				s.stop(failure.err, true)
				return nil
			}
		}
		if ctx.Err() != nil {
			if cn != nil {
				cn.close(false)
			}
			return nil
		}
		if failure == nil {
			if !s.begin(cn) {
				cn.close(false)
				return nil
			}
			return cn
		}
		last = failure.err
		s.c.events.failed(last)
	}
}

// connectRenewed tries once more with a fresh token, where there is a provider and the old token was the reason.
func (s *session) connectRenewed(ctx context.Context, failure *connectError) (*conn, *connectError) {
	if _, ok := s.cred.(TokenProvider); !ok {
		return nil, failure
	}
	if failure.err.Code != errcode.TokenExpired && failure.err.Code != errcode.InvalidToken {
		return nil, failure
	}
	token, err := s.cred.obtain(ctx, s.c, s.user)
	if err != nil {
		return nil, &connectError{err: err} // not the server's verdict: tried again after the next pause
	}
	s.c.mu.Lock()
	s.token = token
	s.c.mu.Unlock()
	return s.connect(ctx, "reconnect")
}

// stop ends the session from within, with what the listeners see of it.
func (s *session) stop(err *Error, report bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.phase == ended {
		return
	}
	if report {
		s.c.events.failed(err)
	}
	s.c.events.disconnected(err)
	s.finish(err)
}

// expire ends the session with its token. The lock is held.
func (s *session) expire() {
	err := fail(errcode.TokenExpired, "session", "the token came to its end", nil)
	s.c.events.tokenExpired()
	s.c.events.disconnected(err)
	s.finish(err)
}

// leave ends the session by the app's wish. The lock is held.
func (s *session) leave(op string) {
	if s.phase == ended {
		return
	}
	s.silenced = true
	if s.phase != connecting {
		s.c.events.disconnected(nil)
	}
	s.finish(nil)
	s.c.opt.log.Debug("session left", "user", s.user, "op", op)
}

// finish settles every call and ends timers and connection; the error is nil when the app wished it. The lock is held.
func (s *session) finish(err *Error) {
	if s.c.session == s {
		s.c.session = nil
	}
	if s.phase == ended {
		return
	}
	s.phase, s.conn = ended, nil
	s.expiry.stop()
	for _, u := range s.calls {
		var verdict *Error
		switch {
		case u.writes > 0, err != nil && err.Code == errcode.Disconnected:
			verdict = u.failed(errcode.SendInterrupted, "", asError(err))
		case err != nil:
			verdict = err
		default:
			verdict = u.failed(errcode.NotLoggedIn, "", nil)
		}
		s.settle(u, nil, verdict)
	}
	s.cancel()
}

// parseTokenEnd reads Provision.auth_token of an answer; the zero time means that the token has no known end.
func parseTokenEnd(text string) time.Time {
	var v struct {
		ExpiresIn json.Number `json:"expires_in"`
	}
	if json.Unmarshal([]byte(text), &v) != nil {
		return time.Time{}
	}
	ms, err := v.ExpiresIn.Float64()
	if err != nil {
		return time.Time{}
	}
	return restclient.Time(ms)
}
