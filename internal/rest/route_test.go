package rest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func nothing(context.Context, *Call) (Answer, error) { return Answer{}, nil }

// TestPatternsThatOverlap has those of docs/protocol/sdk-rest.md §1.10, which http.ServeMux refuses.
func TestPatternsThatOverlap(t *testing.T) {
	tree := newNode()
	for _, pattern := range []string{
		"GET /chatgroups/user/{user}", "GET /chatgroups/user/{user}/joined_count",
		"GET /chatgroups/{group}", "PUT /chatgroups/{group}", "GET /chatgroups/{group}/admin", "GET /chatgroups/{group}/announcement",
		"GET /chatgroups/{group}/mute", "POST /chatgroups/{group}/mute", "GET /chatgroups/{group}/share_files", "GET /chatgroups/{group}/users",
		"GET /chatgroups/{group}/acks/{message}", "GET /chatgroups/{group}/share_files/{file}", "DELETE /chatgroups/{group}/users/{names}",
		"POST /users/{user}/presence/{expiry}", "POST /users/{user}/presence/{resource}/1", "GET /users/{user}/presence/sublist",
	} {
		method, path, _ := strings.Cut(pattern, " ")
		tree.add(&Route{Method: method, Pattern: path, Access: Anyone, Handle: nothing})
	}
	for request, want := range map[string]string{
		"GET /chatgroups/user/alice":                 "GET /chatgroups/user/{user} [alice]",
		"GET /chatgroups/user/admin":                 "GET /chatgroups/user/{user} [admin]",
		"GET /chatgroups/user/alice/joined_count":    "GET /chatgroups/user/{user}/joined_count [alice]",
		"GET /chatgroups/1":                          "GET /chatgroups/{group} [1]",
		"GET /chatgroups/1/admin":                    "GET /chatgroups/{group}/admin [1]",
		"POST /chatgroups/1/mute":                    "POST /chatgroups/{group}/mute [1]",
		"GET /chatgroups/1/acks/2":                   "GET /chatgroups/{group}/acks/{message} [1 2]",
		"GET /chatgroups/1/share_files/2":            "GET /chatgroups/{group}/share_files/{file} [1 2]",
		"DELETE /chatgroups/1/users/bob,carol":       "DELETE /chatgroups/{group}/users/{names} [1 bob,carol]",
		"GET /chatgroups/user":                       "GET /chatgroups/{group} [user]",
		"POST /chatgroups/user/mute":                 "POST /chatgroups/{group}/mute [user]",
		"PUT /chatgroups/1/admin":                    "none GET",
		"POST /chatgroups/user/bob":                  "none GET",
		"GET /chatgroups":                            "none ",
		"GET /chatgroups/1/nothing":                  "none ",
		"POST /users/alice/presence/3600":            "POST /users/{user}/presence/{expiry} [alice 3600]",
		"POST /users/alice/presence/webim_1/1":       "POST /users/{user}/presence/{resource}/1 [alice webim_1]",
		"POST /users/alice/presence/sublist":         "POST /users/{user}/presence/{expiry} [alice sublist]",
		"GET /users/alice/presence/sublist":          "GET /users/{user}/presence/sublist [alice]",
		"GET /users/alice/presence/3600":             "none POST",
		"GET /chatgroups/1/users/bob/and/more/of/it": "none ",
	} {
		method, path, _ := strings.Cut(request, " ")
		allow := map[string]bool{}
		route, values := tree.find(method, strings.Split(path[1:], "/"), nil, allow)
		got := route.String() + " [" + strings.Join(values, " ") + "]"
		if route == nil {
			got = "none " + strings.Join(slices.Sorted(maps.Keys(allow)), " ")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
}

func TestTheTableRefusesSlips(t *testing.T) {
	for name, routes := range map[string][]Route{
		"no access":                   {{Method: "GET", Pattern: "/a", Handle: nothing}},
		"self without a user":         {{"GET", "/a/{name}", AppOrSelf, nothing}},
		"the same route twice":        {{"GET", "/a", Anyone, nothing}, {"GET", "/a", AppToken, nothing}},
		"the same under another name": {{"GET", "/a/{x}", Anyone, nothing}, {"GET", "/a/{y}", Anyone, nothing}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was accepted")
				}
			}()
			(&API{tree: newNode()}).add(routes...)
		})
	}
}

func TestTheTable(t *testing.T) {
	var got []string
	for _, r := range newWorld(t).api.Routes() {
		got = append(got, r.String()+" "+r.Access.String())
	}
	slices.Sort(got)
	want := []string{
		"DELETE /contacts/users/{user} AppToken",
		"DELETE /metadata/user/{user} AppToken",
		"DELETE /reaction/user/{user} AppOrSelf",
		"DELETE /rehearsals AppToken",
		"DELETE /rehearsals/{rehearsal} AppToken",
		"DELETE /rest/message/roaming/chat/user/{user} AppOrSelf",
		"DELETE /rest/message/roaming/chat/user/{user}/time AppOrSelf",
		"DELETE /rest/message/roaming/group/user/{user} AppOrSelf",
		"DELETE /rest/message/roaming/group/user/{user}/time AppOrSelf",
		"DELETE /sdk/chatfiles/part-upload/{file} AnyToken",
		"DELETE /sdk/message/roaming/chat/user/{user} AppOrSelf",
		"DELETE /sdk/message/roaming/chat/user/{user}/time AppOrSelf",
		"DELETE /sdk/message/roaming/group/user/{user} AppOrSelf",
		"DELETE /sdk/message/roaming/group/user/{user}/time AppOrSelf",
		"DELETE /sdk/user/{user}/blocks AppOrSelf",
		"DELETE /sdk/user/{user}/user_channel/pin AppOrSelf",
		"DELETE /sdk/user/{user}/user_channel/top AppOrSelf",
		"DELETE /sdk/user/{user}/user_channels/mark AppOrSelf",
		"DELETE /user/{user}/user_channel AppOrSelf",
		"DELETE /users AppToken",
		"DELETE /users/{user} AppToken",
		"DELETE /users/{user}/blocks/users/{friend} AppOrSelf",
		"DELETE /users/{user}/contacts/users/{friend} AppOrSelf",
		"DELETE /users/{user}/disconnect/{resource} AppOrSelf",
		"DELETE /users/{user}/presence AppOrSelf",
		"DELETE /users/{user}/user_channel AppOrSelf",
		"GET /chatfiles/{file} Anyone",
		"GET /chatgroups/{place}/acks/{message} AnyToken",
		"GET /easemob/server.json Anyone",
		"GET /metadata/user/capacity AppToken",
		"GET /metadata/user/{user} AnyToken",
		"GET /moderation/reports AppToken",
		"GET /reaction/user/{user} AppOrSelf",
		"GET /reaction/user/{user}/detail AppOrSelf",
		"GET /rehearsals AppToken",
		"GET /sdk/user/{user}/user_channel/pin AppOrSelf",
		"GET /sdk/user/{user}/user_channels/list AppOrSelf",
		"GET /sdk/user/{user}/user_channels/mark/search AppOrSelf",
		"GET /sdk/users/{user}/token/expires AppOrSelf",
		"GET /presence/online/{place}/type/{type} AppToken",
		"GET /settings AppToken",
		"GET /translate/support/language AppToken",
		"GET /user/{user}/contacts AppOrSelf",
		"GET /user/{user}/user_channels AppOrSelf",
		"GET /users AppToken",
		"GET /users/{user} AppOrSelf",
		"GET /users/{user}/blocks/users AppOrSelf",
		"GET /users/{user}/contacts AppOrSelf",
		"GET /users/{user}/contacts/users AppOrSelf",
		"GET /users/{user}/disconnect AppToken",
		"GET /users/{user}/disconnect/{resource} AppOrSelf",
		"GET /users/{user}/messages/search AppOrSelf",
		"GET /users/{user}/notification AppOrSelf",
		"GET /users/{user}/notification/chatgroup/{group} AppOrSelf",
		"GET /users/{user}/notification/language AppOrSelf",
		"GET /users/{user}/notification/mute/type AppOrSelf",
		"GET /users/{user}/notification/user/{peer} AppOrSelf",
		"GET /users/{user}/presence/sublist AppOrSelf",
		"GET /users/{user}/push/binding AppOrSelf",
		"GET /users/{user}/resources AppOrSelf",
		"GET /users/{user}/status AppOrSelf",
		"GET /users/{user}/token/rtc AppOrSelf",
		"GET /users/{user}/translate/support/language AppOrSelf",
		"GET /users/{user}/user_channels AppOrSelf",
		"GET /users/{user}/user_channels/page AppOrSelf",
		"HEAD /chatfiles/{file} Anyone",
		"POST /chatfiles AnyToken",
		"POST /metadata/user/get AnyToken",
		"POST /reaction/user/{user} AppOrSelf",
		"POST /rehearsals AppToken",
		"POST /rehearsals/clock AppToken",
		"POST /rest/message/roaming/chat/user/{user}/time AppOrSelf",
		"POST /rest/message/roaming/group/user/{user}/time AppOrSelf",
		"POST /rest/message/roaming/user/{user}/delete/all AppOrSelf",
		"POST /rtc_mapper/batch/get AnyToken",
		"POST /sdk/chatfiles/part-upload AnyToken",
		"POST /sdk/chatfiles/part-upload/{file} AnyToken",
		"POST /sdk/message/roaming/chat/user/{user}/time AppOrSelf",
		"POST /sdk/message/roaming/group/user/{user}/time AppOrSelf",
		"POST /sdk/message/roaming/user/{user}/delete/all AppOrSelf",
		"POST /sdk/user/{user}/blocks AppOrSelf",
		"POST /sdk/user/{user}/user_channel/pin AppOrSelf",
		"POST /sdk/user/{user}/user_channel/top AppOrSelf",
		"POST /sdk/user/{user}/user_channels/mark AppOrSelf",
		"GET /chatmessages/{hour} AppToken",
		"GET /chatmessages/{hour}/file Anyone",
		"POST /messages AppToken",
		"POST /messages/chatgroups AppToken",
		"POST /messages/chatgroups/import AppToken",
		"POST /messages/chatgroups/users AppToken",
		"POST /messages/chatrooms AppToken",
		"POST /messages/chatrooms/users AppToken",
		"POST /messages/msg_recall AppToken",
		"POST /messages/recall AppToken",
		"POST /messages/users AppToken",
		"POST /messages/users/import AppToken",
		"PUT /messages/rewrite/{message} AppToken",
		"POST /token Anyone",
		"POST /messages/batch_recall AppToken",
		"POST /messages/broadcast AppToken",
		"POST /messages/users/broadcast AppToken",
		"POST /stream_message/user AppToken",
		"POST /stream_message/chatgroup AppToken",
		"POST /token/users/{user}/invalid AppToken",
		"POST /users/{user}/contacts/import AppToken",
		"POST /contacts/check AppToken",
		"POST /blocks/check AppToken",
		"GET /users/{user}/rosters AppOrSelf",
		"GET /users/{user}/offline_msg_count AppOrSelf",
		"GET /users/{user}/offline_msg_status/{message} AppOrSelf",
		"POST /translate AppToken",
		"POST /user/{user}/moderation/report/message/{message} AppOrSelf",
		"POST /users AppOrOpen",
		"POST /users/batch/status AppToken",
		"POST /users/{user}/activate AppToken",
		"POST /users/{user}/blocks/users AppOrSelf",
		"POST /users/{user}/chatfiles/lifetime AppToken",
		"POST /users/{user}/contacts/accept/users/{friend} AppOrSelf",
		"POST /users/{user}/contacts/apply AppOrSelf",
		"POST /users/{user}/contacts/decline/users/{friend} AppOrSelf",
		"POST /users/{user}/contacts/users/{friend} AppToken",
		"POST /users/{user}/deactivate AppToken",
		"POST /users/{user}/disconnect AppToken",
		"POST /users/{user}/messageroaming AppOrSelf",
		"POST /users/{user}/password AppToken",
		"POST /users/{user}/presence AppOrSelf",
		"POST /users/{user}/presence/{expiry} AppOrSelf",
		"POST /users/{user}/presence/{resource}/{status} AppOrSelf",
		"POST /users/{user}/translate AppOrSelf",
		"PUT /metadata/user/{user} AppOrSelf",
		"PUT /sdk/chatfiles/part-upload/{file} AnyToken",
		"PUT /settings AppToken",
		"PUT /user/{user}/contacts/users/{friend} AppOrSelf",
		"PUT /users/{user} AppOrSelf",
		"PUT /users/{user}/contacts/users/{friend} AppOrSelf",
		"PUT /users/{user}/notification/chatgroup/{group} AppOrSelf",
		"PUT /users/{user}/notification/language AppOrSelf",
		"PUT /users/{user}/notification/user/{peer} AppOrSelf",
		"PUT /users/{user}/password AppToken",
		"DELETE /notification/template/{name} AppToken",
		"DELETE /push/label/{label} AppToken",
		"DELETE /push/label/{label}/user AppToken",
		"GET /notification/template/{name} AppToken",
		"GET /push/label AppToken",
		"GET /push/label/{label} AppToken",
		"GET /push/label/{label}/user AppToken",
		"GET /push/label/{label}/user/{member} AppToken",
		"POST /notification/template AppToken",
		"POST /push/label AppToken",
		"POST /push/label/{label}/user AppToken",
		"POST /push/list/label AppToken",
		"POST /push/single AppToken",
		"POST /push/sync/{member} AppToken",
		"POST /push/task AppToken",
		"PUT /push/nickname AppToken",
		"PUT /users/{user}/notification/template AppOrSelf",
		"PUT /users/{user}/push/binding AppOrSelf",

		"DELETE /callbacks/post/{rule} AppToken",
		"DELETE /callbacks/pre/{rule} AppToken",
		"DELETE /moderation/matches/{match} AppToken",
		"DELETE /moderation/rules/{rule} AppToken",
		"GET /callbacks/dead AppToken",
		"GET /callbacks/post AppToken",
		"GET /callbacks/pre AppToken",
		"GET /callbacks/storage/info AppToken",
		"GET /moderation/matches AppToken",
		"GET /moderation/rules AppToken",
		"GET /mutes AppToken",
		"GET /mutes/{user} AppToken",
		"POST /callbacks/dead/replay AppToken",
		"POST /callbacks/storage/retry AppToken",
		"POST /mutes AppToken",
		"PUT /callbacks/post/{rule} AppToken",
		"PUT /callbacks/pre/{rule} AppToken",
		"PUT /moderation/rules/{rule} AppToken",
	}
	want = append(want, placeTable()...)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
