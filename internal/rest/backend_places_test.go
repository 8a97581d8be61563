package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// TestABackendRunsPlaces has the calls of docs/protocol/admin-rest.md §9, §12 and §14 that users of an SDK make in other forms.
func TestABackendRunsPlaces(t *testing.T) {
	const (
		group = "/acme/demo/chatgroups/g1"

		roaming = "/acme/demo/rest/message/roaming/"
	)
	ok := `{"data":{"result":true,"user":"bob"}}`
	rows := `{"data":[{"result":true,"user":"bob"}]}`
	w := newWorld(t)
	w.play([]step{
		{"POST", "/acme/demo/chatgroups", "app", `{"groupid":"g1","groupname":"g","desc":"d","public":true,"owner":"alice","members":["bob"]}`, 200, `{"data":{"groupid":"g1"}}`, ""},
		{"POST", group + "/white/users/bob", "app", "", 200, ok, ""},
		{"POST", group + "/white/users", "app", `{"usernames":["bob"]}`, 200, rows, ""},
		{"GET", group + "/white/users", "app", "", 200, `{"data":["bob"],"count":1}`, ""},
		{"DELETE", group + "/white/users/bob", "app", "", 200, ok, ""},
		{"POST", group + "/mute", "app", `{"usernames":["bob"],"mute_duration":60000}`, 200, rows, ""},
		{"GET", group + "/mute", "app", "", 200, `{"data":[{"user":"bob"}]}`, ""},
		{"DELETE", group + "/mute/bob", "app", "", 200, rows, ""},
		{"POST", group + "/ban", "app", "", 200, `{"data":{"mute":true}}`, ""},
		{"DELETE", group + "/ban", "app", "", 200, `{"data":{"mute":false}}`, ""},
		{"POST", group + "/blocks/users/bob", "app", "", 200, ok, ""},
		{"GET", group + "/blocks/users", "app", "", 200, `{"data":["bob"]}`, ""},
		{"DELETE", group + "/blocks/users/bob", "app", "", 200, ok, ""},
		{"POST", "/acme/demo/messages/chatgroups/import", "app", `{"from":"alice","target":"g1",` + txtHi + `}`, 200, `{"data":{}}`, ""},
		{"POST", "/acme/demo/chatrooms", "app", `{"id":"r1","name":"r","description":"d","owner":"alice"}`, 200, "", ""},
		{"POST", group + "/user/bob/is_joined", "app", "", 200, `{"data":false}`, ""}, // the ban has removed him
		{"POST", group + "/users/bob?need_notify=false", "app", "", 200, `{"data":{"result":true,"action":"add_member"}}`, ""},
		{"POST", group + "/blocks/users", "app", `{"usernames":["bob"]}`, 200, `{"data":[{"result":true,"action":"add_blocks","user":"bob","groupid":"g1"}]}`, ""},
		{"DELETE", group + "/blocks/users/bob", "app", "", 200, ok, ""},
		{"POST", "/acme/demo/messages/chatrooms/broadcast", "app", `{"msg":{"type":"txt","msg":"hi"}}`, 200, `{"data":{}}`, ""},
		{"DELETE", roaming + "chat/user/alice?userId=bob&msgIdList=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"DELETE", roaming + "group/user/alice?groupId=g1&msgIdList=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"DELETE", roaming + "chat/user/alice/time?userId=bob&delTime=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"DELETE", roaming + "group/user/alice/time?groupId=g1&delTime=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"POST", roaming + "group/user/alice/time?groupId=g1&delTime=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"POST", roaming + "user/alice/delete/all", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
	})
}

// TestABackendSetsAttributesOfMembers has PUT /metadata/chatgroup/{id}/users/batch.
func TestABackendSetsAttributesOfMembers(t *testing.T) {
	const batch = "/acme/demo/metadata/chatgroup/g1/users/batch"
	newWorld(t).play([]step{
		{"POST", "/acme/demo/chatgroups", "app", `{"groupid":"g1","groupname":"g","owner":"alice","members":["bob"]}`, 200, "", ""},
		{"PUT", batch, "app", `[{"username":"alice","metadata":{"a":"1"}},{"username":"Bob","metadata":{"b":"2"}},{"username":"bob","metadata":{"c":"3"}}]`, 200,
			`{"data":{"updateMetadataSucceeded":[{"username":"alice","metadata":{"a":"1"}},{"username":"bob","metadata":{"b":"2"}},{"username":"bob","metadata":{"b":"2","c":"3"}}],"updateMetadataFailed":[]}}`, ""},
		{"PUT", batch, "app", `[{"username":"alice","metadata":{"a":""}},{"username":"bob","metadata":{"b":""}}]`, 200, "", ""},
		{"GET", "/acme/demo/metadata/chatgroup/g1/user/bob", "app", "", 200, `{"data":{"c":"3"}}`, ""},
		{"PUT", batch, "app", `[{"username":"alice","metadata":{"a":"1"}},{"username":"carol","metadata":{}}]`, 404, description("forbidden_op", "Some users are not in the group: carol"), ""},
		{"GET", "/acme/demo/metadata/chatgroup/g1/user/alice", "app", "", 200, `{"data":{}}`, ""},
		{"PUT", batch, "app", `[{"username":"alice","metadata":{"` + strings.Repeat("k", 17) + `":"1"}}]`, 400, `{"error":"MetadataException"}`, ""},
		{"PUT", batch, "app", `[` + strings.Repeat(`{"username":"alice","metadata":{}},`, 20) + `{"username":"bob","metadata":{}}]`, 403, description("exceeded_limit", "exceeds chatgroup metadata batch put users limit"), ""},
		{"PUT", batch, "app", `[]`, 400, `{"error":"illegal_argument"}`, ""},
		{"PUT", batch, "app", `{"username":"alice"}`, 400, invalidBody, ""},
		{"PUT", batch, "app", `[{"username":"alice"}]`, 400, invalidBody, ""},
		{"PUT", "/acme/demo/metadata/chatgroup/none/users/batch", "app", `[{"username":"alice","metadata":{}}]`, 400, `{"error":"resource_not_found"}`, ""},
	})
}

// TestABackendRunsChatrooms has the routes of docs/protocol/admin-rest.md §14 that the web client has no call for.
func TestABackendRunsChatrooms(t *testing.T) {
	const rooms = "/acme/demo/chatrooms"
	const room, bobs = rooms + "/r1", rooms + "/r1/users/bob/tag"
	ok := `{"data":{"result":true}}`
	w := newWorld(t)
	w.play([]step{
		{"POST", rooms, "app", `{"groupid":"r1","name":"r","description":"d","owner":"alice"}`, 200, `{"data":{"id":"r1"}}`, ""},
		{"GET", room + "/announcement", "app", "", 200, `{"data":{"announcement":""}}`, ""},
		{"POST", room + "/announcement", "app", `{"announcement":"hear"}`, 200, `{"data":{"id":"r1","result":true}}`, ""},
		{"GET", room + "/announcement", "app", "", 200, `{"data":{"announcement":"hear"}}`, ""},
		{"POST", room + "/users/bob", "app", "", 200, `{"data":{"result":true,"action":"add_member","id":"r1","user":"bob"}}`, ""},
		{"POST", room + "/users/bob", "app", "", 200, `{"data":{"result":true}}`, ""}, // is in already
		{"POST", room + "/user/bob/is_joined", "app", "", 200, `{"data":true}`, ""},
		{"POST", room + "/admin", "app", `{"newadmin":"bob"}`, 200, `{"data":{"result":"success","newadmin":"bob"}}`, ""},
		{"GET", room + "/admin", "app", "", 200, `{"data":["bob"],"count":1}`, ""},
		{"GET", room + "/roles", "bob", "", 200, `{"data":{"role":"admin"}}`, ""},
		{"DELETE", room + "/admin/bob", "app", "", 200, `{"data":{"result":"success","oldadmin":"bob"}}`, ""},
		{"POST", room + "/white/users/bob", "app", "", 200, `{"data":{"result":true,"action":"add_user_whitelist","user":"bob","chatroomid":"r1"}}`, ""},
		{"DELETE", room + "/quit", "bob", "", 200, ok, ""},
		{"POST", room + "/apply", "bob", "", 200, `{"data":{"action":"apply","id":"r1","result":true,"user":"bob"}}`, ""},
		{"POST", room + "/apply", "bob", "", 200, "", ""}, // again
		{"POST", rooms + "/none/apply", "bob", "", 404, `{"error":"resource_not_found"}`, ""},

		{"GET", bobs, "app", "", 200, `{"data":{}}`, ""},
		{"PUT", bobs, "app", `{"tags":["loud","new"]}`, 200, ok, ""},
		{"PUT", room + "/users/alice/tag", "app", `{"tags":["loud"]}`, 200, ok, ""},
		{"PUT", room + "/tag/mute", "app", `{"tag":"loud","mute_duration":60}`, 200, ok, ""},
		{"GET", room + "/mute", "app", "", 200, `{"data":[{"user":"bob"}]}`, ""}, // the owner stays free
	})
	room1, err := w.mucs.MaySend(t.Context(), w.app, w.user("bob"), "r1")
	if code, _ := errcode.CodeOf(err); code != errcode.Muted {
		t.Errorf("bob may send: %v, %v", room1, err)
	}
	w.play([]step{
		{"GET", bobs, "app", "", 200, fmt.Sprintf(`{"data":{"new":"0","loud":"%d"}}`, w.mutedUntil("r1")), ""},
		{"PUT", bobs, "app", `{"tags":["new","loud"]}`, 200, ok, ""}, // the mute stays
		{"PUT", room + "/tag/mute", "app", `{"tag":"loud","mute_duration":0}`, 200, ok, ""},
		{"GET", room + "/mute", "app", "", 200, `{"data":[]}`, ""},
	})
	_, err = w.mucs.MaySend(t.Context(), w.app, w.user("bob"), "r1")
	w.must(err)
	w.play([]step{
		{"PUT", room + "/tag/mute", "app", `{"tag":"new","mute_duration":-1}`, 200, ok, ""},
		{"GET", bobs, "app", "", 200, `{"data":{"new":"-1","loud":"0"}}`, ""},
		{"PUT", bobs, "app", `{"tags":[]}`, 200, ok, ""},
		{"GET", bobs, "app", "", 200, `{"data":{}}`, ""},

		{"PUT", room + "/tag/mute", "app", `{"tag":"loud","mute_duration":-1}`, 200, ok, ""}, // alice has it
		{"PUT", room + "/tag/mute", "app", `{"tag":"nobody","mute_duration":1}`, 404, description("resource_not_found", "group tag not found"), ""},
		{"PUT", room + "/tag/mute", "app", `{"tag":"` + strings.Repeat("x", 33) + `","mute_duration":1}`, 403, description("exceeded_limit", "tag length exceeds limit!"), ""},
		{"PUT", room + "/tag/mute", "app", `{"tag":"loud"}`, 400, invalidBody, ""},
		{"PUT", rooms + "/none/tag/mute", "app", `{"tag":"loud","mute_duration":1}`, 404, `{"error":"resource_not_found"}`, ""},
		{"PUT", bobs, "app", `{"tags":"loud"}`, 400, description("invalid_parameter", "tags should be type of List"), ""},
		{"PUT", bobs, "app", `{}`, 400, description("invalid_parameter", "tags should be type of List"), ""},
		{"PUT", bobs, "app", `{"tags":[""]}`, 400, `{"error":"illegal_argument"}`, ""},
		{"PUT", bobs, "app", `{"tags":["1","2","3","4","5","6","7","8","9","10","11"]}`, 403, description("exceeded_limit", "user group tag count exceed limit"), ""},
		{"PUT", room + "/users/carol/tag", "app", `{"tags":["a"]}`, 404, noUser, ""},
		{"DELETE", room + "/quit", "bob", "", 200, ok, ""},
		{"GET", bobs, "app", "", 400, `{"error":"forbidden_op"}`, ""},
		{"PUT", bobs, "app", `{"tags":["a"]}`, 400, `{"error":"forbidden_op"}`, ""},
	})
}

// mutedUntil returns when the mute of a room's first muted member ends.
func (w *world) mutedUntil(room string) int64 {
	w.Helper()
	muted, err := w.mucs.Muted(w.Context(), muc.Backend(w.app), store.MucRoom, room, 0, 1)
	w.must(err)
	return muted[0].Until
}

// TestABackendRunsThreads has the routes of docs/protocol/admin-rest.md §13 that the web client calls in other forms.
func TestABackendRunsThreads(t *testing.T) {
	w := newWorld(t)
	w.play([]step{{"POST", "/acme/demo/chatgroups", "app", `{"groupid":"g1","groupname":"g","owner":"alice","members":["bob"]}`, 200, "", ""}})
	message := w.says("alice", "g1", "a message")
	got := w.send("POST", "/acme/demo/thread", w.bearer("app"), fmt.Sprintf(`{"name":"t","msg_id":%q,"group_id":"g1","owner":"alice"}`, message))
	thread := "/acme/demo/thread/" + got.object["data"].(map[string]any)["thread_id"].(string)
	w.play([]step{
		{"POST", thread + "/users", "app", `{"usernames":["bob"]}`, 200, `{"data":{"status":"ok"}}`, ""},
		{"DELETE", thread + "/users", "app", `{"usernames":["bob"]}`, 200, `{"entities":[{"result":true,"user":"bob"}]}`, ""},
		{"GET", thread + "/users", "app", "", 200, `{"data":{"affiliations":["alice"]}}`, ""},
	})
}
