package message

import (
	"context"
	"time"
)

const (
	// expireEvery is how often what has grown too old is looked for.
	expireEvery = 10 * time.Minute
	// expireRest is the pause after each slice, for messages.
	expireRest = 20 * time.Millisecond
)

// Expire removes, until the context ends, what is older than its app keeps messages.
func (s *Service) Expire(ctx context.Context) {
	for ctx.Err() == nil {
		for _, app := range s.accounts.All() {
			if days := app.Settings.RetentionDays; days > 0 {
				before := s.clock.Now().Add(-time.Duration(days) * 24 * time.Hour).UnixMilli()
				removed, err := s.expire(ctx, app.ID, before)
				if err != nil && ctx.Err() == nil {
					s.log.Warn("remove old messages", "app", app.Key(), "error", err)
				} else if removed > 0 {
					s.log.Info("removed old messages", "app", app.Key(), "count", removed)
				}
			}
		}
		pause(ctx, expireEvery)
	}
}

// expire removes what an app has from before a time, and returns how many entries that were.
func (s *Service) expire(ctx context.Context, app, before int64) (total int, err error) {
	for after := int64(0); ; {
		next, removed, err := s.store.Expire(ctx, app, before, after)
		total += removed
		if err != nil || next == 0 && removed == 0 {
			return total, err
		}
		after = next
		if removed > 0 {
			pause(ctx, expireRest)
		}
		if err := ctx.Err(); err != nil {
			return total, err
		}
	}
}
