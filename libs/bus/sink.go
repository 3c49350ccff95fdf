package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
func (s *Sink) Append(ctx context.Context, b *eventv1.Batch, raw []byte) error {
	return PublishBatch(ctx, s.bus.JS, s.subject, b, raw)
}

// PublishBatch publishes a batch with CloudEvents attributes in its headers.
// raw is the marshalled batch.
func PublishBatch(ctx context.Context, js jetstream.JetStream, subject string, b *eventv1.Batch, raw []byte) error {
	_, err := Publish(ctx, js, subject, Attributes(b), raw)
	return err
}

// Attributes returns the CloudEvents attributes of a batch.
func Attributes(b *eventv1.Batch) nats.Header {
	return nats.Header{
		"ce-specversion": {"1.0"}, "ce-type": {"dev.gatestay.batch.v1"}, "ce-source": {b.Producer}, attributeID: {event.ID(b)},
	}
}

const attributeID = "ce-id"

// Publish publishes a marshalled batch with its Attributes. It returns when the
// stream has stored it, or had before, and under which sequence.
func Publish(ctx context.Context, js jetstream.JetStream, subject string, attributes nats.Header, raw []byte) (uint64, error) {
	id := attributes.Get(attributeID)
	m := &nats.Msg{Subject: subject, Data: raw, Header: attributes}
	stored, err := js.PublishMsg(ctx, m, jetstream.WithMsgID(subject+"/"+id))
	if err != nil {
		return 0, fmt.Errorf("bus: publish %s: %w", id, err)
	}
	return stored.Sequence, nil
}
