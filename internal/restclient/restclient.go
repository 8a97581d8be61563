// Package restclient is what the Go clients of the REST API have in common: reading answers and refusals, and lists that
// come in pages.
package restclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
)

// AnswerLimit bounds what is read of an HTTP answer. Lists that are not paged are the longest; a full one of contacts has
// about 0.5 MB.
const AnswerLimit = 16 << 20

// Fail makes an error of one operation; an empty message means the catalogue's text for the code.
func Fail(code errcode.Code, op, message string, cause error) *errcode.Error {
	e := errcode.New(code, message)
	e.Op, e.Err = op, cause
	return e
}

// ContextError is what a call returns when its context has ended: -1 after a deadline, else -4.
func ContextError(ctx context.Context, op string) *errcode.Error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return Fail(errcode.RequestTimeout, op, "the context's deadline passed", err)
	}
	return Fail(errcode.RequestAbort, op, "the context was cancelled", err)
}

// CheckPath refuses ids that would make the path another one: -3.
func CheckPath(op string, path []string) *errcode.Error {
	for _, segment := range path {
		switch segment {
		case "", ".", "..":
			return Fail(errcode.InvalidParameter, op, "an id is empty or made of dots", nil)
		}
	}
	return nil
}

// Join joins ids as one segment of a path or one value of a query. The error is -3, for no ids and for those that would
// be read as others.
func Join(op string, ids []string) (string, *errcode.Error) {
	if len(ids) == 0 {
		return "", Fail(errcode.InvalidParameter, op, "there is no id", nil)
	}
	for _, id := range ids {
		if id == "" || strings.Contains(id, ",") {
			return "", Fail(errcode.InvalidParameter, op, "an id is empty or has a comma", nil)
		}
	}
	return strings.Join(ids, ","), nil
}

// Read decodes a 200 answer into out, and makes any other the error that it is.
func Read(ctx context.Context, op string, resp *http.Response, out any) *errcode.Error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, AnswerLimit))
	if err != nil {
		return Unreached(ctx, op, err)
	}
	if resp.StatusCode != http.StatusOK {
		return Refusal(op, resp, text)
	}
	if out == nil {
		out = new(any)
	}
	if err := json.Unmarshal(text, out); err != nil {
		e := Fail(errcode.RequestFailed, op, "the server's answer is not JSON of the expected form", err)
		e.Data = map[string]any{"http_status": resp.StatusCode, "body": string(text)}
		return e
	}
	return nil
}

// Pages yields what next returns, page by page, until a page names no next one or that of before. An error is
// yielded once, as the last.
func Pages[T any](first string, next func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := first; ; {
			items, following, err := next(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if following == "" || following == cursor {
				return
			}
			cursor = following
		}
	}
}

// NumberedPages is Pages for lists whose pages are numbered; one that is not full is the last.
func NumberedPages[T any](first, size int, next func(page int) ([]T, error)) iter.Seq2[T, error] {
	return Pages(strconv.Itoa(first), func(cursor string) ([]T, string, error) {
		page, _ := strconv.Atoi(cursor)
		items, err := next(page)
		if err != nil || len(items) < size {
			return items, "", err
		}
		return items, strconv.Itoa(page + 1), nil
	})
}

// Integer is a number that some servers write as text.
type Integer int64

// UnmarshalJSON takes numbers, also with a fraction, and texts that are numbers; null and "" are 0.
func (n *Integer) UnmarshalJSON(text []byte) error {
	digits := strings.Trim(string(text), `"`)
	if digits == "null" || digits == "" {
		*n = 0
		return nil
	}
	if v, err := strconv.ParseInt(digits, 10, 64); err == nil {
		*n = Integer(v)
		return nil
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(v > -1<<53 && v < 1<<53) {
		return fmt.Errorf("%s is not a number", text)
	}
	*n = Integer(v)
	return nil
}

// Millis is a time in the protocol's milliseconds; what is not after 1970, and what never comes, is the zero time.
type Millis struct{ time.Time }

func (m *Millis) UnmarshalJSON(text []byte) error {
	var n Integer
	if err := n.UnmarshalJSON(text); err != nil {
		return err
	}
	m.Time = Time(float64(n))
	return nil
}

func Escape(path []string) []string {
	out := make([]string, len(path))
	for i, p := range path {
		out[i] = url.PathEscape(p)
	}
	return out
}

// Unreached is -4 or -1 when a context ended, else -2.
func Unreached(ctx context.Context, op string, err error) *errcode.Error {
	var timeout interface{ Timeout() bool }
	switch {
	case ctx.Err() != nil:
		return ContextError(ctx, op)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Fail(errcode.RequestTimeout, op, "", errors.Join(err, context.DeadlineExceeded))
	}
	return Fail(errcode.RequestUnknown, op, "the server could not be reached", err)
}

// Time reads the protocol's milliseconds; 0 and what lies behind the year 9999 mean that there is no end.
func Time(ms float64) time.Time {
	if !(ms > 0 && ms < 253402300800000) {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// Outcomes tell how each user fared in a call about several; where an answer tells nothing of the kind, there are none.
type Outcomes []Outcome

// Outcome tells how a user fared; Result is false for one who was refused.
type Outcome struct {
	User   string `json:"user"`
	Result any    `json:"result"`
	Reason string `json:"reason"`
}

// UnmarshalJSON takes one outcome or an array of them.
func (o *Outcomes) UnmarshalJSON(text []byte) error {
	type plain Outcomes
	if text = bytes.TrimSpace(text); !bytes.HasPrefix(text, []byte("[")) {
		text = slices.Concat([]byte("["), text, []byte("]"))
	}
	_ = json.Unmarshal(text, (*plain)(o))
	return nil
}

// Refused is nil, or 17 with the reasons by user id in Data under "users".
func (o Outcomes) Refused(op string) *errcode.Error {
	refused := map[string]string{}
	for _, outcome := range o {
		if outcome.Result == false {
			refused[outcome.User] = outcome.Reason
		}
	}
	if len(refused) == 0 {
		return nil
	}
	user := slices.Min(slices.Collect(maps.Keys(refused)))
	e := Fail(errcode.RequestFailed, op, user+" was refused: "+refused[user], nil)
	e.Data = map[string]any{"users": refused}
	return e
}
