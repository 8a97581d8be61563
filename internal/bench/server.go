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
	"time"
)

// usage is what a process has used of the machine.
type usage struct {
	cpu time.Duration // since it started, in steps of 10 ms on Linux
	rss int64         // bytes, now
}

// probe reads the server's usage.
type probe func(ctx context.Context) (usage, error)

// findProbe chooses how to watch the server: /proc/PID if a pid is given (an error if it cannot be read), else the
// server's metrics, if it shows them at base. Source is "proc", "metrics", or "" with a probe that reads nothing.
func findProbe(ctx context.Context, base string, pid int) (p probe, source string, err error) {
	if pid != 0 {
		p = func(context.Context) (usage, error) { return procUsage("/proc/" + strconv.Itoa(pid)) }
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

// parseMetrics reads the two process metrics out of Prometheus' text form.
func parseMetrics(r io.Reader) (u usage, err error) {
	found := 0
	for lines := bufio.NewScanner(r); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name != "process_cpu_seconds_total" && name != "process_resident_memory_bytes" {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return u, fmt.Errorf("read %s: %w", name, err)
		}
		if name == "process_cpu_seconds_total" {
			u.cpu = time.Duration(n * float64(time.Second))
		} else {
			u.rss = int64(n)
		}
		found++
	}
	if found != 2 {
		return u, fmt.Errorf("the metrics do not hold process_cpu_seconds_total and process_resident_memory_bytes")
	}
	return u, nil
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
