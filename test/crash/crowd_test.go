package crash_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
)

// place is where the server is at the moment.
type place struct {
	mu         sync.Mutex
	socket     string
	generation int // grows with each start of the server
	moved      chan struct{}
}

func (p *place) move(socket string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.socket, p.generation = socket, p.generation+1
	if p.moved != nil {
		close(p.moved)
	}
	p.moved = make(chan struct{})
}

// await returns the address of a server that was started later than the one that a client has lost.
func (p *place) await(ctx context.Context, lost int) (socket string, generation int, err error) {
	for {
		p.mu.Lock()
		socket, generation, moved := p.socket, p.generation, p.moved
		p.mu.Unlock()
		if generation > lost {
			return socket, generation, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return "", 0, ctx.Err()
		}
	}
}

// client is what senders and receivers have in common: it comes back to every server until its work is done.
type client struct {
	user, device, token string
	place               *place
}

// run calls work with a connection to each server in turn, until work returns nil. A connection that breaks while its
// server goes on living is an error that shows when the context ends.
func (c *client) run(ctx context.Context, work func(*link) error) error {
	lost := 0
	var last error
	for {
		socket, generation, err := c.place.await(ctx, lost)
		if err != nil {
			return fmt.Errorf("%s: %w; its last connection ended with: %w", c.user, err, last)
		}
		l, err := signIn(ctx, socket, c.user, c.device, c.token)
		if err == nil {
			stop := context.AfterFunc(ctx, func() { l.Close() })
			err = work(l)
			stop()
			l.Close()
			if err == nil {
				return nil
			}
		}
		lost, last = generation, err
	}
}

// message is the number-th from a sender to a receiver. Its text is its number.
type message struct {
	id     uint64 // the client's
	to     int
	number int
}

// sender sends to all receivers in turn, some messages at a time. What has no answer when the connection breaks it sends
// again under the same id, in the old order, before anything new.
type sender struct {
	client
	receivers []string
	window    int             // messages that wait for their answers
	total     *atomic.Int64   // accepted messages of all senders
	stop      <-chan struct{} // closed when nothing new is to be sent

	ids        uint64
	unanswered []message
	accepted   [][]uint64 // by receiver and number: the server's id, 0 for none yet
	resent     int
}

func (s *sender) work(l *link) error {
	s.resent += len(s.unanswered)
	for _, m := range s.unanswered {
		if err := s.send(l, m); err != nil {
			return err
		}
	}
	answers := make(chan *msync.CommSyncDL)
	broken := make(chan error, 1)
	done := make(chan struct{})
	defer close(done)
	go func() { broken <- readAnswers(l, answers, done) }()
	for {
		select {
		case <-s.stop:
			if len(s.unanswered) == 0 {
				return nil
			}
		default:
			for len(s.unanswered) < s.window {
				m := s.compose()
				s.unanswered = append(s.unanswered, m)
				if err := s.send(l, m); err != nil {
					return err
				}
			}
		}
		select {
		case answer := <-answers:
			if err := s.answered(answer); err != nil {
				return err
			}
		case err := <-broken:
			return err
		}
	}
}

func (s *sender) compose() message {
	s.ids++
	to := int(s.ids) % len(s.receivers)
	m := message{id: s.ids, to: to, number: len(s.accepted[to])}
	s.accepted[to] = append(s.accepted[to], 0)
	return m
}

func (s *sender) send(l *link, m message) error {
	body, err := proto.Marshal(&msync.MessageBody{
		Type: msync.MessageBody_CHAT, From: &msync.JID{Name: s.user}, To: &msync.JID{Name: s.receivers[m.to]},
		Contents: []*msync.MessageBody_Content{{Text: strconv.Itoa(m.number)}},
	})
	if err != nil {
		return err
	}
	return l.sync(&msync.CommSyncUL{Meta: &msync.Meta{Id: m.id, To: userJID(s.receivers[m.to], ""), Ns: msync.Meta_CHAT, Payload: body}})
}

func (s *sender) answered(answer *msync.CommSyncDL) error {
	i := slices.IndexFunc(s.unanswered, func(m message) bool { return m.id == answer.GetMetaId() })
	switch {
	case i < 0:
		return fmt.Errorf("an answer to nothing: %v", answer)
	case answer.GetStatus().GetErrorCode() != msync.Status_OK:
		return fmt.Errorf("message refused: %v", answer.GetStatus())
	}
	m := s.unanswered[i]
	s.accepted[m.to][m.number] = answer.GetServerId()
	s.unanswered = slices.Delete(s.unanswered, i, i+1)
	s.total.Add(1)
	return nil
}

func readAnswers(l *link, answers chan<- *msync.CommSyncDL, done <-chan struct{}) error {
	for {
		var down msync.CommSyncDL
		command, err := l.read(map[msync.MSync_Command]proto.Message{msync.MSync_SYNC: &down})
		if err != nil {
			return err
		}
		if command == msync.MSync_SYNC && down.GetMetaId() != 0 {
			select {
			case answers <- &down:
			case <-done:
				return nil
			}
		}
	}
}

// delivered is a message as it reached a device.
type delivered struct {
	id     uint64
	number int
}

// receiver takes what comes and drops what it has had.
type receiver struct {
	client
	order []uint64       // ids as they came
	had   map[uint64]int // where they stand in order
	// back is how far back in that order the oldest was that came again.
	back int

	mu   sync.Mutex
	got  map[string][]delivered // by sender
	more chan struct{}          // something was added to got; has room for one
}

func newReceiver(c client) *receiver {
	return &receiver{client: c, had: map[uint64]int{}, got: map[string][]delivered{}, more: make(chan struct{}, 1)}
}

func (r *receiver) count() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, from := range r.got {
		n += len(from)
	}
	return n
}

// await reports whether so many messages have come in time.
func (r *receiver) await(count int) bool {
	late := time.After(patience)
	for r.count() < count {
		select {
		case <-r.more:
		case <-late:
			return false
		}
	}
	return true
}

func (r *receiver) work(l *link) error {
	return follow(l, false, func(meta *msync.Meta) error {
		if at, again := r.had[meta.GetId()]; again {
			r.back = max(r.back, len(r.order)-at)
			return nil
		}
		r.had[meta.GetId()] = len(r.order)
		r.order = append(r.order, meta.GetId())
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := note(r.got, meta); err != nil {
			return err
		}
		select {
		case r.more <- struct{}{}:
		default:
		}
		return nil
	})
}

func note(got map[string][]delivered, meta *msync.Meta) error {
	var body msync.MessageBody
	if err := proto.Unmarshal(meta.GetPayload(), &body); err != nil {
		return err
	}
	if len(body.GetContents()) != 1 {
		return fmt.Errorf("message %d has %d contents", meta.GetId(), len(body.GetContents()))
	}
	number, err := strconv.Atoi(body.GetContents()[0].GetText())
	if err != nil {
		return err
	}
	from := body.GetFrom().GetName()
	got[from] = append(got[from], delivered{meta.GetId(), number})
	return nil
}

// follow asks for all unread queues and takes what comes, acknowledging it; with once it returns when each of the queues
// has been read to its end, else when the connection breaks.
func follow(l *link, once bool, each func(*msync.Meta) error) error {
	if err := l.askUnread(); err != nil {
		return err
	}
	pulling := map[string]bool{} // the queues that are being read, and whether to read them again
	pull := func(queue *msync.JID) error {
		pulling[queue.GetName()] = false
		return l.sync(&msync.CommSyncUL{Queue: queue})
	}
	for listed := false; !once || !listed || len(pulling) > 0; {
		var down msync.CommSyncDL
		var unread msync.CommUnreadDL
		var notice msync.CommNotice
		command, err := l.read(map[msync.MSync_Command]proto.Message{
			msync.MSync_SYNC: &down, msync.MSync_UNREAD: &unread, msync.MSync_NOTICE: &notice,
		})
		if err != nil {
			return err
		}
		queue := down.GetQueue()
		switch {
		case command == msync.MSync_UNREAD:
			listed = true
			for _, entry := range unread.GetUnread() {
				err = pull(entry.GetQueue())
			}
		case command == msync.MSync_NOTICE:
			queue = notice.GetQueue()
			if _, reading := pulling[queue.GetName()]; reading {
				pulling[queue.GetName()] = true
			} else {
				err = pull(queue)
			}
		case len(down.GetMetas()) > 0:
			for _, meta := range down.GetMetas() {
				if meta.GetNs() == msync.Meta_CHAT {
					if err := each(meta); err != nil {
						return err
					}
				}
			}
			if !down.GetIsLast() {
				err = l.sync(&msync.CommSyncUL{Queue: queue, Key: proto.Uint64(down.GetNextKey())})
			}
		case down.GetIsLast():
			again := pulling[queue.GetName()]
			delete(pulling, queue.GetName())
			if again {
				err = pull(queue)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
