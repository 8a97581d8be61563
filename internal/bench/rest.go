package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Rest is the workload of users who are online and do nothing: how much of the server's memory each takes. The memory of
// making the users counts, too.
type Rest struct {
	Load
	Users int `name:"users" help:"Users who sign in." default:"5000"`
}

// Validate reports everything that is wrong with the settings.
func (r *Rest) Validate() error { return errors.Join(r.Load.Validate(), atLeast("users", r.Users, 1)) }

// Run signs the users in, lets them rest for the duration, and tells the memory for each. It is an error if the server's
// memory cannot be read, or if somebody is not online at the end.
func (r *Rest) Run(ctx context.Context) (*Result, error) {
	return r.observed(ctx, "idle", r.Users, func(ctx context.Context, crowd *Crowd, watch probe, out *progress, result *Result) error {
		before, err := watch(ctx)
		if err != nil {
			return err
		}
		tokens, err := crowd.everybody(ctx, r.Users, out)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := crowd.arrive(ctx, tokens, out); err != nil {
			return err
		}
		out.status("resting for %s", r.Duration)
		select {
		case <-time.After(r.Duration):
		case <-ctx.Done():
			result.Interrupted = true
		}
		after, err := watch(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		result.usage(before, after, time.Since(began))
		result.BytesPerConnection = float64(after.rss-before.rss) / float64(r.Users)
		if n := crowd.Online(); n < r.Users {
			return fmt.Errorf("%d of %d users are online", n, r.Users)
		}
		return nil
	})
}

// Logins is the workload of users who sign in by token, 16 at a time.
type Logins struct {
	Load
	Users int `name:"users" help:"Users who sign in." default:"5000"`
}

// Validate reports everything that is wrong with the settings.
func (l *Logins) Validate() error {
	return errors.Join(l.Load.Validate(), atLeast("users", l.Users, 1))
}

// Run makes the users, and then measures from the first login to the answer of the last.
func (l *Logins) Run(ctx context.Context) (*Result, error) {
	return l.observed(ctx, "logins", l.Users, func(ctx context.Context, crowd *Crowd, watch probe, out *progress, result *Result) error {
		tokens, err := crowd.everybody(ctx, l.Users, out)
		if err != nil {
			return err
		}
		before, err := watch(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := crowd.arrive(ctx, tokens, out); err != nil {
			return err
		}
		took := time.Since(began)
		after, err := watch(ctx)
		if err != nil {
			return err
		}
		result.usage(before, after, took)
		result.LoginsPerS, result.LoginsPerCPUS = rate(uint64(l.Users), took), rate(uint64(l.Users), after.cpu-before.cpu)
		return nil
	})
}

// CatchUp is the workload of a user who comes back to messages that wait.
type CatchUp struct {
	Load
	Messages int `name:"messages" help:"Messages that wait for the user." default:"10000"`
}

// Validate reports everything that is wrong with the settings.
func (c *CatchUp) Validate() error {
	return errors.Join(c.Load.Validate(), atLeast("messages", c.Messages, 1))
}

// Run lets one user send the messages to another who is away, and measures from the other's login to the last message. It
// is an error if some do not come, or come twice.
func (c *CatchUp) Run(ctx context.Context) (*Result, error) {
	return c.observed(ctx, "catchup", 2, func(ctx context.Context, crowd *Crowd, watch probe, out *progress, result *Result) error {
		tokens, err := crowd.everybody(ctx, 2, out)
		if err != nil {
			return err
		}
		out.status("sending %d messages", c.Messages)
		if err := c.fill(ctx, crowd, tokens[0]); err != nil {
			return err
		}
		result.Sent, result.Acked = uint64(c.Messages), uint64(c.Messages)
		before, err := watch(ctx)
		if err != nil {
			return err
		}
		out.status("catching up")
		t := &taker{want: int64(c.Messages), all: make(chan struct{})}
		began := time.Now()
		if _, err := crowd.login(ctx, crowd.name("u", 1), tokens[1], t); err != nil {
			return err
		}
		patience, cancel := context.WithTimeout(ctx, 6*drainTime)
		defer cancel()
		select {
		case <-t.all:
		case <-patience.Done():
		}
		took := time.Since(began)
		after, err := watch(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		result.usage(before, after, took)
		result.Delivered = uint64(t.got.Load())
		result.CaughtUpPerS, result.CaughtUpPerCPUS = rate(result.Delivered, took), rate(result.Delivered, after.cpu-before.cpu)
		switch {
		case result.Delivered < result.Acked:
			result.Lost = result.Acked - result.Delivered
		case result.Delivered > result.Acked:
			result.Doubled = result.Delivered - result.Acked
		}
		return result.failure()
	})
}

// fill sends the messages, many at a time, and waits until all are acknowledged.
func (c *CatchUp) fill(ctx context.Context, crowd *Crowd, token string) error {
	const open = 256
	a := &asker{sent: uint64(c.Messages), open: make(chan struct{}, open), gone: make(chan error, 1)}
	from, to := crowd.name("u", 0), crowd.name("u", 1)
	s, err := crowd.login(ctx, from, token, a)
	if err != nil {
		return err
	}
	room := func() error {
		select {
		case a.open <- struct{}{}:
			return nil
		case err := <-a.gone:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	message := newTextMessage(bodySingle, crowd.target.App, from, to, s.base+1, letters(c.Body, 0))
	for n := range uint64(c.Messages) {
		if err := room(); err != nil {
			return err
		}
		message.setID(s.base + n + 1)
		s.conn.queue(opBinary, message.frame)
		if err := s.conn.flush(); err != nil {
			return err
		}
	}
	for range open { // until nothing is open
		if err := room(); err != nil {
			return err
		}
	}
	if refused := a.refused.Load(); refused > 0 {
		return fmt.Errorf("%d messages were refused", refused)
	}
	return nil
}

// taker counts what a session gets.
type taker struct {
	idle
	got  atomic.Int64
	want int64
	all  chan struct{}
}

func (t *taker) received(uint64, []byte) {
	if t.got.Add(1) == t.want {
		close(t.all)
	}
}

// asker takes the answers to messages of which some may be open at a time.
type asker struct {
	idle
	sent    uint64
	open    chan struct{} // one for each message without an answer
	refused atomic.Int64
	gone    chan error
}

func (a *asker) answered(number, code uint64, _ []byte) {
	if number > a.sent {
		return // the report after the sign-in
	}
	if code != 0 {
		a.refused.Add(1)
	}
	<-a.open
}

func (a *asker) broke(err error) { a.gone <- err }

// observed runs a workload that is no stream of messages.
func (l *Load) observed(ctx context.Context, workload string, users int,
	run func(context.Context, *Crowd, probe, *progress, *Result) error) (*Result, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	out := newProgress(l.Progress)
	defer out.end()
	result := newResult(workload)
	result.Users = users
	watch, source, err := findProbe(ctx, l.URL, l.PID)
	if err != nil {
		return nil, err
	}
	if source == "" {
		return nil, errors.New("the server shows no metrics at this address: name its process with --pid")
	}
	result.ServerSource = source
	crowd, err := gather(ctx, l.target(), heartbeat)
	if err != nil {
		return nil, err
	}
	defer crowd.Close()
	if err := run(ctx, crowd, watch, out, result); err != nil {
		return nil, err
	}
	return result, nil
}

// everybody registers users and returns their tokens.
func (c *Crowd) everybody(ctx context.Context, n int, out *progress) ([]string, error) {
	out.status("registering %d users", n)
	tokens := make([]string, n)
	err := parallel(ctx, n, func(ctx context.Context, i int) (err error) {
		tokens[i], err = c.register(ctx, c.name("u", i))
		return err
	})
	return tokens, err
}

// arrive signs the users in, who then do nothing.
func (c *Crowd) arrive(ctx context.Context, tokens []string, out *progress) error {
	out.status("signing in %d users", len(tokens))
	return parallel(ctx, len(tokens), func(ctx context.Context, i int) error {
		_, err := c.login(ctx, c.name("u", i), tokens[i], idle{})
		return err
	})
}
