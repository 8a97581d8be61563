package gateway

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// received is what a frameReader gave: a message or control frame, or how the connection ended.
type received struct {
	Opcode  ws.OpCode
	Payload string
	End     string
}

func end(err error) received {
	switch {
	case errors.Is(err, errProtocol):
		return received{End: "protocol"}
	case errors.Is(err, errTooLarge):
		return received{End: "too large"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return received{End: "eof"}
	}
	return received{End: err.Error()}
}

// readAll reads until the connection ends, deadlines or not.
func readAll(f *frameReader) (all []received) {
	for {
		opcode, payload, err := f.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return append(all, end(err))
		}
		all = append(all, received{Opcode: opcode, Payload: string(payload)})
	}
}

// reference reads a whole stream in the plainest way (RFC 6455 §5.2).
func reference(b []byte) (all []received) {
	take := func(n int) []byte {
		if n > len(b) {
			return nil
		}
		part := b[:n:n]
		b = b[n:]
		return part
	}
	var message []byte
	var kind ws.OpCode
	fragmented := false
	for {
		head := take(2)
		if head == nil {
			return append(all, received{End: "eof"})
		}
		fin, rsv, opcode := head[0]>>7 == 1, head[0]>>4&7, ws.OpCode(head[0]&15)
		masked, length := head[1]>>7 == 1, uint64(head[1]&127)
		control := opcode == ws.OpClose || opcode == ws.OpPing || opcode == ws.OpPong
		data := opcode == ws.OpContinuation || opcode == ws.OpText || opcode == ws.OpBinary
		if rsv != 0 || !masked || !control && !data || control && (!fin || length > 125) {
			return append(all, received{End: "protocol"})
		}
		if length >= 126 {
			size := 2
			if length == 127 {
				size = 8
			}
			long := take(size)
			if long == nil {
				return append(all, received{End: "eof"})
			}
			length = binary.BigEndian.Uint64(append(make([]byte, 8-size), long...))
		}
		if length > maxFrame {
			return append(all, received{End: "too large"})
		}
		mask, payload := take(4), []byte(nil)
		if mask != nil {
			payload = take(int(length))
		}
		if payload == nil {
			return append(all, received{End: "eof"})
		}
		plain := make([]byte, len(payload))
		for i := range payload {
			plain[i] = payload[i] ^ mask[i%4]
		}
		if control {
			all = append(all, received{Opcode: opcode, Payload: string(plain)})
			continue
		}
		if (opcode == ws.OpContinuation) != fragmented {
			return append(all, received{End: "protocol"})
		}
		if !fragmented {
			message, kind = nil, opcode
		}
		if len(message)+len(plain) > maxFrame {
			return append(all, received{End: "too large"})
		}
		message, fragmented = append(message, plain...), !fin
		if fin {
			all = append(all, received{Opcode: kind, Payload: string(message)})
		}
	}
}

// chunkConn is a connection on which everything arrives in given pieces.
type chunkConn struct {
	net.Conn
	chunks [][]byte
}

func (c *chunkConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		panic("read into an empty buffer")
	}
	if len(c.chunks) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.chunks[0])
	if c.chunks[0] = c.chunks[0][n:]; len(c.chunks[0]) == 0 {
		c.chunks = c.chunks[1:]
	}
	return n, nil
}

// restlessConn lets a deadline pass before each read.
type restlessConn struct {
	chunkConn
	passed bool
}

func (c *restlessConn) Read(b []byte) (int, error) {
	if c.passed = !c.passed; c.passed {
		return 0, os.ErrDeadlineExceeded
	}
	return c.chunkConn.Read(b)
}

func (c *restlessConn) SetReadDeadline(time.Time) error { return nil }

// tcpPair returns the two ends of a TCP connection.
func tcpPair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second) // a hanging test shall fail
	dialed.SetDeadline(deadline)
	accepted.SetDeadline(deadline)
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return accepted.(*net.TCPConn), dialed.(*net.TCPConn)
}

// frameHead writes the beginning of a client's frame. form is how the length is written: 0 shortest, or 7, 16, 64 bits.
func frameHead(first byte, length int, form int, mask [4]byte) []byte {
	b := []byte{first}
	switch {
	case form == 7 || form == 0 && length < 126:
		b = append(b, 0x80|byte(length))
	case form == 16 || form == 0 && length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(length))
	}
	return append(b, mask[:]...)
}

func clientFrame(first byte, payload string, form int) []byte {
	mask := [4]byte{0x11, 0xfe, 0, 0x80}
	masked := []byte(payload)
	ws.Cipher(masked, mask, 0)
	return append(frameHead(first, len(payload), form, mask), masked...)
}

const (
	fin     = 0x80
	binFin  = fin | byte(ws.OpBinary)
	textFin = fin | byte(ws.OpText)
	pingFin = fin | byte(ws.OpPing)
)

func TestFramesAreReadOverEveryConnection(t *testing.T) {
	long := func(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] }
	join := func(frames ...[]byte) []byte { return slices.Concat(frames...) }
	message := func(p string) received { return received{Opcode: ws.OpBinary, Payload: p} }
	eof, protocol, tooLarge := received{End: "eof"}, received{End: "protocol"}, received{End: "too large"}
	for _, test := range []struct {
		name string
		sent []byte
		want []received
	}{
		{"nothing", nil, []received{eof}},
		{"an empty message", clientFrame(binFin, "", 0), []received{message(""), eof}},
		{"a short message", clientFrame(binFin, "hello", 0), []received{message("hello"), eof}},
		{"a text message", clientFrame(textFin, "é", 0), []received{{Opcode: ws.OpText, Payload: "é"}, eof}},
		{"125 bytes", clientFrame(binFin, long(125), 7), []received{message(long(125)), eof}},
		{"126 bytes", clientFrame(binFin, long(126), 16), []received{message(long(126)), eof}},
		{"5 bytes with a length of 16 bits", clientFrame(binFin, "12345", 16), []received{message("12345"), eof}},
		{"5 bytes with a length of 64 bits", clientFrame(binFin, "12345", 64), []received{message("12345"), eof}},
		{"as much as the buffer holds", clientFrame(binFin, long(8*1024), 0), []received{message(long(8 * 1024)), eof}},
		{"more than the buffer holds", clientFrame(binFin, long(8*1024+1), 0), []received{message(long(8*1024 + 1)), eof}},
		{"65535 bytes", clientFrame(binFin, long(65535), 16), []received{message(long(65535)), eof}},
		{"the largest message", clientFrame(binFin, long(maxFrame), 64), []received{message(long(maxFrame)), eof}},
		{"one byte more", clientFrame(binFin, long(maxFrame+1), 64), []received{tooLarge}},
		{"4 GiB and a bit", frameHead(binFin, 1<<32+5, 64, [4]byte{}), []received{tooLarge}},
		{"a length with the top bit set", frameHead(binFin, -1, 64, [4]byte{}), []received{tooLarge}},
		{"large and small in turn", join(clientFrame(binFin, long(20000), 0), clientFrame(binFin, "a", 0), clientFrame(binFin, long(30000), 0), clientFrame(binFin, "b", 0)),
			[]received{message(long(20000)), message("a"), message(long(30000)), message("b"), eof}},
		{"many in one read", bytes.Repeat(clientFrame(binFin, long(100), 0), 200), append(slices.Repeat([]received{message(long(100))}, 200), eof)},
		{"a message in three", join(clientFrame(byte(ws.OpBinary), "a", 0), clientFrame(0, "b", 0), clientFrame(fin, "c", 0)), []received{message("abc"), eof}},
		{"a message of empty fragments", join(clientFrame(byte(ws.OpBinary), "", 0), clientFrame(0, "", 0), clientFrame(fin, "", 0)), []received{message(""), eof}},
		{"control frames between fragments", join(clientFrame(byte(ws.OpText), "a", 0), clientFrame(pingFin, "p", 0), clientFrame(0, "b", 0), clientFrame(pingFin, "", 0), clientFrame(fin, "c", 0)),
			[]received{{Opcode: ws.OpPing, Payload: "p"}, {Opcode: ws.OpPing}, {Opcode: ws.OpText, Payload: "abc"}, eof}},
		{"fragments of the largest message", join(clientFrame(byte(ws.OpBinary), long(40000), 0), clientFrame(fin, long(maxFrame-40000), 0)), []received{message(long(40000) + long(maxFrame-40000)), eof}},
		{"fragments beyond it", join(clientFrame(byte(ws.OpBinary), long(40000), 0), clientFrame(fin, long(maxFrame-39999), 0)), []received{tooLarge}},
		{"fragments after one another", join(clientFrame(byte(ws.OpBinary), "a", 0), clientFrame(fin, "b", 0), clientFrame(binFin, "c", 0), clientFrame(byte(ws.OpText), "d", 0), clientFrame(fin, "e", 0)),
			[]received{message("ab"), message("c"), {Opcode: ws.OpText, Payload: "de"}, eof}},
		{"a continuation of nothing", clientFrame(fin, "a", 0), []received{protocol}},
		{"a message in a message", join(clientFrame(byte(ws.OpBinary), "a", 0), clientFrame(binFin, "b", 0)), []received{protocol}},
		{"a frame that is not masked", []byte{binFin, 1, 'x'}, []received{protocol}},
		{"a reserved bit", clientFrame(binFin|0x40, "x", 0), []received{protocol}},
		{"an opcode that does not exist", clientFrame(fin|3, "x", 0), []received{protocol}},
		{"a control opcode that does not exist", clientFrame(fin|11, "x", 0), []received{protocol}},
		{"a control frame in fragments", clientFrame(byte(ws.OpPing), "x", 0), []received{protocol}},
		{"the largest control frame", clientFrame(pingFin, long(125), 0), []received{{Opcode: ws.OpPing, Payload: long(125)}, eof}},
		{"a larger control frame", clientFrame(pingFin, long(126), 0), []received{protocol}},
		{"half a head", []byte{binFin}, []received{eof}},
		{"half a length", []byte{binFin, 0x80 | 126, 1}, []received{eof}},
		{"half a mask", []byte{binFin, 0x81, 1, 2}, []received{eof}},
		{"half a payload", clientFrame(binFin, "hello", 0)[:8], []received{eof}},
		{"a good frame and a bad one", join(clientFrame(binFin, "x", 0), []byte{binFin, 1, 'x'}), []received{message("x"), protocol}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, reference(test.sent)); diff != "" {
				t.Fatalf("the reference is wrong (-want +got):\n%s", diff)
			}
			check := func(way string, f *frameReader) {
				t.Helper()
				if diff := cmp.Diff(test.want, readAll(f)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", way, diff)
				}
				f.release()
			}
			check("in one piece", newFrameReader(&chunkConn{chunks: pieces(test.sent, len(test.sent)+1)}, nil))
			check("in many pieces", newFrameReader(&chunkConn{chunks: pieces(test.sent, 1+len(test.sent)/500)}, nil))
			check("with deadlines", newFrameReader(&restlessConn{chunkConn: chunkConn{chunks: pieces(test.sent, 1+len(test.sent)/500)}}, nil))
			check("early", newFrameReader(&chunkConn{}, test.sent))
			server, client := tcpPair(t)
			go func() {
				client.Write(test.sent)
				client.CloseWrite()
			}()
			check("over TCP", newFrameReader(server, nil))
			for _, early := range []int{1, 2, 4, 6, 8, 14} { // also exactly a head, so that nothing is left of it
				if early <= len(test.sent) {
					server, client := tcpPair(t)
					go func() {
						client.Write(test.sent[early:])
						client.CloseWrite()
					}()
					check(fmt.Sprintf("over TCP, %d bytes early", early), newFrameReader(server, test.sent[:early]))
				}
			}
			inner, outer := net.Pipe()
			go func() {
				outer.Write(test.sent)
				outer.Close()
			}()
			check("over a pipe", newFrameReader(inner, nil))
			inner.Close()
		})
	}
}

// clearedConn tells when its deadline is lifted.
type clearedConn struct {
	*net.TCPConn
	cleared chan struct{}
}

func (c *clearedConn) SetReadDeadline(at time.Time) error {
	err := c.TCPConn.SetReadDeadline(at)
	if at.IsZero() {
		c.cleared <- struct{}{}
	}
	return err
}

func TestADeadlineEndsTheWaitForAFrameButNotAFrame(t *testing.T) {
	frame := clientFrame(binFin, "hello", 0)
	for cut := range len(frame) {
		server, client := tcpPair(t)
		conn := &clearedConn{TCPConn: server, cleared: make(chan struct{}, 1)}
		f := newFrameReader(conn, frame[:cut])
		server.SetReadDeadline(time.Unix(1, 0))
		if cut < 2 { // of two bytes the second tells where the frame ends: before them nothing has begun
			if _, _, err := f.next(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after %d bytes: %v", cut, err)
			}
			server.SetReadDeadline(time.Now().Add(20 * time.Second))
			client.Write(frame[cut:])
		} else {
			go func() {
				<-conn.cleared
				server.SetReadDeadline(time.Now().Add(20 * time.Second))
				client.Write(frame[cut:])
			}()
		}
		if opcode, payload, err := f.next(); err != nil || opcode != ws.OpBinary || string(payload) != "hello" {
			t.Errorf("a frame in pieces of %d and %d bytes is %v %q, %v", cut, len(frame)-cut, opcode, payload, err)
		}
		f.release()
	}
}

func TestADeadlineEndsTheWaitOverTLS(t *testing.T) {
	https := httptest.NewTLSServer(nil) // for its certificate
	defer https.Close()
	server, client := tcpPair(t)
	secure, peer := tls.Server(server, https.TLS), tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error, 1)
	go func() { shaken <- peer.Handshake() }()
	if err := errors.Join(secure.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	f := newFrameReader(secure, nil)
	for _, text := range []string{"a", "b", "c"} {
		secure.SetReadDeadline(time.Unix(1, 0))
		if _, _, err := f.next(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("before %s: %v", text, err)
		}
		secure.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := peer.Write(clientFrame(binFin, text, 0)); err != nil {
			t.Fatal(err)
		}
		if _, payload, err := f.next(); err != nil || string(payload) != text {
			t.Fatalf("%s is read as %q, %v", text, payload, err)
		}
	}
	f.release()
}

func TestALargeFrameLeavesNoLargeBufferBehind(t *testing.T) {
	server, client := tcpPair(t)
	go func() {
		client.Write(clientFrame(binFin, strings.Repeat("x", maxFrame), 0))
		client.CloseWrite()
	}()
	for name, conn := range map[string]net.Conn{"TCP": server, "other connections": &chunkConn{chunks: pieces(clientFrame(binFin, strings.Repeat("x", maxFrame), 0), 10_000)}} {
		f := newFrameReader(conn, nil)
		if got := readAll(f); len(got) != 2 {
			t.Fatalf("%s: read %d frames", name, len(got))
		}
		if f.buf != nil && len(*f.buf) != readSize {
			t.Errorf("%s: a reader that waits holds a buffer of %d bytes", name, len(*f.buf))
		}
		f.release()
	}
}

func pieces(b []byte, size int) (all [][]byte) {
	for part := range slices.Chunk(bytes.Clone(b), size) {
		all = append(all, part)
	}
	return all
}

// TestRandomStreamsAreReadLikeTheReference cuts streams of mostly good frames into random pieces.
func TestRandomStreamsAreReadLikeTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		firsts := rapid.SampledFrom([]byte{binFin, binFin, binFin, textFin, pingFin, fin | byte(ws.OpPong), byte(ws.OpBinary), 0, fin, fin})
		sizes := rapid.OneOf(rapid.IntRange(0, 130), rapid.IntRange(0, 20_000), rapid.IntRange(60_000, 66_000), rapid.IntRange(0, 130))
		var sent []byte
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			size := sizes.Draw(t, "size")
			sent = append(sent, clientFrame(firsts.Draw(t, "first"), strings.Repeat("z", size), 0)...)
		}
		var chunks [][]byte
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 10_000)).Draw(t, "piece"))
			chunks, rest = append(chunks, bytes.Clone(rest[:n])), rest[n:]
		}
		early := []byte(nil)
		if rapid.Bool().Draw(t, "early") {
			early, chunks = chunks[0], chunks[1:]
		}
		f := newFrameReader(&chunkConn{chunks: chunks}, early)
		if diff := cmp.Diff(reference(sent), readAll(f)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		f.release()
	})
}

func FuzzFrameReader(f *testing.F) {
	f.Add([]byte{}, uint8(0), uint8(0))
	f.Add(clientFrame(binFin, "hello", 0), uint8(1), uint8(0))
	f.Add(clientFrame(binFin, strings.Repeat("x", 300), 64), uint8(100), uint8(14))
	f.Add(slices.Concat(clientFrame(byte(ws.OpText), "a", 0), clientFrame(pingFin, "p", 0), clientFrame(fin, "b", 0)), uint8(3), uint8(2))
	f.Add([]byte{binFin, 0xff, 0, 0, 0, 0, 0, 0, 0x27, 0x10, 0, 0, 0, 0}, uint8(0), uint8(14))
	f.Fuzz(func(t *testing.T, sent []byte, size, early uint8) {
		n := min(int(early), len(sent))
		r := newFrameReader(&chunkConn{chunks: pieces(sent[n:], int(size)+1)}, sent[:n])
		defer r.release()
		if diff := cmp.Diff(reference(sent), readAll(r)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestBufferedTellsWhetherAWholeFrameIsThere(t *testing.T) {
	one, big := clientFrame(binFin, "one", 0), clientFrame(binFin, strings.Repeat("x", 500), 0)
	for _, test := range []struct {
		name  string
		after []byte // what came with the first frame
		want  bool
	}{
		{"nothing", nil, false},
		{"a frame", one, true},
		{"an empty frame", clientFrame(pingFin, "", 0), true},
		{"a frame and a half", append(slices.Clip(one), one[:3]...), true},
		{"a byte", one[:1], false},
		{"a head", one[:2], false},
		{"a frame but for its last byte", one[:len(one)-1], false},
		{"a frame with a long length", big, true},
		{"a frame with a long length but for its last byte", big[:len(big)-1], false},
		{"a long length", big[:3], false},
	} {
		f := newFrameReader(&chunkConn{}, append(slices.Clip(one), test.after...))
		if _, payload, err := f.next(); string(payload) != "one" || err != nil {
			t.Fatalf("%s: the first frame is %q, %v", test.name, payload, err)
		}
		if got := f.buffered(); got != test.want {
			t.Errorf("after a frame %s is left: buffered is %t", test.name, got)
		}
		f.release()
	}
}

func TestFramesThatWeWriteAreRead(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 300_000} {
		b := appendFrame([]byte("before"), ws.OpBinary, bytes.Repeat([]byte("x"), n))
		r := bytes.NewReader(b[len("before"):])
		f, err := readFrame(r)
		if err != nil || f.Header.OpCode != ws.OpBinary || !f.Header.Fin || f.Header.Masked || len(f.Payload) != n || r.Len() != 0 {
			t.Errorf("%d bytes are read as %+v with %d bytes, %v; %d left", n, f.Header, len(f.Payload), err, r.Len())
		}
	}
}

func TestSockJSFormsAreThoseOfTheOldClients(t *testing.T) {
	b := appendSockJS(nil, []byte{0x40, 0x02, 0xff})
	f, err := readFrame(bytes.NewReader(b))
	if err != nil || f.Header.OpCode != ws.OpText || string(f.Payload) != `a["QAL/"]` {
		t.Errorf("written as %v %s, %v", f.Header.OpCode, f.Payload, err)
	}
	for _, n := range []int{0, 1, 2, 100, 70_000} {
		f, err := readFrame(bytes.NewReader(appendSockJS(nil, bytes.Repeat([]byte{7}, n))))
		if err != nil {
			t.Fatal(err)
		}
		frames, err := readSockJS(bytes.TrimPrefix(f.Payload, []byte("a")))
		if err != nil || len(frames) != 1 || len(frames[0]) != n {
			t.Errorf("%d bytes come back as %d frames, %v", n, len(frames), err)
		}
	}
	for _, test := range []struct {
		text string
		want []string // nil: refused
	}{
		{`["QAL/"]`, []string{"\x40\x02\xff"}},
		{`["QAL/","CAA="]`, []string{"\x40\x02\xff", "\x08\x00"}},
		{`"QAL/"`, []string{"\x40\x02\xff"}},
		{`[]`, []string{}},
		{`[""]`, []string{""}},
		{``, nil},
		{`QAL/`, nil},
		{`{"a":1}`, nil},
		{`[1]`, nil},
		{`["QAL"]`, nil},
		{`["not base64!"]`, nil},
	} {
		frames, err := readSockJS([]byte(test.text))
		if (err != nil) != (test.want == nil) {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		got := make([]string, len(frames))
		for i := range frames {
			got[i] = string(frames[i])
		}
		if test.want != nil && !slices.Equal(got, test.want) {
			t.Errorf("%s is read as %q", test.text, got)
		}
	}
}

// readFrame reads a frame of the server.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
