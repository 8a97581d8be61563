package rest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
)

func TestConversationScenarios(t *testing.T) {
	const (
		alice    = "/acme/demo/sdk/user/alice/"
		list     = alice + "user_channels/list?&limit=1&need_mark=true&cursor="
		noWay    = `{"error":"resource_not_found","error_code":91001}`
		ok       = `{"data":{"result":"ok"}}`
		fromBob  = `"session_to":"bob","session_type":"chat"`
		nothing  = `{"data":{"channel_infos":[],"cursor":""}}`
		roaming  = "/acme/demo/users/alice/messageroaming"
		nobodyIn = `{"data":{"msgs":[],"is_last":true}}`
	)
	for name, test := range map[string]struct {
		settings string
		steps    []step
	}{
		"lists in pages, with and without marks": {steps: []step{
			{"GET", list, "alice", "", 200, `{"data":{"channel_infos":[{"session_to":"carol","unread_num":1,"is_top":false,"marks":[]}]}}`, ""},
			{"GET", list + "{cursor}", "alice", "", 200, `{"data":{"channel_infos":[{` + fromBob + `,"unread_num":2}],"cursor":""}}`, ""},
			{"GET", alice + "user_channels/list?is_top=true", "alice", "", 200, nothing, ""},
			{"GET", alice + "user_channels/list?cursor=undefined", "app", "", 200, `{"data":{"channel_infos":[{"session_to":"carol"},{` + fromBob + `}]}}`, ""},
			{"GET", alice + "user_channels/list?cursor=x_y", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", alice + "user_channels/list?limit=none", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users/alice/user_channels/page?pageNum=2&pageSize=1", "alice", "", 200,
				`{"data":{"channel_infos":[{"channel_id":"acme#demo_bob@easemob.com","unread_num":2}]}}`, ""},
			{"GET", "/acme/demo/user/alice/user_channels", "app", "", 200, `{"data":{"channel_infos":[{},{}]},"count":2}`, ""},
		}},
		"pins": {steps: []step{
			{"POST", alice + "user_channel/top", "alice", `{"type":"chat","to":"bob"}`, 200, `{"data":{"is_top":true}}`, ""},
			{"GET", alice + "user_channels/list?is_top=true", "alice", "", 200, `{"data":{"channel_infos":[{` + fromBob + `,"is_top":true}]}}`, ""},
			{"DELETE", alice + "user_channel/top?type=chat&to=BOB&resource=x", "alice", "", 200, `{"data":{"is_top":false}}`, ""},
			{"GET", alice + "user_channels/list?is_top=true", "alice", "", 200, nothing, ""},
			{"POST", alice + "user_channel/top", "alice", `{"type":"chat","to":"alice"}`, 404, noWay, ""},
			{"POST", alice + "user_channel/top", "alice", `{"type":"chat","to":"nobody"}`, 404, `{"exception":"UserNotFoundException"}`, ""},
			{"POST", alice + "user_channel/top", "alice", `{"type":"channel","to":"bob"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", alice + "user_channel/top", "alice", `{"type":"groupchat","to":"1"}`, 400, `{"error_description":"groupId can not be null!"}`, ""},
		}},
		"marks": {steps: []step{
			{"POST", alice + "user_channels/mark", "alice", `{"mark":"mark_19","targets":[{"to":"bob","type":"chat"},{"to":"alice","type":"chat"}]}`, 200,
				`{"data":{"ignore":[{"to":"alice","type":"chat"}]}}`, ""},
			{"GET", alice + "user_channels/mark/search?mark=mark_19&need_mark=true", "alice", "", 200, `{"data":{"channel_infos":[{` + fromBob + `,"marks":["mark_19"]}]}}`, ""},
			{"GET", alice + "user_channels/mark/search?mark=mark_1", "alice", "", 200, nothing, ""},
			{"DELETE", alice + "user_channels/mark", "alice", `{"mark":"mark_19","targets":[{"to":"bob","type":"chat"}]}`, 200, `{"data":{}}`, ""},
			{"GET", alice + "user_channels/mark/search?mark=mark_19", "alice", "", 200, nothing, ""},
			{"POST", alice + "user_channels/mark", "alice", `{"mark":"mark_0","targets":[{"to":"alice","type":"chat"}]}`, 404, noWay, ""},
			{"POST", alice + "user_channels/mark", "alice", `{"mark":"","targets":[]}`, 400, description("illegal_argument", "param mark must be not empty, please check!"), ""},
			{"POST", alice + "user_channels/mark", "alice", `{"mark":"mark_20","targets":[]}`, 400, description("illegal_argument", "param mark illegal, please check it!"), ""},
			{"POST", alice + "user_channels/mark", "alice", `{"mark":"mark_2","targets":[]}`, 400, `{"error":"invalid_request_body"}`, ""},
			{"POST", alice + "user_channels/mark", "alice", `{"mark":"mark_2","targets":[` + strings.Repeat(`{"to":"bob","type":"chat"},`, 20) + `{"to":"bob","type":"chat"}]}`, 400,
				description("exceed_limit", "The quantity has exceeded the limit!"), ""},
		}},
		"deleting": {steps: []step{
			{"DELETE", "/acme/demo/user/alice/user_channel?resource=x", "alice", `{"channel":"bob","type":"chat","delete_roam":false}`, 200, ok, ""},
			{"GET", list, "alice", "", 200, `{"data":{"channel_infos":[{"session_to":"carol"}],"cursor":""}}`, ""},
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com","start":-1,"pull_number":10,"is_positive":true}`, 200, `{"data":{"msgs":[{},{}],"is_last":true}}`, ""},
			{"DELETE", "/acme/demo/users/alice/user_channel", "app", `{"channel":"bob","type":"chat","delete_roam":true}`, 200, ok, ""},
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com","start":-1}`, 200, nobodyIn, ""},
			{"POST", "/acme/demo/sdk/message/roaming/user/alice/delete/all?resource=x", "alice", "", 200, ok, ""},
			{"GET", list, "alice", "", 200, nothing, ""},
			{"POST", roaming, "alice", `{"queue":"carol@easemob.com","start":"-1"}`, 200, nobodyIn, ""},
			{"POST", "/acme/demo/users/carol/messageroaming", "carol", `{"queue":"alice@easemob.com"}`, 200, `{"data":{"msgs":[{}],"is_last":true}}`, ""},
		}},
		"what history refuses": {steps: []step{
			{"POST", roaming, "alice", `{"queue":"bob@elsewhere.com"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com","start":"x"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com","start":"1234567890123456"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com","pull_number":0}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com","msgType":"smell"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", roaming, "alice", `{"queue":"nobody@easemob.com"}`, 404, `{"exception":"UserNotFoundException"}`, ""},
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com","userId":"nobody","startTime":null,"endTime":"undefined"}`, 200, nobodyIn, ""},
			{"DELETE", "/acme/demo/sdk/message/roaming/chat/user/alice?userId=bob&msgIdList=1,x", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"DELETE", "/acme/demo/sdk/message/roaming/chat/user/alice?msgIdList=1", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"DELETE", "/acme/demo/sdk/message/roaming/chat/user/alice?userId=bob&msgIdList=1" + strings.Repeat(",1", 50), "alice", "", 400, `{"error":"exceed_limit"}`, ""},
			{"DELETE", "/acme/demo/sdk/message/roaming/chat/user/alice/time?userId=bob&delTime=then", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"POST", "/acme/demo/rest/message/roaming/chat/user/alice/time?userId=bob&delTime=9999999999999", "app", "", 200, ok, ""},
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com"}`, 200, nobodyIn, ""},
		}},
		"services that are off": {settings: `{"history":false,"conversation_list":false,"search":false}`, steps: []step{
			{"POST", roaming, "alice", `{"queue":"bob@easemob.com"}`, 403, `{"error_description":"messageroaming function not open","error_code":15001}`, ""},
			{"GET", list, "alice", "", 403, `{"error_description":"service not open!"}`, ""},
			{"GET", "/acme/demo/users/alice/messages/search?text=hi", "alice", "", 403, `{"error_description":"service not open!"}`, ""},
		}},
		"what search refuses": {steps: []step{
			{"GET", "/acme/demo/users/alice/messages/search?text=!%3F", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users/alice/messages/search?text=" + strings.Repeat("x", 513), "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users/alice/messages/search?text=hi&cursor=-", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users/alice/messages/search?text=hi&to=nobody&type=chat", "alice", "", 404, `{"exception":"UserNotFoundException"}`, ""},
			{"GET", "/acme/demo/users/alice/messages/search?text=hi", "bob", "", 401, oauth, ""},
			{"GET", "/acme/demo/users/alice/messages/search?text=hi", "alice", "", 200, `{"data":{"msgs":[],"cursor":""}}`, ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.createUser(w.app, "carol")
			w.text("bob", "alice", "hi")
			w.text("bob", "alice", "ho")
			w.text("carol", "alice", "hey")
			if test.settings != "" {
				w.set(test.settings)
			}
			w.play(test.steps)
		})
	}
}

func TestHistoryIsWhatIsDelivered(t *testing.T) {
	w := newWorld(t)
	var ids []int64
	for i := range 45 {
		ids = append(ids, w.text("bob", "alice", fmt.Sprint("text ", i)))
	}
	start, last := `-1`, false
	for at := len(ids); !last; {
		got := w.send("POST", "/acme/demo/users/alice/messageroaming", w.bearer("alice"), `{"queue":"bob@easemob.com","start":`+start+`,"end":-1}`)
		data := got.object["data"].(map[string]any)
		msgs := data["msgs"].([]any)
		if len(msgs) > 20 {
			t.Fatalf("a page has %d messages", len(msgs))
		}
		for _, m := range msgs {
			raw, err := base64.StdEncoding.DecodeString(m.(map[string]any)["msg"].(string))
			w.must(err)
			var meta msync.Meta
			var body msync.MessageBody
			w.must(proto.Unmarshal(raw, &meta))
			w.must(proto.Unmarshal(meta.Payload, &body))
			at--
			if int64(meta.Id) != ids[at] || meta.Timestamp == 0 || meta.From.GetName() != "bob" || body.Contents[0].Text != fmt.Sprint("text ", at) {
				t.Fatalf("message %d is %v with %v", at, &meta, &body)
			}
		}
		start, last = fmt.Sprintf("%q", data["next_key"]), data["is_last"].(bool)
		if last && at != 0 {
			t.Fatalf("%d messages are missing", at)
		}
	}
}
