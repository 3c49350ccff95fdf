package policy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/bus/publish"
	"github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/services/policy/internal/guard"
)

const (
	sendLimit = 5 * time.Second
	// decisionsBack is longer than any change waits.
	decisionsBack = 25 * time.Hour
)

// guard returns what keeps the people map in force.
func (s *Service) guard(b *bus.Bus, kv jetstream.KeyValue, p *publish.Publisher) *guard.Guard {
	return &guard.Guard{
		KV: kv, Key: s.key, Trust: s.trust, File: people.Path(s.cfg.Path(s.cfg.Policy.Key)), SecondPerson: s.cfg.Policy.SecondPerson(),
		Approvals: s.approvals, Current: p.Current, Record: s.records.record, Now: s.deps.Now, Log: s.deps.Log,
		Floor: p.Floor.Read,
		Send: func(ctx context.Context, event, id string, raw, mark []byte) error {
			return send(ctx, b, event, id, raw, mark)
		},
	}
}

// approvals are the keys whose decisions count, read when one has come: the
// approval service makes its own at its first start.
func (s *Service) approvals() (seal.Trust, error) {
	if len(s.cfg.Trust.Approval) == 0 {
		return nil, errors.New("policy: trust.approval names no key: a change of the people map can be confirmed on this machine only")
	}
	return seal.LoadTrust(s.cfg.Paths(s.cfg.Trust.Approval)...) //nolint:wrapcheck // says where it comes from
}

// send puts one event of the policy service's own approvals on the bus, once.
func send(ctx context.Context, b *bus.Bus, event, id string, raw, mark []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	m := nats.NewMsg(bus.ApprovalSubject(people.Gateway, id, event))
	m.Data = raw
	if mark != nil {
		m.Header.Set(bus.TagHeader, hex.EncodeToString(mark))
	}
	if _, err := b.JS.PublishMsg(ctx, m, jetstream.WithMsgID(m.Subject)); err != nil {
		return fmt.Errorf("policy: publish %s: %w", event, err)
	}
	return nil
}

// followDecisions hears what became of changes of the people map.
func (s *Service) followDecisions(ctx context.Context, b *bus.Bus, g *guard.Guard) {
	b.Follow(ctx, s.deps.Log, bus.StreamApprovals, []string{bus.ApprovalSubject(people.Gateway, "*", bus.Decided)},
		func() time.Time { return s.deps.Now().Add(-decisionsBack) }, func(subject string, raw []byte) {
			if _, id, _, ok := bus.ParseApprovalSubject(subject); ok {
				g.Decided(id, raw)
				s.keeper.Wake()
			}
		})
}
