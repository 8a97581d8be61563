package gateway

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/rehearse"
	"github.com/stoa-chat/stoa/internal/store"
)

// openLimit is how many unanswered requests a session may have; then it is not read from.
const openLimit = 1024

// session is one socket: first nobody, after its Provision a user's device.
type session struct {
	gateway *Gateway
	conn    net.Conn
	out     *outbox
	in      *frameReader
	origin  string
	began   time.Time

	// Set by Provision, before loggedIn:
	login    account.Login
	row      store.Session
	sender   message.Sender
	deliver  *delivery.Session
	loggedIn atomic.Bool

	heard   atomic.Int64 // second of the last frame
	pinged  atomic.Bool
	resting atomic.Bool  // since it is silent
	expires atomic.Int64 // end of the token, milliseconds of the app's clock; 0: none

	mu       sync.Mutex
	losing   atomic.Bool                 // lost has been used
	lost     map[uint64]rehearse.Outcome // answers that are to be lost, by the client's id
	room     *sync.Cond
	open     int            // requests without an answer
	kick     *delivery.Kick // to be told when open is 0
	leaving  *goodbye       // to be said when open is 0
	said     bool           // kick or goodbye is out: what still comes in is refused
	left     bool           // goodbye is out
	deadline time.Time      // when to close whatever the client does; zero: none
}

type goodbye struct {
	code   ws.StatusCode
	reason string
}

func newSession(g *Gateway, conn net.Conn, origin string, early []byte, sockJS bool) *session {
	s := &session{gateway: g, conn: conn, out: newOutbox(conn), in: newFrameReader(conn, early), origin: origin, began: time.Now()}
	s.room = sync.NewCond(&s.mu)
	s.out.sockJS = sockJS
	s.heard.Store(g.tick.Load())
	return s
}

// run reads until the connection ends, or until the session is to rest.
func (s *session) run() {
	if s.read() {
		s.conn.SetReadDeadline(time.Time{})
		go s.rest()
	}
}

// rest waits for a client that is silent. A goroutine keeps the stack that it once needed for handling a frame; a new one
// has half of it, or less.
func (s *session) rest() {
	s.in.fill(2) // an error comes again
	s.run()
}

// read handles frames. It returns true when there is none for a while, else at the end of the session.
func (s *session) read() (silent bool) {
	defer func() {
		if !silent {
			s.end(recover())
		}
	}()
	for {
		if !s.in.buffered() {
			s.out.flush()
		}
		s.out.wait()
		opcode, payload, err := s.in.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return true
		}
		if err != nil {
			s.readFailed(err)
			return false
		}
		s.heard.Store(s.gateway.tick.Load())
		s.pinged.Store(false)
		s.resting.Store(false)
		if !s.frame(opcode, payload) {
			s.out.flush()
			return false
		}
	}
}

// readFailed says goodbye to a client that broke the rules of WebSocket; a broken connection needs none.
func (s *session) readFailed(err error) {
	code := ws.StatusProtocolError
	switch {
	case errors.Is(err, errTooLarge):
		code = ws.StatusMessageTooBig
	case !errors.Is(err, errProtocol):
		return
	}
	s.out.control(ws.OpClose, ws.NewCloseFrameBody(code, err.Error()))
	s.out.finish()
	s.drainInput()
}

// drainInput reads what the client still sends, for a moment: closing over unread bytes resets the connection, and what
// was written last would be lost with it.
func (s *session) drainInput() {
	s.conn.SetReadDeadline(time.Now().Add(closeTime))
	s.in.release()
	scratch := make([]byte, 4096)
	for total := 0; total < 1<<20; {
		n, err := s.conn.Read(scratch)
		if err != nil {
			return
		}
		total += n
	}
}

// end cleans up after the connection.
func (s *session) end(panicked any) {
	if panicked != nil {
		s.gateway.log.Error("session panicked", "panic", panicked, "stack", string(debug.Stack()))
	}
	s.out.close()
	s.in.release()
	if s.loggedIn.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.deliver.Close(ctx); err != nil {
			s.gateway.log.Error("save cursors", "user", s.row.User, "error", err)
		}
		if err := s.gateway.accounts.CloseSession(ctx, s.row); err != nil {
			s.gateway.log.Error("close session", "user", s.row.User, "error", err)
		}
		if err := s.gateway.mucs.WentOffline(ctx, s.login.User); err != nil {
			s.gateway.log.Error("note who is away", "user", s.row.User, "error", err)
		}
	}
	s.gateway.remove(s)
}

// frame handles a message or control frame. It returns false when the connection is over.
func (s *session) frame(opcode ws.OpCode, payload []byte) bool {
	switch opcode {
	case ws.OpBinary:
		return s.chatFrame(payload)
	case ws.OpText:
		if !s.out.sockJS {
			// The real client reads a text frame as an empty one, and so do we (docs/protocol/wire.md §3).
			return s.chatFrame(nil)
		}
		frames, err := readSockJS(payload)
		if err != nil {
			return s.violates("text frame is not SockJS")
		}
		for _, frame := range frames {
			if len(frame) > maxFrame {
				return s.violates("frame too large")
			}
			if !s.chatFrame(frame) {
				return false
			}
			s.out.wait()
		}
		return true
	case ws.OpPing:
		s.out.control(ws.OpPong, payload)
		s.out.flush()
		return true
	case ws.OpPong:
		s.mu.Lock()
		told := s.said && s.kick != nil && s.leaving == nil
		s.mu.Unlock()
		if told { // the kick has arrived, and all that was sent before is answered
			s.leave(ws.StatusNormalClosure, "signed out")
		}
		return true
	case ws.OpClose:
		code, _ := ws.ParseCloseFrameData(payload)
		if code == 0 || code == ws.StatusNoStatusRcvd {
			code = ws.StatusNormalClosure
		}
		s.mu.Lock()
		answered := s.left
		s.mu.Unlock()
		if !answered {
			s.out.control(ws.OpClose, ws.NewCloseFrameBody(code, ""))
			s.out.drainNow()
		}
		return false
	}
	return true
}

// violates ends a connection that does not speak the protocol.
func (s *session) violates(reason string) bool {
	s.gateway.log.Debug("protocol violated", "remote", s.conn.RemoteAddr().String(), "reason", reason)
	s.out.control(ws.OpClose, ws.NewCloseFrameBody(ws.StatusPolicyViolation, reason))
	s.out.finish()
	s.drainInput()
	return false
}

// chatFrame handles an MSync.
func (s *session) chatFrame(b []byte) bool {
	s.gateway.metrics.frames.Inc()
	frame, err := msync.ReadFrame(b)
	if err != nil {
		return s.violates("not an MSync")
	}
	if frame.Command == msync.MSync_PROVISION {
		if s.loggedIn.Load() {
			return s.violates("second Provision")
		}
		return s.provision(b)
	}
	if !s.loggedIn.Load() {
		if len(frame.Payload) == 0 && frame.Command == msync.MSync_SYNC {
			return true // an empty frame asks for nothing
		}
		s.mu.Lock()
		refused := s.said
		s.mu.Unlock()
		return refused || s.violates("not signed in")
	}
	switch frame.Command {
	case msync.MSync_SYNC:
		return s.sync(frame.Payload)
	case msync.MSync_UNREAD:
		return s.unread()
	case msync.MSync_LOGOUT:
		return s.logout(frame.Payload)
	}
	return s.violates("unknown command")
}

// sync handles a SYNC: a Meta, a pull or an acknowledgement.
func (s *session) sync(payload []byte) bool {
	up, err := msync.ReadUpload(payload)
	if err != nil {
		return s.violates("not a CommSyncUL")
	}
	if up.Meta != nil {
		s.meta(up.Meta)
	}
	if up.Queue == nil {
		return true
	}
	name, err := msync.QueueName(up.Queue)
	if err != nil {
		return s.violates("queue is not a JID")
	}
	if up.HasKey && !s.deliver.Acknowledge(name, up.Key) {
		return true
	}
	if err := s.deliver.Pull(context.Background(), up.Queue, name, !up.HasKey); err != nil {
		// Without an answer the client's queue would hang; after a reconnect it asks again.
		s.gateway.log.Error("pull", "user", s.row.User, "error", err)
		s.leave(ws.StatusInternalServerError, "store is not available")
	}
	return true
}

// unread answers UNREAD, which is also the heartbeat.
func (s *session) unread() bool {
	ctx := context.Background()
	kick, ok, err := s.gateway.accounts.CheckSession(ctx, s.login, s.row)
	if err == nil && !ok {
		s.Kick(kick)
		return true
	}
	var queues []delivery.Unread
	if err == nil {
		queues, err = s.deliver.Unread(ctx)
	}
	if err != nil {
		s.gateway.log.Error("unread", "user", s.row.User, "error", err)
		s.leave(ws.StatusInternalServerError, "store is not available")
		return true
	}
	down := &msync.CommUnreadDL{Status: &msync.Status{}, Timestamp: uint64(s.gateway.clock.Now().UnixMilli())}
	for _, q := range queues {
		down.Unread = append(down.Unread, &msync.MetaQueue{Queue: &msync.JID{Name: q.Queue}, N: uint32(min(q.Count, 1<<31))})
	}
	s.send(msync.MSync_UNREAD, down)
	return true
}

func (s *session) logout(payload []byte) bool {
	var up msync.Logout
	if err := proto.Unmarshal(payload, &up); err != nil {
		return s.violates("not a Logout")
	}
	s.send(msync.MSync_LOGOUT, &msync.Logout{SessionId: up.SessionId, Status: &msync.Status{}})
	return true
}

// send queues a frame that is not of the message path.
func (s *session) send(command msync.MSync_Command, payload proto.Message) {
	frame, err := msync.FrameOf(command, payload)
	if err != nil {
		s.gateway.log.Error("pack frame", "command", command, "error", err)
		return
	}
	s.out.queue(frame, true)
}

// meta handles what a client sends. Every Meta with an id is answered, once.
func (s *session) meta(b []byte) {
	var meta msync.Meta
	if err := proto.Unmarshal(b, &meta); err != nil {
		id, _ := msync.MetaID(b)
		s.answer("send", id, message.Result{Err: &errcode.Error{Code: errcode.BadMessage, Op: "send", Message: "the meta does not decode", Err: err}})
		return
	}
	if s.rehearseUplink(&meta) {
		return
	}
	switch meta.Ns {
	case msync.Meta_STATISTIC:
		return // "still here"; needs no answer
	case msync.Meta_CHAT:
		s.chat(&meta)
	case msync.Meta_MUC:
		s.place(&meta)
	case msync.Meta_ROSTER:
		s.roster(&meta)
	default:
		s.answer("send", meta.Id, message.Result{Err: errcode.Newf(errcode.ServiceNotEnabled, "this server does not offer %v over the socket", meta.Ns)})
	}
}

func (s *session) chat(meta *msync.Meta) {
	if !s.begin() {
		s.answer("send", meta.Id, message.Result{Err: errEnded()})
		return
	}
	id := meta.Id
	s.gateway.messages.Send(context.Background(), s.sender, meta, func(r message.Result) {
		s.answer("send", id, r)
		s.settle()
	})
}

// roster changes contacts and block list, as releases before 1.3 do over the socket (docs/protocol/wire.md §18.1).
func (s *session) roster(meta *msync.Meta) {
	if !s.begin() {
		s.answer("send", meta.Id, message.Result{Err: errEnded()})
		return
	}
	actor := contact.Actor{App: s.sender.App, User: s.sender.User, Device: s.sender.Device}
	r := s.gateway.contacts.Operate(context.Background(), actor, meta.Payload)
	s.answer("send", meta.Id, message.Result{ID: r.ID, Time: r.Time, Err: r.Err})
	s.settle()
}

func errEnded() error {
	return &errcode.Error{Code: errcode.ServerUnknownError, Message: "the session has ended", Reason: "the session has ended"}
}

// begin counts a request; false: the session takes none any more.
func (s *session) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.open >= openLimit {
		s.room.Wait()
	}
	if s.kick != nil || s.leaving != nil {
		return false
	}
	s.open++
	return true
}

// settle counts an answer, and says what was waiting for the last one.
func (s *session) settle() {
	s.mu.Lock()
	s.open--
	if s.open == openLimit-1 {
		s.room.Signal()
	}
	last := s.open == 0 && (s.kick != nil || s.leaving != nil)
	s.mu.Unlock()
	if last {
		s.sayGoodbye()
	}
}

// answer queues the answer to a Meta. One without an id cannot be answered (docs/protocol/wire.md §6.2).
func (s *session) answer(op string, id uint64, r message.Result) {
	s.gateway.metrics.requests.WithLabelValues(codeLabel(r.Err)).Inc()
	if id == 0 || s.loses(id) {
		return
	}
	a := msync.Answer{MetaID: id, ServerID: r.ID, Time: r.Time}
	if r.Meta != nil {
		a.Metas = msync.AppendMeta(nil, r.ID, r.Time, r.Meta)
	}
	if r.Err != nil {
		a.Status, a.Reason = answerStatus(op, r.Err)
		if code, ok := errcode.CodeOf(r.Err); ok {
			s.gateway.Rehearsals.Met(s.row.User, code)
		}
		s.gateway.log.Debug("refused", "user", s.row.User, "op", op, "error", r.Err)
	}
	s.out.queue(msync.AppendAnswer(make([]byte, 0, 64), a), true)
	s.deliver.Touch()
}

// Queue implements delivery.Sink. A push that a rehearsal loses is as if the client were slow: it is noticed and pulled.
func (s *session) Queue(frame []byte, force bool) bool {
	if !force {
		switch s.gateway.Rehearsals.Push(s.row.User) {
		case 0:
			return false
		case 2:
			s.out.queue(frame, force)
		}
	}
	return s.out.queue(frame, force)
}

// Flush implements delivery.Sink.
func (s *session) Flush() { s.out.flush() }

// Extend implements delivery.Sink: a token with a later end has been taken up.
func (s *session) Extend(until int64) {
	for {
		now := s.expires.Load()
		if now == 0 || until != 0 && until <= now || s.expires.CompareAndSwap(now, until) {
			return
		}
	}
}

// Kick implements delivery.Sink. The client is told when its open requests have been answered: one that stays open would
// bring it back (docs/protocol/errors.md §7).
func (s *session) Kick(k delivery.Kick) {
	if k.Operation == delivery.Drop {
		s.gateway.Rehearsals.Met(s.row.User, errcode.Disconnected)
		s.drop()
		return
	}
	s.mu.Lock()
	if s.kick != nil || s.leaving != nil {
		s.mu.Unlock()
		return
	}
	s.kick = &k
	now := s.open == 0
	s.mu.Unlock()
	if now {
		s.sayGoodbye()
	}
}

// leave closes the connection when the open requests have been answered. The client takes it for a lost connection,
// unless it has been kicked before.
func (s *session) leave(code ws.StatusCode, reason string) {
	s.mu.Lock()
	if s.leaving != nil {
		s.mu.Unlock()
		return
	}
	s.leaving = &goodbye{code, reason}
	now := s.open == 0
	s.mu.Unlock()
	if now {
		s.sayGoodbye()
	}
}

// sayGoodbye writes the kick, the close frame or both, each once. It holds the lock all the while, so that they cannot
// overtake each other.
func (s *session) sayGoodbye() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kick != nil && !s.said {
		s.sendKick(s.kick)
		// The answer to the ping tells that the kick has arrived.
		s.out.control(ws.OpPing, []byte("bye"))
		s.out.flush()
	}
	if s.deadline.IsZero() || s.leaving != nil && !s.left {
		s.deadline = time.Now().Add(closeTime)
	}
	s.said = true
	if s.leaving != nil && !s.left {
		s.left = true
		s.out.control(ws.OpClose, ws.NewCloseFrameBody(s.leaving.code, s.leaving.reason))
		s.out.finish()
	}
}

func (s *session) sendKick(k *delivery.Kick) {
	reason, err := proto.Marshal(&msync.StatisticsBody{Operation: msync.StatisticsBody_Operation(k.Operation), Reason: k.Reason})
	if err != nil {
		s.gateway.log.Error("pack kick", "error", err)
		return
	}
	s.gateway.Rehearsals.Kicked(s.row.User, int(k.Operation))
	name := &msync.JID{Name: s.login.User.Name, Domain: msync.UserDomain}
	s.send(msync.MSync_SYNC, &msync.CommSyncDL{
		Status: &msync.Status{}, Queue: &msync.JID{Name: "session"}, IsLast: true,
		Metas: []*msync.Meta{{Id: uint64(s.row.ID), From: name, To: name, Ns: msync.Meta_STATISTIC, Payload: reason}},
	})
}

// sweep does what has become due.
func (s *session) sweep(now, appTime time.Time) {
	s.mu.Lock()
	deadline := s.deadline
	s.mu.Unlock()
	silent := now.Sub(time.Unix(s.heard.Load(), 0))
	end := s.expires.Load()
	switch {
	case !deadline.IsZero() && now.After(deadline):
		s.out.close()
	case !s.loggedIn.Load():
		if now.Sub(s.began) > loginTime {
			s.out.close()
		}
	case silent > idleTime:
		s.out.close()
	case silent > pingAfter && s.pinged.CompareAndSwap(false, true):
		s.out.control(ws.OpPing, nil)
		s.out.flush()
	case end != 0 && appTime.After(time.UnixMilli(end).Add(tokenGrace)):
		s.leave(ws.StatusPolicyViolation, "token expired")
	case silent > restAfter && s.resting.CompareAndSwap(false, true):
		s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}
