package rest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/internal/token"
)

// scenario is a test of requests that follow each other.
type scenario struct {
	settings string
	steps    []step
}

func playAll(t *testing.T, scenarios map[string]scenario) {
	for name, test := range scenarios {
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

// notOffered is the answer to a call of a service that is switched off.
func notOffered(service string) string {
	return `{"error":"function_not_open_error","error_code":40000,"error_description":"the app has ` + service + ` switched off"}`
}

func TestAttributeScenarios(t *testing.T) {
	const of, get = "/acme/demo/metadata/user/", "/acme/demo/metadata/user/get"
	full := description("exceed_limit", "the attributes of a user have at most 2048 bytes")
	playAll(t, map[string]scenario{
		"attributes are set as a form and read by all": {steps: []step{
			{"PUT", of + "alice", "alice", `nickname=Al%20ice&sign=s%26s&mail=`, 200, `{"data":{"nickname":"Al ice","sign":"s&s","mail":""}}`, ""},
			{"PUT", of + "alice", "alice", `phone=+49 1%&ext=a=b`, 200, `{"data":{"nickname":"Al ice","phone":"+49 1%","ext":"a=b"}}`, ""},
			{"PUT", of + "Alice", "app", `nickname=Al+ice`, 200, `{"data":{"nickname":"Al ice"}}`, ""},
			{"PUT", of + "alice", "alice", `{"birth":"2000-01-01"}`, 200, `{"data":{"birth":"2000-01-01"}}`, ""},
			{"GET", of + "alice", "bob", "", 200, `{"data":{"birth":"2000-01-01","phone":"+49 1%"}}`, ""},
			{"POST", get, "bob", `{"targets":["Alice","bob","nobody"],"properties":["nickname","gender"]}`, 200,
				`{"data":{"Alice":{"nickname":"Al ice"},"bob":{},"nobody":{}}}`, ""},
			{"POST", get, "bob", `{"targets":["alice"],"properties":[]}`, 200, `{"data":{"alice":{"mail":""}}}`, ""},
			{"GET", of + "capacity", "app", "", 200, `{"data":` + strconv.Itoa(len("nicknameAl icesigns&smailphone+49 1%exta=bbirth2000-01-01")) + `}`, ""},
			{"DELETE", of + "alice", "app", "", 200, `{"data":true}`, ""},
			{"DELETE", of + "nobody", "app", "", 200, `{"data":true}`, ""},
			{"GET", of + "alice", "app", "", 200, `{"data":{}}`, ""},
			{"GET", of + "nobody", "app", "", 200, `{"data":{}}`, ""},
			{"GET", of + "capacity", "app", "", 200, `{"data":0}`, ""},
		}},
		"attributes that are too large or no text are refused": {steps: []step{
			{"PUT", of + "alice", "alice", "ext=" + strings.Repeat("e", 2048-len("ext")), 200, "", ""},
			{"PUT", of + "alice", "alice", "ext=" + strings.Repeat("e", 2049-len("ext")), 400, full, ""},
			{"PUT", of + "alice", "alice", "a=", 400, full, ""},
			{"PUT", of + "alice", "alice", "ext=%00", 400, `{"error":"illegal_argument"}`, ""},
			{"PUT", of + "alice", "alice", "ext=%ed%a0%80", 400, `{"error":"illegal_argument"}`, ""},
			{"PUT", of + "alice", "alice", `{"ext":1}`, 400, invalidBody, ""},
			{"PUT", of + "alice", "alice", `{"ext":`, 400, `{"error":"json_parse"}`, ""},
			{"PUT", of + "nobody", "app", "ext=e", 404, noUser, ""},
			{"POST", get, "alice", `{"targets":[` + many(101) + `]}`, 400, `{"error_description":"The quantity has exceeded the limit!"}`, ""},
			{"POST", get, "alice", `{}`, 400, invalidBody, ""},
			{"GET", of + "alice", "app", "", 200, `{"data":{"ext":"` + strings.Repeat("e", 2045) + `"}}`, ""},
		}},
		"an app may do without attributes": {settings: `{"user_attributes":false}`, steps: []step{
			{"PUT", of + "alice", "alice", "ext=e", 403, notOffered("user attributes"), ""},
			{"GET", of + "alice", "alice", "", 403, notOffered("user attributes"), ""},
			{"POST", get, "alice", `{"targets":["bob"]}`, 403, notOffered("user attributes"), ""},
			{"DELETE", of + "alice", "app", "", 403, notOffered("user attributes"), ""},
			{"GET", of + "capacity", "app", "", 403, notOffered("user attributes"), ""},
		}},
		"an app may do without tokens for calls": {settings: `{"rtc_tokens":false}`, steps: []step{
			{"GET", "/acme/demo/users/alice/token/rtc", "alice", "", 403, notOffered("tokens for calls"), ""},
			{"POST", "/acme/demo/rtc_mapper/batch/get", "alice", `{"data":[1]}`, 403, notOffered("tokens for calls"), ""},
		}},
		"tokens for calls are refused for what is no channel": {steps: []step{
			{"GET", "/acme/demo/users/alice/token/rtc?channelName=" + strings.Repeat("c", 65), "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users/alice/token/rtc?channelName=%00", "alice", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users/nobody/token/rtc", "app", "", 404, noUser, ""},
			{"POST", "/acme/demo/rtc_mapper/batch/get", "alice", `{"data":[-1]}`, 400, invalidBody, ""},
			{"POST", "/acme/demo/rtc_mapper/batch/get", "alice", `{}`, 400, invalidBody, ""},
			{"POST", "/acme/demo/rtc_mapper/batch/get", "alice", `{"data":[` + strings.Repeat("1,", 100) + `1]}`, 400, `{"error":"exceed_limit"}`, ""},
		}},
	})
}

func TestATokenForCallsIsForOneUserAndChannel(t *testing.T) {
	w := newWorld(t)
	ask := func(query string) map[string]any {
		t.Helper()
		got := w.send("GET", "/acme/demo/users/alice/token/rtc"+query, w.bearer("alice"), "")
		if got.status != 200 {
			t.Fatalf("token: %d %s", got.status, got.text)
		}
		return got.object
	}
	if got := ask("")["channel_name"]; got != "*" {
		t.Errorf("channel without a name is %v", got)
	}
	got := ask("?channelName=chan1")
	uid := strconv.FormatInt(w.user("alice").ID, 10)
	parsed, err := token.ParseAccessToken(got["rtc_token"].(string))
	w.must(err)
	service := parsed.Services[0]
	if !parsed.Verify(w.app.Certificate) || parsed.AppID != w.app.AgoraID || service.Type != token.ServiceRTC ||
		service.Channel != "chan1" || service.User != uid || len(service.Privileges) != 4 ||
		time.Duration(parsed.Expire)*time.Second != time.Hour {
		t.Errorf("token says %+v", parsed)
	}
	if diff := holds(got, `{"app_id":"`+w.app.AgoraID+`","channel_name":"chan1","rtcUid":`+uid+`,"expires_in":3600}`); diff != "" {
		t.Error(diff)
	}
	other, err := w.accounts.User(t.Context(), w.other, "bob")
	w.must(err)
	foreign := strconv.FormatInt(other.ID, 10)
	w.play([]step{{"POST", "/acme/demo/rtc_mapper/batch/get", "bob", `{"data":[` + uid + `,` + foreign + `,4294967295]}`, 200, `{"data":{"` + uid + `":"alice"}}`, ""}})
}
