package account

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
	"github.com/stoa-chat/stoa/internal/token"
)

const patience = 20 * time.Second

const (
	agoraID      = "00112233445566778899aabbccddeeff"
	certificate  = "ffeeddccbbaa99887766554433221100"
	certificate2 = "0f0e0d0c0b0a09080706050403020100"
)

var errBroken = errors.New("broken on purpose")

// hookedStore is the store, with hooks that come first where they are set.
type hookedStore struct {
	*sqlite.Store
	mu    sync.Mutex
	reads int                       // of users by name
	user  func(store.User)          // after such a read
	apps  func()                    // after a read of the applications
	drop  func(session int64) error // before DropSession
}

func (h *hookedStore) User(ctx context.Context, app int64, name string) (store.User, error) {
	user, err := h.Store.User(ctx, app, name)
	h.mu.Lock()
	h.reads++
	hook := h.user
	h.mu.Unlock()
	if hook != nil {
		hook(user)
	}
	return user, err
}

func (h *hookedStore) Apps(ctx context.Context) ([]store.App, error) {
	apps, err := h.Store.Apps(ctx)
	h.mu.Lock()
	hook := h.apps
	h.mu.Unlock()
	if hook != nil {
		hook()
	}
	return apps, err
}

func (h *hookedStore) DropSession(ctx context.Context, user, id int64) error {
	h.mu.Lock()
	hook := h.drop
	h.mu.Unlock()
	if hook != nil {
		if err := hook(id); err != nil {
			return err
		}
	}
	return h.Store.DropSession(ctx, user, id)
}

func (h *hookedStore) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *hookedStore) userReads() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reads
}

// world is an account service over a real store, with the applications acme#demo and acme#other.
type world struct {
	*testing.T
	*Service
	hooks      *hookedStore
	bus        bus.Bus
	delivery   *delivery.Service
	hub        *delivery.Hub
	clock      *clock.Clock
	app, other *App
	online     map[int64]*sink // by session
}

// sink notes how sessions end.
type sink struct {
	mu      sync.Mutex
	kicks   []delivery.Kick
	extends []int64
}

func (s *sink) Queue([]byte, bool) bool { return true }
func (s *sink) Flush()                  {}
func (s *sink) Kick(k delivery.Kick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicks = append(s.kicks, k)
}
func (s *sink) Extend(until int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extends = append(s.extends, until)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel() // most of the time goes into waiting for the disk
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s := sqlitetest.Open(t, log)
	w := &world{T: t, hooks: &hookedStore{Store: s}, clock: clock.New(), online: map[int64]*sink{}}
	w.hub = delivery.NewHub(s, w.clock, log)
	w.bus = bus.NewLocal(func(subject bus.Subject, data []byte) {
		if subject.Kind != bus.KindAll {
			w.hub.Handle(subject, data)
		} else if w.Service != nil {
			w.Heard(data)
		}
	})
	w.delivery = delivery.New(w.hub, s, w.bus, delivery.NewIDs(0, 0), w.clock, delivery.NewMetrics(prometheus.NewRegistry()), log)
	t.Cleanup(func() {
		w.delivery.Close()
		if err := errors.Join(w.hub.Close(), w.bus.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	// The second certificate has no setting yet.
	settings := []byte(`{}`)
	_, err := s.CreateApp(t.Context(), store.App{Org: "acme", Name: "demo", AgoraID: agoraID, Certificate: certificate, Certificate2: certificate2,
		ClientID: "id", ClientSecret: "secret", SigningKey: []byte("key"), Settings: settings})
	w.must(err)
	w.Service = w.node()
	w.app, err = w.App("acme#demo")
	w.must(err)
	w.other, err = w.CreateApp(t.Context(), NewApp{Key: "acme#other", Settings: DefaultSettings()})
	w.must(err)
	return w
}

// node returns another service over the same store, which hears of nothing by itself.
func (w *world) node() *Service {
	w.Helper()
	a, err := New(w.Context(), w.hooks, w.delivery, w.bus, w.clock, 0, slog.New(slog.NewTextHandler(io.Discard, nil)))
	w.must(err)
	return a
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// hash is that of "secret".
var hash = sync.OnceValue(func() string {
	h, err := token.HashPassword(context.Background(), "secret")
	if err != nil {
		panic(err)
	}
	return h
})

// register makes a user whose password is "secret".
func (w *world) register(name string) store.User {
	w.Helper()
	user, err := w.RegisterHashed(w.Context(), w.app, NewUser{Name: name}, hash())
	w.must(err)
	return user
}

// refused fails unless the error has that code and wraps that sentinel (nil: any).
func refused(t testing.TB, what string, err error, code errcode.Code, sentinel error) {
	t.Helper()
	var e *errcode.Error
	if !errors.As(err, &e) || e.Code != code || sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("%s: %v, want code %d, %v", what, err, code, sentinel)
	}
}

func soon[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s did not happen", what)
	}
	return v
}
