// Package errcode is the error catalogue of Stoa: what can go wrong, under which number, why, and what helps.
//
// The numbers and legacy names are those of the Agora Chat web SDK, so that an app sees the same code whichever
// client it uses. The catalogue itself is one data file, error-codes.json; the constants, the docs page, the command
// `stoa errors` and the console are made from it.
//
// Every refusal of the server and every error of the Go SDK is an [*Error]. Callers ask for a code with
//
//	if errors.Is(err, errcode.UserNotFriend) { … }
//
// and read the details with errors.As or [CodeOf].
package errcode

//go:generate go run ./internal/gen

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Code is the number of an error in the catalogue. It is an error itself, so that a constant can be the target of
// errors.Is; what is returned to callers is an *Error.
type Code int

// Error tells number, name, meaning and first remedy in one line.
func (c Code) Error() string { return (&Error{Code: c}).Error() }

// String returns the catalogue's name of the code, as USER_NOT_FRIEND, or Code(N) for a number not in the catalogue.
func (c Code) String() string {
	if e, ok := Lookup(c); ok {
		return e.Name
	}
	return "Code(" + strconv.Itoa(int(c)) + ")"
}

// Error is one failure: the catalogue's code and what happened in this case. Whoever makes it fills it before it is
// returned; from then on it is read-only and may be shared between goroutines.
type Error struct {
	// Code is the number; it is never RequestSuccess in an error that is returned.
	Code Code
	// Op is the operation that failed, one word: "login", "send", "recall".
	Op string
	// Message says what happened here, in one sentence that may be shown to the user of the app.
	Message string
	// Reason is the exact protocol text for the wire, where it must differ from the catalogue's default.
	Reason string
	// RequestID is the server's id for the request, as it stands in the server's log.
	RequestID string
	// Data is documented data: "id" (client message id), "mid" (server message id), "http_status" and the like.
	Data map[string]any
	// Err is the cause. It is for logs and for the program that made the call; an edge never sends it to anyone.
	Err error
}

// New returns an error with the code and the message; an empty message stands for the catalogue's summary.
func New(code Code, message string) *Error {
	e := &Error{Code: code, Message: message}
	if message == "" {
		e.Message = e.entry().Summary
	}
	return e
}

// Newf is New with a message formatted as by fmt.Sprintf. The cause, if any, goes into Err and not into the message.
func Newf(code Code, format string, args ...any) *Error {
	return New(code, fmt.Sprintf(format, args...))
}

// CodeOf returns the code of the outermost *Error, or else of a bare Code, that err is or wraps. It is false for nil
// and for errors without a code.
func CodeOf(err error) (Code, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Code, true
	}
	var c Code
	if errors.As(err, &c) {
		return c, true
	}
	return 0, false
}

// Error returns one line: number, name, operation, message, cause, remedy and request id. It is meant for logs and for
// the program that made the call, since it shows the cause; what a server sends to others is Message.
func (e *Error) Error() string {
	line := e.brief()
	if inner, ok := e.Err.(interface{ brief() string }); ok {
		line += ": " + inner.brief() // one remedy in a line is enough
	} else if e.Err != nil {
		line += ": " + e.Err.Error()
	}
	line = strings.TrimRight(line, ". ") + ". " + e.Remedy()
	if e.RequestID != "" {
		line += " (request " + e.RequestID + ")"
	}
	return oneLine(line)
}

// brief is the line without cause, remedy and full stop.
func (e *Error) brief() string {
	s := strconv.Itoa(int(e.Code)) + " " + e.Name() + ": "
	if e.Op != "" {
		s += e.Op + ": "
	}
	message := e.Message
	if message == "" {
		message = e.entry().Summary
	}
	return s + strings.TrimRight(message, ". ")
}

func (c Code) brief() string { return (&Error{Code: c}).brief() }

// oneLine keeps text that came from elsewhere from breaking out of its line in a log.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// Is reports whether target is the same code, as a Code or as an *Error; nothing but the code is compared.
func (e *Error) Is(target error) bool {
	switch t := target.(type) {
	case Code:
		return e.Code == t
	case *Error:
		return t != nil && e.Code == t.Code
	}
	return false
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// LogValue gives the fields to slog as a group. Absent fields are left out.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.Int("code", int(e.Code)), slog.String("name", e.Name())}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("op", e.Op)
	text("message", e.Message)
	text("reason", e.Reason)
	text("request_id", e.RequestID)
	if len(e.Data) > 0 {
		data := make([]slog.Attr, 0, len(e.Data))
		for _, key := range slices.Sorted(maps.Keys(e.Data)) {
			data = append(data, slog.Any(key, e.Data[key]))
		}
		attrs = append(attrs, slog.Attr{Key: "data", Value: slog.GroupValue(data...)})
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("cause", e.Err))
	}
	return slog.GroupValue(attrs...)
}

// Name returns the catalogue's name of the code, as USER_NOT_FRIEND.
func (e *Error) Name() string { return e.Code.String() }

// Fault says whose side has to change something.
func (e *Error) Fault() Fault { return e.entry().Fault }

// Retry reports whether the same call can succeed later without anyone changing anything.
func (e *Error) Retry() bool { return e.entry().Retry() }

// Remedy returns the catalogue's first remedy, one sentence.
func (e *Error) Remedy() string { return e.entry().Remedy() }

func (e *Error) entry() Entry {
	if entry, ok := Lookup(e.Code); ok {
		return entry
	}
	return Entry{
		Code:     e.Code,
		Summary:  "The other side used a code that this version does not know.",
		Remedies: []string{"Update Stoa, or read the message."},
		Fault:    FaultServer,
	}
}
