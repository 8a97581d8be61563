package bus

import (
	"context"
	"sync"
	"sync/atomic"
)

// shards keeps sessions that come and go from waiting for each other and for publishers.
const shards = 64

// Local is the bus of a single node. Publish calls the handler before it returns, in the publisher's goroutine, with the
// data as it is, not a copy.
type Local struct {
	handler Handler
	closed  atomic.Bool
	shards  [shards]shard
}

type shard struct {
	mu  sync.RWMutex
	set map[Subject]struct{}
}

var _ Bus = (*Local)(nil)

// NewLocal returns a bus for one node. A handler that publishes is called again before its Publish returns.
func NewLocal(handler Handler) *Local {
	l := &Local{handler: handler}
	for i := range l.shards {
		l.shards[i].set = make(map[Subject]struct{})
	}
	return l
}

func (l *Local) shard(subject Subject) *shard {
	return &l.shards[uint64(subject.ID)%shards]
}

// Publish calls the handler if the subject is subscribed.
func (l *Local) Publish(subject Subject, data []byte) error {
	if l.closed.Load() {
		return ErrClosed
	}
	if subject.Kind != KindAll {
		s := l.shard(subject)
		s.mu.RLock()
		_, ok := s.set[subject]
		s.mu.RUnlock()
		if !ok {
			return nil
		}
	}
	l.handler(subject, data)
	return nil
}

// Subscribe notes that this node wants to hear the subject.
func (l *Local) Subscribe(subject Subject) error {
	if l.closed.Load() {
		return ErrClosed
	}
	if subject.Kind == KindAll {
		return nil
	}
	s := l.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[subject] = struct{}{}
	return nil
}

// Unsubscribe ends a subscription.
func (l *Local) Unsubscribe(subject Subject) error {
	if l.closed.Load() {
		return ErrClosed
	}
	if subject.Kind == KindAll {
		return nil
	}
	s := l.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, subject)
	return nil
}

// Settle has nothing to wait for.
func (l *Local) Settle(context.Context) error {
	if l.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Close ends all subscriptions.
func (l *Local) Close() error {
	l.closed.Store(true)
	return nil
}
