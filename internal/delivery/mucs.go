package delivery

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/stoa-chat/stoa/internal/bus"
)

// mucs holds the sessions of this node by the groups, chatrooms and threads whose entries they are sent.
type mucs struct {
	shards [hubShards]mucShard

	mu    sync.Mutex
	early map[*Session][]int64 // sessions that joined these groups before the bus had the subscription
	wake  chan struct{}
}

type mucShard struct {
	mu  sync.Mutex
	set map[int64]*mucSessions
}

// mucSessions are the sessions of a group that has one on this node. The node listens to it on the bus.
type mucSessions struct {
	sessions map[*Session]struct{}
	list     []*Session // the same, made when it is needed and never changed; nil: to be made
	heard    int64      // the last entry that came, or was found in the store
	settled  bool       // nothing that came before the bus had the subscription is unknown
}

func newMucs() *mucs {
	m := &mucs{early: map[*Session][]int64{}, wake: make(chan struct{}, 1)}
	for i := range m.shards {
		m.shards[i].set = map[int64]*mucSessions{}
	}
	return m
}

func (m *mucs) shard(id int64) *mucShard { return &m.shards[uint64(id)%hubShards] }

// hear notes an entry (0: a push) and returns the sessions that it goes to.
func (m *mucs) hear(id, seq int64) []*Session {
	shard := m.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	of := shard.set[id]
	if of == nil {
		return nil
	}
	of.heard = max(of.heard, seq)
	if of.list == nil {
		of.list = make([]*Session, 0, len(of.sessions))
		for s := range of.sessions {
			of.list = append(of.list, s)
		}
	}
	return of.list
}

// enter has a session sent what comes for a group from now on, and returns the last entry known to have come before. If
// the group is not settled, the session must look at the store once the bus has the subscription.
func (h *Hub) enter(id int64, s *Session) (heard int64, settled bool) {
	shard := h.mucs.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	of := shard.set[id]
	if of == nil {
		// Under the lock, as in exit, so that the two cannot overtake each other.
		if err := h.bus.Subscribe(bus.Muc(id)); err != nil {
			h.log.Warn("subscribe", "group", id, "error", err)
		}
		of = &mucSessions{sessions: map[*Session]struct{}{}}
		shard.set[id] = of
	}
	of.sessions[s], of.list = struct{}{}, nil
	return of.heard, of.settled
}

// ended is a context with which nothing is waited for.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// later has a session that may not wait look at the store once the bus has the subscription of a group. On a bus without
// a network it has it.
func (h *Hub) later(id int64, s *Session) {
	if h.bus.Settle(ended) == nil {
		h.mucs.change(id, func(of *mucSessions) { of.settled = true })
		return
	}
	h.mucs.mu.Lock()
	h.mucs.early[s] = append(h.mucs.early[s], id)
	h.mucs.mu.Unlock()
	select {
	case h.mucs.wake <- struct{}{}:
	default:
	}
}

// settle waits until the bus has the subscriptions that were made before.
func (h *Hub) settle(ctx context.Context) {
	// If the bus is away, all sessions look at the store when it is back.
	if err := h.bus.Settle(ctx); err != nil && !errors.Is(err, bus.ErrClosed) {
		h.log.Warn("settle subscriptions", "error", err)
	}
}

// settled notes that a session has looked at the store since the bus has the subscriptions of these groups.
func (h *Hub) settled(s *Session, ids []int64) {
	if len(ids) == 0 {
		return
	}
	s.eachMuc(func(id int64, p *position) {
		if slices.Contains(ids, id) {
			h.mucs.change(id, func(of *mucSessions) { of.heard, of.settled = max(of.heard, p.head), true })
		}
	})
}

// exit ends what enter has begun; it is no error if there is nothing to end.
func (h *Hub) exit(id int64, s *Session) {
	shard := h.mucs.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	of := shard.set[id]
	if of == nil {
		return
	}
	delete(of.sessions, s)
	of.list = nil
	if len(of.sessions) > 0 {
		return
	}
	delete(shard.set, id)
	if err := h.bus.Unsubscribe(bus.Muc(id)); err != nil {
		h.log.Warn("unsubscribe", "group", id, "error", err)
	}
}

// settleLoop has sessions look at the store once the bus has the subscriptions of the groups that they have joined: what
// was published between that and then has not come.
func (h *Hub) settleLoop() {
	ctx := context.Background()
	for {
		select {
		case <-h.stop:
			return
		case <-h.mucs.wake:
		}
		h.mucs.mu.Lock()
		early := h.mucs.early
		h.mucs.early = map[*Session][]int64{}
		h.mucs.mu.Unlock()
		h.settle(ctx)
		for s, ids := range early {
			if err := s.refresh(ctx, true); err != nil {
				h.log.Warn("look for missed entries", "user", s.User, "error", err)
				continue
			}
			h.settled(s, ids)
		}
		h.Flush()
	}
}

// change changes a group that has a session on this node.
func (m *mucs) change(id int64, do func(*mucSessions)) {
	shard := m.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if of := shard.set[id]; of != nil {
		do(of)
	}
}
