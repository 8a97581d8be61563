package gateway

import (
	"cmp"
	"errors"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// answerStatus words an error as the answer to a request: op is that of the catalogue's wire entries (send, recall,
// modify, join). Only texts that the client knows may go with PERMISSION_DENIED (docs/protocol/wire.md §0, rule 5),
// and those are the catalogue's.
func answerStatus(op string, err error) (msync.Status_ErrorCode, string) {
	var e *errcode.Error
	if !errors.As(err, &e) {
		return msync.Status_FAIL, "the server failed"
	}
	if entry, ok := errcode.Lookup(e.Code); ok {
		if status, reason, ok := entry.Ack(op); ok {
			if e.Reason != "" && status != int(msync.Status_PERMISSION_DENIED) {
				reason = e.Reason
			}
			return msync.Status_ErrorCode(status), reason
		}
	}
	return msync.Status_FAIL, cmp.Or(e.Reason, e.Message)
}

// loginStatus words an error as the answer to a Provision (docs/protocol/wire.md §2.4).
func loginStatus(err error) (msync.Status_ErrorCode, string) {
	var e *errcode.Error
	if errors.As(err, &e) {
		if entry, ok := errcode.Lookup(e.Code); ok {
			if status, reason, ok := entry.Provision(); ok {
				return msync.Status_ErrorCode(status), reason
			}
		}
	}
	return msync.Status_UNAUTHORIZED, "Auth failed"
}
