// Package copied remembers where masked columns were copied to, so that the
// copies are masked in every later session of every gateway, until an
// administrator lifts that.
//
// Each copy is a message on a subject of its own in a plain stream that nobody
// can delete from: the first to say it wins, and saying it again changes
// nothing. A gateway admits nothing before it has read them all. What lifts one
// is a message, too, signed by the approval service. It is not obeyed while a
// session is there that was let make the copy (and for a while after it): what it
// copies after the lifting nobody else would tell of.
package copied

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/copied"
	"github.com/gatestay/gatestay/libs/seal"
)

// Mask is a column that has what derives from a masked one.
type Mask = copied.Mask

// Masks are all copies that are known. Safe for concurrent use.
type Masks struct {
	log zerolog.Logger

	bus     atomic.Pointer[bus.Bus]
	ready   atomic.Bool
	mu      sync.Mutex
	ledger  *copied.Ledger
	known   map[place]*List
	holders map[Mask]int
	again   sync.WaitGroup
}

type place struct{ target, database string }

// List are the copies in one database. It does not change.
type List struct{ Masks []Mask }

// New returns masks that nothing is known of yet. Trust are the keys that may
// lift one.
func New(trust seal.Trust, log zerolog.Logger) *Masks {
	return &Masks{log: log, ledger: copied.NewLedger(trust), known: map[place]*List{}, holders: map[Mask]int{}}
}

// Of returns the copies in a target's database, nil for none.
func (m *Masks) Of(target, database string) *List {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[place{target, database}]
}

// Ready is nil once all copies that there were have been read.
func (m *Masks) Ready() error {
	if !m.ready.Load() {
		return errors.New("the copies of masked columns have not been read from the bus yet")
	}
	return nil
}

const (
	publishLimit = 5 * time.Second
	// linger is how long a lifting is not obeyed behind the last session that was let
	// make the copy: longer than a gateway works without the bus.
	linger = time.Minute
)

// Add remembers a copy that is about to be made. With an error it may not be
// made: nobody would know. release is to be called, once, when what the caller
// copies is over.
func (m *Masks) Add(ctx context.Context, mask Mask) (release func(), err error) {
	held := mask
	held.By = ""
	m.mu.Lock()
	m.holders[held]++
	m.mu.Unlock()
	if err := m.remember(ctx, mask); err != nil {
		m.leave(held)
		return nil, err
	}
	return func() { time.AfterFunc(linger, func() { m.leave(held) }) }, nil
}

func (m *Masks) leave(held Mask) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holders[held]--; m.holders[held] == 0 {
		delete(m.holders, held)
	}
}

// remember says on the bus that a copy is made, and takes it as made.
func (m *Masks) remember(ctx context.Context, mask Mask) error {
	b := m.bus.Load()
	if b == nil {
		return errors.New("copied: not connected yet")
	}
	m.mu.Lock()
	masked, generation, next := m.ledger.Of(mask)
	m.mu.Unlock()
	if !masked {
		generation = next
	}
	key, err := mask.Key()
	if err != nil {
		return fmt.Errorf("copied: %w", err)
	}
	raw, err := json.Marshal(mask)
	if err != nil {
		return fmt.Errorf("copied: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	_, err = b.JS.Publish(ctx, bus.CopySubject(key, generation, false), raw, jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	if err != nil && (!errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence) {
		return fmt.Errorf("copied: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ledger.Made(mask, generation) {
		m.list(mask)
	}
	return nil
}

// list makes the list of a mask's database anew. The caller holds mu.
func (m *Masks) list(of Mask) {
	at := place{of.Target, of.Database}
	next := &List{}
	for _, mask := range m.ledger.Active() {
		if (place{mask.Target, mask.Database}) == at {
			mask.By = ""
			next.Masks = append(next.Masks, mask)
		}
	}
	if m.known[at] = next; len(next.Masks) == 0 {
		delete(m.known, at)
	}
}

// Run follows what all gateways, and the approval service, say until ctx ends.
func (m *Masks) Run(ctx context.Context, b *bus.Bus) error {
	m.bus.Store(b)
	defer m.again.Wait()
	for ctx.Err() == nil {
		if err := m.follow(ctx, b); err != nil && ctx.Err() == nil {
			m.log.Warn().Err(err).Msg("following the copies of masked columns was interrupted; trying again")
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

func (m *Masks) follow(ctx context.Context, b *bus.Bus) error {
	stream, err := b.JS.Stream(ctx, bus.StreamCopies)
	if err != nil {
		return fmt.Errorf("copied: %w", err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("copied: %w", err)
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("copied: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("copied: %w", err)
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	defer messages.Stop()
	if info.State.Msgs == 0 {
		m.ready.Store(true)
	}
	for {
		msg, err := messages.Next()
		if err != nil {
			return fmt.Errorf("copied: %w", err)
		}
		at, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("copied: %w", err)
		}
		if err := m.take(ctx, msg.Subject(), msg.Data()); err != nil {
			m.log.Error().Err(err).Str("subject", msg.Subject()).Msg("what is said of a copy of a masked column is not taken")
		}
		if at.Sequence.Stream >= info.State.LastSeq {
			m.ready.Store(true)
		}
	}
}

// take takes one message.
func (m *Masks) take(ctx context.Context, subject string, raw []byte) error {
	key, generation, lifted, ok := bus.ParseCopySubject(subject)
	if !ok {
		return errors.New("copied: a subject that is not known")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !lifted {
		mask, changed, err := m.ledger.Copy(key, generation, raw)
		if changed {
			m.list(mask)
		}
		return err //nolint:wrapcheck // of libs/copied, which says so
	}
	mask, changed, err := m.ledger.Lifted(key, generation, raw)
	if err != nil || !changed {
		return err //nolint:wrapcheck // as above
	}
	held := mask
	if held.By = ""; m.holders[held] == 0 {
		m.list(mask)
		return nil
	}
	// It stays in the list; the others are told.
	m.again.Go(func() {
		for m.remember(ctx, mask) != nil && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return nil
}
