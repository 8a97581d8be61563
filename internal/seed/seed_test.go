package seed

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/postgres"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
)

func TestADatabaseIsFilledAsPlanned(t *testing.T) {
	for _, engine := range []struct {
		name string
		open func(t *testing.T) store.Store
	}{{"sqlite", openSQLite}, {"postgres", openPostgres}} {
		t.Run(engine.name, func(t *testing.T) { fillAndCheck(t, engine.open(t)) })
	}
}

func openSQLite(t *testing.T) store.Store {
	s, err := sqlite.Open(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// openPostgres opens a schema of its own.
func openPostgres(t *testing.T) store.Store {
	text := os.Getenv("STOA_TEST_POSTGRES")
	if text == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("STOA_TEST_POSTGRES is not set")
		}
		t.Skip("needs a database: export STOA_TEST_POSTGRES=$(scripts/postgres.sh start DIR)")
	}
	name := fmt.Sprintf("seed_%d_%d", os.Getpid(), rand.Uint32())
	run := func(statement string) {
		conn, err := pgx.Connect(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE SCHEMA " + name)
	t.Cleanup(func() { run("DROP SCHEMA " + name + " CASCADE") })
	link, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	values := link.Query()
	values.Set("search_path", name)
	link.RawQuery = values.Encode()
	s, err := postgres.Open(t.Context(), link.String(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func fillAndCheck(t *testing.T, s store.Store) {
	ctx := t.Context()
	app, err := s.CreateApp(ctx, store.App{Org: "o", Name: "a", UUID: "a", AgoraID: fmt.Sprintf("%032x", rand.Uint64()), ClientID: fmt.Sprint(rand.Uint64()),
		SigningKey: []byte("key"), Settings: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	const users, messages = 40, 1005
	told := map[string]bool{}
	prefix, err := Fill(ctx, s, app, Plan{Users: users, Messages: messages, Body: 50, Progress: func(what string, made, of int) { told[what] = true }})
	if err != nil {
		t.Fatal(err)
	}
	if !told["users"] || !told["messages, pass 2 of 2"] {
		t.Errorf("told is %v", told)
	}

	list, err := s.ListUsers(ctx, app.ID, 0, 2*users)
	if err != nil {
		t.Fatal(err)
	}
	timelines := map[int64]store.Subscription{}
	for _, user := range list {
		subscriptions, err := s.Subscriptions(ctx, user.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(subscriptions) == 0 {
			t.Errorf("user %s has no conversation", user.Name)
		}
		for _, sub := range subscriptions {
			timelines[sub.ID] = sub
		}
	}
	if len(list) != users || len(timelines) < users {
		t.Errorf("there are %d users with %d conversations", len(list), len(timelines))
	}
	stored, last := 0, int64(0)
	for id := range timelines {
		entries, err := s.ReadTimeline(ctx, id, 0, 1000, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		stored += len(entries)
		for i, e := range entries {
			if i > 0 && (e.Time < entries[i-1].Time || e.ID <= entries[i-1].ID) {
				t.Errorf("timeline %d goes back in time, from %+v to %+v", id, entries[i-1], e)
			}
			last = max(last, e.ID)
		}
		if found, err := s.FindEntry(ctx, app.ID, entries[0].ID); err != nil || found.Timeline != id {
			t.Errorf("entry %d is found as %+v, %v", entries[0].ID, found, err)
		}
	}
	if stored != messages {
		t.Errorf("%d messages are stored", stored)
	}
	if user, err := s.User(ctx, app.ID, prefix+"0"); err != nil || !user.Active {
		t.Errorf("the first user is %+v, %v", user, err)
	}

	// Search has nothing to do but for what comes next.
	if found, _, err := s.Unindexed(ctx, 100); err != nil || len(found) > 0 {
		t.Errorf("%d messages wait for search, %v", len(found), err)
	}
	mark, err := s.PushMark(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := s.EntriesAfter(ctx, mark, 1); err != nil || len(left) > 0 {
		t.Errorf("a server would look at whom to notify of %d messages or more, %v", len(left), err)
	}
	key := store.PairKey(app.ID, list[0].ID, list[1].ID)
	if _, err := s.Append(ctx, []store.Draft{{Key: key, ID: last + 1, Sender: list[0].ID, Content: store.ContentText, Meta: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	if found, _, err := s.Unindexed(ctx, 100); err != nil || len(found) != 1 {
		t.Errorf("%d messages wait for search, %v", len(found), err)
	}
}

func TestAPlanForNobodyIsRefused(t *testing.T) {
	if _, err := Fill(t.Context(), nil, store.App{}, Plan{Users: 1}); err == nil {
		t.Error("a plan for one user is taken")
	}
}
