// Package lease tells whether the gateway can still hear the control plane. A
// gateway that cannot would not hear a freeze either, so it must not admit.
package lease

import (
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	// Life is how long one lease holds, by the gateway's own monotonic clock.
	Life = 5 * time.Second
	// skew is how far the issuer's wall clock may differ: it keeps yesterday's
	// leases from being replayed to a gateway that has just started.
	skew = 30 * time.Second
)

// Lease holds the latest lease received. Safe for concurrent use.
type Lease struct {
	trust seal.Trust
	log   zerolog.Logger
	now   func() time.Time

	mu       sync.Mutex
	received time.Time
	latest   map[string]time.Time // by issuer: issued_at of its latest lease
}

// New returns a lease that has not been heard yet. now must carry a monotonic
// reading, as time.Now does.
func New(trust seal.Trust, log zerolog.Logger, now func() time.Time) *Lease {
	return &Lease{trust: trust, log: log, now: now, latest: map[string]time.Time{}}
}

// Subscribe starts listening. Unsubscribe with the returned subscription.
func (l *Lease) Subscribe(b *bus.Bus) (*nats.Subscription, error) {
	s, err := b.Conn.Subscribe(bus.LeaseSubject, func(m *nats.Msg) {
		if err := l.Receive(m.Data); err != nil {
			l.log.Warn().Err(err).Msg("lease refused")
		}
	})
	if err != nil {
		return nil, fmt.Errorf("lease: subscribe: %w", err)
	}
	return s, nil
}

// Receive takes one marshalled Signed lease.
func (l *Lease) Receive(raw []byte) error {
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(raw, signed); err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	payload, err := l.trust.Open(seal.ContextLease, signed)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	lease := &eventv1.Lease{}
	if err := proto.Unmarshal(payload, lease); err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	now, issued := l.now(), lease.GetIssuedAt().AsTime()
	if d := now.Sub(issued); d > skew || d < -skew {
		return fmt.Errorf("lease: issued %s away from this clock: replayed, or the clocks of gateway and policy service differ", d.Round(time.Second))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !issued.After(l.latest[lease.Issuer]) {
		return fmt.Errorf("lease: not newer than the last one of %s", lease.Issuer)
	}
	l.latest[lease.Issuer] = issued
	l.received = now
	return nil
}

// Fresh returns nil while the latest lease holds.
func (l *Lease) Fresh() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.received.IsZero() {
		return fmt.Errorf("lease: the policy service has not been heard yet")
	}
	if age := l.now().Sub(l.received); age > Life {
		return fmt.Errorf("lease: the policy service was last heard %s ago", age.Round(time.Second))
	}
	return nil
}
