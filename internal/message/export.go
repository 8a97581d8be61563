package message

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// exportSlice is how many entries an export reads at a time.
const exportSlice = 1000

// errEnough ends an export early.
var errEnough = errors.New("enough")

// Export gives all messages that an app's timelines took in during an hour to a function, in order of their ids, as they are
// now: edited ones with the new content, without those that were recalled. Imported messages are among those of the hour in
// which they were imported.
func (s *Service) Export(ctx context.Context, app *account.App, hour time.Time, give func(msync.MessageObject) error) error {
	after, end := delivery.IDAt(hour.UnixMilli()), delivery.IDAt(hour.Add(time.Hour).UnixMilli())
	for {
		entries, err := s.store.EntriesAfter(ctx, after, exportSlice)
		if err != nil {
			return fmt.Errorf("export messages: %w", err)
		}
		for _, e := range entries {
			if e.ID > end {
				return nil
			}
			after = e.ID
			if e.Key.App != app.ID || e.Recalled || !store.History.Has(e.Content) {
				continue
			}
			object, err := msync.MessageJSON(e.ID, e.Time, e.Meta)
			if err != nil {
				continue // clients may send what no client shows
			}
			if err := give(object); err != nil {
				return err
			}
		}
		if len(entries) < exportSlice {
			return nil
		}
	}
}

// Exports reports whether there is anything to Export of an hour.
func (s *Service) Exports(ctx context.Context, app *account.App, hour time.Time) (bool, error) {
	err := s.Export(ctx, app, hour, func(msync.MessageObject) error { return errEnough })
	if errors.Is(err, errEnough) {
		return true, nil
	}
	return false, err
}
