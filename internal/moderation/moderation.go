// Package moderation knows who may not write in an app at all, and what messages may not say. Its refusals are
// *errcode.Error; where an edge has to tell apart situations that share a code, one of the package's sentinels is wrapped.
package moderation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/cache"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/ruleset"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxRules     = 100    // of an app
	keptVerdicts = 10_000 // of an app
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrMuteTime  = errors.New("mute is too long")
	ErrNoVerdict = errors.New("unknown verdict")
)

// Store is what the service keeps in the store.
type Store interface {
	store.Rules
	store.Mutes
	store.Verdicts
}

// Service is the moderation of one node.
type Service struct {
	// Rules are those for the texts of messages; see Filter. They are read-only here.
	Rules *ruleset.Set[*Filter]

	accounts *account.Service
	store    Store
	bus      bus.Bus
	clock    *clock.Clock
	log      *slog.Logger
	mutes    cache.Cache[int64, []store.Mute]
}

// New reads the rules. What arrives on bus.All goes to Heard.
func New(ctx context.Context, accounts *account.Service, s Store, b bus.Bus, c *clock.Clock, log *slog.Logger) (*Service, error) {
	rules, err := ruleset.New(ctx, store.RuleModeration, maxRules, ParseFilter, s, b, log)
	return &Service{Rules: rules, accounts: accounts, store: s, bus: b, clock: c, log: log}, err
}

// Heard takes what other nodes, and this one, tell about changes. It does not block; stale tells that the rules have
// changed and Rules.Reload is due.
func (s *Service) Heard(data []byte) (stale bool) {
	s.forget(data)
	return s.Rules.Heard(data)
}

// Verdicts returns up to limit messages of an app that matched rules, newest first, from the row below the given one on;
// 0: the newest.
func (s *Service) Verdicts(ctx context.Context, app *account.App, below int64, limit int) ([]store.Verdict, error) {
	return s.store.ListVerdicts(ctx, app.ID, below, limit)
}

// DropVerdict takes a message off the list. The error wraps ErrNoVerdict.
func (s *Service) DropVerdict(ctx context.Context, app *account.App, row int64) error {
	err := s.store.DropVerdict(ctx, app.ID, row)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %d", ErrNoVerdict, row)
	}
	return err
}

// Note puts a message that matched rules on the list. A list that cannot be written holds up no message.
func (s *Service) Note(app *account.App, sender store.User, j Judgement, message int64, meta []byte) {
	for _, hit := range j.Hits {
		err := s.store.PutVerdict(context.Background(), store.Verdict{App: app.ID, Rule: hit.Rule, Action: hit.Action, Found: hit.Found,
			Sender: store.Peer{ID: sender.ID, Name: sender.Name}, Message: message, Time: s.clock.Now().UnixMilli(), Meta: meta}, keptVerdicts)
		if err != nil {
			s.log.Warn("note message that matched a rule", "rule", hit.Rule, "error", err)
		}
	}
}
