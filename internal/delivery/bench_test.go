package delivery

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// drainSink is an edge that takes everything at once.
type drainSink struct{}

func (drainSink) Queue([]byte, bool) bool { return true }
func (drainSink) Flush()                  {}
func (drainSink) Kick(Kick)               {}
func (drainSink) Extend(int64)            {}

func (w *world) storedText() []byte {
	w.Helper()
	stored, err := msync.StoredMeta(&msync.Meta{Ns: msync.Meta_CHAT, Payload: make([]byte, 250)})
	if err != nil {
		w.Fatal(err)
	}
	return stored
}

// BenchmarkPost measures the way of a one-to-one message below the gateway, with 256 on their way: to the disk, to the
// receiver's session and back as an acknowledgement.
func BenchmarkPost(b *testing.B) {
	w := newWorld(b)
	const pairs = 64
	for i := range int64(pairs) {
		s, err := w.hub.Open(Identity{Session: i + 1, User: 2*i + 2, Device: i + 1, Name: "name", Alias: "name"}, drainSink{})
		if err != nil {
			b.Fatal(err)
		}
		w.unread(s)
	}
	stored := w.storedText()
	open := make(chan struct{}, 256)
	var all sync.WaitGroup
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		open <- struct{}{}
		all.Add(1)
		n++
		from := 2*(n%pairs) + 1
		w.service.Append(Post{Key: store.PairKey(1, from, from+1), Sender: from, Device: 100 + from, ClientID: uint64(n),
			Content: store.ContentText, Meta: stored, Done: func(r Result) {
				if r.Err != nil {
					b.Error(r.Err)
				}
				<-open
				all.Done()
			}})
	}
	all.Wait()
}

// BenchmarkFanOut measures what a message costs for each of the sessions in a room.
func BenchmarkFanOut(b *testing.B) {
	for _, size := range []int{10, 1000} {
		b.Run(fmt.Sprintf("sessions=%d", size), func(b *testing.B) {
			w := newWorld(b)
			const room = 77
			for i := range int64(size) {
				s, err := w.hub.Open(Identity{Session: i + 1, User: i + 1, Device: i + 1, Name: "name", Alias: "name"}, drainSink{})
				if err != nil {
					b.Fatal(err)
				}
				w.unread(s)
				s.Enter(room)
			}
			stored := w.storedText()
			b.ReportAllocs()
			for b.Loop() {
				w.service.PushMuc(room, stored, 0, store.Audience{})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/session")
		})
	}
}
