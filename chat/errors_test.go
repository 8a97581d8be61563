package chat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
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

func TestRESTAnswersHaveTheirCodes(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		code   errcode.Code
	}{
		{400, `{"error_description":"some text"}`, errcode.RequestFailed},
		{400, `{"error_description":"The quantity has exceeded the limit!"}`, errcode.MaxLimit},
		{400, `{"error_description":"updateRemark | remark length must less than 100"}`, errcode.MaxLimit},
		{400, `{"error_description":"updateRemark | they are not friends, please add as a friend first."}`, errcode.UserNotFriend},
		{403, `{"error_description":"Inviter's contact max count"}`, errcode.MaxLimit},
		{403, `{"error_description":"Invitee's contact max count"}`, errcode.MaxLimit},
		{400, `{"error_description":"Request body not readable.Please check content type is correct!"}`, errcode.InvalidParameter},
		{401, `{"error_description":"Unable to authenticate (OAuth)"}`, errcode.NoPermission},
		{401, `{"error_code":60001}`, errcode.NoPermission},
		{401, `{"error_description":"Unable to authenticate due to expired access token"}`, errcode.RequestFailed},
		{403, `{"error_description":"no"}`, errcode.PermissionDenied},
		{403, ``, errcode.PermissionDenied},
		{403, `{"error_code":40005}`, errcode.MaxLimit},
		{403, `{"error_description":"service not open!"}`, errcode.ServiceNotEnabled},
		{404, `{"error":"organization_application_not_found"}`, errcode.InvalidAppKey},
		{404, `{"error_description":"username bob doesn't exist!'"}`, errcode.UserNotFound},
		{404, `{"error_description":"username bob doesn't exist!"}`, errcode.RequestFailed},
		{404, `{"error_description":"user not found"}`, errcode.UserNotFound},
		{404, `{"error_description":"Service resource not found","exception":"UserNotFoundException"}`, errcode.UserNotFound},
		{404, `{"error_description":"Service resource not found"}`, errcode.RequestFailed},
		{404, `<html>`, errcode.RequestFailed},
		{406, `{"error_code":90004}`, errcode.OperationNotAllowed},
		{406, `{}`, errcode.RequestFailed},
		{429, `{}`, errcode.ServerBusy},
		{429, `{"error_description":"The request has reached the maximum limit"}`, errcode.MaxLimit},
		{503, ``, errcode.ServerBusy},
		{500, `{"error_code":40006}`, errcode.ServerUnknownError},
		{500, `{"error_code":99999}`, errcode.RequestUnknown},
		{500, `{}`, errcode.RequestFailed},
		{201, `{}`, errcode.RequestFailed},
		{502, `bad gateway`, errcode.RequestFailed},
	} {
		t.Run(fmt.Sprintf("%d %s", tt.status, tt.body), func(t *testing.T) {
			e := restError("x", tt.status, http.Header{"X-Request-Id": {"r1"}}, []byte(tt.body))
			if e.Code != tt.code || e.Message == "" || e.RequestID != "r1" || e.Data["http_status"] != tt.status || e.Data["body"] != tt.body {
				t.Errorf("error is %+v, want %d", e, tt.code)
			}
		})
	}
}

func TestContextErrorsMatchTheirCause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e := ctxError(ctx, "x"); e.Code != errcode.RequestAbort || !errors.Is(e, context.Canceled) {
		t.Errorf("cancelled context is %v", e)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Time{})
	defer cancel()
	if e := ctxError(ctx, "x"); e.Code != errcode.RequestTimeout || !errors.Is(e, context.DeadlineExceeded) {
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
