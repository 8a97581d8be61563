package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Rest is the workload of users who are online and do nothing: how much of the server's memory each takes. The memory of
// making the users counts, too. It is for a server that has just been started: one that was busy before takes connections
// into memory that it has already.
type Rest struct {
	Load
	Users int `name:"users" help:"Users who sign in." default:"5000"`
}

// Validate reports everything that is wrong with the settings.
func (r *Rest) Validate() error { return errors.Join(r.Load.Validate(), atLeast("users", r.Users, 1)) }

// Run signs the users in, lets them rest for the duration, and tells the memory for each. It is an error if the server's
// memory cannot be read or has not grown, or if somebody is not online at the end.
func (r *Rest) Run(ctx context.Context) (*Result, error) {
	return r.observed(ctx, "idle", r.Users, func(ctx context.Context, crowd *Crowd, watch probe, out *progress, result *Result) error {
		// Two readings: the process's memory before anything was done for the users, and what is in use before they come.
		settled := func() (usage, error) {
			if err := rested(ctx, watch, out); err != nil {
				return usage{}, err
			}
			if err := collectGarbage(ctx, r.Admin); err != nil {
				return usage{}, err
			}
			return watch(ctx)
		}
		before, err := settled()
		if err != nil {
			return err
		}
		tokens, err := crowd.everybody(ctx, r.Users, out)
		if err != nil {
			return err
		}
		made, err := settled()
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
		if err := collectGarbage(context.WithoutCancel(ctx), r.Admin); err != nil {
			return err
		}
		after, err := watch(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		result.usage(before, after, time.Since(began))
		if after.rss <= before.rss {
			return fmt.Errorf("the server's memory has not grown: it held %d MiB before and %d MiB after; measure one that has just been started",
				before.rss>>20, after.rss>>20)
		}
		each := func(n int64) float64 { return float64(n) / float64(r.Users) }
		result.BytesPerConnection = each(after.rss - before.rss)
		if after.goroutines > 0 {
			result.GoroutinesPerConnection = each(after.goroutines - made.goroutines)
		}
		if r.Admin != "" {
			result.LiveBytesPerConnection = each(after.live - made.live)
		}
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
		if err := rested(ctx, watch, out); err != nil {
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
		// A login is over for the server when the list of what is unread, too, is answered.
		crowd.greeted(ctx, len(tokens))
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
		t := &taker{want: c.Messages, filler: letters(c.Body, 0)[stampSize:], all: make(chan struct{})}
		if err := c.fill(ctx, crowd, tokens[0], &t.ledger); err != nil {
			return err
		}
		if err := rested(ctx, watch, out); err != nil {
			return err
		}
		before, err := watch(ctx)
		if err != nil {
			return err
		}
		out.status("catching up")
		began := time.Now()
		if _, err := crowd.login(ctx, crowd.name("u", 1), tokens[1], t); err != nil {
			return err
		}
		patience, cancel := context.WithTimeout(ctx, cmp.Or(c.patience, 6*drainTime))
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
		sum := t.ledger.sum()
		result.Acked, result.Delivered, result.Misdelivered = sum.acked, sum.delivered, t.wrong.Load()
		result.setTally(sum)
		result.CaughtUpPerS, result.CaughtUpPerCPUS = rate(sum.delivered, took), rate(sum.delivered, after.cpu-before.cpu)
		return nil
	})
}

// fill sends the messages, many at a time, and waits until all are acknowledged.
func (c *CatchUp) fill(ctx context.Context, crowd *Crowd, token string, book *ledger) error {
	const open = 256
	a := &asker{ledger: book, open: make(chan struct{}, open), gone: make(chan error, 1)}
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
	for range c.Messages {
		if err := room(); err != nil {
			return err
		}
		number := book.send(0)
		message.setID(s.base + number)
		stamp(message.text, 0, number, 0)
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

// taker enters what a session gets.
type taker struct {
	idle
	ledger ledger
	filler []byte // what follows the stamp in every body
	wrong  atomic.Uint64
	got    int // belongs to the session's reader
	want   int
	all    chan struct{}
}

func (t *taker) received(id uint64, text []byte) {
	_, number, _, ok := parseStamp(text)
	if !ok || !bytes.Equal(text[stampSize:], t.filler) {
		t.wrong.Add(1)
		return
	}
	if t.ledger.deliver(number, id) {
		if t.got++; t.got == t.want {
			close(t.all)
		}
	}
}

// asker takes the answers to messages of which some may be open at a time.
type asker struct {
	idle
	ledger  *ledger
	open    chan struct{} // one for each message without an answer
	refused atomic.Int64
	gone    chan error
}

func (a *asker) answered(number, code uint64, _ []byte) {
	if _, ok := a.ledger.answer(number, code != 0); !ok {
		return // to the report after the sign-in, or a second one
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
	result.Users, result.BodyBytes = users, l.Body
	watch, source, err := l.watch(ctx)
	if err != nil {
		return nil, err
	}
	defer watch.end()
	if source == "" {
		return nil, errors.New("the server shows no metrics at this address: name its --admin address, or its process with --pid")
	}
	result.ServerSource = source
	crowd, err := gather(ctx, l.target(), heartbeat)
	if err != nil {
		return nil, err
	}
	defer crowd.Close()
	err = run(ctx, crowd, watch.read, out, result)
	result.ServerPeakRSSBytes = watch.rss.Load()
	if fault := result.failure(); fault != nil && result.Sent > 0 {
		return result, fault
	}
	if err != nil {
		return nil, err
	}
	return result, nil
}

// greeted waits until something has come down on each of the crowd's first n sessions after its sign-in, for as long as a
// sign-in may take.
func (c *Crowd) greeted(ctx context.Context, n int) {
	drain(ctx, loginTime, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.sessions[:n] {
			if !s.greeted.Load() {
				return false
			}
		}
		return true
	}, func(context.Context) {})
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

// Reconnect is the workload of users who are all thrown out at once and come back at once, as after a failure of the
// network.
type Reconnect struct {
	Load
	Users int `name:"users" help:"Users who come back." default:"5000"`
}

// Validate reports everything that is wrong with the settings.
func (r *Reconnect) Validate() error {
	return errors.Join(r.Load.Validate(), atLeast("users", r.Users, 1))
}

// Run signs the users in, closes all sockets without a word, and has every user sign in again, until it is let in. It is an
// error if somebody is not back within a minute.
func (r *Reconnect) Run(ctx context.Context) (*Result, error) {
	return r.observed(ctx, "reconnect", r.Users, func(ctx context.Context, crowd *Crowd, watch probe, out *progress, result *Result) error {
		tokens, err := crowd.everybody(ctx, r.Users, out)
		if err != nil {
			return err
		}
		if err := crowd.arrive(ctx, tokens, out); err != nil {
			return err
		}
		if err := rested(ctx, watch, out); err != nil {
			return err
		}
		before, err := watch(ctx)
		if err != nil {
			return err
		}
		out.status("closing and opening %d sockets", r.Users)
		began := time.Now()
		crowd.drop()
		times, attempts, err := crowd.comeBack(ctx, tokens)
		took := time.Since(began)
		if err != nil {
			return err
		}
		after, err := watch(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		result.usage(before, after, took)
		q := quantiles(times.counts())
		result.ReconnectMS, result.Attempts = &q, attempts
		result.LoginsPerS, result.LoginsPerCPUS = rate(uint64(r.Users), took), rate(uint64(r.Users), after.cpu-before.cpu)
		return nil
	})
}

// drop closes all sockets without a word.
func (c *Crowd) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		s.closing.Store(true)
		s.conn.net.Close()
	}
	for _, s := range c.sessions {
		<-s.done
	}
	c.sessions = nil
}

// comeBack signs all users in at once. Who is refused tries again after a pause that grows, as clients do.
func (c *Crowd) comeBack(ctx context.Context, tokens []string) (times *histogram, attempts uint64, err error) {
	const patience, firstPause, longestPause = time.Minute, 100 * time.Millisecond, 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	times = new(histogram)
	var tried, missing atomic.Uint64
	var last atomic.Value
	began := time.Now()
	var all sync.WaitGroup
	for i, token := range tokens {
		all.Go(func() {
			for pause := firstPause; ; pause = min(2*pause, longestPause) {
				tried.Add(1)
				_, err := c.login(ctx, c.name("u", i), token, idle{})
				if err == nil {
					times.add(time.Since(began))
					return
				}
				last.Store(err.Error())
				select {
				case <-ctx.Done():
					missing.Add(1)
					return
				case <-time.After(pause/2 + rand.N(pause/2)):
				}
			}
		})
	}
	all.Wait()
	if n := missing.Load(); n > 0 {
		return nil, 0, fmt.Errorf("%d of %d users are not back after %s; one was told: %s", n, len(tokens), patience, last.Load())
	}
	return times, tried.Load(), nil
}
