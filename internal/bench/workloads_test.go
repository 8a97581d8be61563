package bench

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/internal/msync"
)

// TestWorkloadsAgainstStoa needs the built command, as TestStoaLosesAndDoublesNothing.
func TestWorkloadsAgainstStoa(t *testing.T) {
	load := demoLoad(startStoa(t, stoaBinary()))
	short := load
	short.Duration = time.Millisecond
	// The first, since it wants a server that has just been started.
	t.Run("idle", func(t *testing.T) {
		r, err := (&Rest{Load: short, Users: 50}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Workload != "idle" || r.Users != 50 || r.ServerRSSBytes == 0 {
			t.Errorf("result: %+v", r)
		}
	})
	t.Run("open", func(t *testing.T) {
		r, err := (&Open{Load: load, Pairs: 4, Rate: 200}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The schedule decides how much is sent, not the server: 200 a second for the time of warm-up and measuring.
		if r.Sent < 150 || r.Sent > 1000 || r.Lost+r.Doubled+r.Refused+r.Unanswered > 0 || r.Rate != 200 {
			t.Errorf("result: %+v", r)
		}
	})
	t.Run("logins", func(t *testing.T) {
		r, err := (&Logins{Load: short, Users: 50}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.LoginsPerS <= 0 {
			t.Errorf("result: %+v", r)
		}
	})
	t.Run("catchup", func(t *testing.T) {
		r, err := (&CatchUp{Load: short, Messages: 700}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Delivered != 700 || r.CaughtUpPerS <= 0 {
			t.Errorf("result: %+v", r)
		}
	})
	t.Run("reconnect", func(t *testing.T) {
		r, err := (&Reconnect{Load: short, Users: 200}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.ReconnectMS == nil || r.ReconnectMS.Max <= 0 || r.ReconnectMS.Max > 20_000 || r.Attempts < 200 {
			t.Errorf("result: %+v", r)
		}
	})
	t.Run("start", func(t *testing.T) {
		r, err := (&Start{Binary: stoaBinary()}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.StartMS <= 0 {
			t.Errorf("result: %+v", r)
		}
	})
}

// The two who do not read are owed far more than sockets and the server hold for them: what does not fit is pulled when
// they read again.
func TestAnOverloadIsGotOver(t *testing.T) {
	load := demoLoad(startStoa(t, stoaBinary()))
	load.Body, load.Duration = 4000, 1500*time.Millisecond
	r, err := (&Overload{Load: load, Pairs: 8, InFlight: 16, Factor: 2, Stalled: 2}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost+r.Doubled+r.Unanswered+r.Refused > 0 || r.CapacityPerS <= 0 || r.Rate < 1.9*r.CapacityPerS {
		t.Errorf("result: %+v", r)
	}
	if r.RecoveryMS <= 0 || r.RecoveryMS > 20_000 {
		t.Errorf("all was answered, and delivered to who reads, %.0f ms after the overload", r.RecoveryMS)
	}
	if r.RecoveredPerS < r.CapacityPerS/10 {
		t.Errorf("%.0f acknowledged/s before and %.0f after the overload", r.CapacityPerS, r.RecoveredPerS)
	}
	if r.ServerPeakRSSBytes > 400<<20 {
		t.Errorf("the server took %d MiB", r.ServerPeakRSSBytes>>20)
	}
}

func TestWhatIsLostInAnOverloadIsFound(t *testing.T) {
	server := newFakeServer(t, func(s *fakeServer) {
		s.plan = func(_ string, number int) fate { return map[int]fate{30: lose}[number] }
	})
	r, err := (&Overload{Load: server.load(200 * time.Millisecond), Pairs: 3, InFlight: 4, Factor: 2, Stalled: 1}).Run(t.Context())
	if err == nil || r == nil || r.Lost != 3 || r.Delivered == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWhoDoesNotComeBackIsMissed(t *testing.T) {
	server := newFakeServer(t, func(s *fakeServer) { s.welcome = &msync.Status{ErrorCode: msync.Status_FAIL} })
	crowd, err := gather(t.Context(), server.target(), heartbeat)
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	token, err := crowd.register(t.Context(), crowd.name("u", 0))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err := crowd.comeBack(ctx, []string{token}); err == nil {
		t.Error("a user whom the server does not let in is back")
	}
}

func TestTheScheduleOfOpenDoesNotWaitForAnswers(t *testing.T) {
	server := newFakeServer(t, func(s *fakeServer) { s.plan = func(string, int) fate { return ignore } })
	load := server.load(300 * time.Millisecond)
	load.patience = 10 * time.Millisecond
	r, err := (&Open{Load: load, Pairs: 2, Rate: 100}).Run(t.Context())
	if err == nil || r == nil || r.Sent < 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Unanswered != r.Sent {
		t.Errorf("%d of %d are unanswered", r.Unanswered, r.Sent)
	}
}

func TestWhatIsLostAndWhatIsDoubledInACatchUpDoNotCancelOut(t *testing.T) {
	server := newFakeServer(t, func(s *fakeServer) {
		s.plan = func(_ string, number int) fate { return map[int]fate{3: lose, 5: twice}[number] }
	})
	r, err := (&CatchUp{Load: server.load(time.Second), Messages: 20}).Run(t.Context())
	if err == nil || r == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Acked != 20 || r.Delivered != 19 || r.Lost != 1 || r.Doubled != 1 {
		t.Errorf("%d acknowledged, %d delivered, %d lost, %d doubled", r.Acked, r.Delivered, r.Lost, r.Doubled)
	}
}

func TestIdleRefusesAServerWhoseMemoryDoesNotGrow(t *testing.T) {
	server := newFakeServer(t, nil) // it says that it always has 1 MiB
	r, err := (&Rest{Load: server.load(time.Millisecond), Users: 2}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "has not grown") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSeveralRunsAreSummarised(t *testing.T) {
	runs := []*Result{
		{Workload: "direct", AckedPerS: 300, AckMS: Quantiles{P99: 5}},
		{Workload: "direct", AckedPerS: 100, AckMS: Quantiles{P99: 7}},
		{Workload: "direct", AckedPerS: 250, AckMS: Quantiles{P99: 6}},
	}
	s, err := Summarise(runs)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Spread["acked_per_s"], (Range{100, 250, 300}); got != want {
		t.Errorf("acked per s: %v, want %v", got, want)
	}
	if got, want := s.Spread["ack_ms.p99"], (Range{5, 6, 7}); got != want {
		t.Errorf("p99: %v, want %v", got, want)
	}
	if _, ok := s.Spread["logins_per_s"]; ok {
		t.Error("what no run has is told")
	}
	var out bytes.Buffer
	s.Print(&out)
	if !strings.Contains(out.String(), "3 runs of direct") {
		t.Errorf("%q", out.String())
	}
}

func TestThePictureIsXML(t *testing.T) {
	for name, series := range map[string][]Second{
		"none":  nil,
		"one":   {{At: time.Second, AckedPerS: 10}},
		"three": {{At: time.Second, WarmUp: true}, {At: 2 * time.Second, AckedPerS: 34_000, DeliverP99: 1.5}, {At: 3 * time.Second, AckedPerS: 2}},
	} {
		var out bytes.Buffer
		if err := Plot(&out, &Result{Workload: "direct", Series: series}); err != nil {
			t.Fatal(err)
		}
		for decoder := xml.NewDecoder(&out); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestAxesEndInRoundNumbers(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 1: 1, 1.1: 2, 4: 5, 34_000: 50_000, 0.03: 0.05, 999: 1000} {
		if got := roundUp(v); got < want*0.999 || got > want*1.001 {
			t.Errorf("%v is rounded up to %v, want %v", v, got, want)
		}
	}
}
