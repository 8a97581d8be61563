package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa

	firstBuffer = 4 << 10
	largeBuffer = 64 << 10 // a buffer that reads fill grows no further than this
	maxFrame    = 16 << 20
)

// conn is the client's end of one WebSocket. It never compresses. Reads belong to one goroutine; queue and flush may be
// called by any. What is queued is bounded by what the caller leaves unanswered: conn itself sets no limit.
type conn struct {
	net net.Conn

	in   []byte // in[r:w] is read and not yet handed out
	r, w int

	mu      sync.Mutex
	out     []byte // frames that wait for the next write
	spare   []byte // the buffer of the write before
	writing bool
	failed  error // of a write: the connection is of no use any more
}

// dial opens the socket at base's /ws; base may begin with http, https, ws or wss. ctx covers the upgrade only.
func dial(ctx context.Context, base string) (*conn, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	secure := u.Scheme == "https" || u.Scheme == "wss"
	port := u.Port()
	if port == "" {
		port = "80"
		if secure {
			port = "443"
		}
	}
	addr := net.JoinHostPort(u.Hostname(), port)
	var nc net.Conn
	if secure {
		// A server that could also speak HTTP/2 must not choose it: there is no upgrade in it.
		nc, err = (&tls.Dialer{Config: &tls.Config{NextProtos: []string{"http/1.1"}}}).DialContext(ctx, "tcp", addr)
	} else {
		nc, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, err // names the address already
	}
	c := &conn{net: nc, in: make([]byte, firstBuffer)}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	err = c.upgrade(u.Host, strings.TrimSuffix(u.EscapedPath(), "/")+"/ws")
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return c, nil
}

func (c *conn) upgrade(host, path string) error {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	key := base64.StdEncoding.EncodeToString(nonce)
	_, err := fmt.Fprintf(c.net, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", path, host, key)
	if err != nil {
		return err
	}
	br := bufio.NewReaderSize(c.net, firstBuffer)
	response, err := http.ReadResponse(br, &http.Request{Method: http.MethodGet})
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return fmt.Errorf("server answers %s %s", response.Status, bytes.TrimSpace(text))
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if response.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return errors.New("server's Sec-WebSocket-Accept is wrong")
	}
	// Frames may have come along with the answer; br's buffer is no larger than in.
	early, _ := br.Peek(br.Buffered())
	c.w = copy(c.in, early)
	return nil
}

// queue adds one frame to what the next write takes along. The payload is copied.
func (c *conn) queue(op byte, payload []byte) {
	c.mu.Lock()
	c.out = appendFrame(c.out, op, payload, mathrand.Uint32())
	c.mu.Unlock()
}

// flush writes what is queued. If a write is under way it returns at once: that writer takes the queued frames along.
func (c *conn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.writing && len(c.out) > 0 && c.failed == nil {
		batch := c.out
		c.out, c.writing = c.spare[:0], true
		c.mu.Unlock()
		_, err := c.net.Write(batch)
		c.mu.Lock()
		c.spare, c.writing, c.failed = batch, false, err
	}
	return c.failed
}

// read returns the payload of the next text or binary frame; it is valid until the next call. It answers pings, and
// flushes before it waits.
func (c *conn) read() ([]byte, error) {
	for {
		op, payload, size, err := parseFrame(c.in[c.r:c.w])
		if err != nil {
			return nil, err
		}
		if size > c.w-c.r {
			if err := c.fill(size); err != nil {
				return nil, err
			}
			continue
		}
		c.r += size
		switch op {
		case opText, opBinary:
			return payload, nil
		case opPing:
			c.queue(opPong, payload)
		case opClose:
			c.queue(opClose, payload)
			c.flush()
			if len(payload) < 2 {
				return nil, errors.New("server closed the socket")
			}
			return nil, fmt.Errorf("server closed the socket: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
		}
	}
}

// fill reads once, after making room for size bytes from r on.
func (c *conn) fill(size int) error {
	if err := c.flush(); err != nil {
		return err
	}
	full := c.w == len(c.in)
	switch want := len(c.in); {
	case size > want || full && want < largeBuffer:
		for want *= 2; want < size; {
			want *= 2
		}
		in := make([]byte, want)
		c.r, c.w, c.in = 0, copy(in, c.in[c.r:c.w]), in
	case c.r == c.w || c.r+size > want:
		c.r, c.w = 0, copy(c.in, c.in[c.r:c.w])
	}
	n, err := c.net.Read(c.in[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// close says goodbye as the real client does, without a code, and drops the connection. A read under way fails.
func (c *conn) close() {
	c.net.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	c.queue(opClose, nil)
	c.flush()
	c.net.Close()
}

// appendFrame appends a whole masked frame. The key's lowest byte comes first.
func appendFrame(b []byte, op byte, payload []byte, key uint32) []byte {
	const masked = 0x80
	b = append(b, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	b = binary.LittleEndian.AppendUint32(b, key)
	start := len(b)
	b = append(b, payload...)
	p := b[start:]
	for wide := uint64(key)<<32 | uint64(key); len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
	}
	for i := range p {
		p[i] ^= byte(key >> (8 * (i & 3)))
	}
	return b
}

// parseFrame looks at the frame that b begins with. size is its length, or, while the header is incomplete, what is
// known to be needed; op and payload (a part of b) are set once len(b) ≥ size. Servers neither mask nor, with no
// extension agreed on, set reserved bits; Stoa does not fragment either, and so a fragment is an error here.
func parseFrame(b []byte) (op byte, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 2, nil
	}
	op = b[0] & 0x0f
	switch {
	case b[0]&0x70 != 0 || b[1]&0x80 != 0:
		return 0, nil, 0, fmt.Errorf("read frame: header %x from a server", b[:2])
	case b[0]&0x80 == 0 || op == 0:
		return 0, nil, 0, errors.New("read frame: fragmented")
	case op > opBinary && op < opClose || op > opPong:
		return 0, nil, 0, fmt.Errorf("read frame: unknown kind %d", op)
	}
	head, length := 2, uint64(b[1])
	switch length {
	case 126:
		head = 4
		if len(b) < head {
			return 0, nil, head, nil
		}
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		head = 10
		if len(b) < head {
			return 0, nil, head, nil
		}
		length = binary.BigEndian.Uint64(b[2:])
	}
	if length > maxFrame {
		return 0, nil, 0, fmt.Errorf("read frame: %d bytes are more than %d", length, maxFrame)
	}
	if op >= opClose && length > 125 {
		return 0, nil, 0, fmt.Errorf("read frame: control frame of %d bytes", length)
	}
	size = head + int(length)
	if len(b) < size {
		return 0, nil, size, nil
	}
	return op, b[head:size], size, nil
}
