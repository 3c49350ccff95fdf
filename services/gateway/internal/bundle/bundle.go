// Package bundle follows a signed, versioned bundle in its bucket and keeps
// the latest good one compiled. Versions never go back, also across restarts.
package bundle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// ErrOld is returned for a bundle whose version is lower than one seen before.
var ErrOld = errors.New("bundle: version goes back")

// Compiled is a bundle in use.
type Compiled[T any] struct {
	Engine  T
	Version uint64
}

// Follower keeps one kind of bundle current. Safe for concurrent use.
type Follower[T any] struct {
	Kind    string // policy, masking
	Bucket  string
	Trust   seal.Trust
	Compile func(files map[string][]byte) (T, error)
	// Dir keeps the highest version seen; empty keeps it in memory only.
	Dir string
	Log zerolog.Logger
	// Changed is called after each swap, may be nil.
	Changed func(version uint64)

	current atomic.Pointer[Compiled[T]]
	floor   uint64
}

// Current returns the compiled bundle, or nil before the first good one.
func (f *Follower[T]) Current() *Compiled[T] { return f.current.Load() }

// Ready is a readiness check.
func (f *Follower[T]) Ready() error {
	if f.Current() == nil {
		return fmt.Errorf("no %s bundle yet: is the %s service running, and is its folder valid?", f.Kind, f.Kind)
	}
	return nil
}

// Run follows the bucket until ctx ends.
func (f *Follower[T]) Run(ctx context.Context, b *bus.Bus) error {
	if err := f.LoadFloor(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := f.watch(ctx, b); err != nil && ctx.Err() == nil {
			f.Log.Warn().Err(err).Str("bundle", f.Kind).Msg("bundle watch interrupted; trying again")
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

func (f *Follower[T]) watch(ctx context.Context, b *bus.Bus) error {
	kv, err := b.JS.KeyValue(ctx, f.Bucket)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	w, err := kv.Watch(ctx, bus.BundleKey, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("bundle: watch: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-w.Updates():
			if !ok {
				return errors.New("bundle: watch ended")
			}
			if entry == nil {
				continue
			}
			if err := f.Take(entry.Value()); err != nil {
				f.Log.Error().Err(err).Str("bundle", f.Kind).Msg("bundle refused; the last good one stays")
			}
		}
	}
}

// Take verifies, compiles and swaps in one marshalled Signed bundle.
func (f *Follower[T]) Take(raw []byte) error {
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(raw, signed); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	payload, err := f.Trust.Open(seal.ContextBundle, signed)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	b := &eventv1.Bundle{}
	if err := proto.Unmarshal(payload, b); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if b.Kind != f.Kind {
		return fmt.Errorf("bundle: a %q bundle where %q is expected", b.Kind, f.Kind)
	}
	if b.Version < f.floor {
		return fmt.Errorf("%w: %d after %d; if the bus lost its data on purpose, remove %s", ErrOld, b.Version, f.floor, f.floorPath())
	}
	engine, err := f.Compile(b.Files)
	if err != nil {
		return fmt.Errorf("bundle: compile version %d: %w", b.Version, err)
	}
	f.floor = b.Version
	if err := f.saveFloor(); err != nil {
		return err
	}
	f.current.Store(&Compiled[T]{Engine: engine, Version: b.Version})
	f.Log.Info().Str("bundle", f.Kind).Uint64("version", b.Version).Msg("bundle in use")
	if f.Changed != nil {
		f.Changed(b.Version)
	}
	return nil
}

func (f *Follower[T]) floorPath() string { return filepath.Join(f.Dir, f.Kind+".version") }

// LoadFloor reads the highest version seen before; Run does it first.
func (f *Follower[T]) LoadFloor() error {
	if f.Dir == "" {
		return nil
	}
	raw, err := os.ReadFile(f.floorPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if f.floor, err = strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64); err != nil {
		return fmt.Errorf("bundle: %s is damaged: %w", f.floorPath(), err)
	}
	return nil
}

func (f *Follower[T]) saveFloor() error {
	if f.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	tmp := f.floorPath() + ".new"
	if err := os.WriteFile(tmp, []byte(strconv.FormatUint(f.floor, 10)+"\n"), 0o600); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := os.Rename(tmp, f.floorPath()); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}
