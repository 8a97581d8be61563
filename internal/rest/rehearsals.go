package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/rehearse"
)

// These are Stoa's own: no cloud offers them (docs/rehearsal.md).
func (a *API) rehearsalRoutes() []Route {
	return []Route{
		{http.MethodPost, "/rehearsals", AppToken, a.startRehearsal},
		{http.MethodGet, "/rehearsals", AppToken, a.listRehearsals},
		{http.MethodDelete, "/rehearsals", AppToken, a.stopRehearsals},
		{http.MethodDelete, "/rehearsals/{rehearsal}", AppToken, a.stopRehearsals},
		{http.MethodPost, "/rehearsals/clock", AppToken, a.advanceClock},
	}
}

// rehearsalRow is a rehearsal in answers. Times are milliseconds since 1970.
type rehearsalRow struct {
	ID      string `json:"id"`
	User    string `json:"user"`
	Code    int    `json:"code,omitempty"`
	Name    string `json:"name,omitempty"`
	Fault   string `json:"fault,omitempty"`
	DelayMS int64  `json:"delay_ms,omitempty"`
	Times   int    `json:"times,omitempty"` // how often it is to happen; left out: until the end
	Begins  int64  `json:"begins"`
	Ends    int64  `json:"ends,omitempty"` // left out: when it is switched off
	Met     int    `json:"met"`            // how often it has happened
}

func rowOfRehearsal(r rehearse.Rehearsal) rehearsalRow {
	row := rehearsalRow{ID: strconv.FormatInt(r.ID, 10), User: r.Name, Code: int(r.Code), Fault: string(r.Fault),
		DelayMS: r.Delay.Milliseconds(), Times: r.Times, Begins: r.Begins.UnixMilli(), Met: r.Met}
	if r.Fault == "" {
		row.Name = r.Code.String()
	}
	if !r.Ends.IsZero() {
		row.Ends = r.Ends.UnixMilli()
	}
	return row
}

// untilOff is what "for" says of a rehearsal without an end.
const untilOff = "until-off"

func (a *API) startRehearsal(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Code  json.RawMessage `json:"code"` // a number or a name
		Fault string          `json:"fault"`
		User  string          `json:"user"`
		For   string          `json:"for"` // how often, how long, or until-off; empty: once
		After string          `json:"after"`
		Delay string          `json:"delay"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	user, err := a.accounts.User(ctx, c.App, in.User)
	if err != nil {
		return Answer{}, err
	}
	r := rehearse.Rehearsal{App: c.App.ID, User: user.ID, Name: user.Name, Fault: rehearse.Fault(in.Fault), Begins: time.Now()}
	if len(in.Code) > 0 {
		if r.Code, err = codeNamed(in.Code); err != nil {
			return Answer{}, err
		}
	} else if r.Fault == "" {
		return Answer{}, illegal("code or fault must be given")
	}
	if in.After != "" {
		after, err := time.ParseDuration(in.After)
		if err != nil || after < 0 {
			return Answer{}, illegal("after is not a time as 30s")
		}
		r.Begins = r.Begins.Add(after)
	}
	if in.Delay != "" {
		if r.Delay, err = time.ParseDuration(in.Delay); err != nil {
			return Answer{}, illegal("delay is not a time as 500ms")
		}
	}
	times, err := strconv.Atoi(in.For)
	switch {
	case in.For == "" && r.Fault == "":
		r.Times = 1
	case in.For == untilOff:
	case err == nil && times > 0:
		r.Times = times
	default:
		d, err := time.ParseDuration(in.For)
		if err != nil || d <= 0 {
			return Answer{}, illegal("for is not a number of times, a time as 5m, or until-off")
		}
		r.Ends = r.Begins.Add(d)
	}
	if r, err = a.rehearsals.Start(r); err != nil {
		return Answer{}, err
	}
	return Answer{Data: rowOfRehearsal(r)}, nil
}

// codeNamed reads 221, "221" or "USER_NOT_FRIEND".
func codeNamed(text json.RawMessage) (errcode.Code, error) {
	var number int
	if json.Unmarshal(text, &number) == nil {
		return errcode.Code(number), nil
	}
	var name string
	if json.Unmarshal(text, &name) != nil {
		return 0, illegal("code is neither a number nor a name")
	}
	if number, err := strconv.Atoi(name); err == nil {
		return errcode.Code(number), nil
	}
	entry, ok := errcode.ByName(name)
	if !ok {
		return 0, illegal("there is no code %q", name)
	}
	return entry.Code, nil
}

func (a *API) listRehearsals(_ context.Context, c *Call) (Answer, error) {
	rows := []rehearsalRow{}
	for _, r := range a.rehearsals.List(c.App.ID) {
		rows = append(rows, rowOfRehearsal(r))
	}
	count := len(rows)
	return Answer{Data: rows, Count: &count}, nil
}

// stopRehearsals ends the one that the path names, or all of the app.
func (a *API) stopRehearsals(_ context.Context, c *Call) (Answer, error) {
	id := int64(0)
	if text := c.Value("rehearsal"); text != "" {
		var err error
		if id, err = strconv.ParseInt(text, 10, 64); err != nil || id <= 0 {
			return Answer{}, rehearse.ErrUnknown
		}
	}
	if err := a.rehearsals.Stop(c.App.ID, id); err != nil {
		return Answer{}, err
	}
	return done(), nil
}

// maxAdvance bounds one move of the clock.
const maxAdvance = 400 * 24 * time.Hour

// advanceClock moves this node's clock forward, for all of its applications.
func (a *API) advanceClock(_ context.Context, c *Call) (Answer, error) {
	var in struct {
		Advance string `json:"advance"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	d, err := time.ParseDuration(in.Advance)
	if err != nil || d <= 0 || d > maxAdvance {
		return Answer{}, illegal("advance is not a time as 3m, of up to %s; the clock never goes back", maxAdvance)
	}
	if !a.rehearsals.On() {
		return Answer{}, rehearse.ErrOff
	}
	a.clock.Advance(d)
	a.log.Info("clock moved by rehearsal", "by", d)
	return Answer{Data: map[string]int64{"now": a.clock.Now().UnixMilli()}}, nil
}

// errNoAnswer ends the connection of a call in place of an answer.
var errNoAnswer = errors.New("the call is left without an answer by a rehearsal")

// silence is longer than any client waits for an answer.
const silence = 30 * time.Second

// rehearsed returns the error with which a call of the user is to end, after holding it up if that is the rehearsal.
func (a *API) rehearsed(ctx context.Context, c *Call, user int64) error {
	if user == 0 {
		return nil
	}
	if err := pause(ctx, a.rehearsals.Delay(user)); err != nil {
		return err
	}
	answer, ok := a.rehearsals.Request(user, rehearse.Request{Method: c.http.Method, Path: c.route.Pattern})
	if !ok {
		return nil
	}
	a.rehearsals.Met(user, answer.Code)
	switch {
	case answer.Silent:
		pause(ctx, silence)
		return errNoAnswer
	case answer.Dropped:
		return errNoAnswer
	}
	return &refusal{status: answer.Status, slug: answer.Body.Error, description: answer.Body.Description,
		exception: answer.Body.Exception, code: answer.Body.Code}
}

// rehearsedBearer is rehearsed for a route that needs no token: whoever sends one may rehearse all the same.
func (a *API) rehearsedBearer(ctx context.Context, c *Call) error {
	if !a.rehearsals.Any() || bearer(c.http) == "" {
		return nil
	}
	who, err := a.accounts.Authenticate(ctx, c.App, bearer(c.http))
	if err != nil {
		return nil // it is not the token that lets the caller in
	}
	return a.rehearsed(ctx, c, who.User.ID)
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
