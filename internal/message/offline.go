package message

import (
	"context"
	"errors"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

// ErrNotSent is returned by Delivered.
var ErrNotSent = errors.New("not sent to the user")

// maxWaiting bounds what Waiting counts.
const maxWaiting = 10_000

// waiting is what is kept for devices that are away.
var waiting = store.History | store.ContentsOf(store.ContentCommand)

// Waiting returns how many messages of others no device of a user has been given yet, at most 10,000. What a device has
// acknowledged within the last seconds may still be among them.
func (s *Service) Waiting(ctx context.Context, user store.User) (count int, err error) {
	positions, err := s.store.Positions(ctx, user.ID, 0)
	if err != nil {
		return 0, err
	}
	const page = 500
	for _, p := range positions {
		for after := p.Cursor; after < p.Head && count < maxWaiting; {
			entries, err := s.store.ListEntries(ctx, p.Timeline, store.EntryQuery{After: after, Before: p.Head + 1, Limit: page, Contents: waiting, Reader: user.ID})
			if err != nil {
				return 0, err
			}
			for _, entry := range entries {
				after = entry.Seq
				if entry.Sender != user.ID && entry.Device != store.NotDelivered {
					count++
				}
			}
			if len(entries) < page {
				break
			}
		}
	}
	return min(count, maxWaiting), nil
}

// Delivered reports whether a device of a user has been given a message. ErrNotSent if it is none that the user is to be
// given.
func (s *Service) Delivered(ctx context.Context, app *account.App, user store.User, id int64) (bool, error) {
	found, err := s.store.FindEntry(ctx, app.ID, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (!waiting.Has(found.Content) || !found.Audience.Has(user.ID)) {
		return false, ErrNotSent
	} else if err != nil {
		return false, err
	}
	subscription, err := s.store.Subscription(ctx, user.ID, found.Timeline)
	if errors.Is(err, store.ErrNotFound) || err == nil && !subscription.Reads(found.Seq) {
		return false, ErrNotSent
	} else if err != nil {
		return false, err
	}
	if found.Sender == user.ID {
		return true, nil
	}
	positions, err := s.store.Positions(ctx, user.ID, 0)
	for _, p := range positions {
		if p.Timeline == found.Timeline {
			return p.Cursor >= found.Seq, err
		}
	}
	return false, err
}
