package gateway

import (
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

const (
	// outboxLimit is how much may wait for a client that does not read: past it, new entries are not pushed, and the
	// client is told to pull them when it reads again.
	outboxLimit = 1 << 20
	// outboxKeep is the largest buffer that is kept for later.
	outboxKeep = 64 * 1024
)

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4*1024); return &b }}

// outbox collects the frames that become ready while a write is under way and sends them with the next one system call.
// It has no goroutine of its own: whoever finds the connection at rest starts one for the burst.
type outbox struct {
	conn   net.Conn
	sockJS bool

	mu      sync.Mutex
	drained *sync.Cond // after each write, and at the end
	pending *[]byte
	writing bool
	last    bool // nothing is added any more
	closed  bool
}

func newOutbox(conn net.Conn) *outbox {
	o := &outbox{conn: conn}
	o.drained = sync.NewCond(&o.mu)
	return o
}

// queue adds a frame. It refuses when too much waits, unless forced.
func (o *outbox) queue(frame []byte, force bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !force && o.pending != nil && len(*o.pending) > outboxLimit {
		return false
	}
	if o.sockJS {
		o.add(func(b []byte) []byte { return appendSockJS(b, frame) })
	} else {
		o.add(func(b []byte) []byte { return appendFrame(b, ws.OpBinary, frame) })
	}
	return true
}

// control adds a frame that is not part of the chat protocol.
func (o *outbox) control(opcode ws.OpCode, payload []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.add(func(b []byte) []byte { return appendFrame(b, opcode, payload) })
}

func (o *outbox) add(extend func([]byte) []byte) {
	if o.closed || o.last {
		return
	}
	if o.pending == nil {
		o.pending = writeBuffers.Get().(*[]byte)
	}
	*o.pending = extend(*o.pending)
}

// flush starts a write if there is something to write and none under way.
func (o *outbox) flush() {
	o.mu.Lock()
	start := !o.writing && o.pending != nil
	o.writing = o.writing || start
	o.mu.Unlock()
	if start {
		go o.drain()
	}
}

// drain writes until nothing is pending.
func (o *outbox) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.pending != nil && !o.closed {
		batch := o.pending
		o.pending = nil
		o.mu.Unlock()
		_, err := o.conn.Write(*batch)
		if cap(*batch) <= outboxKeep {
			*batch = (*batch)[:0]
			writeBuffers.Put(batch)
		}
		o.mu.Lock()
		o.drained.Broadcast()
		if err != nil {
			o.closed = true
			o.conn.Close() // the reader finds out and cleans up
		}
	}
	o.writing = false
	o.drained.Broadcast()
	if half, ok := o.conn.(interface{ CloseWrite() error }); ok && o.last && !o.closed {
		half.CloseWrite()
	}
}

// finish writes what waits, takes nothing more, and ends the connection in this direction: the client need not wait for
// us to end it in the other.
func (o *outbox) finish() {
	o.mu.Lock()
	o.last = true
	start := !o.writing
	o.writing = true
	o.mu.Unlock()
	if start {
		go o.drain()
	}
}

// drainNow returns when all that waits is written, or after closeTime.
func (o *outbox) drainNow() {
	o.conn.SetWriteDeadline(time.Now().Add(closeTime))
	o.mu.Lock()
	for o.writing && !o.closed {
		o.drained.Wait()
	}
	start := o.pending != nil && !o.closed
	o.writing = o.writing || start
	o.mu.Unlock()
	if start {
		o.drain()
	}
}

// wait holds up the caller while too much waits, so that a client that does not read is not read from.
func (o *outbox) wait() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.pending != nil && len(*o.pending) > outboxLimit && !o.closed {
		if !o.writing {
			o.writing = true
			go o.drain()
		}
		o.drained.Wait()
	}
}

// close ends the outbox and the connection. What waits is lost.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	if o.pending != nil && !o.writing {
		o.pending = nil
	}
	o.drained.Broadcast()
	o.mu.Unlock()
	o.conn.Close()
}
