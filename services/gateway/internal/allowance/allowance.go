// Package allowance counts how many different values a principal has asked for
// in a day, over all gateways and restarts.
//
// Each of the N values that a day allows has a slot, a subject of its own in a
// stream that keeps the first message of each subject and refuses any other: a
// value takes the first slot that is free or its own. Nothing is ever changed
// or taken back, so that two gateways cannot race, and nobody who may only
// publish can make room. A slot holds a keyed hash of the value.
package allowance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gatestay/gatestay/libs/bus"
)

// ErrSpent is returned for a value that would be one too many.
var ErrSpent = errors.New("allowance: spent for today")

// Hash is a keyed hash of a value.
type Hash [16]byte

// Book counts. The zero Book allows nothing until it is connected. Safe for
// concurrent use.
type Book struct {
	bus atomic.Pointer[bus.Bus]

	mu    sync.Mutex
	day   string
	pages map[string]*page
}

// page is what is known of one key's slots: the first ones are never free again.
type page struct {
	mu    sync.Mutex
	taken []Hash
}

// maxPages bounds the memory: a page that is forgotten is read again.
const maxPages = 4096

// Connect sets the bus.
func (b *Book) Connect(to *bus.Bus) { b.bus.Store(to) }

// Key names whose values are counted, and of what. It is no secret.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Spend lets a value pass that was asked for on this day (UTC), or takes a slot
// for it. It returns ErrSpent where all are taken by others, and any other
// error where that cannot be known: then the value must not pass either.
func (b *Book) Spend(ctx context.Context, now time.Time, key string, slots int, value Hash) error {
	day := now.UTC().Format("20060102")
	p := b.page(day, key)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, taken := range p.taken {
		if taken == value {
			return nil
		}
		if i+1 >= slots {
			return ErrSpent
		}
	}
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for i := len(p.taken); i < slots; i++ {
		taken, err := b.take(bounded, bus.ComparisonPrefix+day+"."+key+"."+strconv.Itoa(i), value)
		if err != nil {
			return err
		}
		p.taken = append(p.taken, taken)
		if taken == value {
			return nil
		}
	}
	return ErrSpent
}

// page returns the page of a key, new for each day.
func (b *Book) page(day, key string) *page {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.day != day || len(b.pages) >= maxPages {
		b.day, b.pages = day, map[string]*page{}
	}
	p := b.pages[key]
	if p == nil {
		p = &page{}
		b.pages[key] = p
	}
	return p
}

// take takes a slot that is free, and returns whose it is.
func (b *Book) take(ctx context.Context, subject string, value Hash) (Hash, error) {
	to := b.bus.Load()
	if to == nil {
		return Hash{}, errors.New("allowance: not connected yet")
	}
	m := nats.NewMsg(subject)
	m.Data = value[:]
	_, err := to.JS.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(0))
	if err == nil {
		return value, nil
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return Hash{}, fmt.Errorf("allowance: %w", err)
	}
	s, readErr := to.JS.Stream(ctx, bus.StreamComparisons)
	if readErr != nil {
		return Hash{}, fmt.Errorf("allowance: %w", errors.Join(err, readErr))
	}
	first, readErr := s.GetLastMsgForSubject(ctx, subject)
	if readErr != nil {
		return Hash{}, fmt.Errorf("allowance: %w", errors.Join(err, readErr))
	}
	if len(first.Data) != len(Hash{}) {
		return Hash{}, fmt.Errorf("allowance: %s is damaged", subject)
	}
	return Hash(first.Data), nil
}
