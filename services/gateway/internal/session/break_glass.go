package session

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/hold"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// maxGlasses bounds the memory; beyond it, what asks is held.
const maxGlasses = 10_000

// glasses are those that were broken at this gateway and are not over: one for a
// run, a target, a database and a rule. The steps of one run share it, so that
// starting 'gatestay run' again begins nothing anew.
type glasses struct {
	mu   sync.Mutex
	open map[[32]byte]*glass
}

// glass is what one run may do without waiting. Who holds its turn tells of a
// command: they are told one after the other.
type glass struct {
	turn   chan struct{}
	id     string // of its approval; empty until that is on the bus
	reason string
	until  time.Time
	uses   uint32
	used   uint32
}

// of returns the glass of a key, a new one where there is none, or nil where there
// are too many.
func (g *glasses) of(key [32]byte, now time.Time, terms *policy.BreakGlass) *glass {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, old := range g.open {
		if !now.Before(old.until) {
			delete(g.open, k)
		}
	}
	if found := g.open[key]; found != nil {
		return found
	}
	if len(g.open) >= maxGlasses {
		return nil
	}
	if g.open == nil {
		g.open = map[[32]byte]*glass{}
	}
	made := &glass{turn: make(chan struct{}, 1), until: now.Add(terms.Life), uses: terms.Uses}
	g.open[key] = made
	return made
}

// glassKey is who breaks which glass: the run, as a grant for a run is bound to it,
// or, where its token names none, this step.
func (s *Session) glassKey(ruleHash string) [32]byte {
	holder := approval.Holder(policy.ScopeRun, s.principal)
	if holder == nil {
		holder = map[string]string{"step": s.run.ID}
	}
	raw, err := json.Marshal([]any{holder, s.target, s.database, ruleHash})
	if err != nil { // texts only
		panic("session: " + err.Error())
	}
	return sha256.Sum256(raw)
}

// breakGlass returns how a held command passes at once, because its run asks for
// it and its rule lets it; nil where it is to be held. It is on the bus, durably,
// before: without the bus it does not pass.
func (s *Session) breakGlass(ctx context.Context, a *admission) (func() (seam.Permit, error), *refusal.Refusal) {
	if s.run == nil || !s.run.BreakGlass {
		return nil, nil
	}
	terms := a.decision.BreakGlass
	if terms == nil {
		return nil, a.unbroken(a.decision.Unbreakable)
	}
	g := s.gate.glasses.of(s.glassKey(a.decision.RuleHash), s.gate.Now(), terms)
	if g == nil {
		return nil, a.unbroken("too many are broken at this gateway")
	}
	waiting, cancel := context.WithTimeout(ctx, durableLimit)
	defer cancel()
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-waiting.Done():
		return nil, s.untold(a, waiting.Err())
	}
	if g.used >= g.uses {
		return nil, a.unbroken(fmt.Sprintf("%d commands have passed by it, as many as rule %q lets", g.used, a.decision.Rule))
	}
	if g.id != "" {
		switch over, err := s.gate.Grants.Revoked(ctx, g.id); {
		case err != nil:
			return nil, s.untold(a, err)
		case over:
			return nil, a.unbroken("its review " + g.id + " was closed")
		}
	}
	g.used++ // whatever becomes of the word of it
	if err := s.tell(ctx, a, g); err != nil {
		return nil, s.untold(a, err)
	}
	if a.command.Notify != nil {
		a.command.Notify(seam.Notice{
			Code:    "GS1300",
			Message: fmt.Sprintf("break-glass %s: passes without an approval (command %d of %d)", g.id, g.used, g.uses),
			Detail: fmt.Sprintf("Rule %q. Told now, to review it afterwards: %s.", a.decision.Rule,
				a.policy.Engine.People().Approvers(a.decision.Approvers, policy.Requesters(s.principal), s.gate.Now())),
		})
	}
	by := &hold.Result{ApprovalID: g.id, Expires: g.until, Glass: true}
	return func() (seam.Permit, error) { return s.permit(ctx, a, by) }, nil
}

// tell puts the command on the bus: the first as a request, which opens the
// review, each further one as a use of it.
func (s *Session) tell(ctx context.Context, a *admission, g *glass) error {
	if g.id != "" {
		f := &a.command.Facts
		u := &eventv1.ApprovalUse{
			ApprovalId: g.id, SessionId: s.id, CommandId: a.id, Number: g.used, Verb: f.Verb, Class: string(f.Class), Objects: objects(f.Objects),
			Statement: a.scrubbed.statement, Parameters: a.scrubbed.parameters, At: timestamppb.New(s.gate.Now()),
		}
		if s.reason != g.reason {
			u.Reason = s.reason
		}
		return s.gate.Desk.Use(ctx, u) //nolint:wrapcheck // a refusal, for the client
	}
	c := a.command
	request := a.request(command.Digest(s.gate.GrantKey, c.Text, c.Parameters, c.State), a.deadline())
	request.BreakGlass = &eventv1.BreakGlass{Until: timestamppb.New(g.until), Uses: g.uses}
	if err := s.gate.Desk.Ask(ctx, request); err != nil {
		return err //nolint:wrapcheck // a refusal, for the client
	}
	g.id, g.reason = request.Id, s.reason
	return nil
}

// untold refuses a command of which nobody could be told.
func (s *Session) untold(a *admission, err error) *refusal.Refusal {
	s.gate.Log.Warn().Err(err).Str("session_id", s.id).Msg("a break-glass could not be told, so its command does not pass")
	return &refusal.Refusal{
		Code: refusal.BusUnavailable, Rule: a.decision.Rule, ID: a.id,
		Message: "nobody can be told that the glass is broken, so the command does not pass: the bus does not answer", Hint: "Try again in a moment.",
	}
}

// unbroken has the command held as if nobody had asked, and says why: to the
// client, and to whoever is asked then.
func (a *admission) unbroken(why string) *refusal.Refusal {
	a.unbreakable = why
	if a.command.Notify != nil {
		a.command.Notify(seam.Notice{Code: "GS1300", Message: "no break-glass here: " + why, Detail: "The command is held as any other."})
	}
	return nil
}

// mayBreakGlass refuses a step that asks to break the glass and says nothing of why,
// or may nowhere on its target. Its token is not used up then.
func (s *Session) mayBreakGlass(r *ExchangeRequest) error {
	if !policy.Telling(r.Reason) {
		return &refusal.Refusal{
			Code: refusal.ReasonRequired, Message: "who breaks the glass says why",
			Detail: fmt.Sprintf("The reason has at least %d letters and digits. It is shown to the approvers at once, and kept.", policy.MinGlassReason),
			Hint:   fmt.Sprintf("gatestay run %s --break-glass --reason \"INC-2041: …\" -- COMMAND", s.target),
		}
	}
	if !s.gate.Policy.Current().Engine.BreaksGlass(s.principal, s.policyTarget()) {
		why := "No rule that would hold its commands says break_glass: allow for it."
		if s.principal.GetAgent() != "" {
			why += " An agent may only where the rule says agents: allow."
		}
		return &refusal.Refusal{
			Code: refusal.GlassForbidden, Message: "this job may not break the glass on " + s.target, Detail: why,
			Hint: "Run it without --break-glass: what is held waits for an approval.",
		}
	}
	return nil
}
