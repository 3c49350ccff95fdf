// Package keeper keeps the published bundle equal to the policy folder: it
// reads the folder when it changes, publishes it when it is good, and leaves
// the last good bundle in place, loudly, when it is not.
package keeper

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy/internal/folder"
	"github.com/gatestay/gatestay/services/policy/internal/guard"
)

const (
	// retry is the pause after a publication that failed.
	retry = 500 * time.Millisecond
	// reread finds a change that no watcher told of.
	reread = 5 * time.Second
)

// Publisher publishes bundles (publish.Publisher).
type Publisher interface {
	Publish(ctx context.Context, files map[string][]byte, hash [32]byte) (now, before *eventv1.Bundle, published bool, err error)
	Current(ctx context.Context) (*eventv1.Bundle, error)
}

// Keeper is the owner of the folder. Run it once; the other methods are safe
// for concurrent use.
type Keeper struct {
	Dir    string
	Facts  policy.FactsFunc // of cases' SQL
	Log    zerolog.Logger
	Record func(context.Context, *eventv1.Record) error // queues; fails when the context has ended
	// Done is called after each time the folder was looked at, may be nil.
	Done func(s Status, published bool, took time.Duration)
	// People judges the folder's people map; nil takes it as it is.
	People func(ctx context.Context, to []byte) (guard.Verdict, error)
	// Feeds reads the schedule's calendars; nil: nobody of them is on call.
	Feeds Feeds

	around atomic.Pointer[policy.Surroundings]
	status atomic.Pointer[Status]
	wake   chan struct{}

	last     *folder.Snapshot // the one last judged
	settled  bool             // last is published, or rejected
	recorded map[string]bool  // findings already told
	told     bool             // findings were told once
}

// New returns a keeper of a folder.
func New(dir string, facts policy.FactsFunc, around policy.Surroundings, log zerolog.Logger, record func(context.Context, *eventv1.Record) error) *Keeper {
	k := &Keeper{Dir: dir, Facts: facts, Log: log, Record: record, wake: make(chan struct{}, 1), recorded: map[string]bool{}}
	k.around.Store(&around)
	k.status.Store(&Status{State: Starting})
	return k
}

// Status returns what is known now.
func (k *Keeper) Status() *Status { return k.status.Load() }

// Ready is a readiness check.
func (k *Keeper) Ready() error {
	if s := k.Status(); s.Version == 0 {
		if s.State == Rejected {
			return fmt.Errorf("the policy folder has %d problem(s) and nothing was published before: see the log, or GET /v1/status", len(s.Problems))
		}
		return fmt.Errorf("no policy bundle is published yet")
	}
	return nil
}

// Wake makes Run look at the folder and the bucket again.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Surround sets what the rules are checked against, and looks again.
func (k *Keeper) Surround(s policy.Surroundings) {
	k.around.Store(&s)
	k.Wake()
}

// Run keeps the bundle until ctx ends.
func (k *Keeper) Run(ctx context.Context, p Publisher) error {
	tick := time.NewTicker(reread)
	defer tick.Stop()
	for {
		pause := k.look(ctx, p)
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		case <-tick.C:
		case <-pause:
		}
	}
}

// look reads the folder once and acts on it. The returned channel fires when
// it should be called again; nil if only a change matters.
func (k *Keeper) look(ctx context.Context, p Publisher) <-chan time.Time {
	start := time.Now()
	around := *k.around.Load()
	s := folder.Read(k.Dir, around, k.Facts)
	if !k.settled || k.last == nil || s.Raw != k.last.Raw {
		k.settled = false
	}
	k.last = s
	var published bool
	s, err := k.admit(ctx, s, around)
	if err == nil {
		s, err = k.feed(ctx, p, s, around)
	}
	switch {
	case err != nil:
	case len(s.Problems) > 0:
		err = k.reject(ctx, p, s)
	default:
		published, err = k.publish(ctx, p, s)
	}
	if err != nil {
		if ctx.Err() == nil {
			k.Log.Warn().Err(err).Msg("policy folder not settled; trying again")
		}
		return time.After(retry)
	}
	k.settled = true
	if k.Done != nil {
		k.Done(*k.Status(), published, time.Since(start))
	}
	return nil
}

// admit returns the folder with the people map that is in force, where its own
// still waits for a second person.
func (k *Keeper) admit(ctx context.Context, s *folder.Snapshot, around policy.Surroundings) (*folder.Snapshot, error) {
	if k.People == nil || len(s.Problems) > 0 {
		return s, nil
	}
	v, err := k.People(ctx, s.Files[policy.PeopleFile])
	if err != nil || v.Finding == nil {
		return s, err
	}
	with := s.WithPeople(v.Map, around, k.Facts)
	if len(with.Problems) > 0 { // what else changed needs the new map
		with.Problems = append([]policy.Problem{{File: v.Finding.File, Line: v.Finding.Line, Column: 1, What: v.Finding.What + "; and the rest of the folder does not go with the people map in force", Remedy: v.Finding.Remedy}}, with.Problems...)
	}
	with.Findings = append(with.Findings, *v.Finding)
	return with, nil
}

func (k *Keeper) reject(ctx context.Context, p Publisher, s *folder.Snapshot) error {
	current, err := p.Current(ctx)
	if err != nil {
		return err
	}
	status := Status{State: Rejected, FolderHash: hex.EncodeToString(s.Raw[:]), Problems: s.Problems, Findings: s.Findings, Tests: s.Tests}.with(current)
	if s.Engine != nil {
		status.Rules = len(s.Engine.Rules())
	}
	k.status.Store(&status)
	if k.settled {
		return nil
	}
	for _, problem := range s.Problems {
		k.Log.Error().Str("file", problem.File).Int("line", problem.Line).Str("rule", problem.Rule).Str("problem", problem.What).Str("remedy", problem.Remedy).Msg("policy rejected")
	}
	return k.Record(ctx, rejected(s, status.Version))
}

func (k *Keeper) publish(ctx context.Context, p Publisher, s *folder.Snapshot) (bool, error) {
	now, before, published, err := p.Publish(ctx, s.Files, s.Hash)
	if err != nil {
		return false, err
	}
	status := Status{State: Published, FolderHash: hex.EncodeToString(s.Raw[:]), Rules: len(s.Engine.Rules()), Tests: s.Tests, Findings: s.Findings}.with(now)
	was := k.status.Swap(&status)
	if !published && was != nil && was.State == Rejected { // put back as it was
		k.Log.Info().Uint64("version", now.Version).Int("rules", status.Rules).Msg("policy good again")
	}
	if published {
		k.Log.Info().Uint64("version", now.Version).Int("rules", status.Rules).Int("tests", s.Tests).Int("findings", len(s.Findings)).Msg("policy published")
		if err := k.Record(ctx, publishedRecord(now, before)); err != nil {
			return true, err
		}
	}
	return published, k.tell(ctx, s.Findings, published)
}

// tell records the findings that are new. What was there when this process
// started was told by the one that published it.
func (k *Keeper) tell(ctx context.Context, findings []policy.Finding, published bool) error {
	there := map[string]bool{}
	for _, f := range findings {
		key := f.Kind + "\x00" + f.Rule + "\x00" + f.Target + "\x00" + f.What
		there[key] = true
		if k.recorded[key] || !published && !k.told {
			continue
		}
		k.Log.Warn().Str("kind", f.Kind).Str("rule", f.Rule).Str("target", f.Target).Str("finding", f.What).Str("remedy", f.Remedy).Msg("policy finding")
		if err := k.Record(ctx, finding(f)); err != nil {
			return err
		}
	}
	k.recorded, k.told = there, true
	return nil
}
