// Package limit bounds how often something may happen, for many keys at once.
package limit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds what is remembered. Who has not been seen for a while goes first.
const maxBuckets = 100_000

// Buckets holds a token bucket for each key. The zero value is ready for use.
type Buckets[K comparable] struct {
	mu      sync.Mutex
	buckets map[K]*rate.Limiter
}

// Allow takes a token out of the key's bucket, which holds up to burst and is filled with perSecond, and reports whether
// there was one. What changes of the numbers holds from then on.
func (b *Buckets[K]) Allow(key K, perSecond float64, burst int, now time.Time) bool {
	return b.bucket(key, perSecond, burst, now).AllowN(now, 1)
}

// Return puts a token back that Allow took.
func (b *Buckets[K]) Return(key K, perSecond float64, burst int, now time.Time) {
	b.bucket(key, perSecond, burst, now).AllowN(now, -1)
}

func (b *Buckets[K]) bucket(key K, perSecond float64, burst int, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.buckets[key]
	if !ok {
		b.makeRoom(now)
		l = rate.NewLimiter(rate.Limit(perSecond), burst)
		b.buckets[key] = l
		return l
	}
	if l.Limit() != rate.Limit(perSecond) || l.Burst() != burst {
		l.SetLimitAt(now, rate.Limit(perSecond))
		l.SetBurstAt(now, burst)
	}
	return l
}

// makeRoom drops the buckets that are full, which are as good as new ones; if there are none, all.
func (b *Buckets[K]) makeRoom(now time.Time) {
	if b.buckets == nil {
		b.buckets = map[K]*rate.Limiter{}
	}
	if len(b.buckets) < maxBuckets {
		return
	}
	for key, l := range b.buckets {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(b.buckets, key)
		}
	}
	if len(b.buckets) >= maxBuckets {
		clear(b.buckets)
	}
}
