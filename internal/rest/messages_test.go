package rest

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
)

const txtHi = `"type":"txt","body":{"msg":"hi"}`

func TestMessageScenarios(t *testing.T) {
	const (
		at      = "/acme/demo/messages"
		history = "/acme/demo/users/bob/messageroaming"
		success = `{"data":{"bob":"success"}}`
	)
	illegal := func(text string) string { return description("illegal_argument", text) }
	var everyType []step
	for kind, body := range map[string]string{
		"txt": `{"msg":"hi"}`, "img": `{"url":"http://x/1","filename":"a.png","secret":"s","size":{"width":1,"height":2}}`,
		"audio": `{"url":"http://x/1","filename":"a.amr","length":3}`, "video": `{"url":"http://x/1","filename":"a.mp4","length":3,"thumb":"http://x/2"}`,
		"file": `{"url":"http://x/1","filename":"a.pdf"}`, "loc": `{"lat":"1.5","lng":2,"addr":"here"}`, "cmd": `{"action":"go"}`,
		"custom": `{"customEvent":"e","customExts":{"k":"v"}}`,
	} {
		everyType = append(everyType, step{"POST", at + "/users", "app", `{"to":["bob"],"type":"` + kind + `","body":` + body + `}`, 200, `{"path":"/messages","action":"post"}`, ""})
	}
	everyType = append(everyType, step{"POST", history, "app", `{"queue":"admin@easemob.com"}`, 200, `{"data":{"msgs":[{},{},{},{},{},{},{}]}}`, ""})
	for name, steps := range map[string][]step{
		"every type of message": everyType,
		"to users": {
			{"POST", at + "/users", "app", `{"from":"Alice","to":["bob","nobody"],` + txtHi + `,"ext":{"a":1},"sync_device":true,"roam_ignore_users":["alice","nobody"]}`, 200, `{"data":{}}`, ""},
			{"POST", history, "app", `{"queue":"alice@easemob.com"}`, 200, `{"data":{"msgs":[{}]}}`, ""},
			{"POST", "/acme/demo/users/alice/messageroaming", "app", `{"queue":"bob@easemob.com"}`, 200, `{"data":{"msgs":[]}}`, ""},
			{"POST", at + "/users", "app", `{"from":"alice","to":["bob"],` + txtHi + `,"routetype":"ROUTE_ONLINE"}`, 200, `{"data":{}}`, ""},
			{"POST", history, "app", `{"queue":"alice@easemob.com"}`, 200, `{"data":{"msgs":[{}]}}`, ""},
		},
		"what is refused": {
			{"POST", at + "/users", "app", `{"from":"","to":["bob"],` + txtHi + `}`, 400, illegal("from can't be empty"), ""},
			{"POST", at + "/users", "app", `{"from":"a b","to":["bob"],` + txtHi + `}`, 400, illegal("username [a b] is not legal"), ""},
			{"POST", at + "/users", "app", `{"to":["bob"],` + txtHi + `,"ext":null}`, 400, illegal("ext must be JSONObject"), ""},
			{"POST", at + "/users", "app", `{"to":["bob"],` + txtHi + `,"ext":[]}`, 400, illegal("ext must be JSONObject"), ""},
			{"POST", at + "/users", "app", `{"to":[],` + txtHi + `}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/users", "app", `{"to":["bob"],"type":"fax","body":{}}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/users", "app", `{"to":["bob"],"type":"txt","body":{}}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/users", "app", `{"to":["bob"],"type":"txt"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/users", "app", `{"to":["bob"],` + txtHi + `,"routetype":"ROUTE_TYPE"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/users", "app", `{"to":["bob"],"type":"txt","body":{"msg":"` + strings.Repeat("x", 6000) + `"}}`, 413, description("Request Entity Too Large", "message is too large"), ""},
			{"POST", at + "/chatgroups", "app", `{"to":["1"],` + txtHi + `}`, 404, description("resource_not_found", "grpID 1 does not exist!"), ""},
			{"POST", at + "/chatrooms", "app", `{"to":["1"],` + txtHi + `,"chatroom_msg_level":"high"}`, 404, description("resource_not_found", "grpID 1 does not exist!"), ""},
			{"POST", at + "/chatrooms", "app", `{"to":["1"],` + txtHi + `,"chatroom_msg_level":"urgent"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/chatgroups/users", "app", `{"to":["1"],` + txtHi + `}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/chatrooms/users", "app", `{"to":["1","2"],"users":["bob"],` + txtHi + `}`, 400, `{"error":"illegal_argument"}`, ""},
		},
		"the oldest route": {
			{"POST", at, "app", `{"target_type":"users","target":["bob"],"msg":{"type":"txt","msg":"hi"},"from":"alice","ext":{}}`, 200, success, ""},
			{"POST", at, "app", `{"target_type":"users","target":["bob"],"msg":{"type":"cmd","action":"go"},"routetype":"ROUTE_ONLINE"}`, 200, success, ""},
			{"POST", history, "app", `{"queue":"alice@easemob.com"}`, 200, `{"data":{"msgs":[{}]}}`, ""},
			{"POST", at, "app", `{"target_type":"aliens","target":["bob"],"msg":{"type":"txt","msg":"hi"}}`, 400,
				illegal("target_type can only be 'users' or 'chatgroups' or 'chatrooms'"), ""},
			{"POST", at, "app", `{"target_type":"users","target":["bob"]}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at, "app", `{"target_type":"users","target":"bob","msg":{"type":"txt","msg":"hi"}}`, 400, `{"error":"invalid_request_body"}`, ""},
		},
		"importing": {
			{"POST", at + "/users/import", "app", `{"from":"alice","target":"bob",` + txtHi + `,"msg_timestamp":1600000000000,"is_ack_read":true,"need_download":false}`, 200, `{"data":{}}`, ""},
			{"POST", history, "app", `{"queue":"alice@easemob.com","endTime":1600000000000}`, 200, `{"data":{"msgs":[{}]}}`, ""},
			{"POST", at + "/users/import", "app", `{"target":"bob",` + txtHi + `}`, 400, illegal("from can't be empty"), ""},
			{"POST", at + "/users/import", "app", `{"from":"alice",` + txtHi + `}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/users/import", "app", `{"from":"alice","target":"nobody",` + txtHi + `}`, 404, `{"error":"service_resource_not_found"}`, ""},
			{"POST", at + "/chatgroups/import", "app", `{"from":"alice","target":"1",` + txtHi + `}`, 404, description("resource_not_found", "grpID 1 does not exist!"), ""},
		},
		"recalls that find nothing": {
			{"POST", at + "/msg_recall", "app", `{"msg_id":"1","to":"bob","chat_type":"chat"}`, 200,
				`{"data":{"recalled":"not_found msg","chattype":"chat","from":"admin","to":"bob","msg_id":"1"}}`, ""},
			{"POST", at + "/msg_recall", "app", `{"msg_id":"1","to":"bob","chat_type":"chat","from":"alice","force":true}`, 200, `{"data":{"recalled":"yes"}}`, ""},
			{"POST", at + "/msg_recall", "app", `{"msg_id":"1","to":"","chat_type":"chat"}`, 200, `{"data":{"recalled":"can't find msg to"}}`, ""},
			{"POST", at + "/msg_recall", "app", `{"msg_id":"1","to":"1","chat_type":"groupchat"}`, 200, `{"data":{"recalled":"can't find msg to"}}`, ""},
			{"POST", at + "/msg_recall", "app", `{"msg_id":"1","to":"bob","chat_type":"letter"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/recall", "app", `{"msgs":[]}`, 400, `{"error":"illegal_argument"}`, ""},
		},
		"edits that are refused": {
			{"PUT", at + "/rewrite/x", "app", `{"new_msg":{"type":"txt","msg":"hi"}}`, 400, `{"exception":"InvalidMessageIdException"}`, ""},
			{"PUT", at + "/rewrite/1", "app", `{"new_msg":{"type":"txt","msg":"hi"}}`, 404, `{"exception":"MessageUnavailableException"}`, ""},
			{"PUT", at + "/rewrite/1", "app", `{"new_msg":{"type":"txt"}}`, 400, `{"error":"illegal_argument"}`, ""},
		},
		"exports that are not there": {
			{"GET", "/acme/demo/chatmessages/yesterday", "app", "", 400, illegal("This chatmessage request is not supported"), ""},
			{"GET", "/acme/demo/chatmessages/2999010100", "app", "", 400,
				illegal("illegal arguments: appkey: acme#demo, time: 2999010100, maybe chat message history is expired or unstored"), ""},
			{"GET", "/acme/demo/chatmessages/2021010100", "app", "", 404,
				description("storage_object_not_found", "Failed to find chat message history download url for appkey: acme#demo, time: 2021010100"), ""},
			{"GET", "/acme/demo/chatmessages/2021010100/file", "", "", 403, `{"error":"forbidden_op"}`, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.play(steps)
		})
	}
}

// sendAs sends a message in both ways of writing the address, and returns the id of the last.
func (w *world) backendSends(route, to, body string) string {
	w.Helper()
	var id string
	for _, prefix := range []string{"/acme/demo", "/app-id/" + w.app.AgoraID} {
		got := w.send("POST", prefix+"/messages/"+route, w.bearer("app"), body)
		data, _ := got.object["data"].(map[string]any)
		if id, _ = data[to].(string); got.status != 200 || id == "" {
			w.Fatalf("%s: %d %s", route, got.status, got.text)
		}
	}
	return id
}

// read returns the messages of a conversation as a user has them in history, oldest first.
func (w *world) read(user, queue string) (metas []*msync.Meta, bodies []*msync.MessageBody) {
	w.Helper()
	got := w.send("POST", "/acme/demo/users/"+user+"/messageroaming", w.bearer("app"), `{"queue":"`+queue+`","is_positive":true}`)
	for _, m := range got.object["data"].(map[string]any)["msgs"].([]any) {
		raw, err := base64.StdEncoding.DecodeString(m.(map[string]any)["msg"].(string))
		w.must(err)
		var meta msync.Meta
		var body msync.MessageBody
		w.must(proto.Unmarshal(raw, &meta))
		w.must(proto.Unmarshal(meta.Payload, &body))
		metas, bodies = append(metas, &meta), append(bodies, &body)
	}
	return metas, bodies
}

func TestABackendSendsToGroupsAndRooms(t *testing.T) {
	w := newWorld(t)
	got := w.send("POST", "/acme/demo/chatgroups", w.bearer("app"), `{"groupname":"g","desc":"d","public":true,"maxusers":10,"owner":"alice","members":["bob"]}`)
	group := got.object["data"].(map[string]any)["groupid"].(string)
	got = w.send("POST", "/acme/demo/chatrooms", w.bearer("app"), `{"name":"r","description":"d","maxusers":10,"owner":"alice","members":["bob"]}`)
	room := got.object["data"].(map[string]any)["id"].(string)
	w.backendSends("chatgroups", group, `{"from":"news","to":["`+group+`"],`+txtHi+`,"need_group_ack":true,"sync_device":true}`)
	w.backendSends("chatgroups/users", group, `{"from":"news","to":["`+group+`"],"users":["bob"],"type":"txt","body":{"msg":"for bob"}}`)
	w.backendSends("chatrooms", room, `{"to":["`+room+`"],`+txtHi+`,"chatroom_msg_level":"low"}`)
	w.backendSends("chatrooms/users", room, `{"to":["`+room+`"],"users":["bob"],`+txtHi+`}`)
	metas, bodies := w.read("alice", group+"@conference.easemob.com")
	if len(metas) != 2 || metas[0].From.GetName() != "news" || !bodies[0].MsgConfig.GetAllowGroupAck() || bodies[0].Type != msync.MessageBody_GROUPCHAT {
		t.Errorf("alice has %v", bodies)
	}
	if _, bodies := w.read("bob", group+"@conference.easemob.com"); len(bodies) != 4 {
		t.Errorf("bob has %v", bodies)
	}
	w.send("POST", "/acme/demo/chatgroups/"+group+"/disable", w.bearer("app"), "")
	got = w.send("POST", "/acme/demo/messages/chatgroups", w.bearer("app"), `{"to":["`+group+`"],`+txtHi+`}`)
	if diff := holds(got.object, description("forbidden_op", "can not operate this group, reason: group is disabled")); diff != "" {
		t.Error(diff)
	}
	got = w.send("POST", "/acme/demo/messages/chatgroups", w.bearer("app"), `{"to":["`+room+`"],`+txtHi+`}`)
	if got.status != 404 {
		t.Errorf("a room is a group: %s", got.text)
	}
}

func TestABackendRecallsAndEdits(t *testing.T) {
	w := newWorld(t)
	id := w.backendSends("users", "bob", `{"from":"alice","to":["bob"],"type":"custom","body":{"customEvent":"e"},"ext":{"a":1,"b":2}}`)
	edit := func(body string) reply {
		return w.send("PUT", "/acme/demo/messages/rewrite/"+id, w.bearer("app"), body)
	}
	if got := edit(`{"user":"Carol","new_msg":{"type":"custom","customEvent":"f"},"new_ext":{"b":3}}`); got.object["data"] != "success" {
		t.Fatal(got.text)
	}
	_, bodies := w.read("bob", "alice@easemob.com")
	last := bodies[1]
	if last.Contents[0].CustomEvent != "f" || len(last.Ext) != 2 || !strings.Contains(last.Meta, `"operator":"carol"`) {
		t.Errorf("bob has %v", last)
	}
	if got := edit(`{"new_msg":{"type":"custom","customEvent":"g"},"new_ext":{"c":4},"is_combine_ext":false}`); got.object["data"] != "success" {
		t.Fatal(got.text)
	}
	if _, bodies := w.read("bob", "alice@easemob.com"); len(bodies[1].Ext) != 1 {
		t.Errorf("bob has %v", bodies[1])
	}
	for _, body := range []string{`{"new_msg":{"type":"txt","msg":"x"}}`, `{"new_msg":{"type":"img","url":"x"}}`} {
		if diff := holds(edit(body).object, `{"exception":"UnsupportedMessageTypeException"}`); diff != "" {
			t.Error(diff)
		}
	}
	for range 8 {
		edit(`{"new_msg":{"type":"custom","customEvent":"h"}}`)
	}
	if diff := holds(edit(`{"new_msg":{"type":"custom","customEvent":"h"}}`).object, `{"exception":"EditLimitExceededException"}`); diff != "" {
		t.Error(diff)
	}
	recall := func(more, want string) {
		t.Helper()
		got := w.send("POST", "/acme/demo/messages/msg_recall", w.bearer("app"), `{"msg_id":"`+id+`","to":"bob","chat_type":"chat"`+more+`}`)
		if diff := holds(got.object, `{"data":{"recalled":"`+want+`","msg_id":"`+id+`"}}`); diff != "" {
			t.Error(diff)
		}
	}
	w.clock.Advance(time.Hour)
	recall("", "exceed recall time limit")
	recall(`,"force":true`, "yes")
	recall("", "not_found msg")
	if _, bodies := w.read("bob", "alice@easemob.com"); len(bodies) != 1 {
		t.Errorf("bob has %v", bodies)
	}
	other := w.backendSends("users", "bob", `{"from":"alice","to":["bob"],`+txtHi+`}`)
	got := w.send("POST", "/acme/demo/messages/recall", w.bearer("app"), `{"msgs":[{"msg_id":"`+other+`","to":"bob","chat_type":"chat","from":"alice"}]}`)
	if diff := holds(got.object, `{"data":{"msgs":[{"msg_id":"`+other+`","recalled":"yes"}]}}`); diff != "" {
		t.Error(diff)
	}
	w.set(`{"recall":false,"edit":false}`)
	got = w.send("POST", "/acme/demo/messages/msg_recall", w.bearer("app"), `{"msg_id":"1","to":"bob","chat_type":"chat"}`)
	if diff := holds(got.object, description("forbidden_op", "message recall service is unopened")); diff != "" || got.status != 403 {
		t.Error(got.text)
	}
	if got := edit(`{"new_msg":{"type":"txt","msg":"x"}}`); got.status != 403 || holds(got.object, description("message_rewrite_error", "The rewrite message feature is not open.")) != "" {
		t.Error(got.text)
	}
}

func TestImportedMessagesAreInOrderOfTheirTimes(t *testing.T) {
	w := newWorld(t)
	w.connect("bob", "webim_1")
	for i, given := range []int64{1600000000000, 1600000005000, 1600000003000} {
		got := w.send("POST", "/acme/demo/messages/users/import", w.bearer("app"),
			fmt.Sprintf(`{"from":"alice","target":"bob","type":"txt","body":{"msg":"%d"},"msg_timestamp":%d}`, i, given))
		if got.status != 200 || got.object["data"].(map[string]any)["msg_id"] == "" {
			t.Fatal(got.text)
		}
	}
	metas, bodies := w.read("bob", "alice@easemob.com")
	for i, want := range []uint64{1600000000000, 1600000005000, 1600000005000} {
		if metas[i].Timestamp != want || bodies[i].Contents[0].Text != fmt.Sprint(i) {
			t.Errorf("message %d is %v %v", i, metas[i], bodies[i])
		}
	}
}

func TestAMessageIsImportedOnce(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"users/import", "chatgroups/import"} {
		target := "bob"
		if path == "chatgroups/import" { // what happened to the group is younger than the messages
			target = w.send("POST", "/acme/demo/chatgroups", w.bearer("app"), `{"owner":"alice","members":["bob"]}`).object["data"].(map[string]any)["groupid"].(string)
		}
		send := func(text string, at int64) string {
			got := w.send("POST", "/acme/demo/messages/"+path, w.bearer("app"),
				fmt.Sprintf(`{"from":"alice","target":%q,"type":"txt","body":{"msg":%q},"msg_timestamp":%d}`, target, text, at))
			return got.object["data"].(map[string]any)["msg_id"].(string)
		}
		first := map[string]string{}
		for _, m := range []string{"a", "b", "c"} {
			first[m] = send(m, 1600000000000)
		}
		first["later"] = send("later", 1600000001000)
		for m, id := range first {
			at := int64(1600000000000)
			if m == "later" {
				at += 1000
			}
			if again := send(m, at); again != id {
				t.Errorf("%s: %s was imported as %s and again as %s", path, m, id, again)
			}
		}
		if other := send("a", 1600000001000); other == first["a"] {
			t.Errorf("%s: the same text at another time is another message", path)
		}
	}
}

func TestAnHourIsExportedOnceItIsOver(t *testing.T) {
	w := newWorld(t)
	w.backendSends("users", "bob", `{"from":"alice","to":["bob"],`+txtHi+`,"ext":{"a":1}}`)
	gone := w.backendSends("users", "bob", `{"from":"alice","to":["bob"],`+txtHi+`}`)
	w.send("POST", "/acme/demo/messages/msg_recall", w.bearer("app"), `{"msg_id":"`+gone+`","to":"bob","chat_type":"chat"}`)
	hour := time.Now().UTC().Format(hourForm)
	path := "/acme/demo/chatmessages/" + hour
	if got := w.send("GET", path, w.bearer("app"), ""); got.status != 400 {
		t.Errorf("the hour is not over: %s", got.text)
	}
	w.clock.Advance(time.Hour)
	got := w.send("GET", path, w.bearer("app"), "")
	if got.status != 200 {
		t.Fatal(got.text)
	}
	address := got.object["data"].([]any)[0].(map[string]any)["url"].(string)
	answer, err := http.Get(address)
	w.must(err)
	defer answer.Body.Close()
	zipped, err := gzip.NewReader(answer.Body)
	w.must(err)
	var lines []map[string]any
	for scanner := bufio.NewScanner(zipped); scanner.Scan(); {
		var line map[string]any
		w.must(json.Unmarshal(scanner.Bytes(), &line))
		lines = append(lines, line)
	}
	if len(lines) != 3 {
		t.Fatalf("there are %d lines", len(lines))
	}
	if diff := holds(any(lines[0]), `{"direction":"outgoing","from":"alice","to":"bob","chat_type":"chat","payload":{"bodies":[{"msg":"hi","type":"txt"}],"ext":{"a":1},"from":"alice","to":"bob"}}`); diff != "" {
		t.Error(diff)
	}
	forged := strings.Replace(address, hour, "2021010100", 1)
	if got := w.send("GET", strings.TrimPrefix(forged, w.server.URL), "", ""); got.status != 403 {
		t.Errorf("an address of another hour: %s", got.text)
	}
	w.clock.Advance(2 * exportLife)
	if got := w.send("GET", strings.TrimPrefix(address, w.server.URL), "", ""); got.status != 403 {
		t.Errorf("an old address: %s", got.text)
	}
}
