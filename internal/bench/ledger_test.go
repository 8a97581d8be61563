package bench

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLedgerFollowsEveryMessage(t *testing.T) {
	type step struct {
		do     string // sent, acked, refused, shown (delivered), ask
		number uint64
		id     uint64
	}
	for _, test := range []struct {
		name    string
		steps   []step
		want    tally
		settled bool
	}{
		{"nothing happened", nil, tally{}, true},
		{"all is well",
			[]step{{"sent", 1, 0}, {"sent", 2, 0}, {"acked", 1, 0}, {"shown", 1, 101}, {"shown", 2, 102}, {"acked", 2, 0}},
			tally{sent: 2, acked: 2, delivered: 2}, true},
		{"acknowledged and not delivered is lost",
			[]step{{"sent", 1, 0}, {"sent", 2, 0}, {"acked", 1, 0}, {"acked", 2, 0}, {"shown", 2, 102}},
			tally{sent: 2, acked: 2, delivered: 1, lost: 1}, false},
		{"delivered under another id is doubled",
			[]step{{"sent", 1, 0}, {"acked", 1, 0}, {"shown", 1, 101}, {"shown", 1, 102}},
			tally{sent: 1, acked: 1, delivered: 1, doubled: 1}, true},
		{"delivered again under the same id is repeated",
			[]step{{"sent", 1, 0}, {"acked", 1, 0}, {"shown", 1, 101}, {"shown", 1, 101}},
			tally{sent: 1, acked: 1, delivered: 1, repeated: 1}, true},
		{"disorder counts what comes too late",
			[]step{{"sent", 1, 0}, {"sent", 2, 0}, {"sent", 3, 0}, {"shown", 3, 103}, {"shown", 1, 101}, {"shown", 2, 102},
				{"acked", 1, 0}, {"acked", 2, 0}, {"acked", 3, 0}},
			tally{sent: 3, acked: 3, delivered: 3, outOfOrder: 2}, true},
		{"acknowledgements may come in any order",
			[]step{{"sent", 1, 0}, {"sent", 2, 0}, {"acked", 2, 0}, {"acked", 1, 0}, {"shown", 1, 101}, {"shown", 2, 102}},
			tally{sent: 2, acked: 2, delivered: 2}, true},
		{"refused is not lost", []step{{"sent", 1, 0}, {"refused", 1, 0}}, tally{sent: 1, refused: 1}, true},
		{"unanswered and not delivered is not lost", []step{{"sent", 1, 0}}, tally{sent: 1, unanswered: 1}, false},
		{"unanswered and delivered is unanswered", []step{{"sent", 1, 0}, {"shown", 1, 101}},
			tally{sent: 1, delivered: 1, unanswered: 1}, false},
		{"a second answer is counted and changes nothing",
			[]step{{"sent", 1, 0}, {"acked", 1, 0}, {"refused", 1, 0}, {"shown", 1, 101}},
			tally{sent: 1, acked: 1, delivered: 1, answeredTwice: 1}, true},
		{"answers and deliveries of what was never sent change nothing",
			[]step{{"sent", 1, 0}, {"acked", 7, 0}, {"acked", 0, 0}, {"shown", 7, 101}, {"shown", 0, 101}, {"acked", 1, 0}, {"shown", 1, 102}},
			tally{sent: 1, acked: 1, delivered: 1}, true},
		{"what comes after asking is late",
			[]step{{"sent", 1, 0}, {"sent", 2, 0}, {"acked", 1, 0}, {"acked", 2, 0}, {"shown", 1, 101}, {"ask", 0, 0}, {"shown", 2, 102}},
			tally{sent: 2, acked: 2, delivered: 2, late: 1}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l ledger
			for i, s := range test.steps {
				switch s.do {
				case "sent":
					if got := l.send(time.Duration(i)); got != s.number {
						t.Fatalf("message number %d, want %d", got, s.number)
					}
				case "acked", "refused":
					l.answer(s.number, s.do == "refused")
				case "shown":
					l.deliver(s.number, s.id)
				case "ask":
					l.ask()
				}
			}
			if diff := cmp.Diff(test.want, l.sum(), cmp.AllowUnexported(tally{})); diff != "" {
				t.Errorf("tally (-want +got):\n%s", diff)
			}
			if unanswered, missing := l.waiting(); (unanswered+missing == 0) != test.settled {
				t.Errorf("waiting for %d answers and %d deliveries, settled should be %t", unanswered, missing, test.settled)
			}
		})
	}
}

func TestAnswerTellsWhenTheMessageWasSent(t *testing.T) {
	var l ledger
	l.send(3 * time.Second)
	l.send(5 * time.Second)
	if at, ok := l.answer(2, false); at != 5*time.Second || !ok {
		t.Errorf("answer = %v, %t", at, ok)
	}
	if _, ok := l.answer(2, false); ok {
		t.Error("a second answer was taken for a first")
	}
}

func TestAnIDThatWasForgottenIsDoubled(t *testing.T) {
	var l ledger
	const many = 102
	for n := range uint64(many) {
		l.send(0)
		l.deliver(n+1, 1000+n)
	}
	l.deliver(1, 1000)           // 101 others came since: the real client has forgotten it
	l.deliver(many, 1000+many-1) // the last is remembered
	got := l.sum()
	if got.doubled != 1 || got.repeated != 1 {
		t.Errorf("doubled %d, repeated %d, want 1 and 1", got.doubled, got.repeated)
	}
}

func TestTalliesAddUp(t *testing.T) {
	one := tally{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	two := tally{}
	two.add(one)
	two.add(one)
	if diff := cmp.Diff(tally{2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22}, two, cmp.AllowUnexported(tally{})); diff != "" {
		t.Error(diff)
	}
}
