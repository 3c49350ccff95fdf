package archival

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/archive"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/order"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// report turns what the writer noticed into findings, metrics and log lines.
//
// A finding travels through the audit stream itself. So that one cannot breed
// the next, what concerns this service's own batches is only logged, and the
// same thing about one chain is told at most once in quiet.
type report struct {
	metrics *metrics
	tell    func(*eventv1.Record)
	now     func() time.Time
	log     zerolog.Logger

	mu   sync.Mutex
	told map[string]time.Time
}

const (
	quiet   = 10 * time.Minute
	maxTold = 4096
)

var _ archive.Reporter = (*report)(nil)

func newReport(m *metrics, tell func(*eventv1.Record), now func() time.Time, log zerolog.Logger) *report {
	return &report{metrics: m, tell: tell, now: now, log: log, told: map[string]time.Time{}}
}

// first reports that this was not told lately.
func (r *report) first(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if at, ok := r.told[what]; ok && now.Sub(at) < quiet {
		return false
	}
	if len(r.told) >= maxTold {
		clear(r.told)
	}
	r.told[what] = now
	return true
}

func (r *report) finding(action, message string, c intake.Chain, details map[string]string) {
	if strings.HasPrefix(c.Producer, "archival/") {
		return
	}
	details["producer"], details["incarnation"] = c.Producer, c.Incarnation
	r.tell(&eventv1.Record{Kind: eventv1.Kind_KIND_FINDING, Action: action, Actor: "archival", Message: message, Details: details})
}

// Stored implements archive.Reporter.
func (r *report) Stored(g *store.Group) {
	now := r.now()
	r.metrics.inserts.Inc()
	r.metrics.insertRows.Observe(float64(g.Rows()))
	for _, i := range g.Items {
		r.metrics.batches.WithLabelValues(string(i.Integrity)).Inc()
		r.metrics.records.Add(float64(len(i.Batch.Records)))
		if i.InChain() {
			r.metrics.lag.Observe(now.Sub(i.SealedAt()).Seconds())
		}
	}
}

// Failed implements archive.Reporter.
func (r *report) Failed() { r.metrics.failures.Inc() }

// Duplicate implements archive.Reporter.
func (r *report) Duplicate() { r.metrics.duplicates.Inc() }

// Flagged implements archive.Reporter.
func (r *report) Flagged(i *intake.Item) {
	r.log.Error().Stringer("batch", i.ID()).Str("integrity", string(i.Integrity)).Str("key_id", i.Batch.KeyId).Msg("a batch does not verify; it is stored apart")
	c := i.Chain()
	if r.first(fmt.Sprintf("%s %q", i.Integrity, c)) {
		r.finding("batch.unverified", "a batch does not verify: "+i.Problem+"; it is stored apart, as are further ones of this producer", c, map[string]string{
			"number": fmt.Sprint(i.Batch.Number), "integrity": string(i.Integrity), "key_id": i.Batch.KeyId, "digest": i.ID().Digest,
			"subject": i.Message.Subject(), "sequence": fmt.Sprint(i.Sequence),
		})
	}
}

// Odd implements archive.Reporter.
func (r *report) Odd(i *intake.Item) {
	r.log.Warn().Stringer("batch", i.ID()).Str("problem", i.Problem).Msg("there is something wrong about a batch")
	action := "batch.odd"
	if i.Integrity == intake.Placeholder {
		action = "batch.replaced"
	}
	if c := i.Chain(); r.first(fmt.Sprintf("%s %q", action, c)) {
		r.finding(action, "a batch is not as it should be: "+i.Problem, c, map[string]string{"number": fmt.Sprint(i.Batch.Number)})
	}
}

// Missing implements archive.Reporter.
func (r *report) Missing(g order.Gap, passed bool) {
	message := "batches are missing; those behind them wait for them on the stream"
	if passed {
		message = "batches are missing, and the stream no longer holds messages of their age: the chain is archived from here on"
	}
	r.log.Error().Str("producer", g.Chain.Producer).Str("incarnation", g.Chain.Incarnation).Uint64("from", g.Missing.From).Uint64("to", g.Missing.To).
		Int("waiting", g.Waiting).Bool("passed", passed).Msg("batches are missing")
	r.metrics.gaps.Inc()
	r.finding("batch.missing", message, g.Chain, map[string]string{
		"from": fmt.Sprint(g.Missing.From), "to": fmt.Sprint(g.Missing.To), "waiting": fmt.Sprint(g.Waiting), "passed": fmt.Sprint(passed),
	})
}

// Manipulated tells of a record whose text was changed without a redaction.
func (r *report) Manipulated(m store.Manipulation) {
	c := intake.Chain{Producer: m.Producer, Incarnation: m.Incarnation}
	if !r.first("manipulated " + m.Record) {
		return
	}
	r.log.Error().Str("record", m.Record).Strs("fields", m.Fields).Msg("a record was changed, and no redaction tells of it")
	r.finding("record.manipulated", "a record's text is not what was recorded, and no redaction tells of it", c, map[string]string{
		"record": m.Record, "fields": strings.Join(m.Fields, ","), "number": fmt.Sprint(m.Number),
	})
}
