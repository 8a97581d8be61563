package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/file"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/presence"
	"github.com/stoa-chat/stoa/internal/push"
	"github.com/stoa-chat/stoa/internal/rehearse"
	"github.com/stoa-chat/stoa/internal/ruleset"
	"github.com/stoa-chat/stoa/internal/webhook"
)

// refusal is an error in the words of the protocol. Clients compare the description byte for byte.
type refusal struct {
	status      int
	slug        string // "error"
	description string // empty in the table of wordings: the message of the service
	exception   string
	code        int      // "error_code"; 0: none
	allow       []string // the header Allow
	retryAfter  string   // the header Retry-After, in seconds; empty: none
	log         bool     // somebody should look into the cause
	err         error    // the cause; it is not shown
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("%d %s: %s", r.status, r.slug, r.description)
	if r.err != nil {
		text += ": " + r.err.Error()
	}
	return text
}

func (r *refusal) Unwrap() error { return r.err }

// because returns the refusal with a cause.
func (r refusal) because(err error) *refusal {
	r.err = err
	return &r
}

// codeToken makes the web client report NO_PERMISSION for whatever is wrong with a token; it knows only one of the texts.
const codeToken = 40001

// codeNotOpen makes the web client report SERVICE_NOT_ENABLED, whatever the text is.
const codeNotOpen = 40000

// unauthorized is a refusal of a token.
func unauthorized(slug, description string) refusal {
	return refusal{status: http.StatusUnauthorized, slug: slug, description: description, code: codeToken}
}

func badRequest(slug, description string) refusal {
	return refusal{status: http.StatusBadRequest, slug: slug, description: description}
}

func forbidden(slug, description string) refusal {
	return refusal{status: http.StatusForbidden, slug: slug, description: description}
}

// illegal refuses an argument.
func illegal(format string, args ...any) *refusal {
	r := badRequest("illegal_argument", fmt.Sprintf(format, args...))
	return &r
}

var (
	sayCorrupt = unauthorized("auth_bad_access_token", "Unable to authenticate due to corrupt access token")
	sayOAuth   = unauthorized("unauthorized", "Unable to authenticate (OAuth)")
	sayExpired = unauthorized("unauthorized", "Unable to authenticate due to expired access token")
	sayBanned  = badRequest("invalid_grant", "user not activated")
	// sayQuantity makes the web client report MAX_LIMIT.
	sayQuantity = badRequest("exceed_limit", "The quantity has exceeded the limit!")
	sayBusy     = refusal{status: http.StatusServiceUnavailable, slug: "service_unavailable", description: "server is too busy", log: true}
	sayGone     = refusal{status: 499, slug: "client_closed_request", description: "the client has gone"} // nobody reads this
	// sayInternal is all that the world is told of what the server does not understand itself.
	sayInternal = refusal{status: http.StatusInternalServerError, slug: "internal_server_error", description: "internal server error", log: true}

	refuseUser  = sayCorrupt.because(errors.New("a user's token where the app's is needed"))
	refuseApp   = sayOAuth.because(errors.New("the app's token where a user's is needed"))
	refuseOther = sayOAuth.because(errors.New("the token of another user"))
	refuseBody  = &refusal{status: http.StatusBadRequest, slug: "invalid_request_body", description: "Request body is invalid. Please check body is correct."}
	refuseLong  = &refusal{status: http.StatusRequestEntityTooLarge, slug: "Request Entity Too Large", description: "the request body exceeds the maximum limit."}
	// What is wrong with an upload is never a 400, from which the web client does not recover.
	refuseForm = refusal{status: http.StatusUnprocessableEntity, slug: "invalid_request_body", description: "the request body is not the form that is expected"}
	refuseSlow = &refusal{status: http.StatusRequestTimeout, slug: "request_timeout", description: "the request body did not arrive in time"}
)

// wordings are how the refusals of services are said. Where a route says one in another way, its handler does.
var wordings = []struct {
	of  error
	say refusal
}{
	{account.ErrNoToken, sayExpired}, // no other text is known for it
	{account.ErrTokenExpired, sayExpired},
	{account.ErrTokenMalformed, sayCorrupt},
	{account.ErrTokenUnknown, unauthorized("auth_bad_access_token", "Unable to authenticate")},
	{account.ErrTokenOtherApp, unauthorized("unauthorized", "token is illegal.")},
	{account.ErrTokenPrivilege, sayOAuth},
	{account.ErrNotOpen, refusal{status: http.StatusUnauthorized, slug: "unauthorized", description: "Open registration doesn't allow, so register user need token"}},
	{account.ErrBanned, sayBanned},
	{account.ErrWrongPassword, badRequest("invalid_grant", "invalid password")},
	{account.ErrClientID, badRequest("invalid_grant", "client_id does not match")},
	{account.ErrClientSecret, badRequest("invalid_grant", "client_secret does not match")},
	{account.ErrTokenLife, badRequest("illegal_argument", "")},
	{account.ErrPassword, badRequest("illegal_argument", "")},
	{account.ErrNickname, badRequest("illegal_argument", "NICKNAME_TOO_LONG")},
	{account.ErrSettings, badRequest("invalid_parameter", "")},
	{account.ErrNoUser, refusal{status: http.StatusNotFound, slug: "service_resource_not_found", description: "Service resource not found", exception: "UserNotFoundException"}},
	{account.ErrAttribute, badRequest("illegal_argument", "")},
	{account.ErrAttributesFull, badRequest("exceed_limit", "")},
	{account.ErrTooManyUsers, sayQuantity},
	{account.ErrChannel, badRequest("illegal_argument", "")},
	{contact.ErrSelf, badRequest("illegal_argument", "")},
	{contact.ErrNoNames, badRequest("illegal_argument", "")},
	{contact.ErrReason, badRequest("illegal_argument", "")},
	{contact.ErrTooMany, sayQuantity},
	{contact.ErrBlockFull, sayQuantity},
	{contact.ErrRemark, badRequest("illegal_argument", "updateRemark | remark length must less than 100")},
	{contact.ErrNotContact, badRequest("illegal_argument", "updateRemark | they are not friends, please add as a friend first.")},
	{contact.ErrInviterFull, forbidden("exceed_limit", "Inviter's contact max count")},
	{contact.ErrInviteeFull, forbidden("exceed_limit", "Invitee's contact max count")},
	{contact.ErrNoInvitation, forbidden("forbidden_op", "")},
	{contact.ErrBlocked, forbidden("forbidden_op", "")},
	// The blank at the end is the protocol's.
	{presence.ErrText, badRequest("presence_error", "ext is too big ")},
	{presence.ErrSelf, badRequest("presence_error", "you can't sub yourself")},
	{presence.ErrFull, badRequest("presence_error", "too many sub presence")},
	{presence.ErrTooMany, sayQuantity},
	{presence.ErrExpiry, badRequest("presence_error", "")},
	{presence.ErrArgument, badRequest("presence_error", "")},
	{file.ErrOff, forbidden("forbidden_op", "chatfile service not open!")}, // with "service not open" web clients report SERVICE_NOT_ENABLED
	{file.ErrTooLarge, refusal{status: http.StatusRequestEntityTooLarge, slug: "file exceeding maximum limit", description: "the file size exceeds the maximum limit."}},
	{file.ErrEmpty, refusal{status: http.StatusUnprocessableEntity, slug: "illegal_argument", description: ""}},
	{file.ErrPlaceFull, forbidden("exceed_limit", "")},
	{file.ErrNoUpload, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: ""}},
	{file.ErrPicture, refusal{status: http.StatusUnprocessableEntity, slug: "illegal_argument", description: ""}},
	{file.ErrPart, refusal{status: http.StatusUnprocessableEntity, slug: "illegal_argument", description: ""}},
	{file.ErrNoFile, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: ""}},
	{file.ErrNoThumbnail, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: ""}},
	{file.ErrExpired, refusal{status: http.StatusNotFound, slug: "file_expired", description: ""}},
	{file.ErrNoAccess, forbidden("forbidden_op", "chatfile no permission")},
	{file.ErrLifetime, badRequest("illegal_argument", "")},
	{file.ErrTooMany, badRequest("illegal_argument", "chatfile_ids size is too large")},
	{errcode.GroupNotExist, badRequest("resource_not_found", "groupId can not be null!")},
	{errcode.GroupNotJoined, refusal{status: http.StatusNotFound, slug: "forbidden_op", code: 60003}},
	{errcode.ChatroomNotExist, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "do not find this group"}},
	{errcode.ChatroomNotJoined, refusal{status: http.StatusBadRequest, slug: "forbidden_op", code: 60011}},
	{errcode.MessageTooLarge, refusal{status: http.StatusRequestEntityTooLarge, slug: "Request Entity Too Large", description: "message is too large"}},
	{errcode.MessageNotFound, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "user session pin message not exist"}},
	{errcode.ReactionAlreadyAdded, badRequest("Bad Request", "the user is already operation this message")},
	{errcode.ReactionCreating, badRequest("Bad Request", "this message is creating reaction, please try again.")},
	{errcode.ReactionIllegal, badRequest("Bad Request", "the user operation is illegal!")},
	{errcode.TranslationNotValid, badRequest("illegal_argument", "The target language is not valid.")},
	{errcode.TranslationTooLong, badRequest("illegal_argument", "The input text is too long.")},
	{errcode.TranslationFailed, refusal{status: http.StatusInternalServerError, slug: "translation_failed", description: "translte failed!", log: true}},
	{rehearse.ErrOff, forbidden("service_not_open", "rehearsal service not open!")},
	{rehearse.ErrImpossible, badRequest("illegal_argument", "")},
	{rehearse.ErrBad, badRequest("illegal_argument", "")},
	{rehearse.ErrUnknown, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "there is no such rehearsal"}},
	{message.ErrNoConversation, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "conversation not exist", code: 91001}},
	{message.ErrPinnedFull, refusal{status: http.StatusForbidden, slug: "exceed_limit", description: "pinned conversations reach the limit", code: 91002}},
	{message.ErrTooManyTargets, sayQuantity},
	{message.ErrTooManyMessages, sayQuantity},
	{message.ErrMark, *refuseBadMark},
	{message.ErrChatType, badRequest("illegal_argument", "")},
	{message.ErrCursor, badRequest("illegal_argument", "")},
	{message.ErrQuery, badRequest("illegal_argument", "")},
	{message.ErrHistoryOff, refusal{status: http.StatusForbidden, slug: "function_not_open_error", description: "messageroaming function not open", code: 15001}},
	{message.ErrConversationsOff, forbidden("service_not_open", "service not open!")},
	{message.ErrReceiptsOff, forbidden("service_not_open", "group ack service not open!")},
	{message.ErrNoMessage, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "group ack msg not found"}},
	{message.ErrNotSender, forbidden("forbidden_op", "")},
	{message.ErrSearchOff, forbidden("service_not_open", "service not open!")},
	{push.ErrSetting, badRequest("illegal_argument", "")},
	{push.ErrToken, badRequest("illegal_argument", "")},
	{push.ErrFull, sayQuantity},
	{push.ErrTemplate, badRequest("illegal_argument", "")},
	{push.ErrNoTemplate, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: ""}},
	{push.ErrPush, badRequest("illegal_argument", "")},
	{push.ErrLabel, badRequest("illegal_argument", "")},
	{push.ErrLabelTaken, badRequest("illegal_argument", "")},
	{push.ErrNoLabel, badRequest("ResourceNotFoundException", "")},
	{push.ErrNotLabelled, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: ""}},
	{moderation.ErrMuteTime, badRequest("illegal_argument", "")},
	{moderation.ErrNoVerdict, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "there is no such message on the list"}},
	{webhook.ErrReplay, badRequest("illegal_argument", "")},
	{ruleset.ErrBad, badRequest("illegal_argument", "")},
	{ruleset.ErrFull, sayQuantity},
	{ruleset.ErrUnknown, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "there is no such rule"}},
	{account.ErrNoDevice, refusal{status: http.StatusNotFound, slug: "resource_not_found", description: ""}},
}

// refusalOf words an error. What it does not know is internal.
func refusalOf(err error) *refusal {
	var said *refusal
	if errors.As(err, &said) {
		return said
	}
	for _, w := range wordings {
		if !errors.Is(err, w.of) {
			continue
		}
		say := w.say
		var e *errcode.Error
		if say.description == "" && errors.As(err, &e) {
			say.description = e.Message
		}
		return say.because(err)
	}
	var e *errcode.Error
	switch {
	case errors.Is(err, errcode.MaxLimit):
		return sayQuantity.because(err)
	case errors.As(err, &e) && e.Code == errcode.InvalidParameter:
		return illegal("%s", e.Message).because(err)
	case errors.As(err, &e) && e.Code == errcode.ServiceNotEnabled:
		say := forbidden("function_not_open_error", e.Message)
		say.code = codeNotOpen
		return say.because(err)
	case errors.Is(err, context.Canceled):
		return sayGone.because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return sayBusy.because(err)
	}
	return sayInternal.because(err)
}
