package rest

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
)

// maxBody bounds the body of a request; longer ones are answered with 413.
const maxBody = 1 << 20

// Call is a request on its way to a handler. It belongs to one goroutine.
type Call struct {
	App *account.App
	// Who bears the token. It is zero where no token was looked at.
	Who account.Principal

	http   *http.Request
	id     string
	start  time.Time
	route  *Route // nil: none was found
	values map[string]string
	query  url.Values
	reader io.Reader // the body, up to maxBody
	whole  *upstream // the body, however long
}

func (a *API) newCall(w http.ResponseWriter, r *http.Request) *Call {
	c := &Call{http: r, id: requestID(r), start: time.Now(), values: map[string]string{}, query: r.URL.Query(),
		reader: http.MaxBytesReader(w, r.Body, maxBody),
		whole:  &upstream{body: r.Body, control: http.NewResponseController(w), meter: meter{bytes: a.pace.bytes, time: a.pace.up}}}
	w.Header().Set("X-Request-Id", c.id)
	for key, values := range c.query {
		// This is how the web client writes what is not set.
		if values[0] == "undefined" || values[0] == "null" {
			delete(c.query, key)
		}
	}
	return c
}

// Value returns the text of a segment in braces.
func (c *Call) Value(name string) string { return c.values[name] }

// Query returns a parameter of the query; empty: it is not there.
func (c *Call) Query(name string) string { return c.query.Get(name) }

// Limit returns the parameter limit: standard if it is not there, and at most highest.
func (c *Call) Limit(standard, highest int) (int, error) { return c.limit("limit", standard, highest) }

// limit is Limit for a parameter of another name.
func (c *Call) limit(name string, standard, highest int) (int, error) {
	text := c.Query(name)
	if text == "" {
		return standard, nil
	}
	limit, err := strconv.Atoi(text)
	if limit >= 1 && (err == nil || errors.Is(err, strconv.ErrRange)) {
		return min(limit, highest), nil
	}
	return 0, illegal("%s must be a number from 1 to %d", name, highest)
}

// Page returns which rows a page number and size ask for: how many to skip, and how many to read. Page numbers count from
// first; without a size it is standard, and it is at most highest.
func (c *Call) Page(first, standard, highest int) (offset, limit int, err error) {
	if limit, err = c.limit(c.spelt("pagesize", "pageSize"), standard, highest); err != nil {
		return 0, 0, err
	}
	number := first
	if text := c.Query(c.spelt("pagenum", "pageNum")); text != "" {
		if number, err = strconv.Atoi(text); err != nil {
			return 0, 0, illegal("pagenum must be a number from %d on", first)
		}
	}
	return min(max(number-first, 0), maxPage) * limit, limit, nil
}

// spelt returns the second name of a parameter if the call has that, else the first.
func (c *Call) spelt(name, other string) string {
	if c.query.Has(other) {
		return other
	}
	return name
}

// maxPage bounds page numbers, so that what is skipped is a number.
const maxPage = 1 << 20

// Cursor returns the number at which a page begins, as nextCursor wrote it; 0 is the first page.
func (c *Call) Cursor() (int64, error) { return c.cursor("cursor") }

// cursor is Cursor for a parameter of another name.
func (c *Call) cursor(name string) (int64, error) {
	text := c.Query(name)
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 36, 64)
	if err != nil || after < 0 {
		return 0, illegal("%s is not one that the server gave", name)
	}
	return after, nil
}

// nextCursor is made of characters that clients need not escape.
func nextCursor(after int64) string { return strconv.FormatInt(after, 36) }

// pageOf returns up to limit of the rows, of which one more than that was asked for, and the cursor of the page that
// follows, or "" if there is none. row is the number of a row by which the list is ordered.
func pageOf[T any](rows []T, limit int, row func(i int) int64) (page []T, cursor string) {
	if len(rows) <= limit {
		return rows, ""
	}
	return rows[:limit], nextCursor(row(limit - 1))
}

// Body reads the body, which must be JSON; its Content-Type does not matter.
func (c *Call) Body() ([]byte, error) {
	data, err := c.Text()
	if err != nil {
		return nil, err
	}
	return data, checkJSON(data)
}

// Text reads the body, whatever it is.
func (c *Call) Text() ([]byte, error) {
	data, err := io.ReadAll(c.reader)
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, refuseLong
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuseSlow
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, slug: "json_parse", description: "the request body ends early", err: err}
	}
	return data, nil
}

// Decode reads the body, which must be a JSON object, into the fields of a struct. See decode.
func (c *Call) Decode(into any) error {
	data, err := c.Body()
	if err != nil {
		return err
	}
	return decode(data, into)
}

// decodeNames is Decode for a body that must name users.
func (c *Call) decodeNames(into any, names *[]string) error {
	if err := c.Decode(into); err != nil {
		return err
	}
	if *names == nil {
		return refuseBody
	}
	return nil
}

// base returns scheme and host as the client wrote them.
func (a *API) base(r *http.Request) (scheme, host string) {
	scheme, host = "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if a.TrustProxy {
		if proto := strings.ToLower(firstOf(r.Header.Get("X-Forwarded-Proto"))); proto == "http" || proto == "https" {
			scheme = proto
		}
		if forwarded := firstOf(r.Header.Get("X-Forwarded-Host")); forwarded != "" {
			host = forwarded
		}
	}
	return scheme, host
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}
