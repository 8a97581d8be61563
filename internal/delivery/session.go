package delivery

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// OfflineWindow is how far back catching up reaches; what is older is history.
	OfflineWindow = 30 * 24 * time.Hour

	pullEntries = 500        // entries in one batch
	pullBytes   = 256 * 1024 // and about their bytes
	// saveAfter is how many acknowledged entries may be known in memory only: after a crash they come again, and clients
	// recognise about 101 (docs/protocol/wire.md §0, rule 4).
	saveAfter = 64
)

// Session is what delivery knows of a device that is online: how far it has come in each timeline. Its exported methods
// are called by the session's reader, one at a time.
type Session struct {
	Identity
	hub     *Hub
	sink    Sink
	shadow  atomic.Bool // a newer session of the same device is there: it gets what is new
	flagged atomic.Bool // in hub.dirty

	mu        sync.Mutex
	loaded    bool
	closed    bool
	positions map[int64]*position
	rooms     []int64 // entered on this socket
	changes   uint64  // in the user's memberships, as far as heard
	moved     []int64 // timelines whose cursor is to be saved
	unsaved   int64   // acknowledged entries that are not saved
	queued    bool    // in hub.unsave
	round     uint64  // of the pull under way; see pullKey
}

// The key of a pushed entry is its sequence number, the same for all receivers. That of a pulled batch has the round of
// the pull above it: the client remembers the key that it acknowledged last, also over a reconnect, and does not
// acknowledge the same one again. A batch whose acknowledgement was lost must therefore come under another key.
const (
	seqBits = 40
	rounds  = 1<<(63-seqBits) - 1
)

func (s *Session) pullKey(seq int64) int64 { return seq | int64(s.round%rounds+1)<<seqBits }

// forever is the until of a subscription that lasts.
const forever = math.MaxInt64

// position is a session's place in one timeline: saved ≤ cursor ≤ sent ≤ head.
type position struct {
	cursor int64 // acknowledged
	saved  int64 // cursor in the store
	shown  int64 // the last entry that the client has to acknowledge
	sent   int64 // the last entry that was sent, or needs no sending
	head   int64 // the last entry heard of
	until  int64 // the last entry that the user may read, or forever
	muc    int64 // the group through which entries come; 0: there is none, or the user has left it
	// behind: what is new is not pushed; the client has been told to pull. pulling: it does.
	behind, pulling bool
}

// receive takes an entry or a push from the hub.
func (s *Session) receive(kind byte, e *entryEvent) {
	if s.shadow.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == eventPush {
		if (e.device == 0 || e.device != s.Device) && e.audience.Has(s.User) {
			s.queue(e.frame, false)
		}
		return
	}
	if !s.loaded {
		return // the first Unread reads the store after this entry was committed
	}
	p := s.positions[e.timeline]
	if p == nil {
		p = &position{until: forever}
		s.positions[e.timeline] = p
		if e.seq > 1 { // where the device stands is in the store; the pull looks there
			p.behind, p.head, p.cursor = true, e.seq, -1
			s.notice(e.timeline)
			return
		}
	}
	if e.seq <= p.head || e.seq > p.until {
		return
	}
	p.head = e.seq
	switch {
	case p.behind:
	case e.seq != p.sent+1:
		p.behind = true
		s.notice(e.timeline)
	case e.device == s.Device && e.sender == s.User, !e.audience.Has(s.User):
		p.sent = e.seq
		s.settle(e.timeline, p)
	case s.queue(e.frame, false):
		p.sent, p.shown = e.seq, e.seq
	default:
		p.behind = true
		s.notice(e.timeline)
	}
}

// queue hands a frame to the sink, with the user's name in the form in which it logged in.
func (s *Session) queue(frame []byte, force bool) bool {
	if s.Alias != s.Name {
		renamed, err := msync.RenameUser(frame, s.Name, s.Alias)
		if err != nil {
			s.hub.log.Error("rename user in frame", "user", s.User, "error", err)
		} else {
			frame = renamed
		}
	}
	ok := s.sink.Queue(frame, force)
	s.Touch()
	return ok
}

// Touch has the sink flushed at the hub's next Flush.
func (s *Session) Touch() {
	if s.flagged.CompareAndSwap(false, true) {
		s.hub.dirtyMu.Lock()
		s.hub.dirty = append(s.hub.dirty, s)
		s.hub.dirtyMu.Unlock()
	}
}

// notice tells the client to pull. Clients that pull already ignore it.
func (s *Session) notice(timeline int64) {
	s.sink.Queue(msync.AppendNotice(nil, strconv.FormatInt(timeline, 10)), true)
	s.Touch()
}

// settle moves the cursor over entries that the client is not sent, once it has acknowledged all that it was sent.
func (s *Session) settle(timeline int64, p *position) {
	if p.cursor >= p.shown && p.cursor < p.sent {
		s.moveCursor(timeline, p, p.sent)
	}
}

func (s *Session) moveCursor(timeline int64, p *position, to int64) {
	if p.cursor == p.saved {
		s.moved = append(s.moved, timeline)
	}
	s.unsaved += to - p.cursor
	p.cursor = to
	wake := s.unsaved >= saveAfter
	if s.queued && !wake {
		return
	}
	s.hub.saveMu.Lock()
	if !s.queued {
		s.queued = true
		s.hub.unsave = append(s.hub.unsave, s)
	}
	s.hub.saveMu.Unlock()
	if wake {
		select {
		case s.hub.wake <- struct{}{}:
		default:
		}
	}
}

// takeCursors appends the cursors that are to be saved, and counts them as saved.
func (s *Session) takeCursors(cursors []store.Cursor) []store.Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, timeline := range s.moved {
		p := s.positions[timeline]
		p.saved = p.cursor
		cursors = append(cursors, store.Cursor{User: s.User, Device: s.Device, Timeline: timeline, Seq: p.cursor})
	}
	s.moved, s.unsaved, s.queued = s.moved[:0], 0, false
	return cursors
}

// Unread is a queue with something for the device.
type Unread struct {
	Queue string
	Count int64 // entries after the cursor; not all may be shown
}

// Unread looks at the store and returns the queues that the client should pull.
func (s *Session) Unread(ctx context.Context) ([]Unread, error) {
	if err := s.refresh(ctx, false); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var unread []Unread
	for timeline, p := range s.positions {
		if p.behind {
			unread = append(unread, Unread{Queue: strconv.FormatInt(timeline, 10), Count: p.head - p.cursor})
		}
	}
	return unread, nil
}

// refresh brings the positions up to what the store holds. Where that shows something new whose event has not come yet,
// the event will be passed over: the caller must see to it that the client pulls, or have it told.
func (s *Session) refresh(ctx context.Context, tell bool) error {
	s.mu.Lock()
	first := !s.loaded
	s.mu.Unlock()
	if first {
		// An earlier session of this device may hold cursors that are not saved yet.
		var earlier []*Session
		for _, other := range s.hub.of(s.User) {
			if other != s && other.Device == s.Device {
				earlier = append(earlier, other)
			}
		}
		if err := s.hub.save(ctx, earlier...); err != nil {
			return fmt.Errorf("save cursors of earlier session: %w", err)
		}
		// What another node publishes is heard only once the bus has the subscription that Open has made.
		s.hub.settle(ctx)
		// From here on nothing is missed: what is committed later is heard, and what is heard is noted.
		s.mu.Lock()
		s.loaded, s.positions = true, map[int64]*position{}
		s.mu.Unlock()
	}
	var listen []int64 // groups to which the node has just begun to listen
	for {
		s.mu.Lock()
		changes := s.changes
		s.mu.Unlock()
		stored, err := s.hub.store.Positions(ctx, s.User, s.Device)
		if err != nil {
			return err
		}
		fresh, ok := s.adopt(stored, changes, tell)
		if !ok {
			continue
		}
		s.hub.settled(s, listen)
		if len(fresh) == 0 {
			return nil
		}
		// What came between the look at the store and the subscriptions has not been heard.
		s.hub.settle(ctx)
		listen = fresh
	}
}

// adopt takes over what the store holds, and returns the groups that are not settled. It refuses if the user's memberships
// have changed since: what was read may be older than that.
func (s *Session) adopt(stored []store.Position, changes uint64, tell bool) (fresh []int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes != changes {
		return nil, false
	}
	read := make(map[int64]struct{}, len(stored))
	for _, at := range stored {
		read[at.Timeline] = struct{}{}
		p := s.positions[at.Timeline]
		if p == nil || p.cursor < 0 {
			known := &position{cursor: at.Cursor, saved: at.Cursor, shown: at.Cursor, sent: at.Cursor, until: forever}
			if p != nil {
				known.head, known.behind = p.head, p.behind
			}
			p = known
			s.positions[at.Timeline] = p
		}
		switch {
		case at.Until != 0:
			s.end(p, at.Until)
		case at.Muc != 0:
			if !s.follow(p, at.Muc, at.Cursor) {
				fresh = append(fresh, at.Muc)
			}
		}
		p.head = max(p.head, at.Head)
		s.catchUp(at.Timeline, p, tell)
	}
	for timeline, p := range s.positions {
		if _, ok := read[timeline]; !ok && p.muc != 0 {
			s.end(p, p.sent) // the user has left, and may read nothing of it
		}
	}
	return fresh, true
}

// catchUp has the client pull if there is something that it was not sent.
func (s *Session) catchUp(timeline int64, p *position, tell bool) {
	if p.head > p.sent && !p.behind {
		p.behind = true
		if tell {
			s.notice(timeline)
		}
	}
}

// follow makes the session read a group's timeline, after an entry if it did not read it already. It reports whether the
// session need not look at the store once more.
func (s *Session) follow(p *position, muc, start int64) (settled bool) {
	if p.until != forever { // the user has been in the group before
		p.until = forever
		if p.cursor < start {
			p.cursor, p.saved = start, start
		}
		p.sent, p.head = max(p.sent, start), max(p.head, start)
	}
	if p.muc != 0 || s.closed {
		return true
	}
	p.muc = muc
	heard, settled := s.hub.enter(muc, s)
	p.head = max(p.head, heard)
	return settled
}

// end stops the reading of a group's timeline at an entry; what is missing up to there can still be pulled.
func (s *Session) end(p *position, until int64) {
	p.until, p.head = until, max(p.sent, until)
	if p.muc != 0 {
		s.hub.exit(p.muc, s)
		p.muc = 0
	}
}

// joined takes the word that the user reads a group's timeline, or was put into a room.
func (s *Session) joined(m membership) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	if m.timeline == 0 {
		s.enter(m.muc)
		return
	}
	if !s.loaded {
		return // the first Unread reads the store after this
	}
	p := s.positions[m.timeline]
	if p == nil || p.cursor < 0 {
		p = &position{cursor: m.at, saved: m.at, shown: m.at, sent: m.at, head: m.at, until: forever}
		s.positions[m.timeline] = p
	}
	if !s.follow(p, m.muc, m.at) {
		s.hub.later(m.muc, s)
	}
	s.catchUp(m.timeline, p, true)
}

// left takes the word that the user reads a group's timeline no longer, or was put out of a room.
func (s *Session) left(m membership) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	if m.timeline == 0 {
		s.exit(m.muc)
	} else if p := s.positions[m.timeline]; p != nil && p.until == forever { // else it has ended before
		s.end(p, m.at)
		s.catchUp(m.timeline, p, true)
	}
}

// eachMuc calls do for each group that the session reads.
func (s *Session) eachMuc(do func(id int64, p *position)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.positions {
		if p.muc != 0 {
			do(p.muc, p)
		}
	}
}

// Enter has the session sent what is pushed to a room after it has returned. Entering twice is the same as once.
func (s *Session) Enter(muc int64) {
	s.mu.Lock()
	settled := s.enter(muc)
	s.mu.Unlock()
	if !settled {
		s.hub.settle(context.Background())
		s.hub.mucs.change(muc, func(of *mucSessions) { of.settled = true })
	}
}

func (s *Session) enter(muc int64) (settled bool) {
	if s.closed {
		return true
	}
	// It may have been entered by an event, which does not wait; who enters now does.
	if !slices.Contains(s.rooms, muc) {
		s.rooms = append(s.rooms, muc)
	}
	_, settled = s.hub.enter(muc, s)
	return settled
}

// Exit ends Enter.
func (s *Session) Exit(muc int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exit(muc)
}

func (s *Session) exit(muc int64) {
	if i := slices.Index(s.rooms, muc); i >= 0 {
		s.rooms = slices.Delete(s.rooms, i, i+1)
		s.hub.exit(muc, s)
	}
}

// resync is Unread on the server's own account: it notifies the client of what it missed.
func (s *Session) resync(ctx context.Context) error {
	s.mu.Lock()
	loaded := s.loaded
	s.mu.Unlock()
	if !loaded || s.shadow.Load() {
		return nil
	}
	if err := s.refresh(ctx, false); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for timeline, p := range s.positions {
		if p.behind && !p.pulling {
			s.notice(timeline)
		}
	}
	return nil
}

// Acknowledge takes a key that the client sends back: everything up to it has been received. It reports whether the
// client goes on pulling with it, so that the next batch is due. A queue that is not the user's is ignored.
func (s *Session) Acknowledge(queue string, key uint64) (pulls bool) {
	timeline, err := strconv.ParseInt(queue, 10, 64)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.positions[timeline]
	if p == nil || p.cursor < 0 {
		return false
	}
	to := min(int64(key&(1<<seqBits-1)), p.sent)
	if to >= p.shown {
		to = p.sent
	}
	if to > p.cursor {
		s.moveCursor(timeline, p, to)
	}
	return p.pulling && p.cursor >= p.shown
}

// Pull queues the next batch of a timeline for the client: what follows what it was sent, or with again what follows
// what it has acknowledged, unless a pulled batch is still on its way. The end is an empty batch with is_last, which must be sent (docs/protocol/wire.md §5.3);
// from then on new entries are pushed. queue is the JID that the client sent, and named its name.
func (s *Session) Pull(ctx context.Context, queue []byte, named string, again bool) error {
	timeline, err := strconv.ParseInt(named, 10, 64)
	if err != nil || !s.begin(ctx, timeline, again) {
		s.queue(msync.AppendEmptyBatch(nil, queue), true)
		return nil
	}
	oldest := s.hub.clock.Now().Add(-OfflineWindow).UnixMilli()
	for {
		s.mu.Lock()
		p := s.positions[timeline]
		from, head, until := p.sent, p.head, p.until
		s.mu.Unlock()
		entries, err := s.hub.store.ReadTimeline(ctx, timeline, from, pullEntries, pullBytes)
		if err != nil {
			return fmt.Errorf("read timeline %d: %w", timeline, err)
		}
		for len(entries) > 0 && entries[len(entries)-1].Seq > until {
			entries = entries[:len(entries)-1]
		}
		room := 0
		for _, e := range entries {
			room += len(e.Meta) + 32 // the id, the time, and the length
		}
		batch := msync.Batch{Queue: named, Metas: make([]byte, 0, room)}
		for _, e := range entries {
			from = e.Seq
			own := e.Sender == s.User && e.Device == s.Device
			if own || e.Device == store.NotDelivered || e.Recalled || e.Time < oldest || !e.Audience.Has(s.User) {
				continue
			}
			batch.Metas = msync.AppendMeta(batch.Metas, e.ID, e.Time, e.Meta)
			batch.NextKey = e.Seq
		}
		if len(entries) == 0 {
			from = head // what is missing up to here has been deleted
		}
		if s.advance(timeline, p, from, batch, queue) {
			return nil
		}
	}
}

// begin prepares a pull; false means that there is no such queue for this user.
func (s *Session) begin(ctx context.Context, timeline int64, again bool) bool {
	known := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		p := s.positions[timeline]
		return p != nil && p.cursor >= 0
	}
	if !known() {
		if err := s.refresh(ctx, true); err != nil {
			s.hub.log.Warn("read positions", "user", s.User, "error", err)
			return false
		}
		if !known() {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.positions[timeline]
	// A client that is told of a queue twice, by a notice and by UNREAD, asks for it twice before it has an answer. What it
	// has been sent on the first asking is on its way, and more than it would recognise.
	underWay := p.pulling && p.shown > p.cursor
	p.behind, p.pulling = true, true
	if again && !underWay {
		s.round = s.hub.rounds.Add(1)
		p.sent, p.shown = p.cursor, p.cursor
	}
	return true
}

// advance queues a batch that ends at an entry, or the end of the queue. It reports whether something was queued.
func (s *Session) advance(timeline int64, p *position, to int64, batch msync.Batch, queue []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.sent = max(p.sent, to)
	if batch.NextKey != 0 {
		p.shown = batch.NextKey
		batch.NextKey = s.pullKey(batch.NextKey)
		s.queue(msync.AppendBatch(make([]byte, 0, len(batch.Metas)+64), batch), true)
		return true
	}
	s.settle(timeline, p)
	if p.sent < p.head {
		return false
	}
	p.behind, p.pulling = false, false
	s.queue(msync.AppendEmptyBatch(nil, queue), true)
	return true
}

// Close saves the cursors and removes the session.
func (s *Session) Close(ctx context.Context) error {
	err := s.hub.save(ctx, s)
	s.mu.Lock()
	s.closed = true
	rooms := s.rooms
	s.rooms = nil
	s.mu.Unlock()
	s.eachMuc(func(id int64, _ *position) { s.hub.exit(id, s) })
	for _, id := range rooms {
		s.hub.exit(id, s)
	}
	s.hub.remove(s)
	return err
}
