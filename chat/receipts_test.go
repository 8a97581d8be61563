package chat_test

import (
	"testing"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

func TestGroupReceiptsAgainstTheServer(t *testing.T) {
	server := startServer(t)
	register(t, server, "carol")
	ctx := t.Context()
	alice, _ := login(t, server, "alice", "stoa")
	bob, onBob := login(t, server, "bob", "stoa")
	carol, onCarol := login(t, server, "carol", "pw")
	g, err := alice.CreateGroup(ctx, chat.GroupOptions{Name: "group", Members: []string{"bob", "carol"}})
	ok(t, err)
	sent, err := alice.SendText(ctx, g.ID(), "who reads this?", chat.WithChatType(chat.GroupChat), chat.WithReadReceipts())
	ok(t, err)
	got := next(t, onBob.texts, "bob's")
	if !got.WantsReceipts {
		t.Errorf("message is %+v", got)
	}
	read := make(chan *chat.Receipt, 10)
	alice.AddEventListener("read", chat.Listener{OnReadMessage: func(r *chat.Receipt) { read <- r }})

	ok(t, bob.SendRead(ctx, got, chat.WithReceiptText("fine")))
	r := next(t, read, "the receipt")
	if r.MessageID != sent.ID || r.From != "bob" || r.ReadCount != 1 || r.Text != "fine" {
		t.Errorf("receipt is %+v", r)
	}
	ok(t, carol.SendRead(ctx, next(t, onCarol.texts, "carol's")))
	if r = next(t, read, "the receipt"); r.ReadCount != 2 || r.From != "carol" {
		t.Errorf("receipt is %+v", r)
	}
	readers := map[string]bool{}
	for _, user := range all(t, g.Readers(ctx, sent.ID)) {
		readers[user] = true
	}
	same(t, "readers", map[string]bool{"bob": true, "carol": true}, readers)
	n, err := g.ReadCount(ctx, sent.ID)
	ok(t, err)
	same(t, "count", 2, n)

	plain, err := alice.SendText(ctx, g.ID(), "no matter who reads this", chat.WithChatType(chat.GroupChat))
	ok(t, err)
	m := next(t, onBob.texts, "bob's")
	if m.ID != plain.ID || m.WantsReceipts {
		t.Errorf("message is %+v", m)
	}

	unread := func() int {
		t.Helper()
		for _, v := range all(t, carol.Conversations(ctx)) {
			if v.Target == chat.ToGroup(g.ID()) {
				return v.Unread
			}
		}
		t.Fatal("the group is not in the list")
		return 0
	}
	if unread() == 0 {
		t.Error("nothing is unread")
	}
	ok(t, carol.SendConversationRead(ctx, g.ID(), chat.WithChatType(chat.GroupChat)))
	same(t, "unread", 0, unread())
	third, err := alice.SendText(ctx, g.ID(), "a mistake", chat.WithChatType(chat.GroupChat))
	ok(t, err)
	next(t, onCarol.texts, "carol's")
	same(t, "unread", 1, unread())
	ok(t, alice.Recall(ctx, third, ""))
	same(t, "unread after the recall", 0, unread())

	defer switchOff(t, server, "group_receipts")()
	want(t, bob.SendRead(ctx, got), errcode.ServerUnknownError)
}
