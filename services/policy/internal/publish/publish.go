// Package publish puts signed policy bundles into their bucket. Versions only
// grow, the same content is published once, and replicas do not fight: every
// write is a compare-and-set.
package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Kind is the bundles' kind.
const Kind = "policy"

// attempts bounds how often one publication retries after losing a race.
const attempts = 8

// Publisher publishes into one bucket. Publish is called by one goroutine.
type Publisher struct {
	KV        jetstream.KeyValue
	Key       *seal.Key
	Trust     seal.Trust // whose bundles count: this service's and its replicas'
	Publisher string     // written into the bundle
	// Floor is a file that remembers the highest version, so that versions
	// grow even over the loss of the bus's disk; empty: not remembered.
	Floor string
	Now   func() time.Time
	Log   zerolog.Logger
}

// Current is the bundle in the bucket.
type Current struct {
	Bundle   *eventv1.Bundle // nil where there is none that verifies
	Revision uint64          // 0 where there was never one
}

// Publish makes files the current bundle, unless they are already. It returns
// the bundle that is current now, the one before it (nil if none), and whether
// this call published.
func (p *Publisher) Publish(ctx context.Context, files map[string][]byte, hash [32]byte) (now, before *eventv1.Bundle, published bool, err error) {
	for range attempts {
		current, err := p.Current(ctx)
		if err != nil {
			return nil, nil, false, err
		}
		if b := current.Bundle; b != nil && bytes.Equal(b.ContentHash, hash[:]) {
			p.remember(b.Version)
			return b, nil, false, nil
		}
		version, err := p.next(ctx, current)
		if err != nil {
			return nil, nil, false, err
		}
		next := &eventv1.Bundle{
			Kind: Kind, Version: version, Files: files, PublishedAt: timestamppb.New(p.Now()), Publisher: p.Publisher, ContentHash: hash[:],
		}
		err = p.put(ctx, next, current.Revision)
		switch {
		case errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists):
			continue // another replica was first: look again
		case err != nil:
			return nil, nil, false, err
		}
		p.remember(version)
		return next, current.Bundle, true, nil
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

// Current returns what is in the bucket.
func (p *Publisher) Current(ctx context.Context) (Current, error) {
	entry, err := p.KV.Get(ctx, bus.BundleKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Current{}, nil
	}
	if err != nil {
		return Current{}, fmt.Errorf("publish: read the bucket: %w", err)
	}
	b, err := Open(p.Trust, entry.Value())
	if err != nil {
		return Current{Revision: entry.Revision()}, nil // not one of ours: replaced
	}
	return Current{Bundle: b, Revision: entry.Revision()}, nil
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

// next returns the version after every one that a reader may have seen: of the
// current bundle, of older ones where the current one is not ours, and of the
// floor file.
func (p *Publisher) next(ctx context.Context, current Current) (uint64, error) {
	highest, err := p.floor()
	if err != nil {
		return 0, err
	}
	if current.Bundle != nil {
		highest = max(highest, current.Bundle.Version)
	} else {
		entries, err := p.KV.History(ctx, bus.BundleKey)
		if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
			return 0, fmt.Errorf("publish: read the bucket's history: %w", err)
		}
		for _, e := range entries {
			if b, err := Open(p.Trust, e.Value()); err == nil {
				highest = max(highest, b.Version)
			}
		}
	}
	if highest == math.MaxUint64 {
		return 0, errors.New("publish: versions are used up")
	}
	return highest + 1, nil
}

func (p *Publisher) floor() (uint64, error) {
	if p.Floor == "" {
		return 0, nil
	}
	raw, err := os.ReadFile(p.Floor)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("publish: %s is damaged: write the highest version ever published into it: %w", p.Floor, err)
	}
	return v, nil
}

// remember raises the floor. It is a second line of defence, and the folder
// may be read-only: failing is no reason not to publish.
func (p *Publisher) remember(version uint64) {
	if p.Floor == "" {
		return
	}
	have, err := p.floor()
	if err == nil && have < version {
		err = replace(p.Floor, strconv.FormatUint(version, 10)+"\n")
	}
	if err != nil {
		p.Log.Warn().Err(err).Msg("highest version not remembered: after a loss of the bus's disk gateways will refuse new bundles until versions have caught up")
	}
}

// replace writes a file so that a reader, or a second replica on the same
// folder, sees the old content or the new.
func replace(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after the rename
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}
