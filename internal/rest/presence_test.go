package rest

import (
	"strings"
	"testing"
	"time"
)

func TestPresenceScenarios(t *testing.T) {
	const of, ok = "/acme/demo/users/alice/presence", `{"result":"ok"}`
	self := description("presence_error", "you can't sub yourself")
	playAll(t, map[string]scenario{
		"what is published is seen by subscribers and by who asks": {steps: []step{
			{"POST", "/acme/demo/users/bob/presence/webim_web_1/1", "bob", `{"ext":"at lunch ☃"}`, 200, ok, ""},
			{"POST", of + "/60", "alice", `{"usernames":["Bob"]}`, 200, `{"result":[{"uid":"bob","ext":"at lunch ☃","status":{}}]}`, ""},
			{"POST", of, "alice", `{"usernames":["bob","nobody"]}`, 200,
				`{"result":[{"uid":"bob","ext":"at lunch ☃"},{"uid":"nobody","ext":"","last_time":"0","status":{}}]}`, ""},
			{"GET", of + "/sublist?pageNum=1&pageSize=20", "alice", "", 200, `{"result":{"totalnum":"1","sublist":[{"uid":"bob"}]}}`, ""},
			{"GET", of + "/sublist?pageNum=2", "alice", "", 200, `{"result":{"totalnum":"1","sublist":[]}}`, ""},
			{"DELETE", of, "alice", `["bob","nobody"]`, 200, ok, ""},
			{"DELETE", of, "app", `{"users":["bob"]}`, 200, ok, ""},
			{"GET", of + "/sublist", "alice", "", 200, `{"result":{"totalnum":"0","sublist":[]}}`, ""},
		}},
		"what is not valid is refused": {steps: []step{
			{"POST", of + "/webim_web_1/1", "alice", `{"ext":"` + strings.Repeat("é", 512) + `"}`, 200, ok, ""},
			{"POST", of + "/webim_web_1/1", "alice", `{"ext":"` + strings.Repeat("é", 512) + `."}`, 400, `{"error_description":"ext is too big "}`, ""},
			{"POST", of + "/webim_web_1/1", "alice", `{"ext":"\u0000"}`, 400, `{"error":"presence_error"}`, ""},
			{"POST", of + "/webim_web_1/x", "alice", `{"ext":""}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", of + "/webim_web_1/-1", "alice", `{"ext":""}`, 400, `{"error":"presence_error"}`, ""},
			{"POST", of + "/" + strings.Repeat("r", 257) + "/1", "alice", `{"ext":""}`, 400, `{"error":"presence_error"}`, ""},
			{"POST", of + "/60", "alice", `{"usernames":["bob","alice"]}`, 400, self, ""},
			{"POST", of + "/60", "alice", `{"usernames":["bob","nobody"]}`, 404, noUser, ""},
			{"POST", of + "/60", "alice", `{"usernames":[]}`, 400, `{"error":"presence_error"}`, ""},
			{"POST", of + "/60", "alice", `{"usernames":[` + many(101) + `]}`, 400, `{"error_description":"The quantity has exceeded the limit!"}`, ""},
			{"POST", of + "/60", "alice", `{}`, 400, invalidBody, ""},
			{"POST", of + "/60", "alice", `["bob"`, 400, `{"error":"json_parse"}`, ""},
			{"POST", of + "/0", "alice", `{"usernames":["bob"]}`, 400, `{"error":"presence_error"}`, ""},
			{"POST", of + "/2592001", "alice", `{"usernames":["bob"]}`, 400, `{"error":"presence_error"}`, ""},
			{"POST", of + "/99999999999", "alice", `{"usernames":["bob"]}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", of + "/2592000", "alice", `{"usernames":["bob"]}`, 200, "", ""},
			{"GET", of + "/sublist?pageNum=0", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"DELETE", of, "alice", `"bob"`, 400, invalidBody, ""},
			{"GET", of + "/sublist", "alice", "", 200, `{"result":{"totalnum":"1"}}`, ""},
		}},
		"an app may do without presence": {settings: `{"presence":false}`, steps: []step{
			{"POST", of + "/webim_web_1/1", "alice", `{"ext":"e"}`, 403, notOffered("presence"), ""},
			{"POST", of + "/60", "alice", `{"usernames":["bob"]}`, 403, notOffered("presence"), ""},
			{"POST", of, "alice", `{"usernames":["bob"]}`, 403, notOffered("presence"), ""},
			{"DELETE", of, "alice", `["bob"]`, 403, notOffered("presence"), ""},
			{"GET", of + "/sublist", "alice", "", 403, notOffered("presence"), ""},
		}},
	})
}

func TestASubscriptionEndsWhenItExpires(t *testing.T) {
	w := newWorld(t)
	const list = "/acme/demo/users/alice/presence/sublist"
	w.play([]step{
		{"POST", "/acme/demo/users/alice/presence/60", "alice", `{"usernames":["bob"]}`, 200, "", ""},
		{"GET", list, "alice", "", 200, `{"result":{"totalnum":"1"}}`, ""},
	})
	w.clock.Advance(time.Minute)
	w.play([]step{{"GET", list, "alice", "", 200, `{"result":{"totalnum":"0","sublist":[]}}`, ""}})
}

func TestMembersWhoAreOnlineAreCounted(t *testing.T) {
	w := newWorld(t)
	const of = "/acme/demo/presence/online/club/type/1"
	w.play(append(founded, step{"GET", of, "app", "", 200, `{"result":0}`, ""}))
	for _, resource := range []string{"webim_web_1", "webim_web_2"} {
		w.connect("bob", resource)
	}
	w.play([]step{
		{"GET", of, "app", "", 200, `{"result":1}`, ""},
		{"GET", "/acme/demo/presence/online/281474976710655/type/1", "app", "", 400, `{"error":"resource_not_found"}`, ""},
	})
	w.set(`{"presence":false}`)
	w.play([]step{{"GET", of, "app", "", 403, notOffered("presence"), ""}})
}
