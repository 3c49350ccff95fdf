package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const followAgain = 500 * time.Millisecond

// Follow calls take for each message of a stream on these subjects, in order,
// from a time on, until ctx ends. After an interruption it begins anew from since():
// messages may come twice, none is left out. It needs no acknowledgement.
func (b *Bus) Follow(
	ctx context.Context, log zerolog.Logger, stream string, subjects []string, since func() time.Time, take func(subject string, data []byte),
) {
	for ctx.Err() == nil {
		err := b.followOnce(ctx, stream, subjects, since(), take)
		if ctx.Err() != nil {
			return
		}
		log.Warn().Err(err).Str("stream", stream).Msg("stream interrupted; listening again")
		select {
		case <-ctx.Done():
		case <-time.After(followAgain):
		}
	}
}

func (b *Bus) followOnce(ctx context.Context, stream string, subjects []string, since time.Time, take func(string, []byte)) error {
	c, err := b.JS.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	})
	if err != nil {
		return fmt.Errorf("bus: follow %s: %w", stream, err)
	}
	it, err := c.Messages()
	if err != nil {
		return fmt.Errorf("bus: follow %s: %w", stream, err)
	}
	defer context.AfterFunc(ctx, it.Stop)()
	defer it.Stop()
	for {
		m, err := it.Next()
		if err != nil {
			return fmt.Errorf("bus: follow %s: %w", stream, err)
		}
		take(m.Subject(), m.Data())
	}
}
