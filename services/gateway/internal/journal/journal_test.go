package journal_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/journal"
)

func TestJournalOutlivesItsProcessAndAnAbsentHub(t *testing.T) {
	dir := t.TempDir()
	key, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, dir, 0)
	p := event.NewProducer("gateway/gw1", key, j)
	const records = 100
	for i := range records {
		if err := p.Record(t.Context(), &eventv1.Record{Id: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.Close() // the hub was never there

	j = open(t, dir, 0)
	defer j.Close()
	waiting, _, err := j.Waiting(t.Context())
	if err != nil || waiting == 0 {
		t.Fatalf("after a restart %d batches wait, %v", waiting, err)
	}
	hub := hub(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- j.Forward(ctx, hub, bus.RecordSubject("gw1")) }()
	drained, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := j.Drained(drained); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	seen := 0
	for _, b := range stored(t, hub) {
		if b.Number != next {
			t.Fatalf("batch %d where %d is due", b.Number, next)
		}
		if err := event.Verify(b, key.Public()); err != nil {
			t.Fatal(err)
		}
		next++
		for _, r := range b.Records {
			if r.Id != fmt.Sprint(seen) {
				t.Fatalf("record %s where %d is due", r.Id, seen)
			}
			seen++
		}
	}
	if seen != records {
		t.Fatalf("%d records at the hub, want %d", seen, records)
	}
}

// More waits than memory keeps, and more comes while it is forwarded: every
// batch goes out once and in order.
func TestForwardReadsWhatMemoryHasDropped(t *testing.T) {
	key, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, t.TempDir(), 0)
	defer j.Close()
	text := strings.Repeat("x", 128<<10)
	appendBatch := func(number int) {
		b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "i", Number: uint64(number), Records: []*eventv1.Record{{Statement: text}}}
		raw, err := event.SealWire(b, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(t.Context(), b, raw); err != nil {
			t.Fatal(err)
		}
	}
	const before, after = 48, 16
	for i := range before {
		appendBatch(i + 1)
	}
	hub := hub(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- j.Forward(ctx, hub, bus.RecordSubject("gw1")) }()
	for i := range after {
		appendBatch(before + i + 1)
	}
	drained, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := j.Drained(drained); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	batches := stored(t, hub)
	if len(batches) != before+after {
		t.Fatalf("%d batches at the hub, want %d", len(batches), before+after)
	}
	for i, b := range batches {
		if b.Number != uint64(i+1) {
			t.Fatalf("batch %d where %d is due", b.Number, i+1)
		}
	}
}

func TestFullJournalRefuses(t *testing.T) {
	key, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, t.TempDir(), 64<<10)
	defer j.Close()
	text := make([]byte, 8<<10)
	for i := range text {
		text[i] = 'x'
	}
	for i := range 32 {
		b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "i", Number: uint64(i + 1), Records: []*eventv1.Record{{Statement: string(text)}}}
		raw, err := event.SealWire(b, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(t.Context(), b, raw); err != nil {
			return
		}
	}
	t.Fatal("a journal of 64 KiB took 256 KiB")
}

func open(t testing.TB, dir string, size int64) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Options{Dir: dir, MaxBytes: size, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func hub(t testing.TB) *bus.Bus {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	b, err := bus.Connect(t.Context(), bus.Options{Name: "test", Log: zerolog.Nop(), Extra: []nats.Option{nats.InProcessServer(s)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func stored(t *testing.T, b *bus.Bus) []*eventv1.Batch {
	t.Helper()
	c, err := b.JS.OrderedConsumer(t.Context(), bus.StreamRecords, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var batches []*eventv1.Batch
	for {
		m, err := c.Next(jetstream.FetchMaxWait(300 * time.Millisecond))
		if err != nil {
			return batches
		}
		batch := &eventv1.Batch{}
		if err := proto.Unmarshal(m.Data(), batch); err != nil {
			t.Fatal(err)
		}
		batches = append(batches, batch)
	}
}
