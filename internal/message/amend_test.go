package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// sent is send for what must succeed.
func (w *world) sent(from Sender, meta *msync.Meta) Result {
	w.Helper()
	r := w.sendAs(from, meta)
	if r.Err != nil || r.ID == 0 || r.Time == 0 {
		w.Fatalf("sent with the result %+v", r)
	}
	return r
}

// refused fails unless a send ends with a code.
func (w *world) refused(what string, r Result, code errcode.Code) {
	w.Helper()
	if !errors.Is(r.Err, code) || r.ID != 0 {
		w.Errorf("%s: %+v, want code %d", what, r, code)
	}
}

var lastID atomic.Uint64

// fresh gives a meta an id of its own: a client does so for all that it sends.
func fresh(m *msync.Meta) *msync.Meta {
	m.Id = 1000 + lastID.Add(1)
	return m
}

// by makes a body that of another sender.
func by(name string, b *msync.MessageBody) *msync.MessageBody {
	b.From = &msync.JID{Name: name}
	return b
}

func recallOf(id int64) *msync.MessageBody {
	return &msync.MessageBody{Type: msync.MessageBody_RECALL, AckMessageId: uint64(id), Contents: []*msync.MessageBody_Content{{}}}
}

func editOf(id int64, text string) *msync.MessageBody {
	return &msync.MessageBody{Type: msync.MessageBody_EDIT, EditMessageId: uint64(id), EditScope: msync.MessageBody_BODY,
		Contents: []*msync.MessageBody_Content{{Text: text}}}
}

// read is a message as the store holds it.
func (w *world) read(id int64) (store.Found, *msync.Meta, *msync.MessageBody) {
	w.Helper()
	found, err := w.store.FindEntry(w.Context(), w.app.ID, id)
	w.must(err)
	var meta msync.Meta
	var body msync.MessageBody
	w.must(proto.Unmarshal(found.Meta, &meta))
	w.must(proto.Unmarshal(meta.Payload, &body))
	return found, &meta, &body
}

func TestEveryKindOfMessageIsNotedAsSuch(t *testing.T) {
	w := newWorld(t)
	combine := msync.MessageBody_Content_SUB_COMBINE
	for content, want := range map[*msync.MessageBody_Content]store.Content{
		{Type: msync.MessageBody_Content_TEXT}:                    store.ContentText,
		{Type: msync.MessageBody_Content_IMAGE}:                   store.ContentImage,
		{Type: msync.MessageBody_Content_VIDEO}:                   store.ContentVideo,
		{Type: msync.MessageBody_Content_LOCATION}:                store.ContentLocation,
		{Type: msync.MessageBody_Content_VOICE}:                   store.ContentVoice,
		{Type: msync.MessageBody_Content_FILE}:                    store.ContentFile,
		{Type: msync.MessageBody_Content_COMMAND}:                 store.ContentCommand,
		{Type: msync.MessageBody_Content_CUSTOM}:                  store.ContentCustom,
		{Type: msync.MessageBody_Content_COMBINE}:                 store.ContentCombine,
		{Type: msync.MessageBody_Content_TEXT, SubType: &combine}: store.ContentCombine,
	} {
		body := text("")
		body.Contents = []*msync.MessageBody_Content{content}
		r := w.sent(w.alice, fresh(metaTo("bob", body)))
		if found, _, _ := w.read(r.ID); found.Content != want {
			t.Errorf("%v is noted as %d, want %d", content, found.Content, want)
		}
	}
}

func TestSendersCannotForgeWhatTheServerTells(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ sent, want string }{
		{"", ""},
		{`{}`, `{}`},
		{`{ "translations" : [{"code":"de","text":"hallo"}] }`, `{ "translations" : [{"code":"de","text":"hallo"}] }`},
		{`{"edit_msg":{"count":3}}`, ""},
		{`{"reaction":[],"thread_overview":{},"isRead":true,"isDelivered":true,"edit_msg":{},"other":1}`, ""},
		{`{"edit\u005fmsg":{"count":3},"translations":[{"code":"de","text":"<b>"}]}`, `{"translations":[{"code":"de","text":"\u003cb\u003e"}]}`},
		{`{"thread":{"msg_parent_id":"1"}}`, ""}, // it is in no thread
	} {
		body := text("hi")
		body.Meta = test.sent
		meta := fresh(metaTo("bob", body))
		meta.Ext = []*msync.KeyValue{
			{Key: "is_broadcast", Type: msync.KeyValue_BOOL, Value: &msync.KeyValue_VarintValue{VarintValue: 1}},
			{Key: "kept", Type: msync.KeyValue_JSON_STRING, Value: &msync.KeyValue_StringValue{StringValue: "[1]"}},
		}
		_, kept, got := w.read(w.sent(w.alice, meta).ID)
		if got.Meta != test.want {
			t.Errorf("%s becomes %s, want %s", test.sent, got.Meta, test.want)
		}
		if len(kept.Ext) != 1 || kept.Ext[0].Key != "kept" {
			t.Errorf("the extension is %v", kept.Ext)
		}
	}
}

func TestARecalledMessageIsGoneAndItsReceiversAreTold(t *testing.T) {
	w := newWorld(t)
	first := w.sent(w.alice, fresh(metaTo("bob", text("a secret"))))
	w.sent(w.alice, fresh(metaTo("bob", text("no secret"))))
	recall := fresh(metaTo("Bob", recallOf(first.ID)))
	recall.Ext = []*msync.KeyValue{{Key: "recallMessageExtensionInfo", Type: msync.KeyValue_STRING, Value: &msync.KeyValue_StringValue{StringValue: "sorry"}}}
	told := w.sent(w.alice, recall)
	if again := w.sent(w.alice, recall); again.ID == 0 { // as after a lost answer
		t.Errorf("a repetition is %+v", again)
	}
	found, _, _ := w.read(first.ID)
	if !found.Recalled || len(found.Meta) != 0 {
		t.Errorf("the message is %+v", found)
	}
	event, meta, body := w.read(told.ID)
	if event.Ref != found.Seq || event.Content != store.ContentEvent {
		t.Errorf("the event is %+v", event)
	}
	if body.Type != msync.MessageBody_RECALL || body.AckMessageId != uint64(first.ID) || body.From.GetName() != "alice" || body.To.GetName() != "bob" ||
		len(meta.Ext) != 1 || meta.Ext[0].GetStringValue() != "sorry" {
		t.Errorf("told %v with %v", body, meta)
	}
	var texts []string
	for _, m := range w.entries(w.bob) {
		if strings.Contains(string(m.Payload), "secret") {
			texts = append(texts, string(m.Payload))
		}
	}
	if len(texts) != 1 {
		t.Errorf("bob can read %q", texts)
	}
}

func TestWhatCannotBeRecalled(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.device(w.bob), w.sender("carol")
	hi := w.sent(w.alice, fresh(metaTo("bob", text("hi"))))
	command := text("")
	command.Contents[0].Type = msync.MessageBody_Content_COMMAND
	cmd := w.sent(w.alice, fresh(metaTo("bob", command)))
	receipt := w.sent(w.alice, fresh(metaTo("bob", ofType(msync.MessageBody_READ_ACK))))
	w.refused("another's message", w.sendAs(bob, fresh(metaTo("alice", recallOf(hi.ID)))), errcode.PermissionDenied)
	w.refused("the message of a conversation of others", w.sendAs(carol, fresh(metaTo("bob", recallOf(hi.ID)))), errcode.ServerUnknownError)
	w.refused("a message that was sent to somebody else", w.send(fresh(metaTo("carol", recallOf(hi.ID)))), errcode.ServerUnknownError)
	w.refused("no message", w.send(fresh(metaTo("bob", recallOf(77)))), errcode.ServerUnknownError)
	w.refused("a receipt", w.send(fresh(metaTo("bob", recallOf(receipt.ID)))), errcode.ServerUnknownError)
	w.refused("a command", w.send(fresh(metaTo("bob", recallOf(cmd.ID)))), errcode.OperationUnsupported)
	w.refused("a message to nobody", w.send(fresh(metaTo("nobody", recallOf(hi.ID)))), errcode.UserNotFound)
	w.refused("a message without a receiver", w.send(fresh(metaTo("", recallOf(hi.ID)))), errcode.BadMessage)
	w.clock.Advance(2*time.Minute + time.Second)
	w.refused("an old message", w.send(fresh(metaTo("bob", recallOf(hi.ID)))), errcode.RecallTimeLimit)
	w.set(`{"recall":false}`)
	w.refused("a message where recalling is off", w.send(fresh(metaTo("bob", recallOf(hi.ID)))), errcode.ServiceNotEnabled)
	if found, _, _ := w.read(hi.ID); found.Recalled {
		t.Error("the message was recalled")
	}
	w.set(`{"recall":true,"recall_seconds":130}`)
	w.sent(w.alice, fresh(metaTo("bob", recallOf(hi.ID))))
	w.refused("editing what is recalled", w.send(fresh(metaTo("bob", editOf(hi.ID, "ho")))), errcode.EditMessageNotExist)
}

func TestAnEditIsToldAndKept(t *testing.T) {
	w := newWorld(t)
	body := text("hi")
	body.Meta = `{"translations":["of hi"]}`
	body.Ext = []*msync.KeyValue{{Key: "k", Type: msync.KeyValue_INT, Value: &msync.KeyValue_VarintValue{VarintValue: 1}}}
	hi := w.sent(w.alice, fresh(metaTo("bob", body)))
	w.clock.Advance(time.Minute)
	edit := editOf(hi.ID, "ho")
	edit.Meta = `{"translations":["of ho"],"edit_msg":{"count":7}}`
	told := w.sent(w.alice, fresh(metaTo("bob", edit)))
	type notice struct {
		Edit map[string]any `json:"edit_msg"`
	}
	read := func(text string) notice {
		var n notice
		w.must(json.Unmarshal([]byte(text), &n))
		return n
	}
	event, _, eventBody := w.read(told.ID)
	want := notice{map[string]any{"count": 1.0, "operator": "alice", "sender": "alice", "send_time": float64(hi.Time),
		"edit_time": read(eventBody.Meta).Edit["edit_time"], "chat_type": "chat:user"}}
	if at := int64(want.Edit["edit_time"].(float64)); at < hi.Time+59_000 || at > told.Time {
		t.Errorf("edited at %d, sent at %d, told at %d", at, hi.Time, told.Time)
	}
	var answer msync.Meta
	w.must(proto.Unmarshal(told.Meta, &answer))
	if diff := cmp.Diff(want, read(string(answer.Payload))); diff != "" || answer.Ns != msync.Meta_NOTIFY || answer.From == nil {
		t.Errorf("the answer carries %v (-want +got):\n%s", &answer, diff)
	}
	if diff := cmp.Diff(want, read(eventBody.Meta)); diff != "" {
		t.Errorf("the event's meta (-want +got):\n%s", diff)
	}
	if eventBody.Type != msync.MessageBody_EDIT || eventBody.EditMessageId != uint64(hi.ID) || eventBody.Contents[0].Text != "ho" || event.Ref == 0 {
		t.Errorf("the event is %+v with %v", event, eventBody)
	}
	found, _, kept := w.read(hi.ID)
	if found.Version != 1 || found.Content != store.ContentText || kept.Contents[0].Text != "ho" || len(kept.Ext) != 1 {
		t.Errorf("kept %+v with %v", found, kept)
	}
	if diff := cmp.Diff(want, read(kept.Meta)); diff != "" || !strings.Contains(kept.Meta, `"translations":["of ho"]`) {
		t.Errorf("kept the meta %s (-want +got):\n%s", kept.Meta, diff)
	}

	withExt := editOf(hi.ID, "hu")
	withExt.EditScope = msync.MessageBody_BODY_AND_EXT
	w.sent(w.alice, fresh(metaTo("bob", withExt)))
	if _, _, kept := w.read(hi.ID); len(kept.Ext) != 0 || kept.Contents[0].Text != "hu" || read(kept.Meta).Edit["count"] != 2.0 || strings.Contains(kept.Meta, "translations") {
		t.Errorf("kept %v", kept)
	}
}

func TestAMessageIsEditedTenTimesAtMost(t *testing.T) {
	w := newWorld(t)
	hi := w.sent(w.alice, fresh(metaTo("bob", text("hi"))))
	var wg sync.WaitGroup
	results := make(chan Result, 2*maxEdits)
	for i := range 2 * maxEdits { // at the same time, as from several devices
		meta := fresh(metaTo("bob", editOf(hi.ID, fmt.Sprint("edit ", i))))
		wg.Go(func() { w.messages.Send(t.Context(), w.alice, meta, func(r Result) { results <- r }) })
	}
	wg.Wait()
	close(results)
	done := 0
	for r := range results {
		switch {
		case r.Err == nil:
			done++
		case !errors.Is(r.Err, errcode.MaxLimit) && !errors.Is(r.Err, errcode.EditFailed):
			t.Errorf("an edit ended with %v", r.Err)
		}
	}
	for r := (Result{}); done < maxEdits; done++ {
		if r = w.send(fresh(metaTo("bob", editOf(hi.ID, fmt.Sprint("more ", done))))); r.Err != nil {
			t.Fatalf("after %d edits: %v", done, r.Err)
		}
	}
	if done != maxEdits {
		t.Errorf("%d edits were taken", done)
	}
	w.refused("one edit more", w.send(fresh(metaTo("bob", editOf(hi.ID, "more")))), errcode.MaxLimit)
}

func TestWhatCannotBeEdited(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.device(w.bob), w.sender("carol")
	hi := w.sent(w.alice, fresh(metaTo("bob", text("hi"))))
	image := text("")
	image.Contents[0].Type = msync.MessageBody_Content_IMAGE
	img := w.sent(w.alice, fresh(metaTo("bob", image)))
	asImage := editOf(hi.ID, "ho")
	asImage.Contents[0].Type = msync.MessageBody_Content_IMAGE
	asCustom := editOf(hi.ID, "ho")
	asCustom.Contents[0].Type = msync.MessageBody_Content_CUSTOM
	nothing := editOf(hi.ID, "")
	nothing.Contents = nil
	w.refused("another's message", w.sendAs(bob, fresh(metaTo("alice", editOf(hi.ID, "ho")))), errcode.PermissionDenied)
	w.refused("the message of others", w.sendAs(carol, fresh(metaTo("bob", editOf(hi.ID, "ho")))), errcode.EditMessageNotExist)
	w.refused("no message", w.send(fresh(metaTo("bob", editOf(77, "ho")))), errcode.EditMessageNotExist)
	w.refused("a text that becomes an image", w.send(fresh(metaTo("bob", asImage))), errcode.EditFormatError)
	w.refused("a text that becomes a custom message", w.send(fresh(metaTo("bob", asCustom))), errcode.EditFormatError)
	w.refused("a text that becomes nothing", w.send(fresh(metaTo("bob", nothing))), errcode.EditFormatError)
	w.refused("an image", w.send(fresh(metaTo("bob", editOf(img.ID, "ho")))), errcode.EditFormatError)
	w.refused("too large a text", w.send(fresh(metaTo("bob", editOf(hi.ID, strings.Repeat("x", 6000))))), errcode.MessageTooLarge)
	w.clock.Advance(7*24*time.Hour + time.Second)
	w.refused("an old message", w.send(fresh(metaTo("bob", editOf(hi.ID, "ho")))), errcode.EditFailed)
	w.set(`{"edit":false}`)
	w.refused("a message where editing is off", w.send(fresh(metaTo("bob", editOf(hi.ID, "ho")))), errcode.ServiceNotEnabled)
	if _, _, body := w.read(hi.ID); body.Contents[0].Text != "hi" {
		t.Errorf("the message is %v", body)
	}
}

func TestReceiptsMoveTheReadMark(t *testing.T) {
	w := newWorld(t)
	bob := w.device(w.bob)
	key := store.PairKey(w.app.ID, w.alice.User.ID, w.bob.ID)
	var last Result
	for range 3 {
		last = w.sent(w.alice, fresh(metaTo("bob", text("hi"))))
	}
	read := func() int64 {
		c, err := w.store.Conversation(t.Context(), w.bob.ID, key)
		w.must(err)
		return c.Read
	}
	ack := func(kind msync.MessageBody_Type, id int64) *msync.MessageBody {
		return &msync.MessageBody{Type: kind, AckMessageId: uint64(id)}
	}
	w.sent(bob, fresh(metaTo("alice", ack(msync.MessageBody_DELIVER_ACK, last.ID))))
	if got := read(); got != 0 {
		t.Errorf("after a delivery receipt %d is read", got)
	}
	found, _, _ := w.read(last.ID)
	second, err := w.store.ReadTimeline(t.Context(), found.Timeline, 1, 1, 1)
	w.must(err)
	w.sent(bob, fresh(metaTo("alice", ack(msync.MessageBody_READ_ACK, second[0].ID))))
	if got := read(); got != 2 {
		t.Errorf("after a receipt for the second message %d is read", got)
	}
	w.sent(bob, fresh(metaTo("alice", ack(msync.MessageBody_READ_ACK, 77))))
	w.sent(bob, fresh(metaTo("alice", ack(msync.MessageBody_CHANNEL_ACK, 0))))
	if got := read(); got != 3 {
		t.Errorf("after a receipt for all %d is read", got)
	}
	w.sender("carol")
	w.sent(bob, fresh(metaTo("carol", ack(msync.MessageBody_CHANNEL_ACK, 0)))) // nothing was ever said
}
