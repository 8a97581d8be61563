package limit

import (
	"testing"
	"time"
)

func TestABucketGivesABurstAndThenItsRate(t *testing.T) {
	var b Buckets[string]
	now := time.Unix(1_700_000_000, 0)
	take := func(key string) (n int) {
		for b.Allow(key, 2, 5, now) {
			n++
		}
		return n
	}
	if n := take("a"); n != 5 {
		t.Errorf("the burst is %d", n)
	}
	b.Return("a", 2, 5, now)
	if n := take("a"); n != 1 {
		t.Errorf("after one was put back there are %d", n)
	}
	b.Return("b", 2, 5, now)
	if n := take("b"); n != 5 {
		t.Errorf("a full bucket holds %d", n)
	}
	now = now.Add(time.Second)
	if n := take("a"); n != 2 {
		t.Errorf("after a second there are %d", n)
	}
	if n := take("c"); n != 5 {
		t.Errorf("the burst of another is %d", n)
	}
	now = now.Add(time.Second)
	first, second, third := b.Allow("a", 100, 100, now), b.Allow("a", 100, 100, now), b.Allow("a", 100, 100, now)
	if !first || !second || third {
		t.Error("a new rate counts for what is past")
	}
}

func TestBucketsThatAreFullAreForgotten(t *testing.T) {
	var b Buckets[int]
	now := time.Unix(1_700_000_000, 0)
	for key := range maxBuckets {
		b.Allow(key, 1, 1, now)
	}
	now = now.Add(time.Hour)
	b.Allow(1, 1, 1, now)
	b.Allow(maxBuckets, 1, 1, now)
	if n := len(b.buckets); n != 2 {
		t.Errorf("%d are remembered", n)
	}
	if b.Allow(1, 1, 1, now) {
		t.Error("one that is not full was forgotten")
	}
}
