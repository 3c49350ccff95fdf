package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const signOutPrefix = "signed_out_"

// signOutKey does not tell the session: whoever reads the bucket could not use it.
func signOutKey(session string) string {
	sum := sha256.Sum256([]byte("signed out\x00" + session))
	return signOutPrefix + hex.EncodeToString(sum[:16])
}

// SignOut has every replica know that a session of the pages is over. The entry
// is forgotten once the session would be over by itself.
func (s *Store) SignOut(ctx context.Context, session string, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	key := signOutKey(session)
	if _, err := s.kv.Put(ctx, key, []byte(until.UTC().Format(time.RFC3339))); err != nil {
		return fmt.Errorf("store: sign out: %w", err)
	}
	s.signedOut(key, until)
	return nil
}

// SignedOut reports that a session was signed out, here or elsewhere.
func (s *Store) SignedOut(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, out := s.out[signOutKey(session)]
	return out
}

func (s *Store) signedOut(key string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out[key] = until
}

// sawSignOut follows the bucket.
func (s *Store) sawSignOut(entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.out, entry.Key())
		return
	}
	until, err := time.Parse(time.RFC3339, string(entry.Value()))
	if err != nil { // written by no version: over, and not forgotten
		until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	s.signedOut(entry.Key(), until)
}

// ForgetSignOuts purges those of sessions that are over by themselves.
func (s *Store) ForgetSignOuts(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	var over []string
	for key, until := range s.out {
		if now.After(until.Add(time.Minute)) {
			over = append(over, key)
		}
	}
	s.mu.Unlock()
	for _, key := range over {
		if err := s.purgeSignOut(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) purgeSignOut(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := s.kv.Purge(ctx, key); err != nil {
		return fmt.Errorf("store: forget sign-out: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.out, key)
	return nil
}
