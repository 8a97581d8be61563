package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// slowConn is a connection whose writes the test lets through one at a time.
type slowConn struct {
	net.Conn
	writes chan []byte   // each write, when it begins
	let    chan error    // what it returns
	closed chan struct{} // closed by Close
}

func newSlowConn() *slowConn {
	return &slowConn{writes: make(chan []byte), let: make(chan error), closed: make(chan struct{})}
}

func (c *slowConn) Write(b []byte) (int, error) {
	select {
	case c.writes <- bytes.Clone(b):
	case <-c.closed:
		return 0, net.ErrClosed
	}
	select {
	case err := <-c.let:
		return len(b), err
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *slowConn) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}

func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

// soon fails the test if what it waits for does not come.
func soon[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not happen", what)
	}
	return v
}

// never fails the test if something has happened.
func never[T any](t *testing.T, what string, c <-chan T) {
	t.Helper()
	select {
	case <-c:
		t.Fatalf("%s happened", what)
	default:
	}
}

// payloads takes written bytes apart.
func payloads(t *testing.T, b []byte) (all []string) {
	t.Helper()
	for r := bytes.NewReader(b); r.Len() > 0; {
		f, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(f.Payload))
	}
	return all
}

func TestFramesThatBecomeReadyDuringAWriteShareTheNextOne(t *testing.T) {
	conn := newSlowConn()
	o := newOutbox(conn)
	defer o.close()
	o.queue([]byte("first"), false)
	o.flush()
	if got := payloads(t, soon(t, "the first write", conn.writes)); len(got) != 1 || got[0] != "first" {
		t.Fatalf("the first write holds %q", got)
	}
	for _, text := range []string{"a", "b", "c"} {
		o.queue([]byte(text), false)
		o.flush()
	}
	never(t, "a second write beside the first", conn.writes)
	conn.let <- nil
	if got := payloads(t, soon(t, "the second write", conn.writes)); len(got) != 3 || got[0] != "a" || got[1] != "b" || got[2] != "c" {
		t.Errorf("the second write holds %q", got)
	}
	conn.let <- nil
	o.queue([]byte("last"), false)
	o.flush()
	soon(t, "a write after a rest", conn.writes)
	conn.let <- nil
}

func TestNothingIsWrittenBeforeAFlush(t *testing.T) {
	conn := newSlowConn()
	o := newOutbox(conn)
	defer o.close()
	o.queue([]byte("x"), false)
	never(t, "a write", conn.writes)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing {
		t.Error("a write was begun")
	}
}

func TestAFullOutboxRefusesWhatIsNotForced(t *testing.T) {
	conn := newSlowConn()
	o := newOutbox(conn)
	defer o.close()
	frame := make([]byte, outboxLimit/4)
	accepted := 0
	for o.queue(frame, false) {
		if accepted++; accepted > 10 {
			t.Fatal("the outbox has no limit")
		}
	}
	if accepted != 4 {
		t.Errorf("%d quarters of the limit were taken", accepted)
	}
	if !o.queue([]byte("notice"), true) {
		t.Error("a forced frame was refused")
	}
	o.flush()
	got := payloads(t, soon(t, "the write", conn.writes))
	if len(got) != accepted+1 || got[accepted] != "notice" {
		t.Errorf("%d frames were written", len(got))
	}
	if !o.queue(frame, false) {
		t.Error("a frame was refused although nothing but the write under way waits")
	}
	conn.let <- nil
	soon(t, "the second write", conn.writes)
	conn.let <- nil
}

func TestWaitHoldsUpUntilLessThanTheLimitWaits(t *testing.T) {
	conn := newSlowConn()
	o := newOutbox(conn)
	defer o.close()
	o.wait() // nothing to wait for
	frame := make([]byte, outboxLimit/4)
	for o.queue(frame, false) {
	}
	waited := make(chan struct{})
	go func() {
		o.wait() // nobody has flushed: it must see to the write itself
		close(waited)
	}()
	soon(t, "a write", conn.writes)
	o.queue([]byte("more"), false)
	conn.let <- nil
	// The second write is under way: the peer reads, slowly, and what waits is little.
	soon(t, "the second write", conn.writes)
	soon(t, "the end of the wait", waited)
	conn.let <- nil
}

func TestCloseEndsWritesAndWaits(t *testing.T) {
	conn := newSlowConn()
	o := newOutbox(conn)
	o.queue([]byte("x"), false)
	o.flush()
	soon(t, "a write", conn.writes)
	for o.queue(make([]byte, outboxLimit/2), false) {
	}
	waited := make(chan struct{})
	go func() {
		o.wait()
		close(waited)
	}()
	o.close()
	soon(t, "the end of the wait", waited)
	o.queue([]byte("y"), true)
	o.flush()
	o.drainNow()
	o.close()
	soon(t, "the end of the connection", conn.closed)
}

func TestAFailedWriteClosesTheConnection(t *testing.T) {
	conn := newSlowConn()
	o := newOutbox(conn)
	o.queue([]byte("x"), false)
	o.flush()
	soon(t, "the write", conn.writes)
	o.queue([]byte("y"), false)
	conn.let <- errors.New("broken")
	soon(t, "the end of the connection", conn.closed)
	o.flush()
}

func TestDrainNowHasWrittenWhenItReturns(t *testing.T) {
	server, client := tcpPair(t)
	o := newOutbox(server)
	o.control(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	o.drainNow()
	o.close()
	all, err := io.ReadAll(client)
	if err != nil || len(all) != 4 {
		t.Errorf("the peer got %x, %v", all, err)
	}
}

func TestDrainNowWaitsForAWriteUnderWay(t *testing.T) {
	conn := newSlowConn()
	o := newOutbox(conn)
	o.queue([]byte("x"), false)
	o.flush()
	soon(t, "the write", conn.writes)
	o.control(ws.OpClose, nil)
	drained := make(chan struct{})
	go func() {
		o.drainNow()
		close(drained)
	}()
	never(t, "the end", drained)
	conn.let <- nil
	soon(t, "the second write", conn.writes)
	never(t, "the end", drained)
	conn.let <- nil
	soon(t, "the end", drained)
	o.close()
}

// A peer that does not read costs the limit and what the kernel holds, and no goroutine once it is closed.
func TestAPeerThatDoesNotReadIsBounded(t *testing.T) {
	server, _ := tcpPair(t)
	o := newOutbox(server)
	frame := make([]byte, 8*1024)
	queued := 0
	for o.queue(frame, false) {
		if queued += len(frame); queued > 64<<20 {
			t.Fatal("64 MiB were taken for a peer that does not read")
		}
		o.flush()
	}
	o.close()
}

func TestSockJSOutboxWritesTextFrames(t *testing.T) {
	server, client := tcpPair(t)
	o := newOutbox(server)
	o.sockJS = true
	o.queue([]byte{0x40, 0x02}, false)
	o.drainNow()
	f, err := readFrame(client)
	if err != nil || f.Header.OpCode != ws.OpText || string(f.Payload) != `a["QAI="]` {
		t.Errorf("written as %v %s, %v", f.Header.OpCode, f.Payload, err)
	}
	o.close()
}
