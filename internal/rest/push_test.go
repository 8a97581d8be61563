package rest

import (
	"strings"
	"testing"
	"time"
)

func TestPushScenarios(t *testing.T) {
	const alice = "/acme/demo/users/alice"
	const of, peer, group = alice + "/notification", alice + "/notification/user/", alice + "/notification/chatgroup/"
	illegal := `{"error":"illegal_argument"}`
	playAll(t, map[string]scenario{
		"what a user wants is kept for all, for a user and for a group": {steps: []step{
			{"GET", peer + "alice", "alice", "", 200, `{"data":{"type":"ALL"}}`, ""},
			{"PUT", peer + "Alice?resource=r", "alice", `{"type":"NONE"}`, 200, `{"data":{"type":"NONE"}}`, ""},
			{"PUT", peer + "alice?resource=r", "alice", `{"ignoreInterval":"8:5-9:30"}`, 200, `{"data":{"type":"NONE","ignoreInterval":"8:5-9:30"}}`, ""},
			{"PUT", peer + "Bob", "alice", `{"type":"AT"}`, 200, `{"data":{"type":"AT"}}`, ""},
			{"PUT", group + "bob", "alice", `{"type":"ALL"}`, 200, `{"data":{"type":"ALL"}}`, ""},
			{"PUT", group + "42", "alice", `{"ignoreDuration":60000}`, 200, "", ""},
			{"GET", of + "?user=Bob,alice,nobody&group=bob,43", "alice", "", 200, `{"data":{"user":{"Bob":{"type":"AT"},"alice":{"type":"NONE"}},"group":{"bob":{"type":"ALL"}}}}`, ""},
			{"GET", of, "app", "", 200, `{"data":{"user":{},"group":{}}}`, ""},
			{"GET", of + "/mute/type?limit=1", "alice", "", 200, `{"data":[{"user":"bob","value":"AT"}]}`, ""},
			{"GET", of + "/mute/type?limit=1&cursor={cursor}", "alice", "", 200, `{"data":[{"group":"bob","value":"ALL"}]}`, ""},
			{"PUT", peer + "bob", "alice", `{"type":"DEFAULT"}`, 200, `{"data":{}}`, ""},
			{"GET", peer + "bob", "alice", "", 200, `{"data":{}}`, ""},
			{"GET", of + "/mute/type", "alice", "", 200, `{"data":[{"group":"bob"}]}`, ""},
			{"PUT", peer + "alice", "alice", `{"ignoreInterval":"","type":"DEFAULT"}`, 200, `{"data":{"type":"ALL"}}`, ""},
		}},
		"settings that make no sense are refused": {steps: []step{
			{"PUT", peer + "bob", "alice", `{"type":"SOME"}`, 400, illegal, ""},
			{"PUT", peer + "bob", "alice", `{}`, 400, illegal, ""},
			{"PUT", peer + "bob", "alice", `{"ignoreInterval":"8:0-9:0"}`, 400, illegal, ""},
			{"PUT", peer + "bob", "alice", `{"ignoreDuration":604800001}`, 400, illegal, ""},
			{"PUT", peer + "bob", "alice", `{"ignoreDuration":-1}`, 400, illegal, ""},
			{"PUT", peer + "bob", "alice", `{"ignoreDuration":9223372036854775807}`, 400, illegal, ""},
			{"PUT", peer + "bob", "alice", `{"ignoreDuration":"1"}`, 400, invalidBody, ""},
			{"PUT", peer + "nobody", "alice", `{"type":"AT"}`, 404, noUser, ""},
			{"PUT", group + "%00", "alice", `{"type":"AT"}`, 400, illegal, ""},
			{"PUT", peer + "alice", "alice", `{"ignoreInterval":"8-9"}`, 400, illegal, ""},
			{"PUT", peer + "alice", "alice", `{"ignoreInterval":"25:0-9:0"}`, 400, illegal, ""},
			{"PUT", peer + "alice", "alice", `{"ignoreInterval":"8:60-9:0"}`, 400, illegal, ""},
			{"PUT", peer + "alice", "alice", `{"ignoreInterval":"0:0-24:0"}`, 200, "", ""},
			{"GET", of + "?user=" + strings.Repeat("b,", 100) + "b", "alice", "", 400, `{"error":"exceed_limit"}`, ""},
			{"GET", of + "/mute/type?limit=0", "alice", "", 400, illegal, ""},
			{"PUT", of + "/language", "alice", `{"translationLanguage":"no language"}`, 400, illegal, ""},
			{"PUT", of + "/language", "alice", `{}`, 400, invalidBody, ""},
		}},
		"who takes over a name inherits no setting of others": {steps: []step{
			{"PUT", peer + "bob", "alice", `{"type":"NONE"}`, 200, "", ""},
			{"DELETE", "/acme/demo/users/bob", "app", "", 200, "", ""},
			{"GET", of + "/mute/type", "alice", "", 200, `{"data":[]}`, ""},
			{"POST", "/acme/demo/users", "app", `{"username":"bob"}`, 200, "", ""},
			{"GET", peer + "bob", "alice", "", 200, `{"data":{}}`, ""},
		}},
		"a language is kept": {steps: []step{
			{"GET", of + "/language", "alice", "", 200, `{"data":{"language":""}}`, ""},
			{"PUT", of + "/language", "alice", `{"translationLanguage":"zh-Hans"}`, 200, `{"data":{"language":"zh-Hans"}}`, ""},
			{"PUT", alice, "alice", `{"notification_display_style":"1"}`, 200, "", ""},
			{"GET", of + "/language", "app", "", 200, `{"data":{"language":"zh-Hans"}}`, ""},
			{"PUT", of + "/language", "alice", `{"translationLanguage":""}`, 200, `{"data":{"language":""}}`, ""},
		}},
		"a device is bound, taken over by another user, and unbound": {steps: []step{
			{"PUT", alice, "alice", `{"device_id":"D1","device_token":"T1","notifier_name":"FCM"}`, 200,
				`{"entities":[{"username":"alice","pushInfo":[{"device_id":"D1","device_token":"T1","notifier_name":"FCM"}]}]}`, ""},
			{"PUT", alice + "/push/binding", "alice", `{"device_id":"D2","device_token":"T2","notifier_name":"FCM"}`, 200, "", ""},
			{"PUT", "/acme/demo/users/bob", "bob", `{"device_id":"D1","device_token":"T1","notifier_name":"FCM","nickname":"Bobby"}`, 200,
				`{"entities":[{"nickname":"Bobby","pushInfo":[{"device_id":"D1"}]}]}`, ""},
			{"GET", alice + "/push/binding", "alice", "", 200, `{"data":[{"device_id":"D2"}]}`, ""},
			{"PUT", alice, "alice", `{"device_id":"D2","device_token":"","notifier_name":""}`, 200, `{"entities":[{"pushInfo":[]}]}`, ""},
			{"PUT", alice, "alice", `{"device_id":"D2"}`, 400, invalidBody, ""},
			{"PUT", alice, "alice", `{"device_token":"T"}`, 400, illegal, ""},
			{"PUT", alice, "alice", `{"device_id":"D","device_token":"T"}`, 400, illegal, ""},
			{"PUT", alice, "alice", `{"device_id":"D","device_token":"\u0000","notifier_name":"n"}`, 400, illegal, ""},
			{"PUT", alice, "alice", `{"device_id":"D","device_token":"` + strings.Repeat("t", 4097) + `","notifier_name":"n"}`, 400, illegal, ""},
		}},
		"the older fields set style and quiet hours": {steps: []step{
			{"PUT", alice, "alice", `{"notification_display_style":1}`, 200, "", ""},
			{"PUT", alice, "alice", `{"notification_display_style":2}`, 400, illegal, ""},
			{"PUT", alice, "alice", `{"notification_no_disturbing":true,"notification_no_disturbing_start":"22","notification_no_disturbing_end":8}`, 200, "", ""},
			{"GET", peer + "alice", "alice", "", 200, `{"data":{"ignoreInterval":"22:0-8:0"}}`, ""},
			{"PUT", alice, "alice", `{"notification_no_disturbing":true}`, 400, illegal, ""},
			{"PUT", alice, "alice", `{"notification_no_disturbing":false}`, 200, "", ""},
			{"GET", peer + "alice", "alice", "", 200, `{"data":{"type":"ALL"}}`, ""},
		}},
		"secrets of providers are not shown": {steps: []step{
			{"PUT", "/acme/demo/settings", "app", `{"push_providers":[{"name":"FCM1","type":"fcm","secret":"hush"}]}`, 200,
				`{"data":{"push_providers":[{"name":"FCM1","type":"fcm","secret":"********"}]}}`, ""},
			{"GET", "/acme/demo/settings", "app", "", 200, `{"data":{"push_providers":[{"name":"FCM1","type":"fcm","secret":"********"}]}}`, ""},
		}},
		"an app may do without push": {settings: `{"push":false}`, steps: []step{
			{"PUT", peer + "bob", "alice", `{"type":"NONE"}`, 403, notOffered("push"), ""},
			{"GET", peer + "bob", "alice", "", 403, notOffered("push"), ""},
			{"GET", of, "alice", "", 403, notOffered("push"), ""},
			{"GET", of + "/mute/type", "alice", "", 403, notOffered("push"), ""},
			{"PUT", of + "/language", "alice", `{"translationLanguage":"fr"}`, 403, notOffered("push"), ""},
			{"GET", of + "/language", "alice", "", 403, notOffered("push"), ""},
			{"GET", alice + "/push/binding", "alice", "", 403, notOffered("push"), ""},
			{"PUT", alice, "alice", `{"device_id":"D1","device_token":"T1","notifier_name":"FCM"}`, 403, notOffered("push"), ""},
			{"PUT", alice, "alice", `{"nickname":"Al"}`, 200, `{"entities":[{"nickname":"Al"}]}`, ""},
		}},
	})
}

func TestSilenceEndsByItself(t *testing.T) {
	w := newWorld(t)
	const of = "/acme/demo/users/alice/notification/user/bob"
	set := w.send("PUT", of, w.bearer("alice"), `{"ignoreDuration":60000}`)
	until, _ := set.object["data"].(map[string]any)["ignoreDuration"].(float64)
	if left := time.UnixMilli(int64(until)).Sub(w.clock.Now()); left <= 50*time.Second || left > time.Minute {
		t.Errorf("silent for %v: %s", left, set.text)
	}
	w.clock.Advance(time.Minute)
	if got := w.send("GET", of, w.bearer("alice"), ""); holds(got.object["data"], `{}`) != "" || len(got.object["data"].(map[string]any)) > 0 {
		t.Errorf("after the end: %s", got.text)
	}
}
