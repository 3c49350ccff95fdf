// Package auditor knows who may read audits: the persons that gatestay.yaml
// names under sign_in.auditors, by their name in the people map of the signed
// policy bundle, or by an account.
package auditor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
)

// Auditors is the list. Safe for concurrent use.
type Auditors struct {
	Names []string     // persons or accounts
	Keys  *intake.Keys // who signs policy bundles
	Log   zerolog.Logger

	current atomic.Pointer[book]
}

type book struct {
	version uint64
	people  *policy.People
}

// Name returns the auditor to whom a signed-in account belongs. Without a
// bundle yet, only accounts that are listed themselves are known.
func (a *Auditors) Name(account string) (string, bool) {
	if slices.Contains(a.Names, account) {
		return account, true
	}
	b := a.current.Load()
	if b == nil {
		return "", false
	}
	name, ok := b.people.Person(account)
	return name, ok && slices.Contains(a.Names, name)
}

// Run follows the policy bundle until ctx ends.
func (a *Auditors) Run(ctx context.Context, kv jetstream.KeyValue) error {
	for ctx.Err() == nil {
		if err := a.watch(ctx, kv); err != nil && ctx.Err() == nil {
			a.Log.Warn().Err(err).Msg("policy watch interrupted; trying again")
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

func (a *Auditors) watch(ctx context.Context, kv jetstream.KeyValue) error {
	w, err := kv.Watch(ctx, bus.BundleKey, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("auditor: watch: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-w.Updates():
			if !ok {
				return errors.New("auditor: watch ended")
			}
			if entry == nil {
				continue
			}
			if err := a.Take(entry.Value()); err != nil {
				a.Log.Error().Err(err).Msg("policy bundle refused; the last people map stays")
			}
		}
	}
}

// Take verifies one marshalled Signed bundle and uses its people map.
func (a *Auditors) Take(raw []byte) error {
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(raw, signed); err != nil {
		return fmt.Errorf("auditor: bundle: %w", err)
	}
	payload, err := a.Keys.Trust().Open(seal.ContextBundle, signed)
	if err != nil && a.Keys.Refresh() {
		payload, err = a.Keys.Trust().Open(seal.ContextBundle, signed)
	}
	if err != nil {
		return fmt.Errorf("auditor: bundle: %w", err)
	}
	b := &eventv1.Bundle{}
	if err := proto.Unmarshal(payload, b); err != nil {
		return fmt.Errorf("auditor: bundle: %w", err)
	}
	if old := a.current.Load(); old != nil && b.Version < old.version {
		return fmt.Errorf("auditor: bundle version goes back from %d to %d", old.version, b.Version)
	}
	if b.Kind != "policy" {
		return fmt.Errorf("auditor: a %s bundle is no policy", b.Kind)
	}
	engine, err := policy.Compile(b.Files)
	if err != nil {
		return fmt.Errorf("auditor: bundle: %w", err)
	}
	a.current.Store(&book{b.Version, engine.People()})
	return nil
}
