package migrate_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"iter"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/migrate"
	"github.com/stoa-chat/stoa/internal/server"
)

var quiet = slog.New(slog.DiscardHandler)

func export(t *testing.T, c config.Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := server.Export(t.Context(), c, app, &b, quiet); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func take(t *testing.T, c config.Config, archive []byte) {
	t.Helper()
	if key, _, err := server.Import(t.Context(), c, bytes.NewReader(archive), quiet); err != nil || key != app {
		t.Fatal(key, err)
	}
}

// unpack returns the members of an archive: the rows of each table together, and each file.
func unpack(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]string{}
	for r := tar.NewReader(zipped); ; {
		h, err := r.Next()
		if err == io.EOF {
			return members
		} else if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := h.Name
		if strings.HasPrefix(name, "rows/") {
			_, name, _ = strings.Cut(name, "-")
		}
		members[name] += string(text)
	}
}

func first[T any](t *testing.T, all iter.Seq2[T, error]) (v T) {
	t.Helper()
	for v, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Fatal("there is nothing")
	return v
}

// A server with a bit of everything is moved from SQLite to PostgreSQL, from there to another SQLite, and used there.
func TestAnAppMovesBetweenTheEnginesAndLivesOn(t *testing.T) {
	from := config.Config{Data: t.TempDir()}
	through := config.Config{Data: t.TempDir(), DatabaseURL: postgres(t)}
	to := config.Config{Data: t.TempDir()}

	n := serve(t, from)
	for _, user := range []string{"alice", "bob", "mallory"} {
		_, err := n.admin().UserToken(t.Context(), user)
		n.must(err)
	}
	n.rest("PUT", "/users/alice/password", `{"newpassword":"open sesame"}`)
	alice, bob := n.client("alice", chat.Password("open sesame")), n.client("bob", chat.Token(token(n, "bob")))
	hello, err := alice.SendText(t.Context(), "bob", "hello")
	n.must(err)
	n.must(bob.AddReaction(t.Context(), hello.ID, "wave"))
	n.must(alice.UpdateProfile(t.Context(), map[string]string{"nickname": "Alice ✓"}))
	n.must(alice.BlockUsers(t.Context(), "mallory"))
	group, err := alice.CreateGroup(t.Context(), chat.GroupOptions{Name: "a group", Members: []string{"bob"}})
	n.must(err)
	said, err := bob.SendText(t.Context(), group.ID(), "to all", chat.WithChatType(chat.GroupChat))
	n.must(err)
	n.must(alice.PinMessage(t.Context(), said))
	sent, err := alice.SendFile(t.Context(), "bob", chat.NewFile("a.txt", []byte("the bytes of a file")), chat.Content{Kind: chat.KindFile})
	n.must(err)
	gone, err := alice.SendText(t.Context(), "bob", "never said")
	n.must(err)
	n.must(alice.Recall(t.Context(), gone, ""))
	n.must(bob.SendRead(t.Context(), hello))
	n.must(alice.PinConversation(t.Context(), chat.ToUser("bob")))
	n.stop()

	archive := export(t, from)
	want := unpack(t, archive)
	take(t, through, archive)
	second := export(t, through)
	take(t, to, second)
	for engine, again := range map[string][]byte{"PostgreSQL": second, "SQLite": export(t, to)} {
		got := unpack(t, again)
		for name := range want {
			if name == "stoa.json" || name == "manifest.json" {
				continue
			}
			if diff := cmp.Diff(strings.Split(want[name], "\n"), strings.Split(got[name], "\n")); diff != "" {
				t.Errorf("%s from %s (-want +got):\n%s", name, engine, diff)
			}
		}
		if len(got) != len(want) {
			t.Errorf("the archive from %s has %d members, want %d", engine, len(got), len(want))
		}
	}

	for engine, c := range map[string]config.Config{"PostgreSQL": through, "SQLite": to} {
		t.Run("on "+engine, func(t *testing.T) {
			n := serve(t, c)
			defer n.stop()
			alice := n.client("alice", chat.Password("open sesame"))
			var texts []string
			for m, err := range alice.History(t.Context(), chat.ToUser("bob"), chat.HistoryQuery{OldestFirst: true}) {
				n.must(err)
				texts = append(texts, m.Text)
				if m.ID == hello.ID && !m.Time.Equal(hello.Time) {
					t.Errorf("hello has become %+v", m)
				}
				if m.ID == sent.ID {
					var file bytes.Buffer
					n.must(alice.Download(t.Context(), m.Content, &file))
					if file.String() != "the bytes of a file" {
						t.Errorf("the file holds %q", file.String())
					}
				}
			}
			if diff := cmp.Diff([]string{"hello", ""}, texts); diff != "" {
				t.Errorf("the history (-want +got):\n%s", diff)
			}
			reactions, err := alice.Reactions(t.Context(), chat.ToUser("bob"), hello.ID)
			n.must(err)
			if r := reactions[hello.ID]; len(r) != 1 || r[0].Count != 1 {
				t.Errorf("the reactions are %+v", r)
			}
			if pin := first(t, alice.PinnedMessages(t.Context(), chat.ToGroup(group.ID()))); pin.Message.ID != said.ID {
				t.Errorf("pinned is %+v", pin)
			}
			if c := first(t, alice.PinnedConversations(t.Context())); c.ID != "bob" {
				t.Errorf("the pinned conversation is %+v", c)
			}
			again, err := alice.SendText(t.Context(), "bob", "still here")
			n.must(err)
			if last := first(t, alice.History(t.Context(), chat.ToUser("bob"), chat.HistoryQuery{})); last.ID != again.ID {
				t.Errorf("the last message is %+v", last)
			}
			for found := false; !found && !t.Failed(); { // the words are made anew, beside
				for m, err := range alice.Search(t.Context(), "hello", chat.SearchQuery{}) {
					n.must(err)
					found = m.ID == hello.ID
				}
			}
		})
	}
}

func TestDamagedArchivesAreRefusedAndLeaveNothing(t *testing.T) {
	from := config.Config{Data: t.TempDir()}
	n := serve(t, from)
	_, err := n.admin().UserToken(t.Context(), "alice")
	n.must(err)
	n.stop()
	archive := export(t, from)
	to := config.Config{Data: t.TempDir()}
	for name, damaged := range map[string][]byte{
		"nothing":         nil,
		"no archive":      []byte("PK\x03\x04"),
		"half an archive": archive[:len(archive)/2],
		"one byte less":   archive[:len(archive)-9],
	} {
		if _, _, err := server.Import(t.Context(), to, bytes.NewReader(damaged), quiet); !errors.Is(err, migrate.ErrArchive) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	take(t, to, archive)
	if _, _, err := server.Import(t.Context(), to, bytes.NewReader(archive), quiet); err == nil || !strings.Contains(err.Error(), app) {
		t.Errorf("imported twice: %v", err)
	}
	if _, err := server.Export(t.Context(), to, "acme#other", io.Discard, quiet); err == nil || !strings.Contains(err.Error(), "acme#other") {
		t.Errorf("exported an app that is not there: %v", err)
	}
}

func token(n *node, user string) string {
	n.Helper()
	text, err := n.admin().UserToken(n.Context(), user)
	n.must(err)
	return text
}
