package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// neverSettles stands for what the web client does with PERMISSION_DENIED and a reason that it does not know.
const neverSettles = errcode.Code(-9999)

// sendCode is what the web client makes of the answer to a Meta (docs/protocol/wire.md §6.3).
func sendCode(status msync.Status_ErrorCode, reason string) errcode.Code {
	exactly := func(texts ...string) bool { return slices.Contains(texts, reason) }
	contains := func(texts ...string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(reason, text) })
	}
	switch status {
	case 1:
		switch {
		case exactly("blocked"):
			return 603
		case exactly("group not found"):
			return 605
		case exactly("not in group or chatroom"):
			return 602
		case exactly("exceed recall time limit"):
			return 504
		case exactly("message recall disabled"):
			return 505
		case exactly("not in group or chatroom white list"):
			return 506
		case exactly("nonroster"):
			return 221
		case exactly("group is disabled"):
			return 608
		case exactly("limit directed users", "Sorry, edit limit reached"):
			return 50
		case exactly("Sorry, message does not exist"):
			return 1302
		case exactly("Sorry, You do not have permission"):
			return 603
		case exactly("Sorry, format is incorrect"):
			return 1303
		case exactly("Sorry, edit is not available"):
			return 505
		case exactly("Sorry, edit fail"):
			return 1304
		case contains("grpID", "does not exist!"):
			return 705
		case contains("username", "doesn't exist!"):
			return 204
		case exactly("group member list is full!"):
			return 704
		case contains("can not join this group", "is in the blacklist"):
			return 603
		case exactly("can not operate this group, reason: group is disabled"):
			return 608
		case contains("moderation"):
			return 508
		case contains("group ID illegal, please check it"):
			return -3
		case contains("has create too many chatrooms"), contains("has joined too many chatrooms"):
			return 50
		case contains("auto create failed"):
			return 500
		}
		return 503
	case 7:
		switch reason {
		case "sensitive words", "blocked by mod_antispam":
			return 501
		case "user is mute":
			return 219
		case "traffic limit":
			return 509
		case "Sorry, data is too large":
			return 511
		}
		return neverSettles
	case 15:
		return 507
	case 19:
		return 502
	}
	return 604
}

// loginCode is what the web client makes of a refused Provision (docs/protocol/wire.md §2.4).
func loginCode(status msync.Status_ErrorCode, reason string) errcode.Code {
	switch {
	case status == 1 && (reason == "Sorry, user register limit" || reason == "Sorry, user register rate limit"):
		return 50
	case status == 1 && reason == "Sorry, token expired":
		return 56
	case status == 1 && reason == "Sorry, token or password does not match login info":
		return 28
	case status == 1 && reason == "Sorry, user not found":
		return 204
	case status == 4:
		return -3
	case status == 7 && slices.Contains([]string{"Sorry, the app month live count limit", "Sorry, the app day live count limit", "Sorry, the app online count limit"}, reason):
		return 50
	case status == 12:
		return 57
	}
	return 2
}

// TestEveryCodeArrivesAsItself walks the catalogue: with a bare code, with a message, and with the reasons of the wire.
func TestEveryCodeArrivesAsItself(t *testing.T) {
	carried := 0
	for _, entry := range errcode.All() {
		for _, op := range []string{"send", "recall", "modify", "join", "login", ""} {
			_, _, ok := entry.Ack(op)
			want := entry.Code
			if !ok {
				want = 503 // what no answer can carry
			}
			for name, err := range map[string]error{
				"a bare error":           &errcode.Error{Code: entry.Code},
				"one with a message":     errcode.New(entry.Code, "something happened"),
				"one with an operation":  &errcode.Error{Code: entry.Code, Op: "send", Message: "something"},
				"one that is wrapped":    fmt.Errorf("send: %w", errcode.New(entry.Code, "")),
				"one with another cause": &errcode.Error{Code: entry.Code, Err: errcode.New(errcode.Muted, "")},
			} {
				status, reason := answerStatus(op, err)
				got := sendCode(status, reason)
				if got != want {
					t.Errorf("%d %s as the answer to %q: %s arrives as %d (status %d, %q), want %d", entry.Code, entry.Name, op, name, got, status, reason, want)
				}
				if ok {
					carried++
				}
			}
		}
	}
	if carried < 500 {
		t.Errorf("only %d answers carried their code: is the catalogue read?", carried)
	}
}

// TestAnyReasonKeepsTheClientAlive gives every code reasons that other codes use.
func TestAnyReasonKeepsTheClientAlive(t *testing.T) {
	reasons := []string{"anything", "user is mute", "blocked", "moderation"}
	for _, entry := range errcode.All() {
		for _, reason := range reasons {
			for _, op := range []string{"send", "recall", "modify", "join"} {
				status, text := answerStatus(op, &errcode.Error{Code: entry.Code, Reason: reason})
				got := sendCode(status, text)
				if got == neverSettles {
					t.Errorf("%d %s with reason %q: status 7 with %q, the client never settles", entry.Code, entry.Name, reason, text)
				}
				if status == 15 && entry.Code != errcode.Muted || status == 19 && entry.Code != errcode.BlockedExternally {
					t.Errorf("%d %s with reason %q has status %d", entry.Code, entry.Name, reason, status)
				}
				if status == 0 {
					t.Errorf("%d %s with reason %q is answered with success", entry.Code, entry.Name, reason)
				}
			}
		}
	}
}

func TestAnErrorWithoutACodeIsTheServersFault(t *testing.T) {
	status, reason := answerStatus("send", errors.New("blocked"))
	if got := sendCode(status, reason); got != 503 {
		t.Errorf("arrives as %d (status %d, %q)", got, status, reason)
	}
	if strings.Contains(reason, "blocked") {
		t.Errorf("the cause is shown to the client: %q", reason)
	}
	status, reason = loginStatus(errors.New("secret cause"))
	if got := loginCode(status, reason); got != 2 || strings.Contains(reason, "secret") {
		t.Errorf("as a login it is %d, %q", got, reason)
	}
}

func TestEveryCodeOfALoginArrivesAsItself(t *testing.T) {
	for _, entry := range errcode.All() {
		want := entry.Code
		if _, _, ok := entry.Provision(); !ok {
			want = errcode.AuthFailed
		}
		status, reason := loginStatus(fmt.Errorf("sign in: %w", errcode.New(entry.Code, "for the log")))
		if status == 0 {
			t.Errorf("%d %s lets the client in", entry.Code, entry.Name)
		}
		if got := loginCode(status, reason); got != want {
			t.Errorf("%d %s arrives as %d (status %d, %q), want %d", entry.Code, entry.Name, got, status, reason, want)
		}
	}
}
