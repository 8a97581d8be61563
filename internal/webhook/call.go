package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	atOnce = 8 // calls under way to one backend from one node

	trips     = 3               // failures in a row after which a backend is left alone for a while
	firstRest = time.Second     // how long; it doubles with each failure
	lastRest  = 5 * time.Minute // and becomes no longer

	maxReply = 64 << 10 // bytes of an answer that are read so that the connection can be used again
)

// health is how the backend answers.
type health struct {
	mu       sync.Mutex
	failures int // in a row
	until    time.Time
}

func (h *health) note(now time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.failures, h.until = 0, time.Time{}
	} else if h.failures++; h.failures >= trips {
		h.until = now.Add(min(firstRest<<min(h.failures-trips, 16), lastRest))
	}
}

// rest returns how long the backend is to be left alone, and whether it is to be tried with one event only.
func (h *health) rest(now time.Time) (wait time.Duration, careful bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(0, h.until.Sub(now)), h.failures >= trips
}

// call tells the backend of callbacks, those of a lane one after the other. It sets Due of those that it has taken to 0, of
// those that have failed to when they are tried again; those that were not tried any more because the backend fails stay due.
func (t *stream) call(ctx context.Context, rows []store.Callback) {
	s := t.service
	app, known := s.accounts.AppByID(t.app)
	l, ok := s.listener(t.app, t.rule)
	if !known || !ok {
		return
	}
	lanes := map[string][]*store.Callback{}
	var order []string
	for i := range rows {
		row := &rows[i]
		row.Due = s.now()
		if lanes[row.Lane] == nil {
			order = append(order, row.Lane)
		}
		lanes[row.Lane] = append(lanes[row.Lane], row)
	}
	var work sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, lane := range order {
		room <- struct{}{}
		work.Go(func() {
			defer func() { <-room }()
			for _, row := range lanes[lane] {
				if rest, _ := t.health.rest(s.clock.Now()); rest > 0 && row.Target == "" || ctx.Err() != nil {
					return
				}
				t.attempt(ctx, app, l, row)
			}
		})
	}
	work.Wait()
}

// attempt tells the backend of one callback and notes in it what became of that.
func (t *stream) attempt(ctx context.Context, app *account.App, l *Listener, c *store.Callback) {
	s := t.service
	address := l.url
	if c.Target != "" {
		address = c.Target
	}
	err := s.deliver(ctx, l, address, seal(c, l.secret))
	if ctx.Err() != nil {
		return // the server stops, or the rule is gone
	}
	now := s.clock.Now()
	if c.Target == "" {
		t.health.note(now, err)
	}
	if err == nil {
		c.Due = 0
		s.metrics.count(resultDelivered, 1)
		return
	}
	s.metrics.count(resultFailed, 1)
	c.Attempts++
	c.Error = err.Error()
	c.Due = now.Add(min(firstRetry<<min(c.Attempts-1, 16), lastRetry)).UnixMilli()
	if c.Replays == 0 && now.UnixMilli()-c.Created >= maxAge.Milliseconds() || c.Replays > 0 && c.Attempts >= maxReplay {
		c.Dead = now.UnixMilli()
		s.metrics.count(resultDead, 1)
	}
	s.log.Info("callback failed", "app", app.Key(), "rule", t.rule, "event", c.Event, "attempts", c.Attempts, "dead", c.Dead != 0, "error", err)
}

// deliver sends a body to a backend that listens. Every status from 200 to 299 is a receipt.
func (s *Service) deliver(ctx context.Context, l *Listener, address string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	response, err := s.post(ctx, address, l.secret, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// Read to its end, the connection can be used again.
	if _, err := io.CopyN(io.Discard, response.Body, maxReply); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

// post sends a signed body to a backend. The answer's body is to be closed.
func (s *Service) post(ctx context.Context, address, secret string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(SignatureHeader, signature(secret, body))
	return s.client.Do(request)
}
