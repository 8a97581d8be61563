// Package budget_test holds the server's program to what it may spend: memory and goroutines for a session that rests,
// allocations for a message and for a delivery, commits for a thousand messages. They are counts, which do not depend on
// how fast or how busy the machine is; what depends on it a little, because batches do, has room. A change that makes one
// of them fail costs every user of the server; a change that earns room should lower the limit.
package budget_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/internal/bench"
	"github.com/stoa-chat/stoa/test/internal/node"
)

// The limits. What was measured when a limit was set stands behind it.
const (
	liveBytesPerSession  = 8.5 * 1024 // 5.0 to 5.6 KiB at rest; 7.1 if the goroutine that waits was given a stack of 4 KiB
	goroutinesPerSession = 1.05       // 1.00: the reader
	allocsPerMessage     = 75         // 45 to 50, at 800 in flight: sending, storing, delivering, the receiver's acknowledgement
	commitsPer1KMessages = 12         // 3, at 800 in flight
	allocsPerDelivery    = 5          // 1.0 to 3.5, in a group of 200 with ten senders
	allocsPerRoomMember  = 3          // 1.4, in a room of 200 with one sender: nobody acknowledges
)

func program(t *testing.T) string {
	t.Helper()
	path, err := node.Program(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// load is a short load on a development server.
func load(t *testing.T) bench.Load {
	t.Helper()
	n, err := node.Start(program(t), nil, "dev", "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Stop(20 * time.Second) })
	app := node.DevApp
	return bench.Load{URL: n.URL, App: app.Key, ClientID: app.ClientID, ClientSecret: app.ClientSecret, Body: 200,
		Duration: 2 * time.Second, Warmup: 500 * time.Millisecond}
}

// within fails if a figure is above its limit, or if nothing was measured.
func within(t *testing.T, what string, got, limit float64) {
	t.Helper()
	t.Logf("%s: %.2f, at most %.2f", what, got, limit)
	if got <= 0 {
		t.Errorf("%s was not measured", what)
	}
	if got > limit {
		t.Errorf("%s: %.2f, which is more than %.2f", what, got, limit)
	}
}

func measure(t *testing.T, run func(context.Context) (*bench.Result, error)) *bench.Result {
	t.Helper()
	r, err := run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAMessageStaysInItsBudget(t *testing.T) {
	r := measure(t, (&bench.Direct{Load: load(t), Pairs: 50, InFlight: 16}).Run)
	within(t, "allocations for a one-to-one message", r.AllocsPerAcked, allocsPerMessage)
	within(t, "commits for 1,000 messages", r.CommitsPer1KAcked, commitsPer1KMessages)
}

func TestADeliveryStaysInItsBudget(t *testing.T) {
	load := load(t)
	r := measure(t, (&bench.Group{Fanout: bench.Fanout{Load: load, Senders: 10, InFlight: 4}, Members: 200}).Run)
	within(t, "allocations for a delivery in a group", r.AllocsPerDelivered, allocsPerDelivery)
	r = measure(t, (&bench.Room{Fanout: bench.Fanout{Load: load, Senders: 1, InFlight: 4}, Members: 200}).Run)
	within(t, "allocations for a delivery in a room", r.AllocsPerDelivered, allocsPerRoomMember)
}

func TestARestingSessionStaysInItsBudget(t *testing.T) {
	admin := freeAddress(t)
	n, err := node.Start(program(t), nil, "serve", "--listen", "127.0.0.1:0", "--admin-listen", admin, "--data", t.TempDir(), "--log-level", "warn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Stop(20 * time.Second) })
	app, ok := node.ParseApp(n.Output())
	if !ok {
		t.Fatalf("the first start printed no credentials:\n%s", n.Output())
	}
	r := measure(t, (&bench.Rest{Users: 500, Load: bench.Load{URL: n.URL, Admin: "http://" + admin, App: app.Key, ClientID: app.ClientID,
		ClientSecret: app.ClientSecret, Body: 200, Duration: 4 * time.Second}}).Run)
	within(t, "bytes of heap and stacks for a session", r.LiveBytesPerConnection, liveBytesPerSession)
	within(t, "goroutines for a session", r.GoroutinesPerConnection, goroutinesPerSession)
}

// freeAddress is one that nobody listens on at the moment: the program does not tell the address that it takes for its
// metrics.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
