// Package copied remembers where masked columns were copied to, so that the
// copies are masked in every later session of every gateway.
//
// Each copy is a message on a subject of its own in a plain stream that nobody
// can delete from: the first to say it wins, and saying it again changes
// nothing. A gateway admits nothing before it has read them all.
package copied

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/command"
)

// Mask is a column that has what derives from a masked one.
type Mask struct {
	Target   string `json:"target"`
	Database string `json:"database"`
	// To is the column; a Name of * is all of its relation.
	To command.Column `json:"to"`
	// From is the column that a masking rule names; Plain says that To has its
	// values unchanged.
	From  command.Column `json:"from"`
	Plain bool           `json:"plain"`
	// By is the command that made the copy.
	By string `json:"by"`
}

// subject is the same for the same copy, whoever makes it.
func (m Mask) subject() (string, error) {
	m.By = ""
	raw, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("copied: %w", err)
	}
	sum := sha256.Sum256(raw)
	return bus.CopyPrefix + hex.EncodeToString(sum[:]), nil
}

// Masks are all copies that are known. Safe for concurrent use; the zero value
// is not ready.
type Masks struct {
	Log zerolog.Logger

	bus   atomic.Pointer[bus.Bus]
	ready atomic.Bool
	mu    sync.Mutex
	known map[place]*List
}

type place struct{ target, database string }

// List are the copies in one database. It does not change.
type List struct{ Masks []Mask }

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

const publishLimit = 5 * time.Second

// Add remembers a copy that is about to be made. With an error it may not be
// made: nobody would know.
func (m *Masks) Add(ctx context.Context, mask Mask) error {
	b := m.bus.Load()
	if b == nil {
		return errors.New("copied: not connected yet")
	}
	subject, err := mask.subject()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(mask)
	if err != nil {
		return fmt.Errorf("copied: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	_, err = b.JS.Publish(ctx, subject, raw, jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	if err != nil && (!errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence) {
		return fmt.Errorf("copied: %w", err)
	}
	m.take(mask)
	return nil
}

// take adds a mask to what is known.
func (m *Masks) take(mask Mask) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mask.By = ""
	at := place{mask.Target, mask.Database}
	before := m.known[at]
	next := &List{}
	if before != nil {
		for _, k := range before.Masks {
			if k == mask {
				return
			}
		}
		next.Masks = append(next.Masks, before.Masks...)
	}
	next.Masks = append(next.Masks, mask)
	if m.known == nil {
		m.known = map[place]*List{}
	}
	m.known[at] = next
}

// Run follows what all gateways say until ctx ends.
func (m *Masks) Run(ctx context.Context, b *bus.Bus) error {
	m.bus.Store(b)
	for ctx.Err() == nil {
		if err := m.follow(ctx, b); err != nil && ctx.Err() == nil {
			m.Log.Warn().Err(err).Msg("following the copies of masked columns was interrupted; trying again")
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
		mask := Mask{}
		if err := json.Unmarshal(msg.Data(), &mask); err != nil {
			m.Log.Error().Err(err).Msg("what a masked column was copied to cannot be read")
		} else {
			m.take(mask)
		}
		if at.Sequence.Stream >= info.State.LastSeq {
			m.ready.Store(true)
		}
	}
}
