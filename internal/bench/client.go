package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// loginTime is what the real client allows for opening the socket and for the answer to its Provision together.
const loginTime = 20 * time.Second

// events is what a session tells its owner. All calls of one session come from one goroutine, and what they are given
// is valid until they return.
type events interface {
	// received brings the text of a message, under the server's id. Its batch is acknowledged after it returns.
	received(id uint64, text []byte)
	// answered brings the answer to the message of that number (see session.base), or to a statistics frame, whose
	// number no message can have; code 0 is success.
	answered(number, code uint64, reason []byte)
	// broke is the last call. It is not made for a session that was closed from here.
	broke(err error)
}

// session is a signed-in user's socket. It reacts to what comes down as the web client does: it asks for unread and
// announced queues and acknowledges every batch.
type session struct {
	conn     *conn
	app      string
	user     string
	resource string // as the server's answer has it
	events   events
	base     uint64 // message n has the client id base+n; like the web client's, base is the ms since 2010
	closing  atomic.Bool
	heard    atomic.Bool   // something came down since the last heartbeat
	greeted  atomic.Bool   // something came down since the sign-in
	done     chan struct{} // closed when the reader has ended

	// The rest belongs to the reader.
	waiting   [][]byte // queues announced and not read to their end, the first of them being asked
	lastKey   uint64   // the key acknowledged last, and the name of its queue
	lastQueue []byte
	scratch   []byte
}

var clientEpoch = time.Date(2010, time.February, 1, 0, 0, 0, 0, time.UTC)

// login opens a socket at base, signs in and starts the session's reader. ctx covers the sign-in only; close ends the
// session.
func login(ctx context.Context, base, app, user, token string, ev events) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	c, err := dial(ctx, base)
	if err != nil {
		return nil, fmt.Errorf("sign in %s: %w", user, err)
	}
	now := time.Now()
	s := &session{conn: c, app: app, user: user, resource: "webim_web_bench", events: ev,
		base: uint64(now.Sub(clientEpoch).Milliseconds()), done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { c.net.Close() })
	err = s.signIn(token, now)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		c.net.Close()
		return nil, fmt.Errorf("sign in %s: %w", user, err)
	}
	go s.run()
	return s, nil
}

func (s *session) signIn(token string, now time.Time) error {
	s.conn.queue(opBinary, provision(s.app, s.user, token, s.resource, now))
	for {
		frame, err := s.conn.read()
		if err != nil {
			return err
		}
		command, payload, err := parseMSync(frame)
		if err != nil {
			return err
		}
		if command != commandProvision {
			continue
		}
		status := first(payload, 8)
		if status == nil {
			return errors.New("the Provision answer has no status")
		}
		code, reason, err := parseStatus(status)
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("refused: %d %s", code, reason)
		}
		s.resource = string(first(payload, 13))
		s.conn.queue(opBinary, appendMSync(nil, commandUnread, nil))
		s.conn.queue(opBinary, information(s.app, s.user, now))
		return s.conn.flush()
	}
}

// askUnread asks for the list of unread queues, whose entries then come as after a sign-in.
func (s *session) askUnread() error {
	s.conn.queue(opBinary, appendMSync(nil, commandUnread, nil))
	return s.conn.flush()
}

// close ends the session and waits for its reader.
func (s *session) close() {
	s.closing.Store(true)
	s.conn.close()
	<-s.done
}

func (s *session) run() {
	defer close(s.done)
	for {
		frame, err := s.conn.read()
		if err == nil {
			if !s.heard.Load() {
				s.heard.Store(true)
				s.greeted.Store(true)
			}
			err = s.handle(frame)
		}
		if err != nil {
			if !s.closing.Load() {
				s.conn.net.Close()
				s.events.broke(fmt.Errorf("session of %s: %w", s.user, err))
			}
			return
		}
	}
}

func (s *session) handle(frame []byte) error {
	command, payload, err := parseMSync(frame)
	if err != nil {
		return err
	}
	switch command {
	case commandSync:
		return s.sync(payload)
	case commandNotice:
		return s.notice(first(payload, 1))
	case commandUnread:
		f := fields{rest: payload}
		for f.next() {
			if f.field == 2 {
				s.ask(first(f.bytes, 1))
			}
		}
		s.conn.queue(opBinary, information(s.app, s.user, time.Now()))
		return f.err
	}
	return nil
}

func queueName(queue []byte) []byte { return first(queue, 2) }

func (s *session) ask(queue []byte) {
	s.scratch = appendReceived(s.scratch[:0], queue, 0, false)
	s.conn.queue(opBinary, s.scratch)
}

func (s *session) notice(queue []byte) error {
	name := queueName(queue)
	if name == nil {
		return errors.New("a notice names no queue")
	}
	own := string(name) == s.user && string(first(queue, 4)) == s.resource
	known := slices.ContainsFunc(s.waiting, func(q []byte) bool { return bytes.Equal(queueName(q), name) })
	if own || known {
		return nil
	}
	s.waiting = append(s.waiting, bytes.Clone(queue))
	if len(s.waiting) == 1 {
		s.ask(queue)
	}
	return nil
}

// sync takes an answer or a batch.
func (s *session) sync(payload []byte) error {
	d, err := parseSync(payload)
	if err != nil {
		return err
	}
	if d.metaID != 0 {
		if d.status == nil {
			return fmt.Errorf("the answer to %d has no status", d.metaID)
		}
		code, reason, err := parseStatus(d.status)
		if err != nil {
			return err
		}
		s.events.answered(d.metaID-s.base, code, reason)
		return nil
	}
	name := queueName(d.queue)
	if d.metas > 0 {
		if name == nil {
			return errors.New("a batch names no queue")
		}
		if err := s.metas(payload); err != nil {
			return err
		}
	}
	switch {
	case !d.last:
		if d.nextKey == s.lastKey && bytes.Equal(name, s.lastQueue) {
			return nil
		}
		s.lastKey, s.lastQueue = d.nextKey, append(s.lastQueue[:0], name...)
		s.scratch = appendReceived(s.scratch[:0], d.queue, d.nextKey, true)
		s.conn.queue(opBinary, s.scratch)
		return nil
	case d.metas == 0:
		s.waiting = slices.DeleteFunc(s.waiting, func(q []byte) bool { return bytes.Equal(queueName(q), name) })
	}
	if len(s.waiting) > 0 {
		s.ask(s.waiting[0])
	}
	return nil
}

// kicks are the statistics that sign a device out.
var kicks = map[uint64]string{1: "user removed", 2: "login on another device", 3: "password changed", 4: "kicked by another device"}

func (s *session) metas(payload []byte) error {
	for f := (fields{rest: payload}); f.next(); {
		if f.field != 4 {
			continue
		}
		id, ns, body, err := parseMeta(f.bytes)
		if err != nil {
			return err
		}
		switch ns {
		case nsChat:
			if content := first(body, 4); content != nil {
				s.events.received(id, first(content, 2))
			}
		case nsStatistic:
			g := fields{rest: body}
			for g.next() {
				if kick := kicks[g.value]; g.field == 1 && kick != "" {
					return errors.New("signed out by the server: " + kick)
				}
			}
		}
	}
	return nil
}
