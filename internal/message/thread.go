package message

import (
	"context"
	"fmt"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

// showThreads adds to a group's messages what there is to tell of their threads.
func (s *Service) showThreads(ctx context.Context, app *account.App, key store.Key, entries []store.Entry) error {
	if key.Kind != store.KindMuc {
		return nil
	}
	ids := make([]int64, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	overviews, err := s.mucs.Overviews(ctx, app, key.A, ids)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if overview, ok := overviews[e.ID]; ok {
			if entries[i].Meta, err = withMeta(e.Meta, "thread_overview", overview); err != nil {
				return fmt.Errorf("show thread of message %d: %w", e.ID, err)
			}
		}
	}
	return nil
}
