package chat

import (
	"context"
	"time"

	"github.com/stoa-chat/stoa/errcode"
)

// expiry watches the end of a session's token. It trusts the server's clock over the local one: offset is what the
// server's is ahead. All of it is guarded by Client.mu.
type expiry struct {
	end      time.Time // by the server's clock; zero: no known end
	since    time.Time // by the local clock: when the end became known
	offset   time.Duration
	known    bool // offset is
	warned   bool
	timer    *time.Timer
	renewing bool
}

// start sets the token's end after a login, reconnect or renewal. The same end again changes nothing, so that a
// reconnect does not move the warning.
func (x *expiry) start(s *session, end time.Time) {
	if !end.Equal(x.end) {
		x.end, x.since, x.warned = end, time.Now(), false
	}
	x.arm(s)
}

// warnAt is when four fifths of the token's life have passed, by the server's clock.
func (x *expiry) warnAt() time.Time {
	return x.end.Add(-x.end.Sub(x.since.Add(x.offset)) / 5)
}

// observe takes the server's time from an answer.
func (x *expiry) observe(s *session, server time.Time) {
	x.offset, x.known = time.Until(server), true
	x.arm(s)
}

// arm fires at the next of the two moments.
func (x *expiry) arm(s *session) {
	x.stop()
	if x.end.IsZero() || s.phase == ended {
		return
	}
	if !x.known && !x.end.After(x.since) {
		return // the server has just accepted this token: the local clock is wrong, the next answer tells by how much
	}
	next := x.end
	if warn := x.warnAt(); !x.warned && warn.Before(next) {
		next = warn
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(next.Add(-x.offset)), func() {
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		if x.timer == timer { // not replaced meanwhile
			x.fire(s)
		}
	})
	x.timer = timer
}

func (x *expiry) stop() {
	if x.timer != nil {
		x.timer.Stop()
		x.timer = nil
	}
}

func (x *expiry) fire(s *session) {
	if s.phase == ended {
		return
	}
	now := time.Now().Add(x.offset)
	provider, renewable := s.cred.(TokenProvider)
	if !now.Before(x.end) {
		if renewable {
			s.renewBy(provider) // the machine slept, or the server's clock went ahead: it is not too late
			return
		}
		s.expire()
		return
	}
	if !x.warned && !now.Before(x.warnAt()) {
		x.warned = true
		if renewable {
			s.renewBy(provider)
		} else {
			s.c.events.tokenWillExpire()
		}
	}
	x.arm(s)
}

// adopt puts a new token to use.
func (s *session) adopt(ctx context.Context, op, token string) *Error {
	end, err := s.c.tokenEnd(ctx, op, s.user, token)
	if err != nil {
		return err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.phase == ended {
		return fail(errcode.RestNoSession, op, "the session ended meanwhile", errcode.InvalidToken)
	}
	s.token = token
	s.expiry.start(s, end)
	return nil
}

// renewBy obtains tokens until one is accepted or the session has ended. The lock is held.
func (s *session) renewBy(provider TokenProvider) {
	if s.expiry.renewing {
		return
	}
	s.expiry.renewing = true
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	go func() {
		defer cancel()
		for attempt := 1; ; attempt++ {
			token, err := provider.obtain(ctx, s.c, s.user)
			if err == nil {
				err = s.adopt(ctx, "renew token", token)
			}
			if err == nil || ctx.Err() != nil {
				break
			}
			s.c.events.failed(err)
			select {
			case <-time.After(s.c.opt.reconnect.pause(attempt, 1)):
			case <-ctx.Done():
			}
		}
		s.c.mu.Lock()
		s.expiry.renewing = false
		s.c.mu.Unlock()
	}()
}
