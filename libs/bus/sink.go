package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Sink publishes sealed batches to one subject of the hub. It implements
// event.Sink: Append returns when the stream has stored the batch.
type Sink struct {
	bus     *Bus
	subject string
}

var _ event.Sink = (*Sink)(nil)

// NewSink returns the sink for a subject (RecordSubject or AdminSubject).
func NewSink(b *Bus, subject string) *Sink { return &Sink{bus: b, subject: subject} }

// Append publishes synchronously; a redelivery of the same batch is dropped by
// the stream within its duplicate window, and by archival after it.
func (s *Sink) Append(ctx context.Context, b *eventv1.Batch) error {
	raw, err := proto.Marshal(b)
	if err != nil {
		return fmt.Errorf("bus: marshal batch: %w", err)
	}
	return PublishBatch(ctx, s.bus.JS, s.subject, b, raw)
}

// PublishBatch publishes a batch with CloudEvents attributes in its headers.
// raw is the marshalled batch.
func PublishBatch(ctx context.Context, js jetstream.JetStream, subject string, b *eventv1.Batch, raw []byte) error {
	m := nats.NewMsg(subject)
	m.Data = raw
	id := event.ID(b)
	m.Header.Set("ce-specversion", "1.0")
	m.Header.Set("ce-type", "dev.gatestay.batch.v1")
	m.Header.Set("ce-source", b.Producer)
	m.Header.Set("ce-id", id)
	if _, err := js.PublishMsg(ctx, m, jetstream.WithMsgID(subject+"/"+id)); err != nil {
		return fmt.Errorf("bus: publish %s: %w", id, err)
	}
	return nil
}
