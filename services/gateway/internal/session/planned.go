package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
	"github.com/gatestay/gatestay/services/gateway/internal/hold"
	"github.com/gatestay/gatestay/services/gateway/internal/plan"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// planning is the session as a plan may be for it.
func (s *Session) planning() approval.Planning {
	return approval.Planning{
		Principal: s.principal, Target: s.target, Database: s.database, People: s.gate.Policy.Current().Engine.People(),
		Key: s.gate.GrantKey, Now: s.gate.Now(),
	}
}

// openPlan finds the approved plan that a run is to use. A run is for all
// databases of its target, a plan for one: which one is the session's is looked
// at again for each statement.
func (s *Session) openPlan(ctx context.Context, id string) (*plan.Plan, error) {
	found, err := s.findPlan(ctx, id)
	if err != nil {
		return nil, err
	}
	if r := unapproved(found, s.gate.Now()); r != nil {
		return nil, r
	}
	u := s.planning()
	u.Database = found.Request.Database
	p, err := plan.Open(found, u)
	if err != nil {
		return nil, &refusal.Refusal{
			Code: refusal.ApprovalInvalid, ID: id, Message: "this plan is not for this run: " + err.Error(),
			Hint: "Plan anew: gatestay plan " + s.target + " -f FILE",
		}
	}
	revoked, err := s.gate.Grants.Revoked(ctx, id)
	if err != nil {
		return nil, noBus(err)
	}
	if revoked {
		return nil, &refusal.Refusal{Code: refusal.ApprovalOver, ID: id, Message: "this plan was revoked", Hint: "Plan anew: gatestay plan " + s.target + " -f FILE"}
	}
	return p, nil
}

func (s *Session) findPlan(ctx context.Context, id string) (*grant.Found, error) {
	found, err := s.gate.Grants.Find(ctx, id)
	if err != nil && !errors.Is(err, grant.ErrNone) {
		return nil, noBus(err)
	}
	if err != nil || found.Request.Plan == nil {
		return nil, &refusal.Refusal{
			Code: refusal.ApprovalUnknown, ID: id, Message: "there is no such plan", Hint: "'gatestay plan " + s.target + " -f FILE' makes one and prints its id.",
		}
	}
	return found, nil
}

func noBus(err error) error {
	return fmt.Errorf("%w: %w", &refusal.Refusal{
		Code: refusal.BusUnavailable, Message: "the plan cannot be looked up: the bus does not answer", Hint: "Try again in a moment.",
	}, err)
}

// planned returns how a held command passes by the run's plan; nil where it does
// not.
func (s *Session) planned(ctx context.Context, a *admission) (func() (seam.Permit, error), *refusal.Refusal) {
	if s.run == nil || s.run.Plan == nil {
		return nil, nil
	}
	p, c := s.run.Plan, a.command
	step, err := s.step(ctx, p, a)
	switch {
	case err == nil:
	case plan.Outside(err), errors.Is(err, errPlan):
		a.unplanned = err
		if c.Notify != nil {
			c.Notify(seam.Notice{Code: "GS1300", Message: "not covered by plan " + p.ID() + ": " + err.Error(), Detail: "It is decided by itself."})
		}
		return nil, nil
	default:
		s.gate.Log.Warn().Err(err).Str("session_id", s.id).Msg("steps of a plan could not be counted")
		return nil, &refusal.Refusal{
			Code: refusal.BusUnavailable, Rule: a.decision.Rule, ID: a.id,
			Message: "the run has a plan, and it cannot be known what of it has run: the bus does not answer", Hint: "Try again in a moment.",
		}
	}
	return func() (seam.Permit, error) {
		return s.permit(ctx, a, hold.Granted(&grant.Taken{Decision: p.Decision(), Number: step}))
	}, nil
}

// errPlan is why a plan does not fit, in other words than the plan's own.
var errPlan = errors.New("the plan does not fit")

// step takes the plan's step that a command is, and returns its number from 1; 0 is
// the tool's bookkeeping.
func (s *Session) step(ctx context.Context, p *plan.Plan, a *admission) (uint32, error) {
	c, key := a.command, s.gate.GrantKey
	switch {
	case c.Canonical == nil:
		return 0, plan.ErrOutside
	case !p.Under(a.decision.RuleHash):
		return 0, fmt.Errorf("%w: rule %q, which holds it, is not one that it was approved under", errPlan, a.decision.Rule)
	}
	if err := p.Fits(s.planning()); err != nil {
		return 0, fmt.Errorf("%w: %w", errPlan, err)
	}
	state := c.State.Digest(key)
	if len(c.Parameters) == 0 {
		n, err := p.Take(ctx, s.gate.Grants, command.Step(key, c.Canonical(), s.target, s.database), state, a.user())
		if !errors.Is(err, plan.ErrOutside) {
			return n, err //nolint:wrapcheck // the plan's own
		}
	}
	return 0, p.Keep(ctx, s.gate.Grants, c.Blanked(), state) //nolint:wrapcheck // the plan's own
}

// passed notes a command that passes by a rule, which the run's plan may have as
// one that was to be held: earlier statements had not made its objects then.
func (s *Session) passed(ctx context.Context, a *admission) {
	c := a.command
	if s.run == nil || s.run.Plan == nil || c.Canonical == nil || len(c.Parameters) > 0 {
		return
	}
	key := s.gate.GrantKey
	err := s.run.Plan.Passed(ctx, s.gate.Grants, command.Step(key, c.Canonical(), s.target, s.database), c.State.Digest(key), a.user())
	if err != nil {
		s.gate.Log.Warn().Err(err).Str("session_id", s.id).Msg("a plan's step could not be noted; what follows it will be held")
	}
}

// outside warns an approver of what a plan, or a break-glass, does not cover.
func (a *admission) outside() []string {
	var out []string
	if a.unplanned != nil {
		out = append(out, "outside of the approved plan that this run has: "+strings.TrimPrefix(a.unplanned.Error(), errPlan.Error()+": "))
	}
	if a.unbreakable != "" {
		out = append(out, "the job asked to break the glass, and may not: "+a.unbreakable)
	}
	return out
}
