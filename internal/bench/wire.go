package bench

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The few messages of chat.proto that a load needs, packed and unpacked by hand: the generator shares the machine with
// the server. Frames up are byte for byte those of the web client, explicit zeros included.

const (
	commandSync      = 0
	commandUnread    = 1
	commandNotice    = 2
	commandProvision = 3

	nsStatistic = 0
	nsChat      = 1

	nsMUC = 2

	domainUsers  = "easemob.com"
	domainPlaces = "conference.easemob.com"

	bodySingle = 1
	bodyGroup  = 2
	bodyRoom   = 3
)

func appendNumber(b []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
}

func appendText(b []byte, field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), value)
}

func appendNested(b []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), value)
}

// appendMSync appends the envelope of everything but a Provision; a nil payload is left out.
func appendMSync(b []byte, command uint64, payload []byte) []byte {
	b = appendNumber(b, 1, 0)
	b = appendNumber(b, 8, command)
	if payload != nil {
		b = appendNested(b, 9, payload)
	}
	return appendNumber(b, 11, 0)
}

func userJID(app, name, resource string) []byte { return jid(app, name, domainUsers, resource) }

func jid(app, name, domain, resource string) []byte {
	b := appendText(nil, 1, app)
	b = appendText(b, 2, name)
	b = appendText(b, 3, domain)
	if resource != "" {
		b = appendText(b, 4, resource)
	}
	return b
}

func nameOnly(name string) []byte { return appendText(nil, 2, name) }

// provision is the first frame of a session.
func provision(app, user, token, resource string, now time.Time) []byte {
	p := appendNumber(nil, 1, 16)
	p = appendText(p, 2, "1.4.0")
	p = appendNumber(p, 5, 0)
	p = appendNumber(p, 6, 0)
	p = appendText(p, 9, resource)
	p = appendText(p, 12, resource)
	p = appendText(p, 13, resource)
	p = appendText(p, 17, "v5.1")
	p = appendText(p, 18, `{"token":"$t$`+token+`"}`)
	p = appendText(p, 20, fmt.Sprintf("%d:", now.UnixMilli()))

	b := appendNumber(nil, 1, 0)
	b = appendNested(b, 2, userJID(app, user, resource))
	b = appendText(b, 3, "$t$"+token)
	b = appendNumber(b, 8, commandProvision)
	b = appendNested(b, 9, p)
	b = appendNumber(b, 10, 0)
	return appendNumber(b, 11, 0)
}

// information is the statistics frame that the client sends after a sign-in and after each list of unread queues.
func information(app, user string, now time.Time) []byte {
	body := appendNumber(nil, 1, 0)
	meta := appendNumber(nil, 1, uint64(now.UnixMilli()))
	meta = appendNested(meta, 2, userJID(app, user, ""))
	meta = appendNested(meta, 3, appendText(nil, 3, domainUsers))
	meta = appendNumber(meta, 5, nsStatistic)
	meta = appendNested(meta, 6, body)
	return appendMSync(nil, commandSync, appendNested(nil, 1, meta))
}

// textMessage is the frame of one text, made once for a conversation: only the id and the text change.
type textMessage struct {
	app, from, to string
	kind          uint64 // bodySingle, bodyGroup or bodyRoom
	frame         []byte
	id, idSize    int // where in frame the id is
	text          []byte
}

func newTextMessage(kind uint64, app, from, to string, id uint64, text []byte) *textMessage {
	m := &textMessage{kind: kind, app: app, from: from, to: to, text: text}
	m.pack(id)
	return m
}

func (m *textMessage) pack(id uint64) {
	domain := domainPlaces
	if m.kind == bodySingle {
		domain = domainUsers
	}
	body := appendNumber(nil, 1, m.kind)
	body = appendNested(body, 2, nameOnly(m.from))
	body = appendNested(body, 3, nameOnly(m.to))
	body = appendNested(body, 4, appendNested(appendNumber(nil, 1, 0), 2, m.text))

	meta := appendNumber(nil, 1, id)
	meta = appendNested(meta, 3, jid(m.app, m.to, domain, ""))
	meta = appendNumber(meta, 5, nsChat)
	meta = appendNested(meta, 6, body)
	meta = appendNumber(meta, 7, 0)

	const tail = 2 // of meta and of the frame: one zero field each
	m.frame = appendMSync(nil, commandSync, appendNested(nil, 1, meta))
	m.id, m.idSize = len(m.frame)-tail-len(meta)+1, protowire.SizeVarint(id)
	end := len(m.frame) - 2*tail
	m.text = m.frame[end-len(m.text) : end : end]
}

// setID changes the id in the frame.
func (m *textMessage) setID(id uint64) {
	if protowire.SizeVarint(id) != m.idSize {
		m.pack(id)
		return
	}
	protowire.AppendVarint(m.frame[:m.id], id)
}

// joinRoom is the frame with which a user enters a chatroom; id is the client's.
func joinRoom(app, user, room string, id uint64) []byte {
	body := appendNested(nil, 1, jid(app, room, domainPlaces, ""))
	body = appendNumber(body, 2, 2)
	body = appendNested(body, 3, nameOnly(user))
	body = appendNumber(body, 7, 1)
	meta := appendNumber(nil, 1, id)
	meta = appendNested(meta, 2, userJID(app, user, ""))
	meta = appendNested(meta, 3, appendText(nil, 3, domainUsers))
	meta = appendNumber(meta, 5, nsMUC)
	meta = appendNested(meta, 6, body)
	return appendMSync(nil, commandSync, appendNested(nil, 1, meta))
}

// appendReceived asks for what follows in a queue; with acked, key and all before it are acknowledged.
func appendReceived(b []byte, queue []byte, key uint64, acked bool) []byte {
	size := protowire.SizeTag(3) + protowire.SizeBytes(len(queue))
	if acked {
		size += protowire.SizeTag(2) + protowire.SizeVarint(key)
	}
	b = appendNumber(b, 1, 0)
	b = appendNumber(b, 8, commandSync)
	b = protowire.AppendVarint(protowire.AppendTag(b, 9, protowire.BytesType), uint64(size))
	if acked {
		b = appendNumber(b, 2, key)
	}
	b = appendNested(b, 3, queue)
	return appendNumber(b, 11, 0)
}

// fields walks the top level of a message: while next is true, field is the number of the one found, and value holds
// it if it is a varint, bytes if it has a length. Fixed-size fields and groups leave both zero.
type fields struct {
	rest  []byte
	field protowire.Number
	value uint64
	bytes []byte
	err   error
}

func (f *fields) next() bool {
	if len(f.rest) == 0 {
		return false
	}
	field, kind, n := protowire.ConsumeTag(f.rest)
	if n >= 0 {
		rest := f.rest[n:]
		f.field, f.value, f.bytes = field, 0, nil
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(rest)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(rest)
		default:
			n = protowire.ConsumeFieldValue(field, kind, rest)
		}
		if n >= 0 {
			f.rest = rest[n:]
			return true
		}
	}
	f.err = fmt.Errorf("decode message: %w", protowire.ParseError(n))
	return false
}

// first returns the first value of a field that has a length, nil if there is none or the message is damaged.
func first(message []byte, field protowire.Number) []byte {
	for f := (fields{rest: message}); f.next(); {
		if f.field == field && f.bytes != nil {
			return f.bytes
		}
	}
	return nil
}

func parseMSync(frame []byte) (command uint64, payload []byte, err error) {
	f := fields{rest: frame}
	for f.next() {
		switch f.field {
		case 8:
			command = f.value
		case 9:
			payload = f.bytes
		}
	}
	return command, payload, f.err
}

func parseStatus(b []byte) (code uint64, reason []byte, err error) {
	f := fields{rest: b}
	for f.next() {
		switch f.field {
		case 1:
			code = f.value
		case 2:
			reason = f.bytes
		}
	}
	return code, reason, f.err
}

// syncDown is a CommSyncDL without its metas.
type syncDown struct {
	status  []byte
	metaID  uint64
	metas   int
	nextKey uint64
	queue   []byte
	last    bool
}

func parseSync(payload []byte) (s syncDown, err error) {
	f := fields{rest: payload}
	for f.next() {
		switch f.field {
		case 1:
			s.status = f.bytes
		case 2:
			s.metaID = f.value
		case 4:
			s.metas++
		case 5:
			s.nextKey = f.value
		case 6:
			s.queue = f.bytes
		case 7:
			s.last = f.value != 0
		}
	}
	return s, f.err
}

func parseMeta(b []byte) (id, ns uint64, payload []byte, err error) {
	f := fields{rest: b}
	for f.next() {
		switch f.field {
		case 1:
			id = f.value
		case 5:
			ns = f.value
		case 6:
			payload = f.bytes
		}
	}
	return id, ns, payload, f.err
}

// stampSize is how many bytes of a body the stamp takes.
const stampSize = 2 * stampBytes

const stampBytes = 4 + 6 + 8

// stamp writes into the beginning of a body whose message it is, its number and when it was sent, as text.
func stamp(body []byte, pair uint32, number uint64, at time.Duration) {
	var raw [stampBytes]byte
	binary.BigEndian.PutUint64(raw[2:], number) // its upper two bytes go under the pair
	binary.BigEndian.PutUint32(raw[:], pair)
	binary.BigEndian.PutUint64(raw[10:], uint64(at))
	hex.Encode(body, raw[:])
}

// parseStamp is false for a body that stamp has not written.
func parseStamp(body []byte) (pair uint32, number uint64, at time.Duration, ok bool) {
	var raw [stampBytes]byte
	if len(body) < stampSize {
		return 0, 0, 0, false
	}
	if _, err := hex.Decode(raw[:], body[:stampSize]); err != nil {
		return 0, 0, 0, false
	}
	number = binary.BigEndian.Uint64(raw[2:]) & (1<<48 - 1)
	return binary.BigEndian.Uint32(raw[:]), number, time.Duration(binary.BigEndian.Uint64(raw[10:])), true
}
