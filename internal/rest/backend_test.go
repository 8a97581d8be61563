package rest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestWhatOnlyBackendsAsk(t *testing.T) {
	const users, at = "/acme/demo/users/", "/acme/demo/messages"
	tooMany := func(n int) string {
		return description("invalid_parameter", fmt.Sprintf("usernames size is more than max limit : %d", n))
	}
	names := func(n int) string { return `"bob"` + strings.Repeat(`,"bob"`, n-1) }
	for name, steps := range map[string][]step{
		"contacts are imported, as many as there can be": {
			{"POST", users + "alice/contacts/import", "app", `{"usernames":["Bob","bob","alice","nobody"]}`, 200,
				`{"data":{"success":["bob"],"NotExistFailed":["nobody"],"maxLimitFailed":[],"UnKnowFailed":["alice"]}}`, ""},
			{"POST", users + "alice/contacts/import?isSendNotice=true", "app", `{"usernames":["bob"]}`, 200, `{"data":{"success":["bob"]}}`, ""},
			{"GET", users + "alice/contacts/users", "app", "", 200, `{"data":["bob"]}`, ""},
			{"GET", users + "bob/contacts/users", "app", "", 200, `{"data":["alice"]}`, ""},
			{"POST", users + "alice/contacts/import", "app", `{"usernames":[` + names(11) + `]}`, 400, tooMany(10), ""},
			{"POST", users + "alice/contacts/import", "app", `{}`, 400, `{"error":"invalid_request_body"}`, ""},
			{"POST", users + "nobody/contacts/import", "app", `{"usernames":["bob"]}`, 404, `{"error":"service_resource_not_found"}`, ""},
		},
		"relations are checked": {
			{"POST", users + "alice/contacts/users/bob", "app", "", 200, "", ""},
			{"POST", users + "bob/blocks/users", "app", `{"usernames":["alice"]}`, 200, "", ""},
			{"POST", "/acme/demo/contacts/check", "app", `{"username":"alice","check_list":["Bob","nobody","alice"]}`, 200,
				`{"entities":[{"username":"Bob","relation":"friend"},{"username":"nobody","relation":"not_friend"},{"username":"alice","relation":"not_friend"}]}`, ""},
			{"POST", "/acme/demo/blocks/check", "app", `{"username":"alice","check_list":["bob"]}`, 200, `{"entities":[{"relation":"not_block"}]}`, ""},
			{"POST", "/acme/demo/blocks/check", "app", `{"username":"bob","check_list":["alice"]}`, 200, `{"entities":[{"relation":"block"}]}`, ""},
			{"POST", "/acme/demo/blocks/check", "app", `{"username":"nobody","check_list":["alice"]}`, 404, `{"error":"service_resource_not_found"}`, ""},
			{"POST", "/acme/demo/contacts/check", "app", `{"username":"alice","check_list":[` + names(101) + `]}`, 400, tooMany(100), ""},
			{"POST", "/acme/demo/contacts/check", "app", `{"username":"alice"}`, 400, `{"error":"invalid_request_body"}`, ""},
		},
		"tokens are revoked": {
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"secret"}`, 200, "", "alice's"},
			{"GET", users + "alice", "$alice's", "", 200, "", ""},
			{"POST", "/acme/demo/token/users/Alice/invalid", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
			{"GET", users + "alice", "$alice's", "", 401, "", ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"secret"}`, 200, "", "fresh"},
			{"GET", users + "alice", "$fresh", "", 200, "", ""},
			{"POST", "/acme/demo/token/users/nobody/invalid", "app", "", 404, `{"error":"service_resource_not_found"}`, ""},
		},
		"messages are recalled by the batch": {
			{"POST", at + "/batch_recall", "app", `{"msgs":[{"msg_id":"1","to":"bob","chat_type":"chat"},{"msg_id":"1","to":"","chat_type":"chat"}]}`, 200,
				`{"data":{"msgs":[{"msg_id":"1","recalled":"not_found msg"},{"recalled":"can't find msg to"}]}}`, ""},
			{"POST", at + "/batch_recall", "app", `{"msgs":[{}` + strings.Repeat(`,{}`, 30) + `]}`, 400, `{"error":"illegal_argument"}`, ""},
		},
		"broadcasts that are refused": {
			{"POST", at + "/broadcast", "app", `{"target_type":"chatrooms","msg":{"type":"txt","msg":"hi"}}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/broadcast", "app", `{"from":"","msg":{"type":"txt","msg":"hi"}}`, 400, description("illegal_argument", "from can't be empty"), ""},
			{"POST", at + "/broadcast", "app", `{"ext":null,"msg":{"type":"txt","msg":"hi"}}`, 400, description("illegal_argument", "ext must be JSONObject"), ""},
			{"POST", at + "/users/broadcast", "app", `{"msg":{"type":"txt"}}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", at + "/broadcast", "app", `{"msg":{"type":"txt","msg":"` + strings.Repeat("x", 6000) + `"}}`, 413, "", ""},
			{"PUT", "/acme/demo/settings", "app", `{"broadcasts":false}`, 200, "", ""},
			{"POST", at + "/broadcast", "app", `{"msg":{"type":"txt","msg":"hi"}}`, 403, description("forbidden_op", "message broadcast service is unopened"), ""},
			{"POST", at + "/users/broadcast", "app", `{"msg":{"type":"txt","msg":"hi"}}`, 403, `{"error":"forbidden_op"}`, ""},
			{"POST", at + "/chatrooms/broadcast", "app", `{"msg":{"type":"txt","msg":"hi"}}`, 403, `{"error":"forbidden_op"}`, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newWorld(t).play(steps)
		})
	}
}

func TestARosterHasANewVersionWhenItChanges(t *testing.T) {
	w := newWorld(t)
	version := func() any {
		got := w.send("GET", "/acme/demo/users/alice/rosters", w.bearer("alice"), "")
		return got.object["data"].(map[string]any)["version"]
	}
	seen := []any{version()}
	for _, s := range []step{
		{"POST", "/acme/demo/users/alice/contacts/users/bob", "app", "", 200, "", ""},
		{"PUT", "/acme/demo/user/alice/contacts/users/bob", "app", `{"remark":"Bobby"}`, 200, "", ""},
	} {
		w.play([]step{s})
		now := version()
		if now != version() {
			t.Error("the version changes by itself")
		}
		for _, old := range seen {
			if now == old {
				t.Errorf("after %s the version is as before", s.path)
			}
		}
		seen = append(seen, now)
	}
	w.play([]step{{"GET", "/acme/demo/users/alice/rosters", "alice", "", 200, `{"count":1,"data":{"rosters":[{"username":"bob","remark":"Bobby"}]}}`, ""}})
}

func TestABackendSeesWhatWaitsForAUser(t *testing.T) {
	w := newWorld(t)
	first, second := w.text("bob", "alice", "one"), w.text("bob", "alice", "two")
	w.text("alice", "bob", "mine")
	at := "/acme/demo/users/alice/offline_msg_"
	status := func(id int64, want string) step {
		return step{"GET", at + fmt.Sprint("status/", id), "app", "", 200, fmt.Sprintf(`{"data":{"%d":%q}}`, id, want), ""}
	}
	w.play([]step{{"GET", at + "count", "app", "", 200, `{"data":{"alice":2}}`, ""}, status(first, "undelivered"), status(second, "undelivered")})
	found, err := w.store.FindEntry(t.Context(), w.app.ID, first)
	w.must(err)
	phone, err := w.store.OpenDevice(t.Context(), store.Device{User: w.user("alice").ID, Resource: "phone"})
	w.must(err)
	w.must(w.store.SaveCursors(t.Context(), []store.Cursor{{User: phone.User, Device: phone.ID, Timeline: found.Timeline, Seq: found.Seq}}))
	w.play([]step{{"GET", at + "count", "alice", "", 200, `{"data":{"alice":1}}`, ""}, status(first, "delivered"), status(second, "undelivered"),
		{"GET", at + "status/1", "app", "", 404, description("resource_not_found", "message 1 was not sent to alice"), ""},
		{"GET", at + "status/x", "app", "", 404, `{"error":"resource_not_found"}`, ""},
		{"GET", "/acme/demo/users/nobody/offline_msg_count", "app", "", 404, `{"error":"service_resource_not_found"}`, ""},
	})
}

// talk returns the texts of a conversation as a user reads them back, newest first.
func (w *world) talk(user, peer string) []string {
	w.Helper()
	got := w.send("POST", "/acme/demo/users/"+user+"/messageroaming", w.bearer("app"), fmt.Sprintf(`{"queue":%q}`, peer))
	texts := []string{}
	for _, m := range got.object["data"].(map[string]any)["msgs"].([]any) {
		raw, err := base64.StdEncoding.DecodeString(m.(map[string]any)["msg"].(string))
		w.must(err)
		var meta msync.Meta
		var body msync.MessageBody
		w.must(proto.Unmarshal(raw, &meta))
		w.must(proto.Unmarshal(meta.Payload, &body))
		texts = append(texts, body.Contents[0].Text)
	}
	return texts
}

func TestABroadcastReachesAllUsers(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.createUser(w.app, fmt.Sprint("user", i))
	}
	w.play([]step{
		{"POST", "/acme/demo/messages/broadcast", "app", `{"target_type":"users","from":"alice","msg":{"type":"txt","msg":"hello all"},"ext":{"k":1}}`, 200, `{"data":{}}`, ""},
		{"POST", "/acme/demo/messages/users/broadcast", "app", `{"from":"alice","msg":{"type":"txt","msg":"who is there"}}`, 200, `{"data":{}}`, ""},
	})
	for _, name := range []string{"bob", "user0", "user2"} {
		if diff := cmp.Diff([]string{"hello all"}, w.talk(name, "alice@easemob.com")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if texts := w.talk("alice", "alice@easemob.com"); len(texts) > 0 {
		t.Errorf("the sender has %v", texts)
	}
	w.play([]step{{"GET", "/acme/demo/users/bob/offline_msg_count", "app", "", 200, `{"data":{"bob":1}}`, ""}})
}

func TestATextThatArrivesInParts(t *testing.T) {
	w := newWorld(t)
	w.play(founded)
	fault := func(code int, text string) string {
		return fmt.Sprintf(`{"error":"message_send_error","exception":"MessageSendException","error_code":%d,"error_description":%q}`, code, text)
	}
	for _, test := range []struct{ path, to, other, queue string }{
		{"/acme/demo/stream_message/user", "bob", "carol", "alice@easemob.com"},
		{"/acme/demo/stream_message/chatgroup", "club", "other", "club@conference.easemob.com"},
	} {
		send := func(body string, status int, want string) reply {
			t.Helper()
			got := w.send("POST", test.path, w.bearer("app"), body)
			if diff := holds(got.object, want); got.status != status || diff != "" {
				t.Errorf("%s: %d %s", body, got.status, got.text)
			}
			return got
		}
		id := send(`{"from":"alice","to":"`+test.to+`","body":{"msg":"Once","seq":0,"type":"markdown"},"ext":{"k":1}}`, 200, `{"data":{}}`).object["data"].(map[string]any)["msgId"].(string)
		part := func(id, from, to, more string) string {
			return fmt.Sprintf(`{"from":%q,"to":%q,"body":{"msgId":%q,"msg":" more",%s}}`, from, to, id, more)
		}
		if diff := cmp.Diff([]string{"Once"}, w.talk("bob", test.queue)); diff != "" {
			t.Error(diff)
		}
		send(part(id, "alice", test.to, `"seq":1`), 200, `{"data":{"msgId":"`+id+`"}}`)
		send(part(id, "alice", test.to, `"seq":1`), 400, fault(14038, "stream message chunk seq too small"))
		send(part(id, "bob", test.to, `"seq":2`), 400, fault(14036, "stream message from user mismatch"))
		send(part(id, "alice", test.other, `"seq":2`), 400, fault(14037, "stream message to user mismatch"))
		send(part("1", "alice", test.to, `"seq":2`), 400, fault(14031, "can not find stream message by msgId"))
		send(fmt.Sprintf(`{"from":"alice","to":%q,"body":{"msgId":%q,"seq":2,"msg":%q}}`, test.to, id, strings.Repeat("x", 48<<10)), 400,
			fault(14032, "stream message total length exceeds limit"))
		for seq := 2; seq < 15; seq++ { // more than a message may be edited
			send(part(id, "alice", test.to, fmt.Sprintf(`"seq":%d`, seq)), 200, "{}")
		}
		send(part(id, "alice", test.to, `"seq":20,"finish":true,"finishReason":1`), 200, "{}")
		send(part(id, "alice", test.to, `"seq":21`), 400, fault(14035, "stream message has already finished"))
		if diff := cmp.Diff([]string{"Once" + strings.Repeat(" more", 15)}, w.talk("bob", test.queue)); diff != "" {
			t.Error(diff)
		}

		whole := send(`{"to":"`+test.to+`","body":{"msg":"All","seq":0,"finish":true}}`, 200, `{"data":{}}`).object["data"].(map[string]any)["msgId"].(string)
		send(part(whole, "admin", test.to, `"seq":1`), 400, `{"error_code":14035}`)

		late := send(`{"from":"alice","to":"`+test.to+`","body":{"msg":"Late","seq":0}}`, 200, "{}").object["data"].(map[string]any)["msgId"].(string)
		w.clock.Advance(31 * time.Second)
		send(part(late, "alice", test.to, `"seq":1`), 400, fault(14033, "stream message chunk interval timeout"))
		w.clock.Advance(30 * time.Minute)
		send(part(late, "alice", test.to, `"seq":1`), 400, fault(14034, "stream message total timeout"))
		for body, want := range map[string]string{
			`{"from":"","to":"bob","body":{"msg":"a","seq":0}}`: fault(14001, "param from can't be empty"),
			`{"body":{"msg":"a","seq":0}}`:                      fault(14002, "param to can't be empty"),
			`{"to":"bob"}`:                                      fault(14005, "param body can't be empty"),
			`{"to":"bob","body":{"msg":"a"}}`:                   fault(14030, "param body.seq is illegal"),
			`{"to":"bob","body":{"msg":"a","seq":-1}}`:          fault(14030, "param body.seq is illegal"),
		} {
			send(body, 400, want)
		}
	}
	w.play([]step{
		{"POST", "/acme/demo/stream_message/chatgroup", "app", `{"to":"1","body":{"msg":"a","seq":0}}`, 404, `{"error":"resource_not_found"}`, ""},
		{"POST", "/acme/demo/stream_message/user", "app", `{"from":"a b","to":"bob","body":{"msg":"a","seq":0}}`, 400, `{"error":"illegal_argument"}`, ""},
	})
}

func TestTheFileOfAnImportedMessageIsTakenOver(t *testing.T) {
	w := newWorld(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/a.pdf" || r.Header.Get("share-secret") != "theirs" {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		rw.Header().Set("Content-Type", "application/pdf")
		fmt.Fprint(rw, "three words here")
	}))
	defer elsewhere.Close()
	call := func(url string) step {
		return step{"POST", "/acme/demo/messages/users/import", "app", `{"from":"alice","target":"bob","type":"file","body":{"url":"` + url + `","filename":"a.pdf","secret":"theirs"},"need_download":true}`, 200, "", ""}
	}
	refused := call(elsewhere.URL + "/gone")
	refused.status, refused.want = 400, description("illegal_argument", "the file cannot be downloaded: status 404")
	strange := call("file:///etc/passwd")
	strange.status, strange.want = 400, description("illegal_argument", "url must be an address of http or https")
	w.play([]step{call(elsewhere.URL + "/a.pdf"), refused, strange})
	got := w.send("POST", "/acme/demo/users/bob/messageroaming", w.bearer("app"), `{"queue":"alice@easemob.com"}`)
	msgs := got.object["data"].(map[string]any)["msgs"].([]any)
	raw, err := base64.StdEncoding.DecodeString(msgs[0].(map[string]any)["msg"].(string))
	w.must(err)
	var meta msync.Meta
	var body msync.MessageBody
	w.must(proto.Unmarshal(raw, &meta))
	w.must(proto.Unmarshal(meta.Payload, &body))
	content := body.Contents[0]
	below, ok := strings.CutPrefix(content.RemotePath, w.server.URL+"/acme/demo")
	if !ok || content.FileLength != 16 {
		t.Fatalf("the message names %s of %d bytes", content.RemotePath, content.FileLength)
	}
	if file := w.fetch("GET", below, "", "share-secret", content.SecretKey); file.status != 200 || file.text != "three words here" {
		t.Errorf("%d %q", file.status, file.text)
	}
}
