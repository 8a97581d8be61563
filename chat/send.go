package chat

import (
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// maxWrites is how often a frame is written that never got an answer, for it may be what breaks the connections.
const maxWrites = 5

// SendOption changes one message or receipt.
type SendOption func(*sendOptions)

type sendOptions struct {
	chatType    ChatType
	ext         map[string]any
	clientID    string
	receivers   []string
	onlineOnly  bool
	priority    Priority
	receipts    bool
	languages   []string
	receiptText string
	metaExt     []*msync.KeyValue
}

func collect(opts []SendOption) (o sendOptions) {
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithExt sends the application's own map with the message; see Message.Ext.
func WithExt(ext map[string]any) SendOption { return func(o *sendOptions) { o.ext = ext } }

// WithChatType sends to a group, room or thread; without it the recipient is a user.
func WithChatType(t ChatType) SendOption { return func(o *sendOptions) { o.chatType = t } }

// WithClientID sends under an id of the application's: a decimal number from 1 to 2^64-1. A message of the same device
// with the id, recipient and content of one that the server already has is answered with that one and not stored again.
func WithClientID(id string) SendOption { return func(o *sendOptions) { o.clientID = id } }

// WithReceivers sends to some members of a group, room or thread only, at most 20; the server refuses more with 50.
func WithReceivers(users ...string) SendOption {
	return func(o *sendOptions) { o.receivers = users }
}

// WithOnlineOnly sends to devices that are online now; it is not kept for the others.
func WithOnlineOnly() SendOption { return func(o *sendOptions) { o.onlineOnly = true } }

// WithPriority says how important a message in a chatroom is.
func WithPriority(p Priority) SendOption { return func(o *sendOptions) { o.priority = p } }

// WithReadReceipts asks to be told who reads a message in a group: by OnReadMessage, and by [Group.Readers].
func WithReadReceipts() SendOption { return func(o *sendOptions) { o.receipts = true } }

// WithTranslations has the server translate a text and sends the translations with it. See [Client.Translate] for the
// languages and errors.
func WithTranslations(languages ...string) SendOption {
	return func(o *sendOptions) { o.languages = languages }
}

// WithReceiptText adds a text of the reader's to a read receipt in a group.
func WithReceiptText(text string) SendOption { return func(o *sendOptions) { o.receiptText = text } }

// SendText sends a text to a user, or with [WithChatType] to a group, room or thread.
// See [Client.Send].
func (c *Client) SendText(ctx context.Context, to, text string, opts ...SendOption) (*Message, error) {
	return c.Send(ctx, to, Content{Text: text}, opts...)
}

// Send sends a message and returns it as the server has stored it, with its id and time. For files see
// [Client.SendFile], for forwarded messages [Client.SendCombined].
//
// Before anything is sent: 39 without a session, 205 without a recipient, -3 for content, options or text (it must be
// UTF-8) that have no wire form, 511 for what does not fit into a frame (64 KiB), 32 when it cannot wait for a
// connection. Refused by the server: 50, 204, 219, 221, 500-511, 602-608, 704, 705. Without a verdict: 510, 512, -1, -4;
// see the package comment. Data holds the client id under "id".
func (c *Client) Send(ctx context.Context, to string, content Content, opts ...SendOption) (*Message, error) {
	o := collect(opts)
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
	extra, translations, err := c.extras(ctx, content, o)
	if err != nil {
		return nil, err
	}
	target := address(c.appKey, to, o.chatType)
	body := &msync.MessageBody{
		Type:     o.chatType.bodyType(),
		From:     &msync.JID{Name: user},
		To:       &msync.JID{Name: target.GetName()},
		Contents: []*msync.MessageBody_Content{wire},
		Ext:      ext,
		Meta:     extra,
	}
	if o.receipts {
		body.MsgConfig = &msync.MessageBody_MessageConfig{AllowGroupAck: true}
	}
	u, answer, err := c.exchange(ctx, op, o, target, body)
	if err != nil {
		return nil, err
	}
	sent := &Message{
		ID:            formatID(answer.GetServerId()),
		ClientID:      formatID(u.id),
		From:          user,
		To:            target.GetName(),
		Conversation:  target.GetName(),
		ChatType:      o.chatType,
		Time:          time.UnixMilli(int64(answer.GetTimestamp())),
		Content:       content,
		Ext:           o.ext,
		WantsReceipts: o.receipts,
		Priority:      o.priority,
		Translations:  translations,
	}
	c.replaced(op, sent, answer)
	return sent, nil
}

// extras is what goes with a message beside its content.
func (c *Client) extras(ctx context.Context, content Content, o sendOptions) (string, []Translation, *Error) {
	extra := map[string]any{}
	if o.chatType == ThreadChat {
		extra["thread"] = struct{}{}
	}
	var translations []Translation
	if len(o.languages) > 0 {
		texts, err := c.translate(ctx, content.Text, o.languages)
		if err != nil {
			return "", nil, err
		}
		type pair struct {
			Code string `json:"code"`
			Text string `json:"text"`
		}
		var pairs []pair
		for _, t := range texts {
			pairs = append(pairs, pair{t.Language, t.Text})
		}
		translations, extra["translations"] = texts, pairs
	}
	if len(extra) == 0 {
		return "", nil, nil
	}
	text, err := json.Marshal(extra)
	if err != nil {
		return "", nil, fail(errcode.InvalidParameter, "send", "the message has no JSON form", err)
	}
	return string(text), translations, nil
}

// replaced puts the content into a sent message that the server has stored in place of what it was sent.
func (c *Client) replaced(op string, m *Message, answer *msync.CommSyncDL) {
	if len(answer.GetMetas()) == 0 || answer.GetMetas()[0].GetNs() != msync.Meta_CHAT {
		return
	}
	meta, body := answer.GetMetas()[0], new(msync.MessageBody)
	err := proto.Unmarshal(meta.GetPayload(), body)
	if err == nil && len(body.GetContents()) == 0 {
		err = errNoContent
	}
	var content Content
	if err == nil {
		content, err = decodeContent(body.GetContents()[0])
	}
	if err != nil { // the message is stored all the same
		c.reportBad(badMessage(op, "the answer's message", meta.GetId(), err))
		return
	}
	m.Content, m.Ext = content, decodeMap(body.GetExt())
}

// SendRead tells the sender that the message was read; for a message in a group that asked for it, with the text of
// [WithReceiptText] if there is one. For the errors see [Client.Send]; 205 for a message without id or sender, 503 when
// the app or the group has no read receipts.
func (c *Client) SendRead(ctx context.Context, m *Message, opts ...SendOption) error {
	return c.sendReceipt(ctx, msync.MessageBody_READ_ACK, m, collect(opts))
}

// SendDelivered tells the sender that the message has arrived; with [WithDeliveryReceipts] the client does it by itself.
// For the errors see [Client.Send]; 205 for a message without id or sender.
func (c *Client) SendDelivered(ctx context.Context, m *Message) error {
	return c.sendReceipt(ctx, msync.MessageBody_DELIVER_ACK, m, sendOptions{})
}

// SendConversationRead tells the other side that the whole conversation was read, and the server that nothing in it is
// unread. For the errors see [Client.Send].
func (c *Client) SendConversationRead(ctx context.Context, conversation string, opts ...SendOption) error {
	o := collect(opts)
	user, err := c.sender("receipt", conversation)
	if err != nil {
		return err
	}
	target := address(c.appKey, conversation, o.chatType)
	_, _, err = c.exchange(ctx, "receipt", o, target, receiptBody(msync.MessageBody_CHANNEL_ACK, user, target, 0))
	return asError(err)
}

func (c *Client) sendReceipt(ctx context.Context, kind msync.MessageBody_Type, m *Message, o sendOptions) error {
	to := ""
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
	id, err := messageID("receipt", m.ID)
	if err != nil {
		return err
	}
	target := address(c.appKey, to, o.chatType)
	body := receiptBody(kind, user, target, id)
	body.AckContent = o.receiptText
	_, _, err = c.exchange(ctx, "receipt", o, target, body)
	return asError(err)
}

// messageID reads the server's id of a message; the error is 205.
func messageID(op, id string) (uint64, *Error) {
	n := parseID(id)
	if n == 0 {
		return 0, fail(errcode.MessageParameterError, op, fmt.Sprintf("%q is not the id of a message", id), nil)
	}
	return n, nil
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
	// prompt: worth nothing later. It does not wait for a connection (16) and is not sent again; no answer is -1.
	prompt bool

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
func (c *Client) exchange(ctx context.Context, op string, o sendOptions, to *msync.JID,
	body *msync.MessageBody) (*uplink, *msync.CommSyncDL, *Error) {
	u, err := c.newUplink(op, o, to, body)
	if err != nil {
		return nil, nil, err
	}
	return c.await(ctx, u, body.GetFrom().GetName())
}

// await hands a user's call to the session and waits for the server's answer.
func (c *Client) await(ctx context.Context, u *uplink, user string) (*uplink, *msync.CommSyncDL, *Error) {
	if ctx.Err() != nil {
		return nil, nil, restclient.ContextError(ctx, u.op)
	}
	c.mu.Lock()
	s := c.session
	if err := s.open(u, user); err != nil {
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

// newUplink packs a message or receipt.
func (c *Client) newUplink(op string, o sendOptions, to *msync.JID, body *msync.MessageBody) (*uplink, *Error) {
	meta := &msync.Meta{To: to, Ns: msync.Meta_CHAT, Ext: o.metaExt}
	switch {
	case len(o.receivers) > 0:
		meta.Routetype, meta.DirectedUsers = msync.Meta_ROUTE_DIRECT, o.receivers
	case o.onlineOnly:
		meta.Routetype = msync.Meta_ROUTE_ONLINE
	}
	if body.GetType() == msync.MessageBody_CHATROOM {
		meta.Ext = append(meta.Ext, &msync.KeyValue{Key: "chatroom_msg_tag", Type: msync.KeyValue_INT,
			Value: &msync.KeyValue_VarintValue{VarintValue: o.priority.tag()}})
	}
	return c.pack(op, o.clientID, meta, body)
}

// pack makes the call that sends a Meta with this payload.
func (c *Client) pack(op, clientID string, meta *msync.Meta, body proto.Message) (*uplink, *Error) {
	meta.Id = parseID(clientID)
	switch {
	case clientID == "":
		c.mu.Lock()
		meta.Id = c.nextID()
		c.mu.Unlock()
	case meta.Id == 0:
		message := fmt.Sprintf("the client id %q is not a decimal number from 1 to 2^64-1", clientID)
		return nil, fail(errcode.InvalidParameter, op, message, nil)
	}
	var err error
	meta.Payload, err = proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err == nil {
		var data []byte
		data, err = frame(msync.MSync_SYNC, &msync.CommSyncUL{Meta: meta})
		if len(data) > maxFrame {
			message := fmt.Sprintf("the message has %d bytes with all that belongs to it, a frame holds %d", len(data), maxFrame)
			return nil, fail(errcode.MessageTooLarge, op, message, nil)
		}
		if err == nil {
			return &uplink{id: meta.Id, op: op, frame: data, done: make(chan struct{})}, nil
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
	case s.conn == nil && u.prompt:
		return u.failed(errcode.Disconnected, "", nil)
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
		err = u.with(restclient.ContextError(ctx, u.op))
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
