package heap

import (
	"context"
	"runtime"
	"testing"
	"time"
)

func TestGarbageHasRoomByWhatIsInUse(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 128 << 20: 400, 256 << 20: 200, 384 << 20: 133, 512 << 20: 100, 64 << 30: 100} {
		k := &keeper{}
		if percent, _ := k.next(reading{live: live, held: live}); percent != want {
			t.Errorf("%d MiB in use: %d %%, want %d", live>>20, percent, want)
		}
	}
}

func TestRoomIsGivenBackAtRest(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name       string
		live, held uint64
		made       []uint64 // in each interval
		want       int      // the interval in which it rests; 0: in none
	}{
		{"idle with garbage", 10 * mib, 50 * mib, []uint64{0, 0, 0, 0}, 3},
		{"idle with little garbage", 10 * mib, 17 * mib, []uint64{0, 0, 0, 0}, 0},
		{"idle with little garbage for its size", 100 * mib, 149 * mib, []uint64{0, 0, 0, 0}, 0},
		{"a little work", 10 * mib, 50 * mib, []uint64{mib, mib, mib}, 3},
		{"work", 10 * mib, 50 * mib, []uint64{2 * mib, 2 * mib, 2 * mib, 2 * mib}, 0},
		{"work between", 10 * mib, 50 * mib, []uint64{0, 0, 2 * mib, 0, 0, 0}, 6},
		{"what is little work to a large one", 1024 * mib, 2048 * mib, []uint64{4 * mib, 4 * mib, 4 * mib}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := &keeper{}
			rested, allocated := 0, uint64(0)
			for i, made := range test.made {
				allocated += made
				if _, rest := k.next(reading{live: test.live, held: test.held, allocated: allocated}); rest && rested == 0 {
					rested = i + 1
				}
			}
			if rested != test.want {
				t.Errorf("it rests in interval %d, want %d", rested, test.want)
			}
		})
	}
}

func TestARealHeapIsGivenBack(t *testing.T) {
	t.Setenv("GOGC", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	Keep(ctx)
	garbage := make([]byte, 64<<20)
	runtime.KeepAlive(garbage)
	garbage = nil
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if r := read(); r.held < r.live+spare {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d MiB are held, %d in use", r.held>>20, r.live>>20)
		}
	}
}
