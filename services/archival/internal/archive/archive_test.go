package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/order"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model is ClickHouse as far as the writer can tell: records and rows of
// batches are stored apart, an insert repeated under its token is dropped, and
// an exchange may fail before, between or after what it does.
type model struct {
	mu      sync.Mutex
	random  *rand.Rand
	faults  int // exchanges in a hundred that fail
	tokens  map[string]bool
	records map[string]int // producer/incarnation/number#digest:position → copies
	batches map[intake.ID][]byte
	order   []intake.ID
	kill    func() // ends the writer at a random exchange
}

func newModel(random *rand.Rand, faults int) *model {
	return &model{random: random, faults: faults, tokens: map[string]bool{}, records: map[string]int{}, batches: map[intake.ID][]byte{}}
}

var errFault = errors.New("model: connection reset")

func (m *model) fault() error {
	n := m.random.IntN(100)
	if n < m.faults/4 && m.kill != nil {
		m.kill()
	}
	if n < m.faults {
		return errFault
	}
	return nil
}

func (m *model) Insert(_ context.Context, g *store.Group) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fault(); err != nil {
		return err
	}
	token := ""
	for _, i := range g.Items {
		token += i.ID().String() + " "
	}
	if !m.tokens["r"+token] {
		m.tokens["r"+token] = true
		for _, i := range g.Items {
			for position := range i.Batch.Records {
				if !g.Has[i.ID()][position] {
					m.records[fmt.Sprintf("%v:%d", i.ID(), position)]++
				}
			}
		}
	}
	if err := m.fault(); err != nil {
		return err
	}
	if !m.tokens["b"+token] {
		m.tokens["b"+token] = true
		for _, i := range g.Items {
			if m.batches[i.ID()] != nil {
				panic("batch stored twice: " + i.ID().String())
			}
			m.batches[i.ID()] = i.Batch.Hash
			m.order = append(m.order, i.ID())
		}
	}
	return m.fault()
}

func (m *model) Takeover(context.Context) (map[intake.ID]map[int]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fault(); err != nil {
		return nil, err
	}
	orphans := map[intake.ID]map[int]bool{}
	for place := range m.records {
		var id intake.ID
		var position int
		id.Producer = "gateway/gw1"
		if _, err := fmt.Sscanf(place, "gateway/gw1/01J/%d:%d", &id.Number, &position); err != nil {
			panic(err)
		}
		id.Incarnation = "01J"
		if m.batches[id] == nil {
			if orphans[id] == nil {
				orphans[id] = map[int]bool{}
			}
			orphans[id][position] = true
		}
	}
	return orphans, nil
}

func (m *model) Marks(_ context.Context, chains []intake.Chain) (map[intake.Chain]order.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fault(); err != nil {
		return nil, err
	}
	marks := map[intake.Chain]order.Stored{}
	for id, hash := range m.batches {
		if s := marks[id.Chain]; id.Number > s.High {
			marks[id.Chain] = order.Stored{High: id.Number, Hash: hash}
		}
	}
	return marks, nil
}

func (m *model) Hashes(_ context.Context, ids []intake.ID) (map[intake.ID][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fault(); err != nil {
		return nil, err
	}
	hashes := map[intake.ID][]byte{}
	for _, id := range ids {
		if h, ok := m.batches[id]; ok {
			hashes[id] = h
		}
	}
	return hashes, nil
}

// stream is the bus as far as the writer can tell: what is not acknowledged
// comes again, in any order.
type stream struct {
	mu      sync.Mutex
	random  *rand.Rand
	batches []*eventv1.Batch
	acked   map[uint64]bool
	pending []uint64 // to be delivered
	wake    chan struct{}
	early   func(n uint64) // checks an acknowledgement
}

type message struct {
	stream *stream
	number uint64
}

func (m message) Data() []byte      { return nil }
func (m message) Subject() string   { return "audit.record.gw1" }
func (m message) InProgress() error { return nil }

func (m message) Ack() error {
	m.stream.early(m.number)
	m.stream.mu.Lock()
	defer m.stream.mu.Unlock()
	m.stream.acked[m.number] = true
	return nil
}

func (m message) NakWithDelay(time.Duration) error { m.stream.again(m.number); return nil }

func (s *stream) again(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.acked[n] {
		s.pending = append(s.pending, n)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) Next(ctx context.Context) (*intake.Item, error) {
	for {
		s.mu.Lock()
		if len(s.pending) > 0 {
			at := s.random.IntN(min(len(s.pending), 4))
			n := s.pending[at]
			s.pending = append(s.pending[:at], s.pending[at+1:]...)
			if s.random.IntN(10) == 0 {
				s.pending = append(s.pending, n) // twice
			}
			s.mu.Unlock()
			b := s.batches[n-1]
			return &intake.Item{Message: message{s, n}, Batch: b, Integrity: intake.Verified, Size: 100, Leaves: make([][]byte, len(b.Records)), Redacted: make([][]string, len(b.Records))}, nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, io.EOF
		case <-s.wake:
		}
	}
}

func (s *stream) redeliver() {
	for n := range s.batches {
		s.again(uint64(n + 1))
	}
}

func (s *stream) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked) == len(s.batches)
}

type silence struct{}

func (silence) Stored(*store.Group)     {}
func (silence) Failed()                 {}
func (silence) Duplicate()              {}
func (silence) Flagged(*intake.Item)    {}
func (silence) Odd(i *intake.Item)      { panic(i.Problem) }
func (silence) Missing(order.Gap, bool) {}

// Whatever fails when, and whenever the writer is killed: between the records
// and the rows of their batches, between those and the acknowledgement, each
// record is stored once, in order, and acknowledged after.
func TestRedteam16_WriterKilledAnywhere(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			const batches = 150
			random := rand.New(rand.NewPCG(seed, 1))
			m := newModel(random, 30)
			s := &stream{random: rand.New(rand.NewPCG(seed, 2)), acked: map[uint64]bool{}, wake: make(chan struct{}, 1)}
			s.early = func(n uint64) {
				m.mu.Lock()
				defer m.mu.Unlock()
				if m.batches[intake.ID{Chain: intake.Chain{Producer: "gateway/gw1", Incarnation: "01J"}, Number: n}] == nil {
					t.Errorf("%d acknowledged before it was stored", n)
				}
			}
			for n := uint64(1); n <= batches; n++ {
				b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01J", Number: n, Hash: fmt.Appendf(nil, "%d", n), Records: make([]*eventv1.Record, 1+n%3)}
				if n > 1 {
					b.PreviousHash = fmt.Appendf(nil, "%d", n-1)
				}
				s.batches = append(s.batches, b)
			}
			deadline := time.Now().Add(30 * time.Second)
			for lives := 0; !s.done(); lives++ {
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d stored after %d lives", len(s.acked), batches, lives)
				}
				life(t, m, s, deadline)
			}
			if len(m.order) != batches {
				t.Fatalf("%d batches stored, want %d", len(m.order), batches)
			}
			for n, id := range m.order {
				if id.Number != uint64(n+1) {
					t.Fatalf("%v stored as number %d", id, n+1)
				}
			}
			for place, copies := range m.records {
				if copies != 1 {
					t.Errorf("%s stored %d times", place, copies)
				}
			}
		})
	}
}

// life is one process: everything it holds in memory is gone with it.
func life(t *testing.T, m *model, s *stream, deadline time.Time) {
	limited, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	ctx, kill := context.WithCancelCause(limited)
	defer kill(nil)
	m.mu.Lock()
	m.kill = func() { kill(errors.New("killed")) }
	m.mu.Unlock()
	s.redeliver()
	w := &Writer{
		Store: m, Source: s, Report: silence{}, Log: zerolog.Nop(), Now: time.Now,
		Expired: func(context.Context) (bool, error) { return false, nil },
		Limits:  Limits{GroupRows: 12, GroupBytes: 1 << 20, GroupWait: time.Millisecond, HeldBytes: 2000, HeldCount: 20, Patience: time.Hour, Backoff: time.Millisecond},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-ended:
			return
		case <-poll.C:
			if s.done() {
				kill(nil)
			}
		}
	}
}
