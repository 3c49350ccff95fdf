// Package copies lifts the masks of what masked columns were copied to, when an
// administrator says that there is nothing of them there any more: a table that
// was dropped, and made anew.
package copies

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/copied"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const limit = 10 * time.Second

// Registry reads and lifts copies. Safe for concurrent use.
type Registry struct {
	JS    jetstream.JetStream
	Key   *seal.Key
	Trust seal.Trust // whose liftings count beside Key's
	// Record makes an administrative act durable.
	Record func(ctx context.Context, r *eventv1.Record) error
	Now    func() time.Time
}

// Request says which copies are lifted, by whom and why.
type Request struct {
	Target, Database string // no database: all of the target's
	Schema, Table    string
	Column           string // none: all of the relation's
	Person, Account  string
	Reason, Via      string
}

// List returns the copies that are masked, of one target.
func (r *Registry) List(ctx context.Context, target string) ([]copied.Mask, error) {
	ledger, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	var out []copied.Mask
	for _, m := range ledger.Active() {
		if m.Target == target {
			out = append(out, m)
		}
	}
	return out, nil
}

// Lift lifts copies, and returns which. The act is recorded before any gateway
// hears of it. It may be repeated; where nothing is masked it is a
// *refusal.Refusal.
func (r *Registry) Lift(ctx context.Context, q Request) ([]copied.Mask, error) {
	if strings.TrimSpace(q.Reason) == "" {
		return nil, &refusal.Refusal{Code: refusal.ReasonRequired, Message: "lifting a mask needs a reason, which the audit keeps", Hint: "give one with --reason"}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ledger, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	var out []copied.Mask
	for _, m := range ledger.Active() {
		if !q.covers(m) {
			continue
		}
		_, generation, _ := ledger.Of(m)
		if err := r.lift(ctx, q, m, generation); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, &refusal.Refusal{
			Code: refusal.ApprovalUnknown, Message: "nothing that was copied there is masked",
			Hint: fmt.Sprintf("'gatestay masking copies list %s' shows what is", q.Target),
		}
	}
	return out, nil
}

func (q Request) covers(m copied.Mask) bool {
	return m.Target == q.Target && (q.Database == "" || m.Database == q.Database) &&
		m.To.Schema == q.Schema && m.To.Table == q.Table && (q.Column == "" || m.To.Name == q.Column)
}

func (r *Registry) lift(ctx context.Context, q Request, m copied.Mask, generation uint64) error {
	l := copied.Lift{Mask: m, Generation: generation, Person: q.Person, Account: q.Account, Reason: q.Reason, At: r.Now().UTC()}
	raw, err := l.Sign(r.Key)
	if err != nil {
		return fmt.Errorf("copies: %w", err)
	}
	key, err := m.Key()
	if err != nil {
		return fmt.Errorf("copies: %w", err)
	}
	if err := r.Record(ctx, &eventv1.Record{
		Kind: eventv1.Kind_KIND_ADMIN, Action: "copy.lifted", Actor: q.Person, Target: m.Target, Database: m.Database, Reason: q.Reason,
		Message: "what was copied to " + name(m.To.Schema, m.To.Table, m.To.Name) + " is masked no more",
		Details: map[string]string{
			"relation": name(m.To.Schema, m.To.Table, ""), "column": m.To.Name, "from": name(m.From.Schema, m.From.Table, m.From.Name),
			"copied_by": m.By, "account": q.Account, "via": q.Via, "generation": strconv.FormatUint(generation, 10),
		},
	}); err != nil {
		return fmt.Errorf("copies: record: %w", err)
	}
	_, err = r.JS.Publish(ctx, bus.CopySubject(key, generation, true), raw, jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	if err != nil && (!errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence) {
		return fmt.Errorf("copies: %w", err)
	}
	return nil
}

func name(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, ".")
}

// read reads all that there is.
func (r *Registry) read(ctx context.Context) (*copied.Ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	trust := r.Key.Public()
	for id, k := range r.Trust {
		trust[id] = k
	}
	ledger := copied.NewLedger(trust)
	stream, err := r.JS.Stream(ctx, bus.StreamCopies)
	if err != nil {
		return nil, fmt.Errorf("copies: %w", err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("copies: %w", err)
	}
	if info.State.Msgs == 0 {
		return ledger, nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, fmt.Errorf("copies: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, fmt.Errorf("copies: %w", err)
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	defer messages.Stop()
	for {
		msg, err := messages.Next()
		if err != nil {
			return nil, fmt.Errorf("copies: %w", errors.Join(err, ctx.Err()))
		}
		at, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("copies: %w", err)
		}
		// What does not hold counts for nothing, here and at the gateways, which log it.
		if key, generation, lifted, ok := bus.ParseCopySubject(msg.Subject()); ok && lifted {
			_, _, _ = ledger.Lifted(key, generation, msg.Data())
		} else if ok {
			_, _, _ = ledger.Copy(key, generation, msg.Data())
		}
		if at.Sequence.Stream >= info.State.LastSeq {
			return ledger, nil
		}
	}
}
