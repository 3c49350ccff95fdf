package chat

import "github.com/prometheus/client_golang/prometheus"

// Metrics count the traffic with Slack.
type Metrics struct {
	Calls     *prometheus.CounterVec // method, result
	Clicks    *prometheus.CounterVec // transport, result
	Connected prometheus.Gauge
	Seconds   prometheus.Histogram // from the click's arrival to the vote being durable
}

// NewMetrics registers them.
func NewMetrics(r *prometheus.Registry) *Metrics {
	m := &Metrics{
		Calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatestay_approval_slack_calls_total", Help: "Calls of Slack's Web API, by method and result."},
			[]string{"method", "result"}),
		Clicks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatestay_approval_slack_clicks_total", Help: "Interactions that arrived, by transport and what became of them."},
			[]string{"transport", "result"}),
		Connected: prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatestay_approval_slack_connected", Help: "1 while a Socket Mode connection stands."}),
		Seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatestay_approval_click_seconds", Help: "From a click's arrival to its vote being durable and any decision published.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 12),
		}),
	}
	r.MustRegister(m.Calls, m.Clicks, m.Connected, m.Seconds)
	return m
}

func (m *Metrics) call(method string, err error) {
	result := "ok"
	if err != nil {
		result = Diagnose(err).Code
	}
	m.Calls.WithLabelValues(method, result).Inc()
}
