package message

import (
	"context"
	"errors"
	"strconv"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// MaxHistory is how many messages a page of history has at most.
	MaxHistory = 50
	// maxRemoved is how many messages one call deletes.
	maxRemoved = 50
)

// HistoryQuery asks for a page of a conversation's messages.
type HistoryQuery struct {
	// Start is the Next of the last page, or the id of a message that the page begins after; 0: begin at the end, or
	// with Forward at the beginning.
	Start    int64
	Forward  bool // oldest first
	Limit    int
	Contents store.Contents // 0: all
	Sender   string         // a user; empty: any
	// Since and Until bound the time of the messages, in milliseconds since 1970, themselves included; 0: no bound.
	Since, Until int64
}

// HistoryPage is a page of a conversation's messages.
type HistoryPage struct {
	Messages [][]byte // as Meta, as they are delivered
	Next     int64    // where the next page starts; 0: there was nothing
	Last     bool     // there is no more
}

// firstID is below all message ids and above all sequence numbers.
const firstID = 1 << 40

// History returns a page of the messages that a user can read in a conversation: what was sent while the user was in it,
// without what was recalled, what the user has deleted, what is meant for others, and commands. Edited messages are as they
// are now. Who is in a chatroom or thread reads all of it. The errors are code 505 (ErrHistoryOff), 204, 605, 602 and -3
// (ErrCursor).
func (s *Service) History(ctx context.Context, app *account.App, user store.User, p Place, q HistoryQuery) (HistoryPage, error) {
	c, _, err := s.readable(ctx, app, user, p)
	if errors.Is(err, store.ErrNotFound) {
		return HistoryPage{Last: true}, nil
	} else if err != nil {
		return HistoryPage{}, err
	}
	eq := store.EntryQuery{Descending: !q.Forward, Limit: min(q.Limit, MaxHistory), Contents: q.Contents & store.History}
	if q.Contents != 0 && eq.Contents == 0 {
		return HistoryPage{Last: true}, nil
	}
	if q.Sender != "" {
		sender, err := s.accounts.User(ctx, app, q.Sender)
		if errors.Is(err, account.ErrNoUser) {
			return HistoryPage{Last: true}, nil
		} else if err != nil {
			return HistoryPage{}, err
		}
		eq.Sender = sender.ID
	}
	if err := s.bound(ctx, app, c, q, &eq); err != nil {
		return HistoryPage{}, err
	}
	entries, more, err := s.visible(ctx, user, c, eq)
	if err != nil {
		return HistoryPage{}, err
	}
	if err := s.showReactions(ctx, app, user, entries); err != nil {
		return HistoryPage{}, err
	}
	if err := s.showThreads(ctx, app, c.Key, entries); err != nil {
		return HistoryPage{}, err
	}
	page := HistoryPage{Next: q.Start, Last: !more}
	for _, e := range entries {
		page.Messages = append(page.Messages, msync.WholeMeta(e.ID, e.Time, e.Meta))
		page.Next = e.Seq
	}
	return page, nil
}

// bound turns start and times into sequence numbers.
func (s *Service) bound(ctx context.Context, app *account.App, c store.Conversation, q HistoryQuery, eq *store.EntryQuery) error {
	start := q.Start
	if start >= firstID {
		found, err := s.store.FindEntry(ctx, app.ID, start)
		if errors.Is(err, store.ErrNotFound) || err == nil && found.Timeline != c.ID {
			return refuse(errcode.InvalidParameter, "history", ErrCursor, "there is no message %d in this conversation", start)
		} else if err != nil {
			return err
		}
		start = found.Seq
	}
	if q.Forward {
		eq.After = start
	} else {
		eq.Before = start
	}
	if q.Since > 0 {
		before, err := store.SeqBefore(ctx, s.store, c.Timeline, q.Since)
		if err != nil {
			return err
		}
		eq.After = max(eq.After, before)
	}
	if q.Until > 0 {
		upTo, err := store.SeqBefore(ctx, s.store, c.Timeline, q.Until+1)
		if err != nil {
			return err
		}
		if eq.Before == 0 || eq.Before > upTo+1 {
			eq.Before = upTo + 1
		}
	}
	return nil
}

// readable finds a conversation whose history a user may read: store.ErrNotFound if there is nothing, else code 505
// (ErrHistoryOff), 204, 605 and 602.
func (s *Service) readable(ctx context.Context, app *account.App, user store.User, p Place) (store.Conversation, Place, error) {
	if !app.Settings.History {
		return store.Conversation{}, p, refuse(errcode.ServiceNotEnabled, "history", ErrHistoryOff, "history is switched off")
	}
	at, err := s.spotOf(ctx, app, user, p)
	if err != nil {
		return store.Conversation{}, p, err
	}
	c, err := s.conversationAt(ctx, app, user, at)
	return c, at.Place, err
}

// RemoveMessages deletes single messages of a conversation for the user alone, on all devices; the other ones are told.
// Messages that are not there are passed over. The errors are those of History and code 50 (ErrTooManyMessages).
func (s *Service) RemoveMessages(ctx context.Context, by Sender, p Place, ids []int64) error {
	if len(ids) > maxRemoved {
		return refuse(errcode.MaxLimit, "delete messages", ErrTooManyMessages, "there are %d messages, the limit is %d", len(ids), maxRemoved)
	}
	return s.forget(ctx, by, p, func(ctx context.Context, c store.Conversation) error {
		var seqs []int64
		for _, id := range ids {
			found, err := s.store.FindEntry(ctx, by.App.ID, id)
			if errors.Is(err, store.ErrNotFound) || err == nil && found.Timeline != c.ID {
				continue
			} else if err != nil {
				return err
			}
			seqs = append(seqs, found.Seq)
		}
		if len(seqs) == 0 {
			return nil
		}
		return s.store.RemoveMessages(ctx, by.User.ID, c.ID, seqs)
	})
}

// RemoveUntil deletes the messages of a conversation that were sent up to a time, in milliseconds since 1970, for the user
// alone, on all devices; the other ones are told. The errors are those of History.
func (s *Service) RemoveUntil(ctx context.Context, by Sender, p Place, time int64) error {
	return s.forget(ctx, by, p, func(ctx context.Context, c store.Conversation) error {
		upTo, err := store.SeqBefore(ctx, s.store, c.Timeline, time+1)
		if err != nil {
			return err
		}
		return s.store.ClearConversation(ctx, by.User.ID, c.ID, upTo)
	})
}

// forget deletes messages of a conversation for a user.
func (s *Service) forget(ctx context.Context, by Sender, p Place, delete func(context.Context, store.Conversation) error) error {
	c, p, err := s.readable(ctx, by.App, by.User, p)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if err := delete(ctx, c); err != nil {
		return err
	}
	return s.tellOwn(ctx, by, removedNotice(by, p))
}

func removedNotice(by Sender, p Place) notice {
	chatType := p.Type
	if chatType == Room { // the client knows two
		chatType = Group
	}
	return notice{"roaming_delete", map[string]any{"to": p.ID, "chatType": chatType, "resource": by.Resource}}
}

// RemoveEverything deletes all messages and conversations for the user alone, also of the chatrooms that the user is in
// now. The client knows no event for it; the
// user's other devices are told of each conversation that was on the list.
func (s *Service) RemoveEverything(ctx context.Context, by Sender) error {
	listed, err := s.listed(ctx, by.User, ConversationQuery{Mark: -1})
	if err != nil {
		return err
	}
	points, err := s.everything(ctx, by)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if err := s.store.HideConversations(ctx, by.User.ID, points, true); err != nil {
		return err
	}
	for _, l := range listed {
		p, kind, err := s.placeOf(ctx, by.User, l.conversation.Key)
		if errors.Is(err, store.ErrNotFound) || kind == store.MucThread {
			continue
		} else if err != nil {
			return err
		}
		if err := s.tellOwn(ctx, by, conversationNotice(by, p, "del", "", s.clock.Now())); err != nil {
			return err
		}
	}
	return nil
}

// everything returns the ends of all that a user reads: conversations, and the chatrooms that the user is in.
func (s *Service) everything(ctx context.Context, by Sender) ([]store.Point, error) {
	conversations, err := s.store.ListConversations(ctx, by.User.ID)
	if err != nil {
		return nil, err
	}
	points := make([]store.Point, len(conversations))
	for i, c := range conversations {
		points[i] = store.Point{Timeline: c.ID, Seq: c.Last()}
	}
	rooms, err := s.mucs.Joined(ctx, by.User, store.MucRoom, 0, 0, by.App.Settings.RoomsPerUser)
	if err != nil {
		return nil, err
	}
	for _, room := range rooms {
		t, err := s.store.FindTimeline(ctx, store.MucKey(by.App.ID, room.Muc.ID))
		if errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		points = append(points, store.Point{Timeline: t.ID, Seq: t.Head})
	}
	return points, nil
}

// contentNames are the types of messages as clients name them.
var contentNames = map[string]store.Content{
	"txt": store.ContentText, "img": store.ContentImage, "video": store.ContentVideo, "loc": store.ContentLocation,
	"audio": store.ContentVoice, "file": store.ContentFile, "cmd": store.ContentCommand, "custom": store.ContentCustom,
	"combine": store.ContentCombine,
}

// ContentsNamed returns the kinds of messages with some names; those that nobody knows are passed over. known tells
// whether there was one that is known.
func ContentsNamed(names []string) (set store.Contents, known bool) {
	for _, name := range names {
		if kind, ok := contentNames[name]; ok {
			set, known = set|store.ContentsOf(kind), true
		}
	}
	return set, known
}

// FormatNext writes the Next of a page for clients: 0, the end, is empty.
func FormatNext(next int64) string {
	if next == 0 {
		return ""
	}
	return strconv.FormatInt(next, 10)
}

// ParseStart reads where a page is to begin, as clients send it: what FormatNext gave; empty and -1 are 0, the beginning.
// The error is code -3 (ErrCursor).
func ParseStart(text string) (int64, error) {
	if text == "" || text == "-1" {
		return 0, nil
	}
	start, err := strconv.ParseInt(text, 10, 64)
	if err != nil || start < 0 {
		return 0, refuse(errcode.InvalidParameter, "history", ErrCursor, "start is not one that the server gave")
	}
	return start, nil
}
