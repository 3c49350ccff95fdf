package policy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatestay/gatestay/services/policy/internal/keeper"
)

// metrics are the service's own, registered here and nowhere else.
type metrics struct {
	published, rejected, leases prometheus.Counter
	publishSeconds              prometheus.Histogram
	wasRejected                 string // hash of the rejection counted last
}

func newMetrics(r *prometheus.Registry, status func() *keeper.Status) *metrics {
	gauge := func(name, help string, f func(*keeper.Status) int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(f(status())) }))
	}
	gauge("gatestay_policy_bundle_version", "Version of the current bundle; 0 when there is none.", func(s *keeper.Status) int { return int(s.Version) }) //nolint:gosec // versions are small
	gauge("gatestay_policy_rules", "Rules in the folder.", func(s *keeper.Status) int { return s.Rules })
	gauge("gatestay_policy_problems", "Problems of the folder; above 0 it is not published.", func(s *keeper.Status) int { return len(s.Problems) })
	gauge("gatestay_policy_findings", "Rules and targets that silently do not do what they seem to.", func(s *keeper.Status) int { return len(s.Findings) })
	m := &metrics{
		published:      prometheus.NewCounter(prometheus.CounterOpts{Name: "gatestay_policy_bundles_published_total", Help: "Bundles published by this process."}),
		rejected:       prometheus.NewCounter(prometheus.CounterOpts{Name: "gatestay_policy_bundles_rejected_total", Help: "Folder contents that were not published because of problems."}),
		leases:         prometheus.NewCounter(prometheus.CounterOpts{Name: "gatestay_policy_leases_total", Help: "Leases sent."}),
		publishSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gatestay_policy_publish_seconds", Help: "From reading a changed folder to its publication.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 10)}),
	}
	r.MustRegister(m.published, m.rejected, m.leases, m.publishSeconds)
	return m
}

// done counts one look at the folder; the keeper calls it from one goroutine.
func (m *metrics) done(s keeper.Status, published bool, took time.Duration) {
	if published {
		m.published.Inc()
		m.publishSeconds.Observe(took.Seconds())
	}
	hash := ""
	if s.State == keeper.Rejected {
		hash = s.FolderHash
		if hash != m.wasRejected {
			m.rejected.Inc()
		}
	}
	m.wasRejected = hash
}
