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

// pushGround makes what a route about templates and labels needs to succeed.
func (w *world) pushGround(r Route) {
	w.Helper()
	if strings.Contains(r.Pattern, "/template/") {
		w.play([]step{{"POST", "/acme/demo/notification/template", "app", `{"name":"sale","title_pattern":"a","content_pattern":"b"}`, 200, "", ""}})
	}
	if strings.HasPrefix(r.Pattern, "/push/") { // an app may have few pushes under way
		_, err := w.store.SpreadPush(w.Context(), 100)
		w.must(err)
	}
	if strings.Contains(r.Pattern, "/label") {
		w.send("POST", "/acme/demo/push/label", w.bearer("app"), `{"name":"vip"}`) // it may be there
		w.play([]step{{"POST", "/acme/demo/push/label/vip/user", "app", `{"usernames":["bob"]}`, 200, "", ""}})
	}
}

func TestABackendNotifies(t *testing.T) {
	const app, label = "/acme/demo", "/acme/demo/push/label"
	illegal, absent := `{"error":"illegal_argument"}`, `{"error":"ResourceNotFoundException"}`
	bind := step{"PUT", app + "/users/alice/push/binding", "app", `{"device_id":"phone","notifier_name":"log","device_token":"t"}`, 200, "", ""}
	message := `"pushMessage":{"title":"Sale","content":"Now","ext":{"k":1},"config":{"badge":{"setNum":3}}}`
	playAll(t, map[string]scenario{
		"nicknames of several users are set together": {steps: []step{
			{"PUT", app + "/push/nickname", "app", `[{"username":"Alice","push_nickname":"Al"},{"username":"bob","push_nickname":"B"}]`, 200, `{"entities":[{"username":"alice","push_nickname":"Al"},{"username":"bob","push_nickname":"B"}]}`, ""},
			{"PUT", app + "/push/nickname", "app", `[{"username":"alice","push_nickname":"C"},{"username":"nobody","push_nickname":"N"}]`, 404, noUser, ""},
			{"GET", app + "/users/alice", "app", "", 200, `{"entities":[{"nickname":"Al"}]}`, ""},
			{"PUT", app + "/push/nickname", "app", `[]`, 400, description("illegal_argument", "put user push nicknames illegal empty request body"), ""},
			{"PUT", app + "/push/nickname", "app", `[` + strings.Repeat(`{"username":"alice","push_nickname":"x"},`, 50) + `{"username":"bob","push_nickname":"x"}]`, 400, description("illegal_argument", "put user push nicknames exceeds the limit"), ""},
			{"PUT", app + "/push/nickname", "app", `[{"username":"alice","push_nickname":"` + strings.Repeat("x", 101) + `"}]`, 400, illegal, ""},
			{"PUT", app + "/push/nickname", "app", `{}`, 400, invalidBody, ""},
		}},
		"templates are made, changed, read and removed": {steps: []step{
			{"POST", app + "/notification/template", "app", `{"name":"sale","title_pattern":"{0}","content_pattern":"{0}: {1}"}`, 200, `{"data":{"name":"sale","title_pattern":"{0}","content_pattern":"{0}: {1}"}}`, ""},
			{"POST", app + "/notification/template", "app", `{"name":"sale","title_pattern":"new","content_pattern":"c"}`, 200, "", ""},
			{"GET", app + "/notification/template/sale", "app", "", 200, `{"data":{"title_pattern":"new"}}`, ""},
			{"DELETE", app + "/notification/template/sale", "app", "", 200, `{"data":{"name":"sale"}}`, ""},
			{"GET", app + "/notification/template/sale", "app", "", 404, `{"error":"resource_not_found"}`, ""},
			{"DELETE", app + "/notification/template/sale", "app", "", 404, `{"error":"resource_not_found"}`, ""},
			{"POST", app + "/notification/template", "app", `{"name":"no name","title_pattern":"a","content_pattern":"b"}`, 400, illegal, ""},
			{"POST", app + "/notification/template", "app", `{"name":"a","title_pattern":"","content_pattern":"b"}`, 400, illegal, ""},
			{"PUT", app + "/users/alice/notification/template", "alice", `{"templateName":"sale"}`, 200, `{"data":{"templateName":"sale"}}`, ""},
			{"PUT", app + "/users/alice/notification/template", "alice", `{"templateName":"no name"}`, 400, illegal, ""},
			{"PUT", app + "/users/alice/notification/template", "alice", `{}`, 400, invalidBody, ""},
		}},
		"labels gather users": {steps: []step{
			{"POST", label, "app", `{"name":"vip","description":"who pays"}`, 200, `{"data":{"name":"vip","description":"who pays"}}`, ""},
			{"POST", label, "app", `{"name":"new"}`, 200, "", ""},
			{"POST", label, "app", `{"name":"vip"}`, 400, illegal, ""},
			{"POST", label, "app", `{"name":""}`, 400, illegal, ""},
			{"POST", label + "/vip/user", "app", `{"usernames":["Alice","bob","nobody"]}`, 200, `{"data":{"success":["alice","bob"]}}`, ""},
			{"GET", label + "/vip", "app", "", 200, `{"data":{"name":"vip","count":2}}`, ""},
			{"GET", label + "/vip/user?limit=1", "app", "", 200, `{"data":[{"username":"alice"}]}`, ""},
			{"GET", label + "/vip/user?limit=1&cursor={cursor}", "app", "", 200, `{"data":[{"username":"bob"}]}`, ""},
			{"GET", label + "/vip/user/bob", "app", "", 200, `{"data":{"username":"bob"}}`, ""},
			{"GET", label + "/new/user/bob", "app", "", 404, `{"error":"resource_not_found"}`, ""},
			{"GET", label + "/vip/user/nobody", "app", "", 404, noUser, ""},
			{"DELETE", label + "/vip/user", "app", `{"usernames":["bob"]}`, 200, `{"data":{"success":["bob"],"fail":{}}}`, ""},
			{"DELETE", label + "/vip/user", "app", `{"usernames":["bob"]}`, 200, `{"data":{"success":[],"fail":{"bob":"bob has not the label"}}}`, ""},
			{"GET", label + "?limit=1", "app", "", 200, `{"data":[{"name":"new","count":0}]}`, ""},
			{"GET", label + "?limit=1&cursor={cursor}", "app", "", 200, `{"data":[{"name":"vip","count":1}]}`, ""},
			{"DELETE", label + "/vip", "app", "", 200, `{"data":"success"}`, ""},
			{"DELETE", label + "/vip", "app", "", 400, absent, ""},
			{"GET", label + "/vip", "app", "", 400, description("ResourceNotFoundException", "push label not exists of vip"), ""},
			{"POST", label + "/vip/user", "app", `{"usernames":["bob"]}`, 400, absent, ""},
			{"POST", label + "/new/user", "app", `{"usernames":[]}`, 400, illegal, ""},
			{"POST", label + "/new/user", "app", `{}`, 400, invalidBody, ""},
		}},
		"a push says who is notified": {settings: `{"push_providers":[{"name":"log","type":"log"}]}`, steps: []step{
			bind,
			{"POST", app + "/push/sync/alice", "app", `{` + message + `}`, 200, `{"data":[{"pushStatus":"SUCCESS","data":{"device_id":"phone"}}]}`, ""},
			{"POST", app + "/push/sync/bob", "app", `{` + message + `}`, 200, `{"data":[{"pushStatus":"FAIL","desc":"no push binding"}]}`, ""},
			{"POST", app + "/push/sync/nobody", "app", `{` + message + `}`, 200, `{"data":[{"pushStatus":"FAIL","desc":"appUser not exists"}]}`, ""},
			{"POST", app + "/push/single", "app", `{"targets":["Alice","bob","nobody"],"strategy":3,` + message + `}`, 200, `{"data":[{"id":"alice","pushStatus":"ASYNC_SUCCESS","desc":"async success."},{"id":"bob","pushStatus":"FAIL","desc":"no push binding"},{"id":"nobody","pushStatus":"FAIL","desc":"appUser not exists"}]}`, ""},
			{"POST", label, "app", `{"name":"vip"}`, 200, "", ""},
			{"POST", app + "/push/list/label", "app", `{"targets":["vip"],` + message + `}`, 200, `{"data":{}}`, ""},
			{"POST", app + "/push/task", "app", `{"strategy":0,` + message + `}`, 200, "", ""},
			{"POST", app + "/push/list/label", "app", `{"targets":["none"],` + message + `}`, 400, absent, ""},
			{"POST", app + "/push/list/label", "app", `{` + message + `}`, 400, illegal, ""},
			{"POST", app + "/push/single", "app", `{"targets":[],` + message + `}`, 400, illegal, ""},
			{"POST", app + "/push/task", "app", `{"strategy":1,` + message + `}`, 400, illegal, ""},
			{"POST", app + "/push/task", "app", `{}`, 400, illegal, ""},
			{"POST", app + "/push/task", "app", `{"pushMessage":{"title":"` + strings.Repeat("x", 33) + `"}}`, 400, illegal, ""},
			{"POST", app + "/push/task", "app", `{"pushMessage":{"title":"a","ext":{"k":"` + strings.Repeat("x", 1024) + `"}}}`, 400, illegal, ""},
			{"POST", app + "/push/task", "app", `{"pushMessage":7}`, 400, invalidBody, ""},
		}},
		"without push there is nothing of this": {settings: `{"push":false}`, steps: []step{
			{"POST", label, "app", `{"name":"vip"}`, 403, `{"error":"function_not_open_error"}`, ""},
			{"POST", app + "/push/task", "app", `{` + message + `}`, 403, `{"error":"function_not_open_error"}`, ""},
			{"GET", app + "/notification/template/sale", "app", "", 403, `{"error":"function_not_open_error"}`, ""},
		}},
	})
}
