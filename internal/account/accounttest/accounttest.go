// Package accounttest makes what stands below the services of a node, for their tests.
package accounttest

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/store"
)

// Node is a node without edges and services, with the application acme#demo.
type Node struct {
	Hub      *delivery.Hub
	Bus      bus.Bus
	Delivery *delivery.Service
	Accounts *account.Service
	App      *account.App
	Clock    *clock.Clock
}

// New makes a node over a store that has no application yet. Both are closed when the test has ended, after what the test
// cleans up itself.
func New(t testing.TB, s interface {
	store.Store
	Close() error
}, log *slog.Logger) *Node {
	t.Helper()
	n := &Node{Clock: clock.New()}
	n.Hub = delivery.NewHub(s, n.Clock, log)
	n.Bus = bus.NewLocal(n.Hub.Handle)
	n.Delivery = delivery.New(n.Hub, s, n.Bus, delivery.NewIDs(0, 0), n.Clock, delivery.NewMetrics(prometheus.NewRegistry()), log)
	t.Cleanup(func() {
		n.Delivery.Close()
		for _, err := range []error{n.Hub.Close(), n.Bus.Close(), s.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	var err error
	if n.Accounts, err = account.New(t.Context(), s, n.Delivery, n.Bus, n.Clock, 0, log); err != nil {
		t.Fatal(err)
	}
	if n.App, err = n.Accounts.CreateApp(t.Context(), account.NewApp{Key: "acme#demo", Settings: account.DefaultSettings()}); err != nil {
		t.Fatal(err)
	}
	return n
}
