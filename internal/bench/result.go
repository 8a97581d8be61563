package bench

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Result is what a workload has measured. Rates, times and usage are those of the measured window; the figures from
// sent to disconnects are of the whole run, warm-up included.
type Result struct {
	Workload  string    `json:"workload"` // "direct", "open", "group", "room", "idle", "logins", "catchup", "start", "overload" or "reconnect"
	Started   time.Time `json:"started"`
	Pairs     int       `json:"pairs,omitempty"`   // direct
	Members   int       `json:"members,omitempty"` // group and room, senders included
	Senders   int       `json:"senders,omitempty"` // group and room
	InFlight  int       `json:"in_flight"`
	Rate      float64   `json:"rate,omitempty"`  // open: messages a second
	Users     int       `json:"users,omitempty"` // idle and logins
	BodyBytes int       `json:"body_bytes"`
	DurationS float64   `json:"duration_s"` // of the window, as it was

	Acked         uint64  `json:"acked"`
	AckedPerS     float64 `json:"acked_per_s"`
	AckedPerCPUS  float64 `json:"acked_per_cpu_s"` // per second of the server's CPU time; 0 if that is not known
	Delivered     uint64  `json:"delivered"`
	DeliveredPerS float64 `json:"delivered_per_s"`
	// DeliveredPerCPUS is per second of the server's CPU time; 0 if that is not known.
	DeliveredPerCPUS float64   `json:"delivered_per_cpu_s"`
	AckMS            Quantiles `json:"ack_ms"`     // from sending to the server's acknowledgement
	DeliverMS        Quantiles `json:"deliver_ms"` // from sending to the receiver

	// What the server's metrics count; 0 without them.
	AllocsPerAcked     float64 `json:"allocs_per_acked,omitempty"`
	AllocsPerDelivered float64 `json:"allocs_per_delivered,omitempty"`
	CommitsPer1KAcked  float64 `json:"commits_per_1k_acked,omitempty"`

	BytesPerConnection float64 `json:"bytes_per_connection,omitempty"` // idle: of the server's memory
	// LiveBytesPerConnection is what is in use of heap and stacks, after a collection of the garbage; idle with Admin only.
	LiveBytesPerConnection  float64 `json:"live_bytes_per_connection,omitempty"`
	GoroutinesPerConnection float64 `json:"goroutines_per_connection,omitempty"` // idle
	LoginsPerS              float64 `json:"logins_per_s,omitempty"`
	LoginsPerCPUS           float64 `json:"logins_per_cpu_s,omitempty"`
	CaughtUpPerS            float64 `json:"caught_up_per_s,omitempty"` // catchup: messages
	CaughtUpPerCPUS         float64 `json:"caught_up_per_cpu_s,omitempty"`
	StartMS                 float64 `json:"start_ms,omitempty"` // start: from exec to the first accepted login

	CapacityPerS  float64    `json:"capacity_per_s,omitempty"`  // overload: acknowledged before it, in a closed loop
	RecoveryMS    float64    `json:"recovery_ms,omitempty"`     // overload: until every message was answered and delivered to who reads
	RecoveredPerS float64    `json:"recovered_per_s,omitempty"` // overload: acknowledged after it, in a closed loop
	Stalled       int        `json:"stalled,omitempty"`         // overload: receivers who did not read
	ReconnectMS   *Quantiles `json:"reconnect_ms,omitempty"`    // reconnect: from the loss of all sockets until a user was back
	Attempts      uint64     `json:"attempts,omitempty"`        // reconnect: logins that were tried

	Sent          uint64            `json:"sent"`
	Lost          uint64            `json:"lost"`           // acknowledged, but not delivered by the end of the drain
	Doubled       uint64            `json:"doubled"`        // deliveries that an app would see a second time
	Repeated      uint64            `json:"repeated"`       // deliveries that came again and that the real client drops
	OutOfOrder    uint64            `json:"out_of_order"`   // delivered after a later message of the same sender
	Late          uint64            `json:"late"`           // delivered only once the receiver asked for what is unread
	Misdelivered  uint64            `json:"misdelivered"`   // to the wrong user, or not as it was sent
	Refused       uint64            `json:"refused"`        // answered with an error
	Refusals      map[string]uint64 `json:"refusals"`       // by status code and reason, the first 16
	Unanswered    uint64            `json:"unanswered"`     // by the end of the drain
	AnsweredTwice uint64            `json:"answered_twice"` // answers to a message that was answered already
	Disconnects   uint64            `json:"disconnects"`    // sockets that ended by themselves

	ServerSource         string  `json:"server_source"` // where the server_ figures are from: "proc", "metrics", or "" (unknown, all 0)
	ServerRSSBytes       int64   `json:"server_rss_bytes"`
	ServerPeakRSSBytes   int64   `json:"server_peak_rss_bytes"` // the highest of one reading a second, from before the users were made
	ServerCPUS           float64 `json:"server_cpu_s"`
	ServerCPUSPer10KAckd float64 `json:"server_cpu_s_per_10k_acked"`
	GeneratorCPUS        float64 `json:"generator_cpu_s"`

	GoVersion string `json:"go_version"` // of the generator, as the next
	Commit    string `json:"commit"`     // "" if the build does not say
	CPUModel  string `json:"cpu_model"`
	CPUs      int    `json:"cpus"`

	// Series is the run second by second, for Plot.
	Series []Second `json:"-"`

	Interrupted     bool   `json:"interrupted"` // the window ended before its time
	FirstDisconnect string `json:"first_disconnect,omitempty"`
}

// Quantiles are times in milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func newResult(workload string) *Result {
	r := &Result{Workload: workload, Started: time.Now(), Refusals: map[string]uint64{}, GoVersion: runtime.Version(),
		CPUModel: cpuModel(), CPUs: runtime.NumCPU()}
	if info, ok := debug.ReadBuildInfo(); ok {
		modified := ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				r.Commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = "-dirty"
			}
		}
		if r.Commit != "" {
			r.Commit += modified
		}
	}
	return r
}

func (r *Result) setWindow(w window) {
	r.DurationS, r.Series = w.took.Seconds(), w.series
	r.Acked, r.Delivered = w.ack.total(), w.deliver.total()
	r.AckedPerS, r.DeliveredPerS = rate(r.Acked, w.took), rate(r.Delivered, w.took)
	r.AckedPerCPUS, r.DeliveredPerCPUS = rate(r.Acked, w.serverCPU), rate(r.Delivered, w.serverCPU)
	r.AckMS, r.DeliverMS = quantiles(w.ack), quantiles(w.deliver)
	r.ServerRSSBytes, r.ServerCPUS, r.GeneratorCPUS = w.serverRSS, w.serverCPU.Seconds(), w.generatorCPU.Seconds()
	if r.Acked > 0 {
		r.ServerCPUSPer10KAckd = r.ServerCPUS / float64(r.Acked) * 10_000
		r.AllocsPerAcked = float64(w.allocs) / float64(r.Acked)
		r.CommitsPer1KAcked = float64(w.commits) / float64(r.Acked) * 1000
	}
	if r.Delivered > 0 {
		r.AllocsPerDelivered = float64(w.allocs) / float64(r.Delivered)
	}
}

// usage notes what the server used of the machine between two readings.
func (r *Result) usage(before, after usage, took time.Duration) {
	r.DurationS, r.ServerCPUS, r.ServerRSSBytes = took.Seconds(), (after.cpu - before.cpu).Seconds(), after.rss
}

func (r *Result) setTally(t tally) {
	r.Sent, r.Lost, r.Doubled, r.Repeated, r.OutOfOrder = t.sent, t.lost, t.doubled, t.repeated, t.outOfOrder
	r.Late, r.Refused, r.Unanswered, r.AnsweredTwice = t.late, t.refused, t.unanswered, t.answeredTwice
}

func (r *Result) setTrouble(t *trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Misdelivered, r.Disconnects = t.misdelivered.Load(), uint64(t.broken)
	maps.Copy(r.Refusals, t.refusals)
	if t.firstBroken != nil {
		r.FirstDisconnect = t.firstBroken.Error()
	}
}

func quantiles(c *counts) Quantiles {
	ms := func(q float64) float64 { return float64(c.quantile(q)) / float64(time.Millisecond) }
	return Quantiles{P50: ms(0.5), P99: ms(0.99), P999: ms(0.999), Max: ms(1)}
}

// failure is an error if the server broke a promise, nil if all is well.
func (r *Result) failure() error {
	var faults []string
	for _, f := range []struct {
		n    uint64
		what string
	}{{r.Lost, "lost"}, {r.Doubled, "doubled"}, {r.Misdelivered, "misdelivered"}, {r.Unanswered, "never answered"}} {
		if f.n > 0 {
			faults = append(faults, strconv.FormatUint(f.n, 10)+" "+f.what)
		}
	}
	switch {
	case len(faults) > 0 || r.Disconnects > 0:
		text := fmt.Sprintf("of %d messages %s", r.Sent, strings.Join(faults, ", "))
		if len(faults) == 0 {
			text = "every message arrived"
		}
		if r.Disconnects > 0 {
			text += fmt.Sprintf("; %d sockets ended by themselves, the first: %s", r.Disconnects, r.FirstDisconnect)
		}
		return errors.New(text)
	case r.Acked == 0 && !r.Interrupted:
		return fmt.Errorf("no message was acknowledged; refusals: %v", r.Refusals)
	}
	return nil
}

// Print writes the result for people.
func (r *Result) Print(w io.Writer) {
	switch r.Workload {
	case "idle", "logins", "catchup", "start", "reconnect":
		r.printFigures(w)
		return
	}
	who := fmt.Sprintf("%d pairs", r.Pairs)
	if r.Members > 0 {
		who = fmt.Sprintf("%d members, %d of them senders", r.Members, r.Senders)
	}
	pace := fmt.Sprintf("%d in flight", r.InFlight)
	if r.Rate > 0 {
		pace = figure(r.Rate) + " a second"
	}
	fmt.Fprintf(w, "%s: %s, %s, %d-byte bodies, %.1f s\n\n", r.Workload, who, pace, r.BodyBytes, r.DurationS)
	perCPU := func(rate float64) string {
		if r.ServerCPUS == 0 {
			return ""
		}
		return fmt.Sprintf("  %12s per CPU second of the server", grouped(rate))
	}
	fmt.Fprintf(w, "  acknowledged  %12s  %10s/s%s\n", grouped(float64(r.Acked)), grouped(r.AckedPerS), perCPU(r.AckedPerCPUS))
	fmt.Fprintf(w, "  delivered     %12s  %10s/s%s\n\n", grouped(float64(r.Delivered)), grouped(r.DeliveredPerS), perCPU(r.DeliveredPerCPUS))
	fmt.Fprintf(w, "  ms            %12s  %10s  %10s  %10s\n", "p50", "p99", "p99.9", "max")
	for _, line := range []struct {
		name string
		q    Quantiles
	}{{"acknowledge", r.AckMS}, {"deliver", r.DeliverMS}} {
		fmt.Fprintf(w, "  %-12s  %12.2f  %10.2f  %10.2f  %10.2f\n", line.name, line.q.P50, line.q.P99, line.q.P999, line.q.Max)
	}
	fmt.Fprintf(w, "\n  sent %s: lost %d, doubled %d, out of order %d, refused %d\n", grouped(float64(r.Sent)), r.Lost, r.Doubled, r.OutOfOrder, r.Refused)
	if r.CapacityPerS > 0 {
		fmt.Fprintf(w, "  before: %s acknowledged/s; all answered and delivered %.0f ms after the end; then %s/s; %d receivers did not read\n",
			grouped(r.CapacityPerS), r.RecoveryMS, grouped(r.RecoveredPerS), r.Stalled)
	}
	for _, rare := range []struct {
		n    uint64
		what string
	}{
		{r.Misdelivered, "misdelivered"},
		{r.Unanswered, "never answered"},
		{r.AnsweredTwice, "answered twice"},
		{r.Late, "delivered only when asked for"},
		{r.Repeated, "delivered again and dropped by the client"},
		{r.Disconnects, "sockets ended by themselves"},
	} {
		if rare.n > 0 {
			fmt.Fprintf(w, "  %s %s\n", grouped(float64(rare.n)), rare.what)
		}
	}
	for reason, n := range r.Refusals {
		fmt.Fprintf(w, "  refused %s times: %s\n", grouped(float64(n)), reason)
	}
	if r.ServerSource != "" {
		fmt.Fprintf(w, "  server: %.2f s CPU, %.3f s for 10,000 acknowledged, %.1f MiB, at most %.1f MiB\n",
			r.ServerCPUS, r.ServerCPUSPer10KAckd, float64(r.ServerRSSBytes)/(1<<20), float64(r.ServerPeakRSSBytes)/(1<<20))
		if r.AllocsPerAcked > 0 {
			fmt.Fprintf(w, "  server: %.1f allocations for each acknowledged, %.2f for each delivered; %.1f commits for 1,000\n",
				r.AllocsPerAcked, r.AllocsPerDelivered, r.CommitsPer1KAcked)
		}
	} else {
		fmt.Fprintln(w, "  server: CPU and memory unknown (no metrics at this address; on the same machine --pid helps)")
	}
	fmt.Fprintf(w, "  generator: %.2f s CPU\n", r.GeneratorCPUS)
	fmt.Fprintln(w, "  "+strings.Join(strings.Fields(fmt.Sprintf("%s %s, %d CPUs %s", r.GoVersion, r.Commit, r.CPUs, r.CPUModel)), " "))
}

// printFigures writes the result of a workload that is no stream of messages.
func (r *Result) printFigures(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", r.Workload)
	for _, f := range []struct {
		value float64
		what  string
	}{
		{float64(r.Users), "users"},
		{r.BytesPerConnection / 1024, "KiB of the server's memory for each connection"},
		{r.LiveBytesPerConnection / 1024, "KiB in use for each connection, after a collection of the garbage"},
		{r.GoroutinesPerConnection, "goroutines for each connection"},
		{r.LoginsPerS, "logins/s"},
		{r.LoginsPerCPUS, "logins per CPU second of the server"},
		{r.CaughtUpPerS, "messages/s"},
		{r.CaughtUpPerCPUS, "messages per CPU second of the server"},
		{r.StartMS, "ms from exec to the first accepted login"},
	} {
		if f.value != 0 {
			fmt.Fprintf(w, "  %14s  %s\n", figure(f.value), f.what)
		}
	}
	if q := r.ReconnectMS; q != nil {
		fmt.Fprintf(w, "  back after ms: p50 %.0f, p99 %.0f, the last %.0f, in %d attempts\n", q.P50, q.P99, q.Max, r.Attempts)
	}
}

// grouped writes a number without a fraction, its thousands apart.
func grouped(n float64) string {
	s := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// brief writes a time in milliseconds.
func brief(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64)
}
