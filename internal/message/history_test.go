package message

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// history returns the texts that a user reads in a place, oldest first.
func (w *world) history(user store.User, p Place) (texts []string) {
	w.Helper()
	page, err := w.messages.History(w.Context(), w.app, user, p, HistoryQuery{Forward: true, Limit: MaxHistory})
	w.must(err)
	for _, whole := range page.Messages {
		var meta msync.Meta
		var body msync.MessageBody
		w.must(proto.Unmarshal(whole, &meta))
		w.must(proto.Unmarshal(meta.Payload, &body))
		texts = append(texts, body.Contents[0].Text)
	}
	return texts
}

// finds returns the texts that a user finds, oldest first.
func (w *world) finds(user store.User, q SearchQuery) (texts []string) {
	w.Helper()
	for {
		n, err := w.messages.indexSome(w.Context())
		w.must(err)
		if n == 0 {
			break
		}
	}
	q.Limit = 2
	for {
		page, cursor, err := w.messages.Search(w.Context(), w.app, user, q)
		w.must(err)
		for _, f := range page {
			texts = append(texts, f.Object.Payload.Bodies[0]["msg"].(string))
		}
		if q.Cursor = cursor; cursor == "" {
			slices.Reverse(texts)
			return texts
		}
	}
}

func (w *world) wants(what string, got []string, want ...string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestSearchFindsWhatHistoryShows(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.device(w.bob), w.sender("carol")
	place := w.group(w.alice, bob, carol)
	say := func(from Sender, words string) Result {
		return w.sent(from, metaIn(place, by(from.User.Name, groupText(words))))
	}

	say(w.alice, "kestrel before dave")
	dave := w.sender("dave")
	_, err := w.mucs.AddMembers(t.Context(), muc.Backend(w.app), store.MucGroup, place.Name, []string{"dave"})
	w.must(err)
	removed := say(w.alice, "kestrel for all")
	w.sent(w.alice, directed(metaIn(place, by("alice", groupText("kestrel for carol"))), "carol"))
	recalled := say(bob, "kestrel recalled")
	w.sent(bob, metaIn(place, by("bob", recallOf(recalled.ID))))
	edited := say(bob, "sparrow")
	w.sent(bob, metaIn(place, by("bob", editOf(edited.ID, "kestrel edited"))))
	_, err = w.mucs.Remove(t.Context(), muc.Backend(w.app), store.MucGroup, place.Name, []string{"dave"})
	w.must(err)
	say(w.alice, "kestrel after dave")
	w.sent(w.alice, fresh(metaTo("bob", text("a kestrel in private"))))
	w.must(w.messages.RemoveMessages(t.Context(), bob, Place{Group, place.Name}, []int64{removed.ID}))

	in, everywhere := Place{Group, place.Name}, SearchQuery{Text: "KEST"}
	for _, test := range []struct {
		user  store.User
		group []string
		more  []string // found elsewhere
	}{
		{w.alice.User, []string{"kestrel before dave", "kestrel for all", "kestrel for carol", "kestrel edited", "kestrel after dave"}, []string{"a kestrel in private"}},
		{w.bob, []string{"kestrel before dave", "kestrel edited", "kestrel after dave"}, []string{"a kestrel in private"}},
		{carol.User, []string{"kestrel before dave", "kestrel for all", "kestrel for carol", "kestrel edited", "kestrel after dave"}, nil},
		{dave.User, []string{"kestrel for all", "kestrel edited"}, nil},
	} {
		w.wants("history of "+test.user.Name, w.history(test.user, in), test.group...)
		w.wants("what "+test.user.Name+" finds", w.finds(test.user, everywhere), append(slices.Clone(test.group), test.more...)...)
		w.wants("what "+test.user.Name+" finds in the group", w.finds(test.user, SearchQuery{Text: "kestrel", In: in}), test.group...)
		w.wants("what "+test.user.Name+" finds of the old text", w.finds(test.user, SearchQuery{Text: "sparrow"}))
		w.wants("images", w.finds(test.user, SearchQuery{Text: "kestrel", Contents: store.ContentsOf(store.ContentImage)}))
	}
	stranger := w.sender("stranger")
	w.wants("what a stranger finds", w.finds(stranger.User, everywhere))
	_, _, err = w.messages.Search(t.Context(), w.app, stranger.User, SearchQuery{Text: "kestrel", In: in, Limit: 5})
	if code, _ := errcode.CodeOf(err); code != errcode.GroupNotJoined {
		t.Errorf("a stranger's search in the group: %v", err)
	}
}

// TestSearchFindsAllOfAThread has one of whose messages some were sent before bob joined, and which carol has left.
func TestSearchFindsAllOfAThread(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.device(w.bob), w.sender("carol")
	group := w.group(w.alice, bob, carol)
	root := w.sent(w.alice, metaIn(group, groupText("birds?")))
	thread, err := w.mucs.CreateThread(t.Context(), w.owner(w.alice), muc.ThreadOptions{Group: group.Name, Title: "birds", Message: root.ID})
	w.must(err)
	join := func(who Sender) {
		_, err := w.mucs.JoinThread(t.Context(), w.owner(who), thread.Name)
		w.must(err)
	}
	join(carol)
	w.sent(w.alice, metaIn(thread.Muc, groupText("kestrel one")))
	w.must(w.mucs.LeaveThread(t.Context(), w.owner(carol), thread.Name))
	join(bob)
	w.sent(w.alice, metaIn(thread.Muc, groupText("kestrel two")))
	both := []string{"kestrel one", "kestrel two"}
	w.wants("what bob reads", w.history(w.bob, Place{Group, thread.Name}), both...)
	for _, in := range []Place{{}, {Group, thread.Name}} {
		w.wants("what bob finds", w.finds(w.bob, SearchQuery{Text: "kestrel", In: in}), both...)
	}
	w.wants("what carol finds", w.finds(carol.User, SearchQuery{Text: "kestrel"}))
	join(carol)
	w.wants("what carol finds who is back", w.finds(carol.User, SearchQuery{Text: "kestrel"}), both...)
}

func TestNoMessageIsIndexedWhereSearchIsOff(t *testing.T) {
	w := newWorld(t)
	w.set(`{"search":false}`)
	w.sent(w.alice, fresh(metaTo("bob", text("kestrel one"))))
	for n := 1; n > 0; {
		var err error
		n, err = w.messages.indexSome(t.Context())
		w.must(err)
	}
	w.set(`{"search":true}`)
	w.app = w.accounts.Current(w.app)
	w.sent(w.alice, fresh(metaTo("bob", text("kestrel two"))))
	w.wants("found", w.finds(w.bob, SearchQuery{Text: "kestrel"}), "kestrel two")
}

func TestWhatIsKeptNoLongerIsGoneEverywhere(t *testing.T) {
	w := newWorld(t)
	with := Place{Chat, "alice"}
	for i := range 5 {
		w.sent(w.alice, fresh(metaTo("bob", text(fmt.Sprint("kestrel old ", i)))))
	}
	w.finds(w.bob, SearchQuery{Text: "kestrel"})
	w.clock.Advance(10 * 24 * time.Hour)
	w.sent(w.alice, fresh(metaTo("bob", text("kestrel new"))))
	before := w.clock.Now().Add(-7 * 24 * time.Hour).UnixMilli()
	removed := 0
	for deadline := time.Now().Add(20 * time.Second); removed < 5; {
		n, err := w.messages.expire(t.Context(), w.app.ID, before)
		w.must(err)
		if removed += n; time.Now().After(deadline) {
			t.Fatalf("%d messages are removed, want 5", removed)
		}
	}
	w.wants("history", w.history(w.bob, with), "kestrel new")
	w.wants("found", w.finds(w.bob, SearchQuery{Text: "kestrel"}), "kestrel new")
	listed, _, err := w.messages.Conversations(t.Context(), w.app, w.bob, ConversationQuery{Mark: -1, Limit: 10})
	w.must(err)
	if len(listed) != 1 || listed[0].Unread != 1 {
		t.Errorf("listed is %+v", listed)
	}
	w.sent(w.alice, fresh(metaTo("bob", text("kestrel newer"))))
	w.wants("history", w.history(w.bob, with), "kestrel new", "kestrel newer")
}

func TestTheBackgroundWorkEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.set(`{"retention_days":1}`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	for _, work := range []func(context.Context){w.messages.Index, w.messages.Expire} {
		go func() {
			work(ctx)
			ended <- struct{}{}
		}()
	}
	w.sent(w.alice, fresh(metaTo("bob", text("kestrel"))))
	for deadline := time.Now().Add(20 * time.Second); ; {
		found, _, err := w.messages.Search(ctx, w.app, w.bob, SearchQuery{Text: "kestrel", Limit: 5})
		w.must(err)
		if len(found) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the message is not indexed")
		}
		pause(ctx, time.Millisecond)
	}
	cancel()
	for range 2 {
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("the work goes on")
		}
	}
}
