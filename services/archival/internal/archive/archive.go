// Package archive moves batches from the audit stream into the store: each
// once, each chain in the order of its numbers, whatever is restarted when.
//
// # Guarantees
//
// A message is acknowledged after its batch is stored, and not before. A batch
// is stored once: what the stream delivers again is recognised by its chain and
// number. The batches of a chain are stored by number; at a missing number the
// chain waits, others go on. A batch that does not verify is stored apart and
// becomes a finding.
//
// In plain words: kill anything at any time, and afterwards every record is
// there once.
package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/order"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// Store is what the writer needs of the audit store.
type Store interface {
	Takeover(ctx context.Context) (map[intake.ID]map[int]bool, error)
	Marks(ctx context.Context, chains []intake.Chain) (map[intake.Chain]order.Stored, error)
	Hashes(ctx context.Context, ids []intake.ID) (map[intake.ID][]byte, error)
	Insert(ctx context.Context, g *store.Group) error
}

// Source delivers batches. Next blocks; it returns an error at the end of ctx,
// or of the source.
type Source interface {
	Next(ctx context.Context) (*intake.Item, error)
}

// Limits bound a writer.
type Limits struct {
	GroupRows  int           // rows of one insert
	GroupBytes int           // of the messages in one insert
	GroupWait  time.Duration // how long a lone batch waits for company
	HeldBytes  int           // of the messages that wait for a missing number
	HeldCount  int           // their number
	Patience   time.Duration // until a missing number is a finding
	Backoff    time.Duration // the longest pause between attempts at the store
}

// DefaultLimits are what the service runs with.
func DefaultLimits() Limits {
	return Limits{
		GroupRows: 50_000, GroupBytes: 16 << 20, GroupWait: 100 * time.Millisecond,
		HeldBytes: 64 << 20, HeldCount: 8192, Patience: 2 * time.Minute, Backoff: 5 * time.Second,
	}
}

// Writer is the one goroutine that orders and stores.
type Writer struct {
	Store  Store
	Source Source
	Limits Limits
	Report Reporter
	// Expired reports that the stream no longer holds its first messages, so
	// that numbers may be missing because they were too old.
	Expired func(ctx context.Context) (bool, error)
	Log     zerolog.Logger
	Now     func() time.Time

	sequencer *order.Sequencer
	orphans   map[intake.ID]map[int]bool
	// flagged are the numbers for which only a batch came that does not verify.
	flagged map[intake.Chain]map[uint64]bool
	// apart are batches outside of the chains that are on their way.
	apart  map[intake.ID]*intake.Item
	group  store.Group
	size   int // bytes of the group
	since  time.Time
	unsure []*intake.Item // offered, their chain not yet known
	stale  []*intake.Item // stored already, hash to be compared
}

const (
	tick      = 20 * time.Millisecond
	heartbeat = 2 * time.Second  // less than the consumer's AckWait
	idle      = 10 * time.Minute // after which a chain is forgotten
	lookup    = 512              // chains or batches asked about at once
)

// Run stores until ctx ends. It returns nil then.
func (w *Writer) Run(ctx context.Context) error {
	w.sequencer, w.flagged, w.apart = order.New(), map[intake.Chain]map[uint64]bool{}, map[intake.ID]*intake.Item{}
	w.group, w.unsure, w.stale = store.Group{}, nil, nil
	if err := w.retry(ctx, func(ctx context.Context) (err error) {
		w.orphans, err = w.Store.Takeover(ctx)
		return err
	}); err != nil {
		return nil //nolint:nilerr // only ctx ends the attempts
	}
	if len(w.orphans) > 0 {
		w.Log.Info().Int("batches", len(w.orphans)).Msg("records of an unfinished insert found; they are not written again")
	}
	return w.run(ctx)
}

func (w *Writer) run(ctx context.Context) error {
	items := make(chan *intake.Item, 256)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	read := make(chan error, 1)
	go func() {
		defer close(items)
		read <- w.read(reading, items)
	}()
	inserts := &inserter{writer: w, done: make(chan *store.Group, 1)}
	defer inserts.wait()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	beat := w.Now()
	for {
		in := items
		if w.full() {
			in = nil // the stream keeps the rest
		}
		select {
		case <-ctx.Done():
			stop()
			inserts.wait()
			w.settle(inserts)
			w.giveBack(items)
			return <-read
		case i, ok := <-in:
			if !ok {
				return <-read
			}
			w.take(ctx, i, items)
		case g := <-inserts.done:
			w.stored(g)
			inserts.free()
		case <-ticker.C:
			w.watch(ctx)
			if now := w.Now(); now.Sub(beat) >= heartbeat {
				beat = now
				w.keepAlive()
			}
		}
		if w.due() && inserts.start(ctx, &w.group) {
			w.group, w.size, w.since = store.Group{}, 0, time.Time{}
		}
	}
}

func (w *Writer) read(ctx context.Context, items chan<- *intake.Item) error {
	for {
		i, err := w.Source.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("archive: %w", err)
		}
		select {
		case items <- i:
		case <-ctx.Done():
			w.nak(i, 0)
			return nil
		}
	}
}

// full reports that the next group is as large as a group may be: the store is
// the slower part.
func (w *Writer) full() bool {
	return w.size >= w.Limits.GroupBytes || w.group.Rows() >= w.Limits.GroupRows
}

// due reports that the group should be stored now.
func (w *Writer) due() bool {
	return len(w.group.Items) > 0 && (w.full() || w.Now().Sub(w.since) >= w.Limits.GroupWait)
}

// retry repeats f until it works or ctx ends; then it returns ctx's error.
func (w *Writer) retry(ctx context.Context, f func(context.Context) error) error {
	pause := 50 * time.Millisecond
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		w.Log.Warn().Err(err).Msg("ClickHouse does not take part; trying again")
		w.Report.Failed()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*2, w.Limits.Backoff)
	}
}
