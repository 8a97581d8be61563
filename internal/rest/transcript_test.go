package rest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/msync/transcripttest"
)

// transcript is requests and the data of their answers.
type transcript struct {
	*world
	transcripttest.Transcript
}

// asks sends a request of alice and notes it with the answer.
func (tr *transcript) asks(method, path, body string) {
	tr.Helper()
	got := tr.send(method, "/acme/demo"+path, tr.bearer("alice"), body)
	data, _ := got.object["data"].(map[string]any)
	if msgs, ok := data["msgs"].([]any); ok {
		for _, m := range msgs {
			tr.unpack(m.(map[string]any))
		}
	}
	text, err := json.MarshalIndent(got.object["data"], "    ", "  ")
	tr.must(err)
	tr.Notef("%s\n    %d %s\n", strings.TrimSpace(method+" "+path+" "+body), got.status, text)
}

// unpack replaces a packed message by what it holds.
func (tr *transcript) unpack(row map[string]any) {
	tr.Helper()
	raw, err := base64.StdEncoding.DecodeString(row["msg"].(string))
	tr.must(err)
	var meta msync.Meta
	var body msync.MessageBody
	tr.must(proto.Unmarshal(raw, &meta))
	tr.must(proto.Unmarshal(meta.Payload, &body))
	object := func(m proto.Message) (object map[string]any) {
		packed, err := protojson.Marshal(m)
		tr.must(err)
		tr.must(json.Unmarshal(packed, &object))
		return object
	}
	unpacked := object(&meta)
	unpacked["payload"] = object(&body)
	row["msg"] = unpacked
}

// TestTranscripts holds the bodies of conversations and history to those of testdata.
func TestTranscripts(t *testing.T) {
	w := newWorld(t)
	w.createUser(w.app, "carol")
	tr := &transcript{world: w}
	first := w.text("bob", "alice", "hi <alice>")
	w.text("alice", "bob", "ho ☃")
	w.text("carol", "alice", "hey")
	bob := `{"type":"chat","to":"bob"}`
	tr.asks("POST", "/sdk/user/alice/user_channel/top?resource=webim_web_1", bob)
	tr.asks("POST", "/sdk/user/alice/user_channels/mark?resource=webim_web_1", `{"mark":"mark_3","targets":[`+bob+`,{"to":"alice","type":"chat"}]}`)
	tr.asks("GET", "/sdk/user/alice/user_channels/list?&limit=20&cursor=&need_mark=true", "")
	tr.asks("GET", "/sdk/user/alice/user_channels/list?&limit=20&cursor=&is_top=true", "")
	tr.asks("GET", "/sdk/user/alice/user_channels/mark/search?&limit=10&cursor=&need_mark=true&mark=mark_3", "")
	tr.asks("GET", "/users/alice/user_channels", "")
	tr.asks("POST", "/users/alice/messageroaming", `{"queue":"bob@easemob.com","start":-1,"pull_number":1,"is_positive":false,"msgType":"","end":-1,"startTime":null,"endTime":null,"userId":null}`)
	tr.asks("POST", "/users/alice/messageroaming", `{"queue":"bob@easemob.com","start":"2","end":-1}`)
	tr.asks("DELETE", fmt.Sprintf("/sdk/message/roaming/chat/user/alice?userId=bob&msgIdList=%d&resource=webim_web_1", first), "")
	tr.asks("DELETE", "/user/alice/user_channel?resource=webim_web_1", `{"channel":"carol","type":"chat","delete_roam":true}`)
	tr.asks("DELETE", "/sdk/user/alice/user_channel/top?type=chat&to=bob&resource=webim_web_1", "")
	tr.asks("GET", "/sdk/user/alice/user_channels/list?&limit=20&cursor=&need_mark=true", "")
	tr.asks("POST", "/sdk/message/roaming/user/alice/delete/all?resource=webim_web_1", "")
	tr.asks("GET", "/users/alice/user_channels/page?pageNum=1&pageSize=20", "")
	tr.Compare(t, "history")
}
