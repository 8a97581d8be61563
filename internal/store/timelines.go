package store

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
)

// Content is what an entry holds.
type Content uint8

// The kinds of content. Messages are those of the wire (docs/protocol/wire.md §7.1); whatever else a timeline holds is an
// event: receipts, recalls, edits, and what happened to members. History and counts know neither events nor commands.
const (
	ContentEvent Content = iota
	ContentText
	ContentImage
	ContentVideo
	ContentLocation
	ContentVoice
	ContentFile
	ContentCommand
	ContentCustom
	ContentCombine
)

// Contents is a set of kinds of content.
type Contents uint16

// History is what history shows and counts count.
const History = Contents(1<<ContentText | 1<<ContentImage | 1<<ContentVideo | 1<<ContentLocation | 1<<ContentVoice |
	1<<ContentFile | 1<<ContentCustom | 1<<ContentCombine)

// ContentsOf makes a set.
func ContentsOf(kinds ...Content) (set Contents) {
	for _, kind := range kinds {
		set |= 1 << kind
	}
	return set
}

// Has reports whether the set holds a kind.
func (s Contents) Has(kind Content) bool { return s&(1<<kind) != 0 }

// Audience says to whom of a timeline's readers an entry is given. The zero value is all of them.
type Audience struct {
	Users  []int64
	Except bool // all but these
}

// All reports whether every reader is given the entry.
func (a Audience) All() bool { return len(a.Users) == 0 }

// Has reports whether a user is given the entry.
func (a Audience) Has(user int64) bool {
	return a.All() || slices.Contains(a.Users, user) != a.Except
}

// AppendAudience packs an audience; nothing is appended for all.
func AppendAudience(b []byte, a Audience) []byte {
	if a.All() {
		return b
	}
	except := byte(0)
	if a.Except {
		except = 1
	}
	b = append(b, except)
	for _, user := range a.Users {
		b = binary.AppendUvarint(b, uint64(user))
	}
	return b
}

// ErrAudience is returned by ReadAudience for bytes that AppendAudience has not made.
var ErrAudience = errors.New("malformed audience")

// ReadAudience unpacks what AppendAudience has packed.
func ReadAudience(b []byte) (a Audience, err error) {
	if len(b) == 0 {
		return a, nil
	}
	a.Except, b = b[0] == 1, b[1:]
	for len(b) > 0 {
		user, n := binary.Uvarint(b)
		if n <= 0 {
			return a, ErrAudience
		}
		a.Users, b = append(a.Users, int64(user)), b[n:]
	}
	return a, nil
}

// Amend changes an earlier entry of a draft's timeline, in the draft's commit.
type Amend struct {
	Seq int64
	// Version is the one that the entry has; if it has another by now, the draft fails with ErrConflict. A recalled entry
	// cannot be amended: ErrNotFound.
	Version int
	// Recall removes the content for good; what stays is an entry that says so.
	Recall bool
	// Meta replaces the content of an entry that is not recalled.
	Meta []byte
}

// NotDelivered is the Device of entries that are for history only: no device is given them.
const NotDelivered int64 = -1

// Entry is what a timeline holds.
type Entry struct {
	Seq      int64
	ID       int64
	Time     int64
	Sender   int64
	Device   int64
	ClientID uint64
	Content  Content
	Ref      int64
	Audience Audience
	Version  int  // how often it was amended
	Recalled bool // its Meta is empty
	Meta     []byte
}

// Found is an entry and where it stands.
type Found struct {
	Timeline int64
	Key      Key
	Entry
}

// Timeline is an ordered log.
type Timeline struct {
	ID   int64
	Key  Key
	Head int64 // the last entry's sequence number; 0: there is none yet
}

// Subscription is a user's right to read a timeline: the entries after Start, up to Until.
type Subscription struct {
	Timeline
	Start int64
	Until int64 // 0: it lasts
}

// Reads reports whether the user may read an entry.
func (s *Subscription) Reads(seq int64) bool {
	return seq > s.Start && (s.Until == 0 || seq <= s.Until)
}

// Position is how far a device has come in a timeline.
type Position struct {
	Timeline int64
	Muc      int64 // the group or thread whose timeline it is; 0: it is no KindMuc
	Head     int64 // the last entry's sequence number, or the last that the user may read
	Until    int64 // the last entry that the user may read; 0: the subscription lasts
	Cursor   int64 // the last one that the device has acknowledged
}

// Cursor is a position to save.
type Cursor struct {
	User, Device, Timeline, Seq int64
}

// EntryQuery asks for a page of a timeline. Recalled entries are left out.
type EntryQuery struct {
	After, Before int64    // sequence numbers, themselves left out; 0: no bound
	Descending    bool     // newest first
	Limit         int      // at least 1
	Contents      Contents // 0: History
	Sender        int64    // 0: any
	Reader        int64    // leaves out what is not meant for this user; 0: nothing
}

// Timelines keeps ordered logs and how far each device has read them.
type Timelines interface {
	// Append makes the drafts durable in one go, in order, and returns one result for each. Timelines that do not exist
	// yet are made, with a subscription for each reader. A repetition is recognised for a day, by the times of the two
	// drafts, also if the first copy was amended meanwhile. An error tells that nothing was written, unless the database
	// was lost in the middle of the commit and stayed away: then it may have been.
	Append(ctx context.Context, drafts []Draft) ([]Appended, error)
	// ReadTimeline returns the entries after a sequence number, in order: at most limit, and no more once they hold
	// maxBytes (but at least one). Recalled entries are among them.
	ReadTimeline(ctx context.Context, timeline, after int64, limit, maxBytes int) ([]Entry, error)
	// ListEntries returns a page of a timeline's entries.
	ListEntries(ctx context.Context, timeline int64, query EntryQuery) ([]Entry, error)
	// FindEntry returns an entry of an app by its message id, also a recalled one. ErrNotFound.
	FindEntry(ctx context.Context, app, id int64) (Found, error)
	// FindTimeline returns a timeline by its key. ErrNotFound if nothing was appended and nobody subscribed.
	FindTimeline(ctx context.Context, key Key) (Timeline, error)
	// Subscribe lets users read a timeline from its present head on and returns it. Who reads it already goes on; who has
	// read it before begins anew. Where membership is stored the stores do this within that transaction.
	Subscribe(ctx context.Context, key Key, users []int64) (Timeline, error)
	// Unsubscribe ends the users' right to read a timeline at its present head and returns it. Who leaves before the first
	// entry has never read it. ErrNotFound if there is no such timeline.
	Unsubscribe(ctx context.Context, key Key, users []int64) (Timeline, error)
	// Subscriptions returns all timelines that a user reads or has read, in order of their numbers.
	Subscriptions(ctx context.Context, user int64) ([]Subscription, error)
	// Subscription returns a user's right to read one timeline. ErrNotFound if there never was one.
	Subscription(ctx context.Context, user, timeline int64) (Subscription, error)
	// Positions returns the device's position in every timeline that the user reads or has read, in order of the
	// timelines. Device 0 is how far any of the user's devices has come.
	Positions(ctx context.Context, user, device int64) ([]Position, error)
	// SaveCursors moves cursors forward; one that is further already stays. It need not wait for the disk: after a crash
	// the last entries come again.
	SaveCursors(ctx context.Context, cursors []Cursor) error
}

// SeqBefore returns a sequence number of a timeline up to which all messages are older than a time, in milliseconds since
// 1970, and after which none is; 0 if there is no older one. Messages, as far as they are History, are in order of their
// times. Events are not: a group was made before messages of the past were imported into it.
func SeqBefore(ctx context.Context, s Timelines, t Timeline, time int64) (int64, error) {
	// Most who ask mean a time after all of them.
	newest, err := s.ListEntries(ctx, t.ID, EntryQuery{Descending: true, Limit: 1})
	if err != nil {
		return 0, err
	}
	if len(newest) > 0 && newest[0].Time < time {
		return t.Head, nil
	}
	// Every message up to low is older, none after high is.
	low, high := int64(0), t.Head
	for low < high {
		middle := low + (high-low)/2
		messages, err := s.ListEntries(ctx, t.ID, EntryQuery{After: middle, Before: high + 1, Limit: 1})
		if err != nil {
			return 0, err
		}
		if len(messages) > 0 && messages[0].Time < time {
			low = messages[0].Seq
		} else {
			high = middle
		}
	}
	return low, nil
}
