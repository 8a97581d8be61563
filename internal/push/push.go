// Package push knows who wants to be notified of what while away, and brings the notifications to the providers that
// reach devices. Its refusals are *errcode.Error; where an edge has to tell apart situations that share a code, one of
// the package's sentinels is wrapped.
//
// The way of a notification: the message is durable; decide.go looks, behind the message path, which of its readers are
// away, have a device with a push token and want to know, and stores a row for each such device; deliver.go works off the
// rows until a provider has taken them (apns.go, fcm.go). Both go on after a crash where they were.
package push

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
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

// Store is what the service keeps in the store, and reads there.
type Store interface {
	store.Push
	store.Notifications
	store.Pushes
	UserByID(ctx context.Context, id int64) (store.User, error)
	Muc(ctx context.Context, app int64, name string) (store.Muc, error)
	SessionsOf(ctx context.Context, users []int64, now int64) ([]store.Session, error)
	ReadTimeline(ctx context.Context, timeline, after int64, limit, maxBytes int) ([]store.Entry, error)
	ListConversations(ctx context.Context, user int64) ([]store.Conversation, error)
	CountUnread(ctx context.Context, user int64, conversations []store.Conversation) ([]int, error)
}

// Service is the push service of one node.
type Service struct {
	accounts *account.Service
	store    Store
	delivery *delivery.Service
	clock    *clock.Clock
	node     int
	metrics  *Metrics
	log      *slog.Logger
	client   *http.Client // to the providers

	mu     sync.Mutex
	queue  []store.Found // messages that have not been looked at
	behind bool          // some of them are in the store only
	wake   chan struct{} // there is something in the queue
	more   chan struct{} // there may be something to deliver

	decided int64 // the id of the last message that has been looked at; the decider's alone
	noted   time.Time
	caught  map[int64]bool    // by id: what was looked at and may still be in the queue; the decider's alone
	members map[int64]members // by group or thread; the decider's alone

	provideMu sync.Mutex
	providers map[providerKey]provided
}

// New makes the service of a node. It is to be told of the node's messages: delivery.Service.Observe. Run has it bring
// notifications.
func New(accounts *account.Service, s Store, d *delivery.Service, c *clock.Clock, node int, m *Metrics, log *slog.Logger) *Service {
	return &Service{accounts: accounts, store: s, delivery: d, clock: c, node: node, metrics: m, log: log, client: newClient(),
		wake: make(chan struct{}, 1), more: make(chan struct{}, 1),
		caught: map[int64]bool{}, members: map[int64]members{}, providers: map[providerKey]provided{}}
}

// Run decides and delivers until the context ends.
func (s *Service) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { s.decideAll(ctx) })
	work.Go(func() { s.deliverAll(ctx) })
	work.Wait()
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
