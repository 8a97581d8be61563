package bench

import (
	"context"
	"strings"
	"testing"
)

// TestStoaReachesEveryMemberOnce needs the built command, as TestStoaLosesAndDoublesNothing.
func TestStoaReachesEveryMemberOnce(t *testing.T) {
	address := startStoa(t, stoaBinary())
	fanout := Fanout{Load: demoLoad(address), Senders: 3, InFlight: 4}
	for name, run := range map[string]func(context.Context) (*Result, error){
		"group": (&Group{Fanout: fanout, Members: 25}).Run,
		"room":  (&Room{Fanout: fanout, Members: 25}).Run,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Acked == 0 || r.Delivered < 20*r.Acked || r.Lost+r.Doubled+r.OutOfOrder+r.Refused+r.Late+r.Repeated+r.AnsweredTwice > 0 {
				t.Errorf("result: %+v", r)
			}
			if r.Workload != name || r.Members != 25 || r.Senders != 3 || r.DeliveredPerCPUS <= 0 {
				t.Errorf("%s: %d members, %d senders, %v delivered per CPU second", r.Workload, r.Members, r.Senders, r.DeliveredPerCPUS)
			}
		})
	}
}

func TestFanoutReportsEverySettingThatIsWrong(t *testing.T) {
	err := (&Group{Fanout: Fanout{Load: Load{URL: "localhost:80", App: "stoa", Body: 5, Warmup: -1}}}).Validate()
	for _, want := range []string{"url", "app", "senders", "in-flight", "members", "body must be at least 36", "duration", "warmup"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
}

func TestInboxesTellWhatIsLostDoubledAndLate(t *testing.T) {
	var acked bitset
	for n := uint64(1); n <= 130; n++ {
		acked.set(n)
	}
	var i inbox
	for n := uint64(1); n <= 128; n++ {
		if n != 7 && n != 64 {
			i.deliver(n, false, false)
		}
	}
	i.deliver(64, false, true)  // late, and after later ones
	i.deliver(128, true, false) // under an id that the client has seen
	i.deliver(128, false, false)
	i.deliver(500, false, false) // never acknowledged
	want := tally{delivered: 128, lost: 3, doubled: 1, repeated: 1, outOfOrder: 1, late: 1}
	if got := i.tally(acked); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
