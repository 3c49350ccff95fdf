package event_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// slowSink takes a millisecond for each batch, as a disk does.
type slowSink struct{ batches int }

func (s *slowSink) Append(context.Context, *eventv1.Batch, []byte) error {
	time.Sleep(time.Millisecond)
	s.batches++
	return nil
}

func TestProducerGathersACrowdAndDelaysNobodyElse(t *testing.T) {
	const each = 100
	// Everybody thinks for a while between two records, and not equally long, so
	// that they do not come together by themselves.
	run := func(callers int) (batches int, took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			s := &slowSink{}
			p := event.NewProducer("gateway/gw1", generate(t), s)
			began := time.Now()
			var wg sync.WaitGroup
			for n := range callers {
				wg.Go(func() {
					for range each {
						if err := p.Record(t.Context(), &eventv1.Record{}); err != nil {
							t.Error(err)
						}
						time.Sleep(time.Duration(100+20*n) * time.Microsecond)
					}
				})
			}
			wg.Wait()
			took = time.Since(began)
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			batches = s.batches
		})
		return batches, took
	}
	if batches, took := run(1); batches != each || took != each*1100*time.Microsecond {
		t.Errorf("a lone caller: %d batches in %s, want %d in %s", batches, took, each, each*1100*time.Microsecond)
	}
	if batches, _ := run(16); batches > 16*each/10 {
		t.Errorf("16 callers: %d batches of %d records, want ten records in each", batches, 16*each)
	}
}
