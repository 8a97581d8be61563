package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pipe is a conn and the server's end of it.
func pipe(t testing.TB) (*conn, net.Conn) {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	return &conn{net: a, in: make([]byte, firstBuffer)}, b
}

// readClientFrame is a decoder of its own for what a client sends.
func readClientFrame(r io.Reader) (op byte, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	if head[0]&0xf0 != 0x80 || head[1]&0x80 == 0 {
		return 0, nil, fmt.Errorf("header %x", head)
	}
	length := uint64(head[1] & 0x7f)
	switch length {
	case 126:
		var n uint16
		err = binary.Read(r, binary.BigEndian, &n)
		length = uint64(n)
	case 127:
		err = binary.Read(r, binary.BigEndian, &length)
	}
	if err != nil {
		return 0, nil, err
	}
	rest := make([]byte, 4+length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return 0, nil, err
	}
	for i := range rest[4:] {
		rest[4+i] ^= rest[i%4]
	}
	return head[0] & 0x0f, rest[4:], nil
}

// serverFrame is a frame as a server sends it.
func serverFrame(op byte, payload []byte) []byte {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*31 + n)
	}
	return p
}

var sizes = []int{0, 1, 7, 8, 9, 125, 126, 127, 4093, 4096, 65535, 65536, 200_000}

func TestFramesOfEverySizeGoUp(t *testing.T) {
	c, server := pipe(t)
	failed := make(chan error, 1)
	go func() {
		for _, n := range sizes {
			c.queue(opBinary, pattern(n))
		}
		failed <- c.flush()
	}()
	in := bufio.NewReader(server)
	for _, n := range sizes {
		op, payload, err := readClientFrame(in)
		if err != nil {
			t.Fatal(err)
		}
		if op != opBinary || !bytes.Equal(payload, pattern(n)) {
			t.Errorf("a payload of %d bytes arrived as kind %d, %d bytes, or changed", n, op, len(payload))
		}
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

func TestFramesOfEverySizeComeDownHoweverTheyAreCut(t *testing.T) {
	for _, test := range []struct {
		cut   int
		sizes []int
	}{{1, sizes[:10]}, {2, sizes[:10]}, {3, sizes[:10]}, {4095, sizes}, {4096, sizes}, {4097, sizes}, {1 << 20, sizes}} {
		t.Run(fmt.Sprint(test.cut), func(t *testing.T) {
			var stream []byte
			for _, n := range test.sizes {
				stream = append(stream, serverFrame(opBinary, pattern(n))...)
				stream = append(stream, serverFrame(opPong, nil)...)
			}
			c, server := pipe(t)
			go func() {
				for rest := stream; len(rest) > 0; {
					n, err := server.Write(rest[:min(test.cut, len(rest))])
					if err != nil {
						return
					}
					rest = rest[n:]
				}
				server.Close()
			}()
			for _, n := range test.sizes {
				payload, err := c.read()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(payload, pattern(n)) {
					t.Errorf("a payload of %d bytes arrived as %d, or changed", n, len(payload))
				}
			}
			if _, err := c.read(); !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v, want EOF", err)
			}
		})
	}
}

func TestFramesThatBecomeReadyDuringAWriteShareTheNext(t *testing.T) {
	c, server := pipe(t)
	failed := make(chan error, 1)
	c.queue(opBinary, []byte("first"))
	go func() { failed <- c.flush() }()
	eventually(t, "the write is under way", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.writing
	})
	for _, text := range []string{"second", "third", "fourth"} {
		c.queue(opBinary, []byte(text))
		if err := c.flush(); err != nil { // must not wait
			t.Fatal(err)
		}
	}
	var got [][]string
	for len(got) < 2 {
		buffer := make([]byte, 4096)
		n, err := server.Read(buffer) // a pipe's Read takes from one Write
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for in := bytes.NewReader(buffer[:n]); in.Len() > 0; {
			_, payload, err := readClientFrame(in)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(payload))
		}
		got = append(got, texts)
	}
	if diff := cmp.Diff([][]string{{"first"}, {"second", "third", "fourth"}}, got); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

func TestReadFlushesAndAnswersPings(t *testing.T) {
	c, server := pipe(t)
	c.queue(opBinary, []byte("hello"))
	go func() {
		readClientFrame(server) // "hello" goes out although nobody called flush
		server.Write(append(serverFrame(opPing, []byte("you there?")), serverFrame(opText, []byte("text"))...))
		op, payload, err := readClientFrame(server)
		if err != nil || op != opPong || string(payload) != "you there?" {
			server.Write(serverFrame(opBinary, []byte("no pong")))
		}
		server.Write(serverFrame(opBinary, []byte("done")))
	}()
	for _, want := range []string{"text", "done"} {
		got, err := c.read()
		if err != nil || string(got) != want {
			t.Fatalf("read %q, %v, want %q", got, err, want)
		}
	}
}

func TestAFailedWriteIsReportedFromThenOn(t *testing.T) {
	c, server := pipe(t)
	server.Close()
	for range 2 {
		c.queue(opBinary, []byte("x"))
		if err := c.flush(); err == nil {
			t.Error("flush to a closed pipe gives no error")
		}
	}
	if _, err := c.read(); err == nil {
		t.Error("read from a closed pipe gives no error")
	}
}

func TestBadFramesAreErrors(t *testing.T) {
	for _, test := range []struct {
		name, bytes, want string
	}{
		{"masked", "\x82\x81\x01\x02\x03\x04x", "from a server"},
		{"reserved bit", "\xc2\x01x", "from a server"},
		{"first fragment", "\x02\x01x", "fragmented"},
		{"continuation", "\x80\x01x", "fragmented"},
		{"unknown kind", "\x83\x01x", "unknown kind 3"},
		{"unknown control", "\x8b\x00", "unknown kind 11"},
		{"long ping", "\x89\x7e\x00\x7e", "control frame of 126 bytes"},
		{"too long", "\x82\x7f\x00\x00\x00\x00\x01\x00\x00\x01", "more than"},
		{"absurdly long", "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "more than"},
		{"close with a code", string(serverFrame(opClose, []byte("\x03\xf3shutting down"))), "1011 shutting down"},
		{"close without a code", string(serverFrame(opClose, nil)), "server closed the socket"},
		{"cut off", "\x82\x05ab", "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, server := pipe(t)
			go func() {
				io.WriteString(server, test.bytes)
				if strings.HasPrefix(test.name, "close ") {
					io.ReadFull(server, make([]byte, 6)) // the answer to a close
				}
				server.Close()
			}()
			_, err := c.read()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("read: %v, want %q", err, test.want)
			}
		})
	}
}

func TestDialTellsWhyThereIsNoSocket(t *testing.T) {
	for _, test := range []struct {
		name, want string
		serve      http.HandlerFunc
	}{
		{"refused by HTTP", "404 Not Found no such page", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no such page", http.StatusNotFound)
		}},
		{"wrong accept key", "Sec-WebSocket-Accept", func(w http.ResponseWriter, r *http.Request) {
			nc, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
			nc.Close()
		}},
		{"no HTTP", "malformed HTTP", func(w http.ResponseWriter, r *http.Request) {
			nc, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(nc, "SSH-2.0-x\r\n")
			nc.Close()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.serve)
			defer server.Close()
			_, err := dial(t.Context(), server.URL)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("dial: %v, want %q", err, test.want)
			}
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		nc, err := listener.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		nc.Read(make([]byte, 1))
		close(asked)
		io.Copy(io.Discard, nc) // never answers
	}()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := dial(ctx, "http://"+listener.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("dial: %v, want context canceled", err)
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, n := range []int{0, 125, 126, 65536} {
		f.Add(serverFrame(opBinary, pattern(n)))
	}
	f.Add([]byte("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x88\x02\x03\xe8"))
	f.Fuzz(func(t *testing.T, b []byte) {
		op, payload, size, err := parseFrame(b)
		switch {
		case err != nil:
		case size < 2 || size > maxFrame+10:
			t.Errorf("size %d", size)
		case size <= len(b):
			// Encoding it again may be shorter: a length may be written in more bytes than it needs.
			again := serverFrame(op, payload)
			if len(again) > size || !bytes.HasSuffix(b[:size], payload) {
				t.Errorf("frame %x read as kind %d, %d bytes", b[:size], op, len(payload))
			}
		case payload != nil:
			t.Error("a payload from half a frame")
		}
	})
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatal("it never came that " + what)
		}
		<-time.After(time.Millisecond)
	}
}
