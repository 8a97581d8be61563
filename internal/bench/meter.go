package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// meter collects the times of a run. Its histograms count from the first message on; a window is what lies between two
// marks.
type meter struct {
	ack, deliver histogram
}

// mark is the state of everything that is measured, at a moment.
type mark struct {
	at           time.Time
	ack, deliver *counts
	server       usage
	generator    time.Duration
}

// window is what happened between two marks.
type window struct {
	took         time.Duration
	ack, deliver *counts
	serverCPU    time.Duration
	serverRSS    int64 // at its end
	allocs       uint64
	commits      uint64
	generatorCPU time.Duration
	series       []Second // about one for each second of the run, warm-up included
}

func (m *meter) mark(server usage) mark {
	return mark{at: time.Now(), ack: m.ack.counts(), deliver: m.deliver.counts(), server: server, generator: ownCPU()}
}

func between(a, b mark) window {
	return window{took: b.at.Sub(a.at), ack: b.ack.since(a.ack), deliver: b.deliver.since(a.deliver),
		serverCPU: b.server.cpu - a.server.cpu, serverRSS: b.server.rss, allocs: b.server.allocs - a.server.allocs,
		commits: b.server.commits - a.server.commits, generatorCPU: b.generator - a.generator}
}

// measure lets a load run for the warm-up and then for the duration, with a line of progress a second, and returns what
// happened in the second part. It ends early, without an error, when ctx does. An error is one of reading the server's usage,
// which is then zero.
func (m *meter) measure(ctx context.Context, p probe, warmup, duration time.Duration, out *progress) (window, error) {
	began := time.Now()
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	last := m.mark(usage{})
	var series []Second
	wait := func(phase string, d time.Duration) {
		end := time.NewTimer(d)
		defer end.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-end.C:
				return
			case <-seconds.C:
				now := m.mark(usage{})
				w := between(last, now)
				last = now
				series = append(series, secondOf(w, now.at.Sub(began), phase == warmUp))
				out.status("%s %3.0f s: %s acked/s, %s delivered/s; ms p50/p99: ack %s/%s, deliver %s/%s", phase,
					now.at.Sub(began).Seconds(), grouped(rate(w.ack.total(), w.took)), grouped(rate(w.deliver.total(), w.took)),
					brief(w.ack.quantile(0.5)), brief(w.ack.quantile(0.99)), brief(w.deliver.quantile(0.5)), brief(w.deliver.quantile(0.99)))
			}
		}
	}
	read := func() (mark, error) {
		server, err := p(context.WithoutCancel(ctx))
		return m.mark(server), err
	}
	wait(warmUp, warmup)
	start, err := read()
	if err != nil {
		start.server = usage{}
		return between(start, start), fmt.Errorf("read the server's usage: %w", err)
	}
	wait("running", duration)
	end, err := read()
	if err != nil {
		start.server, end.server = usage{}, usage{}
		err = fmt.Errorf("read the server's usage: %w", err)
	}
	w := between(start, end)
	w.series = series
	return w, err
}

const warmUp = "warm-up"

func rate(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// progress tells a person how far a run is: on a terminal in one line that changes, else in lines.
type progress struct {
	w        io.Writer
	terminal bool
	open     bool // a status line stands unfinished
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if w == nil {
		p.w = io.Discard
	}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			p.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

// status says what is so now.
func (p *progress) status(format string, args ...any) {
	if !p.terminal {
		fmt.Fprintf(p.w, format+"\n", args...)
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
	p.open = true
}

// end finishes a status line.
func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.w)
		p.open = false
	}
}
