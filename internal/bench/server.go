package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// usage is what a process has used of the machine.
type usage struct {
	cpu time.Duration // since it started; of metrics in steps of 10 ms on Linux
	rss int64         // bytes, now

	// What only metrics tell; 0 where they do not.
	allocs     uint64 // since it started
	commits    uint64 // of messages, since it started
	live       int64  // bytes of heap and stacks, garbage included
	goroutines int64
}

// probe reads the server's usage.
type probe func(ctx context.Context) (usage, error)

// findProbe chooses how to watch the server: /proc/PID if a pid is given (an error if it cannot be read), else the
// server's metrics, if it shows them at base. Source is "proc", "metrics", or "" with a probe that reads nothing.
func findProbe(ctx context.Context, base string, pid int) (p probe, source string, err error) {
	if pid != 0 {
		p = func(context.Context) (usage, error) {
			u, err := procUsage("/proc/" + strconv.Itoa(pid))
			if exact, ok := processCPU(pid); ok && err == nil {
				u.cpu = exact
			}
			return u, err
		}
		if _, err := p(ctx); err != nil {
			return nil, "", fmt.Errorf("watch process %d: %w", pid, err)
		}
		return p, "proc", nil
	}
	p = func(ctx context.Context) (usage, error) {
		return metricsUsage(ctx, strings.TrimSuffix(base, "/")+"/metrics")
	}
	if _, err := p(ctx); err != nil {
		return func(context.Context) (usage, error) { return usage{}, nil }, "", nil
	}
	return p, "metrics", nil
}

func procUsage(dir string) (u usage, err error) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u, err
	}
	// The second field, the name in brackets, may hold anything. User and system time are 14 and 15, the resident
	// pages 24, counted from 1.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 22 {
		return u, fmt.Errorf("read %s/stat: %d fields", dir, len(f))
	}
	var n [3]int64
	for i, at := range []int{11, 12, 21} {
		if n[i], err = strconv.ParseInt(string(f[at]), 10, 64); err != nil {
			return u, fmt.Errorf("read %s/stat: %w", dir, err)
		}
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	return usage{cpu: time.Duration(n[0]+n[1]) * tick, rss: n[2] * int64(os.Getpagesize())}, nil
}

func metricsUsage(ctx context.Context, address string) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return usage{}, err
	}
	request.Close = true // two requests, seconds apart: no connection is left to rest
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return usage{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return usage{}, fmt.Errorf("get %s: %s", address, response.Status)
	}
	return parseMetrics(response.Body)
}

// parseMetrics reads a process's metrics out of Prometheus' text form. The first two of the list must be there.
func parseMetrics(r io.Reader) (u usage, err error) {
	take := map[string]func(n float64){
		"process_cpu_seconds_total":     func(n float64) { u.cpu = time.Duration(n * float64(time.Second)) },
		"process_resident_memory_bytes": func(n float64) { u.rss = int64(n) },
		"go_memstats_mallocs_total":     func(n float64) { u.allocs = uint64(n) },
		"go_memstats_heap_alloc_bytes":  func(n float64) { u.live += int64(n) },
		"go_memstats_stack_inuse_bytes": func(n float64) { u.live += int64(n) },
		"go_goroutines":                 func(n float64) { u.goroutines = int64(n) },
		"stoa_commit_entries_count":     func(n float64) { u.commits = uint64(n) },
	}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if take[name] == nil {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return u, fmt.Errorf("read %s: %w", name, err)
		}
		take[name](n)
		delete(take, name)
	}
	if take["process_cpu_seconds_total"] != nil || take["process_resident_memory_bytes"] != nil {
		return u, fmt.Errorf("the metrics do not hold process_cpu_seconds_total and process_resident_memory_bytes")
	}
	return u, nil
}

// peak follows a server's memory. It is safe for concurrent use.
type peak struct {
	probe probe
	rss   atomic.Int64 // the most that a reading has shown
	end   func()       // stops following
}

// read is a probe that also notes what it reads.
func (p *peak) read(ctx context.Context) (usage, error) {
	u, err := p.probe(ctx)
	for {
		most := p.rss.Load()
		if u.rss <= most || p.rss.CompareAndSwap(most, u.rss) {
			return u, err
		}
	}
}

// follow reads once a second until the context ends.
func (p *peak) follow(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.read(ctx) // a reading that fails is one less
		}
	}
}

// rested waits until the server does next to nothing, so that what came before is not counted to what comes next. It does
// so for 20 seconds at most.
func rested(ctx context.Context, watch probe, out *progress) error {
	const look, busy, patience = 500 * time.Millisecond, 20 * time.Millisecond, 20 * time.Second
	out.status("waiting until the server rests")
	before, err := watch(ctx)
	for began := time.Now(); err == nil && time.Since(began) < patience; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		var now usage
		now, err = watch(ctx)
		if now.cpu-before.cpu <= busy {
			break
		}
		before = now
	}
	return err
}

// collections is after how many even a stack of 64 KiB is as small as it becomes: each halves it.
const collections = 4

// collectGarbage has the server collect its garbage, if it shows its profiles at admin.
func collectGarbage(ctx context.Context, admin string) error {
	if admin == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for range collections {
		if err := collect(ctx, admin); err != nil {
			return err
		}
	}
	return nil
}

func collect(ctx context.Context, admin string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(admin, "/")+"/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("have the server collect its garbage: %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// cpuModel is the processor's name, "" where it is not known.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
