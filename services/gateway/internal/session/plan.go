package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
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
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
	"github.com/gatestay/gatestay/services/gateway/internal/plan"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const (
	maxSource  = 200     // characters
	maxScripts = 1 << 20 // bytes, of all
	maxSetting = 200     // bytes
)

// Planner reads scripts as a new session of a target would. It closes the
// session.
type Planner interface {
	Plan(ctx context.Context, s seam.Session, target, database string, settings map[string]string, scripts []seam.Script) ([]seam.Planned, error)
}

// Script is one text of a plan.
type Script struct {
	Source   string `json:"source"` // a file's name
	Text     string `json:"text"`
	Line     int    `json:"line"` // where the text begins in its source, from 1; 0 is 1
	Together bool   `json:"together"`
}

// PlanRequest asks for a plan.
type PlanRequest struct {
	Database string   `json:"database"` // empty for the target's default
	Tool     string   `json:"tool"`     // one of plan.Tools
	Scripts  []Script `json:"statements"`
	DryRun   bool     `json:"dry_run"` // nobody is asked
	// Settings are those that the tool's client begins its sessions with; each one
	// of planSettings.
	Settings map[string]string `json:"settings"`
}

// planSettings are what a client may bring that changes the meaning of a text, and
// nothing of what it may do.
var planSettings = []string{"TimeZone", "DateStyle", "IntervalStyle", "search_path"}

// PlanStep is one statement and what is done with it. The texts are as they came,
// but for what masks hide.
type PlanStep struct {
	Source      string   `json:"source"` // file:line
	Verb        string   `json:"verb"`
	Class       string   `json:"class"`
	Objects     []string `json:"objects"`
	Statement   string   `json:"statement"`
	Effect      string   `json:"effect"` // allow, hold, deny
	Rule        string   `json:"rule,omitempty"`
	Why         string   `json:"why,omitempty"`
	Warnings    []string `json:"warnings"`
	Bookkeeping bool     `json:"bookkeeping,omitempty"` // the tool's own statement
}

// Plan is what is done with the statements of a plan, and the approval that they
// wait for, where there is one.
type Plan struct {
	ID        string     `json:"id,omitempty"` // empty where nobody was asked
	Target    string     `json:"target"`
	Database  string     `json:"database"`
	Tool      string     `json:"tool"`
	Steps     []PlanStep `json:"steps"`
	Keeping   []PlanStep `json:"bookkeeping"`
	Held      int        `json:"held"`
	Denied    int        `json:"denied"`
	Rules     []string   `json:"rules"`     // the hold rules that it falls under
	Approvers string     `json:"approvers"` // in words
	Deadline  *time.Time `json:"deadline,omitempty"`
	Life      int64      `json:"life"` // seconds from its approval
}

// Plan decides every statement of a plan and, where some are held and none is
// denied, asks for one approval of them all.
func (g *Gate) Plan(ctx context.Context, raw string, in PlanRequest, planner Planner, remote string) (*Plan, error) {
	g.setup()
	run, err := g.Runs.Lookup(raw)
	if err != nil {
		return nil, err
	}
	if err := in.problem(); err != nil {
		return nil, err
	}
	opened, err := g.Authenticate(ctx, seam.Credentials{Protocol: "postgres", Target: run.Target, Database: in.Database, Secret: raw, Remote: remote})
	if err != nil {
		return nil, err
	}
	s, ok := opened.(*Session)
	if !ok {
		return nil, errors.New("session: another kind of session")
	}
	scripts := make([]seam.Script, 0, len(in.Scripts))
	for _, t := range in.Scripts {
		scripts = append(scripts, seam.Script{Text: t.Text, Together: t.Together})
	}
	for _, sql := range plan.Keeping(in.Tool) {
		scripts = append(scripts, seam.Script{Text: sql})
	}
	list, err := planner.Plan(ctx, s, s.target, s.database, in.Settings, scripts)
	var unreadable *seam.Unreadable
	if errors.As(err, &unreadable) {
		return nil, in.unreadable(unreadable)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // a refusal, for the client
	}
	return s.plan(ctx, &in, list)
}

func (in *PlanRequest) problem() error {
	bytes := 0
	for _, t := range in.Scripts {
		bytes += len(t.Text)
	}
	refused := &refusal.Refusal{Code: refusal.ProtocolViolation}
	for name, value := range in.Settings {
		if !slices.Contains(planSettings, name) || len(value) > maxSetting {
			refused.Message, refused.Hint = fmt.Sprintf("setting %q cannot be planned with", name), "A plan may begin with "+strings.Join(planSettings, ", ")+"."
			return refused
		}
	}
	switch {
	case !slices.Contains(plan.Tools(), in.Tool):
		refused.Message, refused.Hint = fmt.Sprintf("tool %q is not known", in.Tool), "Known are "+strings.Join(plan.Tools(), ", ")+"."
	case bytes > maxScripts || len(in.Scripts) > approval.MaxSteps:
		return tooLarge(fmt.Sprintf("%d texts with %d bytes", len(in.Scripts), bytes))
	default:
		return nil
	}
	return refused
}

func tooLarge(what string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.LimitReached, Message: "this plan is too large for one approval: " + what,
		Detail: fmt.Sprintf("A plan has at most %d statements, and %d KiB of text as its approvers are shown it.", approval.MaxSteps, approval.MaxPlan>>10),
		Hint:   "Plan and run the migrations in several parts.",
	}
}

func (in *PlanRequest) unreadable(u *seam.Unreadable) error {
	r := &refusal.Refusal{Code: refusal.CommandUnknown, Message: "the plan cannot be read: " + u.Why}
	if u.Script < len(in.Scripts) {
		t := in.Scripts[u.Script]
		line := max(t.Line, 1) + u.Line - 1
		r.Message = fmt.Sprintf("the plan cannot be read: %s: %s", source(t.Source, line), u.Why)
		for l := range strings.Lines(t.Text) {
			if l = strings.TrimSpace(l); strings.HasPrefix(l, `\`) {
				r.Hint = `Lines that begin with \ are psql's commands, not SQL: leave them out, and write psql's :variables out.`
			}
		}
	}
	return r
}

// source names a place in one visible line.
func source(name string, line int) string {
	name = approval.Visible(strings.ToValidUTF8(name, "\uFFFD"))
	if runes := []rune(name); len(runes) > maxSource {
		name = string(runes[:maxSource-1]) + "…"
	}
	return fmt.Sprintf("%s:%d", name, line)
}

// planner gathers a plan while its statements are decided.
type planner struct {
	session *Session
	in      *PlanRequest
	out     *Plan
	plan    *eventv1.Plan
	shown   strings.Builder
	objects []*eventv1.Object
	warned  []string
	limit   time.Duration
	first   *admission // the first that is held
	whole   int        // statements of the plan, its bookkeeping aside
}

func (s *Session) plan(ctx context.Context, in *PlanRequest, list []seam.Planned) (*Plan, error) {
	p := &planner{
		session: s, in: in, limit: approval.PlanLife * 24, plan: &eventv1.Plan{Tool: in.Tool},
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
	if a.decision.Effect != policy.Deny && a.decision.ReasonRequired && s.reason == "" {
		return &refusal.Refusal{
			Code: refusal.ReasonRequired, Rule: a.decision.Rule, Message: step.Source + ": this statement needs a reason",
			Hint: `Give one: gatestay plan ` + s.target + ` --reason "why" -f FILE`,
		}
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
	p.out.Steps = append(p.out.Steps, step)
	key := s.gate.GrantKey
	p.plan.Steps = append(p.plan.Steps, &eventv1.PlanStep{
		Digest: command.Step(key, c.Canonical(), s.target, s.database), State: c.State.Digest(key),
		Source: step.Source, Effect: step.Effect, Rule: step.Rule,
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
		p.first = a
	}
	p.plan.Rules = append(p.plan.Rules, &eventv1.PlanRule{Rule: d.Rule, RuleHash: d.RuleHash, Approvers: d.Approvers})
	p.out.Rules = append(p.out.Rules, d.Rule)
	if d.Deadline > 0 {
		p.limit = min(p.limit, d.Deadline)
	} else {
		p.limit = min(p.limit, defaultDeadline)
	}
}

// show writes a statement for its approvers. Headings begin their line, and
// nothing of a statement does: no comment in one can pose as the next heading.
func (p *planner) show(a *admission, step PlanStep) {
	verdict := "no approval needed"
	if a.decision.Effect == policy.Hold {
		verdict = fmt.Sprintf("held by rule %q", step.Rule)
	}
	fmt.Fprintf(&p.shown, "-- %d of %d, %s, %s\n", len(p.plan.Steps), p.whole, verdict, step.Source)
	for line := range strings.Lines(step.Statement) {
		p.shown.WriteString("  " + line)
	}
	p.shown.WriteString(";\n")
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
		words := p.first.policy.Engine.People().Approvers(r.Approvers, policy.Requesters(p.session.principal))
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
	if size := proto.Size(r); size > approval.MaxPlan {
		return tooLarge(fmt.Sprintf("%d KiB", size>>10))
	}
	if err := s.gate.Desk.Ask(ctx, r); err != nil {
		return err //nolint:wrapcheck // a refusal, for the client
	}
	p.out.ID, p.out.Deadline = r.Id, &deadline
	return nil
}

// PlanState is where a plan's approval stands.
type PlanState struct {
	ID        string    `json:"id"`
	State     string    `json:"state"` // waiting, approved, denied, expired, cancelled
	Message   string    `json:"message"`
	Detail    string    `json:"detail,omitempty"`
	Approvers []string  `json:"approvers"`
	Until     time.Time `json:"until"` // it may be run, or, waiting, be approved
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
	out := &PlanState{ID: id, State: approval.Approved, Message: "approved", Approvers: []string{}, Until: found.Request.Deadline.AsTime()}
	if r := unapproved(found, g.Now()); r != nil {
		out.State, out.Message, out.Detail = states[r.Code], r.Message, r.Detail
		return out, nil
	}
	out.Approvers, _ = approval.Approving(found.Decision)
	out.Until = found.Decision.ExpiresAt.AsTime()
	return out, nil
}

func sameJob(a, b *eventv1.Principal) bool {
	h := approval.Holder(approval.ScopePlan, a)
	return h != nil && fmt.Sprint(h) == fmt.Sprint(approval.Holder(approval.ScopePlan, b)) // maps print sorted
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
