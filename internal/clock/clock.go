// Package clock is the server's idea of time. It is injected wherever a rule depends on time (token life, recall
// windows, mutes), so that tests and rehearsal can move it forward in no time at all. Message ids and order never
// follow it.
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock tells the time of the machine plus an offset that only grows. The zero value is not ready; use New. It is safe
// for concurrent use.
type Clock struct {
	offset atomic.Int64 // nanoseconds

	mu    sync.Mutex
	moved chan struct{}
}

// New returns a clock that shows the machine's time.
func New() *Clock { return &Clock{moved: make(chan struct{})} }

// Now returns the current time of this clock.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Advance moves the clock forward by d and wakes whoever waits on Moved. A negative d is ignored: time never goes back.
func (c *Clock) Advance(d time.Duration) {
	if d <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset.Add(int64(d))
	close(c.moved)
	c.moved = make(chan struct{})
}

// Moved returns a channel that is closed at the next Advance. Take it before reading Now, so that no move is missed.
func (c *Clock) Moved() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved
}
