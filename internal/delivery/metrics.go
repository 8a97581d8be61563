package delivery

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of delivery.
type Metrics struct {
	batch   prometheus.Histogram
	entries prometheus.Counter
	failed  prometheus.Counter
}

// NewMetrics registers the metrics of delivery.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "stoa_commit_entries", Help: "Entries in one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7)}),
		entries: prometheus.NewCounter(prometheus.CounterOpts{Name: "stoa_entries_total", Help: "Entries made durable, repetitions included."}),
		failed:  prometheus.NewCounter(prometheus.CounterOpts{Name: "stoa_entries_failed_total", Help: "Entries that could not be made durable."}),
	}
	r.MustRegister(m.batch, m.entries, m.failed)
	return m
}
