package rest

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
)

func TestGlobalMutes(t *testing.T) {
	w := newWorld(t)
	data := func(path string) map[string]any {
		return w.send("GET", "/acme/demo"+path, w.bearer("app"), "").object["data"].(map[string]any)
	}
	w.play([]step{
		{"POST", "/acme/demo/mutes", "app", `{"username":"alice","chat":100,"groupchat":-1}`, 200, `{"data":{"result":"ok"}}`, ""},
		{"POST", "/acme/demo/mutes", "app", `{"username":"nobody","chat":100}`, 404, "", ""},
		{"POST", "/acme/demo/mutes", "app", `{"username":"alice","chat":2147483648}`, 400, description("illegal_argument", "a mute lasts at most 2147483647 seconds, or for ever with -1"), ""},
		{"GET", "/acme/demo/mutes/nobody", "app", "", 404, "", ""},
	})
	if got := data("/mutes/Alice"); got["userid"] != "acme#demo_alice" || got["chat"] != 100.0 || got["groupchat"] != -1.0 || got["chatroom"] != 0.0 {
		t.Errorf("alice has %v", got)
	}
	if got := data("/mutes?pageNum=2&pageSize=1")["data"].([]any); len(got) != 1 || got[0].(map[string]any)["groupchat"] != -1.0 {
		t.Errorf("the second page is %v", got)
	}
	w.clock.Advance(101 * time.Second)
	if got := data("/mutes")["data"].([]any); len(got) != 1 {
		t.Errorf("later there are %v", got)
	}
}

func TestRulesAndWhatMatchedThem(t *testing.T) {
	w := newWorld(t)
	w.play([]step{
		{"PUT", "/acme/demo/moderation/rules/rude", "app", `{"words":["darn"],"action":"flag"}`, 200, `{"data":{"name":"rude","rule":{"action":"flag"}}}`, ""},
		{"PUT", "/acme/demo/moderation/rules/ru%20de", "app", `{"words":["darn"],"action":"flag"}`, 400, `{"error":"illegal_argument"}`, ""},
		{"PUT", "/acme/demo/moderation/rules/none", "app", `{"words":[],"action":"flag"}`, 400, description("illegal_argument", "there are neither words nor patterns"), ""},
		{"DELETE", "/acme/demo/moderation/rules/none", "app", "", 404, `{"error":"resource_not_found"}`, ""},
		{"DELETE", "/acme/demo/moderation/matches/1", "app", "", 404, `{"error":"resource_not_found"}`, ""},
		{"DELETE", "/acme/demo/moderation/matches/x", "app", "", 404, `{"error":"resource_not_found"}`, ""},
	})
	if got := w.send("GET", "/acme/demo/moderation/rules", w.bearer("app"), "").object["data"].([]any); len(got) != 1 {
		t.Errorf("the rules are %v", got)
	}
	w.say("alice", "bob", "darn it")
	w.say("alice", "bob", "fine")
	w.say("alice", "bob", "Darn")
	w.messages.Close()
	page := w.send("GET", "/acme/demo/moderation/matches?limit=1", w.bearer("app"), "").object
	rest := w.send("GET", "/acme/demo/moderation/matches?cursor="+page["cursor"].(string), w.bearer("app"), "").object["data"].([]any)
	newest := page["data"].([]any)[0].(map[string]any)
	if newest["rule"] != "rude" || newest["username"] != "alice" || newest["delivered"] != true || len(rest) != 1 {
		t.Errorf("the matches are %v and %v", newest, rest)
	}
	w.play([]step{
		{"DELETE", "/acme/demo/moderation/matches/" + newest["id"].(string), "app", "", 200, "", ""},
		{"DELETE", "/acme/demo/moderation/rules/rude", "app", "", 200, "", ""},
	})
	if got := w.send("GET", "/acme/demo/moderation/matches", w.bearer("app"), "").object["data"].([]any); len(got) != 1 {
		t.Errorf("there are %v left", got)
	}
}

// underRules makes what a route about moderation needs to succeed, and returns path and body of the call.
func (w *world) underRules(r Route) (path, body string) {
	w.Helper()
	rule := `{"words":["darn"],"action":"flag"}`
	if strings.HasPrefix(r.Pattern, "/callbacks/") {
		rule = `{"url":"http://127.0.0.1:9/","secret":"s","enabled":false}`
		for _, when := range []string{"pre", "post"} {
			w.play([]step{{"PUT", "/acme/demo/callbacks/" + when + "/rude", "app", rule, 200, "", ""}})
		}
		switch r.Pattern {
		case "/callbacks/dead/replay":
			rule = `{"since":1}`
		case "/callbacks/storage/retry":
			rule = `{"date":"202311142210"}`
		}
		return "/acme/demo" + strings.ReplaceAll(r.Pattern, "{rule}", "rude"), rule
	}
	w.play([]step{{"PUT", "/acme/demo/moderation/rules/rude", "app", rule, 200, "", ""}})
	match := ""
	if strings.Contains(r.Pattern, "{match}") {
		w.say("bob", "alice", "darn")
		w.messages.Close()
		list := w.send("GET", "/acme/demo/moderation/matches", w.bearer("app"), "").object["data"].([]any)
		match = list[0].(map[string]any)["id"].(string)
	}
	return "/acme/demo" + strings.NewReplacer("{rule}", "rude", "{match}", match).Replace(r.Pattern), rule
}

// say sends a text by way of the message service.
func (w *world) say(from, to, text string) {
	w.Helper()
	body, err := proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_CHAT, Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: text}}})
	w.must(err)
	sent := make(chan error, 1)
	w.messages.Send(w.Context(), message.Sender{App: w.app, User: w.user(from)}, &msync.Meta{To: &msync.JID{Name: to}, Ns: msync.Meta_CHAT, Payload: body},
		func(r message.Result) { sent <- r.Err })
	w.must(<-sent)
}
