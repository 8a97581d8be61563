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
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	interval = 500 * time.Millisecond
	// Garbage may grow to four times what is in use, but only up to plenty, and to once what is in use however much that is.
	most, least = 400, 100 // percent
	plenty      = 96 << 20
	// At rest is who makes less garbage in an interval than calm, and 1/256 of what is in use, for some intervals.
	calm       = 1 << 20
	calmShare  = 256
	restsAfter = 2
	// It collects if it has made more garbage than this since it did, and half of what is in use.
	spare      = 8 << 20
	spareShare = 2
)

// percent returns by how much garbage may exceed what is in use.
func percent(live uint64) int { return int(min(max(plenty*100/max(live, 1), least), most)) }

// reading is the state of the heap, in bytes.
type reading struct {
	live      uint64 // in use at the last collection
	allocated uint64 // since the start of the process
}

// watch looks from one reading to the next whether the process is at rest.
type watch struct {
	allocated uint64
	rested    uint64 // what was allocated by then
	calm      int    // intervals
}

// next reports whether to collect now and to give back what is free.
func (w *watch) next(r reading) bool {
	if r.allocated-w.allocated < calm+r.live/calmShare {
		w.calm++
	} else {
		w.calm = 0
	}
	w.allocated = r.allocated
	if w.calm < restsAfter || r.allocated-w.rested < max(spare, r.live/spareShare) {
		return false
	}
	w.calm, w.rested = 0, r.allocated
	return true
}

// Keep lets garbage grow to four times what is in use, up to 96 MiB, before it is collected, and collects it and gives the
// memory back after a second with next to nothing to do, until the context ends. It is for the whole process, and changes
// nothing if the environment says by GOGC how to collect. It returns at once and cannot fail.
func Keep(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(most)
	adapt(ctx, most)
	go func() {
		w := watch{allocated: read().allocated}
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if w.next(read()) {
				runtime.GC() // each collection halves stacks that have become larger than they need to be
				runtime.GC()
				debug.FreeOSMemory()
			}
		}
	}()
}

// adapt sets the percentage after each collection: in a rush, what is in use grows tenfold from one to the next.
func adapt(ctx context.Context, now int) {
	type mark struct{ _ [16]byte } // of its own block, so that each collection finds it
	runtime.AddCleanup(&mark{}, func(now int) {
		if ctx.Err() != nil {
			return
		}
		next := percent(read().live)
		if next != now { // it stops the world for a moment
			debug.SetGCPercent(next)
		}
		adapt(ctx, next)
	}, now)
}

func read() reading {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return reading{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}
