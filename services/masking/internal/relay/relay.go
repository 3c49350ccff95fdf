// Package relay carries batches from one stream to the audit stream, in order,
// each under its own id, past the second look.
//
// # Guarantees
//
// A message is acknowledged only after its batch, and everything that was to be
// told about it, is stored. So nothing is lost when this process is killed at
// any point; what was on its way then comes again, and the audit stream (within
// its duplicate window) and archival (after it) drop what they have.
//
// Batches leave in the order in which they lie on the stream. JetStream
// delivers unacknowledged messages of a killed process only after a while, and
// new ones before them; the relay holds those back until the older have come.
package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/masking/internal/look"
)

// Durable is the name of the consumer on each stream.
const Durable = "masking"

const (
	// window bounds the messages on their way, and so the memory: a batch holds
	// at most 512 KiB of records.
	window = 64
	// defaultAckWait is how long after a crash what was on its way comes again.
	// A message that waits longer here, because the bus does not take it, comes
	// twice, and is then only acknowledged.
	defaultAckWait = 5 * time.Second
	// attemptLimit bounds one publication.
	attemptLimit = 5 * time.Second
	retry        = 250 * time.Millisecond
)

// Looker is the second look (look.Looker).
type Looker interface {
	Look(m look.Message) (look.Result, error)
	Replace(b *eventv1.Batch, reason string) look.Result
}

// Relay carries one stream. Run it once at a time.
type Relay struct {
	JS     jetstream.JetStream
	Stream string
	Looker Looker
	// Tell makes records of this service durable; it returns nil only when all
	// of them are.
	Tell func(ctx context.Context, records []*eventv1.Record) error
	// Bound is called when messages can come.
	Bound func()
	// Done is called after each message that was acknowledged.
	Done func(p Progress)
	Log  zerolog.Logger
	// AckWait is the consumer's; 0 means five seconds.
	AckWait time.Duration

	stream  jetstream.Stream
	next    uint64                   // sequence of the message that goes on next
	waiting map[uint64]jetstream.Msg // delivered before their turn, at most window
}

// Progress says what became of one message.
type Progress struct {
	Result  look.Result
	Dropped bool          // it named no batch
	Pending uint64        // messages still on the stream
	Age     time.Duration // from the stream's storing it until now
}

// Run carries messages until ctx ends. It returns an error where the stream or
// the consumer is gone, and may then be run again.
func (r *Relay) Run(ctx context.Context) error {
	if r.AckWait == 0 {
		r.AckWait = defaultAckWait
	}
	stream, err := r.JS.Stream(ctx, r.Stream)
	if err != nil {
		return fmt.Errorf("relay: stream %s: %w", r.Stream, err)
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: Durable, Description: "the masking service's second look", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: r.AckWait, MaxAckPending: window, MaxDeliver: -1,
	})
	if err != nil {
		return fmt.Errorf("relay: consumer on %s: %w", r.Stream, err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return fmt.Errorf("relay: consumer on %s: %w", r.Stream, err)
	}
	state, err := stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("relay: stream %s: %w", r.Stream, err)
	}
	r.stream, r.next, r.waiting = stream, info.AckFloor.Stream+1, map[uint64]jetstream.Msg{}
	if state.State.FirstSeq > r.next {
		if err := r.skip(ctx); err != nil {
			return err
		}
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(window), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("relay: consume %s: %w", r.Stream, err)
	}
	defer messages.Stop()
	r.Bound()
	return r.consume(ctx, messages)
}

func (r *Relay) consume(ctx context.Context, messages jetstream.MessagesContext) error {
	// A gap that lasts longer than this will not fill by itself.
	patience := 2 * r.AckWait
	var gapSince time.Time
	for ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, patience/4)
		m, err := messages.Next(jetstream.NextContext(wait))
		cancel()
		switch {
		case err == nil:
			if err := r.take(m); err != nil {
				return err
			}
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout):
		default:
			return fmt.Errorf("relay: consume %s: %w", r.Stream, err)
		}
		if err := r.drain(ctx); err != nil {
			return err
		}
		switch {
		case len(r.waiting) == 0:
			gapSince = time.Time{}
		case gapSince.IsZero():
			gapSince = time.Now()
		case time.Since(gapSince) > patience:
			gapSince = time.Time{}
			if err := r.bridge(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// take files a message under its sequence. One that went on already is only
// acknowledged.
func (r *Relay) take(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("relay: metadata: %w", err)
	}
	if meta.Sequence.Stream < r.next {
		r.ack(m)
		return nil
	}
	r.waiting[meta.Sequence.Stream] = m
	return nil
}

// drain carries on what is next in order.
func (r *Relay) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		m, ok := r.waiting[r.next]
		if !ok {
			return nil
		}
		if err := r.carry(ctx, m); err != nil {
			return err
		}
		delete(r.waiting, r.next)
		r.next++
	}
	return nil
}

// bridge settles a gap that does not fill: the messages in it expired, or the
// consumer has lost them.
func (r *Relay) bridge(ctx context.Context) error {
	missing, err := r.stream.GetMsg(ctx, r.next)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		r.Log.Warn().Str("stream", r.Stream).Uint64("sequence", r.next).Msg("message is no longer on the stream")
		return r.skip(ctx)
	case err != nil:
		return fmt.Errorf("relay: message %d of %s: %w", r.next, r.Stream, err)
	}
	p, err := r.handle(ctx, look.Message{Subject: missing.Subject, ID: missing.Header.Get("ce-id"), Data: missing.Data}, r.next, missing.Time)
	if err != nil {
		return err
	}
	p.Age = time.Since(missing.Time)
	r.Done(p)
	r.next++
	return r.drain(ctx)
}

// skip goes on at the first message that is still there.
func (r *Relay) skip(ctx context.Context) error {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("relay: stream %s: %w", r.Stream, err)
	}
	from := r.next
	r.next = max(r.next+1, info.State.FirstSeq)
	err = r.tell(ctx, []*eventv1.Record{{
		Kind: eventv1.Kind_KIND_FINDING, Action: "records.expired", Actor: "masking",
		Message: "messages left the stream before the second look took them",
		Details: map[string]string{"stream": r.Stream, "from": fmt.Sprint(from), "to": fmt.Sprint(r.next - 1)},
	}})
	if err != nil {
		return err
	}
	return r.drain(ctx)
}

// carry sees one message through, and acknowledges it.
func (r *Relay) carry(ctx context.Context, m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("relay: metadata: %w", err)
	}
	p, err := r.handle(ctx, look.Message{Subject: m.Subject(), ID: m.Headers().Get("ce-id"), Data: m.Data()}, meta.Sequence.Stream, meta.Timestamp)
	if err != nil {
		return err
	}
	r.ack(m)
	p.Pending, p.Age = meta.NumPending, time.Since(meta.Timestamp)
	r.Done(p)
	return nil
}

// handle looks at a message and stores what comes of it. It returns an error
// only when ctx has ended.
func (r *Relay) handle(ctx context.Context, m look.Message, sequence uint64, at time.Time) (Progress, error) {
	result, err := r.Looker.Look(m)
	if err != nil {
		r.Log.Error().Err(err).Str("stream", r.Stream).Uint64("sequence", sequence).Msg("message dropped")
		return Progress{Dropped: true}, r.tell(ctx, []*eventv1.Record{{
			Id: look.DerivedID(at, r.Stream, fmt.Sprint(sequence)), Kind: eventv1.Kind_KIND_FINDING, Action: "message.dropped", Actor: "masking", Message: err.Error(),
			Details: map[string]string{"stream": r.Stream, "sequence": fmt.Sprint(sequence), "subject": m.Subject},
		}})
	}
	if result, err = r.publish(ctx, m.Subject, result); err != nil {
		return Progress{}, err
	}
	if result.Placeholder != "" {
		r.Log.Error().Str("producer", result.Batch.GetProducer()).Uint64("number", result.Batch.GetNumber()).Str("reason", result.Placeholder).Msg("batch replaced by a placeholder")
	}
	return Progress{Result: result}, r.tell(ctx, result.Tell)
}

// publish stores the batch on the audit stream, however long the bus takes. A
// batch that the bus will never take is replaced.
func (r *Relay) publish(ctx context.Context, subject string, result look.Result) (look.Result, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptLimit)
		err := bus.PublishBatch(attempt, r.JS, bus.AuditPrefix+subject, result.Batch, result.Raw)
		cancel()
		switch {
		case err == nil:
			return result, nil
		case ctx.Err() != nil:
			return result, fmt.Errorf("relay: %w", ctx.Err())
		case never(err) && result.Placeholder == "":
			tell := result.Tell
			result = r.Looker.Replace(result.Batch, "the bus does not take it: it is too large")
			result.Tell = append(tell, result.Tell...)
			continue
		}
		r.Log.Warn().Err(err).Str("stream", r.Stream).Msg("batch not stored yet; trying again")
		if err := pause(ctx); err != nil {
			return result, err
		}
	}
}

// never reports an error that a second attempt will not cure.
func never(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &api) && api.ErrorCode == errMessageSize
}

// errMessageSize is JetStream's "message size exceeds maximum allowed".
const errMessageSize jetstream.ErrorCode = 10054

func (r *Relay) tell(ctx context.Context, records []*eventv1.Record) error {
	if len(records) == 0 {
		return nil
	}
	for {
		err := r.Tell(ctx, records)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("relay: %w", ctx.Err())
		}
		r.Log.Warn().Err(err).Msg("redactions and findings not stored yet; trying again")
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// ack tells the server. Where that gets lost the message comes again, and is
// acknowledged then.
func (r *Relay) ack(m jetstream.Msg) {
	if err := m.Ack(); err != nil {
		r.Log.Debug().Err(err).Msg("acknowledgement not sent; the message comes again")
	}
}

func pause(ctx context.Context) error {
	t := time.NewTimer(retry)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("relay: %w", ctx.Err())
	case <-t.C:
		return nil
	}
}
