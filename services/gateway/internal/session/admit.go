package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/bundle"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// admission is one command on its way through Admit: what was decided, under
// which bundles, and the text as it may be recorded.
type admission struct {
	session  *Session
	command  *seam.Command
	id       string
	policy   *bundle.Compiled[*policy.Engine]
	masking  *bundle.Compiled[*masking.Engine]
	decision policy.Decision
	scrubbed scrubbed
	// unmasking is why masks do not allow it, nil where they do.
	unmasking *refusal.Refusal
	// translated are values behind tokens, by the parameter's index.
	translated map[int][]byte
	// counted are comparisons of which the values count.
	counted []masking.Counted
	// rehearsed is what a rehearsal has shown, nil where there was none; unasked is set
	// where that lets the command pass without a person.
	rehearsed *seam.Rehearsal
	unasked   bool
	// unplanned is why the run's plan does not let it pass, nil where it has none.
	unplanned error
	// unbreakable is why the glass that the run would break is not, empty where it
	// does not ask.
	unbreakable string
}

// Precheck implements seam.Session.
func (s *Session) Precheck(c *seam.Command) error {
	if err := s.alive(); err != nil {
		return err
	}
	a := s.begin(c)
	if a.decision.Effect != policy.Deny {
		return nil
	}
	return s.refuse(a, a.denied())
}

// WouldHold implements seam.Session.
func (s *Session) WouldHold(c *seam.Command) bool {
	return s.alive() == nil && s.begin(c).decision.Effect == policy.Hold
}

// Admit implements seam.Session.
func (s *Session) Admit(ctx context.Context, c *seam.Command) (seam.Permit, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	a := s.begin(c)
	if err := a.scrub(); err != nil {
		return nil, s.refuse(a, err)
	}
	if r := a.unreasoned(); r != nil {
		return nil, s.refuse(a, r)
	}
	switch a.decision.Effect {
	case policy.Allow:
		if err := s.spend(ctx, a); err != nil {
			return nil, err
		}
		s.passed(ctx, a)
		return s.permit(ctx, a, nil)
	case policy.Hold:
		return s.hold(ctx, a)
	default:
		return nil, s.refuse(a, a.denied())
	}
}

// unreasoned refuses a command that needs a reason and has none.
func (a *admission) unreasoned() *refusal.Refusal {
	if a.decision.Effect == policy.Deny || !a.decision.ReasonRequired || a.session.reason != "" {
		return nil
	}
	return &refusal.Refusal{
		Code: refusal.ReasonRequired, Rule: a.decision.Rule, ID: a.id, Message: "this command needs a reason",
		Hint: `Give one: gatestay run ` + a.session.target + ` --reason "why" -- COMMAND`,
	}
}

// Refused implements seam.Session.
func (s *Session) Refused(c *seam.Command, cause error) {
	var r *refusal.Refusal
	if s.alive() != nil || !errors.As(cause, &r) {
		return
	}
	a := s.begin(c)
	a.decision = policy.Decision{Effect: policy.Deny}
	_ = s.refuse(a, r)
}

func (s *Session) alive() error {
	if s.life.Err() != nil {
		return context.Cause(s.life) //nolint:wrapcheck // a refusal, for the client
	}
	return s.gate.admissible()
}

// begin decides a command by policy and by what its masks allow.
func (s *Session) begin(c *seam.Command) *admission {
	a := s.judge(c)
	a.compare(false)
	return a
}

// judge decides a command by policy alone.
func (s *Session) judge(c *seam.Command) *admission {
	a := &admission{session: s, command: c, id: "cmd_" + ulid.Make().String(), policy: s.gate.Policy.Current(), masking: s.gate.Masking.Current()}
	a.decide()
	text := c.Text // by itself: the whole command would be kept with it
	s.text.Store(&text)
	return a
}

func (a *admission) input(now time.Time) policy.Input {
	s, facts := a.session, &a.command.Facts
	if kept := a.copies(); len(kept) < len(facts.Copies) {
		now := *facts
		now.Copies, facts = kept, &now
	}
	return policy.Input{
		Principal: s.principal, Target: s.policyTarget(), Facts: facts,
		Session: policy.Session{ID: s.id, Age: now.Sub(s.started), Reason: s.reason},
		At:      now,
	}
}

// denied turns a deny into a refusal that teaches.
func (a *admission) denied() *refusal.Refusal {
	if a.unmasking != nil {
		a.unmasking.Rule, a.unmasking.ID = a.decision.Rule, a.id
		return a.unmasking
	}
	r := &refusal.Refusal{Code: refusal.DeniedByRule, Rule: a.decision.Rule, ID: a.id, Message: a.decision.Why}
	switch {
	case a.command.Facts.Class == command.Unknown && a.command.Facts.Why != "":
		r.Code = refusal.CommandUnknown
		so := "so no rule allows it"
		if r.Rule != "" {
			so = fmt.Sprintf("so rule %q, which denies what it may be, decides", r.Rule)
		}
		r.Message = "what this command does cannot be established, " + so + ": " + a.command.Facts.Why
	case a.decision.Rule == "":
		r.Code = refusal.DeniedByDefault
	}
	if r.Code != refusal.CommandUnknown { // a rule that denies what is not known speaks of something else
		r.Detail = sentence(a.decision.Description)
	}
	if a.decision.Frozen {
		r.Code, r.Message, r.Detail = refusal.Frozen, a.decision.Why, "Reads pass."
		r.Hint = "Run it again after the freeze; quote " + a.id + " when you ask for an exception."
		return r
	}
	if a.decision.MaskedCopy {
		r.Code, r.Message = refusal.MaskedCopy, a.decision.Why
	}
	if len(a.decision.Allowed) > 0 {
		r.Detail = strings.TrimSpace(r.Detail + " Allowed here: " + strings.Join(a.decision.Allowed, "; ") + ".")
	}
	if a.decision.MaskedCopy {
		r.Hint = fmt.Sprintf("Leave the column out, or ask for a rule that lets it be copied; quote %s.", a.id)
		return r
	}
	r.Hint = fmt.Sprintf("'gatestay can %s' lists what this job may do; quote %s when you ask for a rule.", a.session.target, a.id)
	return r
}

// refuse records the refused command and returns the refusal for the client.
func (s *Session) refuse(a *admission, r *refusal.Refusal) error {
	if a.scrubbed.statement == "" {
		if err := a.scrub(); err != nil {
			a.scrubbed = scrubbed{statement: "(too long to be recorded)"}
		}
	}
	s.gate.Records.Later(a.intent(nil, ""))
	s.gate.Records.Later(s.outcome(a.id, func(rec *eventv1.Record) {
		rec.Status, rec.Code, rec.Message = "refused", string(r.Code), r.Message
	}))
	return r
}

// sentence ends a rule's description as a sentence.
func sentence(description string) string {
	description = strings.TrimSpace(description)
	if description == "" || strings.ContainsAny(description[len(description)-1:], ".!?") {
		return description
	}
	return description + "."
}
