package cluster

import (
	"io"
	"net"
	"sync"
)

// Way leads TCP connections to an address that may change, and can be cut. It is safe for concurrent use.
type Way struct {
	listener net.Listener
	target   func() string

	mu     sync.Mutex
	cut    bool
	conns  map[net.Conn]bool
	copies sync.WaitGroup
}

// NewWay listens on a port of its own; target is asked for each connection.
func NewWay(target func() string) (*Way, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Way{listener: listener, target: target, conns: map[net.Conn]bool{}}
	w.copies.Go(w.accept)
	return w, nil
}

// Address returns where it listens, host:port.
func (w *Way) Address() string { return w.listener.Addr().String() }

func (w *Way) accept() {
	for {
		from, err := w.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", w.target())
		if err != nil {
			from.Close()
			continue
		}
		w.mu.Lock()
		if w.cut {
			from.Close()
			to.Close()
		} else {
			w.conns[from], w.conns[to] = true, true
			w.copies.Go(func() { w.copy(from, to) })
			w.copies.Go(func() { w.copy(to, from) })
		}
		w.mu.Unlock()
	}
}

func (w *Way) copy(from, to net.Conn) {
	io.Copy(to, from) // how it ends does not matter: then both ends are closed
	from.Close()
	to.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, from)
	delete(w.conns, to)
}

// Cut ends all connections, and from now on each new one at once.
func (w *Way) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for conn := range w.conns {
		conn.Close()
	}
}

// Heal lets new connections through again.
func (w *Way) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

// Close ends everything.
func (w *Way) Close() {
	w.listener.Close()
	w.Cut()
	w.copies.Wait()
}
