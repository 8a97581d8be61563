package delivery

import (
	"encoding/binary"
	"errors"
)

// What travels on a user's subject: one byte that says what it is, then its fields.
const (
	eventEntry    = 'e' // a timeline has a new entry
	eventPush     = 'p' // a frame that needs no cursor
	eventKick     = 'k' // sessions must end
	eventLifetime = 'l' // the user's token was renewed
)

var errEvent = errors.New("malformed event")

// entryEvent carries an entry as the frame that receivers are sent.
type entryEvent struct {
	timeline, seq  int64
	sender, device int64 // the device that sent it is not sent it
	frame          []byte
}

func appendEntryEvent(b []byte, e entryEvent) []byte {
	b = append(b, eventEntry)
	for _, v := range [...]int64{e.timeline, e.seq, e.sender, e.device} {
		b = binary.AppendUvarint(b, uint64(v))
	}
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
	e.frame = b
	return e, nil
}

// Kick tells sessions of a user to end.
type Kick struct {
	Session   int64 // 0: all
	Except    int64 // a session that stays
	Operation int32 // msync.StatisticsBody_Operation
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
