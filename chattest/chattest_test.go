package chattest_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stoa-chat/stoa/admin"
	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/chattest"
	"github.com/stoa-chat/stoa/errcode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard is what a client was told.
type heard struct {
	texts        chan string
	errors       chan errcode.Code
	disconnected chan error
}

func listen(c *chat.Client) *heard {
	h := &heard{make(chan string, 100), make(chan errcode.Code, 100), make(chan error, 10)}
	c.AddEventListener("test", chat.Listener{
		OnTextMessage:  func(m *chat.Message) { h.texts <- m.Text },
		OnError:        func(err *chat.Error) { h.errors <- err.Code },
		OnDisconnected: func(err error) { h.disconnected <- err },
	})
	return h
}

func next[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestRehearsedSends(t *testing.T) {
	server := chattest.Start(t)
	alice := server.Login(t, "alice")
	bob := server.Client(t)
	inbox := listen(bob)
	if err := bob.Login(t.Context(), "bob", chat.Password(chattest.Password)); err != nil {
		t.Fatal(err)
	}
	for _, code := range []errcode.Code{errcode.UserNotFriend, errcode.PermissionDenied, errcode.MessageTooLarge, errcode.IllegalContent,
		errcode.BlockedExternally, errcode.ModerationBlocked, errcode.RateLimited, errcode.UserMutedByAdmin, errcode.ServerUnknownError,
		errcode.BadMessage, errcode.UserNotFound} {
		t.Run(code.String(), func(t *testing.T) {
			server.Rehearse(t, "alice", code)
			if _, err := alice.SendText(t.Context(), "bob", "refused"); !errors.Is(err, code) {
				t.Errorf("the send ended with %v", err)
			}
			if list, err := server.Admin.Rehearsals(t.Context()); err != nil || len(list) > 0 {
				t.Errorf("after it there are %v, %v", list, err)
			}
			// Others are not concerned, and the user's service is as before.
			if _, err := bob.SendText(t.Context(), "alice", "beside"); err != nil {
				t.Errorf("the other's send: %v", err)
			}
			if _, err := alice.SendText(t.Context(), "bob", code.String()); err != nil {
				t.Errorf("the send after it: %v", err)
			}
			if text := next(t, inbox.texts); text != code.String() {
				t.Errorf("bob got %q", text)
			}
		})
	}
}

func TestRehearsedSettings(t *testing.T) {
	server := chattest.Start(t)
	alice := server.Login(t, "alice")
	sent, err := alice.SendText(t.Context(), "bob", "hello")
	if err != nil {
		t.Fatal(err)
	}
	file := chat.NewFile("notes.txt", []byte("words"))
	for code, call := range map[errcode.Code]func() error{
		errcode.RecallTimeLimit:   func() error { return alice.Recall(t.Context(), sent, "") },
		errcode.ServiceNotEnabled: func() error { return alice.PublishPresence(t.Context(), "here") },
		errcode.UploadFailed: func() error {
			_, err := alice.Upload(t.Context(), chat.ToUser("bob"), file)
			return err
		},
	} {
		t.Run(code.String(), func(t *testing.T) {
			server.Rehearse(t, "alice", code)
			if err := call(); !errors.Is(err, code) {
				t.Errorf("the call ended with %v", err)
			}
			if err := call(); err != nil {
				t.Errorf("the call after it: %v", err)
			}
		})
	}
}

func TestRehearsedEndsOfASession(t *testing.T) {
	server := chattest.Start(t)
	for _, code := range []errcode.Code{errcode.LoginAnotherDevice, errcode.UserRemoved, errcode.PasswordChanged, errcode.KickedByOtherDevice} {
		t.Run(code.String(), func(t *testing.T) {
			token := server.User(t, "alice")
			alice := server.Client(t)
			told := listen(alice)
			if err := alice.Login(t.Context(), "alice", chat.Token(token)); err != nil {
				t.Fatal(err)
			}
			server.Rehearse(t, "alice", code)
			if got := next(t, told.errors); got != code {
				t.Errorf("OnError got %d", got)
			}
			if err := next(t, told.disconnected); !errors.Is(err, code) {
				t.Errorf("OnDisconnected got %v", err)
			}
			if err := alice.Login(t.Context(), "alice", chat.Token(token)); err != nil {
				t.Errorf("the login after it: %v", err)
			}
		})
	}
}

func TestRehearsedLogins(t *testing.T) {
	server := chattest.Start(t)
	for _, code := range []errcode.Code{errcode.AuthFailed, errcode.InvalidToken, errcode.TokenExpired, errcode.ServingDisabled, errcode.InvalidParameter} {
		t.Run(code.String(), func(t *testing.T) {
			token := server.User(t, "carol")
			server.Rehearse(t, "carol", code)
			carol := server.Client(t)
			if err := carol.Login(t.Context(), "carol", chat.Token(token)); !errors.Is(err, code) {
				t.Errorf("the login ended with %v", err)
			}
			if err := carol.Login(t.Context(), "carol", chat.Token(token)); err != nil {
				t.Errorf("the login after it: %v", err)
			}
		})
	}
	t.Run("a token cannot be had", func(t *testing.T) {
		server.Rehearse(t, "bob", errcode.TokenFetchFailed)
		bob := server.Client(t)
		if err := bob.Login(t.Context(), "bob", chat.Password(chattest.Password)); !errors.Is(err, errcode.TokenFetchFailed) {
			t.Errorf("the login ended with %v", err)
		}
		server.Rehearse(t, "bob", errcode.LoginFailed)
		if err := bob.Login(t.Context(), "bob", chat.Password(chattest.Password)); !errors.Is(err, errcode.LoginFailed) {
			t.Errorf("the login ended with %v", err)
		}
		if err := bob.Login(t.Context(), "bob", chat.Password(chattest.Password)); err != nil {
			t.Errorf("the login after it: %v", err)
		}
	})
}

func TestRehearsedLossesOfTheConnection(t *testing.T) {
	server := chattest.Start(t)
	client := func(t *testing.T, options ...chat.Option) (*chat.Client, *heard) {
		c := server.Client(t, append(options, chat.WithReconnect(chat.Reconnect{Min: time.Millisecond, Max: 10 * time.Millisecond}))...)
		told := listen(c)
		if err := c.Login(t.Context(), "alice", chat.Password(chattest.Password)); err != nil {
			t.Fatal(err)
		}
		return c, told
	}
	t.Run("the socket is lost and comes back", func(t *testing.T) {
		alice, told := client(t)
		server.Rehearse(t, "alice", errcode.Disconnected)
		if got := next(t, told.errors); got != errcode.Disconnected {
			t.Errorf("OnError got %d", got)
		}
		if _, err := alice.SendText(t.Context(), "bob", "again"); err != nil && !errors.Is(err, errcode.SendInterrupted) {
			t.Errorf("send: %v", err)
		}
	})
	t.Run("an answer does not come", func(t *testing.T) {
		alice, _ := client(t, chat.WithTimeouts(chat.Timeouts{Send: 100 * time.Millisecond}))
		server.Rehearse(t, "alice", errcode.SendTimeout)
		if _, err := alice.SendText(t.Context(), "bob", "unanswered"); !errors.Is(err, errcode.SendTimeout) {
			t.Errorf("send: %v", err)
		}
	})
}

func TestRehearsedFaults(t *testing.T) {
	server := chattest.Start(t)
	alice := server.Login(t, "alice")
	bob := server.Client(t)
	inbox := listen(bob)
	if err := bob.Login(t.Context(), "bob", chat.Password(chattest.Password)); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []string{"loss", "duplicates"} {
		t.Run(fault, func(t *testing.T) {
			rehearsal := server.RehearseAs(t, admin.RehearsalRequest{User: "bob", Fault: fault, For: "1m"})
			for _, text := range []string{"one", "two", "three"} {
				if _, err := alice.SendText(t.Context(), "bob", text); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range []string{"one", "two", "three"} {
				if got := next(t, inbox.texts); got != want {
					t.Errorf("bob got %q, want %q", got, want)
				}
			}
			if err := server.Admin.StopRehearsal(t.Context(), rehearsal.ID); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("latency", func(t *testing.T) {
		const delay = 50 * time.Millisecond
		server.RehearseAs(t, admin.RehearsalRequest{User: "alice", Fault: "latency", Delay: delay, For: "until-off"})
		began := time.Now()
		if _, err := alice.SendText(t.Context(), "bob", "slow"); err != nil || time.Since(began) < delay {
			t.Errorf("it took %v, %v", time.Since(began), err)
		}
		server.StopRehearsals(t)
	})
}

func TestTheClockMovesForward(t *testing.T) {
	server := chattest.Start(t)
	token := server.User(t, "dave")
	server.Advance(100 * 24 * time.Hour)
	dave := server.Client(t)
	if err := dave.Login(t.Context(), "dave", chat.Token(token)); !errors.Is(err, errcode.TokenExpired) {
		t.Errorf("an old token: %v", err)
	}
	if err := server.Admin.AdvanceClock(t.Context(), -time.Second); !errors.Is(err, errcode.RequestFailed) {
		t.Errorf("moving it back: %v", err)
	}
}

func TestWrongRehearsals(t *testing.T) {
	server := chattest.Start(t)
	for name, test := range map[string]struct {
		ask  admin.RehearsalRequest
		want errcode.Code
	}{
		"an unknown code":                  {admin.RehearsalRequest{User: "bob", Code: 99999}, errcode.RequestFailed},
		"a code of the client alone":       {admin.RehearsalRequest{User: "bob", Code: errcode.CallbackPanic}, errcode.RequestFailed},
		"success":                          {admin.RehearsalRequest{User: "bob"}, errcode.RequestFailed},
		"an unknown user":                  {admin.RehearsalRequest{User: "nobody", Code: errcode.Muted}, errcode.UserNotFound},
		"an unknown fault":                 {admin.RehearsalRequest{User: "bob", Fault: "flood", For: "1m"}, errcode.RequestFailed},
		"latency without a delay":          {admin.RehearsalRequest{User: "bob", Fault: "latency", For: "1m"}, errcode.RequestFailed},
		"a time that is none":              {admin.RehearsalRequest{User: "bob", Code: errcode.Muted, For: "soon"}, errcode.RequestFailed},
		"for longer than anybody rehearse": {admin.RehearsalRequest{User: "bob", Code: errcode.Muted, For: "1000h"}, errcode.RequestFailed},
	} {
		if _, err := server.Admin.Rehearse(t.Context(), test.ask); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := server.Admin.Rehearsals(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("there are %v, %v", list, err)
	}
}
