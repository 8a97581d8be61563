package store

import (
	"context"
	"strconv"
)

// Conversation is a timeline of messages as one user has it.
type Conversation struct {
	Subscription        // both of its bounds are 0 if the user has never subscribed, as in chatrooms
	Floor        int64  // entries up to this one are gone for all: retention has removed them
	Read         int64  // the read mark: what is up to it does not count as unread
	Cleared      int64  // the user has deleted what is up to it
	Hidden       int64  // the user has taken it off the list, where it stays until there is a message after this one
	Pinned       int64  // when the user pinned it, in milliseconds since 1970; 0: it is not pinned
	Marks        uint32 // a bit for each mark that the user has put on it
}

// After returns the last entry that the user cannot read: what comes after it, up to Until, is the user's history.
func (c Conversation) After() int64 { return max(c.Start, c.Cleared, c.Floor) }

// Last returns the last entry that the user can read.
func (c Conversation) Last() int64 {
	if c.Until != 0 {
		return min(c.Head, c.Until)
	}
	return c.Head
}

// Point is a place in a timeline.
type Point struct{ Timeline, Seq int64 }

// Conversations keeps what users do with conversations: how far they have read, what they have deleted for themselves,
// and how their list looks. All of it belongs to the user and goes with the user; nobody else is concerned. It is
// written when a user does something, never when a message arrives.
type Conversations interface {
	// ListConversations returns the pairs and places that a user reads or has read, in order of the timelines.
	ListConversations(ctx context.Context, user int64) ([]Conversation, error)
	// Conversation returns a timeline as a user has it, also if the user has never subscribed to it. ErrNotFound if there
	// is no such timeline.
	Conversation(ctx context.Context, user int64, key Key) (Conversation, error)
	// LastMessages returns for each conversation the last message that is meant for the user, be it that the user has
	// deleted it. One without messages has an entry without a sequence number.
	LastMessages(ctx context.Context, user int64, conversations []Conversation) ([]Entry, error)
	// CountUnread returns for each conversation how many messages the user has not read: of those after the read mark
	// that the user can read, is meant to, has not sent, and that have not been recalled. It notes long counts, so that
	// the next goes on from there.
	CountUnread(ctx context.Context, user int64, conversations []Conversation) ([]int, error)
	// RemovedMessages returns which messages between two sequence numbers, themselves left out, the user has deleted one
	// by one, in order.
	RemovedMessages(ctx context.Context, user, timeline, after, before int64) ([]int64, error)
	// MarkRead moves a user's read mark forward; one that is further already stays.
	MarkRead(ctx context.Context, user, timeline, seq int64) error
	// RemoveMessages deletes single messages for a user.
	RemoveMessages(ctx context.Context, user, timeline int64, seqs []int64) error
	// ClearConversation deletes all messages up to one for a user.
	ClearConversation(ctx context.Context, user, timeline, seq int64) error
	// HideConversations takes conversations off a user's list until there is a message after the given one; what is up to
	// it counts as read. Pin and marks are lost. With clear the messages are deleted, too.
	HideConversations(ctx context.Context, user int64, upTo []Point, clear bool) error
	// PinConversation notes when a conversation was pinned; 0: it is not. ErrFull if the user has pinned that many others.
	PinConversation(ctx context.Context, user, timeline, at int64, limit int) error
	// MarkConversations puts a mark, a number below 32, on conversations, or takes it from them.
	MarkConversations(ctx context.Context, user int64, timelines []int64, mark int, on bool) error
	// Expire removes entries for good that are older than a time: of the first timelines of an app after the given one,
	// those at their beginnings, some milliseconds' worth. It returns from where to go on, 0 at the end, and how many it
	// has removed. Heads stay.
	Expire(ctx context.Context, app, before, after int64) (next int64, removed int, err error)
}

// Document is what is known of a message to find it by.
type Document struct {
	Timeline, Seq int64
	Owners        []string // who can find it, as Owners names them; none: nobody, and it is forgotten
	Words         []string // what it is found by: letters and digits of any script, but no blanks or ASCII signs
}

// Progress is how far the entries have been looked at for the index of words. It belongs to the store.
type Progress struct {
	Position  int64
	Timelines map[int64]int64
}

// WordQuery asks for messages that hold all of the words.
type WordQuery struct {
	Owners   []string
	Words    []string // whole words
	Prefixes []string // beginnings of words
	Before   int64    // a Position; 0: begin with the newest
	Limit    int
}

// Hit is a message that was found.
type Hit struct {
	Found
	Position int64 // in the order of arrival
}

// Words is the index of the words of messages. It is filled behind the message path.
type Words interface {
	// Unindexed returns up to about limit entries that have not been looked at yet: oldest first within a timeline, no
	// notices of users. What this process has appended is among them soon; what another left behind, sooner or later.
	Unindexed(ctx context.Context, limit int) ([]Found, Progress, error)
	// Index stores documents, in the place of older ones of the same messages, and that the entries up to the progress
	// have been looked at.
	Index(ctx context.Context, documents []Document, progress Progress) error
	// FindWords returns messages, newest first. Some may have been recalled since.
	FindWords(ctx context.Context, query WordQuery) ([]Hit, error)
}

// Owners returns who can find the messages of a timeline: the users of a pair, or all who read the place.
func Owners(key Key) []string {
	if key.Kind == KindMuc {
		return []string{PlaceOwner(key.A)}
	}
	var owners []string
	for _, user := range key.Readers() {
		owners = append(owners, UserOwner(user))
	}
	return owners
}

// UserOwner names a user as an owner, PlaceOwner a group, chatroom or thread.
func UserOwner(user int64) string { return "u" + strconv.FormatInt(user, 10) }
func PlaceOwner(muc int64) string { return "m" + strconv.FormatInt(muc, 10) }
