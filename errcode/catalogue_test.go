package errcode

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// founding is the table that the catalogue began with.
var founding = map[Code]string{
	0:   "REQUEST_SUCCESS",
	1:   "WEBIM_CONNCTION_OPEN_ERROR",
	2:   "WEBIM_CONNCTION_AUTH_ERROR",
	12:  "WEBIM_CONNCTION_GETROSTER_ERROR",
	16:  "WEBIM_CONNCTION_DISCONNECTED",
	17:  "WEBIM_CONNCTION_AJAX_ERROR",
	27:  "WEBIM_CONNCTION_APPKEY_NOT_ASSIGN_ERROR",
	28:  "WEBIM_CONNCTION_TOKEN_NOT_ASSIGN_ERROR",
	31:  "WEBIM_CONNCTION_CALLBACK_INNER_ERROR",
	32:  "WEBIM_CONNCTION_CLIENT_OFFLINE",
	39:  "WEBIM_CONNECTION_CLOSED",
	40:  "WEBIM_CONNECTION_ERROR",
	101: "WEBIM_UPLOADFILE_ERROR",
	102: "WEBIM_UPLOADFILE_NO_LOGIN",
	200: "WEBIM_DOWNLOADFILE_ERROR",
	206: "WEBIM_CONNCTION_USER_LOGIN_ANOTHER_DEVICE",
	207: "WEBIM_CONNCTION_USER_REMOVED",
	216: "WEBIM_CONNCTION_USER_KICKED_BY_CHANGE_PASSWORD",
	217: "WEBIM_CONNCTION_USER_KICKED_BY_OTHER_DEVICE",
	221: "USER_NOT_FRIEND",
	503: "SERVER_UNKNOWN_ERROR",
	504: "MESSAGE_RECALL_TIME_LIMIT",
	505: "SERVICE_NOT_ENABLED",
	506: "SERVICE_NOT_ALLOW_MESSAGING",
	507: "SERVICE_NOT_ALLOW_MESSAGING_MUTE",
	602: "GROUP_NOT_JOINED",
	603: "PERMISSION_DENIED",
	604: "WEBIM_LOAD_MSG_ERROR",
	605: "GROUP_NOT_EXIST",
}

func TestTheFoundingTableIsInTheCatalogue(t *testing.T) {
	got := map[Code]string{}
	for _, e := range All() {
		if e.InSeed {
			got[e.Code] = e.Name
		}
	}
	if diff := cmp.Diff(founding, got); diff != "" {
		t.Errorf("entries marked in_seed (-want +got):\n%s", diff)
	}
}

func TestEveryEntryIsComplete(t *testing.T) {
	entries := All()
	if len(entries) != 81 {
		t.Errorf("the catalogue has %d entries, want 81", len(entries))
	}
	for _, e := range entries {
		t.Run(e.Name, func(t *testing.T) {
			for field, text := range map[string]string{
				"name": e.Name, "go_name": e.GoName, "summary": e.Summary, "source": e.Source, "fault": string(e.Fault),
				"client_action": e.ClientAction, "web_sdk_surface": e.WebSDKSurface,
			} {
				if strings.TrimSpace(text) == "" {
					t.Errorf("%s is empty", field)
				}
			}
			if len(e.Causes) == 0 || len(e.Remedies) == 0 {
				t.Errorf("%d causes and %d remedies, want at least one of each", len(e.Causes), len(e.Remedies))
			}
			if alone := len(e.Wire) == 0 && e.Code != TokenFetchFailed || e.Code == 0; alone != (e.Alone != nil) {
				t.Errorf("%d wire entries, and how to meet it alone is %v", len(e.Wire), e.Alone)
			}
			if a := e.Alone; a != nil && (a.How == "" || a.Go == "" || a.Web == "") {
				t.Errorf("how to meet it is incomplete: %+v", a)
			}
			// Number 0 is success: the Go SDK never reports it.
			if (len(e.Surfaces) == 0) != (e.Code == 0) {
				t.Errorf("surfaces are %q", e.Surfaces)
			}
			sentences := slices.Concat([]string{e.Summary, e.WebSDKSurface}, e.Causes, e.Remedies)
			if e.Note != "" {
				sentences = append(sentences, e.Note)
			}
			for _, s := range sentences {
				if s != strings.TrimSpace(s) || !strings.HasSuffix(s, ".") || strings.ContainsAny(s, "\n\t") {
					t.Errorf("%q is not a sentence in one line", s)
				}
			}
			if e.Source != "client" && e.Source != "server" {
				t.Errorf("source is %q", e.Source)
			}
			if e.Fault != FaultClient && e.Fault != FaultServer {
				t.Errorf("fault is %q", e.Fault)
			}
			if clientActions[e.ClientAction] == "" {
				t.Errorf("client_action %q has no explanation", e.ClientAction)
			}
			for _, s := range e.Surfaces {
				if surfaceTexts[s] == "" {
					t.Errorf("surface %q has no explanation", s)
				}
			}
		})
	}
}

func TestNumbersAndNamesAreUniqueButForTheAliasOfZero(t *testing.T) {
	const alias = "WEBIM_CONNCTION_USER_NOT_ASSIGN_ERROR"
	codes, names, goNames := map[Code]string{}, map[string]bool{}, map[string]bool{}
	last := Code(-1 << 31)
	for _, e := range All() {
		if e.Code < last {
			t.Errorf("%d stands after %d", e.Code, last)
		}
		last = e.Code
		if names[e.Name] {
			t.Errorf("two entries are called %s", e.Name)
		}
		names[e.Name] = true
		if e.Name == alias {
			if codes[0] != "REQUEST_SUCCESS" || e.Code != 0 || e.GoName != "RequestSuccess" {
				t.Errorf("%s is %d %s and does not follow REQUEST_SUCCESS", alias, e.Code, e.GoName)
			}
			continue
		}
		if other, taken := codes[e.Code]; taken || goNames[e.GoName] {
			t.Errorf("%d %s %s is taken, number by %q", e.Code, e.Name, e.GoName, other)
		}
		codes[e.Code], goNames[e.GoName] = e.Name, true
	}
	if !names[alias] {
		t.Errorf("%s is missing", alias)
	}
}

// The structs must not drop a field of the file: tools get the entries through them.
func TestEntriesMirrorTheFile(t *testing.T) {
	var file []map[string]any
	if err := json.Unmarshal(catalogueJSON, &file); err != nil {
		t.Fatal(err)
	}
	for _, entry := range file {
		for _, w := range entry["wire"].([]any) {
			wire := w.(map[string]any)
			if wire["reason"] == "" {
				delete(wire, "reason") // an empty reason and none are the same
			}
		}
	}
	encoded, err := json.Marshal(All())
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file, got); diff != "" {
		t.Errorf("entries (-file +structs):\n%s", diff)
	}
}

func TestTheFileHoldsOneEntryPerLine(t *testing.T) {
	lines := bytes.Split(bytes.TrimSuffix(catalogueJSON, []byte("\n")), []byte("\n"))
	if got, want := len(lines), len(All())+2; got != want {
		t.Fatalf("error-codes.json has %d lines, want %d", got, want)
	}
	for i, line := range lines[1 : len(lines)-1] {
		if !json.Valid(bytes.TrimSuffix(bytes.TrimSpace(line), []byte(","))) {
			t.Errorf("line %d is not an object", i+2)
		}
	}
}

func TestLookupFindsNumbers(t *testing.T) {
	if e, ok := Lookup(UserNotFriend); !ok || e.Name != "USER_NOT_FRIEND" {
		t.Errorf("Lookup(221) = %s, %t", e.Name, ok)
	}
	if e, ok := Lookup(0); !ok || e.Name != "REQUEST_SUCCESS" {
		t.Errorf("Lookup(0) = %s, %t", e.Name, ok)
	}
	if e, ok := Lookup(220); ok {
		t.Errorf("Lookup(220) = %s, want none", e.Name)
	}
}

func TestByNameFindsBothNamesInAnyCase(t *testing.T) {
	for name, want := range map[string]string{
		"USER_NOT_FRIEND":                       "USER_NOT_FRIEND",
		"user_not_friend":                       "USER_NOT_FRIEND",
		"UserNotFriend":                         "USER_NOT_FRIEND",
		"usernotfriend":                         "USER_NOT_FRIEND",
		"RequestSuccess":                        "REQUEST_SUCCESS",
		"WEBIM_CONNCTION_USER_NOT_ASSIGN_ERROR": "WEBIM_CONNCTION_USER_NOT_ASSIGN_ERROR",
		"friend":                                "",
		"":                                      "",
	} {
		e, ok := ByName(name)
		if ok != (want != "") || e.Name != want {
			t.Errorf("ByName(%q) = %q, %t, want %q", name, e.Name, ok, want)
		}
	}
}

func TestAllReturnsASliceOfTheCallersOwn(t *testing.T) {
	All()[0] = Entry{}
	if All()[0].Name != "REQUEST_ABORT" {
		t.Error("a change of the returned slice reached the catalogue")
	}
}

func TestWireFormsOfRefusals(t *testing.T) {
	type verdict struct {
		Status int
		Reason string
		OK     bool
	}
	entry := func(c Code) Entry {
		e, ok := Lookup(c)
		if !ok {
			t.Fatalf("no entry %d", c)
		}
		return e
	}
	for _, test := range []struct {
		name string
		code Code
		op   string
		want verdict
	}{
		{"a send to someone who is no contact", UserNotFriend, "send", verdict{1, "nonroster", true}},
		{"a send of a muted member", Muted, "send", verdict{15, "", true}},
		{"the entry of the operation wins", PermissionDenied, "modify", verdict{1, "Sorry, You do not have permission", true}},
		{"an operation without an entry gets the first", PermissionDenied, "recall", verdict{1, "blocked", true}},
		{"a code that no ack carries", GroupMembersFull, "send", verdict{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got verdict
			got.Status, got.Reason, got.OK = entry(test.code).Ack(test.op)
			if got != test.want {
				t.Errorf("Ack(%q) of %d = %+v, want %+v", test.op, test.code, got, test.want)
			}
		})
	}
	for code, want := range map[Code]verdict{
		TokenExpired:    {1, "Sorry, token expired", true},
		AuthFailed:      {2, "", true},
		ServingDisabled: {12, "", true},
		UserNotFriend:   {},
	} {
		var got verdict
		got.Status, got.Reason, got.OK = entry(code).Provision()
		if got != want {
			t.Errorf("Provision of %d = %+v, want %+v", code, got, want)
		}
	}
	for code, want := range map[Code]int{UserRemoved: 1, LoginAnotherDevice: 2, PasswordChanged: 3, KickedByOtherDevice: 4, Muted: 0} {
		if got, ok := entry(code).Notice(); got != want || ok != (want != 0) {
			t.Errorf("Notice of %d = %d, %t, want %d", code, got, ok, want)
		}
	}
}

// The default reason of a refusal reaches users as it stands, so it must not name anyone.
func TestReasonsOnTheWireHoldNoSampleNames(t *testing.T) {
	for _, e := range All() {
		for _, w := range e.Wire {
			if strings.Contains(w.Reason, "alice") || strings.Contains(w.Reason, "bob") || strings.Contains(w.Reason, "any other") {
				t.Errorf("%d: %q", e.Code, w.Reason)
			}
		}
	}
}
