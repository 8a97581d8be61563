package delivery

import (
	"encoding/binary"
	"errors"

	"github.com/stoa-chat/stoa/internal/store"
)

// What travels on the subject of a user, the first two also on that of a group: one byte that says what it is, then its
// fields.
const (
	eventEntry    = 'e' // a timeline has a new entry
	eventPush     = 'p' // a frame that needs no cursor
	eventKick     = 'k' // sessions must end
	eventLifetime = 'l' // the user's token was renewed
	eventJoin     = 'j' // the user reads a group's timeline from now on
	eventLeave    = 'q' // the user does so no longer
)

var errEvent = errors.New("malformed event")

// entryEvent carries an entry as the frame that receivers are sent.
type entryEvent struct {
	timeline, seq  int64
	sender, device int64 // the device that sent it is not sent it
	audience       store.Audience
	frame          []byte
}

func appendEntryEvent(b []byte, e entryEvent) []byte {
	b = append(b, eventEntry)
	for _, v := range [...]int64{e.timeline, e.seq, e.sender, e.device} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	audience := store.AppendAudience(nil, e.audience)
	b = append(binary.AppendUvarint(b, uint64(len(audience))), audience...)
	return append(b, e.frame...)
}

func readEntryEvent(b []byte) (e entryEvent, err error) {
	for _, v := range [...]*int64{&e.timeline, &e.seq, &e.sender, &e.device} {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return e, errEvent
		}
		*v, b = int64(n), b[size:]
	}
	length, size := binary.Uvarint(b)
	if size <= 0 || length > uint64(len(b)-size) {
		return e, errEvent
	}
	b = b[size:]
	e.audience, err = store.ReadAudience(b[:length])
	e.frame = b[length:]
	return e, err
}

// Drop is the operation of a Kick that tells the client nothing: it takes it for a lost connection.
const Drop = -1

// Kick tells sessions of a user to end.
type Kick struct {
	Session   int64 // 0: all
	Except    int64 // a session that stays
	Operation int32 // msync.StatisticsBody_Operation, or Drop
	Reason    string
}

func appendKick(b []byte, k Kick) []byte {
	b = append(b, eventKick)
	for _, v := range [...]int64{k.Session, k.Except, int64(k.Operation)} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return append(b, k.Reason...)
}

func readKick(b []byte) (k Kick, err error) {
	var fields [3]int64
	for i := range fields {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return k, errEvent
		}
		fields[i], b = int64(n), b[size:]
	}
	return Kick{Session: fields[0], Except: fields[1], Operation: int32(fields[2]), Reason: string(b)}, nil
}

func appendLifetime(b []byte, until int64) []byte {
	return binary.AppendUvarint(append(b, eventLifetime), uint64(until))
}

func readLifetime(b []byte) (until int64, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, errEvent
	}
	return int64(n), nil
}

// membership tells since when a user reads the timeline of a group, or up to where.
type membership struct {
	muc      int64
	timeline int64 // 0: a room, whose sessions have entered it themselves
	at       int64 // the entry after which the user begins, or the last one that the user may read
}

func appendMembership(b []byte, kind byte, m membership) []byte {
	b = append(b, kind)
	for _, v := range [...]int64{m.muc, m.timeline, m.at} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

func readMembership(b []byte) (m membership, err error) {
	for _, v := range [...]*int64{&m.muc, &m.timeline, &m.at} {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return m, errEvent
		}
		*v, b = int64(n), b[size:]
	}
	return m, nil
}
