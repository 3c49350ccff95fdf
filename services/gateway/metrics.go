package gateway

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatestay/gatestay/services/gateway/internal/journal"
)

// metrics registers what is read when asked.
func (s *Service) metrics(ctx context.Context, j *journal.Journal) {
	gauge := func(name, help string, f func() float64) {
		s.health.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("gatestay_gateway_sessions", "Open sessions.", func() float64 { return float64(s.gate.Sessions()) })
	gauge("gatestay_gateway_held_commands", "Commands held for approval.", func() float64 { return float64(s.gate.Desk.Waiting()) })
	gauge("gatestay_gateway_policy_version", "Version of the policy in force; 0 for none.", func() float64 {
		if c := s.gate.Policy.Current(); c != nil {
			return float64(c.Version)
		}
		return 0
	})
	gauge("gatestay_gateway_masking_version", "Version of the masking rules in force; 0 for none.", func() float64 {
		if c := s.gate.Masking.Current(); c != nil {
			return float64(c.Version)
		}
		return 0
	})
	waiting := func(pick func(batches, bytes uint64) uint64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			batches, bytes, err := j.Waiting(ctx)
			if err != nil {
				return -1
			}
			return float64(pick(batches, bytes))
		}
	}
	gauge("gatestay_gateway_journal_batches", "Batches the hub has not stored yet; -1 when unknown.", waiting(func(n, _ uint64) uint64 { return n }))
	gauge("gatestay_gateway_journal_bytes", "Bytes of those batches; -1 when unknown.", waiting(func(_, n uint64) uint64 { return n }))
}
