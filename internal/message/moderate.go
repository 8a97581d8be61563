package message

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	burst        = 3                           // how many seconds' messages may come at once
	maxNotes     = 64                          // messages of which is being noted that they matched rules
	metaMeta     = 9                           // number of a field of Meta
	replacedMeta = `{"callback_replace":true}` // in it: the sender is told of another content
)

// mayWrite refuses who sends too fast (509), and who is muted in the whole app (219).
func (s *Service) mayWrite(ctx context.Context, from Sender, body *msync.MessageBody) error {
	if n := s.settings(from).MessagesPerSecond; n > 0 && !s.pace.Allow(from.User.ID, float64(n), n*burst, s.clock.Now()) {
		return &errcode.Error{Code: errcode.RateLimited, Op: "send", Message: fmt.Sprintf("a user may send %d messages in a second", n),
			Reason: "traffic limit"}
	}
	if s.Moderation == nil {
		return nil
	}
	return s.Moderation.MayWrite(ctx, from.User, scopeOf(body))
}

// scopeOf is the kind of conversation that a sender means. A wrong one is refused later.
func scopeOf(body *msync.MessageBody) store.Scope {
	switch body.Type {
	case msync.MessageBody_GROUPCHAT:
		return store.ScopeGroup
	case msync.MessageBody_CHATROOM:
		return store.ScopeRoom
	}
	return store.ScopeChat
}

// verdict is what became of a message before it is sent.
type verdict struct {
	moderation.Judgement
	sent     []byte // the message as it came; nil if no rule matched
	replaced bool   // the content is not the sender's any more
}

// judge holds the text of a message against the app's rules, and puts another text in its place if they want that. The
// errors are code 501 and 508.
func (s *Service) judge(ctx context.Context, from Sender, to *conversation, meta *msync.Meta, body *msync.MessageBody) (v verdict, err error) {
	if s.Moderation == nil || len(body.Contents) == 0 || body.Contents[0].Type != msync.MessageBody_Content_TEXT {
		return v, nil
	}
	text := body.Contents[0].Text
	if v.Judgement = s.Moderation.Judge(from.App, text); len(v.Hits) == 0 {
		return v, nil
	}
	// An edit is noted as the message that it would be.
	payload := protowire.AppendVarint(protowire.AppendTag(slices.Clip(meta.Payload), bodyType, protowire.VarintType), uint64(to.bodyType()))
	if v.sent, err = pack(from, to.to, &msync.Meta{Ns: meta.Ns, Payload: payload}, body, body.Meta); err != nil {
		return v, err
	}
	if v.Err != nil {
		if err := s.note(ctx, from, v, 0); err != nil {
			return v, err
		}
		return v, v.Err
	}
	if v.replaced = v.Text != text; v.replaced {
		body.Contents[0].Text = v.Text
		err = repack(meta, body)
	}
	return v, err
}

// repack puts a body that has been changed into its meta.
func repack(meta *msync.Meta, body *msync.MessageBody) error {
	payload, err := proto.Marshal(body)
	if err != nil {
		return fmt.Errorf("pack message: %w", err)
	}
	meta.Payload = payload
	return nil
}

// ask asks the app's backend, which may want another text. The sender's next messages wait, so that they keep their order.
// The error is code 502.
func (s *Service) ask(ctx context.Context, from Sender, to *conversation, meta *msync.Meta, body *msync.MessageBody, v *verdict) error {
	if s.Webhooks == nil || !s.Webhooks.Asks(from.App) || len(body.Contents) == 0 {
		return nil
	}
	about, err := stored(from, to, meta, body)
	if err != nil {
		return err
	}
	text, replaced, err := s.Webhooks.Ask(ctx, from.App, about)
	if err != nil || !replaced || text == body.Contents[0].Text {
		return err
	}
	v.replaced, body.Contents[0].Text = true, text
	return repack(meta, body)
}

// tells returns a Done that also gives the sender the content that was put in place of the sent one, and notes that a
// delivered message matched rules. It is to be called: a place among the notes is kept for it.
func (s *Service) tells(ctx context.Context, from Sender, stored []byte, v verdict, done Done) (Done, error) {
	if !v.replaced && len(v.Hits) == 0 {
		return done, nil
	}
	var shown []byte
	if v.replaced {
		shown = protowire.AppendBytes(protowire.AppendTag(slices.Clip(stored), metaMeta, protowire.BytesType), []byte(replacedMeta))
	}
	note, err := s.reserve(ctx, from, v)
	if err != nil {
		return nil, err
	}
	return func(r Result) {
		if r.Err == nil {
			r.Meta = shown
		}
		note(r)
		done(r)
	}, nil
}

// note writes down, beside the message path, that a message matched rules. Its id is 0 if it was refused. It waits while
// many others are being written: who breaks rules all the time is as slow as the store.
func (s *Service) note(ctx context.Context, from Sender, v verdict, id int64) error {
	note, err := s.reserve(ctx, from, v)
	if err == nil {
		note(Result{ID: id})
	}
	return err
}

// reserve waits for a place among the messages that are being noted, and returns what takes it, without waiting, and must
// be called. Of a message that could not be sent nothing is noted.
func (s *Service) reserve(ctx context.Context, from Sender, v verdict) (Done, error) {
	if len(v.Hits) == 0 {
		return func(Result) {}, nil
	}
	select {
	case s.notes <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return func(r Result) {
		if r.Err != nil {
			<-s.notes
			return
		}
		s.noting.Go(func() {
			defer func() { <-s.notes }()
			s.Moderation.Note(from.App, from.User, v.Judgement, r.ID, v.sent)
		})
	}, nil
}

// Close waits until all that is to be noted is.
func (s *Service) Close() { s.noting.Wait() }
