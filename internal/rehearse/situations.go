package rehearse

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
)

// Uplink is what a client sends over the socket.
type Uplink struct {
	Op    string // as in errcode.Wire: "send", "recall", "modify", "join"
	Place bool   // to a group, chatroom or thread
}

// Outcome says how an uplink is to end.
type Outcome int

const (
	// Ordinary: as it would.
	Ordinary Outcome = iota
	// Refuse: with the code that comes along.
	Refuse
	// Silence: it is done, and its answer is lost.
	Silence
	// Close: it is done, and the socket ends in place of the answer.
	Close
)

// narrowed are the codes for which account narrows the user's settings: what follows is no pretence.
var narrowed = map[errcode.Code]bool{
	errcode.RecallTimeLimit: true, errcode.MessageTooLarge: true, errcode.UploadFailed: true, errcode.ServiceNotEnabled: true,
}

// login are the codes with which a login may end. Those of cutOff can happen nowhere else: whoever is online loses the
// socket, so that the client signs in again.
var (
	login  = codesWith(func(e errcode.Entry) bool { return has(e, isProvision) })
	cutOff = codesWith(func(e errcode.Entry) bool {
		return has(e, isProvision) && !has(e, func(w errcode.Wire) bool { return !isProvision(w) })
	})
)

func isProvision(w errcode.Wire) bool {
	return w.Kind == "provision" || w.Kind == "close_before_provision"
}

func codesWith(fits func(errcode.Entry) bool) map[errcode.Code]bool {
	set := map[errcode.Code]bool{}
	for _, e := range errcode.All() {
		if fits(e) {
			set[e.Code] = true
		}
	}
	return set
}

// people and places are the codes that only fit what is sent to users, or to groups and chatrooms.
var (
	people = map[errcode.Code]bool{errcode.UserNotFound: true, errcode.UserNotFriend: true}
	places = map[errcode.Code]bool{errcode.GroupNotExist: true, errcode.GroupNotJoined: true, errcode.GroupDisabled: true,
		errcode.Muted: true, errcode.NotAllowedMuteAll: true}
)

// Possible reports whether the server can make a client raise a code.
func Possible(code errcode.Code) bool {
	entry, ok := errcode.Lookup(code)
	return ok && entry.Alone == nil
}

func has(entry errcode.Entry, fits func(errcode.Wire) bool) bool {
	for _, w := range entry.Wire {
		if fits(w) {
			return true
		}
	}
	return false
}

// Login says how a login of the user is to end: with the code of an error, with a closed socket (Close), or Ordinary.
func (s *Service) Login(user int64) (Outcome, errcode.Code) {
	r, ok := s.pick(user, func(r *Rehearsal) bool { return r.Fault == "" && login[r.Code] })
	switch {
	case !ok:
		return Ordinary, 0
	case r.Code == errcode.Disconnected:
		return Close, r.Code
	}
	return Refuse, r.Code
}

// Notice returns the operation of a kick that waits for the user, who has just signed in.
func (s *Service) Notice(user int64) (operation int, ok bool) {
	s.pick(user, func(r *Rehearsal) bool {
		entry, _ := errcode.Lookup(r.Code)
		if r.Fault == "" {
			operation, ok = entry.Notice()
		}
		return ok
	})
	return operation, ok
}

// Kicked notes that a session of the user was ended by an operation.
func (s *Service) Kicked(user int64, operation int) {
	if !s.Any() {
		return
	}
	for _, e := range errcode.All() {
		if of, ok := e.Notice(); ok && of == operation {
			s.Met(user, e.Code)
		}
	}
}

// Uplink says how something that the user sends is to end. Codes that narrowed settings bring about are not among them.
func (s *Service) Uplink(user int64, up Uplink) (Outcome, errcode.Code) {
	outcome := Ordinary
	r, _ := s.pick(user, func(r *Rehearsal) bool {
		entry, _ := errcode.Lookup(r.Code)
		switch {
		case r.Fault != "" || narrowed[r.Code] || people[r.Code] && up.Place || places[r.Code] && !up.Place && up.Op == "send":
			return false
		case has(entry, func(w errcode.Wire) bool { return w.Kind == "ack" && w.Op == up.Op }):
			outcome = Refuse
		case has(entry, func(w errcode.Wire) bool { return w.Kind == "silence" && w.Op == up.Op }):
			outcome = Silence
		case up.Op == "send" && has(entry, func(w errcode.Wire) bool { return w.Kind == "close_instead_of_ack" }):
			outcome = Close
		}
		return outcome != Ordinary
	})
	return outcome, r.Code
}

// Request is a call over HTTP.
type Request struct {
	Method, Path string // below the application
}

func (r Request) kind() string {
	switch {
	case strings.HasPrefix(r.Path, "/chatfiles"), strings.HasPrefix(r.Path, "/sdk/chatfiles"), strings.Contains(r.Path, "/share_files"):
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return "download"
		}
		return "upload"
	case r.Path == "/token":
		return "token"
	}
	return "rest"
}

// Answer is how a call over HTTP is to end.
type Answer struct {
	Code    errcode.Code
	Status  int
	Body    Body
	Silent  bool // no answer at all, until the client gives up
	Dropped bool // the connection ends in place of an answer
}

// Body is what an error's body says (docs/protocol/errors.md §9).
type Body struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Exception   string `json:"exception"`
	Code        int    `json:"error_code"`
}

// Request says how a call of the user over HTTP is to end; false: as it would. Codes that also end what is sent over the
// socket fit calls as well.
func (s *Service) Request(user int64, q Request) (a Answer, ok bool) {
	kind := q.kind()
	r, ok := s.pick(user, func(r *Rehearsal) bool {
		entry, _ := errcode.Lookup(r.Code)
		switch {
		case r.Fault != "" || narrowed[r.Code]:
			return false
		case r.Code == errcode.RequestTimeout && kind == "rest":
			a.Silent = true
			return true
		case r.Code == errcode.TokenFetchFailed && kind == "token":
			// It is no verdict on the credentials (docs/protocol/errors.md §2).
			a.Status, a.Body = http.StatusServiceUnavailable, Body{Error: "service_unavailable", Description: "no token can be made now"}
			return true
		}
		for _, w := range entry.Wire {
			switch {
			case w.Kind == "rest_reset" && kind == "rest":
				a.Dropped = true
				return true
			case w.Kind != kind || kind == "rest" && (w.HTTP < 400 || !on(w, q.Path)) || kind == "upload" && w.Target != target(q.Path):
				continue
			}
			if json.Unmarshal(w.Body, &a.Body) != nil || a.Body == (Body{}) && len(w.Body) > len("{}") {
				continue // not an answer of the form that this edge gives
			}
			a.Status = w.HTTP
			return true
		}
		return false
	})
	a.Code = r.Code
	return a, ok
}

// on reports whether a wire entry is for a path: any, or one of groups or of chatrooms.
func on(w errcode.Wire, path string) bool {
	switch w.On {
	case "chatgroups", "chatrooms":
		return strings.Contains(path, "/"+w.On)
	}
	return true
}

func target(path string) string {
	if strings.Contains(path, "/share_files") {
		return "shared"
	}
	return "message"
}
