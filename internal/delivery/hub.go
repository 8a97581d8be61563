package delivery

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/store"
)

// Sink is where a session's frames go: the edge's side of a session. No method may block.
type Sink interface {
	// Queue adds a frame, which must not be changed afterwards, to what is written at the next Flush. It refuses when
	// too much waits already; force overrides that, for the few frames that bring the client back.
	Queue(frame []byte, force bool) bool
	// Flush starts writing what is queued.
	Flush()
	// Kick ends the session after every open request has been answered.
	Kick(k Kick)
	// Extend tells that the user has taken up a token that lasts until then (milliseconds since 1970; 0: for ever).
	Extend(until int64)
}

const hubShards = 64

// Hub holds the sessions of this node.
type Hub struct {
	store  store.Timelines
	bus    bus.Bus
	clock  *clock.Clock
	log    *slog.Logger
	shards [hubShards]hubShard
	mucs   *mucs
	// rounds counts the pulls of all sessions, so that no device has two of the same round, not even in sessions that
	// follow each other. It begins anywhere: after a restart, too, and on another node.
	rounds atomic.Uint64

	dirtyMu sync.Mutex
	dirty   []*Session // have frames to flush

	saving sync.Mutex // one at a time, so that who saves knows that earlier saves are done
	saveMu sync.Mutex
	unsave []*Session // have cursors to save
	wake   chan struct{}
	stop   chan struct{}
	done   sync.WaitGroup
}

type hubShard struct {
	mu    sync.RWMutex
	users map[int64][]*Session // oldest first
}

// NewHub starts the hub of a node.
func NewHub(timelines store.Timelines, c *clock.Clock, log *slog.Logger) *Hub {
	h := &Hub{store: timelines, clock: c, log: log, mucs: newMucs(), wake: make(chan struct{}, 1), stop: make(chan struct{})}
	h.rounds.Store(rand.Uint64())
	for i := range h.shards {
		h.shards[i].users = map[int64][]*Session{}
	}
	h.done.Go(h.saveLoop)
	h.done.Go(h.settleLoop)
	return h
}

func (h *Hub) shard(user int64) *hubShard { return &h.shards[uint64(user)%hubShards] }

// Identity says whose session it is.
type Identity struct {
	Session int64
	User    int64
	Device  int64
	// Name is the user's name, and Alias the form in which it logged in; they differ in the case of letters only.
	Name, Alias string
}

// Open adds a session: from now on it is sent what is pushed without a cursor, and after its first Unread everything.
func (h *Hub) Open(who Identity, sink Sink) (*Session, error) {
	s := &Session{Identity: who, hub: h, sink: sink}
	shard := h.shard(who.User)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for _, other := range shard.users[who.User] {
		if other.Device == who.Device {
			other.shadow.Store(true)
		}
	}
	first := len(shard.users[who.User]) == 0
	if first {
		// Under the lock, as in remove, so that the two cannot overtake each other.
		if err := h.bus.Subscribe(bus.User(who.User)); err != nil {
			return nil, err
		}
	}
	// Copy on write: Handle walks the list without the lock.
	shard.users[who.User] = append(slices.Clip(shard.users[who.User]), s)
	return s, nil
}

// Count returns how many sessions this node holds.
func (h *Hub) Count() (n int) {
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.RLock()
		for _, sessions := range shard.users {
			n += len(sessions)
		}
		shard.mu.RUnlock()
	}
	return n
}

func (h *Hub) of(user int64) []*Session {
	shard := h.shard(user)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.users[user]
}

func (h *Hub) remove(s *Session) {
	shard := h.shard(s.User)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(shard.users[s.User]), func(other *Session) bool { return other == s })
	if len(rest) == 0 {
		delete(shard.users, s.User)
		if err := h.bus.Unsubscribe(bus.User(s.User)); err != nil {
			h.log.Warn("unsubscribe", "user", s.User, "error", err)
		}
		return
	}
	for i := len(rest) - 1; i >= 0; i-- {
		if rest[i].Device == s.Device {
			rest[i].shadow.Store(false)
			break
		}
	}
	shard.users[s.User] = rest
}

// Handle takes what arrives on the bus for users and groups. Flush is to be called after one or several.
func (h *Hub) Handle(subject bus.Subject, event []byte) {
	if len(event) == 0 {
		return
	}
	var err error
	switch subject.Kind {
	case bus.KindUser:
		if sessions := h.of(subject.ID); len(sessions) > 0 {
			err = h.handleUser(sessions, event[0], event[1:])
		}
	case bus.KindMuc:
		err = h.handleMuc(subject.ID, event[0], event[1:])
	}
	if err != nil {
		h.log.Error("read event", "kind", string(rune(subject.Kind)), "number", subject.ID, "error", err)
	}
}

func (h *Hub) handleUser(sessions []*Session, kind byte, fields []byte) error {
	switch kind {
	case eventEntry, eventPush:
		e, err := readEntryEvent(fields)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			s.receive(kind, &e)
		}
	case eventKick:
		k, err := readKick(fields)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if s.Session != k.Except && (k.Session == 0 || k.Session == s.Session) {
				s.sink.Kick(k)
			}
		}
	case eventLifetime:
		until, err := readLifetime(fields)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			s.sink.Extend(until)
		}
	case eventJoin, eventLeave:
		m, err := readMembership(fields)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if kind == eventJoin {
				s.joined(m)
			} else {
				s.left(m)
			}
		}
	default:
		return errEvent
	}
	return nil
}

func (h *Hub) handleMuc(muc int64, kind byte, fields []byte) error {
	if kind != eventEntry && kind != eventPush {
		return errEvent
	}
	e, err := readEntryEvent(fields)
	if err != nil {
		return err
	}
	for _, s := range h.mucs.hear(muc, e.seq) {
		s.receive(kind, &e)
	}
	return nil
}

// Flush starts writing what Handle and the services have queued.
func (h *Hub) Flush() {
	h.dirtyMu.Lock()
	dirty := h.dirty
	h.dirty = nil
	h.dirtyMu.Unlock()
	for _, s := range dirty {
		s.flagged.Store(false)
		s.sink.Flush()
	}
}

// Resync makes every session look at the store, since the bus may have lost something.
func (h *Hub) Resync(ctx context.Context) {
	for i := range h.shards {
		shard := &h.shards[i]
		shard.mu.RLock()
		var sessions []*Session
		for _, of := range shard.users {
			sessions = append(sessions, of...)
		}
		shard.mu.RUnlock()
		for _, s := range sessions {
			if ctx.Err() != nil {
				return
			}
			if err := s.resync(ctx); err != nil {
				h.log.Warn("resync session", "user", s.User, "error", err)
			}
		}
		h.Flush()
	}
}

const (
	saveEvery    = time.Second // bounds how long a cursor is in memory only
	saveSessions = 50          // whose cursors go into one commit
)

func (h *Hub) saveLoop() {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-tick.C:
		case <-h.wake:
		}
		h.saveMu.Lock()
		sessions := h.unsave
		h.unsave = nil
		h.saveMu.Unlock()
		// Messages wait for the commit that is before theirs, so it must not hold the cursors of all.
		for some := range slices.Chunk(sessions, saveSessions) {
			if err := h.save(context.Background(), some...); err != nil {
				h.log.Error("save cursors", "error", err)
			}
		}
	}
}

// save writes the cursors that the sessions have moved.
func (h *Hub) save(ctx context.Context, sessions ...*Session) error {
	h.saving.Lock()
	defer h.saving.Unlock()
	var cursors []store.Cursor
	for _, s := range sessions {
		cursors = s.takeCursors(cursors)
	}
	if len(cursors) == 0 {
		return nil
	}
	return h.store.SaveCursors(ctx, cursors)
}

// Close saves the cursors and stops. The sessions should be closed by then.
func (h *Hub) Close() error {
	close(h.stop)
	h.done.Wait()
	h.saveMu.Lock()
	sessions := h.unsave
	h.saveMu.Unlock() // sessions take it while they hold their own lock
	return h.save(context.Background(), sessions...)
}
