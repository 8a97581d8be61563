package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

// ErrReplay is wrapped in the *errcode.Error of a replay that makes no sense.
var ErrReplay = errors.New("bad replay")

const (
	maxReplayed = 1000 // ids in one call
	bucket      = 10 * time.Minute
)

func refuseReplay(format string, args ...any) error {
	return &errcode.Error{Code: errcode.InvalidParameter, Op: "callback", Message: fmt.Sprintf(format, args...), Err: ErrReplay}
}

// Dead returns what backends of an app were not told, newest first.
func (s *Service) Dead(ctx context.Context, app *account.App, query store.DeadQuery) ([]store.Callback, error) {
	return s.store.ListDeadCallbacks(ctx, app.ID, query)
}

// DeadByTime counts what backends of an app were not told, by ten minutes in which it happened.
func (s *Service) DeadByTime(ctx context.Context, app *account.App) ([]store.DeadCallbacks, error) {
	return s.store.CountDeadCallbacks(ctx, app.ID)
}

// Replay tries again what was given up: by ids, or by time. It returns how many there are. A target is the address to which
// they go in place of the rule's; empty: there. The error is code -3 (ErrReplay): nothing says which, or the target is no
// address.
func (s *Service) Replay(ctx context.Context, app *account.App, query store.DeadQuery, target string) (int, error) {
	switch {
	case query.IDs == nil && query.Since == 0 && query.Until == 0:
		return 0, refuseReplay("ids, since or until must say which callbacks are meant")
	case len(query.IDs) > maxReplayed:
		return 0, refuseReplay("there are %d ids, the limit is %d", len(query.IDs), maxReplayed)
	case target != "" && !isAddress(target):
		return 0, refuseReplay("the target is no http:// or https:// address")
	}
	n, err := s.store.ReplayCallbacks(ctx, app.ID, query, s.now(), target)
	if err == nil && n > 0 {
		for _, one := range (*s.streams.Load())[app.ID] {
			one.retry()
		}
	}
	return n, err
}

// dateForm is how docs/protocol/admin-rest.md §18.10 writes the ten minutes, in UTC.
const dateForm = "200601021504"

// Bucket names the ten minutes that begin at a time, in milliseconds since 1970.
func Bucket(from int64) string { return time.UnixMilli(from).UTC().Format(dateForm) }

// ReplayBucket is Replay for what happened in the ten minutes of that name.
func (s *Service) ReplayBucket(ctx context.Context, app *account.App, name, target string) (int, error) {
	from, err := time.Parse(dateForm, name)
	if err != nil {
		return 0, refuseReplay("the date is not of the form yyyyMMddHHmm")
	}
	from = from.Truncate(bucket)
	return s.Replay(ctx, app, store.DeadQuery{Since: from.UnixMilli(), Until: from.Add(bucket).UnixMilli()}, target)
}
