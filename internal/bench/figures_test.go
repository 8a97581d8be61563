package bench

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// These are the figures of the server as a whole, taken from its own metrics: run them with -benchtime 1x.

func stoaTarget(b *testing.B) Target {
	b.Helper()
	binary := stoaBinary()
	if _, err := os.Stat(binary); err != nil {
		b.Skipf("no server to measure: %v; run make build", err)
	}
	return Target{URL: startStoa(b, binary), App: "stoa#demo", ClientID: "stoa-demo-id", ClientSecret: "stoa-demo-secret"}
}

func serverUsage(b *testing.B, t Target) usage {
	b.Helper()
	u, err := metricsUsage(b.Context(), t.URL+"/metrics")
	if err != nil {
		b.Fatal(err)
	}
	return u
}

// BenchmarkIdle5000 signs 5,000 users in and tells the server's memory for each and the CPU time of the logins.
func BenchmarkIdle5000(b *testing.B) {
	const users = 5000
	for b.Loop() {
		b.StopTimer()
		target := stoaTarget(b)
		before := serverUsage(b, target)
		b.StartTimer()
		crowd, err := Idle(b.Context(), target, users)
		if err != nil {
			b.Fatal(err)
		}
		after := serverUsage(b, target)
		if n := crowd.Online(); n != users {
			b.Fatalf("%d of %d users are online", n, users)
		}
		b.ReportMetric(float64(after.rss-before.rss)/users/1024, "KiB/conn")
		b.ReportMetric(users/(after.cpu-before.cpu).Seconds(), "registrations+logins/server-cpu-s")
		crowd.Close()
	}
}

// taker counts what a session gets.
type taker struct {
	idle
	got  atomic.Int64
	want int64
	all  chan struct{}
}

func (t *taker) received(uint64, []byte) {
	if t.got.Add(1) == t.want {
		close(t.all)
	}
}

// asker counts answers.
type asker struct {
	idle
	sent    int
	open    chan struct{} // one for each message without an answer
	refused atomic.Int64
}

func (a *asker) answered(number, code uint64, _ []byte) {
	if number > uint64(a.sent) {
		return // the report after the sign-in
	}
	if code != 0 {
		a.refused.Add(1)
	}
	<-a.open
}

// BenchmarkCatchUp10000 has 10,000 messages wait for a user and measures from the sign-in to the last of them.
func BenchmarkCatchUp10000(b *testing.B) {
	const messages = 10_000
	target := stoaTarget(b)
	ctx := b.Context()
	crowd, err := Idle(ctx, target, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer crowd.Close()
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		name := crowd.name("c", round)
		receiver := register(b, ctx, crowd, name)
		fillQueue(b, ctx, crowd, crowd.name("s", round), name, messages)
		before := serverUsage(b, target)
		t := &taker{want: messages, all: make(chan struct{})}
		b.StartTimer()
		began := time.Now()
		if _, err := crowd.login(ctx, name, receiver, t); err != nil {
			b.Fatal(err)
		}
		select {
		case <-t.all:
		case <-time.After(time.Minute):
			b.Fatalf("%d of %d messages arrived", t.got.Load(), messages)
		}
		took := time.Since(began)
		cpu := serverUsage(b, target).cpu - before.cpu
		b.ReportMetric(messages/took.Seconds(), "messages/s")
		b.ReportMetric(messages/cpu.Seconds(), "messages/server-cpu-s")
	}
}

func register(b *testing.B, ctx context.Context, c *Crowd, name string) string {
	b.Helper()
	token, err := c.register(ctx, name)
	if err != nil {
		b.Fatal(err)
	}
	return token
}

// fillQueue sends messages to a user who is away, and waits until all are acknowledged.
func fillQueue(b *testing.B, ctx context.Context, c *Crowd, from, to string, n int) {
	b.Helper()
	a := &asker{sent: n, open: make(chan struct{}, 256)}
	s, err := c.login(ctx, from, register(b, ctx, c, from), a)
	if err != nil {
		b.Fatal(err)
	}
	text := []byte(strings.Repeat("x", 200))
	for i := range n {
		a.open <- struct{}{}
		s.conn.queue(opBinary, newTextMessage(bodySingle, c.target.App, from, to, s.base+uint64(i)+1, text).frame)
		if err := s.conn.flush(); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(a.open) {
		select {
		case a.open <- struct{}{}:
		case <-time.After(time.Minute):
			b.Fatal("messages were not acknowledged")
		}
	}
	if refused := a.refused.Load(); refused > 0 {
		b.Fatalf("%d messages were refused", refused)
	}
}
