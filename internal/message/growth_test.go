package message

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/postgres"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

// What the growth is measured with: one user's conversations, over which the messages are spread.
const (
	growthConversations = 100
	growthFew           = 10_000
	growthMany          = 1_000_000
	growthRuns          = 100 // of each operation; what the fastest tenth takes counts, since what else runs only adds to it
)

// BenchmarkGrowth measures what catching up, pages of history, the list of conversations and a search cost with 10,000 and
// with 1,000,000 stored messages, and reports the ratio of the two for each. It takes minutes: make bench-growth.
func BenchmarkGrowth(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(b *testing.B) store.Store
	}{{"sqlite", growthSQLite}, {"postgres", growthPostgres}} {
		b.Run(engine.name, func(b *testing.B) {
			few := measureGrowth(b, engine.open(b), growthFew)
			many := measureGrowth(b, engine.open(b), growthMany)
			for _, name := range growthOrder {
				ratio := float64(many[name]) / float64(few[name])
				b.ReportMetric(ratio, name+"-ratio")
				b.Logf("%-8s %-12s %10s with %d messages, %10s with %d: ratio %.2f", engine.name, name, few[name], growthFew, many[name], growthMany, ratio)
			}
		})
	}
}

func growthSQLite(b *testing.B) store.Store {
	s := sqlitetest.Open(b, slog.New(slog.DiscardHandler))
	b.Cleanup(func() { s.Close() })
	return s
}

// growthPostgres opens a schema of its own.
func growthPostgres(b *testing.B) store.Store {
	text := os.Getenv("STOA_TEST_POSTGRES")
	if text == "" {
		b.Skip("needs a database: export STOA_TEST_POSTGRES=$(scripts/postgres.sh start DIR)")
	}
	name := fmt.Sprintf("growth_%d_%d", os.Getpid(), rand.Uint32())
	run := func(statement string) {
		conn, err := pgx.Connect(context.Background(), text)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			b.Fatal(err)
		}
	}
	run("CREATE SCHEMA " + name)
	b.Cleanup(func() { run("DROP SCHEMA " + name + " CASCADE") })
	link, err := url.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	values := link.Query()
	values.Set("search_path", name)
	link.RawQuery = values.Encode()
	s, err := postgres.Open(b.Context(), link.String(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// growthOrder is the order of the report.
var growthOrder = []string{"catch-up", "newest-page", "middle-page", "filtered-page", "list", "search"}

// growth is a user with conversations in a store.
type growth struct {
	*testing.B
	store    store.Store
	messages *Service
	app      *account.App
	alice    store.User
	peers    []store.User
	device   store.Device
	middle   int64 // where a page in the middle of a conversation starts
}

func (g *growth) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// measureGrowth fills a store with n messages and returns the times of the operations.
func measureGrowth(b *testing.B, s store.Store, n int) map[string]time.Duration {
	b.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	c := clock.New()
	hub := delivery.NewHub(s, c, log)
	local := bus.NewLocal(hub.Handle)
	d := delivery.New(hub, s, local, delivery.NewIDs(0, 0), c, delivery.NewMetrics(prometheus.NewRegistry()), log)
	g := &growth{B: b, store: s}
	accounts, err := account.New(b.Context(), s, d, local, c, 0, log)
	g.must(err)
	g.messages = New(accounts, contact.New(accounts, s, d, local, c, log), muc.New(accounts, s, d, local, c, log), s, d, c, log)
	b.Cleanup(func() {
		d.Close()
		hub.Close()
		local.Close()
	})
	g.app, err = accounts.CreateApp(b.Context(), account.NewApp{Key: "o#growth", Settings: account.DefaultSettings()})
	g.must(err)
	g.alice, err = accounts.Register(b.Context(), g.app, account.NewUser{Name: "alice"})
	g.must(err)
	for i := range growthConversations {
		peer, err := accounts.Register(b.Context(), g.app, account.NewUser{Name: fmt.Sprint("peer", i)})
		g.must(err)
		g.peers = append(g.peers, peer)
	}
	g.fill(n)

	times := map[string]time.Duration{}
	for name, run := range map[string]func(i int){"catch-up": g.catchUp, "newest-page": g.newestPage, "middle-page": g.middlePage,
		"filtered-page": g.filteredPage, "list": g.list, "search": g.search} {
		run(0) // what is done once, as noting a long count, is not what it costs
		var all []time.Duration
		for i := range growthRuns {
			begun := time.Now()
			run(i)
			all = append(all, time.Since(begun))
		}
		slices.Sort(all)
		times[name] = all[len(all)/10]
	}
	return times
}

// fill stores n messages of alice's peers, a tenth of them hers. Her device has had all but the last ten of each
// conversation.
func (g *growth) fill(n int) {
	ctx, ids := g.Context(), delivery.NewIDs(1, 0)
	now := time.Now().UnixMilli()
	g.middle = int64(n / growthConversations / 2)
	var drafts []store.Draft
	var heads [growthConversations]store.Point
	for i := range n {
		peer := i % growthConversations
		from := g.peers[peer]
		if i%10 == 0 {
			from = g.alice
		}
		text := fmt.Sprintf("message number %d of the growth", i)
		if i >= n-50 {
			text = "a needle " + text
		}
		drafts = append(drafts, store.Draft{Key: store.PairKey(g.app.ID, g.alice.ID, g.peers[peer].ID), ID: ids.Next(), Time: now - int64(n-i),
			Sender: from.ID, Content: store.ContentText, Meta: g.meta(from.Name, text)})
		if len(drafts) == 2000 || i == n-1 {
			results, err := g.store.Append(ctx, drafts)
			g.must(err)
			for j, r := range results {
				g.must(r.Err)
				heads[(i+1-len(drafts)+j)%growthConversations] = store.Point{Timeline: r.Timeline, Seq: r.Seq}
			}
			drafts = drafts[:0]
		}
	}
	var err error
	g.device, err = g.store.OpenDevice(ctx, store.Device{User: g.alice.ID, Resource: "web", Seen: now})
	g.must(err)
	for _, head := range heads {
		g.must(g.store.SaveCursors(ctx, []store.Cursor{{User: g.alice.ID, Device: g.device.ID, Timeline: head.Timeline, Seq: head.Seq - 10}}))
	}
	g.index()
}

// index indexes a tenth of the messages, and the newest.
func (g *growth) index() {
	for {
		entries, progress, err := g.store.Unindexed(g.Context(), 5000)
		g.must(err)
		if len(entries) == 0 {
			return
		}
		var documents []store.Document
		for _, e := range entries {
			if d := g.messages.document(e); e.Seq%10 == 0 || slices.Contains(d.Words, "needle") {
				documents = append(documents, d)
			}
		}
		g.must(g.store.Index(g.Context(), documents, progress))
	}
}

func (g *growth) meta(from, text string) []byte {
	body, err := proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_CHAT, From: &msync.JID{Name: from}, To: &msync.JID{Name: "alice"},
		Contents: []*msync.MessageBody_Content{{Text: text}}})
	g.must(err)
	stored, err := msync.StoredMeta(&msync.Meta{From: &msync.JID{Name: from}, To: &msync.JID{Name: "alice"}, Ns: msync.Meta_CHAT, Payload: body})
	g.must(err)
	return stored
}

// want fails the benchmark if an operation does not do what is measured.
func (g *growth) want(what string, got, want int) {
	g.Helper()
	if got != want {
		g.Fatalf("%s: %d, want %d", what, got, want)
	}
}

// catchUp reads what the device has not had, as a pull does.
func (g *growth) catchUp(int) {
	positions, err := g.store.Positions(g.Context(), g.alice.ID, g.device.ID)
	g.must(err)
	n := 0
	for _, p := range positions {
		if p.Cursor < p.Head {
			entries, err := g.store.ReadTimeline(g.Context(), p.Timeline, p.Cursor, 500, 256<<10)
			g.must(err)
			n += len(entries)
		}
	}
	g.want("entries to catch up with", n, 10*growthConversations)
}

func (g *growth) page(i int, q HistoryQuery, want int) {
	peer := g.peers[i%growthConversations]
	q.Limit = 20
	page, err := g.messages.History(g.Context(), g.app, g.alice, Place{Chat, peer.Name}, q)
	g.must(err)
	g.want("messages in a page", len(page.Messages), want)
}

func (g *growth) newestPage(i int) { g.page(i, HistoryQuery{}, 20) }

func (g *growth) middlePage(i int) { g.page(i, HistoryQuery{Start: g.middle}, 20) }

func (g *growth) filteredPage(i int) {
	g.page(i, HistoryQuery{Contents: store.ContentsOf(store.ContentText), Until: time.Now().UnixMilli(), Forward: true}, 20)
}

func (g *growth) list(int) {
	page, _, err := g.messages.Conversations(g.Context(), g.app, g.alice, ConversationQuery{Mark: -1, Limit: 50})
	g.must(err)
	g.want("conversations", len(page), 50)
	if page[0].Last == nil || page[0].Unread == 0 && page[1].Unread == 0 {
		g.Fatalf("listed is %+v", page[0])
	}
}

func (g *growth) search(int) {
	found, _, err := g.messages.Search(g.Context(), g.app, g.alice, SearchQuery{Text: "needle", Limit: 20})
	g.must(err)
	g.want("messages that are found", len(found), 20)
}
