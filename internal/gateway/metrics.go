package gateway

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stoa-chat/stoa/errcode"
)

// Metrics are the gateway's metrics.
type Metrics metrics

type metrics struct {
	connections prometheus.Gauge
	logins      *prometheus.CounterVec
	requests    *prometheus.CounterVec
	frames      prometheus.Counter
}

// NewMetrics registers the gateway's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "stoa_connections", Help: "Open sockets."}),
		logins:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stoa_logins_total", Help: "Sign-ins by error code; 0 succeeded."}, []string{"code"}),
		requests:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stoa_socket_requests_total", Help: "Answers to what clients sent, by error code; 0 succeeded."}, []string{"code"}),
		frames:      prometheus.NewCounter(prometheus.CounterOpts{Name: "stoa_frames_received_total", Help: "Frames from clients."}),
	}
	r.MustRegister(m.connections, m.logins, m.requests, m.frames)
	return m
}

// codeLabel is the code as a label; what has none is -1000, so that it is seen.
func codeLabel(err error) string {
	if err == nil {
		return "0"
	}
	if code, ok := errcode.CodeOf(err); ok {
		return strconv.Itoa(int(code))
	}
	return "-1000"
}
