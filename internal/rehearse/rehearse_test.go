package rehearse

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"

	"github.com/prometheus/client_golang/prometheus"
)

// newService makes a service whose delivery has nobody to tell.
func newService(t *testing.T, on bool) *Service {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := sqlitetest.Open(t, log)
	k := clock.New()
	hub := delivery.NewHub(s, k, log)
	var r *Service
	b := bus.NewLocal(func(subject bus.Subject, data []byte) {
		if subject == bus.All {
			r.Heard(data)
		}
	})
	d := delivery.New(hub, s, b, delivery.NewIDs(0, 0), k, delivery.NewMetrics(prometheus.NewRegistry()), log)
	r = New(on, d, b, log)
	t.Cleanup(func() {
		r.Close()
		d.Close()
		for _, err := range []error{hub.Close(), b.Close(), s.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

func start(t *testing.T, s *Service, r Rehearsal) Rehearsal {
	t.Helper()
	started, err := s.Start(r)
	if err != nil {
		t.Fatal(err)
	}
	return started
}

func TestARehearsalHappensAsOftenAsAsked(t *testing.T) {
	s := newService(t, true)
	start(t, s, Rehearsal{App: 1, User: 7, Code: errcode.Muted, Times: 2})
	for i := range 3 {
		if got, want := s.Has(7, errcode.Muted), i < 2; got != want {
			t.Errorf("after %d times it is on: %t, want %t", i, got, want)
		}
		s.Met(7, errcode.PermissionDenied) // another code counts for nothing
		s.Met(7, errcode.Muted)
	}
	if s.Has(8, errcode.Muted) {
		t.Error("another user meets it")
	}
	if list := s.List(1); len(list) > 0 {
		t.Errorf("%v is not over", list)
	}
}

func TestARehearsalBeginsAndEndsInTime(t *testing.T) {
	s := newService(t, true)
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		r := &Rehearsal{ID: 1, App: 1, User: 7, Code: errcode.Muted, Begins: now.Add(time.Minute), Ends: now.Add(3 * time.Minute)}
		s.take(word{Start: r})
		for i, want := range []bool{false, true, true, false, false} {
			if got := s.Has(7, errcode.Muted); got != want {
				t.Errorf("after %d minutes it is on: %t, want %t", i, got, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestRehearsalsAreStoppedByTheirAppOnly(t *testing.T) {
	s := newService(t, true)
	first := start(t, s, Rehearsal{App: 1, User: 7, Code: errcode.Muted})
	start(t, s, Rehearsal{App: 1, User: 8, Code: errcode.Muted})
	other := start(t, s, Rehearsal{App: 2, User: 9, Code: errcode.Muted})
	if err := s.Stop(1, other.ID); !errors.Is(err, ErrUnknown) {
		t.Errorf("another app's: %v", err)
	}
	if err := s.Stop(1, first.ID); err != nil || len(s.List(1)) != 1 {
		t.Errorf("one: %v, %d are left", err, len(s.List(1)))
	}
	if err := s.Stop(1, 0); err != nil || len(s.List(1)) != 0 || len(s.List(2)) != 1 {
		t.Errorf("all: %v, %d and %d are left", err, len(s.List(1)), len(s.List(2)))
	}
}

func TestRehearsalsAreBounded(t *testing.T) {
	s := newService(t, true)
	for range maxPerUser {
		start(t, s, Rehearsal{App: 1, User: 7, Code: errcode.Muted})
	}
	if _, err := s.Start(Rehearsal{App: 1, User: 7, Code: errcode.Muted}); !errors.Is(err, ErrBad) {
		t.Errorf("one more: %v", err)
	}
	if _, err := newService(t, false).Start(Rehearsal{App: 1, User: 7, Code: errcode.Muted}); !errors.Is(err, ErrOff) {
		t.Errorf("switched off: %v", err)
	}
	var none *Service
	if none.Has(7, errcode.Muted) || none.Push(7) != 1 {
		t.Error("no service rehearses something")
	}
	none.Met(7, errcode.Muted)
}

func TestEveryCodeOfTheServerFitsSomewhere(t *testing.T) {
	s := newService(t, true)
	for _, e := range errcode.All() {
		if !Possible(e.Code) {
			continue
		}
		start(t, s, Rehearsal{App: 1, User: 7, Code: e.Code})
		fits := narrowed[e.Code]
		if outcome, _ := s.Login(7); outcome != Ordinary {
			fits = true
		}
		if _, ok := s.Notice(7); ok {
			fits = true
		}
		for _, op := range []string{"send", "recall", "modify", "join"} {
			for _, place := range []bool{false, true} {
				if outcome, _ := s.Uplink(7, Uplink{op, place}); outcome != Ordinary {
					fits = true
				}
			}
		}
		for _, q := range []Request{{"POST", "/token"}, {"GET", "/users/{user}"}, {"GET", "/chatgroups/{group}"}, {"GET", "/chatrooms/{room}"},
			{"POST", "/chatfiles"}, {"GET", "/chatfiles/{file}"}, {"POST", "/chatgroups/{group}/share_files"}} {
			if a, ok := s.Request(7, q); ok {
				fits = true
				if !a.Silent && !a.Dropped && a.Status < 400 {
					t.Errorf("%d: %s %s is refused with %d", e.Code, q.Method, q.Path, a.Status)
				}
			}
		}
		if !fits {
			t.Errorf("%d %s fits nowhere", e.Code, e.Name)
		}
		if err := s.Stop(1, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCallsAreTakenForWhatTheyDo(t *testing.T) {
	for _, test := range []struct {
		call Request
		want string
	}{
		{Request{"POST", "/token"}, "token"},
		{Request{"GET", "/users/alice"}, "rest"},
		{Request{"POST", "/chatfiles"}, "upload"},
		{Request{"GET", "/chatfiles/1"}, "download"},
		{Request{"HEAD", "/chatfiles/1"}, "download"},
		{Request{"GET", "/chatgroups/1/share_files/2"}, "download"},
	} {
		if got := test.call.kind(); got != test.want {
			t.Errorf("%s %s is taken for %s, want %s", test.call.Method, test.call.Path, got, test.want)
		}
	}
}
