package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/plan"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// planner gathers a plan while its statements are decided.
type planner struct {
	session *Session
	in      *PlanRequest
	out     *Plan
	plan    *eventv1.Plan
	shown   strings.Builder
	objects []*eventv1.Object
	warned  []string
	limit   time.Duration // the shortest deadline of its rules
	first   *admission    // the first that is held
	whole   int           // statements of the plan, its bookkeeping aside
}

func (s *Session) plan(ctx context.Context, in *PlanRequest, list []seam.Planned) (*Plan, error) {
	p := &planner{
		session: s, in: in, plan: &eventv1.Plan{Tool: in.Tool},
		out: &Plan{Target: s.target, Database: s.database, Tool: in.Tool, Steps: []PlanStep{}, Keeping: []PlanStep{}, Rules: []string{}, Life: int64(approval.PlanLife.Seconds())},
	}
	for i := range list {
		if list[i].Script < len(in.Scripts) {
			p.whole++
		}
	}
	if p.whole == 0 || p.whole > approval.MaxSteps {
		if p.whole == 0 {
			return nil, &refusal.Refusal{Code: refusal.ProtocolViolation, Message: "there is no statement in the plan"}
		}
		return nil, tooLarge(fmt.Sprintf("%d statements", p.whole))
	}
	for i := range list {
		if err := p.add(&list[i]); err != nil {
			return nil, err
		}
	}
	if p.first != nil {
		p.out.Approvers = p.approvers()
	}
	if p.out.Denied > 0 || p.first == nil || in.DryRun {
		return p.out, nil
	}
	return p.out, p.ask(ctx)
}

// add decides one statement.
func (p *planner) add(st *seam.Planned) error {
	s, c := p.session, &st.Command
	a := s.begin(c)
	c.State.InTransaction = 0 // nothing to warn of: no session waits
	if err := a.scrub(); err != nil {
		return err
	}
	step := PlanStep{
		Verb: c.Facts.Verb, Class: string(c.Facts.Class), Objects: []string{}, Statement: strings.TrimSpace(a.scrubbed.statement),
		Effect: effect(a.decision.Effect), Rule: a.decision.Rule, Warnings: append([]string{}, a.warnings()...),
	}
	for _, o := range c.Facts.Objects {
		step.Objects = append(step.Objects, o.String())
	}
	if st.Script >= len(p.in.Scripts) {
		step.Source, step.Bookkeeping = p.in.Tool, true
		return p.keep(a, step)
	}
	t := p.in.Scripts[st.Script]
	step.Source = source(t.Source, max(t.Line, 1)+st.Line-1)
	if r := a.unreasoned(); r != nil {
		r.ID, r.Message = "", step.Source+": this statement needs a reason"
		r.Hint = `Give one: gatestay plan ` + s.target + ` --reason "why" -f FILE`
		return r
	}
	switch {
	case st.Receives:
		return &refusal.Refusal{
			Code: refusal.CommandUnknown, Message: "the plan cannot be approved: " + step.Source + ": data that the client sends for COPY is not in the plan",
			Hint: "Write the rows as INSERT statements, or leave the COPY out of the plan.",
		}
	case a.scrubbed.cut:
		return tooLarge(step.Source + " alone is too long to be shown whole")
	case c.Canonical == nil:
		return &refusal.Refusal{Code: refusal.CommandUnknown, Message: "the plan cannot be read: " + step.Source}
	}
	switch a.decision.Effect {
	case policy.Deny:
		p.out.Denied++
		r := a.denied()
		step.Why = r.Message
	case policy.Hold:
		p.out.Held++
		step.Why = a.decision.Why
		p.rule(a)
	case policy.Allow:
	}
	measured := &eventv1.PlanStep{Class: step.Class}
	if a.decision.Effect == policy.Hold {
		measured.Radius = a.measured(st.Radius, nil)
		step.Radius = approval.StepRadius(measured)
	}
	p.out.Steps = append(p.out.Steps, step)
	key := s.gate.GrantKey
	p.plan.Steps = append(p.plan.Steps, &eventv1.PlanStep{
		Digest: command.Step(key, c.Canonical(), s.target, s.database), State: c.State.Digest(key),
		Source: step.Source, Effect: step.Effect, Rule: step.Rule,
		Verb: step.Verb, Class: step.Class, Objects: objects(c.Facts.Objects), Warnings: step.Warnings, Radius: measured.Radius,
	})
	p.show(a, step)
	return nil
}

// keep notes a statement of the tool's own, which passes with the plan: whoever
// must approve it elsewhere must approve the plan.
func (p *planner) keep(a *admission, step PlanStep) error {
	if a.decision.Effect == policy.Hold {
		p.rule(a)
	}
	if a.decision.Effect == policy.Deny {
		step.Why = a.denied().Message
	}
	p.out.Keeping = append(p.out.Keeping, step)
	return nil
}

// rule notes a hold rule, once.
func (p *planner) rule(a *admission) {
	d := a.decision
	if slices.ContainsFunc(p.plan.Rules, func(r *eventv1.PlanRule) bool { return r.RuleHash == d.RuleHash }) {
		return
	}
	if p.first == nil {
		p.first, p.limit = a, a.deadline()
	}
	p.plan.Rules = append(p.plan.Rules, &eventv1.PlanRule{Rule: d.Rule, RuleHash: d.RuleHash, Approvers: d.Approvers})
	p.out.Rules = append(p.out.Rules, d.Rule)
	p.limit = min(p.limit, a.deadline())
}

// show writes a statement for its approvers. Headings begin their line, and
// nothing of a statement does: no comment in one can pose as the next heading.
func (p *planner) show(a *admission, step PlanStep) {
	verdict := "no approval needed"
	if a.decision.Effect == policy.Hold {
		verdict = fmt.Sprintf("held by rule %q", step.Rule)
	}
	fmt.Fprintf(&p.shown, "%s%s, %s\n", approval.PlanHeading(len(p.plan.Steps), p.whole), verdict, step.Source)
	for _, line := range step.Radius {
		p.shown.WriteString(approval.PlanNote + line + "\n")
	}
	p.shown.WriteString(approval.PlanText(step.Statement))
	if a.decision.Effect != policy.Hold {
		return
	}
	for _, w := range step.Warnings {
		p.warned = append(p.warned, fmt.Sprintf("statement %d: %s", len(p.plan.Steps), w))
	}
	for _, o := range objects(a.command.Facts.Objects) {
		if !slices.ContainsFunc(p.objects, func(have *eventv1.Object) bool { return proto.Equal(have, o) }) {
			p.objects = append(p.objects, o)
		}
	}
}

func (p *planner) approvers() string {
	var out []string
	for _, r := range p.plan.Rules {
		words := p.first.policy.Engine.People().Approvers(r.Approvers, policy.Requesters(p.session.principal), p.session.gate.Now())
		if !slices.Contains(out, words) {
			out = append(out, words)
		}
	}
	return strings.Join(out, "; and ")
}

// ask publishes the request.
func (p *planner) ask(ctx context.Context) error {
	s, first := p.session, p.first
	now := s.gate.Now()
	if approval.Holder(approval.ScopePlan, s.principal) == nil {
		return &refusal.Refusal{Code: refusal.TokenClaims, Message: "the token names neither a commit nor a run that a plan could be bound to"}
	}
	if tool := p.in.Tool; tool != plan.SQL {
		p.warned = append([]string{"with " + tool + "'s own bookkeeping in its own table"}, p.warned...)
	}
	for _, name := range slices.Sorted(maps.Keys(p.in.Settings)) {
		p.warned = append([]string{fmt.Sprintf("for sessions that begin with %s = %s", name, approval.Visible(strings.ToValidUTF8(p.in.Settings[name], "\uFFFD")))}, p.warned...)
	}
	h := hmac.New(sha256.New, s.gate.GrantKey)
	for _, step := range p.plan.Steps {
		h.Write(step.Digest)
		h.Write(step.State)
	}
	deadline := now.Add(p.limit)
	r := &eventv1.ApprovalRequest{
		Id: approval.NewID(), Gateway: s.gate.Config().Gateway.ID, SessionId: s.run.ID, CommandId: "cmd_" + ulid.Make().String(), TraceId: s.traceID,
		Principal: s.principal, Requesters: policy.Requesters(s.principal), Target: s.target, Database: s.database, Environment: s.conf.Environment,
		Rule: first.decision.Rule, RuleHash: first.decision.RuleHash, RuleDescription: first.decision.Description, PolicyVersion: first.policy.Version,
		Approvers: first.decision.Approvers, Verb: approval.PlanVerb(p.whole, p.out.Held), Class: "plan", Objects: p.objects,
		Statement: strings.TrimSuffix(p.shown.String(), "\n"), Reason: s.reason, Digest: h.Sum(nil),
		RequestedAt: timestamppb.New(now), Deadline: timestamppb.New(deadline), Warnings: p.warned, Plan: p.plan,
	}
	if proto.Size(r) > approval.MaxPlan { // what the text says as well gives way
		for _, step := range r.Plan.Steps {
			step.Verb, step.Class, step.Objects, step.Warnings, step.Radius = "", "", nil, nil, nil
		}
	}
	if size := proto.Size(r); size > approval.MaxPlan {
		return tooLarge(fmt.Sprintf("%d KiB", size>>10))
	}
	if err := s.gate.Desk.Ask(ctx, r); err != nil {
		return err //nolint:wrapcheck // a refusal, for the client
	}
	p.out.ID, p.out.Deadline = r.Id, &deadline
	return nil
}
