package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

// claim marks the approval as being told by this process. It returns how long
// another's claim stands.
func (s *Sender) claim(ctx context.Context, id string) (*machine.State, time.Duration, error) {
	var wait time.Duration
	st, err := s.mutate(ctx, id, func(h *machine.Hook) bool {
		now := s.Now()
		if h.Claim != "" && h.Claim != s.Owner && now.Before(h.Until) {
			wait = h.Until.Sub(now)
			return false
		}
		wait, h.Claim, h.Until = 0, s.Owner, now.Add(claimLife).UTC()
		if h.Since.IsZero() {
			h.Since = now.UTC()
		}
		return true
	})
	return st, wait, err
}

// mark notes that the hook need not be told of a look any more.
func (s *Sender) mark(ctx context.Context, id, look, trouble string) error {
	_, err := s.mutate(ctx, id, func(h *machine.Hook) bool {
		*h = machine.Hook{Look: look, Trouble: trouble}
		return true
	})
	return err
}

// mutate changes the hook's part of a state with compare-and-set.
func (s *Sender) mutate(ctx context.Context, id string, f func(*machine.Hook) bool) (*machine.State, error) {
	for range attempts {
		old, revision, err := s.Store.Get(ctx, id)
		if err != nil {
			return nil, err //nolint:wrapcheck // store says so
		}
		next := old.Clone()
		h := next.Hooks[s.Hook.Name]
		if !f(&h) {
			return old, nil
		}
		next.Hooks[s.Hook.Name] = h
		if err = s.Store.Update(ctx, next, revision); err == nil {
			return next.Clone(), nil // the store keeps the other
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err //nolint:wrapcheck // store says so
		}
	}
	return nil, fmt.Errorf("webhook: %s: %w", id, store.ErrConflict)
}
