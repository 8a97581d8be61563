package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/token"
)

// fill puts a user and a device into a pattern.
func fill(r Route) string {
	return strings.NewReplacer("{user}", "alice", "{resource}", "webim_web_1", "{friend}", "bob", "{peer}", "bob", "{group}", "42",
		"{expiry}", "60", "{status}", "1", "{type}", "1",
		"{member}", "bob", "{members}", "bob", "{message}", "7", "{name}", "sale", "{label}", "vip").Replace(r.Pattern)
}

// caller is somebody with a token, or without.
type caller struct {
	name          string
	authorization string
	refused       []Access // which kinds of route have to refuse; those that do not ask, never
	want          string
}

func callers(w *world) []caller {
	all := []Access{AppToken, AnyToken, UserToken, AppOrSelf, AppOrOpen}
	notOpen := description("unauthorized", "Open registration doesn't allow, so register user need token")
	bearer := func(token string) string { return "Bearer " + token }
	foreignKey := []byte(strings.Repeat("k", 32))
	garbled := w.issued(w.app, "", 0, nil)
	garbled = garbled[:len(garbled)-4] + "AAAA"
	noChat, err := (&token.AccessToken{AppID: w.app.AgoraID, IssuedAt: uint32(w.clock.Now().Unix()), Expire: 3600, Salt: 1}).Build(w.app.Certificate)
	w.must(err)
	return []caller{
		{"no token", "", []Access{AppToken, AnyToken, UserToken, AppOrSelf}, expired},
		{"no token, at registration", "", []Access{AppOrOpen}, notOpen},
		{"another scheme", "Basic YWNtZTpzaGg=", []Access{AppToken, AnyToken, UserToken, AppOrSelf}, expired},
		{"a token without a scheme", w.issued(w.app, "", 0, nil), []Access{AppToken, AnyToken, UserToken, AppOrSelf}, expired},
		{"an empty token", "Bearer ", []Access{AppToken, AnyToken, UserToken, AppOrSelf}, expired},
		{"undefined", "Bearer undefined", all, corrupt},
		{"garbage", "Bearer garbage", all, corrupt},
		{"a malformed issued token", bearer("YWMtAAAA"), all, corrupt},
		{"a malformed signed token", bearer("007eJxTYFigm6WeVx0k"), all, corrupt},
		{"a malformed dynamic token", bearer("ZHQtAAAA"), all, corrupt},
		{"two tokens", bearer(w.issued(w.app, "", 0, nil) + " " + w.issued(w.app, "", 0, nil)), all, corrupt},
		{"an expired app token", bearer(w.issued(w.app, "", -time.Second, nil)), all, expired},
		{"an expired user token", bearer(w.issued(w.app, "alice", -time.Second, nil)), all, expired},
		{"an expired signed app token", bearer(w.signed(w.app, "", w.app.Certificate, 2*time.Hour)), all, expired},
		{"an expired signed user token", bearer(w.signed(w.app, "alice", w.app.Certificate, 2*time.Hour)), all, expired},
		{"an app token of a wrong signature", bearer(garbled), all, unknown},
		{"a user token of a wrong signature", bearer(w.issued(w.app, "alice", 0, foreignKey)), all, unknown},
		{"an app token signed with another app's key", bearer(w.issued(w.app, "", 0, w.other.SigningKey)), all, unknown},
		{"a signed app token of another certificate", bearer(w.signed(w.app, "", w.other.Certificate, 0)), all, unknown},
		{"a signed user token of another certificate", bearer(w.signed(w.app, "alice", strings.Repeat("f", 32), 0)), all, unknown},
		{"another app's app token", bearer(w.issued(w.other, "", 0, nil)), all, otherApp},
		{"another app's user token", bearer(w.issued(w.other, "alice", 0, nil)), all, otherApp},
		{"another app's signed app token", bearer(w.signed(w.other, "", w.other.Certificate, 0)), all, otherApp},
		{"another app's signed user token", bearer(w.signed(w.other, "alice", w.other.Certificate, 0)), all, otherApp},
		{"a signed token without chat", bearer(noChat), all, oauth},
		{"the user's own token where the app's is needed", bearer(w.issued(w.app, "alice", 0, nil)), []Access{AppToken, AppOrOpen}, corrupt},
		{"the user's own signed token where the app's is needed", bearer(w.signed(w.app, "alice", w.app.Certificate, 0)), []Access{AppToken, AppOrOpen}, corrupt},
		{"the app's token where a user's is needed", bearer(w.issued(w.app, "", 0, nil)), []Access{UserToken}, oauth},
		{"the app's signed token where a user's is needed", bearer(w.signed(w.app, "", w.app.Certificate, 0)), []Access{UserToken}, oauth},
		{"another user's token", bearer(w.issued(w.app, "bob", 0, nil)), []Access{AppOrSelf}, oauth},
		{"another user's signed token", bearer(w.signed(w.app, "bob", w.app.Certificate, 0)), []Access{AppOrSelf}, oauth},
	}
}

// TestNoRouteServesAWrongCaller walks every route with every wrong caller, in both forms of the address.
func TestNoRouteServesAWrongCaller(t *testing.T) {
	w := newWorld(t)
	w.api.add(Route{http.MethodGet, "/any", AnyToken, func(context.Context, *Call) (Answer, error) { return Answer{}, nil }})
	alice := w.connect("alice", "webim_web_1")
	w.send("POST", "/acme/demo/users/alice/contacts/users/bob", w.bearer("app"), "")
	w.send("POST", "/acme/demo/users/alice/blocks/users", w.bearer("app"), `{"usernames":["bob"]}`)
	state := func() []string {
		return []string{
			fmt.Sprint(w.send("GET", "/acme/demo/users", w.bearer("app"), "").object["entities"]),
			fmt.Sprint(w.send("GET", "/acme/demo/settings", w.bearer("app"), "").object["data"]),
			fmt.Sprint(w.send("GET", "/acme/demo/users/alice/resources", w.bearer("app"), "").object["data"]),
			fmt.Sprint(w.send("GET", "/acme/demo/users/alice/contacts/users", w.bearer("app"), "").object["data"]),
			fmt.Sprint(w.send("GET", "/acme/demo/users/alice/blocks/users", w.bearer("app"), "").object["data"]),
		}
	}
	before := state()
	seen, wrong := map[Access]int{}, callers(w)
	for _, r := range w.api.Routes() {
		seen[r.Access]++
		if strings.HasPrefix(r.Pattern, "/easemob/") {
			continue
		}
		for _, who := range wrong {
			if r.Access != Anyone && !slices.Contains(who.refused, r.Access) {
				continue
			}
			for _, prefix := range []string{"/acme/demo", "/app-id/" + w.app.AgoraID} {
				got := w.send(r.Method, prefix+fill(r), who.authorization, "{")
				if r.Access == Anyone {
					if got.status == http.StatusUnauthorized {
						t.Errorf("%s (%s) asks %s for a token", &r, r.Access, who.name)
					}
					continue
				}
				if diff := holds(got.object, who.want); got.status != http.StatusUnauthorized || diff != "" {
					t.Errorf("%s (%s) answers %s with %d %s", &r, r.Access, who.name, got.status, got.text)
				}
			}
		}
	}
	for _, access := range []Access{Anyone, AppToken, AnyToken, UserToken, AppOrSelf, AppOrOpen} {
		if seen[access] == 0 {
			t.Errorf("no route is for %s", access)
		}
	}
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Error(diff)
	}
	if len(alice.kicked()) > 0 || len(alice.extended()) > 0 {
		t.Errorf("alice was kicked %v, extended %v", alice.kicked(), alice.extended())
	}
}

// TestEveryRouteServesItsCallers keeps the walk above honest: it is the token that is refused there.
func TestEveryRouteServesItsCallers(t *testing.T) {
	bodies := map[string]string{
		"POST /token":                 `{"grant_type":"password","username":"alice","password":"secret"}`,
		"POST /users":                 `{"username":"carol"}`,
		"PUT /users/{user}":           `{"nickname":"Al"}`,
		"PUT /users/{user}/password":  `{"newpassword":"new"}`,
		"POST /users/{user}/password": `{"newpassword":"new"}`,
		"POST /users/batch/status":    `{"usernames":["alice"]}`,
		"PUT /settings":               `{"serving":true}`,
		"POST /mutes":                 `{"username":"alice","chat":60}`,
		"POST /metadata/user/get":     `{"targets":["alice"]}`,
		"POST /messages":              `{"target_type":"users","target":["bob"],"msg":{"type":"txt","msg":"hi"}}`,
		"POST /messages/users":        `{"to":["bob"],"type":"txt","body":{"msg":"hi"}}`,
		"POST /messages/users/import": `{"from":"alice","target":"bob","type":"txt","body":{"msg":"hi"}}`,
		"POST /messages/msg_recall":   `{"msg_id":"1","to":"bob","chat_type":"chat"}`,
		"POST /messages/recall":       `{"msgs":[{"msg_id":"1","to":"bob","chat_type":"chat"}]}`,
		"POST /rtc_mapper/batch/get":  `{"data":[1]}`,
		"POST /rehearsals":            `{"code":504,"user":"bob"}`,
		"POST /rehearsals/clock":      `{"advance":"1s"}`,

		"PUT /users/{user}/notification/user/{peer}":       `{"type":"NONE"}`,
		"PUT /users/{user}/notification/chatgroup/{group}": `{"type":"NONE"}`,
		"PUT /users/{user}/notification/language":          `{"translationLanguage":"fr"}`,
		"PUT /users/{user}/push/binding":                   `{"device_id":"d","notifier_name":"n","device_token":"t"}`,
		"PUT /users/{user}/notification/template":          `{"templateName":"t"}`,

		"PUT /push/nickname":              `[{"username":"alice","push_nickname":"Al"}]`,
		"POST /notification/template":     `{"name":"t","title_pattern":"a","content_pattern":"b"}`,
		"POST /push/sync/{member}":        `{"pushMessage":{"title":"a"}}`,
		"POST /push/single":               `{"targets":["bob"],"pushMessage":{"title":"a"}}`,
		"POST /push/list/label":           `{"targets":["vip"],"pushMessage":{"title":"a"}}`,
		"POST /push/task":                 `{"pushMessage":{"title":"a"}}`,
		"POST /push/label":                `{"name":"carol"}`,
		"POST /push/label/{label}/user":   `{"usernames":["bob"]}`,
		"DELETE /push/label/{label}/user": `{"usernames":["bob"]}`,

		"POST /users/{user}/presence":                     `{"usernames":["bob"]}`,
		"DELETE /users/{user}/presence":                   `["bob"]`,
		"POST /users/{user}/presence/{expiry}":            `{"usernames":["bob"]}`,
		"POST /users/{user}/presence/{resource}/{status}": `{"ext":"busy"}`,
		"POST /users/{user}/chatfiles/lifetime":           `{"lifetime":"forever"}`,
		"POST /users/{user}/translate":                    `{"text":"hello","to":["fr"]}`,
		"POST /translate":                                 `{"text":"hello","to":["fr"]}`,

		"POST /messages/batch_recall":        `{"msgs":[{"msg_id":"1","to":"bob","chat_type":"chat"}]}`,
		"POST /messages/broadcast":           `{"msg":{"type":"txt","msg":"hi"}}`,
		"POST /messages/users/broadcast":     `{"msg":{"type":"txt","msg":"hi"}}`,
		"POST /stream_message/user":          `{"to":"bob","body":{"msg":"hi","seq":0}}`,
		"POST /users/{user}/contacts/import": `{"usernames":["bob"]}`,
		"POST /contacts/check":               `{"username":"alice","check_list":["bob"]}`,
		"POST /blocks/check":                 `{"username":"alice","check_list":["bob"]}`,

		"POST /users/{user}/contacts/apply":         `{"usernames":["bob"]}`,
		"PUT /users/{user}/contacts/users/{friend}": `{"remark":"Bobby"}`,
		"PUT /user/{user}/contacts/users/{friend}":  `{"remark":"Bobby"}`,
		"POST /users/{user}/blocks/users":           `{"usernames":["bob"]}`,
		"POST /sdk/user/{user}/blocks":              `{"usernames":["bob"]}`,
		"DELETE /sdk/user/{user}/blocks":            `{"usernames":["bob"]}`,

		"POST /users/{user}/messageroaming":          `{"queue":"bob@easemob.com","start":-1}`,
		"POST /sdk/user/{user}/user_channel/top":     `{"type":"chat","to":"bob"}`,
		"POST /sdk/user/{user}/user_channels/mark":   `{"mark":"mark_3","targets":[{"to":"bob","type":"chat"}]}`,
		"DELETE /sdk/user/{user}/user_channels/mark": `{"mark":"mark_3","targets":[{"to":"bob","type":"chat"}]}`,
		"DELETE /user/{user}/user_channel":           `{"channel":"bob","type":"chat","delete_roam":true}`,
		"DELETE /users/{user}/user_channel":          `{"channel":"bob","type":"chat","delete_roam":false}`,
	}
	queries := map[string]string{
		"GET /sdk/user/{user}/user_channels/mark/search": "mark=mark_0",
		"DELETE /sdk/user/{user}/user_channel/top":       "type=chat&to=bob",
		"GET /users/{user}/messages/search":              "text=hello",
	}
	for _, edge := range []string{"/sdk", "/rest"} {
		for kind, peer := range map[string]string{"chat": "userId=bob", "group": "userId=bob"} {
			path := edge + "/message/roaming/" + kind + "/user/{user}"
			queries["DELETE "+path] = peer + "&msgIdList=1,2"
			queries["DELETE "+path+"/time"], queries["POST "+path+"/time"] = peer+"&delTime=5", peer+"&delTime=5"
		}
	}
	const lanes = 8 // at the same time, as many as there are processors
	for lane := range lanes {
		t.Run(strconv.Itoa(lane), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i, r := range w.api.Routes() {
				if i%lanes != lane {
					continue
				}
				if strings.Contains(r.Pattern, "{file}") || r.Pattern == "/chatfiles" || r.Method == http.MethodPost && strings.HasSuffix(r.Pattern, "/share_files") {
					continue // they take and give bytes: files_test.go
				}
				if strings.Contains(r.Pattern, "/acks/") || strings.Contains(r.Pattern, "/offline_msg_status/") {
					continue // they need a message that somebody has read, or not: receipts_test.go, backend_test.go
				}
				if strings.HasPrefix(r.Pattern, "/messages/rewrite/") || strings.HasPrefix(r.Pattern, "/chatmessages/") {
					continue // they need a message, and an hour that is over: messages_test.go
				}
				if strings.HasPrefix(r.Pattern, "/reaction/") || strings.HasSuffix(r.Pattern, "/user_channel/pin") || strings.Contains(r.Pattern, "/report/message/") {
					continue // they need a message: reactions_test.go
				}
				right := []string{"app", "signed:app"}
				switch r.Access {
				case AppOrSelf, AnyToken:
					right = append(right, "alice", "signed:alice")
				case UserToken:
					right = []string{"alice", "signed:alice"}
				case Anyone:
					right = []string{""}
				}
				for j, as := range right {
					w := w.in(fmt.Sprintf("acme#demo-%d-%d", i, j)) // where no other call has left anything
					w.connect("alice", "webim_web_1")
					if r.Method == http.MethodPut && strings.HasSuffix(r.Pattern, "{friend}") { // a remark needs a contact
						w.send("POST", "/acme/demo/users/bob/contacts/users/alice", w.bearer("app"), "")
					} else {
						w.send("POST", "/acme/demo/users/bob/contacts/apply", w.bearer("bob"), `{"usernames":["alice"]}`)
					}
					w.text("bob", "alice", "hello")
					w.pushGround(r)
					path, body := "/acme/demo"+fill(r)+"?"+queries[r.String()], bodies[r.String()]
					if strings.HasPrefix(r.Pattern, "/easemob/") {
						path = r.Pattern + "?app_key=" + url.QueryEscape(w.app.Key())
					}
					if strings.Contains(r.Pattern, "/moderation/") || strings.HasPrefix(r.Pattern, "/callbacks/") {
						path, body = w.underRules(r)
					}
					if strings.Contains(r.Pattern, "{rehearsal}") {
						started := w.send("POST", "/acme/demo/rehearsals", w.bearer("app"), `{"code":504,"user":"bob"}`)
						path = "/acme/demo/rehearsals/" + started.object["data"].(map[string]any)["id"].(string)
					}
					if aboutPlaces(r) {
						path, body = w.ground(r, fmt.Sprintf("%d-%d", i, j))
						path = "/acme/demo" + fill(Route{Pattern: path})
					}
					if got := w.send(r.Method, path, w.bearer(as), body); got.status != http.StatusOK {
						t.Errorf("%s as %q: %d %s", &r, as, got.status, got.text)
					}
				}
			}
		})
	}
}

func TestEveryGrantAsksForItsOwnProof(t *testing.T) {
	w := newWorld(t)
	for _, who := range callers(w) {
		asksApp := slices.Contains(who.refused, AppToken)
		if asksApp {
			got := w.send("POST", "/acme/demo/token", who.authorization, `{"grant_type":"inherit","username":"alice"}`)
			if diff := holds(got.object, who.want); got.status != http.StatusUnauthorized || diff != "" {
				t.Errorf("inherit answers %s with %d %s", who.name, got.status, got.text)
			}
		}
		// A user may exchange a signed token, so only what is wrong for everybody is wrong here.
		if slices.Contains(who.refused, AnyToken) {
			got := w.send("POST", "/acme/demo/token", who.authorization, `{"grant_type":"agora"}`)
			if got.status != http.StatusUnauthorized || got.object["access_token"] != nil {
				t.Errorf("agora answers %s with %d %s", who.name, got.status, got.text)
			}
		}
	}
}

func TestTheSchemeOfATokenIsBearerInAnyLetters(t *testing.T) {
	w := newWorld(t)
	token := w.issued(w.app, "", 0, nil)
	for _, header := range []string{"Bearer " + token, "bearer " + token, "BEARER  " + token + " "} {
		if got := w.send("GET", "/acme/demo/users", header, ""); got.status != http.StatusOK {
			t.Errorf("%.10q…: %d", header, got.status)
		}
	}
}

func TestASignedTokenMayNameTheUsersUUID(t *testing.T) {
	w := newWorld(t)
	token := "Bearer " + w.signed(w.app, w.user("alice").UUID, w.app.Certificate, 0)
	for path, status := range map[string]int{"/users/alice": 200, "/users/bob": 401, "/users": 401} {
		if got := w.send("GET", "/acme/demo"+path, token, ""); got.status != status {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
	if got := w.send("POST", "/acme/demo/token", token, `{"grant_type":"agora"}`); got.status != 200 {
		t.Errorf("exchange: %d %s", got.status, got.text)
	}
}
