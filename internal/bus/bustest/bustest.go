// Package bustest is the suite that every implementation of bus.Bus must pass.
package bustest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/bus"
)

// Join makes a node and connects it to the others that it has made.
type Join func(handler bus.Handler) bus.Bus

// Run tests what one node may expect. Each call of network makes a bus of its own for one test; its nodes are closed when
// the test has ended.
func Run(t *testing.T, network func(t *testing.T) Join) { run(t, network, nodeTests) }

// RunNodes tests what several nodes may expect of each other.
func RunNodes(t *testing.T, network func(t *testing.T) Join) { run(t, network, nodesTests) }

type test struct {
	name string
	run  func(t *testing.T, join Join)
}

func run(t *testing.T, network func(t *testing.T) Join, tests []test) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, network(t))
		})
	}
}

// node is a bus with what its handler has heard.
type node struct {
	bus.Bus
	t     *testing.T
	heard chan message
}

type message struct {
	Subject bus.Subject
	Data    string
}

func newNode(t *testing.T, join Join) *node {
	n := &node{t: t, heard: make(chan message, 100_000)}
	n.Bus = join(func(subject bus.Subject, data []byte) { n.heard <- message{subject, string(data)} })
	return n
}

func (n *node) publish(subject bus.Subject, data string) {
	n.t.Helper()
	if err := n.Publish(subject, []byte(data)); err != nil {
		n.t.Fatalf("publish: %v", err)
	}
}

func (n *node) subscribe(subjects ...bus.Subject) {
	n.t.Helper()
	for _, subject := range subjects {
		if err := n.Subscribe(subject); err != nil {
			n.t.Fatalf("subscribe: %v", err)
		}
	}
}

func (n *node) unsubscribe(subject bus.Subject) {
	n.t.Helper()
	if err := n.Unsubscribe(subject); err != nil {
		n.t.Fatalf("unsubscribe: %v", err)
	}
}

// settle returns when the subscriptions of all nodes hold for all nodes: each has heard of each.
func settle(nodes ...*node) {
	for _, n := range nodes {
		n.publish(bus.All, "settle")
	}
	for _, n := range nodes {
		for range nodes {
			n.expect(message{bus.All, "settle"})
		}
	}
}

// expect waits for messages that come next and in that order.
func (n *node) expect(want ...message) {
	n.t.Helper()
	var got []message
	for len(got) < len(want) {
		select {
		case m := <-n.heard:
			got = append(got, m)
		case <-time.After(10 * time.Second):
			n.t.Fatalf("heard %v, then nothing more; want %v", got, want)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		n.t.Fatalf("heard (-want +got):\n%s", diff)
	}
}

var nodeTests = []test{
	{"a node hears what it has subscribed to, before Publish returns", func(t *testing.T, join Join) {
		n := newNode(t, join)
		n.subscribe(bus.User(1), bus.User(2))
		n.publish(bus.User(1), "a")
		n.publish(bus.User(3), "not ours")
		n.publish(bus.User(2), "b")
		if len(n.heard) != 2 {
			t.Errorf("%d messages have come, want 2", len(n.heard))
		}
		n.expect(message{bus.User(1), "a"}, message{bus.User(2), "b"})
	}},
	{"a user and a group of one number are two subjects", func(t *testing.T, join Join) {
		n := newNode(t, join)
		n.subscribe(bus.Muc(1))
		n.publish(bus.User(1), "for the user")
		n.publish(bus.Muc(1), "for the group")
		n.subscribe(bus.User(1))
		n.unsubscribe(bus.Muc(1))
		n.publish(bus.Muc(1), "for the group")
		n.publish(bus.User(1), "for the user")
		n.expect(message{bus.Muc(1), "for the group"}, message{bus.User(1), "for the user"})
	}},
	{"every node hears what is for all, and cannot help it", func(t *testing.T, join Join) {
		n := newNode(t, join)
		n.publish(bus.All, "a")
		n.unsubscribe(bus.All)
		n.publish(bus.All, "b")
		n.subscribe(bus.All)
		n.publish(bus.All, "c")
		n.expect(message{bus.All, "a"}, message{bus.All, "b"}, message{bus.All, "c"})
	}},
	{"a subscription counts once however often it is made", func(t *testing.T, join Join) {
		n := newNode(t, join)
		n.subscribe(bus.User(1), bus.User(1), bus.User(2))
		n.publish(bus.User(1), "once")
		n.unsubscribe(bus.User(1))
		n.unsubscribe(bus.User(1))
		n.publish(bus.User(1), "not ours any more")
		n.publish(bus.User(2), "next")
		n.subscribe(bus.User(1))
		n.publish(bus.User(1), "again")
		n.expect(message{bus.User(1), "once"}, message{bus.User(2), "next"}, message{bus.User(1), "again"})
	}},
	{"data comes as it was, whatever it is", func(t *testing.T, join Join) {
		n := newNode(t, join)
		ids := []int64{0, 1, 10, 42, 420, math.MaxInt64, -1, math.MinInt64}
		for _, id := range ids {
			n.subscribe(bus.User(id))
		}
		for _, data := range []string{"", "\x00", "\r\n", "PUB stoa.u.1 1\r\nx\r\n", "\xff\xfe", string(bytes.Repeat([]byte{7}, 300_000))} {
			for _, id := range ids {
				n.publish(bus.User(id), data)
				n.expect(message{bus.User(id), data})
			}
		}
	}},
	{"the handler may publish", func(t *testing.T, join Join) {
		heard := make(chan message, 10)
		var n bus.Bus
		n = join(func(subject bus.Subject, data []byte) {
			heard <- message{subject, string(data)}
			if subject == bus.User(1) {
				if err := n.Publish(bus.User(2), append([]byte("re: "), data...)); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
		for _, id := range []int64{1, 2} {
			if err := n.Subscribe(bus.User(id)); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Publish(bus.User(1), []byte("a")); err != nil {
			t.Fatal(err)
		}
		got := []message{<-heard, <-heard}
		if diff := cmp.Diff([]message{{bus.User(1), "a"}, {bus.User(2), "re: a"}}, got); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	}},
	{"many goroutines may use it at once", func(t *testing.T, join Join) {
		n := newNode(t, join)
		const workers, rounds = 8, 50
		var wg sync.WaitGroup
		for worker := range int64(workers) {
			wg.Go(func() {
				for round := range int64(rounds) {
					subject, common := bus.User(worker*1000+round), bus.User(1_000_000+round)
					if err := errors.Join(n.Subscribe(subject), n.Subscribe(common), n.Publish(subject, []byte("x")),
						n.Unsubscribe(subject), n.Publish(subject, []byte("late")), n.Unsubscribe(common)); err != nil {
						t.Errorf("worker %d: %v", worker, err)
					}
				}
			})
		}
		wg.Wait()
		counts := make(map[message]int)
		for range workers * rounds {
			counts[<-n.heard]++
		}
		if len(n.heard) != 0 || len(counts) != workers*rounds {
			t.Errorf("heard %d different messages and %d more, want %d", len(counts), len(n.heard), workers*rounds)
		}
	}},
	{"a closed bus does nothing", func(t *testing.T, join Join) {
		n := newNode(t, join)
		n.subscribe(bus.User(1))
		for range 2 {
			if err := n.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		for name, err := range map[string]error{
			"publish": n.Publish(bus.User(1), nil), "subscribe": n.Subscribe(bus.User(2)),
			"unsubscribe": n.Unsubscribe(bus.User(1)), "publish to all": n.Publish(bus.All, nil), "settle": n.Settle(t.Context()),
		} {
			if !errors.Is(err, bus.ErrClosed) {
				t.Errorf("%s: error is %v, want ErrClosed", name, err)
			}
		}
		if len(n.heard) != 0 {
			t.Error("the handler was called")
		}
	}},
}

var nodesTests = []test{
	{"a message comes to the nodes that have subscribed, and once", func(t *testing.T, join Join) {
		a, b, c := newNode(t, join), newNode(t, join), newNode(t, join)
		a.subscribe(bus.User(1))
		b.subscribe(bus.User(1), bus.User(1), bus.User(2))
		c.subscribe(bus.User(2))
		settle(a, b, c)
		a.publish(bus.User(1), "one")
		a.publish(bus.User(2), "two")
		a.publish(bus.User(3), "nobody's")
		a.publish(bus.All, "end") // all of them hear it, after the others
		a.expect(message{bus.User(1), "one"}, message{bus.All, "end"})
		b.expect(message{bus.User(1), "one"}, message{bus.User(2), "two"}, message{bus.All, "end"})
		c.expect(message{bus.User(2), "two"}, message{bus.All, "end"})
	}},
	{"a subscription holds for those who have heard from the subscriber since", func(t *testing.T, join Join) {
		a, b := newNode(t, join), newNode(t, join)
		for id := range int64(200) {
			b.subscribe(bus.User(id))
			b.publish(bus.All, "ready")
			a.expect(message{bus.All, "ready"})
			b.expect(message{bus.All, "ready"})
			a.publish(bus.User(id), "x")
			b.expect(message{bus.User(id), "x"})
		}
	}},
	{"a subscription holds once it has settled", func(t *testing.T, join Join) {
		a, b := newNode(t, join), newNode(t, join)
		for id := range int64(200) {
			b.subscribe(bus.Muc(id))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			err := b.Settle(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			a.publish(bus.Muc(id), "x")
			b.expect(message{bus.Muc(id), "x"})
		}
	}},
	{"what is unsubscribed does not come any more", func(t *testing.T, join Join) {
		a, b := newNode(t, join), newNode(t, join)
		b.subscribe(bus.User(1), bus.User(2))
		settle(a, b)
		a.publish(bus.User(1), "one")
		b.expect(message{bus.User(1), "one"})
		b.unsubscribe(bus.User(1))
		a.publish(bus.User(1), "late")
		a.publish(bus.User(2), "two")
		b.expect(message{bus.User(2), "two"})
	}},
	{"what a goroutine publishes to a subject comes in order", func(t *testing.T, join Join) {
		const writers, count = 4, 2000
		nodes := []*node{newNode(t, join), newNode(t, join), newNode(t, join)}
		subjects := []bus.Subject{bus.User(1), bus.User(2), bus.All}
		for _, n := range nodes {
			n.subscribe(subjects...)
		}
		settle(nodes...)
		var wg sync.WaitGroup
		for writer := range writers {
			wg.Go(func() {
				for i := range count {
					data := binary.BigEndian.AppendUint32([]byte{byte(writer)}, uint32(i))
					if err := nodes[writer%2].Publish(subjects[i%len(subjects)], data); err != nil {
						t.Errorf("publish: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		for i, n := range nodes {
			last := make(map[string]int)
			for range writers * count {
				var m message
				select {
				case m = <-n.heard:
				case <-time.After(10 * time.Second):
					t.Fatalf("node %d has not heard all", i)
				}
				line := fmt.Sprint(m.Subject, m.Data[0])
				number := int(binary.BigEndian.Uint32([]byte(m.Data[1:]))) + 1
				if number <= last[line] {
					t.Fatalf("node %d heard %d after %d on %s", i, number, last[line], line)
				}
				last[line] = number
			}
		}
	}},
	{"nodes may come and go", func(t *testing.T, join Join) {
		a, b := newNode(t, join), newNode(t, join)
		a.subscribe(bus.User(1))
		settle(a, b)
		b.publish(bus.User(1), "from b")
		if err := b.Close(); err != nil { // sends what is under way
			t.Fatal(err)
		}
		a.expect(message{bus.User(1), "from b"})
		c := newNode(t, join)
		c.subscribe(bus.User(1))
		settle(a, c)
		a.publish(bus.User(1), "from a")
		c.expect(message{bus.User(1), "from a"})
		a.expect(message{bus.User(1), "from a"})
	}},
	{"data that the handler keeps stays as it is", func(t *testing.T, join Join) {
		const count = 2000
		var kept [][]byte
		ready, done := make(chan struct{}), make(chan struct{})
		b := join(func(subject bus.Subject, data []byte) {
			if subject == bus.All {
				close(ready)
			} else if kept = append(kept, data); len(kept) == count {
				close(done)
			}
		})
		a := newNode(t, join)
		if err := b.Subscribe(bus.User(1)); err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(bus.All, nil); err != nil {
			t.Fatal(err)
		}
		a.expect(message{Subject: bus.All})
		<-ready
		for i := range count {
			a.publish(bus.User(1), fmt.Sprintf("message %d", i))
		}
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("not all have come")
		}
		for i, data := range kept {
			if want := fmt.Sprintf("message %d", i); !slices.Equal(data, []byte(want)) {
				t.Fatalf("message %d is %q", i, data)
			}
		}
	}},
}
