package order

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
)

var (
	chainA = intake.Chain{Producer: "gateway/a", Incarnation: "1"}
	noon   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

func hash(n uint64) []byte {
	if n == 0 {
		return nil
	}
	return fmt.Appendf(nil, "hash %d", n)
}

func item(c intake.Chain, n uint64) *intake.Item {
	return &intake.Item{
		Batch:     &eventv1.Batch{Producer: c.Producer, Incarnation: c.Incarnation, Number: n, Hash: hash(n), PreviousHash: hash(n - 1)},
		Integrity: intake.Verified, Size: 100,
	}
}

func numbers(items []*intake.Item) (ns []uint64) {
	for _, i := range items {
		ns = append(ns, i.Batch.Number)
	}
	return ns
}

// However the stream shuffles and repeats the batches of several chains, each
// is given out once and by number, and its message is acknowledged only after
// it was stored.
func TestSequencer_onceAndInOrderWhateverComes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const chains, each = 3, 12
		var stream []*intake.Item
		for c := range chains {
			for n := range each {
				for range rapid.IntRange(1, 3).Draw(rt, "copies") {
					stream = append(stream, item(intake.Chain{Producer: "gateway/" + fmt.Sprint(c)}, uint64(n+1)))
				}
			}
		}
		stream = rapid.Permutation(stream).Draw(rt, "order")
		s, stored := New(), map[intake.Chain]uint64{}
		var flight []*intake.Item
		settle := func(n int) {
			for _, i := range flight[:n] {
				if i.Batch.Number != stored[i.Chain()]+1 {
					rt.Fatalf("%v stored after %d", i.ID(), stored[i.Chain()])
				}
				stored[i.Chain()]++
				s.Done(i)
			}
			flight = flight[n:]
		}
		for _, i := range stream {
			if !s.Known(i.Chain()) {
				s.Learn(i.Chain(), Stored{})
			}
			ready, verdict := s.Offer(i, noon)
			if verdict == Stale && i.Batch.Number > stored[i.Chain()] {
				rt.Fatalf("%v would be acknowledged before it is stored", i.ID())
			}
			if verdict == Conflicts {
				rt.Fatalf("%v conflicts with itself", i.ID())
			}
			for _, r := range ready {
				if r.Problem != "" {
					rt.Fatalf("%v: %s", r.ID(), r.Problem)
				}
			}
			flight = append(flight, ready...)
			settle(rapid.IntRange(0, len(flight)).Draw(rt, "stored"))
		}
		settle(len(flight))
		for c, n := range stored {
			if n != each {
				rt.Fatalf("%v: %d of %d stored", c, n, each)
			}
		}
		if s.Bytes() != 0 || s.Count() != 0 || len(s.Held()) != 0 {
			rt.Fatalf("left over: %d bytes, %d waiting, %d held", s.Bytes(), s.Count(), len(s.Held()))
		}
	})
}

func TestSequencer_waitsAtAGapAndTellsOnce(t *testing.T) {
	s := New()
	s.Learn(chainA, Stored{High: 4, Hash: hash(4)})
	for _, n := range []uint64{7, 8} {
		if ready, verdict := s.Offer(item(chainA, n), noon); len(ready) > 0 || verdict != Waits {
			t.Fatalf("%d: %v, %v", n, numbers(ready), verdict)
		}
	}
	if gaps := s.Gaps(noon.Add(time.Minute), 2*time.Minute); len(gaps) != 0 {
		t.Fatalf("told too early: %v", gaps)
	}
	gaps := s.Gaps(noon.Add(2*time.Minute), 2*time.Minute)
	if len(gaps) != 1 || gaps[0].Missing != (Range{5, 6}) || gaps[0].Waiting != 2 || gaps[0].Nothing {
		t.Fatalf("got %+v", gaps)
	}
	if gaps := s.Gaps(noon.Add(time.Hour), 2*time.Minute); len(gaps) != 0 {
		t.Fatalf("told twice: %v", gaps)
	}
	if ready, _ := s.Offer(item(chainA, 5), noon); fmt.Sprint(numbers(ready)) != "[5]" {
		t.Fatalf("got %v", numbers(ready))
	}
	if ready, _ := s.Offer(item(chainA, 6), noon); fmt.Sprint(numbers(ready)) != "[6 7 8]" {
		t.Fatalf("got %v", numbers(ready))
	}
}

func TestSequencer_takesWhatComesLaterForAPassedNumber(t *testing.T) {
	s := New()
	s.Learn(chainA, Stored{High: 4, Hash: hash(4), Holes: []Range{{1, 2}}})
	s.Offer(item(chainA, 7), noon)
	gap := s.Gaps(noon.Add(time.Minute), 0)[0]
	ready := s.Pass(gap, noon)
	if fmt.Sprint(numbers(ready)) != "[7]" || ready[0].Problem != "" {
		t.Fatalf("got %v, %q", numbers(ready), ready[0].Problem)
	}
	s.Done(ready[0])
	for _, n := range []uint64{6, 2, 5, 1} {
		ready, verdict := s.Offer(item(chainA, n), noon)
		if verdict != Ready || len(ready) != 1 {
			t.Fatalf("%d: %v", n, verdict)
		}
		if _, verdict := s.Offer(item(chainA, n), noon); verdict != InFlight {
			t.Fatalf("%d again: %v", n, verdict)
		}
		s.Done(ready[0])
		if _, verdict := s.Offer(item(chainA, n), noon); verdict != Stale {
			t.Fatalf("%d after it was stored: %v", n, verdict)
		}
	}
}

func TestSequencer_noticesAnotherBatchUnderTheSameNumber(t *testing.T) {
	s := New()
	s.Learn(chainA, Stored{})
	forged := func(n uint64) *intake.Item {
		i := item(chainA, n)
		i.Batch.Hash = []byte("another")
		return i
	}
	s.Offer(item(chainA, 1), noon)
	s.Offer(item(chainA, 3), noon)
	for _, n := range []uint64{1, 3} {
		if _, verdict := s.Offer(forged(n), noon); verdict != Conflicts {
			t.Errorf("%d: %v", n, verdict)
		}
	}
	other := item(chainA, 2)
	other.Batch.PreviousHash = []byte("another")
	if ready, _ := s.Offer(other, noon); len(ready) != 2 || ready[0].Problem == "" || ready[1].Problem != "" {
		t.Errorf("a batch that does not continue the one before it goes unnoticed: %+v", ready)
	}
}

func TestSequencer_shedsTheFarthest(t *testing.T) {
	s := New()
	s.Learn(chainA, Stored{})
	for n := uint64(2); n <= 10; n++ {
		s.Offer(item(chainA, n), noon)
	}
	if shed := s.Shed(500, 100); fmt.Sprint(numbers(shed)) != "[10 9 8 7]" || s.Bytes() != 500 {
		t.Fatalf("shed %v, %d bytes left", numbers(shed), s.Bytes())
	}
	if shed := s.Shed(500, 3); fmt.Sprint(numbers(shed)) != "[6 5]" || s.Count() != 3 {
		t.Fatalf("shed %v, %d left", numbers(shed), s.Count())
	}
	if gaps := s.Gaps(noon.Add(time.Minute), time.Minute); len(gaps) != 1 || gaps[0].Waiting != 3 {
		t.Fatalf("the gap is no longer the same: %+v", gaps)
	}
	if ready, _ := s.Offer(item(chainA, 1), noon); fmt.Sprint(numbers(ready)) != "[1 2 3 4]" {
		t.Fatalf("got %v", numbers(ready))
	}
	if _, verdict := s.Offer(item(chainA, 7), noon); verdict != Waits {
		t.Fatal("what was shed is not taken when it comes again")
	}
}

func TestSequencer_forgetsIdleChains(t *testing.T) {
	s := New()
	idle, waiting := chainA, intake.Chain{Producer: "gateway/b"}
	s.Learn(idle, Stored{})
	s.Learn(waiting, Stored{})
	ready, _ := s.Offer(item(idle, 1), noon)
	s.Done(ready[0])
	s.Offer(item(waiting, 2), noon)
	s.Evict(noon.Add(time.Minute))
	if s.Known(idle) || !s.Known(waiting) {
		t.Fatalf("idle known: %v, waiting known: %v", s.Known(idle), s.Known(waiting))
	}
}
