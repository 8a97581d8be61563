// Package account knows who is who: applications with their settings, users, their credentials and tokens, the devices
// on which they are online, and who may be on how many. Its refusals are *errcode.Error; where an edge has to tell apart
// situations that share a code, one of the package's sentinels is wrapped.
package account

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/cache"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/rehearse"
	"github.com/stoa-chat/stoa/internal/store"
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrNoApp           = errors.New("unknown application")
	ErrAppExists       = errors.New("application exists")
	ErrSettings        = errors.New("bad settings")
	ErrNoUser          = errors.New("unknown user")
	ErrUserExists      = errors.New("user exists")
	ErrUserName        = errors.New("illegal user name")
	ErrPassword        = errors.New("password missing or too long")
	ErrNickname        = errors.New("nickname too long")
	ErrWrongPassword   = errors.New("wrong password")
	ErrBanned          = errors.New("user not activated")
	ErrClientID        = errors.New("client id does not match")
	ErrClientSecret    = errors.New("client secret does not match")
	ErrNoToken         = errors.New("no token")
	ErrTokenMalformed  = errors.New("malformed token")
	ErrTokenUnknown    = errors.New("token not issued for this application") // wrong signature, revoked
	ErrTokenOtherApp   = errors.New("token of another application")
	ErrTokenExpired    = errors.New("expired token")
	ErrTokenPrivilege  = errors.New("token without the privilege")
	ErrTokenLife       = errors.New("bad token life")
	ErrNotOpen         = errors.New("open registration is off")
	ErrNoDevice        = errors.New("device is not online")
	ErrServingDisabled = errors.New("application is switched off")
	ErrAttribute       = errors.New("bad user attribute")
	ErrAttributesFull  = errors.New("user attributes too large")
	ErrTooManyUsers    = errors.New("too many users")
	ErrChannel         = errors.New("bad channel name")
)

// Store is what the service keeps in the store.
type Store interface {
	store.Apps
	store.Users
	store.Sessions
	store.Profiles
}

// Observer is told of the sessions of this node as they come and go. Its methods must not block.
type Observer interface {
	SessionOpened(store.Session)
	SessionClosed(store.Session, Closing)
}

// Closing is why a session has ended.
type Closing uint8

const (
	ClosedItself Closing = iota // its client has left, or its connection broke
	ClosedKicked                // another device or a backend has ended it, or its user may not be online any more
	ClosedShadow                // its device has another session by now
)

// Service is the account service of one node.
type Service struct {
	// Rehearsals narrow the settings of single users; nil: none. It is not to be changed once the service is used.
	Rehearsals *rehearse.Service

	store     Store
	delivery  *delivery.Service
	bus       bus.Bus
	clock     *clock.Clock
	log       *slog.Logger
	node      int
	observers []Observer

	apps     appTable
	loading  sync.Mutex // applications are read and put in place by one at a time, so that the younger reading stays
	changing sync.Mutex // settings are read, changed and written by one at a time
	users    cache.Cache[userKey, store.User]

	beforeDelete []func(ctx context.Context, app *App, user store.User) error
}

// New starts the service of a node and reads the applications. What arrives on bus.All goes to Heard.
func New(ctx context.Context, s Store, d *delivery.Service, b bus.Bus, c *clock.Clock, node int, log *slog.Logger) (*Service, error) {
	a := &Service{store: s, delivery: d, bus: b, clock: c, node: node, log: log}
	return a, a.loadApps(ctx)
}

// Observe names somebody who is told of sessions. It is to be called before there are any.
func (a *Service) Observe(o Observer) { a.observers = append(a.observers, o) }

// What travels on bus.All.
const (
	heardApps = 'a' // an application was made or changed
	heardUser = 'u' // a user was changed: the app's number, a space, the name
)

// Heard takes what other nodes, and this one, tell about changes. It does not block; stale tells that the applications
// have changed and Reload is due.
func (a *Service) Heard(data []byte) (stale bool) {
	if len(data) > 0 && data[0] == heardUser {
		a.forget(string(data[1:]))
	}
	return len(data) > 0 && data[0] == heardApps
}

// Reload reads the applications and their settings again.
func (a *Service) Reload(ctx context.Context) error { return a.loadApps(ctx) }

func (a *Service) tell(data string) {
	if err := a.bus.Publish(bus.All, []byte(data)); err != nil {
		a.log.Warn("publish change", "error", err)
	}
}

func (a *Service) now() int64 { return a.clock.Now().UnixMilli() }

// appTable is the applications, as last read. It is replaced, never changed.
type appTable struct {
	mu    sync.RWMutex
	byKey map[string]*App
	byID  map[int64]*App
}
