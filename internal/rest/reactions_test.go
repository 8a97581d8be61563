package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	noMessage = `{"error_description":"user session pin message not exist"}`
	quantity  = `{"error_description":"The quantity has exceeded the limit!"}`
)

func TestReactionScenarios(t *testing.T) {
	bad := func(text string) string { return description("Bad Request", text) }
	for name, test := range map[string]struct {
		settings string
		steps    []step // {id} is a message of alice to bob, {other} one that alice wrote to herself
	}{
		"a reaction is added, listed and taken back": {steps: []step{
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"{id}","message":"👍"}`, 200,
				`{"requestStatusCode":"ok","data":{"msgId":"{id}","msgType":"chat","groupId":null,"reaction":"👍"}}`, ""},
			{"POST", "/acme/demo/reaction/user/alice", "app", `{"msgId":"{id}","message":"👍"}`, 200, "", ""},
			{"GET", "/acme/demo/reaction/user/alice?msgIdList={id},{other},5,x,&msgType=chat&groupId=null&_v=1", "alice", "", 200,
				`{"data":[{"msgId":"{id}","reactionList":[{"reaction":"👍","count":2,"userCount":2,"state":true,"userList":["bob","alice"]}]},{"msgId":"{other}","reactionList":[]}]}`, ""},
			{"GET", "/acme/demo/reaction/user/bob/detail?msgId={id}&message=%F0%9F%91%8D&currentPage=null&pageSize=1", "bob", "", 200,
				`{"data":{"reaction":"👍","userCount":2,"state":true,"userList":["bob"]}}`, ""},
			{"GET", "/acme/demo/reaction/user/bob/detail?msgId={id}&message=%F0%9F%91%8D&currentPage={cursor}&pageSize=1", "bob", "", 200,
				`{"data":{"userList":["alice"],"cursor":""}}`, ""},
			{"DELETE", "/acme/demo/reaction/user/bob?msgId={id}&message=%F0%9F%91%8D", "bob", "", 200, `{"requestStatusCode":"ok"}`, ""},
			{"GET", "/acme/demo/reaction/user/bob?msgIdList={id}&msgType=chat&groupId=null", "bob", "", 200,
				`{"data":[{"reactionList":[{"count":1,"state":false,"userList":["alice"]}]}]}`, ""},
			{"GET", "/acme/demo/reaction/user/bob/detail?msgId={id}&message=none", "app", "", 200, `{"data":{"reaction":"none","userCount":0,"state":false,"userList":[],"cursor":""}}`, ""},
		}},
		"what cannot be is refused in the words that the client knows": {steps: []step{
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"{id}","message":"ok"}`, 200, "", ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"{id}","message":"ok"}`, 400, bad("the user is already operation this message"), ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"{other}","message":"ok"}`, 400, bad("the user operation is illegal!"), ""},
			{"DELETE", "/acme/demo/reaction/user/alice?msgId={id}&message=ok", "alice", "", 400, bad("the user operation is illegal!"), ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"77","message":"ok"}`, 404, noMessage, ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"-1","message":"ok"}`, 404, noMessage, ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"message":"ok"}`, 404, noMessage, ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"{id}"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":{id},"message":"ok"}`, 400, invalidBody, ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"{id}","message":"` + strings.Repeat("x", 129) + `"}`, 400, quantity, ""},
			{"GET", "/acme/demo/reaction/user/bob?msgType=groupchat&groupId=null&msgIdList={id}", "bob", "", 400, bad("groupId can not be null!"), ""},
			{"GET", "/acme/demo/reaction/user/bob?msgType=groupchat&groupId=5&msgIdList={id}", "bob", "", 400, bad("groupId can not be null!"), ""},
			{"GET", "/acme/demo/reaction/user/bob?msgIdList=" + strings.Repeat("1,", 21), "bob", "", 400, quantity, ""},
			{"GET", "/acme/demo/reaction/user/bob/detail?msgId={id}&message=ok&pageSize=0", "bob", "", 400, "", ""},
			{"GET", "/acme/demo/reaction/user/bob/detail?msgId={id}&message=ok&currentPage=!", "bob", "", 400, "", ""},
			{"GET", "/acme/demo/reaction/user/bob/detail?msgId={other}&message=ok", "bob", "", 400, bad("the user operation is illegal!"), ""},
		}},
		"who is blocked does not react": {steps: []step{
			{"POST", "/acme/demo/users/alice/blocks/users", "alice", `{"usernames":["bob"]}`, 200, "", ""},
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"{id}","message":"ok"}`, 403, `{"error":"forbidden_op"}`, ""},
			{"POST", "/acme/demo/reaction/user/alice", "alice", `{"msgId":"{id}","message":"ok"}`, 200, "", ""},
		}},
		"an app may switch reactions off": {`{"reactions":false}`, []step{
			{"POST", "/acme/demo/reaction/user/bob", "bob", `{"msgId":"{id}","message":"ok"}`, 403, `{"error_code":40000}`, ""},
			{"GET", "/acme/demo/reaction/user/bob?msgIdList={id}", "bob", "", 403, `{"error_code":40000}`, ""},
		}},
		"a message is pinned, listed and unpinned": {steps: []step{
			{"POST", "/acme/demo/sdk/user/bob/user_channel/pin?resource=x", "bob", `{"to":"alice","type":"chat","pin_msg_id":"{id}"}`, 200, "", ""},
			{"GET", "/acme/demo/sdk/user/alice/user_channel/pin?to=bob&type=chat&limit=10&cursor=&_v=1", "app", "", 200,
				`{"data":{"cursor":"","msg_infos":[{"pin_operator":"bob","message":{"id":"{id}","from":"alice","to":"bob"}}]}}`, ""},
			{"DELETE", "/acme/demo/sdk/user/alice/user_channel/pin?resource=x", "alice", `{"to":"bob","type":"chat","pin_msg_id":"{id}"}`, 200, "", ""},
			{"DELETE", "/acme/demo/sdk/user/alice/user_channel/pin?resource=x", "alice", `{"to":"bob","type":"chat","pin_msg_id":"{id}"}`, 404, noMessage, ""},
			{"GET", "/acme/demo/sdk/user/alice/user_channel/pin?to=bob&type=chat", "alice", "", 200, `{"data":{"cursor":"","msg_infos":[]}}`, ""},
		}},
		"what cannot be pinned is refused": {steps: []step{
			{"POST", "/acme/demo/sdk/user/bob/user_channel/pin", "bob", `{"to":"alice","type":"chat","pin_msg_id":"{other}"}`, 404, noMessage, ""},
			{"POST", "/acme/demo/sdk/user/bob/user_channel/pin", "bob", `{"to":"alice","type":"chat","pin_msg_id":"x"}`, 400, `{"error_description":"param pin_msg_id illegal, please check it!"}`, ""},
			{"POST", "/acme/demo/sdk/user/bob/user_channel/pin", "bob", `{"to":"alice","type":"x","pin_msg_id":"{id}"}`, 400, "", ""},
			{"POST", "/acme/demo/sdk/user/bob/user_channel/pin", "bob", `{"to":"nobody","type":"chat","pin_msg_id":"{id}"}`, 404, noUser, ""},
			{"GET", "/acme/demo/sdk/user/bob/user_channel/pin?to=alice&type=", "bob", "", 400, "", ""},
		}},
		"an app may switch pins and reports off": {`{"pins":false,"reports":false}`, []step{
			{"POST", "/acme/demo/sdk/user/bob/user_channel/pin", "bob", `{"to":"alice","type":"chat","pin_msg_id":"{id}"}`, 403, `{"error_code":40000}`, ""},
			{"GET", "/acme/demo/sdk/user/bob/user_channel/pin?to=alice&type=chat", "bob", "", 403, `{"error_code":40000}`, ""},
			{"POST", "/acme/demo/user/bob/moderation/report/message/{id}", "bob", `{"reportType":"spam"}`, 403, `{"error_code":40000}`, ""},
		}},
		"a report reaches the app's backend": {steps: []step{
			{"POST", "/acme/demo/user/bob/moderation/report/message/{id}", "bob", `{"username":"bob","reportType":"spam","reportReason":"bad"}`, 200, "", ""},
			{"POST", "/acme/demo/user/alice/moderation/report/message/{id}", "alice", `{"reportType":"x"}`, 200, "", ""},
			{"GET", "/acme/demo/moderation/reports?limit=1", "app", "", 200, `{"count":1,"data":[{"username":"alice"}]}`, ""},
			{"GET", "/acme/demo/moderation/reports?limit=1&cursor={cursor}", "app", "", 200,
				`{"data":[{"username":"bob","reportType":"spam","reportReason":"bad","message":{"id":"{id}","payload":{"bodies":[{"msg":"hi"}]}}}]}`, ""},
			{"POST", "/acme/demo/user/bob/moderation/report/message/{other}", "bob", `{"reportType":"spam"}`, 404, noMessage, ""},
			{"POST", "/acme/demo/user/bob/moderation/report/message/x", "bob", `{"reportType":"spam"}`, 404, noMessage, ""},
			{"POST", "/acme/demo/user/bob/moderation/report/message/{id}", "bob", `{"reportReason":"` + strings.Repeat("x", 513) + `"}`, 400, quantity, ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.settings != "" {
				w.set(test.settings)
			}
			ids := strings.NewReplacer("{id}", strconv.FormatInt(w.text("alice", "bob", "hi"), 10), "{other}", strconv.FormatInt(w.text("alice", "alice", "note"), 10))
			for i := range test.steps {
				s := &test.steps[i]
				s.path, s.body, s.want = ids.Replace(s.path), ids.Replace(s.body), ids.Replace(s.want)
			}
			w.play(test.steps)
		})
	}
}

// FuzzExtras sends what it is given to the routes of reactions, pins, reports and translation: as a body, as query and as
// a part of the path. Whatever it is, the answer is JSON, and not the server's own trouble (world.send looks at the rest).
func FuzzExtras(f *testing.F) {
	w := newWorld(f)
	id := strconv.FormatInt(w.text("alice", "bob", "hi"), 10)
	routes := slices.Concat(w.api.reactionRoutes(), w.api.pinRoutes(), w.api.reportRoutes(), w.api.translationRoutes())
	for i := range routes {
		for _, seed := range []string{
			`{"msgId":"` + id + `","message":"ok"}`, `{"to":"alice","type":"chat","pin_msg_id":"` + id + `"}`, `{"to":"\ud800","type":"groupchat","pin_msg_id":"9223372036854775808"}`,
			`{"reportType":"\u0000","reportReason":"\udfff"}`, `{"text":"\ud800\u0000","to":["fr",null]}`, `{"message":{},"msgId":[]}`, `[]`, `null`, ``, `{`, "\xff\x00",
		} {
			f.Add(i, seed, "msgId="+id+"&message=%ff%00&msgIdList="+id+",-1,99999999999999999999&msgType=groupchat&groupId=%00&cursor=zzzzzzzzzzzzzz&to=alice&type=chat", id)
		}
	}
	f.Fuzz(func(t *testing.T, route int, body, query, part string) {
		r := routes[(route%len(routes)+len(routes))%len(routes)]
		path := strings.NewReplacer("{user}", "bob", "{message}", url.PathEscape(part)).Replace(r.Pattern)
		if _, err := url.Parse("/acme/demo" + path + "?" + query); err != nil || strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return // that is no request, and HTTP's own to refuse
		}
		asked := *w
		asked.TB = t
		got := asked.send(r.Method, "/acme/demo"+path+"?"+query, asked.bearer("app"), body)
		if got.status >= http.StatusInternalServerError {
			t.Fatalf("%s %s?%s %q: %d %s", r.Method, path, query, body, got.status, got.text)
		}
	})
}
