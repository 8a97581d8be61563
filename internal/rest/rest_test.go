package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/msync"
)

// step is one request and what its answer must hold.
type step struct {
	method, path string
	as           string // see world.bearer
	body         string
	status       int
	want         string // JSON, see holds; empty: anything
	save         string // name under which the answer's token is kept, for a later as
}

const (
	corrupt     = `{"error":"auth_bad_access_token","error_description":"Unable to authenticate due to corrupt access token","error_code":40001}`
	oauth       = `{"error":"unauthorized","error_description":"Unable to authenticate (OAuth)","error_code":40001}`
	expired     = `{"error":"unauthorized","error_description":"Unable to authenticate due to expired access token","error_code":40001}`
	unknown     = `{"error":"auth_bad_access_token","error_description":"Unable to authenticate","error_code":40001}`
	otherApp    = `{"error":"unauthorized","error_description":"token is illegal.","error_code":40001}`
	noUser      = `{"error":"service_resource_not_found","error_description":"Service resource not found","exception":"UserNotFoundException"}`
	invalidBody = `{"error":"invalid_request_body","error_description":"Request body is invalid. Please check body is correct."}`
	nameMissing = `{"error":"illegal_argument","error_description":"Entity user requires a property named username"}`
)

func description(slug, text string) string {
	b, err := json.Marshal(map[string]string{"error": slug, "error_description": text})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func many(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(`"u%d"`, i)
	}
	return strings.Join(names, ",")
}

func TestScenarios(t *testing.T) {
	long := strings.Repeat("x", 65)
	for name, test := range map[string]struct {
		settings string
		steps    []step
	}{
		"a password gives a token that opens the user's own resources": {steps: []step{
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"secret","timestamp":1700000000000}`, 200,
				`{"expires_in":5184000,"user":{"type":"user","username":"alice","activated":true}}`, "t"},
			{"GET", "/acme/demo/users/alice", "$t", "", 200, `{"entities":[{"username":"alice"}]}`, ""},
		}},
		"a name in capitals is the user in small letters": {steps: []step{
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"Alice","password":"secret"}`, 200, `{"user":{"username":"alice"}}`, "t"},
			{"GET", "/acme/demo/users/ALICE", "$t", "", 200, `{"entities":[{"username":"alice"}]}`, ""},
			{"GET", "/acme/demo/users/Alice/status", "app", "", 200, `{"data":{"alice":"offline"}}`, ""},
			{"POST", "/acme/demo/users", "app", `{"username":"Carol"}`, 200, `{"entities":[{"username":"carol"}]}`, ""},
		}},
		"a wrong password and an unknown user are told apart": {steps: []step{
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"wrong"}`, 400, description("invalid_grant", "invalid password"), ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"nobody","password":"wrong"}`, 404, description("invalid_grant", "user not found"), ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"a\u0000b","password":"wrong"}`, 404, description("invalid_grant", "user not found"), ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice"}`, 400, description("invalid_grant", "invalid username or password"), ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","password":"secret"}`, 400, description("invalid_grant", "invalid username or password"), ""},
		}},
		"client credentials give an app token": {steps: []step{
			{"POST", "/acme/demo/token", "", `{"grant_type":"client_credentials","client_id":"acme#demo-id","client_secret":"shh"}`, 200, `{"expires_in":5184000}`, "t"},
			{"GET", "/acme/demo/users", "$t", "", 200, `{"count":2}`, ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"client_credentials","client_id":"x","client_secret":"shh"}`, 400, description("invalid_grant", "client_id does not match"), ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"client_credentials","client_id":"acme#demo-id","client_secret":"x"}`, 400, description("invalid_grant", "client_secret does not match"), ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"client_credentials"}`, 400, description("invalid_grant", "client_id does not match"), ""},
		}},
		"a backend inherits the token of a user": {steps: []step{
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","autoCreateUser":false}`, 200, `{"user":{"username":"alice"}}`, "t"},
			{"GET", "/acme/demo/users/alice", "$t", "", 200, "", ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"carol"}`, 404, description("invalid_grant", "user not found"), ""},
			{"POST", "/acme/demo/token", "signed:app", `{"grant_type":"inherit","username":"Carol","autoCreateUser":true}`, 200, `{"user":{"username":"carol"}}`, ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"b@d","autoCreateUser":true}`, 400, description("illegal_argument", "username [b@d] is not legal"), ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit"}`, 400, nameMissing, ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"inherit","username":"alice"}`, 401, expired, ""},
			{"POST", "/acme/demo/token", "alice", `{"grant_type":"inherit","username":"alice"}`, 401, corrupt, ""},
		}},
		"a signed token is exchanged for an issued one": {steps: []step{
			{"POST", "/acme/demo/token", "signed:alice", `{"grant_type":"agora"}`, 200, `{"user":{"username":"alice"}}`, "t"},
			{"GET", "/acme/demo/users/alice", "$t", "", 200, "", ""},
			{"POST", "/acme/demo/token", "signed:app", `{"grant_type":"agora"}`, 200, "", "a"},
			{"GET", "/acme/demo/users", "$a", "", 200, "", ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"agora"}`, 401, expired, ""},
			{"POST", "/acme/demo/token", "alice", `{"grant_type":"agora"}`, 401, corrupt, ""},
			{"POST", "/acme/demo/token", "Bearer garbage", `{"grant_type":"agora"}`, 401, corrupt, ""},
		}},
		"the life of a token is a number or a numeric text": {steps: []step{
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","ttl":60}`, 200, `{"expires_in":60}`, ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","ttl":"60"}`, 200, `{"expires_in":60}`, ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","ttl":null}`, 200, `{"expires_in":5184000}`, ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","ttl":0}`, 200, `{"expires_in":2147483647}`, "t"},
			{"GET", "/acme/demo/sdk/users/alice/token/expires", "$t", "", 200, `{"expire_timestamp":4102444800000}`, ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","ttl":-1}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","ttl":"soon"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","ttl":99999999999999999999}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice","ttl":[1]}`, 400, invalidBody, ""},
		}},
		"an unknown grant is refused": {steps: []step{
			{"POST", "/acme/demo/token", "", `{"grant_type":"magic"}`, 400, description("illegal_argument", "grant_type [magic] is not supported"), ""},
			{"POST", "/acme/demo/token", "", `{"GRANT_TYPE":"password","username":"alice","password":"secret"}`, 400, description("illegal_argument", "grant_type [] is not supported"), ""},
		}},
		"bodies that are no JSON object are refused": {steps: []step{
			{"POST", "/acme/demo/token", "", ``, 400, description("json_parse", "Unexpected end of the request body"), ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":`, 400, description("json_parse", "Unexpected end of the request body"), ""},
			{"POST", "/acme/demo/token", "", `grant_type=password`, 400, description("json_parse", "Unexpected character 'g' at position 0"), ""},
			{"POST", "/acme/demo/token", "", `{"a":1} é`, 400, description("json_parse", "Unexpected character 'é' at position 8"), ""},
			{"POST", "/acme/demo/token", "", "{\"grant_type\":\"\xff\"}", 400, description("json_parse", "Unexpected character: the text is not UTF-8"), ""},
			{"POST", "/acme/demo/token", "", `null`, 400, invalidBody, ""},
			{"POST", "/acme/demo/token", "", `[]`, 400, invalidBody, ""},
			{"POST", "/acme/demo/token", "", `"text"`, 400, invalidBody, ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":7}`, 400, invalidBody, ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":{},"password":"secret"}`, 400, invalidBody, ""},
			{"POST", "/acme/demo/token", "", strings.Repeat(`[`, 20000), 400, `{"error":"json_parse"}`, ""},
			{"POST", "/acme/demo/token", "", `{"x":"` + strings.Repeat("x", maxBody) + `"}`, 413, `{"error":"Request Entity Too Large"}`, ""},
		}},
		"a body that nobody asked for is passed over": {steps: []step{
			{"GET", "/acme/demo/users/alice", "app", `not JSON`, 200, "", ""},
			{"POST", "/acme/demo/users/alice/deactivate", "app", `not JSON`, 200, "", ""},
		}},
		"both forms of the address lead to the same app": {steps: []step{
			{"GET", "/app-id/{id}/users/alice", "app", "", 200, `{"organization":"acme","applicationName":"demo","entities":[{"username":"alice"}]}`, ""},
			{"POST", "/app-id/{id}/token", "", `{"grant_type":"password","username":"alice","password":"secret"}`, 200, "", ""},
			{"GET", "/acme/demo/users/alice/", "app", "", 200, "", ""},
		}},
		"an unknown app is named": {steps: []step{
			{"GET", "/acme/none/users", "app", "", 404, description("organization_application_not_found", "Could not find application for acme/none from URI: acme/none/users"), ""},
			{"GET", "/Acme/demo/users", "app", "", 404, description("organization_application_not_found", "Could not find application for Acme/demo from URI: Acme/demo/users"), ""},
			{"GET", "/app-id/0000/users/alice", "app", "", 404, description("organization_application_not_found", "Could not find application for app-id/0000 from URI: app-id/0000/users/alice"), ""},
			{"POST", "/metrics/x", "", "", 404, `{"error":"organization_application_not_found"}`, ""},
		}},
		"unknown paths and methods are errors in JSON": {steps: []step{
			{"GET", "/", "", "", 404, `{"error":"not_found"}`, ""},
			{"GET", "/acme", "", "", 404, `{"error":"not_found"}`, ""},
			{"GET", "/acme/demo", "app", "", 404, `{"error":"not_found"}`, ""},
			{"GET", "/acme/demo/nothing", "app", "", 404, `{"error":"not_found"}`, ""},
			{"GET", "/acme/demo//users", "app", "", 404, `{"error":"not_found"}`, ""},
			{"GET", "/acme/demo/users//status", "app", "", 404, `{"error":"not_found"}`, ""},
			{"GET", "/acme/demo/users/../users", "app", "", 404, `{"error":"not_found"}`, ""},
			{"GET", "/acme/demo/users/a%2Fb", "app", "", 404, noUser, ""},
			{"GET", "/acme/demo/users/a%00b", "app", "", 404, noUser, ""},
			{"GET", "/acme/demo/users/%FF", "app", "", 404, noUser, ""},
			{"PATCH", "/acme/demo/users", "app", "", 405, description("method_not_allowed", "method not allowed"), ""},
			{"GET", "/acme/demo/token", "", "", 405, "", ""},
		}},
		"registration needs the app's token": {steps: []step{
			{"POST", "/acme/demo/users", "", `{"username":"carol"}`, 401, description("unauthorized", "Open registration doesn't allow, so register user need token"), ""},
			{"POST", "/acme/demo/users", "alice", `{"username":"carol"}`, 401, corrupt, ""},
			{"POST", "/acme/demo/users", "app", `{"username":"carol","password":"pw","nickname":"Carol"}`, 200,
				`{"action":"post","path":"/users","entities":[{"type":"user","username":"carol","nickname":"Carol","activated":true}]}`, ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"carol","password":"pw"}`, 200, "", ""},
		}},
		"open registration needs no token": {settings: `{"open_registration":true}`, steps: []step{
			{"POST", "/acme/demo/users", "", `{"username":"carol","password":"pw"}`, 200, `{"entities":[{"username":"carol"}]}`, ""},
			{"POST", "/acme/demo/users", "Bearer undefined", `{"username":"dave","password":"pw"}`, 200, "", ""},
		}},
		"what is wrong with a registration is said": {steps: []step{
			{"POST", "/acme/demo/users", "app", `{"password":"pw"}`, 400, nameMissing, ""},
			{"POST", "/acme/demo/users", "app", `{"Username":"carol"}`, 400, nameMissing, ""},
			{"POST", "/acme/demo/users", "app", `{"username":""}`, 400, nameMissing, ""},
			{"POST", "/acme/demo/users", "app", `{"username":null}`, 400, nameMissing, ""},
			{"POST", "/acme/demo/users", "app", `{"username":"c@rol"}`, 400, description("illegal_argument", "username [c@rol] is not legal"), ""},
			{"POST", "/acme/demo/users", "app", `{"username":"` + long + `"}`, 400, description("illegal_argument", "USERNAME_TOO_LONG"), ""},
			{"POST", "/acme/demo/users", "app", `{"username":"carol","nickname":"` + long + long + `"}`, 400, description("illegal_argument", "NICKNAME_TOO_LONG"), ""},
			{"POST", "/acme/demo/users", "app", `{"username":"carol","password":"` + long + `"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"POST", "/acme/demo/users", "app", `{"username":"carol","password":""}`, 400, description("illegal_argument", "password or pin must provided"), ""},
			{"POST", "/acme/demo/users", "app", `{"username":5}`, 400, invalidBody, ""},
			{"POST", "/acme/demo/users", "app", `[]`, 400, invalidBody, ""},
			{"POST", "/acme/demo/users", "app", `[7]`, 400, invalidBody, ""},
			{"POST", "/acme/demo/users", "app", `[{"username":"carol"},{}]`, 400, nameMissing, ""},
			{"GET", "/acme/demo/users/carol", "app", "", 404, noUser, ""},
		}},
		"several users are registered at once": {steps: []step{
			{"POST", "/acme/demo/users", "app", `[{"username":"U1"},{"username":"alice"},{"username":"b@d"},{"username":"u2","nickname":"Two"}]`, 200,
				`{"entities":[{"username":"u1"},{"username":"u2","nickname":"Two"}],
				  "data":[{"username":"alice","registerUserFailReason":"the alice already exists"},{"username":"b@d","registerUserFailReason":"username [b@d] is not legal"}]}`, ""},
			{"POST", "/acme/demo/users", "app", `[{"username":"u3"}]`, 200, `{"entities":[{"username":"u3"}]}`, ""},
			{"POST", "/acme/demo/users", "app", `[{"username":"alice"}]`, 400, `{"error":"duplicate_unique_property_exists"}`, ""},
			{"POST", "/acme/demo/users", "app", `[` + strings.Repeat(`{"username":"x"},`, 60) + `{"username":"x"}]`, 400, description("invalid_parameter", "usernames size is more than max limit : 60"), ""},
		}},
		"users are listed in pages, oldest first": {steps: []step{
			{"POST", "/acme/demo/users", "app", `[{"username":"u1"},{"username":"u2"},{"username":"u3"}]`, 200, "", ""},
			{"GET", "/acme/demo/users?limit=2", "app", "", 200, `{"count":2,"params":{"limit":["2"]},"entities":[{"username":"alice"},{"username":"bob"}]}`, ""},
			{"GET", "/acme/demo/users?&limit=2&cursor={cursor}", "app", "", 200, `{"count":2,"entities":[{"username":"u1"},{"username":"u2"}]}`, ""},
			{"GET", "/acme/demo/users?limit=2&cursor={cursor}", "app", "", 200, `{"count":1,"entities":[{"username":"u3"}]}`, ""},
			{"GET", "/acme/demo/users?limit=500", "app", "", 200, `{"count":5}`, ""},
			{"GET", "/acme/demo/users?limit=undefined&cursor=undefined&&_v=1", "app", "", 200, `{"count":5}`, ""},
			{"GET", "/acme/demo/users?limit=null&cursor=", "app", "", 200, `{"count":5}`, ""},
			{"GET", "/acme/demo/users?limit=0", "app", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users?limit=ten", "app", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users?cursor=-1", "app", "", 400, `{"error":"illegal_argument"}`, ""},
			{"GET", "/acme/demo/users?cursor=!", "app", "", 400, `{"error":"illegal_argument"}`, ""},
		}},
		"the oldest users are deleted": {steps: []step{
			{"POST", "/acme/demo/users", "app", `[{"username":"u1"},{"username":"u2"}]`, 200, "", ""},
			{"DELETE", "/acme/demo/users?limit=3", "app", "", 200, `{"count":3,"entities":[{"username":"alice"},{"username":"bob"},{"username":"u1"}]}`, ""},
			{"DELETE", "/acme/demo/users?limit=3&cursor={cursor}", "app", "", 200, `{"count":1,"entities":[{"username":"u2"}]}`, ""},
			{"GET", "/acme/demo/users", "app", "", 200, `{"count":0,"entities":[]}`, ""},
			{"DELETE", "/acme/demo/users?limit=all", "app", "", 400, "", ""},
			{"GET", "/acme/other/users/alice", "app", "", 401, otherApp, ""},
		}},
		"a user is read by itself and by the app only": {steps: []step{
			{"GET", "/acme/demo/users/alice", "app", "", 200, `{"count":1,"entities":[{"username":"alice","activated":true}]}`, ""},
			{"GET", "/acme/demo/users/alice", "signed:alice", "", 200, "", ""},
			{"GET", "/acme/demo/users/alice", "bob", "", 401, oauth, ""},
			{"GET", "/acme/demo/users/nobody", "app", "", 404, noUser, ""},
			{"GET", "/acme/demo/users/nobody", "bob", "", 401, oauth, ""},
		}},
		"a deleted user is gone, and the tokens too": {steps: []step{
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"secret"}`, 200, "", "t"},
			{"DELETE", "/acme/demo/users/alice", "app", "", 200, `{"entities":[{"username":"alice"}]}`, ""},
			{"DELETE", "/acme/demo/users/alice", "app", "", 404, noUser, ""},
			{"GET", "/acme/demo/users/alice", "$t", "", 404, description("entity_not_found", "User null not found"), ""},
			{"GET", "/acme/demo/users/alice", "signed:alice", "", 404, description("entity_not_found", "User null not found"), ""},
			{"POST", "/acme/demo/token", "signed:alice", `{"grant_type":"agora"}`, 404, description("entity_not_found", "User null not found"), ""},
			{"POST", "/acme/demo/users", "app", `{"username":"alice"}`, 200, "", ""},
			{"GET", "/acme/demo/users/alice", "$t", "", 404, "", ""},
		}},
		"a new password revokes what was before": {steps: []step{
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"secret"}`, 200, "", "t"},
			{"PUT", "/acme/demo/users/alice/password", "app", `{"newpassword":"new"}`, 200, `{"action":"set user password"}`, ""},
			{"GET", "/acme/demo/users/alice", "$t", "", 401, unknown, ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"secret"}`, 400, description("invalid_grant", "invalid password"), ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"new"}`, 200, "", ""},
			{"POST", "/acme/demo/users/alice/password", "app", `{"newpassword":"newer"}`, 200, "", ""},
			{"PUT", "/acme/demo/users/alice/password", "app", `{}`, 400, description("illegal_argument", "newpassword is required"), ""},
			{"PUT", "/acme/demo/users/alice/password", "app", `{"newpassword":"` + long + `"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"PUT", "/acme/demo/users/nobody/password", "app", `{"newpassword":"new"}`, 400, description("required_property_not_found", "Entity user requires a property named username"), ""},
			{"PUT", "/acme/demo/users/alice/password", "alice", `{"newpassword":"mine"}`, 401, corrupt, ""},
		}},
		"a banned user gets no token until the ban ends": {steps: []step{
			{"POST", "/acme/demo/users/alice/deactivate", "app", "", 200, `{"action":"Deactivate user","entities":[{"username":"alice","activated":false}]}`, ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"secret"}`, 400, description("invalid_grant", "user not activated"), ""},
			{"POST", "/acme/demo/token", "app", `{"grant_type":"inherit","username":"alice"}`, 400, description("invalid_grant", "user not activated"), ""},
			{"POST", "/acme/demo/token", "signed:alice", `{"grant_type":"agora"}`, 400, description("invalid_grant", "user not activated"), ""},
			{"GET", "/acme/demo/users/alice", "signed:alice", "", 400, description("invalid_grant", "user not activated"), ""},
			{"POST", "/acme/demo/users/alice/activate", "app", "", 200, `{"action":"activate user","entities":[{"activated":true}]}`, ""},
			{"POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"secret"}`, 200, "", ""},
			{"POST", "/acme/demo/users/nobody/deactivate", "app", "", 404, noUser, ""},
		}},
		"a nickname is set, and what is not kept is refused": {steps: []step{
			{"PUT", "/acme/demo/users/alice", "alice", `{"nickname":"Al <3"}`, 200, `{"entities":[{"username":"alice","nickname":"Al <3"}]}`, ""},
			{"PUT", "/acme/demo/users/alice", "app", `{"nickname":""}`, 200, `{"entities":[{"username":"alice"}]}`, ""},
			{"PUT", "/acme/demo/users/alice", "bob", `{"nickname":"Bob was here"}`, 401, oauth, ""},
			{"PUT", "/acme/demo/users/alice", "alice", `{"nickname":"a\u0000b"}`, 400, `{"error":"illegal_argument"}`, ""},
			{"PUT", "/acme/demo/users/alice", "alice", `{"token":"T","nickname":"Al","device":"D"}`, 400, description("invalid_parameter", "some of [device, token] are not valid fields"), ""},
			{"PUT", "/acme/demo/users/alice", "alice", `{}`, 400, invalidBody, ""},
			{"PUT", "/acme/demo/users/alice", "alice", `{"nickname":7}`, 400, invalidBody, ""},
			{"PUT", "/acme/demo/users/nobody", "app", `{"nickname":"N"}`, 404, noUser, ""},
		}},
		"statuses are told to the app": {steps: []step{
			{"POST", "/acme/demo/users/batch/status", "app", `{"usernames":["Alice","nobody","a\u0000b","bob"]}`, 200,
				`{"action":"get batch user status","data":[{"alice":"offline"},{"nobody":"offline"},{"a\u0000b":"offline"},{"bob":"offline"}]}`, ""},
			{"POST", "/acme/demo/users/batch/status", "app", `{"usernames":[]}`, 200, `{"data":[]}`, ""},
			{"POST", "/acme/demo/users/batch/status", "app", `{}`, 400, invalidBody, ""},
			{"POST", "/acme/demo/users/batch/status", "app", `{"usernames":"alice"}`, 400, invalidBody, ""},
			{"POST", "/acme/demo/users/batch/status", "app", `{"usernames":[` + many(101) + `]}`, 400, description("invalid_parameter", "usernames size is more than max limit : 100"), ""},
			{"POST", "/acme/demo/users/batch/status", "alice", `{"usernames":["alice"]}`, 401, corrupt, ""},
			{"GET", "/acme/demo/users/nobody/status", "app", "", 404, noUser, ""},
			{"GET", "/acme/demo/users/batch/status", "app", "", 404, noUser, ""},
			{"POST", "/acme/demo/users", "app", `{"username":"batch"}`, 200, "", ""},
			{"GET", "/acme/demo/users/batch/status", "app", "", 200, `{"data":{"batch":"offline"}}`, ""},
		}},
		"who is not online cannot be disconnected from a device": {steps: []step{
			{"GET", "/acme/demo/users/alice/resources", "alice", "", 200, `{"data":[]}`, ""},
			{"GET", "/acme/demo/users/alice/disconnect", "app", "", 200, `{"data":{"result":true}}`, ""},
			{"POST", "/acme/demo/users/nobody/disconnect", "app", "", 404, noUser, ""},
			{"DELETE", "/acme/demo/users/alice/disconnect/webim_web_1", "app", "", 404, `{"error":"resource_not_found"}`, ""},
		}},
		"settings are read and changed one by one": {steps: []step{
			{"GET", "/acme/demo/settings", "app", "", 200, `{"data":{"serving":true,"multi_device":true,"max_devices_per_platform":4,"allowed_origins":[],"dynamic_tokens":false}}`, ""},
			{"PUT", "/acme/demo/settings", "app", `{"max_devices_per_platform":2}`, 200, `{"action":"put","data":{"serving":true,"max_devices_per_platform":2}}`, ""},
			{"GET", "/acme/demo/settings", "signed:app", "", 200, `{"data":{"max_devices_per_platform":2}}`, ""},
			{"PUT", "/acme/demo/settings", "app", `{"no_such":1,"Serving":false}`, 400, description("invalid_parameter", "some of [Serving, no_such] are not valid fields"), ""},
			{"PUT", "/acme/demo/settings", "app", `{"max_devices_per_platform":"2"}`, 400, invalidBody, ""},
			{"PUT", "/acme/demo/settings", "app", `{"max_devices_per_platform":1.5}`, 400, invalidBody, ""},
			{"PUT", "/acme/demo/settings", "app", `{"max_devices_per_platform":0}`, 400, description("invalid_parameter", "max_devices_per_platform must be 1 to 100"), ""},
			{"PUT", "/acme/demo/settings", "app", `[]`, 400, invalidBody, ""},
			{"PUT", "/acme/demo/settings", "app", `{} {}`, 400, `{"error":"json_parse"}`, ""},
			{"PUT", "/acme/demo/settings", "app", `{"allowed_origins":null}`, 200, `{"data":{"allowed_origins":[]}}`, ""},
			{"PUT", "/acme/demo/settings", "alice", `{"serving":false}`, 401, corrupt, ""},
			{"GET", "/acme/other/settings", "app", "", 401, otherApp, ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.settings != "" {
				w.set(test.settings)
			}
			var last reply
			for _, s := range test.steps {
				cursor, _ := last.object["cursor"].(string)
				path := strings.NewReplacer("{id}", w.app.AgoraID, "{cursor}", cursor).Replace(s.path)
				last = w.send(s.method, path, w.bearer(s.as), s.body)
				if last.status != s.status {
					t.Fatalf("%s %s %.200s: %d %s, want %d", s.method, path, s.body, last.status, last.text, s.status)
				}
				if s.want != "" {
					if diff := holds(last.object, s.want); diff != "" {
						t.Errorf("%s %s %.200s: %s\nin %s", s.method, path, s.body, diff, last.text)
					}
				}
				if s.save != "" {
					w.saved[s.save], _ = last.object["access_token"].(string)
				}
				if strings.Contains(last.text, "argon2") || strings.Contains(last.text, `"password"`) {
					t.Errorf("%s %s: the answer shows a password: %s", s.method, path, last.text)
				}
			}
			if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestTheLastPageHasNoCursor(t *testing.T) {
	w := newWorld(t)
	for limit, want := range map[int]bool{1: true, 2: false, 3: false} {
		_, got := w.send("GET", fmt.Sprintf("/acme/demo/users?limit=%d", limit), w.bearer("app"), "").object["cursor"]
		if got != want {
			t.Errorf("limit %d of 2 users: cursor %v, want %v", limit, got, want)
		}
	}
}

func TestADuplicateNamesTheApplicationAndTheUser(t *testing.T) {
	w := newWorld(t)
	got := w.send("POST", "/acme/demo/users", w.bearer("app"), `{"username":"Alice"}`)
	want := "Application " + w.app.UUID + " Entity user requires that property named username be unique, value of alice exists"
	if got.status != 400 || got.object["error_description"] != want {
		t.Errorf("got %d %s, want %s", got.status, got.text, want)
	}
}

func TestTheEnvelopeOfSuccess(t *testing.T) {
	w := newWorld(t)
	before := w.clock.Now().UnixMilli()
	got := w.send("GET", "/acme/demo/users/alice?_v=1", w.bearer("app"), "", "Host", "chat.example:8443").object
	stamp, _ := got["timestamp"].(float64)
	if int64(stamp) < before || int64(stamp) > w.clock.Now().UnixMilli() {
		t.Errorf("timestamp %v", got["timestamp"])
	}
	if _, ok := got["duration"].(float64); !ok {
		t.Errorf("duration %v", got["duration"])
	}
	alice := w.user("alice")
	delete(got, "timestamp")
	delete(got, "duration")
	want := map[string]any{
		"action": "get", "application": w.app.UUID, "applicationName": "demo", "organization": "acme", "path": "/users", "count": 1.0,
		"uri": "http://chat.example:8443/acme/demo/users/alice", "params": map[string]any{"_v": []any{"1"}},
		"entities": []any{map[string]any{"uuid": alice.UUID, "type": "user", "created": float64(alice.Created), "modified": float64(alice.Modified),
			"username": "alice", "activated": true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDevicesAreListedAndSeenOnline(t *testing.T) {
	w := newWorld(t)
	w.connect("alice", "webim_web_1")
	w.connect("alice", "ios_2")
	got := w.send("GET", "/acme/demo/users/alice/resources", w.bearer("alice"), "")
	want := `{"data":[{"res":"webim_web_1","device_uuid":"uuid-webim_web_1","device_name":"device webim_web_1"},{"res":"ios_2"}]}`
	if diff := holds(got.object, want); diff != "" {
		t.Error(diff)
	}
	for path, want := range map[string]string{
		"/acme/demo/users/alice/status": `{"data":{"alice":"online"}}`,
		"/acme/demo/users/bob/status":   `{"data":{"bob":"offline"}}`,
	} {
		if diff := holds(w.send("GET", path, w.bearer("app"), "").object, want); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	got = w.send("POST", "/acme/demo/users/batch/status", w.bearer("app"), `{"usernames":["bob","alice"]}`)
	if diff := holds(got.object, `{"data":[{"bob":"offline"},{"alice":"online"}]}`); diff != "" {
		t.Error(diff)
	}
}

func TestCallsThatEndSessions(t *testing.T) {
	const (
		kicked  = int32(msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE)
		changed = int32(msync.StatisticsBody_USER_KICKED_BY_CHANGE_PASSWORD)
		removed = int32(msync.StatisticsBody_USER_REMOVED)
	)
	for _, test := range []struct {
		method, path, as, body string
		phone, laptop          []int32
	}{
		{"GET", "/users/alice/disconnect", "app", "", []int32{kicked}, []int32{kicked}},
		{"POST", "/users/Alice/disconnect", "app", "", []int32{kicked}, []int32{kicked}},
		{"DELETE", "/users/alice/disconnect/webim_web_phone", "app", "", []int32{kicked}, nil},
		{"GET", "/users/alice/disconnect/webim_web_phone", "app", "", []int32{kicked}, nil},
		{"DELETE", "/users/alice/disconnect/webim_web_phone", "alice", "", []int32{kicked}, nil},
		{"DELETE", "/users/alice/disconnect/webim%5Fweb%5Fphone", "app", "", []int32{kicked}, nil},
		{"DELETE", "/users/alice", "app", "", []int32{removed}, []int32{removed}},
		{"PUT", "/users/alice/password", "app", `{"newpassword":"new"}`, []int32{changed}, []int32{changed}},
		{"POST", "/users/alice/deactivate", "app", "", []int32{kicked}, []int32{kicked}},
		{"POST", "/users/alice/activate", "app", "", nil, nil},
		{"PUT", "/users/alice", "app", `{"nickname":"Al"}`, nil, nil},
	} {
		t.Run(test.method+" "+strings.ReplaceAll(test.path, "%", "")+" as "+test.as, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			phone, laptop, bob := w.connect("alice", "webim_web_phone"), w.connect("alice", "webim_web_laptop"), w.connect("bob", "webim_web_1")
			if got := w.send(test.method, "/acme/demo"+test.path, w.bearer(test.as), test.body); got.status != 200 {
				t.Fatalf("%d %s", got.status, got.text)
			}
			if diff := cmp.Diff([][]int32{test.phone, test.laptop, nil}, [][]int32{phone.kicked(), laptop.kicked(), bob.kicked()}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAskingForTheEndOfATokenTakesItUp(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.connect("alice", "webim_web_1"), w.connect("bob", "webim_web_1")
	end := w.clock.Now().Add(time.Hour)
	for _, as := range []string{"Bearer " + w.issued(w.app, "alice", time.Hour, nil), w.bearer("alice"), w.bearer("signed:alice")} {
		got := w.send("GET", "/acme/demo/sdk/users/Alice/token/expires", as, "")
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.text)
		}
		said, _ := got.object["expire_timestamp"].(float64)
		until := alice.extended()
		taken := until[len(until)-1]
		if taken == 0 {
			taken = neverTimestamp
		}
		if int64(said) != taken || said < float64(end.Add(-time.Minute).UnixMilli()) {
			t.Errorf("said %v, taken up until %v", got.object["expire_timestamp"], taken)
		}
	}
	if got := w.send("GET", "/acme/demo/sdk/users/alice/token/expires", w.bearer("app"), ""); got.status != 200 {
		t.Errorf("app token: %d %s", got.status, got.text)
	}
	for _, as := range []string{"bob", "Bearer garbage", "Bearer " + w.issued(w.app, "alice", -time.Hour, nil)} {
		if got := w.send("GET", "/acme/demo/sdk/users/alice/token/expires", w.bearer(as), ""); got.status != 401 {
			t.Errorf("%.20s: %d %s", as, got.status, got.text)
		}
	}
	if len(alice.extended()) != 3 || len(bob.extended()) != 0 {
		t.Errorf("alice was extended %v, bob %v", alice.extended(), bob.extended())
	}
}

func TestAnExchangeTakesUpTheNewToken(t *testing.T) {
	w := newWorld(t)
	alice := w.connect("alice", "webim_web_1")
	got := w.send("POST", "/acme/demo/token", w.bearer("signed:alice"), `{"grant_type":"agora","ttl":3600}`)
	said, _ := got.object["expire_timestamp"].(float64)
	if diff := cmp.Diff([]int64{int64(said)}, alice.extended()); diff != "" || got.status != http.StatusOK {
		t.Errorf("%d %s: %s", got.status, got.text, diff)
	}
}

func TestDiscoveryTellsTheAddressThatWasAsked(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		query  string
		trust  bool
		header []string
		want   string
	}{
		"by app key":                   {"app_key=acme%23demo&_v=1", false, []string{"Host", "chat.example:8080"}, `{"protocol":"http","domain":"chat.example","ip":"","port":"8080"}`},
		"by app key, escaped twice":    {"app_key=acme%2523demo", false, []string{"Host", "chat.example"}, `{"protocol":"http","domain":"chat.example","ip":"","port":"80"}`},
		"by App ID":                    {"app_id=" + w.app.AgoraID + "&sdk_version=4.10.0&file_version=1", false, []string{"Host", "[::1]:8080"}, `{"protocol":"http","domain":"[::1]","port":"8080"}`},
		"a proxy is not believed":      {"app_key=acme%23demo", false, []string{"Host", "a:1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "b"}, `{"protocol":"http","domain":"a","port":"1"}`},
		"a trusted proxy is":           {"app_key=acme%23demo", true, []string{"Host", "a:1", "X-Forwarded-Proto", "HTTPS, http", "X-Forwarded-Host", "b, c"}, `{"protocol":"https","domain":"b","port":"443"}`},
		"odd words of a proxy are not": {"app_key=acme%23demo", true, []string{"Host", "a:1", "X-Forwarded-Proto", "gopher"}, `{"protocol":"http","domain":"a","port":"1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w.api.TrustProxy = test.trust
			got := w.send("GET", "/easemob/server.json?"+test.query, "", "", test.header...)
			want := fmt.Sprintf(`{"app_key":"acme#demo","deploy_name":"stoa","file_version":"1","uploadinparts_enable":"false","rest":{"hosts":[%[1]s]},"msync-wx":{"hosts":[%[1]s]}}`, test.want)
			if diff := holds(got.object, want); diff != "" {
				t.Errorf("%s in %s", diff, got.text)
			}
		})
	}
	for _, path := range []string{"/easemob/server.json", "/easemob/server.json?app_key=acme%23none", "/easemob/server.json?app_id=0", "/easemob/server.json?app_key=undefined"} {
		got := w.send("GET", path, "", "")
		if diff := holds(got.object, `{"error":"organization_application_not_found"}`); got.status != 404 || diff != "" {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
	if got := w.send("GET", "/easemob/other.json?app_key=acme%23demo", "", ""); got.status != 404 {
		t.Errorf("other.json: %d", got.status)
	}
}
