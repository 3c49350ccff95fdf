package webhook

import "github.com/prometheus/client_golang/prometheus"

// Metrics count posts and callbacks.
type Metrics struct{ Calls *prometheus.CounterVec }

// NewMetrics registers them.
func NewMetrics(r *prometheus.Registry) *Metrics {
	m := &Metrics{Calls: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatestay_approval_webhook_calls_total", Help: "Posts to webhooks and votes from them, by hook, direction and result.",
	}, []string{"webhook", "direction", "result"})}
	r.MustRegister(m.Calls)
	return m
}

func (m *Metrics) sent(name string, err error) { m.count(name, "out", err) }

func (m *Metrics) count(name, direction string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.Calls.WithLabelValues(name, direction, result).Inc()
}
