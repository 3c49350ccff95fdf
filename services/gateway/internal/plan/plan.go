// Package plan is a plan as a run uses it: an ordered list of statements of which
// one approval lets each pass once.
//
// The signed decision is the plan's permit, and the request that its approvers
// were shown, which it names by its hash, is the plan. Nothing of a run is kept:
// a step is taken on the stream of uses, where only the first has it, and it can
// be taken only when every held step before it was. So a plan goes on where an
// earlier run of it ended, and two runs, connections or gateways that race share
// one plan.
package plan

import (
	"context"
	"crypto/hmac"
	"errors"
	"slices"
	"sync"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
)

// Why a plan does not let a statement pass.
var (
	ErrOutside = errors.New("it is not in the plan")
	ErrState   = errors.New("the session's settings are not those that the plan was made for")
	ErrOrder   = errors.New("it is not the plan's next statement, or has run already")
	ErrRevoked = errors.New("the plan was revoked")
)

// Uses counts steps over all gateways (grant.Book).
type Uses interface {
	Step(ctx context.Context, id string, n uint32, by grant.Use) (bool, error)
	Stepped(ctx context.Context, id string, n uint32) (bool, error)
	Revoked(ctx context.Context, id string) (bool, error)
}

// Plan is safe for concurrent use.
type Plan struct {
	decision *eventv1.ApprovalDecision
	request  *eventv1.ApprovalRequest
	raw      []byte

	mu   sync.Mutex
	done int // steps before it are taken, or can be taken no more
}

// Open returns the plan of an approval, or why it is none that the run may use.
func Open(f *grant.Found, u approval.Planning) (*Plan, error) {
	if f.Decision == nil {
		return nil, errors.New("it is not approved")
	}
	if why := approval.PlanFits(f.Decision, f.Request, f.Raw, u); why != "" {
		return nil, errors.New(why)
	}
	return &Plan{decision: f.Decision, request: f.Request, raw: f.Raw}, nil
}

// ID is the approval's.
func (p *Plan) ID() string { return p.request.Id }

// Tool is whose bookkeeping passes, too.
func (p *Plan) Tool() string { return p.request.Plan.Tool }

// Decision is the signed decision.
func (p *Plan) Decision() *eventv1.ApprovalDecision { return p.decision }

// Fits says why a run may not use the plan now; nil where it may.
func (p *Plan) Fits(u approval.Planning) error {
	if why := approval.PlanFits(p.decision, p.request, p.raw, u); why != "" {
		return errors.New(why)
	}
	return nil
}

// Under reports that the plan was approved by those whom a rule names.
func (p *Plan) Under(ruleHash string) bool {
	for _, r := range p.request.Plan.Rules {
		if r.RuleHash == ruleHash && ruleHash != "" {
			return true
		}
	}
	return false
}

// Take lets a statement pass as the plan's next step, whose number from 1 it
// returns. The error is one of the above where it is not, and another where that
// cannot be known.
func (p *Plan) Take(ctx context.Context, uses Uses, digest, state []byte, by grant.Use) (uint32, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	steps := p.request.Plan.Steps
	is := func(s *eventv1.PlanStep) bool { return hmac.Equal(s.Digest, digest) && hmac.Equal(s.State, state) }
	if !slices.ContainsFunc(steps[p.done:], is) {
		return 0, p.whyNot(digest)
	}
	for i := p.done; i < len(steps); i++ {
		n := uint32(i + 1) //nolint:gosec // bounded by approval.MaxSteps
		if is(steps[i]) {
			taken, err := uses.Step(ctx, p.request.Id, n, by)
			if err != nil {
				return 0, err //nolint:wrapcheck // says all there is to say
			}
			p.done = i + 1
			if !taken {
				continue // another run or connection had it; it may be there again
			}
			return n, p.unrevoked(ctx, uses)
		}
		if steps[i].Effect != string(policy.Hold) {
			continue // it asks nobody: whether it has run is not known, nor does it matter
		}
		before, err := uses.Stepped(ctx, p.request.Id, n)
		if err != nil {
			return 0, err //nolint:wrapcheck // says all there is to say
		}
		if !before {
			return 0, ErrOrder
		}
		p.done = i + 1
	}
	return 0, ErrOrder
}

// whyNot says why no step that is left is a statement in a state. The caller holds
// mu.
func (p *Plan) whyNot(digest []byte) error {
	same := func(s *eventv1.PlanStep) bool { return hmac.Equal(s.Digest, digest) }
	switch steps := p.request.Plan.Steps; {
	case slices.ContainsFunc(steps[p.done:], same):
		return ErrState
	case slices.ContainsFunc(steps, same):
		return ErrOrder
	}
	return ErrOutside
}

// Passed notes a statement that passes without the plan, where the plan has it as
// one that is held: what follows it may then pass. It is a note only: the error is
// for the log.
func (p *Plan) Passed(ctx context.Context, uses Uses, digest, state []byte, by grant.Use) error {
	if !slices.ContainsFunc(p.request.Plan.Steps, func(s *eventv1.PlanStep) bool {
		return s.Effect == string(policy.Hold) && hmac.Equal(s.Digest, digest)
	}) {
		return nil
	}
	_, err := p.Take(ctx, uses, digest, state, by)
	if Outside(err) {
		return nil
	}
	return err
}

// Outside reports that an error is why a plan does not let a statement pass.
func Outside(err error) bool {
	for _, why := range []error{ErrOutside, ErrState, ErrOrder, ErrRevoked} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// Keep reports by nil that the statement of a shape is the bookkeeping of the
// plan's tool, in a session that looks names up as one of the plan's steps does.
func (p *Plan) Keep(ctx context.Context, uses Uses, blanked, state []byte) error {
	if !Bookkeeping(p.Tool(), blanked) {
		return ErrOutside
	}
	if !slices.ContainsFunc(p.request.Plan.Steps, func(s *eventv1.PlanStep) bool { return hmac.Equal(s.State, state) }) {
		return ErrState
	}
	return p.unrevoked(ctx, uses)
}

func (p *Plan) unrevoked(ctx context.Context, uses Uses) error {
	revoked, err := uses.Revoked(ctx, p.request.Id)
	if err != nil {
		return err //nolint:wrapcheck // says all there is to say
	}
	if revoked {
		return ErrRevoked
	}
	return nil
}
