package rest

import (
	"fmt"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

func TestRulesOfWhatBackendsAreTold(t *testing.T) {
	w := newWorld(t)
	w.play([]step{
		{"PUT", "/acme/demo/callbacks/post/all", "app", `{"url":"http://127.0.0.1:9/","secret":"s","events":["message","room"]}`, 200, `{"data":{"name":"all","rule":{"secret":"s"}}}`, ""},
		{"PUT", "/acme/demo/callbacks/post/bad", "app", `{"url":"http://127.0.0.1:9/","secret":"s","events":["birth"]}`, 400, description("illegal_argument", `there is no event "birth"`), ""},
		{"PUT", "/acme/demo/callbacks/post/no%20name", "app", `{"url":"http://127.0.0.1:9/","secret":"s"}`, 400, "", ""},
		{"GET", "/acme/demo/callbacks/pre", "app", "", 200, `{"data":[]}`, ""},
		{"DELETE", "/acme/demo/callbacks/post/all", "app", "", 200, "", ""},
		{"DELETE", "/acme/demo/callbacks/post/all", "app", "", 404, description("resource_not_found", "there is no such rule"), ""},
	})
}

func TestWhatBackendsWereNotTold(t *testing.T) {
	w := newWorld(t)
	const at = 1700000000000
	for i := range 3 {
		row := store.Callback{App: w.app.ID, Rule: "all", Event: fmt.Sprint("acme#demo_", i), Created: at + int64(i), Dead: at + 9, Attempts: 7, Error: "status 500",
			Body: fmt.Appendf(nil, `{"msg_id":"%d"}`, i)}
		w.must(w.store.PutCallbacks(t.Context(), []store.Callback{row}, store.CallbackMark{}))
	}
	first := w.send("GET", "/acme/demo/callbacks/dead?limit=2&rule=all", w.bearer("app"), "")
	rows := first.object["data"].([]any)
	newest := rows[0].(map[string]any)
	if len(rows) != 2 || newest["callId"] != "acme#demo_2" || newest["body"].(map[string]any)["msg_id"] != "2" || newest["error"] != "status 500" {
		t.Errorf("the list is %s", first.text)
	}
	if got := w.send("GET", "/acme/other/callbacks/dead", "Bearer "+w.issued(w.other, "", 0, nil), ""); got.object["count"] != 0.0 {
		t.Errorf("the list of the other app is %s", got.text)
	}
	cursor := first.object["cursor"].(string)
	w.play([]step{
		{"GET", "/acme/demo/callbacks/dead?limit=2&cursor=" + cursor, "app", "", 200, `{"count":1}`, ""},
		{"GET", fmt.Sprintf("/acme/demo/callbacks/dead?since=%d&until=%d", at+1, at+2), "app", "", 200, `{"count":1}`, ""},
		{"GET", "/acme/demo/callbacks/dead?since=then", "app", "", 400, description("illegal_argument", "since is no time in milliseconds"), ""},
		{"GET", "/acme/demo/callbacks/storage/info", "app", "", 200, `{"data":[{"date":"202311142210","size":3,"retry":0}]}`, ""},
		{"POST", "/acme/demo/callbacks/dead/replay", "app", `{}`, 400, description("illegal_argument", "ids, since or until must say which callbacks are meant"), ""},
		{"POST", "/acme/demo/callbacks/dead/replay", "app", `{"ids":["x"]}`, 200, `{"data":{"replayed":0}}`, ""},
		{"POST", "/acme/demo/callbacks/dead/replay", "app", `{"ids":["` + newest["id"].(string) + `"]}`, 200, `{"data":{"replayed":1}}`, ""},
		{"POST", "/acme/demo/callbacks/dead/replay", "app", fmt.Sprintf(`{"since":%d,"until":%d,"targetUrl":"ftp://x"}`, at, at+1), 400, "", ""},
		{"POST", "/acme/demo/callbacks/dead/replay", "app", fmt.Sprintf(`{"since":%d,"until":%d}`, at, at+1), 200, `{"data":{"replayed":1}}`, ""},
		{"POST", "/acme/demo/callbacks/storage/retry", "app", `{"date":"202311142220"}`, 200, `{"data":"failure"}`, ""},
		{"POST", "/acme/demo/callbacks/storage/retry", "app", `{"date":"yesterday"}`, 200, `{"data":"failure"}`, ""},
		{"POST", "/acme/demo/callbacks/storage/retry", "app", `{"date":"202311142210","retry":0,"targetUrl":"http://127.0.0.1:9/"}`, 200, `{"data":"success"}`, ""},
		{"GET", "/acme/demo/callbacks/storage/info", "app", "", 200, `{"data":[]}`, ""},
	})
}
