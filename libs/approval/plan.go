package approval

import (
	"bytes"
	"crypto/hmac"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// ScopePlan is the scope of a grant that lets each statement of a plan pass once,
// in the plan's order, for the same job at the same commit.
const ScopePlan = "plan"

// Bounds of a plan.
const (
	// PlanLife is how long an approved plan may be run, at most.
	PlanLife = time.Hour
	// MaxSteps is how many statements a plan has, at most.
	MaxSteps = 1000
	// MaxPlan bounds a plan's request, in bytes: what a bus message holds of the
	// approval's whole state, in which it is kept as text.
	MaxPlan = 256 << 10
)

const planVerb = "plan of "

// PlanVerb is the verb of a plan's request, as whoever is asked reads it.
func PlanVerb(statements, held int) string {
	if statements == 1 {
		return planVerb + "1 statement, " + strconv.Itoa(held) + " held:"
	}
	return planVerb + strconv.Itoa(statements) + " statements, " + strconv.Itoa(held) + " held:"
}

// Planning is what a run that wants to use a plan is, from the gateway's own
// memory.
type Planning struct {
	Principal        *eventv1.Principal
	Target, Database string
	People           *policy.People
	Key              []byte // the gateways' common one, 32 bytes
	Now              time.Time
}

// PlanFits returns why a decision is no leave for a run to use the plan of a
// request, in words, and "" where it is. raw are the request's bytes.
func PlanFits(d *eventv1.ApprovalDecision, r *eventv1.ApprovalRequest, raw []byte, u Planning) string {
	g := d.GetGrant()
	hash := RequestHash(raw)
	switch {
	case d.Outcome != Approved || g == nil || g.Scope != ScopePlan || d.ExpiresAt == nil || d.DecidedAt == nil:
		return "it approves no plan"
	case d.ApprovalId != r.Id || !bytes.Equal(d.RequestHash, hash) || len(u.Key) == 0 || !hmac.Equal(g.Tag, Tag(u.Key, hash)):
		return "what was shown to its approvers is not what a gateway made"
	case PlanProblem(r) != "" || d.Uses != uint32(len(r.Plan.Steps)): //nolint:gosec // bounded
		return "it is not whole"
	case d.RuleHash != r.RuleHash:
		return "it was approved under another rule"
	case d.Target != u.Target || r.Target != u.Target || g.Database != u.Database || r.Database != u.Database:
		return "it was made for another target or database"
	case !u.Now.Before(d.ExpiresAt.AsTime()) || d.ExpiresAt.AsTime().Sub(d.DecidedAt.AsTime()) > PlanLife+slack:
		return "its time is over"
	}
	holder := Holder(ScopePlan, u.Principal)
	if holder == nil || !maps.Equal(holder, g.Holder) {
		return "it was made by another job, or at another commit"
	}
	need := uint32(1)
	for _, rule := range r.Plan.Rules {
		need = max(need, rule.GetApprovers().GetCount())
	}
	if persons(d.Votes, ReasonRequired(r)) < need {
		return "too few persons have approved it"
	}
	e := &electorate.Electorate{Approvers: r.Plan.Rules[0].GetApprovers(), Requesters: g.Requesters, People: u.People, Requested: r.RequestedAt.AsTime()}
	for _, rule := range r.Plan.Rules[1:] {
		e.And = append(e.And, rule.GetApprovers())
	}
	if !elected(d, ReasonRequired(r), e, r.Deadline.AsTime().Sub(r.RequestedAt.AsTime()), u.Now) {
		return "those who approved it are not those whom its rules ask for"
	}
	if !disinterested(d, Use{Principal: u.Principal, People: u.People}) {
		return "somebody behind this run approved it, or was not behind its request"
	}
	return ""
}

// ReasonRequired reports that who approves a request must say why: its rule says
// so, or one of a plan's rules does.
func ReasonRequired(r *eventv1.ApprovalRequest) bool {
	return r.GetApprovers().GetReasonRequired() ||
		slices.ContainsFunc(r.GetPlan().GetRules(), func(rule *eventv1.PlanRule) bool { return rule.GetApprovers().GetReasonRequired() })
}

// PlanProblem names what is wrong with a plan whatever its rules say, in words;
// empty is nothing.
func PlanProblem(r *eventv1.ApprovalRequest) string {
	p := r.GetPlan()
	switch {
	case p == nil || len(p.Steps) == 0 || len(p.Steps) > MaxSteps:
		return "a plan has 1 to 1000 statements"
	case len(p.Rules) == 0 || p.Rules[0].GetRuleHash() != r.RuleHash || p.Rules[0].GetRule() != r.Rule:
		return "its first rule is not the request's"
	case r.Offer != nil || r.Returned || len(r.Parameters) > 0:
		return "it is a plan and something else"
	}
	seen := map[string]bool{}
	for _, rule := range p.Rules {
		if rule.GetRuleHash() == "" || rule.GetApprovers() == nil || seen[rule.GetRuleHash()] {
			return "a rule of the plan is missing, or there twice"
		}
		seen[rule.GetRuleHash()] = true
	}
	for _, step := range p.Steps {
		if len(step.GetDigest()) == 0 || len(step.GetState()) == 0 {
			return "a step of the plan has no digest"
		}
	}
	return ""
}
