package desk

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what happens at the desk.
type Metrics struct {
	Requested prometheus.Counter
	Ended     *prometheus.CounterVec // outcome
	Votes     *prometheus.CounterVec // vote, via, result
}

// NewMetrics registers the desk's metrics.
func NewMetrics(r *prometheus.Registry) *Metrics {
	m := &Metrics{
		Requested: prometheus.NewCounter(prometheus.CounterOpts{Name: "gatestay_approval_requested_total", Help: "Requests taken by this process."}),
		Ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatestay_approval_ended_total", Help: "Approvals that this process saw end, by outcome."},
			[]string{"outcome"}),
		Votes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatestay_approval_votes_total", Help: "Votes, by vote, by where they came from, and by whether they were taken."},
			[]string{"vote", "via", "result"}),
	}
	r.MustRegister(m.Requested, m.Ended, m.Votes)
	return m
}

func (m *Metrics) voted(b Ballot, err error) {
	result := "taken"
	if err != nil {
		result = "refused"
	}
	m.Votes.WithLabelValues(b.Vote, b.Via, result).Inc()
}
