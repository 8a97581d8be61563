package errcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestErrorsIsComparesCodes(t *testing.T) {
	refused := &Error{Code: UserNotFriend, Op: "send"}
	noSession := &Error{Code: RestNoSession, Err: InvalidToken}
	for _, test := range []struct {
		name   string
		err    error
		target error
		want   bool
	}{
		{"a code is its own target", refused, UserNotFriend, true},
		{"another code is not", refused, Muted, false},
		{"an error with the same code", refused, New(UserNotFriend, "elsewhere"), true},
		{"an error with another code", refused, New(Muted, ""), false},
		{"through a wrapper", fmt.Errorf("send message: %w", refused), UserNotFriend, true},
		{"the code of the cause", noSession, InvalidToken, true},
		{"the cause itself", &Error{Code: RequestTimeout, Err: context.DeadlineExceeded}, context.DeadlineExceeded, true},
		{"a bare code", fmt.Errorf("send: %w", UserNotFriend), UserNotFriend, true},
		{"a nil *Error", refused, (*Error)(nil), false},
		{"an error without a code", refused, io.EOF, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := errors.Is(test.err, test.target); got != test.want {
				t.Errorf("errors.Is(%v, %v) = %t, want %t", test.err, test.target, got, test.want)
			}
		})
	}
}

func TestErrorsAsFindsTheDetails(t *testing.T) {
	err := fmt.Errorf("send message: %w", &Error{Code: SendTimeout, Data: map[string]any{"id": "7"}})
	var e *Error
	if !errors.As(err, &e) || e.Data["id"] != "7" {
		t.Errorf("errors.As found %+v", e)
	}
}

func TestCodeOfFindsTheOutermostCode(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want Code
		ok   bool
	}{
		{"nil has none", nil, 0, false},
		{"a foreign error has none", io.EOF, 0, false},
		{"an error", New(Muted, ""), Muted, true},
		{"a wrapped error", fmt.Errorf("send: %w", New(Muted, "")), Muted, true},
		{"a bare code", fmt.Errorf("send: %w", Muted), Muted, true},
		{"an error with a coded cause", &Error{Code: RestNoSession, Err: InvalidToken}, RestNoSession, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := CodeOf(test.err); got != test.want || ok != test.ok {
				t.Errorf("CodeOf = %d, %t, want %d, %t", got, ok, test.want, test.ok)
			}
		})
	}
}

func TestErrorLine(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{
			"operation and message",
			&Error{Code: UserNotFriend, Op: "send", Message: "bob is not a contact of alice."},
			"221 USER_NOT_FRIEND: send: bob is not a contact of alice. Send a contact request and wait until it is accepted.",
		},
		{
			"the summary stands in for a message",
			&Error{Code: Muted},
			"507 SERVICE_NOT_ALLOW_MESSAGING_MUTE: The sender is muted in this group or room. Wait until the mute ends.",
		},
		{
			"a bare code",
			Muted,
			"507 SERVICE_NOT_ALLOW_MESSAGING_MUTE: The sender is muted in this group or room. Wait until the mute ends.",
		},
		{
			"cause and request id",
			&Error{Code: GroupNotExist, Op: "get group", Message: "there is no group 7", Err: errors.New("no rows."), RequestID: "r1"},
			"605 GROUP_NOT_EXIST: get group: there is no group 7: no rows. Check the group id. (request r1)",
		},
		{
			"a coded cause adds no second remedy",
			&Error{Code: RestNoSession, Op: "history", Message: "nobody is logged in", Err: &Error{Code: InvalidToken, Message: "the token is empty"}},
			"700 REST_PARAMS_STATUS: history: nobody is logged in: 28 WEBIM_CONNCTION_TOKEN_NOT_ASSIGN_ERROR: the token is empty. Log in first, then repeat the call.",
		},
		{
			"text from elsewhere stays in the line",
			&Error{Code: GroupNotExist, Message: "no group \"a\r\nb\u2028c\""},
			"605 GROUP_NOT_EXIST: no group \"a  b c\". Check the group id.",
		},
		{
			"a number from a newer catalogue",
			&Error{Code: 4711, Message: "the moon is full"},
			"4711 Code(4711): the moon is full. Update Stoa, or read the message.",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.err.Error(); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestEveryErrorLineHoldsCodeAndRemedy(t *testing.T) {
	for _, e := range All() {
		if first, _ := Lookup(e.Code); first.Name != e.Name {
			continue // the alias of 0 has no errors of its own
		}
		line := (&Error{Code: e.Code, Op: "send", Message: "it did not work"}).Error()
		if !strings.HasPrefix(line, fmt.Sprintf("%d %s: send: it did not work. ", int(e.Code), e.Name)) || !strings.HasSuffix(line, e.Remedies[0]) {
			t.Errorf("%d: %s", e.Code, line)
		}
	}
}

func TestNewTakesTheSummaryForAnEmptyMessage(t *testing.T) {
	if got := New(GroupNotExist, "").Message; got != "There is no such group." {
		t.Errorf("message is %q", got)
	}
	if got := Newf(GroupNotExist, "there is no group %d", 7).Message; got != "there is no group 7" {
		t.Errorf("message is %q", got)
	}
}

func TestHelpersReadTheCatalogue(t *testing.T) {
	for _, test := range []struct {
		code  Code
		name  string
		fault Fault
		retry bool
	}{
		{UserNotFriend, "USER_NOT_FRIEND", FaultClient, false},
		{ServerBusy, "SERVER_BUSY", FaultServer, true},
		{Disconnected, "WEBIM_CONNCTION_DISCONNECTED", FaultServer, true},
		{RateLimited, "MESSAGE_CURRENT_LIMITING", FaultClient, true},
		{ServerUnknownError, "SERVER_UNKNOWN_ERROR", FaultServer, false},
		{4711, "Code(4711)", FaultServer, false},
	} {
		e := New(test.code, "")
		if e.Name() != test.name || e.Fault() != test.fault || e.Retry() != test.retry {
			t.Errorf("%d: name %s, fault %s, retry %t; want %s, %s, %t",
				test.code, e.Name(), e.Fault(), e.Retry(), test.name, test.fault, test.retry)
		}
	}
}

func TestLogValueGroupsTheFields(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key != "err" {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("", "err", &Error{Code: Muted, Op: "send", Message: "muted", Reason: "x", RequestID: "r1",
		Data: map[string]any{"mid": "9", "id": "7"}, Err: errors.New("cause")})
	want := `err.code=507 err.name=SERVICE_NOT_ALLOW_MESSAGING_MUTE err.op=send err.message=muted err.reason=x ` +
		`err.request_id=r1 err.data.id=7 err.data.mid=9 err.cause=cause` + "\n"
	if got := out.String(); got != want {
		t.Errorf("\n got %swant %s", got, want)
	}
	out.Reset()
	log.Info("", "err", &Error{Code: Muted})
	if got, want := out.String(), "err.code=507 err.name=SERVICE_NOT_ALLOW_MESSAGING_MUTE\n"; got != want {
		t.Errorf("\n got %swant %s", got, want)
	}
}

func TestErrorsMayBeSharedBetweenGoroutines(t *testing.T) {
	err := New(Muted, "muted")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_ = err.Error()
			_ = errors.Is(err, Muted)
			_ = Nearest("mute", 3)
		})
	}
	wg.Wait()
}
