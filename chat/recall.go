package chat

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// recallText is the key under which a recall carries the text of who recalls.
const recallText = "recallMessageExtensionInfo"

// Recall tells that a message was taken back: whoever shows it removes it.
type Recall struct {
	MessageID string
	From      string // who took it back: the sender, an admin of the group, or "admin" for the app's backend
	// Conversation is the id of the other user, the group, room or thread.
	Conversation string
	Text         string // what was said with it
	Time         time.Time
}

// Recall takes back a message: everyone who has it is told by OnRecall, nobody else is given it any more, and it leaves
// the history. The text goes to the others and may be empty. Only ID, Conversation and ChatType of the message count.
//
// For the errors see [Client.Send]; 205 for a message without id or conversation, 504 when it is too old, 505 when the
// app has switched recalling off, 603 for another's message.
func (c *Client) Recall(ctx context.Context, m *Message, text string) error {
	o := sendOptions{}
	if text != "" {
		value := &msync.KeyValue_StringValue{StringValue: text}
		o.metaExt = []*msync.KeyValue{{Key: recallText, Type: msync.KeyValue_STRING, Value: value}}
	}
	_, err := c.about(ctx, "recall", m, o, func(body *msync.MessageBody, id uint64) {
		body.Type, body.AckMessageId = msync.MessageBody_RECALL, id
		body.Contents = []*msync.MessageBody_Content{{}}
	})
	return asError(err)
}

// Edit changes what a message holds, up to ten times: a text, or a custom message. Everyone who has it is told by OnEdit.
// With [WithExt] the application's map is replaced too. It returns the message as it is now.
//
// For the errors see [Client.Send]; 205 for a message without id or conversation, 1302 for one that the server does not
// have, 1303 for content of another kind, 1304, 50 after the tenth edit, 505 when the app has switched editing off, 603
// for another's message.
func (c *Client) Edit(ctx context.Context, m *Message, content Content, opts ...SendOption) (*Message, error) {
	const op = "edit"
	o := collect(opts)
	wire, err := encodeContent(content)
	if err != nil {
		return nil, err
	}
	ext, err := encodeMap(o.ext)
	if err != nil {
		return nil, err
	}
	answer, err := c.about(ctx, op, m, o, func(body *msync.MessageBody, id uint64) {
		body.Type, body.EditMessageId, body.EditScope = msync.MessageBody_EDIT, id, msync.MessageBody_BODY
		if o.ext != nil {
			body.EditScope = msync.MessageBody_BODY_AND_EXT
		}
		body.Contents, body.Ext = []*msync.MessageBody_Content{wire}, ext
	})
	if err != nil {
		return nil, err
	}
	edited := *m
	edited.Content = content
	if o.ext != nil {
		edited.Ext = o.ext
	}
	if metas := answer.GetMetas(); len(metas) > 0 && metas[0].GetNs() == msync.Meta_NOTIFY {
		var told extraJSON
		if err := json.Unmarshal(metas[0].GetPayload(), &told); err != nil { // it is edited all the same
			c.reportBad(badMessage(op, "the answer's notice", metas[0].GetId(), err))
		}
		edited.Edited = told.Edit.edit()
	}
	return &edited, nil
}

// about sends a body that is about an earlier message, to whom that went.
func (c *Client) about(ctx context.Context, op string, m *Message, o sendOptions,
	fill func(body *msync.MessageBody, id uint64)) (*msync.CommSyncDL, *Error) {
	if m == nil {
		return nil, fail(errcode.MessageParameterError, op, "there is no message", nil)
	}
	user, err := c.sender(op, m.Conversation)
	if err != nil {
		return nil, err
	}
	id, err := messageID(op, m.ID)
	if err != nil {
		return nil, err
	}
	o.chatType = m.ChatType
	target := address(c.appKey, m.Conversation, m.ChatType)
	body := &msync.MessageBody{From: &msync.JID{Name: user}, To: &msync.JID{Name: target.GetName()}}
	fill(body, id)
	_, answer, err := c.exchange(ctx, op, o, target, body)
	return answer, err
}

func decodeRecall(user string, meta *msync.Meta, body *msync.MessageBody) *Recall {
	r := &Recall{
		MessageID: formatID(body.GetAckMessageId()),
		From:      body.GetFrom().GetName(),
		Time:      time.UnixMilli(int64(meta.GetTimestamp())),
	}
	if r.From == "" {
		r.From = "admin"
	}
	for _, kv := range meta.GetExt() {
		if kv.GetKey() == recallText {
			r.Text = kv.GetStringValue()
		}
	}
	r.Conversation = conversation(user, chatTypeOf(meta, body), sender(meta, body), recipient(meta, body))
	return r
}

// decodeEdit returns the edited message with its own id, and sender and time of its first form where they are told.
func decodeEdit(user string, meta *msync.Meta, body *msync.MessageBody) (*Message, error) {
	m, err := decodeMessage(user, meta, body)
	if err != nil {
		return nil, err
	}
	m.ID = formatID(body.GetEditMessageId())
	var told struct {
		Edit editJSON `json:"edit_msg"`
	}
	// The body's own type says nothing of where the message went.
	if json.Unmarshal([]byte(body.GetMeta()), &told) == nil {
		if told.Edit.Sender != "" {
			m.From = told.Edit.Sender
		}
		if !told.Edit.Sent.IsZero() {
			m.Time = told.Edit.Sent.Time
		}
		if m.ChatType == GroupChat && chatTypeNamed(told.Edit.ChatType) == RoomChat {
			m.ChatType = RoomChat
		}
	}
	return m, nil
}
