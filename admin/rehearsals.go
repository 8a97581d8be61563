package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/stoa-chat/stoa/errcode"
)

// Rehearsal is an error or a fault that one user meets on purpose (docs/rehearsal.md).
type Rehearsal struct {
	ID   string
	User string
	// Code is the error that the user is to meet; 0 with a Fault.
	Code errcode.Code
	// Fault is trouble that is no single code: "latency", "loss", "lost-answers", "duplicates" or "storm".
	Fault string
	// Delay is how long Fault "latency" holds each request up, and the pause between two losses of "storm".
	Delay time.Duration
	// Times is how often the error is to happen; 0: until Ends.
	Times int
	// Begins is when it begins or began, and Ends when it is over; zero: when it is stopped.
	Begins, Ends time.Time
	// Met is how often it has happened.
	Met int
}

// RehearsalRequest says what Rehearse is to begin.
type RehearsalRequest struct {
	User  string        `json:"user"`
	Code  errcode.Code  `json:"code,omitempty"`
	Fault string        `json:"fault,omitempty"` // in place of Code
	Delay time.Duration `json:"-"`               // with Fault "latency" and "storm"
	// For is how often ("1"), how long ("5m"), or "until-off". Empty is once, and not allowed with a fault.
	For string `json:"for,omitempty"`
	// After is how long to wait before it begins.
	After time.Duration `json:"-"`
}

type rehearsalRow struct {
	ID      string       `json:"id"`
	User    string       `json:"user"`
	Code    errcode.Code `json:"code"`
	Fault   string       `json:"fault"`
	DelayMS int64        `json:"delay_ms"`
	Times   int          `json:"times"`
	Begins  int64        `json:"begins"`
	Ends    int64        `json:"ends"`
	Met     int          `json:"met"`
}

func (r rehearsalRow) rehearsal() Rehearsal {
	out := Rehearsal{ID: r.ID, User: r.User, Code: r.Code, Fault: r.Fault, Delay: time.Duration(r.DelayMS) * time.Millisecond,
		Times: r.Times, Begins: time.UnixMilli(r.Begins), Met: r.Met}
	if r.Ends != 0 {
		out.Ends = time.UnixMilli(r.Ends)
	}
	return out
}

// Rehearse makes the server produce an error for one user, and returns what it has begun. It is refused with code 505 by a
// server that was not started with rehearsals, and with code 17 if it makes no sense or no server can raise the code; the
// message then says how to meet it.
func (c *Client) Rehearse(ctx context.Context, r RehearsalRequest) (Rehearsal, error) {
	ask := struct {
		RehearsalRequest
		Delay string `json:"delay,omitempty"`
		After string `json:"after,omitempty"`
	}{RehearsalRequest: r}
	if r.Delay != 0 {
		ask.Delay = r.Delay.String()
	}
	if r.After != 0 {
		ask.After = r.After.String()
	}
	row, err := data[rehearsalRow](ctx, c, call{op: "rehearse", method: http.MethodPost, path: []string{"rehearsals"}, in: ask})
	if err != nil {
		return Rehearsal{}, err
	}
	return row.rehearsal(), nil
}

// Rehearsals returns the rehearsals that are not over, oldest first.
func (c *Client) Rehearsals(ctx context.Context) ([]Rehearsal, error) {
	rows, err := data[[]rehearsalRow](ctx, c, call{op: "list rehearsals", method: http.MethodGet, path: []string{"rehearsals"}})
	if err != nil {
		return nil, err
	}
	list := make([]Rehearsal, len(rows))
	for i, row := range rows {
		list[i] = row.rehearsal()
	}
	return list, nil
}

// StopRehearsal ends a rehearsal; id "" ends all of the app.
func (c *Client) StopRehearsal(ctx context.Context, id string) error {
	path := []string{"rehearsals"}
	if id != "" {
		path = append(path, id)
	}
	return c.do(ctx, call{op: "stop rehearsal", method: http.MethodDelete, path: path})
}

// AdvanceClock moves the server's clock forward, for all of its apps: what depends on time (tokens, mutes, the time for
// recalls) happens at once. Only a node that was started with rehearsals allows it; the clock never goes back.
func (c *Client) AdvanceClock(ctx context.Context, d time.Duration) error {
	return c.do(ctx, call{op: "advance clock", method: http.MethodPost, path: []string{"rehearsals", "clock"}, in: map[string]string{"advance": d.String()}})
}
