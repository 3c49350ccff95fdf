package outbox

import "github.com/prometheus/client_golang/prometheus"

// Metrics tell how far Slack is behind.
type Metrics struct{ Pending prometheus.Gauge }

// NewMetrics registers them.
func NewMetrics(r *prometheus.Registry) *Metrics {
	m := &Metrics{Pending: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gatestay_approval_slack_pending", Help: "Messages that Slack is yet to show or to update.",
	})}
	r.MustRegister(m.Pending)
	return m
}
