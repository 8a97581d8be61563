package chat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Error is what every method and callback of this package reports: a code of the catalogue with its cause and its
// remedy. Compare codes with errors.Is(err, errcode.UserNotFriend), read the details with errors.As.
//
// Data holds, where they exist: "id" (the client's message id), "mid" (the server's), "reason" (the server's own words),
// "http_status", "body" and "retry_after" (of an HTTP answer).
type Error = errcode.Error

// fail makes an error of one operation; an empty message means the catalogue's text for the code.
func fail(code errcode.Code, op, message string, cause error) *Error {
	return restclient.Fail(code, op, message, cause)
}

// asError turns nil pointers into nil interfaces.
func asError(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// rule maps one status and reason of the server to a code. The server's reasons are protocol constants.
type rule struct {
	status msync.Status_ErrorCode
	// exact is the whole reason; contains are parts that must all be there. With neither, the rule matches any reason.
	exact    string
	contains []string
	code     errcode.Code
}

func (r rule) matches(status msync.Status_ErrorCode, reason string) bool {
	if r.status != status || (r.exact != "" && r.exact != reason) {
		return false
	}
	return !slices.ContainsFunc(r.contains, func(part string) bool { return !strings.Contains(reason, part) })
}

const (
	statusFail     = msync.Status_FAIL
	statusDenied   = msync.Status_PERMISSION_DENIED
	statusMuted    = msync.Status_USER_MUTED
	statusExternal = msync.Status_PERMISSION_DENIED_EXTERNAL
)

// ackRules are tried from top to bottom; what matches none is 604.
var ackRules = []rule{
	{statusFail, "blocked", nil, errcode.PermissionDenied},
	{statusFail, "group not found", nil, errcode.GroupNotExist},
	{statusFail, "not in group or chatroom", nil, errcode.GroupNotJoined},
	{statusFail, "exceed recall time limit", nil, errcode.RecallTimeLimit},
	{statusFail, "message recall disabled", nil, errcode.ServiceNotEnabled},
	{statusFail, "not in group or chatroom white list", nil, errcode.NotAllowedMuteAll},
	{statusFail, "nonroster", nil, errcode.UserNotFriend},
	{statusFail, "group is disabled", nil, errcode.GroupDisabled},
	{statusFail, "limit directed users", nil, errcode.MaxLimit},
	{statusFail, "Sorry, edit limit reached", nil, errcode.MaxLimit},
	{statusFail, "Sorry, message does not exist", nil, errcode.EditMessageNotExist},
	{statusFail, "Sorry, You do not have permission", nil, errcode.PermissionDenied},
	{statusFail, "Sorry, format is incorrect", nil, errcode.EditFormatError},
	{statusFail, "Sorry, edit is not available", nil, errcode.ServiceNotEnabled},
	{statusFail, "Sorry, edit fail", nil, errcode.EditFailed},
	{statusFail, "", []string{"grpID", "does not exist!"}, errcode.ChatroomNotExist},
	{statusFail, "", []string{"username", "doesn't exist!"}, errcode.UserNotFound},
	{statusFail, "group member list is full!", nil, errcode.ChatroomMembersFull},
	{statusFail, "", []string{"can not join this group", "is in the blacklist"}, errcode.PermissionDenied},
	{statusFail, "can not operate this group, reason: group is disabled", nil, errcode.GroupDisabled},
	{statusFail, "", []string{"moderation"}, errcode.ModerationBlocked},
	{statusFail, "", []string{"group ID illegal, please check it"}, errcode.InvalidParameter},
	{statusFail, "", []string{"has create too many chatrooms"}, errcode.MaxLimit},
	{statusFail, "", []string{"has joined too many chatrooms"}, errcode.MaxLimit},
	{statusFail, "", []string{"auto create failed"}, errcode.ServerBusy},
	{statusFail, "", nil, errcode.ServerUnknownError},
	{statusDenied, "sensitive words", nil, errcode.IllegalContent},
	{statusDenied, "blocked by mod_antispam", nil, errcode.IllegalContent},
	{statusDenied, "user is mute", nil, errcode.UserMutedByAdmin},
	{statusDenied, "traffic limit", nil, errcode.RateLimited},
	{statusDenied, "Sorry, data is too large", nil, errcode.MessageTooLarge},
	// The web SDK knows no other reason here and leaves the call open for ever.
	{statusDenied, "", nil, errcode.PermissionDenied},
	{statusMuted, "", nil, errcode.Muted},
	{statusExternal, "", nil, errcode.BlockedExternally},
}

// provisionRules are tried from top to bottom; what matches none is 2.
var provisionRules = []rule{
	{statusFail, "Sorry, user register limit", nil, errcode.MaxLimit},
	{statusFail, "Sorry, user register rate limit", nil, errcode.MaxLimit},
	{statusFail, "Sorry, token expired", nil, errcode.TokenExpired},
	{statusFail, "Sorry, token or password does not match login info", nil, errcode.InvalidToken},
	{statusFail, "Sorry, user not found", nil, errcode.UserNotFound},
	{msync.Status_WRONG_PARAMETER, "", nil, errcode.InvalidParameter},
	{statusDenied, "Sorry, the app month live count limit", nil, errcode.MaxLimit},
	{statusDenied, "Sorry, the app day live count limit", nil, errcode.MaxLimit},
	{statusDenied, "Sorry, the app online count limit", nil, errcode.MaxLimit},
	{msync.Status_IM_FORBIDDEN, "", nil, errcode.ServingDisabled},
}

// ackError is the error of a refused uplink. It is nil for OK and for an answer without a status.
func ackError(op string, status *msync.Status) *Error {
	return statusError(op, status, ackRules, errcode.BadMessage)
}

// provisionError is the error of a refused session. It is nil for OK and for an answer without a status.
func provisionError(op string, status *msync.Status) *Error {
	return statusError(op, status, provisionRules, errcode.AuthFailed)
}

func statusError(op string, status *msync.Status, rules []rule, otherwise errcode.Code) *Error {
	if status.GetErrorCode() == msync.Status_OK {
		return nil
	}
	code, message := otherwise, status.GetReason()
	if i := slices.IndexFunc(rules, func(r rule) bool { return r.matches(status.GetErrorCode(), message) }); i >= 0 {
		code = rules[i].code
		if rules[i].exact != "" { // a constant of the protocol: the catalogue says it better
			message = ""
		}
	}
	e := fail(code, op, message, nil)
	e.Data = map[string]any{"status": int(status.GetErrorCode()), "reason": status.GetReason()}
	return e
}

// kickCodes are the codes of the notices that end a session, by operation.
var kickCodes = map[msync.StatisticsBody_Operation]errcode.Code{
	msync.StatisticsBody_USER_REMOVED:                   errcode.UserRemoved,
	msync.StatisticsBody_USER_LOGIN_ANOTHER_DEVICE:      errcode.LoginAnotherDevice,
	msync.StatisticsBody_USER_KICKED_BY_CHANGE_PASSWORD: errcode.PasswordChanged,
	msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE:    errcode.KickedByOtherDevice,
}

// kickError is nil for a notice that ends nothing.
func kickError(b *msync.StatisticsBody) *Error {
	code, ok := kickCodes[b.GetOperation()]
	if !ok {
		return nil
	}
	e := fail(code, "session", "", nil)
	if b.GetReason() != "" {
		e.Data = map[string]any{"reason": b.GetReason()}
	}
	return e
}

// panicError is 31: what a callback of the app threw.
func panicError(where string, value any) *Error {
	e := fail(errcode.CallbackPanic, "callback", fmt.Sprintf("%s panicked: %v", where, value), nil)
	if err, ok := value.(error); ok {
		e.Err = err
	}
	return e
}
