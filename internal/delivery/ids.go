package delivery

import (
	"sync"
	"time"
)

// idEpoch is the beginning of the time in ids, in milliseconds since 1970: 2020-01-01.
const idEpoch = 1577836800000

const (
	nodeBits    = 10
	counterBits = 12
)

// IDs makes message ids: 41 bits of milliseconds, 10 of the node, 12 of a counter, so always positive in 64 bits. They
// only rise, whatever the machine's clock does; the floor of the node's lease keeps them rising over restarts.
type IDs struct {
	node int64
	now  func() time.Time

	mu   sync.Mutex
	last int64 // milliseconds since idEpoch
	next int64 // counter
}

// NewIDs makes ids for a node (0 to 1023), all of a later millisecond than floor (since 1970).
func NewIDs(node int, floor int64) *IDs {
	return &IDs{node: int64(node), now: time.Now, last: max(floor-idEpoch, 0), next: 1 << counterBits}
}

// Next returns a new id. It never waits: when a millisecond's ids are used up it takes those of the next one.
func (g *IDs) Next() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.now().UnixMilli() - idEpoch; now > g.last {
		g.last, g.next = now, 0
	} else if g.next >= 1<<counterBits {
		g.last, g.next = g.last+1, 0
	}
	id := g.last<<(nodeBits+counterBits) | g.node<<counterBits | g.next
	g.next++
	return id
}

// Last returns the millisecond since 1970 up to which ids have been used.
func (g *IDs) Last() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last + idEpoch
}

// NodeOf returns the node that has made an id.
func NodeOf(id int64) int { return int(id >> counterBits & (1<<nodeBits - 1)) }

// TimeOf returns the millisecond since 1970 in which an id was made, by the clock of its node.
func TimeOf(id int64) int64 { return id>>(nodeBits+counterBits) + idEpoch }

// IDAt returns an id below all that are made in a millisecond (since 1970) and later.
func IDAt(at int64) int64 { return max(at-idEpoch, 0)<<(nodeBits+counterBits) - 1 }
