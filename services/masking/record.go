package masking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// maxRecords bounds the records that wait for the bus. They are small, and come
// from files that people edit.
const maxRecords = 1024

// recorder makes what the keeper tells durable, in order, however long the bus
// takes: what happened while the bus was away is told later.
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
		return fmt.Errorf("masking: record not queued: %w", ctx.Err())
	}
}

// run makes queued records durable until ctx ends, and then offers the rest.
func (r *recorder) run(ctx context.Context, p *event.Producer) {
	for {
		select {
		case rec := <-r.queue:
			for !durable(ctx, p, rec) {
				r.log.Warn().Str("action", rec.Action).Msg("record not durable; trying again")
				pause(ctx, time.Second)
			}
		case <-ctx.Done():
			for {
				select {
				case rec := <-r.queue:
					_ = p.Offer(rec) // Close waits for it
				default:
					return
				}
			}
		}
	}
}

// durable offers one record and waits for it. A batch that may be stored is the
// producer's to repeat.
func durable(ctx context.Context, p *event.Producer, rec *eventv1.Record) bool {
	pending := p.Offer(rec)
	select {
	case <-pending.Durable():
	case <-ctx.Done():
		return true // Close waits for it
	}
	err := pending.Wait(ctx)
	return err == nil || errors.Is(err, event.ErrUnsure) || errors.Is(err, event.ErrClosed)
}

// tell makes the records of one message durable. It returns nil only when all
// of them are: else the message must come again.
func tell(ctx context.Context, p *event.Producer, records []*eventv1.Record) error {
	waiting := make([]event.Pending, len(records))
	for i, rec := range records {
		waiting[i] = p.Offer(rec)
	}
	var errs []error
	for _, w := range waiting {
		if err := w.Wait(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
