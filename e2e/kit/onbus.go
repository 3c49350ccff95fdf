package kit

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// AwaitBus waits for a stored message of a stream, with a subject (wildcards
// allowed), that contains the text, and returns its bytes.
func (g *Gatestay) AwaitBus(t testing.TB, stream, subject, text string) []byte {
	t.Helper()
	return g.AwaitBusAfter(t, stream, subject, text, "")
}

// AwaitBusAfter is AwaitBus for a message that does not contain another text;
// an empty one excludes nothing.
func (g *Gatestay) AwaitBusAfter(t testing.TB, stream, subject, text, without string) []byte {
	t.Helper()
	var found []byte
	for raw := range g.bus(t, stream, subject) {
		if bytes.Contains(raw, []byte(text)) && (without == "" || !bytes.Contains(raw, []byte(without))) {
			found = raw
			break
		}
	}
	if found == nil {
		t.Fatalf("no message on %s contains %q", subject, text)
	}
	return found
}

// bus yields the stream's messages from the beginning, and what comes later
// for a while.
func (g *Gatestay) bus(t testing.TB, stream, subject string) func(func([]byte) bool) {
	t.Helper()
	return func(yield func([]byte) bool) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, err := nats.Connect(g.busURL(Archival), nats.Timeout(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		js, err := jetstream.New(c)
		if err != nil {
			t.Fatal(err)
		}
		consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
		if err != nil {
			t.Fatal(err)
		}
		messages, err := consumer.Messages()
		if err != nil {
			t.Fatal(err)
		}
		defer messages.Stop()
		for {
			m, err := messages.Next(jetstream.NextContext(ctx))
			if err != nil || !yield(m.Data()) {
				return
			}
		}
	}
}

// PublishBatch puts a batch on the bus as one of the services, with the headers
// that libs/bus gives it, and waits until the stream has it.
func (g *Gatestay) PublishBatch(ctx context.Context, as, subject, source, id string, raw []byte) error {
	c, err := nats.Connect(g.busURL(as), nats.Timeout(5*time.Second))
	if err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	defer c.Close()
	js, err := jetstream.New(c)
	if err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	m := nats.NewMsg(subject)
	m.Data = raw
	m.Header.Set("ce-specversion", "1.0")
	m.Header.Set("ce-type", "dev.gatestay.batch.v1")
	m.Header.Set("ce-source", source)
	m.Header.Set("ce-id", id)
	if _, err := js.PublishMsg(ctx, m, jetstream.WithMsgID(subject+"/"+id)); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	return nil
}
