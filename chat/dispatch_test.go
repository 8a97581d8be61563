package chat

import (
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stoa-chat/stoa/errcode"
)

func newDispatcher() *dispatcher {
	return &dispatcher{log: slog.New(slog.DiscardHandler), limit: 10}
}

func TestListenersAreCalledInOrderOfTheirIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		var calls []string
		listener := func(name string) Listener {
			return Listener{OnConnected: func() { calls = append(calls, name) }}
		}
		d.add("a", listener("a"))
		d.add("b", listener("b"))
		d.add("none", Listener{})
		d.add("c", listener("c"))
		d.add("a", listener("a2"))
		d.remove("b")
		d.remove("unknown")
		d.connected()
		synctest.Wait()
		if want := []string{"a2", "c"}; !slices.Equal(calls, want) {
			t.Errorf("calls are %v, want %v", calls, want)
		}
	})
}

func TestListenersMayChangeListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		calls := 0
		d.add("once", Listener{OnConnected: func() {
			calls++
			d.remove("once")
			d.add("next", Listener{OnConnected: func() { calls += 10 }})
		}})
		d.connected()
		d.connected()
		synctest.Wait()
		if calls != 11 {
			t.Errorf("calls add up to %d, want 11", calls)
		}
	})
}

func TestPanicsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		cause := errors.New("inner")
		var got []*Error
		reached := false
		d.add("bad", Listener{OnConnected: func() { panic(cause) }, OnError: func(e *Error) { panic("again") }})
		d.add("good", Listener{OnConnected: func() { reached = true }, OnError: func(e *Error) { got = append(got, e) }})
		d.connected()
		synctest.Wait()
		if !reached {
			t.Error("the other listener was not called")
		}
		if len(got) != 1 || got[0].Code != errcode.CallbackPanic || !errors.Is(got[0], cause) || !strings.Contains(got[0].Message, "bad.OnConnected") {
			t.Errorf("reported: %v", got)
		}
	})
}

func TestGoexitInACallbackDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		calls := 0
		d.add("x", Listener{OnConnected: func() {
			if calls++; calls == 1 {
				runtime.Goexit()
			}
		}})
		d.connected()
		d.connected()
		synctest.Wait()
		if calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}

func TestReceivedItemsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		release := make(chan struct{})
		ran := 0
		d.post(func() { <-release })
		synctest.Wait()
		offer := func(n int) bool { return d.offer(n, func() { ran += n }) }
		if !offer(11) { // more than the limit, but nothing waits
			t.Error("the first offer is refused")
		}
		if offer(1) {
			t.Error("an offer above the limit is taken")
		}
		d.post(func() { ran += 100 })
		close(release)
		synctest.Wait()
		if ran != 111 {
			t.Errorf("ran %d, want 111", ran)
		}
		if !offer(10) {
			t.Error("an offer to the empty queue is refused")
		}
		synctest.Wait()
	})
}
