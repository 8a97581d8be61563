// Package heap keeps the memory of a server's process: much room for garbage while there is work, which is then collected
// seldom, and none at rest.
//
// Go's default lets the garbage grow to the size of what is in use before it collects. A chat server has little in use and
// makes much garbage, so it would spend a third of its time on collecting; and after a rush it would hold on to the room
// that the rush needed.
package heap

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	interval = time.Second
	// Garbage may grow to four times what is in use, but only up to plenty, and to once what is in use however much that is.
	most, least = 400, 100 // percent
	plenty      = 512 << 20
	// At rest is who makes less garbage in an interval than calm, and 1/256 of what is in use, for some intervals.
	calm       = 1 << 20
	calmShare  = 256
	restsAfter = 3
	// Room that is not in use is given back if it is more than this, and half of what is in use.
	spare      = 8 << 20
	spareShare = 2
)

// reading is the state of the heap, in bytes.
type reading struct {
	live      uint64 // in use at the last collection
	held      uint64 // live, garbage, and free room that the system has not got back
	allocated uint64 // since the start of the process
}

// keeper decides what to do from one reading to the next.
type keeper struct {
	percent   int
	allocated uint64
	calm      int // intervals
}

// next returns the percentage of garbage to what is in use at which to collect, and whether to collect now and to give
// back what is free.
func (k *keeper) next(r reading) (percent int, rest bool) {
	live := max(r.live, 1)
	k.percent = int(min(max(plenty*100/live, least), most))
	if r.allocated-k.allocated < calm+live/calmShare {
		k.calm++
	} else {
		k.calm = 0
	}
	k.allocated = r.allocated
	if k.calm < restsAfter || r.held < r.live+max(spare, live/spareShare) {
		return k.percent, false
	}
	k.calm = 0
	return k.percent, true
}

// Keep keeps the heap of the process until the context ends. It does nothing if the environment says by GOGC how to collect
// garbage.
func Keep(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(most)
	go func() {
		k := keeper{percent: most}
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			before := k.percent
			percent, rest := k.next(read())
			if percent != before { // it stops the world for a moment
				debug.SetGCPercent(percent)
			}
			if rest {
				debug.FreeOSMemory()
			}
		}
	}()
}

func read() reading {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(samples)
	at := func(i int) uint64 { return samples[i].Value.Uint64() }
	return reading{live: at(0), allocated: at(1), held: at(2) + at(3) + at(4)}
}
