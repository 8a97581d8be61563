package heap

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"
)

func TestGarbageHasRoomByWhatIsInUse(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 24 << 20: 400, 48 << 20: 200, 72 << 20: 133, 96 << 20: 100, 64 << 30: 100} {
		if got := percent(live); got != want {
			t.Errorf("%d MiB in use: %d %%, want %d", live>>20, got, want)
		}
	}
}

func TestRoomIsGivenBackAtRest(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name string
		live uint64
		made []uint64 // in each interval
		want []int    // the intervals in which it rests
	}{
		{"after work", 10 * mib, []uint64{50 * mib, 0, 0, 0, 0, 0, 0, 0}, []int{3}},
		{"after a little work", 10 * mib, []uint64{7 * mib, 0, 0, 0, 0, 0}, nil},
		{"after what is little work to a large one", 1024 * mib, []uint64{500 * mib, 0, 0, 0, 0}, nil},
		{"at work", 10 * mib, []uint64{2 * mib, 2 * mib, 2 * mib, 2 * mib, 2 * mib, 2 * mib}, nil},
		{"work between", 10 * mib, []uint64{50 * mib, 0, 2 * mib, 0, 0, 0}, []int{5}},
		{"hardly any work", 10 * mib, []uint64{mib, mib, mib, mib, mib, mib, mib, mib, mib, mib}, []int{8}},
		{"what is hardly any work to a large one", 1024 * mib, []uint64{600 * mib, 4 * mib, 4 * mib, 4 * mib}, []int{3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &watch{}
			var rested []int
			allocated := uint64(0)
			for i, made := range test.made {
				allocated += made
				if w.next(reading{live: test.live, allocated: allocated}) {
					rested = append(rested, i+1)
				}
			}
			if !slices.Equal(rested, test.want) {
				t.Errorf("it rests in the intervals %v, want %v", rested, test.want)
			}
		})
	}
}

func TestThePercentageFollowsWhatIsInUse(t *testing.T) {
	t.Setenv("GOGC", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	Keep(ctx)
	used := make([]byte, 512<<20)
	defer runtime.KeepAlive(used)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		now := debug.SetGCPercent(most)
		debug.SetGCPercent(now)
		if now == least {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("with 512 MiB in use it is %d", now)
		}
	}
}

func TestARealHeapIsGivenBack(t *testing.T) {
	t.Setenv("GOGC", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	Keep(ctx)
	used := make([]byte, 256<<20)
	for i := 0; i < len(used); i += 4096 {
		used[i] = 1
	}
	runtime.KeepAlive(used)
	used = nil
	held := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		metrics.Read(held)
		if n := held[0].Value.Uint64() + held[1].Value.Uint64(); n < 32<<20 {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d MiB are held", n>>20)
		}
	}
}
