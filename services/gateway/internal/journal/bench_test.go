package journal_test

import (
	"context"
	"sync"
	"testing"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// BenchmarkLoneWrite is what a durable intent adds to a lone write.
func BenchmarkLoneWrite(b *testing.B) { benchmark(b, 1) }

// BenchmarkSessions64 shows what packing gives: records of 64 sessions.
func BenchmarkSessions64(b *testing.B) { benchmark(b, 64) }

func benchmark(b *testing.B, sessions int) {
	key, err := seal.Generate()
	if err != nil {
		b.Fatal(err)
	}
	j := open(b, b.TempDir(), 0)
	defer j.Close()
	hub := hub(b)
	ctx, stop := context.WithCancel(b.Context())
	forwarded := make(chan error, 1)
	go func() { forwarded <- j.Forward(ctx, hub, bus.RecordSubject("gw1")) }()
	p := event.NewProducer("gateway/gw1", key, j)
	b.ResetTimer()
	var wg sync.WaitGroup
	for s := range sessions {
		wg.Go(func() {
			for i := s; i < b.N; i += sessions {
				r := &eventv1.Record{Kind: eventv1.Kind_KIND_INTENT, SessionId: "ses_x", Statement: "select total, status from orders where id = 1", Target: "prod-db"}
				if err := p.Record(b.Context(), r); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	stop()
	if err := <-forwarded; err != nil {
		b.Fatal(err)
	}
}
