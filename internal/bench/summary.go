package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Summary is what several runs of a workload say together.
type Summary struct {
	Runs   []*Result        `json:"runs"`
	Spread map[string]Range `json:"spread"` // by the JSON key of the figure
}

// Range is how a figure differs from run to run.
type Range struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// figures are the keys of results that are worth comparing; those that are 0 in all runs are left out.
var figures = []string{"acked_per_s", "acked_per_cpu_s", "delivered_per_s", "delivered_per_cpu_s", "ack_ms.p50", "ack_ms.p99", "deliver_ms.p50",
	"deliver_ms.p99", "logins_per_s", "logins_per_cpu_s", "bytes_per_connection", "caught_up_per_s", "caught_up_per_cpu_s", "start_ms",
	"allocs_per_acked", "allocs_per_delivered", "commits_per_1k_acked", "live_bytes_per_connection", "capacity_per_s", "recovery_ms", "recovered_per_s",
	"reconnect_ms.p50", "reconnect_ms.max", "server_rss_bytes", "server_peak_rss_bytes",
	"lost", "doubled"}

// Summarise puts runs of one workload together.
func Summarise(runs []*Result) (Summary, error) {
	s := Summary{Runs: runs, Spread: map[string]Range{}}
	values := map[string][]float64{}
	for _, r := range runs {
		text, err := json.Marshal(r)
		if err != nil {
			return s, err
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			return s, err
		}
		for _, key := range figures {
			outer, inner, nested := strings.Cut(key, ".")
			value := fields[outer]
			if group, ok := value.(map[string]any); ok && nested {
				value = group[inner]
			}
			number, _ := value.(float64)
			values[key] = append(values[key], number)
		}
	}
	for key, of := range values {
		slices.Sort(of)
		if of[len(of)-1] != 0 {
			s.Spread[key] = Range{Min: of[0], Median: (of[len(of)/2] + of[(len(of)-1)/2]) / 2, Max: of[len(of)-1]}
		}
	}
	return s, nil
}

// Print writes the summary for people.
func (s Summary) Print(w io.Writer) {
	fmt.Fprintf(w, "%d runs of %s\n\n  %-22s  %14s  %14s  %14s\n", len(s.Runs), s.Runs[0].Workload, "", "min", "median", "max")
	order := func(a, b string) int { return cmp.Compare(slices.Index(figures, a), slices.Index(figures, b)) }
	for _, key := range slices.SortedFunc(maps.Keys(s.Spread), order) {
		r := s.Spread[key]
		fmt.Fprintf(w, "  %-22s  %14s  %14s  %14s\n", key, figure(r.Min), figure(r.Median), figure(r.Max))
	}
}

// figure writes a number with two digits after the point if it is small.
func figure(n float64) string {
	if n < 1000 {
		return fmt.Sprintf("%.2f", n)
	}
	return grouped(n)
}
