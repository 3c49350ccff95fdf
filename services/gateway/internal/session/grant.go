package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
	"github.com/gatestay/gatestay/services/gateway/internal/hold"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// use is the command as a grant may cover it.
func (a *admission) use() approval.Use {
	s, c := a.session, a.command
	key := s.gate.GrantKey
	return approval.Use{
		Principal: s.principal, Target: s.target, Database: s.database, RuleHash: a.decision.RuleHash, Grants: a.decision.Grants,
		Approvers: a.decision.Approvers, Deadline: a.deadline(), People: a.people(), Now: s.gate.Now(), Key: key,
		Shape: command.Shape(key, &c.Facts, c.Parameters, c.State), Exact: command.Digest(key, c.Text, c.Parameters, c.State),
	}
}

// user is what the stream of uses says of this command.
func (a *admission) user() grant.Use {
	return grant.Use{Command: a.id, Session: a.session.id, Gateway: a.session.gate.Config().Gateway.ID, At: a.session.gate.Now().UTC()}
}

// granted returns how the command passes by a grant; nil where none covers it.
func (s *Session) granted(ctx context.Context, a *admission, use approval.Use) (func() (seam.Permit, error), *refusal.Refusal) {
	if use.Grants == nil {
		return nil, nil
	}
	taken, err := s.gate.Grants.Take(ctx, use, a.user())
	switch {
	case errors.Is(err, grant.ErrNone):
		return nil, nil
	case err != nil:
		s.gate.Log.Warn().Err(err).Str("session_id", s.id).Msg("uses of a grant could not be counted")
		return nil, &refusal.Refusal{
			Code: refusal.BusUnavailable, Rule: a.decision.Rule, ID: a.id,
			Message: "the command has a grant, and it cannot be known whether it is used up: the bus does not answer", Hint: "Try again in a moment.",
		}
	}
	return func() (seam.Permit, error) {
		by := hold.Granted(taken)
		if a.command.Notify != nil {
			a.command.Notify(seam.Notice{
				Code:    "GS1300",
				Message: fmt.Sprintf("granted by %s: use %d of %d", approval.Visible(strings.Join(by.Approvers, ", ")), taken.Number, taken.Decision.Uses),
				Detail: fmt.Sprintf("Grant %s covers %s, until %s.", taken.Decision.ApprovalId, approval.GrantedTo(taken.Decision.Grant.Scope),
					taken.Decision.ExpiresAt.AsTime().UTC().Format("15:04:05 MST")),
			})
		}
		return s.permit(ctx, a, by)
	}, nil
}

// passing is how a command that waits passes by what is granted meanwhile, to whom
// the people map of then lets grant it.
func (s *Session) passing(a *admission, use approval.Use) func(context.Context) (*grant.Taken, error) {
	return func(ctx context.Context) (*grant.Taken, error) {
		use.Now, use.People = s.gate.Now(), a.people()
		return s.gate.Grants.Take(ctx, use, a.user())
	}
}

// offer is what an approver may give beyond the command; nil for nothing.
func (a *admission) offer(use approval.Use) *eventv1.Offer {
	g := a.decision.Grants
	if g == nil {
		return nil
	}
	o := &eventv1.Offer{Uses: g.Uses, Life: durationpb.New(g.Life), Shape: use.Shape, Exact: use.Exact}
	for _, scope := range g.Scopes {
		covered := use.Shape
		if scope == policy.ScopeReturn {
			covered = use.Exact
		}
		if len(covered) > 0 && approval.Holder(scope, a.session.principal) != nil {
			o.Scopes = append(o.Scopes, scope)
		}
	}
	if len(o.Scopes) == 0 {
		return nil
	}
	return o
}

// askOnly asks for an approval, unless it was asked for before, and returns the
// refusal for a client that does not wait.
func (s *Session) askOnly(ctx context.Context, a *admission, use approval.Use) *refusal.Refusal {
	offer := a.offer(use)
	if !a.decision.Grants.Allows(policy.ScopeReturn) || offer == nil || !slices.Contains(offer.Scopes, policy.ScopeReturn) {
		why := "its rule does not let the approval outlive the connection"
		if a.decision.Grants.Allows(policy.ScopeReturn) {
			why = "the token names neither a commit nor a run that it could be bound to"
		}
		return &refusal.Refusal{
			Code: refusal.ApprovalPending, Rule: a.decision.Rule, ID: a.id,
			Message: "this command needs an approval, and the job does not wait for one",
			Detail:  "Nobody was asked: " + why + ".",
			Hint:    "Run it with --wait, or ask for a rule with hold: return.",
		}
	}
	if asked := s.gate.Grants.Asked(use); asked != nil {
		if asked.Decision != nil {
			return approval.Refused(asked.Decision)
		}
		return a.pending(asked.Request)
	}
	radius := a.measure(ctx)
	request := a.request(use.Exact, a.deadline())
	request.Offer, request.Returned, request.Radius = offer, true, radius
	if err := s.gate.Desk.Ask(ctx, request); err != nil {
		var r *refusal.Refusal
		if errors.As(err, &r) {
			return r
		}
		return &refusal.Refusal{Code: refusal.BusUnavailable, Rule: a.decision.Rule, ID: a.id, Message: "the request could not be sent", Hint: "Try again in a moment."}
	}
	s.gate.Grants.Note(request)
	return a.pending(request)
}

func (a *admission) pending(r *eventv1.ApprovalRequest) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ApprovalPending, Rule: a.decision.Rule, ID: r.Id,
		Message: "this command waits for an approval, and the job does not wait with it",
		Detail: fmt.Sprintf("Request %s. %s may approve, until %s.", r.Id,
			a.policy.Engine.People().Approvers(r.Approvers, r.Requesters, a.session.gate.Now()), r.Deadline.AsTime().UTC().Format(time.RFC3339)),
		Hint: fmt.Sprintf("Run the same job again once it is approved ('gatestay approvals show %s' tells): this very command then passes, once.", r.Id),
	}
}
