package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/store"
)

func TestSessionsOfNodesThatHaveEndedAreDepartures(t *testing.T) {
	t.Parallel()
	s := open(t, newSchema(t))
	_, users := fixture(t, s, 3)
	online := func(id int64, user int64, node int) {
		t.Helper()
		device, err := s.OpenDevice(t.Context(), store.Device{User: user, Resource: "web", Seen: 1})
		if err == nil {
			_, err = s.PutSession(t.Context(), store.Session{ID: id, User: user, Device: device.ID, Resource: "web", Node: node}, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	join := func(now, until int64) store.Lease {
		t.Helper()
		lease, err := s.JoinCluster(t.Context(), now, until)
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	take := func(now int64, want ...store.Departure) {
		t.Helper()
		taken, err := s.TakeDepartures(t.Context(), now, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, taken); diff != "" {
			t.Errorf("at %d (-want +got):\n%s", now, diff)
		}
	}
	first, second := join(1, 100), join(1, 200)
	online(1, users[0], first.Node)
	online(2, users[1], second.Node)
	take(99)
	take(100, store.Departure{User: users[0], Resource: "web", Due: 100})
	take(100)

	// The number is given again before anybody has looked.
	online(3, users[2], first.Node)
	if again := join(150, 300); again.Node != first.Node {
		t.Fatalf("the node has number %d, want %d", again.Node, first.Node)
	}
	take(150, store.Departure{User: users[2], Resource: "web", Due: 150})
	sessions, err := s.SessionsOf(t.Context(), users, 150)
	if err != nil || len(sessions) != 1 || sessions[0].ID != 2 {
		t.Errorf("sessions are %v, %v", sessions, err)
	}
}

func TestOneNodeTakesUpWhatAnotherHasLeft(t *testing.T) {
	t.Parallel()
	s := open(t, newSchema(t))
	lease, err := s.JoinCluster(t.Context(), 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutNotifications(t.Context(), nil, store.PushMark{Node: lease.Node, ID: 7}); err != nil {
		t.Fatal(err)
	}
	// While it lives, when it has ended, again while that is claimed, and when the claim has ended.
	for i, want := range []int{0, 1, 0, 1} {
		marks, err := s.ClaimPushMarks(t.Context(), []int64{500, 2000, 2500, 3000}[i], []int64{1500, 3000, 3500, 4000}[i])
		if err != nil || len(marks) != want {
			t.Errorf("claim %d: %v, %v", i, marks, err)
		}
	}
}
