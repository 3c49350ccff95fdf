// Package stream reads the audit stream through one durable consumer that all
// replicas share; the one that writes reads. Messages are decoded and verified
// side by side and handed on in the stream's order.
package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
)

// Consumer is the durable's name.
const Consumer = "archival"

// AckWait is how long the stream waits before it delivers a message again. The
// writer asks for more time while it holds one.
const AckWait = 6 * time.Second

const (
	pullBytes = 8 << 20
	ahead     = 32 // messages decoded ahead of the writer
	pause     = 500 * time.Millisecond

	drainLimit = 100 * time.Millisecond
)

// Stream is the audit stream as one writer reads it.
type Stream struct {
	JS   jetstream.JetStream
	Keys *intake.Keys
	Log  zerolog.Logger
	// Unreadable makes the finding about a message that is no batch durable; the
	// message is dropped only after that.
	Unreadable func(ctx context.Context, subject string, sequence uint64, raw []byte, err error) error

	consumer jetstream.Consumer
	decoded  chan chan result
}

type result struct {
	message  jetstream.Msg
	sequence uint64
	item     *intake.Item
	err      error
}

// Begin must come before Read and Next: a new writer begins with nothing read.
func (s *Stream) Begin() { s.decoded = make(chan chan result, ahead) }

// Attach creates the consumer where missing. afresh makes it begin at the
// stream's first message again: for a store that lost, or never had, its data.
func (s *Stream) Attach(ctx context.Context, afresh bool) error {
	if afresh {
		if err := s.JS.DeleteConsumer(ctx, bus.StreamAudit, Consumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("stream: begin afresh: %w", err)
		}
	}
	c, err := s.JS.CreateOrUpdateConsumer(ctx, bus.StreamAudit, jetstream.ConsumerConfig{
		Durable: Consumer, FilterSubject: bus.AuditPrefix + ">", AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,
		MaxDeliver: -1, MaxAckPending: -1, // one chain that waits must not stop the others; the writer bounds what it holds
	})
	if err != nil {
		return fmt.Errorf("stream: consumer: %w", err)
	}
	s.consumer = c
	return nil
}

// Read pulls and decodes until ctx ends; Next returns what it reads. A consumer
// that is gone (the bus lost its disk) is made again.
func (s *Stream) Read(ctx context.Context) {
	defer close(s.decoded)
	for ctx.Err() == nil {
		if err := s.pull(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn().Err(err).Msg("reading the audit stream was interrupted; trying again")
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			if err := s.Attach(ctx, false); err != nil && ctx.Err() == nil {
				s.Log.Warn().Err(err).Msg("cannot reach the audit stream")
			}
		}
	}
}

func (s *Stream) pull(ctx context.Context) error {
	messages, err := s.consumer.Messages(jetstream.PullMaxBytes(pullBytes), jetstream.PullExpiry(10*time.Second))
	if err != nil {
		return fmt.Errorf("stream: pull: %w", err)
	}
	defer giveBack(messages)
	var decoding sync.WaitGroup
	defer decoding.Wait()
	workers := make(chan struct{}, runtime.GOMAXPROCS(0))
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("stream: next: %w", err)
		}
		out := make(chan result, 1)
		select {
		case s.decoded <- out:
		case <-ctx.Done():
			nak(m)
			return nil
		}
		workers <- struct{}{}
		decoding.Go(func() {
			out <- s.decode(m)
			<-workers
		})
	}
}

// giveBack ends a subscription and returns what it had fetched ahead, so that
// the next reader need not wait until it is delivered again.
func giveBack(messages jetstream.MessagesContext) {
	messages.Drain()
	for {
		m, err := messages.Next(jetstream.NextMaxWait(drainLimit))
		if err != nil {
			break
		}
		nak(m)
	}
	messages.Stop()
}

// nak gives one message back. Where that gets lost it comes again by itself.
func nak(m jetstream.Msg) { _ = m.Nak() }

// End returns what was read and not taken. It comes after Read has returned and
// Next is no longer called.
func (s *Stream) End() {
	for out := range s.decoded {
		nak((<-out).message)
	}
}

// Next returns the next batch, in the stream's order. It blocks; at the end of
// Read it returns io.EOF.
func (s *Stream) Next(ctx context.Context) (*intake.Item, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("stream: %w", ctx.Err())
		case out, ok := <-s.decoded:
			if !ok {
				return nil, io.EOF
			}
			r := <-out
			if r.err == nil {
				return r.item, nil
			}
			s.drop(ctx, r)
		}
	}
}

// drop lets go of a message that is no batch, once that is on record.
func (s *Stream) drop(ctx context.Context, r result) {
	if err := s.Unreadable(ctx, r.message.Subject(), r.sequence, r.message.Data(), r.err); err != nil {
		s.Log.Warn().Err(err).Uint64("sequence", r.sequence).Msg("a message that is no batch cannot be put on record yet")
		_ = r.message.NakWithDelay(AckWait)
		return
	}
	_ = r.message.Term()
}

// Expired reports that the stream no longer holds its first message.
func (s *Stream) Expired(ctx context.Context) (bool, error) {
	stream, err := s.JS.Stream(ctx, bus.StreamAudit)
	if err != nil {
		return false, fmt.Errorf("stream: %w", err)
	}
	return stream.CachedInfo().State.FirstSeq > 1, nil
}

// Lag is how far the consumer is behind.
type Lag struct {
	Waiting uint64 // messages not yet delivered
	Unacked int    // delivered and not yet stored
}

// Lag asks the bus.
func (s *Stream) Lag(ctx context.Context) (Lag, error) {
	info, err := s.consumer.Info(ctx)
	if err != nil {
		return Lag{}, fmt.Errorf("stream: %w", err)
	}
	return Lag{Waiting: info.NumPending, Unacked: info.NumAckPending}, nil
}

func (s *Stream) decode(m jetstream.Msg) result {
	r := result{message: m}
	meta, err := m.Metadata()
	if err != nil {
		r.err = fmt.Errorf("stream: metadata: %w", err)
		return r
	}
	r.sequence = meta.Sequence.Stream
	r.item, r.err = intake.Read(m, meta.Sequence.Stream, meta.Timestamp, s.Keys)
	return r
}
