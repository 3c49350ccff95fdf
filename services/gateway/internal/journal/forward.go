package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	purgeBatches = 256                    // forwarded batches that may lie here
	purgeIdle    = 100 * time.Millisecond // after which they are purged anyway
)

// Forward publishes batch after batch to the hub subject until ctx ends. While
// the hub is away it waits; it never passes a batch.
func (j *Journal) Forward(ctx context.Context, hub *bus.Bus, hubSubject string) error {
	info, err := j.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("journal: forward: %w", err)
	}
	f := &forwarder{journal: j, hub: hub, subject: hubSubject, due: max(info.State.FirstSeq, 1)}
	for {
		b, err := f.next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if f.forward(ctx, b) != nil {
			return nil
		}
	}
}

// forwarder is the journal's one reader.
type forwarder struct {
	journal *Journal
	hub     *bus.Bus
	subject string
	due     uint64 // sequence of the batch that is to be forwarded
	lying   int    // forwarded batches that are not purged yet
}

// next returns the batch that is due; while none comes it purges what was
// forwarded.
func (f *forwarder) next(ctx context.Context) (batch, error) {
	if f.lying >= purgeBatches {
		f.purge(ctx)
	}
	for {
		b, found, stored := f.journal.recent.take(f.due)
		switch {
		case found:
			return b, nil
		case stored:
			if b, err := f.read(ctx); b.raw != nil || err != nil {
				return b, err
			}
			continue
		}
		var idle <-chan time.Time
		if f.lying > 0 {
			idle = time.After(purgeIdle)
		}
		select {
		case <-f.journal.recent.added:
		case <-idle:
			f.purge(ctx)
		case <-ctx.Done():
			return batch{}, ctx.Err()
		}
	}
}

// read returns the batch that is due from the stream, an empty one where it is
// not there: then the next one is due.
func (f *forwarder) read(ctx context.Context) (batch, error) {
	m, err := f.journal.stream.GetMsg(ctx, f.due)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		f.journal.log.Error().Uint64("sequence", f.due).Msg("a batch of records is missing in the journal: its file is damaged")
		f.due++
		return batch{}, nil
	}
	if err != nil {
		return batch{}, fmt.Errorf("journal: read: %w", err)
	}
	b := batch{sequence: m.Sequence, attributes: m.Header, raw: m.Data}
	if b.attributes.Get("ce-id") != "" {
		return b, nil
	}
	// An earlier version journalled without attributes.
	var stored eventv1.Batch
	if err := proto.Unmarshal(m.Data, &stored); err != nil {
		return batch{}, fmt.Errorf("journal: stored batch is damaged: %w", err)
	}
	b.attributes = bus.Attributes(&stored)
	return b, nil
}

func (f *forwarder) purge(ctx context.Context) {
	if err := f.journal.stream.Purge(ctx, jetstream.WithPurgeSequence(f.due)); err != nil && ctx.Err() == nil {
		f.journal.log.Warn().Err(err).Msg("forwarded records could not be removed from the journal; trying again")
		return
	}
	f.lying = 0
}

// forward publishes a batch until the hub has it. The error is of ctx.
func (f *forwarder) forward(ctx context.Context, b batch) error {
	pause := 50 * time.Millisecond
	for {
		_, err := bus.Publish(ctx, f.hub.JS, f.subject, b.attributes, b.raw)
		if err == nil {
			f.due, f.lying = b.sequence+1, f.lying+1
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.journal.log.Warn().Err(err).Msg("hub does not take records; they wait in the journal")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*2, 2*time.Second)
	}
}
