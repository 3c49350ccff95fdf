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
	// preamble reports that the author thought of a client's preamble: the
	// condition names command.catalog or compares with "session".
	preamble bool

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
	var value ref.Val
	var err error
	if hide &= c.uses; hide == 0 {
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

// fault is a problem at a place of a condition's text: line from 0, column
// from 0.
type fault struct {
	line, column int
	what, remedy string
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
	out := &condition{text: text, env: c.env, ast: checked, uses: uses(checked)}
	out.preamble = out.uses.has(commandCatalog) || out.uses.has(commandClass) && mentions(checked, "session")
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

func faults(issues *cel.Issues) []fault {
	var out []fault
	for _, e := range issues.Errors() {
		f := fault{what: strings.TrimPrefix(e.Message, "Syntax error: "), remedy: "see the language definition of CEL, and the variables in the policy service's README"}
		if e.Location.Line() > 0 {
			f.line, f.column = e.Location.Line()-1, e.Location.Column()
		}
		if name, ok := strings.CutPrefix(f.what, "undeclared reference to '"); ok {
			name, _, _ = strings.Cut(name, "'")
			f.what, f.remedy = fmt.Sprintf("%q is not known", name), "variables are "+strings.Join(roots(), ", ")+" with their fields"
			if strings.HasPrefix(e.Message, "undeclared reference to '"+name+"'") && contains(roots(), nearest(name, roots())) {
				f.remedy = didYouMean(name, roots())
			}
		}
		out = append(out, f)
	}
	return out
}

func roots() []string { return []string{"principal", "target", "session", "command"} }

// fieldsOf returns the names of the fields below a root.
func fieldsOf(root string) []string {
	var out []string
	for _, name := range variableNames {
		if r, f, _ := strings.Cut(name, "."); r == root {
			out = append(out, f)
		}
	}
	return out
}

// fieldFaults finds misspelt fields, which the type checker would report as a
// missing variable "command".
func fieldFaults(parsed *cel.Ast) []fault {
	var out []fault
	native := parsed.NativeRep()
	celast.PostOrderVisit(native.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.SelectKind {
			return
		}
		sel := e.AsSelect()
		if sel.Operand().Kind() != celast.IdentKind {
			return
		}
		root := sel.Operand().AsIdent()
		if !contains(roots(), root) {
			return
		}
		f := fault{}
		if at := native.SourceInfo().GetStartLocation(sel.Operand().ID()); at != nil && at.Line() > 0 {
			f.line, f.column = at.Line()-1, at.Column()
		}
		known := contains(fieldsOf(root), sel.FieldName())
		switch {
		case !known && root == "command" && (sel.FieldName() == "text" || sel.FieldName() == "sql" || sel.FieldName() == "statement"):
			f.what, f.remedy = "a condition cannot see the command's text", "decide by its facts: verb, class, objects, columns, functions"
		case !known:
			f.what, f.remedy = fmt.Sprintf("%s has no field %q", root, sel.FieldName()), didYouMean(sel.FieldName(), fieldsOf(root))
		case sel.IsTestOnly():
			f.what, f.remedy = fmt.Sprintf("has(%s.%s) is always true", root, sel.FieldName()), fmt.Sprintf(`what a token does not say is empty: write %s.%s != ""`, root, sel.FieldName())
		default:
			return
		}
		out = append(out, f)
	}))
	return out
}

// valueFaults finds comparisons with words that a closed set does not have: a
// misspelt class would silently never match.
func valueFaults(checked *cel.Ast) []fault {
	closed := map[string][]string{
		"command.class":       {"read", "write", "ddl", "admin", "session", "unknown"},
		"command.transaction": {"", "begin", "commit", "rollback", "savepoint", "release", "rollback to"},
	}
	var out []fault
	native := checked.NativeRep()
	celast.PostOrderVisit(native.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind {
			return
		}
		call := e.AsCall()
		args := call.Args()
		if len(args) != 2 || !contains([]string{"_==_", "_!=_", "@in"}, call.FunctionName()) {
			return
		}
		for i, a := range args {
			known := closed[reference(native, a)]
			if known == nil {
				continue
			}
			for _, l := range literals(args[1-i]) {
				word, ok := l.AsLiteral().(types.String)
				if !ok || contains(known, string(word)) {
					continue
				}
				f := fault{what: fmt.Sprintf("%s is never %q", reference(native, a), word), remedy: didYouMean(string(word), known)}
				if at := native.SourceInfo().GetStartLocation(l.ID()); at != nil && at.Line() > 0 {
					f.line, f.column = at.Line()-1, at.Column()
				}
				out = append(out, f)
			}
		}
	}))
	return out
}

func reference(a *celast.AST, e celast.Expr) string {
	if r := a.ReferenceMap()[e.ID()]; r != nil {
		return r.Name
	}
	return ""
}

// literals returns a constant, or the constants of a list of them.
func literals(e celast.Expr) []celast.Expr {
	switch e.Kind() {
	case celast.LiteralKind:
		return []celast.Expr{e}
	case celast.ListKind:
		var out []celast.Expr
		for _, item := range e.AsList().Elements() {
			if item.Kind() == celast.LiteralKind {
				out = append(out, item)
			}
		}
		return out
	default:
		return nil
	}
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

func mentions(checked *cel.Ast, word string) bool {
	found := false
	celast.PostOrderVisit(checked.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		found = found || e.Kind() == celast.LiteralKind && e.AsLiteral() == types.String(word)
	}))
	return found
}
