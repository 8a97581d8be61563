package rest

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
)

// tells sends a body to a group as over the socket, and returns the id that it gets.
func (w *world) tells(name, group string, body *msync.MessageBody) int64 {
	w.Helper()
	payload, err := proto.Marshal(body)
	w.must(err)
	results := make(chan message.Result, 1)
	w.messages.Send(w.Context(), message.Sender{App: w.app, User: w.user(name)}, &msync.Meta{Id: 7, Ns: msync.Meta_CHAT, Payload: payload,
		To: &msync.JID{Name: group, Domain: msync.PlaceDomain}}, func(r message.Result) { results <- r })
	r := <-results
	w.must(r.Err)
	return r.ID
}

func TestWhoHasReadAMessageIsListed(t *testing.T) {
	w := newWorld(t)
	w.play(founded)
	w.play([]step{{"POST", "/acme/demo/chatgroups", "app", `{"groupid":"readers","groupname":"Readers","owner":"alice","members":["bob","carol","dave"]}`, 200, "", ""}})
	asks := &msync.MessageBody_MessageConfig{AllowGroupAck: true}
	id := w.tells("alice", "readers", &msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, MsgConfig: asks,
		Contents: []*msync.MessageBody_Content{{Text: "read this"}}})
	for _, name := range []string{"carol", "bob", "dave"} {
		w.tells(name, "readers", &msync.MessageBody{Type: msync.MessageBody_READ_ACK, MsgConfig: asks, AckMessageId: uint64(id)})
	}
	acks := fmt.Sprint("/acme/demo/chatgroups/readers/acks/", id)
	w.play([]step{
		{"GET", acks + "?limit=500&key=undefined&_v=1", "alice", "", 200,
			fmt.Sprintf(`{"data":{"ackmid":"%d","is_last":true,"next_key":"","total":3,"userlist":["carol","bob","dave"]}}`, id), ""},
		{"GET", acks + "?limit=2", "app", "", 200, `{"data":{"is_last":false,"total":3,"userlist":["carol","bob"],"next_key":"2"}}`, ""},
		{"GET", acks + "?limit=2&key=2", "alice", "", 200, `{"data":{"is_last":true,"total":3,"userlist":["dave"]}}`, ""},
		{"GET", acks + "?key=!", "alice", "", 400, "", ""},
		{"GET", acks + "?limit=0", "alice", "", 400, "", ""},
		{"GET", acks, "bob", "", 403, `{"error":"forbidden_op"}`, ""},
		{"GET", "/acme/demo/chatgroups/readers/acks/77", "alice", "", 404, `{"error":"resource_not_found"}`, ""},
		{"GET", fmt.Sprint("/acme/demo/chatgroups/club/acks/", id), "alice", "", 404, `{"error":"resource_not_found"}`, ""},
		{"GET", "/acme/demo/chatgroups/readers/acks/x", "alice", "", 400, "", ""},
		{"GET", fmt.Sprint("/acme/demo/chatgroups/281474976710655/acks/", id), "alice", "", 404, noGroup, ""},
		{"PUT", "/acme/demo/settings", "app", `{"group_receipts":false}`, 200, "", ""},
		{"GET", acks, "alice", "", 403, `{"error":"service_not_open"}`, ""},
	})
}
