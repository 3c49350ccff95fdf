// Package look takes the second, deeper look at one batch: it decides what goes
// on to the audit stream under the batch's number, and what is told about it.
package look

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// ErrNowhere is returned for a message that names no batch: nothing can stand
// in its place.
var ErrNowhere = errors.New("look: the message names no batch of its subject's producer")

// Message is one message of the RECORDS or the ADMIN stream.
type Message struct {
	Subject string
	ID      string // ce-id header: producer/incarnation/number
	Data    []byte
}

// Result is what to do about a message.
type Result struct {
	Batch *eventv1.Batch
	Raw   []byte // the marshalled batch, as it goes on
	// Tell are records of the masking service itself: redactions and findings.
	// They become durable before the message is acknowledged.
	Tell []*eventv1.Record
	// Redacted counts the redacted fields by detector.
	Redacted map[string]int
	// Placeholder is the reason for which the batch was replaced, or empty.
	Placeholder string
}

// Looker looks at batches. Safe for concurrent use.
type Looker struct {
	Key  *seal.Key // signs placeholders
	Self string    // this service's own producer name
	Deep func(*eventv1.Record) []masking.Redaction
	// Verify checks a batch's hash and signature. Nil where no keys are
	// configured: then only archival checks them.
	Verify func(*eventv1.Batch) error

	mu         sync.Mutex
	unverified map[string]bool // producers that were told of, at most maxUnverified
}

// maxUnverified bounds what is remembered of batches that do not verify.
const maxUnverified = 1024

// Look looks at one message. The error is ErrNowhere where nothing can go on.
func (l *Looker) Look(m Message) (Result, error) {
	owner := producerOf(m.Subject)
	b := &eventv1.Batch{}
	if err := proto.Unmarshal(m.Data, b); err != nil {
		return l.replaceByHeader(m, owner, "it cannot be unmarshalled")
	}
	if b.Producer == "" && b.Incarnation == "" {
		return l.replaceByHeader(m, owner, "it names no producer")
	}
	if b.Producer != owner {
		// Published by somebody who may not speak for that producer: its number
		// is not theirs to fill.
		return Result{}, fmt.Errorf("%w: producer %.64q under subject %s", ErrNowhere, b.Producer, m.Subject)
	}
	if b.Incarnation == "" || b.Number == 0 {
		return Result{}, fmt.Errorf("%w: no incarnation or number", ErrNowhere)
	}
	return l.batch(b, m), nil
}

func (l *Looker) batch(b *eventv1.Batch, m Message) (r Result) {
	// A record that makes the detectors panic must not stop all others.
	defer func() {
		if recover() != nil {
			r = l.Replace(b, "looking at it failed")
		}
	}()
	r = Result{Batch: b, Raw: m.Data, Redacted: map[string]int{}}
	if l.Verify != nil && l.Verify(b) != nil && l.first(b.Producer+"/"+b.Incarnation+"/"+b.KeyId) {
		r.Tell = append(r.Tell, finding("batch.unverified", b, "the hash or the signature does not hold; this producer's batches go on as they are"))
	}
	changed := false
	for _, rec := range b.Records {
		redactions := l.Deep(rec)
		if len(redactions) == 0 {
			continue
		}
		changed = true
		for _, x := range redactions {
			for _, d := range x.Detectors {
				r.Redacted[d]++
			}
		}
		// What this service itself says is never told about again: a redaction of
		// a redaction would go round for ever.
		if b.Producer != l.Self {
			r.Tell = append(r.Tell, redaction(b, rec, redactions))
		}
	}
	if b.Producer != l.Self {
		r.Tell = append(r.Tell, exposed(b)...)
	}
	if !changed {
		return r
	}
	raw, err := proto.Marshal(b)
	if err != nil {
		return l.Replace(b, "it cannot be marshalled after redaction")
	}
	r.Raw = raw
	return r
}

// first reports that a producer has not been told of before.
func (l *Looker) first(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unverified[name] || len(l.unverified) >= maxUnverified {
		return false
	}
	if l.unverified == nil {
		l.unverified = map[string]bool{}
	}
	l.unverified[name] = true
	return true
}

// Replace returns a placeholder under the batch's number. The original stays on
// its stream, from where it can be replayed.
func (l *Looker) Replace(b *eventv1.Batch, reason string) Result {
	p := &eventv1.Batch{
		Producer: b.Producer, Incarnation: b.Incarnation, Number: b.Number, PreviousHash: b.PreviousHash, PlaceholderReason: reason,
		SealedAt: b.SealedAt,
	}
	if p.SealedAt == nil {
		p.SealedAt = timestamppb.Now()
	}
	if err := event.Seal(p, l.Key); err != nil {
		p.Hash, p.Signature = nil, nil // an unsigned placeholder is better than a gap
	}
	raw, err := proto.Marshal(p)
	if err != nil {
		return Result{} // cannot happen: its texts are valid
	}
	return Result{Batch: p, Raw: raw, Placeholder: reason, Tell: []*eventv1.Record{finding("batch.replaced", p, "the batch was replaced by a placeholder: "+reason)}}
}

// replaceByHeader stands in for a batch whose bytes cannot be read.
func (l *Looker) replaceByHeader(m Message, owner, reason string) (Result, error) {
	b, ok := parseID(m.ID)
	if !ok || b.Producer != owner {
		return Result{}, fmt.Errorf("%w: subject %s", ErrNowhere, m.Subject)
	}
	return l.Replace(b, reason), nil
}

// parseID splits producer/incarnation/number; a producer has a slash itself.
func parseID(id string) (*eventv1.Batch, bool) {
	rest, number, ok := cutLast(id)
	if !ok {
		return nil, false
	}
	producer, incarnation, ok := cutLast(rest)
	if !ok || producer == "" || incarnation == "" {
		return nil, false
	}
	b := &eventv1.Batch{Producer: producer, Incarnation: incarnation}
	if _, err := fmt.Sscanf(number, "%d", &b.Number); err != nil || fmt.Sprint(b.Number) != number || b.Number == 0 {
		return nil, false
	}
	return b, true
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// producerOf returns whose batches a subject carries: record.gw1 is
// gateway/gw1's, admin.approval.a1 is approval/a1's.
func producerOf(subject string) string {
	if gateway, ok := strings.CutPrefix(subject, bus.RecordPrefix); ok {
		return "gateway/" + gateway
	}
	service, instance, _ := strings.Cut(strings.TrimPrefix(subject, bus.AdminPrefix), ".")
	return service + "/" + instance
}

// redaction is the record of what was redacted in another record. Its id
// follows from the batch's and the record's, so that a redelivery tells the
// same again and not something new.
func redaction(b *eventv1.Batch, rec *eventv1.Record, redactions []masking.Redaction) *eventv1.Record {
	fields, what := make([]string, len(redactions)), make([]string, len(redactions))
	for i, x := range redactions {
		fields[i], what[i] = x.Field, x.String()
	}
	return &eventv1.Record{
		Id: DerivedID(rec.GetTime().AsTime(), event.ID(b), rec.Id, "redaction"), Kind: eventv1.Kind_KIND_REDACTION, Action: "redacted", Actor: "masking",
		SessionId: rec.SessionId, CommandId: rec.CommandId, TraceId: rec.TraceId, Target: rec.Target, Environment: rec.Environment,
		Message: "the second look redacted " + strings.Join(what, ", "),
		Details: map[string]string{"batch": event.ID(b), "record": rec.Id, "fields": strings.Join(fields, ",")},
	}
}

// exposed tells of secrets in fields that cannot be redacted.
func exposed(b *eventv1.Batch) []*eventv1.Record {
	var out []*eventv1.Record
	for _, rec := range b.Records {
		for _, x := range masking.Exposed(rec) {
			f := finding("secret.not_redactable", b, "a detector matches a field that the batch's hash covers: "+x.String())
			f.Id = DerivedID(rec.GetTime().AsTime(), event.ID(b), rec.Id, x.Field)
			f.SessionId, f.CommandId, f.Target = rec.SessionId, rec.CommandId, rec.Target
			f.Details["record"], f.Details["field"] = rec.Id, x.Field
			out = append(out, f)
		}
	}
	return out
}

func finding(action string, b *eventv1.Batch, message string) *eventv1.Record {
	return &eventv1.Record{
		Id:   DerivedID(b.GetSealedAt().AsTime(), event.ID(b), action),
		Kind: eventv1.Kind_KIND_FINDING, Action: action, Actor: "masking", Message: message, Details: map[string]string{"batch": event.ID(b)},
	}
}

// DerivedID is a ULID of a time and a hash of names: the same for the same
// event, however often it is told.
func DerivedID(at time.Time, names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	var id ulid.ULID
	if ms := at.UnixMilli(); ms > 0 {
		_ = id.SetTime(uint64(ms)) // a time too late for a ULID leaves it zero
	}
	copy(id[6:], sum[:10])
	return id.String()
}
