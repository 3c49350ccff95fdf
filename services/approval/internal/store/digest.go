package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Digest is the state of a channel's digest: the one message that stands for all
// that wait there without a message of their own.
type Digest struct {
	ID    string    `json:"id"`    // marks the message, so that one whose answer was lost is found
	Since time.Time `json:"since"` // when it began
	TS    string    `json:"ts,omitempty"`
	Shown string    `json:"shown,omitempty"` // identifies the content that it has
	// Claim and Until are those of machine.Slack.
	Claim string    `json:"claim,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

func digestKey(channel string) string { return "digest." + channel }

// Digest reads a channel's digest; the zero one and revision 0 where there is none.
func (s *Store) Digest(ctx context.Context, channel string) (Digest, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var d Digest
	entry, err := s.kv.Get(ctx, digestKey(channel))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return d, 0, nil
	}
	if err != nil {
		return d, 0, fmt.Errorf("store: digest: %w", err)
	}
	if err := json.Unmarshal(entry.Value(), &d); err != nil {
		return d, 0, fmt.Errorf("store: digest: %w", err)
	}
	return d, entry.Revision(), nil
}

// Digests returns the channels that have one.
func (s *Store) Digests(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	keys, err := s.kv.ListKeysFiltered(ctx, digestKey("*"))
	if err != nil {
		return nil, fmt.Errorf("store: digests: %w", err)
	}
	defer func() { _ = keys.Stop() }()
	var channels []string
	for key := range keys.Keys() {
		channels = append(channels, strings.TrimPrefix(key, digestKey("")))
	}
	return channels, nil
}

// SetDigest writes a channel's digest if it still has this revision, else
// ErrConflict. It returns the new revision.
func (s *Store) SetDigest(ctx context.Context, channel string, d Digest, revision uint64) (uint64, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return 0, fmt.Errorf("store: digest: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	next, err := s.kv.Update(ctx, digestKey(channel), raw, revision)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return 0, ErrConflict
	}
	if err != nil {
		return 0, fmt.Errorf("store: digest: %w", err)
	}
	return next, nil
}
