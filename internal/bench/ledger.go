package bench

import (
	"slices"
	"sync"
	"time"
)

// tally is what a ledger has to say about its messages.
type tally struct {
	sent, acked, delivered uint64
	lost                   uint64 // acknowledged and not delivered
	doubled                uint64 // shown to the receiver a second time
	repeated               uint64 // came a second time and was dropped, as the real client does
	outOfOrder             uint64 // delivered after one that was sent later
	late                   uint64 // delivered only after the receiver asked at the end
	refused                uint64
	unanswered             uint64
	answeredTwice          uint64
}

func (t *tally) add(o tally) {
	t.sent += o.sent
	t.acked += o.acked
	t.delivered += o.delivered
	t.lost += o.lost
	t.doubled += o.doubled
	t.repeated += o.repeated
	t.outOfOrder += o.outOfOrder
	t.late += o.late
	t.refused += o.refused
	t.unanswered += o.unanswered
	t.answeredTwice += o.answeredTwice
}

// ledger follows every message of one sender to one receiver. Messages are numbered from 1 in the order in which they
// are sent. All methods are safe for concurrent use.
type ledger struct {
	mu               sync.Mutex
	open             map[uint64]time.Duration // sent and not answered: when
	acked, delivered bitset
	highest          uint64
	missing          uint64 // acknowledged, not delivered yet
	asked            bool
	seen             seenIDs
	tally            tally
}

// send opens the next message and returns its number.
func (l *ledger) send(at time.Duration) (number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[uint64]time.Duration{}
	}
	l.tally.sent++
	l.open[l.tally.sent] = at
	return l.tally.sent
}

// answer closes a message. It returns when the message was sent; false if it is not open.
func (l *ledger) answer(number uint64, refused bool) (sent time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent, ok = l.open[number]
	switch {
	case !ok && number >= 1 && number <= l.tally.sent:
		l.tally.answeredTwice++
	case !ok:
	case refused:
		delete(l.open, number)
		l.tally.refused++
	default:
		delete(l.open, number)
		l.tally.acked++
		l.acked.set(number)
		if !l.delivered.has(number) {
			l.missing++
		}
	}
	return sent, ok
}

// deliver enters that the receiver got a message, under the server's id. It is false for a number that was never sent
// and for all but the first delivery.
func (l *ledger) deliver(number, id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number == 0 || number > l.tally.sent {
		return false
	}
	if l.delivered.has(number) {
		if l.seen.has(id) {
			l.tally.repeated++
		} else {
			l.tally.doubled++
		}
		return false
	}
	l.seen.add(id)
	l.delivered.set(number)
	l.tally.delivered++
	if l.acked.has(number) {
		l.missing--
	}
	if number < l.highest {
		l.tally.outOfOrder++
	}
	l.highest = max(l.highest, number)
	if l.asked {
		l.tally.late++
	}
	return true
}

// ask marks that the receiver now asks for what it has not been given.
func (l *ledger) ask() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = true
}

// waiting is how many messages are not answered, and how many acknowledged ones are not delivered.
func (l *ledger) waiting() (unanswered, missing uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.open)), l.missing
}

func (l *ledger) sum() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	t.unanswered, t.lost = uint64(len(l.open)), l.missing
	return t
}

// seenIDs are the ids that the real client remembers and drops when they come again.
type seenIDs struct {
	ids  [101]uint64
	next int
}

func (s *seenIDs) add(id uint64) {
	s.ids[s.next] = id
	s.next = (s.next + 1) % len(s.ids)
}

func (s *seenIDs) has(id uint64) bool { return slices.Contains(s.ids[:], id) }

type bitset []uint64

func (b *bitset) set(i uint64) {
	for uint64(len(*b)) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) has(i uint64) bool { return i/64 < uint64(len(b)) && b[i/64]&(1<<(i%64)) != 0 }
