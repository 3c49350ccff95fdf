// Package store keeps the state of approvals in a JetStream bucket, with
// compare-and-set, and a picture of it in memory that follows every change of
// every replica.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// The errors to branch on.
var (
	ErrConflict = errors.New("store: changed by another in the meantime")
	ErrUnknown  = errors.New("store: no such approval")
)

const (
	callLimit = 5 * time.Second
	idPrefix  = "apr_"
	floorKey  = "policy_version"
)

// Store is safe for concurrent use.
type Store struct {
	kv  jetstream.KeyValue
	log zerolog.Logger

	mu     sync.Mutex
	states map[string]*Entry
	out    map[string]time.Time // sign-outs of the pages' sessions, by key
	caught chan struct{}        // closed when the bucket has been read through once
	once   sync.Once
}

// Entry is what memory holds of an approval: the state while anything is left
// to be done about it, a summary afterwards.
type Entry struct {
	Summary
	State *machine.State // nil when settled
}

// Summary is enough to list an approval.
type Summary struct {
	ID       string
	Status   machine.Status
	Received time.Time
	Ended    time.Time
	Deadline time.Time
	Revision uint64
	// Shape is equal for the same statement with other values on the same target;
	// By are those whose votes made the outcome.
	Shape string
	By    []string
}

// New returns a store on a bucket.
func New(kv jetstream.KeyValue, log zerolog.Logger) *Store {
	return &Store{kv: kv, log: log, states: map[string]*Entry{}, out: map[string]time.Time{}, caught: make(chan struct{})}
}

// Get reads an approval from the bucket.
func (s *Store) Get(ctx context.Context, id string) (*machine.State, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	entry, err := s.kv.Get(ctx, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrInvalidKey) {
		return nil, 0, ErrUnknown
	}
	if err != nil {
		return nil, 0, fmt.Errorf("store: get: %w", err)
	}
	st, err := decode(entry.Value())
	return st, entry.Revision(), err
}

func decode(raw []byte) (*machine.State, error) {
	st := &machine.State{}
	if err := json.Unmarshal(raw, st); err != nil {
		return nil, fmt.Errorf("store: decode: %w", err)
	}
	return st, nil
}

// Create writes a new approval; ErrConflict where it is there already.
func (s *Store) Create(ctx context.Context, st *machine.State) error {
	return s.write(ctx, st, func(ctx context.Context, raw []byte) (uint64, error) { return s.kv.Create(ctx, st.ID, raw) })
}

// Update writes an approval if it still has this revision, else ErrConflict.
func (s *Store) Update(ctx context.Context, st *machine.State, revision uint64) error {
	return s.write(ctx, st, func(ctx context.Context, raw []byte) (uint64, error) { return s.kv.Update(ctx, st.ID, raw, revision) })
}

func (s *Store) write(ctx context.Context, st *machine.State, put func(context.Context, []byte) (uint64, error)) error {
	raw, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("store: encode: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	revision, err := put(ctx, raw)
	var api *jetstream.APIError
	switch {
	case err == nil:
		s.remember(st, revision)
		return nil
	case errors.Is(err, jetstream.ErrKeyExists), errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return ErrConflict
	default:
		return fmt.Errorf("store: write: %w", err)
	}
}

// remember keeps the picture; an older revision never replaces a newer one.
func (s *Store) remember(st *machine.State, revision uint64) bool {
	e := &Entry{Summary: Summary{
		ID: st.ID, Status: st.Status, Received: st.Received, Ended: st.Ended, Revision: revision,
	}}
	if r, err := st.Parse(); err == nil && r != nil {
		e.Deadline = r.Deadline.AsTime()
		if r.Fingerprint != "" {
			e.Shape = r.Target + "\x00" + r.Database + "\x00" + r.Fingerprint
		}
	}
	for _, v := range st.Votes {
		if v.Counted || st.Status == machine.Denied && v.Vote == approval.Deny {
			e.By = append(e.By, v.Person)
		}
	}
	if !st.Settled() {
		e.State = st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.states[st.ID]; old != nil && old.Revision >= revision {
		return false
	}
	s.states[st.ID] = e
	return true
}

// Purge forgets a settled approval.
func (s *Store) Purge(ctx context.Context, id string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := s.kv.Purge(ctx, id, jetstream.LastRevision(revision)); err != nil {
		return fmt.Errorf("store: purge: %w", err)
	}
	s.forget(id)
	return nil
}

func (s *Store) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.states, id)
}

// Active returns the states about which something is left to be done. They
// are shared: clone before a change.
func (s *Store) Active() []*machine.State {
	return collect(s, func(e *Entry) (*machine.State, bool) { return e.State, e.State != nil })
}

// Earlier returns what was approved or denied of the same shape before an
// approval came, the newest first, at most n.
func (s *Store) Earlier(st *machine.State, n int) []Summary {
	s.mu.Lock()
	own := s.states[st.ID]
	s.mu.Unlock()
	if own == nil || own.Shape == "" {
		return nil
	}
	all := collect(s, func(e *Entry) (Summary, bool) {
		decided := e.Status == machine.Approved || e.Status == machine.Denied
		return e.Summary, e.Shape == own.Shape && e.ID != st.ID && decided && e.Ended.Before(st.Received)
	})
	slices.SortFunc(all, func(a, b Summary) int { return b.Ended.Compare(a.Ended) })
	return all[:min(n, len(all))]
}

// Settled returns the summaries of those that ended before a time.
func (s *Store) Settled(before time.Time) []Summary {
	return collect(s, func(e *Entry) (Summary, bool) { return e.Summary, e.State == nil && e.Ended.Before(before) })
}

// Entries returns all of them. Their states are shared: clone before a change.
func (s *Store) Entries() []Entry {
	return collect(s, func(e *Entry) (Entry, bool) { return *e, true })
}

func collect[T any](s *Store, pick func(*Entry) (T, bool)) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []T
	for _, e := range s.states {
		if v, ok := pick(e); ok {
			out = append(out, v)
		}
	}
	return out
}

// CaughtUp is closed when the picture is complete.
func (s *Store) CaughtUp() <-chan struct{} { return s.caught }

// Run follows the bucket until ctx ends and calls changed after each change
// that this store had not seen, its own writes left out.
func (s *Store) Run(ctx context.Context, changed func(*machine.State)) error {
	for ctx.Err() == nil {
		if err := s.watch(ctx, changed); err != nil && ctx.Err() == nil {
			s.log.Warn().Err(err).Msg("watch of approvals interrupted; trying again")
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

func (s *Store) watch(ctx context.Context, changed func(*machine.State)) error {
	w, err := s.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("store: watch: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-w.Updates():
			switch {
			case !ok:
				return errors.New("store: watch ended")
			case entry == nil:
				s.once.Do(func() { close(s.caught) })
			case strings.HasPrefix(entry.Key(), signOutPrefix):
				s.sawSignOut(entry)
			case !strings.HasPrefix(entry.Key(), idPrefix):
			case entry.Operation() != jetstream.KeyValuePut:
				s.forget(entry.Key())
			default:
				st, err := decode(entry.Value())
				if err != nil {
					s.log.Error().Err(err).Str("approval_id", entry.Key()).Msg("an approval's state cannot be read")
					continue
				}
				if s.remember(st, entry.Revision()) {
					changed(st)
				}
			}
		}
	}
}

// Floor returns the highest policy version that any replica has used.
func (s *Store) Floor(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	entry, err := s.kv.Get(ctx, floorKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("store: policy version: %w", err)
	}
	v, err := strconv.ParseUint(string(entry.Value()), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("store: policy version: %w", err)
	}
	return v, nil
}

// Raise notes that a policy version is in use; it never lowers the floor.
func (s *Store) Raise(ctx context.Context, version uint64) error {
	for {
		floor, err := s.Floor(ctx)
		if err != nil || floor >= version {
			return err
		}
		if err := s.raise(ctx, floor, version); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func (s *Store) raise(ctx context.Context, floor, version uint64) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	value := []byte(strconv.FormatUint(version, 10))
	var err error
	if floor == 0 {
		_, err = s.kv.Create(ctx, floorKey, value)
	} else {
		var entry jetstream.KeyValueEntry
		if entry, err = s.kv.Get(ctx, floorKey); err == nil {
			if string(entry.Value()) != strconv.FormatUint(floor, 10) {
				return ErrConflict
			}
			_, err = s.kv.Update(ctx, floorKey, value, entry.Revision())
		}
	}
	var api *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return ErrConflict
	}
	if err != nil {
		return fmt.Errorf("store: policy version: %w", err)
	}
	return nil
}
