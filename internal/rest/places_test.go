package rest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// says puts a text of a user into a group and returns its id.
func (w *world) says(name, group, text string) string {
	w.Helper()
	user := w.user(name)
	target, err := w.mucs.Find(w.Context(), w.app, group)
	w.must(err)
	payload, err := proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, From: &msync.JID{Name: name}, To: &msync.JID{Name: group},
		Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: text}}})
	w.must(err)
	meta, err := msync.StoredMeta(&msync.Meta{From: &msync.JID{Name: name}, To: &msync.JID{Name: group}, Ns: msync.Meta_CHAT, Payload: payload})
	w.must(err)
	result, err := w.delivery.AppendWait(w.Context(), delivery.Post{Key: store.MucKey(w.app.ID, target.ID), Sender: user.ID, Content: store.ContentText, Meta: meta})
	w.must(err)
	return fmt.Sprint(result.ID)
}

const (
	noGroup  = `{"error":"resource_not_found","error_description":"do not find this group: there is no group \"281474976710655\""}`
	noRoom   = `{"error":"resource_not_found","error_description":"do not find this group: there is no chatroom \"281474976710655\""}`
	noThread = `{"error":"group_error","error_code":40011}`
	outside  = `{"error":"forbidden_op","error_code":60003}`
	denied   = `{"error":"forbidden_op","error_code":60002}`
	okStatus = `{"data":{"status":"ok"}}`
)

// founded begins a scenario: alice's group "club" with bob in it, and alice's chatroom "hall" with bob in it; carol and dave
// are outside.
var founded = []step{
	{"POST", "/acme/demo/users", "app", `[{"username":"carol"},{"username":"dave"}]`, 200, "", ""},
	{"POST", "/acme/demo/chatgroups", "app", `{"groupid":"club","groupname":"Club","desc":"d","public":true,"owner":"alice","members":["bob"],"maxusers":"3"}`, 200,
		`{"data":{"groupid":"club"}}`, ""},
	{"POST", "/acme/demo/chatrooms", "app", `{"groupid":"hall","name":"Hall","description":"d","owner":"alice","members":["bob"],"maxusers":3}`, 200,
		`{"data":{"id":"hall"}}`, ""},
}

func TestGroupAndRoomScenarios(t *testing.T) {
	const group, room = "/acme/demo/chatgroups/club", "/acme/demo/chatrooms/hall"
	for name, steps := range map[string][]step{
		"details of groups and rooms": {
			{"GET", group, "alice", "", 200, `{"data":[{"id":"club","name":"Club","description":"d","owner":"alice","public":true,"membersonly":false,"allowinvites":false,
				"maxusers":3,"affiliations_count":2,"affiliations":[{"owner":"alice"},{"member":"bob"}],"mute":false,"disabled":false,"shieldgroup":false}],"count":1}`, ""},
			{"GET", group + "?joined_time=true", "carol", "", 200, `{"data":[{"id":"club","affiliations":[]}]}`, ""},
			{"GET", room, "app", "", 200, `{"data":[{"id":"hall","name":"Hall","maxusers":3,"affiliations_count":2,"affiliations":[{"owner":"alice"},{"member":"bob"}]}]}`, ""},
			{"GET", group + ",281474976710655", "alice", "", 200, `{"count":1}`, ""},
			{"GET", group + strings.Repeat(",x", 100), "alice", "", 400, description("illegal_argument", "there are more than 100 ids"), ""},
			{"GET", "/acme/demo/chatgroups/281474976710655", "alice", "", 404, noGroup, ""},
			{"GET", "/acme/demo/chatrooms/281474976710655", "alice", "", 404, noRoom, ""},
			{"GET", "/acme/demo/chatgroups/hall", "alice", "", 404, "", ""},
			{"GET", "/acme/other/chatgroups/club", "app", "", 401, otherApp, ""},
		},
		"lists of groups": {
			{"POST", "/acme/demo/chatgroups?resource=r", "bob", `{"owner":"bob","groupname":"Second","avatar":"","desc":"","public":false,"approval":false,"allowinvites":true,"invite_need_confirm":false,"maxusers":200,"custom":""}`, 200, "", ""},
			{"GET", "/acme/demo/chatgroups?limit=1", "app", "", 200, `{"data":[{"owner":"acme#demo_bob","affiliations":1,"type":"group","groupname":"Second"}],"count":1}`, ""},
			{"GET", "/acme/demo/chatgroups?limit=1&cursor={cursor}", "app", "", 200, `{"data":[{"groupid":"club","owner":"acme#demo_alice","affiliations":2}],"count":1}`, ""},
			{"GET", "/acme/demo/publicchatgroups?limit=20", "carol", "", 200, `{"data":[{"groupid":"club","groupname":"Club"}],"count":1}`, ""},
			{"GET", "/acme/demo/users/bob/joined_chatgroups", "bob", "", 200, `{"data":[{"groupname":"Second"},{"groupid":"club"}],"entities":[]}`, ""},
			{"GET", "/acme/demo/users/bob/joined_chatgroups?pagenum=2&pagesize=1", "bob", "", 200, `{"data":[{"groupid":"club"}]}`, ""},
			{"GET", "/acme/demo/chatgroups/user/bob?pagenum=0&pagesize=20&needAffiliations=undefined&needRole=true", "bob", "", 200,
				`{"entities":[{"name":"Second","permission":"owner"},{"groupId":"club","name":"Club","permission":"member","affiliations_count":2,"disabled":false}]}`, ""},
			{"GET", "/acme/demo/chatgroups/user/bob/joined_count", "bob", "", 200, `{"data":2}`, ""},
			{"GET", "/acme/demo/chatgroups/user/bob", "alice", "", 401, oauth, ""},
			{"GET", group + "/user/bob/is_joined", "app", "", 200, `{"data":true}`, ""},
			{"GET", group + "/user/carol/is_joined", "app", "", 200, `{"data":false}`, ""},
		},
		"changes of a group": {
			{"PUT", group, "alice", `{"groupname":"New","description":"x","custom":"y","maxusers":5}`, 200, `{"data":{"groupname":true,"description":true,"custom":true,"maxusers":true}}`, ""},
			{"PUT", group, "app", `{"name":"Newer"}`, 200, `{"data":{"groupname":true}}`, ""},
			{"PUT", group, "alice", `{"colour":"red"}`, 400, description("invalid_parameter", "some of [colour] are not valid fields"), ""},
			{"PUT", group, "alice", `{"maxusers":"many"}`, 400, description("illegal_argument", "maxusers must be a whole number"), ""},
			{"PUT", group, "alice", `{"maxusers":1000000}`, 403, `{"error":"forbidden_op"}`, ""},
			{"PUT", group, "bob", `{"groupname":"Mine"}`, 403, denied, ""},
			{"PUT", group, "carol", `{"groupname":"Mine"}`, 403, description("forbidden_op", "users are not members of this group! carol is not a member of this group"), ""},
			{"PUT", group, "alice", `{"groupname":"` + strings.Repeat("x", 129) + `"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"GET", group, "alice", "", 200, `{"data":[{"name":"Newer","description":"x","custom":"y","maxusers":5}]}`, ""},
			{"PUT", group, "alice", `{"newowner":"carol"}`, 403, "", ""},
			{"PUT", group, "alice", `{"newowner":"bob"}`, 200, `{"data":{"newowner":true}}`, ""},
			{"GET", group, "app", "", 200, `{"data":[{"owner":"bob"}]}`, ""},
			{"POST", group + "/disable", "app", "", 200, `{"data":{"disabled":true}}`, ""},
			{"PUT", group, "bob", `{"groupname":"x"}`, 403, description("forbidden_op", "can not operate this group, reason: group is disabled"), ""},
			{"POST", group + "/enable", "app", "", 200, `{"data":{"disabled":false}}`, ""},
			{"DELETE", group + "?version=v3", "alice", "", 403, denied, ""},
			{"DELETE", group, "bob", "", 200, `{"data":{"success":true,"groupid":"club","id":"club"}}`, ""},
			{"DELETE", group, "bob", "", 404, "", ""},
		},
		"members of a group": {
			{"GET", group + "/users?pagenum=1&pagesize=1", "bob", "", 200, `{"data":[{"owner":"alice"}],"count":1}`, ""},
			{"GET", group + "/users?cursor=undefined&limit=1&joined_time=true", "bob", "", 200, `{"count":1}`, ""},
			{"GET", group + "/users?cursor={cursor}&limit=1", "bob", "", 200, `{"data":[{"member":"bob"}],"count":1}`, ""},
			{"GET", group + "/users", "carol", "", 403, "", ""},
			{"POST", group + "/users/carol", "alice", "", 401, corrupt, ""},
			{"POST", group + "/users/carol", "app", "", 200, `{"data":{"result":true,"action":"add_member","user":"carol","groupid":"club"}}`, ""},
			{"POST", group + "/users/carol", "app", "", 403, description("forbidden_op", "invite users to join group failed, reason: user: carol already in group: club"), ""},
			{"POST", group + "/users", "app", `{"usernames":["dave"]}`, 403, description("forbidden_op", "group member list is full!"), ""},
			{"DELETE", group + "/users/carol,dave", "alice", "", 200, `{"data":[{"result":true,"action":"remove_member","user":"carol","groupid":"club"},
				{"result":false,"action":"remove_member","user":"dave","reason":"dave is not a member of this group"}]}`, ""},
			{"DELETE", group + "/users/dave", "alice", "", 403, "", ""},
			{"DELETE", group + "/users/alice", "app", "", 403, `{"error_description":"forbidden operation on group owner!"}`, ""},
			{"POST", group + "/users", "app", `{"usernames":["nobody"]}`, 404, noUser, ""},
			{"POST", group + "/users", "app", `{}`, 400, invalidBody, ""},
			{"POST", group + "/users", "app", `{"usernames":["dave"]}`, 200, `{"data":{"newmembers":["dave"],"action":"add_member","groupid":"club"}}`, ""},
			{"POST", group + "/admin", "alice", `{"newadmin":"Bob"}`, 200, `{"data":{"result":"success","newadmin":"bob"}}`, ""},
			{"GET", group + "/admin", "dave", "", 200, `{"data":["bob"],"count":1}`, ""},
			{"GET", group + "/roles", "bob", "", 200, `{"data":{"role":"admin"}}`, ""},
			{"DELETE", group + "/admin/bob", "bob", "", 403, denied, ""},
			{"DELETE", group + "/admin/bob", "app", "", 200, `{"data":{"result":"success","oldadmin":"bob"}}`, ""},
			{"DELETE", group + "/quit", "bob", "", 200, `{"data":{"result":true}}`, ""},
			{"DELETE", group + "/quit", "bob", "", 403, "", ""},
			{"DELETE", group + "/quit", "app", "", 401, oauth, ""},
		},
		"applications and invitations": {
			{"PUT", group, "alice", `{"membersonly":true,"invite_need_confirm":true,"maxusers":9}`, 200, `{"data":{"membersonly":true,"invite_need_confirm":true}}`, ""},
			{"POST", group + "/apply?resource=r", "carol", `{"message":"let me in"}`, 200, `{"data":{"action":"apply","id":"club","result":true,"user":"carol"}}`, ""},
			{"POST", group + "/apply_verify", "bob", `{"applicant":"carol","verifyResult":true}`, 403, denied, ""},
			{"POST", group + "/apply_verify", "alice", `{"applicant":"carol","verifyResult":false,"reason":"no"}`, 200, `{"data":{"action":"apply_verify","user":"carol"}}`, ""},
			{"POST", group + "/apply_verify", "alice", `{"applicant":"carol","verifyResult":true,"reason":"no clue"}`, 403, denied, ""},
			{"POST", group + "/invite", "alice", `{"usernames":["carol"]}`, 200, `{"data":[{"action":"invite","id":"club","result":true,"user":"carol"}]}`, ""},
			{"POST", group + "/invite_verify", "bob", `{"invitee":"carol","verifyResult":true}`, 403, denied, ""},
			{"POST", group + "/invite_verify", "carol", `{"invitee":"carol","verifyResult":true}`, 200, `{"data":{"action":"invite_verify","id":"club","user":"carol"}}`, ""},
			{"GET", group + "/user/carol/is_joined", "carol", "", 200, `{"data":true}`, ""},
			{"POST", group + "/invite", "alice", `{"usernames":["carol"]}`, 403, description("forbidden_op", "invite users to join group failed, reason: user: carol already in group: club"), ""},
			{"POST", group + "/apply", "carol", `{"message":""}`, 403, "", ""},
			{"POST", group + "/shield", "carol", "", 200, `{"data":{"result":true,"action":"shield","groupid":"club","user":"carol"}}`, ""},
			{"GET", group, "carol", "", 200, `{"data":[{"shieldgroup":true}]}`, ""},
			{"DELETE", group + "/shield", "carol", "", 200, `{"data":{"action":"unshield"}}`, ""},
		},
		"mutes, block lists and allow lists of a room": {
			{"POST", room + "/mute", "alice", `{"usernames":["bob"],"mute_duration":-1}`, 200, `{"data":[{"result":true,"user":"bob","expire":9007199254740991}]}`, ""},
			{"POST", room + "/mute", "alice", `{"usernames":["bob"],"mute_duration":9223372036854775807}`, 200, `{"data":[{"result":true,"user":"bob"}]}`, ""},
			{"GET", room + "/mute", "alice", "", 200, `{"data":[{"user":"bob"}]}`, ""},
			{"GET", "/acme/demo/sdk/chatrooms/hall/mute/bob", "bob", "", 200, `{"data":true}`, ""},
			{"GET", "/acme/demo/sdk/chatrooms/hall/mute/alice", "bob", "", 401, oauth, ""},
			{"DELETE", room + "/mute/bob", "alice", "", 200, `{"data":[{"result":true,"user":"bob"}]}`, ""},
			{"GET", room + "/mute", "alice", "", 200, `{"data":[]}`, ""},
			{"GET", room + "/mute", "bob", "", 403, denied, ""},
			{"GET", room + "/mute", "carol", "", 400, `{"error_code":60011,"desc":"carol is not a member of this chatroom"}`, ""},
			{"POST", room + "/ban", "alice", "", 200, `{"data":{"mute":true},"action":"put"}`, ""},
			{"DELETE", room + "/ban", "alice", "", 200, `{"data":{"mute":false}}`, ""},
			{"POST", room + "/white/users", "alice", `{"usernames":["bob"]}`, 200, `{"data":[{"result":true,"action":"add_user_whitelist","user":"bob","id":"hall","chatroomid":"hall"}]}`, ""},
			{"GET", room + "/white/users", "alice", "", 200, `{"data":["bob"],"count":1}`, ""},
			{"GET", room + "/white/users/bob", "bob", "", 200, `{"data":{"white":true,"member":"bob"}}`, ""},
			{"DELETE", room + "/white/users/bob", "app", "", 200, `{"data":{"result":true,"action":"remove_user_whitelist","user":"bob","id":"hall"}}`, ""},
			{"POST", room + "/blocks/users/bob", "alice", "", 200, `{"data":{"result":true,"action":"add_blocks","user":"bob","id":"hall"}}`, ""},
			{"POST", room + "/blocks/users", "app", `{"usernames":["carol","nobody"]}`, 200, `{"data":[{"result":true,"user":"carol"},{"result":false,"user":"nobody"}]}`, ""},
			{"GET", room + "/blocks/users?pageSize=1", "alice", "", 200, `{"data":["bob"],"count":1}`, ""},
			{"GET", room + "/blocks/users?pageSize=1&cursor={cursor}", "alice", "", 200, `{"data":["carol"],"count":1}`, ""},
			{"DELETE", room + "/blocks/users/bob,carol", "alice", "", 200, `{"data":[{"result":true,"action":"remove_blocks","user":"bob"},{"result":true,"user":"carol"}]}`, ""},
			{"GET", room + "/blocks/users", "alice", "", 200, `{"data":[]}`, ""},
			{"POST", room + "/mute", "alice", `{"usernames":[],"mute_duration":1}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", room + "/blocks/users", "app", `{"usernames":[` + many(61) + `]}`, 403, `{"error_code":40005,"error_description":"usernames size is more than max limit : 60"}`, ""},
		},
		"rooms and super admins": {
			{"POST", "/acme/demo/chatrooms", "bob", `{"name":"Mine","description":"d","maxusers":10,"owner":"bob"}`, 403, denied, ""},
			{"POST", "/acme/demo/chatrooms/super_admin", "app", `{"superadmin":"bob"}`, 200, `{"data":{"result":"success","resource":""}}`, ""},
			{"GET", "/acme/demo/chatrooms/super_admin?pagenum=1&pagesize=10", "app", "", 200, `{"data":["bob"],"count":1}`, ""},
			{"POST", "/acme/demo/chatrooms", "bob", `{"name":"Mine","description":"d","maxusers":10,"owner":"bob"}`, 200, "", ""},
			{"DELETE", "/acme/demo/chatrooms/super_admin/bob", "app", "", 200, `{"data":{"newSuperAdmin":"bob","resource":""}}`, ""},
			{"GET", "/acme/demo/chatrooms/super_admin", "app", "", 200, `{"data":[]}`, ""},
			{"GET", "/acme/demo/chatrooms?pagenum=2&pagesize=1", "carol", "", 200, `{"data":[{"id":"hall","name":"Hall","owner":"alice","affiliations_count":2}]}`, ""},
			{"GET", "/acme/demo/chatrooms?limit=1", "app", "", 200, `{"data":[{"name":"Mine","disabled":false}],"count":1}`, ""},
			{"GET", "/acme/demo/chatrooms?limit=1&cursor={cursor}", "app", "", 200, `{"data":[{"id":"hall"}]}`, ""},
			{"GET", "/acme/demo/users/alice/joined_chatrooms?pagenum=1&pagesize=20&detail=true", "alice", "", 200,
				`{"data":[{"id":"hall","title":"Hall","owner":"acme#demo_alice","description":"d","max_users":3}]}`, ""},
			{"PUT", room, "alice", `{"groupname":"Big hall","description":"e","maxusers":300}`, 200, `{"data":{"groupname":true,"description":true,"maxusers":true}}`, ""},
			{"POST", room + "/users", "alice", `{"usernames":["carol"]}`, 200, `{"data":{"newmembers":["carol"],"action":"add_member","id":"hall"}}`, ""},
			{"GET", room + "/users?pagenum=1&pagesize=20", "carol", "", 200, `{"data":[{"owner":"alice"},{"member":"bob"},{"member":"carol"}],"count":3}`, ""},
			{"DELETE", room + "/users/carol", "alice", "", 200, `{"data":{"result":true,"action":"remove_member","user":"carol","id":"hall"}}`, ""},
			{"DELETE", room + "?version=v3", "alice", "", 200, `{"data":{"success":true,"id":"hall"}}`, ""},
			{"GET", room, "alice", "", 404, `{"error":"resource_not_found"}`, ""},
		},
		"announcements": {
			{"GET", group + "/announcement", "bob", "", 200, `{"data":{"announcement":""}}`, ""},
			{"POST", group + "/announcement", "bob", `{"announcement":"mine"}`, 403, denied, ""},
			{"POST", group + "/announcement", "alice", `{"announcement":"tonight ☃"}`, 200, `{"data":{"id":"club","result":true}}`, ""},
			{"GET", group + "/announcement", "bob", "", 200, `{"data":{"announcement":"tonight ☃"}}`, ""},
			{"GET", group + "/announcement", "carol", "", 403, "", ""},
			{"POST", group + "/announcement", "alice", `{}`, 400, invalidBody, ""},
			{"POST", group + "/announcement", "alice", `{"announcement":"` + strings.Repeat("x", 513) + `"}`, 400, `{"error":"illegal_argument"}`, ""},
		},
		"attributes of members": {
			{"PUT", "/acme/demo/sdk/metadata/chatgroup/club/user/bob?resource=r", "bob", `{"metaData":{"a":"1","b":"2"}}`, 200, `{"data":{"a":"1","b":"2"}}`, ""},
			{"PUT", "/acme/demo/metadata/chatgroup/club/user/bob", "app", `{"metaData":{"a":""}}`, 200, "", ""},
			{"GET", "/acme/demo/metadata/chatgroup/club/user/bob", "app", "", 200, `{"data":{"b":"2"}}`, ""},
			{"POST", "/acme/demo/sdk/metadata/chatgroup/club/get", "alice", `{"targets":["alice","bob"],"properties":[]}`, 200, `{"data":{"alice":{},"bob":{"b":"2"}}}`, ""},
			{"POST", "/acme/demo/metadata/chatgroup/club/get", "app", `{"targets":["bob"],"properties":["c"]}`, 200, `{"data":{"bob":{}}}`, ""},
			{"POST", "/acme/demo/sdk/metadata/chatgroup/club/get", "carol", `{"targets":["bob"],"properties":[]}`, 404, outside, ""},
			{"PUT", "/acme/demo/sdk/metadata/chatgroup/club/user/alice", "bob", `{"metaData":{"a":"1"}}`, 403, denied, ""},
			{"PUT", "/acme/demo/sdk/metadata/chatgroup/club/user/bob", "bob", `{"metaData":{"a":"` + strings.Repeat("x", 513) + `"}}`, 403, `{"error_code":40005}`, ""},
			{"PUT", "/acme/demo/sdk/metadata/chatgroup/club/user/bob", "bob", `{"metaData":{"` + strings.Repeat("k", 17) + `":"1"}}`, 400, `{"error_code":60005}`, ""},
			{"PUT", "/acme/demo/sdk/metadata/chatgroup/club/user/bob", "bob", `{}`, 400, invalidBody, ""},
			{"PUT", "/acme/demo/sdk/metadata/chatgroup/281474976710655/user/bob", "bob", `{"metaData":{"a":"1"}}`, 400, `{"error_description":"groupId can not be null!"}`, ""},
		},
		"attributes of rooms": {
			{"PUT", "/acme/demo/metadata/chatroom/hall/user/bob", "bob", `{"metaData":{"k":"1","bad key":"x"},"autoDelete":"DELETE"}`, 200,
				`{"data":{"successKeys":["k"],"errorKeys":{"bad key":"bad key is not Legal"}},"status":"ok"}`, ""},
			{"PUT", "/acme/demo/metadata/chatroom/hall/user/alice", "alice", `{"metaData":{"k":"2"}}`, 200, `{"data":{"successKeys":[],"errorKeys":{"k":"k is not part of you"}}}`, ""},
			{"PUT", "/acme/demo/metadata/chatroom/hall/user/alice/forced", "alice", `{"metaData":{"k":"2"},"autoDelete":"NO_DELETE"}`, 200, `{"data":{"successKeys":["k"],"errorKeys":{}}}`, ""},
			{"POST", "/acme/demo/metadata/chatroom/hall", "bob", `{}`, 200, `{"data":{"k":"2"}}`, ""},
			{"POST", "/acme/demo/metadata/chatroom/hall", "bob", `{"keys":["none"]}`, 200, `{"data":{}}`, ""},
			{"DELETE", "/acme/demo/metadata/chatroom/hall/user/bob", "bob", `{"keys":["k"]}`, 200, `{"data":{"successKeys":[],"errorKeys":{"k":"k is not part of you"}}}`, ""},
			{"DELETE", "/acme/demo/metadata/chatroom/hall/user/bob/forced", "bob", `{"keys":["k"]}`, 200, `{"data":{"successKeys":["k"]}}`, ""},
			{"PUT", "/acme/demo/metadata/chatroom/hall/user/carol", "carol", `{"metaData":{"k":"1"}}`, 400, `{"error_code":60011}`, ""},
			{"PUT", "/acme/demo/metadata/chatroom/hall/user/bob", "bob", `{"metaData":{"k":"1"},"autoDelete":"LATER"}`, 400, `{"error":"illegal_argument"}`, ""},
		},
		"notifications of a group, as old clients silence them": {
			{"PUT", "/acme/demo/users/bob?resource=r", "bob", `{"entities":[{"notification_ignore_club":true}]}`, 200, `{"entities":[{"username":"bob"}]}`, ""},
			{"GET", "/acme/demo/users/bob/notification/chatgroup/club", "bob", "", 200, `{"data":{"type":"NONE"}}`, ""},
			{"PUT", "/acme/demo/users/bob", "bob", `{"entities":[{"notification_ignore_club":false}]}`, 200, "", ""},
			{"GET", "/acme/demo/users/bob/notification/chatgroup/club", "bob", "", 200, `{"data":{}}`, ""},
			{"PUT", "/acme/demo/users/bob", "bob", `{"entities":[{"colour":true}]}`, 400, invalidBody, ""},
			{"PUT", "/acme/demo/users/bob", "bob", `{"entities":[{"notification_ignore_club":"yes"}]}`, 400, invalidBody, ""},
		},
		"unknown places": {
			{"POST", "/acme/demo/chatgroups/281474976710655/apply", "bob", `{"message":""}`, 404, noGroup, ""},
			{"GET", "/acme/demo/chatrooms/281474976710655/announcement", "bob", "", 404, noRoom, ""},
			{"GET", "/acme/demo/chatrooms/281474976710655/user/bob/is_joined", "bob", "", 404, noRoom, ""},
			{"GET", "/acme/demo/chatgroups/%00%ff/announcement", "bob", "", 404, "", ""},
			{"GET", "/acme/demo/thread/281474976710655", "bob", "", 404, noThread, ""},
			{"POST", "/acme/demo/thread", "bob", `{"name":"t","msg_id":"1","group_id":"281474976710655","owner":"bob"}`, 400, `{"error_description":"groupId can not be null!"}`, ""},
			{"GET", "/acme/demo/threads/chatgroups/281474976710655", "bob", "", 404, noGroup, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.play(append(founded, steps...))
			if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestThreadScenarios(t *testing.T) {
	w := newWorld(t)
	w.play(founded)
	first, second := w.says("alice", "club", "what shall we eat?"), w.says("bob", "club", "when?")
	start := func(as, message, name string, status int, want string) step {
		return step{"POST", "/acme/demo/thread?resource=r", as, fmt.Sprintf(`{"name":%q,"msg_id":%q,"group_id":"club","owner":"bob"}`, name, message), status, want, ""}
	}
	w.play([]step{
		start("carol", first, "dinner", 404, outside),
		start("alice", first, "dinner", 403, denied), // in the name of bob
		start("bob", "1", "dinner", 404, description("resource_not_found", "user session pin message not exist")),
		start("bob", "x", "dinner", 400, `{"error":"illegal_argument"}`),
		start("bob", first, "", 403, `{"error_code":40005}`),
		start("bob", first, "dinner", 200, ""),
		start("app", first, "again", 400, `{"error_code":40002}`),
		start("app", second, "time", 200, ""),
	})
	list := w.send("GET", "/acme/demo/thread?sort=asc&limit=50", w.bearer("app"), "").object["entities"].([]any)
	id := func(i int) string { return list[i].(map[string]any)["id"].(string) }
	thread := "/acme/demo/thread/" + id(0)
	detail := fmt.Sprintf(`{"id":%q,"name":"dinner","owner":"bob","msgId":%q,"groupId":"club"`, id(0), first)
	w.play([]step{
		{"GET", thread, "alice", "", 200, `{"data":` + detail + `,"affiliations_count":1}}`, ""},
		{"GET", thread, "carol", "", 404, outside, ""},
		{"POST", thread + "/user/alice/join?resource=r", "alice", "", 200, `{"data":{"status":"ok","detail":` + detail + `}}}`, ""},
		{"POST", thread + "/user/alice/join", "bob", "", 401, oauth, ""},
		{"GET", thread + "/users?limit=1&cursor=", "bob", "", 200, `{"data":{"affiliations":["bob"]}}`, ""},
		{"GET", thread + "/users?limit=20", "app", "", 200, `{"data":{"affiliations":["bob","alice"]},"properties":{"cursor":""}}`, ""},
		{"GET", "/acme/demo/threads/chatgroups/club?limit=1", "alice", "", 200, `{"entities":[{"name":"time","groupId":"club"}]}`, ""},
		{"GET", "/acme/demo/threads/user/alice", "alice", "", 200, `{"entities":[` + detail + `}]}`, ""},
		{"GET", "/acme/demo/threads/chatgroups/club/user/bob?limit=20&cursor=", "bob", "", 200, `{"entities":[{"name":"time"},{"name":"dinner"}],"properties":{"cursor":""}}`, ""},
		{"POST", "/acme/demo/thread/message", "alice", fmt.Sprintf(`{"threadIds":[%q]}`, id(1)), 200, fmt.Sprintf(`{"entities":[{"thread_id":%q,"last_message":{}}]}`, id(1)), ""},
		{"PUT", thread, "alice", `{"name":"supper"}`, 200, `{"data":{"name":"supper"}}`, ""},
		{"DELETE", thread + "/users/alice", "bob", "", 403, denied, ""},
		{"DELETE", thread + "/users/alice", "app", "", 200, `{"data":{"result":true,"user":"alice"}}`, ""},
		{"POST", thread + "/users", "app", `{"usernames":["alice"]}`, 200, okStatus, ""},
		{"POST", thread + "/users", "app", `{"usernames":["carol"]}`, 404, outside, ""},
		{"DELETE", "/acme/demo/threads/" + id(0) + "/users", "app", `{"usernames":["alice","carol"]}`, 200, `{"entities":[{"result":true,"user":"alice"},{"result":false,"user":"carol"}]}`, ""},
		{"DELETE", thread + "/user/bob/quit", "bob", "", 200, okStatus, ""},
		{"DELETE", thread + "/user/bob/quit", "bob", "", 404, outside, ""},
		{"POST", thread + "/user/bob/join", "app", "", 200, "", ""},
		{"DELETE", thread, "bob", "", 200, okStatus, ""},
		{"GET", thread, "bob", "", 404, noThread, ""},
		{"DELETE", "/acme/demo/chatgroups/club/quit", "bob", "", 200, "", ""},
		{"GET", "/acme/demo/threads/user/bob", "bob", "", 200, `{"entities":[]}`, ""},
		{"DELETE", "/acme/demo/chatgroups/club", "alice", "", 200, "", ""},
		{"GET", "/acme/demo/thread", "app", "", 200, `{"entities":[]}`, ""},
	})
	w.set(`{"threads":false}`)
	w.play([]step{{"GET", "/acme/demo/threads/user/bob", "bob", "", 403, `{"error_code":60004,"error_description":"thread not open."}`, ""}})
}

func TestFilesThatAreShared(t *testing.T) {
	for path, id := range map[string]string{"/chatgroups/club": "club", "/chatrooms/hall": "hall"} {
		t.Run(id, func(t *testing.T) {
			w := newWorld(t)
			w.play(founded)
			file := field{name: "file", file: "notes ☃.txt", kind: "text/plain", text: "three words here"}
			share := func(as string, fields ...field) reply {
				return w.submit("POST", path+"/share_files?resource=r", as, nil, fields...)
			}
			got := share("bob", file)
			if diff := holds(got.object, `{"data":{"group_id":"`+id+`","file_name":"notes ☃.txt","file_size":16,"file_owner":"bob"}}`); got.status != 200 || diff != "" {
				t.Fatalf("%d %s: %s", got.status, got.text, diff)
			}
			own := got.object["data"].(map[string]any)["file_id"].(string)
			if diff := holds(share("app", file).object, `{"data":{"file_owner":"@ppAdmin"}}`); diff != "" {
				t.Error(diff)
			}
			w.set(`{"file_max_bytes":10}`)
			for name, refused := range map[string]reply{ // the web client takes all but 400 for success
				"too large": share("bob", file), "by a stranger": share("carol", field{name: "file", file: "a", text: "a"}),
				"without a file": share("bob", field{name: "other", text: "x"}), "empty": share("bob", field{name: "file", file: "a"}),
			} {
				if refused.status != 400 || refused.object["entities"] != nil {
					t.Errorf("%s: %d %s", name, refused.status, refused.text)
				}
			}
			if got := w.submit("POST", "/chat"+path[5:len(path)-len(id)]+"281474976710655/share_files", "bob", nil, file); got.status != 400 {
				t.Errorf("unknown: %d %s", got.status, got.text)
			}
			for _, as := range []string{"alice", "app"} {
				if got := w.fetch("GET", path+"/share_files/"+own, as); got.status != 200 || got.text != file.text {
					t.Errorf("download as %s: %d %q", as, got.status, got.text)
				}
			}
			if got := w.fetch("GET", path+"/share_files/"+own, "carol"); got.status == 200 {
				t.Errorf("a stranger downloads: %q", got.text)
			}
			all := "/acme/demo" + path + "/share_files"
			w.play([]step{
				{"GET", all + "?pagenum=1&pagesize=1", "bob", "", 200, `{"data":[{"file_owner":"@ppAdmin","file_size":16}],"count":1}`, ""},
				{"GET", all + "?pagenum=2&pagesize=1", "bob", "", 200, `{"data":[{"file_id":"` + own + `"}]}`, ""},
				{"GET", all + "?pagenum=3&pagesize=1", "bob", "", 200, `{"data":[]}`, ""},
				{"GET", all + "/" + own + "x", "bob", "", 404, `{"error":"resource_not_found"}`, ""},
				{"PUT", "/acme/demo" + path, "app", `{"newowner":"bob"}`, 200, "", ""},
				{"DELETE", all + "/" + own, "alice", "", 403, denied, ""},
				{"DELETE", all + "/" + own, "bob", "", 200, `{"data":{"file_id":"` + own + `","result":true}}`, ""},
				{"DELETE", all + "/" + own, "bob", "", 404, "", ""},
				{"DELETE", "/acme/demo" + path, "bob", "", 200, "", ""},
			})
			files, err := w.files.Shared(t.Context(), 1, 0, 10)
			w.must(err)
			if len(files) > 0 {
				t.Errorf("the destroyed %s has still %d files", id, len(files))
			}
		})
	}
}

// aboutPlaces reports whether a route is one of groups, rooms or threads.
func aboutPlaces(r Route) bool {
	for _, word := range []string{"{place}", "chatgroups", "chatrooms", "/thread", "/stream_message/chatgroup"} {
		if strings.Contains(r.Pattern, word) {
			return true
		}
	}
	return false
}

// ground makes what a route about groups, rooms or threads needs to succeed, for alice and for the app's backend, under ids
// that end in n, and returns path and body of the call.
func (w *world) ground(r Route, n string) (path, body string) {
	w.Helper()
	kind := "chatgroups"
	if strings.Contains(r.Pattern, "chatroom") {
		kind = "chatrooms"
	}
	own, other := "own-"+n, "other-"+n
	found := func(id, owner, members string) {
		w.play([]step{{"POST", "/acme/demo/" + kind, "app", fmt.Sprintf(`{"groupid":%q,"name":"n","description":"d","public":true,"membersonly":true,"owner":%q,"members":[%s]}`, id, owner, members), 200, "", ""}})
	}
	found(own, "alice", `"bob"`)
	found(other, "bob", "")
	if kind == "chatrooms" {
		w.play([]step{{"POST", "/acme/demo/chatrooms/super_admin", "app", `{"superadmin":"alice"}`, 200, "", ""}})
	} else {
		w.play([]step{
			{"POST", "/acme/demo/chatgroups/" + own + "/apply", "dave", `{"message":""}`, 200, "", ""},
			{"PUT", "/acme/demo/chatgroups/" + other, "bob", `{"invite_need_confirm":true}`, 200, "", ""},
			{"POST", "/acme/demo/chatgroups/" + other + "/invite", "bob", `{"usernames":["alice"]}`, 200, "", ""},
		})
	}
	place, member := own, "bob"
	switch {
	case strings.HasSuffix(r.Pattern, "/apply"), strings.HasSuffix(r.Pattern, "/invite_verify"):
		place = other
	case strings.HasSuffix(r.Pattern, "/quit") && !strings.Contains(r.Pattern, "thread"):
		w.play([]step{{"POST", "/acme/demo/" + kind + "/" + other + "/users/alice", "app", "", 200, "", ""}})
		place = other
	case r.String() == "POST /chatgroups/{place}/users/{member}", r.String() == "POST /chatrooms/{place}/users/{member}":
		member = "dave"
	}
	if strings.HasSuffix(r.Pattern, "/tag/mute") {
		w.play([]step{{"PUT", "/acme/demo/chatrooms/" + own + "/users/bob/tag", "app", `{"tags":["t"]}`, 200, "", ""}})
	}
	thread, message := "", ""
	if strings.Contains(r.Pattern, "thread") {
		message = w.says("alice", own, "a message")
		got := w.send("POST", "/acme/demo/thread", w.bearer("alice"), fmt.Sprintf(`{"name":"t","msg_id":%q,"group_id":%q}`, w.says("bob", own, "another"), own))
		thread = got.object["data"].(map[string]any)["thread_id"].(string)
		w.play([]step{{"POST", "/acme/demo/thread/" + thread + "/user/bob/join", "bob", "", 200, "", ""}})
		if !strings.Contains(r.Pattern, "chatgroups") {
			place = thread
		}
	}
	bodies := map[string]string{
		"POST /chatgroups":                       `{"groupname":"n","owner":"alice"}`,
		"POST /chatrooms":                        `{"name":"n","description":"d","owner":"alice"}`,
		"POST /messages/chatrooms/broadcast":     `{"msg":{"type":"txt","msg":"hi"}}`,
		"POST /stream_message/chatgroup":         fmt.Sprintf(`{"to":%q,"body":{"msg":"hi","seq":0}}`, own),
		"POST /messages/chatgroups":              fmt.Sprintf(`{"to":[%q],"type":"txt","body":{"msg":"hi"}}`, own),
		"POST /messages/chatrooms":               fmt.Sprintf(`{"to":[%q],"type":"txt","body":{"msg":"hi"}}`, own),
		"POST /messages/chatgroups/users":        fmt.Sprintf(`{"to":[%q],"users":["bob"],"type":"txt","body":{"msg":"hi"}}`, own),
		"POST /messages/chatrooms/users":         fmt.Sprintf(`{"to":[%q],"users":["bob"],"type":"txt","body":{"msg":"hi"}}`, own),
		"POST /messages/chatgroups/import":       fmt.Sprintf(`{"from":"alice","target":%q,"type":"txt","body":{"msg":"hi"}}`, own),
		"POST /chatrooms/super_admin":            `{"superadmin":"alice"}`,
		"POST /metadata/chatroom/{place}":        `{}`,
		"POST /chatgroups/{place}/apply":         `{"message":""}`,
		"POST /chatgroups/{place}/apply_verify":  `{"applicant":"dave","verifyResult":true}`,
		"POST /chatgroups/{place}/invite_verify": `{"invitee":"alice","verifyResult":true}`,
		"POST /thread":                           fmt.Sprintf(`{"name":"t","msg_id":%q,"group_id":%q,"owner":"alice"}`, message, own),
		"PUT /thread/{place}":                    `{"name":"n"}`,
		"POST /thread/message":                   fmt.Sprintf(`{"threadIds":[%q]}`, thread),
		"DELETE /thread/{place}/users":           `{"usernames":["bob"]}`,
		"DELETE /threads/{place}/users":          `{"usernames":["bob"]}`,
		"POST /thread/{place}/users":             `{"usernames":["bob"]}`,

		"PUT /chatrooms/{place}/users/{member}/tag":   `{"tags":["t"]}`,
		"PUT /chatrooms/{place}/tag/mute":             `{"tag":"t","mute_duration":1}`,
		"PUT /metadata/chatgroup/{place}/users/batch": `[{"username":"bob","metadata":{"k":"v"}}]`,
	}
	body, known := bodies[r.String()]
	for suffix, text := range map[string]string{
		"}/users": `{"usernames":["dave"]}`, "/invite": `{"usernames":["dave"]}`, "/admin": `{"newadmin":"bob"}`, "s/users": `{"usernames":["bob"]}`,
		"white/users": `{"usernames":["bob"]}`, "/mute": `{"usernames":["bob"],"mute_duration":1}`, "/announcement": `{"announcement":"a"}`,
		"/get": `{"targets":["bob"]}`, "chatgroup/{place}/user/{member}": `{"metaData":{"k":"v"}}`, "s/{place}": `{"groupname":"m"}`,
	} {
		if !known && strings.HasSuffix(r.Pattern, suffix) {
			body = text
		}
	}
	if body == "" && strings.Contains(r.Pattern, "/metadata/chatroom/") {
		body = `{"metaData":{"k":"v"},"keys":["k"]}`
	}
	return strings.NewReplacer("{place}", place, "{member}", member, "{members}", member).Replace(r.Pattern), body
}

// placeTable is what the table holds about groups, chatrooms and threads.
func placeTable() []string {
	table := []string{
		"DELETE /chatgroups/{place}/shield UserToken",
		"DELETE /chatrooms/super_admin/{member} AppToken",
		"DELETE /metadata/chatroom/{place}/user/{user} AppOrSelf",
		"DELETE /metadata/chatroom/{place}/user/{user}/forced AppOrSelf",
		"DELETE /thread/{place} AnyToken",
		"DELETE /thread/{place}/user/{user}/quit AppOrSelf",
		"DELETE /thread/{place}/users AnyToken",
		"DELETE /thread/{place}/users/{member} AnyToken",
		"DELETE /threads/{place}/users AnyToken",
		"GET /chatgroups AppToken",
		"GET /chatgroups/user/{user} AppOrSelf",
		"GET /chatgroups/user/{user}/joined_count AppOrSelf",
		"GET /chatrooms AnyToken",
		"GET /chatrooms/super_admin AppToken",
		"GET /metadata/chatgroup/{place}/user/{member} AnyToken",
		"GET /publicchatgroups AnyToken",
		"GET /thread AppToken",
		"GET /thread/{place} AnyToken",
		"GET /thread/{place}/users AnyToken",
		"GET /threads/chatgroups/{place} AnyToken",
		"GET /threads/chatgroups/{place}/user/{user} AppOrSelf",
		"GET /threads/user/{user} AppOrSelf",
		"GET /users/{user}/joined_chatgroups AppOrSelf",
		"GET /users/{user}/joined_chatrooms AppOrSelf",
		"POST /chatgroups/{place}/apply UserToken",
		"POST /chatgroups/{place}/apply_verify AnyToken",
		"POST /chatgroups/{place}/invite AnyToken",
		"POST /chatgroups/{place}/invite_verify AnyToken",
		"POST /chatgroups/{place}/shield UserToken",
		"POST /chatrooms/{place}/apply UserToken",
		"PUT /chatrooms/{place}/users/{member}/tag AppToken",
		"GET /chatrooms/{place}/users/{member}/tag AppToken",
		"PUT /chatrooms/{place}/tag/mute AppToken",
		"PUT /metadata/chatgroup/{place}/users/batch AppToken",
		"POST /chatgroups/{place}/users AppToken",
		"POST /chatgroups/{place}/users/{member} AppToken",
		"POST /chatrooms/super_admin AppToken",
		"POST /messages/chatrooms/broadcast AppToken",
		"POST /chatrooms/{place}/users AnyToken",
		"POST /chatrooms/{place}/users/{member} AnyToken",
		"POST /metadata/chatgroup/{place}/get AnyToken",
		"POST /metadata/chatroom/{place} AnyToken",
		"POST /sdk/metadata/chatgroup/{place}/get AnyToken",
		"POST /thread AnyToken",
		"POST /thread/message AnyToken",
		"POST /thread/{place}/user/{user}/join AppOrSelf",
		"POST /thread/{place}/users AppToken",
		"PUT /metadata/chatgroup/{place}/user/{member} AnyToken",
		"PUT /metadata/chatroom/{place}/user/{user} AppOrSelf",
		"PUT /metadata/chatroom/{place}/user/{user}/forced AppOrSelf",
		"PUT /sdk/metadata/chatgroup/{place}/user/{member} AnyToken",
		"PUT /thread/{place} AnyToken",
	}
	for _, both := range []string{
		"DELETE …/{place} AnyToken",
		"DELETE …/{place}/admin/{member} AnyToken",
		"DELETE …/{place}/ban AnyToken",
		"DELETE …/{place}/blocks/users/{members} AnyToken",
		"DELETE …/{place}/mute/{members} AnyToken",
		"DELETE …/{place}/quit UserToken",
		"DELETE …/{place}/share_files/{file} AnyToken",
		"DELETE …/{place}/users/{members} AnyToken",
		"DELETE …/{place}/white/users/{members} AnyToken",
		"GET …/{place} AnyToken",
		"GET …/{place}/admin AnyToken",
		"GET …/{place}/announcement AnyToken",
		"GET …/{place}/blocks/users AnyToken",
		"GET …/{place}/mute AnyToken",
		"GET …/{place}/roles UserToken",
		"GET …/{place}/share_files AnyToken",
		"GET …/{place}/share_files/{file} AnyToken",
		"GET …/{place}/user/{user}/is_joined AppOrSelf",
		"POST …/{place}/user/{user}/is_joined AppOrSelf",
		"GET …/{place}/users AnyToken",
		"GET …/{place}/white/users AnyToken",
		"GET …/{place}/white/users/{member} AnyToken",
		"GET /sdk…/{place}/mute/{user} AppOrSelf",
		"POST … AnyToken",
		"POST …/{place}/admin AnyToken",
		"POST …/{place}/announcement AnyToken",
		"POST …/{place}/ban AnyToken",
		"POST …/{place}/blocks/users AnyToken",
		"POST …/{place}/blocks/users/{members} AnyToken",
		"POST …/{place}/disable AppToken",
		"POST …/{place}/enable AppToken",
		"POST …/{place}/mute AnyToken",
		"POST …/{place}/share_files AnyToken",
		"POST …/{place}/white/users AnyToken",
		"POST …/{place}/white/users/{members} AnyToken",
		"PUT …/{place} AnyToken",
	} {
		table = append(table, strings.Replace(both, "…", "/chatgroups", 1), strings.Replace(both, "…", "/chatrooms", 1))
	}
	return table
}

// lateBody does something when the server asks for the body, which it does once the caller may send it.
type lateBody struct {
	io.Reader
	asked func()
}

func (b *lateBody) Read(p []byte) (int, error) {
	if b.asked != nil {
		b.asked()
		b.asked = nil
	}
	return b.Reader.Read(p)
}

func TestAFileForAGroupThatEndsMeanwhileIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.play(founded)
	kind, body := form(field{name: "file", file: "a.txt", text: "some words"})
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.server.URL+"/acme/demo/chatgroups/club/share_files", &lateBody{strings.NewReader(body), func() {
		w.play([]step{{"DELETE", "/acme/demo/chatgroups/club", "app", "", 200, "", ""}})
	}})
	w.must(err)
	r.Header.Set("Authorization", w.bearer("bob"))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	w.must(err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", answer.StatusCode)
	}
	files, err := w.files.Shared(t.Context(), 1, 0, 10)
	w.must(err)
	if len(files) > 0 {
		t.Errorf("the group that has ended has %d files", len(files))
	}
}
