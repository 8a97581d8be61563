package muc

import (
	"context"
	"errors"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

// ThreadQuery asks for a page of threads. Newest first, Below is the number of the last thread of the page before, or the
// row of a list of what somebody has joined; with Oldest it is the other way round.
type ThreadQuery struct {
	Below  int64 // 0: the first page
	Limit  int
	Oldest bool // not for JoinedThreads
}

func (q ThreadQuery) of(app *account.App, group int64) store.MucQuery {
	return store.MucQuery{App: app.ID, Kind: store.MucThread, Parent: group, Below: q.Below, Limit: q.Limit, Oldest: q.Oldest}
}

// Threads returns a page of the threads of a group. The errors are those of the policy for the group, and code 505
// (ErrThreadsOff).
func (s *Service) Threads(ctx context.Context, actor Actor, group string, q ThreadQuery) ([]Thread, error) {
	if err := s.checkThreads(actor.App); err != nil {
		return nil, err
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, group, UseThread)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.ListMucs(ctx, q.of(actor.App, sc.muc.ID))
	threads := make([]Thread, len(rows))
	for i, m := range rows {
		threads[i] = Thread{m, sc.muc}
	}
	return threads, err
}

// AllThreads returns a page of the threads of an app, for backends. The error is code 505 (ErrThreadsOff).
func (s *Service) AllThreads(ctx context.Context, app *account.App, q ThreadQuery) ([]store.Muc, error) {
	if err := s.checkThreads(app); err != nil {
		return nil, err
	}
	return s.store.ListMucs(ctx, q.of(app, 0))
}

// JoinedThreads returns a page of the threads that a user has joined, those joined last first; of one group, if its id is
// given. Rows are what the next page begins below. The errors are 605 (ErrNotExist) and 505 (ErrThreadsOff).
func (s *Service) JoinedThreads(ctx context.Context, app *account.App, user store.User, group string, q ThreadQuery) (
	threads []Thread, rows []int64, err error) {
	if err := s.checkThreads(app); err != nil {
		return nil, nil, err
	}
	query := store.JoinedQuery{User: user.ID, Kind: store.MucThread, Below: q.Below, Limit: q.Limit}
	if group != "" {
		parent, err := s.find(ctx, app, store.MucGroup, group)
		if err != nil {
			return nil, nil, err
		}
		query.Parent = parent.ID
	}
	joined, err := s.store.JoinedMucs(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	for _, j := range joined {
		parent, err := s.numbered(ctx, j.Muc.Parent)
		if errors.Is(err, store.ErrNotFound) { // it is being destroyed
			continue
		} else if err != nil {
			return nil, nil, err
		}
		threads, rows = append(threads, Thread{j.Muc, parent}), append(rows, j.Row)
	}
	return threads, rows, nil
}

// ThreadMembers returns a page of the members of a thread, in order of joining. The errors are those of GetThread.
func (s *Service) ThreadMembers(ctx context.Context, actor Actor, id string, q MembersQuery) ([]store.Member, error) {
	in, err := s.thread(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	return s.store.ListMembers(ctx, in.ID, store.MemberQuery{After: q.After, Offset: q.Offset, Limit: q.Limit})
}

// LastMessages returns the last message of each of several threads, in their order; an entry without a sequence number: the
// thread has none. The errors are those of GetThread for any of them, and code 50 (ErrTooManyNames: more than
// MaxLastMessages).
func (s *Service) LastMessages(ctx context.Context, actor Actor, ids []string) ([]store.Entry, error) {
	if len(ids) > MaxLastMessages {
		return nil, refuse(errcode.MaxLimit, ErrTooManyNames, "the last messages of at most %d threads are told at once", MaxLastMessages)
	}
	entries := make([]store.Entry, len(ids))
	for i, id := range ids {
		in, err := s.thread(ctx, actor, id)
		if err != nil {
			return nil, err
		}
		if entries[i], err = s.lastMessage(ctx, in.Muc); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func (s *Service) lastMessage(ctx context.Context, thread store.Muc) (store.Entry, error) {
	timeline, err := s.store.FindTimeline(ctx, store.MucKey(thread.App, thread.ID))
	if errors.Is(err, store.ErrNotFound) {
		return store.Entry{}, nil
	} else if err != nil {
		return store.Entry{}, err
	}
	last, err := s.store.ListEntries(ctx, timeline.ID, store.EntryQuery{Descending: true, Limit: 1})
	if err != nil || len(last) == 0 {
		return store.Entry{}, err
	}
	return last[0], nil
}

// ThreadOverview is what the history of a group tells of the thread of a message (docs/protocol/wire.md §7.5).
type ThreadOverview struct {
	ID      string `json:"id"`
	Group   string `json:"muc_parent_id"`
	Name    string `json:"name"`
	Last    any    `json:"last_message"` // msync.MessageObject, or an empty object
	Created int64  `json:"create_timestamp"`
	Updated int64  `json:"update_timestamp"`
	Count   int    `json:"message_count"`
}

// Overviews returns what there is to tell of the threads that hang on messages of a group, by the messages' ids.
func (s *Service) Overviews(ctx context.Context, app *account.App, group int64, messages []int64) (map[int64]ThreadOverview, error) {
	if len(messages) == 0 || !s.settings(app).Threads {
		return nil, nil
	}
	threads, err := s.store.ListMucs(ctx,
		store.MucQuery{App: app.ID, Kind: store.MucThread, Parent: group, Messages: messages, Limit: len(messages)})
	if err != nil || len(threads) == 0 {
		return nil, err
	}
	parent, err := s.numbered(ctx, group)
	if err != nil {
		return nil, err
	}
	found := map[int64]ThreadOverview{}
	for _, m := range threads {
		o := ThreadOverview{ID: m.Name, Group: parent.Name, Name: m.Title, Created: m.Created}
		messages, err := s.messages(ctx, m)
		if err != nil {
			return nil, err
		}
		o.Count, o.Last, o.Updated = messages.count, messages.last, max(m.Modified, messages.time)
		found[m.Message] = o
	}
	return found, nil
}
