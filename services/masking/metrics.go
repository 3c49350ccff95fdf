package masking

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatestay/gatestay/services/masking/internal/api"
	"github.com/gatestay/gatestay/services/masking/internal/keeper"
	"github.com/gatestay/gatestay/services/masking/internal/relay"
)

// metrics are the service's own, registered here and nowhere else. They are
// also what /v1/status tells of the streams.
type metrics struct {
	batches, records, placeholders, dropped *prometheus.CounterVec
	redactions                              *prometheus.CounterVec
	pending, age                            *prometheus.GaugeVec

	mu      sync.Mutex
	streams map[string]*api.Stream
}

func newMetrics(r *prometheus.Registry, status func() *keeper.Status) *metrics {
	gauge := func(name, help string, f func(*keeper.Status) int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(f(status())) }))
	}
	gauge("gatestay_masking_bundle_version", "Version of the current bundle; 0 when there is none.", func(s *keeper.Status) int { return int(s.Version) }) //nolint:gosec // versions are small
	gauge("gatestay_masking_rules", "Masks in the folder.", func(s *keeper.Status) int { return s.Rules })
	gauge("gatestay_masking_problems", "Problems of the folder; above 0 it is not published.", func(s *keeper.Status) int { return len(s.Problems) })
	gauge("gatestay_masking_findings", "Masks that never apply.", func(s *keeper.Status) int { return len(s.Findings) })
	counter := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		batches:      counter("gatestay_masking_batches_total", "Batches that went on to the audit stream.", "stream"),
		records:      counter("gatestay_masking_records_total", "Records looked at.", "stream"),
		placeholders: counter("gatestay_masking_placeholders_total", "Batches replaced by a placeholder.", "stream"),
		dropped:      counter("gatestay_masking_dropped_total", "Messages that named no batch of their subject's producer.", "stream"),
		redactions:   counter("gatestay_masking_redactions_total", "Fields redacted by the second look.", "detector"),
		pending:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "gatestay_masking_pending_messages", Help: "Messages that wait for the second look."}, []string{"stream"}),
		age:          prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "gatestay_masking_lag_seconds", Help: "From a message's arrival to its way on, of the last one."}, []string{"stream"}),
		streams:      map[string]*api.Stream{},
	}
	r.MustRegister(m.pending, m.age)
	return m
}

// done counts one message of a stream.
func (m *metrics) done(stream string, p relay.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stream(stream)
	s.Pending, s.LagMS, s.LastAt = p.Pending, p.Age.Milliseconds(), time.Now().UTC()
	m.pending.WithLabelValues(stream).Set(float64(p.Pending))
	m.age.WithLabelValues(stream).Set(p.Age.Seconds())
	if p.Dropped {
		s.Dropped++
		m.dropped.WithLabelValues(stream).Inc()
		return
	}
	records := len(p.Result.Batch.GetRecords())
	s.Batches++
	s.Records += uint64(records)
	m.batches.WithLabelValues(stream).Inc()
	m.records.WithLabelValues(stream).Add(float64(records))
	if p.Result.Placeholder != "" {
		s.Placeholders++
		m.placeholders.WithLabelValues(stream).Inc()
	}
	for detector, n := range p.Result.Redacted {
		s.Redactions += uint64(n) //nolint:gosec // a count
		m.redactions.WithLabelValues(detector).Add(float64(n))
	}
}

// running notes whether a stream is being carried.
func (m *metrics) running(stream string, yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stream(stream).Running = yes
}

func (m *metrics) stream(name string) *api.Stream {
	if m.streams[name] == nil {
		m.streams[name] = &api.Stream{Name: name}
	}
	return m.streams[name]
}

// snapshot returns a copy of what is known of the streams.
func (m *metrics) snapshot() []api.Stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]api.Stream, 0, len(carried))
	for _, name := range carried {
		out = append(out, *m.stream(name))
	}
	return out
}
