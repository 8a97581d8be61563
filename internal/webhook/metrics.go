package webhook

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the metrics of what backends are told.
type Metrics struct {
	registry prometheus.Registerer
	results  *prometheus.CounterVec
	waiting  prometheus.Gauge
	oldest   atomic.Int64 // when the oldest stored event happened; 0: there is none
}

// What becomes of an event.
const (
	resultDelivered = "delivered" // the backend has it
	resultFailed    = "failed"    // it is tried again
	resultDead      = "dead"      // it was given up
	resultLost      = "lost"      // it is kept in no timeline, and the queue was full
)

// NewMetrics registers the metrics of what backends are told.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{registry: r,
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stoa_callbacks_total",
			Help: "Attempts to tell backends what has happened, by what became of them."}, []string{"result"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "stoa_callbacks_waiting",
			Help: "Callbacks that have failed and are tried again, of all nodes."}),
	}
	for _, result := range []string{resultDelivered, resultFailed, resultDead, resultLost} {
		m.results.WithLabelValues(result)
	}
	r.MustRegister(m.results, m.waiting)
	return m
}

func (m *Metrics) age(seconds func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stoa_callbacks_age_seconds",
		Help: "How long the oldest event waits that a backend has not taken yet."}, seconds))
}

func (m *Metrics) count(result string, n int) { m.results.WithLabelValues(result).Add(float64(n)) }
