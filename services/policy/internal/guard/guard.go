// Package guard keeps the people map in force: another one is published with a
// second person's decision only. What waits and what is in force survive a
// restart and are shared by replicas: both lie in the policy bucket, signed, and
// the map in force beside the service's key, too. The highest sequence counts, so
// that neither place can lead back.
package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// The guard's own keys in the policy bucket.
const (
	stateKey   = "people"
	pendingKey = "people_change"
)

// Guard is used by one goroutine, but for Decided.
type Guard struct {
	KV           jetstream.KeyValue
	Key          *seal.Key
	Trust        seal.Trust                 // of policy services
	Approvals    func() (seal.Trust, error) // of approval services, as they are now
	File         string                     // people.Path of the key
	SecondPerson bool
	// Floor is the highest version ever published, as far as this machine knows.
	Floor   func() (uint64, error)
	Current func(context.Context) (*eventv1.Bundle, error)
	// Send puts one event of an approval on the bus, once.
	Send   func(ctx context.Context, event, id string, raw, mark []byte) error
	Record func(context.Context, *eventv1.Record) error
	Now    func() time.Time
	Log    zerolog.Logger

	state    *people.State
	revision uint64 // of the state in the bucket
	lost     bool   // told that nobody knows what is in force
	unkept   bool   // told that the state's file cannot be written
	refused  map[string]bool

	mu        sync.Mutex
	decisions map[string][]*eventv1.Signed
}

// Verdict is which people map a bundle gets.
type Verdict struct {
	Map     []byte
	Finding *policy.Finding // where it is not the folder's own
}

// Admit judges the people map that lies in the folder.
func (g *Guard) Admit(ctx context.Context, to []byte) (Verdict, error) {
	if err := g.load(ctx); err != nil {
		return Verdict{}, err
	}
	if g.state == nil {
		if err := g.adopt(ctx, to); err != nil {
			return Verdict{}, err
		}
	}
	from := g.state.Map
	if bytes.Equal(from, to) {
		return Verdict{Map: to}, g.withdraw(ctx)
	}
	change, now, err := compare(from, to)
	switch {
	case err != nil && g.SecondPerson: // the map in force cannot be read here: it stays, and says so when compiled
		return Verdict{Map: from, Finding: waits("cannot be compared with the one in force: "+err.Error(), remedyMachine)}, nil
	case !g.SecondPerson:
		return Verdict{Map: to}, g.confirm(ctx, to, people.File, change, nil)
	case len(now.Names()) == 0: // nobody is there to ask
		return Verdict{Map: to}, g.confirm(ctx, to, people.First, change, nil)
	case len(change.Lines) == 0:
		return Verdict{Map: to}, g.confirm(ctx, to, people.Same, change, nil)
	}
	return g.ask(ctx, &step{from: from, to: to, now: now, change: change})
}

const remedyMachine = "confirm it with 'gatestay policy people confirm' on the policy service's machine, or put the file back"

// step is one change that needs its decision.
type step struct {
	from, to []byte
	now      *policy.People // of from
	change   policy.Change
}

func compare(from, to []byte) (policy.Change, *policy.People, error) {
	now, err := policy.ReadPeople(from)
	if err != nil {
		return policy.Change{}, nil, err //nolint:wrapcheck // problems say where they are
	}
	next, err := policy.ReadPeople(to)
	if err != nil {
		return policy.Change{}, nil, err //nolint:wrapcheck // as above
	}
	return now.Change(next), now, nil
}

func waits(what, remedy string) *policy.Finding {
	return &policy.Finding{Kind: "people-change", File: policy.PeopleFile, Line: 1, What: "the change of " + policy.PeopleFile + " is not in force: it " + what, Remedy: remedy}
}

// adopt takes the first map of an installation: that of the bundle in force, or,
// where nothing was ever published, the folder's own.
func (g *Guard) adopt(ctx context.Context, to []byte) error {
	b, err := g.Current(ctx)
	if err != nil {
		return err
	}
	floor, err := g.Floor()
	if err != nil {
		return err
	}
	if b != nil && b.Version >= floor {
		return g.confirm(ctx, b.Files[policy.PeopleFile], people.First, policy.Change{}, nil)
	}
	if floor > 0 && g.SecondPerson {
		if err := g.tellLost(ctx); err != nil {
			return err
		}
		return errors.New("the bus has lost which people map is in force, and so has the file beside the policy service's key: " +
			"run 'gatestay policy people confirm' on the policy service's machine")
	}
	return g.confirm(ctx, to, people.First, policy.Change{}, nil)
}

// tellLost records, once, that nothing is published for want of a map in force.
func (g *Guard) tellLost(ctx context.Context) error {
	if g.lost {
		return nil
	}
	g.lost = true
	return g.Record(ctx, &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "people.lost", Actor: "policy",
		Message: "nobody knows which people map is in force: nothing is published until 'gatestay policy people confirm' says so",
	})
}

// load takes the highest state of memory, bucket and file, and has the others know it.
func (g *Guard) load(ctx context.Context) error {
	var inBucket *people.State
	e, err := g.KV.Get(ctx, stateKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		g.revision = 0
	case err != nil:
		return fmt.Errorf("guard: read the bucket: %w", err)
	default:
		g.revision = e.Revision()
		if inBucket, err = people.Open(g.Trust, e.Value()); err != nil {
			g.Log.Error().Err(err).Msg("a people map in force that no policy service signed was ignored")
			inBucket = nil
		}
	}
	inFile, err := people.Read(g.File, g.Trust)
	if err != nil {
		g.Log.Error().Err(err).Str("file", g.File).Msg("the people map in force cannot be read beside the key")
	}
	highest := g.state
	for _, s := range []*people.State{inBucket, inFile} {
		if s != nil && (highest == nil || s.Sequence > highest.Sequence) {
			highest = s
		}
	}
	if highest == nil {
		return nil
	}
	if highest == inFile && inFile.How == people.Machine && highest != g.state && (inBucket == nil || inBucket.Sequence < inFile.Sequence) {
		if err := g.tellAlone(ctx, inFile); err != nil {
			return err
		}
	}
	g.state = highest
	return g.keep(ctx, inBucket, inFile)
}

// keep writes the state wherever an older one is, or none.
func (g *Guard) keep(ctx context.Context, inBucket, inFile *people.State) error {
	older := func(s *people.State) bool { return s == nil || s.Sequence < g.state.Sequence }
	if !older(inBucket) && !older(inFile) {
		return nil
	}
	raw, err := g.state.Sign(g.Key)
	if err != nil {
		return err //nolint:wrapcheck // says where it comes from
	}
	if older(inBucket) {
		if err := g.put(ctx, raw); err != nil {
			return err
		}
	}
	if !older(inFile) {
		return nil
	}
	err = people.Write(g.File, raw)
	if err == nil || g.unkept {
		return nil
	}
	g.unkept = true
	g.Log.Warn().Err(err).Msg("the people map in force is not kept beside the key: after a loss of the bus's disk it must be confirmed anew")
	return g.Record(ctx, &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "people.state_not_kept", Actor: "policy",
		Message: "the people map in force lies in the bus only: the folder of policy.key cannot be written",
	})
}

// confirm puts a map in force.
func (g *Guard) confirm(ctx context.Context, to []byte, how string, change policy.Change, by func(*people.State)) error {
	next := g.state.Next(to, how, g.Now())
	if by != nil {
		by(next)
	}
	raw, err := next.Sign(g.Key)
	if err != nil {
		return err //nolint:wrapcheck // says where it comes from
	}
	if err := g.put(ctx, raw); err != nil { // only then it is published, and of racing replicas one does it
		return err
	}
	g.state = next
	if how != people.First || len(change.Lines) > 0 {
		if err := g.Record(ctx, changed(next, change)); err != nil {
			return err
		}
	}
	if err := g.keep(ctx, next, nil); err != nil {
		return err
	}
	return g.withdraw(ctx)
}

// put writes the state into the bucket, where nobody else has since it was read.
func (g *Guard) put(ctx context.Context, raw []byte) (err error) {
	if g.revision == 0 {
		g.revision, err = g.KV.Create(ctx, stateKey, raw)
	} else {
		g.revision, err = g.KV.Update(ctx, stateKey, raw, g.revision)
	}
	if err != nil {
		return fmt.Errorf("guard: keep the people map in force: %w", err)
	}
	return nil
}

// changed is the record of a map that came into force.
func changed(s *people.State, change policy.Change) *eventv1.Record {
	r := &eventv1.Record{
		Kind: eventv1.Kind_KIND_ADMIN, Action: "people.changed", Actor: "file watch", ApprovalId: s.Approval,
		Details: map[string]string{"how": s.How, "sha256": people.Hash(s.Map), "sequence": fmt.Sprint(s.Sequence), "changes": lines(change.Lines)},
	}
	if s.How == people.Approved {
		r.Approvers = s.By
	}
	return r
}

const maxLines = 4 << 10 // bytes of a record's text

func lines(of []string) string {
	s := strings.Join(of, "\n")
	if len(s) > maxLines {
		s = strings.ToValidUTF8(s[:maxLines], "") + "…"
	}
	return s
}

// tellAlone records, loudly, that one person confirmed a map at the machine.
func (g *Guard) tellAlone(ctx context.Context, s *people.State) error {
	who := strings.Join(s.By, ", ")
	r := changed(s, policy.Change{})
	if g.state != nil {
		if change, _, err := compare(g.state.Map, s.Map); err == nil {
			r = changed(s, change)
		}
	}
	r.Actor = who
	if err := g.Record(ctx, r); err != nil {
		return err
	}
	g.Log.Warn().Str("by", who).Msg("the people map was confirmed at the machine, without a second person")
	return g.Record(ctx, &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "people.confirmed_alone", Actor: who,
		Message: "the people map was confirmed with the policy service's own key, without a second person", Details: r.Details,
	})
}
