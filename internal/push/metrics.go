package push

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of notifications.
type Metrics struct {
	results *prometheus.CounterVec
}

// What becomes of an attempt to notify a device.
const (
	resultTaken   = "taken"   // the provider has it
	resultDropped = "dropped" // there was nothing to tell any more
	resultDead    = "dead"    // the token is not known any more
	resultRefused = "refused" // the provider will never take it
	resultFailed  = "failed"  // it is tried again
)

// NewMetrics registers the metrics of notifications.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stoa_notifications_total",
		Help: "Attempts to notify devices, by what became of them."}, []string{"result"})}
	for _, result := range []string{resultTaken, resultDropped, resultDead, resultRefused, resultFailed} {
		m.results.WithLabelValues(result)
	}
	r.MustRegister(m.results)
	return m
}
