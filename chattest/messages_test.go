package chattest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/admin"
	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/chattest"
	"github.com/stoa-chat/stoa/errcode"
)

func TestABackendSendsAndRecalls(t *testing.T) {
	server := chattest.Start(t)
	bob := server.Client(t)
	messages, recalls := make(chan *chat.Message, 10), make(chan string, 10)
	bob.AddEventListener("test", chat.Listener{
		OnTextMessage: func(m *chat.Message) { messages <- m },
		OnRecall:      func(r *chat.Recall) { recalls <- r.MessageID },
	})
	if err := bob.Login(t.Context(), "bob", chat.Password(chattest.Password)); err != nil {
		t.Fatal(err)
	}
	ids, err := server.Admin.SendMessage(t.Context(), admin.Users, admin.Message{From: "news", To: []string{"bob"}, Content: admin.Text("hello"), Ext: map[string]any{"n": 1}})
	if err != nil {
		t.Fatal(err)
	}
	m := next(t, messages)
	if m.ID != ids["bob"] || m.From != "news" || m.Text != "hello" {
		t.Errorf("bob has %+v, the ids are %v", m, ids)
	}
	recall := admin.RecallRequest{ID: ids["bob"], To: "bob", Type: "chat"}
	server.Advance(time.Hour)
	if err := server.Admin.Recall(t.Context(), recall); !errors.Is(err, errcode.RecallTimeLimit) {
		t.Errorf("a late recall: %v", err)
	}
	recall.Force = true
	if err := server.Admin.Recall(t.Context(), recall); err != nil {
		t.Error(err)
	}
	if id := next(t, recalls); id != ids["bob"] {
		t.Errorf("%s was recalled", id)
	}
	recall.Force = false
	if err := server.Admin.Recall(t.Context(), recall); !errors.Is(err, errcode.ServerUnknownError) {
		t.Errorf("a second recall: %v", err)
	}
	if _, err := server.Admin.SendMessage(t.Context(), admin.Rooms, admin.Message{To: []string{"1"}, Content: admin.Command("go"), Online: true}); !errors.Is(err, errcode.ChatroomNotExist) {
		t.Errorf("a send to no room: %v", err)
	}
}
