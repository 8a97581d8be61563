package chat

import (
	"container/list"
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// maxWrites is how often a frame is written that never got an answer, for it may be what breaks the connections.
const maxWrites = 5

// SendOption changes one message or receipt.
type SendOption func(*sendOptions)

type sendOptions struct {
	chatType ChatType
	ext      map[string]any
	clientID string
}

// WithExt sends the application's own map with the message; see Message.Ext.
func WithExt(ext map[string]any) SendOption { return func(o *sendOptions) { o.ext = ext } }

// WithChatType sends to a group or room; without it the recipient is a user.
func WithChatType(t ChatType) SendOption { return func(o *sendOptions) { o.chatType = t } }

// WithClientID sends under an id of the application's: a decimal number from 1 to 2^64-1. A message of the same device
// with the id, recipient and content of one that the server already has is answered with that one and not stored again.
func WithClientID(id string) SendOption { return func(o *sendOptions) { o.clientID = id } }

// SendText sends a text to a user, or with [WithChatType] to a group or room.
// See [Client.Send].
func (c *Client) SendText(ctx context.Context, to, text string, opts ...SendOption) (*Message, error) {
	return c.Send(ctx, to, Content{Text: text}, opts...)
}

// Send sends a message and returns it as the server has stored it, with its id and time.
//
// Before anything is sent: 39 without a session, 205 without a recipient, -3 for content, options or text (it must be
// UTF-8) that have no wire form, 511 for what does not fit into a frame (64 KiB), 32 when it cannot wait for a connection. Refused by the server: 50, 204, 219, 221,
// 500-511, 602-608, 704, 705. Without a verdict: 510, 512, -1, -4; see the package comment. Data holds the client id
// under "id".
func (c *Client) Send(ctx context.Context, to string, content Content, opts ...SendOption) (*Message, error) {
	var o sendOptions
	for _, opt := range opts {
		opt(&o)
	}
	const op = "send"
	user, err := c.sender(op, to)
	if err != nil {
		return nil, err
	}
	wire, err := encodeContent(content)
	if err != nil {
		return nil, err
	}
	ext, err := encodeMap(o.ext)
	if err != nil {
		return nil, err
	}
	target := address(c.appKey, to, o.chatType)
	u, answer, err := c.exchange(ctx, op, o, target, &msync.MessageBody{
		Type:     o.chatType.bodyType(),
		From:     &msync.JID{Name: user},
		To:       &msync.JID{Name: target.GetName()},
		Contents: []*msync.MessageBody_Content{wire},
		Ext:      ext,
	})
	if err != nil {
		return nil, err
	}
	return &Message{
		ID:           formatID(answer.GetServerId()),
		ClientID:     formatID(u.id),
		From:         user,
		To:           target.GetName(),
		Conversation: target.GetName(),
		ChatType:     o.chatType,
		Time:         time.UnixMilli(int64(answer.GetTimestamp())),
		Content:      content,
		Ext:          o.ext,
	}, nil
}

// SendRead tells the sender that the message was read. For the errors see [Client.Send]; 205 for a message without id
// or sender.
func (c *Client) SendRead(ctx context.Context, m *Message) error {
	return c.sendReceipt(ctx, msync.MessageBody_READ_ACK, m)
}

// SendDelivered tells the sender that the message has arrived; with [WithDeliveryReceipts] the client does it by itself.
// For the errors see [Client.Send]; 205 for a message without id or sender.
func (c *Client) SendDelivered(ctx context.Context, m *Message) error {
	return c.sendReceipt(ctx, msync.MessageBody_DELIVER_ACK, m)
}

// SendConversationRead tells the other side that the whole conversation was read. For the errors see [Client.Send].
func (c *Client) SendConversationRead(ctx context.Context, conversation string, opts ...SendOption) error {
	var o sendOptions
	for _, opt := range opts {
		opt(&o)
	}
	user, err := c.sender("receipt", conversation)
	if err != nil {
		return err
	}
	target := address(c.appKey, conversation, o.chatType)
	_, _, err = c.exchange(ctx, "receipt", o, target, receiptBody(msync.MessageBody_CHANNEL_ACK, user, target, 0))
	return asError(err)
}

func (c *Client) sendReceipt(ctx context.Context, kind msync.MessageBody_Type, m *Message) error {
	to := ""
	var o sendOptions
	if m != nil {
		to, o.chatType = m.From, m.ChatType
		if m.ChatType != SingleChat {
			to = m.To
		}
	}
	user, err := c.sender("receipt", to)
	if err != nil {
		return err
	}
	id := parseID(m.ID)
	if id == 0 {
		return fail(errcode.MessageParameterError, "receipt", fmt.Sprintf("%q is not the id of a message", m.ID), nil)
	}
	target := address(c.appKey, to, o.chatType)
	_, _, err = c.exchange(ctx, "receipt", o, target, receiptBody(kind, user, target, id))
	return asError(err)
}

func receiptBody(kind msync.MessageBody_Type, user string, target *msync.JID, id uint64) *msync.MessageBody {
	body := &msync.MessageBody{
		Type:         kind,
		From:         &msync.JID{Name: user},
		To:           &msync.JID{Name: target.GetName()},
		Contents:     []*msync.MessageBody_Content{{}},
		AckMessageId: id,
	}
	if kind == msync.MessageBody_READ_ACK && target.GetDomain() == groupDomain {
		body.MsgConfig = &msync.MessageBody_MessageConfig{AllowGroupAck: true}
	}
	return body
}

// sender returns the user who is logged in: 39 without one, 205 without a recipient.
func (c *Client) sender(op, to string) (string, *Error) {
	user, ok := c.User()
	switch {
	case !ok:
		return "", fail(errcode.NotLoggedIn, op, "", nil)
	case to == "":
		return "", fail(errcode.MessageParameterError, op, "the recipient is empty", nil)
	}
	return user, nil
}

// uplink is one call that the server answers. Its fields below the line are guarded by Client.mu.
type uplink struct {
	id    uint64
	op    string
	frame []byte
	done  chan struct{} // closed by settle

	// ---
	home    *list.List // session.inflight or session.queue
	element *list.Element
	writes  int
	written time.Time
	answer  *msync.CommSyncDL
	err     *Error
}

func (u *uplink) place(home *list.List, element *list.Element) { u.home, u.element = home, element }

func (u *uplink) failed(code errcode.Code, message string, cause error) *Error {
	return u.with(fail(code, u.op, message, cause))
}

func (u *uplink) with(e *Error) *Error {
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	e.Data["id"] = formatID(u.id)
	return e
}

// exchange sends one body and waits for the server's answer.
func (c *Client) exchange(ctx context.Context, op string, o sendOptions, to *msync.JID, body *msync.MessageBody) (*uplink, *msync.CommSyncDL, *Error) {
	if ctx.Err() != nil {
		return nil, nil, ctxError(ctx, op)
	}
	u, err := c.newUplink(op, o, to, body)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	s := c.session
	if err := s.open(u, body.GetFrom().GetName()); err != nil {
		c.mu.Unlock()
		return nil, nil, err
	}
	c.mu.Unlock()

	select {
	case <-u.done:
	case <-ctx.Done():
		s.abandon(ctx, u)
	}
	return u, u.answer, u.err // settled: not written to any more
}

// maxFrame is the largest frame that the server reads, in bytes; it closes the connection over a larger one.
const maxFrame = 64 * 1024

func (c *Client) newUplink(op string, o sendOptions, to *msync.JID, body *msync.MessageBody) (*uplink, *Error) {
	id := parseID(o.clientID)
	switch {
	case o.clientID == "":
		c.mu.Lock()
		id = c.nextID()
		c.mu.Unlock()
	case id == 0:
		return nil, fail(errcode.InvalidParameter, op, fmt.Sprintf("the client id %q is not a decimal number from 1 to 2^64-1", o.clientID), nil)
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err == nil {
		var data []byte
		data, err = frame(msync.MSync_SYNC, &msync.CommSyncUL{Meta: &msync.Meta{Id: id, To: to, Ns: msync.Meta_CHAT, Payload: payload}})
		if len(data) > maxFrame {
			return nil, fail(errcode.MessageTooLarge, op, fmt.Sprintf("the message has %d bytes with all that belongs to it, a frame holds %d", len(data), maxFrame), nil)
		}
		if err == nil {
			return &uplink{id: id, op: op, frame: data, done: make(chan struct{})}, nil
		}
	}
	return nil, fail(errcode.InvalidParameter, op, "recipient, text or extension is not valid UTF-8", err)
}

// open queues a call for the writer. The lock is held; s may be nil.
func (s *session) open(u *uplink, user string) *Error {
	switch {
	case s == nil || s.phase == connecting || s.phase == ended || s.user != user:
		return fail(errcode.NotLoggedIn, u.op, "", nil)
	case s.calls[u.id] != nil:
		return u.failed(errcode.InvalidParameter, "a call with this client id is under way", nil)
	case s.conn == nil && s.c.opt.offlineQueue == 0:
		return u.failed(errcode.ClientOffline, "the client is offline, and its offline queue is off", nil)
	case s.conn == nil && len(s.calls) >= s.c.opt.offlineQueue:
		return u.failed(errcode.ClientOffline, "the client is offline, and its offline queue is full", nil)
	}
	s.calls[u.id] = u
	u.place(s.queue, s.queue.PushBack(u))
	if s.conn != nil {
		s.conn.signal()
	}
	return nil
}

// settle ends a call. The lock is held.
func (s *session) settle(u *uplink, answer *msync.CommSyncDL, err *Error) {
	if s.calls[u.id] != u {
		return
	}
	delete(s.calls, u.id)
	u.home.Remove(u.element)
	u.answer, u.err = answer, err
	close(u.done)
}

// abandon ends a call whose context has ended, unless it has just been settled.
func (s *session) abandon(ctx context.Context, u *uplink) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	var err *Error
	switch {
	case s.conn != nil:
		err = u.with(ctxError(ctx, u.op))
	case u.writes == 0:
		err = u.failed(errcode.ClientOffline, "the context ended before there was a connection", ctx.Err())
	default: // written to a connection that broke
		err = u.failed(errcode.SendInterrupted, "", ctx.Err())
	}
	s.settle(u, nil, err)
}

// answered settles the call that the server answers. An answer that nobody waits for is passed over: its call has
// returned already.
func (s *session) answered(down *msync.CommSyncDL) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	u := s.calls[down.GetMetaId()]
	if u == nil {
		return
	}
	err := ackError(u.op, down.GetStatus())
	if err != nil {
		u.with(err)
		if down.GetServerId() != 0 {
			err.Data["mid"] = formatID(down.GetServerId())
		}
	}
	s.settle(u, down, err)
}

// receipt sends a delivery receipt that nobody waits for. Where it cannot be sent, or the server refuses it, the sender
// of the message does without.
func (s *session) receipt(m *Message) {
	target := address(s.c.appKey, m.From, SingleChat)
	u, err := s.c.newUplink("receipt", sendOptions{}, target, receiptBody(msync.MessageBody_DELIVER_ACK, s.user, target, parseID(m.ID)))
	if err == nil {
		s.c.mu.Lock()
		if len(s.calls) < max(s.c.opt.offlineQueue, s.c.opt.eventQueue) {
			err = s.open(u, s.user)
		}
		s.c.mu.Unlock()
	}
	if err != nil {
		s.c.opt.log.Debug("delivery receipt not sent", "user", s.user, "msg_id", m.ID, "err", err)
	}
}
