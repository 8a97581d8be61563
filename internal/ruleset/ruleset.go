// Package ruleset has the rules at hand that apps' backends lay down, so that no message has to ask the store for them.
package ruleset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrBad     = errors.New("bad rule")
	ErrFull    = errors.New("too many rules")
	ErrUnknown = errors.New("unknown rule")
)

// maxDefinition bounds the JSON of a rule, in bytes.
const maxDefinition = 1 << 20

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Rule is a rule with what it has been made into.
type Rule[T any] struct {
	Name       string
	Definition json.RawMessage
	Made       T
}

// Set holds the rules of a kind of all apps.
type Set[T any] struct {
	kind  store.RuleKind
	limit int
	parse func(definition []byte) (T, error)
	store store.Rules
	bus   bus.Bus
	log   *slog.Logger

	loading sync.Mutex // rules are read and put in place by one at a time, so that the younger reading stays
	mu      sync.RWMutex
	byApp   map[int64][]Rule[T]
}

// New reads the rules of a kind. An app may have up to limit of them. Parse makes of a definition what is wanted; its
// error says what is wrong with it. What arrives on bus.All goes to Heard.
func New[T any](ctx context.Context, kind store.RuleKind, limit int, parse func(definition []byte) (T, error), s store.Rules, b bus.Bus, log *slog.Logger) (*Set[T], error) {
	set := &Set[T]{kind: kind, limit: limit, parse: parse, store: s, bus: b, log: log}
	return set, set.Reload(ctx)
}

// Of returns the rules of an app in order of their names. The slice is read-only.
func (s *Set[T]) Of(app int64) []Rule[T] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byApp[app]
}

// Put lays down a rule; one of the same name is replaced. The errors are code -3 (ErrBad) and 50 (ErrFull).
func (s *Set[T]) Put(ctx context.Context, app int64, name string, definition []byte) error {
	refuse := func(err error) error {
		return &errcode.Error{Code: errcode.InvalidParameter, Op: "rule", Message: err.Error(), Err: errors.Join(ErrBad, err)}
	}
	if !nameForm.MatchString(name) {
		return refuse(errors.New("the name of a rule is 1 to 64 of A-Z, a-z, 0-9, dot, _ and -"))
	}
	if len(definition) > maxDefinition {
		return refuse(fmt.Errorf("the rule has %d bytes, the limit is %d", len(definition), maxDefinition))
	}
	if _, err := s.parse(definition); err != nil {
		return refuse(err)
	}
	err := s.store.PutRule(ctx, store.Rule{App: app, Kind: s.kind, Name: name, Definition: definition}, s.limit)
	if errors.Is(err, store.ErrFull) {
		return &errcode.Error{Code: errcode.MaxLimit, Op: "rule", Message: fmt.Sprintf("an app has at most %d rules of a kind", s.limit), Err: ErrFull}
	} else if err != nil {
		return err
	}
	return s.changed(ctx)
}

// Drop removes a rule. The error is code -3 (ErrUnknown).
func (s *Set[T]) Drop(ctx context.Context, app int64, name string) error {
	err := s.store.DropRule(ctx, app, s.kind, name)
	if errors.Is(err, store.ErrNotFound) {
		return &errcode.Error{Code: errcode.InvalidParameter, Op: "rule", Message: fmt.Sprintf("there is no rule %q", name), Err: ErrUnknown}
	} else if err != nil {
		return err
	}
	return s.changed(ctx)
}

// heardRules begins what is said on bus.All: the rules of a kind, a digit that follows, have changed.
const heardRules = 'p'

func (s *Set[T]) changed(ctx context.Context) error {
	if err := s.bus.Publish(bus.All, []byte{heardRules, '0' + byte(s.kind)}); err != nil {
		s.log.Warn("publish change", "error", err)
	}
	return s.Reload(ctx)
}

// Heard reports whether what another node tells is that Reload is due. It does not block.
func (s *Set[T]) Heard(data []byte) (stale bool) {
	return len(data) == 2 && data[0] == heardRules && data[1] == '0'+byte(s.kind)
}

// Reload reads the rules again. Those that are as they were keep what they have been made into. What a later release may
// have written and this one does not understand is left out.
func (s *Set[T]) Reload(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	rows, err := s.store.ListRules(ctx, s.kind)
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	s.mu.RLock()
	last := s.byApp
	s.mu.RUnlock()
	byApp := map[int64][]Rule[T]{}
	for _, row := range rows {
		old := last[row.App]
		if i := slices.IndexFunc(old, func(r Rule[T]) bool { return r.Name == row.Name }); i >= 0 && bytes.Equal(old[i].Definition, row.Definition) {
			byApp[row.App] = append(byApp[row.App], old[i])
			continue
		}
		made, err := s.parse(row.Definition)
		if err != nil {
			s.log.Error("rule left out", "app", row.App, "rule", row.Name, "error", err)
			continue
		}
		byApp[row.App] = append(byApp[row.App], Rule[T]{row.Name, slices.Clone(row.Definition), made})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byApp = byApp
	return nil
}

// All returns the rules of all apps by app, each app's in order of their names. It is read-only.
func (s *Set[T]) All() map[int64][]Rule[T] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byApp
}
