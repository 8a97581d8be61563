package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
)

const (
	// sdkVersion is what the server is told about this SDK.
	sdkVersion = "stoa-go/1"
	// readLimit bounds a frame from the server. A batch of some hundred messages stays far below it.
	readLimit = 16 << 20
	// writeTimeout bounds the writing of one frame; a peer that takes nothing for so long is gone.
	writeTimeout = 10 * time.Second
	// controlLimit bounds the acknowledgements and pulls that wait for the writer.
	controlLimit = 10_000
)

// conn is one accepted connection. The fields below the line are guarded by Client.mu.
type conn struct {
	ws       *websocket.Conn
	device   string    // the server's name for this device
	tokenEnd time.Time // zero: not told
	wake     chan struct{}
	pulls    map[string]bool // queues that are being read, and whether to read again; touched by the reader only

	// ---
	control  [][]byte // frames that nobody waits for
	backlog  int      // calls that waited when the connection was made
	heard    time.Time
	probed   time.Time // when a sign of life was asked for; zero: it has come
	overflow bool      // received items were dropped: nothing more is taken from this connection
	broken   error     // why the client itself gives it up
}

// connectError is an attempt that failed.
type connectError struct {
	err     *Error
	opened  bool // the socket was open
	refused bool // the server said no
}

// connect opens a socket and presents the session's token.
func (s *session) connect(ctx context.Context, op string) (*conn, *connectError) {
	s.c.mu.Lock()
	token, device := s.token, s.device
	s.c.mu.Unlock()
	limits := s.c.opt.timeouts

	dialing, cancel := context.WithTimeout(ctx, limits.Dial)
	defer cancel()
	ws, resp, err := websocket.Dial(dialing, s.c.opt.socket.String(), &websocket.DialOptions{HTTPClient: s.c.opt.httpClient})
	if err != nil {
		return nil, &connectError{err: dialError(ctx, dialing, op, resp, err)}
	}
	ws.SetReadLimit(readLimit)
	cn := &conn{ws: ws, wake: make(chan struct{}, 1), pulls: map[string]bool{}}

	answering, cancel := context.WithTimeout(ctx, limits.Login)
	defer cancel()
	broke := func(code errcode.Code, message string, err error) *connectError {
		cn.close(false)
		switch {
		case ctx.Err() != nil:
			return &connectError{err: restclient.ContextError(ctx, op), opened: true}
		case answering.Err() != nil:
			return &connectError{err: fail(errcode.RequestTimeout, op, "the server did not answer the login", answering.Err()), opened: true}
		}
		return &connectError{err: fail(code, op, message, err), opened: true}
	}
	first, err := provisionFrame(s.c.appKey, s.user, device, token, s.c.opt.loginInfo)
	if err != nil {
		cn.close(false)
		invalid := fail(errcode.InvalidParameter, op, "user id, device, token or login info is not valid UTF-8", err)
		return nil, &connectError{err: invalid, opened: true, refused: true}
	}
	if err := ws.Write(answering, websocket.MessageBinary, first); err != nil {
		return nil, broke(errcode.SDKRuntimeError, "", err)
	}
	for {
		_, data, err := ws.Read(answering)
		if err != nil {
			return nil, broke(errcode.Disconnected, "the connection broke before the login was answered", err)
		}
		var frame msync.MSync
		if proto.Unmarshal(data, &frame) != nil || frame.GetCommand() != msync.MSync_PROVISION {
			continue // not for us yet; the time limit holds
		}
		var answer msync.Provision
		if err := proto.Unmarshal(frame.GetPayload(), &answer); err != nil {
			cn.close(false)
			return nil, &connectError{err: fail(errcode.BadMessage, op, "the login's answer does not decode", err), opened: true}
		}
		if e := provisionError(op, answer.GetStatus()); e != nil {
			cn.close(false)
			return nil, &connectError{err: e, opened: true, refused: true}
		}
		cn.device, cn.tokenEnd = answer.GetResource(), parseTokenEnd(answer.GetAuthToken())
		return cn, nil
	}
}

// dialError is -4 or -1 when the caller's context or the time for the dial ended, else 40.
func dialError(ctx, dialing context.Context, op string, resp *http.Response, err error) *Error {
	switch {
	case ctx.Err() != nil:
		return restclient.ContextError(ctx, op)
	case dialing.Err() != nil:
		return fail(errcode.RequestTimeout, op, "the socket did not open in time", errors.Join(err, context.DeadlineExceeded))
	}
	e := fail(errcode.ConnectionFailed, op, "", err)
	if resp != nil {
		e.Data = map[string]any{"http_status": resp.StatusCode}
	}
	return e
}

// close ends the socket, with or without the closing handshake; the handshake waits some seconds for a peer that hangs.
func (cn *conn) close(handshake bool) {
	if handshake {
		cn.ws.Close(websocket.StatusNormalClosure, "")
		return
	}
	cn.ws.CloseNow()
}

// push queues a frame that nobody waits for. The lock is held.
func (cn *conn) push(frame []byte) {
	if len(cn.control) >= controlLimit {
		cn.giveUp(fmt.Errorf("%d frames wait to be written", len(cn.control)))
		return
	}
	cn.control = append(cn.control, frame)
	cn.signal()
}

// giveUp makes the writer end the connection. The lock is held.
func (cn *conn) giveUp(cause error) {
	if cn.broken == nil {
		cn.broken = cause
	}
	cn.signal()
}

func (cn *conn) signal() {
	select {
	case cn.wake <- struct{}{}:
	default:
	}
}

// serve reads and writes until the connection breaks or the session ends, and returns why it broke.
func (s *session) serve(ctx context.Context, cn *conn) error {
	// Not a child of ctx: the closing handshake still needs the reader.
	alive, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := make(chan error, 2)
	go func() { results <- s.read(alive, cn) }()
	go func() { results <- s.write(alive, cn) }()
	var cause error
	running := 2
	select {
	case cause = <-results:
		running--
	case <-ctx.Done():
	}
	cn.close(ctx.Err() != nil)
	cancel()
	for range running {
		<-results
	}
	return cause
}

func (s *session) read(ctx context.Context, cn *conn) error {
	for {
		kind, data, err := cn.ws.Read(ctx)
		if err != nil {
			return err
		}
		if kind == websocket.MessageBinary {
			s.receive(cn, data)
		}
	}
}

func (s *session) write(ctx context.Context, cn *conn) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		frames, wait, err := s.outgoing(cn, time.Now())
		if err != nil {
			return err
		}
		for _, frame := range frames {
			limited, cancel := context.WithTimeout(ctx, writeTimeout)
			err := cn.ws.Write(limited, websocket.MessageBinary, frame)
			cancel()
			if err != nil {
				return err
			}
		}
		if len(frames) > 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-cn.wake:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// writeBatch bounds how many calls are taken at a time, so that acknowledgements are not held up by a flood of calls.
const writeBatch = 64

// outgoing returns what is to be written now, or for how long there is nothing to do. The error ends the connection.
func (s *session) outgoing(cn *conn, now time.Time) (frames [][]byte, wait time.Duration, err error) {
	limits := s.c.opt.timeouts
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.conn != cn {
		return nil, limits.Heartbeat, nil // about to be closed
	}
	if cn.broken != nil {
		if frames, cn.control = cn.control, nil; len(frames) > 0 { // acknowledgements of what was handed out
			return frames, 0, nil
		}
		return nil, 0, cn.broken
	}

	// Answers that are overdue. Calls stand in the order of writing, so the first is the oldest.
	wait = limits.Heartbeat
	overdue := 0
	for e := s.inflight.Front(); e != nil; e = s.inflight.Front() {
		u := e.Value.(*uplink)
		if left := u.written.Add(limits.Send).Sub(now); left > 0 {
			wait = min(wait, left)
			break
		}
		if u.prompt {
			s.settle(u, nil, u.failed(errcode.RequestTimeout, "", nil))
		} else {
			s.settle(u, nil, u.failed(errcode.SendTimeout, "", nil))
		}
		overdue++
	}
	if overdue > 0 {
		return nil, 0, fmt.Errorf("the server left %d calls without an answer", overdue)
	}

	// A sign of life.
	switch idle := now.Sub(cn.heard); {
	case !cn.probed.IsZero():
		left := cn.probed.Add(limits.Send).Sub(now)
		if left <= 0 {
			return nil, 0, fmt.Errorf("the server was silent for %v", idle.Round(time.Second))
		}
		wait = min(wait, left)
	case idle >= limits.Heartbeat:
		cn.probed = now
		frames = append(frames, unreadFrame())
	default:
		wait = min(wait, limits.Heartbeat-idle)
	}

	for range writeBatch {
		e := s.queue.Front()
		if e == nil {
			break
		}
		u := e.Value.(*uplink)
		s.queue.Remove(e)
		u.place(s.inflight, s.inflight.PushBack(u))
		u.written = now
		u.writes++
		frames = append(frames, u.frame)
		cn.backlog--
	}
	if cn.backlog <= 0 || s.queue.Len() == 0 { // what waited through a reconnect goes first
		cn.backlog = 0
		frames = append(frames, cn.control...)
		cn.control = nil
	}
	return frames, wait, nil
}

// frame wraps a payload; nil leaves it out.
func frame(command msync.MSync_Command, payload proto.Message) ([]byte, error) {
	out := &msync.MSync{Command: command, EncryptType: []msync.EncryptType{msync.EncryptType_ENCRYPT_NONE}}
	if payload != nil {
		var err error
		if out.Payload, err = proto.Marshal(payload); err != nil {
			return nil, err
		}
	}
	return proto.Marshal(out)
}

// mustFrame is for frames that are made of nothing that could fail to encode.
func mustFrame(command msync.MSync_Command, payload proto.Message) []byte {
	data, err := frame(command, payload)
	if err != nil {
		panic("chat: encode frame: " + err.Error())
	}
	return data
}

func provisionFrame(appKey, user, device, token, loginInfo string) ([]byte, error) {
	auth, err := json.Marshal(map[string]string{"token": "$t$" + token})
	if err != nil {
		return nil, err
	}
	payload, err := proto.Marshal(&msync.Provision{
		OsType:        osType(),
		Version:       sdkVersion,
		CompressType:  []msync.Provision_CompressType{msync.Provision_COMPRESS_NONE},
		EncryptType:   []msync.EncryptType{msync.EncryptType_ENCRYPT_NONE},
		DeviceUuid:    device,
		DeviceName:    device,
		Resource:      device,
		ActionVersion: "v5.1",
		AuthToken:     string(auth),
		SessionId:     strconv.FormatInt(time.Now().UnixMilli(), 10) + ":",
		Reason:        loginInfo,
	})
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&msync.MSync{
		Guid:        &msync.JID{AppKey: appKey, Name: user, Domain: userDomain, ClientResource: device},
		Auth:        "$t$" + token,
		Command:     msync.MSync_PROVISION,
		EncryptType: []msync.EncryptType{msync.EncryptType_ENCRYPT_NONE},
		Payload:     payload,
	})
}

func osType() msync.OsType {
	switch runtime.GOOS {
	case "linux":
		return msync.OsType_OS_LINUX
	case "darwin":
		return msync.OsType_OS_OSX
	case "windows":
		return msync.OsType_OS_WIN
	}
	return msync.OsType_OS_OTHER
}

func unreadFrame() []byte { return mustFrame(msync.MSync_UNREAD, nil) }

// informationFrame is the protocol's "here I am" after a login and after every answer to UNREAD.
func informationFrame() []byte {
	body, err := proto.Marshal(&msync.StatisticsBody{Os: osType(), Version: sdkVersion})
	if err != nil {
		panic("chat: encode statistics: " + err.Error())
	}
	return mustFrame(msync.MSync_SYNC, &msync.CommSyncUL{Meta: &msync.Meta{
		Id:      uint64(time.Now().UnixMilli()),
		To:      &msync.JID{Domain: userDomain},
		Ns:      msync.Meta_STATISTIC,
		Payload: body,
	}})
}
