package delivery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// group is a number that no user has.
const group = 1000

// join makes users members of a group, as the service of groups does.
func (w *world) join(muc int64, users ...int64) store.Timeline {
	w.Helper()
	line, err := w.store.Subscribe(w.Context(), store.MucKey(1, muc), users)
	if err != nil {
		w.Fatal(err)
	}
	w.service.Subscribed(users, muc, line.ID, line.Head)
	return line
}

func (w *world) leave(muc int64, users ...int64) {
	w.Helper()
	line, err := w.store.Unsubscribe(w.Context(), store.MucKey(1, muc), users)
	if err != nil {
		w.Fatal(err)
	}
	w.service.Unsubscribed(users, muc, line.ID, line.Head)
}

// meta packs a text.
func (w *world) meta(text string) []byte {
	w.Helper()
	stored, err := msync.StoredMeta(&msync.Meta{Ns: msync.Meta_NOTIFY, Payload: []byte(text)})
	if err != nil {
		w.Fatal(err)
	}
	return stored
}

// say appends texts to a group and returns when they have been offered to all.
func (w *world) say(from, device, muc int64, texts ...string) (last Result) {
	w.Helper()
	for _, text := range texts {
		last = w.sayThis(Post{Key: store.MucKey(1, muc), Sender: from, Device: device, Content: store.ContentText}, text)
	}
	return last
}

func (w *world) sayThis(post Post, text string) Result {
	w.Helper()
	post.Meta = w.meta(text)
	r, err := w.service.AppendWait(w.Context(), post)
	if err != nil {
		w.Fatal(err)
	}
	w.settle()
	return r
}

// settled waits until the first session of a group has looked at the store for what it may have missed.
func (w *world) settled(id int64) {
	w.Helper()
	w.until("the subscription", func() (ok bool) {
		w.hub.mucs.change(id, func(of *mucSessions) { ok = of.settled })
		return ok
	})
}

func (b *recordedBus) hears(muc int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subscribed[bus.Muc(muc)] > 0
}

func TestAGroupsEntriesReachTheMembersThatAreOnline(t *testing.T) {
	w := newWorld(t)
	line := w.join(group, 1, 2, 3)
	_, web := w.ready(1, 10, 1)
	_, phone := w.ready(1, 11, 2)
	_, bob := w.ready(2, 20, 3)
	_, stranger := w.ready(4, 40, 4)
	r := w.say(1, 10, group, "a")
	if r.Timeline != line.ID || r.Seq != 1 {
		t.Errorf("the entry is %+v, the timeline %+v", r, line)
	}
	web.gets(t, "the device that sent it")
	phone.gets(t, "the sender's other device", "batch a")
	bob.gets(t, "a member", "batch a")
	stranger.gets(t, "somebody else")
	late, carol := w.session(3, 30, 5)
	unread := w.unread(late)
	if len(unread) != 1 || unread[0].Count != 1 {
		t.Fatalf("who was away has unread %+v", unread)
	}
	w.pull(late, unread[0].Queue, true)
	carol.gets(t, "a member who was away", "batch a")
	late.Acknowledge(unread[0].Queue, 1)
	w.pull(late, unread[0].Queue, false)
	carol.gets(t, "the end of it", "end")
	w.say(1, 10, group, "b")
	carol.gets(t, "from then on", "batch b")
}

func TestAGroupIsHeardWhileThereIsASessionOfAMember(t *testing.T) {
	w := newWorld(t)
	w.join(group, 1, 2)
	a, _ := w.session(1, 10, 1)
	if w.bus.hears(group) {
		t.Error("it is heard before the session has read its positions")
	}
	w.unread(a)
	b, _ := w.ready(2, 20, 2)
	w.unread(b) // again
	a.Close(t.Context())
	if !w.bus.hears(group) {
		t.Error("it is not heard although a session is left")
	}
	b.Close(t.Context())
	if w.bus.hears(group) {
		t.Error("it is still heard")
	}
	w.join(group, 1) // a closed session takes no word
	a.joined(membership{group, 1, 0})
	a.Enter(group)
	if w.bus.hears(group) {
		t.Error("a closed session has entered")
	}
}

func TestWhoJoinsReadsFromThereAndWhoLeavesUpToThere(t *testing.T) {
	w := newWorld(t)
	w.join(group, 1)
	s, out := w.ready(2, 20, 1)
	_, other := w.ready(2, 21, 2)
	w.say(1, 10, group, "before")
	line := w.join(group, 2)
	w.join(group, 2) // says it twice
	queue := fmt.Sprint(line.ID)
	w.say(1, 10, group, "a", "b")
	out.gets(t, "a new member", "batch a", "batch b")
	other.gets(t, "the other device", "batch a", "batch b")
	w.bus.Bus.Unsubscribe(bus.Muc(group)) // loses
	w.say(1, 10, group, "c")
	w.bus.Bus.Subscribe(bus.Muc(group))
	w.leave(group, 2)
	out.gets(t, "what was lost is there to be pulled", "n")
	w.say(1, 10, group, "after")
	s.Acknowledge(queue, 3)
	w.pull(s, queue, true)
	out.gets(t, "what came before the end", "batch c")
	s.Acknowledge(queue, 4)
	w.pull(s, queue, false)
	out.gets(t, "and no more", "end")
	if unread := w.unread(s); len(unread) != 0 {
		t.Errorf("after the end there is %+v", unread)
	}
	// A device that comes later is given the same.
	late, lateOut := w.session(2, 22, 3)
	for _, u := range w.unread(late) {
		w.pull(late, u.Queue, true)
	}
	lateOut.gets(t, "a later device", "batch a b c")

	w.join(group, 2)
	w.say(1, 10, group, "again")
	out.gets(t, "who has joined again", "batch again")
	s.Acknowledge(queue, 6)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.cursor(2, 20); got != 6 {
		t.Errorf("the cursor is at %d", got)
	}
}

func TestWhoLeavesWithABacklogPullsItToItsEnd(t *testing.T) {
	w := newWorld(t)
	line := w.join(group, 1, 2)
	w.say(1, 10, group, "a", "b")
	s, out := w.ready(2, 20, 1)
	w.leave(group, 2)
	w.say(1, 10, group, "after")
	queue := fmt.Sprint(line.ID)
	w.pull(s, queue, true)
	out.gets(t, "the backlog", "batch a b")
	s.Acknowledge(queue, 2)
	w.pull(s, queue, false)
	out.gets(t, "its end", "end")
	again, out := w.session(2, 20, 2)
	if unread := w.unread(again); len(unread) != 0 {
		t.Errorf("the next session has unread %+v", unread)
	}
	w.say(1, 10, group, "later")
	out.gets(t, "nothing comes any more")
}

func TestWhoLeftAnEmptyGroupIsSentNothing(t *testing.T) {
	w := newWorld(t)
	w.join(group, 1, 2)
	_, out := w.ready(2, 20, 1)
	w.leave(group, 2)
	w.say(1, 10, group, "a")
	late, lateOut := w.ready(2, 21, 2)
	w.say(1, 10, group, "b")
	out.gets(t, "the session that heard of it")
	lateOut.gets(t, "a session that came later")
	if unread := w.unread(late); len(unread) != 0 {
		t.Errorf("unread is %+v", unread)
	}
}

// A word that the bus has lost is found when the session looks at the store.
func TestLostWordsOfMembershipAreFoundInTheStore(t *testing.T) {
	w := newWorld(t)
	w.join(group, 1, 3)
	leaves, left := w.ready(3, 30, 2)
	w.settled(group)
	joins, joined := w.ready(2, 20, 1)
	key := store.MucKey(1, group)
	if _, err := w.store.Subscribe(t.Context(), key, []int64{2}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Unsubscribe(t.Context(), key, []int64{3}); err != nil {
		t.Fatal(err)
	}
	w.say(1, 10, group, "a")
	joined.gets(t, "not heard yet")
	left.gets(t, "not heard yet", "batch a")
	unread := w.unread(joins)
	w.unread(leaves)
	if len(unread) != 1 {
		t.Fatalf("unread is %+v", unread)
	}
	w.pull(joins, unread[0].Queue, true)
	joined.gets(t, "the pull", "batch a")
	joins.Acknowledge(unread[0].Queue, 1)
	w.pull(joins, unread[0].Queue, false)
	w.say(1, 10, group, "b")
	joined.gets(t, "who has joined", "end", "batch b")
	left.gets(t, "who has left")
}

// What the store held before a change must not undo what was heard of it.
func TestAReadThatWasOvertakenByAChangeIsRepeated(t *testing.T) {
	w := newWorld(t)
	w.join(group, 1, 2)
	w.say(1, 10, group, "a")
	s, out := w.session(2, 20, 1)
	old, err := w.store.Store.Positions(t.Context(), 2, 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.refresh(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.leave(group, 2)
	if _, ok := s.adopt(old, 0, true); ok {
		t.Error("an old read was taken over")
	}
	w.say(1, 10, group, "b")
	out.gets(t, "who has left")
}

func TestEntriesForAFewAreSkippedByTheOthers(t *testing.T) {
	w := newWorld(t)
	line := w.join(group, 1, 2, 3)
	queue := fmt.Sprint(line.ID)
	_, phone := w.ready(1, 11, 1)
	bob, bobOut := w.ready(2, 20, 2)
	_, carolOut := w.ready(3, 30, 3)
	key := store.MucKey(1, group)
	w.sayThis(Post{Key: key, Sender: 1, Device: 10, Audience: store.Audience{Users: []int64{1, 3}}}, "for carol")
	w.sayThis(Post{Key: key, Sender: 1, Device: 10, Audience: store.Audience{Users: []int64{3}, Except: true}}, "not for carol")
	phone.gets(t, "the sender's other device", "batch for carol", "batch not for carol")
	bobOut.gets(t, "bob", "batch not for carol")
	carolOut.gets(t, "carol", "batch for carol")
	bob.Acknowledge(queue, 2)
	w.sayThis(Post{Key: key, Sender: 1, Device: 10, Audience: store.Audience{Users: []int64{1, 3}}}, "once more")
	if err := bob.Close(t.Context()); err != nil { // the cursor has moved over what is not bob's
		t.Fatal(err)
	}
	if got := w.cursor(2, 20); got != 3 {
		t.Errorf("bob's cursor is at %d", got)
	}
	for user, want := range map[int64]string{2: "batch not for carol", 3: "batch for carol once more"} {
		late, out := w.ready(user, 100+user, 10+user)
		w.pull(late, queue, true)
		out.gets(t, "a device that comes later", want)
		late.Acknowledge(queue, 3)
		w.pull(late, queue, false)
		out.gets(t, "the end of it", "end")
	}
}

func TestRecalledEntriesAreNotShownToWhoHasNotHadThem(t *testing.T) {
	w := newWorld(t)
	line := w.join(group, 1, 2)
	key := store.MucKey(1, group)
	a := w.say(1, 10, group, "a")
	b := w.say(1, 10, group, "b")
	w.say(1, 10, group, "c")
	w.sayThis(Post{Key: key, Sender: 1, Device: 10, Ref: a.Seq, Amend: &store.Amend{Seq: a.Seq, Recall: true}}, "recall a")
	w.sayThis(Post{Key: key, Sender: 1, Device: 10, Ref: b.Seq, Amend: &store.Amend{Seq: b.Seq, Meta: w.meta("b2")}}, "edit b")
	if _, err := w.service.AppendWait(t.Context(), Post{Key: key, Amend: &store.Amend{Seq: b.Seq, Meta: w.meta("b3")}}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an edit of an old version ended with %v", err)
	}
	s, out := w.ready(2, 20, 1)
	w.pull(s, fmt.Sprint(line.ID), true)
	out.gets(t, "the pull", "batch b2 c recall a edit b")
}

func TestRoomsAreSentToWhoHasEnteredAndKeptWithoutCursors(t *testing.T) {
	w := newWorld(t)
	const room = 2000
	a, aOut := w.ready(1, 10, 1)
	b, bOut := w.session(2, 20, 2) // has not even asked Unread
	_, other := w.ready(2, 21, 3)
	for range 2 {
		a.Enter(room)
		b.Enter(room)
	}
	post := Post{Key: store.MucKey(1, room), Sender: 1, Device: 10, Content: store.ContentText, Live: true}
	r := w.sayThis(post, "a")
	aOut.gets(t, "the device that sent it")
	bOut.gets(t, "who is in the room", "push a")
	other.gets(t, "another socket")
	post.Audience = store.Audience{Users: []int64{1}}
	w.sayThis(post, "not for b")
	w.service.PushMuc(room, w.meta("p"), 20, store.Audience{})
	w.service.PushMuc(room, w.meta("q"), 0, store.Audience{Users: []int64{1}, Except: true})
	aOut.gets(t, "pushes", "push p")
	bOut.gets(t, "pushes", "push q")
	if entries, err := w.store.ReadTimeline(t.Context(), r.Timeline, 0, 10, 1<<20); err != nil || len(entries) != 2 {
		t.Errorf("kept %+v, %v", entries, err)
	}
	b.Exit(room)
	b.Exit(room)
	w.sayThis(post, "c")
	bOut.gets(t, "who has left")
	w.service.Unsubscribed([]int64{1}, room, 0, 0)
	if w.bus.hears(room) {
		t.Error("an empty room is heard")
	}
	a.Enter(room)
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.bus.hears(room) {
		t.Error("the room of a closed session is heard")
	}
}

func TestOnlineOnlyWordsToAGroupReachItsMembers(t *testing.T) {
	w := newWorld(t)
	w.join(group, 1, 2)
	_, web := w.ready(1, 10, 1)
	_, phone := w.ready(1, 11, 2)
	_, bob := w.ready(2, 20, 3)
	_, stranger := w.ready(4, 40, 4)
	if id, at := w.service.PushMuc(group, w.meta("typing"), 10, store.Audience{}); id <= 0 || at <= 0 {
		t.Errorf("pushed as %d at %d", id, at)
	}
	web.gets(t, "the device that sent it")
	phone.gets(t, "the sender's other device", "push typing")
	bob.gets(t, "a member", "push typing")
	stranger.gets(t, "somebody else")
}

func TestASlowMemberHoldsUpNobodyAndPulls(t *testing.T) {
	w := newWorld(t)
	line := w.join(group, 1, 2, 3)
	slow, slowOut := w.ready(2, 20, 1)
	_, out := w.ready(3, 30, 2)
	slowOut.setFull(true)
	w.say(1, 10, group, "a", "b")
	slowOut.gets(t, "the slow one", "n")
	out.gets(t, "the other", "batch a", "batch b")
	slowOut.setFull(false)
	w.pull(slow, fmt.Sprint(line.ID), true)
	slowOut.gets(t, "the pull", "batch a b")
}

func TestANonsensicalWordForAGroupIsPassedOver(t *testing.T) {
	w := newWorld(t)
	w.join(group, 1)
	_, out := w.ready(1, 10, 1)
	for _, event := range [][]byte{nil, {}, {'e'}, {'p', 1}, {'k'}, {'l', 1}, {'j', 1, 1, 1}, {'e', 1, 1, 1, 1, 9}} {
		w.hub.Handle(bus.Muc(group), event)
		w.hub.Handle(bus.Muc(group+1), event)
	}
	for _, event := range [][]byte{{'j'}, {'j', 1, 2}, {'q'}, {'q', 1, 0x80}} {
		w.hub.Handle(bus.User(1), event)
	}
	out.gets(t, "nonsense")
}

// A session that enters a group while entries come must be sent each of them, whoever is first.
func TestNothingIsMissedWhileSessionsEnter(t *testing.T) {
	w := newWorld(t)
	const users, texts = 8, 60
	var all []int64
	for user := range int64(users) {
		all = append(all, user+1)
	}
	line := w.join(group, all...)
	queue := fmt.Sprint(line.ID)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range texts {
			w.service.Append(Post{Key: store.MucKey(1, group), Sender: 99, Meta: w.meta(fmt.Sprint(i))})
		}
	})
	outs := make([]*sink, users)
	sessions := make([]*Session, users)
	for i := range sessions {
		wg.Go(func() {
			sessions[i], outs[i] = w.session(int64(i+1), int64(10+i), int64(i+1))
			if _, err := sessions[i].Unread(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.settle()
	w.settled(group)
	for i, s := range sessions {
		var got []string
		add := func(words []string) {
			for _, word := range words {
				if texts, ok := strings.CutPrefix(word, "batch "); ok {
					got = append(got, strings.Fields(texts)...)
				}
			}
		}
		add(outs[i].take(t))
		s.Acknowledge(queue, uint64(len(got)))
		w.pull(s, queue, true)
		add(outs[i].take(t))
		want := make([]string, texts)
		for n := range want {
			want[n] = fmt.Sprint(n)
		}
		if !slices.Equal(got, want) {
			t.Errorf("session %d got %v", i, got)
		}
	}
}
