package rest

import "testing"

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
		{"POST", "/acme/demo/messages/chatrooms/broadcast", "app", `{"msg":{"type":"txt","msg":"hi"}}`, 200, `{"data":{}}`, ""},
		{"DELETE", roaming + "chat/user/alice?userId=bob&msgIdList=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"DELETE", roaming + "group/user/alice?groupId=g1&msgIdList=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"DELETE", roaming + "chat/user/alice/time?userId=bob&delTime=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"DELETE", roaming + "group/user/alice/time?groupId=g1&delTime=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"POST", roaming + "group/user/alice/time?groupId=g1&delTime=1", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
		{"POST", roaming + "user/alice/delete/all", "app", "", 200, `{"data":{"result":"ok"}}`, ""},
	})
}
