// Package keeper keeps the published bundle equal to the masking folder: it
// reads the folder when it changes, publishes it when it is good, and leaves
// the last good bundle in place, loudly, when it is not.
package keeper

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/masking"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	// retry is the pause after a publication that failed.
	retry = 500 * time.Millisecond
	// reread finds a change that no watcher told of.
	reread = 5 * time.Second
	// maxBundle bounds a bundle's files in bytes: a message of the bus holds 1 MiB.
	maxBundle = 768 << 10
)

// Publisher publishes bundles (publish.Publisher).
type Publisher interface {
	Publish(ctx context.Context, files map[string][]byte, hash [32]byte) (now, before *eventv1.Bundle, published bool, err error)
	Current(ctx context.Context) (*eventv1.Bundle, error)
}

// Keeper owns the folder. Run it once at a time; the other methods are safe for
// concurrent use.
type Keeper struct {
	Dir     string
	Targets func() []string // names of the configured targets
	Log     zerolog.Logger
	// Record queues a record; it fails only when ctx has ended.
	Record func(context.Context, *eventv1.Record) error

	status  atomic.Pointer[Status]
	wake    chan struct{}
	settled [32]byte        // hash of the folder that was published or rejected last
	known   bool            // settled is set
	told    map[string]bool // findings that were recorded
}

// New returns a keeper of a folder.
func New(dir string, targets func() []string, log zerolog.Logger, record func(context.Context, *eventv1.Record) error) *Keeper {
	k := &Keeper{Dir: dir, Targets: targets, Log: log, Record: record, wake: make(chan struct{}, 1), told: map[string]bool{}}
	k.status.Store(&Status{State: Starting})
	return k
}

// Status returns what is known now.
func (k *Keeper) Status() *Status { return k.status.Load() }

// Ready is a readiness check.
func (k *Keeper) Ready() error {
	s := k.Status()
	switch {
	case s.Version > 0:
		return nil
	case s.State == Rejected:
		return fmt.Errorf("the masking folder has %d problem(s) and nothing was published before: see the log, or GET /v1/status", len(s.Problems))
	default:
		return errors.New("no masking bundle is published yet")
	}
}

// Wake makes Run look at the folder and the bucket again.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run keeps the bundle until ctx ends.
func (k *Keeper) Run(ctx context.Context, p Publisher) error {
	tick := time.NewTicker(reread)
	defer tick.Stop()
	for {
		var again <-chan time.Time
		if err := k.look(ctx, p); err != nil && ctx.Err() == nil {
			k.Log.Warn().Err(err).Msg("masking folder not settled; trying again")
			again = time.After(retry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		case <-tick.C:
		case <-again:
		}
	}
}

// folder is the folder at one moment.
type folder struct {
	files    map[string][]byte
	hash     [32]byte
	engine   *masking.Engine
	problems []masking.Problem // empty: may be published
}

func read(dir string) folder {
	files, err := config.ReadDir(dir)
	if err != nil {
		return folder{problems: []masking.Problem{{File: dir, Line: 1, Problem: "the folder cannot be read: " + err.Error(), Remedy: "check that it exists and that the service may read it"}}}
	}
	f := folder{files: files, hash: config.HashFiles(files)}
	size := 0
	for name, raw := range files {
		size += len(name) + len(raw)
	}
	if size > maxBundle {
		f.problems = []masking.Problem{{File: dir, Line: 1, Problem: fmt.Sprintf("the files hold %d bytes", size), Remedy: fmt.Sprintf("a bundle holds at most %d: shorten the comments", maxBundle)}}
		return f
	}
	f.engine, err = masking.Compile(files)
	var problems *masking.ProblemsError
	switch {
	case errors.As(err, &problems):
		f.problems = problems.Problems
	case err != nil:
		f.problems = []masking.Problem{{File: dir, Line: 1, Problem: err.Error(), Remedy: "report this"}}
	}
	return f
}

// look reads the folder once and acts on it.
func (k *Keeper) look(ctx context.Context, p Publisher) error {
	f := read(k.Dir)
	fresh := !k.known || f.hash != k.settled
	var err error
	if len(f.problems) > 0 {
		err = k.reject(ctx, p, f, fresh)
	} else {
		err = k.publish(ctx, p, f)
	}
	if err == nil {
		k.settled, k.known = f.hash, true
	}
	return err
}

func (k *Keeper) reject(ctx context.Context, p Publisher, f folder, fresh bool) error {
	current, err := p.Current(ctx)
	if err != nil {
		return err
	}
	s := Status{State: Rejected, FolderHash: hex.EncodeToString(f.hash[:]), Problems: f.problems}.with(current)
	k.status.Store(&s)
	if !fresh {
		return nil
	}
	for _, x := range f.problems {
		k.Log.Error().Str("file", x.File).Int("line", x.Line).Str("problem", x.Problem).Str("remedy", x.Remedy).Msg("masking rules rejected")
	}
	return k.Record(ctx, rejected(f, s.Version))
}

func (k *Keeper) publish(ctx context.Context, p Publisher, f folder) error {
	now, _, published, err := p.Publish(ctx, f.files, f.hash)
	if now == nil {
		return err
	}
	if err != nil { // the floor file: a second line of defence, no reason to stop
		k.Log.Warn().Err(err).Msg("highest version not remembered: after a loss of the bus's disk gateways refuse new bundles until versions have caught up")
	}
	findings := idle(f.engine, k.Targets())
	s := Status{State: Published, FolderHash: hex.EncodeToString(f.hash[:]), Rules: len(f.engine.Rules()), Findings: findings}.with(now)
	was := k.status.Swap(&s)
	if !published && was != nil && was.State == Rejected { // put back as it was
		k.Log.Info().Uint64("version", now.Version).Int("rules", s.Rules).Msg("masking rules good again")
	}
	if published {
		k.Log.Info().Uint64("version", now.Version).Int("rules", s.Rules).Int("findings", len(findings)).Msg("masking rules published")
		if err := k.Record(ctx, publishedRecord(now)); err != nil {
			return err
		}
	}
	return k.tell(ctx, findings)
}

// tell records the findings that are new.
func (k *Keeper) tell(ctx context.Context, findings []Finding) error {
	there := map[string]bool{}
	for _, f := range findings {
		there[f.Rule] = true
		if k.told[f.Rule] {
			continue
		}
		k.Log.Warn().Str("rule", f.Rule).Str("remedy", f.Remedy).Msg("a mask never applies")
		if err := k.Record(ctx, f.record()); err != nil {
			return err
		}
	}
	k.told = there
	return nil
}
