package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Limits of docs/protocol/errors.md §11.
const (
	maxEdits   = 10
	editWindow = 7 * 24 * time.Hour
)

// edited is what the meta of a message tells of its edits, and the notice that answers an edit.
type edited struct {
	Count    int    `json:"count"`
	Operator string `json:"operator"`
	At       int64  `json:"edit_time"`
	Sender   string `json:"sender"`
	Sent     int64  `json:"send_time"`
	ChatType string `json:"chat_type"`
}

const editedKey = "edit_msg"

func refuseEdit(code errcode.Code, reason, message string) error {
	return &errcode.Error{Code: code, Op: "modify", Message: message, Reason: reason}
}

var (
	errEditGone  = refuseEdit(errcode.EditMessageNotExist, "Sorry, message does not exist", "there is no such message to edit")
	errEditForm  = refuseEdit(errcode.EditFormatError, "Sorry, format is incorrect", "only texts and custom messages can be edited, and stay what they are")
	errEditLimit = refuseEdit(errcode.MaxLimit, "Sorry, edit limit reached", fmt.Sprintf("a message can be edited %d times", maxEdits))
	errEditLate  = refuseEdit(errcode.EditFailed, "Sorry, edit fail", "the message is too old to be edited")
	errEditRace  = refuseEdit(errcode.EditFailed, "Sorry, edit fail", "others edit the message at the same time")
)

// edit replaces the content of a message. Who has it is told of the new one; who has not had it yet is given the new one.
func (s *Service) edit(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	if !s.settings(from).Edit {
		return disabled("modify", "Sorry, edit is not available")
	}
	content, err := contentOf(body)
	if err != nil || content != store.ContentText && content != store.ContentCustom {
		return errEditForm
	}
	if err := s.checkSize(from, meta.Payload); err != nil {
		return err
	}
	if err := s.mayWrite(ctx, from, body); err != nil {
		return err
	}
	c, err := s.writable(ctx, from, meta, body)
	if err != nil {
		return err
	}
	verdict, err := s.judge(ctx, from, c, meta, body)
	if err != nil {
		return err
	}
	note, err := s.reserve(ctx, from, verdict)
	if err != nil {
		return err
	}
	r, err := s.replace(ctx, from, c, meta, body, from.User.Name, func(found store.Found) error {
		return s.mayEdit(from, c, found, content)
	})
	note(Result{ID: int64(body.EditMessageId), Err: err})
	if err != nil {
		return err
	}
	done(r)
	return nil
}

// replace gives a message the content of body, which names it, if may allows that, and tells of it. Operator is who has
// edited. The errors are errEditGone, errEditLimit and errEditRace.
func (s *Service) replace(ctx context.Context, from Sender, c *conversation, meta *msync.Meta, body *msync.MessageBody, operator string, may func(store.Found) error) (Result, error) {
	for range amendTries {
		found, err := s.earlier(ctx, from, c, body.EditMessageId)
		if errors.Is(err, store.ErrNotFound) {
			return Result{}, errEditGone
		}
		if err == nil {
			err = may(found)
		}
		if err != nil {
			return Result{}, err
		}
		next, about, err := s.rewrite(operator, c, found, body)
		if err != nil {
			return Result{}, err
		}
		event, err := pack(from, c.to, meta, body, about)
		if err != nil {
			return Result{}, err
		}
		notice, err := msync.StoredMeta(&msync.Meta{From: &msync.JID{Name: from.User.Name, Domain: msync.UserDomain},
			Ns: msync.Meta_NOTIFY, Payload: []byte(about)})
		if err != nil {
			return Result{}, err
		}
		r, again, err := s.amend(ctx, from, c, found, store.Amend{Meta: next}, event, meta.Id)
		if again {
			continue
		}
		if err != nil {
			return Result{}, err
		}
		return Result{ID: r.ID, Time: r.Time, Meta: notice}, nil
	}
	return Result{}, errEditRace
}

// mayEdit says whether the user may edit a message now: nil, or 1302, 603, 1303 or 1304.
func (s *Service) mayEdit(from Sender, c *conversation, found store.Found, content store.Content) error {
	switch {
	case found.Recalled:
		return errEditGone
	case !c.governs(from, found):
		return notAllowed("only the sender may edit a message, or the owner and the admins of the group")
	case found.Content != content:
		return errEditForm
	case s.clock.Now().UnixMilli()-found.Time > editWindow.Milliseconds():
		return errEditLate
	}
	return nil
}

// rewrite returns what is stored of a message after an edit, and its meta then, which tells of the edits. It is in the same
// thread; translations are those that come with the edit.
func (s *Service) rewrite(operator string, c *conversation, found store.Found, edit *msync.MessageBody) (next []byte, about string, err error) {
	meta, body, err := unpack(found.Meta)
	if err != nil {
		return nil, "", err
	}
	before, sent := objectOf(body.Meta), objectOf(edit.Meta)
	var last edited
	if text, ok := before[editedKey]; ok {
		if err := json.Unmarshal(text, &last); err != nil {
			return nil, "", fmt.Errorf("read edits: %w", err)
		}
	}
	count := last.Count + 1
	if edit.Stream != nil {
		count = 1 // the parts of a text are no edits of people
	} else if count > maxEdits {
		return nil, "", errEditLimit
	}
	now := edited{Count: count, Operator: operator, At: s.clock.Now().UnixMilli(), Sender: meta.From.GetName(), Sent: found.Time, ChatType: c.chatType()}
	object := map[string]any{editedKey: now}
	if thread, ok := before[threadKey]; ok {
		object[threadKey] = thread
	}
	if translations, ok := sent[translationsKey]; ok {
		object[translationsKey] = translations
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, "", fmt.Errorf("pack edits: %w", err)
	}
	body.Contents, body.Meta = edit.Contents, string(text)
	if edit.Stream != nil {
		body.Stream = edit.Stream
	}
	if edit.EditScope == msync.MessageBody_BODY_AND_EXT {
		body.Ext = edit.Ext
	}
	if meta.Payload, err = proto.Marshal(body); err != nil {
		return nil, "", fmt.Errorf("pack message: %w", err)
	}
	next, err = msync.StoredMeta(meta)
	return next, body.Meta, err
}
