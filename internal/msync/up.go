package msync

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed is returned for bytes that are not the message they should be.
var ErrMalformed = errors.New("malformed protobuf")

// Frame is an MSync as far as every command needs it.
type Frame struct {
	Command MSync_Command
	Payload []byte // part of the bytes that were read
}

// ReadFrame reads the envelope of a frame. An empty frame is SYNC without payload, as in proto3.
func ReadFrame(b []byte) (f Frame, err error) {
	err = visit(b, func(field protowire.Number, number uint64, data []byte) {
		switch field {
		case msyncCommand:
			f.Command = MSync_Command(number)
		case msyncPayload:
			f.Payload = data
		}
	})
	return f, err
}

// Upload is a CommSyncUL.
type Upload struct {
	Meta   []byte // nil: none
	HasKey bool
	Key    uint64
	Queue  []byte // the JID's bytes as they came; nil: none
}

// ReadUpload reads the payload of a SYNC frame.
func ReadUpload(b []byte) (u Upload, err error) {
	err = visit(b, func(field protowire.Number, number uint64, data []byte) {
		switch field {
		case syncULMeta:
			u.Meta = present(data)
		case syncULKey:
			u.HasKey, u.Key = true, number
		case syncULQueue:
			u.Queue = present(data)
		}
	})
	return u, err
}

func present(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// QueueName returns the name in a JID's bytes.
func QueueName(jid []byte) (name string, err error) {
	err = visit(jid, func(field protowire.Number, _ uint64, data []byte) {
		if field == jidName {
			name = string(data)
		}
	})
	return name, err
}

// visit walks the top level of a message. Varints arrive in number, length-delimited fields in data; other kinds are
// passed over.
func visit(b []byte, field func(field protowire.Number, number uint64, data []byte)) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
			}
			field(number, value, nil)
			b = b[n:]
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
			}
			field(number, 0, value)
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(number, kind, b)
			if n < 0 {
				return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
			}
			b = b[n:]
		}
	}
	return nil
}

// MetaID returns the id in a Meta's bytes, also where the rest does not decode.
func MetaID(meta []byte) (id uint64, err error) {
	err = visit(meta, func(field protowire.Number, number uint64, _ []byte) {
		if field == metaID {
			id = number
		}
	})
	return id, err
}
