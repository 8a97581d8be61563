package errors

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/admin"
	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/chattest"
	"github.com/stoa-chat/stoa/errcode"
)

// scene is alice with a friend, a group, a room, and a message and a file of hers.
type scene struct {
	world
	alice *chat.Client
	told  *told
	group string
	room  string
	sent  func(t *testing.T) *chat.Message
	file  chat.Content
}

func newScene(t *testing.T) *scene {
	t.Helper()
	w := newWorld(t)
	s := &scene{world: w, group: w.group(t, "bob", "alice"), room: w.room(t, "bob")}
	s.alice, s.told = w.login(t, "alice", chat.WithTimeouts(chat.Timeouts{Send: 300 * time.Millisecond, Request: time.Second}))
	s.sent = func(t *testing.T) *chat.Message {
		return must[*chat.Message](t)(s.alice.SendText(t.Context(), "bob", "sent before"))
	}
	s.file = must[*chat.Message](t)(s.alice.SendFile(t.Context(), "bob", chat.NewFile("notes.txt", []byte("words")), chat.Content{Kind: chat.KindFile})).Content
	return s
}

// situations are what alice does, by the codes that it is to end with. Afterwards the same works.
var situations = []struct {
	name  string
	codes []errcode.Code
	do    func(t *testing.T, s *scene) error
}{
	{"a message", []errcode.Code{errcode.UserNotFound, errcode.UserMutedByAdmin, errcode.UserNotFriend, errcode.IllegalContent,
		errcode.BlockedExternally, errcode.ServerUnknownError, errcode.ModerationBlocked, errcode.RateLimited, errcode.MessageTooLarge,
		errcode.PermissionDenied, errcode.BadMessage}, func(t *testing.T, s *scene) error {
		_, err := s.alice.SendText(t.Context(), "bob", "hello")
		return err
	}},
	{"a message to a group", []errcode.Code{errcode.NotAllowedMuteAll, errcode.Muted, errcode.GroupNotJoined, errcode.GroupNotExist, errcode.GroupDisabled},
		func(t *testing.T, s *scene) error {
			_, err := s.alice.SendText(t.Context(), s.group, "hello", chat.WithChatType(chat.GroupChat))
			return err
		}},
	{"a recall", []errcode.Code{errcode.RecallTimeLimit, errcode.ServiceNotEnabled}, func(t *testing.T, s *scene) error {
		return s.alice.Recall(t.Context(), s.sent(t), "")
	}},
	{"an edit", []errcode.Code{errcode.EditMessageNotExist, errcode.EditFormatError, errcode.EditFailed}, func(t *testing.T, s *scene) error {
		_, err := s.alice.Edit(t.Context(), s.sent(t), chat.Content{Text: "other"})
		return err
	}},
	{"entering a room", []errcode.Code{errcode.ChatroomMembersFull, errcode.ChatroomNotExist}, func(t *testing.T, s *scene) error {
		_, err := s.alice.Room(s.room).Join(t.Context(), chat.JoinOptions{})
		return err
	}},
	{"a call", []errcode.Code{errcode.InvalidParameter, errcode.RequestTimeout, errcode.RequestFailed, errcode.MaxLimit,
		errcode.MessageNotFound, errcode.NoPermission, errcode.OperationUnsupported, errcode.OperationNotAllowed, errcode.ServerBusy,
		errcode.GroupMemberAttributesFailed, errcode.PresenceTooLong, errcode.ReactionAlreadyAdded, errcode.ReactionCreating, errcode.ReactionIllegal,
		errcode.TranslationNotValid, errcode.TranslationTooLong, errcode.TranslationFailed, errcode.ThreadNotExist, errcode.ThreadAlreadyExist,
		errcode.ConversationNotExist}, func(t *testing.T, s *scene) error {
		_, err := s.alice.Contacts(t.Context())
		return err
	}},
	{"a call about a group", []errcode.Code{errcode.GroupAlreadyJoined, errcode.GroupMembersFull, errcode.GroupMembersLimit}, func(t *testing.T, s *scene) error {
		_, err := s.alice.Group(s.group).Info(t.Context())
		return err
	}},
	{"a call about a room", []errcode.Code{errcode.ChatroomNotJoined}, func(t *testing.T, s *scene) error {
		_, err := s.alice.Room(s.room).Info(t.Context())
		return err
	}},
	{"an upload", []errcode.Code{errcode.UploadFailed}, func(t *testing.T, s *scene) error {
		_, err := s.alice.Upload(t.Context(), chat.ToUser("bob"), chat.NewFile("notes.txt", []byte("words")))
		return err
	}},
	{"a download", []errcode.Code{errcode.DownloadFailed, errcode.DownloadNoPermission, errcode.DownloadExpired}, func(t *testing.T, s *scene) error {
		return s.alice.Download(t.Context(), s.file, io.Discard)
	}},
	{"a message without an answer", []errcode.Code{errcode.SendTimeout}, func(t *testing.T, s *scene) error {
		_, err := s.alice.SendText(t.Context(), "bob", "hello")
		return err
	}},
}

// elsewhere are the codes that the other tests of this file rehearse.
var elsewhere = []errcode.Code{errcode.LoginFailed, errcode.AuthFailed, errcode.TokenFetchFailed, errcode.Disconnected, errcode.InvalidToken,
	errcode.TokenExpired, errcode.ServingDisabled, errcode.LoginAnotherDevice, errcode.UserRemoved, errcode.PasswordChanged,
	errcode.KickedByOtherDevice, errcode.SendInterrupted, errcode.RequestUnknown}

func TestEveryCodeIsRehearsedOnceAndThenAllIsAsBefore(t *testing.T) {
	t.Parallel()
	seen := map[errcode.Code]bool{}
	for _, code := range elsewhere {
		seen[code] = true
	}
	s := newScene(t)
	for _, situation := range situations {
		for _, code := range situation.codes {
			seen[code] = true
			shows(t, code, goRehearsed, func(t *testing.T) {
				s.Rehearse(t, "alice", code)
				want(t, situation.do(t, s), code)
				if list := must[[]admin.Rehearsal](t)(s.Admin.Rehearsals(t.Context())); len(list) > 0 {
					t.Errorf("it happened, and there are %v", list)
				}
				// A lost answer costs the connection: the client may be on its way back.
				for deadline := time.Now().Add(10 * time.Second); ; {
					err := situation.do(t, s)
					if err == nil {
						return
					}
					if !errors.Is(err, errcode.SendInterrupted) && !errors.Is(err, errcode.Disconnected) || time.Now().After(deadline) {
						t.Fatalf("%s after it: %v", situation.name, err)
					}
				}
			})
		}
	}
	for _, e := range errcode.All() {
		if len(e.Wire) > 0 && e.Code != 0 && !seen[e.Code] {
			t.Errorf("%d %s is not rehearsed", e.Code, e.Name)
		}
	}
}

func TestRehearsedSessions(t *testing.T) {
	t.Parallel()
	for _, code := range []errcode.Code{errcode.AuthFailed, errcode.InvalidToken, errcode.TokenExpired, errcode.ServingDisabled} {
		shows(t, code, goRehearsed, func(t *testing.T) {
			w := newWorld(t)
			c, h := w.client(t)
			token := w.User(t, "alice")
			w.Rehearse(t, "alice", code)
			want(t, c.Login(t.Context(), "alice", chat.Token(token)), code)
			want(t, next(t, h.errors), code)
			ok(t, c.Login(t.Context(), "alice", chat.Token(token)))
		})
	}
	for _, code := range []errcode.Code{errcode.LoginFailed, errcode.TokenFetchFailed} {
		shows(t, code, goRehearsed, func(t *testing.T) {
			w := newWorld(t)
			c, _ := w.client(t)
			w.Rehearse(t, "alice", code)
			want(t, c.Login(t.Context(), "alice", chat.Password(chattest.Password)), code)
			ok(t, c.Login(t.Context(), "alice", chat.Password(chattest.Password)))
		})
	}
	for _, code := range []errcode.Code{errcode.LoginAnotherDevice, errcode.UserRemoved, errcode.PasswordChanged, errcode.KickedByOtherDevice} {
		shows(t, code, goRehearsed, func(t *testing.T) {
			w := newWorld(t)
			c, h := w.login(t, "alice")
			w.Rehearse(t, "alice", code)
			want(t, next(t, h.errors), code)
			want(t, next(t, h.disconnected), code)
			ok(t, c.Login(t.Context(), "alice", chat.Token(w.User(t, "alice"))))
		})
	}
	shows(t, errcode.Disconnected, goRehearsed, func(t *testing.T) {
		w := newWorld(t)
		c, h := w.login(t, "alice")
		w.RehearseAs(t, admin.RehearsalRequest{User: "alice", Code: errcode.Disconnected, For: "until-off"})
		want(t, next(t, h.errors), errcode.Disconnected)
		want(t, next(t, h.disconnected), errcode.Disconnected)
		w.StopRehearsals(t)
		ok(t, c.Login(t.Context(), "alice", chat.Token(w.User(t, "alice"))))
	})
	shows(t, errcode.RequestUnknown, goRehearsed, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice")
		// Not once: Go asks again by itself when a connection that it kept turns out to be closed.
		w.RehearseAs(t, admin.RehearsalRequest{User: "alice", Code: errcode.RequestUnknown, For: "until-off"})
		_, err := alice.Contacts(t.Context())
		want(t, err, errcode.RequestUnknown)
		w.StopRehearsals(t)
		must[[]chat.Contact](t)(alice.Contacts(t.Context()))
	})
	shows(t, errcode.SendInterrupted, goRehearsed, func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.login(t, "alice", chat.WithOfflineQueue(0))
		bob, h := w.login(t, "bob")
		w.Rehearse(t, "alice", errcode.SendInterrupted)
		_, err := alice.SendText(t.Context(), "bob", "kept, and not answered")
		want(t, err, errcode.SendInterrupted)
		if m := next(t, h.texts); m.Text != "kept, and not answered" {
			t.Errorf("bob got %q", m.Text)
		}
		must[*chat.Message](t)(bob.SendText(t.Context(), "alice", "nobody else is concerned"))
	})
}
