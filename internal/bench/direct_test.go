package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

func TestDirectCountsWhatAGoodServerDoes(t *testing.T) {
	for _, notices := range []bool{false, true} {
		name := map[bool]string{false: "pushed", true: "pulled after notices"}[notices]
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t, func(s *fakeServer) { s.notices = notices })
			d := server.direct(3, 300*time.Millisecond)
			d.Warmup = 50 * time.Millisecond
			var said bytes.Buffer
			d.Progress = &said
			r, err := d.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			server.check(t)
			if r.Sent == 0 || r.Acked == 0 || r.Delivered == 0 || r.Sent < r.Acked || r.AnsweredTwice+r.OutOfOrder+r.Late+r.Repeated > 0 {
				t.Errorf("sent %d, acked %d, delivered %d, answered twice %d, out of order %d, late %d, repeated %d",
					r.Sent, r.Acked, r.Delivered, r.AnsweredTwice, r.OutOfOrder, r.Late, r.Repeated)
			}
			if r.DurationS < 0.3 || r.DurationS > 3 || r.Interrupted {
				t.Errorf("duration %v, interrupted %t", r.DurationS, r.Interrupted)
			}
			if per := r.AckedPerS * r.DurationS / float64(r.Acked); per < 0.999 || per > 1.001 {
				t.Errorf("%v acked per s in %v s are not %d", r.AckedPerS, r.DurationS, r.Acked)
			}
			for _, q := range []Quantiles{r.AckMS, r.DeliverMS} {
				if q.P50 <= 0 || q.P99 < q.P50 || q.P999 < q.P99 || q.Max < q.P999 {
					t.Errorf("quantiles %+v", q)
				}
			}
			if r.ServerSource != "metrics" || r.ServerRSSBytes != 1<<20 || r.ServerCPUS <= 0 || r.AckedPerCPUS <= 0 || r.ServerCPUSPer10KAckd <= 0 {
				t.Errorf("server: %q, %d bytes, %v s", r.ServerSource, r.ServerRSSBytes, r.ServerCPUS)
			}
			for _, want := range []string{"registering 6 users\n", "signing in 6 users\n", "waiting for the last messages\n"} {
				if !strings.Contains(said.String(), want) {
					t.Errorf("progress %q does not say %q", said.String(), want)
				}
			}
		})
	}
}

func TestDirectFindsWhatGoesWrong(t *testing.T) {
	for _, test := range []struct {
		name    string
		does    fate
		notices bool
		want    tally // but for sent, acked, delivered
		wrong   uint64
		err     string
	}{
		{name: "lost", does: lose, want: tally{lost: 1}, err: "1 lost"},
		{name: "doubled", does: twice, want: tally{doubled: 1}, err: "1 doubled"},
		{name: "repeated", does: again, want: tally{repeated: 1}},
		{name: "repeated in a pull", does: again, notices: true, want: tally{repeated: 1}},
		{name: "out of order", does: swap, want: tally{outOfOrder: 1}},
		{name: "refused", does: refuse, want: tally{refused: 1}},
		{name: "never answered", does: ignore, want: tally{unanswered: 1}, err: "1 never answered"},
		{name: "stored and not pushed", does: keep, want: tally{late: 1}},
		{name: "to the wrong user", does: misdirect, want: tally{lost: 1}, wrong: 1, err: "1 lost, 1 misdelivered"},
		{name: "changed on the way", does: garble, want: tally{lost: 1}, wrong: 1, err: "1 lost, 1 misdelivered"},
		{name: "answered twice", does: answerTwice, want: tally{answeredTwice: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			server := newFakeServer(t, func(s *fakeServer) {
				s.notices = test.notices
				s.plan = func(to string, number int) fate {
					// Late enough that a kept message is the last of all: what is pushed after it acknowledges it.
					if test.does == keep && number >= 100 || test.does != keep && number == 100 {
						if strings.HasSuffix(to, "-r0") {
							return test.does
						}
					}
					return deliver
				}
				s.onSend = func(total int) {
					if total == 200 {
						cancel()
					}
				}
			})
			d := server.direct(1, time.Minute)
			r, err := d.Run(ctx)
			if r == nil {
				t.Fatal(err)
			}
			got := tally{lost: r.Lost, doubled: r.Doubled, repeated: r.Repeated, outOfOrder: r.OutOfOrder, late: r.Late,
				refused: r.Refused, unanswered: r.Unanswered, answeredTwice: r.AnsweredTwice}
			if test.does == keep && got.late > 0 {
				got.late = 1
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(tally{})); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if r.Misdelivered != test.wrong {
				t.Errorf("misdelivered %d, want %d", r.Misdelivered, test.wrong)
			}
			if r.Sent < 200 || !r.Interrupted {
				t.Errorf("sent %d, interrupted %t", r.Sent, r.Interrupted)
			}
			switch {
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err != "" && (err == nil || !strings.HasSuffix(err.Error(), test.err)):
				t.Errorf("error %v, want %q", err, test.err)
			}
			if test.does == refuse {
				if diff := cmp.Diff(map[string]uint64{"1 blocked": 1}, r.Refusals); diff != "" {
					t.Errorf("refusals (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestAReceiverWhoseSocketBreaksComesBackAtTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := newFakeServer(t, func(s *fakeServer) {
		s.plan = func(to string, number int) fate {
			if strings.HasSuffix(to, "-r1") && number == 50 {
				return disconnect
			}
			return deliver
		}
		s.onSend = func(total int) {
			if total == 400 {
				cancel()
			}
		}
	})
	r, err := server.direct(2, time.Minute).Run(ctx)
	if r == nil || err == nil || !strings.Contains(err.Error(), "every message arrived; 1 sockets ended by themselves, the first: session of bench-") {
		t.Fatalf("error %v", err)
	}
	if r.Lost != 0 || r.Doubled != 0 || r.Late == 0 || r.Disconnects != 1 {
		t.Errorf("lost %d, doubled %d, late %d, disconnects %d", r.Lost, r.Doubled, r.Late, r.Disconnects)
	}
	server.check(t)
}

func TestDirectEndsWhenTheServerDoes(t *testing.T) {
	var cut atomic.Bool
	server := newFakeServer(t, func(s *fakeServer) {
		s.onSend = func(total int) {
			if total >= 100 && cut.CompareAndSwap(false, true) {
				for _, u := range s.users {
					u.socket.NetConn().Close()
				}
			}
		}
	})
	r, err := server.direct(2, time.Minute).Run(t.Context())
	if err == nil || r == nil || r.Disconnects != 4 || !r.Interrupted {
		t.Fatalf("result %+v, error %v", r, err)
	}
}

func TestNobodyWaitsForAnswersToASenderThatIsGone(t *testing.T) {
	p := &pair{sender: &session{done: make(chan struct{})}}
	p.ledger.send(0)
	p.ledger.send(0)
	if p.settled() {
		t.Error("settled with two messages open")
	}
	p.ledger.answer(1, false)
	close(p.sender.done)
	if p.settled() {
		t.Error("settled with a message acknowledged and not delivered")
	}
	p.ledger.deliver(1, 101)
	if !p.settled() {
		t.Error("not settled although nothing can come any more")
	}
}

func TestCancelBeforeTheLoadIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := newFakeServer(t, func(s *fakeServer) {
		s.refusal = func(string, map[string]any) int { cancel(); return 0 }
	})
	r, err := server.direct(1, time.Minute).Run(ctx)
	if r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("result %v, error %v", r, err)
	}
}

func TestDirectReportsEverySettingThatIsWrong(t *testing.T) {
	err := (&Direct{Load: Load{URL: "localhost:80", App: "stoa", Body: 5, Warmup: -1}}).Validate()
	for _, want := range []string{"url", "app", "pairs", "in-flight", "body must be at least 36", "duration", "warmup"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
	if _, err := new(Direct).Run(t.Context()); err == nil {
		t.Error("Run takes what Validate does not")
	}
}

func TestTheCommandLineMakesADirect(t *testing.T) {
	for _, name := range []string{"STOA_URL", "STOA_APP", "STOA_CLIENT_ID", "STOA_CLIENT_SECRET"} {
		t.Setenv(name, "") // so that it is put back
		os.Unsetenv(name)
	}
	var cli struct {
		Direct struct {
			Direct `embed:""`
		} `cmd:""`
	}
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields("direct --url http://h:1 --client-id i --client-secret s --pairs 5 --in-flight 6 --body 70 --duration 3s --warmup 0s --pid 9 --json")
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	want := Direct{Load: Load{URL: "http://h:1", App: "stoa#demo", ClientID: "i", ClientSecret: "s", Body: 70,
		Duration: 3 * time.Second, PID: 9, JSON: true, Repeat: 1}, Pairs: 5, InFlight: 6}
	if diff := cmp.Diff(want, cli.Direct.Direct, cmp.AllowUnexported(Load{})); diff != "" {
		t.Errorf("direct (-want +got):\n%s", diff)
	}
	cli.Direct.Direct = Direct{}
	if _, err := parser.Parse([]string{"direct"}); err != nil {
		t.Fatal(err)
	}
	if d := cli.Direct; d.Pairs != 100 || d.InFlight != 16 || d.Body != 200 || d.Duration != 10*time.Second || d.Warmup != time.Second {
		t.Errorf("defaults: %+v", d)
	}
	if _, err := parser.Parse([]string{"direct", "--body", "3"}); err == nil {
		t.Error("a body of 3 bytes is taken")
	}
}

// TestStoaLosesAndDoublesNothing needs the built command: STOA_BIN, or bin/stoa at the top of the repository.
func TestStoaLosesAndDoublesNothing(t *testing.T) {
	binary := stoaBinary()
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("there is no stoa command to measure: build it (go build -o bin/stoa ./cmd/stoa) or name it in STOA_BIN: %v", err)
	}
	address := startStoa(t, binary)
	d := &Direct{Load: demoLoad(address), Pairs: 4, InFlight: 16}
	r, err := d.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Acked == 0 || r.Delivered == 0 || r.Lost+r.Doubled+r.OutOfOrder+r.Refused+r.Late+r.Repeated+r.AnsweredTwice > 0 {
		t.Errorf("result: %+v", r)
	}
	if r.ServerSource != "metrics" || r.ServerCPUS <= 0 {
		t.Errorf("the server's usage: %q, %v s CPU", r.ServerSource, r.ServerCPUS)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
}

// startStoa runs a development server and returns its address.
func startStoa(t testing.TB, binary string) string {
	t.Helper()
	command := exec.Command(binary, "dev", "--listen", "127.0.0.1:0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = w, w
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var said bytes.Buffer
	ready, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		pattern := regexp.MustCompile(`REST.*(http://127\.0\.0\.1:\d+)`)
		lines := bufio.NewScanner(io.TeeReader(r, &said))
		for lines.Scan() {
			if m := pattern.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case ready <- m[1]:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		command.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(10*time.Second, func() { command.Process.Kill() })
		defer kill.Stop()
		if err := command.Wait(); err != nil {
			t.Logf("stoa ended with %v", err)
		}
		<-read
		r.Close()
		if t.Failed() {
			t.Logf("stoa said:\n%s", &said)
		}
	})
	select {
	case address := <-ready:
		return address
	case <-read:
		t.Fatalf("stoa ended before it was ready:\n%s", &said)
	case <-time.After(20 * time.Second):
		t.Fatal("stoa was not ready after 20 s")
	}
	return ""
}

// demoLoad is a short load on the app of stoa dev.
func demoLoad(address string) Load {
	return Load{URL: address, App: "stoa#demo", ClientID: "stoa-demo-id", ClientSecret: "stoa-demo-secret",
		Body: 200, Duration: time.Second, Warmup: 100 * time.Millisecond}
}
