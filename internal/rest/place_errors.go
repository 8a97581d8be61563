package rest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/muc"
)

var sayFull = forbidden("forbidden_op", "group member list is full!")

// elsewhere are the refusals about groups, rooms and threads whose text does not depend on the path.
var elsewhere = map[errcode.Code]refusal{
	errcode.PermissionDenied:            {status: http.StatusForbidden, slug: "forbidden_op", code: 60002},
	errcode.GroupNotJoined:              {status: http.StatusNotFound, slug: "forbidden_op", code: 60003},
	errcode.GroupAlreadyJoined:          {status: http.StatusForbidden, slug: "forbidden_op"},
	errcode.GroupMembersLimit:           {status: http.StatusForbidden, slug: "forbidden_op"},
	errcode.GroupDisabled:               {status: http.StatusForbidden, slug: "forbidden_op"},
	errcode.GroupMemberAttributesFailed: {status: http.StatusBadRequest, slug: "MetadataException", code: 60005},
	errcode.ChatroomNotJoined:           {status: http.StatusBadRequest, slug: "forbidden_op", code: 60011},
	errcode.GroupMembersFull:            sayFull,
	errcode.ChatroomMembersFull:         sayFull,
	errcode.ServiceNotEnabled:           {status: http.StatusForbidden, slug: "function_not_open_error", code: 60004},
	errcode.NoPermission:                {status: http.StatusUnauthorized, slug: "MetadataException", code: 60001},
	errcode.MaxLimit:                    {status: http.StatusForbidden, slug: "exceeded_limit", code: 40005},
	errcode.InvalidParameter:            {status: http.StatusBadRequest, slug: "illegal_argument"},
	errcode.RequestFailed:               {status: http.StatusBadRequest, slug: "illegal_argument"},
	errcode.OperationUnsupported:        {status: http.StatusBadRequest, slug: "illegal_argument", code: 40009},
	errcode.ThreadNotExist:              {status: http.StatusNotFound, slug: "group_error", code: 40011},
	errcode.ThreadAlreadyExist:          {status: http.StatusBadRequest, slug: "group_error", code: 40002},
	// The web client has no better text for a message that a thread should hang on.
	errcode.MessageNotFound: {status: http.StatusNotFound, slug: "resource_not_found",
		description: "user session pin message not exist"},
}

// sayPlace words the refusals about groups, rooms and threads. What the web client makes of some texts depends on the path
// (docs/protocol/sdk-rest.md §1.6.1).
func sayPlace(c *Call, err error) error {
	var said *refusal
	var e *errcode.Error
	if errors.As(err, &said) || !errors.As(err, &e) {
		return err
	}
	inGroups := strings.Contains(c.route.Pattern, "chatgroups")
	say, known := elsewhere[e.Code]
	switch {
	case errors.Is(err, muc.ErrNoTag):
		say = refusal{status: http.StatusNotFound, slug: "resource_not_found"}
	case e.Code == errcode.GroupNotJoined && inGroups:
		say = forbidden("forbidden_op", "users are not members of this group! "+e.Message)
	case e.Code == errcode.GroupNotExist && !inGroups:
		say = badRequest("resource_not_found", "groupId can not be null!")
	case e.Code == errcode.GroupNotExist, e.Code == errcode.ChatroomNotExist:
		say = refusal{status: http.StatusNotFound, slug: "resource_not_found", description: "do not find this group: " + e.Message}
	case !known:
		return err
	}
	if say.description == "" {
		say.description = e.Message
	}
	return say.because(err)
}
