package machine

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Grant is what an approval gave beyond the one command.
type Grant struct {
	Scope   string    `json:"scope"`
	Uses    uint32    `json:"uses"`
	Expires time.Time `json:"expires"`
	Revoked time.Time `json:"revoked,omitzero"`
	By      string    `json:"by,omitempty"` // person who revoked it
	// Told reports that the revocation is on the stream of uses; Over that the
	// message no longer offers to revoke.
	Told bool `json:"told,omitempty"`
	Over bool `json:"over,omitempty"`
}

// Live reports that the grant lets commands pass, uses aside. Safe on nil.
func (g *Grant) Live(now time.Time) bool {
	return g != nil && g.Revoked.IsZero() && now.Before(g.Expires)
}

// Offered reports whether the request lets an approver give a scope; "" is the
// command alone.
func Offered(r *eventv1.ApprovalRequest, scope string) bool {
	return scope == "" || slices.Contains(r.GetOffer().GetScopes(), scope)
}

// grant completes an approval: with a grant where all counted votes give the
// same scope, else for the command alone, or, where nobody waits for it, for its
// return. Of differing limits the lowest counts.
func (s *State) grant(r *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision, now time.Time) {
	if r.Plan != nil {
		s.plan(r, d, now)
		return
	}
	scope, uses, life := s.given(r)
	if scope == "" && r.Returned {
		scope = policy.ScopeReturn
	}
	if scope == "" {
		d.Uses = 1
		d.ExpiresAt = timestamppb.New(earlier(now.Add(ApprovalLife), r.Deadline.AsTime()))
		return
	}
	g := &eventv1.Grant{
		Scope: scope, Digest: r.Offer.Shape, Holder: approval.Holder(scope, r.Principal), Requesters: r.Requesters, Database: r.Database, Tag: s.Tag,
	}
	if scope == policy.ScopeReturn {
		g.Digest, uses = r.Offer.Exact, 1
	}
	d.Grant, d.Uses, d.ExpiresAt = g, uses, timestamppb.New(now.Add(life))
	s.Grant = &Grant{Scope: scope, Uses: uses, Expires: now.Add(life).UTC()}
}

// plan completes the approval of a plan: each of its steps once.
func (s *State) plan(r *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision, now time.Time) {
	d.Uses = uint32(len(r.Plan.Steps)) //nolint:gosec // bounded by approval.MaxSteps
	d.ExpiresAt = timestamppb.New(now.Add(approval.PlanLife))
	d.Grant = &eventv1.Grant{
		Scope: approval.ScopePlan, Digest: r.Digest, Holder: approval.Holder(approval.ScopePlan, r.Principal), Requesters: r.Requesters,
		Database: r.Database, Tag: s.Tag,
	}
	s.Grant = &Grant{Scope: approval.ScopePlan, Uses: d.Uses, Expires: now.Add(approval.PlanLife).UTC()}
}

// given is what the counted votes agree on.
func (s *State) given(r *eventv1.ApprovalRequest) (scope string, uses uint32, life time.Duration) {
	uses, life = r.GetOffer().GetUses(), r.GetOffer().GetLife().AsDuration()
	first := true
	for _, v := range s.Votes {
		if !v.Counted {
			continue
		}
		if first {
			scope, first = v.Scope, false
		}
		if v.Scope != scope || !Offered(r, v.Scope) {
			return "", uses, life
		}
		if v.Uses > 0 {
			uses = min(uses, v.Uses)
		}
		if v.Life > 0 {
			life = min(life, v.Life)
		}
	}
	return scope, uses, life
}

// Revoke ends a live grant. It reports false where there is none.
func (s *State) Revoke(person, account, via, reason string, now time.Time) bool {
	if !s.Grant.Live(now) {
		return false
	}
	g := *s.Grant
	g.Revoked, g.By = now.UTC(), person
	s.Grant = &g
	s.Slack.Final = false
	s.step(stepRevoked, now, func(r *eventv1.Record) {
		r.Actor, r.Reason = person, reason
		r.Details["account"], r.Details["via"], r.Details["grant"] = account, via, g.Scope
	})
	return true
}

// GrantEnded notes that a grant's time is over, so that its message shows it.
func (s *State) GrantEnded(now time.Time) bool {
	if s.Grant == nil || s.Grant.Over || s.Grant.Live(now) {
		return false
	}
	g := *s.Grant
	g.Over = true
	s.Grant = &g
	s.Slack.Final = false
	return true
}

func lifeOf(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
