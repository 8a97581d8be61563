package store

import "context"

// Rule is something that an app's backend has laid down under a name. What the definition means is the services' matter.
type Rule struct {
	App        int64
	Kind       RuleKind
	Name       string
	Definition []byte // JSON
}

// RuleKind is what rules are about. Each kind has names of its own.
type RuleKind uint8

const (
	RuleModeration RuleKind = 1 // what messages may say
	RuleCallback   RuleKind = 2 // what the app's backend is asked
	RuleListener   RuleKind = 3 // what it is told
)

// Rules keeps the rules of apps.
type Rules interface {
	// PutRule keeps a rule; one of the same name is replaced. ErrFull if the app would have more than limit of the kind.
	PutRule(ctx context.Context, rule Rule, limit int) error
	// DropRule removes a rule. ErrNotFound.
	DropRule(ctx context.Context, app int64, kind RuleKind, name string) error
	// ListRules returns the rules of a kind of all apps, in order of apps and names.
	ListRules(ctx context.Context, kind RuleKind) ([]Rule, error)
}

// Scope is a kind of conversation that a user may be muted in.
type Scope uint8

const (
	ScopeChat  Scope = 1 // one-to-one
	ScopeGroup Scope = 2 // groups and their threads
	ScopeRoom  Scope = 3
)

// Mute keeps a user from writing to all conversations of a kind.
type Mute struct {
	User  Peer
	Scope Scope
	Until int64 // math.MaxInt64: for ever
}

// Mutes keeps who is muted in the whole app. A user's mutes go with the user.
type Mutes interface {
	// PutMutes mutes a user; Until 0 lifts a mute. ErrNotFound if the user is gone.
	PutMutes(ctx context.Context, app int64, mutes []Mute) error
	// MutesOf returns the mutes of a user, also those that have ended.
	MutesOf(ctx context.Context, user int64) ([]Mute, error)
	// ListMutes returns up to limit mutes of an app that have not ended, in order of users and scopes, after the first
	// offset of them.
	ListMutes(ctx context.Context, app, now int64, offset, limit int) ([]Mute, error)
}

// Verdict tells that a message matched a rule. It holds the message as it was sent.
type Verdict struct {
	Row     int64 // newer rows have higher numbers
	App     int64
	Rule    string
	Action  string
	Found   string // what matched
	Sender  Peer
	Message int64 // id; 0: it was not delivered
	Time    int64
	Meta    []byte // the message, in the form in which entries hold it
}

// Verdicts keeps what moderation has found, for the app's operator to look at.
type Verdicts interface {
	// PutVerdict keeps a verdict. Of an app only the newest keep ones stay.
	PutVerdict(ctx context.Context, verdict Verdict, keep int) error
	// ListVerdicts returns up to limit verdicts of an app, newest first, from the row below the given number on; 0: the
	// newest.
	ListVerdicts(ctx context.Context, app, below int64, limit int) ([]Verdict, error)
	// DropVerdict removes a verdict. ErrNotFound.
	DropVerdict(ctx context.Context, app, row int64) error
}
