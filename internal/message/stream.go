package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Limits of texts that arrive in parts, docs/protocol/admin-rest.md §7.6. A frame has room for no more bytes.
const (
	maxStreamed    = 48 << 10
	streamPause    = 30 * time.Second // between two parts
	streamDuration = 30 * time.Minute // of all
)

// StreamFault is what is wrong with a part of a text, as the protocol numbers it.
type StreamFault int

// What may be wrong with a part.
const (
	StreamNotFound  StreamFault = 14031
	StreamTooLong   StreamFault = 14032
	StreamPaused    StreamFault = 14033
	StreamTooSlow   StreamFault = 14034
	StreamFinished  StreamFault = 14035
	StreamOtherFrom StreamFault = 14036
	StreamOtherTo   StreamFault = 14037
	StreamOldSeq    StreamFault = 14038
)

var streamFaults = map[StreamFault]string{
	StreamNotFound:  "can not find stream message by msgId",
	StreamTooLong:   "stream message total length exceeds limit",
	StreamPaused:    "stream message chunk interval timeout",
	StreamTooSlow:   "stream message total timeout",
	StreamFinished:  "stream message has already finished",
	StreamOtherFrom: "stream message from user mismatch",
	StreamOtherTo:   "stream message to user mismatch",
	StreamOldSeq:    "stream message chunk seq too small",
}

// Error implements error.
func (f StreamFault) Error() string { return streamFaults[f] }

func badPart(fault StreamFault) error {
	return &errcode.Error{Code: errcode.InvalidParameter, Op: "stream", Message: fault.Error(), Err: fault}
}

// Part is a part of a text that a backend sends while the text is being made.
type Part struct {
	From, To string
	Type     ChatType // Chat or Group
	ID       int64    // of the message, which the first part makes; 0: this is the first
	Seq      int64    // above that of the part before
	Text     string
	Last     bool
	Reason   int32  // why it is the last, as the backend numbers it
	Format   string // of the text, as text or markdown; of the first part
	Ext      []*msync.KeyValue
}

// SendPart sends a part of a text and returns the id of the message. The first part is a message like any other; each other
// one edits it, so that every client shows the text grow, and history has as much of it as there is. The errors are those
// of SendFor, code 505 (edits are switched off), and of later parts code -3 with a StreamFault.
func (s *Service) SendPart(ctx context.Context, app *account.App, p Part) (int64, error) {
	if !s.accounts.Current(app).Settings.Edit {
		return 0, disabled("stream", "Sorry, edit is not available")
	}
	if p.ID != 0 {
		return p.ID, s.appendPart(ctx, app, p)
	}
	if len(p.Text) > maxStreamed {
		return 0, badPart(StreamTooLong)
	}
	content := &msync.MessageBody_Content{Type: msync.MessageBody_Content_TEXT, Text: p.Text}
	ids, err := s.SendFor(ctx, app, Outgoing{From: p.From, Type: p.Type, To: []string{p.To}, Content: content, Ext: p.Ext, stream: p.state(p.Format)})
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// state is how far the text has come with the part.
func (p Part) state(format string) *msync.MessageBody_Stream {
	state := &msync.MessageBody_Stream{StreamType: format, StreamSeq: uint64(p.Seq), StreamStatus: msync.MessageBody_Stream_STREAM_IN_PROGRESS}
	if p.Last {
		state.StreamStatus, state.StreamFinishReason = msync.MessageBody_Stream_STREAM_COMPLETED, p.Reason
	}
	return state
}

// appendPart adds a part to what has been sent of a text.
func (s *Service) appendPart(ctx context.Context, app *account.App, p Part) error {
	found, err := s.store.FindEntry(ctx, app.ID, p.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && found.Recalled {
		return badPart(StreamNotFound)
	} else if err != nil {
		return err
	}
	meta, body, err := unpack(found.Meta)
	switch {
	case err != nil:
		return err
	case body.Stream == nil || typeOfBody(body.Type) != p.Type:
		return badPart(StreamNotFound)
	case meta.From.GetName() != account.Fold(p.From):
		return badPart(StreamOtherFrom)
	case meta.To.GetName() != p.To && meta.To.GetName() != account.Fold(p.To):
		return badPart(StreamOtherTo)
	}
	from := Sender{App: app, User: store.User{ID: found.Sender, Name: meta.From.GetName()}, Backend: true}
	c, err := s.reach(ctx, from, p.Type, p.To)
	if _, refused := errcode.CodeOf(err); refused {
		return badPart(StreamNotFound) // who or where it was sent to is gone
	} else if err != nil {
		return err
	}
	next := &msync.MessageBody{Type: msync.MessageBody_EDIT, From: body.From, To: body.To, EditMessageId: uint64(p.ID)}
	event := &msync.Meta{Ns: msync.Meta_CHAT}
	_, err = s.replace(ctx, from, c, event, next, from.User.Name, func(found store.Found) error {
		text, format, err := s.grown(found, p)
		if err != nil {
			return err
		}
		next.Contents = []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: text}}
		next.Stream = nil // clients are told the text alone
		if event.Payload, err = proto.Marshal(next); err != nil {
			return bad("the part cannot be packed", err)
		}
		next.Stream = p.state(format)
		return nil
	})
	if errors.Is(err, errEditGone) {
		return badPart(StreamNotFound)
	}
	return err
}

// grown returns a text with the part, and its format.
func (s *Service) grown(found store.Found, p Part) (text, format string, err error) {
	if found.Recalled {
		return "", "", badPart(StreamNotFound)
	}
	_, body, err := unpack(found.Meta)
	if err != nil {
		return "", "", err
	}
	last := found.Time
	if about, ok := objectOf(body.Meta)[editedKey]; ok {
		var e edited
		if err := json.Unmarshal(about, &e); err != nil {
			return "", "", fmt.Errorf("read edits: %w", err)
		}
		last = e.At
	}
	now := s.clock.Now().UnixMilli()
	text = body.Contents[0].Text + p.Text
	switch {
	case body.Stream.GetStreamStatus() == msync.MessageBody_Stream_STREAM_COMPLETED:
		return "", "", badPart(StreamFinished)
	case now-found.Time > streamDuration.Milliseconds():
		return "", "", badPart(StreamTooSlow)
	case now-last > streamPause.Milliseconds():
		return "", "", badPart(StreamPaused)
	case uint64(p.Seq) <= body.Stream.GetStreamSeq():
		return "", "", badPart(StreamOldSeq)
	case len(text) > maxStreamed:
		return "", "", badPart(StreamTooLong)
	}
	return text, body.Stream.GetStreamType(), nil
}
