package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestQuantilesAgreeWithSortedData(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, test := range []struct {
		name string
		next func() time.Duration
	}{
		{"a few microseconds", func() time.Duration { return time.Duration(random.IntN(50_000)) }},
		{"even up to a second", func() time.Duration { return time.Duration(random.Int64N(int64(time.Second))) }},
		{"from microseconds to hours", func() time.Duration {
			return time.Duration(math.Exp(random.Float64()*math.Log(float64(10*time.Hour)/1e3))) * time.Microsecond
		}},
		{"mostly quick with a slow tail", func() time.Duration {
			d := time.Millisecond + time.Duration(random.IntN(1e5))
			if random.IntN(100) == 0 {
				d *= 300
			}
			return d
		}},
		{"always the same", func() time.Duration { return 12345 * time.Microsecond }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var h histogram
			data := make([]time.Duration, 10_000)
			for i := range data {
				data[i] = test.next()
				h.add(data[i])
			}
			slices.Sort(data)
			c := h.counts()
			if got := c.total(); got != uint64(len(data)) {
				t.Errorf("total = %d, want %d", got, len(data))
			}
			for _, q := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.999, 1} {
				want := data[max(1, int(math.Ceil(q*float64(len(data)))))-1]
				got := c.quantile(q)
				if off := (got - want).Abs(); off > max(time.Microsecond, want/128+1) {
					t.Errorf("quantile(%g) = %v, want %v: off by %v", q, got, want, off)
				}
			}
		})
	}
}

func TestEveryDurationFallsIntoABucketThatHoldsIt(t *testing.T) {
	last := -1
	for v := uint64(0); v < 1<<36; v = v + 1 + v/1000 {
		d := time.Duration(v) * time.Microsecond
		i := bucketOf(d)
		if i < last || i > last+1 {
			t.Fatalf("bucket of %v is %d after %d", d, i, last)
		}
		last = i
		if off := (bucketMiddle(i) - d).Abs(); off > max(time.Microsecond, d/128+1) {
			t.Fatalf("bucket %d stands for %v, which is %v from %v", i, bucketMiddle(i), off, d)
		}
	}
	if last != buckets-1 {
		t.Errorf("the last bucket used is %d of %d", last, buckets)
	}
	if i := bucketOf(math.MaxInt64); i != buckets-1 {
		t.Errorf("the longest duration is in bucket %d", i)
	}
	if i := bucketOf(-1); i != 0 {
		t.Errorf("a negative duration is in bucket %d", i)
	}
}

func TestWhatHappenedBetweenTwoCountsIsTheirDifference(t *testing.T) {
	var h histogram
	h.add(time.Second)
	before := h.counts()
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			for range 1000 {
				h.add(time.Millisecond)
			}
		})
	}
	adding.Wait()
	d := h.counts().since(before)
	if got := d.total(); got != 4000 {
		t.Errorf("total = %d, want 4000", got)
	}
	if got := d.quantile(1); got > 2*time.Millisecond {
		t.Errorf("the largest is %v: an earlier value is in the difference", got)
	}
	if got := new(counts).quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing = %v", got)
	}
}

func TestTheMedianOfThreeIsTheSecond(t *testing.T) {
	var h histogram
	for _, ms := range []time.Duration{30, 10, 20} {
		h.add(ms * time.Millisecond)
	}
	if got := h.counts().quantile(0.5).Round(time.Millisecond); got != 20*time.Millisecond {
		t.Errorf("median %v", got)
	}
}

func TestAddingToAHistogramDoesNotAllocate(t *testing.T) {
	var h histogram
	if n := testing.AllocsPerRun(100, func() { h.add(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
