package chat_test

import (
	"bytes"
	"maps"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

// places is what the listeners of a client hear of groups, chatrooms and threads.
type places struct {
	groups, rooms chan *chat.GroupEvent
	threads       chan *chat.ThreadEvent
	devices       chan *chat.DeviceEvent
}

func watchPlaces(c *chat.Client) *places {
	const enough = 1000
	w := &places{make(chan *chat.GroupEvent, enough), make(chan *chat.GroupEvent, enough), make(chan *chat.ThreadEvent, enough), make(chan *chat.DeviceEvent, enough)}
	c.AddEventListener("places", chat.Listener{
		OnGroupEvent:  func(e *chat.GroupEvent) { w.groups <- e },
		OnRoomEvent:   func(e *chat.GroupEvent) { w.rooms <- e },
		OnThreadEvent: func(e *chat.ThreadEvent) { w.threads <- e },
		OnDeviceEvent: func(e *chat.DeviceEvent) { w.devices <- e },
	})
	return w
}

// until passes over events until one of the operation comes.
func until(t *testing.T, events <-chan *chat.GroupEvent, op chat.Operation) *chat.GroupEvent {
	t.Helper()
	for {
		if e := next(t, events, string(op)); e.Operation == op {
			return e
		}
	}
}

func TestGroupsAgainstTheServer(t *testing.T) {
	server := startServer(t)
	for _, user := range []string{"carol", "dave", "erin"} {
		register(t, server, user)
	}
	ctx := t.Context()
	alice, _ := login(t, server, "alice", "stoa")
	bob, onBob := login(t, server, "bob", "stoa")
	carol, onCarol := login(t, server, "carol", "pw")
	dave, _ := login(t, server, "dave", "pw")
	hers, his, carols, daves := watchPlaces(alice), watchPlaces(bob), watchPlaces(carol), watchPlaces(dave)
	group := func(t *testing.T, o chat.GroupOptions) chat.Group {
		t.Helper()
		if o.Name == "" {
			o.Name = "group"
		}
		g, err := alice.CreateGroup(ctx, o)
		ok(t, err)
		return g
	}
	info := func(t *testing.T, g chat.Group) chat.GroupInfo {
		t.Helper()
		i, err := g.Info(ctx)
		ok(t, err)
		return i
	}

	t.Run("from its making to its end", func(t *testing.T) {
		g := group(t, chat.GroupOptions{Name: "hikers", Description: "up", Ext: "x", Members: []string{"bob", "carol"}, Public: true, JoinApproval: true, MaxMembers: 10})
		if e := until(t, his.groups, chat.OpDirectJoined); e.Group != g.ID() || e.From != "alice" || e.Name != "hikers" {
			t.Errorf("event is %+v", e)
		}
		i := info(t, g)
		if i.ID != g.ID() || i.Name != "hikers" || i.Description != "up" || i.Ext != "x" || i.Owner != "alice" || !i.Public || !i.JoinApproval || i.MaxMembers != 10 || i.Members != 3 {
			t.Errorf("group is %+v", i)
		}
		ok(t, g.Update(ctx, chat.GroupUpdate{Name: new("climbers"), Ext: new("")}))
		e := until(t, his.groups, chat.OpUpdate)
		if e.Changes == nil || e.Changes.Name == nil || *e.Changes.Name != "climbers" {
			t.Errorf("event is %+v, changes %+v", e, e.Changes)
		}
		if i := info(t, g); i.Name != "climbers" || i.Description != "up" {
			t.Errorf("group is %+v", i)
		}

		ok(t, dave.Group(g.ID()).Join(ctx, "let me in"))
		if e := until(t, hers.groups, chat.OpRequestToJoin); e.From != "dave" || e.Reason != "let me in" {
			t.Errorf("event is %+v", e)
		}
		ok(t, g.RejectJoin(ctx, "dave", "not yet"))
		until(t, daves.groups, chat.OpRejectRequest)
		ok(t, dave.Group(g.ID()).Join(ctx, "please"))
		until(t, hers.groups, chat.OpRequestToJoin)
		ok(t, g.AcceptJoin(ctx, "dave"))
		until(t, daves.groups, chat.OpAcceptRequest)
		if e := until(t, his.groups, chat.OpPresence); !slices.Contains(e.Users, "dave") {
			t.Errorf("event is %+v", e)
		}

		var roles []chat.Member
		for _, m := range all(t, g.Members(ctx)) {
			if time.Since(m.Joined).Abs() > time.Minute {
				t.Errorf("%s joined at %v", m.User, m.Joined)
			}
			m.Joined = time.Time{}
			roles = append(roles, m)
		}
		slices.SortFunc(roles, func(a, b chat.Member) int { return bytes.Compare([]byte(a.User), []byte(b.User)) })
		same(t, "members", []chat.Member{{User: "alice", Role: chat.RoleOwner}, {User: "bob", Role: chat.RoleMember}, {User: "carol", Role: chat.RoleMember}, {User: "dave", Role: chat.RoleMember}}, roles)

		ok(t, g.SetAdmin(ctx, "bob"))
		until(t, his.groups, chat.OpSetAdmin)
		admins, err := carol.Group(g.ID()).Admins(ctx)
		ok(t, err)
		same(t, "admins", []string{"bob"}, admins)
		ok(t, bob.Group(g.ID()).Remove(ctx, "dave"))
		until(t, daves.groups, chat.OpRemove)
		ok(t, g.RemoveAdmin(ctx, "bob"))
		until(t, his.groups, chat.OpRemoveAdmin)
		want(t, bob.Group(g.ID()).Remove(ctx, "carol"), errcode.PermissionDenied)

		ok(t, g.TransferTo(ctx, "carol"))
		until(t, carols.groups, chat.OpChangeOwner)
		ok(t, g.Leave(ctx))
		if e := until(t, his.groups, chat.OpAbsence); !slices.Contains(e.Users, "dave") && !slices.Contains(e.Users, "alice") {
			t.Errorf("event is %+v", e)
		}
		ok(t, carol.Group(g.ID()).Destroy(ctx))
		until(t, his.groups, chat.OpDestroy)
		_, err = g.Info(ctx)
		want(t, err, errcode.GroupNotExist)
	})

	t.Run("invitations that want an answer", func(t *testing.T) {
		g := group(t, chat.GroupOptions{Name: "book club", InviteConfirm: true})
		ok(t, g.Invite(ctx, "bob", "carol"))
		if e := until(t, his.groups, chat.OpInvite); e.Group != g.ID() || e.Name != "book club" {
			t.Errorf("event is %+v", e)
		}
		ok(t, bob.Group(g.ID()).AcceptInvite(ctx))
		until(t, hers.groups, chat.OpAcceptInvite)
		until(t, carols.groups, chat.OpInvite)
		ok(t, carol.Group(g.ID()).RejectInvite(ctx))
		if e := until(t, hers.groups, chat.OpRejectInvite); e.From != "carol" {
			t.Errorf("event is %+v", e)
		}
		want(t, carol.Group(g.ID()).AcceptInvite(ctx), errcode.PermissionDenied)
		want(t, g.Invite(ctx, "bob"), errcode.GroupAlreadyJoined)
		want(t, g.Invite(ctx, "nobody"), errcode.UserNotFound)
	})

	t.Run("lists", func(t *testing.T) {
		register(t, server, "frank")
		frank, _ := login(t, server, "frank", "pw")
		var ids []string
		for range 25 {
			g, err := frank.CreateGroup(ctx, chat.GroupOptions{Name: "many", Public: true})
			ok(t, err)
			ids = append(ids, g.ID())
		}
		var joined []string
		for _, i := range all(t, frank.JoinedGroups(ctx)) {
			if i.Role != chat.RoleOwner || i.Name != "many" {
				t.Errorf("joined group is %+v", i)
			}
			joined = append(joined, i.ID)
		}
		slices.Sort(ids)
		slices.Sort(joined)
		same(t, "joined", ids, joined)
		n, err := frank.JoinedGroupCount(ctx)
		ok(t, err)
		same(t, "count", 25, n)
		public := map[string]bool{}
		for _, i := range all(t, bob.PublicGroups(ctx)) {
			public[i.ID] = true
		}
		for _, id := range ids {
			if !public[id] {
				t.Errorf("group %s is not among the public ones", id)
			}
		}
		infos, err := frank.GroupInfos(ctx, ids[0], ids[1])
		ok(t, err)
		same(t, "infos", 2, len(infos))
	})

	t.Run("messages and their receivers", func(t *testing.T) {
		g := group(t, chat.GroupOptions{Members: []string{"bob", "carol"}})
		sent, err := alice.SendText(ctx, g.ID(), "hello all", chat.WithChatType(chat.GroupChat))
		ok(t, err)
		got := next(t, onBob.texts, "bob's")
		if got.ID != sent.ID || got.ChatType != chat.GroupChat || got.Conversation != g.ID() || got.From != "alice" {
			t.Errorf("message is %+v", got)
		}
		next(t, onCarol.texts, "carol's")
		_, err = alice.SendText(ctx, g.ID(), "for carol", chat.WithChatType(chat.GroupChat), chat.WithReceivers("carol"))
		ok(t, err)
		_, err = alice.SendText(ctx, g.ID(), "for all", chat.WithChatType(chat.GroupChat))
		ok(t, err)
		same(t, "carol's", "for carol", next(t, onCarol.texts, "carol's").Text)
		same(t, "carol's", "for all", next(t, onCarol.texts, "carol's").Text)
		same(t, "bob's", "for all", next(t, onBob.texts, "bob's").Text)
		same(t, "bob's history", []string{"for all", "hello all"}, texts(t, bob.History(ctx, chat.ToGroup(g.ID()), chat.HistoryQuery{})))

		_, err = dave.SendText(ctx, g.ID(), "let me in", chat.WithChatType(chat.GroupChat))
		want(t, err, errcode.GroupNotJoined)
		_, err = dave.SendText(ctx, "281474976700000", "anybody?", chat.WithChatType(chat.GroupChat))
		want(t, err, errcode.GroupNotExist)

		ok(t, bob.Group(g.ID()).BlockMessages(ctx))
		_, err = alice.SendText(ctx, g.ID(), "not for bob", chat.WithChatType(chat.GroupChat))
		ok(t, err)
		same(t, "carol's", "not for bob", next(t, onCarol.texts, "carol's").Text)
		ok(t, bob.Group(g.ID()).UnblockMessages(ctx))
		_, err = alice.SendText(ctx, g.ID(), "for bob again", chat.WithChatType(chat.GroupChat))
		ok(t, err)
		same(t, "bob's", "for bob again", next(t, onBob.texts, "bob's").Text)
		next(t, onCarol.texts, "carol's")
		ok(t, bob.Group(g.ID()).IgnorePush(ctx, true))

		watch := watchChanges(bob)
		ok(t, alice.Recall(ctx, sent, ""))
		if r := next(t, watch.recalls, "OnRecall"); r.MessageID != sent.ID || r.Conversation != g.ID() {
			t.Errorf("recall is %+v", r)
		}
	})

	t.Run("mutes, allow list and block list", func(t *testing.T) {
		g := group(t, chat.GroupOptions{Members: []string{"bob", "carol"}})
		say := func(c *chat.Client) error {
			_, err := c.SendText(ctx, g.ID(), "may I?", chat.WithChatType(chat.GroupChat))
			return err
		}
		ok(t, g.Mute(ctx, time.Hour, "bob"))
		e := until(t, his.groups, chat.OpMute)
		if !slices.Contains(e.Users, "bob") || time.Until(e.MutedUntil["bob"]) < 50*time.Minute {
			t.Errorf("event is %+v", e)
		}
		want(t, say(bob), errcode.Muted)
		muted, err := g.Muted(ctx)
		ok(t, err)
		if len(muted) != 1 || muted[0].User != "bob" || time.Until(muted[0].Until) < 50*time.Minute {
			t.Errorf("muted are %+v", muted)
		}
		is, err := bob.Group(g.ID()).IsMuted(ctx)
		ok(t, err)
		same(t, "bob is muted", true, is)
		ok(t, g.Unmute(ctx, "bob"))
		until(t, his.groups, chat.OpUnmute)
		ok(t, say(bob))

		ok(t, g.MuteAll(ctx))
		until(t, his.groups, chat.OpMuteAll)
		want(t, say(bob), errcode.NotAllowedMuteAll)
		ok(t, say(alice))
		ok(t, g.Allow(ctx, "bob"))
		until(t, his.groups, chat.OpAllow)
		ok(t, say(bob))
		allowed, err := g.Allowed(ctx)
		ok(t, err)
		if !slices.Contains(allowed, "bob") {
			t.Errorf("allowed are %v", allowed)
		}
		is, err = g.IsAllowed(ctx, "carol")
		ok(t, err)
		same(t, "carol is allowed", false, is)
		ok(t, g.Disallow(ctx, "bob"))
		until(t, his.groups, chat.OpDisallow)
		ok(t, g.UnmuteAll(ctx))
		until(t, his.groups, chat.OpUnmuteAll)

		ok(t, g.Block(ctx, "carol"))
		until(t, carols.groups, chat.OpRemove)
		blocked, err := g.Blocked(ctx)
		ok(t, err)
		same(t, "blocked", []string{"carol"}, blocked)
		want(t, say(carol), errcode.GroupNotJoined)
		ok(t, g.Unblock(ctx, "carol"))
		until(t, carols.groups, chat.OpUnban)
	})

	t.Run("announcement, files and attributes", func(t *testing.T) {
		g := group(t, chat.GroupOptions{Members: []string{"bob"}})
		ok(t, g.SetAnnouncement(ctx, "meet at noon"))
		same(t, "announcement", "meet at noon", until(t, his.groups, chat.OpAnnounce).Announcement)
		text, err := bob.Group(g.ID()).Announcement(ctx)
		ok(t, err)
		same(t, "announcement", "meet at noon", text)

		f, err := g.UploadFile(ctx, chat.NewFile("map.txt", []byte("here")))
		ok(t, err)
		until(t, his.groups, chat.OpUploadFile)
		files := all(t, bob.Group(g.ID()).SharedFiles(ctx))
		if len(files) != 1 || files[0].ID != f.ID || files[0].Name != "map.txt" || files[0].Owner != "alice" || files[0].Size != 4 {
			t.Errorf("files are %+v", files)
		}
		var got bytes.Buffer
		ok(t, bob.Group(g.ID()).DownloadFile(ctx, f.ID, &got))
		same(t, "file", "here", got.String())
		ok(t, g.DeleteFile(ctx, f.ID))
		until(t, his.groups, chat.OpDeleteFile)

		ok(t, bob.Group(g.ID()).SetMemberAttributes(ctx, "bob", map[string]string{"color": "red", "shoe": "44"}))
		e := until(t, hers.groups, chat.OpMemberAttributes)
		if diff := cmp.Diff(map[string]string{"color": "red", "shoe": "44"}, e.Attributes); diff != "" || !slices.Contains(e.Users, "bob") {
			t.Errorf("event is %+v", e)
		}
		ok(t, bob.Group(g.ID()).SetMemberAttributes(ctx, "bob", map[string]string{"shoe": ""}))
		attributes, err := g.MemberAttributes(ctx, []string{"bob", "alice"})
		ok(t, err)
		same(t, "bob's", map[string]string{"color": "red"}, attributes["bob"])
	})

	t.Run("who was away is told after the login", func(t *testing.T) {
		g := group(t, chat.GroupOptions{Name: "later", Members: []string{"erin"}})
		_, err := alice.SendText(ctx, g.ID(), "welcome", chat.WithChatType(chat.GroupChat))
		ok(t, err)
		erin, onErin := newClient(t, server)
		erins := watchPlaces(erin)
		ok(t, erin.Login(ctx, "erin", chat.Password("pw")))
		same(t, "group", g.ID(), until(t, erins.groups, chat.OpDirectJoined).Group)
		same(t, "text", "welcome", next(t, onErin.texts, "the message").Text)
	})

	t.Run("the user's other device hears of it", func(t *testing.T) {
		tablet, _ := newClient(t, server)
		on := watchPlaces(tablet)
		ok(t, tablet.Login(ctx, "alice", chat.Password("stoa")))
		heard := func(op chat.DeviceOperation) *chat.DeviceEvent {
			t.Helper()
			for {
				if e := next(t, on.devices, string(op)); e.Operation == op {
					return e
				}
			}
		}
		g := group(t, chat.GroupOptions{Members: []string{"bob"}})
		for e := until(t, on.groups, chat.OpCreate); e.Group != g.ID(); e = until(t, on.groups, chat.OpCreate) {
		}
		root, err := alice.SendText(ctx, g.ID(), "a topic", chat.WithChatType(chat.GroupChat))
		ok(t, err)
		ok(t, alice.PinConversation(ctx, chat.ToGroup(g.ID())))
		same(t, "pinned", chat.ToGroup(g.ID()), heard(chat.DevicePinned).Target)
		ok(t, alice.MarkConversations(ctx, 7, chat.ToGroup(g.ID())))
		same(t, "mark", 7, heard(chat.DeviceMarked).Mark)
		ok(t, alice.UnmarkConversations(ctx, 7, chat.ToGroup(g.ID())))
		heard(chat.DeviceUnmarked)
		ok(t, alice.UnpinConversation(ctx, chat.ToGroup(g.ID())))
		heard(chat.DeviceUnpinned)
		thread, err := alice.CreateThread(ctx, g.ID(), root.ID, "about it")
		ok(t, err)
		if e := heard(chat.DeviceThreadCreated); e.Target != chat.ToThread(thread.ID()) || e.Group != g.ID() || e.Name != "about it" {
			t.Errorf("event is %+v", e)
		}
		ok(t, thread.Rename(ctx, "more about it"))
		heard(chat.DeviceThreadRenamed)
		ok(t, thread.Leave(ctx))
		heard(chat.DeviceThreadLeft)
		_, err = thread.Join(ctx)
		ok(t, err)
		heard(chat.DeviceThreadJoined)
		ok(t, thread.Destroy(ctx))
		heard(chat.DeviceThreadDestroyed)
		ok(t, alice.DeleteConversation(ctx, chat.ToGroup(g.ID()), true))
		heard(chat.DeviceConversationDeleted)
		ok(t, g.SetMemberAttributes(ctx, "alice", map[string]string{"k": "v"}))
		// A new device may be told again of what her others had not acknowledged yet: bob's attributes.
		for e := until(t, on.groups, chat.OpMemberAttributes); !maps.Equal(e.Attributes, map[string]string{"k": "v"}); {
			e = until(t, on.groups, chat.OpMemberAttributes)
		}
		if len(hers.devices) > 0 {
			t.Errorf("the device that acted was told: %+v", <-hers.devices)
		}
	})

	t.Run("threads", func(t *testing.T) {
		g := group(t, chat.GroupOptions{Members: []string{"bob", "carol"}})
		root, err := alice.SendText(ctx, g.ID(), "a topic", chat.WithChatType(chat.GroupChat))
		ok(t, err)
		thread, err := alice.CreateThread(ctx, g.ID(), root.ID, "about it")
		ok(t, err)
		e := next(t, his.threads, "OnThreadEvent")
		for e.Thread != thread.ID() {
			e = next(t, his.threads, "OnThreadEvent")
		}
		if e.Operation != chat.ThreadCreated || e.Thread != thread.ID() || e.Group != g.ID() || e.MessageID != root.ID || e.Name != "about it" || e.From != "alice" {
			t.Errorf("event is %+v", e)
		}
		_, err = bob.CreateThread(ctx, g.ID(), root.ID, "again")
		want(t, err, errcode.ThreadAlreadyExist)
		i, err := bob.Thread(thread.ID()).Join(ctx)
		ok(t, err)
		if i.ID != thread.ID() || i.Group != g.ID() || i.MessageID != root.ID || i.Name != "about it" || i.Owner != "alice" {
			t.Errorf("thread is %+v", i)
		}
		for len(onBob.texts) > 0 {
			<-onBob.texts
		}
		sent, err := alice.SendText(ctx, thread.ID(), "in the thread", chat.WithChatType(chat.ThreadChat))
		ok(t, err)
		got := next(t, onBob.texts, "the thread's message")
		for got.ID != sent.ID {
			got = next(t, onBob.texts, "the thread's message")
		}
		if got.ChatType != chat.ThreadChat || got.Conversation != thread.ID() || got.Thread == nil || got.Thread.Group != g.ID() || got.Thread.MessageID != root.ID {
			t.Errorf("message is %+v, thread %+v", got, got.Thread)
		}
		last, err := bob.LastMessages(ctx, thread.ID())
		ok(t, err)
		if last[thread.ID()] == nil || last[thread.ID()].ID != sent.ID || last[thread.ID()].Text != "in the thread" {
			t.Errorf("last messages are %+v", last)
		}
		same(t, "members", []string{"alice", "bob"}, slices.Sorted(slices.Values(all(t, thread.Members(ctx)))))
		ok(t, thread.Rename(ctx, "more about it"))
		i, err = bob.Thread(thread.ID()).Info(ctx)
		ok(t, err)
		if i.Name != "more about it" || i.Members != 2 {
			t.Errorf("thread is %+v", i)
		}
		same(t, "threads of the group", 1, len(all(t, bob.Group(g.ID()).Threads(ctx))))
		same(t, "bob's threads", 1, len(all(t, bob.JoinedThreads(ctx, ""))))
		same(t, "carol's threads there", 0, len(all(t, carol.JoinedThreads(ctx, g.ID()))))
		ok(t, thread.Remove(ctx, "bob"))
		for e = next(t, his.threads, "the removal"); e.Operation != chat.ThreadRemoved; e = next(t, his.threads, "the removal") {
		}
		if e.Thread != thread.ID() || e.User != "bob" {
			t.Errorf("event is %+v", e)
		}
		_, err = carol.Thread(thread.ID()).Join(ctx)
		ok(t, err)
		ok(t, carol.Thread(thread.ID()).Leave(ctx))
		ok(t, thread.Destroy(ctx))
		for e = next(t, carols.threads, "the end"); e.Operation != chat.ThreadGone || e.Thread != thread.ID(); e = next(t, carols.threads, "the end") {
		}
		_, err = thread.Info(ctx)
		want(t, err, errcode.ThreadNotExist)
	})
}

func TestRoomsAgainstTheServer(t *testing.T) {
	server := startServer(t)
	register(t, server, "carol")
	ctx := t.Context()
	alice, onAlice := login(t, server, "alice", "stoa")
	bob, onBob := login(t, server, "bob", "stoa")
	carol, _ := login(t, server, "carol", "pw")
	hers, his := watchPlaces(alice), watchPlaces(bob)
	made, err := alice.CreateRoom(ctx, chat.RoomOptions{Name: "lobby", Description: "come in", MaxMembers: 3, AppToken: appToken(t, server)})
	ok(t, err)
	hall, his1 := made, bob.Room(made.ID())

	t.Run("joining, talking, leaving", func(t *testing.T) {
		_, err := hall.Join(ctx, chat.JoinOptions{})
		ok(t, err)
		state, err := his1.Join(ctx, chat.JoinOptions{Ext: "hello"})
		ok(t, err)
		if state.Members != 2 || state.MutedAll || state.Muted {
			t.Errorf("state is %+v", state)
		}
		e := until(t, hers.rooms, chat.OpPresence)
		if !slices.Contains(e.Users, "bob") || e.Ext != "hello" || e.Group != hall.ID() {
			t.Errorf("event is %+v", e)
		}
		sent, err := alice.SendText(ctx, hall.ID(), "hello room", chat.WithChatType(chat.RoomChat), chat.WithPriority(chat.PriorityHigh))
		ok(t, err)
		got := next(t, onBob.texts, "the message")
		if got.ID != sent.ID || got.ChatType != chat.RoomChat || got.Conversation != hall.ID() || got.Priority != chat.PriorityHigh {
			t.Errorf("message is %+v", got)
		}
		same(t, "history", []string{"hello room"}, texts(t, bob.History(ctx, chat.ToRoom(hall.ID()), chat.HistoryQuery{})))
		_, err = carol.SendText(ctx, hall.ID(), "from outside", chat.WithChatType(chat.RoomChat))
		want(t, err, errcode.GroupNotJoined)
		ok(t, his1.Leave(ctx))
		if e := until(t, hers.rooms, chat.OpAbsence); !slices.Contains(e.Users, "bob") {
			t.Errorf("event is %+v", e)
		}
		if len(onAlice.texts) > 0 {
			t.Error("the own message came back")
		}
	})

	t.Run("refused joins", func(t *testing.T) {
		_, err := carol.Room("281474976700000").Join(ctx, chat.JoinOptions{})
		want(t, err, errcode.ChatroomNotExist)
		small, err := alice.CreateRoom(ctx, chat.RoomOptions{Name: "closet", MaxMembers: 1, AppToken: appToken(t, server)})
		ok(t, err)
		_, err = carol.Room(small.ID()).Join(ctx, chat.JoinOptions{})
		want(t, err, errcode.ChatroomMembersFull)
		ok(t, hall.Block(ctx, "carol"))
		_, err = carol.Room(hall.ID()).Join(ctx, chat.JoinOptions{})
		want(t, err, errcode.PermissionDenied)
		ok(t, hall.Unblock(ctx, "carol"))
	})

	t.Run("what its owner may do", func(t *testing.T) {
		_, err := his1.Join(ctx, chat.JoinOptions{})
		ok(t, err)
		ok(t, hall.Update(ctx, chat.RoomUpdate{Name: new("hall"), MaxMembers: new(20)}))
		until(t, his.rooms, chat.OpUpdate)
		i, err := his1.Info(ctx)
		ok(t, err)
		if i.Name != "hall" || i.Description != "come in" || i.MaxMembers != 20 || i.Owner != "alice" {
			t.Errorf("room is %+v", i)
		}
		ok(t, hall.SetAdmin(ctx, "bob"))
		until(t, his.rooms, chat.OpSetAdmin)
		admins, err := hall.Admins(ctx)
		ok(t, err)
		same(t, "admins", []string{"bob"}, admins)
		ok(t, hall.RemoveAdmin(ctx, "bob"))
		until(t, his.rooms, chat.OpRemoveAdmin)

		say := func() error {
			_, err := bob.SendText(ctx, hall.ID(), "may I?", chat.WithChatType(chat.RoomChat))
			return err
		}
		ok(t, hall.Mute(ctx, chat.Forever, "bob"))
		e := until(t, his.rooms, chat.OpMute)
		if end, told := e.MutedUntil["bob"]; !slices.Contains(e.Users, "bob") || !told || !end.IsZero() {
			t.Errorf("event is %+v", e)
		}
		want(t, say(), errcode.Muted)
		is, err := his1.IsMuted(ctx)
		ok(t, err)
		same(t, "bob is muted", true, is)
		muted, err := hall.Muted(ctx)
		ok(t, err)
		same(t, "muted", []chat.Mute{{User: "bob"}}, muted)
		state, err := his1.Join(ctx, chat.JoinOptions{})
		ok(t, err)
		if !state.Muted || !state.MutedUntil.IsZero() {
			t.Errorf("state is %+v", state)
		}
		ok(t, hall.Unmute(ctx, "bob"))
		ok(t, hall.MuteAll(ctx))
		until(t, his.rooms, chat.OpMuteAll)
		want(t, say(), errcode.NotAllowedMuteAll)
		ok(t, hall.Allow(ctx, "bob"))
		until(t, his.rooms, chat.OpAllow)
		ok(t, say())
		is, err = hall.IsAllowed(ctx, "bob")
		ok(t, err)
		same(t, "bob is allowed", true, is)
		ok(t, hall.Disallow(ctx, "bob"))
		ok(t, hall.UnmuteAll(ctx))
		until(t, his.rooms, chat.OpUnmuteAll)

		ok(t, hall.SetAnnouncement(ctx, "closing soon"))
		same(t, "announcement", "closing soon", until(t, his.rooms, chat.OpAnnounce).Announcement)
		f, err := hall.UploadFile(ctx, chat.NewFile("plan.txt", []byte("x")))
		ok(t, err)
		until(t, his.rooms, chat.OpUploadFile)
		same(t, "files", 1, len(all(t, his1.SharedFiles(ctx))))
		ok(t, hall.DeleteFile(ctx, f.ID))
		ok(t, hall.Add(ctx, "carol"))
		until(t, his.rooms, chat.OpPresence)
		same(t, "members", 3, len(all(t, hall.Members(ctx))))
		ok(t, hall.Remove(ctx, "carol"))
		until(t, his.rooms, chat.OpAbsence)
		want(t, his1.Update(ctx, chat.RoomUpdate{Name: new("mine")}), errcode.PermissionDenied)
	})

	t.Run("attributes", func(t *testing.T) {
		ok(t, hall.SetAttributes(ctx, map[string]string{"song": "one", "mood": "good"}, chat.AttributeOptions{Keep: true}))
		same(t, "event", map[string]string{"song": "one", "mood": "good"}, until(t, his.rooms, chat.OpSetAttributes).Attributes)
		err := his1.SetAttributes(ctx, map[string]string{"song": "two"}, chat.AttributeOptions{})
		want(t, err, errcode.NoPermission)
		ok(t, his1.SetAttributes(ctx, map[string]string{"song": "two"}, chat.AttributeOptions{Force: true}))
		got, err := hall.Attributes(ctx, "song")
		ok(t, err)
		same(t, "attributes", map[string]string{"song": "two"}, got)
		ok(t, hall.RemoveAttributes(ctx, false, "mood"))
		same(t, "event", []string{"mood"}, until(t, his.rooms, chat.OpRemoveAttributes).AttributeKeys)
		want(t, hall.SetAttributes(ctx, map[string]string{"a b": "x"}, chat.AttributeOptions{}), errcode.InvalidParameter)
	})

	t.Run("lists and the end", func(t *testing.T) {
		names := map[string]bool{}
		for _, i := range all(t, bob.Rooms(ctx)) {
			names[i.Name] = true
		}
		if !names["hall"] {
			t.Errorf("rooms are %v", names)
		}
		joined := all(t, bob.JoinedRooms(ctx))
		if len(joined) != 1 || joined[0].ID != hall.ID() || joined[0].Owner != "alice" {
			t.Errorf("joined rooms are %+v", joined)
		}
		ok(t, hall.Destroy(ctx, ""))
		until(t, his.rooms, chat.OpDestroy)
		_, err := hall.Info(ctx)
		want(t, err, errcode.ChatroomNotExist)
	})
}

func TestAChatroomGoesOnAfterAReconnect(t *testing.T) {
	ctx, data := t.Context(), t.TempDir()
	first := launch(t, "--listen", "127.0.0.1:0", "--data", data)
	quick := chat.WithReconnect(chat.Reconnect{Attempts: -1, Min: 50 * time.Millisecond, Max: 200 * time.Millisecond})
	alice, onAlice := login(t, first.url, "alice", "stoa", quick)
	bob, onBob := login(t, first.url, "bob", "stoa", quick)
	room, err := alice.CreateRoom(ctx, chat.RoomOptions{Name: "lobby", AppToken: appToken(t, first.url)})
	ok(t, err)
	for _, c := range []*chat.Client{alice, bob} {
		_, err := c.Room(room.ID()).Join(ctx, chat.JoinOptions{})
		ok(t, err)
	}
	first.kill()
	next(t, onAlice.reconnecting, "OnReconnecting")
	next(t, onBob.reconnecting, "OnReconnecting")
	_, err = bob.Room(room.ID()).Join(ctx, chat.JoinOptions{})
	want(t, err, errcode.Disconnected)
	address, err := url.Parse(first.url)
	ok(t, err)
	launch(t, "--listen", address.Host, "--data", data)
	next(t, onAlice.connected, "OnConnected")
	next(t, onBob.connected, "OnConnected")
	sent, err := alice.SendText(ctx, room.ID(), "still here?", chat.WithChatType(chat.RoomChat))
	ok(t, err)
	if got := next(t, onBob.texts, "the message"); got.ID != sent.ID || got.ChatType != chat.RoomChat {
		t.Errorf("message is %+v", got)
	}
}
