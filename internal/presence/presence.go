// Package presence knows who is there: what users publish of themselves, where they are online, and who wants to be told
// when that changes. Its refusals are *errcode.Error; where an edge has to tell apart situations that share a code, one
// of the package's sentinels is wrapped.
//
// Who is online is what the sessions in the store say. The package only remembers for some seconds what has changed and
// has not been told yet (news.go).
package presence

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/store"
)

// Limits of docs/protocol/errors.md §11.
const (
	maxText     = 1024 // bytes
	maxUsers    = 100  // in one call
	maxWatches  = 3000 // of a user, and by a user
	maxExpiry   = 30 * 24 * time.Hour
	maxResource = 256 // bytes
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrText     = errors.New("presence text too long")
	ErrSelf     = errors.New("oneself")
	ErrTooMany  = errors.New("too many users")
	ErrFull     = errors.New("too many subscriptions")
	ErrExpiry   = errors.New("bad expiry")
	ErrArgument = errors.New("bad presence argument")
)

// Store is what the service keeps in the store.
type Store interface {
	store.Presence
	SessionsOf(ctx context.Context, users []int64, now int64) ([]store.Session, error)
}

// Service is the presence service of one node.
type Service struct {
	accounts *account.Service
	store    Store
	delivery *delivery.Service
	clock    *clock.Clock
	log      *slog.Logger
	pace     int // notices in a second

	mu      sync.Mutex
	changes map[int64]map[string]change // by user and resource
	turns   turns                       // when it is whose turn

	wake chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
}

// New starts the service of a node. It is to be told of the node's sessions: account.Service.Observe.
func New(accounts *account.Service, s Store, d *delivery.Service, c *clock.Clock, log *slog.Logger) *Service {
	p := &Service{accounts: accounts, store: s, delivery: d, clock: c, log: log, pace: noticesPerSecond,
		changes: map[int64]map[string]change{}, wake: make(chan struct{}, 1)}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	p.done.Go(func() { p.run(ctx) })
	p.done.Go(func() { p.housekeep(ctx) })
	return p
}

func refuse(code errcode.Code, sentinel error, format string, args ...any) error {
	e := errcode.Newf(code, format, args...)
	e.Op, e.Err = "presence", sentinel
	return e
}

func (s *Service) offered(app *account.App) error {
	if !app.Settings.Presence {
		return account.NotOffered("presence")
	}
	return nil
}

func (s *Service) now() int64 { return s.clock.Now().UnixMilli() }

// State is what there is to know of a user.
type State struct {
	Name    string
	Text    string
	Changed int64          // when something changed last; milliseconds, 0: never
	Devices map[string]int // by resource: 0 is offline, 1 online, others are the app's own
}

// Publish tells what a user's device is up to, and a text that is about the user. The errors are code 505, 204, 1100
// (ErrText) and -3 (ErrArgument: no text, no such status).
func (s *Service) Publish(ctx context.Context, app *account.App, user store.User, resource string, status int, text string) error {
	if err := s.offered(app); err != nil {
		return err
	}
	if len(text) > maxText {
		return refuse(errcode.PresenceTooLong, ErrText, "the text has %d bytes, the limit is %d", len(text), maxText)
	}
	if !store.IsText(text) || !store.IsText(resource) || resource == "" || len(resource) > maxResource || status < 0 || status > 1<<16 {
		return refuse(errcode.InvalidParameter, ErrArgument, "text, device or status is not valid")
	}
	sessions, err := s.store.SessionsOf(ctx, []int64{user.ID}, s.now())
	if err != nil {
		return err
	}
	var online []string
	for _, session := range sessions {
		online = append(online, session.Resource)
	}
	err = s.store.Publish(ctx, store.Publication{User: user.ID, Resource: resource, Status: status, Text: text, Time: s.now()}, online)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(errcode.UserNotFound, account.ErrNoUser, "there is no user %q", user.Name)
	} else if err != nil {
		return err
	}
	s.note(user.ID, published, change{due: s.clock.Now()})
	return nil
}

// named finds users by their names. Unknown ones are an error, or left out.
func (s *Service) named(ctx context.Context, app *account.App, names []string, leaveOut bool) ([]store.Peer, error) {
	if len(names) == 0 {
		return nil, refuse(errcode.InvalidParameter, ErrArgument, "there are no users")
	}
	if len(names) > maxUsers {
		return nil, refuse(errcode.MaxLimit, ErrTooMany, "there are %d users, the limit is %d", len(names), maxUsers)
	}
	var peers []store.Peer
	for _, name := range names {
		user, err := s.accounts.User(ctx, app, name)
		if errors.Is(err, account.ErrNoUser) && leaveOut {
			continue
		} else if err != nil {
			return nil, err
		}
		peers = append(peers, store.Peer{ID: user.ID, Name: user.Name})
	}
	return peers, nil
}

// Subscribe makes a user hear of others from now on, for the given time, and returns how they are now and until when. The
// errors are code 505, 204, 50 (ErrTooMany, ErrFull) and -3 (ErrSelf, ErrExpiry, ErrArgument: nobody).
func (s *Service) Subscribe(ctx context.Context, app *account.App, user store.User, names []string, life time.Duration) ([]State, time.Time, error) {
	if err := s.offered(app); err != nil {
		return nil, time.Time{}, err
	}
	if life < time.Second || life > maxExpiry {
		return nil, time.Time{}, refuse(errcode.InvalidParameter, ErrExpiry, "a subscription lasts 1 to %d seconds", int(maxExpiry.Seconds()))
	}
	peers, err := s.named(ctx, app, names, false)
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, peer := range peers {
		if peer.ID == user.ID {
			return nil, time.Time{}, refuse(errcode.InvalidParameter, ErrSelf, "users do not subscribe to themselves")
		}
	}
	now := s.clock.Now()
	expires := now.Add(life)
	err = s.store.Watch(ctx, app.ID, user.ID, peers, expires.UnixMilli(), now.UnixMilli(), maxWatches)
	switch {
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrPeerFull):
		return nil, expires, refuse(errcode.MaxLimit, ErrFull, "a user has, and is subject of, at most %d subscriptions", maxWatches)
	case errors.Is(err, store.ErrNotFound):
		return nil, expires, refuse(errcode.UserNotFound, account.ErrNoUser, "one of the users has been deleted")
	case err != nil:
		return nil, expires, err
	}
	states, err := s.states(ctx, peers)
	return states, expires, err
}

// Unsubscribe ends subscriptions; it is no error if there are none. The errors are code 505 and 50 (ErrTooMany).
func (s *Service) Unsubscribe(ctx context.Context, app *account.App, user store.User, names []string) error {
	if err := s.offered(app); err != nil {
		return err
	}
	peers, err := s.named(ctx, app, names, true)
	if err != nil {
		return err
	}
	return s.store.Unwatch(ctx, user.ID, numbers(peers))
}

func numbers(peers []store.Peer) []int64 {
	all := make([]int64, len(peers))
	for i, peer := range peers {
		all[i] = peer.ID
	}
	return all
}

// Subscriptions returns a page of whom a user is subscribed to, and how many there are. The error is code 505.
func (s *Service) Subscriptions(ctx context.Context, app *account.App, user store.User, offset, limit int) ([]store.Watch, int, error) {
	if err := s.offered(app); err != nil {
		return nil, 0, err
	}
	return s.store.ListWatched(ctx, user.ID, s.now(), offset, limit)
}

// Status returns how users are now. Those who do not exist are offline. The errors are code 505 and 50 (ErrTooMany).
func (s *Service) Status(ctx context.Context, app *account.App, names []string) ([]State, error) {
	if err := s.offered(app); err != nil {
		return nil, err
	}
	peers, err := s.named(ctx, app, names, true)
	if err != nil {
		return nil, err
	}
	known, err := s.states(ctx, peers)
	if err != nil {
		return nil, err
	}
	byName := map[string]State{}
	for _, state := range known {
		byName[state.Name] = state
	}
	states := make([]State, len(names))
	for i, name := range names {
		name = account.Fold(name)
		states[i] = byName[name]
		states[i].Name = name
	}
	return states, nil
}

// Online counts those of the users who are online. The error is code 505.
func (s *Service) Online(ctx context.Context, app *account.App, users []int64) (int, error) {
	if err := s.offered(app); err != nil {
		return 0, err
	}
	sessions, err := s.store.SessionsOf(ctx, users, s.now())
	online := map[int64]bool{}
	for _, session := range sessions {
		online[session.User] = true
	}
	return len(online), err
}

// states reads how users are.
func (s *Service) states(ctx context.Context, peers []store.Peer) ([]State, error) {
	users := numbers(peers)
	sessions, err := s.store.SessionsOf(ctx, users, s.now())
	if err != nil {
		return nil, err
	}
	publications, err := s.store.Publications(ctx, users)
	if err != nil {
		return nil, err
	}
	devices, err := s.store.LastDevices(ctx, users)
	if err != nil {
		return nil, err
	}
	states, byUser := make([]State, len(peers)), map[int64]*State{}
	for i, peer := range peers {
		states[i] = State{Name: peer.Name, Devices: map[string]int{}}
		byUser[peer.ID] = &states[i]
	}
	for _, session := range sessions {
		state := byUser[session.User]
		state.Devices[session.Resource] = 1
		state.Changed = max(state.Changed, session.Since)
	}
	latest := map[int64]bool{}
	for _, p := range publications { // the newest first
		state := byUser[p.User]
		if !latest[p.User] {
			latest[p.User] = true
			state.Text, state.Changed = p.Text, max(state.Changed, p.Time)
		}
		if _, online := state.Devices[p.Resource]; online {
			state.Devices[p.Resource] = p.Status
		}
	}
	for _, d := range devices {
		state := byUser[d.User]
		state.Changed = max(state.Changed, d.Seen)
		if len(state.Devices) == 0 {
			state.Devices[d.Resource] = 0
		}
	}
	return states, nil
}
