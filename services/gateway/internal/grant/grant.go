// Package grant keeps the grants that were given, and counts their uses over
// all gateways and restarts.
//
// A grant is a signed decision on the approvals stream, whichever gateway asked
// for it. Each of its uses has a subject of its own in a stream that keeps the
// first message of each subject and refuses any other: who puts it there has
// the use. A grant is revoked by a message on one more subject, which is looked
// for after a use was taken: what was revoked lets nothing pass any more, on no
// gateway, once the revocation is on the stream.
package grant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// ErrNone is returned where no grant covers a command.
var ErrNone = errors.New("grant: none")

const (
	callLimit = 5 * time.Second
	// lookBack is longer than any grant lives.
	lookBack = 25 * time.Hour
	// maxGrants bounds the memory; the oldest are dropped, and ask again.
	maxGrants = 10_000
)

// Book is safe for concurrent use.
type Book struct {
	trust seal.Trust
	key   []byte
	log   zerolog.Logger
	now   func() time.Time

	mu      sync.Mutex
	bus     *bus.Bus
	grants  []*given // the newest last
	asked   map[string]*Asked
	changed chan struct{}
}

type given struct {
	decision *eventv1.ApprovalDecision
	next     uint32 // the first use that may be free, from 1
}

// Use says who used a grant, in the stream.
type Use struct {
	Command string    `json:"command"`
	Session string    `json:"session"`
	Gateway string    `json:"gateway"`
	At      time.Time `json:"at"`
}

// Taken is one use of a grant.
type Taken struct {
	Decision *eventv1.ApprovalDecision
	Number   uint32 // which use it was, from 1; 0 for a tool's bookkeeping beside its plan
}

// New returns an empty book, which learns of grants in Run. key is the gateways'
// common one, 32 bytes.
func New(trust seal.Trust, key []byte, log zerolog.Logger, now func() time.Time) *Book {
	return &Book{trust: trust, key: key, log: log, now: now, asked: map[string]*Asked{}, changed: make(chan struct{})}
}

// Tag is approval.Tag with the gateways' key.
func (b *Book) Tag(requestHash []byte) []byte { return approval.Tag(b.key, requestHash) }

// Changed returns a channel that is closed when another grant has come.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Run follows decisions until ctx ends.
func (b *Book) Run(ctx context.Context, to *bus.Bus) error {
	b.mu.Lock()
	b.bus = to
	b.mu.Unlock()
	to.Follow(ctx, b.log, bus.StreamApprovals, []string{bus.ApprovalSubject("*", "*", bus.Decided), bus.ApprovalSubject("*", "*", bus.Requested)},
		func() time.Time { return b.now().Add(-lookBack) }, b.take)
	return nil
}

func (b *Book) take(subject string, data []byte) {
	gateway, id, event, _ := bus.ParseApprovalSubject(subject)
	if event == bus.Requested {
		b.requested(gateway, id, data)
		return
	}
	b.decided(id, data)
}

// decided adds what a decision grants, if anything.
func (b *Book) decided(id string, raw []byte) {
	signed := &eventv1.Signed{}
	if proto.Unmarshal(raw, signed) != nil {
		return // the hold's own desk tells of what cannot be read
	}
	d, err := approval.OpenDecision(b.trust, signed)
	if err != nil || d.ApprovalId != id {
		return
	}
	b.answered(d)
	if d.Outcome != approval.Approved || d.Grant == nil || d.ExpiresAt == nil || !b.now().Before(d.ExpiresAt.AsTime()) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.grants, func(g *given) bool { return g.decision.ApprovalId == d.ApprovalId }) {
		return // the first decision of an approval is its only one
	}
	b.sweep()
	b.grants = append(b.grants, &given{decision: d, next: 1})
	close(b.changed)
	b.changed = make(chan struct{})
}

// sweep drops what has ended. The caller holds mu.
func (b *Book) sweep() {
	now := b.now()
	b.grants = slices.DeleteFunc(b.grants, func(g *given) bool { return !now.Before(g.decision.ExpiresAt.AsTime()) })
	if n := len(b.grants) - maxGrants + 1; n > 0 {
		b.grants = slices.Delete(b.grants, 0, n)
	}
}

// Take uses a grant that covers a command up by one. It returns ErrNone where
// none does, and another error where that cannot be known.
func (b *Book) Take(ctx context.Context, u approval.Use, by Use) (*Taken, error) {
	b.mu.Lock()
	var fitting []*given
	for _, g := range b.grants {
		if approval.Covers(g.decision, u) {
			fitting = append(fitting, g)
		}
	}
	b.mu.Unlock()
	for _, g := range fitting {
		taken, err := b.use(ctx, g, by)
		if errors.Is(err, ErrNone) {
			continue
		}
		return taken, err
	}
	return nil, ErrNone
}

// Spend uses up one use of a grant whose decision the caller has verified: the
// held command's own.
func (b *Book) Spend(ctx context.Context, d *eventv1.ApprovalDecision, by Use) (*Taken, error) {
	return b.use(ctx, &given{decision: d, next: 1}, by)
}

// use takes the first use that is free.
func (b *Book) use(ctx context.Context, g *given, by Use) (*Taken, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	b.mu.Lock()
	n := g.next
	b.mu.Unlock()
	for id := g.decision.ApprovalId; n <= g.decision.Uses; n++ {
		free, err := b.Step(ctx, id, n, by)
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		g.next = max(g.next, n+1)
		b.mu.Unlock()
		if !free {
			continue
		}
		switch revoked, err := b.Revoked(ctx, id); {
		case err != nil:
			return nil, err
		case revoked:
			b.forget(id)
			return nil, ErrNone
		}
		return &Taken{Decision: g.decision, Number: n}, nil
	}
	return nil, ErrNone
}

// forget drops a grant that was revoked.
func (b *Book) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grants = slices.DeleteFunc(b.grants, func(g *given) bool { return g.decision.ApprovalId == id })
}

// connected returns the bus, or an error before there is one.
func (b *Book) connected() (*bus.Bus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bus == nil {
		return nil, errors.New("grant: not connected yet")
	}
	return b.bus, nil
}

// first puts a message on a subject that must be empty, and reports whether it was.
func first(ctx context.Context, to *bus.Bus, subject string, data []byte) (bool, error) {
	m := nats.NewMsg(subject)
	m.Data = data
	_, err := to.JS.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return false, nil
	}
	return false, fmt.Errorf("grant: %w", err)
}
