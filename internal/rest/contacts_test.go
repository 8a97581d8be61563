package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// play sends the requests of a scenario. {cursor} is what the answer before gave, at the top or in its data.
func (w *world) play(steps []step) {
	w.Helper()
	cursor := ""
	for _, s := range steps {
		path := strings.ReplaceAll(s.path, "{cursor}", cursor)
		got := w.send(s.method, path, w.bearer(s.as), s.body)
		if got.status != s.status {
			w.Fatalf("%s %s %.200s: %d %s, want %d", s.method, path, s.body, got.status, got.text, s.status)
		}
		if s.want != "" {
			if diff := holds(got.object, s.want); diff != "" {
				w.Errorf("%s %s %.200s: %s\nin %s", s.method, path, s.body, diff, got.text)
			}
		}
		if s.save != "" {
			w.saved[s.save], _ = got.object["access_token"].(string)
		}
		cursor, _ = got.object["cursor"].(string)
		if data, ok := got.object["data"].(map[string]any); ok && cursor == "" {
			cursor, _ = data["cursor"].(string)
		}
	}
}

func TestContactScenarios(t *testing.T) {
	const (
		users     = "/acme/demo/users/"
		ok        = `{"data":{"result":"ok"}}`
		notFriend = "updateRemark | they are not friends, please add as a friend first."
	)
	for name, test := range map[string]struct {
		settings string
		steps    []step
	}{
		"an invitation that is accepted makes contacts": {steps: []step{
			{"POST", users + "alice/contacts/apply?resource=webim_web_1", "alice", `{"usernames":["bob"],"reason":"hello"}`, 200, ok, ""},
			{"GET", users + "bob/contacts/users", "bob", "", 200, `{"data":[],"count":0}`, ""},
			{"POST", users + "bob/contacts/accept/users/Alice?resource=x", "bob", "", 200, ok, ""},
			{"GET", users + "bob/contacts/users", "bob", "", 200, `{"data":["alice"],"entities":[],"count":1}`, ""},
			{"GET", users + "alice/contacts/users", "app", "", 200, `{"data":["bob"]}`, ""},
			{"POST", users + "bob/contacts/accept/users/alice", "bob", "", 200, ok, ""},
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":["bob"]}`, 200, ok, ""},
			{"DELETE", users + "alice/contacts/users/bob?resource=webim_web_1", "alice", "", 200, ok, ""},
			{"DELETE", users + "alice/contacts/users/bob", "alice", "", 200, ok, ""},
			{"GET", users + "bob/contacts/users", "bob", "", 200, `{"data":[]}`, ""},
		}},
		"nobody becomes a contact without wishing it": {steps: []step{
			{"POST", users + "bob/contacts/accept/users/alice", "bob", "", 403, description("forbidden_op", "there is no invitation of alice"), ""},
			{"POST", users + "bob/contacts/users/alice", "bob", "", 401, corrupt, ""},
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":["bob"]}`, 200, ok, ""},
			{"POST", users + "alice/contacts/accept/users/bob", "alice", "", 403, `{"error":"forbidden_op"}`, ""},
			{"POST", users + "bob/contacts/decline/users/alice", "bob", "", 200, ok, ""},
			{"POST", users + "bob/contacts/decline/users/alice", "bob", "", 200, ok, ""},
			{"POST", users + "bob/contacts/accept/users/alice", "bob", "", 403, `{"error":"forbidden_op"}`, ""},
			{"GET", users + "bob/contacts/users", "bob", "", 200, `{"data":[]}`, ""},
		}},
		"an app may accept by itself": {settings: `{"contacts_auto_accept":true}`, steps: []step{
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":["bob"]}`, 200, ok, ""},
			{"GET", users + "bob/contacts/users", "bob", "", 200, `{"data":["alice"]}`, ""},
		}},
		"a backend makes and ends relations": {steps: []step{
			{"POST", "/acme/demo/users", "app", `[{"username":"carol"},{"username":"dave"}]`, 200, "", ""},
			{"POST", users + "alice/contacts/users/bob", "app", "", 200, `{"entities":[{"username":"bob","activated":true}]}`, ""},
			{"POST", users + "alice/contacts/users/bob", "app", "", 200, `{"entities":[{"username":"bob"}]}`, ""},
			{"POST", users + "carol/contacts/users/alice", "app", "", 200, `{"entities":[{"username":"alice"}]}`, ""},
			{"POST", users + "alice/contacts/users/dave", "app", "", 200, "", ""},
			{"GET", "/acme/demo/user/alice/contacts?limit=2", "app", "", 200,
				`{"data":{"contacts":[{"username":"dave","remark":null},{"username":"carol","remark":null}]},"count":2}`, ""},
			{"GET", "/acme/demo/user/alice/contacts?limit=2&cursor={cursor}", "app", "", 200,
				`{"data":{"contacts":[{"username":"bob","remark":null}],"cursor":""},"count":1}`, ""},
			{"DELETE", users + "alice/contacts/users/carol", "app", "", 200, `{"entities":[{"username":"carol"}]}`, ""},
			{"DELETE", "/acme/demo/contacts/users/alice", "app", "", 200, ok, ""},
			{"GET", users + "alice/contacts/users", "app", "", 200, `{"data":[]}`, ""},
			{"GET", users + "dave/contacts/users", "app", "", 200, `{"data":[]}`, ""},
			{"POST", users + "alice/contacts/apply", "app", `{"usernames":["bob"]}`, 200, ok, ""},
			{"POST", users + "bob/contacts/accept/users/alice", "app", "", 200, ok, ""},
			{"GET", users + "alice/contacts/users", "app", "", 200, `{"data":["bob"]}`, ""},
		}},
		"a remark is one side's own": {steps: []step{
			{"PUT", users + "alice/contacts/users/bob", "alice", `{"remark":"Bobby"}`, 400, `{"error_description":"` + notFriend + `"}`, ""},
			{"POST", users + "alice/contacts/users/bob", "app", "", 200, "", ""},
			{"PUT", users + "alice/contacts/users/bob?resource=r", "alice", `{"remark":"Bobby ☃"}`, 200, ok, ""},
			{"GET", users + "alice/contacts/users?needReturnRemark=true", "alice", "", 200, `{"entities":[{"username":"bob","remark":"Bobby ☃"}]}`, ""},
			{"GET", users + "alice/contacts?needReturnRemark=true&limit=20&cursor=", "alice", "", 200,
				`{"data":{"contacts":[{"username":"bob","remark":"Bobby ☃"}],"cursor":""}}`, ""},
			{"GET", users + "bob/contacts/users?needReturnRemark=true", "bob", "", 200, `{"entities":[{"username":"alice","remark":null}]}`, ""},
			{"PUT", users + "alice/contacts/users/bob", "alice", `{"remark":"` + strings.Repeat("é", 100) + `"}`, 200, "", ""},
			{"PUT", "/acme/demo/user/alice/contacts/users/bob", "app", `{"remark":"` + strings.Repeat("é", 101) + `"}`, 400,
				`{"error_description":"updateRemark | remark length must less than 100"}`, ""},
			{"PUT", users + "alice/contacts/users/bob", "alice", `{"remark":"\u0000"}`, 400, "", ""},
			{"PUT", users + "alice/contacts/users/bob", "alice", `{}`, 400, invalidBody, ""},
			{"PUT", users + "alice/contacts/users/bob", "alice", `{"remark":""}`, 200, "", ""},
			{"GET", users + "alice/contacts/users?needReturnRemark=true", "alice", "", 200, `{"entities":[{"username":"bob","remark":null}]}`, ""},
		}},
		"a block list": {steps: []step{
			{"POST", "/acme/demo/users", "app", `[{"username":"carol"},{"username":"dave"}]`, 200, "", ""},
			{"POST", "/acme/demo/sdk/user/alice/blocks?resource=r", "alice", `{"usernames":["Bob","carol","bob"]}`, 200, `{"data":["bob","carol"]}`, ""},
			{"POST", users + "alice/blocks/users", "app", `{"usernames":["dave"]}`, 200, `{"data":["dave"],"count":1}`, ""},
			{"GET", users + "alice/blocks/users", "alice", "", 200, `{"data":["dave","carol","bob"],"count":3}`, ""},
			{"GET", users + "alice/blocks/users?pageSize=2", "app", "", 200, `{"data":["dave","carol"],"count":2}`, ""},
			{"GET", users + "alice/blocks/users?pageSize=2&cursor={cursor}", "app", "", 200, `{"data":["bob"],"count":1}`, ""},
			{"DELETE", "/acme/demo/sdk/user/alice/blocks?resource=r", "alice", `{"usernames":["carol","dave"]}`, 200, `{"data":["carol","dave"]}`, ""},
			{"GET", users + "alice/blocks/users", "alice", "", 200, `{"data":["bob"]}`, ""},
			{"DELETE", users + "alice/blocks/users/bob", "app", "", 200, `{"entities":[{"username":"bob"}]}`, ""},
			{"DELETE", users + "alice/blocks/users/bob", "alice", "", 200, ok, ""},
			{"GET", users + "alice/blocks/users", "alice", "", 200, `{"data":[]}`, ""},
		}},
		"who is blocked cannot invite": {steps: []step{
			{"POST", users + "alice/blocks/users", "alice", `{"usernames":["bob"]}`, 200, "", ""},
			{"POST", users + "bob/contacts/apply", "bob", `{"usernames":["alice"]}`, 403, `{"error":"forbidden_op"}`, ""},
			{"DELETE", users + "alice/blocks/users/bob", "alice", "", 200, ok, ""},
			{"POST", users + "bob/contacts/apply", "bob", `{"usernames":["alice"]}`, 200, ok, ""},
		}},
		"unknown users, oneself, and what is too much": {steps: []step{
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":["nobody"]}`, 404, noUser, ""},
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":["alice"]}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":[]}`, 400, description("illegal_argument", "there are no user names"), ""},
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":"bob"}`, 400, invalidBody, ""},
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":["bob"],"reason":"` + strings.Repeat("x", 1025) + `"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", users + "alice/contacts/apply", "alice", `{"usernames":["bob","nobody"]}`, 404, noUser, ""},
			{"POST", users + "bob/contacts/accept/users/alice", "bob", "", 403, "", ""},
			{"POST", users + "alice/contacts/accept/users/nobody", "alice", "", 404, noUser, ""},
			{"POST", users + "alice/contacts/decline/users/nobody", "alice", "", 404, noUser, ""},
			{"POST", users + "alice/contacts/users/nobody", "app", "", 404, noUser, ""},
			{"POST", users + "nobody/contacts/users/alice", "app", "", 404, noUser, ""},
			{"DELETE", users + "alice/contacts/users/nobody", "alice", "", 404, noUser, ""},
			{"PUT", users + "alice/contacts/users/nobody", "alice", `{"remark":"x"}`, 404, noUser, ""},
			{"POST", users + "alice/blocks/users", "alice", `{"usernames":["bob","nobody"]}`, 404, noUser, ""},
			{"GET", users + "alice/blocks/users", "alice", "", 200, `{"data":[]}`, ""},
			{"POST", users + "alice/blocks/users", "alice", `{"usernames":["alice"]}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", users + "alice/blocks/users", "alice", `{"usernames":[` + many(51) + `]}`, 400, `{"error_description":"The quantity has exceeded the limit!"}`, ""},
			{"DELETE", users + "alice/blocks/users/nobody", "alice", "", 404, noUser, ""},
			{"GET", users + "alice/contacts?limit=0", "alice", "", 400, description("illegal_argument", "limit must be a number from 1 to 50"), ""},
			{"GET", users + "alice/contacts?cursor=-", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", users + "alice/blocks/users?pageSize=x", "alice", "", 400, description("illegal_argument", "pageSize must be a number from 1 to 50"), ""},
		}},
		"a name registered again inherits nothing": {steps: []step{
			{"POST", users + "alice/contacts/users/bob", "app", "", 200, "", ""},
			{"POST", users + "alice/blocks/users", "app", `{"usernames":["bob"]}`, 200, "", ""},
			{"DELETE", users + "bob", "app", "", 200, "", ""},
			{"POST", "/acme/demo/users", "app", `{"username":"bob"}`, 200, "", ""},
			{"GET", users + "alice/contacts/users", "app", "", 200, `{"data":[]}`, ""},
			{"GET", users + "alice/blocks/users", "app", "", 200, `{"data":[]}`, ""},
			{"GET", users + "bob/contacts/users", "app", "", 200, `{"data":[]}`, ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.settings != "" {
				w.set(test.settings)
			}
			w.play(test.steps)
			if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestABlockListHas500Users(t *testing.T) {
	w := newWorld(t)
	var names []string
	for i := range 501 {
		name := fmt.Sprint("user", i)
		w.createUser(w.app, name)
		names = append(names, fmt.Sprintf("%q", name))
	}
	block := func(names []string) reply {
		return w.send("POST", "/acme/demo/users/alice/blocks/users", w.bearer("alice"), `{"usernames":[`+strings.Join(names, ",")+`]}`)
	}
	for i := 0; i < 500; i += 50 {
		if got := block(names[i : i+50]); got.status != 200 {
			t.Fatalf("block: %d %s", got.status, got.text)
		}
	}
	full := block(names[500:])
	if diff := cmp.Diff([]any{400, "The quantity has exceeded the limit!"}, []any{full.status, full.object["error_description"]}); diff != "" {
		t.Error(diff)
	}
	if got := block(names[:50]); got.status != 200 {
		t.Errorf("blocking those who are blocked: %d %s", got.status, got.text)
	}
	list := w.send("GET", "/acme/demo/users/alice/blocks/users", w.bearer("alice"), "").object
	if list["count"] != 500.0 || list["cursor"] != nil {
		t.Errorf("%v users are listed, cursor %v", list["count"], list["cursor"])
	}
}
