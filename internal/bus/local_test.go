package bus_test

import (
	"testing"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/bus/bustest"
)

func TestLocalKeepsThePromisesOfABus(t *testing.T) {
	bustest.Run(t, func(t *testing.T) bustest.Join {
		return func(handler bus.Handler) bus.Bus {
			b := bus.NewLocal(handler)
			t.Cleanup(func() { b.Close() })
			return b
		}
	})
}

func TestLocalHandsDataOverAsItIs(t *testing.T) {
	var got []byte
	b := bus.NewLocal(func(_ bus.Subject, data []byte) { got = data })
	b.Subscribe(bus.User(1))
	data := []byte("x")
	b.Publish(bus.User(1), data)
	if &got[0] != &data[0] {
		t.Error("the data was copied")
	}
	if n := testing.AllocsPerRun(100, func() { b.Publish(bus.User(1), data) }); n != 0 {
		t.Errorf("a message takes %v allocations, want none", n)
	}
}

func BenchmarkLocal(b *testing.B) {
	local := bus.NewLocal(func(bus.Subject, []byte) {})
	const users = 10_000
	for id := range int64(users) {
		local.Subscribe(bus.User(id))
	}
	data := make([]byte, 200)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for id := int64(0); pb.Next(); id++ {
			local.Publish(bus.User(id%users), data)
		}
	})
}
