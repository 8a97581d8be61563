package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Fanout is what the workloads of groups and of chatrooms have in common: everybody is online, some send in a closed
// loop, and every other member must get each message once. Members acknowledge as the web client does.
type Fanout struct {
	Load
	Senders  int `name:"senders" help:"Members who send." default:"1"`
	InFlight int `name:"in-flight" help:"Messages that each sender keeps unanswered." default:"4"`
}

// Group is the workload of one group.
type Group struct {
	Fanout
	Members int `name:"members" help:"Members of the group, senders included." default:"500"`
}

// Room is the workload of one chatroom, which everybody enters over the socket.
type Room struct {
	Fanout
	Members int `name:"members" help:"Members of the room, senders included." default:"5000"`
}

// Validate reports everything that is wrong with the settings.
func (g *Group) Validate() error { return g.validate(g.Members) }

// Validate reports everything that is wrong with the settings.
func (r *Room) Validate() error { return r.validate(r.Members) }

func (f *Fanout) validate(members int) error {
	return errors.Join(f.Load.Validate(), atLeast("senders", f.Senders, 1), atLeast("in-flight", f.InFlight, 1),
		atLeast("members", members, f.Senders+1))
}

// Run runs the workload as Direct.Run does.
func (g *Group) Run(ctx context.Context) (*Result, error) { return g.run(ctx, "group", g.Members) }

// Run runs the workload as Direct.Run does.
func (r *Room) Run(ctx context.Context) (*Result, error) { return r.run(ctx, "room", r.Members) }

func (f *Fanout) run(ctx context.Context, workload string, members int) (*Result, error) {
	if err := f.validate(members); err != nil {
		return nil, err
	}
	result := newResult(workload)
	result.Members, result.Senders, result.InFlight = members, f.Senders, f.InFlight
	load := &fanoutLoad{Fanout: f, room: workload == "room", trouble: trouble{sockets: members}, members: make([]*member, members),
		senders: make([]*speaker, f.Senders)}
	return f.measured(ctx, result, load)
}

// fanoutLoad is a run of Group or Room.
type fanoutLoad struct {
	*Fanout
	room    bool
	crowd   *Crowd
	epoch   time.Time // times of sending count from here
	place   string    // the id of the group or room
	meter   meter
	senders []*speaker // the first of the members
	members []*member
	stopped atomic.Bool // senders send no more
	trouble
}

func (l *fanoutLoad) run(ctx context.Context, crowd *Crowd, watch probe, out *progress) (*window, error) {
	l.crowd, l.epoch = crowd, time.Now()
	n := len(l.members)
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	l.end = cancel
	out.status("registering %d users", n)
	tokens := make([]string, n)
	err := parallel(ctx, n, func(ctx context.Context, i int) (err error) {
		tokens[i], err = l.crowd.register(ctx, l.user(i))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := l.found(ctx, n); err != nil {
		return nil, err
	}
	out.status("signing in %d users", n)
	for i := range l.senders {
		l.senders[i] = l.newSpeaker(i)
	}
	for i := range l.members {
		l.members[i] = &member{load: l, number: uint32(i), token: tokens[i], got: make([]inbox, l.Senders), entered: make(chan error, 1)}
	}
	err = parallel(ctx, n, func(ctx context.Context, i int) error { return l.members[i].enter(ctx) })
	if err != nil {
		return nil, err
	}
	for _, s := range l.senders {
		s.begin()
	}
	window, err := l.meter.measure(running, watch, l.Warmup, l.Duration, out)
	l.stopped.Store(true)
	out.status("waiting for the last messages")
	var missing []*member
	drain(context.WithoutCancel(ctx), l.lastMessages(ctx), func() bool {
		var unanswered bool
		unanswered, missing = l.open()
		return !unanswered && len(missing) == 0
	}, func(ctx context.Context) {
		parallel(ctx, len(missing), func(ctx context.Context, i int) error {
			missing[i].ask(ctx)
			return nil
		})
	})
	return &window, err
}

func (l *fanoutLoad) user(i int) string { return l.crowd.name("m", i) }

// found makes the group with everybody in it, or the empty room.
func (l *fanoutLoad) found(ctx context.Context, n int) error {
	const atATime = 60 // docs/protocol/admin-rest.md §12
	kind, form := "group", map[string]any{"groupname": "bench", "desc": "bench", "public": false, "maxusers": n, "owner": l.user(0)}
	if l.room {
		kind, form = "room", map[string]any{"name": "bench", "description": "bench", "maxusers": n, "owner": l.user(0)}
	}
	var answer struct {
		Data struct {
			GroupID string `json:"groupid"`
			ID      string `json:"id"`
		} `json:"data"`
	}
	if err := l.crowd.post(ctx, "/chat"+kind+"s", l.crowd.token, form, &answer); err != nil {
		return fmt.Errorf("make %s: %w", kind, err)
	}
	if l.room {
		l.place = answer.Data.ID
		return nil
	}
	l.place = answer.Data.GroupID
	var names []string
	for i := 1; i < n; i++ {
		names = append(names, l.user(i))
	}
	for part := range slices.Chunk(names, atATime) {
		var none struct{}
		if err := l.crowd.post(ctx, "/chatgroups/"+l.place+"/users", l.crowd.token, map[string]any{"usernames": part}, &none); err != nil {
			return fmt.Errorf("add members: %w", err)
		}
	}
	return nil
}

// open reports whether messages are not answered, and who misses acknowledged ones.
func (l *fanoutLoad) open() (unanswered bool, missing []*member) {
	acked := make([]uint64, len(l.senders))
	for i, s := range l.senders {
		t := s.ledger.sum()
		acked[i] = t.acked
		select {
		case <-l.members[i].session.done: // no answer will come
		default:
			unanswered = unanswered || t.unanswered > 0
		}
	}
	for _, m := range l.members {
		if m.misses(acked) {
			missing = append(missing, m)
		}
	}
	return unanswered, missing
}

// sum counts at the end.
func (l *fanoutLoad) sum() (sum tally) {
	for i, s := range l.senders {
		t := s.ledger.sum()
		t.lost = 0 // the ledger's own receiver is nobody
		for _, m := range l.members {
			if int(m.number) != i {
				t.add(m.got[i].tally(s.ledger.acked))
			}
		}
		sum.add(t)
	}
	return sum
}

// speaker is a member's sending side.
type speaker struct {
	load    *fanoutLoad
	number  uint32
	ledger  ledger
	mu      sync.Mutex // held from taking a number to queueing its frame, so that numbers go out in order
	message *textMessage
	filler  []byte // what follows the stamp in every body
}

func (l *fanoutLoad) newSpeaker(i int) *speaker {
	body, kind := letters(l.Body, i), uint64(bodyGroup)
	if l.room {
		kind = bodyRoom
	}
	return &speaker{load: l, number: uint32(i), filler: bytes.Clone(body[stampSize:]),
		message: newTextMessage(kind, l.crowd.target.App, l.user(i), l.place, 1, body)}
}

// begin sends the first messages; the answers draw the others after them.
func (s *speaker) begin() {
	for range s.load.InFlight {
		s.post()
	}
	s.session().conn.flush() // an error ends the session's reader too, which tells
}

func (s *speaker) session() *session { return s.load.members[s.number].session }

// post queues the next message.
func (s *speaker) post() {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Since(s.load.epoch)
	number := s.ledger.send(at)
	s.message.setID(s.session().base + number)
	stamp(s.message.text, s.number, number, at)
	s.session().conn.queue(opBinary, s.message.frame)
}

// answered takes the answer to a message of the speaker.
func (s *speaker) answered(number, code uint64, reason []byte) {
	sent, ok := s.ledger.answer(number, code != 0)
	if !ok {
		return // to a statistics frame, or a second answer
	}
	if code == 0 {
		s.load.meter.ack.add(time.Since(s.load.epoch) - sent)
	} else {
		s.load.refuse(code, reason)
	}
	if !s.load.stopped.Load() {
		s.post()
	}
}

// entering is the number under which a session asks to enter the room: no message gets so far.
const entering = 1 << 40

// member is somebody who receives.
type member struct {
	load    *fanoutLoad
	number  uint32
	token   string
	session *session
	entered chan error // the answer to entering the room

	mu    sync.Mutex
	got   []inbox // by sender
	seen  seenIDs
	asked bool
}

// enter signs the member in, and brings it into the room.
func (m *member) enter(ctx context.Context) error {
	l := m.load
	session, err := l.crowd.login(ctx, l.user(int(m.number)), m.token, m)
	if err != nil {
		return err
	}
	m.session = session
	if !l.room {
		return nil
	}
	session.conn.queue(opBinary, joinRoom(l.crowd.target.App, session.user, l.place, session.base+entering))
	if err := session.conn.flush(); err != nil {
		return err
	}
	select {
	case err := <-m.entered:
		return err
	case <-session.done:
		return fmt.Errorf("session of %s ended while it entered the room", session.user)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask lets the member ask for what it has not been given.
func (m *member) ask(ctx context.Context) {
	m.mu.Lock()
	m.asked = true
	m.mu.Unlock()
	select {
	case <-m.session.done:
		m.enter(ctx) // what is missing then shows as lost
	default:
		m.session.askUnread()
	}
}

// misses reports whether fewer messages have come than were acknowledged.
func (m *member) misses(acked []uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.got {
		if i != int(m.number) && m.got[i].count < acked[i] {
			return true
		}
	}
	return false
}

func (m *member) received(id uint64, text []byte) {
	l := m.load
	from, number, sent, ok := parseStamp(text)
	if ok && from == m.number {
		return // a room's messages come back to their sender, whose client drops them
	}
	if !ok || int(from) >= len(l.senders) || !bytes.Equal(text[stampSize:], l.senders[from].filler) {
		l.misdelivered.Add(1)
		return
	}
	m.mu.Lock()
	first := m.got[from].deliver(number, m.seen.has(id), m.asked)
	if first {
		m.seen.add(id)
	}
	m.mu.Unlock()
	if first {
		l.meter.deliver.add(time.Since(l.epoch) - sent)
	}
}

func (m *member) answered(number, code uint64, reason []byte) {
	switch {
	case number == entering && code != 0:
		m.entered <- fmt.Errorf("enter room: refused: %d %s", code, reason)
	case number == entering:
		m.entered <- nil
	case int(m.number) < len(m.load.senders):
		m.load.senders[m.number].answered(number, code, reason)
	}
}

func (m *member) broke(err error) { m.load.broke(err) }

// inbox is what a member has got of one sender.
type inbox struct {
	delivered      bitset
	count, highest uint64
	counted        tally
}

// deliver enters a message and reports whether it is the first of its number.
func (i *inbox) deliver(number uint64, seen, asked bool) bool {
	switch {
	case !i.delivered.has(number):
	case seen:
		i.counted.repeated++
		return false
	default:
		i.counted.doubled++
		return false
	}
	i.delivered.set(number)
	i.count++
	if number < i.highest {
		i.counted.outOfOrder++
	}
	i.highest = max(i.highest, number)
	if asked {
		i.counted.late++
	}
	return true
}

// tally counts what came, and what was acknowledged and did not.
func (i *inbox) tally(acked bitset) tally {
	t := i.counted
	t.delivered = i.count
	for w, word := range acked {
		if w < len(i.delivered) {
			word &^= i.delivered[w]
		}
		t.lost += uint64(bits.OnesCount64(word))
	}
	return t
}
