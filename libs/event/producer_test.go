package event_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink keeps batches; fail makes it store and still report failure, as a bus
// does whose acknowledgement got lost.
type sink struct {
	mu      sync.Mutex
	batches []*eventv1.Batch
	fail    int
}

var errLost = errors.New("acknowledgement lost")

func (s *sink) Append(_ context.Context, b *eventv1.Batch, _ []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		if n := len(s.batches); n == 0 || s.batches[n-1] != b {
			s.batches = append(s.batches, b)
		}
		return errLost
	}
	if n := len(s.batches); n == 0 || s.batches[n-1].Number != b.Number {
		s.batches = append(s.batches, b)
	}
	return nil
}

func (s *sink) stored() []*eventv1.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*eventv1.Batch(nil), s.batches...)
}

func TestProducerKeepsOrderAndChain(t *testing.T) {
	key, s := generate(t), &sink{}
	p := event.NewProducer("gateway/gw1", key, s)
	const sessions, each = 8, 200
	var wg sync.WaitGroup
	for n := range sessions {
		wg.Go(func() {
			for i := range each {
				if err := p.Record(t.Context(), &eventv1.Record{SessionId: fmt.Sprint(n), SessionSequence: uint64(i + 1)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, previous, total := map[string]uint64{}, []byte(nil), 0
	for i, b := range s.stored() {
		if b.Number != uint64(i+1) || !bytes.Equal(b.PreviousHash, previous) {
			t.Fatalf("batch %d: number %d, chain broken %t", i, b.Number, !bytes.Equal(b.PreviousHash, previous))
		}
		if err := event.Verify(b, key.Public()); err != nil {
			t.Fatal(err)
		}
		previous = b.Hash
		for _, r := range b.Records {
			if next[r.SessionId]++; r.SessionSequence != next[r.SessionId] {
				t.Fatalf("session %s: sequence %d, want %d", r.SessionId, r.SessionSequence, next[r.SessionId])
			}
			total++
		}
	}
	if total != sessions*each {
		t.Fatalf("%d records, want %d", total, sessions*each)
	}
}

func TestProducerNeverGivesANumberTwice(t *testing.T) {
	key, s := generate(t), &sink{fail: 2}
	p := event.NewProducer("gateway/gw1", key, s)
	if err := p.Record(t.Context(), &eventv1.Record{Id: "a"}); !errors.Is(err, errLost) {
		t.Fatalf("first record: %v, want the sink's failure", err)
	}
	// The batch whose fate is unknown keeps its number and goes out first.
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := p.Record(t.Context(), &eventv1.Record{Id: "b"})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]string{}
	for _, b := range s.stored() {
		if old, dup := seen[b.Number]; dup && old != b.Records[0].Id {
			t.Fatalf("number %d was given to %s and %s", b.Number, old, b.Records[0].Id)
		}
		seen[b.Number] = b.Records[0].Id
	}
	if seen[1] != "a" {
		t.Fatalf("number 1 belongs to %q", seen[1])
	}
}

func TestProducerAfterClose(t *testing.T) {
	p := event.NewProducer("policy/1", generate(t), &sink{})
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Record(t.Context(), &eventv1.Record{}); !errors.Is(err, event.ErrClosed) {
		t.Fatalf("Record after Close: %v", err)
	}
}
