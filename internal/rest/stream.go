package rest

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"time"
)

// pace is what a stream has to keep up with: it may take as long as it likes if it makes progress.
type pace struct {
	bytes    int           // that have to pass
	up, down time.Duration // in so much time of waiting for the client
}

// standardPace lets players rest that have enough for now.
var standardPace = pace{bytes: 256 << 10, up: time.Minute, down: 5 * time.Minute}

// meter measures one direction of a stream.
type meter struct {
	bytes int
	time  time.Duration
	owed  int           // bytes that have to pass
	left  time.Duration // before so much waiting is over
}

// wait does what may have to wait for the client, with a deadline.
func (m *meter) wait(setDeadline func(time.Time) error, do func() (int, error)) (int, error) {
	if m.owed <= 0 {
		m.owed, m.left = m.bytes, m.time
	}
	begin := time.Now()
	_ = setDeadline(begin.Add(m.left)) // where there is none to set, as in tests, there is none to be cut off by
	n, err := do()
	m.owed -= n
	m.left -= time.Since(begin)
	return n, err
}

// maxDrained bounds how much of a form is read although it has been refused: a client hears the answer only once it has
// sent its body.
const maxDrained = 256 << 20

// maxField bounds a field of a form that is no file, in bytes.
const maxField = 64

// upstream is the body of a request without a limit of its size and without one of the time as a whole.
type upstream struct {
	body    io.Reader
	control *http.ResponseController
	meter   meter
}

// Read implements io.Reader. Its errors are refusals.
func (u *upstream) Read(p []byte) (int, error) {
	n, err := u.meter.wait(u.control.SetReadDeadline, func() (int, error) { return u.body.Read(p) })
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		// There is nothing more to read. From here on the server listens for the client going away, and a deadline would
		// end the context of the request, however far the work on it has come.
		_ = u.control.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = refuseSlow.because(err)
	default:
		err = refuseForm.because(err)
	}
	return n, err
}

// boundary returns the boundary of a request that brings a form with files; empty: it brings none.
func boundary(r *http.Request) string {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return ""
	}
	return params["boundary"]
}

// drain reads what is left of a form.
func (c *Call) drain() {
	if boundary(c.http) != "" {
		_, _ = io.Copy(io.Discard, io.LimitReader(c.whole, maxDrained)) // the answer says what was wrong
	}
}

// EachField gives each field of a form with files to a function, as it arrives.
func (c *Call) EachField(do func(field *multipart.Part) error) error {
	b := boundary(c.http)
	if b == "" {
		return refuseForm.because(errors.New("no multipart/form-data"))
	}
	for form := multipart.NewReader(c.whole, b); ; {
		field, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return unlessRefused(err)
		}
		if err := do(field); err != nil {
			return err
		}
	}
}

// unlessRefused is the refusal of a form that cannot be read.
func unlessRefused(err error) error {
	var said *refusal
	if errors.As(err, &said) {
		return err
	}
	return refuseForm.because(err)
}

// fieldReader reads a field of a form. Its errors are refusals.
type fieldReader struct{ *multipart.Part }

// Read implements io.Reader.
func (f fieldReader) Read(p []byte) (int, error) {
	n, err := f.Part.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unlessRefused(err)
	}
	return n, err
}

// number reads a field that is a whole number; 0: it is none.
func number(field io.Reader) (int, error) {
	text, err := io.ReadAll(io.LimitReader(field, maxField))
	if err != nil {
		return 0, err
	}
	n, _ := strconv.Atoi(string(text)) // clients write whatever the app gave them
	return n, nil
}

// stream has an answer written that writes itself, and returns its status. Errors that it writes become JSON.
func (a *API) stream(w http.ResponseWriter, c *Call, answer Answer) int {
	d := &downstream{ResponseWriter: w, control: http.NewResponseController(w), status: http.StatusOK,
		meter: meter{bytes: a.pace.bytes, time: a.pace.down},
		failure: func(status int) []byte {
			return a.failure(c, &refusal{status: status, slug: "illegal_argument", description: http.StatusText(status)})
		}}
	// The connection may serve other requests, which have no such deadline.
	defer func() { _ = d.control.SetWriteDeadline(time.Time{}) }()
	answer.Stream(d, c.http)
	return d.status
}

// downstream is an answer that has as long as it needs if the client takes it.
type downstream struct {
	http.ResponseWriter
	control *http.ResponseController
	meter   meter
	status  int
	failure func(status int) []byte
}

// WriteHeader implements http.ResponseWriter.
func (d *downstream) WriteHeader(status int) {
	d.status = status
	if status < http.StatusBadRequest {
		d.ResponseWriter.WriteHeader(status)
		return
	}
	text := d.failure(status)
	h := d.Header()
	h.Del("Content-Disposition")
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	d.ResponseWriter.WriteHeader(status)
	_, _ = d.ResponseWriter.Write(text)
}

// Write implements io.Writer.
func (d *downstream) Write(p []byte) (int, error) {
	if d.status >= http.StatusBadRequest {
		return len(p), nil // the text of the error, which has been said
	}
	return d.meter.wait(d.control.SetWriteDeadline, func() (int, error) { return d.ResponseWriter.Write(p) })
}
