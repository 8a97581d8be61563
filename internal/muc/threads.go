package muc

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Threads hang on messages of groups. Every member of the group sees the threads and may join them; who has joined one reads
// its timeline and may write in it. What somebody may do with a thread depends on the role in the group: besides the
// group's owner and admins only who has started a thread may rename and destroy it.

const (
	MaxThreadTitle   = 64      // characters
	MaxThreads       = 100_000 // of an app
	MaxThreadNames   = 10      // users in one call
	MaxLastMessages  = 20      // threads in one call
	maxThreadMembers = math.MaxInt32
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrThreadExists = errors.New("the message has a thread already") // 1301
	ErrNoMessage    = errors.New("no such message in the group")     // 51
	ErrThreadsOff   = errors.New("threads are switched off")         // 505
)

// Thread is a thread, and the group that it belongs to.
type Thread struct {
	store.Muc
	Group store.Muc
}

// ThreadOptions say what CreateThread makes.
type ThreadOptions struct {
	Group   string
	Message int64  // on which it hangs
	Owner   string // user id; empty: the actor
	Title   string
}

func (s *Service) checkThreads(app *account.App) error {
	if s.settings(app).Threads {
		return nil
	}
	return refuse(errcode.ServiceNotEnabled, ErrThreadsOff, "thread not open.")
}

func checkThreadTitle(title string) error {
	if title == "" || !store.IsText(title) || utf8.RuneCountInString(title) > MaxThreadTitle {
		return refuse(errcode.MaxLimit, ErrText, "the name of a thread has 1 to %d characters", MaxThreadTitle)
	}
	return nil
}

// CreateThread starts a thread with its owner as the first member, and tells the group. The errors are those of the policy
// for the group, and code 505 (ErrThreadsOff), 50 (ErrText, ErrTooManyInApp), 51 (ErrNoMessage), 204, 602 (ErrNotMember: the
// owner) and 1301 (ErrThreadExists).
func (s *Service) CreateThread(ctx context.Context, actor Actor, o ThreadOptions) (Thread, error) {
	if err := s.checkThreads(actor.App); err != nil {
		return Thread{}, err
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, o.Group, UseThread)
	if err != nil {
		return Thread{}, err
	}
	if err := checkThreadTitle(o.Title); err != nil {
		return Thread{}, err
	}
	owner, err := s.threadOwner(ctx, sc, o.Owner)
	if err != nil {
		return Thread{}, err
	}
	if err := s.hangsOn(ctx, sc.muc, owner, o.Message); err != nil {
		return Thread{}, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	now := s.now()
	m, joined, err := s.store.CreateMuc(ctx, store.Muc{App: actor.App.ID, Kind: store.MucThread, Owner: peer(owner),
		Parent: sc.muc.ID, Message: o.Message, Title: o.Title, MaxUsers: maxThreadMembers, Created: now, Modified: now},
		MaxThreads, math.MaxInt32)
	switch {
	case errors.Is(err, store.ErrExists):
		return Thread{}, refuse(errcode.ThreadAlreadyExist, ErrThreadExists, "the message has a thread already")
	case errors.Is(err, store.ErrFull):
		return Thread{}, refuse(errcode.MaxLimit, ErrTooManyInApp, "an app can have %d threads", MaxThreads)
	case errors.Is(err, store.ErrNotFound):
		return Thread{}, gone(owner.Name)
	case err != nil:
		return Thread{}, err
	}
	t := Thread{m, sc.muc}
	s.begun(m, joined)
	return t, s.tellThread(ctx, actor, t, threadCreated, msync.MUCBody_THREAD_CREATE)
}

// threadOwner is who starts a thread: a member of the group.
func (s *Service) threadOwner(ctx context.Context, sc scene, name string) (store.User, error) {
	if !sc.IsBackend() {
		if name != "" && account.Fold(name) != sc.User.Name {
			return store.User{}, refuse(errcode.PermissionDenied, ErrDenied, "users own what they make")
		}
		return sc.User, nil
	}
	owner, err := s.accounts.User(ctx, sc.App, name)
	if err != nil {
		return owner, err
	}
	st, err := s.store.Standing(ctx, sc.muc.ID, owner.ID)
	if err == nil && st.Role == store.RoleNone {
		err = notMember(store.MucGroup, owner.Name)
	}
	return owner, err
}

// hangsOn refuses what is no message that the group has, and the owner may read.
func (s *Service) hangsOn(ctx context.Context, group store.Muc, owner store.User, message int64) error {
	found, err := s.store.FindEntry(ctx, group.App, message)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	meant := found.Audience.Has(owner.ID) || found.Sender == owner.ID
	readable := store.History.Has(found.Content) && !found.Recalled && meant
	if err != nil || !readable || found.Key != store.MucKey(group.App, group.ID) {
		return refuse(errcode.MessageNotFound, ErrNoMessage, "the group has no message %d", message)
	}
	return nil
}

// inThread is an operation on a thread that is under way. The scene is the group.
type inThread struct {
	scene
	Thread
}

// owns reports whether the actor has started the thread.
func (in inThread) owns() bool { return !in.IsBackend() && in.Owner.ID == in.User.ID }

// members is the scene in which members of the thread come and go.
func (in inThread) members() scene { return scene{Actor: in.Actor, muc: in.Muc} }

// thread finds a thread for a member of its group, or a backend.
func (s *Service) thread(ctx context.Context, actor Actor, id string) (inThread, error) {
	in := inThread{scene: scene{Actor: actor}}
	if err := s.checkThreads(actor.App); err != nil {
		return in, err
	}
	var err error
	if in.Muc, err = s.find(ctx, actor.App, store.MucThread, id); err != nil {
		return in, err
	}
	in.Group, err = s.store.MucByID(ctx, in.Parent)
	if errors.Is(err, store.ErrNotFound) { // it is being destroyed
		return in, notExist(store.MucThread, id)
	} else if err != nil {
		return in, err
	}
	in.muc = in.Group
	if !actor.IsBackend() {
		if in.stand, err = s.store.Standing(ctx, in.muc.ID, actor.User.ID); err != nil {
			return in, err
		}
	}
	return in, s.allow(in.scene, UseThread)
}

// managed is thread for who may change it.
func (s *Service) managed(ctx context.Context, actor Actor, id string) (inThread, error) {
	in, err := s.thread(ctx, actor, id)
	if err == nil && !in.owns() {
		err = s.allow(in.scene, ManageThread)
	}
	return in, err
}

// GetThread returns a thread, with the number of its members. The errors are those of the policy for the group, and code
// 1300 (ErrNotExist) and 505 (ErrThreadsOff).
func (s *Service) GetThread(ctx context.Context, actor Actor, id string) (Thread, error) {
	in, err := s.thread(ctx, actor, id)
	return in.Thread, err
}

// JoinThread makes the actor a member. It is no error if the actor is one. The errors are those of GetThread.
func (s *Service) JoinThread(ctx context.Context, actor Actor, id string) (Thread, error) {
	in, err := s.thread(ctx, actor, id)
	if err != nil {
		return in.Thread, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	joined, err := s.enterThread(ctx, in, peer(actor.User))
	if err != nil || joined == 0 {
		return in.Thread, err
	}
	return in.Thread, s.toSelfOfThread(ctx, actor, in.Thread, msync.MUCBody_THREAD_JOIN)
}

// enterThread makes users members and returns how many of them were none.
func (s *Service) enterThread(ctx context.Context, in inThread, users ...store.Peer) (int, error) {
	joined, err := s.store.AddMembers(ctx, store.Join{Muc: in.ID, Users: users, PerUser: math.MaxInt32, Now: s.now()})
	if errors.Is(err, store.ErrNotFound) {
		return 0, notExist(store.MucThread, in.Name)
	} else if err != nil || len(joined.Users) == 0 {
		return 0, err
	}
	s.begun(in.Muc, joined)
	return len(joined.Users), nil
}

// AddToThread makes members of the group members of the thread, as a backend may. The errors are those of GetThread, and
// code -3 (ErrNoNames), 50 (ErrTooManyNames: more than MaxThreadNames), 204 and 602 (ErrNotMember).
func (s *Service) AddToThread(ctx context.Context, actor Actor, id string, names []string) error {
	in, err := s.thread(ctx, actor, id)
	if err != nil {
		return err
	}
	people, err := s.persons(ctx, actor.App, names, MaxThreadNames)
	if err != nil {
		return err
	}
	members, err := s.roles(ctx, in.Group, people)
	if err != nil {
		return err
	}
	var users []store.Peer
	for _, p := range people {
		if p.err != nil {
			return p.err
		}
		if _, in := members[p.user.ID]; !in {
			return notMember(store.MucGroup, p.user.Name)
		}
		users = append(users, peer(p.user))
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	_, err = s.enterThread(ctx, in, users...)
	return err
}

// LeaveThread ends the actor's membership. Who has started a thread may leave it, too. The errors are those of GetThread,
// and code 602 (ErrNotMember).
func (s *Service) LeaveThread(ctx context.Context, actor Actor, id string) error {
	in, err := s.thread(ctx, actor, id)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	left, err := s.part(ctx, in.members(), []int64{actor.User.ID})
	if err != nil {
		return err
	}
	if len(left.Users) == 0 {
		return notMember(store.MucThread, actor.User.Name)
	}
	return s.toSelfOfThread(ctx, actor, in.Thread, msync.MUCBody_THREAD_LEAVE)
}

// RemoveFromThread ends the membership of others, who are told. It takes the owner or an admin of the group. The error is
// one of the policy or of GetThread, or -3 (ErrNoNames), 50 (ErrTooManyNames: more than MaxThreadNames), or if all users are
// refused that of the first: 602 (ErrNotMember), 204.
func (s *Service) RemoveFromThread(ctx context.Context, actor Actor, id string, names []string) ([]Result, error) {
	in, err := s.thread(ctx, actor, id)
	if err == nil {
		err = s.allow(in.scene, ManageThread)
	}
	if err != nil {
		return nil, err
	}
	people, err := s.persons(ctx, actor.App, names, MaxThreadNames)
	if err != nil {
		return nil, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	results := make([]Result, len(people))
	for i, p := range people {
		results[i] = Result{User: p.user.Name, Err: p.err}
		if p.err != nil {
			continue
		}
		left, err := s.part(ctx, in.members(), []int64{p.user.ID})
		if err != nil {
			return nil, err
		}
		if len(left.Users) == 0 {
			results[i].Err = notMember(store.MucThread, p.user.Name)
			continue
		}
		e := event{operation: msync.MUCBody_THREAD_KICK, to: []string{p.user.Name}, parent: in.Group.Name}
		if err := s.toUsers(ctx, actor, in.Muc, e, left.Users...); err != nil {
			return nil, err
		}
	}
	return whole(results)
}

// RenameThread changes the name and tells the group. It takes who has started the thread, or the owner or an admin of the
// group. The errors are those of the policy and of GetThread, and 50 (ErrText).
func (s *Service) RenameThread(ctx context.Context, actor Actor, id, title string) (Thread, error) {
	in, err := s.managed(ctx, actor, id)
	if err != nil {
		return in.Thread, err
	}
	if err := checkThreadTitle(title); err != nil {
		return in.Thread, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	m, err := s.store.UpdateMuc(ctx, in.ID, s.now(), store.MucChange{Title: &title})
	s.changed(in.Muc)
	if errors.Is(err, store.ErrNotFound) {
		return in.Thread, notExist(store.MucThread, id)
	} else if err != nil {
		return in.Thread, err
	}
	in.Muc = m
	return in.Thread, s.tellThread(ctx, actor, in.Thread, threadUpdated, msync.MUCBody_THREAD_UPDATE)
}

// DestroyThread ends a thread and tells the group. It takes who RenameThread takes; the errors are those of GetThread.
func (s *Service) DestroyThread(ctx context.Context, actor Actor, id string) error {
	in, err := s.managed(ctx, actor, id)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if err := s.close(ctx, actor, in.Muc); err != nil {
		return err
	}
	return s.tellThread(ctx, actor, in.Thread, threadDestroyed, msync.MUCBody_THREAD_DESTROY)
}

// closeThreads destroys the threads of a group that is being destroyed. Its members are told of the group only.
func (s *Service) closeThreads(ctx context.Context, actor Actor, group store.Muc) error {
	query := store.MucQuery{App: group.App, Kind: store.MucThread, Parent: group.ID, Limit: memberSlice}
	for {
		threads, err := s.store.ListMucs(ctx, query)
		if err != nil || len(threads) == 0 {
			return err
		}
		for _, m := range threads {
			if err := s.close(ctx, actor, m); err != nil && !errors.Is(err, ErrNotExist) {
				return err
			}
		}
	}
}

// leaveThreads takes users out of the threads of a group that they are in no more.
func (s *Service) leaveThreads(ctx context.Context, actor Actor, group store.Muc, users []store.Peer) error {
	for _, user := range users {
		for {
			query := store.JoinedQuery{User: user.ID, Kind: store.MucThread, Parent: group.ID, Limit: memberSlice}
			joined, err := s.store.JoinedMucs(ctx, query)
			if err != nil {
				return err
			}
			if len(joined) == 0 {
				break
			}
			for _, j := range joined {
				if _, err := s.part(ctx, scene{Actor: actor, muc: j.Muc}, []int64{user.ID}); err != nil && !errors.Is(err, ErrNotExist) {
					return err
				}
			}
		}
	}
	return nil
}

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

// threadOperation is what a NOTIFY says has happened to a thread.
type threadOperation string

const (
	threadCreated   threadOperation = "create"
	threadUpdated   threadOperation = "update"
	threadMessage   threadOperation = "update_msg"
	threadDestroyed threadOperation = "delete"
)

// threadNotice is the NOTIFY about a thread (docs/protocol/sdk-rest.md §5.3).
type threadNotice struct {
	Operation threadOperation `json:"operation"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Group     string          `json:"muc_parent_id"`
	Message   string          `json:"msg_parent_id"`
	Time      int64           `json:"timestamp"`
	From      string          `json:"from"`
	Count     int             `json:"message_count"`
	Last      any             `json:"last_message"` // msync.MessageObject, or an empty object
}

func (s *Service) noticeOf(from string, t Thread, op threadOperation) threadNotice {
	return threadNotice{Operation: op, ID: t.Name, Name: t.Title, Group: t.Group.Name, Message: strconv.FormatInt(t.Message, 10),
		Time: s.now(), From: from, Last: struct{}{}}
}

func (n threadNotice) pack(to string) ([]byte, error) {
	return msync.Notify(n.From, to, map[string]any{"type": "thread", "data": n})
}

// tellThread tells the members of the group what has become of a thread, and the actor's other devices that the user did it.
func (s *Service) tellThread(ctx context.Context, actor Actor, t Thread, op threadOperation, own msync.MUCBody_Operation) error {
	meta, err := s.noticeOf(actor.name(), t, op).pack(t.Group.Name)
	if err != nil {
		return err
	}
	key := store.MucKey(t.App, t.Group.ID)
	_, err = s.delivery.AppendWait(ctx, delivery.Post{Key: key, Sender: actor.User.ID, Device: actor.Device, Meta: meta})
	if err != nil {
		return err
	}
	return s.toSelfOfThread(ctx, actor, t, own)
}

func (s *Service) toSelfOfThread(ctx context.Context, actor Actor, t Thread, op msync.MUCBody_Operation) error {
	return s.toSelf(ctx, actor, t.Muc, event{operation: op, parent: t.Group.Name})
}

// close takes a thread out of all lists and removes its members.
func (s *Service) close(ctx context.Context, actor Actor, thread store.Muc) error {
	err := s.store.CloseMuc(ctx, thread.ID)
	s.changed(thread)
	if errors.Is(err, store.ErrNotFound) {
		return notExist(store.MucThread, thread.Name)
	} else if err != nil {
		return err
	}
	return s.dissolve(ctx, actor, thread)
}

// spoken are threads whose groups are to be told that there is another message, with who has written the last one. Words
// about one thread are gathered: a group need not hear of each message.
type spoken struct {
	mu      sync.Mutex
	threads map[int64]speaker
}

type speaker struct {
	app  *account.App
	name string
}

// Spoke notes that a thread has a new message, or one fewer, of a user. Those members of the group who are online are told
// soon. It does not block.
func (s *Service) Spoke(app *account.App, thread Target, user store.User) {
	s.spoken.mu.Lock()
	defer s.spoken.mu.Unlock()
	if s.spoken.threads == nil {
		s.spoken.threads = map[int64]speaker{}
	}
	s.spoken.threads[thread.ID] = speaker{app, user.Name}
}

// tellSpoken tells the groups.
func (s *Service) tellSpoken(ctx context.Context) error {
	s.spoken.mu.Lock()
	threads := s.spoken.threads
	s.spoken.threads = nil
	s.spoken.mu.Unlock()
	var errs []error
	for id, by := range threads {
		if err := s.tellMessages(ctx, id, by); !errors.Is(err, store.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Service) tellMessages(ctx context.Context, id int64, by speaker) error {
	m, err := s.numbered(ctx, id)
	if err != nil {
		return err
	}
	group, err := s.numbered(ctx, m.Parent)
	if err != nil {
		return err
	}
	messages, err := s.messages(ctx, m)
	if err != nil {
		return err
	}
	notice := s.noticeOf(by.name, Thread{m, group}, threadMessage)
	notice.Count, notice.Last = messages.count, messages.last
	meta, err := notice.pack(group.Name)
	if err != nil {
		return err
	}
	s.delivery.PushMuc(group.ID, meta, 0, store.Audience{})
	return nil
}

// threadMessages is what there is to tell of the messages of a thread.
type threadMessages struct {
	count int
	last  any   // msync.MessageObject, or an empty object
	time  int64 // of the last one; 0: there is none
}

func (s *Service) messages(ctx context.Context, thread store.Muc) (m threadMessages, err error) {
	m.last = struct{}{}
	// All of it is unread to nobody in particular.
	conversation, err := s.store.Conversation(ctx, 0, store.MucKey(thread.App, thread.ID))
	if errors.Is(err, store.ErrNotFound) {
		return m, nil
	} else if err != nil {
		return m, err
	}
	counts, err := s.store.CountUnread(ctx, 0, []store.Conversation{conversation})
	if err != nil {
		return m, err
	}
	m.count = counts[0]
	entry, err := s.lastMessage(ctx, thread)
	if err != nil || entry.Seq == 0 {
		return m, err
	}
	m.time = entry.Time
	m.last, err = msync.MessageJSON(entry.ID, entry.Time, entry.Meta)
	return m, err
}

// maySendIn says whether a member of a thread may write now, as far as that is a matter of the group: code 608 (ErrDisabled),
// 602 (ErrNotMember), 507 (ErrMuted) and 506 (ErrMutedAll).
func (s *Service) maySendIn(ctx context.Context, group store.Muc, user store.User) error {
	st, err := s.standing(ctx, group.ID, user.ID)
	if err != nil {
		return err
	}
	return s.maySend(group, st, user)
}
