package storetest

import (
	"sync"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

var receiptTests = []test{
	{"a receipt counts once for each user and message", func(t *testing.T, e *env) {
		users := e.crowd(3)
		message, other := store.Point{Timeline: 7, Seq: 1}, store.Point{Timeline: 7, Seq: 2}
		for i, user := range users {
			for _, news := range []bool{true, false} {
				count, got, err := e.AddReceipt(e.ctx, message, peer(user), start+int64(i))
				e.check("add receipt", err)
				if count != i+1 || got != news {
					t.Errorf("receipt of user %d: %d, news %t", i, count, got)
				}
			}
		}
		if count, news, err := e.AddReceipt(e.ctx, other, peer(users[0]), start); err != nil || count != 1 || !news {
			t.Errorf("receipt of another message: %d, %t, %v", count, news, err)
		}
		var all []store.Reader
		for above := int64(0); ; {
			page, count, err := e.ListReceipts(e.ctx, message, above, 2)
			e.check("list receipts", err)
			if count != 3 {
				t.Errorf("%d receipts in all", count)
			}
			if len(page) == 0 {
				break
			}
			all, above = append(all, page...), page[len(page)-1].Row
		}
		var want []store.Reader
		for i, user := range users {
			want = append(want, store.Reader{Row: all[i].Row, User: peer(user), Time: start + int64(i)})
		}
		same(t, "readers", all, want)
		e.check("drop receipts", e.DropReceipts(e.ctx, message))
		e.check("drop receipts", e.DropReceipts(e.ctx, message))
		none, count, err := e.ListReceipts(e.ctx, message, 0, 10)
		e.check("list receipts", err)
		if len(none) != 0 || count != 0 {
			t.Errorf("after dropping: %v, %d", none, count)
		}
		if _, count, err := e.ListReceipts(e.ctx, other, 0, 10); err != nil || count != 1 {
			t.Errorf("the other message has %d, %v", count, err)
		}
	}},
	{"of receipts at the same time one counts all", func(t *testing.T, e *env) {
		users := e.crowd(12)
		message := store.Point{Timeline: 7, Seq: 1}
		counts := make(chan int, len(users))
		var wg sync.WaitGroup
		for _, user := range users {
			wg.Go(func() {
				count, _, err := e.AddReceipt(e.ctx, message, peer(user), start)
				if err != nil {
					t.Error(err)
				}
				counts <- count
			})
		}
		wg.Wait()
		close(counts)
		most := 0
		for count := range counts {
			most = max(most, count)
		}
		if most != len(users) {
			t.Errorf("the highest count is %d of %d", most, len(users))
		}
	}},
	{"receipts expire with their messages", func(t *testing.T, e *env) {
		app := e.app()
		key := e.group(app)
		line := e.append(store.Draft{Key: key, Time: start - hour, Meta: []byte("old")}, store.Draft{Key: key, Time: start + hour, Meta: []byte("new")})[0].Timeline
		reader := e.crowd(1)[0]
		for seq := int64(1); seq <= 2; seq++ {
			_, _, err := e.AddReceipt(e.ctx, store.Point{Timeline: line, Seq: seq}, peer(reader), start)
			e.check("add receipt", err)
		}
		for pass, removed := 0, 0; removed == 0; pass++ {
			var err error
			if _, removed, err = e.Expire(e.ctx, app.ID, start, 0); err != nil || pass > 10 {
				t.Fatalf("expire: %d passes, %v", pass, err)
			}
			e.commit()
		}
		for seq, want := range map[int64]int{1: 0, 2: 1} {
			if _, count, err := e.ListReceipts(e.ctx, store.Point{Timeline: line, Seq: seq}, 0, 10); err != nil || count != want {
				t.Errorf("message %d has %d receipts, want %d, %v", seq, count, want, err)
			}
		}
	}},
}
