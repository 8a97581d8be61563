package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

// message is a draft of a text.
func message(key store.Key, from store.User, text string) store.Draft {
	return store.Draft{Key: key, Sender: from.ID, Content: store.ContentText, Meta: []byte(text)}
}

func pair(app store.App, a, b store.User) store.Key { return store.PairKey(app.ID, a.ID, b.ID) }

// post appends a message and returns where it is.
func (e *env) post(key store.Key, from store.User, text string) store.Point {
	e.Helper()
	r := e.append(message(key, from, text))[0]
	return store.Point{Timeline: r.Timeline, Seq: r.Seq}
}

// recall recalls a message that was not changed before.
func (e *env) recall(key store.Key, by store.User, seq int64) {
	e.Helper()
	e.append(store.Draft{Key: key, Sender: by.ID, Ref: seq, Amend: &store.Amend{Seq: seq, Recall: true}, Meta: []byte("recall")})
}

func (e *env) conversation(user store.User, key store.Key) store.Conversation {
	e.Helper()
	c, err := e.Conversation(e.ctx, user.ID, key)
	e.check("conversation", err)
	return c
}

func (e *env) unread(user store.User, key store.Key) int {
	e.Helper()
	counts, err := e.CountUnread(e.ctx, user.ID, []store.Conversation{e.conversation(user, key)})
	e.check("count unread", err)
	return counts[0]
}

// newest returns the text of the last message for a user.
func (e *env) newest(user store.User, key store.Key) string {
	e.Helper()
	entries, err := e.LastMessages(e.ctx, user.ID, []store.Conversation{e.conversation(user, key)})
	e.check("last messages", err)
	return string(entries[0].Meta)
}

var conversationTests = []test{
	{"a user's conversations are listed with what the user has done", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		with, about := pair(app, alice, bob), pair(app, alice, carol)
		first, second := e.post(with, bob, "hi"), e.post(about, carol, "hello")
		e.append(store.Draft{Key: store.UserKey(app.ID, alice.ID), Meta: []byte("notice")})
		e.check("read", e.MarkRead(e.ctx, alice.ID, first.Timeline, 1))
		e.check("read less", e.MarkRead(e.ctx, alice.ID, first.Timeline, 0))
		e.check("pin", e.PinConversation(e.ctx, alice.ID, second.Timeline, 77, 50))
		e.check("mark", e.MarkConversations(e.ctx, alice.ID, []int64{first.Timeline, second.Timeline}, 3, true))
		e.check("mark", e.MarkConversations(e.ctx, alice.ID, []int64{first.Timeline}, 19, true))
		e.check("unmark", e.MarkConversations(e.ctx, alice.ID, []int64{second.Timeline}, 3, false))

		list, err := e.ListConversations(e.ctx, alice.ID)
		e.check("list", err)
		want := []store.Conversation{
			{Subscription: store.Subscription{Timeline: store.Timeline{ID: first.Timeline, Key: with, Head: 1}}, Read: 1, Marks: 1<<3 | 1<<19},
			{Subscription: store.Subscription{Timeline: store.Timeline{ID: second.Timeline, Key: about, Head: 1}}, Pinned: 77},
		}
		same(t, "conversations", list, want)
		same(t, "one of them", e.conversation(alice, with), want[0])
		same(t, "as the other has it", e.conversation(bob, with), store.Conversation{Subscription: want[0].Subscription})
		_, err = e.Conversation(e.ctx, alice.ID, pair(app, bob, carol))
		e.is("none", err, store.ErrNotFound)

		e.check("unpin", e.PinConversation(e.ctx, alice.ID, second.Timeline, 0, 50))
		same(t, "unpinned", e.conversation(alice, about).Pinned, 0)
	}},
	{"no more conversations are pinned than may be", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		var places []store.Point
		for i := range 3 {
			places = append(places, e.post(pair(app, alice, e.user(app, fmt.Sprint("user", i))), alice, "hi"))
		}
		e.check("pin", e.PinConversation(e.ctx, alice.ID, places[0].Timeline, 1, 2))
		e.check("pin", e.PinConversation(e.ctx, alice.ID, places[1].Timeline, 2, 2))
		e.check("again", e.PinConversation(e.ctx, alice.ID, places[1].Timeline, 3, 2))
		e.is("too many", e.PinConversation(e.ctx, alice.ID, places[2].Timeline, 3, 2), store.ErrFull)
		e.check("unpin", e.PinConversation(e.ctx, alice.ID, places[0].Timeline, 0, 2))
		e.check("pin", e.PinConversation(e.ctx, alice.ID, places[2].Timeline, 3, 2))
	}},
	{"what counts as unread", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		key := store.MucKey(app.ID, 9)
		_, err := e.Subscribe(e.ctx, key, []int64{bob.ID, carol.ID})
		e.check("subscribe", err)
		e.post(key, bob, "before alice came")
		_, err = e.Subscribe(e.ctx, key, []int64{alice.ID})
		e.check("subscribe", err)

		same(t, "at first", e.unread(alice, key), 0)
		e.post(key, bob, "one")
		second := e.post(key, bob, "two")
		e.post(key, alice, "own")
		directed := message(key, bob, "to carol")
		directed.Audience = store.Audience{Users: []int64{bob.ID, carol.ID}}
		e.append(directed)
		except := message(key, bob, "to all but carol")
		except.Audience = store.Audience{Users: []int64{carol.ID}, Except: true}
		e.append(except)
		command := message(key, bob, "command")
		command.Content = store.ContentCommand
		e.append(command, store.Draft{Key: key, Sender: bob.ID, Meta: []byte("event")})
		same(t, "of alice", e.unread(alice, key), 3)
		same(t, "of carol", e.unread(carol, key), 5)
		same(t, "of bob", e.unread(bob, key), 1)

		e.recall(key, bob, second.Seq)
		same(t, "after a recall", e.unread(alice, key), 2)
		_, err = e.Unsubscribe(e.ctx, key, []int64{alice.ID})
		e.check("unsubscribe", err)
		e.post(key, bob, "after alice went")
		same(t, "after leaving", e.unread(alice, key), 2)
		e.check("read", e.MarkRead(e.ctx, alice.ID, second.Timeline, second.Seq))
		same(t, "after reading some", e.unread(alice, key), 1)
		same(t, "last for alice", e.newest(alice, key), "to all but carol")
		same(t, "last for carol", e.newest(carol, key), "after alice went")
	}},
	{"deleted messages stay deleted for that user alone", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := pair(app, alice, bob)
		var places []store.Point
		for i := range 6 {
			places = append(places, e.post(key, bob, fmt.Sprint(i+1)))
		}
		line := places[0].Timeline
		e.check("remove", e.RemoveMessages(e.ctx, alice.ID, line, []int64{2, 5, 5}))
		e.check("remove", e.RemoveMessages(e.ctx, alice.ID, line, []int64{4}))
		removed, err := e.RemovedMessages(e.ctx, alice.ID, line, 2, 6)
		e.check("removed", err)
		same(t, "removed", removed, []int64{4, 5})
		same(t, "unread", e.unread(alice, key), 3)
		same(t, "unread of the other", e.unread(bob, key), 0)

		e.check("clear", e.ClearConversation(e.ctx, alice.ID, line, 4))
		removed, err = e.RemovedMessages(e.ctx, alice.ID, line, 0, 100)
		e.check("removed", err)
		same(t, "removed after clearing", removed, []int64{5})
		same(t, "unread after clearing", e.unread(alice, key), 1)
		same(t, "cleared", e.conversation(alice, key).After(), 4)

		e.check("pin", e.PinConversation(e.ctx, alice.ID, line, 5, 50))
		e.check("mark", e.MarkConversations(e.ctx, alice.ID, []int64{line}, 1, true))
		e.check("hide", e.HideConversations(e.ctx, alice.ID, []store.Point{{Timeline: line, Seq: 6}}, false))
		c := e.conversation(alice, key)
		same(t, "hidden", []int64{c.Hidden, c.Cleared, c.Read, c.Pinned, int64(c.Marks)}, []int64{6, 4, 6, 0, 0})
		e.check("hide", e.HideConversations(e.ctx, alice.ID, []store.Point{{Timeline: line, Seq: 6}}, true))
		same(t, "hidden and cleared", e.conversation(alice, key).Cleared, 6)
		same(t, "as the other has it", e.conversation(bob, key).Cleared, 0)
	}},
	{"unread counts stay right over long histories", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := pair(app, alice, bob)
		random := rand.New(rand.NewPCG(1, 2))
		unread := map[int64]bool{} // of alice
		var head, read int64
		for range 12 {
			var drafts []store.Draft
			for range 200 + random.IntN(200) {
				from := []store.User{alice, bob}[random.IntN(2)]
				drafts = append(drafts, message(key, from, "text"))
				if head++; from.ID == bob.ID {
					unread[head] = true
				}
			}
			line := e.append(drafts...)[0].Timeline
			for range random.IntN(3) {
				if seq := read + 1 + random.Int64N(head-read); unread[seq] {
					e.recall(key, bob, seq)
					head++
					delete(unread, seq)
				}
			}
			if random.IntN(2) == 0 {
				seq := read + 1 + random.Int64N(head-read)
				e.check("remove", e.RemoveMessages(e.ctx, alice.ID, line, []int64{seq}))
				delete(unread, seq)
			}
			if random.IntN(4) == 0 {
				read += random.Int64N(head - read)
				e.check("read", e.MarkRead(e.ctx, alice.ID, line, read))
				for seq := range unread {
					if seq <= read {
						delete(unread, seq)
					}
				}
			}
			for range 2 { // the second goes on from what the first has noted
				same(t, "unread", e.unread(alice, key), len(unread))
			}
		}
	}},
	{"what a user has done goes with the user", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := pair(app, alice, bob)
		line := e.post(key, bob, "hi").Timeline
		e.check("pin", e.PinConversation(e.ctx, alice.ID, line, 5, 50))
		e.check("remove", e.RemoveMessages(e.ctx, alice.ID, line, []int64{1}))
		e.check("delete", e.DeleteUser(e.ctx, alice.ID))
		same(t, "conversation", e.conversation(alice, key).Pinned, 0)
		removed, err := e.RemovedMessages(e.ctx, alice.ID, line, 0, 100)
		e.check("removed", err)
		same(t, "removed", removed, nil)
	}},
	{"retention removes what is old, at the beginning of timelines", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		at := func(key store.Key, age int64, n int) {
			var drafts []store.Draft
			for i := range n {
				d := message(key, bob, fmt.Sprint("age ", age, " number ", i))
				d.Time = start - age*hour
				drafts = append(drafts, d)
			}
			e.append(drafts...)
		}
		key, empty := pair(app, alice, bob), store.UserKey(app.ID, bob.ID)
		at(key, 50, 700)
		at(empty, 50, 10)
		at(pair(other, alice, bob), 50, 3)
		at(key, 10, 5)
		same(t, "unread before", e.unread(alice, key), 705)

		total := 0
		for pass := 0; total < 710; pass++ {
			if pass > 1000 {
				e.Fatalf("%d entries are removed after %d passes", total, pass)
			}
			e.commit()
			for after := int64(0); ; {
				next, removed, err := e.Expire(e.ctx, app.ID, start-24*hour, after)
				e.check("expire", err)
				if total += removed; next == 0 && removed == 0 {
					break
				}
				after = next
			}
		}
		same(t, "removed", total, 710)
		c := e.conversation(alice, key)
		same(t, "head and floor", []int64{c.Head, c.Floor}, []int64{705, 700})
		same(t, "what is left", len(e.read(c.ID)), 5)
		same(t, "unread", e.unread(alice, key), 5)
		timeline, err := e.FindTimeline(e.ctx, empty)
		e.check("find", err)
		same(t, "head of the empty", timeline.Head, 10)
		same(t, "the empty", e.read(timeline.ID), nil)
		same(t, "next", e.append(store.Draft{Key: empty})[0].Seq, 11)
		timeline, err = e.FindTimeline(e.ctx, pair(other, alice, bob))
		e.check("find", err)
		same(t, "the other app's", len(e.read(timeline.ID)), 3)
	}},
}

// index indexes all that is new: each message by its text.
func (e *env) index() {
	e.Helper()
	for {
		found, progress, err := e.Unindexed(e.ctx, 100)
		e.check("unindexed", err)
		var documents []store.Document
		for _, f := range found {
			seq := f.Seq
			if f.Ref != 0 {
				seq = f.Ref
			} else if f.Content == store.ContentEvent {
				continue
			}
			now, err := e.ReadTimeline(e.ctx, f.Timeline, seq-1, 1, 1)
			e.check("read", err)
			d := store.Document{Timeline: f.Timeline, Seq: seq}
			if !now[0].Recalled {
				d.Owners, d.Words = store.Owners(f.Key), []string{string(now[0].Meta), "common"}
			}
			documents = append(documents, d)
		}
		e.check("index", e.Index(e.ctx, documents, progress))
		if len(found) == 0 {
			return
		}
	}
}

// find returns the texts that are found, newest first.
func (e *env) find(q store.WordQuery) (texts []string) {
	e.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	hits, err := e.FindWords(e.ctx, q)
	e.check("find words", err)
	for _, h := range hits {
		texts = append(texts, string(h.Meta))
	}
	return texts
}

var wordTests = []test{
	{"messages are found by words and beginnings of words, by their owners", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		place := store.MucKey(app.ID, 4)
		e.post(pair(app, alice, bob), alice, "hello")
		e.post(place, bob, "help")
		e.post(pair(app, bob, carol), carol, "hell")
		e.append(store.Draft{Key: store.UserKey(app.ID, alice.ID), Meta: []byte("helium")})
		same(t, "before indexing", e.find(store.WordQuery{Owners: []string{store.UserOwner(alice.ID)}, Prefixes: []string{"hel"}}), nil)
		e.index()
		mine := []string{store.UserOwner(alice.ID), store.PlaceOwner(4)}
		for _, test := range []struct {
			query store.WordQuery
			want  []string
		}{
			{store.WordQuery{Owners: mine, Prefixes: []string{"hel"}}, []string{"help", "hello"}},
			{store.WordQuery{Owners: mine[:1], Prefixes: []string{"hel"}}, []string{"hello"}},
			{store.WordQuery{Owners: mine, Words: []string{"hel"}}, nil},
			{store.WordQuery{Owners: mine, Words: []string{"help", "common"}}, []string{"help"}},
			{store.WordQuery{Owners: mine, Words: []string{"common"}, Prefixes: []string{"hell"}}, []string{"hello"}},
			{store.WordQuery{Owners: []string{store.UserOwner(bob.ID)}, Words: []string{"common"}}, []string{"hell", "hello"}},
			{store.WordQuery{Owners: mine, Words: []string{store.UserOwner(alice.ID)}}, nil},
			{store.WordQuery{Owners: mine}, nil},
			{store.WordQuery{Words: []string{"common"}}, nil},
		} {
			same(t, fmt.Sprintf("%+v", test.query), e.find(test.query), test.want)
		}
	}},
	{"pages of what was found follow each other", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		var want []string
		for i := range 25 {
			want = append(want, fmt.Sprint("text", i))
			e.post(pair(app, alice, alice), alice, want[i])
		}
		slices.Reverse(want)
		e.index()
		var got []string
		q := store.WordQuery{Owners: []string{store.UserOwner(alice.ID)}, Words: []string{"common"}, Limit: 10}
		for {
			hits, err := e.FindWords(e.ctx, q)
			e.check("find words", err)
			for _, h := range hits {
				got = append(got, string(h.Meta))
				same(t, "key", h.Key, pair(app, alice, alice))
				q.Before = h.Position
			}
			if len(hits) < q.Limit {
				break
			}
		}
		same(t, "all", got, want)
	}},
	{"recalled and edited messages are found by what they are now", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := pair(app, alice, bob)
		first, second := e.post(key, alice, "first"), e.post(key, alice, "second")
		e.index()
		e.recall(key, alice, first.Seq)
		e.append(store.Draft{Key: key, Sender: alice.ID, Ref: second.Seq, Amend: &store.Amend{Seq: second.Seq, Meta: []byte("edited")}})
		e.index()
		for word, want := range map[string][]string{"first": nil, "second": nil, "edited": {"edited"}, "common": {"edited"}} {
			same(t, word, e.find(store.WordQuery{Owners: []string{store.UserOwner(bob.ID)}, Words: []string{word}}), want)
		}
	}},
	{"words of any script are found", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		for _, word := range []string{"你好", "ไทย", "приве́т", "मेघ", "😀"} {
			e.post(pair(app, alice, alice), alice, word)
			e.index()
			same(t, word, e.find(store.WordQuery{Owners: []string{store.UserOwner(alice.ID)}, Words: []string{word}}), []string{word})
		}
	}},
	{"retention forgets words", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		d := message(pair(app, alice, alice), alice, "old")
		d.Time = start - 48*hour
		e.append(d)
		e.index()
		for removed, pass := 0, 0; removed == 0; pass++ {
			var err error
			if _, removed, err = e.Expire(e.ctx, app.ID, start, 0); err != nil || pass > 10 {
				e.Fatalf("expire, pass %d: %v", pass, err)
			}
			e.commit()
		}
		same(t, "found", e.find(store.WordQuery{Owners: []string{store.UserOwner(alice.ID)}, Words: []string{"old"}}), nil)
	}},
}
