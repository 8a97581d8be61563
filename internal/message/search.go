package message

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// MaxFound is how many messages a page of a search has at most.
	MaxFound = 50
	// maxQuery bounds the text that is searched for, in bytes.
	maxQuery = 512
	// maxLooked bounds how many messages with the right words one search looks at.
	maxLooked = 2000
)

// SearchQuery asks for messages by their words.
type SearchQuery struct {
	Text     string
	In       Place          // zero: everywhere
	Contents store.Contents // 0: all
	Cursor   string         // of the last page; empty: the first page
	Limit    int
}

// FoundMessage is a message that was found.
type FoundMessage struct {
	Place
	Meta   []byte // as it is delivered
	Object msync.MessageObject
}

// Search returns messages that hold all words of a text, the latest first, and the cursor of the next page, empty at the
// end. A word is found by its beginning; what has no blanks, as Chinese, by any part. Looked at are texts, the names of
// files, and addresses, in those messages that History would return. A message is found some moments after it was sent.
// The errors are code 505 (ErrSearchOff, ErrHistoryOff), -3 (ErrQuery, ErrCursor), 204, 605 and 602.
func (s *Service) Search(ctx context.Context, app *account.App, user store.User, q SearchQuery) ([]FoundMessage, string, error) {
	if !app.Settings.Search {
		return nil, "", refuse(errcode.ServiceNotEnabled, "search", ErrSearchOff, "search is switched off")
	}
	words, prefixes := wanted(q.Text)
	if len(words)+len(prefixes) == 0 || len(q.Text) > maxQuery {
		return nil, "", refuse(errcode.InvalidParameter, "search", ErrQuery, "the text to search for must have a letter and at most %d bytes", maxQuery)
	}
	wq := store.WordQuery{Words: words, Prefixes: prefixes, Limit: 4 * MaxFound}
	if q.Cursor != "" {
		before, err := strconv.ParseInt(q.Cursor, 36, 64)
		if err != nil || before <= 0 {
			return nil, "", refuse(errcode.InvalidParameter, "search", ErrCursor, "cursor is not one that the server gave")
		}
		wq.Before = before
	}
	scope, err := s.scope(ctx, app, user, q.In)
	if err != nil {
		return nil, "", err
	}
	wq.Owners = scope.owners
	var found []FoundMessage
	for looked := 0; ; {
		hits, err := s.store.FindWords(ctx, wq)
		if err != nil {
			return nil, "", err
		}
		for _, h := range hits {
			if len(found) == q.Limit {
				return found, strconv.FormatInt(wq.Before, 36), nil
			}
			wq.Before = h.Position
			one, ok, err := s.shown(ctx, app, user, scope, q, h)
			if err != nil {
				return nil, "", err
			}
			if ok {
				found = append(found, one)
			}
		}
		if len(hits) < wq.Limit {
			return found, "", nil
		}
		if looked += len(hits); looked >= maxLooked {
			return found, strconv.FormatInt(wq.Before, 36), nil
		}
	}
}

// scope is where a user's search looks.
type scope struct {
	owners        []string
	conversations map[int64]store.Conversation
	places        map[int64]Place // of those whose conversation says what the user may read, by timeline
}

func (s *Service) scope(ctx context.Context, app *account.App, user store.User, in Place) (scope, error) {
	sc := scope{conversations: map[int64]store.Conversation{}, places: map[int64]Place{}}
	if in != (Place{}) {
		c, p, err := s.readable(ctx, app, user, in)
		if errors.Is(err, store.ErrNotFound) {
			return sc, nil
		} else if err != nil {
			return sc, err
		}
		sc.conversations[c.ID], sc.places[c.ID] = c, p
		sc.owners = store.Owners(c.Key)[:1]
		if c.Key.Kind == store.KindPair {
			sc.owners[0] = store.UserOwner(user.ID)
		}
		return sc, nil
	}
	if !app.Settings.History {
		return sc, refuse(errcode.ServiceNotEnabled, "search", ErrHistoryOff, "history is switched off")
	}
	all, err := s.store.ListConversations(ctx, user.ID)
	if err != nil {
		return sc, err
	}
	sc.owners = []string{store.UserOwner(user.ID)}
	for _, c := range all {
		sc.conversations[c.ID] = c
		if c.Key.Kind == store.KindMuc {
			sc.owners = append(sc.owners, store.PlaceOwner(c.Key.A))
		}
	}
	return sc, nil
}

// extent returns a conversation with what the user may read of it, and its place; ok is false if that is nothing.
func (s *Service) extent(ctx context.Context, app *account.App, user store.User, sc scope, timeline int64) (c store.Conversation, p Place, ok bool, err error) {
	if c, ok = sc.conversations[timeline]; !ok {
		return c, p, false, nil
	}
	if p, ok = sc.places[timeline]; ok {
		return c, p, true, nil
	}
	p, kind, err := s.placeOf(ctx, user, c.Key)
	if err == nil {
		c, err = s.mayReadOf(ctx, app, user, spot{p, c.Key, kind}, c)
	}
	if _, refused := errcode.CodeOf(err); refused || errors.Is(err, store.ErrNotFound) {
		delete(sc.conversations, timeline)
		return c, p, false, nil
	} else if err != nil {
		return c, p, false, err
	}
	sc.conversations[timeline], sc.places[timeline] = c, p
	return c, p, true, nil
}

// shown checks whether the user may see what was found.
func (s *Service) shown(ctx context.Context, app *account.App, user store.User, sc scope, q SearchQuery, h store.Hit) (found FoundMessage, ok bool, err error) {
	if h.Recalled || h.Sender != user.ID && !h.Audience.Has(user.ID) || q.Contents != 0 && !q.Contents.Has(h.Content) {
		return found, false, nil
	}
	c, p, ok, err := s.extent(ctx, app, user, sc, h.Timeline)
	if !ok || err != nil || h.Seq <= c.After() || h.Seq > c.Last() || !holds(textOf(h.Meta), q.Text) {
		return found, false, err
	}
	removed, err := s.store.RemovedMessages(ctx, user.ID, c.ID, h.Seq-1, h.Seq+1)
	if err != nil || len(removed) > 0 {
		return found, false, err
	}
	object, err := msync.MessageJSON(h.ID, h.Time, h.Meta)
	if err != nil {
		return found, false, nil
	}
	return FoundMessage{Place: p, Meta: msync.WholeMeta(h.ID, h.Time, h.Meta), Object: object}, true, nil
}

// textOf returns what a message is found by.
func textOf(stored []byte) string {
	_, body, err := unpack(stored)
	if err != nil {
		return ""
	}
	var texts []string
	for _, c := range body.Contents {
		texts = append(texts, c.Text, c.Title, c.Summary, c.DisplayName, c.Address, c.BuildingName)
	}
	return strings.Join(texts, "\n")
}

// What the indexer does in one go, and how long it rests: at least restShare times as long as the work took, so that
// messages have most of the store's time, and restIdle when there was nothing to do.
const (
	indexSlice = 50
	restShare  = 3
	restIdle   = 500 * time.Millisecond
)

// Index fills the index of words until the context ends.
func (s *Service) Index(ctx context.Context) {
	for ctx.Err() == nil {
		begun := time.Now()
		n, err := s.indexSome(ctx)
		rest := max(restShare*time.Since(begun), time.Millisecond)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("index messages", "error", err)
			n = 0
		}
		if n == 0 {
			rest = restIdle
		}
		pause(ctx, rest)
	}
}

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// indexSome indexes some entries that were not looked at yet, and returns how many. An entry that changes another, as
// an edit or a recall, has that one indexed anew.
func (s *Service) indexSome(ctx context.Context) (int, error) {
	entries, progress, err := s.store.Unindexed(ctx, indexSlice)
	if err != nil {
		return 0, err
	}
	documents := map[store.Point]store.Document{}
	for _, e := range entries {
		at := store.Point{Timeline: e.Timeline, Seq: e.Seq}
		if e.Content == store.ContentEvent && e.Ref != 0 {
			at.Seq = e.Ref
			if e.Entry, err = s.entryAt(ctx, at); errors.Is(err, store.ErrNotFound) {
				continue
			} else if err != nil {
				return 0, err
			}
		}
		if store.History.Has(e.Content) {
			documents[at] = s.document(e)
		}
	}
	return len(entries), s.store.Index(ctx, slices.Collect(maps.Values(documents)), progress)
}

// entryAt returns an entry as it is now: store.ErrNotFound.
func (s *Service) entryAt(ctx context.Context, at store.Point) (store.Entry, error) {
	entries, err := s.store.ReadTimeline(ctx, at.Timeline, at.Seq-1, 1, 1)
	if err != nil {
		return store.Entry{}, err
	}
	if len(entries) == 0 || entries[0].Seq != at.Seq {
		return store.Entry{}, store.ErrNotFound
	}
	return entries[0], nil
}

// document returns what a message is found by; one that nobody shall find has no owners.
func (s *Service) document(e store.Found) store.Document {
	d := store.Document{Timeline: e.Timeline, Seq: e.Seq}
	if app, ok := s.accounts.AppByID(e.Key.App); e.Recalled || !ok || !app.Settings.Search {
		return d
	}
	if d.Words = wordsOf(textOf(e.Meta)); len(d.Words) > 0 {
		d.Owners = store.Owners(e.Key)
	}
	return d
}
