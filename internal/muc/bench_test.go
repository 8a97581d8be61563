package muc

import (
	"fmt"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

// BenchmarkGroup shows that what is done to one member costs the same in a small group as in a large one.
func BenchmarkGroup(b *testing.B) {
	w := newWorld(b)
	owner := w.user("owner")
	const most = 4999 // with the owner and the one who comes and goes as many as an app allows
	names := make([]string, most-1)
	work := make(chan string)
	done := make(chan error)
	for range 64 { // they share commits
		go func() {
			var err error
			for name := range work {
				if _, failed := w.accounts.RegisterHashed(b.Context(), w.app, account.NewUser{Name: name}, ""); failed != nil {
					err = failed
				}
			}
			done <- err
		}()
	}
	for i := range names {
		names[i] = fmt.Sprint("u", i)
		work <- names[i]
	}
	close(work)
	for range 64 {
		w.must(<-done)
	}
	last := w.user("last")
	for _, size := range []int{10, 500, most - 1} {
		g := w.group(owner, Options{Title: "g", MaxUsers: most + 1})
		began := time.Now()
		_, err := w.AddMembers(b.Context(), Backend(w.app), store.MucGroup, g.Name, names[:size-1])
		w.must(err)
		took := time.Since(began)
		middle := []string{names[(size-1)/2]}
		ctx := b.Context()
		for _, bench := range []struct {
			name string
			do   func() error
		}{
			{"mute", func() error {
				_, err := w.Mute(ctx, owner, store.MucGroup, g.Name, middle, time.Hour)
				return err
			}},
			{"page", func() error {
				_, _, err := w.Members(ctx, owner, store.MucGroup, g.Name, MembersQuery{Limit: 50})
				return err
			}},
			{"join and leave", func() error {
				if _, err := w.AddMembers(ctx, Backend(w.app), store.MucGroup, g.Name, []string{"last"}); err != nil {
					return err
				}
				_, err := w.Leave(ctx, last, store.MucGroup, g.Name)
				return err
			}},
			{"may send", func() error {
				_, err := w.MaySend(ctx, w.app, owner.User, g.Name)
				return err
			}},
		} {
			b.Run(fmt.Sprintf("%s/members=%d", bench.name, size), func(b *testing.B) {
				for b.Loop() {
					w.must(bench.do())
				}
				if bench.name == "join and leave" {
					b.ReportMetric(float64(took.Microseconds())/float64(size), "µs/added-member")
				}
			})
		}
	}
}
