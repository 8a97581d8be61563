package muc

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// threadOperation is what a NOTIFY says has happened to a thread.
type threadOperation string

const (
	threadCreated   threadOperation = "create"
	threadUpdated   threadOperation = "update"
	threadMessage   threadOperation = "update_msg"
	threadDestroyed threadOperation = "delete"
)

// threadNotice is the NOTIFY about a thread (docs/protocol/sdk-rest.md §5.3).
type threadNotice struct {
	Operation threadOperation `json:"operation"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Group     string          `json:"muc_parent_id"`
	Message   string          `json:"msg_parent_id"`
	Time      int64           `json:"timestamp"`
	From      string          `json:"from"`
	Count     int             `json:"message_count"`
	Last      any             `json:"last_message"` // msync.MessageObject, or an empty object
}

func (s *Service) noticeOf(from string, t Thread, op threadOperation) threadNotice {
	return threadNotice{Operation: op, ID: t.Name, Name: t.Title, Group: t.Group.Name, Message: strconv.FormatInt(t.Message, 10),
		Time: s.now(), From: from, Last: struct{}{}}
}

func (n threadNotice) pack(to string) ([]byte, error) {
	return msync.Notify(n.From, to, map[string]any{"type": "thread", "data": n})
}

// tellThread tells the members of the group what has become of a thread, and the actor's other devices that the user did it.
func (s *Service) tellThread(ctx context.Context, actor Actor, t Thread, op threadOperation, own msync.MUCBody_Operation) error {
	meta, err := s.noticeOf(actor.name(), t, op).pack(t.Group.Name)
	if err != nil {
		return err
	}
	key := store.MucKey(t.App, t.Group.ID)
	_, err = s.delivery.AppendWait(ctx, delivery.Post{Key: key, Sender: actor.User.ID, Device: actor.Device, Meta: meta})
	if err != nil {
		return err
	}
	return s.toSelfOfThread(ctx, actor, t, own)
}

func (s *Service) toSelfOfThread(ctx context.Context, actor Actor, t Thread, op msync.MUCBody_Operation) error {
	return s.toSelf(ctx, actor, t.Muc, event{operation: op, parent: t.Group.Name})
}

// spoken are threads whose groups are to be told that there is another message, with who has written the last one. Words
// about one thread are gathered: a group need not hear of each message.
type spoken struct {
	mu      sync.Mutex
	threads map[int64]speaker
}

type speaker struct {
	app  *account.App
	name string
}

// Spoke notes that a thread has a new message, or one fewer, of a user. Those members of the group who are online are told
// soon. It does not block.
func (s *Service) Spoke(app *account.App, thread Target, user store.User) {
	s.spoken.mu.Lock()
	defer s.spoken.mu.Unlock()
	if s.spoken.threads == nil {
		s.spoken.threads = map[int64]speaker{}
	}
	s.spoken.threads[thread.ID] = speaker{app, user.Name}
}

// tellSpoken tells the groups.
func (s *Service) tellSpoken(ctx context.Context) error {
	s.spoken.mu.Lock()
	threads := s.spoken.threads
	s.spoken.threads = nil
	s.spoken.mu.Unlock()
	var errs []error
	for id, by := range threads {
		if err := s.tellMessages(ctx, id, by); !errors.Is(err, store.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Service) tellMessages(ctx context.Context, id int64, by speaker) error {
	m, err := s.numbered(ctx, id)
	if err != nil {
		return err
	}
	group, err := s.numbered(ctx, m.Parent)
	if err != nil {
		return err
	}
	messages, err := s.messages(ctx, m)
	if err != nil {
		return err
	}
	notice := s.noticeOf(by.name, Thread{m, group}, threadMessage)
	notice.Count, notice.Last = messages.count, messages.last
	meta, err := notice.pack(group.Name)
	if err != nil {
		return err
	}
	s.delivery.PushMuc(group.ID, meta, 0, store.Audience{})
	return nil
}

// threadMessages is what there is to tell of the messages of a thread.
type threadMessages struct {
	count int
	last  any   // msync.MessageObject, or an empty object
	time  int64 // of the last one; 0: there is none
}

func (s *Service) messages(ctx context.Context, thread store.Muc) (m threadMessages, err error) {
	m.last = struct{}{}
	// All of it is unread to nobody in particular.
	conversation, err := s.store.Conversation(ctx, 0, store.MucKey(thread.App, thread.ID))
	if errors.Is(err, store.ErrNotFound) {
		return m, nil
	} else if err != nil {
		return m, err
	}
	counts, err := s.store.CountUnread(ctx, 0, []store.Conversation{conversation})
	if err != nil {
		return m, err
	}
	m.count = counts[0]
	entry, err := s.lastMessage(ctx, thread)
	if err != nil || entry.Seq == 0 {
		return m, err
	}
	m.time = entry.Time
	m.last, err = msync.MessageJSON(entry.ID, entry.Time, entry.Meta)
	return m, err
}
