package archival

import "github.com/prometheus/client_golang/prometheus"

// metrics are the service's own, registered here and nowhere else.
type metrics struct {
	records, inserts, failures, duplicates, unreadable, gaps prometheus.Counter
	batches                                                  *prometheus.CounterVec
	waiting, unacked, writer                                 prometheus.Gauge
	lag, insertRows                                          prometheus.Histogram
}

func newMetrics(r *prometheus.Registry) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	m := &metrics{
		records:    counter("gatestay_archival_records_total", "Records stored by this process."),
		inserts:    counter("gatestay_archival_inserts_total", "Inserts into ClickHouse."),
		failures:   counter("gatestay_archival_store_failures_total", "Attempts at ClickHouse that failed and are repeated."),
		duplicates: counter("gatestay_archival_duplicates_total", "Batches that were delivered again and recognised."),
		unreadable: counter("gatestay_archival_unreadable_total", "Messages on the audit stream that are no batch."),
		gaps:       counter("gatestay_archival_gaps_total", "Gaps in the numbers of a producer's batches that did not close in time."),
		batches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatestay_archival_batches_total", Help: "Batches stored by this process; any integrity but verified needs attention.",
		}, []string{"integrity"}),
		waiting: gauge("gatestay_archival_stream_waiting", "Messages on the audit stream not yet delivered."),
		unacked: gauge("gatestay_archival_stream_unacked", "Messages delivered and not yet stored."),
		writer:  gauge("gatestay_archival_writer", "1 while this process is the one that writes."),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatestay_archival_lag_seconds", Help: "From the sealing of a batch to its rows in ClickHouse.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 12),
		}),
		insertRows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatestay_archival_insert_rows", Help: "Records of one insert.", Buckets: prometheus.ExponentialBuckets(1, 4, 9),
		}),
	}
	r.MustRegister(m.batches, m.lag, m.insertRows)
	return m
}
