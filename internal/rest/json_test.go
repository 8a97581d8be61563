package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeTellsCapitalLettersApart(t *testing.T) {
	type form struct {
		Name  string   `json:"name"`
		Names []string `json:"NAME"`
		Count *int     `json:"count"`
	}
	seven := 7
	for text, want := range map[string]form{
		`{"name":"a","NAME":["b"],"count":7}`: {"a", []string{"b"}, &seven},
		`{"Name":"a","nAME":5,"COUNT":7}`:     {},
		`{"name":null,"NAME":null}`:           {},
		`{"name":"a","name":"b"}`:             {Name: "b"},
		`{"more":{"name":"a"}}`:               {},
		` {} `:                                {},
	} {
		var got form
		if err := decode([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for _, text := range []string{`{"name":7}`, `{"NAME":["a",7]}`, `{"count":1.5}`, `{"count":"7"}`, `null`, `[]`, `7`, `"name"`} {
		if err := decode([]byte(text), &form{}); !errors.Is(err, refuseBody) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzRegistration feeds the reader of registrations, which in an app with open registration is open to the world.
func FuzzRegistration(f *testing.F) {
	for _, seed := range []string{
		`{"username":"alice","password":"pw","nickname":"Al"}`, `[{"username":"a"},{"username":"b","password":null}]`, `{"username":"\ud800"}`,
		`{"username":7}`, `[]`, `[[]]`, `null`, ``, `{`, `[{"username":"a"},null]`, "{\"username\":\"\xff\"}", `{"USERNAME":"a"}`, ` [ {"username" : "a"} ] `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := checkJSON(data)
		if (err == nil) && !json.Valid(data) {
			t.Fatalf("taken for JSON: %q", data)
		}
		if err == nil {
			users, single, bad := newUsers(data)
			err = bad
			if err == nil && (len(users) == 0 || len(users) > maxRegistrations || single != (len(users) == 1)) {
				t.Fatalf("%d users, single %v", len(users), single)
			}
			for _, u := range users {
				if u.Name == "" {
					t.Fatal("a user without a name")
				}
			}
		}
		if err == nil {
			return
		}
		said := refusalOf(err)
		if said.status != http.StatusBadRequest || said.log || said.description == "" {
			t.Fatalf("%q: %v", data, err)
		}
	})
}

// FuzzGrant feeds the reader of token calls.
func FuzzGrant(f *testing.F) {
	for _, seed := range []string{`{"grant_type":"password","username":"a","password":"b","ttl":60}`, `{"ttl":"60"}`, `{"ttl":""}`, `{"ttl":"}`, `{"ttl":1e3}`,
		`{"ttl":-9223372036854775809}`, `{"autoCreateUser":"yes"}`, `{"ttl":"\u0036"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkJSON(data) != nil {
			return
		}
		if err := decode(data, &grant{}); err != nil && refusalOf(err).status != http.StatusBadRequest {
			t.Fatalf("%q: %v", data, err)
		}
	})
}

// TestNoBodyIsTheServersFault sends bodies that make no sense to every route: whatever they are, the answer is JSON (see
// world.send) and no error of the server.
func TestNoBodyIsTheServersFault(t *testing.T) {
	w := newWorld(t)
	w.play(founded)
	bodies := []string{"", "{", "null", "[]", "{}", "7", `"x"`, "\xff\x00", `[null]`, `[{"username":"\u0000"}]`,
		`{"username":"\ud800","usernames":["\u0000",null],"to":["\ud800"],"from":"\u0000","msg":[],"body":{"type":{}},"ext":{"\u0000":"\udfff"}}`,
		`{"username":7,"usernames":"bob","to":"bob","type":{},"body":[],"msgs":[{"msg_id":{}}],"targets":[7],"name":{},"data":{}}`,
		`{"msgs":[{"msg_id":"99999999999999999999","to":"\u0000","chat_type":"chat"}],"to":["club"],"users":["\u0000"],"type":"txt","body":{"msg":"\u0000\ud800","seq":0},"msg":{"type":"txt","msg":"\u0000"},"target_type":"users","target":["bob"]}`}
	for _, r := range w.api.Routes() {
		switch {
		case strings.HasPrefix(r.Pattern, "/easemob/"):
			continue
		case slices.Contains([]string{"DELETE /users", "DELETE /users/{user}", "DELETE /chatgroups/{place}", "DELETE /chatrooms/{place}"}, r.String()):
			continue // they read no body, and would leave nobody to ask for the rest
		}
		as := "app"
		if r.Access == UserToken {
			as = "alice"
		}
		path := "/acme/demo" + fill(Route{Pattern: strings.NewReplacer("{place}", "club", "{file}", "f", "{rule}", "r", "{match}", "1", "{rehearsal}", "x").Replace(r.Pattern)})
		for _, body := range bodies {
			if got := w.send(r.Method, path, w.bearer(as), body); got.status >= http.StatusInternalServerError {
				t.Errorf("%s with %q: %d %s", &r, body, got.status, got.text)
			}
		}
	}
}
