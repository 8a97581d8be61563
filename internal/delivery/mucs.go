package delivery

import (
	"context"
	"errors"
	"sync"

	"github.com/stoa-chat/stoa/internal/bus"
)

// mucs holds the sessions of this node by the groups, chatrooms and threads whose entries they are sent.
type mucs struct {
	shards [hubShards]mucShard

	mu    sync.Mutex
	fresh []int64               // groups to which this node has begun to listen
	early map[*Session]struct{} // sessions that entered one before the bus had the subscription
	wake  chan struct{}
}

type mucShard struct {
	mu  sync.Mutex
	set map[int64]*muc
}

// muc is a group with a session on this node. The node listens to it on the bus.
type muc struct {
	sessions map[*Session]struct{}
	list     []*Session // the same, made when it is needed and never changed; nil: to be made
	heard    int64      // the last entry that came, or was found in the store
	settled  bool       // nothing that came before the bus had the subscription is unknown
}

func newMucs() *mucs {
	m := &mucs{early: map[*Session]struct{}{}, wake: make(chan struct{}, 1)}
	for i := range m.shards {
		m.shards[i].set = map[int64]*muc{}
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

// enter has a session sent what comes for a group from now on, and returns the last entry known to have come before. What
// came before this node was heard to listen is found by settleLoop.
func (h *Hub) enter(id int64, s *Session) (heard int64) {
	shard := h.mucs.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	of := shard.set[id]
	if of == nil {
		// Under the lock, as in exit, so that the two cannot overtake each other.
		if err := h.bus.Subscribe(bus.Muc(id)); err != nil {
			h.log.Warn("subscribe", "group", id, "error", err)
		}
		of = &muc{sessions: map[*Session]struct{}{}}
		shard.set[id] = of
		h.mucs.mu.Lock()
		h.mucs.fresh = append(h.mucs.fresh, id)
		h.mucs.mu.Unlock()
	}
	of.sessions[s], of.list = struct{}{}, nil
	if !of.settled {
		h.mucs.mu.Lock()
		h.mucs.early[s] = struct{}{}
		h.mucs.mu.Unlock()
		select {
		case h.mucs.wake <- struct{}{}:
		default:
		}
	}
	return of.heard
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

// settleLoop has sessions look at the store once the bus has the subscriptions of the groups that they have entered:
// what was published between their last look and then has not come.
func (h *Hub) settleLoop() {
	ctx := context.Background()
	for {
		select {
		case <-h.stop:
			return
		case <-h.mucs.wake:
		}
		h.mucs.mu.Lock()
		fresh, early := h.mucs.fresh, h.mucs.early
		h.mucs.fresh, h.mucs.early = nil, map[*Session]struct{}{}
		h.mucs.mu.Unlock()
		// If the bus is away, all sessions look at the store when it is back.
		if err := h.bus.Settle(ctx); err != nil && !errors.Is(err, bus.ErrClosed) {
			h.log.Warn("settle subscriptions", "groups", len(fresh), "error", err)
		}
		for s := range early {
			if err := s.refresh(ctx, true); err != nil {
				h.log.Warn("look for missed entries", "user", s.User, "error", err)
			}
			s.eachMuc(func(id int64, p *position) {
				h.mucs.change(id, func(of *muc) { of.heard = max(of.heard, p.head) })
			})
		}
		for _, id := range fresh {
			h.mucs.change(id, func(of *muc) { of.settled = true })
		}
		h.Flush()
	}
}

// change changes a group that has a session on this node.
func (m *mucs) change(id int64, do func(*muc)) {
	shard := m.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if of := shard.set[id]; of != nil {
		do(of)
	}
}
