package errcode

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func run(t *testing.T, query string, asJSON bool) string {
	t.Helper()
	var out bytes.Buffer
	if err := Command(&out, query, asJSON); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestCommandExplainsACode(t *testing.T) {
	const path = "testdata/errors-221.txt"
	got := run(t, "221", false)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("errors 221 (-want +got; rewrite with go test ./errcode -update):\n%s", diff)
	}
	for _, query := range []string{"USER_NOT_FRIEND", "user_not_friend", "UserNotFriend", " usernotfriend "} {
		if same := run(t, query, false); same != got {
			t.Errorf("errors %q differs from errors 221", query)
		}
	}
}

func TestExplanationsHoldTheWholeEntry(t *testing.T) {
	for _, e := range All() {
		var out bytes.Buffer
		if err := Explain(&out, e); err != nil {
			t.Fatal(err)
		}
		parts := append([]string{e.Name, e.GoName, e.Summary, clientActions[e.ClientAction], e.WebSDKSurface, e.Note}, e.Causes...)
		parts = append(parts, e.Remedies...)
		for _, s := range e.Surfaces {
			parts = append(parts, surfaceTexts[s])
		}
		for _, part := range parts {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%d: the explanation lacks %q", e.Code, part)
			}
		}
	}
}

func TestCommandListsTheCatalogue(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(run(t, "", false), "\n"), "\n")
	if len(lines) != len(All())+1 {
		t.Fatalf("the list has %d lines, want %d", len(lines), len(All())+1)
	}
	column := strings.Index(lines[0], "MEANING")
	for i, e := range All() {
		if line := lines[i+1]; len(line) < column || line[column:] != e.Summary {
			t.Errorf("line %d is not aligned: %s", i+1, line)
		}
	}
}

func TestCommandWritesJSON(t *testing.T) {
	var list []Entry
	if err := json.Unmarshal([]byte(run(t, "", true)), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != len(All()) {
		t.Errorf("the array has %d entries, want %d", len(list), len(All()))
	}
	for query, want := range map[string]string{"0": "REQUEST_SUCCESS", "-1": "REQUEST_TIMEOUT", "Muted": "SERVICE_NOT_ALLOW_MESSAGING_MUTE"} {
		var one Entry
		if err := json.Unmarshal([]byte(run(t, query, true)), &one); err != nil {
			t.Fatal(err)
		}
		if one.Name != want {
			t.Errorf("errors %s --json is %s, want %s", query, one.Name, want)
		}
	}
}

func TestCommandNamesTheNearestCodesForAnUnknownQuery(t *testing.T) {
	for query, want := range map[string]string{
		"220":                         "219 UserMutedByAdmin, 221 UserNotFriend, 222 DownloadNoPermission",
		"5050":                        "500 ServerBusy, 505 ServiceNotEnabled, 50 MaxLimit",
		"friend":                      "221 UserNotFriend",
		"not friend":                  "221 UserNotFriend",
		"UserNotFreind":               "221 UserNotFriend, ",
		"WEBIM_CONNECTION_OPEN_ERROR": "1 LoginFailed, ",
		"kicked":                      "217 KickedByOtherDevice, 216 PasswordChanged",
	} {
		var out bytes.Buffer
		err := Command(&out, query, false)
		if err == nil || !strings.Contains(err.Error(), "did you mean "+want) || !strings.Contains(err.Error(), query) {
			t.Errorf("errors %q answers %v, want %s", query, err, want)
		}
		if out.Len() > 0 {
			t.Errorf("errors %q wrote %q", query, &out)
		}
	}
}

func TestNearestCopesWithAnyQuery(t *testing.T) {
	for _, query := range []string{"", "-", "é\x00\xff", "99999999999999999999", "-9223372036854775808", strings.Repeat("x", 5000)} {
		if got := Nearest(query, 3); len(got) != 3 {
			t.Errorf("Nearest(%.20q, 3) gave %d entries", query, len(got))
		}
	}
	if got := Nearest("1", -1); len(got) != 0 {
		t.Errorf("Nearest(-1) gave %d entries", len(got))
	}
	if got := Nearest("1", 1000); len(got) != len(All()) {
		t.Errorf("Nearest(1000) gave %d entries", len(got))
	}
}

func TestTheDocsPageIsUpToDate(t *testing.T) {
	var want bytes.Buffer
	if err := Markdown(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("docs/errors.md is not what the catalogue gives; run: go generate ./errcode\n(-catalogue +file)\n%s", diff)
	}
}

func TestTheDocsPageLinksToItsSections(t *testing.T) {
	var page bytes.Buffer
	if err := Markdown(&page); err != nil {
		t.Fatal(err)
	}
	for _, e := range All() {
		for _, part := range []string{"](#" + e.anchor() + ")", `<a id="` + e.anchor() + `"></a>`} {
			if strings.Count(page.String(), part) != 1 {
				t.Errorf("%d %s: %s is not in the page once", e.Code, e.Name, part)
			}
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestCommandReportsAFailedWrite(t *testing.T) {
	for _, query := range []string{"", "221"} {
		for _, asJSON := range []bool{false, true} {
			if err := Command(brokenWriter{}, query, asJSON); err == nil {
				t.Errorf("errors %q, JSON %t: the failed write went unnoticed", query, asJSON)
			}
		}
	}
}
