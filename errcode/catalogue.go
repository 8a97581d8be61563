package errcode

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// Fault is the side that has to change something for the call to succeed.
type Fault string

const (
	// FaultClient means the app, its user or the people it talks to: another call, credential or permission is needed.
	FaultClient Fault = "client"
	// FaultServer means the server, its operator or the network: the call itself was in order.
	FaultServer Fault = "server"
)

// Entry is one code of the catalogue, as it stands in error-codes.json. Entries share their slices with the
// catalogue: read only.
type Entry struct {
	Code   Code   `json:"code"`
	Name   string `json:"name"`    // the name in the web SDK
	GoName string `json:"go_name"` // the constant in this package; code 0 has two entries and one constant
	InSeed bool   `json:"in_seed"` // belongs to the 29 codes of the founding table
	// Summary is the meaning, Causes and Remedies are sentences, the most likely first.
	Summary  string   `json:"summary"`
	Causes   []string `json:"causes"`
	Remedies []string `json:"remedies"`
	// Surfaces is how the Go SDK reports it: "return", "onError", "onDisconnected".
	Surfaces []string `json:"surfaces"`
	Source   string   `json:"source"` // who notices: "client" or "server"
	Fault    Fault    `json:"fault"`
	// What the web SDK does with the code: raised in a browser, declared in its type file, seen in a real run.
	RaisedByCurrentWebSDK bool `json:"raised_by_current_web_sdk"`
	DeclaredInWebSDKTypes bool `json:"declared_in_web_sdk_types"`
	VerifiedByRunning     bool `json:"verified_by_running"`
	// ClientAction is what a client does about it, one of a fixed set of words: "fix_call", "retry_later", …
	ClientAction  string `json:"client_action"`
	WebSDKSurface string `json:"web_sdk_surface"`
	// WebSurfaces is the same in short: "return", "onError", "onDisconnected"; none: this client cannot raise it.
	WebSurfaces []string `json:"web_surfaces"`
	Note        string   `json:"note,omitempty"`
	// Unmet says why a client does not meet the code in a situation of its own; empty: it does.
	Unmet string `json:"unmet,omitempty"`
	// Alone tells how to meet a code that no server can make a client raise; nil for the others.
	Alone *Alone `json:"alone,omitempty"`
	// Wire lists server behaviours that make an unmodified web SDK raise the code; empty if only a client can.
	Wire []Wire `json:"wire"`
}

// Alone is how to meet a code that belongs to the client: a sentence, and a line of code for each SDK.
type Alone struct {
	How string `json:"how"`
	Go  string `json:"go"`
	Web string `json:"web"`
}

// Wire is one behaviour of a server that a client turns into the code. Which fields count depends on Kind.
type Wire struct {
	Kind      string          `json:"kind"`                 // "ack", "provision", "notice", "rest", "token", "upload", …
	Op        string          `json:"op,omitempty"`         // ack, silence: the uplink that is answered: "send", "join", …
	Status    int             `json:"status,omitempty"`     // ack, provision: status.errorCode
	Reason    string          `json:"reason,omitempty"`     // ack, provision: status.reason
	Operation int             `json:"operation,omitempty"`  // notice: StatisticsBody.operation
	HTTP      int             `json:"http,omitempty"`       // rest, token, upload, download: HTTP status
	On        string          `json:"on,omitempty"`         // rest: "any" URL, or one with "chatgroups" or "chatrooms"
	Body      json.RawMessage `json:"body,omitempty"`       // rest, token, upload, download: the answer
	ErrorText string          `json:"error_text,omitempty"` // room_attribute: the failure of one key
	Target    string          `json:"target,omitempty"`     // upload: "message" or "shared"
	AfterMS   int             `json:"after_ms,omitempty"`   // silence: milliseconds until the client gives up
}

//go:embed error-codes.json
var catalogueJSON []byte

// catalogue is read on first use: a program that meets no error pays nothing for it.
var catalogue = sync.OnceValue(func() *index {
	ix := &index{byCode: map[Code]int{}, byName: map[string]int{}}
	if err := json.Unmarshal(catalogueJSON, &ix.entries); err != nil {
		panic("errcode: read error-codes.json: " + err.Error())
	}
	for i, e := range ix.entries {
		if _, taken := ix.byCode[e.Code]; !taken {
			ix.byCode[e.Code] = i
		}
		for _, name := range []string{strings.ToLower(e.Name), strings.ToLower(e.GoName)} {
			if _, taken := ix.byName[name]; !taken {
				ix.byName[name] = i
			}
		}
	}
	return ix
})

type index struct {
	entries []Entry // in number order
	byCode  map[Code]int
	byName  map[string]int // lower case, both names
}

// Lookup returns the entry of a code. Code 0 is REQUEST_SUCCESS; its second entry, which the web SDK gives the same
// number, is found by name only.
func Lookup(code Code) (Entry, bool) {
	i, ok := catalogue().byCode[code]
	if !ok {
		return Entry{}, false
	}
	return catalogue().entries[i], true
}

// ByName returns the entry with this legacy name (USER_NOT_FRIEND) or Go name (UserNotFriend), in any case.
func ByName(name string) (Entry, bool) {
	i, ok := catalogue().byName[strings.ToLower(name)]
	if !ok {
		return Entry{}, false
	}
	return catalogue().entries[i], true
}

// All returns every entry in the order of their numbers, in a slice of the caller's own.
func All() []Entry { return slices.Clone(catalogue().entries) }

// Retry reports whether the same call can succeed later without anyone changing anything.
func (e Entry) Retry() bool {
	return e.ClientAction == "retry_later" || e.ClientAction == "wait_reconnect"
}

// Remedy returns the first remedy.
func (e Entry) Remedy() string {
	if len(e.Remedies) == 0 {
		return ""
	}
	return e.Remedies[0]
}

// Ack returns the status and reason that refuse an uplink with this code: those for op ("send", "join", "recall",
// "modify") if the catalogue has them, else its first. It is false for codes that no acknowledgement carries.
func (e Entry) Ack(op string) (status int, reason string, ok bool) {
	for _, w := range e.Wire {
		if w.Kind != "ack" {
			continue
		}
		if w.Op == op {
			return w.Status, w.Reason, true
		}
		if !ok {
			status, reason, ok = w.Status, w.Reason, true
		}
	}
	return status, reason, ok
}

// Provision returns the status and reason that refuse a session with this code. It is false for codes that do not
// answer a Provision.
func (e Entry) Provision() (status int, reason string, ok bool) {
	w, ok := e.first("provision")
	return w.Status, w.Reason, ok
}

// Notice returns the operation of the notice that ends a session with this code. It is false for codes that do not
// end a running session.
func (e Entry) Notice() (operation int, ok bool) {
	w, ok := e.first("notice")
	return w.Operation, ok
}

func (e Entry) first(kind string) (Wire, bool) {
	i := slices.IndexFunc(e.Wire, func(w Wire) bool { return w.Kind == kind })
	if i < 0 {
		return Wire{}, false
	}
	return e.Wire[i], true
}
