package muc

import (
	"context"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
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

// maySendIn says whether a member of a thread may write now, as far as that is a matter of the group: code 608 (ErrDisabled),
// 602 (ErrNotMember), 507 (ErrMuted) and 506 (ErrMutedAll).
func (s *Service) maySendIn(ctx context.Context, group store.Muc, user store.User) error {
	st, err := s.standing(ctx, group.ID, user.ID)
	if err != nil {
		return err
	}
	return s.maySend(group, st, user)
}
