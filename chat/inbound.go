package chat

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// pullLimit bounds the queues that are read at a time.
const pullLimit = 100_000

// receive handles one frame. It is called by the reader of the connection only.
func (s *session) receive(cn *conn, data []byte) {
	s.c.mu.Lock()
	current := s.conn == cn
	cn.heard, cn.probed = time.Now(), time.Time{}
	s.c.mu.Unlock()
	if !current {
		return
	}
	var frame msync.MSync
	if err := proto.Unmarshal(data, &frame); err != nil {
		s.undecodable("frame", 0, err)
		return
	}
	var err error
	switch frame.GetCommand() {
	case msync.MSync_SYNC:
		var down msync.CommSyncDL
		if err = proto.Unmarshal(frame.GetPayload(), &down); err == nil {
			if down.GetMetaId() != 0 {
				s.answered(&down)
			} else {
				s.batch(cn, &down)
			}
		}
	case msync.MSync_UNREAD:
		var unread msync.CommUnreadDL
		if err = proto.Unmarshal(frame.GetPayload(), &unread); err == nil {
			s.unread(cn, &unread)
		}
	case msync.MSync_NOTICE:
		var notice msync.CommNotice
		if err = proto.Unmarshal(frame.GetPayload(), &notice); err == nil {
			s.notice(cn, notice.GetQueue())
		}
	}
	if err != nil {
		s.undecodable(frame.GetCommand().String()+" frame", 0, err)
	}
}

// undecodable reports 604. Such reports count as received items: a broken server cannot fill the memory with them.
func (s *session) undecodable(what string, id uint64, err error) {
	s.c.reportBad(badMessage("receive", what, id, err))
}

func (c *Client) reportBad(e *Error) {
	if !c.events.offer(1, func() { c.events.reportError(e) }) {
		c.opt.log.Debug("report dropped", "code", int(e.Code), "err", e)
	}
}

var errNoContent = errors.New("message without content")

func badMessage(op, what string, id uint64, err error) *Error {
	e := fail(errcode.BadMessage, op, what+" does not decode", err)
	if id != 0 {
		e.Data = map[string]any{"mid": formatID(id)}
	}
	return e
}

// unread reads every queue that holds something.
func (s *session) unread(cn *conn, down *msync.CommUnreadDL) {
	clear(cn.pulls) // what is not listed holds nothing; what is listed is asked again
	s.c.mu.Lock()
	overflow := cn.overflow
	if ms := down.GetTimestamp(); ms > 0 && ms < 1<<53 {
		s.expiry.observe(s, time.UnixMilli(int64(ms)))
	}
	s.c.mu.Unlock()
	if !overflow {
		for _, entry := range down.GetUnread() {
			if q := entry.GetQueue(); q != nil {
				s.pull(cn, q)
			}
		}
	}
	s.push(cn, informationFrame())
}

// notice reads the queue, or remembers to read it again when it is being read.
func (s *session) notice(cn *conn, queue *msync.JID) {
	if queue == nil {
		return
	}
	if _, reading := cn.pulls[queue.GetName()]; reading {
		cn.pulls[queue.GetName()] = true
		return
	}
	s.pull(cn, queue)
}

func (s *session) pull(cn *conn, queue *msync.JID) {
	if len(cn.pulls) >= pullLimit {
		s.c.mu.Lock()
		cn.giveUp(fmt.Errorf("the server announced more than %d queues", pullLimit))
		s.c.mu.Unlock()
		return
	}
	cn.pulls[queue.GetName()] = false
	s.push(cn, mustFrame(msync.MSync_SYNC, &msync.CommSyncUL{Queue: queue}))
}

// push queues a frame on a connection that may be gone.
func (s *session) push(cn *conn, frame []byte) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.conn == cn {
		cn.push(frame)
	}
}

// batch takes received items, pulled or pushed.
func (s *session) batch(cn *conn, down *msync.CommSyncDL) {
	if len(down.GetMetas()) == 0 && down.GetIsLast() {
		again := cn.pulls[down.GetQueue().GetName()]
		delete(cn.pulls, down.GetQueue().GetName())
		if again {
			s.pull(cn, down.GetQueue())
		}
		return
	}
	var kick *Error
	for _, meta := range down.GetMetas() {
		if meta.GetNs() == msync.Meta_STATISTIC && kick == nil {
			var body msync.StatisticsBody
			if proto.Unmarshal(meta.GetPayload(), &body) == nil { // else reported when it is delivered
				kick = kickError(&body)
			}
		}
	}
	s.c.mu.Lock()
	overflow := cn.overflow
	s.c.mu.Unlock()
	if !overflow && !s.c.events.offer(max(1, len(down.GetMetas())), func() { s.deliver(cn, down) }) {
		s.overflowed(cn)
	}
	if kick != nil {
		s.stop(kick, true)
	}
}

// overflowed drops everything from here on, since a later acknowledgement would cover what was dropped. When the
// callbacks have caught up, a new connection is given it again.
func (s *session) overflowed(cn *conn) {
	s.c.mu.Lock()
	cn.overflow = true
	s.c.mu.Unlock()
	s.c.opt.log.Warn("callbacks are too slow: events are dropped until they have caught up", "user", s.user, "waiting", s.c.opt.eventQueue)
	s.c.events.post(func() {
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		cn.giveUp(fmt.Errorf("more than %d received messages waited for their callbacks", s.c.opt.eventQueue))
	})
}

// deliver hands out a batch and acknowledges it. It runs as an event.
func (s *session) deliver(cn *conn, down *msync.CommSyncDL) {
	s.c.seen.of(s.user)
	for _, meta := range down.GetMetas() {
		if s.isSilenced() {
			return // not acknowledged: comes again
		}
		if meta.GetId() != 0 && !s.c.seen.add(meta.GetId()) {
			continue
		}
		s.deliverMeta(meta)
	}
	if down.GetNextKey() != 0 && !down.GetIsLast() && down.GetQueue() != nil && !s.isSilenced() {
		key := down.GetNextKey()
		s.push(cn, mustFrame(msync.MSync_SYNC, &msync.CommSyncUL{Queue: down.GetQueue(), Key: &key}))
	}
}

func (s *session) isSilenced() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.silenced
}

// deliverMeta hands out one item. Kinds that this SDK does not know are passed over.
func (s *session) deliverMeta(meta *msync.Meta) {
	var err error
	what := "message"
	switch meta.GetNs() {
	case msync.Meta_CHAT:
		err = s.deliverChat(meta)
	case msync.Meta_MUC:
		what, err = "group event", s.deliverPlace(meta)
	case msync.Meta_ROSTER:
		what, err = "roster event", s.deliverRoster(meta)
	case msync.Meta_NOTIFY:
		what, err = "notice", s.deliverNotice(meta.GetPayload())
	case msync.Meta_STATISTIC:
		what, err = "statistics", proto.Unmarshal(meta.GetPayload(), &msync.StatisticsBody{})
	default:
		s.passOver(meta, "")
	}
	if err != nil {
		s.c.events.reportError(badMessage("receive", what, meta.GetId(), err))
	}
}

func (s *session) passOver(meta *msync.Meta, kind string) {
	s.c.opt.log.Debug("item passed over", "user", s.user, "msg_id", meta.GetId(), "ns", meta.GetNs().String(), "kind", kind)
}

// deliverChat hands out a message, or what became of one.
func (s *session) deliverChat(meta *msync.Meta) error {
	body := new(msync.MessageBody)
	if err := proto.Unmarshal(meta.GetPayload(), body); err != nil {
		return err
	}
	d := &s.c.events
	switch body.GetType() {
	case msync.MessageBody_CHAT, msync.MessageBody_GROUPCHAT, msync.MessageBody_CHATROOM:
		m, err := decodeMessage(s.user, meta, body)
		if err != nil {
			return err
		}
		if m.ChatType == RoomChat && m.From == s.user && s.ownDevice(m.Device) {
			return nil // a chatroom's messages come back to their sender
		}
		if s.c.opt.deliveryReceipts && m.ChatType == SingleChat && m.From != s.user {
			s.receipt(m)
		}
		if m.Kind == KindText {
			tell(d, "OnTextMessage", m, func(l *Listener) func(*Message) { return l.OnTextMessage })
		}
		tell(d, "OnMessage", m, func(l *Listener) func(*Message) { return l.OnMessage })
	case msync.MessageBody_DELIVER_ACK:
		tell(d, "OnDeliveredMessage", decodeReceipt(s.user, meta, body), func(l *Listener) func(*Receipt) { return l.OnDeliveredMessage })
	case msync.MessageBody_READ_ACK:
		tell(d, "OnReadMessage", decodeReceipt(s.user, meta, body), func(l *Listener) func(*Receipt) { return l.OnReadMessage })
	case msync.MessageBody_CHANNEL_ACK:
		tell(d, "OnConversationRead", decodeReceipt(s.user, meta, body), func(l *Listener) func(*Receipt) { return l.OnConversationRead })
	case msync.MessageBody_RECALL:
		tell(d, "OnRecall", decodeRecall(s.user, meta, body), func(l *Listener) func(*Recall) { return l.OnRecall })
	case msync.MessageBody_EDIT:
		m, err := decodeEdit(s.user, meta, body)
		if err != nil {
			return err
		}
		tell(d, "OnEdit", m, func(l *Listener) func(*Message) { return l.OnEdit })
	case msync.MessageBody_NORMAL:
		return errors.New("it has no type")
	default:
		s.passOver(meta, body.GetType().String())
	}
	return nil
}

// seenIDs remembers the last ids that a user was given, in a ring.
type seenIDs struct {
	size int
	user string
	ring []uint64
	next int
	set  map[uint64]struct{}
}

// of forgets everything when the user is another.
func (x *seenIDs) of(user string) {
	if x.user != user || x.set == nil {
		x.user, x.ring, x.next, x.set = user, nil, 0, map[uint64]struct{}{}
	}
}

// add reports whether the id is new.
func (x *seenIDs) add(id uint64) bool {
	if _, ok := x.set[id]; ok {
		return false
	}
	x.set[id] = struct{}{}
	if len(x.ring) < x.size {
		x.ring = append(x.ring, id)
		return true
	}
	delete(x.set, x.ring[x.next])
	x.ring[x.next] = id
	x.next = (x.next + 1) % x.size
	return true
}
