package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
)

const (
	standard    = 200 * time.Millisecond
	maxTimeout  = 3000            // ms
	maxAnswer   = 1000            // characters, docs/protocol/admin-rest.md §18.1
	maxReplaced = 1024            // bytes of a text that a backend puts in place
	failures    = 5               // in a row, after which a backend is not asked for a while
	rest        = 5 * time.Second // how long that is
)

// Hook is a rule that a backend is asked about messages.
type Hook struct {
	url, secret           string
	chatTypes, kinds      []string // empty: all
	timeout               time.Duration
	block, report, asleep bool
	mu                    sync.Mutex
	failed                int
	until                 time.Time // it is not asked before
}

// ParseHook reads the definition of a rule, see docs/callbacks.md.
func ParseHook(text []byte) (*Hook, error) {
	d := struct {
		definition
		Fallback string `json:"fallback"`
		Report   bool   `json:"report_error"`
	}{definition: byDefault(standard), Fallback: "pass"}
	if err := parse(text, &d, &d.definition, maxTimeout); err != nil {
		return nil, err
	}
	if d.Fallback != "pass" && d.Fallback != "block" {
		return nil, errors.New("fallback is pass or block")
	}
	return &Hook{url: d.URL, secret: d.Secret, chatTypes: d.ChatTypes, kinds: d.Kinds, timeout: d.timeout(),
		block: d.Fallback == "block", report: d.Report, asleep: !d.Enabled}, nil
}

// Asks reports whether a backend wants to be asked about messages of an app.
func (s *Service) Asks(app *account.App) bool { return len(s.Hooks.Of(app.ID)) > 0 }

// Ask asks the app's backends in order about a stored Meta that is not delivered yet. It returns the text that is to take
// the place of the message's; replaced is false if none is. The error is code 502.
func (s *Service) Ask(ctx context.Context, app *account.App, stored []byte) (text string, replaced bool, err error) {
	now := s.clock.Now().UnixMilli()
	message, err := msync.MessageJSON(0, now, stored)
	if err != nil {
		return "", false, fmt.Errorf("word message: %w", err)
	}
	p := message.Payload
	kind := ""
	if len(p.Bodies) > 0 {
		kind, _ = p.Bodies[0]["type"].(string)
	}
	for _, rule := range s.Hooks.Of(app.ID) {
		h := rule.Made
		if h.asleep || len(h.chatTypes) > 0 && !slices.Contains(h.chatTypes, p.Type) || len(h.kinds) > 0 && !slices.Contains(h.kinds, kind) {
			continue
		}
		answer, err := s.ask(ctx, h, app, p)
		switch {
		case err != nil:
			s.log.Warn("backend was asked about a message and gave no answer", "app", app.Key(), "rule", rule.Name, "error", err)
			if h.block {
				return "", false, h.refuse("custom internal error")
			}
		case !*answer.Valid && answer.Code == nil:
			return "", false, h.refuse("custom logic denied")
		case !*answer.Valid && *answer.Code == "":
			return "", false, h.refuse("Message blocked by external logic")
		case !*answer.Valid:
			return "", false, h.refuse(*answer.Code)
		case kind == "txt" && answer.Payload != nil && len(answer.Payload.Bodies) > 0:
			text, replaced = answer.Payload.Bodies[0].Text, true
			p.Bodies[0]["msg"] = text // the next one is asked about it
		}
	}
	return text, replaced, nil
}

// refuse tells the sender why only where the rule says so.
func (h *Hook) refuse(reason string) error {
	if !h.report {
		reason = "refused by a rule of the app"
	}
	return &errcode.Error{Code: errcode.BlockedExternally, Op: "send", Message: reason, Reason: reason}
}

type answer struct {
	Valid   *bool   `json:"valid"`
	Code    *string `json:"code"`
	Payload *struct {
		Bodies []struct {
			Text string `json:"msg"`
		} `json:"bodies"`
	} `json:"payload"`
}

// ask asks one backend, unless it has just failed several times: a dead one holds up nobody for long.
func (s *Service) ask(ctx context.Context, h *Hook, app *account.App, p msync.MessagePayload) (a answer, err error) {
	h.mu.Lock()
	resting := time.Now().Before(h.until)
	h.mu.Unlock()
	if resting {
		return a, errors.New("it failed a moment ago and is not asked")
	}
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.failed++; err == nil {
			h.failed = 0
		} else if h.failed >= failures {
			h.failed, h.until = 0, time.Now().Add(rest)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	body, err := h.question(app, p, s.clock.Now().UnixMilli())
	if err != nil {
		return a, err
	}
	response, err := s.post(ctx, h.url, h.secret, body)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4*maxAnswer+1))
	switch {
	case err != nil:
		return a, err
	case response.StatusCode != http.StatusOK:
		return a, fmt.Errorf("status %d", response.StatusCode)
	case len(bytes.Runes(text)) > maxAnswer:
		return a, fmt.Errorf("the answer is longer than %d characters", maxAnswer)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, err
	}
	if a.Valid == nil {
		return a, errors.New("the answer has no valid")
	}
	if a.Payload != nil && len(a.Payload.Bodies) > 0 && len(a.Payload.Bodies[0].Text) > maxReplaced {
		return a, fmt.Errorf("the text is longer than %d bytes", maxReplaced)
	}
	return a, nil
}

func (h *Hook) question(app *account.App, p msync.MessagePayload, now int64) ([]byte, error) {
	id := app.Key() + "_" + uuid.NewString()
	q := map[string]any{"callId": id, "timestamp": now, "chat_type": p.Type, "from": p.From, "to": p.To, "appkey": app.Key(),
		"payload": map[string]any{"bodies": p.Bodies, "ext": p.Ext}, "securityVersion": "1.0.0", "security": security(id, h.secret, now)}
	if p.Type != "chat" {
		q["group_id"] = p.To
	}
	return json.Marshal(q)
}
