// Package cache answers the message path without a query.
package cache

import (
	"sync"
	"time"
)

const (
	life = 5 * time.Second // bounds what a lost word of a change can cost
	size = 100_000
)

// Cache holds what was read of up to 100,000 keys, for five seconds each. The zero value is ready for use. Changes are
// heard over the bus: who hears of one calls Forget.
type Cache[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]entry[V]
	changes uint64 // so that a read that began before a change is not kept after it
}

type entry[V any] struct {
	value V
	at    time.Time
}

// Get returns what is known of a key, or else what read returns. The errors are those of read; they are not kept. No lock
// is held while it reads.
func (c *Cache[K, V]) Get(key K, read func() (V, error)) (V, error) {
	c.mu.Lock()
	cached, ok := c.entries[key]
	c.mu.Unlock()
	// The machine's clock: what is cached ages also where the app's time stands still or jumps.
	if ok && time.Since(cached.at) < life {
		return cached.value, nil
	}
	return c.Refresh(key, read)
}

// Refresh returns what read returns, and has it known from now on. The errors are those of read. No lock is held while it
// reads.
func (c *Cache[K, V]) Refresh(key K, read func() (V, error)) (V, error) {
	c.mu.Lock()
	changes := c.changes
	c.mu.Unlock()
	value, err := read()
	if err != nil {
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == changes {
		if c.entries == nil {
			c.entries = map[K]entry[V]{}
		} else if len(c.entries) >= size {
			clear(c.entries)
		}
		c.entries[key] = entry[V]{value, time.Now()}
	}
	return value, nil
}

// Forget drops what is known of keys, and what is being read of any.
func (c *Cache[K, V]) Forget(keys ...K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	for _, key := range keys {
		delete(c.entries, key)
	}
}
