package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// maxFrame is the largest frame that a client may send, in bytes.
const maxFrame = 64 * 1024

var (
	errTooLarge = errors.New("frame too large")
	errProtocol = errors.New("websocket protocol violated")
)

// readSize is the size of the buffers in readBuffers; a larger frame gets a buffer of its own.
const readSize = 8 * 1024

// readBuffers are taken only while there is something to read: thousands of idle sockets hold none.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}

// frameReader reads the frames of a client.
type frameReader struct {
	conn net.Conn
	raw  syscall.RawConn // nil: TLS and the like, where the buffer stays
	buf  *[]byte
	r, w int  // what is read of buf, and filled
	amid bool // a frame has been read in part

	message []byte // of a message in several frames
	opcode  ws.OpCode
}

func newFrameReader(conn net.Conn, early []byte) *frameReader {
	f := &frameReader{conn: conn}
	if sys, ok := conn.(syscall.Conn); ok {
		f.raw, _ = sys.SyscallConn()
	}
	if len(early) > 0 {
		big := make([]byte, max(len(early), readSize))
		f.buf, f.w = &big, copy(big, early)
	}
	return f
}

// buffered reports whether another frame can be read without waiting; of a large frame it says no.
func (f *frameReader) buffered() bool {
	if f.w-f.r < 2 {
		return false
	}
	b := (*f.buf)[f.r:f.w]
	switch length := int(b[1] & 0x7f); {
	case length < 126:
		return len(b) >= 2+4+length
	case length == 126 && len(b) >= 4:
		return len(b) >= 4+4+int(b[2])<<8+int(b[3])
	}
	return false
}

// fill reads more, at least one byte, towards n in one piece. Room is made by moving what is left to the front. Amid a
// frame it does not heed a deadline.
func (f *frameReader) fill(n int) error {
	for {
		err := f.read(n)
		if !f.amid || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		f.conn.SetReadDeadline(time.Time{})
	}
}

func (f *frameReader) read(n int) error {
	if f.buf != nil {
		f.w = copy(*f.buf, (*f.buf)[f.r:f.w])
		f.r = 0
	}
	if f.w == 0 && n <= readSize {
		f.release()
	}
	if f.raw == nil || f.w > 0 || n > readSize {
		if f.buf == nil {
			f.buf = readBuffers.Get().(*[]byte)
		}
		got, err := f.conn.Read((*f.buf)[f.w:])
		f.w += got
		if got > 0 {
			return nil
		}
		return err
	}
	var got int
	var err error
	waited := f.raw.Read(func(fd uintptr) bool {
		f.buf = readBuffers.Get().(*[]byte)
		for {
			got, err = syscall.Read(int(fd), *f.buf)
			if err != syscall.EINTR {
				break
			}
		}
		if err == syscall.EAGAIN {
			f.release()
			return false
		}
		return true
	})
	switch {
	case waited != nil:
		return waited
	case err != nil:
		return err
	case got == 0:
		return io.EOF
	}
	f.w = got
	return nil
}

func (f *frameReader) release() {
	if f.buf != nil && len(*f.buf) == readSize {
		readBuffers.Put(f.buf)
	}
	f.buf, f.r, f.w = nil, 0, 0
}

// need makes n bytes available in one piece and consumes them. They are valid until the next call.
func (f *frameReader) need(n int) ([]byte, error) {
	if n > readSize && (f.buf == nil || n > len(*f.buf)) {
		big := make([]byte, n+1024)
		rest := 0
		if f.buf != nil {
			rest = copy(big, (*f.buf)[f.r:f.w])
		}
		f.release()
		f.buf, f.r, f.w = &big, 0, rest
	}
	for f.w-f.r < n {
		if err := f.fill(n); err != nil {
			return nil, err
		}
	}
	b := (*f.buf)[f.r : f.r+n]
	f.r += n
	return b, nil
}

// next returns the next whole message or control frame, unmasked. It is valid until the next call. After
// os.ErrDeadlineExceeded, which comes only where no frame has begun, it may be called again.
func (f *frameReader) next() (ws.OpCode, []byte, error) {
	for {
		opcode, fin, payload, err := f.frame()
		if err != nil {
			return 0, nil, err
		}
		switch {
		case opcode.IsControl():
			return opcode, payload, nil
		case opcode == ws.OpContinuation:
			if f.message == nil {
				return 0, nil, errProtocol
			}
		case f.message != nil:
			return 0, nil, errProtocol
		case fin:
			return opcode, payload, nil
		default:
			f.opcode, f.message = opcode, []byte{}
		}
		if len(f.message)+len(payload) > maxFrame {
			return 0, nil, errTooLarge
		}
		f.message = append(f.message, payload...)
		if fin {
			whole := f.message
			f.message = nil
			return f.opcode, whole, nil
		}
	}
}

func (f *frameReader) frame() (opcode ws.OpCode, fin bool, payload []byte, err error) {
	f.amid = false
	head, err := f.need(2)
	if err != nil {
		return 0, false, nil, err
	}
	f.amid = true
	opcode, fin = ws.OpCode(head[0]&0x0f), head[0]&0x80 != 0
	length, masked := int(head[1]&0x7f), head[1]&0x80 != 0
	known := opcode <= ws.OpBinary || opcode >= ws.OpClose && opcode <= ws.OpPong
	if head[0]&0x70 != 0 || !masked || !known || opcode.IsControl() && (length > 125 || !fin) {
		return 0, false, nil, errProtocol
	}
	switch length {
	case 126:
		if head, err = f.need(2); err != nil {
			return 0, false, nil, err
		}
		length = int(head[0])<<8 | int(head[1])
	case 127:
		if head, err = f.need(8); err != nil {
			return 0, false, nil, err
		}
		// The high bytes decide on their own: what they stand for is beyond any limit.
		if length = int(head[4])<<24 | int(head[5])<<16 | int(head[6])<<8 | int(head[7]); head[0]|head[1]|head[2]|head[3] != 0 {
			length = maxFrame + 1
		}
	}
	if length > maxFrame {
		return 0, false, nil, errTooLarge
	}
	if head, err = f.need(4); err != nil {
		return 0, false, nil, err
	}
	mask := [4]byte(head)
	if payload, err = f.need(length); err != nil {
		return 0, false, nil, err
	}
	ws.Cipher(payload, mask, 0)
	return opcode, fin, payload, nil
}

// appendFrame appends a server frame to a buffer.
func appendFrame(b []byte, opcode ws.OpCode, payload []byte) []byte {
	b = appendHeader(b, opcode, len(payload))
	return append(b, payload...)
}

func appendHeader(b []byte, opcode ws.OpCode, n int) []byte {
	b = append(b, 0x80|byte(opcode))
	switch {
	case n < 126:
		return append(b, byte(n))
	case n < 1<<16:
		return append(b, 126, byte(n>>8), byte(n))
	}
	return append(b, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// appendSockJS appends a frame in the form of the releases before 1.4.0 (docs/protocol/wire.md §18.1).
func appendSockJS(b, frame []byte) []byte {
	n := base64.StdEncoding.EncodedLen(len(frame))
	b = appendHeader(b, ws.OpText, n+len(`a[""]`))
	b = append(b, `a["`...)
	b = base64.StdEncoding.AppendEncode(b, frame)
	return append(b, `"]`...)
}

// readSockJS returns the frames in a SockJS text message: a JSON list of base64 texts, or one such text.
func readSockJS(text []byte) ([][]byte, error) {
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		var one string
		if json.Unmarshal(text, &one) != nil {
			return nil, err
		}
		list = []string{one}
	}
	frames := make([][]byte, len(list))
	for i, item := range list {
		var err error
		if frames[i], err = base64.StdEncoding.DecodeString(item); err != nil {
			return nil, err
		}
	}
	return frames, nil
}
