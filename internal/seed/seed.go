// Package seed fills a database with users and messages, so that it can be measured what grows with them. It writes
// through the store's port, as the server does, but many rows at a time, and without a server.
package seed

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Plan says what is made.
type Plan struct {
	Users    int // at least 2
	Messages int
	Body     int // bytes of text in a message
	// Progress is called now and then with what is being made, how much of it there is, and how much there will be. It may
	// be nil.
	Progress func(what string, made, of int)
}

const (
	spread    = 20 * 24 * time.Hour // of the messages' times
	perPair   = 10                  // messages in a conversation; as many conversations are made as that takes
	passes    = 2                   // in which a conversation gets them
	active    = 512                 // conversations that are under way at the same time
	packers   = 4                   // blocks that are packed at the same time; one is appended
	callers   = 2048                // users that are made at the same time: they share commits
	marks     = 20000               // timelines that are marked at a time
	leaseTime = 6 * time.Hour
)

// Fill makes the plan's users, who have no password, and messages between pairs of them. The messages are of the last
// three weeks, unread, and search does not find them. Nothing else may write to the app meanwhile. It returns the prefix
// of the users' names, which a number follows that counts from 0. ctx ends it between two commits; what was made stays.
func Fill(ctx context.Context, s store.Store, app store.App, p Plan) (prefix string, err error) {
	if p.Users < 2 || p.Messages < 0 || p.Body < 0 {
		return "", fmt.Errorf("seed: %d users, %d messages of %d bytes", p.Users, p.Messages, p.Body)
	}
	now := time.Now()
	lease, err := s.JoinCluster(ctx, now.UnixMilli(), now.Add(leaseTime).UnixMilli())
	if err != nil {
		return "", fmt.Errorf("join cluster: %w", err)
	}
	f := &filler{Plan: p, store: s, app: app, prefix: "seed-" + strconv.FormatInt(now.UnixNano(), 36) + "-", began: now,
		ids: delivery.NewIDs(lease.Node, lease.IDFloor), users: make([]int64, p.Users), heads: map[int64]int64{}}
	defer func() {
		if left := s.LeaveCluster(context.WithoutCancel(ctx), lease); err == nil && left != nil {
			err = fmt.Errorf("leave cluster: %w", left)
		}
	}()
	if err := f.makeUsers(ctx); err != nil {
		return "", fmt.Errorf("make users: %w", err)
	}
	if err := f.makeMessages(ctx); err != nil {
		return "", fmt.Errorf("make messages: %w", err)
	}
	if err := f.skipIndex(ctx); err != nil {
		return "", fmt.Errorf("mark messages: %w", err)
	}
	// Nobody is notified of them either: a server would look at them all as at what came while it was down.
	if err := s.PutNotifications(ctx, nil, store.PushMark{Node: lease.Node, ID: f.ids.Next()}); err != nil {
		return "", fmt.Errorf("mark messages: %w", err)
	}
	return f.prefix, nil
}

type filler struct {
	Plan
	store  store.Store
	app    store.App
	prefix string
	began  time.Time
	ids    *delivery.IDs
	users  []int64

	mu    sync.Mutex
	heads map[int64]int64 // of the timelines that were filled
}

func (f *filler) tell(what string, made, of int) {
	if f.Progress != nil {
		f.Progress(what, made, of)
	}
}

func (f *filler) name(i int) string { return f.prefix + strconv.Itoa(i) }

// each runs do for 0 to n-1, several at a time, tells of it, and returns the first error, which also ends the rest.
func (f *filler) each(ctx context.Context, what string, n, atOnce, step int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, made atomic.Int64
	var all sync.WaitGroup
	for range min(atOnce, n) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
				made.Add(1)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			f.tell(what, int(made.Load())*step, n*step)
			return context.Cause(ctx)
		case <-tick.C:
			f.tell(what, int(made.Load())*step, n*step)
		}
	}
}

func (f *filler) makeUsers(ctx context.Context) error {
	at := f.began.Add(-spread).UnixMilli()
	return f.each(ctx, "users", f.Users, callers, 1, func(ctx context.Context, i int) error {
		user, err := f.store.CreateUser(ctx, store.User{App: f.app.ID, Name: f.name(i), UUID: uuid.NewString(), Active: true, Created: at, Modified: at})
		f.users[i] = user.ID
		return err
	})
}

// pair returns the users of a conversation: everybody has some, with neighbours near and far.
func (f *filler) pair(conversation int) (from, to int) {
	from = conversation % f.Users
	round := conversation / f.Users
	to = (from + 1 + round*round*7919) % f.Users
	if to == from {
		to = (from + 1) % f.Users
	}
	return from, to
}

// makeMessages goes over the conversations twice, a block of them at a time: within it their messages come in turn, as
// they would.
func (f *filler) makeMessages(ctx context.Context) error {
	const each = perPair / passes
	conversations := (f.Messages + perPair - 1) / perPair
	blocks := (conversations + active - 1) / active
	text := strings.Repeat("All who come to the stoa talk and listen. ", f.Body/42+1)[:f.Body]
	for pass := range passes {
		err := f.each(ctx, fmt.Sprintf("messages, pass %d of %d", pass+1, passes), blocks, packers, active*each, func(ctx context.Context, block int) error {
			var drafts []store.Draft
			for turn := range each {
				for c := block * active; c < min((block+1)*active, conversations); c++ {
					if number := (pass*each+turn)*conversations + c; number < f.Messages {
						draft, err := f.draft(c, pass*each+turn, number, text)
						if err != nil {
							return err
						}
						drafts = append(drafts, draft)
					}
				}
			}
			return f.append(ctx, drafts)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// draft makes the turn-th message of a conversation, which is the number-th of all.
func (f *filler) draft(conversation, turn, number int, text string) (store.Draft, error) {
	from, to := f.pair(conversation)
	if turn%2 == 1 {
		from, to = to, from
	}
	sender, receiver := &msync.JID{Name: f.name(from)}, &msync.JID{Name: f.name(to)}
	body, err := proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_CHAT, From: sender, To: receiver,
		Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: text}}})
	if err != nil {
		return store.Draft{}, err
	}
	meta, err := msync.StoredMeta(&msync.Meta{From: sender, To: receiver, Ns: msync.Meta_CHAT, Payload: body})
	at := f.began.Add(-spread + time.Duration(float64(spread)*float64(number)/float64(f.Messages)))
	return store.Draft{Key: store.PairKey(f.app.ID, f.users[from], f.users[to]), Time: at.UnixMilli(), Sender: f.users[from],
		Content: store.ContentText, Meta: meta}, err
}

// append stores a block. One at a time: ids must rise in the order of arrival.
func (f *filler) append(ctx context.Context, drafts []store.Draft) error {
	if len(drafts) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range drafts {
		drafts[i].ID = f.ids.Next()
	}
	results, err := f.store.Append(ctx, drafts)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
		f.heads[r.Timeline] = max(f.heads[r.Timeline], r.Seq)
	}
	return nil
}

// skipIndex marks the messages as looked at by search: a server would be busy with them for long.
func (f *filler) skipIndex(ctx context.Context) error {
	_, first, err := f.store.Unindexed(ctx, 1)
	if err != nil {
		return err
	}
	if first.Position > 0 { // SQLite counts entries in the order of arrival
		return f.store.Index(ctx, nil, store.Progress{Position: first.Position + int64(f.Messages) - 1})
	}
	progress := store.Progress{Timelines: map[int64]int64{}}
	made := 0
	for timeline, head := range f.heads {
		progress.Timelines[timeline] = head
		if made++; len(progress.Timelines) == marks || made == len(f.heads) {
			if err := f.store.Index(ctx, nil, progress); err != nil {
				return err
			}
			clear(progress.Timelines)
			f.tell("marks", made, len(f.heads))
		}
	}
	return nil
}
