package errors

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

// room makes a chatroom and returns its id.
func (w world) room(t *testing.T, owner string) string {
	t.Helper()
	made := w.admin(t, "POST", "/chatrooms", map[string]any{"name": "room", "description": "a room", "maxusers": 10, "owner": owner})
	return made["data"].(map[string]any)["id"].(string)
}

// group makes a public group of an owner and some members, and returns its id.
func (w world) group(t *testing.T, owner string, members ...string) string {
	t.Helper()
	for _, name := range append(members, owner) {
		w.User(t, name)
	}
	made := w.admin(t, "POST", "/chatgroups", map[string]any{"groupname": "group", "desc": "a group", "public": true, "maxusers": 10, "owner": owner,
		"members": append([]string{}, members...)})
	return made["data"].(map[string]any)["groupid"].(string)
}

// TestMessages is about what is sent, and what happens to it later.
func TestMessages(t *testing.T) {
	t.Parallel()
	send := func(code errcode.Code, arrange func(t *testing.T, w world, alice *chat.Client) (to string, opts []chat.SendOption)) {
		shows(t, code, goReturn, func(t *testing.T) {
			w := newWorld(t)
			alice, _ := w.login(t, "alice")
			to, opts := arrange(t, w, alice)
			_, err := alice.SendText(t.Context(), to, "hello", opts...)
			want(t, err, code)
		})
	}
	inGroup := []chat.SendOption{chat.WithChatType(chat.GroupChat)}

	send(errcode.UserNotFound, func(*testing.T, world, *chat.Client) (string, []chat.SendOption) { return "nobody", nil })
	send(errcode.MessageParameterError, func(*testing.T, world, *chat.Client) (string, []chat.SendOption) { return "", nil })
	send(errcode.UserNotFriend, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		w.set(t, "contacts_only", true)
		return "bob", nil
	})
	send(errcode.PermissionDenied, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		bob, _ := w.login(t, "bob")
		ok(t, bob.BlockUsers(t.Context(), "alice"))
		return "bob", nil
	})
	send(errcode.MessageTooLarge, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		return "bob", []chat.SendOption{chat.WithExt(map[string]any{"padding": strings.Repeat("x", 6*1024)})}
	})
	send(errcode.GroupNotExist, func(*testing.T, world, *chat.Client) (string, []chat.SendOption) { return "281474976719999", inGroup })
	send(errcode.GroupNotJoined, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		return w.group(t, "bob"), inGroup
	})
	send(errcode.Muted, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		group := w.group(t, "bob", "alice")
		bob, _ := w.login(t, "bob")
		ok(t, bob.Group(group).Mute(t.Context(), time.Hour, "alice"))
		return group, inGroup
	})
	send(errcode.NotAllowedMuteAll, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		group := w.group(t, "bob", "alice")
		bob, _ := w.login(t, "bob")
		ok(t, bob.Group(group).MuteAll(t.Context()))
		return group, inGroup
	})
	send(errcode.GroupDisabled, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		group := w.group(t, "bob", "alice")
		w.admin(t, "POST", "/chatgroups/"+group+"/disable", nil)
		return group, inGroup
	})
	rule := func(w world, t *testing.T, definition map[string]any) (string, []chat.SendOption) {
		w.admin(t, "PUT", "/moderation/rules/rude", definition)
		return "bob", nil
	}
	send(errcode.IllegalContent, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		return rule(w, t, map[string]any{"words": []string{"HELLO"}, "action": "block"})
	})
	send(errcode.ModerationBlocked, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		return rule(w, t, map[string]any{"patterns": []string{"^h.*o$"}, "action": "block", "code": 508})
	})
	send(errcode.UserMutedByAdmin, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		w.admin(t, "POST", "/mutes", map[string]any{"username": "alice", "chat": 60})
		return "bob", nil
	})
	send(errcode.RateLimited, func(t *testing.T, w world, alice *chat.Client) (string, []chat.SendOption) {
		w.User(t, "bob")
		w.set(t, "messages_per_second", 1)
		for range 20 {
			if _, err := alice.SendText(t.Context(), "bob", "too fast"); err != nil {
				break
			}
		}
		return "bob", nil
	})
	send(errcode.BlockedExternally, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, `{"valid":false}`) }))
		t.Cleanup(backend.Close)
		w.admin(t, "PUT", "/callbacks/pre/censor", map[string]any{"url": backend.URL, "secret": "s", "timeout_ms": 3000})
		return "bob", nil
	})
	shows(t, errcode.ServerBusy, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		w.set(t, "rest_per_user_second", 1)
		var err error
		for range 20 {
			if err = alice.BlockUsers(t.Context(), "alice"); errors.Is(err, errcode.ServerBusy) {
				break
			}
		}
		want(t, err, errcode.ServerBusy)
	})
	send(errcode.MaxLimit, func(t *testing.T, w world, _ *chat.Client) (string, []chat.SendOption) {
		group := w.group(t, "bob", "alice")
		return group, append(inGroup, chat.WithReceivers(strings.Split(strings.Repeat("bob,", 20)+"bob", ",")...))
	})
	shows(t, errcode.ServerUnknownError, goReturn, func(t *testing.T) {
		w := newWorld(t)
		group := w.group(t, "bob", "alice")
		alice, _ := w.login(t, "alice")
		// A receipt for a message that is not there is refused with a reason that has no code of its own.
		err := alice.SendRead(t.Context(), &chat.Message{ID: "1", From: "bob", To: group, Conversation: group, ChatType: chat.GroupChat, WantsReceipts: true})
		want(t, err, errcode.ServerUnknownError)
	})
	shows(t, errcode.SendInterrupted, goReturn, func(t *testing.T) {
		w := newWorld(t)
		cable := newCable(t, w.URL)
		alice, _ := w.login(t, "alice", chat.WithServer(cable.URL()), chat.WithOfflineQueue(0))
		w.Rehearse(t, "alice", errcode.SendTimeout) // keeps it on its way until the cable is cut
		sent := make(chan error, 1)
		go func() {
			_, err := alice.SendText(t.Context(), "bob", "on its way")
			sent <- err
		}()
		met(t, w)
		cable.Cut()
		want(t, next(t, sent), errcode.SendInterrupted)
	})
	shows(t, errcode.SendTimeout, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice", chat.WithTimeouts(chat.Timeouts{Send: 50 * time.Millisecond}))
		w.Rehearse(t, "alice", errcode.SendTimeout)
		_, err := alice.SendText(t.Context(), "bob", "unanswered")
		want(t, err, errcode.SendTimeout)
	})
	shows(t, errcode.RecallTimeLimit, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		m := must[*chat.Message](t)(alice.SendText(t.Context(), "bob", "hello"))
		w.Advance(3 * time.Minute)
		want(t, alice.Recall(t.Context(), m, ""), errcode.RecallTimeLimit)
	})
	shows(t, errcode.ServiceNotEnabled, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		m := must[*chat.Message](t)(alice.SendText(t.Context(), "bob", "hello"))
		w.set(t, "recall", false)
		want(t, alice.Recall(t.Context(), m, ""), errcode.ServiceNotEnabled)
	})
	edit := func(code errcode.Code, change func(t *testing.T, w world, alice *chat.Client, m *chat.Message) error) {
		shows(t, code, goReturn, func(t *testing.T) {
			w := newWorld(t)
			alice, _ := w.login(t, "alice")
			m := must[*chat.Message](t)(alice.SendText(t.Context(), "bob", "hello"))
			want(t, change(t, w, alice, m), code)
		})
	}
	edit(errcode.EditMessageNotExist, func(t *testing.T, w world, alice *chat.Client, m *chat.Message) error {
		gone := *m
		gone.ID = "1"
		_, err := alice.Edit(t.Context(), &gone, chat.Content{Text: "other"})
		return err
	})
	edit(errcode.EditFormatError, func(t *testing.T, w world, alice *chat.Client, m *chat.Message) error {
		_, err := alice.Edit(t.Context(), m, chat.Content{Kind: chat.KindCustom, Event: "other"})
		return err
	})
	edit(errcode.EditFailed, func(t *testing.T, w world, alice *chat.Client, m *chat.Message) error {
		w.Advance(8 * 24 * time.Hour)
		_, err := alice.Edit(t.Context(), m, chat.Content{Text: "too late"})
		return err
	})
	shows(t, errcode.ReactionAlreadyAdded, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		m := must[*chat.Message](t)(alice.SendText(t.Context(), "bob", "hello"))
		ok(t, alice.AddReaction(t.Context(), m.ID, "+1"))
		want(t, alice.AddReaction(t.Context(), m.ID, "+1"), errcode.ReactionAlreadyAdded)
	})
	shows(t, errcode.ReactionIllegal, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		carol, _ := w.login(t, "carol")
		m := must[*chat.Message](t)(alice.SendText(t.Context(), "bob", "hello"))
		want(t, carol.AddReaction(t.Context(), m.ID, "+1"), errcode.ReactionIllegal)
	})
	shows(t, errcode.MessageNotFound, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		want(t, alice.Report(t.Context(), "1", "spam", "it is"), errcode.MessageNotFound)
	})
	shows(t, errcode.ConversationNotExist, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		want(t, alice.PinConversation(t.Context(), chat.ToUser("bob")), errcode.ConversationNotExist)
	})
}

// TestPlaces is about groups, chatrooms and threads, and about people.
func TestPlaces(t *testing.T) {
	t.Parallel()
	call := func(code errcode.Code, do func(t *testing.T, w world, alice *chat.Client) error) {
		shows(t, code, goReturn, func(t *testing.T) {
			w := newWorld(t)
			alice, _ := w.login(t, "alice")
			want(t, do(t, w, alice), code)
		})
	}
	call(errcode.GroupAlreadyJoined, func(t *testing.T, w world, alice *chat.Client) error {
		return alice.Group(w.group(t, "bob", "alice")).Join(t.Context(), "again")
	})
	call(errcode.GroupMembersFull, func(t *testing.T, w world, alice *chat.Client) error {
		group := w.group(t, "bob", "carol", "dave", "eve", "fay", "gus", "hal", "ida", "joe", "kim")
		return alice.Group(group).Join(t.Context(), "is there room?")
	})
	call(errcode.GroupMembersLimit, func(t *testing.T, w world, alice *chat.Client) error {
		w.set(t, "group_max_members", 100)
		_, err := alice.CreateGroup(t.Context(), chat.GroupOptions{Name: "crowd", MaxMembers: 101})
		return err
	})
	call(errcode.GroupMemberAttributesFailed, func(t *testing.T, w world, alice *chat.Client) error {
		group := w.group(t, "bob", "alice")
		return alice.Group(group).SetMemberAttributes(t.Context(), "alice", map[string]string{strings.Repeat("k", 17): "v"})
	})
	call(errcode.ChatroomNotJoined, func(t *testing.T, w world, alice *chat.Client) error {
		_, err := alice.Room(w.room(t, "bob")).Announcement(t.Context())
		return err
	})
	call(errcode.ChatroomNotExist, func(t *testing.T, w world, alice *chat.Client) error {
		_, err := alice.Room("281474976719999").Join(t.Context(), chat.JoinOptions{})
		return err
	})
	call(errcode.ChatroomMembersFull, func(t *testing.T, w world, alice *chat.Client) error {
		w.User(t, "carol")
		made := w.admin(t, "POST", "/chatrooms", map[string]any{"name": "small", "description": "a small room", "maxusers": 2, "owner": "bob",
			"members": []string{"carol"}})
		_, err := alice.Room(made["data"].(map[string]any)["id"].(string)).Join(t.Context(), chat.JoinOptions{})
		return err
	})
	call(errcode.ThreadNotExist, func(t *testing.T, w world, alice *chat.Client) error {
		_, err := alice.Thread("281474976719999").Info(t.Context())
		return err
	})
	call(errcode.ThreadAlreadyExist, func(t *testing.T, w world, alice *chat.Client) error {
		group := w.group(t, "bob", "alice")
		m := must[*chat.Message](t)(alice.SendText(t.Context(), group, "let us talk", chat.WithChatType(chat.GroupChat)))
		_, err := alice.CreateThread(t.Context(), group, m.ID, "talk")
		ok(t, err)
		_, err = alice.CreateThread(t.Context(), group, m.ID, "talk")
		return err
	})
	call(errcode.PresenceTooLong, func(t *testing.T, w world, alice *chat.Client) error {
		return alice.PublishPresence(t.Context(), strings.Repeat("x", 2000))
	})
	for _, way := range []string{goReturn, goOnError} {
		shows(t, errcode.InvalidParameter, way, func(t *testing.T) {
			w := newWorld(t)
			c, h := w.client(t, chat.WithDevice(strings.Repeat("d", 300)))
			err := c.Login(t.Context(), "alice", chat.Token(w.User(t, "alice")))
			if way == goOnError {
				err = next(t, h.errors)
			}
			want(t, err, errcode.InvalidParameter)
		})
	}
}

// met waits until the rehearsal has happened.
func met(t *testing.T, w world) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		list, err := w.Admin.Rehearsals(t.Context())
		ok(t, err)
		if len(list) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the rehearsal did not happen")
		}
	}
}

// TestFiles is about attachments.
func TestFiles(t *testing.T) {
	t.Parallel()
	shows(t, errcode.UploadFailed, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		w.set(t, "file_max_bytes", 1000)
		_, err := alice.Upload(t.Context(), chat.ToUser("bob"), chat.NewFile("large", make([]byte, 2000)))
		want(t, err, errcode.UploadFailed)
	})
	shows(t, errcode.UploadNotLoggedIn, goReturn, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.client(t)
		_, err := c.Upload(t.Context(), chat.ToUser("bob"), chat.NewFile("small", []byte("x")))
		want(t, err, errcode.UploadNotLoggedIn)
	})
	download := func(code errcode.Code, content func(t *testing.T, w world, sent *chat.Message) chat.Content) {
		shows(t, code, goReturn, func(t *testing.T) {
			w := newWorld(t)
			alice, _ := w.login(t, "alice")
			sent := must[*chat.Message](t)(alice.SendFile(t.Context(), "bob", chat.NewFile("notes.txt", []byte("words")), chat.Content{Kind: chat.KindFile}))
			var got bytes.Buffer
			ok(t, alice.Download(t.Context(), sent.Content, &got))
			stranger, _ := w.login(t, "carol")
			want(t, stranger.Download(t.Context(), content(t, w, sent), io.Discard), code)
		})
	}
	download(errcode.DownloadFailed, func(t *testing.T, w world, sent *chat.Message) chat.Content {
		c := sent.Content
		c.URL = w.URL + "/stoa/demo/chatfiles/00000000-0000-0000-0000-000000000000"
		return c
	})
	download(errcode.DownloadNoPermission, func(_ *testing.T, _ world, sent *chat.Message) chat.Content {
		c := sent.Content
		c.Secret = "wrong"
		return c
	})
	download(errcode.DownloadExpired, func(t *testing.T, w world, sent *chat.Message) chat.Content {
		w.set(t, "file_lifetime_seconds", 3600)
		w.Advance(2 * time.Hour)
		return sent.Content
	})
	shows(t, errcode.ParseFileFailed, goReturn, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		sent := must[*chat.Message](t)(alice.SendFile(t.Context(), "bob", chat.NewFile("combine", []byte("no bundle")), chat.Content{Kind: chat.KindFile}))
		sent.Kind = chat.KindCombined
		_, err := alice.CombinedMessages(t.Context(), sent.Content)
		want(t, err, errcode.ParseFileFailed)
	})
}
