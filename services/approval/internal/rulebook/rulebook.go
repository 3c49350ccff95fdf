// Package rulebook follows the signed policy bundle and checks a request
// against it: who may approve is what the rule says, not what the request says.
package rulebook

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

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Why a request cannot be voted on.
var (
	// ErrNotYet: the bundle that the request was decided under has not come.
	ErrNotYet = errors.New("rulebook: the policy of this request has not arrived yet")
	// ErrChanged: the matched rule is no longer what it was.
	ErrChanged = errors.New("rulebook: the rule has changed since the command was held")
	// ErrForged: the request says of its rule what the rule does not say.
	ErrForged = errors.New("rulebook: the request contradicts its rule")
)

// slack is how much a deadline may exceed the rule's, for rounding.
const slack = 2 * time.Second

// Book is one version of the policy.
type Book struct {
	Version uint64
	rules   map[string]policy.Rule // by hash
	people  *policy.People
	hash    string // of people.yaml
}

// NewBook returns the book of an engine.
func NewBook(e *policy.Engine, version uint64, peopleFile []byte) *Book {
	b := &Book{Version: version, rules: map[string]policy.Rule{}, people: e.People(), hash: people.Hash(peopleFile)}
	hashes := e.Hashes()
	for _, r := range append(e.Rules(), e.Freezes()...) {
		b.rules[hashes[r.Name]] = r
	}
	return b
}

// People returns the people map.
func (b *Book) People() *policy.People { return b.people }

// Approvers returns who the rule of a request names, or one of the errors
// above. A nil book has not arrived.
func (b *Book) Approvers(r *eventv1.ApprovalRequest) (*eventv1.Approvers, error) {
	if b == nil {
		return nil, ErrNotYet
	}
	if r.People != nil {
		return b.change(r)
	}
	rule, ok := b.rules[r.RuleHash]
	switch {
	case !ok && b.Version < r.PolicyVersion:
		return nil, ErrNotYet
	case !ok:
		return nil, ErrChanged
	case rule.Name != r.Rule || rule.Effect != policy.Hold || rule.Approvers == nil:
		return nil, fmt.Errorf("%w: it is not a hold by rule %q", ErrForged, r.Rule)
	}
	said := r.GetApprovers()
	if !proto.Equal(rule.Approvers.Event(), said) {
		return nil, fmt.Errorf("%w: its approvers are others", ErrForged)
	}
	if r.Deadline.AsTime().Sub(r.RequestedAt.AsTime()) > rule.Deadline+slack {
		return nil, fmt.Errorf("%w: its deadline is later", ErrForged)
	}
	if problem := broken(&rule, r); problem != "" {
		return nil, fmt.Errorf("%w: %s", ErrForged, problem)
	}
	if problem := offered(&rule, r); problem != "" {
		return nil, fmt.Errorf("%w: %s", ErrForged, problem)
	}
	return said, nil
}

// ByRule returns who the rules of a request name, one for each of them, or one
// of the errors above: a plan may have several.
func (b *Book) ByRule(r *eventv1.ApprovalRequest) ([]*eventv1.Approvers, error) {
	first, err := b.Approvers(r)
	if err != nil || r.Plan == nil {
		return []*eventv1.Approvers{first}, err
	}
	if problem := approval.PlanProblem(r); problem != "" {
		return nil, fmt.Errorf("%w: %s", ErrForged, problem)
	}
	out := []*eventv1.Approvers{first}
	for _, rule := range r.Plan.Rules[1:] {
		of, err := b.Approvers(&eventv1.ApprovalRequest{
			Rule: rule.GetRule(), RuleHash: rule.GetRuleHash(), Approvers: rule.GetApprovers(), PolicyVersion: r.PolicyVersion,
			RequestedAt: r.RequestedAt, Deadline: r.Deadline,
		})
		if err != nil {
			return nil, err
		}
		out = append(out, of)
	}
	return out, nil
}

// offered compares what the request offers with what its rule lets.
func offered(rule *policy.Rule, r *eventv1.ApprovalRequest) string {
	o, g := r.GetOffer(), rule.Grants
	if r.Returned && !slices.Contains(o.GetScopes(), policy.ScopeReturn) {
		return "its client does not wait, and nothing is offered for its return"
	}
	if o == nil {
		return ""
	}
	for _, scope := range o.Scopes {
		if !g.Allows(scope) {
			return "it offers a grant that the rule does not let"
		}
	}
	if g == nil || o.Uses > g.Uses || o.Life.AsDuration() > g.Life {
		return "it offers more or longer than the rule lets"
	}
	return ""
}

// broken compares how far the request says that the glass is broken with what its
// rule lets.
func broken(rule *policy.Rule, r *eventv1.ApprovalRequest) string {
	g := r.GetBreakGlass()
	if g == nil {
		return ""
	}
	if why := rule.BreakGlass.Refuses(r.Principal); why != "" {
		return "it is a break-glass, and of its rule: " + why
	}
	if g.Uses > rule.BreakGlass.Uses || g.Until.AsTime().Sub(r.RequestedAt.AsTime()) > rule.BreakGlass.Life+slack {
		return "its break-glass is for more or longer than the rule lets"
	}
	return ""
}

// Follower keeps the current book. Safe for concurrent use.
type Follower struct {
	Trust seal.Trust
	Log   zerolog.Logger
	// Floor keeps the highest version seen over restarts.
	Floor interface {
		Floor(ctx context.Context) (uint64, error)
		Raise(ctx context.Context, version uint64) error
	}
	// Changed is called after each swap; may be nil.
	Changed func()

	current atomic.Pointer[Book]
}

// Current returns the book, or nil before the first.
func (f *Follower) Current() *Book { return f.current.Load() }

// Ready is a readiness check.
func (f *Follower) Ready() error {
	if f.Current() == nil {
		return errors.New("no policy bundle yet: is the policy service running, and is its folder valid?")
	}
	return nil
}

// Run follows the bucket until ctx ends.
func (f *Follower) Run(ctx context.Context, kv jetstream.KeyValue) error {
	for ctx.Err() == nil {
		if err := f.watch(ctx, kv); err != nil && ctx.Err() == nil {
			f.Log.Warn().Err(err).Msg("policy watch interrupted; trying again")
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

func (f *Follower) watch(ctx context.Context, kv jetstream.KeyValue) error {
	w, err := kv.Watch(ctx, bus.BundleKey, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("rulebook: watch: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-w.Updates():
			if !ok {
				return errors.New("rulebook: watch ended")
			}
			if entry == nil {
				continue
			}
			if err := f.Take(ctx, entry.Value()); err != nil {
				f.Log.Error().Err(err).Msg("policy bundle refused; the last good one stays")
			}
		}
	}
}

// Take verifies one marshalled Signed bundle and swaps it in.
func (f *Follower) Take(ctx context.Context, raw []byte) error {
	signed, b := &eventv1.Signed{}, &eventv1.Bundle{}
	if err := proto.Unmarshal(raw, signed); err != nil {
		return fmt.Errorf("rulebook: %w", err)
	}
	payload, err := f.Trust.Open(seal.ContextBundle, signed)
	if err != nil {
		return fmt.Errorf("rulebook: %w", err)
	}
	if err := proto.Unmarshal(payload, b); err != nil {
		return fmt.Errorf("rulebook: %w", err)
	}
	if b.Kind != "policy" {
		return fmt.Errorf("rulebook: a %q bundle where a policy is expected", b.Kind)
	}
	floor, err := f.Floor.Floor(ctx)
	if err != nil {
		return err
	}
	if b.Version < floor {
		return fmt.Errorf("rulebook: version %d after %d: versions never go back", b.Version, floor)
	}
	engine, err := policy.Compile(b.Files)
	if err != nil {
		return fmt.Errorf("rulebook: compile version %d: %w", b.Version, err)
	}
	if err := f.Floor.Raise(ctx, b.Version); err != nil {
		return err
	}
	f.current.Store(NewBook(engine, b.Version, b.Files[policy.PeopleFile]))
	f.Log.Info().Uint64("version", b.Version).Msg("policy bundle in use")
	if f.Changed != nil {
		f.Changed()
	}
	return nil
}
