// Package lease tells gateways every second that the control plane can be
// heard. A gateway that has heard no lease for five seconds admits nothing.
package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Interval is the time between two leases.
const Interval = time.Second

// Issuer issues leases.
type Issuer struct {
	Name        string // of the replica
	Incarnation string // of this process life
	Key         *seal.Key
	Send        func(subject string, data []byte) error
	Now         func() time.Time
	Log         zerolog.Logger
	Issued      func() // called after each lease sent

	counter uint64
}

// Run issues a lease at once and then every second, until ctx ends.
func (i *Issuer) Run(ctx context.Context) error {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	failing := false
	for {
		err := i.issue()
		if err != nil && !failing {
			i.Log.Warn().Err(err).Msg("lease not sent: gateways will stop admitting commands")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (i *Issuer) issue() error {
	i.counter++
	payload, err := proto.Marshal(&eventv1.Lease{Issuer: i.Name, Counter: i.counter, Incarnation: i.Incarnation, IssuedAt: timestamppb.New(i.Now())})
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	raw, err := proto.Marshal(i.Key.Sign(seal.ContextLease, payload))
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	if err := i.Send(bus.LeaseSubject, raw); err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	i.Issued()
	return nil
}
