package message

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// Limits of docs/protocol/errors.md §11.
const (
	maxPinned      = 50 // conversations of a user
	maxMarkTargets = 20 // conversations in one call
)

// MaxMark is the highest mark that a conversation can have; the lowest is 0.
const MaxMark = 19

// changeTime bounds a change once it has begun. It does not end with the request: a change that is made must be told.
const changeTime = 15 * time.Second

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrNoConversation   = errors.New("no such conversation")
	ErrPinnedFull       = errors.New("too many pinned conversations")
	ErrTooManyTargets   = errors.New("too many conversations in one call")
	ErrMark             = errors.New("no such mark")
	ErrChatType         = errors.New("no such type of conversation")
	ErrCursor           = errors.New("not a cursor that the server gave")
	ErrTooManyMessages  = errors.New("too many messages in one call")
	ErrHistoryOff       = errors.New("history is switched off")
	ErrConversationsOff = errors.New("the conversation list is switched off")
	ErrSearchOff        = errors.New("search is switched off")
	ErrQuery            = errors.New("nothing to search for")
)

func refuse(code errcode.Code, op string, sentinel error, format string, args ...any) error {
	e := errcode.Newf(code, format, args...)
	e.Op, e.Err = op, sentinel
	return e
}

// ChatType is what a conversation is with, in the words of the protocol.
type ChatType string

const (
	Chat  ChatType = "chat"      // a user
	Group ChatType = "groupchat" // a group; history takes chatrooms and threads for groups, too
	Room  ChatType = "chatroom"  // a chatroom
)

// ParseChatType reads a type as clients write it, in any case of letters. The error is code -3, wrapping ErrChatType.
func ParseChatType(text string) (ChatType, error) {
	switch t := ChatType(strings.ToLower(text)); t {
	case Chat, Group, Room:
		return t, nil
	}
	return "", refuse(errcode.InvalidParameter, "conversation", ErrChatType, "there is no type of conversation %q", text)
}

// Place names a conversation as a user does: by the other user, or by the group, chatroom or thread.
type Place struct {
	Type ChatType
	ID   string
}

// spot is a place that has been found.
type spot struct {
	Place               // the id as it is kept
	key   store.Key     // of its timeline
	kind  store.MucKind // 0: a user
}

// spotOf finds a place. The errors are code 204 (ErrNoUser of account) and 605 (ErrNotExist of muc).
func (s *Service) spotOf(ctx context.Context, app *account.App, user store.User, p Place) (spot, error) {
	if p.Type == Chat {
		other, err := s.accounts.User(ctx, app, p.ID)
		return spot{Place: Place{Chat, other.Name}, key: store.PairKey(app.ID, user.ID, other.ID)}, err
	}
	t, err := s.mucs.Find(ctx, app, p.ID)
	return spot{Place: Place{typeOf(t.Kind), t.Name}, key: store.MucKey(app.ID, t.ID), kind: t.Kind}, err
}

func typeOf(kind store.MucKind) ChatType {
	if kind == store.MucRoom {
		return Room
	}
	return Group
}

// conversationAt returns the conversation of a user at a spot, with what the user may read of it: store.ErrNotFound if
// there never was anything, code 602 or 702 (ErrNotMember of muc) if the user never was in the place. Who is in a chatroom or a
// thread may read all of it, a member of a group what comes while being one.
func (s *Service) conversationAt(ctx context.Context, app *account.App, user store.User, at spot) (store.Conversation, error) {
	c, err := s.store.Conversation(ctx, user.ID, at.key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	c, refused := s.mayReadOf(ctx, app, user, at, c)
	if refused != nil {
		return c, refused
	}
	return c, err
}

// mayReadOf returns the conversation at a spot with what the user may read of it; the error is that of conversationAt.
func (s *Service) mayReadOf(ctx context.Context, app *account.App, user store.User, at spot, c store.Conversation) (store.Conversation, error) {
	if at.kind == 0 {
		return c, nil
	}
	if at.kind != store.MucGroup {
		c.Start, c.Until = 0, 0
	}
	if _, err := s.member(ctx, app, user, at.Place); err != nil && (c.Until == 0 || !errors.Is(err, muc.ErrNotMember)) {
		return c, err
	}
	return c, nil
}

// Listed is a conversation in a user's list.
type Listed struct {
	Place
	Last   *msync.MessageObject // nil: the user has deleted all that there is
	Time   int64                // when the last message was sent, be it deleted by the user; milliseconds since 1970
	Unread int
	Pinned int64 // when the user pinned it, in milliseconds since 1970; 0: it is not pinned
	Marks  []int // rising

	conversation store.Conversation
	last         store.Entry
}

// ConversationQuery asks for a page of a user's list.
type ConversationQuery struct {
	Pinned bool   // only those that are pinned, the last pinned first
	Mark   int    // only those with that mark; negative: all
	Cursor string // of the last page; empty: the first page
	Skip   int    // how many to leave out at the beginning of the page
	Limit  int
}

// Conversations returns a page of a user's conversations, the last active first, and the cursor of the next page, empty
// at the end. A conversation is listed if it has a message that is meant for the user and has come after the user has
// taken the conversation off the list. The errors are code 505 (ErrConversationsOff) and -3 (ErrCursor).
func (s *Service) Conversations(ctx context.Context, app *account.App, user store.User, q ConversationQuery) ([]Listed, string, error) {
	if !app.Settings.ConversationList {
		return nil, "", refuse(errcode.ServiceNotEnabled, "conversations", ErrConversationsOff, "the conversation list is switched off")
	}
	after, err := parseRank(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	all, err := s.listed(ctx, user, q)
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(all, func(a, b Listed) int { return a.rank(q.Pinned).compare(b.rank(q.Pinned)) })
	var page []Listed
	for _, l := range all {
		if q.Cursor != "" && l.rank(q.Pinned).compare(after) <= 0 {
			continue
		}
		var kind store.MucKind
		if l.Place, kind, err = s.placeOf(ctx, user, l.conversation.Key); errors.Is(err, store.ErrNotFound) || kind == store.MucThread {
			continue // the other has been deleted, or the group; threads have lists of their own
		} else if err != nil {
			return nil, "", err
		}
		if q.Skip > 0 {
			q.Skip--
			continue
		}
		if len(page) == q.Limit {
			return page, page[len(page)-1].rank(q.Pinned).String(), s.fill(ctx, app, user, page)
		}
		page = append(page, l)
	}
	return page, "", s.fill(ctx, app, user, page)
}

// listed returns what a query asks for, without names.
func (s *Service) listed(ctx context.Context, user store.User, q ConversationQuery) ([]Listed, error) {
	conversations, err := s.store.ListConversations(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	conversations = slices.DeleteFunc(conversations, func(c store.Conversation) bool {
		return q.Pinned && c.Pinned == 0 || q.Mark >= 0 && c.Marks>>q.Mark&1 == 0
	})
	last, err := s.store.LastMessages(ctx, user.ID, conversations)
	if err != nil {
		return nil, err
	}
	var all []Listed
	for i, c := range conversations {
		if last[i].Seq > c.Hidden {
			all = append(all, Listed{Time: last[i].Time, Pinned: c.Pinned, Marks: marksOf(c.Marks), conversation: c, last: last[i]})
		}
	}
	return all, nil
}

func marksOf(bits uint32) []int {
	marks := []int{}
	for mark := range MaxMark + 1 {
		if bits>>mark&1 == 1 {
			marks = append(marks, mark)
		}
	}
	return marks
}

// rank is a place in the order of a list: the latest first, and a timeline to tell equals apart.
type rank struct{ time, timeline int64 }

func (l *Listed) rank(pinned bool) rank {
	if pinned {
		return rank{l.Pinned, l.conversation.ID}
	}
	return rank{l.Time, l.conversation.ID}
}

func (r rank) compare(other rank) int {
	return cmp.Or(cmp.Compare(other.time, r.time), cmp.Compare(other.timeline, r.timeline))
}

// String is made of characters that clients need not escape.
func (r rank) String() string {
	return strconv.FormatInt(r.time, 36) + "-" + strconv.FormatInt(r.timeline, 36)
}

func parseRank(text string) (r rank, err error) {
	if text == "" {
		return r, nil
	}
	time, timeline, _ := strings.Cut(text, "-")
	var wrong error
	if r.time, err = strconv.ParseInt(time, 36, 64); err != nil {
		wrong = err
	}
	if r.timeline, err = strconv.ParseInt(timeline, 36, 64); err != nil {
		wrong = err
	}
	if wrong != nil {
		return r, refuse(errcode.InvalidParameter, "conversations", ErrCursor, "cursor is not one that the server gave")
	}
	return r, nil
}

// placeOf returns how a user names the conversation of a timeline, and what kind of place it is, 0 for a user. The error is
// store.ErrNotFound if nobody is there any more.
func (s *Service) placeOf(ctx context.Context, user store.User, key store.Key) (Place, store.MucKind, error) {
	if key.Kind == store.KindMuc {
		m, err := s.store.MucByID(ctx, key.A)
		return Place{typeOf(m.Kind), m.Name}, m.Kind, err
	}
	other, err := s.store.UserByID(ctx, key.A+key.B-user.ID)
	return Place{Chat, other.Name}, 0, err
}

// fill counts what is unread in conversations, and finds their last messages.
func (s *Service) fill(ctx context.Context, app *account.App, user store.User, page []Listed) error {
	conversations := make([]store.Conversation, len(page))
	for i, l := range page {
		conversations[i] = l.conversation
	}
	unread, err := s.store.CountUnread(ctx, user.ID, conversations)
	if err != nil {
		return err
	}
	var last []store.Entry
	var of []*Listed // those whose last messages these are
	for i := range page {
		l := &page[i]
		l.Unread = unread[i]
		visible, _, err := s.visible(ctx, user, l.conversation, store.EntryQuery{Before: l.last.Seq + 1, Descending: true, Limit: 1})
		if err != nil {
			return err
		}
		if len(visible) > 0 {
			last, of = append(last, visible[0]), append(of, l)
		}
	}
	if err := s.showReactions(ctx, app, user, last); err != nil {
		return err
	}
	for i, e := range last {
		object, err := msync.MessageJSON(e.ID, e.Time, e.Meta)
		if err != nil {
			s.log.Warn("a stored message has no JSON form", "id", e.ID, "error", err)
			continue
		}
		of[i].Last = &object
	}
	return nil
}

// visible returns the messages of a conversation that a user can read and has not deleted, and whether there are more. The
// query's bounds are narrowed to what the user can read.
func (s *Service) visible(ctx context.Context, user store.User, c store.Conversation, q store.EntryQuery) (page []store.Entry, more bool, err error) {
	limit := q.Limit
	q.Reader, q.Limit = user.ID, limit+1
	q.After = max(q.After, c.After())
	if end := c.Last() + 1; q.Before == 0 || q.Before > end {
		q.Before = end
	}
	for {
		entries, err := s.store.ListEntries(ctx, c.ID, q)
		if err != nil || len(entries) == 0 {
			return page, false, err
		}
		last := entries[len(entries)-1].Seq
		low, high := min(entries[0].Seq, last), max(entries[0].Seq, last)
		removed, err := s.store.RemovedMessages(ctx, user.ID, c.ID, low-1, high+1)
		if err != nil {
			return nil, false, err
		}
		for _, e := range entries {
			if _, gone := slices.BinarySearch(removed, e.Seq); gone {
				continue
			}
			if len(page) == limit {
				return page, true, nil
			}
			page = append(page, e)
		}
		if len(entries) < q.Limit {
			return page, false, nil
		}
		if q.Descending {
			q.Before = last
		} else {
			q.After = last
		}
	}
}

// existing finds a conversation that the user's list has. The errors are those of spotOf and code 1400 (ErrNoConversation).
func (s *Service) existing(ctx context.Context, by Sender, p Place) (store.Conversation, Place, error) {
	at, err := s.spotOf(ctx, by.App, by.User, p)
	if err != nil {
		return store.Conversation{}, p, err
	}
	none := refuse(errcode.ConversationNotExist, "conversation", ErrNoConversation, "there is no conversation with %s", at.ID)
	c, err := s.conversationAt(ctx, by.App, by.User, at)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, muc.ErrNotMember) {
		return c, p, none
	} else if err != nil {
		return c, p, err
	}
	last, err := s.store.LastMessages(ctx, by.User.ID, []store.Conversation{c})
	if err != nil {
		return c, p, err
	}
	if last[0].Seq <= c.Hidden {
		return c, p, none
	}
	return c, at.Place, nil
}

// outlast returns a context for a change.
func outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), changeTime)
}

// PinConversation puts a conversation at the top of the user's list, or takes it down, and returns since when it is there;
// 0: it is not. The user's other devices are told. The errors are code 204, 605, 1400 (ErrNoConversation) and 50
// (ErrPinnedFull).
func (s *Service) PinConversation(ctx context.Context, by Sender, p Place, on bool) (int64, error) {
	c, p, err := s.existing(ctx, by, p)
	if err != nil {
		return 0, err
	}
	at, op := int64(0), "not_top"
	if on {
		at, op = s.clock.Now().UnixMilli(), "top"
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	err = s.store.PinConversation(ctx, by.User.ID, c.ID, at, maxPinned)
	if errors.Is(err, store.ErrFull) {
		return 0, refuse(errcode.MaxLimit, "pin conversation", ErrPinnedFull, "%d conversations are pinned already", maxPinned)
	} else if err != nil {
		return 0, err
	}
	return at, s.tellOwn(ctx, by, conversationNotice(by, p, op, "", s.clock.Now()))
}

// MarkConversations puts a mark (0 to 19) on conversations of the user, or takes it from them, and returns those places
// where there is no conversation. The user's other devices are told. The errors are code -3 (ErrMark), 50
// (ErrTooManyTargets), and 1400 (ErrNoConversation) if there is none of them.
func (s *Service) MarkConversations(ctx context.Context, by Sender, places []Place, mark int, on bool) ([]Place, error) {
	if mark < 0 || mark > MaxMark {
		return nil, refuse(errcode.InvalidParameter, "mark conversations", ErrMark, "there is no mark %d", mark)
	}
	if len(places) > maxMarkTargets {
		return nil, refuse(errcode.MaxLimit, "mark conversations", ErrTooManyTargets, "there are %d conversations, the limit is %d", len(places), maxMarkTargets)
	}
	var timelines []int64
	var marked, missing []Place
	var none error
	for _, p := range places {
		c, found, err := s.existing(ctx, by, p)
		if code, refused := errcode.CodeOf(err); refused && (code == errcode.ConversationNotExist || code == errcode.UserNotFound || code == errcode.GroupNotExist) {
			none = err
			missing = append(missing, p)
			continue
		} else if err != nil {
			return nil, err
		}
		timelines, marked = append(timelines, c.ID), append(marked, found)
	}
	if len(timelines) == 0 {
		if none == nil || !errors.Is(none, ErrNoConversation) {
			none = refuse(errcode.ConversationNotExist, "mark conversations", ErrNoConversation, "there is no such conversation")
		}
		return nil, none
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	slices.Sort(timelines)
	if err := s.store.MarkConversations(ctx, by.User.ID, slices.Compact(timelines), mark, on); err != nil {
		return nil, err
	}
	op := "mark_delete"
	if on {
		op = "mark"
	}
	for _, p := range marked {
		if err := s.tellOwn(ctx, by, conversationNotice(by, p, op, fmt.Sprint("mark_", mark), s.clock.Now())); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// DeleteConversation takes a conversation off the user's list until there is a new message in it, with its pin and marks,
// and with messages its history, too. The user's other devices are told. It is no error if there is no such conversation.
// The errors are code 204 and 605.
func (s *Service) DeleteConversation(ctx context.Context, by Sender, p Place, messages bool) error {
	at, err := s.spotOf(ctx, by.App, by.User, p)
	if err != nil {
		return err
	}
	c, err := s.store.Conversation(ctx, by.User.ID, at.key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if err := s.store.HideConversations(ctx, by.User.ID, []store.Point{{Timeline: c.ID, Seq: c.Last()}}, messages); err != nil {
		return err
	}
	return s.tellOwn(ctx, by, conversationNotice(by, at.Place, "del", "", s.clock.Now()))
}

// notice is a NOTIFY (docs/protocol/sdk-rest.md §5.3).
type notice struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

func conversationNotice(by Sender, p Place, op, ext string, at time.Time) notice {
	data := map[string]any{"op": op, "id": p.ID, "type": p.Type, "ts": at.UnixMilli(), "from": by.User.Name, "res": by.Resource}
	if ext != "" {
		data["ext"] = ext
	}
	return notice{"conv", data}
}

// tellOwn tells the user's other devices, also those that are away.
func (s *Service) tellOwn(ctx context.Context, by Sender, n notice) error {
	stored, err := msync.Notify(by.User.Name, by.User.Name, n)
	if err != nil {
		return err
	}
	_, err = s.delivery.AppendWait(ctx, delivery.Post{Key: store.UserKey(by.App.ID, by.User.ID), Sender: by.User.ID, Device: by.Device, Meta: stored})
	return err
}
