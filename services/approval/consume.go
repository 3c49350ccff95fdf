package approval

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
)

const (
	durable   = "approval" // shared by all replicas
	ackWait   = 30 * time.Second
	askAgain  = time.Second
	takeLimit = 10 * time.Second
)

// consume takes requests, cancellations and outcomes until ctx ends. An event is
// acknowledged when its effect is durable in the state.
func (r *running) consume(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.consumeOnce(ctx); err != nil && ctx.Err() == nil {
			r.s.deps.Log.Warn().Err(err).Msg("requests interrupted; listening again")
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

func (r *running) consumeOnce(ctx context.Context) error {
	c, err := r.bus.JS.CreateOrUpdateConsumer(ctx, bus.StreamApprovals, jetstream.ConsumerConfig{
		Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 512, DeliverPolicy: jetstream.DeliverAllPolicy,
		FilterSubjects: []string{
			bus.ApprovalSubject("*", "*", bus.Requested), bus.ApprovalSubject("*", "*", bus.Cancelled), bus.ApprovalSubject("*", "*", bus.Ran),
			bus.ApprovalSubject("*", "*", bus.Used),
		},
	})
	if err != nil {
		return fmt.Errorf("approval: consumer: %w", err)
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(64))
	if err != nil {
		return fmt.Errorf("approval: messages: %w", err)
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	defer messages.Stop()
	for {
		m, err := messages.Next()
		if err != nil {
			return fmt.Errorf("approval: next: %w", err)
		}
		r.take(ctx, m)
	}
}

func (r *running) take(ctx context.Context, m jetstream.Msg) {
	ctx, cancel := context.WithTimeout(ctx, takeLimit)
	defer cancel()
	gateway, id, event, ok := bus.ParseApprovalSubject(m.Subject())
	err := fmt.Errorf("%w: subject", desk.ErrInvalid)
	if ok {
		switch event {
		case bus.Requested:
			err = r.desk.Requested(ctx, gateway, id, m.Data(), m.Headers().Get(bus.TagHeader))
		case bus.Cancelled:
			err = r.desk.Cancelled(ctx, gateway, id, m.Data())
		case bus.Used:
			err = r.desk.Used(ctx, gateway, id, m.Data())
		case bus.Ran:
			err = r.desk.Ran(ctx, gateway, id, m.Data())
		}
	}
	switch {
	case err == nil:
		err = m.Ack()
	case errors.Is(err, desk.ErrInvalid):
		r.s.deps.Log.Error().Err(err).Str("gateway", gateway).Msg("event refused for good")
		err = m.Term()
	default:
		r.s.deps.Log.Warn().Err(err).Str("approval_id", id).Msg("event not taken; it comes again")
		err = m.NakWithDelay(askAgain)
	}
	if err != nil && ctx.Err() == nil {
		r.s.deps.Log.Warn().Err(err).Msg("event not acknowledged; it comes again")
	}
}
