package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// A power of two is cut into 64 buckets, so that a bucket is at most 1/64 of its value wide.
	subBits = 6
	// Microseconds up to 2^36, which is 19 hours; what is longer counts as that.
	buckets = (36 - subBits + 1) << subBits
)

// histogram counts durations in buckets of 1 µs, or 1.6 % where that is more. It is safe for concurrent use, and adding
// does not allocate. It only grows: what happened in between is the difference of two counts.
type histogram struct {
	bucket [buckets]atomic.Uint64
}

func (h *histogram) add(d time.Duration) { h.bucket[bucketOf(d)].Add(1) }

// counts is what a histogram holds at a moment.
type counts [buckets]uint64

func (h *histogram) counts() *counts {
	c := new(counts)
	for i := range h.bucket {
		c[i] = h.bucket[i].Load()
	}
	return c
}

// since is what c has more than an earlier one.
func (c *counts) since(earlier *counts) *counts {
	d := new(counts)
	for i := range c {
		d[i] = c[i] - earlier[i]
	}
	return d
}

func (c *counts) total() (n uint64) {
	for _, k := range c {
		n += k
	}
	return n
}

// quantile is the smallest recorded value, to within half a bucket, that at least q (0 to 1) of all are not above; 0
// if there is none.
func (c *counts) quantile(q float64) time.Duration {
	rank := max(1, uint64(math.Ceil(q*float64(c.total()))))
	var seen uint64
	for i, k := range c {
		if seen += k; seen >= rank {
			return bucketMiddle(i)
		}
	}
	return 0
}

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0)) / uint64(time.Microsecond)
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return min((shift+1)<<subBits|int(v>>shift)&(1<<subBits-1), buckets-1)
}

func bucketMiddle(i int) time.Duration {
	low, width := uint64(i), uint64(1)
	if i >= 1<<subBits {
		shift := i>>subBits - 1
		low, width = uint64(1<<subBits|i&(1<<subBits-1))<<shift, 1<<shift
	}
	return time.Duration(low)*time.Microsecond + time.Duration(width)*time.Microsecond/2
}
