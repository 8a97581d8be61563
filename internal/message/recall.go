package message

import (
	"context"
	"errors"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// amendTries bounds how often a change is tried again because somebody else has changed the same message meanwhile.
const amendTries = 8

// earlier finds a message of a conversation, also a recalled one. store.ErrNotFound if there is none that the user may
// see.
func (s *Service) earlier(ctx context.Context, from Sender, c *conversation, id uint64) (store.Found, error) {
	found, err := s.store.FindEntry(ctx, from.App.ID, int64(id))
	if err == nil && (found.Key != c.key || found.Content == store.ContentEvent || !from.Backend && !found.Audience.Has(from.User.ID)) {
		err = store.ErrNotFound
	}
	return found, err
}

// amend commits the change of an earlier message together with the event that tells of it. again means that somebody else
// has changed the message since it was found.
func (s *Service) amend(ctx context.Context, from Sender, c *conversation, found store.Found, amend store.Amend, event []byte, clientID uint64) (r delivery.Result, again bool, err error) {
	amend.Seq, amend.Version = found.Seq, found.Version
	r, err = s.delivery.AppendWait(ctx, delivery.Post{Key: c.key, Sender: from.User.ID, Device: from.Device, ClientID: clientID,
		Ref: found.Seq, Audience: found.Audience, Amend: &amend, Live: c.isRoom(), Meta: event})
	r.Err = err
	s.told(from, c, r)
	return r, errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound), err
}

// recall takes a message back. Who has it is told to remove it; who has not had it yet is not given it. A repetition of
// the request is no error.
func (s *Service) recall(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	settings := s.settings(from)
	if !settings.Recall {
		return disabled("recall", "message recall disabled")
	}
	c, err := s.find(ctx, from, meta, body)
	if err != nil {
		return err
	}
	event, err := pack(from, c.to, meta, body, "")
	if err != nil {
		return err
	}
	r, err := s.takeBack(ctx, from, c, body.AckMessageId, meta.Id, event, func(found store.Found) error {
		return s.mayRecall(from, c, found, settings.RecallSeconds)
	})
	if err != nil {
		return err
	}
	done(r)
	return nil
}

var errNoRecall = &errcode.Error{Code: errcode.ServerUnknownError, Op: "recall", Message: "there is no such message to recall", Reason: "not_found msg"}

// takeBack recalls a message if may allows it, and tells of it with the event. The error is errNoRecall if there is no such
// message in the conversation.
func (s *Service) takeBack(ctx context.Context, from Sender, c *conversation, id, clientID uint64, event []byte, may func(store.Found) error) (Result, error) {
	for range amendTries {
		found, err := s.earlier(ctx, from, c, id)
		if errors.Is(err, store.ErrNotFound) {
			return Result{}, errNoRecall
		}
		if err == nil {
			err = may(found)
		}
		if err != nil {
			return Result{}, err
		}
		if found.Recalled {
			return s.taken(), nil
		}
		r, again, err := s.amend(ctx, from, c, found, store.Amend{Recall: true}, event, clientID)
		if again {
			continue
		}
		if err != nil {
			return Result{}, err
		}
		s.strip(ctx, found)
		return kept(r), nil
	}
	return Result{}, store.ErrConflict
}

// strip removes what hangs on a message that is gone. It is not shown any more anyhow.
func (s *Service) strip(ctx context.Context, found store.Found) {
	_, unpinned := s.store.DropPin(ctx, found.Timeline, found.ID)
	unread := s.store.DropReceipts(ctx, store.Point{Timeline: found.Timeline, Seq: found.Seq})
	if err := errors.Join(unpinned, unread, s.store.DropReactions(ctx, found.ID)); err != nil {
		s.log.Warn("strip recalled message", "msg_id", found.ID, "error", err)
	}
}

// mayRecall says whether the user may recall a message now: nil, or 603, 53 or 504.
func (s *Service) mayRecall(from Sender, c *conversation, found store.Found, window int64) error {
	switch {
	case !c.governs(from, found):
		return notAllowed("only the sender may recall a message, or the owner and the admins of the group")
	case found.Content == store.ContentCommand:
		return errRecallCommand
	case !found.Recalled && s.tooOld(found, window):
		return errRecallLate
	}
	return nil
}

var errRecallCommand = &errcode.Error{Code: errcode.OperationUnsupported, Op: "recall", Message: "command messages cannot be recalled"}

var errRecallLate = &errcode.Error{Code: errcode.RecallTimeLimit, Op: "recall", Message: "the message is too old to be recalled",
	Reason: "exceed recall time limit"}

// tooOld says whether a message was sent more than window seconds ago.
func (s *Service) tooOld(found store.Found, window int64) bool {
	return s.clock.Now().UnixMilli()-found.Time > window*time.Second.Milliseconds()
}
