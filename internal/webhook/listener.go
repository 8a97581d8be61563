package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stoa-chat/stoa/internal/ruleset"
)

const (
	listenTime    = 5 * time.Second // for a backend to answer
	maxListenTime = 60_000          // ms
	maxFilter     = 1000            // names in a filter
)

// The names of events in rules.
const (
	eventMessage  = "message"
	eventRecall   = "recall"
	eventEdit     = "edit"
	eventRead     = "read_ack"
	eventDelivery = "delivery_ack"
	eventReaction = "reaction"
	eventPin      = "pin"
	eventThread   = "thread"
	eventContact  = "contact"
	eventGroup    = "group"
	eventRoom     = "room"
	eventFile     = "file"
	eventLogin    = "login"
	eventLogout   = "logout"
)

var eventNames = []string{eventMessage, eventRecall, eventEdit, eventRead, eventDelivery, eventReaction, eventPin, eventThread,
	eventContact, eventGroup, eventRoom, eventFile, eventLogin, eventLogout}

// Listener is a rule that a backend is told of what has happened.
type Listener struct {
	url, secret      string
	events           []string // empty, here and below: all
	chatTypes, kinds []string
	from, to         []string
	extKey           string
	backend          bool // also of messages that the backend has sent itself
	second           bool // groups and rooms in the form of generation 2
	timeout          time.Duration
	asleep           bool
}

// ParseListener reads the definition of a rule, see docs/callbacks.md.
func ParseListener(text []byte) (*Listener, error) {
	d := struct {
		definition
		Events  []string `json:"events"`
		From    []string `json:"from"`
		To      []string `json:"to"`
		ExtKey  string   `json:"ext_key"`
		Backend bool     `json:"rest"`
		Format  string   `json:"format"`
	}{definition: byDefault(listenTime), Format: "muc"}
	if err := parse(text, &d, &d.definition, maxListenTime); err != nil {
		return nil, err
	}
	switch {
	case d.Format != "muc" && d.Format != "group_op_event":
		return nil, errors.New("format is muc or group_op_event")
	case len(d.From) > maxFilter || len(d.To) > maxFilter:
		return nil, fmt.Errorf("from and to have up to %d names", maxFilter)
	}
	for _, name := range d.Events {
		if !slices.Contains(eventNames, name) {
			return nil, fmt.Errorf("there is no event %.50q", name)
		}
	}
	return &Listener{url: d.URL, secret: d.Secret, events: d.Events, chatTypes: d.ChatTypes, kinds: d.Kinds, from: d.From, to: d.To,
		extKey: d.ExtKey, backend: d.Backend, second: d.Format == "group_op_event", timeout: d.timeout(),
		asleep: !d.Enabled}, nil
}

func passes(filter []string, value string) bool {
	return len(filter) == 0 || slices.Contains(filter, value)
}

// wants reports whether the backend is to be told of an event. Filters of what an event has not leave it.
func (l *Listener) wants(e *event) bool {
	switch {
	case !passes(l.events, e.name), e.backend && !l.backend:
		return false
	case e.chatType == chatPlace && !passes(l.chatTypes, "groupchat") && !passes(l.chatTypes, "chatroom"):
		return false
	case e.chatType != "" && e.chatType != chatPlace && !passes(l.chatTypes, e.chatType), e.kind != "" && !passes(l.kinds, e.kind):
		return false
	case e.from != "" && !passes(l.from, e.from), e.to != "" && !passes(l.to, e.to):
		return false
	case l.extKey != "" && e.name == eventMessage:
		_, has := e.ext[l.extKey]
		return has
	}
	return true
}

// Listeners are the rules of what backends are told, with a stream for each.
type Listeners struct {
	*ruleset.Set[*Listener]
	service *Service
}

// Put lays down a rule. What happens from now on is told. The errors are those of ruleset.
func (l Listeners) Put(ctx context.Context, app int64, name string, definition []byte) error {
	err := l.Set.Put(ctx, app, name, definition)
	l.service.sync()
	return err
}

// Drop removes a rule, and what its backend has not been told. The error is that of ruleset.
func (l Listeners) Drop(ctx context.Context, app int64, name string) error {
	err := l.Set.Drop(ctx, app, name)
	l.service.sync()
	return err
}
