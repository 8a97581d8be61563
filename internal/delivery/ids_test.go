package delivery

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestIDsOnlyRiseWhateverTheClockDoes(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	ids := NewIDs(5, 0)
	ids.now = func() time.Time { return now }
	last := int64(0)
	next := func() int64 {
		t.Helper()
		id := ids.Next()
		if id <= last {
			t.Fatalf("%d comes after %d", id, last)
		}
		if node := id >> counterBits & (1<<nodeBits - 1); node != 5 {
			t.Fatalf("%d was made by node %d", id, node)
		}
		last = id
		return id
	}
	first := next()
	if at := first>>(nodeBits+counterBits) + idEpoch; at != now.UnixMilli() {
		t.Errorf("the id's time is %d", at)
	}
	for range 3 << counterBits { // more than a millisecond has
		next()
	}
	now = now.Add(-time.Hour)
	for range 10 {
		next()
	}
	if got := ids.Last(); got < 1_800_000_000_000+2 {
		t.Errorf("ids are said to be used up to %d", got)
	}
	now = now.Add(2 * time.Hour)
	if at := next()>>(nodeBits+counterBits) + idEpoch; at != now.UnixMilli() {
		t.Errorf("after the clock has caught up the id's time is %d", at)
	}
}

func TestIDsBeginAfterTheFloor(t *testing.T) {
	for _, floor := range []int64{0, idEpoch, time.Now().UnixMilli() + 1_000_000} {
		ids := NewIDs(0, floor)
		if at := ids.Next()>>(nodeBits+counterBits) + idEpoch; at <= floor {
			t.Errorf("above the floor %d the first id is of %d", floor, at)
		}
	}
}

func TestIDsOfManyGoroutinesAndNodesDiffer(t *testing.T) {
	var mu sync.Mutex
	var all []int64
	var wait sync.WaitGroup
	for _, ids := range []*IDs{NewIDs(0, 0), NewIDs(1023, 0)} {
		for range 4 {
			wait.Go(func() {
				var mine []int64
				for range 3000 {
					mine = append(mine, ids.Next())
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, mine...)
			})
		}
	}
	wait.Wait()
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) || all[0] <= 0 {
		t.Errorf("%d of %d ids differ; the smallest is %d", n, len(all), all[0])
	}
}

func TestIDsTellTheirNodeAndTime(t *testing.T) {
	ids := NewIDs(1000, 0)
	before := time.Now().UnixMilli()
	id := ids.Next()
	if NodeOf(id) != 1000 {
		t.Errorf("the node of %d is %d", id, NodeOf(id))
	}
	if IDAt(before) >= id || IDAt(ids.Last()+1) <= id {
		t.Errorf("%d is not between %d and %d", id, IDAt(before), IDAt(ids.Last()+1))
	}
	if IDAt(0) >= 1 {
		t.Errorf("the id before all is %d", IDAt(0))
	}
}
