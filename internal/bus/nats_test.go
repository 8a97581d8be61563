package bus_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/bus/bustest"
)

func startServer(t testing.TB, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatalf("start NATS server: %v", err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

func dial(t testing.TB, s *server.Server, handler bus.Handler, reconnected func()) *bus.NATS {
	t.Helper()
	b, err := bus.DialNATS(t.Context(), s.ClientURL(), handler, reconnected, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func network(t *testing.T) bustest.Join {
	s := startServer(t, server.RANDOM_PORT)
	return func(handler bus.Handler) bus.Bus { return dial(t, s, handler, func() {}) }
}

func TestNATSKeepsThePromisesOfABus(t *testing.T)         { bustest.Run(t, network) }
func TestNATSKeepsThePromisesToSeveralNodes(t *testing.T) { bustest.RunNodes(t, network) }

func silent(bus.Subject, []byte) {}

func TestNATSComesBackWhenTheServerDoes(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT)
	port := s.Addr().(*net.TCPAddr).Port
	heard, back := make(chan string, 100), make(chan struct{}, 10)
	a := dial(t, s, func(_ bus.Subject, data []byte) { heard <- string(data) }, func() { back <- struct{}{} })
	bBack := make(chan struct{}, 10)
	b := dial(t, s, silent, func() { bBack <- struct{}{} })
	if err := a.Subscribe(bus.User(1)); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	s.WaitForShutdown()

	// Within a node nothing has changed, and who comes meanwhile is remembered.
	if err := a.Publish(bus.User(1), []byte("own")); err != nil {
		t.Errorf("publish while the server is away: %v", err)
	}
	if got := <-heard; got != "own" {
		t.Errorf("heard %q", got)
	}
	if err := a.Subscribe(bus.User(2)); err != nil {
		t.Errorf("subscribe while the server is away: %v", err)
	}
	if err := a.Unsubscribe(bus.User(1)); err != nil {
		t.Errorf("unsubscribe while the server is away: %v", err)
	}
	// What is sent to others meanwhile is kept as long as there is room, then counted.
	big := make([]byte, 500_000)
	for range 30 {
		if err := b.Publish(bus.User(3), big); err != nil {
			t.Errorf("publish while the server is away: %v", err)
		}
	}
	if n := b.Lost(); n < 5 { // there is room for 16
		t.Errorf("%d of 30 messages are counted as lost", n)
	}

	startServer(t, port)
	for _, c := range []chan struct{}{back, bBack} {
		select {
		case <-c:
		case <-time.After(20 * time.Second):
			t.Fatal("not reconnected")
		}
	}
	for _, id := range []int64{1, 2} {
		if err := b.Publish(bus.User(id), fmt.Append(nil, id)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case got := <-heard:
		if got != "2" {
			t.Errorf("heard %q, want what is for user 2", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing heard after the reconnect")
	}
}

func TestNATSDropsAndCountsWhenTheHandlerIsTooSlow(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT)
	const count = 60_000
	release := make(chan struct{})
	var heard int
	var once sync.Once
	end := make(chan struct{})
	slow := dial(t, s, func(subject bus.Subject, _ []byte) {
		if subject == bus.All {
			return
		}
		<-release
		if heard++; subject == bus.User(2) {
			once.Do(func() { close(end) })
		}
	}, func() {})
	for _, id := range []int64{1, 2} {
		if err := slow.Subscribe(bus.User(id)); err != nil {
			t.Fatal(err)
		}
	}
	ready := make(chan struct{})
	fast := dial(t, s, func(bus.Subject, []byte) { close(ready) }, func() {})
	if err := slow.Publish(bus.All, nil); err != nil {
		t.Fatal(err)
	}
	<-ready
	for range count {
		if err := fast.Publish(bus.User(1), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	// All that does not fit in is dropped; there is no other way to see that the rest has come.
	for deadline := time.Now().Add(20 * time.Second); slow.Lost() < count-1<<15-1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages are counted as dropped", slow.Lost())
		}
	}
	close(release)
	// There is room again when one that says so comes through.
	sent := count
	for deadline := time.After(20 * time.Second); ; {
		if err := fast.Publish(bus.User(2), []byte("end")); err != nil {
			t.Fatal(err)
		}
		sent++
		select {
		case <-end:
		case <-time.After(50 * time.Millisecond):
			continue
		case <-deadline:
			t.Fatal("the handler hears nothing any more")
		}
		break
	}
	slow.Close()
	if lost := slow.Lost(); lost == 0 || heard < 1<<15 {
		t.Errorf("%d heard and %d lost of %d", heard, lost, sent)
	}
}

func TestNATSSubscriptionsCostNoGoroutines(t *testing.T) {
	s := startServer(t, server.RANDOM_PORT)
	b := dial(t, s, silent, func() {})
	before := goleak.IgnoreCurrent()
	for id := range int64(2000) {
		if err := b.Subscribe(bus.User(id)); err != nil {
			t.Fatal(err)
		}
	}
	goleak.VerifyNone(t, before)
}

func TestNATSLeavesNothingBehind(t *testing.T) {
	s := startServer(t, server.RANDOM_PORT)
	before := goleak.IgnoreCurrent()
	b := dial(t, s, silent, func() {})
	if err := b.Subscribe(bus.User(1)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	goleak.VerifyNone(t, before)
}

func TestDialNATSFailsWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT)
	url := s.ClientURL()
	s.Shutdown()
	s.WaitForShutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if b, err := bus.DialNATS(ctx, url, silent, func() {}, slog.New(slog.DiscardHandler)); err == nil {
		b.Close()
		t.Error("there is no server, but no error")
	}
}

func BenchmarkNATS(b *testing.B) {
	s := startServer(b, server.RANDOM_PORT)
	heard := make(chan struct{}, 1<<15)
	receiver := dial(b, s, func(subject bus.Subject, _ []byte) {
		if subject != bus.All {
			heard <- struct{}{}
		}
	}, func() {})
	ready := make(chan struct{})
	sender := dial(b, s, func(bus.Subject, []byte) { close(ready) }, func() {})
	const users = 10_000
	for id := range int64(users) {
		if err := receiver.Subscribe(bus.User(id)); err != nil {
			b.Fatal(err)
		}
	}
	if err := receiver.Publish(bus.All, nil); err != nil {
		b.Fatal(err)
	}
	<-ready
	data := make([]byte, 200)
	b.ReportAllocs()
	under := 0
	for id := int64(0); b.Loop(); id++ {
		if err := sender.Publish(bus.User(id%users), data); err != nil {
			b.Fatal(err)
		}
		if under++; under == 10_000 { // fewer than may wait, so that none is dropped
			<-heard
			under--
		}
	}
	for range under {
		<-heard
	}
}
