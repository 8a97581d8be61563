package message

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// Spokesman is in whose name a backend speaks if it names nobody.
const Spokesman = "admin"

// Outgoing is a message that a backend sends.
type Outgoing struct {
	// From is a user. One whom nobody knows yet is registered, without a password: the receivers have a conversation with
	// that user, as with any other.
	From string
	Type ChatType
	// To names users, groups and threads, or chatrooms, by Type.
	To      []string
	Content *msync.MessageBody_Content
	Ext     []*msync.KeyValue
	// Only names those members of the group or room who are given it; nil: all are.
	Only []string
	// Unsaved names users in whose history it is not to be.
	Unsaved []string
	// Online: only who is online now is given it, and nothing is kept.
	Online bool
	// Sync: the sender's devices are given it, too.
	Sync bool
	// Receipts asks the members of a group for read receipts.
	Receipts bool
	// Level is the priority in a chatroom: 0 high, 1 normal, 2 low.
	Level int64

	stream *msync.MessageBody_Stream // how far a text has come that arrives in parts; nil: it is whole
}

// maxUnsaved is how many users Outgoing.Unsaved may name.
const maxUnsaved = 20

// SendFor sends a backend's message to each receiver and returns the ids, in the order of To, once all are durable. A
// backend is bound to no membership, mute, contact or block. A receiver whom nobody knows is given nothing, as
// docs/protocol/admin-rest.md §7.4 has it. The errors are code 206 (ErrUserName of account), 511 (too large), 604 (contents
// that would harm clients), 605 and 705 (no such group or room), 608 (disabled), and 50 (too many users in Only or Unsaved).
func (s *Service) SendFor(ctx context.Context, app *account.App, o Outgoing) ([]int64, error) {
	from, err := s.inNameOf(ctx, app, o.From)
	if err != nil {
		return nil, err
	}
	if len(o.Unsaved) > maxUnsaved {
		return nil, errcode.Newf(errcode.MaxLimit, "the message is to be kept from %d users, the limit is %d", len(o.Unsaved), maxUnsaved)
	}
	body, content, err := s.compose(from, o)
	if err != nil {
		return nil, err
	}
	to := make([]*conversation, len(o.To))
	for i, name := range o.To {
		to[i], err = s.reach(ctx, from, o.Type, name)
		switch {
		case errors.Is(err, account.ErrNoUser):
		case err != nil:
			return nil, err
		case to[i].place.Disabled:
			return nil, errcode.New(errcode.GroupDisabled, "can not operate this group, reason: group is disabled")
		}
	}
	results := make([]chan Result, len(to))
	for i, c := range to {
		results[i] = make(chan Result, 1)
		if c == nil {
			results[i] <- Result{ID: s.delivery.NewID()}
			continue
		}
		audience, err := s.given(ctx, from, c, o)
		if err != nil {
			return nil, err
		}
		if err := s.deliverTo(from, c, o, body, content, audience, func(r Result) { results[i] <- r }); err != nil {
			return nil, refusal(err)
		}
	}
	ids := make([]int64, len(to))
	for i := range results {
		select {
		case r := <-results[i]:
			if r.Err != nil {
				return nil, r.Err
			}
			ids[i] = r.ID
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return ids, s.keepFrom(ctx, app, o.Unsaved, ids)
}

// inNameOf returns a backend as the sender of what a user is to have sent.
func (s *Service) inNameOf(ctx context.Context, app *account.App, name string) (Sender, error) {
	user, err := s.accounts.User(ctx, app, name)
	if errors.Is(err, account.ErrNoUser) {
		user, err = s.accounts.Register(ctx, app, account.NewUser{Name: name})
		if errors.Is(err, account.ErrUserExists) { // somebody else was faster
			user, err = s.accounts.User(ctx, app, name)
		}
	}
	return Sender{App: app, User: user, Backend: true}, err
}

// compose makes the body of a message, which names no receiver yet.
func (s *Service) compose(from Sender, o Outgoing) (*msync.MessageBody, store.Content, error) {
	body := &msync.MessageBody{Type: bodyTypes[o.Type], From: &msync.JID{Name: from.User.Name},
		Contents: []*msync.MessageBody_Content{o.Content}, Ext: o.Ext, Stream: o.stream}
	if o.Receipts && o.Type == Group {
		body.MsgConfig = &msync.MessageBody_MessageConfig{AllowGroupAck: true}
	}
	if err := checkBody(&msync.Meta{}, body); err != nil {
		return nil, 0, err
	}
	content, err := contentOf(body)
	if err != nil {
		return nil, 0, err
	}
	payload, err := proto.Marshal(body)
	if err != nil {
		return nil, 0, bad("the message cannot be packed", err)
	}
	if o.stream != nil { // it has a limit of its own
		return body, content, nil
	}
	return body, content, s.checkSize(from, payload)
}

var bodyTypes = map[ChatType]msync.MessageBody_Type{Chat: msync.MessageBody_CHAT, Group: msync.MessageBody_GROUPCHAT, Room: msync.MessageBody_CHATROOM}

// reach returns the conversation to which a backend sends. The errors are code 204, 605, 705 and 608.
func (s *Service) reach(ctx context.Context, from Sender, t ChatType, name string) (*conversation, error) {
	if t == Chat {
		return s.withUser(ctx, from, name)
	}
	place, err := s.mucs.Find(ctx, from.App, name)
	if err != nil && !errors.Is(err, muc.ErrNotExist) {
		return nil, err
	}
	if room := place.Kind == store.MucRoom; err != nil || room != (t == Room) {
		none := *noRoom(name)
		if t == Group {
			none.Code, none.Message = errcode.GroupNotExist, fmt.Sprintf("there is no group or thread %q", name)
		}
		return nil, &none
	}
	return inPlace(from, place), nil
}

// given returns who is given a backend's message.
func (s *Service) given(ctx context.Context, from Sender, c *conversation, o Outgoing) (store.Audience, error) {
	if o.Only != nil {
		audience, err := s.audience(ctx, from, c, &msync.Meta{Routetype: msync.Meta_ROUTE_DIRECT, DirectedUsers: o.Only})
		named := func(name string) bool { return account.Fold(name) == from.User.Name }
		if !o.Sync && !slices.ContainsFunc(o.Only, named) {
			audience.Users = audience.Users[min(1, len(audience.Users)):] // the sender is the first
		}
		if err == nil && len(audience.Users) == 0 { // nobody of them is known; an empty audience would be everybody
			audience.Users = []int64{from.User.ID}
		}
		return audience, err
	}
	if o.Sync || c.peer.ID == from.User.ID {
		return store.Audience{}, nil
	}
	return store.Audience{Users: []int64{from.User.ID}, Except: true}, nil
}

func (s *Service) deliverTo(from Sender, c *conversation, o Outgoing, body *msync.MessageBody, content store.Content, audience store.Audience, done Done) error {
	body.To = &msync.JID{Name: c.to.Name}
	payload, err := proto.Marshal(body)
	if err != nil {
		return bad("the message cannot be packed", err)
	}
	meta := &msync.Meta{Ns: msync.Meta_CHAT, Payload: payload}
	if o.Online {
		meta.Routetype = msync.Meta_ROUTE_ONLINE
	}
	if c.isRoom() {
		meta.Ext = []*msync.KeyValue{{Key: "chatroom_msg_tag", Type: msync.KeyValue_INT, Value: &msync.KeyValue_VarintValue{VarintValue: o.Level}}}
	}
	stored, err := stored(from, c, meta, body)
	if err != nil {
		return err
	}
	s.deliver(from, c, meta, stored, content, audience, done)
	return nil
}

// keepFrom takes messages out of the history of some users.
func (s *Service) keepFrom(ctx context.Context, app *account.App, names []string, ids []int64) error {
	for _, name := range names {
		user, err := s.accounts.User(ctx, app, name)
		if errors.Is(err, account.ErrNoUser) {
			continue
		} else if err != nil {
			return err
		}
		for _, id := range ids {
			found, err := s.store.FindEntry(ctx, app.ID, id)
			if errors.Is(err, store.ErrNotFound) { // it was not kept at all
				continue
			} else if err != nil {
				return err
			}
			if err := s.store.RemoveMessages(ctx, user.ID, found.Timeline, []int64{found.Seq}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Recall is a message that a backend takes back.
type Recall struct {
	ID   int64
	From string // empty: the backend
	Type ChatType
	To   string // who or where it was sent to
	// Force recalls whatever the message's age. If it is gone from the server, clients are told all the same.
	Force bool
}

// RecallFor takes a message back for a backend, as clients do. Of a one-to-one message that is gone, Force needs From. The
// Reason of its errors is what docs/protocol/admin-rest.md §9.4 calls them: code 505 (switched off), 504 (too late), 53 (a
// command) and 503 (no such receiver or message).
func (s *Service) RecallFor(ctx context.Context, app *account.App, r Recall) error {
	by := Sender{App: app, User: store.User{Name: Spokesman}, Backend: true}
	settings := s.accounts.Current(app).Settings
	if !settings.Recall {
		return disabled("recall", "message recall service is unopened")
	}
	found, err := s.store.FindEntry(ctx, app.ID, r.ID)
	gone := errors.Is(err, store.ErrNotFound) || err == nil && found.Recalled
	if err != nil && !gone {
		return err
	}
	sender := r.From
	if err == nil && r.Type == Chat {
		if by.User, err = s.store.UserByID(ctx, found.Sender); errors.Is(err, store.ErrNotFound) {
			return errNoRecall // its sender has been deleted, and it with him
		} else if err != nil {
			return err
		}
	} else if sender != "" {
		if by.User, err = s.accounts.User(ctx, app, sender); errors.Is(err, account.ErrNoUser) {
			by.User, err = store.User{Name: account.Fold(sender)}, nil
		}
		if err != nil {
			return err
		}
	}
	c, err := s.reach(ctx, by, r.Type, r.To)
	if _, known := errcode.CodeOf(err); known {
		return &errcode.Error{Code: errcode.ServerUnknownError, Op: "recall", Message: "there is no such receiver", Reason: "can't find msg to", Err: err}
	} else if err != nil {
		return err
	}
	body := &msync.MessageBody{Type: msync.MessageBody_RECALL, From: &msync.JID{Name: by.User.Name}, To: &msync.JID{Name: c.to.Name}, AckMessageId: uint64(r.ID)}
	payload, err := proto.Marshal(body)
	if err != nil {
		return bad("the recall cannot be packed", err)
	}
	event, err := pack(by, c.to, &msync.Meta{Ns: msync.Meta_CHAT, Payload: payload}, body, "")
	if err != nil {
		return err
	}
	if gone && (!r.Force || c.key.Kind == store.KindPair && by.User.ID == 0) {
		return errNoRecall
	}
	if gone {
		_, err := s.delivery.AppendWait(ctx, delivery.Post{Key: c.key, Sender: by.User.ID, Live: c.isRoom(), Meta: event})
		return err
	}
	_, err = s.takeBack(ctx, by, c, uint64(r.ID), 0, event, func(found store.Found) error {
		switch {
		case found.Recalled:
			return errNoRecall
		case found.Content == store.ContentCommand:
			return errRecallCommand
		case !r.Force && s.tooOld(found, settings.RecallSeconds):
			return errRecallLate
		}
		return nil
	})
	return err
}

// Edit is what a backend makes of a message.
type Edit struct {
	ID      int64
	By      string // as clients are told who has edited
	Content *msync.MessageBody_Content
	// Ext goes into the message's extension, or with Replace in its place. nil: the extension stays as it is.
	Ext     []*msync.KeyValue
	Replace bool
}

// EditFor gives a message a new content, of the same kind, whatever its age. The errors are code 505 (switched off), 1302
// (no such message), 1303 (of another kind), 50 (edited too often), 1304 (others edit it at the same time), and 511.
func (s *Service) EditFor(ctx context.Context, app *account.App, e Edit) error {
	if !s.accounts.Current(app).Settings.Edit {
		return disabled("modify", "Sorry, edit is not available")
	}
	found, err := s.store.FindEntry(ctx, app.ID, e.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && found.Recalled {
		return errEditGone
	} else if err != nil {
		return err
	}
	meta, body, err := unpack(found.Meta)
	if err != nil {
		return err
	}
	from := Sender{App: app, User: store.User{ID: found.Sender, Name: meta.From.GetName()}, Backend: true}
	c, err := s.reach(ctx, from, typeOfBody(body.Type), meta.To.GetName())
	if _, refused := errcode.CodeOf(err); refused {
		return errEditGone // who or where it was sent to is gone
	} else if err != nil {
		return err
	}
	next := &msync.MessageBody{Type: msync.MessageBody_EDIT, From: body.From, To: body.To, EditMessageId: uint64(e.ID),
		Contents: []*msync.MessageBody_Content{e.Content}}
	if e.Ext != nil {
		next.EditScope, next.Ext = msync.MessageBody_BODY_AND_EXT, e.Ext
	}
	content, err := contentOf(next)
	if err != nil || content != store.ContentText && content != store.ContentCustom {
		return errEditForm
	}
	event := &msync.Meta{Ns: msync.Meta_CHAT}
	_, err = s.replace(ctx, from, c, event, next, e.By, func(found store.Found) error {
		switch {
		case found.Recalled:
			return errEditGone
		case found.Content != content:
			return errEditForm
		case e.Ext != nil && !e.Replace: // with what the message's extension is now
			_, body, err := unpack(found.Meta)
			if err != nil {
				return err
			}
			next.Ext = merged(body.Ext, e.Ext)
		}
		if err := checkBody(event, next); err != nil {
			return err
		}
		if event.Payload, err = proto.Marshal(next); err != nil {
			return bad("the edit cannot be packed", err)
		}
		return s.checkSize(from, event.Payload)
	})
	return err
}

func typeOfBody(t msync.MessageBody_Type) ChatType {
	switch t {
	case msync.MessageBody_GROUPCHAT:
		return Group
	case msync.MessageBody_CHATROOM:
		return Room
	}
	return Chat
}

// merged returns the old values with the new ones in place of those with the same keys.
func merged(old, fresh []*msync.KeyValue) []*msync.KeyValue {
	kept := slices.DeleteFunc(slices.Clone(old), func(kv *msync.KeyValue) bool {
		return slices.ContainsFunc(fresh, func(f *msync.KeyValue) bool { return f.GetKey() == kv.GetKey() })
	})
	return append(kept, fresh...)
}

// Import is a message of the past that a backend stores.
type Import struct {
	From, To string
	Type     ChatType // Chat or Group
	Content  *msync.MessageBody_Content
	Ext      []*msync.KeyValue
	Time     int64 // when it was sent, in milliseconds since 1970; 0: now
	Read     bool  // the receiver of a one-to-one message has read it
}

// Import stores a message of the past in the history of its conversation and returns its new id. No device is given it.
// A conversation is in order of time: a message that is older than the last one there is given that one's time, so
// messages are to be imported oldest first. A message that is there already, from the same sender at the same time, is not
// stored again: its id is returned. The errors are those of SendFor, and code 204 (no such receiver).
func (s *Service) Import(ctx context.Context, app *account.App, m Import) (int64, error) {
	from, err := s.inNameOf(ctx, app, m.From)
	if err != nil {
		return 0, err
	}
	body, content, err := s.compose(from, Outgoing{Type: m.Type, Content: m.Content, Ext: m.Ext})
	if err != nil {
		return 0, err
	}
	c, err := s.reach(ctx, from, m.Type, m.To)
	if err != nil {
		return 0, err
	}
	body.To = &msync.JID{Name: c.to.Name}
	payload, err := proto.Marshal(body)
	if err != nil {
		return 0, bad("the message cannot be packed", err)
	}
	bodyMeta, err := cleanMeta("", c.thread)
	if err != nil {
		return 0, err
	}
	stored, err := pack(from, c.to, &msync.Meta{Ns: msync.Meta_CHAT, Payload: payload}, body, bodyMeta)
	if err != nil {
		return 0, err
	}
	at := m.Time
	if at <= 0 {
		at = s.clock.Now().UnixMilli()
	}
	if id, err := s.imported(ctx, c.key, from.User.ID, at, stored); err != nil || id != 0 {
		return id, err
	}
	last, err := s.lastTime(ctx, c.key)
	if err != nil {
		return 0, err
	}
	r, err := s.delivery.AppendWait(ctx, delivery.Post{Key: c.key, Sender: from.User.ID, Content: content, Old: max(at, last), Meta: stored})
	if err != nil {
		return 0, refusal(err)
	}
	if m.Read && m.Type == Chat {
		err = s.store.MarkRead(ctx, c.peer.ID, r.Timeline, r.Seq)
	}
	return r.ID, err
}

// imported returns the id of an imported message that is there already; 0: it is not.
func (s *Service) imported(ctx context.Context, key store.Key, sender, at int64, stored []byte) (int64, error) {
	timeline, err := s.store.FindTimeline(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	after, err := store.SeqBefore(ctx, s.store, timeline, at)
	if err != nil {
		return 0, err
	}
	for {
		const some = 20
		messages, err := s.store.ListEntries(ctx, timeline.ID, store.EntryQuery{After: after, Limit: some})
		if err != nil {
			return 0, err
		}
		for _, m := range messages {
			switch {
			case m.Time != at:
				return 0, nil
			case m.Sender == sender && m.Device == store.NotDelivered && bytes.Equal(m.Meta, stored):
				return m.ID, nil
			}
			after = m.Seq
		}
		if len(messages) < some {
			return 0, nil
		}
	}
}

// lastTime returns when the last message of a timeline was sent; 0: there is none.
func (s *Service) lastTime(ctx context.Context, key store.Key) (int64, error) {
	timeline, err := s.store.FindTimeline(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	messages, err := s.store.ListEntries(ctx, timeline.ID, store.EntryQuery{Descending: true, Limit: 1})
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	return messages[0].Time, nil
}
