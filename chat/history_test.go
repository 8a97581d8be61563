package chat_test

import (
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

// all reads an iterator to its end.
func all[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var items []T
	for item, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

func texts(t *testing.T, seq iter.Seq2[*chat.Message, error]) []string {
	t.Helper()
	var texts []string
	for _, m := range all(t, seq) {
		texts = append(texts, m.Text)
	}
	return texts
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHistoryAgainstTheServer(t *testing.T) {
	server := startServer(t)
	for _, user := range []string{"carol", "dave"} {
		register(t, server, user)
	}
	alice, _ := login(t, server, "alice", "stoa")
	bob, _ := login(t, server, "bob", "stoa")
	send := func(t *testing.T, from *chat.Client, to, text string) *chat.Message {
		t.Helper()
		m, err := from.SendText(t.Context(), to, text)
		ok(t, err)
		return m
	}

	t.Run("a conversation is read in both directions, with filters", func(t *testing.T) {
		one := send(t, alice, "bob", "one")
		two := send(t, bob, "alice", "two")
		_, err := alice.Send(t.Context(), "bob", chat.Content{Kind: chat.KindCommand, Action: "typing"})
		ok(t, err)
		_, err = alice.Send(t.Context(), "bob", chat.Content{Kind: chat.KindLocation, Latitude: 1, Longitude: 2, Address: "here"})
		ok(t, err)

		same(t, "newest first", []string{"", "two", "one"}, texts(t, bob.History(t.Context(), chat.ToUser("alice"), chat.HistoryQuery{})))
		same(t, "oldest first", []string{"one", "two", ""}, texts(t, bob.History(t.Context(), chat.ToUser("alice"), chat.HistoryQuery{OldestFirst: true})))
		same(t, "texts", []string{"two", "one"}, texts(t, bob.History(t.Context(), chat.ToUser("alice"), chat.HistoryQuery{Kinds: []chat.Kind{chat.KindText}})))
		same(t, "behind a message", []string{"one"}, texts(t, bob.History(t.Context(), chat.ToUser("alice"), chat.HistoryQuery{After: two.ID})))
		same(t, "in time", []string(nil), texts(t, bob.History(t.Context(), chat.ToUser("alice"), chat.HistoryQuery{Since: time.Now().Add(time.Hour)})))
		got := all(t, alice.History(t.Context(), chat.ToUser("bob"), chat.HistoryQuery{OldestFirst: true}))[0]
		if got.ID != one.ID || got.From != "alice" || got.Conversation != "bob" || !got.Time.Equal(one.Time) {
			t.Errorf("message is %+v", got)
		}
	})

	t.Run("many pages", func(t *testing.T) {
		carol, _ := login(t, server, "carol", "pw")
		for range 120 {
			send(t, carol, "dave", "again")
		}
		if n := len(all(t, carol.History(t.Context(), chat.ToUser("dave"), chat.HistoryQuery{}))); n != 120 {
			t.Errorf("%d messages, want 120", n)
		}
	})

	t.Run("deleted messages leave the own history only", func(t *testing.T) {
		dave, _ := login(t, server, "dave", "pw")
		one, two := send(t, dave, "bob", "one"), send(t, dave, "bob", "two")
		send(t, dave, "bob", "three")
		other, ow := newClient(t, server)
		events := make(chan *chat.DeviceEvent, 10)
		other.AddEventListener("events", chat.Listener{OnDeviceEvent: func(e *chat.DeviceEvent) { events <- e }})
		ok(t, other.Login(t.Context(), "dave", chat.Password("pw")))
		next(t, ow.connected, "OnConnected")

		ok(t, dave.DeleteMessages(t.Context(), chat.ToUser("bob"), two.ID))
		e := next(t, events, "the event on the other device")
		if e.Operation != chat.DeviceMessagesDeleted || e.Target != chat.ToUser("bob") {
			t.Errorf("event is %+v", e)
		}
		same(t, "dave's", []string{"three", "one"}, texts(t, dave.History(t.Context(), chat.ToUser("bob"), chat.HistoryQuery{})))
		ok(t, dave.DeleteMessagesBefore(t.Context(), chat.ToUser("bob"), one.Time))
		same(t, "bob's", []string{"three", "two", "one"}, texts(t, bob.History(t.Context(), chat.ToUser("dave"), chat.HistoryQuery{})))
	})

	t.Run("conversations", func(t *testing.T) {
		register(t, server, "erin")
		erin, ew := login(t, server, "erin", "pw")
		last := send(t, alice, "erin", "hi erin")
		next(t, ew.texts, "the message")
		send(t, bob, "erin", "hello erin")
		next(t, ew.texts, "the message")
		ids := func(seq iter.Seq2[*chat.Conversation, error]) (ids []chat.Target) {
			for _, v := range all(t, seq) {
				ids = append(ids, v.Target)
			}
			return ids
		}
		same(t, "all", []chat.Target{chat.ToUser("bob"), chat.ToUser("alice")}, ids(erin.Conversations(t.Context())))
		got := all(t, erin.Conversations(t.Context()))[1]
		if got.Unread != 1 || got.LastMessage == nil || got.LastMessage.ID != last.ID || got.LastMessage.Text != "hi erin" || got.LastMessage.Conversation != "alice" {
			t.Errorf("conversation is %+v, its last message %+v", got, got.LastMessage)
		}
		ok(t, erin.SendConversationRead(t.Context(), "alice"))
		if got := all(t, erin.Conversations(t.Context()))[1]; got.Unread != 0 {
			t.Errorf("%d unread after all was read", got.Unread)
		}

		ok(t, erin.PinConversation(t.Context(), chat.ToUser("alice")))
		pinned := all(t, erin.PinnedConversations(t.Context()))
		if len(pinned) != 1 || pinned[0].Target != chat.ToUser("alice") || !pinned[0].Pinned || time.Since(pinned[0].PinnedAt).Abs() > time.Minute {
			t.Errorf("pinned are %+v", pinned)
		}
		ok(t, erin.UnpinConversation(t.Context(), chat.ToUser("alice")))
		same(t, "pinned", []chat.Target(nil), ids(erin.PinnedConversations(t.Context())))

		ok(t, erin.MarkConversations(t.Context(), 3, chat.ToUser("alice"), chat.ToUser("bob")))
		ok(t, erin.UnmarkConversations(t.Context(), 3, chat.ToUser("bob")))
		marked := all(t, erin.MarkedConversations(t.Context(), 3))
		if len(marked) != 1 || marked[0].Target != chat.ToUser("alice") || !cmp.Equal(marked[0].Marks, []int{3}) {
			t.Errorf("marked are %+v", marked)
		}
		want(t, erin.PinConversation(t.Context(), chat.ToUser("dave")), errcode.ConversationNotExist)
		want(t, erin.MarkConversations(t.Context(), 3, chat.ToUser("dave")), errcode.ConversationNotExist)

		ok(t, erin.DeleteConversation(t.Context(), chat.ToUser("bob"), true))
		same(t, "left", []chat.Target{chat.ToUser("alice")}, ids(erin.Conversations(t.Context())))
		same(t, "history", []string(nil), texts(t, erin.History(t.Context(), chat.ToUser("bob"), chat.HistoryQuery{})))
		ok(t, erin.DeleteAllMessages(t.Context()))
		same(t, "left", []chat.Target(nil), ids(erin.Conversations(t.Context())))
	})

	t.Run("search", func(t *testing.T) {
		sent := send(t, alice, "bob", "the kestrel above the wall")
		send(t, alice, "bob", "another bird")
		found := []*chat.Message(nil)
		// Messages are indexed behind the message path.
		for deadline := time.Now().Add(patience); len(found) == 0 && time.Now().Before(deadline); {
			found = all(t, bob.Search(t.Context(), "wall kestr", chat.SearchQuery{}))
		}
		if len(found) != 1 || found[0].ID != sent.ID || found[0].Text != "the kestrel above the wall" || found[0].Conversation != "alice" {
			t.Fatalf("found %+v", found)
		}
		same(t, "elsewhere", []string(nil), texts(t, bob.Search(t.Context(), "kestrel", chat.SearchQuery{In: chat.ToUser("dave")})))
		same(t, "as pictures", []string(nil), texts(t, bob.Search(t.Context(), "kestrel", chat.SearchQuery{Kinds: []chat.Kind{chat.KindImage}})))
		for _, err := range bob.Search(t.Context(), "", chat.SearchQuery{}) {
			want(t, err, errcode.RequestFailed)
		}
	})
}
