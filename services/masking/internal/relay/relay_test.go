package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/masking/internal/look"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect starts a server and returns a connection to it.
func connect(t *testing.T) *bus.Bus {
	t.Helper()
	server, err := embedded.NATS(t.Context(), embedded.NATSOptions{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	b, err := bus.Connect(t.Context(), bus.Options{Name: "test", Log: zerolog.Nop(), Extra: []nats.Option{server.InProcess()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// send publishes batches first..last of one producer.
func send(t *testing.T, b *bus.Bus, subject, producer string, first, last uint64) {
	t.Helper()
	for n := first; n <= last; n++ {
		batch := &eventv1.Batch{Producer: producer, Incarnation: "01J", Number: n, Records: []*eventv1.Record{{Id: fmt.Sprint(n)}}}
		raw, err := proto.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		if err := bus.NewSink(b, subject).Append(t.Context(), batch, raw); err != nil {
			t.Fatal(err)
		}
	}
}

// stored returns the numbers of the batches on the audit stream under a
// subject, in their order.
func stored(t *testing.T, b *bus.Bus, subject string) []uint64 {
	t.Helper()
	s, err := b.JS.Stream(t.Context(), bus.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []uint64
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != subject {
			continue
		}
		batch := &eventv1.Batch{}
		if err := proto.Unmarshal(m.Data, batch); err != nil {
			t.Fatal(err)
		}
		out = append(out, batch.Number)
	}
	return out
}

func upTo(n uint64) []uint64 {
	var out []uint64
	for i := uint64(1); i <= n; i++ {
		out = append(out, i)
	}
	return out
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// looker passes batches on and tells one record of each.
type looker struct {
	look.Looker
	before func(number uint64)
}

func (l *looker) Look(m look.Message) (look.Result, error) {
	b := &eventv1.Batch{}
	if err := proto.Unmarshal(m.Data, b); err != nil {
		return look.Result{}, look.ErrNowhere
	}
	if l.before != nil {
		l.before(b.Number)
	}
	return look.Result{Batch: b, Raw: m.Data, Tell: []*eventv1.Record{{Id: event.ID(b)}}}, nil
}

// start runs a relay; stop ends it and waits.
func start(t *testing.T, r *Relay) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func relayOf(b *bus.Bus, tell func(context.Context, []*eventv1.Record) error) *Relay {
	if tell == nil {
		tell = func(context.Context, []*eventv1.Record) error { return nil }
	}
	return &Relay{JS: b.JS, Stream: bus.StreamRecords, Looker: &looker{}, Tell: tell, Bound: func() {}, Done: func(Progress) {}, Log: zerolog.Nop(), AckWait: 300 * time.Millisecond}
}

// Killed after a batch was published and before its message was acknowledged,
// with others delivered and waiting: they come again, and new ones do not
// overtake them.
func TestKilledBetweenPublishAndAckNeitherLosesNorReorders(t *testing.T) {
	b := connect(t)
	send(t, b, "record.gw1", "gateway/gw1", 1, 40)
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	count := 0
	r := relayOf(b, func(ctx context.Context, _ []*eventv1.Record) error {
		if count++; count == 7 { // published, told, not acknowledged
			kill()
			return ctx.Err()
		}
		return nil
	})
	if err := r.Run(ctx); err == nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v", err)
	}
	if got := stored(t, b, "audit.record.gw1"); !slices.Equal(got, upTo(7)) {
		t.Fatalf("before the kill: %v", got)
	}
	send(t, b, "record.gw1", "gateway/gw1", 41, 60)
	told := map[string]int{}
	var mu sync.Mutex
	start(t, relayOf(b, func(_ context.Context, records []*eventv1.Record) error {
		mu.Lock()
		defer mu.Unlock()
		told[records[0].Id]++
		return nil
	}))
	until(t, "all batches stored", func() bool { return len(stored(t, b, "audit.record.gw1")) >= 60 })
	if got := stored(t, b, "audit.record.gw1"); !slices.Equal(got, upTo(60)) {
		t.Fatalf("after the kill: %v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if told["gateway/gw1/01J/7"] != 1 || len(told) != 54 {
		t.Errorf("told %d, the seventh %d times", len(told), told["gateway/gw1/01J/7"])
	}
}

// A restart at any moment keeps the order of every producer.
func TestRestartsKeepOrderOfEveryProducer(t *testing.T) {
	b := connect(t)
	const each = 30
	for n := uint64(1); n <= each; n++ {
		send(t, b, "record.gw1", "gateway/gw1", n, n)
		send(t, b, "record.gw2", "gateway/gw2", n, n)
	}
	for round := range 4 {
		ctx, kill := context.WithCancel(t.Context())
		r := relayOf(b, nil)
		seen := 0
		r.Looker = &looker{before: func(uint64) {
			if seen++; seen > 5+round {
				kill()
			}
		}}
		_ = r.Run(ctx)
		kill()
	}
	stop := start(t, relayOf(b, nil))
	for _, gw := range []string{"gw1", "gw2"} {
		until(t, "all batches of "+gw, func() bool { return len(stored(t, b, "audit.record."+gw)) >= each })
		if got := stored(t, b, "audit.record."+gw); !slices.Equal(got, upTo(each)) {
			t.Errorf("%s: %v", gw, got)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPoisonDoesNotBlock(t *testing.T) {
	b := connect(t)
	send(t, b, "record.gw1", "gateway/gw1", 1, 1)
	if _, err := b.JS.Publish(t.Context(), "record.gw1", []byte("\xff\xff")); err != nil {
		t.Fatal(err)
	}
	send(t, b, "record.gw1", "gateway/gw1", 2, 2)
	var mu sync.Mutex
	var actions []string
	r := relayOf(b, func(_ context.Context, records []*eventv1.Record) error {
		mu.Lock()
		defer mu.Unlock()
		actions = append(actions, records[0].Action)
		return nil
	})
	start(t, r)
	until(t, "the batch behind the poison", func() bool { return len(stored(t, b, "audit.record.gw1")) == 2 })
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(actions, "message.dropped") {
		t.Errorf("told %v", actions)
	}
}

// What the bus never takes is replaced under its number.
func TestBatchTooLargeForTheBusIsReplaced(t *testing.T) {
	b := connect(t)
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	send(t, b, "record.gw1", "gateway/gw1", 1, 2)
	r := relayOf(b, nil)
	inner := &look.Looker{Key: k}
	r.Looker = growing{inner}
	var mu sync.Mutex
	var placeholders []string
	r.Done = func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		placeholders = append(placeholders, p.Result.Placeholder)
	}
	start(t, r)
	until(t, "both numbers", func() bool { return len(stored(t, b, "audit.record.gw1")) == 2 })
	until(t, "both done", func() bool { mu.Lock(); defer mu.Unlock(); return len(placeholders) == 2 })
	mu.Lock()
	defer mu.Unlock()
	if placeholders[0] != "the bus does not take it: it is too large" || placeholders[1] != "" {
		t.Errorf("placeholders %q", placeholders)
	}
}

// growing makes the first batch larger than a message may be.
type growing struct{ *look.Looker }

func (g growing) Look(m look.Message) (look.Result, error) {
	b := &eventv1.Batch{}
	if err := proto.Unmarshal(m.Data, b); err != nil {
		return look.Result{}, look.ErrNowhere
	}
	if b.Number == 1 {
		return look.Result{Batch: b, Raw: make([]byte, 2<<20)}, nil
	}
	return look.Result{Batch: b, Raw: m.Data}, nil
}

// Messages that left the stream while nobody looked are told of, and do not
// block the others.
func TestExpiredMessagesAreToldAndSkipped(t *testing.T) {
	b := connect(t)
	if _, err := b.JS.UpdateStream(t.Context(), jetstream.StreamConfig{
		Name: bus.StreamRecords, Subjects: []string{"record.>"}, Storage: jetstream.FileStorage, DenyDelete: true, DenyPurge: true, Duplicates: time.Minute, MaxMsgs: 5, Discard: jetstream.DiscardOld,
	}); err != nil {
		t.Fatal(err)
	}
	send(t, b, "record.gw1", "gateway/gw1", 1, 3)
	stop := start(t, relayOf(b, nil))
	until(t, "the first three", func() bool { return len(stored(t, b, "audit.record.gw1")) == 3 })
	until(t, "all acknowledged", func() bool {
		c, err := b.JS.Consumer(t.Context(), bus.StreamRecords, Durable)
		return err == nil && c.CachedInfo().AckFloor.Stream == 3
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	send(t, b, "record.gw1", "gateway/gw1", 4, 20)
	var mu sync.Mutex
	var expired []map[string]string
	start(t, relayOf(b, func(_ context.Context, records []*eventv1.Record) error {
		mu.Lock()
		defer mu.Unlock()
		if records[0].Action == "records.expired" {
			expired = append(expired, records[0].Details)
		}
		return nil
	}))
	until(t, "the last five", func() bool { return len(stored(t, b, "audit.record.gw1")) == 8 })
	mu.Lock()
	defer mu.Unlock()
	// The server may have delivered the fourth to the relay that had ended, and
	// forgets it when it expires.
	if len(expired) != 1 || expired[0]["from"] != "4" && expired[0]["from"] != "5" || expired[0]["to"] != "15" {
		t.Errorf("told %v", expired)
	}
}

func BenchmarkRelay(b *testing.B) {
	server, err := embedded.NATS(b.Context(), embedded.NATSOptions{Dir: b.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	c, err := bus.Connect(b.Context(), bus.Options{Name: "test", Log: zerolog.Nop(), Extra: []nats.Option{server.InProcess()}})
	if err != nil {
		b.Fatal(err)
	}
	n := uint64(0)
	for range b.N {
		n++
		batch := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01J", Number: n, Records: make([]*eventv1.Record, 64)}
		for i := range batch.Records {
			batch.Records[i] = &eventv1.Record{Id: "01J0000000000000000000000", Statement: "SELECT id, email FROM customers WHERE id = 42"}
		}
		raw, err := proto.Marshal(batch)
		if err != nil {
			b.Fatal(err)
		}
		if err := bus.NewSink(c, "record.gw1").Append(b.Context(), batch, raw); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	r := &Relay{JS: c.JS, Stream: bus.StreamRecords, Looker: &looker{}, Bound: func() {}, Log: zerolog.Nop(), Tell: func(context.Context, []*eventv1.Record) error { return nil }}
	left := n
	r.Done = func(Progress) {
		if left--; left == 0 {
			cancel()
		}
	}
	b.ResetTimer()
	_ = r.Run(ctx)
	b.StopTimer()
	b.ReportMetric(float64(64*n)/b.Elapsed().Seconds(), "records/s")
	c.Close()
	stopCtx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	_ = server.Stop(stopCtx)
}
