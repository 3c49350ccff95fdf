// Package publish puts signed masking bundles into their bucket. Versions only
// grow, the same content is published once, and every write is a
// compare-and-set, so that replicas do not fight.
package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Kind is the bundles' kind.
const Kind = "masking"

// attempts bounds how often one publication retries after losing a race.
const attempts = 8

// Publisher publishes into one bucket. Publish is called by one goroutine.
type Publisher struct {
	KV    jetstream.KeyValue
	Key   *seal.Key
	Trust seal.Trust // whose bundles count: this service's and its replicas'
	Name  string     // written into the bundle
	Floor Floor
	Now   func() time.Time
}

// current is what is in the bucket.
type current struct {
	bundle   *eventv1.Bundle // nil where there is none that verifies
	revision uint64          // 0 where there was never one
}

// Publish makes files the current bundle, unless they are already. It returns
// the bundle that is current now, and whether this call published it.
func (p *Publisher) Publish(ctx context.Context, files map[string][]byte, hash [32]byte) (now *eventv1.Bundle, published bool, err error) {
	for range attempts {
		c, err := p.read(ctx)
		if err != nil {
			return nil, false, err
		}
		if c.bundle != nil && bytes.Equal(c.bundle.ContentHash, hash[:]) {
			return c.bundle, false, p.Floor.Raise(c.bundle.Version)
		}
		version, err := p.next(ctx, c)
		if err != nil {
			return nil, false, err
		}
		next := &eventv1.Bundle{Kind: Kind, Version: version, Files: files, PublishedAt: timestamppb.New(p.Now()), Publisher: p.Name, ContentHash: hash[:]}
		err = p.write(ctx, next, c.revision)
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists) {
			continue // another replica was first: look again
		}
		if err != nil {
			return nil, false, err
		}
		return next, true, p.Floor.Raise(version)
	}
	return nil, false, fmt.Errorf("publish: lost %d races for the bucket", attempts)
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
	b, err := Open(p.Trust, entry.Value())
	if err != nil {
		return current{revision: entry.Revision()}, nil //nolint:nilerr // not one of ours: it is replaced
	}
	return current{bundle: b, revision: entry.Revision()}, nil
}

func (p *Publisher) write(ctx context.Context, b *eventv1.Bundle, revision uint64) error {
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

// next returns the version after every one that a reader may have seen: of the
// bundles in the bucket's history, and of the floor.
func (p *Publisher) next(ctx context.Context, c current) (uint64, error) {
	highest, err := p.Floor.Read()
	if err != nil {
		return 0, err
	}
	if c.bundle != nil {
		return max(highest, c.bundle.Version) + 1, nil
	}
	entries, err := p.KV.History(ctx, bus.BundleKey)
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, fmt.Errorf("publish: read the bucket's history: %w", err)
	}
	for _, e := range entries {
		if b, err := Open(p.Trust, e.Value()); err == nil {
			highest = max(highest, b.Version)
		}
	}
	return highest + 1, nil
}

// Open verifies a marshalled signed bundle.
func Open(trust seal.Trust, raw []byte) (*eventv1.Bundle, error) {
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(raw, signed); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	payload, err := trust.Open(seal.ContextBundle, signed)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	b := &eventv1.Bundle{}
	if err := proto.Unmarshal(payload, b); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if b.Kind != Kind {
		return nil, fmt.Errorf("publish: a bundle of kind %q", b.Kind)
	}
	return b, nil
}
