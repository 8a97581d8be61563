// Package push knows who wants to be notified of what while away, and where notifications go. Its refusals are
// *errcode.Error; where an edge has to tell apart situations that share a code, one of the package's sentinels is
// wrapped.
package push

import (
	"context"
	"errors"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxSettings      = 1000               // of a user
	maxConversations = 100                // in one call
	maxSilence       = 7 * 24 * time.Hour // docs/protocol/admin-rest.md §17.1
	maxTokens        = 20                 // of a user
	maxName          = 256                // bytes of the name of a device or notifier
	maxToken         = 4096               // bytes
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrSetting = errors.New("bad push setting")
	ErrToken   = errors.New("bad push token")
	ErrFull    = errors.New("too many push settings")
)

// Store is what the service keeps in the store.
type Store interface {
	store.Push
	UserByID(ctx context.Context, id int64) (store.User, error)
}

// Service is the push service of one node.
type Service struct {
	accounts *account.Service
	store    Store
	delivery *delivery.Service
	clock    *clock.Clock
}

// New makes the service of a node.
func New(accounts *account.Service, s Store, d *delivery.Service, c *clock.Clock) *Service {
	return &Service{accounts: accounts, store: s, delivery: d, clock: c}
}
