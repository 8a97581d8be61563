package delivery

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

const patience = 20 * time.Second

var errBroken = errors.New("broken on purpose")

// world is the delivery of a node over a real store. Users are 1, 2, …, made as needed; devices come from OpenDevice.
type world struct {
	testing.TB
	store   *brokenStore
	bus     *recordedBus
	hub     *Hub
	service *Service
	clock   *clock.Clock
}

// brokenStore is the store, with hooks that come first where they are set.
type brokenStore struct {
	*sqlite.Store
	mu        sync.Mutex
	append    func() error
	positions func() error
	save      func([]store.Cursor) error
}

func (b *brokenStore) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *brokenStore) Append(ctx context.Context, drafts []store.Draft) ([]store.Appended, error) {
	b.mu.Lock()
	hook := b.append
	b.mu.Unlock()
	if hook != nil {
		if err := hook(); err != nil {
			return nil, err
		}
	}
	return b.Store.Append(ctx, drafts)
}

func (b *brokenStore) Positions(ctx context.Context, user, device int64) ([]store.Position, error) {
	b.mu.Lock()
	hook := b.positions
	b.mu.Unlock()
	if hook != nil {
		if err := hook(); err != nil {
			return nil, err
		}
	}
	return b.Store.Positions(ctx, user, device)
}

func (b *brokenStore) SaveCursors(ctx context.Context, cursors []store.Cursor) error {
	b.mu.Lock()
	hook := b.save
	b.mu.Unlock()
	if hook != nil {
		if err := hook(cursors); err != nil {
			return err
		}
	}
	return b.Store.SaveCursors(ctx, cursors)
}

// recordedBus notes subscriptions.
type recordedBus struct {
	bus.Bus
	mu         sync.Mutex
	subscribed map[bus.Subject]int
	refuse     bool
	settle     func() // comes before Settle, where it is set
}

func (b *recordedBus) Settle(ctx context.Context) error {
	b.mu.Lock()
	hook := b.settle
	b.mu.Unlock()
	if hook != nil {
		hook()
	}
	return b.Bus.Settle(ctx)
}

func (b *recordedBus) Subscribe(s bus.Subject) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse {
		return errBroken
	}
	b.subscribed[s]++
	return b.Bus.Subscribe(s)
}

func (b *recordedBus) Unsubscribe(s bus.Subject) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribed[s]--
	return b.Bus.Unsubscribe(s)
}

func (b *recordedBus) subscriptions(user int64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subscribed[bus.User(user)]
}

func newWorld(t testing.TB) *world {
	t.Helper()
	if test, ok := t.(*testing.T); ok {
		test.Parallel() // most of the time goes into waiting for the disk
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s := sqlitetest.Open(t, log)
	w := &world{TB: t, store: &brokenStore{Store: s}, clock: clock.New()}
	w.hub = NewHub(w.store, w.clock, log)
	w.bus = &recordedBus{subscribed: map[bus.Subject]int{}, Bus: bus.NewLocal(w.hub.Handle)}
	w.service = New(w.hub, w.store, w.bus, NewIDs(0, 0), w.clock, NewMetrics(prometheus.NewRegistry()), log)
	t.Cleanup(func() {
		w.service.Close()
		if err := errors.Join(w.hub.Close(), w.bus.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// sink is an edge that notes what it is given.
type sink struct {
	mu      sync.Mutex
	frames  [][]byte
	key     uint64 // of the last batch taken
	forced  int
	full    bool // refuses what is not forced
	flushes int
	kicks   []Kick
	extends []int64
}

func (s *sink) Queue(frame []byte, force bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full && !force {
		return false
	}
	if force {
		s.forced++
	}
	s.frames = append(s.frames, frame)
	return true
}

func (s *sink) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushes++
}

func (s *sink) Kick(k Kick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicks = append(s.kicks, k)
}

func (s *sink) Extend(until int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extends = append(s.extends, until)
}

func (s *sink) setFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

// take returns the frames since the last time, as short words: "n" a notice, "end" an empty batch with is_last, else
// "batch" and the payloads of its metas, "push" where it is not to be acknowledged.
func (s *sink) take(t testing.TB) (words []string) {
	t.Helper()
	s.mu.Lock()
	frames := s.frames
	s.frames = nil
	s.mu.Unlock()
	for _, b := range frames {
		var m msync.MSync
		var batch msync.CommSyncDL
		err := proto.Unmarshal(b, &m)
		if m.Command == msync.MSync_NOTICE {
			words = append(words, "n")
			continue
		}
		if err = errors.Join(err, proto.Unmarshal(m.Payload, &batch)); err != nil {
			t.Fatal(err)
		}
		word := "batch"
		if len(batch.Metas) == 0 && batch.IsLast {
			word = "end"
		} else if batch.IsLast {
			word = "push"
		}
		if batch.NextKey != 0 {
			s.key = batch.NextKey
		}
		for _, meta := range batch.Metas {
			word += " " + string(meta.Payload)
		}
		words = append(words, word)
	}
	return words
}

// gets fails unless the sink was given just this.
func (s *sink) gets(t testing.TB, why string, want ...string) {
	t.Helper()
	if got := s.take(t); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", why, got, want)
	}
}

// session opens a session of a user on a device, both named by small numbers.
func (w *world) session(user, device, session int64) (*Session, *sink) {
	w.Helper()
	out := &sink{}
	s, err := w.hub.Open(Identity{Session: session, User: user, Device: device, Name: "name", Alias: "name"}, out)
	if err != nil {
		w.Fatal(err)
	}
	return s, out
}

// ready is session, after its first Unread.
func (w *world) ready(user, device, session int64) (*Session, *sink) {
	w.Helper()
	s, out := w.session(user, device, session)
	w.unread(s)
	return s, out
}

func (w *world) unread(s *Session) []Unread {
	w.Helper()
	unread, err := s.Unread(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return unread
}

// post appends texts from a user's device to another user and returns when they have been offered to all.
func (w *world) post(from, device, to int64, texts ...string) (last Result) {
	w.Helper()
	done := make(chan Result, len(texts))
	for _, text := range texts {
		stored, err := msync.StoredMeta(&msync.Meta{Ns: msync.Meta_NOTIFY, Payload: []byte(text)})
		if err != nil {
			w.Fatal(err)
		}
		w.service.Append(Post{Key: store.PairKey(1, from, to), Sender: from, Device: device, Meta: stored, Done: func(r Result) { done <- r }})
	}
	for range texts {
		if last = <-done; last.Err != nil {
			w.Fatal(last.Err)
		}
	}
	w.settle()
	return last
}

// settle returns when all that was posted before has been offered to the sessions.
func (w *world) settle() {
	w.Helper()
	if _, err := w.service.AppendWait(w.Context(), Post{Key: store.UserKey(1, 1<<40)}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) pull(s *Session, queue string, again bool) {
	w.Helper()
	jid, err := proto.Marshal(&msync.JID{Name: queue})
	if err != nil {
		w.Fatal(err)
	}
	if err := s.Pull(w.Context(), jid, queue, again); err != nil {
		w.Fatal(err)
	}
}

// cursor is what the store holds of a device.
func (w *world) cursor(user, device int64) int64 {
	w.Helper()
	positions, err := w.store.Store.Positions(w.Context(), user, device)
	if err != nil || len(positions) != 1 {
		w.Fatalf("positions are %v, %v", positions, err)
	}
	return positions[0].Cursor
}

func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			w.Fatalf("%s did not happen", what)
		}
		wait, cancel := context.WithTimeout(w.Context(), time.Millisecond)
		<-wait.Done()
		cancel()
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
