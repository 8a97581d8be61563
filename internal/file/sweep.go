package file

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// abandonedAfter is how long an upload may be without a sign of life. A request cannot take as long: it is cut off if it
	// brings too little.
	abandonedAfter = 24 * time.Hour
	sweepSlice     = 100 // files that are removed at a time
)

// Sweep removes files that have expired or were dropped, and uploads that nobody goes on with. It works in slices and ends
// with the context. Several nodes may do so at once. It returns how many files it has removed; what cannot be removed now
// does not keep it from the rest, and is tried again the next time.
func (s *Service) Sweep(ctx context.Context) (removed int, err error) {
	for _, app := range s.accounts.All() {
		n, failed := s.sweepApp(ctx, app)
		removed, err = removed+n, errors.Join(err, failed)
	}
	return removed, err
}

func (s *Service) sweepApp(ctx context.Context, app *account.App) (removed int, err error) {
	abandoned := s.clock.Now().Add(-abandonedAfter).UnixMilli()
	for _, state := range []store.FileState{store.FileOpen, store.FileClosing} {
		// Dropped first: from then on it takes no more parts.
		n, failed := s.sweep(ctx, app.ID, state, abandoned, func(f store.File) error {
			return s.store.MoveFile(ctx, f.ID, f.State, store.FileDropped)
		})
		if n > 0 {
			s.log.Info("uploads were abandoned", "app", app.Key(), "count", n)
		}
		err = errors.Join(err, failed)
	}
	removed, failed := s.sweep(ctx, app.ID, store.FileDropped, math.MaxInt64, func(f store.File) error {
		if err := s.blobs.DeleteAll(ctx, f.Blob); err != nil {
			return err
		}
		return s.store.ForgetFile(ctx, f.ID)
	})
	err = errors.Join(err, failed)
	life := time.Duration(app.Settings.FileLifetimeSeconds) * time.Second
	if life == 0 {
		return removed, err
	}
	n, failed := s.sweep(ctx, app.ID, store.FileReady, s.clock.Now().Add(-life).UnixMilli(), func(f store.File) error {
		if err := s.blobs.DeleteAll(ctx, f.Blob); err != nil {
			return err
		}
		// The row stays, so that who asks is told that the file has expired.
		return s.store.MoveFile(ctx, f.ID, store.FileReady, store.FileGone)
	})
	return removed + n, errors.Join(err, failed)
}

// sweep does something to the files of an app in a state whose life began before a time, after which they are not in that
// state any more. It goes on until there are none, or one of a slice has failed.
func (s *Service) sweep(
	ctx context.Context, app int64, state store.FileState, before int64, do func(store.File) error,
) (n int, err error) {
	for {
		files, err := s.store.ListFiles(ctx, app, state, before, sweepSlice)
		if err != nil {
			return n, err
		}
		var failed error
		for _, f := range files {
			// What is not found another node has been faster with.
			if err := do(f); err != nil && !errors.Is(err, store.ErrNotFound) {
				failed = errors.Join(failed, fmt.Errorf("sweep file %s: %w", f.UUID, err))
				continue
			}
			n++
		}
		if failed != nil || len(files) < sweepSlice {
			return n, failed
		}
	}
}
