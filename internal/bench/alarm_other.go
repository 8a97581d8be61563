//go:build !linux

package bench

import (
	"context"
	"time"
)

// alarm wakes its user at given times, up to a millisecond late.
type alarm struct{ ctx context.Context }

func newAlarm(ctx context.Context) (*alarm, error) { return &alarm{ctx: ctx}, nil }

func (a *alarm) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
}

func (a *alarm) close() {}
