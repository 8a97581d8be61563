package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

// BenchmarkAppend measures how fast an empty store appends entries of 200 bytes with a client id to 100 timelines: in
// batches of 128, and one at a time by many callers at once, whose drafts must be gathered to be fast.
func BenchmarkAppend(b *testing.B, s store.Store) {
	ctx := b.Context()
	app, err := s.CreateApp(ctx, store.App{
		Org: "org", Name: "bench", UUID: "bench", AgoraID: fmt.Sprintf("%032x", 1), ClientID: "bench",
		SigningKey: []byte("key"), Settings: []byte("{}"), Created: start,
	})
	if err != nil {
		b.Fatal(err)
	}
	var ids [101]int64
	for i := range ids {
		user, err := s.CreateUser(ctx, store.User{App: app.ID, Name: fmt.Sprint("user", i), UUID: fmt.Sprint(i)})
		if err != nil {
			b.Fatal(err)
		}
		ids[i] = user.ID
	}
	meta := make([]byte, 200)
	var last atomic.Int64
	draft := func() store.Draft {
		id := last.Add(1)
		to := ids[1+id%100]
		return store.Draft{
			Key: store.PairKey(app.ID, ids[0], to), ID: id, Time: start, Sender: ids[0], Device: 1, ClientID: uint64(id), Meta: meta,
		}
	}
	appendAll := func(b *testing.B, drafts []store.Draft) {
		results, err := s.Append(context.Background(), drafts)
		if err != nil {
			b.Error(err)
			return
		}
		for _, r := range results {
			if r.Err != nil || r.Repeated {
				b.Errorf("result is %+v", r)
			}
		}
	}
	b.Run("batches of 128", func(b *testing.B) {
		b.ReportAllocs()
		drafts := make([]store.Draft, 128)
		for b.Loop() {
			for i := range drafts {
				drafts[i] = draft()
			}
			appendAll(b, drafts)
		}
		report(b, int64(b.N)*int64(len(drafts)))
	})
	b.Run("256 callers", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(128) // times GOMAXPROCS, 2 where these figures are read
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				appendAll(b, []store.Draft{draft()})
			}
		})
		report(b, int64(b.N))
	})
	b.Run("1 caller", func(b *testing.B) {
		for b.Loop() {
			appendAll(b, []store.Draft{draft()})
		}
		report(b, int64(b.N))
	})
}

func report(b *testing.B, rows int64) {
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}
