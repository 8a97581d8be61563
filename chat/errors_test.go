package chat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// The catalogue lists the server's behaviour for each code; this client must read them as the same codes.
func TestEveryStatusOfTheCatalogueHasItsCode(t *testing.T) {
	seen := map[string]int{}
	for _, entry := range errcode.All() {
		for _, w := range entry.Wire {
			seen[w.Kind]++
			status := &msync.Status{ErrorCode: msync.Status_ErrorCode(w.Status), Reason: w.Reason}
			var got *Error
			switch w.Kind {
			case "ack":
				got = ackError("send", status)
			case "provision":
				got = provisionError("login", status)
			case "notice":
				got = kickError(&msync.StatisticsBody{Operation: msync.StatisticsBody_Operation(w.Operation)})
			default:
				continue
			}
			switch {
			case entry.Code == errcode.RequestSuccess && got != nil:
				t.Errorf("%+v is %v, want success", w, got)
			case entry.Code != errcode.RequestSuccess && (got == nil || got.Code != entry.Code):
				t.Errorf("%+v is %v, want %d", w, got, entry.Code)
			}
		}
	}
	for _, kind := range []string{"ack", "provision", "notice"} {
		if seen[kind] == 0 {
			t.Errorf("the catalogue lists nothing of kind %s", kind)
		}
	}
}

func TestStatusWithoutARuleOfItsOwn(t *testing.T) {
	for _, tt := range []struct {
		status msync.Status_ErrorCode
		reason string
		ack    errcode.Code
		login  errcode.Code
	}{
		{msync.Status_FAIL, "", errcode.ServerUnknownError, errcode.AuthFailed},
		{msync.Status_FAIL, "group ack not open", errcode.ServerUnknownError, errcode.AuthFailed},
		{msync.Status_FAIL, " blocked", errcode.ServerUnknownError, errcode.AuthFailed},
		{msync.Status_FAIL, "grpID 7 does not exist!", errcode.ChatroomNotExist, errcode.AuthFailed},
		{msync.Status_FAIL, "grpID 7", errcode.ServerUnknownError, errcode.AuthFailed},
		{msync.Status_PERMISSION_DENIED, "something new", errcode.PermissionDenied, errcode.AuthFailed},
		{msync.Status_USER_MUTED, "whatever", errcode.Muted, errcode.AuthFailed},
		{msync.Status_PERMISSION_DENIED_EXTERNAL, "not today", errcode.BlockedExternally, errcode.AuthFailed},
		{msync.Status_TOKEN_EXPIRED, "", errcode.BadMessage, errcode.AuthFailed},
		{99, "future", errcode.BadMessage, errcode.AuthFailed},
	} {
		t.Run(fmt.Sprintf("%d %s", tt.status, tt.reason), func(t *testing.T) {
			status := &msync.Status{ErrorCode: tt.status, Reason: tt.reason}
			got := ackError("send", status)
			if got.Code != tt.ack || got.Op != "send" || got.Message == "" || got.Data["reason"] != tt.reason {
				t.Errorf("ack is %+v, want %d", got, tt.ack)
			}
			if got := provisionError("login", status); got.Code != tt.login {
				t.Errorf("provision is %v, want %d", got, tt.login)
			}
		})
	}
	if ackError("send", nil) != nil || provisionError("login", nil) != nil {
		t.Error("a missing status is not success")
	}
}

// answerTo is an HTTP answer to a request for a path below the app.
func answerTo(path string, status int) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"X-Request-Id": {"r1"}},
		Request: &http.Request{URL: &url.URL{Path: "/stoa/demo/" + path}},
	}
}

func TestEveryRESTAnswerOfTheCatalogueHasItsCode(t *testing.T) {
	seen := map[string]int{}
	for _, entry := range errcode.All() {
		for _, w := range entry.Wire {
			var got *Error
			switch w.Kind {
			case "rest":
				if w.HTTP == http.StatusOK {
					continue
				}
				path := "chatgroups/1"
				if w.On == "chatrooms" {
					path = "chatrooms/1"
				}
				got = restclient.Refusal("x", answerTo(path, w.HTTP), w.Body)
			case "room_attribute":
				got = restclient.AttributeError("x", w.ErrorText)
			case "download":
				got = refusedDownload("x", answerTo("chatfiles/1", w.HTTP), w.Body)
			default:
				continue
			}
			seen[w.Kind]++
			if got.Code != entry.Code {
				t.Errorf("%+v is %v, want %d", w, got, entry.Code)
			}
		}
	}
	for _, kind := range []string{"rest", "room_attribute", "download"} {
		if seen[kind] == 0 {
			t.Errorf("the catalogue lists nothing of kind %s", kind)
		}
	}
}

func TestRESTAnswersHaveTheirCodes(t *testing.T) {
	for _, tt := range []struct {
		path   string
		status int
		body   string
		code   errcode.Code
	}{
		{"users/bob", 400, `{"error_code":40002}`, errcode.ThreadAlreadyExist},
		{"users/bob", 400, `{"error_code":40009}`, errcode.OperationUnsupported},
		{"users/bob", 400, `{"error_code":60005,"desc":"why"}`, errcode.GroupMemberAttributesFailed},
		{"users/bob", 400, `{"error_code":60010,"error_description":"it exceeds chatgroup user metadata single value limit"}`, errcode.MaxLimit},
		{"users/bob", 400, `{"error_code":60010}`, errcode.NoPermission},
		{"users/bob", 400, `{"error_code":60011,"desc":"why"}`, errcode.ChatroomNotJoined},
		{"users/bob", 400, `{"error_code":14403}`, errcode.UploadFailed},
		{"users/bob", 400, `{"error_code":60006}`, errcode.MaxLimit},
		{"users/bob", 400, `{"error_code":60007}`, errcode.MaxLimit},
		{"users/bob", 400, `{"error_code":60009}`, errcode.MaxLimit},
		{"users/bob", 400, `{"error_code":60012}`, errcode.MaxLimit},
		{"users/bob", 400, `{"error_code":91104}`, errcode.NoPermission},
		{"chatgroups/1/users", 400, `{"error_description":"users [bob] are not members of this group!"}`, errcode.GroupNotJoined},
		{"chatrooms/1/users", 400, `{"error_description":"users [bob] are not members of this group!"}`, errcode.ChatroomNotJoined},
		{"users/bob", 400, `{"result":"the app not open presence"}`, errcode.ServiceNotEnabled},
		{"users/bob", 400, `{"result":["other"]}`, errcode.RequestFailed},
		{"users/bob", 400, `{"error_description":"some text"}`, errcode.RequestFailed},
		{"users/bob", 400, `{"error_description":"The quantity has exceeded the limit!"}`, errcode.MaxLimit},
		{"users/bob", 400, `{"error_description":"updateRemark | remark length must less than 100"}`, errcode.MaxLimit},
		{"users/bob", 400, `{"error_description":"updateRemark | they are not friends, please add as a friend first."}`, errcode.UserNotFriend},
		{"users/bob", 400, `{"error_description":"the user is already operation this message"}`, errcode.ReactionAlreadyAdded},
		{"users/bob", 400, `{"error_description":"The user not in this group!"}`, errcode.GroupNotJoined},
		{"users/bob", 400, `{"error_description":"the user operation is illegal!"}`, errcode.ReactionIllegal},
		{"users/bob", 400, `{"error_description":"this appKey is not open reaction service!"}`, errcode.ServiceNotEnabled},
		{"users/bob", 400, `{"error_description":"this appKey not open message roaming"}`, errcode.ServiceNotEnabled},
		{"users/bob", 400, `{"error_description":"this message is creating reaction, please try again."}`, errcode.ReactionCreating},
		{"users/bob", 400, `{"error_description":"groupId can not be null!"}`, errcode.GroupNotExist},
		{"users/bob", 400, `{"error_description":"The input text is too long."}`, errcode.TranslationTooLong},
		{"users/bob", 400, `{"error_description":"The target language is not valid."}`, errcode.TranslationNotValid},
		{"users/bob", 400, `{"error_description":"report failed, get message by id failed"}`, errcode.MessageNotFound},
		{"users/bob", 400, `{"error_description":"ext is too big "}`, errcode.PresenceTooLong},
		{"users/bob", 400, `{"error_description":"ext is too big"}`, errcode.PresenceTooLong},
		{"users/bob", 400, `{"error_description":"Request body not readable.Please check content type is correct!"}`, errcode.InvalidParameter},
		{"users/bob", 400, `{"error_description":"param mark must be not empty, please check!"}`, errcode.InvalidParameter},
		{"users/bob", 400, `{"error_description":"param mark illegal, please check it!"}`, errcode.InvalidParameter},
		{"users/bob", 400, `{"error_description":"param pin_msg_id illegal, please check it!"}`, errcode.InvalidParameter},
		{"users/bob", 401, `{"error_description":"Unable to authenticate (OAuth)"}`, errcode.NoPermission},
		{"users/bob", 401, `{"error_code":40001}`, errcode.NoPermission},
		{"users/bob", 401, `{"error_code":60001}`, errcode.NoPermission},
		{"users/bob", 401, `{"error_description":"Unable to authenticate due to expired access token"}`, errcode.RequestFailed},
		{"users/bob", 403, `{"error_description":"no"}`, errcode.PermissionDenied},
		{"users/bob", 403, ``, errcode.PermissionDenied},
		{"users/bob", 403, `{"error_code":40000}`, errcode.ServiceNotEnabled},
		{"users/bob", 403, `{"error_code":60004}`, errcode.ServiceNotEnabled},
		{"users/bob", 403, `{"error_code":15002}`, errcode.ServiceNotEnabled},
		{"users/bob", 403, `{"error_code":40003}`, errcode.ThreadAlreadyExist},
		{"users/bob", 403, `{"error_code":40004}`, errcode.ThreadAlreadyExist},
		{"users/bob", 403, `{"error_code":40005}`, errcode.MaxLimit},
		{"users/bob", 403, `{"error_code":40007}`, errcode.MaxLimit},
		{"users/bob", 403, `{"error_code":91002}`, errcode.MaxLimit},
		{"users/bob", 403, `{"error_code":91101}`, errcode.MaxLimit},
		{"users/bob", 403, `{"error_code":60002}`, errcode.PermissionDenied},
		{"users/bob", 403, `{"error_code":91102}`, errcode.InvalidParameter},
		{"chatgroups/1", 403, `{"error_description":"group member list is full!"}`, errcode.GroupMembersFull},
		{"chatrooms/1", 403, `{"error_description":"group member list is full!"}`, errcode.ChatroomMembersFull},
		{"chatgroups/1", 403, `{"error_description":"invite users to join group failed: bob is already in group"}`, errcode.GroupAlreadyJoined},
		{"chatgroups/1", 403, `{"error_description":"users [bob] are not members of this group!"}`, errcode.GroupNotJoined},
		{"chatrooms/1", 403, `{"error_description":"users [bob] are not members of this group!"}`, errcode.ChatroomNotJoined},
		{"users/bob", 403, `{"error_description":"service not open!"}`, errcode.ServiceNotEnabled},
		{"users/bob", 403, `{"error_description":"message report not open"}`, errcode.ServiceNotEnabled},
		{"users/bob", 403, `{"error_description":"messageroaming function not open"}`, errcode.ServiceNotEnabled},
		{"chatgroups", 403, `{"error_description":"members size is greater than max user size !"}`, errcode.GroupMembersLimit},
		{"chatgroups/1", 403, `{"error_description":"can not operate this group, reason: group is disabled"}`, errcode.GroupDisabled},
		{"users/bob", 403, `{"error_description":"Inviter's contact max count"}`, errcode.MaxLimit},
		{"users/bob", 403, `{"error_description":"Invitee's contact max count"}`, errcode.MaxLimit},
		{"users/bob", 404, `{"error":"organization_application_not_found"}`, errcode.InvalidAppKey},
		{"users/bob", 404, `{"error_code":40011}`, errcode.ThreadNotExist},
		{"users/bob", 404, `{"error_code":40012}`, errcode.NoPermission},
		{"users/bob", 404, `{"error_code":60003}`, errcode.GroupNotJoined},
		{"users/bob", 404, `{"error_code":20004}`, errcode.GroupNotJoined},
		{"users/bob", 404, `{"error_code":91001}`, errcode.ConversationNotExist},
		{"chatgroups/1", 404, `{"error_description":"do not find this group:1"}`, errcode.GroupNotExist},
		{"chatrooms/1", 404, `{"error_description":"do not find this group:1"}`, errcode.ChatroomNotExist},
		{"chatgroups/1", 404, `{"error_description":"grpID 1 does not exist!"}`, errcode.GroupNotExist},
		{"chatrooms/1", 404, `{"error_description":"grpID 1 does not exist!"}`, errcode.ChatroomNotExist},
		{"sdk/metadata/chatgroup/1/get", 404, `{"error_description":"grpID 1 does not exist!"}`, errcode.GroupNotExist},
		{"users/bob", 404, `{"error_description":"username bob doesn't exist!'"}`, errcode.UserNotFound},
		{"users/bob", 404, `{"error_description":"username bob doesn't exist!"}`, errcode.RequestFailed},
		{"users/bob", 404, `{"error_description":"user not found"}`, errcode.UserNotFound},
		{"users/bob", 404, `{"error_description":"Service resource not found","exception":"UserNotFoundException"}`, errcode.UserNotFound},
		{"users/bob", 404, `{"error_description":"Service resource not found"}`, errcode.RequestFailed},
		{"users/bob", 404, `{"error_description":"user session pin message not exist"}`, errcode.MessageNotFound},
		{"users/bob", 404, `<html>`, errcode.RequestFailed},
		{"users/bob", 406, `{"error_code":90004}`, errcode.OperationNotAllowed},
		{"users/bob", 406, `{}`, errcode.RequestFailed},
		{"users/bob", 429, `{}`, errcode.ServerBusy},
		{"users/bob", 429, `{"error_description":"The request has reached the maximum limit"}`, errcode.MaxLimit},
		{"users/bob", 429, `{"error_description":"upload client logs reached limit"}`, errcode.MaxLimit},
		{"users/bob", 503, ``, errcode.ServerBusy},
		{"users/bob", 503, `{"error_description":"The request has reached the maximum limit"}`, errcode.MaxLimit},
		{"users/bob", 503, `{"error_description":"upload client logs reached limit"}`, errcode.MaxLimit},
		{"users/bob", 500, `{"error_code":40006}`, errcode.ServerUnknownError},
		{"users/bob", 500, `{"error_code":40008}`, errcode.ServerUnknownError},
		{"users/bob", 500, `{"error_code":40010}`, errcode.ServerUnknownError},
		{"users/bob", 500, `{"error_code":90005}`, errcode.RequestUnknown},
		{"users/bob", 500, `{"error_code":99999}`, errcode.RequestUnknown},
		{"users/bob", 500, `{"error_description":"translte failed!"}`, errcode.TranslationFailed},
		{"users/bob", 500, `{"error_description":"translate failed!"}`, errcode.TranslationFailed},
		{"users/bob", 500, `{}`, errcode.RequestFailed},
		{"users/bob", 201, `{}`, errcode.RequestFailed},
		{"users/bob", 413, `{}`, errcode.RequestFailed},
		{"users/bob", 502, `bad gateway`, errcode.RequestFailed},
	} {
		t.Run(fmt.Sprintf("%d %s %s", tt.status, tt.path, tt.body), func(t *testing.T) {
			e := restclient.Refusal("x", answerTo(tt.path, tt.status), []byte(tt.body))
			if e.Code != tt.code || e.Message == "" || e.RequestID != "r1" || e.Data["http_status"] != tt.status || e.Data["body"] != tt.body {
				t.Errorf("error is %+v, want %d", e, tt.code)
			}
		})
	}
	if e := restclient.Refusal("x", answerTo("users", 400), []byte(`{"error_code":60005,"desc":"the reason","error_description":"x"}`)); e.Message != "the reason" {
		t.Errorf("message is %q", e.Message)
	}
	if e := restclient.Refusal("x", &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"3"}}}, nil); e.Data["retry_after"] != "3" {
		t.Errorf("data is %v", e.Data)
	}
}

func TestReasonsOfRoomAttributesHaveTheirCodes(t *testing.T) {
	for reason, code := range map[string]errcode.Code{
		"k is not part of you": errcode.NoPermission,
		"size of metadata for this single chatroom exceeds the user defined limit":    errcode.MaxLimit,
		"total size of chatroom metadata for this app exceeds the user defined limit": errcode.MaxLimit,
		"k is exceeding maximum limit": errcode.MaxLimit,
		"k is not Legal":               errcode.InvalidParameter,
		"Failed to update userMetadata. Concurrent updates not allowed": errcode.OperationNotAllowed,
		"something else": errcode.RequestFailed,
	} {
		if e := restclient.AttributeError("x", reason); e.Code != code || e.Message != reason {
			t.Errorf("%q is %v, want %d", reason, e, code)
		}
	}
}

func TestContextErrorsMatchTheirCause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e := restclient.ContextError(ctx, "x"); e.Code != errcode.RequestAbort || !errors.Is(e, context.Canceled) {
		t.Errorf("cancelled context is %v", e)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Time{})
	defer cancel()
	if e := restclient.ContextError(ctx, "x"); e.Code != errcode.RequestTimeout || !errors.Is(e, context.DeadlineExceeded) {
		t.Errorf("expired context is %v", e)
	}
}

func TestReconnectPausesDoubleUpToTheirLimit(t *testing.T) {
	r := Reconnect{Min: time.Second, Max: 30 * time.Second}
	for attempt, longest := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second,
		7: 30 * time.Second, 1_000_000: 30 * time.Second,
	} {
		if got := r.pause(attempt, 1); got != longest {
			t.Errorf("longest pause before attempt %d is %v, want %v", attempt, got, longest)
		}
		if got := r.pause(attempt, 0); got != longest/2 {
			t.Errorf("shortest pause before attempt %d is %v, want %v", attempt, got, longest/2)
		}
	}
}
