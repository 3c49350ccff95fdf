package policy

import (
	"fmt"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Capabilities is what a principal may do on a target, as far as it can be
// told before a command is there.
type Capabilities struct {
	Reaches   bool         `json:"reaches"` // whether it may connect at all
	Ways      []Capability `json:"ways"`
	Sentences []string     `json:"sentences"`        // the same in words
	Frozen    string       `json:"frozen,omitempty"` // the freeze that is on, until when and why; empty: none
}

// Capability is what one rule does with one class of commands.
type Capability struct {
	Class          command.Class `json:"class"` // read, write, ddl or admin
	Effect         Effect        `json:"effect"`
	Rule           string        `json:"rule"`
	Description    string        `json:"description,omitempty"`
	When           string        `json:"when,omitempty"`   // what of the rule's condition depends on the command; empty: always
	Hours          string        `json:"hours,omitempty"`  // when the rule is there, in words; empty: always
	Closed         bool          `json:"closed,omitempty"` // it is not there at the moment of the question
	Approvers      *Approvers    `json:"approvers,omitempty"`
	Return         bool          `json:"return,omitempty"`     // it is refused at once, and passes when the job runs again
	Grants         *Grants       `json:"grants,omitempty"`     // what an approver may give beyond one command
	ApproveIf      string        `json:"approve_if,omitempty"` // what a rehearsal must show to need nobody
	BreakGlass     *BreakGlass   `json:"break_glass,omitempty"`
	ReasonRequired bool          `json:"reason_required,omitempty"`
	RowLimit       int64         `json:"row_limit,omitempty"`
	ByteLimit      int64         `json:"byte_limit,omitempty"`
}

// Can tells what a principal may do on a target, at whatever time; at is the
// moment of the question, which says what is closed then; zero: none.
func (e *Engine) Can(p *eventv1.Principal, t Target, at time.Time) Capabilities {
	return e.can(p, t, at)
}

// ways are the rules that may act on one class.
type ways struct {
	class             command.Class
	deny, hold, allow *rule // whatever the command is
	sometimes         []Capability
}

func (e *Engine) can(p *eventv1.Principal, t Target, at time.Time) Capabilities {
	c := Capabilities{}
	if p != nil {
		a := &activation{in: &Input{Principal: p, Target: t}, unknown: commandVariables, atAnyTime: true}
		c.Reaches = e.reach(a, assertedFields(p)) != nil
	}
	if !c.Reaches {
		c.Sentences = []string{who(p) + " may do nothing on " + t.Name + ": no rule lets it connect"}
		return c
	}
	said := assertedFields(p)
	var denied []string
	lead := true
	for _, class := range []command.Class{command.Read, command.Write, command.DDL, command.Admin} {
		w := e.ways(&Input{Principal: p, Target: t, Facts: &command.Facts{Class: class}, At: at}, class, said)
		listed := w.list(class)
		c.Ways = append(c.Ways, listed...)
		if w.deny != nil || len(listed) == 0 {
			denied = append(denied, noun(class))
			continue
		}
		for _, way := range listed {
			c.Sentences = append(c.Sentences, e.sentence(way, p, t, at, lead))
			lead = false
		}
	}
	for _, f := range e.freezes {
		if f.coversTarget(t) && f.Freeze.On(at) {
			c.Sentences = append(c.Sentences, f.whyFrozen()+map[Effect]string{Deny: " denies all but reads", Hold: " holds all but reads"}[f.Effect])
			c.Frozen = f.whyFrozen()
		}
	}
	if len(denied) > 0 {
		c.Sentences = append(c.Sentences, "no rule allows "+either(denied))
	}
	return c
}

func (e *Engine) ways(in *Input, class command.Class, said set) *ways {
	w := &ways{class: class}
	hide := (commandVariables | sessionVariables) &^ commandClass.set()
	a := &activation{in: in, unknown: hide & commandVariables}
	e.index(in.Target).each(in.Principal, func(r *rule, m match) {
		if r.Effect == Allow && m != matchFull {
			return
		}
		if r.Effect == Allow || m == matchFull {
			a.hidden = said
		}
		if r.Effect == Allow && r.restsOnReason(in, said, hide) {
			a.hidden = 0
			return
		}
		o, _, err := r.condition.eval(a, hide&^a.hidden)
		left := ""
		if o == unknown {
			left = r.condition.remaining(a, hide&^a.hidden)
		}
		a.hidden = 0
		switch {
		case o == no || err != nil && r.Effect == Allow:
		case len(r.Hours) == 0 && (o == yes || err != nil):
			w.always(r)
		default:
			way := capability(r, class, left)
			way.Hours, way.Closed = r.Hours.String(), !in.At.IsZero() && !r.timely(in.At)
			w.sometimes = append(w.sometimes, way)
		}
	})
	return w
}

// restsOnReason reports an allow rule that never allows, since it depends on
// the session's reason: for one reason or another its condition is false.
func (r *rule) restsOnReason(in *Input, said, hide set) bool {
	if r.condition == nil || !r.condition.uses.has(sessionReason) {
		return false
	}
	for _, reason := range []string{"", "\x00"} {
		other := *in
		other.Session.Reason = reason
		a := &activation{in: &other, unknown: hide & commandVariables, hidden: said &^ sessionReason.set()}
		if o, _, _ := r.condition.eval(a, hide&^said); o == no {
			return true
		}
	}
	return false
}

func (w *ways) always(r *rule) {
	switch r.Effect {
	case Deny:
		w.deny = first(w.deny, r)
	case Hold:
		w.hold = stricter(w.hold, r)
	default:
		w.allow = first(w.allow, r)
	}
}

func capability(r *rule, class command.Class, when string) Capability {
	return Capability{
		Class: class, Effect: r.Effect, Rule: r.Name, Description: r.Description, When: when,
		Approvers: r.Approvers, Return: r.Hold == HoldReturn, Grants: r.Grants, ApproveIf: r.ApproveIf, BreakGlass: r.BreakGlass, ReasonRequired: r.ReasonRequired, RowLimit: r.RowLimit, ByteLimit: r.ByteLimit,
	}
}

// list returns the ways that matter, the certain one first. A denial of some
// commands matters where others are allowed.
func (w *ways) list(class command.Class) []Capability {
	var listed []Capability
	switch {
	case w.deny != nil:
		return []Capability{capability(w.deny, class, "")}
	case w.hold != nil:
		listed = append(listed, capability(w.hold, class, ""))
	case w.allow != nil:
		listed = append(listed, capability(w.allow, class, ""))
	}
	for _, effect := range []Effect{Allow, Hold, Deny} {
		for _, c := range w.sometimes {
			covered := effect == Allow && (w.hold != nil || w.allow != nil) || effect == Hold && w.hold != nil || effect == Deny && len(listed) == 0
			if c.Effect == effect && !covered {
				listed = append(listed, c)
			}
		}
	}
	return listed
}

// noun names a class of commands in a sentence.
func noun(class command.Class) string {
	switch class {
	case command.Read:
		return "a read"
	case command.Write:
		return "a write"
	case command.DDL:
		return "DDL"
	case command.Admin:
		return "an administrative command"
	default:
		return "a " + string(class) + " command"
	}
}

// Afterwards says in a phrase how the client waits, where it does not, and what
// more an approver may give.
func (c *Capability) Afterwards() string {
	s := ""
	if c.Return {
		s = ", and passes when the job runs again"
	}
	if c.Grants.Allows(ScopeRun) || c.Grants.Allows(ScopeJob) {
		whole := "run"
		if !c.Grants.Allows(ScopeRun) {
			whole = "job"
		}
		s += ", who may let the same statement pass for the whole " + whole
	}
	if c.ApproveIf != "" {
		s += ", unless its rehearsal says " + c.ApproveIf
	}
	if c.BreakGlass != nil {
		s += " (--break-glass passes at once, and is reviewed)"
	}
	return s
}

// sentence says one way; the lead one names the principal.
func (e *Engine) sentence(c Capability, p *eventv1.Principal, t Target, at time.Time, lead bool) string {
	var s string
	switch c.Effect {
	case Allow:
		s = "it may "
		if lead {
			s = who(p) + " may "
		}
		s += map[command.Class]string{
			command.Read: "read every table of " + t.Name, command.Write: "write every table of " + t.Name,
			command.DDL: "change the schema of " + t.Name, command.Admin: "administer " + t.Name,
		}[c.Class]
	case Hold:
		if lead {
			s = "for " + who(p) + " on " + t.Name + ", "
		}
		s += noun(c.Class) + " waits for " + e.people.approvers(c.Approvers, Requesters(p), at) + c.Afterwards()
	default:
		s = noun(c.Class) + " is denied by rule " + quoted(c.Rule)
	}
	if c.RowLimit > 0 {
		s += fmt.Sprintf(", at most %d rows", c.RowLimit)
	}
	if c.ByteLimit > 0 {
		s += fmt.Sprintf(", at most %d bytes", c.ByteLimit)
	}
	if c.ReasonRequired {
		s += ", with a reason"
	}
	if c.When != "" {
		s += " when " + c.When
	}
	if c.Hours != "" {
		s += ", " + c.Hours + " only"
	}
	if c.Closed {
		s += ", not now"
	}
	return s
}
