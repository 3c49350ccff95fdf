// Package publish puts signed bundles of rules into their bucket. Versions only
// grow, the same content is published once, and replicas do not fight: every
// write is a compare-and-set.
package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// attempts bounds how often one publication retries after losing a race.
const attempts = 8

// Publisher publishes into one bucket. Publish is called by one goroutine.
type Publisher struct {
	KV    jetstream.KeyValue
	Kind  string // of the bundles: policy, masking
	Key   *seal.Key
	Trust seal.Trust // whose bundles count: this service's and its replicas'
	Name  string     // written into the bundle
	Floor Floor
	Now   func() time.Time
	Log   zerolog.Logger
}

// current is what is in the bucket.
type current struct {
	bundle   *eventv1.Bundle // nil where there is none that verifies
	revision uint64          // 0 where there was never one
}

// Publish makes files the current bundle, unless they are already. It returns
// the bundle that is current now, the one before it (nil if none), and whether
// this call published.
func (p *Publisher) Publish(ctx context.Context, files map[string][]byte, hash [32]byte) (now, before *eventv1.Bundle, published bool, err error) {
	for range attempts {
		c, err := p.read(ctx)
		if err != nil {
			return nil, nil, false, err
		}
		if b := c.bundle; b != nil && bytes.Equal(b.ContentHash, hash[:]) {
			p.remember(b.Version)
			return b, nil, false, nil
		}
		version, err := p.next(ctx, c)
		if err != nil {
			return nil, nil, false, err
		}
		next := &eventv1.Bundle{
			Kind: p.Kind, Version: version, Files: files, PublishedAt: timestamppb.New(p.Now()), Publisher: p.Name, ContentHash: hash[:],
		}
		err = p.put(ctx, next, c.revision)
		switch {
		case errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists):
			continue // another replica was first: look again
		case err != nil:
			return nil, nil, false, err
		}
		p.remember(version)
		return next, c.bundle, true, nil
	}
	return nil, nil, false, fmt.Errorf("publish: lost %d races for the bucket", attempts)
}

func (p *Publisher) put(ctx context.Context, b *eventv1.Bundle, revision uint64) error {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(b)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	raw, err := proto.Marshal(p.Key.Sign(seal.ContextBundle, payload))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if revision == 0 {
		_, err = p.KV.Create(ctx, bus.BundleKey, raw)
	} else {
		_, err = p.KV.Update(ctx, bus.BundleKey, raw, revision)
	}
	if err != nil {
		return fmt.Errorf("publish: version %d: %w", b.Version, err)
	}
	return nil
}

// Current returns the bundle in the bucket, nil where there is none of ours.
func (p *Publisher) Current(ctx context.Context) (*eventv1.Bundle, error) {
	c, err := p.read(ctx)
	return c.bundle, err
}

func (p *Publisher) read(ctx context.Context) (current, error) {
	entry, err := p.KV.Get(ctx, bus.BundleKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return current{}, nil
	}
	if err != nil {
		return current{}, fmt.Errorf("publish: read the bucket: %w", err)
	}
	b, err := p.open(entry.Value())
	if err != nil {
		return current{revision: entry.Revision()}, nil // not one of ours: replaced
	}
	return current{bundle: b, revision: entry.Revision()}, nil
}

// open verifies a marshalled signed bundle.
func (p *Publisher) open(raw []byte) (*eventv1.Bundle, error) {
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(raw, signed); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	payload, err := p.Trust.Open(seal.ContextBundle, signed)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	b := &eventv1.Bundle{}
	if err := proto.Unmarshal(payload, b); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if b.Kind != p.Kind {
		return nil, fmt.Errorf("publish: a bundle of kind %q", b.Kind)
	}
	return b, nil
}

// next returns the version after every one that a reader may have seen: of the
// current bundle, of older ones where the current one is not ours, and of the
// floor file.
func (p *Publisher) next(ctx context.Context, c current) (uint64, error) {
	highest, err := p.Floor.Read()
	if err != nil {
		return 0, err
	}
	if c.bundle != nil {
		highest = max(highest, c.bundle.Version)
	} else {
		entries, err := p.KV.History(ctx, bus.BundleKey)
		if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
			return 0, fmt.Errorf("publish: read the bucket's history: %w", err)
		}
		for _, e := range entries {
			if b, err := p.open(e.Value()); err == nil {
				highest = max(highest, b.Version)
			}
		}
	}
	if highest == math.MaxUint64 {
		return 0, errors.New("publish: versions are used up")
	}
	return highest + 1, nil
}

// remember raises the floor. It is a second line of defence, and the folder
// may be read-only: failing is no reason not to publish.
func (p *Publisher) remember(version uint64) {
	if err := p.Floor.Raise(version); err != nil {
		p.Log.Warn().Err(err).Msg("highest version not remembered: after a loss of the bus's disk gateways will refuse new bundles until versions have caught up")
	}
}
