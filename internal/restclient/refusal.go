package restclient

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
)

// Body is the server's form of an error.
type Body struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Detail      string `json:"desc"`
	Exception   string `json:"exception"`
	Code        int    `json:"error_code"`
	Result      any    `json:"result"`
}

// restRule maps an HTTP answer to a code; its parts that are zero match anything.
type restRule struct {
	status    int
	codes     []int
	slug      string
	exact     string   // the whole description, blanks around it left out
	parts     []string // all of them in the description
	exception string
	result    string
	becomes   errcode.Code
	// room takes the place of becomes where the address is not that of a group; zero: it makes no difference.
	room errcode.Code
}

// restRules are those of docs/protocol/sdk-rest.md 1.6.1, tried from top to bottom; what matches none is 17.
var restRules = []restRule{
	{status: 400, codes: []int{40002}, becomes: errcode.ThreadAlreadyExist},
	{status: 400, codes: []int{40009}, becomes: errcode.OperationUnsupported},
	{status: 400, codes: []int{60005}, becomes: errcode.GroupMemberAttributesFailed},
	{status: 400, codes: []int{60010}, parts: []string{"exceeds chatgroup user metadata single value limit"}, becomes: errcode.MaxLimit},
	{status: 400, codes: []int{60010}, becomes: errcode.NoPermission},
	{status: 400, codes: []int{60011}, becomes: errcode.ChatroomNotJoined},
	{status: 400, codes: []int{14403}, becomes: errcode.UploadFailed},
	{status: 400, codes: []int{60006, 60007, 60009, 60012}, becomes: errcode.MaxLimit},
	{status: 400, codes: []int{91104}, becomes: errcode.NoPermission},
	{status: 400, parts: []string{"are not members of this group"}, becomes: errcode.GroupNotJoined, room: errcode.ChatroomNotJoined},
	{status: 400, result: "the app not open presence", becomes: errcode.ServiceNotEnabled},
	{status: 400, parts: []string{"remark length must less"}, becomes: errcode.MaxLimit},
	{status: 400, exact: "the user is already operation this message", becomes: errcode.ReactionAlreadyAdded},
	{status: 400, exact: "The quantity has exceeded the limit!", becomes: errcode.MaxLimit},
	{status: 400, exact: "The user not in this group!", becomes: errcode.GroupNotJoined},
	{status: 400, exact: "the user operation is illegal!", becomes: errcode.ReactionIllegal},
	{status: 400, exact: "this appKey is not open reaction service!", becomes: errcode.ServiceNotEnabled},
	{status: 400, exact: "this appKey not open message roaming", becomes: errcode.ServiceNotEnabled},
	{status: 400, exact: "this message is creating reaction, please try again.", becomes: errcode.ReactionCreating},
	{status: 400, exact: "groupId can not be null!", becomes: errcode.GroupNotExist},
	{status: 400, exact: "The input text is too long.", becomes: errcode.TranslationTooLong},
	{status: 400, exact: "The target language is not valid.", becomes: errcode.TranslationNotValid},
	{status: 400, exact: "report failed, get message by id failed", becomes: errcode.MessageNotFound},
	{status: 400, exact: "ext is too big", becomes: errcode.PresenceTooLong},
	{status: 400, exact: "Request body not readable.Please check content type is correct!", becomes: errcode.InvalidParameter},
	{status: 400, exact: "param mark must be not empty, please check!", becomes: errcode.InvalidParameter},
	{status: 400, exact: "param mark illegal, please check it!", becomes: errcode.InvalidParameter},
	{status: 400, exact: "param pin_msg_id illegal, please check it!", becomes: errcode.InvalidParameter},
	{status: 400, exact: "updateRemark | they are not friends, please add as a friend first.", becomes: errcode.UserNotFriend},
	{status: 401, codes: []int{40001, 60001}, becomes: errcode.NoPermission},
	{status: 401, exact: "Unable to authenticate (OAuth)", becomes: errcode.NoPermission},
	{status: 403, codes: []int{40000, 60004, 15002}, becomes: errcode.ServiceNotEnabled},
	{status: 403, codes: []int{40003, 40004}, becomes: errcode.ThreadAlreadyExist},
	{status: 403, codes: []int{40005, 40007, 91002, 91101}, becomes: errcode.MaxLimit},
	{status: 403, codes: []int{60002}, becomes: errcode.PermissionDenied},
	{status: 403, codes: []int{91102}, becomes: errcode.InvalidParameter},
	{status: 403, exact: "group member list is full!", becomes: errcode.GroupMembersFull, room: errcode.ChatroomMembersFull},
	{status: 403, parts: []string{"invite users to join group failed", "already in group"}, becomes: errcode.GroupAlreadyJoined},
	{status: 403, parts: []string{"are not members of this group"}, becomes: errcode.GroupNotJoined, room: errcode.ChatroomNotJoined},
	{status: 403, parts: []string{"service not open!"}, becomes: errcode.ServiceNotEnabled},
	{status: 403, parts: []string{"message report not open"}, becomes: errcode.ServiceNotEnabled},
	{status: 403, parts: []string{"messageroaming function not open"}, becomes: errcode.ServiceNotEnabled},
	{status: 403, parts: []string{"members size is greater than max user size !"}, becomes: errcode.GroupMembersLimit},
	{status: 403, parts: []string{"can not operate this group, reason: group is disabled"}, becomes: errcode.GroupDisabled},
	{status: 403, parts: []string{"Invitee's contact max count"}, becomes: errcode.MaxLimit},
	{status: 403, parts: []string{"Inviter's contact max count"}, becomes: errcode.MaxLimit},
	{status: 403, becomes: errcode.PermissionDenied},
	{status: 404, slug: "organization_application_not_found", becomes: errcode.InvalidAppKey},
	{status: 404, codes: []int{40011}, becomes: errcode.ThreadNotExist},
	{status: 404, codes: []int{40012}, becomes: errcode.NoPermission},
	{status: 404, codes: []int{60003, 20004}, becomes: errcode.GroupNotJoined},
	{status: 404, codes: []int{91001}, becomes: errcode.ConversationNotExist},
	{status: 404, parts: []string{"do not find this group"}, becomes: errcode.GroupNotExist, room: errcode.ChatroomNotExist},
	{status: 404, parts: []string{"does not exist"}, becomes: errcode.GroupNotExist, room: errcode.ChatroomNotExist},
	{status: 404, parts: []string{"username", "doesn't exist!'"}, becomes: errcode.UserNotFound},
	{status: 404, parts: []string{"user not found"}, becomes: errcode.UserNotFound},
	{status: 404, parts: []string{"Service resource not found"}, exception: "UserNotFoundException", becomes: errcode.UserNotFound},
	{status: 404, parts: []string{"user session pin message not exist"}, becomes: errcode.MessageNotFound},
	{status: 406, codes: []int{90004}, becomes: errcode.OperationNotAllowed},
	{status: 429, parts: []string{"The request has reached the maximum limit"}, becomes: errcode.MaxLimit},
	{status: 429, parts: []string{"upload client logs reached limit"}, becomes: errcode.MaxLimit},
	{status: 429, becomes: errcode.ServerBusy},
	{status: 503, parts: []string{"The request has reached the maximum limit"}, becomes: errcode.MaxLimit},
	{status: 503, parts: []string{"upload client logs reached limit"}, becomes: errcode.MaxLimit},
	{status: 503, becomes: errcode.ServerBusy},
	{status: 500, codes: []int{40006, 40008, 40010}, becomes: errcode.ServerUnknownError},
	{status: 500, codes: []int{90005, 99999}, becomes: errcode.RequestUnknown},
	{status: 500, parts: []string{"translte failed!"}, becomes: errcode.TranslationFailed}, // the protocol's spelling
	{status: 500, parts: []string{"translate failed!"}, becomes: errcode.TranslationFailed},
}

func (r restRule) matches(status int, b Body) bool {
	return r.status == status &&
		(len(r.codes) == 0 || slices.Contains(r.codes, b.Code)) &&
		(r.slug == "" || r.slug == b.Error) &&
		(r.exact == "" || r.exact == strings.TrimSpace(b.Description)) &&
		(r.exception == "" || r.exception == b.Exception) &&
		(r.result == "" || r.result == b.Result) &&
		!slices.ContainsFunc(r.parts, func(part string) bool { return !strings.Contains(b.Description, part) })
}

// Refusal is the error of an answer other than 200.
func Refusal(op string, resp *http.Response, text []byte) *errcode.Error {
	var b Body
	_ = json.Unmarshal(text, &b) // a body that is not the server's matches by status alone
	code := errcode.RequestFailed
	if i := slices.IndexFunc(restRules, func(r restRule) bool { return r.matches(resp.StatusCode, b) }); i >= 0 {
		code = restRules[i].becomes
		if restRules[i].room != 0 && !ofGroup(resp.Request) {
			code = restRules[i].room
		}
	}
	e := Fail(code, op, cmp.Or(b.Detail, b.Description, http.StatusText(resp.StatusCode)), nil)
	e.RequestID = resp.Header.Get("X-Request-Id")
	e.Data = map[string]any{"http_status": resp.StatusCode, "body": string(text)}
	if after := resp.Header.Get("Retry-After"); after != "" {
		e.Data["retry_after"] = after
	}
	return e
}

// ofGroup reports whether the address of a request is about a group: else the same words are about a chatroom.
func ofGroup(r *http.Request) bool {
	return r != nil && slices.ContainsFunc(strings.Split(r.URL.Path, "/"), func(segment string) bool {
		return segment == "chatgroups" || segment == "chatgroup"
	})
}

// attributeRules hold the reasons for which a chatroom's attribute was not changed; what contains none of them is 17.
var attributeRules = []struct {
	part    string
	becomes errcode.Code
}{
	{"is not part of you", errcode.NoPermission},
	{"size of metadata for this single chatroom exceeds the user defined limit", errcode.MaxLimit},
	{"total size of chatroom metadata for this app exceeds the user defined limit", errcode.MaxLimit},
	{"is exceeding maximum limit", errcode.MaxLimit},
	{"is not Legal", errcode.InvalidParameter},
	{"Failed to update userMetadata. Concurrent updates not allowed", errcode.OperationNotAllowed},
}

// AttributeError is the error for one attribute.
func AttributeError(op, reason string) *errcode.Error {
	for _, r := range attributeRules {
		if strings.Contains(reason, r.part) {
			return Fail(r.becomes, op, reason, nil)
		}
	}
	return Fail(errcode.RequestFailed, op, reason, nil)
}
