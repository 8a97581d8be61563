package store

import "context"

// Reaction is one kind of reaction to a message, with all who have added it.
type Reaction struct {
	ID      int64 // newer kinds have higher numbers
	Text    string
	Count   int    // users who have added it
	Users   []Peer // the first of them, oldest first
	Mine    bool   // the user who asks is one of them
	Created int64  // when the first was added
	Updated int64  // when the last was added
}

// Reactor is a user who has added a reaction.
type Reactor struct {
	Row  int64 // newer rows have higher numbers
	Peer Peer
	Time int64
}

// ReactionUsers is how many users a Reaction names.
const ReactionUsers = 3

// Reactions keeps who reacted to which message, and how. A message is named by its id; that it exists, and who may see
// it, is not looked at. A reaction stays when its user is deleted, as messages do. A message whose reactions are being
// changed by others for too long gives ErrConflict: trying again is safe.
type Reactions interface {
	// AddReaction adds a user's reaction to a message and returns the kind as it is then. ErrExists if the user has added
	// it already, ErrFull if it would be one kind more than the limit.
	AddReaction(ctx context.Context, message int64, text string, user Peer, now int64, limit int) (Reaction, error)
	// RemoveReaction removes a user's reaction from a message and returns the kind as it is then; without users it is
	// gone. ErrNotFound if the user has not added it.
	RemoveReaction(ctx context.Context, message int64, text string, user int64) (Reaction, error)
	// ListReactions returns the kinds of several messages, oldest first, as the user sees them.
	ListReactions(ctx context.Context, messages []int64, user int64) (map[int64][]Reaction, error)
	// ReactionOf returns one kind as the user sees it. ErrNotFound.
	ReactionOf(ctx context.Context, message int64, text string, user int64) (Reaction, error)
	// ListReactors returns up to limit users who have added a kind, oldest first, from the row above the given one on; 0:
	// the oldest.
	ListReactors(ctx context.Context, message, reaction, above int64, limit int) ([]Reactor, error)
	// DropReactions removes all reactions to a message; it is no error if there are none.
	DropReactions(ctx context.Context, message int64) error
}
