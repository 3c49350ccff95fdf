package policy

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// maxRecords bounds the records that wait for the bus. They are small, and
// come from files that people edit.
const maxRecords = 1024

// recorder makes this service's own records durable, in order, however long
// the bus takes: what happened is told though it happened while the bus was away.
type recorder struct {
	queue chan *eventv1.Record
	log   zerolog.Logger
}

func newRecorder(log zerolog.Logger) *recorder {
	return &recorder{queue: make(chan *eventv1.Record, maxRecords), log: log}
}

// record queues a record. It blocks while the queue is full.
func (r *recorder) record(ctx context.Context, rec *eventv1.Record) error {
	select {
	case r.queue <- rec:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run offers what is queued until ctx ends, and then what is left.
func (r *recorder) run(ctx context.Context, p *event.Producer) {
	for {
		select {
		case rec := <-r.queue:
			r.offer(ctx, p, rec)
		case <-ctx.Done():
			for {
				select {
				case rec := <-r.queue:
					_ = p.Offer(rec)
				default:
					return
				}
			}
		}
	}
}

// offer makes one record durable. A batch that may be stored is the
// producer's to repeat.
func (r *recorder) offer(ctx context.Context, p *event.Producer, rec *eventv1.Record) {
	for {
		pending := p.Offer(rec)
		select {
		case <-pending.Durable():
		case <-ctx.Done():
			return // Close of the producer waits for it
		}
		err := pending.Wait(ctx)
		if err == nil || errors.Is(err, event.ErrUnsure) || errors.Is(err, event.ErrClosed) {
			return
		}
		r.log.Warn().Err(err).Str("action", rec.Action).Msg("record not durable; trying again")
		wait(ctx, time.Second)
	}
}
