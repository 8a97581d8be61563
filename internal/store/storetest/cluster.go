package storetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

// renew returns whether the lease is still ours.
func (e *env) renew(lease store.Lease, now, until int64) bool {
	e.Helper()
	err := e.RenewNode(e.ctx, lease, now, until)
	if err != nil && !errors.Is(err, store.ErrLeaseLost) {
		e.Fatalf("renew node: %v", err)
	}
	return err == nil
}

func (e *env) leave(lease store.Lease) {
	e.Helper()
	e.check("leave cluster", e.LeaveCluster(e.ctx, lease))
}

// several skips a test for engines that serve one node and have one number to give.
func (e *env) several(t *testing.T) {
	t.Helper()
	one, two := e.join(start-hour, start-hour+1), e.join(start-hour, start-hour+1)
	if one.Node == two.Node {
		t.Skip("the engine serves one node")
	}
	e.leave(one)
	e.leave(two)
}

var clusterTests = []test{
	{"a lease can be renewed", func(t *testing.T, e *env) {
		lease := e.join(start, start+1000)
		if lease.Node < 0 || lease.Node > 1023 {
			t.Errorf("node number is %d, want 0 to 1023", lease.Node)
		}
		for i := range int64(3) {
			if !e.renew(lease, start+i*500, start+i*500+1000) {
				t.Fatal("the lease is lost")
			}
		}
	}},
	{"no two nodes have the same number at once", func(t *testing.T, e *env) {
		e.several(t)
		leases := make([]store.Lease, 6)
		var wg sync.WaitGroup
		for i := range leases {
			wg.Go(func() {
				lease, err := e.JoinCluster(e.ctx, start, start+1000)
				if err != nil {
					t.Errorf("join cluster: %v", err)
				}
				leases[i] = lease
			})
		}
		wg.Wait()
		alive := make(map[int]bool)
		tokens := make(map[string]bool)
		for _, lease := range leases {
			if lease.Token == "" || tokens[lease.Token] {
				t.Errorf("the token %q is not a lease's own", lease.Token)
			}
			tokens[lease.Token] = true
			if !e.renew(lease, start+10, start+1000) {
				t.Errorf("the lease of node %d is lost", lease.Node)
			}
			if alive[lease.Node] {
				t.Errorf("two nodes have number %d", lease.Node)
			}
			alive[lease.Node] = true
		}
	}},
	{"a lease is lost when the number has gone to another node", func(t *testing.T, e *env) {
		e.several(t)
		old := e.join(start, start+1000)
		taker := e.join(start+2000, start+3000)
		for taker.Node != old.Node { // an engine may give numbers that were never used first
			taker = e.join(start+2000, start+3000)
		}
		if e.renew(old, start+2100, start+3100) {
			t.Error("the number has gone to another node, but the old lease was renewed")
		}
		e.leave(old)
		if !e.renew(taker, start+2200, start+3200) {
			t.Error("leaving with a lost lease has taken the number from its new holder")
		}
	}},
	{"a lease that was given back cannot be renewed", func(t *testing.T, e *env) {
		e.several(t)
		lease := e.join(start, start+1000)
		e.leave(lease)
		if e.renew(lease, start+1, start+1001) {
			t.Error("the lease was renewed")
		}
		e.leave(lease)
	}},
	{"a forged token renews nothing", func(t *testing.T, e *env) {
		e.several(t)
		lease := e.join(start, start+1000)
		forged := lease
		forged.Token += "x"
		if e.renew(forged, start+1, start+1001) {
			t.Error("the lease was renewed with another token")
		}
		e.leave(forged)
		if !e.renew(lease, start+1, start+1001) {
			t.Error("leaving with a forged token has ended the lease")
		}
	}},
	{"ids are never made twice, also when the clock goes back", func(t *testing.T, e *env) {
		// Each step is a node that comes, perhaps renews, and leaves or crashes. Its ids begin at the floor or the clock,
		// whichever is later, and may have come as far as time does in its lease.
		reserved := make(map[int]int64)
		for i, step := range []struct {
			now, until int64
			renew      []int64 // later ends of the lease
			crash      bool
		}{
			{now: start, until: start + 1000},
			{now: start + 10, until: start + 1010},
			{now: start + 2000, until: start + 3000, renew: []int64{start + 3500, start + 9000}, crash: true},
			{now: start + 10_000, until: start + 11_000},
			{now: start - 5000, until: start - 4000},
			{now: start - 4900, until: start - 3900, renew: []int64{start - 3400, start - 2900}},
			{now: start - 4800, until: start - 3800, crash: true},
			{now: start - 4700, until: start - 3700},
			{now: start + 500, until: start + 1500},
			{now: start + 20_000, until: start + 21_000},
		} {
			lease := e.join(step.now, step.until)
			if floor := lease.IDFloor; floor < reserved[lease.Node] {
				t.Errorf("step %d: node %d has the floor %d, but ids up to %d may have been made", i, lease.Node,
					floor-start, reserved[lease.Node]-start)
			}
			ids := max(lease.IDFloor, step.now) + step.until - step.now
			for _, until := range step.renew {
				if !e.renew(lease, until-600, until) {
					t.Fatalf("step %d: the lease is lost", i)
				}
				ids = max(ids, until)
			}
			reserved[lease.Node] = max(reserved[lease.Node], ids)
			if !step.crash {
				e.leave(lease)
			}
		}
	}},
	{"leaving removes the sessions of the node", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		lease := e.join(start, start+1000)
		e.put(lease, 1, e.device(alice, "phone"), start)
		e.put(lease, 2, e.device(alice, "laptop"), start)
		e.leave(lease)
		same(t, "sessions", e.sessions(alice, start+1), nil)
		ok, err := e.HasSession(e.ctx, alice.ID, 1)
		e.check("has session", err)
		if ok {
			t.Error("a session of the node that has left is still there")
		}
	}},
	{"leaving removes the sessions of no other node", func(t *testing.T, e *env) {
		e.several(t)
		alice := e.user(e.app(), "alice")
		phone, laptop := e.device(alice, "phone"), e.device(alice, "laptop")
		one, two := e.join(start, start+1000), e.join(start, start+1000)
		e.put(one, 1, phone, start)
		same(t, "other sessions", e.put(two, 2, laptop, start), []store.Session{session(one, 1, phone, start)})
		e.leave(one)
		same(t, "sessions", e.sessions(alice, start+1), []store.Session{session(two, 2, laptop, start)})
	}},
}
