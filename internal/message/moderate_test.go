package message

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// moderated is a world with rules.
func moderated(t *testing.T, rules map[string]string) *world {
	w := newWorld(t)
	m, err := moderation.New(t.Context(), w.accounts, w.store, bus.NewLocal(func(bus.Subject, []byte) {}), w.clock, w.messages.log)
	w.must(err)
	w.messages.Moderation = m
	for name, rule := range rules {
		w.must(m.Rules.Put(t.Context(), w.app.ID, name, []byte(rule)))
	}
	return w
}

// noted returns what moderation has noted, newest first.
func (w *world) noted() []store.Verdict {
	w.Helper()
	w.messages.Close()
	list, err := w.store.ListVerdicts(w.Context(), w.app.ID, 0, 100)
	w.must(err)
	return list
}

// words are the texts of the messages that a user has.
func (w *world) words(user store.User) (all []string) {
	w.Helper()
	for _, meta := range w.entries(user) {
		var body msync.MessageBody
		w.must(proto.Unmarshal(meta.Payload, &body))
		if body.Type == msync.MessageBody_CHAT {
			all = append(all, body.Contents[0].Text)
		}
	}
	return all
}

func TestRulesRefuseTexts(t *testing.T) {
	w := moderated(t, map[string]string{
		"rude":  `{"words":["darn"],"action":"block"}`,
		"trade": `{"patterns":["buy .* now"],"action":"block","code":508}`,
	})
	for words, code := range map[string]errcode.Code{"DARN it": errcode.IllegalContent, "buy it now": errcode.ModerationBlocked} {
		if got := w.send(metaTo("bob", text(words))).Err; !isCode(got, code) {
			t.Errorf("%q: %v, want %d", words, got, code)
		}
	}
	if r := w.send(metaTo("bob", text("hello"))); r.Err != nil || r.Meta != nil {
		t.Errorf("a harmless text: %+v", r)
	}
	if got := w.words(w.bob); len(got) != 1 || got[0] != "hello" {
		t.Errorf("bob has %q", got)
	}
	if list := w.noted(); len(list) != 2 || list[0].Message != 0 || list[0].Sender.Name != "alice" {
		t.Errorf("noted is %+v", list)
	}
}

func TestAMaskedTextIsShownToSenderAndReceiver(t *testing.T) {
	w := moderated(t, map[string]string{"rude": `{"words":["darn"],"action":"mask"}`, "watch": `{"words":["it"],"action":"flag"}`})
	r := w.send(metaTo("bob", text("darn it")))
	w.must(r.Err)
	if got := w.words(w.bob); len(got) != 1 || got[0] != "**** it" {
		t.Errorf("bob has %q", got)
	}
	var meta msync.Meta
	var body msync.MessageBody
	w.must(proto.Unmarshal(r.Meta, &meta))
	w.must(proto.Unmarshal(meta.Payload, &body))
	if body.Contents[0].Text != "**** it" || string(meta.Meta) != replacedMeta {
		t.Errorf("alice is shown %v", &body)
	}
	list := w.noted()
	if len(list) != 2 || list[0].Message != r.ID || list[1].Message != r.ID {
		t.Errorf("noted is %+v", list)
	}
}

// TestWhoBreaksRulesWaitsForTheNotes has a store that keeps no verdict, and as many senders as may be noted at once.
func TestWhoBreaksRulesWaitsForTheNotes(t *testing.T) {
	w := moderated(t, map[string]string{"rude": `{"words":["darn"],"action":"block"}`, "watch": `{"words":["hm"],"action":"flag"}`})
	verdicts := make(chan struct{})
	w.store.verdicts = verdicts
	for range maxNotes {
		if err := w.send(metaTo("bob", text("darn"))).Err; !isCode(err, errcode.IllegalContent) {
			t.Fatalf("a refused text: %v", err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	sent := w.sent(w.alice, fresh(metaTo("bob", text("hello"))))
	edit := text("hm")
	edit.Type, edit.EditMessageId = msync.MessageBody_EDIT, uint64(sent.ID)
	for what, body := range map[string]*msync.MessageBody{"a refused text": text("darn"), "a delivered text": text("hm"), "an edit": edit} {
		results := make(chan Result, 1)
		w.messages.Send(ended, w.alice, fresh(metaTo("bob", body)), func(r Result) { results <- r })
		if r := <-results; !errors.Is(r.Err, context.Canceled) {
			t.Errorf("%s that cannot be noted: %+v", what, r)
		}
	}
	close(verdicts)
	w.must(w.send(metaTo("bob", text("hm"))).Err)
	if list := w.noted(); len(list) != maxNotes+1 {
		t.Errorf("%d are noted", len(list))
	}
	if n := len(w.messages.notes); n != 0 {
		t.Errorf("%d places are still taken", n)
	}
}

// TestNothingIsNotedOfWhatCannotBeSent also gives its place among the notes back.
func TestNothingIsNotedOfWhatCannotBeSent(t *testing.T) {
	w := moderated(t, map[string]string{"watch": `{"words":["hm"],"action":"flag"}`})
	w.must(w.send(metaTo("bob", text("hello"))).Err)
	w.store.breakDown(errors.New("broken"))
	if r := w.send(metaTo("bob", text("hm"))); r.Err == nil {
		t.Errorf("sent with the result %+v", r)
	}
	w.store.breakDown(nil)
	if list := w.noted(); len(list) != 0 || len(w.messages.notes) != 0 {
		t.Errorf("noted is %+v, and %d places are taken", list, len(w.messages.notes))
	}
}

func TestAnEditIsModerated(t *testing.T) {
	w := moderated(t, map[string]string{"rude": `{"words":["darn"],"action":"block"}`, "mild": `{"words":["heck"],"action":"mask"}`})
	sent := w.send(metaTo("bob", text("hello")))
	w.must(sent.Err)
	edit := func(words string) error {
		body := text(words)
		body.Type, body.EditMessageId = msync.MessageBody_EDIT, uint64(sent.ID)
		return w.send(metaTo("bob", body)).Err
	}
	if err := edit("darn"); !isCode(err, errcode.IllegalContent) {
		t.Errorf("a refused text: %v", err)
	}
	w.messages.Close() // notes overtake each other
	w.must(edit("heck no"))
	list := w.noted()
	if len(list) != 2 || list[0].Message != sent.ID || list[1].Message != 0 {
		t.Fatalf("noted is %+v", list)
	}
	for i, want := range []string{"heck no", "darn"} {
		object, err := msync.MessageJSON(list[i].Message, list[i].Time, list[i].Meta)
		w.must(err)
		if object.Payload.Type != "chat" || object.Payload.Bodies[0]["msg"] != want {
			t.Errorf("noted is %+v", object.Payload)
		}
	}
	if got := w.words(w.bob); len(got) != 1 || got[0] != "**** no" {
		t.Errorf("bob has %q", got)
	}
}

func TestAMuteIsForAKindOfConversation(t *testing.T) {
	w := moderated(t, nil)
	ctx := context.Background()
	send := func() error { return w.send(metaTo("bob", text("hello"))).Err }
	w.must(w.messages.Moderation.SetMutes(ctx, w.app, "Alice", map[store.Scope]int64{store.ScopeGroup: 60, store.ScopeRoom: moderation.Forever, store.ScopeChat: -7}))
	w.must(send())
	w.must(w.messages.Moderation.SetMutes(ctx, w.app, "alice", map[store.Scope]int64{store.ScopeChat: 60}))
	if err := send(); !isCode(err, errcode.UserMutedByAdmin) {
		t.Errorf("while muted: %v", err)
	}
	for kind, code := range map[msync.MessageBody_Type]errcode.Code{msync.MessageBody_GROUPCHAT: errcode.UserMutedByAdmin, msync.MessageBody_CHATROOM: errcode.UserMutedByAdmin} {
		if err := w.send(metaTo("nowhere", ofType(kind))).Err; !isCode(err, code) {
			t.Errorf("%v: %v", kind, err)
		}
	}
	w.clock.Advance(61 * time.Second)
	w.must(send())
	w.must(w.messages.Moderation.SetMutes(ctx, w.app, "alice", map[store.Scope]int64{store.ScopeChat: moderation.Forever}))
	if err := send(); !isCode(err, errcode.UserMutedByAdmin) {
		t.Errorf("for ever: %v", err)
	}
	w.must(w.messages.Moderation.SetMutes(ctx, w.app, "alice", map[store.Scope]int64{store.ScopeChat: 0}))
	w.must(send())
	if err := w.messages.Moderation.SetMutes(ctx, w.app, "alice", map[store.Scope]int64{store.ScopeChat: 1 << 31}); !isCode(err, errcode.InvalidParameter) {
		t.Errorf("too long: %v", err)
	}
	if err := w.messages.Moderation.SetMutes(ctx, w.app, "nobody", nil); !isCode(err, errcode.UserNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestWhoSendsTooFastIsRefused(t *testing.T) {
	w := moderated(t, nil)
	w.set(`{"messages_per_second":1}`)
	// The clock goes on while the test sends, which may fill the bucket by some more.
	for range 2 {
		n := 0
		var err error
		for ; err == nil && n < 3*burst; n++ {
			err = w.send(metaTo("bob", text("hello"))).Err
		}
		if !isCode(err, errcode.RateLimited) || n <= burst {
			t.Fatalf("after %d: %v", n, err)
		}
		w.clock.Advance(burst * time.Second)
	}
	other, err := w.accounts.User(t.Context(), w.app, "bob")
	w.must(err)
	w.must(w.sendAs(Sender{App: w.app, User: other, Device: 1, Resource: "r"}, metaTo("bob", &msync.MessageBody{
		Type: msync.MessageBody_CHAT, Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: "me"}}})).Err)
}

func isCode(err error, code errcode.Code) bool {
	got, ok := errcode.CodeOf(err)
	return ok && got == code
}
