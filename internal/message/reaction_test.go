package message

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// sentText is the id of a message that alice has sent bob.
func (w *world) sentText(words string) int64 {
	w.Helper()
	return w.sent(w.alice, fresh(metaTo("bob", text(words)))).ID
}

// bobs is bob on a device that the tests do not name.
func (w *world) bobs() Sender { return Sender{App: w.app, User: w.bob} }

// notices returns the data of the NOTIFY entries of a type in the conversation of alice and bob that a user is given, in
// order.
func (w *world) notices(kind string, reader store.User) (all []map[string]any) {
	w.Helper()
	line, err := w.store.FindTimeline(w.Context(), store.PairKey(w.app.ID, w.alice.User.ID, w.bob.ID))
	w.must(err)
	entries, err := w.store.ReadTimeline(w.Context(), line.ID, 0, 1000, 1<<30)
	w.must(err)
	for _, e := range entries {
		var meta msync.Meta
		w.must(proto.Unmarshal(e.Meta, &meta))
		if meta.Ns != msync.Meta_NOTIFY || !e.Audience.Has(reader.ID) {
			continue
		}
		var said struct {
			Type string
			Data json.RawMessage
		}
		w.must(json.Unmarshal(meta.Payload, &said))
		if said.Type != kind {
			continue
		}
		var list []map[string]any
		if json.Unmarshal(said.Data, &list) != nil {
			list = make([]map[string]any, 1)
			w.must(json.Unmarshal(said.Data, &list[0]))
		}
		all = append(all, list...)
	}
	return all
}

func (w *world) denied(what string, err error, code errcode.Code) {
	w.Helper()
	w.refused(what, Result{Err: err}, code)
}

func TestAReactionIsToldToBothSidesEachInItsOwnWay(t *testing.T) {
	w := newWorld(t)
	id := w.sentText("hi")
	_, m, err := w.messages.AddReaction(t.Context(), w.bobs(), id, "👍")
	w.must(err)
	if m.From != "alice" || m.To != "bob" || m.Payload.Type != "chat" {
		t.Errorf("the message is %+v", m)
	}
	_, _, err = w.messages.AddReaction(t.Context(), w.alice, id, "👍")
	w.must(err)
	w.must(w.messages.RemoveReaction(t.Context(), w.bobs(), id, "👍"))
	w.must(w.messages.RemoveReaction(t.Context(), w.alice, id, "👍"))
	change := func(by, kind string, count float64, mine bool, users ...any) string {
		return fmt.Sprint(by, kind, count, mine, append([]any{}, users...))
	}
	for _, test := range []struct {
		user store.User
		want []string
	}{
		{w.alice.User, []string{change("bob", "create", 1, false, "bob"), change("alice", "create", 2, true, "bob", "alice"),
			change("bob", "delete", 1, true, "alice"), change("alice", "delete", 0, false)}},
		{w.bob, []string{change("bob", "create", 1, true, "bob"), change("alice", "create", 2, true, "bob", "alice"),
			change("bob", "delete", 1, false, "alice"), change("alice", "delete", 0, false)}},
	} {
		var got []string
		for _, n := range w.notices("reaction", test.user) {
			if n["from"] != "alice" || n["to"] != "bob" || n["channel_type"] != "chat" || n["messageId"] != fmt.Sprint(id) || n["ts"] == 0.0 {
				t.Errorf("notice %v", n)
			}
			r := n["reactions"].([]any)[0].(map[string]any)
			op := r["op"].([]any)[0].(map[string]any)
			got = append(got, change(op["operator"].(string), op["reactionType"].(string), r["count"].(float64), r["isAddedBySelf"].(bool), r["userList"].([]any)...))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s is told: %s", test.user.Name, diff)
		}
	}
}

func TestTheLastNoticeOfAReactionTellsHowItIs(t *testing.T) {
	w := newWorld(t)
	id := w.sentText("hi")
	var wg sync.WaitGroup
	for _, by := range []Sender{w.alice, w.bobs()} {
		wg.Go(func() {
			for range 10 {
				if _, _, err := w.messages.AddReaction(t.Context(), by, id, "ok"); err != nil {
					t.Error(err)
				}
				if err := w.messages.RemoveReaction(t.Context(), by, id, "ok"); err != nil {
					t.Error(err)
				}
			}
			if _, _, err := w.messages.AddReaction(t.Context(), by, id, "ok"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, user := range []store.User{w.alice.User, w.bob} {
		notices := w.notices("reaction", user)
		r := notices[len(notices)-1]["reactions"].([]any)[0].(map[string]any)
		if r["count"] != 2.0 || r["isAddedBySelf"] != true {
			t.Errorf("the last that %s is told is %v", user.Name, r)
		}
	}
}

func TestWhatCannotBeReactedTo(t *testing.T) {
	w := newWorld(t)
	carol := w.sender("carol")
	id := w.sentText("hi")
	receipt := w.send(metaTo("bob", ofType(msync.MessageBody_READ_ACK)))
	w.must(receipt.Err)
	body := text("")
	body.Contents = []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_COMMAND, Action: "typing"}}
	command := w.sent(w.alice, fresh(metaTo("bob", body)))
	add := func(by Sender, id int64, text string) error {
		_, _, err := w.messages.AddReaction(t.Context(), by, id, text)
		return err
	}
	w.denied("a message that is not there", add(w.alice, id+1, "ok"), errcode.MessageNotFound)
	w.denied("a receipt", add(w.bobs(), receipt.ID, "ok"), errcode.MessageNotFound)
	w.denied("a command", add(w.bobs(), command.ID, "ok"), errcode.MessageNotFound)
	w.denied("a message between others", add(carol, id, "ok"), errcode.ReactionIllegal)
	w.denied("no reaction", add(w.alice, id, ""), errcode.InvalidParameter)
	w.denied("a reaction with NUL", add(w.alice, id, "a\x00"), errcode.InvalidParameter)
	w.denied("a reaction that is no text", add(w.alice, id, "\xff"), errcode.InvalidParameter)
	w.denied("a long reaction", add(w.alice, id, strings.Repeat("☃", 129)), errcode.MaxLimit)
	w.must(add(w.alice, id, strings.Repeat("☃", 128)))
	w.denied("again", add(w.alice, id, strings.Repeat("☃", 128)), errcode.ReactionAlreadyAdded)
	w.denied("a reaction of the other", w.messages.RemoveReaction(t.Context(), w.bobs(), id, strings.Repeat("☃", 128)), errcode.ReactionIllegal)
	w.denied("a reaction that cannot be", w.messages.RemoveReaction(t.Context(), w.bobs(), id, "\xff"), errcode.ReactionIllegal)
	for i := range 19 {
		w.must(add(w.alice, id, fmt.Sprint(i)))
	}
	w.denied("one kind more", add(w.bobs(), id, "one more"), errcode.MaxLimit)
	w.must(add(w.bobs(), id, "7"))

	w.set(`{"reactions":false}`)
	w.denied("where reactions are off", add(w.bobs(), id, "8"), errcode.ServiceNotEnabled)
	w.denied("removing where reactions are off", w.messages.RemoveReaction(t.Context(), w.bobs(), id, "7"), errcode.ServiceNotEnabled)
	_, err := w.messages.ListReactions(t.Context(), w.app, w.bob, "", []int64{id})
	w.denied("listing where reactions are off", err, errcode.ServiceNotEnabled)
}

func TestHistoryShowsReactionsAsTheReaderSeesThem(t *testing.T) {
	w := newWorld(t)
	body := text("hi")
	body.Meta = `{"translations":[{"code":"fr","text":"salut"}]}`
	r := w.send(metaTo("bob", body))
	w.must(r.Err)
	w.sentText("without reactions")
	_, _, err := w.messages.AddReaction(t.Context(), w.bobs(), r.ID, "ok")
	w.must(err)
	for _, user := range []store.User{w.alice.User, w.bob} {
		other := map[string]string{"alice": "bob", "bob": "alice"}[user.Name]
		page, err := w.messages.History(t.Context(), w.app, user, Place{Chat, other}, HistoryQuery{Forward: true, Limit: 10})
		w.must(err)
		if len(page.Messages) != 2 {
			t.Fatalf("history has %d messages", len(page.Messages))
		}
		var metas []string
		for _, m := range page.Messages {
			var meta msync.Meta
			var body msync.MessageBody
			w.must(proto.Unmarshal(m, &meta))
			w.must(proto.Unmarshal(meta.Payload, &body))
			metas = append(metas, body.Meta)
		}
		mine := user.ID == w.bob.ID
		want := []string{fmt.Sprintf(`{"reaction":[{"reaction":"ok","count":1,"userList":["bob"],"state":%v}],"translations":[{"code":"fr","text":"salut"}]}`, mine), ""}
		if diff := cmp.Diff(want, metas); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReactionsInGroupsAreForMembers(t *testing.T) {
	w := newWorld(t)
	carol, dave := w.sender("carol"), w.sender("dave")
	group := w.group(w.alice, w.bobs(), carol)
	id := w.sent(w.alice, metaIn(group, groupText("hi"))).ID
	_, m, err := w.messages.AddReaction(t.Context(), w.bobs(), id, "ok")
	w.must(err)
	if m.To != group.Name || m.Payload.Type != "groupchat" {
		t.Errorf("the message is %+v", m)
	}
	_, _, err = w.messages.AddReaction(t.Context(), dave, id, "ok")
	w.denied("a stranger's reaction", err, errcode.GroupNotJoined)
	_, err = w.messages.ListReactions(t.Context(), w.app, dave.User, group.Name, []int64{id})
	w.denied("a stranger's look at the group", err, errcode.GroupNotJoined)
	list, err := w.messages.ListReactions(t.Context(), w.app, dave.User, "", []int64{id})
	if len(list) > 0 || err != nil {
		t.Errorf("a stranger sees %v, %v", list, err)
	}
	_, err = w.messages.ListReactions(t.Context(), w.app, carol.User, "1", []int64{id})
	w.denied("a group that is not there", err, errcode.GroupNotExist)
	list, err = w.messages.ListReactions(t.Context(), w.app, carol.User, group.Name, []int64{id})
	w.must(err)
	if len(list) != 1 || len(list[0].Reactions) != 1 || list[0].Reactions[0].Mine {
		t.Errorf("a member sees %v", list)
	}
	line, err := w.store.FindTimeline(t.Context(), store.MucKey(w.app.ID, group.ID))
	w.must(err)
	entries, err := w.store.ReadTimeline(t.Context(), line.ID, 0, 100, 1<<20)
	w.must(err)
	last, before := entries[len(entries)-1].Audience, entries[len(entries)-2].Audience
	if diff := cmp.Diff([]store.Audience{{Users: []int64{w.bob.ID}}, {Users: []int64{w.bob.ID}, Except: true}}, []store.Audience{before, last}); diff != "" {
		t.Error(diff)
	}
}

func TestInACrowdOnlyWhoActsIsToldWhetherTheReactionIsTheirs(t *testing.T) {
	w := newWorld(t)
	id := w.sentText("hi")
	for i := range maxHolders {
		_, err := w.store.AddReaction(t.Context(), id, "ok", store.Peer{ID: int64(1000 + i), Name: fmt.Sprint("user", i)}, 1, 1)
		w.must(err)
	}
	_, _, err := w.messages.AddReaction(t.Context(), w.bobs(), id, "ok")
	w.must(err)
	for _, test := range []struct {
		user store.User
		want any
	}{{w.bob, true}, {w.alice.User, nil}} {
		notices := w.notices("reaction", test.user)
		r := notices[0]["reactions"].([]any)[0].(map[string]any)
		if len(notices) != 1 || r["count"] != 201.0 || r["isAddedBySelf"] != test.want {
			t.Errorf("%s is told %v", test.user.Name, notices)
		}
	}
}

func TestReactionsToDirectedMessagesAreForThoseWhoSeeThem(t *testing.T) {
	only, but := store.Audience{Users: []int64{1, 2, 3}}, store.Audience{Users: []int64{1, 2}, Except: true}
	type parts struct {
		With, Without         store.Audience
		SomeWith, SomeWithout bool
	}
	for name, test := range map[string]struct {
		audience store.Audience
		with     []int64
		want     parts
	}{
		"all":                       {store.Audience{}, []int64{2}, parts{store.Audience{Users: []int64{2}}, store.Audience{Users: []int64{2}, Except: true}, true, true}},
		"all, nobody has it":        {store.Audience{}, nil, parts{store.Audience{}, store.Audience{Except: true}, false, true}},
		"some":                      {only, []int64{2, 7}, parts{store.Audience{Users: []int64{2}}, store.Audience{Users: []int64{1, 3}}, true, true}},
		"some, who all have it":     {only, []int64{3, 2, 1}, parts{store.Audience{Users: []int64{3, 2, 1}}, store.Audience{}, true, false}},
		"some, none of whom has it": {only, []int64{7}, parts{store.Audience{}, only, false, true}},
		"all but some":              {but, []int64{1, 5}, parts{store.Audience{Users: []int64{5}}, store.Audience{Users: []int64{1, 2, 1, 5}, Except: true}, true, true}},
	} {
		var got parts
		got.With, got.SomeWith = narrow(test.audience, test.with)
		got.Without, got.SomeWithout = without(test.audience, test.with)
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if !(store.Audience{Except: true}).All() {
		t.Error("all but nobody are not all")
	}
}
