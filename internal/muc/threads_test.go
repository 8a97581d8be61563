package muc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// says puts a text of a user into a group or thread and returns its id.
func (w *world) says(who Actor, in store.Muc, text string, audience ...int64) int64 {
	w.Helper()
	payload, err := proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, From: jid(who.User.Name), To: &msync.JID{Name: in.Name},
		Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: text}}})
	w.must(err)
	meta, err := msync.StoredMeta(&msync.Meta{From: jid(who.User.Name), To: &msync.JID{Name: in.Name}, Ns: msync.Meta_CHAT, Payload: payload})
	w.must(err)
	r, err := w.delivery.AppendWait(w.Context(), delivery.Post{Key: store.MucKey(w.app.ID, in.ID), Sender: who.User.ID, Content: store.ContentText, Meta: meta,
		Audience: store.Audience{Users: audience}})
	w.must(err)
	return r.ID
}

// thread starts a thread of a user under a message of the user.
func (w *world) thread(who Actor, in store.Muc, title string) Thread {
	w.Helper()
	t, err := w.CreateThread(w.Context(), who, ThreadOptions{Group: in.Name, Message: w.says(who, in, "a message"), Title: title})
	w.must(err)
	return t
}

// notices returns the notices about threads that the members of a group are given: "operation id name by".
func (w *world) notices(group store.Muc) (lines []string) {
	w.Helper()
	timeline, err := w.store.FindTimeline(w.Context(), store.MucKey(w.app.ID, group.ID))
	w.must(err)
	entries, err := w.store.ReadTimeline(w.Context(), timeline.ID, 0, 500, 1<<20)
	w.must(err)
	for _, e := range entries {
		if n := readNotice(w, e.Meta); n != nil {
			same(w, n.Group, group.Name)
			lines = append(lines, fmt.Sprintf("%s %s %s by %s", n.Operation, n.ID, n.Name, n.From))
		}
	}
	return lines
}

func readNotice(w *world, stored []byte) *threadNotice {
	w.Helper()
	var meta msync.Meta
	w.must(proto.Unmarshal(stored, &meta))
	if meta.Ns != msync.Meta_NOTIFY {
		return nil
	}
	var notice struct {
		Type string       `json:"type"`
		Data threadNotice `json:"data"`
	}
	w.must(json.Unmarshal(meta.Payload, &notice))
	same(w, notice.Type, "thread")
	return &notice.Data
}

func TestAThreadIsToldToTheGroupAndToOnesOwnDevices(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	alice, bob, carol := u[0], u[1], u[2]
	g := w.group(alice, Options{Title: "g"}, bob, carol)
	th := w.thread(bob, g, "dinner")
	same(t, []any{th.Members, th.Owner.Name, th.Group.Name}, []any{1, "bob", g.Name})
	_, err := w.JoinThread(t.Context(), carol, th.Name)
	w.must(err)
	_, err = w.JoinThread(t.Context(), carol, th.Name)
	w.must(err) // once is enough
	_, err = w.RenameThread(t.Context(), alice, th.Name, "supper")
	w.must(err)
	_, err = w.RemoveFromThread(t.Context(), alice, th.Name, []string{"carol"})
	w.must(err)
	w.must(w.LeaveThread(t.Context(), bob, th.Name))
	w.must(w.DestroyThread(t.Context(), bob, th.Name))
	same(t, w.notices(g), []string{
		"create " + th.Name + " dinner by bob", "update " + th.Name + " supper by alice", "delete " + th.Name + " supper by bob"})
	joined := "DIRECT_JOINED @ppAdmin to bob,carol"
	same(t, w.told(bob, store.KindUser), []string{joined, "THREAD_CREATE bob", "THREAD_LEAVE bob", "THREAD_DESTROY bob"})
	same(t, w.told(carol, store.KindUser), []string{joined, "THREAD_JOIN carol", "THREAD_KICK alice to carol"})
	_, err = w.GetThread(t.Context(), bob, th.Name)
	w.refused(err, errcode.ThreadNotExist, ErrNotExist)
}

func TestWhatAThreadHangsOnIsChecked(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol", "dave")
	alice, bob, carol, dave := u[0], u[1], u[2], u[3]
	g, other := w.group(alice, Options{Public: true}, bob, carol), w.group(alice, Options{})
	message := w.says(alice, g, "to all")
	private := w.says(alice, g, "to bob", alice.User.ID, bob.User.ID)
	event, err := w.delivery.AppendWait(t.Context(), delivery.Post{Key: store.MucKey(w.app.ID, g.ID), Sender: alice.User.ID, Meta: []byte{}})
	w.must(err)
	elsewhere := w.says(alice, other, "to others")
	for _, test := range []struct {
		name     string
		by       Actor
		o        ThreadOptions
		code     errcode.Code
		sentinel error
	}{
		{"in a group that is not", alice, ThreadOptions{Group: "none", Message: message, Title: "t"}, errcode.GroupNotExist, ErrNotExist},
		{"by a stranger", dave, ThreadOptions{Group: g.Name, Message: message, Title: "t"}, errcode.GroupNotJoined, ErrNotMember},
		{"for a stranger", Backend(w.app), ThreadOptions{Group: g.Name, Message: message, Title: "t", Owner: "dave"}, errcode.GroupNotJoined, ErrNotMember},
		{"for somebody else", alice, ThreadOptions{Group: g.Name, Message: message, Title: "t", Owner: "bob"}, errcode.PermissionDenied, ErrDenied},
		{"without a name", alice, ThreadOptions{Group: g.Name, Message: message}, errcode.MaxLimit, ErrText},
		{"with a long name", alice, ThreadOptions{Group: g.Name, Message: message, Title: strings.Repeat("é", 65)}, errcode.MaxLimit, ErrText},
		{"with a name that is no text", alice, ThreadOptions{Group: g.Name, Message: message, Title: "\xff"}, errcode.MaxLimit, ErrText},
		{"under a message that is not", alice, ThreadOptions{Group: g.Name, Message: 1, Title: "t"}, errcode.MessageNotFound, ErrNoMessage},
		{"under an event", alice, ThreadOptions{Group: g.Name, Message: event.ID, Title: "t"}, errcode.MessageNotFound, ErrNoMessage},
		{"under a message of another group", alice, ThreadOptions{Group: g.Name, Message: elsewhere, Title: "t"}, errcode.MessageNotFound, ErrNoMessage},
		{"under a message for others", carol, ThreadOptions{Group: g.Name, Message: private, Title: "t"}, errcode.MessageNotFound, ErrNoMessage},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := w.CreateThread(t.Context(), test.by, test.o)
			w.refused(err, test.code, test.sentinel)
		})
	}
	same(t, w.notices(g), nil)
	_, err = w.CreateThread(t.Context(), alice, ThreadOptions{Group: g.Name, Message: message, Title: strings.Repeat("é", 64)})
	w.must(err)
	_, err = w.CreateThread(t.Context(), bob, ThreadOptions{Group: g.Name, Message: message, Title: "t"})
	w.refused(err, errcode.ThreadAlreadyExist, ErrThreadExists)
	w.set(`{"threads":false}`)
	_, err = w.CreateThread(t.Context(), bob, ThreadOptions{Group: g.Name, Message: private, Title: "t"})
	w.refused(err, errcode.ServiceNotEnabled, ErrThreadsOff)
}

// TestEveryOperationOnAThreadByEveryRole has everybody try everything: first what is refused, which changes nothing, then the
// rest in the order of the list.
func TestEveryOperationOnAThreadByEveryRole(t *testing.T) {
	operations := []struct {
		name string
		run  func(w *world, who Actor, th Thread) error
	}{
		{"look", func(w *world, who Actor, th Thread) error {
			_, err := w.GetThread(w.Context(), who, th.Name)
			return err
		}},
		{"members", func(w *world, who Actor, th Thread) error {
			_, err := w.ThreadMembers(w.Context(), who, th.Name, MembersQuery{Limit: 9})
			return err
		}},
		{"list", func(w *world, who Actor, th Thread) error {
			_, err := w.Threads(w.Context(), who, th.Group.Name, ThreadQuery{Limit: 9})
			return err
		}},
		{"last", func(w *world, who Actor, th Thread) error {
			_, err := w.LastMessages(w.Context(), who, []string{th.Name})
			return err
		}},
		{"join", func(w *world, who Actor, th Thread) error {
			_, err := w.JoinThread(w.Context(), who, th.Name)
			return err
		}},
		{"send", func(w *world, who Actor, th Thread) error {
			_, err := w.MaySend(w.Context(), w.app, who.User, th.Name)
			return err
		}},
		{"rename", func(w *world, who Actor, th Thread) error {
			_, err := w.RenameThread(w.Context(), who, th.Name, "x")
			return err
		}},
		{"remove", func(w *world, who Actor, th Thread) error {
			_, err := w.RemoveFromThread(w.Context(), who, th.Name, []string{"inside"})
			return err
		}},
		{"leave", func(w *world, who Actor, th Thread) error { return w.LeaveThread(w.Context(), who, th.Name) }},
		{"destroy", func(w *world, who Actor, th Thread) error { return w.DestroyThread(w.Context(), who, th.Name) }},
	}
	const out, denied = errcode.GroupNotJoined, errcode.PermissionDenied
	roles := []string{"owner", "admin", "starter", "inside", "muted", "member", "stranger"}
	for who, refused := range map[string]map[string]errcode.Code{
		"owner":    {"leave": out, "send": out},
		"admin":    {"leave": out, "send": out},
		"starter":  {"remove": denied},
		"inside":   {"rename": denied, "remove": denied, "destroy": denied},
		"muted":    {"send": errcode.Muted, "rename": denied, "remove": denied, "destroy": denied},
		"member":   {"leave": out, "send": out, "rename": denied, "remove": denied, "destroy": denied},
		"stranger": {"look": out, "members": out, "list": out, "last": out, "join": out, "leave": out, "send": out, "rename": out, "remove": out, "destroy": out},
	} {
		t.Run(who, func(t *testing.T) {
			w := newWorld(t)
			u := w.users(roles...)
			g := w.group(u[0], Options{}, u[1:6]...)
			w.must(w.Appoint(t.Context(), u[0], store.MucGroup, g.Name, "admin"))
			_, err := w.Mute(t.Context(), u[0], store.MucGroup, g.Name, []string{"muted"}, -1)
			w.must(err)
			th := w.thread(u[2], g, "t")
			for _, joins := range u[3:5] {
				_, err := w.JoinThread(t.Context(), joins, th.Name)
				w.must(err)
			}
			actor, before := u[slices.Index(roles, who)], w.notices(g)
			for _, op := range operations {
				if code := refused[op.name]; code != 0 {
					w.refused(op.run(w, actor, th), code, nil)
				}
			}
			members, err := w.ThreadMembers(t.Context(), Backend(w.app), th.Name, MembersQuery{Limit: 9})
			w.must(err)
			same(t, len(members), 3)
			same(t, w.notices(g), before)
			for _, op := range operations {
				if refused[op.name] != 0 {
					continue
				}
				if err := op.run(w, actor, th); err != nil {
					t.Errorf("%s: %v", op.name, err)
				}
				if op.name == "join" && refused["send"] == out { // a member writes
					_, err := w.MaySend(t.Context(), w.app, actor.User, th.Name)
					w.must(err)
				}
			}
		})
	}
}

func TestThreadsEndWithMembershipAndGroup(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol", "dave")
	alice, bob, carol, dave := u[0], u[1], u[2], u[3]
	g, other := w.group(alice, Options{}, bob, carol, dave), w.group(alice, Options{}, bob)
	threads := []Thread{w.thread(bob, g, "one"), w.thread(carol, g, "two")}
	stays := w.thread(bob, other, "elsewhere")
	for _, who := range []Actor{bob, carol, dave} {
		for _, th := range threads {
			_, err := w.JoinThread(t.Context(), who, th.Name)
			w.must(err)
		}
	}
	joined := func(who Actor) (names []string) {
		found, _, err := w.JoinedThreads(t.Context(), w.app, who.User, "", ThreadQuery{Limit: 10})
		w.must(err)
		for _, th := range found {
			names = append(names, th.Title)
		}
		slices.Sort(names)
		return names
	}
	same(t, joined(bob), []string{"elsewhere", "one", "two"})
	_, err := w.Leave(t.Context(), bob, store.MucGroup, g.Name)
	w.must(err)
	same(t, joined(bob), []string{"elsewhere"})
	_, err = w.Remove(t.Context(), alice, store.MucGroup, g.Name, []string{"carol"})
	w.must(err)
	same(t, joined(carol), nil)
	for _, who := range []Actor{bob, carol} {
		_, err := w.MaySend(t.Context(), w.app, who.User, threads[0].Name)
		w.refused(err, errcode.GroupNotJoined, ErrNotMember)
	}
	_, err = w.MaySend(t.Context(), w.app, dave.User, threads[0].Name)
	w.must(err)

	w.must(w.Destroy(t.Context(), alice, store.MucGroup, g.Name))
	same(t, joined(dave), nil)
	_, err = w.MaySend(t.Context(), w.app, dave.User, threads[0].Name)
	w.refused(err, errcode.GroupNotExist, ErrNotExist)
	all, err := w.AllThreads(t.Context(), w.app, ThreadQuery{Limit: 10})
	w.must(err)
	same(t, len(all), 1)

	_, err = w.accounts.Delete(t.Context(), w.app, "bob")
	w.must(err)
	th, err := w.GetThread(t.Context(), alice, stays.Name)
	w.must(err)
	same(t, th.Members, 0)
	w.must(w.DestroyThread(t.Context(), alice, stays.Name))
}

func TestAGroupHearsOfMessagesInItsThreads(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	session, pushed := w.online(u[0])
	_, err := session.Unread(t.Context())
	w.must(err)
	g := w.group(u[0], Options{}, u[1])
	th := w.thread(u[1], g, "dinner")
	for len(pushed.frames) > 0 {
		<-pushed.frames
	}
	target, err := w.MaySend(t.Context(), w.app, u[1].User, th.Name)
	w.must(err)
	same(t, []any{target.Group.Name, target.Message}, []any{g.Name, th.Message})
	for _, text := range []string{"soup", "or bread"} {
		w.says(u[1], th.Muc, text)
		w.Spoke(w.app, target, u[1].User)
	}
	w.must(w.tellSpoken(t.Context()))
	w.must(w.tellSpoken(t.Context())) // it is told once
	select {
	case frame := <-pushed.frames:
		for _, want := range []string{`"operation":"update_msg"`, `"message_count":2`, `"or bread"`, th.Name} {
			if !strings.Contains(string(frame), want) {
				t.Errorf("%s is missing in %q", want, frame)
			}
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was pushed")
	}
	same(t, len(pushed.frames), 0)
	last, err := w.LastMessages(t.Context(), u[0], []string{th.Name})
	w.must(err)
	object, err := msync.MessageJSON(last[0].ID, last[0].Time, last[0].Meta)
	w.must(err)
	same(t, object.Payload.Bodies[0]["msg"], any("or bread"))
	found, err := w.Overviews(t.Context(), w.app, g.ID, []int64{1, th.Message})
	w.must(err)
	o := found[th.Message]
	same(t, []any{len(found), o.ID, o.Group, o.Name, o.Count, o.Updated}, []any{1, th.Name, g.Name, "dinner", 2, last[0].Time})
}
