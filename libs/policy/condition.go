package policy

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// The bounds of one condition.
const (
	maxCondition = 4 << 10 // bytes of text
	// maxCost bounds one evaluation, in CEL's cost units: some 10 ms at worst.
	// A condition that exceeds it comes out unknown.
	maxCost = 200_000
)

// outcome is what a condition says.
type outcome int8

const (
	no outcome = iota
	yes
	unknown
)

// condition is a compiled CEL expression. It is immutable and safe for
// concurrent use.
type condition struct {
	text string
	uses set
	// preamble reports that the author thought of what a client's preamble is
	// made of, see speaksOfPreamble.
	preamble bool
	guards   []guard

	plain    cel.Program // every variable known
	partial  cel.Program // some unknown
	residual cel.Program // as partial, and leaves what remains to be known
	env      *cel.Env
	ast      *cel.Ast
}

// eval evaluates the condition with some of its variables unknown. A run-time
// error is unknown too; a nil condition is yes. The value is for explanations.
func (c *condition) eval(a *activation, hide set) (outcome, ref.Val, error) {
	if c == nil {
		return yes, nil, nil
	}
	hide &= c.uses
	for i := range c.guards {
		if c.guards[i].excludes(a.in.Facts, hide) {
			return no, types.False, nil
		}
	}
	var value ref.Val
	var err error
	if hide == 0 {
		value, _, err = c.plain.Eval(a)
	} else {
		var vars cel.PartialActivation
		if vars, err = cel.PartialVars(a, patterns(hide)...); err == nil {
			value, _, err = c.partial.Eval(vars)
		}
	}
	if err != nil {
		return unknown, nil, fmt.Errorf("policy: condition: %w", err)
	}
	switch value {
	case types.True:
		return yes, value, nil
	case types.False:
		return no, value, nil
	}
	return unknown, value, nil
}

// remaining returns what is left of the condition once all but the hidden
// variables are known, as CEL text; "" where nothing is left.
func (c *condition) remaining(a *activation, hide set) string {
	if c == nil {
		return ""
	}
	vars, err := cel.PartialVars(a, patterns(hide&c.uses)...)
	if err != nil {
		return c.text
	}
	_, details, err := c.residual.Eval(vars)
	if err != nil || details == nil {
		return c.text
	}
	left, err := c.env.ResidualAst(c.ast, details)
	if err != nil {
		return c.text
	}
	text, err := cel.AstToString(left)
	if err != nil {
		return c.text
	}
	return text
}

func patterns(s set) []*cel.AttributePatternType {
	out := make([]*cel.AttributePatternType, 0, 4)
	s.each(func(v variable) { out = append(out, cel.AttributePattern(variableNames[v])) })
	return out
}

// unknownVariables names the variables that an unknown value depends on.
func unknownVariables(v ref.Val) []string {
	u, ok := v.(*types.Unknown)
	if !ok {
		return nil
	}
	var out []string
	for _, id := range u.IDs() {
		trails, _ := u.GetAttributeTrails(id)
		for _, t := range trails {
			if name := t.Variable(); !contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// conditions compiles conditions in one typed environment.
type conditions struct{ env *cel.Env }

func newConditions() (*conditions, error) {
	options := []cel.EnvOption{cel.ClearMacros(), cel.Macros(cel.StandardMacros...), cel.ParserRecursionLimit(64), cel.ParserExpressionSizeLimit(maxCondition)}
	for v, name := range variableNames {
		options = append(options, cel.Variable(name, variable(v).celType()))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("policy: condition environment: %w", err)
	}
	return &conditions{env: env}, nil
}

func (c *conditions) compile(text string) (*condition, []fault) {
	if len(text) > maxCondition {
		return nil, []fault{{what: fmt.Sprintf("the condition is longer than %d bytes", maxCondition), remedy: "split the rule"}}
	}
	parsed, issues := c.env.Parse(text)
	if issues.Err() != nil {
		return nil, faults(issues)
	}
	if found := fieldFaults(parsed); len(found) > 0 {
		return nil, found
	}
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		return nil, faults(issues)
	}
	if checked.OutputType() != cel.BoolType {
		return nil, []fault{{what: fmt.Sprintf("the condition is of type %s, not bool", checked.OutputType()), remedy: `compare it, e.g. == "write"`}}
	}
	if found := valueFaults(checked); len(found) > 0 {
		return nil, found
	}
	return c.programs(text, checked)
}

func (c *conditions) programs(text string, checked *cel.Ast) (*condition, []fault) {
	out := &condition{text: text, env: c.env, ast: checked, uses: uses(checked), guards: guards(checked)}
	out.preamble = speaksOfPreamble(checked, out.uses)
	// Cost is counted where it can grow faster than the text and the facts:
	// counting costs more than evaluating does.
	limit := []cel.ProgramOption{cel.CostLimit(maxCost)}
	plain := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if loops(checked) {
		plain = append(plain, limit...)
	}
	var err error
	if out.plain, err = c.env.Program(checked, plain...); err == nil {
		out.partial, err = c.env.Program(checked, append(limit, cel.EvalOptions(cel.OptPartialEval))...)
	}
	if err == nil {
		out.residual, err = c.env.Program(checked, append(limit, cel.EvalOptions(cel.OptPartialEval, cel.OptTrackState))...)
	}
	if err != nil {
		return nil, []fault{{what: err.Error(), remedy: "correct the expression"}}
	}
	return out, nil
}

func uses(checked *cel.Ast) set {
	var s set
	for _, r := range checked.NativeRep().ReferenceMap() {
		if v, ok := variableByName[r.Name]; ok {
			s |= v.set()
		}
	}
	return s
}

func loops(checked *cel.Ast) bool {
	found := false
	celast.PostOrderVisit(checked.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		found = found || e.Kind() == celast.ComprehensionKind
	}))
	return found
}

// speaksOfPreamble reports whether a condition asks for what only a client's
// own preamble, or a command like it, is made of: the catalog, functions, the
// borders of transactions, the class of session commands, one of their verbs,
// or a system catalog by name.
func speaksOfPreamble(checked *cel.Ast, uses set) bool {
	const always = set(1<<commandCatalog | 1<<commandFunctions | 1<<commandTransaction)
	if uses&always != 0 {
		return true
	}
	found := false
	celast.PostOrderVisit(checked.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.LiteralKind {
			return
		}
		word, ok := e.AsLiteral().(types.String)
		if !ok {
			return
		}
		switch word {
		case "session":
			found = found || uses.has(commandClass)
		case "begin", "commit", "rollback", "savepoint", "release", "rollback to", "set", "set constraints", "show", "reset",
			"discard", "listen", "unlisten", "deallocate", "close":
			found = found || uses.has(commandVerb)
		default:
			found = found || strings.HasPrefix(string(word), "pg_") || strings.HasPrefix(string(word), "information_schema")
		}
	}))
	return found
}
