package msync

import (
	"errors"
	"fmt"
	"slices"

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
	err = visit(b, func(field protowire.Number, kind protowire.Type, number uint64, data []byte) {
		switch {
		case field == msyncCommand && kind == protowire.VarintType:
			f.Command = MSync_Command(number)
		case field == msyncPayload && kind == protowire.BytesType:
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
	err = visit(b, func(field protowire.Number, kind protowire.Type, number uint64, data []byte) {
		switch {
		case field == syncULMeta && kind == protowire.BytesType:
			u.Meta = merge(u.Meta, data)
		case field == syncULKey && kind == protowire.VarintType:
			u.HasKey, u.Key = true, number
		case field == syncULQueue && kind == protowire.BytesType:
			u.Queue = merge(u.Queue, data)
		}
	})
	return u, err
}

// merge joins the bytes of a message that came in several fields: protobuf reads them as one. The result is not nil.
func merge(before, data []byte) []byte {
	if before == nil {
		return data
	}
	return append(slices.Clip(before), data...)
}

// QueueName returns the name in a JID's bytes.
func QueueName(jid []byte) (name string, err error) {
	err = visit(jid, func(field protowire.Number, kind protowire.Type, _ uint64, data []byte) {
		if field == jidName && kind == protowire.BytesType {
			name = string(data)
		}
	})
	return name, err
}

// visit walks the top level of a message. Varints arrive in number, length-delimited fields in data (never nil); other
// kinds are passed over.
func visit(b []byte, field func(field protowire.Number, kind protowire.Type, number uint64, data []byte)) error {
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
			field(number, kind, value, nil)
			b = b[n:]
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
			}
			field(number, kind, 0, value)
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
	err = visit(meta, func(field protowire.Number, kind protowire.Type, number uint64, _ []byte) {
		if field == metaID && kind == protowire.VarintType {
			id = number
		}
	})
	return id, err
}
