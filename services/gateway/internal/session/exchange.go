package session

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/credential"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const maxReason = 1000 // characters

// ExchangeRequest is a token exchange: the job's own token, the target of the
// step, and what the caller says about itself.
type ExchangeRequest struct {
	Token, Target, Protocol   string
	Reason, Agent, OnBehalfOf string
	TraceParent               string // W3C, optional
	Hold                      string // credential.Wait, credential.NoWait, or empty: as the rules say
	Plan                      string // id of an approved plan; empty for none
	BreakGlass                bool   // go on without waiting where the rules let it; needs a reason
	Remote                    string
}

// Exchanged is a run with its credential, which is not kept here.
type Exchanged struct {
	Credential string
	Run        *credential.Run
	Life       time.Duration
}

// Exchange turns a job's token into a run-bound credential for one target. It
// is recorded like a session of its own.
func (g *Gate) Exchange(ctx context.Context, r ExchangeRequest) (*Exchanged, error) {
	g.setup()
	run := &credential.Run{ID: credential.NewRunID(), Target: r.Target}
	s := g.begun(run.ID, r.Protocol, r.Target)
	e, err := g.exchange(ctx, s, run, r)
	if err != nil {
		g.recordRefused(seam.Credentials{Remote: r.Remote}, s, err)
		return nil, err
	}
	return e, nil
}

func (g *Gate) exchange(ctx context.Context, s *Session, run *credential.Run, r ExchangeRequest) (*Exchanged, error) {
	if err := g.admissible(); err != nil {
		return nil, err
	}
	if len([]rune(r.Reason)) > maxReason {
		return nil, &refusal.Refusal{Code: refusal.LimitReached, Message: fmt.Sprintf("the reason is longer than %d characters", maxReason)}
	}
	if r.Hold != "" && r.Hold != credential.Wait && r.Hold != credential.NoWait {
		return nil, &refusal.Refusal{Code: refusal.ProtocolViolation, Message: "hold is wait or no-wait", Hint: "Leave it out to do as the rules say."}
	}
	verified, err := g.Verifier.Verify(ctx, r.Token)
	if err != nil {
		return nil, err
	}
	s.principal = proto.CloneOf(verified.Principal)
	say(s.principal, "agent", &s.principal.Agent, r.Agent)
	say(s.principal, "on_behalf_of", &s.principal.OnBehalfOf, r.OnBehalfOf)
	if err := s.resolveTarget(seam.Credentials{Protocol: r.Protocol, Target: r.Target}); err != nil {
		return nil, err
	}
	if !g.Policy.Current().Engine.Reaches(s.principal, s.policyTarget(), g.Now()) {
		return nil, unreachable(s)
	}
	if r.BreakGlass {
		if err := s.mayBreakGlass(&r); err != nil {
			return nil, err
		}
	}
	if r.Plan != "" {
		if run.Plan, err = s.openPlan(ctx, r.Plan); err != nil {
			return nil, err
		}
	}
	if verified.SingleUse {
		if err := g.Used.Claim(ctx, verified.ReplayKey, credential.Use{By: run.ID, Gateway: g.Config().Gateway.ID, At: g.Now()}); err != nil {
			return nil, err
		}
	}
	conf := g.Config().Gateway
	life := conf.RunLimit.Or(defaultRunLimit)
	run.Wait, run.BreakGlass = r.Hold, r.BreakGlass
	run.Principal, run.Connections, run.Expires = s.principal, conf.RunConnections, g.Now().Add(life)
	if run.Connections <= 0 {
		run.Connections = defaultConnections
	}
	// A reason is text that people type: what masking finds in it does not travel.
	run.Reason = g.Masking.Current().Engine.ScrubText(strings.ToValidUTF8(r.Reason, "\uFFFD"))
	run.TraceID = traceID(r.TraceParent)
	if run.TraceID == "" {
		run.TraceID = TraceID(s.principal)
	}
	s.reason, s.traceID = run.Reason, run.TraceID
	if err := g.recordDurably(ctx, s.record(eventv1.Kind_KIND_SESSION_OPENED, func(rec *eventv1.Record) {
		rec.Action = "run.started"
		rec.Details = map[string]string{"remote": r.Remote, "connections": fmt.Sprint(run.Connections), "expires": run.Expires.UTC().Format(time.RFC3339)}
		if run.Plan != nil {
			rec.Details["plan"] = run.Plan.ID()
		}
		if run.BreakGlass {
			rec.Details["break_glass"] = run.Reason
		}
	})); err != nil {
		return nil, err
	}
	run.Sequence = s.sequence.Load()
	raw, err := g.Runs.Issue(run)
	if err != nil {
		return nil, err
	}
	return &Exchanged{Credential: raw, Run: run, Life: life}, nil
}

// say sets a field that the caller merely asserts; a verified one stays.
func say(p *eventv1.Principal, name string, field *string, value string) {
	if value == "" || *field != "" {
		return
	}
	*field = strings.ToValidUTF8(value, "\uFFFD")
	p.Asserted = append(p.Asserted, name)
}

// EndRun ends a run and its sessions.
func (g *Gate) EndRun(_ context.Context, raw string) error {
	g.setup()
	run, err := g.Runs.End(raw)
	if err != nil {
		return err
	}
	s := &Session{gate: g, id: run.ID, principal: run.Principal, target: run.Target, reason: run.Reason, traceID: run.TraceID, started: run.Expires}
	s.sequence.Store(run.Sequence)
	g.Records.Later(s.record(eventv1.Kind_KIND_SESSION_CLOSED, func(r *eventv1.Record) { r.Action = "run.ended" }))
	return nil
}

// MaskedColumn is one line of Capabilities: a column, or "detector anywhere".
type MaskedColumn struct {
	Column   string `json:"column"`
	Detector string `json:"detector,omitempty"`
	Strategy string `json:"strategy"`
}

// Rule is what one rule does with one class of commands, for programs.
type Rule struct {
	Class          string   `json:"class"`
	Effect         string   `json:"effect"`
	Rule           string   `json:"rule"`
	Description    string   `json:"description,omitempty"`
	When           string   `json:"when,omitempty"`   // CEL; empty: always
	Hours          string   `json:"hours,omitempty"`  // when the rule is there, in words; empty: always
	Closed         bool     `json:"closed,omitempty"` // it is not there now
	Approvers      []string `json:"approvers,omitempty"`
	Approvals      int      `json:"approvals,omitempty"`
	ReasonRequired bool     `json:"reason_required,omitempty"`
	RowLimit       int64    `json:"row_limit,omitempty"`
}

// Capabilities says what a job may do on a target.
type Capabilities struct {
	Target    string         `json:"target"`
	Principal string         `json:"principal"`
	Allowed   []string       `json:"allowed"`
	Held      []string       `json:"held"`
	Denied    []string       `json:"denied"`
	Masked    []MaskedColumn `json:"masked"`
	Rules     []Rule         `json:"rules"`
	// Compared says which comparisons of masked columns are allowed.
	Compared []string `json:"compared"`
}

// Can answers for a run-bound credential, as seen from a moment; zero is now.
func (g *Gate) Can(raw, target string, at time.Time) (*Capabilities, error) {
	g.setup()
	if err := g.admissible(); err != nil {
		return nil, err
	}
	run, err := g.Runs.Lookup(raw)
	if err != nil {
		return nil, err
	}
	if target == "" {
		target = run.Target
	}
	s := &Session{gate: g, id: run.ID, principal: run.Principal, target: target, protocol: "postgres", started: g.Now()}
	if err := s.resolveTarget(seam.Credentials{Protocol: "postgres", Target: target}); err != nil {
		return nil, err
	}
	c := &Capabilities{Target: target, Principal: describe(run.Principal)}
	if at.IsZero() {
		at = g.Now()
	}
	engine := g.Policy.Current().Engine
	for _, way := range engine.Can(run.Principal, s.policyTarget(), at).Ways {
		c.Rules = append(c.Rules, inFields(way, engine.People(), run.Principal))
		text := inWords(way, engine.People(), run.Principal, at)
		switch way.Effect {
		case policy.Allow:
			c.Allowed = append(c.Allowed, text)
		case policy.Hold:
			c.Held = append(c.Held, text)
		case policy.Deny:
			c.Denied = append(c.Denied, text)
		}
	}
	masks := g.Masking.Current().Engine
	c.Compared = masks.Comparisons(target)
	for _, m := range masks.Masks(target) {
		column, strategy, _ := strings.Cut(strings.TrimSuffix(m, ")"), " (")
		detector, anywhere := strings.CutSuffix(column, " anywhere")
		if !anywhere {
			detector = ""
		}
		c.Masked = append(c.Masked, MaskedColumn{Column: column, Detector: detector, Strategy: strategy})
	}
	return c, nil
}

func inFields(w policy.Capability, people *policy.People, p *eventv1.Principal) Rule {
	r := Rule{
		Class: string(w.Class), Effect: string(w.Effect), Rule: w.Rule, Description: w.Description, When: w.When, Hours: w.Hours, Closed: w.Closed,
		ReasonRequired: w.ReasonRequired, RowLimit: w.RowLimit,
	}
	if w.Approvers != nil {
		r.Approvers, r.Approvals = people.Eligible(w.Approvers, policy.Requesters(p))
	}
	return r
}

func inWords(w policy.Capability, people *policy.People, p *eventv1.Principal, at time.Time) string {
	text := string(w.Class)
	if w.When != "" {
		text += " where " + w.When
	}
	if w.Rule != "" {
		text += fmt.Sprintf(" (rule %s: %s)", w.Rule, w.Description)
	}
	if w.Approvers != nil {
		text += ", approved by " + people.Approvers(w.Approvers.Event(), policy.Requesters(p), at) + w.Afterwards()
	}
	if w.ReasonRequired {
		text += ", with a reason"
	}
	if w.Hours != "" {
		text += ", " + w.Hours + " only"
	}
	if w.Closed {
		text += ", not now"
	}
	if w.RowLimit > 0 {
		text += fmt.Sprintf(", at most %d rows", w.RowLimit)
	}
	if w.ByteLimit > 0 {
		text += fmt.Sprintf(", at most %d bytes", w.ByteLimit)
	}
	return text
}

func unreachable(s *Session) error {
	later := ""
	if c := s.gate.Policy.Current().Engine.Can(s.principal, s.policyTarget(), s.gate.Now()); c.Reaches {
		later = " Not now: " + strings.Join(c.Sentences, "; ") + "."
	}
	return &refusal.Refusal{
		Code:    refusal.TargetForbidden,
		Message: fmt.Sprintf("no rule lets this job do anything on %s", s.target),
		Detail:  "The job is " + describe(s.principal) + "." + later,
		Hint:    "Ask the owners of the target for a rule; a rule that names a repository matches only once its ids are pinned ('gatestay policy pin').",
	}
}

var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}`)

// traceID takes the trace id of a W3C traceparent, or returns "".
func traceID(parent string) string {
	m := traceParent.FindStringSubmatch(parent)
	if m == nil || strings.Count(m[1], "0") == 32 {
		return ""
	}
	return m[1]
}
