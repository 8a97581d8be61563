package bench

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sampleResult() *Result {
	r := newResult("direct")
	r.Pairs, r.InFlight, r.BodyBytes, r.ServerSource = 100, 16, 200, "metrics"
	m := new(meter)
	start := m.mark(usage{cpu: time.Second})
	for i := range 20_000 {
		m.ack.add(time.Duration(i) * time.Microsecond)
		m.deliver.add(time.Duration(2*i) * time.Microsecond)
	}
	end := m.mark(usage{cpu: 1500 * time.Millisecond, rss: 64 << 20})
	end.at, end.generator = start.at.Add(2*time.Second), start.generator+400*time.Millisecond
	r.setWindow(between(start, end))
	r.setTally(tally{sent: 20_100, acked: 20_050, delivered: 20_050, refused: 50, outOfOrder: 3, repeated: 2})
	r.Refusals["7 traffic limit"] = 50
	r.ServerPeakRSSBytes = 80 << 20
	return r
}

func TestResultIsJSONWithTheseKeys(t *testing.T) {
	text, err := json.Marshal(sampleResult())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"acked": 20_000., "acked_per_s": 10_000., "acked_per_cpu_s": 40_000., "delivered_per_s": 10_000.,
		"lost": 0., "doubled": 0., "out_of_order": 3., "refused": 50., "server_rss_bytes": float64(64 << 20), "server_cpu_s": 0.5,
		"server_cpu_s_per_10k_acked": 0.25, "pairs": 100., "in_flight": 16., "body_bytes": 200., "duration_s": 2., "generator_cpu_s": 0.4} {
		if diff := cmp.Diff(want, got[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	for _, key := range []string{"go_version", "commit", "cpu_model"} {
		if _, ok := got[key].(string); !ok {
			t.Errorf("%s = %v", key, got[key])
		}
	}
	ack := got["ack_ms"].(map[string]any)
	for key, want := range map[string]float64{"p50": 10, "p99": 19.8, "p999": 19.98} {
		if ms := ack[key].(float64); ms < want*0.99 || ms > want*1.01 {
			t.Errorf("ack_ms.%s = %v, want %v", key, ms, want)
		}
	}
}

func TestResultIsPrintedForPeople(t *testing.T) {
	var b strings.Builder
	sampleResult().Print(&b)
	for _, want := range []string{"direct: 100 pairs, 16 in flight, 200-byte bodies, 2.0 s\n",
		"acknowledged        20,000      10,000/s        40,000 per CPU second of the server\n",
		"sent 20,100: lost 0, doubled 0, out of order 3, refused 50\n",
		"  2 delivered again and dropped by the client\n",
		"refused 50 times: 7 traffic limit\n",
		"server: 0.50 s CPU, 0.250 s for 10,000 acknowledged, 64.0 MiB, at most 80.0 MiB\n",
		"generator: 0.40 s CPU\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &b)
		}
	}
}

func TestAnEmptyResultCanBePrintedAndMarshalled(t *testing.T) {
	m := new(meter)
	r := newResult("direct")
	now := m.mark(usage{})
	r.setWindow(between(now, now))
	var b strings.Builder
	r.Print(&b)
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Error(b.String())
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestWhatIsAFailure(t *testing.T) {
	for _, test := range []struct {
		name   string
		result Result
		want   string
	}{
		{"nothing", Result{Acked: 1}, ""},
		{"refusals alone are none", Result{Acked: 1, Refused: 7, OutOfOrder: 7, Late: 7, Repeated: 7}, ""},
		{"several", Result{Acked: 1, Sent: 9, Lost: 1, Doubled: 2, Misdelivered: 3, Unanswered: 4},
			"of 9 messages 1 lost, 2 doubled, 3 misdelivered, 4 never answered"},
		{"lost with a broken socket", Result{Acked: 1, Sent: 9, Lost: 1, Disconnects: 2, FirstDisconnect: "EOF"},
			"of 9 messages 1 lost; 2 sockets ended by themselves, the first: EOF"},
		{"a broken socket", Result{Acked: 1, Disconnects: 2, FirstDisconnect: "EOF"},
			"every message arrived; 2 sockets ended by themselves, the first: EOF"},
		{"all refused", Result{Refused: 3, Refusals: map[string]uint64{"7 x": 3}}, "no message was acknowledged; refusals: map[7 x:3]"},
		{"nothing yet at an interrupt", Result{Interrupted: true}, ""},
	} {
		got := ""
		if err := test.result.failure(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.4: "1,234,567", 999999.9: "1,000,000"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%v) = %q, want %q", n, got, want)
		}
	}
}

func TestServerUsageIsReadFromMetrics(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       usage
		bad        bool
	}{
		{"as the Go client writes it", "# HELP process_cpu_seconds_total x\n# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 12.5\n" +
			"process_resident_memory_bytes 1.2345678e+07\nprocess_resident_memory_bytes_x 5\n", usage{cpu: 12500 * time.Millisecond, rss: 12345678}, false},
		{"with what the Go runtime and the store count", "process_cpu_seconds_total 1\nprocess_resident_memory_bytes 2\ngo_memstats_mallocs_total 3\n" +
			"go_memstats_heap_alloc_bytes 4\ngo_memstats_stack_inuse_bytes 5\ngo_goroutines 6\nstoa_commit_entries_count 7\n",
			usage{cpu: time.Second, rss: 2, allocs: 3, commits: 7, live: 9, goroutines: 6}, false},
		{"one missing", "process_cpu_seconds_total 12.5\n", usage{}, true},
		{"not a number", "process_cpu_seconds_total x\nprocess_resident_memory_bytes 1\n", usage{}, true},
		{"empty", "", usage{}, true},
	} {
		got, err := parseMetrics(strings.NewReader(test.text))
		if (err != nil) != test.bad || !test.bad && got != test.want {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
}

func TestServerUsageIsReadFromProc(t *testing.T) {
	dir := t.TempDir()
	stat := "12 (a) b) S 1 12 12 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 9 0 100 1000000 256 18446744073709551615 1 1 0 0 0\n"
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600); err != nil {
		t.Fatal(err)
	}
	want := usage{cpu: 2 * time.Second, rss: 256 * int64(os.Getpagesize())}
	if got, err := procUsage(dir); got != want || err != nil {
		t.Errorf("usage %+v, %v, want %+v", got, err, want)
	}
	if _, err := procUsage(dir + "/none"); err == nil {
		t.Error("a process that is not there has a usage")
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		p, source, err := findProbe(t.Context(), "http://127.0.0.1:1", os.Getpid())
		if err != nil || source != "proc" {
			t.Fatalf("probe %q, %v", source, err)
		}
		u, err := p(t.Context())
		if err != nil || u.rss < 1<<20 {
			t.Errorf("this process uses %+v, %v", u, err)
		}
		if own := ownCPU(); u.cpu <= 0 || (own-u.cpu).Abs() > time.Second {
			t.Errorf("this process has used %v, and is told to have used %v", own, u.cpu)
		}
	}
	if _, _, err := findProbe(t.Context(), "", 1<<30); err == nil {
		t.Error("a pid that is not there is watched")
	}
}

func TestAServerThatShowsNoMetricsIsNotWatched(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	p, source, err := findProbe(t.Context(), server.URL, 0)
	if err != nil || source != "" {
		t.Fatalf("probe %q, %v", source, err)
	}
	if u, err := p(context.Background()); u != (usage{}) || err != nil {
		t.Errorf("usage %+v, %v", u, err)
	}
}

func TestMeasureSpeaksOnceASecond(t *testing.T) {
	var b strings.Builder
	m := new(meter)
	out := newProgress(&b)
	none := func(context.Context) (usage, error) { return usage{}, nil }
	if _, err := m.measure(t.Context(), none, 1100*time.Millisecond, 1100*time.Millisecond, out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "warm-up   1 s: 0 acked/s") || !strings.HasPrefix(lines[1], "running   2 s: 0 acked/s") {
		t.Errorf("progress: %q", lines)
	}
}

func TestAServerThatCannotBeReadAtTheEndHasNoFigures(t *testing.T) {
	reads := 0
	m := new(meter)
	w, err := m.measure(t.Context(), func(context.Context) (usage, error) {
		if reads++; reads == 1 {
			return usage{cpu: time.Second, rss: 1}, nil
		}
		return usage{}, errors.New("gone")
	}, 0, time.Millisecond, newProgress(nil))
	if err == nil || w.serverCPU != 0 || w.serverRSS != 0 || w.took < time.Millisecond {
		t.Errorf("window %+v, error %v", w, err)
	}
}

func TestATerminalHasOneLineThatChanges(t *testing.T) {
	var b strings.Builder
	p := &progress{w: &b, terminal: true}
	p.status("one %d", 1)
	p.status("two")
	p.end()
	p.end()
	if got, want := b.String(), "\r\x1b[Kone 1\r\x1b[Ktwo\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}
