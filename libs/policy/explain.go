package policy

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Explanation is a decision with what every rule had to say.
type Explanation struct {
	Decision Decision
	Rules    []Trace // by name
	Unknown  []string
	Preamble bool // the command is a client's own preamble
}

// Trace is what one rule had to say.
type Trace struct {
	Rule    string `json:"rule"`
	Effect  Effect `json:"effect"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Matched bool   `json:"matched"`
	// Restricts reports a match that can only turn an allow into a hold.
	Restricts bool     `json:"restricts,omitempty"`
	Decides   bool     `json:"decides,omitempty"`
	Why       string   `json:"why"`
	Unknown   []string `json:"unknown,omitempty"` // what the condition asks that is not known
}

// Explain decides like Decide and says what every rule had to do with it.
func (e *Engine) Explain(in Input) Explanation {
	x := Explanation{Decision: e.Decide(in), Preamble: preamble(in.Facts)}
	a := &activation{in: &in, unknown: unknownFacts(in.Facts)}
	x.Unknown = a.unknownNames()
	for _, r := range e.rules {
		t := e.trace(a, r, x.Preamble)
		t.Decides = r.Name == x.Decision.Rule
		if t.Decides && x.Preamble && !r.seesPreamble() {
			t.Matched, t.Why = true, "through it the principal reaches the target, and so may send a client's own preamble"
		}
		x.Rules = append(x.Rules, t)
	}
	for _, f := range e.freezes {
		x.Rules = append(x.Rules, e.traceFreeze(&in, f, x.Decision))
	}
	return x
}

func (e *Engine) traceFreeze(in *Input, f *rule, d Decision) Trace {
	t := Trace{Rule: f.Name, Effect: f.Effect, File: f.File, Line: f.Line, Decides: d.Frozen && d.Rule == f.Name}
	of := &tally{}
	switch e.freeze(in, of); {
	case !f.coversTarget(in.Target):
		t.Why = "it is not about this target: " + targetsOf(&f.Rule)
	case !f.Freeze.On(in.At):
		t.Why = "the freeze is from " + f.Freeze.From.Format("2006-01-02 15:04 MST") + " to " + f.Freeze.To.Format("2006-01-02 15:04 MST")
	case of.frozen == nil:
		t.Why = "a freeze lets reads pass"
	default:
		t.Matched, t.Why = true, "the freeze is on until "+f.Freeze.To.Format("2006-01-02 15:04 MST")
	}
	return t
}

func (e *Engine) trace(a *activation, r *rule, pre bool) Trace {
	t := Trace{Rule: r.Name, Effect: r.Effect, File: r.File, Line: r.Line}
	if !r.coversTarget(a.in.Target) {
		t.Why = "it is not about this target: " + targetsOf(&r.Rule)
		return t
	}
	if !r.timely(a.in.At) {
		t.Why = "it is there " + r.Hours.String() + " only"
		return t
	}
	m, whyPrincipal := r.matchPrincipal(a)
	if m == matchNo || m != matchFull && r.Effect == Allow {
		t.Why = "principal: " + whyPrincipal
		return t
	}
	if pre && !r.seesPreamble() {
		t.Why = "it does not see a client's own preamble (session commands, reads of the catalog)"
		return t
	}
	said := assertedFields(a.in.Principal)
	got := r.match(a, m, said)
	t.Matched, t.Restricts = got != matchNo, got != matchNo && got != matchFull && r.Effect == Hold
	hide := a.unknown
	if r.Effect == Allow {
		hide |= said
	}
	t.Why, t.Unknown = r.condition.explain(a, hide)
	switch {
	case t.Restricts:
		t.Why += "; it can only turn an allow into a hold"
		if m != matchFull {
			t.Why += ": " + whyPrincipal
		} else {
			t.Why += ": it rests on what the caller merely asserted"
		}
	case t.Matched && r.Effect != Allow && r.condition.lifted(a):
		t.Why += "; a " + string(r.Effect) + " rule matches as if the caller had said nothing of itself"
	case t.Matched && len(t.Unknown) > 0:
		t.Why += "; a " + string(r.Effect) + " rule matches what is not known"
	case !t.Matched && len(t.Unknown) > 0 && r.Effect == Allow:
		t.Why += "; an allow rule does not match what is not known or only asserted"
	}
	if len(r.Hours) > 0 {
		t.Why += "; it is there " + r.Hours.String() + " only"
	}
	return t
}

// lifted reports a condition that is false with what the caller said.
func (c *condition) lifted(a *activation) bool {
	o, _, _ := c.eval(a, a.unknown)
	return o == no
}

func (r *rule) matchPrincipal(a *activation) (match, string) {
	best, why := matchNo, ""
	for _, s := range r.Principals {
		m, because := newMatcher(s).match(a.in.Principal)
		if m > best || why == "" {
			best, why = m, because
		}
	}
	return best, why
}

func targetsOf(r *Rule) string {
	if len(r.Environments) > 0 {
		return "environments " + strings.Join(r.Environments, ", ")
	}
	return "targets " + strings.Join(r.Targets, ", ")
}

// explain says how the condition came out, and which part of it decided.
func (c *condition) explain(a *activation, hide set) (why string, unknownNames []string) {
	if c == nil {
		return "it has no condition", nil
	}
	o, value, err := c.eval(a, hide)
	if err != nil {
		return "its condition fails: " + err.Error(), []string{"when"}
	}
	if o == yes {
		return "its condition is true", nil
	}
	if o == unknown {
		unknownNames = unknownVariables(value)
		return fmt.Sprintf("its condition cannot be told: %s not known", strings.Join(unknownNames, ", ")), unknownNames
	}
	part := c.failing(a, hide)
	text, err := cel.ExprToString(part, c.ast.NativeRep().SourceInfo())
	if err != nil {
		text = c.text
	}
	if values := c.values(a, part, hide); values != "" {
		return text + " is false: " + values, nil
	}
	return text + " is false", nil
}

// failing returns the first part of a chain of && that is false.
func (c *condition) failing(a *activation, hide set) celast.Expr {
	expr := c.ast.NativeRep().Expr()
	vars, err := cel.PartialVars(a, patterns(hide&c.uses)...)
	if err != nil {
		return expr
	}
	_, details, err := c.residual.Eval(vars)
	if err != nil || details == nil {
		return expr
	}
	for expr.Kind() == celast.CallKind && expr.AsCall().FunctionName() == operators.LogicalAnd {
		next := expr
		for _, arg := range expr.AsCall().Args() {
			if v, ok := details.State().Value(arg.ID()); ok && v == types.False {
				next = arg
				break
			}
		}
		if next == expr {
			break
		}
		expr = next
	}
	return expr
}

// values names the variables of a part with their values.
func (c *condition) values(a *activation, part celast.Expr, hide set) string {
	var out []string
	native := c.ast.NativeRep()
	celast.PostOrderVisit(part, celast.NewExprVisitor(func(e celast.Expr) {
		v, ok := variableByName[reference(native, e)]
		if !ok || hide.has(v) {
			return
		}
		if s := variableNames[v] + " is " + format(a.value(v)); !contains(out, s) {
			out = append(out, s)
		}
	}))
	return strings.Join(out, ", ")
}

func format(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return quoted(string(v))
	case traits.Lister:
		var items []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			items = append(items, format(it.Next()))
		}
		if len(items) > 8 {
			items = append(items[:8], fmt.Sprintf("… %d more", len(items)-8))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case traits.Mapper:
		return fmt.Sprintf("a map of %v", v.Size())
	default:
		return fmt.Sprint(v.Value())
	}
}
