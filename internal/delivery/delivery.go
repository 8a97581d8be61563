// Package delivery gets what happened to the people concerned: it appends entries to timelines in groups, sends them to
// the sessions that are online, keeps every device's cursor and lets a device catch up from there. It knows no chat
// rules.
//
// The way of an entry: Append queues it; the committer takes all that waits and hands it to the store in one go; the
// dispatcher then tells the sender and publishes the entry, encoded once, on the bus: under the number of each reader, or
// once under that of the group. The Hub of each node that holds a reader pushes it to the sessions.
package delivery

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// ErrClosed is the result of a post to a service that has been closed.
var ErrClosed = errors.New("delivery is closed")

const (
	queueLimit = 16384 // posts that may wait for a commit; then senders wait
	batchLimit = 2048  // posts in one commit
)

// Post is an entry to append.
type Post struct {
	Key      store.Key
	Sender   int64  // user; 0: the server
	Device   int64  // the sender's device; 0: none
	ClientID uint64 // the sender's id for it; 0: never a repetition
	Content  store.Content
	Ref      int64          // the entry of the same timeline that this one is about; 0: none
	Audience store.Audience // who of the readers is given it
	Amend    *store.Amend   // an earlier entry to change in the same commit; nil: none
	// Live is for chatrooms: the entry is kept for history, and sent to the sessions that are in the room now. They have no
	// cursor in it.
	Live bool
	// Old is when a message of the past that is stored now was sent, in milliseconds since 1970: it is in history, and no
	// device is given it. 0: the post is sent now.
	Old  int64
	Meta []byte // made by msync.StoredMeta
	// Done is called once, when the entry is durable or has failed. It must not block. May be nil.
	Done func(Result)
}

// Result tells what became of a Post.
type Result struct {
	ID       int64 // the message id; of the first copy if this was a repetition
	Time     int64 // milliseconds since 1970
	Timeline int64
	Seq      int64
	Err      error // store.ErrConflict and store.ErrNotFound are about what the post should amend
}

// Observer is told of the entries that this node has made durable, in the order of their ids. Live is that of the Post. It
// must not block.
type Observer interface {
	Committed(entry store.Found, live bool)
}

// Service is the delivery of one node.
type Service struct {
	Hub *Hub

	observers []Observer

	store store.Timelines
	bus   bus.Bus
	ids   *IDs
	clock *clock.Clock
	log   *slog.Logger

	metrics *Metrics

	mu     sync.Mutex
	more   *sync.Cond // the queue has something, or the service closes
	room   *sync.Cond // the queue has room again
	queue  []Post
	closed bool

	commits chan commit
	done    sync.WaitGroup
}

// commit is a batch that has been tried.
type commit struct {
	posts  []Post
	result []store.Appended
	err    error
}

// New starts the delivery of a node. The hub must have been made with the same store; what arrives on the bus goes to
// its Handle.
func New(hub *Hub, timelines store.Timelines, b bus.Bus, ids *IDs, c *clock.Clock, m *Metrics, log *slog.Logger) *Service {
	s := &Service{Hub: hub, store: timelines, bus: b, ids: ids, clock: c, metrics: m, log: log, commits: make(chan commit, 4)}
	s.more, s.room = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	hub.bus = b
	s.done.Go(s.commitLoop)
	s.done.Go(s.dispatchLoop)
	return s
}

// Observe names somebody who is told of entries. It is to be called before there are any.
func (s *Service) Observe(o Observer) { s.observers = append(s.observers, o) }

// NewID returns an id of the kind that messages have, for what is sent without an entry.
func (s *Service) NewID() int64 { return s.ids.Next() }

// Append queues a post; posts of one caller keep their order. It waits while too many are queued, which holds up the
// socket that they come from.
func (s *Service) Append(post Post) {
	s.mu.Lock()
	for len(s.queue) >= queueLimit && !s.closed {
		s.room.Wait()
	}
	if s.closed {
		s.mu.Unlock()
		if post.Done != nil {
			post.Done(Result{Err: ErrClosed})
		}
		return
	}
	s.queue = append(s.queue, post)
	if len(s.queue) == 1 {
		s.more.Signal()
	}
	s.mu.Unlock()
}

// AppendWait is Append for callers that wait for the result.
func (s *Service) AppendWait(ctx context.Context, post Post) (Result, error) {
	done := make(chan Result, 1)
	post.Done = func(r Result) { done <- r }
	s.Append(post)
	select {
	case r := <-done:
		return r, r.Err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// AppendAll appends posts, in order, and returns when all are durable. The error joins those of the posts that failed.
func (s *Service) AppendAll(ctx context.Context, posts ...Post) error {
	results := make(chan error, len(posts))
	for _, post := range posts {
		post.Done = func(r Result) { results <- r.Err }
		s.Append(post)
	}
	var errs []error
	for range posts {
		select {
		case err := <-results:
			errs = append(errs, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// commitLoop makes what has gathered durable, a batch at a time.
func (s *Service) commitLoop() {
	defer close(s.commits)
	for {
		posts := s.take()
		if posts == nil {
			return
		}
		now := s.clock.Now().UnixMilli()
		drafts := make([]store.Draft, len(posts))
		for i, p := range posts {
			drafts[i] = store.Draft{Key: p.Key, ID: s.ids.Next(), Time: now, Sender: p.Sender, Device: p.Device, ClientID: p.ClientID,
				Content: p.Content, Ref: p.Ref, Audience: p.Audience, Amend: p.Amend, Meta: p.Meta}
			if p.Old != 0 {
				drafts[i].Time, drafts[i].Device = min(p.Old, now), store.NotDelivered
			}
		}
		result, err := s.store.Append(context.Background(), drafts)
		s.commits <- commit{posts, result, err}
	}
}

// take waits for posts; nil means that the service is closed and empty.
func (s *Service) take() []Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 {
		if s.closed {
			return nil
		}
		s.more.Wait()
	}
	posts := s.queue
	if len(posts) > batchLimit {
		posts, s.queue = posts[:batchLimit:batchLimit], posts[batchLimit:]
	} else {
		s.queue = nil
	}
	s.room.Broadcast()
	return posts
}

// dispatchLoop tells senders and receivers what has been committed.
func (s *Service) dispatchLoop() {
	for c := range s.commits {
		if c.err != nil {
			s.log.Error("append failed", "posts", len(c.posts), "error", c.err)
			s.metrics.failed.Add(float64(len(c.posts)))
		} else {
			s.metrics.batch.Observe(float64(len(c.posts)))
			s.metrics.entries.Add(float64(len(c.posts)))
		}
		for i, post := range c.posts {
			s.dispatch(&post, c, i)
		}
		s.Hub.Flush()
	}
}

func (s *Service) dispatch(post *Post, c commit, i int) {
	result := Result{Err: c.err}
	if c.err == nil {
		r := c.result[i]
		result = Result{ID: r.ID, Time: r.Time, Timeline: r.Timeline, Seq: r.Seq, Err: r.Err}
	}
	if post.Done != nil {
		post.Done(result)
	}
	if result.Err != nil || c.result[i].Repeated || post.Old != 0 {
		return
	}
	r := c.result[i]
	for _, o := range s.observers {
		o.Committed(store.Found{Timeline: r.Timeline, Key: post.Key, Entry: store.Entry{Seq: r.Seq, ID: r.ID, Time: r.Time,
			Sender: post.Sender, Device: post.Device, Content: post.Content, Ref: post.Ref, Audience: post.Audience, Meta: post.Meta}}, post.Live)
	}
	meta := msync.AppendMeta(make([]byte, 0, len(post.Meta)+32), r.ID, r.Time, post.Meta)
	if post.Live {
		s.publish(bus.Muc(post.Key.A), pushEvent(meta, post.Device, post.Audience))
		return
	}
	queue := strconv.FormatInt(r.Timeline, 10)
	event := appendEntryEvent(make([]byte, 0, len(meta)+96),
		entryEvent{timeline: r.Timeline, seq: r.Seq, sender: post.Sender, device: post.Device, audience: post.Audience})
	event = msync.AppendBatch(event, msync.Batch{Queue: queue, Metas: meta, NextKey: r.Seq})
	if post.Key.Kind == store.KindMuc {
		s.publish(bus.Muc(post.Key.A), event)
		return
	}
	for _, user := range post.Key.Readers() {
		s.publish(bus.User(user), event)
	}
}

func (s *Service) publish(subject bus.Subject, event []byte) {
	if err := s.bus.Publish(subject, event); err != nil {
		// Nothing is lost: the receivers' next look at the store finds it.
		s.log.Warn("publish", "kind", string(rune(subject.Kind)), "number", subject.ID, "error", err)
	}
}

// onlineQueue is the queue's name in frames that need no cursor.
const onlineQueue = "online"

// pushEvent packs a completed Meta for who is online now. A device other than 0 is left out.
func pushEvent(meta []byte, exceptDevice int64, audience store.Audience) []byte {
	event := appendEntryEvent(make([]byte, 0, len(meta)+96), entryEvent{device: exceptDevice, audience: audience})
	event[0] = eventPush
	return msync.AppendBatch(event, msync.Batch{Queue: onlineQueue, Metas: meta, Last: true})
}

// Push sends a Meta to the sessions of a user that are online now; nothing is kept. A device other than 0 is left out.
func (s *Service) Push(user int64, stored []byte, exceptDevice int64) (id, time int64) {
	return s.push(bus.User(user), stored, exceptDevice, store.Audience{})
}

// PushMuc sends a Meta to the sessions of a group's or thread's members that are online now, or to those that are in a
// room; nothing is kept. A device other than 0 is left out, and so is who is not of the audience.
func (s *Service) PushMuc(muc int64, stored []byte, exceptDevice int64, audience store.Audience) (id, time int64) {
	return s.push(bus.Muc(muc), stored, exceptDevice, audience)
}

func (s *Service) push(subject bus.Subject, stored []byte, exceptDevice int64, audience store.Audience) (id, time int64) {
	id, time = s.ids.Next(), s.clock.Now().UnixMilli()
	s.publish(subject, pushEvent(msync.AppendMeta(nil, id, time, stored), exceptDevice, audience))
	s.Hub.Flush()
	return id, time
}

// Subscribed tells the sessions of users, on all nodes, that they read a group's timeline: what follows the entry start.
// It is called after the commit that says so. What is posted to the group afterwards shows each of them whether it has
// missed something. With timeline 0 it puts the sessions into a room.
func (s *Service) Subscribed(users []int64, muc, timeline, start int64) {
	s.members(users, appendMembership(nil, eventJoin, membership{muc, timeline, start}))
}

// Unsubscribed tells the sessions of users, on all nodes, that they read a group's timeline no longer, but for what they
// have not had yet up to the entry until. It is called after the commit that says so. With timeline 0 it puts the sessions
// out of a room.
func (s *Service) Unsubscribed(users []int64, muc, timeline, until int64) {
	s.members(users, appendMembership(nil, eventLeave, membership{muc, timeline, until}))
}

func (s *Service) members(users []int64, event []byte) {
	for _, user := range users {
		s.publish(bus.User(user), event)
	}
	s.Hub.Flush()
}

// Kick tells the sessions of a user, on all nodes, to end.
func (s *Service) Kick(user int64, k Kick) {
	s.publish(bus.User(user), appendKick(nil, k))
	s.Hub.Flush()
}

// Extend tells the sessions of a user, on all nodes, that a token that lasts until then (milliseconds since 1970; 0: for
// ever) was taken up.
func (s *Service) Extend(user int64, until int64) {
	s.publish(bus.User(user), appendLifetime(nil, until))
}

// Close commits and dispatches what was accepted, then stops. Later posts fail with ErrClosed.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.more.Broadcast()
	s.room.Broadcast()
	s.mu.Unlock()
	s.done.Wait()
}
