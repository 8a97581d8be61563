package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/storetest"
)

func TestStoreKeepsThePromisesOfThePort(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, newSchema(t)) })
}

func TestStoreSurvivesRestarts(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) (store.Store, func() store.Store) {
		url := newSchema(t)
		s := open(t, url)
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, url)
			return s
		}
	})
}

func BenchmarkAppend(b *testing.B) { storetest.BenchmarkAppend(b, open(b, newSchema(b))) }

// newSchema makes an empty schema in the test database and returns the URL that leads to it.
func newSchema(t testing.TB) string {
	t.Helper()
	const variable = "STOA_TEST_POSTGRES"
	text := os.Getenv(variable)
	if text == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(variable + " is not set")
		}
		t.Skip("needs a database: export " + variable + "=$(scripts/postgres.sh start DIR)")
	}
	link, err := url.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), schemas.Add(1))
	run := func(statement string) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, text)
		if err != nil {
			t.Fatalf("connect to %s: %v", variable, err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	run("CREATE SCHEMA " + name)
	t.Cleanup(func() { run("DROP SCHEMA " + name + " CASCADE") })
	values := link.Query()
	values.Set("search_path", name)
	link.RawQuery = values.Encode()
	return link.String()
}

var schemas atomic.Int64

func open(t testing.TB, url string) *Store { return openWith(t, url, slog.New(slog.DiscardHandler)) }

func openWith(t testing.TB, url string, log *slog.Logger) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, log)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// complaint fails the test when something is logged.
type complaint struct{ t *testing.T }

func (c complaint) Write(line []byte) (int, error) {
	c.t.Errorf("logged: %s", line)
	return len(line), nil
}

// fixture is an app with users in a store.
func fixture(t *testing.T, s *Store, users int) (app int64, ids []int64) {
	t.Helper()
	made, err := s.CreateApp(t.Context(), store.App{Org: "org", Name: "app", AgoraID: "1", ClientID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range users {
		user, err := s.CreateUser(t.Context(), store.User{App: made.ID, Name: fmt.Sprint("user", i), UUID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, user.ID)
	}
	return made.ID, ids
}

func read(t *testing.T, s *Store, timeline int64) []store.Entry {
	t.Helper()
	entries, err := s.ReadTimeline(t.Context(), timeline, 0, 1_000_000, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if e.Seq != int64(i)+1 {
			t.Fatalf("timeline %d has number %d after %d", timeline, e.Seq, i)
		}
	}
	return entries
}

func TestTheServersDefaultsDoNotWeakenAnything(t *testing.T) {
	t.Parallel()
	s := open(t, newSchema(t)+"&synchronous_commit=off&default_transaction_isolation=serializable")
	app, users := fixture(t, s, 1)
	device, err := s.OpenDevice(t.Context(), store.Device{User: users[0], Resource: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // what SaveCursors sets for itself is not left behind
		results, err := s.Append(t.Context(), []store.Draft{{Key: store.UserKey(app, users[0]), ID: 1}})
		if err != nil {
			t.Fatal(err)
		}
		err = s.SaveCursors(t.Context(), []store.Cursor{{User: users[0], Device: device.ID, Timeline: results[0].Timeline, Seq: 1}})
		if err != nil {
			t.Fatal(err)
		}
		for _, conn := range s.pool.AcquireAllIdle(t.Context()) {
			for name, want := range map[string]string{
				"synchronous_commit": "on", "transaction_isolation": "read committed",
			} {
				var got string
				if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
					t.Errorf("%s is %q, %v, want %q", name, got, err, want)
				}
			}
			conn.Release()
		}
	}
}

func TestNodesThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	url := newSchema(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(t.Context(), url, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("ping: %v", err)
			}
			s.Close()
		})
	}
	wg.Wait()
}

func TestNodesAppendToTheSameTimelinesWithoutGapsAndDeadlocks(t *testing.T) {
	t.Parallel()
	url := newSchema(t)
	// A deadlock would be logged and tried again.
	log := slog.New(slog.NewTextHandler(complaint{t}, nil))
	nodes := []*Store{openWith(t, url, log), openWith(t, url, log), openWith(t, url, log)}
	app, users := fixture(t, nodes[0], 6)
	var keys []store.Key
	for i, a := range users {
		for _, b := range users[i:] {
			keys = append(keys, store.PairKey(app, a, b))
		}
	}
	const callers, calls = 6, 12
	var ids atomic.Int64
	var mu sync.Mutex
	want := make(map[int64]int) // timeline: entries
	first := make(map[uint64]store.Appended)
	var wg sync.WaitGroup
	for n, node := range nodes {
		for caller := range callers {
			wg.Go(func() {
				for call := range calls {
					var drafts []store.Draft
					for i := range 8 { // in an order of its own, so that a lock taken in that order would be a trap
						drafts = append(drafts, store.Draft{
							Key: keys[(call*5+i*(2*n+1)*(caller+1))%len(keys)], ID: ids.Add(1), Meta: []byte("text"),
						})
					}
					// One that all nodes send.
					drafts = append(drafts, store.Draft{
						Key: keys[call%len(keys)], ID: ids.Add(1), Sender: users[0], Device: 1, ClientID: uint64(call) + 1, Meta: []byte("all"),
					})
					results, err := node.Append(t.Context(), drafts)
					if err != nil {
						t.Errorf("append: %v", err)
						return
					}
					mu.Lock()
					for i, r := range results {
						if r.Err != nil {
							t.Errorf("append: %v", r.Err)
						}
						if !r.Repeated {
							want[r.Timeline]++
						}
						if id := drafts[i].ClientID; id != 0 {
							r.Repeated = false
							if known, ok := first[id]; ok && known != r {
								t.Errorf("message %d is %+v and %+v", id, known, r)
							}
							first[id] = r
						}
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for timeline, n := range want {
		if got := len(read(t, nodes[0], timeline)); got != n {
			t.Errorf("timeline %d has %d entries, want %d", timeline, got, n)
		}
	}
}

func TestABadDraftFailsAlone(t *testing.T) {
	t.Parallel()
	s := open(t, newSchema(t))
	app, users := fixture(t, s, 3)
	_, err := s.pool.Exec(t.Context(), `
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END';
		CREATE TRIGGER refuse BEFORE INSERT ON entry FOR EACH ROW WHEN (NEW.meta = 'bad') EXECUTE FUNCTION refuse()`)
	if err != nil {
		t.Fatal(err)
	}
	key := store.PairKey(app, users[0], users[1])
	var drafts []store.Draft
	for i := range 20 {
		drafts = append(drafts, store.Draft{Key: key, ID: int64(i) + 1, Sender: users[0], Device: 1, ClientID: uint64(i) + 1, Meta: []byte("good")})
	}
	drafts[5].Meta, drafts[13].Meta = []byte("bad"), []byte("bad")
	drafts[7].Key = store.PairKey(app, users[0], users[2])
	drafts[19].ClientID = drafts[3].ClientID // a repetition in the other half
	results, err := s.Append(t.Context(), drafts)
	if err != nil {
		t.Fatal(err)
	}
	seq := int64(0)
	for i, r := range results {
		switch i {
		case 5, 13:
			if r.Err == nil {
				t.Errorf("draft %d did not fail", i)
			}
		case 7:
			if r.Err != nil || r.Seq != 1 || r.Timeline == results[0].Timeline {
				t.Errorf("draft %d: %+v", i, r)
			}
		case 19:
			want := results[3]
			want.Repeated = true
			if r != want {
				t.Errorf("draft %d: %+v, want %+v", i, r, want)
			}
		default:
			if seq++; r.Err != nil || r.Seq != seq || r.Repeated {
				t.Errorf("draft %d: %+v, want number %d", i, r, seq)
			}
		}
	}
	if got := len(read(t, s, results[0].Timeline)); got != int(seq) {
		t.Errorf("there are %d entries, want %d", got, seq)
	}

	// Alone it fails in the same way, and its timeline is not made.
	results, err = s.Append(t.Context(), []store.Draft{{Key: store.UserKey(app, users[2]), ID: 1, Meta: []byte("bad")}})
	if err != nil || results[0].Err == nil {
		t.Errorf("alone: %+v, %v", results, err)
	}
	if positions, err := s.Positions(t.Context(), users[2], 0); err != nil || len(positions) != 1 {
		t.Errorf("positions: %+v, %v", positions, err)
	}
}

func TestAppendOutlivesLostConnections(t *testing.T) {
	t.Parallel()
	const callers, calls = 4, 60
	link := newSchema(t)
	s := open(t, link)
	admin := open(t, link)
	app, users := fixture(t, admin, callers)
	stop := make(chan struct{})
	progress := make(chan struct{}, callers*calls)
	var killer sync.WaitGroup
	var kills int
	killer.Go(func() {
		for {
			// The victims are known by what they are doing: the appends of this schema.
			tag, err := admin.pool.Exec(t.Context(), `
				SELECT pg_terminate_backend(l.pid) FROM pg_locks l
				WHERE l.relation = 'timeline'::regclass AND l.pid <> pg_backend_pid() AND l.granted`)
			if err != nil {
				t.Errorf("terminate backends: %v", err)
				return
			}
			kills += int(tag.RowsAffected())
			for range 4 * tag.RowsAffected() { // not faster than the store can recover
				select {
				case <-progress:
				case <-stop:
					return
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var ids atomic.Int64
	var wg sync.WaitGroup
	timelines := make([]int64, len(users))
	for caller, user := range users {
		wg.Go(func() {
			for range calls {
				// Without a client id: a second copy would not be recognised.
				r, err := s.Append(t.Context(), []store.Draft{{Key: store.UserKey(app, user), ID: ids.Add(1), Meta: []byte("text")}})
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				timelines[caller] = r[0].Timeline
				progress <- struct{}{}
			}
		})
	}
	wg.Wait()
	close(stop)
	killer.Wait()
	if kills == 0 {
		t.Error("no connection was cut")
	}
	t.Logf("%d connections were cut", kills)
	for _, timeline := range timelines {
		seen := make(map[int64]bool)
		entries := read(t, admin, timeline)
		for _, e := range entries {
			if seen[e.ID] {
				t.Errorf("message %d is there twice", e.ID)
			}
			seen[e.ID] = true
		}
		if len(entries) != calls {
			t.Errorf("timeline %d has %d entries, want %d", timeline, len(entries), calls)
		}
	}
}

func TestNoStatementScansATable(t *testing.T) {
	t.Parallel()
	s := open(t, newSchema(t))
	app, users := fixture(t, s, 20)
	lease, err := s.JoinCluster(t.Context(), 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for round := range int64(20) { // the engine settles for a plan after five runs
		for i, user := range users {
			device, err := s.OpenDevice(t.Context(), store.Device{User: user, Resource: fmt.Sprint(round % 7), Seen: round})
			check("open device", err)
			results, err := s.Append(t.Context(), []store.Draft{
				{Key: store.UserKey(app, user), ID: 1, Sender: user, Device: device.ID, ClientID: uint64(round), Meta: []byte("a")},
				{Key: store.PairKey(app, user, users[round]), ID: 2, Sender: user, Device: device.ID, ClientID: 9, Meta: []byte("b")},
			})
			check("append", err)
			check("save cursors", s.SaveCursors(t.Context(), []store.Cursor{
				{User: user, Device: device.ID, Timeline: results[0].Timeline, Seq: results[0].Seq},
			}))
			_, err = s.PutSession(t.Context(), store.Session{ID: round*100 + int64(i) + 1, User: user, Device: device.ID, Node: lease.Node}, 2)
			check("put session", err)
			_, err = s.Positions(t.Context(), user, device.ID)
			check("positions", err)
			_, err = s.ReadTimeline(t.Context(), results[0].Timeline, 0, 10, 1000)
			check("read timeline", err)
			_, err = s.User(t.Context(), app, fmt.Sprint("user", i))
			check("user", err)

			if i > 3 {
				continue
			}
			me, other := store.Peer{ID: user, Name: "me"}, store.Peer{ID: users[(i+1)%len(users)], Name: "other"}
			check("put invitation", s.PutInvitation(t.Context(), me, other, "hello", round, 100))
			_, err = s.Relation(t.Context(), me.ID, other.ID)
			check("relation", err)
			_, err = s.DropInvitation(t.Context(), me.ID, other.ID)
			check("drop invitation", err)
			check("add contact", s.AddContact(t.Context(), me, other, false, round, 100))
			check("set remark", s.SetRemark(t.Context(), me.ID, other.ID, "text"))
			_, err = s.ListContacts(t.Context(), me.ID, round, 5)
			check("list contacts", err)
			check("block", s.Block(t.Context(), me.ID, []store.Peer{other}, round, 100))
			_, err = s.ListBlocked(t.Context(), me.ID, round, 5)
			check("list blocked", err)
			if round%2 == 0 {
				check("unblock", s.Unblock(t.Context(), me.ID, []int64{other.ID}))
			}
			_, err = s.RemoveContact(t.Context(), me.ID, other.ID)
			check("remove contact", err)
			people(t, s, app, me, other, round)
		}
		_, err := s.ForgetDevices(t.Context(), round-5, 3)
		check("forget devices", err)
		_, err = s.ListUsers(t.Context(), app, 0, 5)
		check("list users", err)
	}
	s.Close() // tells the engine's statistics what was done
	admin := open(t, s.pool.Config().ConnString())
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		rows, err := admin.pool.Query(t.Context(), `
			SELECT relname::text, seq_tup_read, coalesce(idx_scan, 0) FROM pg_stat_user_tables
			WHERE schemaname = current_schema() AND relname <> 'goose_db_version'`)
		check("read statistics", err)
		var table string
		var scanned, lookups, least int64 = 0, 0, 1
		_, err = pgx.ForEachRow(rows, []any{&table, &scanned, &lookups}, func() error {
			if scanned > 0 {
				t.Errorf("%d rows of the table %s were read by scanning it", scanned, table)
			}
			if table == "entry" || table == "timeline" || table == "cursor" {
				least = min(least, lookups)
			}
			return nil
		})
		check("read statistics", err)
		if least > 0 || t.Failed() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the engine's statistics do not come")
		}
	}
}

// people uses what is kept of users themselves.
func people(t *testing.T, s *Store, app int64, me, other store.Peer, round int64) {
	t.Helper()
	both := []int64{me.ID, other.ID}
	_, set := s.SetAttributes(t.Context(), app, me.ID, map[string]string{"nickname": fmt.Sprint(round)}, 100)
	_, attributes := s.Attributes(t.Context(), both)
	_, sum := s.AttributeBytes(t.Context(), app)
	_, publications := s.Publications(t.Context(), both)
	_, devices := s.LastDevices(t.Context(), both)
	_, sessions := s.SessionsOf(t.Context(), both, 2)
	_, _, list := s.ListWatched(t.Context(), me.ID, round, 0, 5)
	_, watched := s.Watched(t.Context(), both, round)
	_, watchers := s.Watchers(t.Context(), other.ID, round)
	_, forgotten := s.ForgetWatches(t.Context(), round-5, 5)
	_, departures := s.TakeDepartures(t.Context(), round, 5)
	key := store.PushKey{Scope: store.PushPeer, Target: other.Name}
	_, settings := s.PushSettings(t.Context(), me.ID, []store.PushKey{key})
	_, types := s.ListPushTypes(t.Context(), me.ID, 0, 5)
	_, user := s.PushUserOf(t.Context(), me.ID)
	_, tokens := s.PushTokens(t.Context(), both)
	_, mark := s.PushMark(t.Context(), 0)
	_, marks := s.LostPushMarks(t.Context(), round)
	_, due := s.TakeNotifications(t.Context(), round, round+2, 3)
	_, members := s.PushMembers(t.Context(), round)
	_, entries := s.EntriesAfter(t.Context(), round, 3)
	told := store.Notification{App: app, User: me.ID, Device: "d", Timeline: 1, Seq: round, Due: round}
	token := store.PushToken{App: app, User: me.ID, Device: "d", Notifier: "n", Token: fmt.Sprint("t", me.ID), Updated: round}
	for what, err := range map[string]error{
		"set attributes": set, "attributes": attributes, "attribute bytes": sum, "publications": publications, "devices": devices,
		"sessions": sessions, "list watched": list, "watched": watched, "watchers": watchers, "forget watches": forgotten,
		"departures": departures, "push settings": settings, "push types": types, "push user": user, "push tokens": tokens,
		"publish":        s.Publish(t.Context(), store.Publication{User: me.ID, Resource: "r", Time: round}, []string{"other"}),
		"watch":          s.Watch(t.Context(), app, me.ID, []store.Peer{other}, round+3, round, 100),
		"put departures": s.PutDepartures(t.Context(), []store.Departure{{User: me.ID, Resource: "r", Due: round}}),
		"set push":       s.SetPush(t.Context(), me.ID, store.PushSetting{PushKey: key, Type: "NONE"}, 100),
		"set push user":  s.SetPushUser(t.Context(), me.ID, store.PushUser{Language: "fr"}),
		"bind token":     s.BindPushToken(t.Context(), token, 100),
		"drop token":     s.DropPushToken(t.Context(), token),
		"unbind token":   s.UnbindPushToken(t.Context(), me.ID, "d"),
		"unwatch":        s.Unwatch(t.Context(), me.ID, []int64{me.ID}),
		"drop":           s.DropAttributes(t.Context(), other.ID),
		"push mark":      mark, "lost push marks": marks, "take notifications": due, "push members": members, "entries after": entries,
		"put notifications":   s.PutNotifications(t.Context(), []store.Notification{told}, store.PushMark{Node: 0, ID: round + 1}),
		"retry notification":  s.RetryNotification(t.Context(), round, 1, round+1),
		"finish notification": s.FinishNotification(t.Context(), round),
	} {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
