package errcode

import (
	"slices"
	"strings"
	"testing"
)

func TestCodesAreFoundInLogs(t *testing.T) {
	for line, want := range map[string][]Code{
		RequestTimeout.Error():                                 {RequestTimeout},
		UserNotFriend.Error():                                  {UserNotFriend},
		`level=INFO msg=refused code=504 name=RECALL`:          {RecallTimeLimit},
		`{"level":"INFO","error":{"code":603,"op":"send"}}`:    {PermissionDenied},
		`{ type: 507, reason: 'you were muted' }`:              {Muted},
		`Uncaught (in promise) {type: -1, message: "timeout"}`: {RequestTimeout},
		`onError WEBIM_CONNCTION_USER_REMOVED`:                 {UserRemoved},
		`two: code=602 and then code=605, and code=602 again`:  {GroupNotJoined, GroupNotExist},
		`took 504 ms for 603 bytes on port 17`:                 nil,
		`504 GATEWAY_TIMEOUT`:                                  nil,
		`code=999999 and type=abc`:                             nil,
		`type: 0`:                                              nil,
		"\xff\xfe code=221":                                    {UserNotFriend},
	} {
		if got := mentioned(line); !slices.Equal(got, want) {
			t.Errorf("%q mentions %v, want %v", line, got, want)
		}
	}
}

func TestCheckExplainsWhatItFinds(t *testing.T) {
	log := "all is well\n" + strings.Repeat("x", 100_000) + " code=504\ncode=504 code=221"
	var out strings.Builder
	if err := Check(strings.NewReader(log), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"504 MESSAGE_RECALL_TIME_LIMIT: 2 times, first in line 2", "221 USER_NOT_FRIEND: 1 times, first in line 3", "helps: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q does not say %q", out.String(), want)
		}
	}
	out.Reset()
	if err := Check(strings.NewReader(""), &out); err != nil || !strings.Contains(out.String(), "no code") {
		t.Errorf("an empty log: %q, %v", out.String(), err)
	}
}
