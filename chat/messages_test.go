package chat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

// changes is what the listeners of a client hear of messages that they have.
type changes struct {
	recalls   chan *chat.Recall
	edits     chan *chat.Message
	reactions chan *chat.ReactionEvent
	pins      chan *chat.PinEvent
}

func watchChanges(c *chat.Client) *changes {
	const enough = 1000
	w := &changes{make(chan *chat.Recall, enough), make(chan *chat.Message, enough), make(chan *chat.ReactionEvent, enough), make(chan *chat.PinEvent, enough)}
	c.AddEventListener("changes", chat.Listener{
		OnRecall:     func(r *chat.Recall) { w.recalls <- r },
		OnEdit:       func(m *chat.Message) { w.edits <- m },
		OnReaction:   func(e *chat.ReactionEvent) { w.reactions <- e },
		OnMessagePin: func(e *chat.PinEvent) { w.pins <- e },
	})
	return w
}

// switchOff takes a service from the app; the function that it returns gives it back.
func switchOff(t *testing.T, server, service string) (on func()) {
	t.Helper()
	token := appToken(t, server)
	rest(t, server, token, "PUT", "/settings", map[string]any{service: false})
	return func() { rest(t, server, token, "PUT", "/settings", map[string]any{service: true}) }
}

func TestMessagesAgainstTheServer(t *testing.T) {
	server := startServer(t)
	register(t, server, "carol")
	alice, onAlice := login(t, server, "alice", "stoa")
	bob, onBob := login(t, server, "bob", "stoa")
	hers, his := watchChanges(alice), watchChanges(bob)
	say := func(t *testing.T, text string, opts ...chat.SendOption) (sent, got *chat.Message) {
		t.Helper()
		sent, err := alice.SendText(t.Context(), "bob", text, opts...)
		ok(t, err)
		return sent, next(t, onBob.texts, "the message")
	}

	t.Run("every kind of content", func(t *testing.T) {
		for _, content := range []chat.Content{
			{Kind: chat.KindImage, URL: "https://files.example.com/a.png", Width: 1, Height: 2, Size: 3, Name: "a.png"},
			{Kind: chat.KindVideo, URL: "https://files.example.com/a.mp4", Duration: 4, Size: 3, Name: "a.mp4"},
			{Kind: chat.KindAudio, URL: "https://files.example.com/a.mp3", Duration: 4, Size: 3, Name: "a.mp3"},
			{Kind: chat.KindFile, URL: "https://files.example.com/a.bin", Size: 3, Name: "a.bin"},
			{Kind: chat.KindLocation, Latitude: 1.5, Longitude: -2.5, Address: "here", Building: "b"},
			{Kind: chat.KindCommand, Action: "TypingBegin"},
			{Kind: chat.KindCustom, Event: "gift", Params: map[string]any{"n": int64(1)}},
		} {
			_, err := alice.Send(t.Context(), "bob", content)
			ok(t, err)
			same(t, fmt.Sprintf("content of kind %d", content.Kind), content, next(t, onBob.messages, "the message").Content)
		}
	})

	t.Run("recall", func(t *testing.T) {
		sent, got := say(t, "oh no")
		ok(t, alice.Recall(t.Context(), sent, "sorry"))
		r := next(t, his.recalls, "OnRecall")
		if r.MessageID != got.ID || r.From != "alice" || r.Conversation != "alice" || r.Text != "sorry" {
			t.Errorf("recall is %+v", r)
		}
		for _, m := range all(t, bob.History(t.Context(), chat.ToUser("alice"), chat.HistoryQuery{})) {
			if m.ID == sent.ID {
				t.Error("a recalled message is in the history")
			}
		}
		sent, got = say(t, "mine")
		if err := bob.Recall(t.Context(), got, ""); err == nil {
			t.Error("another's message was recalled")
		}
		defer switchOff(t, server, "recall")()
		want(t, alice.Recall(t.Context(), sent, ""), errcode.ServiceNotEnabled)
	})

	t.Run("edit", func(t *testing.T) {
		sent, got := say(t, "teh", chat.WithExt(map[string]any{"k": "v"}))
		edited, err := alice.Edit(t.Context(), sent, chat.Content{Text: "the"})
		ok(t, err)
		if edited.ID != sent.ID || edited.Text != "the" || edited.Ext["k"] != "v" || edited.Edited == nil || edited.Edited.Count != 1 || edited.Edited.By != "alice" {
			t.Errorf("edited message is %+v", edited)
		}
		m := next(t, his.edits, "OnEdit")
		if m.ID != got.ID || m.From != "alice" || m.Conversation != "alice" || m.Text != "the" || !m.Time.Equal(sent.Time) || m.Edited == nil || m.Edited.Count != 1 {
			t.Errorf("OnEdit got %+v", m)
		}
		_, err = alice.Edit(t.Context(), sent, chat.Content{Text: "them"}, chat.WithExt(map[string]any{"k": "w"}))
		ok(t, err)
		if m = next(t, his.edits, "OnEdit"); m.Text != "them" || m.Ext["k"] != "w" || m.Edited.Count != 2 {
			t.Errorf("OnEdit got %+v", m)
		}
		for range 8 {
			_, err = alice.Edit(t.Context(), sent, chat.Content{Text: "again"})
			ok(t, err)
		}
		_, err = alice.Edit(t.Context(), sent, chat.Content{Text: "once too often"})
		want(t, err, errcode.MaxLimit)
		_, err = bob.Edit(t.Context(), got, chat.Content{Text: "not mine"})
		want(t, err, errcode.PermissionDenied)
		_, err = alice.Edit(t.Context(), &chat.Message{ID: "1", Conversation: "bob"}, chat.Content{Text: "of nothing"})
		want(t, err, errcode.EditMessageNotExist)
		history := all(t, bob.History(t.Context(), chat.ToUser("alice"), chat.HistoryQuery{Kinds: []chat.Kind{chat.KindText}}))
		if history[0].ID != sent.ID || history[0].Text != "again" || history[0].Edited == nil || history[0].Edited.Count != 10 {
			t.Errorf("in the history it is %+v", history[0])
		}
	})

	t.Run("online only", func(t *testing.T) {
		_, err := alice.SendText(t.Context(), "carol", "are you there?", chat.WithOnlineOnly())
		ok(t, err)
		_, err = alice.SendText(t.Context(), "carol", "for later")
		ok(t, err)
		_, onCarol := login(t, server, "carol", "pw")
		same(t, "the first message", "for later", next(t, onCarol.texts, "the message").Text)
	})

	t.Run("translation that the server does not have is 505", func(t *testing.T) {
		_, err := alice.Languages(t.Context())
		want(t, err, errcode.ServiceNotEnabled)
		_, err = alice.Translate(t.Context(), "hello", "fr")
		want(t, err, errcode.ServiceNotEnabled)
		_, err = alice.SendText(t.Context(), "bob", "hello", chat.WithTranslations("fr"))
		want(t, err, errcode.ServiceNotEnabled)
	})

	t.Run("reactions", func(t *testing.T) {
		sent, got := say(t, "good news")
		ok(t, bob.AddReaction(t.Context(), got.ID, "👍"))
		e := next(t, hers.reactions, "OnReaction")
		if e.MessageID != sent.ID || e.Sender != "alice" || e.Target != chat.ToUser("bob") || len(e.Reactions) != 1 || e.Reactions[0].Reaction != "👍" || e.Reactions[0].Count != 1 {
			t.Errorf("event is %+v", e)
		}
		same(t, "changes", []chat.ReactionChange{{User: "bob", Added: true}}, e.Reactions[0].Changes)
		want(t, bob.AddReaction(t.Context(), got.ID, "👍"), errcode.ReactionAlreadyAdded)
		ok(t, alice.AddReaction(t.Context(), sent.ID, "👍"))
		reactions, err := bob.Reactions(t.Context(), chat.ToUser("alice"), got.ID)
		ok(t, err)
		if r := reactions[got.ID]; len(r) != 1 || r[0].Count != 2 || !r[0].Own {
			t.Errorf("reactions are %+v", reactions)
		}
		same(t, "users", 2, len(all(t, bob.ReactionUsers(t.Context(), got.ID, "👍"))))
		ok(t, bob.RemoveReaction(t.Context(), got.ID, "👍"))
		for e = next(t, hers.reactions, "OnReaction"); len(e.Reactions) == 0 || len(e.Reactions[0].Changes) == 0 || e.Reactions[0].Changes[0].Added; e = next(t, hers.reactions, "OnReaction") {
		}
		same(t, "changes", []chat.ReactionChange{{User: "bob"}}, e.Reactions[0].Changes)
		want(t, bob.RemoveReaction(t.Context(), got.ID, "👍"), errcode.ReactionIllegal)
	})

	t.Run("pins", func(t *testing.T) {
		sent, got := say(t, "remember this")
		ok(t, bob.PinMessage(t.Context(), got))
		e := next(t, hers.pins, "OnMessagePin")
		if e.MessageID != sent.ID || e.By != "bob" || !e.Pinned || e.Target != chat.ToUser("bob") {
			t.Errorf("event is %+v", e)
		}
		pinned := all(t, alice.PinnedMessages(t.Context(), chat.ToUser("bob")))
		if len(pinned) != 1 || pinned[0].By != "bob" || pinned[0].Message.ID != sent.ID || pinned[0].Message.Text != "remember this" || time.Since(pinned[0].Time).Abs() > time.Minute {
			t.Errorf("pinned are %+v", pinned)
		}
		ok(t, bob.UnpinMessage(t.Context(), got))
		if e = next(t, hers.pins, "OnMessagePin"); e.Pinned {
			t.Errorf("event is %+v", e)
		}
		want(t, bob.UnpinMessage(t.Context(), got), errcode.MessageNotFound)
	})

	t.Run("reports", func(t *testing.T) {
		_, got := say(t, "buy this")
		ok(t, bob.Report(t.Context(), got.ID, "spam", "it is"))
		want(t, bob.Report(t.Context(), "1", "spam", "it is"), errcode.MessageNotFound)
		defer switchOff(t, server, "reports")()
		want(t, bob.Report(t.Context(), got.ID, "spam", "it is"), errcode.ServiceNotEnabled)
	})

	t.Run("a message to the own other device", func(t *testing.T) {
		_, onTablet := login(t, server, "alice", "stoa", chat.WithDevice("tablet"))
		_, err := alice.SendText(t.Context(), "alice", "note to self")
		ok(t, err)
		got := next(t, onTablet.texts, "the note")
		for got.Text != "note to self" { // a new device is given what no other device was sent
			got = next(t, onTablet.texts, "the note")
		}
		if got.From != "alice" || got.Conversation != "alice" {
			t.Errorf("note is %+v", got)
		}
		if len(onAlice.texts) > 0 {
			t.Error("the sending device was given its own note")
		}
	})
}
