package policy

import (
	"time"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Decision is what is done with one command.
type Decision struct {
	Effect      Effect
	Rule        string // the deciding rule; empty where none matched
	RuleHash    string // SHA-256 hex of its normalised content
	Description string // of the rule
	// Approvers, Deadline and HoldInTransaction (0: never hold a transaction
	// that has written) are set for a hold.
	Approvers         *eventv1.Approvers
	Deadline          time.Duration
	HoldInTransaction time.Duration
	// Return reports that the client is not to wait; Grants, nil for none, is what
	// an approver may give beyond this command.
	Return bool
	Grants *Grants
	// BreakGlass, of a hold, is how the principal may go on without waiting; nil where
	// one of the matching hold rules does not let it, which Unbreakable says.
	BreakGlass  *BreakGlass
	Unbreakable string
	// Rehearsal is nil where the command must not be rehearsed; ApproveIf, nil for
	// never, is when it passes without a person. Every matching hold rule agrees.
	Rehearsal *Rehearsal
	ApproveIf *ApproveIf
	// ReasonRequired, RowLimit and ByteLimit (0: none) are the obligations of all matching rules.
	ReasonRequired bool
	RowLimit       int64
	ByteLimit      int64
	// Frozen reports that a freeze decides, whose name is in Rule.
	Frozen bool
	// MaskedCopy reports a denial of what a rule would let pass, because it stores
	// a masked column where no mask is on it and no matching rule lets it.
	MaskedCopy bool
	// Why says in one sentence why; Allowed says, for a denial, what the
	// principal may do here.
	Why     string
	Allowed []string
}

// tally gathers what matches, one rule after the other.
type tally struct {
	deny, hold, allow *rule
	// Holds that only turn an allow into a hold. What the caller said must not
	// choose its approvers, so another hold goes before one by assertion.
	named, asserted *rule
	frozen          *rule // the freeze that is on
	reasonRequired  bool
	rowLimit        int64
	byteLimit       int64
	maskedCopies    bool    // some rule lets masked columns be copied
	holds           []*rule // all that match, however far
}

// add counts a rule in. certain: its condition holds whatever is not known and
// without what the caller merely said.
func (t *tally) add(r *rule, m match, certain bool) {
	switch {
	case r.Effect == Deny:
		t.deny = first(t.deny, r)
		return
	case r.Effect == Hold && m == matchAsserted:
		t.asserted = stricter(t.asserted, r)
	case r.Effect == Hold && m == matchNamed:
		t.named = stricter(t.named, r)
	case r.Effect == Hold:
		t.hold = stricter(t.hold, r)
	default:
		t.allow = first(t.allow, r)
	}
	if r.Effect == Hold {
		t.holds = append(t.holds, r)
	}
	t.reasonRequired = t.reasonRequired || r.ReasonRequired
	t.maskedCopies = t.maskedCopies || r.MaskedCopies && m == matchFull && certain
	if r.RowLimit > 0 && (t.rowLimit == 0 || r.RowLimit < t.rowLimit) {
		t.rowLimit = r.RowLimit
	}
	if r.ByteLimit > 0 && (t.byteLimit == 0 || r.ByteLimit < t.byteLimit) {
		t.byteLimit = r.ByteLimit
	}
}

// decides returns the deciding rule, nil for the default.
func (t *tally) decides() *rule {
	switch {
	case t.deny != nil:
		return t.deny
	case t.hold != nil:
		return t.hold
	case t.allow != nil && t.named != nil:
		return t.named
	case t.allow != nil && t.asserted != nil:
		return t.asserted
	default:
		return t.allow
	}
}

func first(a, b *rule) *rule {
	if a == nil || b.Name < a.Name {
		return b
	}
	return a
}

// stricter orders hold rules: those that ask for passkeys first, then more
// approvers, then by name.
func stricter(a, b *rule) *rule {
	switch {
	case a != nil && a.Approvers.StepUp != b.Approvers.StepUp:
		if a.Approvers.StepUp != "" {
			return a
		}
		return b
	case a == nil || b.Approvers.Count > a.Approvers.Count:
		return b
	case b.Approvers.Count < a.Approvers.Count:
		return a
	default:
		return first(a, b)
	}
}

// Decide decides one command. It takes microseconds; only a denial takes a lock,
// for a moment.
func (e *Engine) Decide(in Input) Decision {
	if in.Principal == nil {
		return Decision{Effect: Deny, Why: "there is no verified principal", Allowed: []string{"nothing without a verified principal"}}
	}
	a := &activation{in: &in, unknown: unknownFacts(in.Facts)}
	said := assertedFields(in.Principal)
	if preamble(in.Facts) {
		return e.decidePreamble(a, said)
	}
	var t tally
	e.index(in.Target).each(in.Principal, func(r *rule, m match) {
		if m = r.match(a, m, said); m != matchNo {
			t.add(r, m, r.MaskedCopies && r.certain(a, said))
		}
	})
	e.freeze(&in, &t)
	return e.decision(a, &t)
}

// match says how far a rule matches whose selectors match as far as m.
func (r *rule) match(a *activation, m match, said set) match {
	if !r.timely(a.in.At) {
		return matchNo
	}
	if r.Effect == Allow {
		if m != matchFull {
			return matchNo
		}
		if o, _, _ := r.condition.eval(a, a.unknown|said); o != yes {
			return matchNo
		}
		return matchFull
	}
	o, _, _ := r.condition.eval(a, a.unknown)
	if r.condition == nil || r.condition.uses&said == 0 {
		if o == no {
			return matchNo
		}
		return m
	}
	a.hidden = said
	unsaid, _, _ := r.condition.eval(a, a.unknown)
	a.hidden = 0
	switch {
	case unsaid != no:
		return m
	case o != no:
		return matchAsserted
	default:
		return matchNo
	}
}

// certain reports that the condition holds by what is known and verified.
func (r *rule) certain(a *activation, said set) bool {
	o, _, _ := r.condition.eval(a, a.unknown|said)
	return o == yes
}

// preamble reports a command that a client's own start-up may send.
func preamble(f *command.Facts) bool {
	if f == nil || f.IsUnknown("class") {
		return false
	}
	if f.Class == command.Session {
		return true
	}
	return f.Class == command.Read && f.Catalog && !f.IsUnknown("catalog") && !f.IsUnknown("objects")
}

// decidePreamble allows a session command or a read of the catalog under any
// rule through which the principal reaches the target.
func (e *Engine) decidePreamble(a *activation, said set) Decision {
	var t tally
	e.index(a.in.Target).each(a.in.Principal, func(r *rule, m match) {
		if !r.seesPreamble() {
			return
		}
		if m = r.match(a, m, said); m != matchNo {
			t.add(r, m, false)
		}
	})
	through := e.reach(a, said)
	if through == nil {
		t = tally{deny: t.deny} // who may not connect may not begin either
	}
	if through == nil || t.deny != nil || t.hold != nil {
		return e.decision(a, &t)
	}
	if t.named != nil || t.asserted != nil {
		t.allow = through
		return e.decision(a, &t)
	}
	return Decision{
		Effect: Allow, Rule: through.Name, RuleHash: through.hash, Description: through.Description,
		Why: "a client's own preamble is allowed under rule " + quoted(through.Name),
	}
}

// seesPreamble reports whether a rule applies to a client's preamble as to any
// other command: a denial of everything, or one that speaks of it.
func (r *rule) seesPreamble() bool {
	if r.condition == nil {
		return r.Effect == Deny
	}
	return r.condition.preamble || r.Effect == Deny && r.condition.uses&commandVariables == 0
}

// Reaches reports whether any command of the principal on the target could be
// allowed or held at a moment: whether it may connect at all.
func (e *Engine) Reaches(p *eventv1.Principal, t Target, at time.Time) bool {
	if p == nil {
		return false
	}
	a := &activation{in: &Input{Principal: p, Target: t, At: at}, unknown: commandVariables}
	return e.reach(a, assertedFields(p)) != nil
}

// reach returns the first rule by name through which the principal reaches the
// target, nil if none or if a denial covers everything. What the caller merely
// said opens nothing: rules see the principal as if it had not been said.
func (e *Engine) reach(a *activation, said set) *rule {
	const later = commandVariables | sessionVariables
	var through *rule
	denied := false
	e.index(a.in.Target).each(a.in.Principal, func(r *rule, m match) {
		if !a.atAnyTime && !r.timely(a.in.At) || a.atAnyTime && r.Effect == Deny && len(r.Hours) > 0 {
			return
		}
		if r.Effect == Deny {
			denied = denied || r.deniesAll(a, said, later)
			return
		}
		if m != matchFull {
			return
		}
		a.hidden = said
		o, _, err := r.condition.eval(a, later)
		a.hidden = 0
		if o == yes || o == unknown && err == nil {
			through = first(through, r)
		}
	})
	if denied {
		return nil
	}
	return through
}

// deniesAll reports whether a deny rule matches whatever the later variables
// turn out to be.
func (r *rule) deniesAll(a *activation, said, later set) bool {
	o, _, err := r.condition.eval(a, later)
	if o == yes || err != nil {
		return true
	}
	a.hidden = said
	o, _, err = r.condition.eval(a, later)
	a.hidden = 0
	return o == yes || err != nil
}

func (e *Engine) decision(a *activation, t *tally) Decision {
	base := t.decides()
	r, weaker := t.frozenBy(base)
	if r == nil {
		return Decision{Effect: Deny, Why: whyDefault(a), Allowed: e.allowed(a.in.Principal, a.in.Target)}
	}
	d := Decision{Effect: r.Effect, Rule: r.Name, RuleHash: r.hash, Description: r.Description, Why: e.why(a, r)}
	d.Frozen = r.Freeze != nil
	if weaker {
		d.Effect, d.Why = Deny, e.whyWeaker(a, r, base)
	}
	if d.Effect == Deny {
		d.Allowed = e.allowed(a.in.Principal, a.in.Target)
		return d
	}
	if f := a.in.Facts; f != nil && len(f.Copies) > 0 && !t.maskedCopies {
		d.Effect, d.MaskedCopy, d.Why = Deny, true, whyCopy(f)
		d.Allowed = e.allowed(a.in.Principal, a.in.Target)
		return d
	}
	if r.Effect == Hold {
		d.Deadline, d.HoldInTransaction = r.Deadline, r.HoldInTransaction
		d.Approvers = r.Approvers.Event()
		d.Return, d.Grants = base.Hold == HoldReturn, r.Grants
		d.BreakGlass, d.Unbreakable = breakGlass(r, t.holds, a.in.Principal)
		d.Rehearsal, d.ApproveIf = rehearsals(t.holds)
	}
	d.ReasonRequired, d.RowLimit, d.ByteLimit = t.reasonRequired, t.rowLimit, t.byteLimit
	return d
}

func quoted(s string) string { return `"` + s + `"` }
