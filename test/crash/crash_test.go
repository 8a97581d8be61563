// Package crash_test ends the server's program under load again and again, and looks for what was lost or doubled.
//
// A killed process is not a power cut: what the kernel has taken for the disk survives. That a commit has reached the disk
// before the acknowledgement is a matter of the store's settings, and of its own tests.
package crash_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/test/internal/node"
)

const (
	senders   = 20
	receivers = 5
	away      = 2 // of the receivers: they sign in for the first time when all is over
	window    = 4 // unanswered messages of a sender
	patience  = 20 * time.Second
	grace     = 10 * time.Second // for a server that is asked to stop
)

func TestNothingAcknowledgedIsLostOrDoubledWhenTheServerIsKilledUnderLoad(t *testing.T) {
	run(t, 20, func(n *node.Node) error {
		n.Kill()
		return nil
	})
}

func TestNothingAcknowledgedIsLostOrDoubledWhenTheServerIsStoppedUnderLoad(t *testing.T) {
	run(t, 6, func(n *node.Node) error { return n.Stop(grace) })
}

// run ends and restarts the server under load, and compares what was sent with what came.
func run(t *testing.T, rounds int, end func(*node.Node) error) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	program, err := node.Program(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	var server *node.Node
	var where place
	start := func() {
		t.Helper()
		var err error
		if server, err = node.Start(program, nil, "dev", "--listen", "127.0.0.1:0", "--data", data); err != nil {
			t.Fatal(err)
		}
		where.move(server.Socket())
	}
	start()
	t.Cleanup(func() { server.Kill() })

	var accepted atomic.Int64
	stop := make(chan struct{})
	writers, readers := crowd(ctx, t, server, &where)
	var sending, receiving errgroup.Group
	for _, s := range writers {
		s.total, s.stop = &accepted, stop
		sending.Go(func() error { return s.run(ctx, s.work) })
	}
	online, goOffline := context.WithCancel(ctx)
	defer goOffline()
	for _, r := range readers[:receivers-away] {
		receiving.Go(func() error { return r.run(online, r.work) })
	}

	for round := range rounds {
		// Now and then at once, while clients are still coming back.
		await(ctx, t, &accepted, accepted.Load()+rand.Int64N(4000)*int64(min(round%4, 1)))
		if err := end(server); err != nil {
			t.Fatalf("round %d: %v; it wrote:\n%s", round, err, server.Output())
		}
		start()
	}
	await(ctx, t, &accepted, accepted.Load()+500)
	close(stop)
	if err := sending.Wait(); err != nil {
		t.Fatalf("senders: %v; the server wrote:\n%s", err, server.Output())
	}

	expected := make([]int, receivers)
	resent := 0
	for _, s := range writers {
		resent += s.resent
		for i, numbers := range s.accepted {
			expected[i] += len(numbers)
		}
	}
	t.Logf("%d messages, %d sent again", accepted.Load(), resent)
	if resent == 0 {
		t.Error("no server was ended while it had something to do")
	}
	for i, r := range readers[:receivers-away] {
		if !r.await(expected[i]) {
			t.Errorf("%s has received %d messages of %d", r.user, r.count(), expected[i])
		}
	}
	for _, r := range readers[receivers-away:] {
		r.device = "first_device"
		if err := r.run(ctx, func(l *link) error {
			return follow(l, true, func(meta *msync.Meta) error { return note(r.got, meta) })
		}); err != nil {
			t.Fatal(err)
		}
	}
	goOffline()
	receiving.Wait() // all of them end with the context
	for i, r := range readers {
		t.Logf("%s was given again what was up to %d messages back", r.user, r.back)
		want := map[string][]delivered{}
		for _, s := range writers {
			for number, id := range s.accepted[i] {
				want[s.user] = append(want[s.user], delivered{id, number})
			}
		}
		if diff := cmp.Diff(want, r.got, cmp.AllowUnexported(delivered{})); diff != "" {
			t.Errorf("%s: not each message once and in order (-sent +received):\n%s", r.user, shorten(diff))
		}
	}
	if err := server.Stop(grace); err != nil {
		t.Errorf("%v; it wrote:\n%s", err, server.Output())
	}
}

func crowd(ctx context.Context, t *testing.T, server *node.Node, where *place) (writers []*sender, readers []*receiver) {
	t.Helper()
	proof, err := node.DevApp.Token(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	register := func(name string) client {
		token, err := node.DevApp.UserToken(ctx, server, proof, name)
		if err != nil {
			t.Fatal(err)
		}
		return client{user: name, device: "device_of_" + name, token: token, place: where}
	}
	var names []string
	for i := range receivers {
		readers = append(readers, newReceiver(register(fmt.Sprintf("receiver%d", i))))
		names = append(names, readers[i].user)
	}
	for i := range senders {
		writers = append(writers, &sender{client: register(fmt.Sprintf("sender%d", i)), receivers: names, window: window, accepted: make([][]uint64, receivers)})
	}
	return writers, readers
}

// await polls until so many messages have been accepted.
func await(ctx context.Context, t *testing.T, accepted *atomic.Int64, goal int64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for accepted.Load() < goal {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-late:
			t.Fatalf("%d messages are accepted, and not %d, after %v", accepted.Load(), goal, patience)
		}
	}
}

func shorten(text string) string {
	const enough = 3000
	if len(text) > enough {
		return text[:enough] + "…"
	}
	return text
}
