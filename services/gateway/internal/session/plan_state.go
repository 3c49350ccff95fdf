package session

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
)

// PlanState is where a plan's approval stands.
type PlanState struct {
	ID        string    `json:"id"`
	State     string    `json:"state"` // waiting, approved, denied, expired, cancelled
	Message   string    `json:"message"`
	Detail    string    `json:"detail,omitempty"`
	Approvers []string  `json:"approvers"`
	Until     time.Time `json:"until"` // it may be run, or, waiting, be approved
	Plan      *Plan     `json:"plan"`
}

// PlanState answers a run of the job that asked for the plan.
func (g *Gate) PlanState(ctx context.Context, raw, id string) (*PlanState, error) {
	g.setup()
	run, err := g.Runs.Lookup(raw)
	if err != nil {
		return nil, err
	}
	s := &Session{gate: g, id: run.ID, principal: run.Principal, target: run.Target}
	found, err := s.findPlan(ctx, id)
	if err != nil {
		return nil, err
	}
	if found.Request.Target != run.Target || !sameJob(found.Request.Principal, run.Principal) {
		return nil, &refusal.Refusal{Code: refusal.ApprovalUnknown, ID: id, Message: "there is no such plan of this job"}
	}
	out := &PlanState{ID: id, State: approval.Approved, Message: "approved", Approvers: []string{}, Until: found.Request.Deadline.AsTime(), Plan: g.recall(found.Request)}
	if r := unapproved(found, g.Now()); r != nil {
		out.State, out.Message, out.Detail = states[r.Code], r.Message, r.Detail
		return out, nil
	}
	out.Approvers, _ = approval.Approving(found.Decision)
	out.Until = found.Decision.ExpiresAt.AsTime()
	return out, nil
}

// recall is a plan as its request has it, without the tool's bookkeeping.
func (g *Gate) recall(r *eventv1.ApprovalRequest) *Plan {
	deadline := r.Deadline.AsTime()
	out := &Plan{
		ID: r.Id, Target: r.Target, Database: r.Database, Tool: r.Plan.Tool, Steps: []PlanStep{}, Keeping: []PlanStep{}, Rules: []string{}, Deadline: &deadline,
		Life: int64(approval.PlanLife.Seconds()),
	}
	texts := approval.PlanStatements(r)
	for i, s := range r.Plan.Steps {
		step := PlanStep{
			Source: s.Source, Verb: s.Verb, Class: s.Class, Objects: []string{}, Effect: s.Effect, Rule: s.Rule, Warnings: append([]string{}, s.Warnings...), Radius: approval.StepRadius(s),
		}
		for _, o := range s.Objects {
			step.Objects = append(step.Objects, (&command.Object{Schema: o.Schema, Name: o.Name}).String())
		}
		if texts != nil {
			step.Statement = texts[i]
		}
		if s.Effect == string(policy.Hold) {
			out.Held++
		}
		out.Steps = append(out.Steps, step)
	}
	var words []string
	people := g.Policy.Current().Engine.People()
	for _, rule := range r.Plan.Rules {
		out.Rules = append(out.Rules, rule.Rule)
		if w := people.Approvers(rule.Approvers, r.Requesters, g.Now()); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	out.Approvers = strings.Join(words, "; and ")
	return out
}

func sameJob(a, b *eventv1.Principal) bool {
	h := approval.Holder(approval.ScopePlan, a)
	return h != nil && maps.Equal(h, approval.Holder(approval.ScopePlan, b))
}

var states = map[refusal.Code]string{
	refusal.ApprovalPending: "waiting", refusal.ApprovalDenied: approval.Denied, refusal.ApprovalExpired: approval.Expired,
	refusal.ApprovalCancelled: approval.Cancelled, refusal.RuleChanged: approval.Cancelled,
}

// unapproved says why a plan is not approved; nil where it is.
func unapproved(f *grant.Found, now time.Time) *refusal.Refusal {
	id, d := f.Request.Id, f.Decision
	switch {
	case d != nil && d.Outcome == approval.Denied:
		r := approval.Refused(d)
		r.Message = "the plan was denied"
		return r
	case d != nil && d.Outcome == approval.Approved && now.Before(d.ExpiresAt.AsTime()):
		return nil
	case d != nil && (d.Outcome == approval.Expired || d.Outcome == approval.Approved), d == nil && !now.Before(f.Request.Deadline.AsTime()):
		return &refusal.Refusal{Code: refusal.ApprovalExpired, ID: id, Message: "the plan has expired", Hint: "Plan anew, and tell the approvers."}
	case d != nil, f.Cancelled:
		return &refusal.Refusal{Code: refusal.ApprovalCancelled, ID: id, Message: "the plan was cancelled", Hint: "Plan anew."}
	}
	return &refusal.Refusal{
		Code: refusal.ApprovalPending, ID: id, Message: "the plan waits for its approval",
		Hint: "'gatestay plan --wait' waits for it; 'gatestay approvals show " + id + "' shows it.",
	}
}
