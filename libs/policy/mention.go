package policy

import (
	"strings"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// Mention is a table or column that a condition names, as in
// `"public.orders" in command.objects`. Where the target has no such thing,
// the condition is never true.
type Mention struct {
	Rule   Rule
	Column bool   // a column, else a table
	Name   string // as written: schema.table, schema.table.column
}

// Mentions returns the tables and columns that conditions name, by rule.
func (e *Engine) Mentions() []Mention {
	var out []Mention
	for _, r := range e.rules {
		if r.condition == nil {
			continue
		}
		native := r.condition.ast.NativeRep()
		celast.PostOrderVisit(native.Expr(), celast.NewExprVisitor(func(x celast.Expr) {
			if x.Kind() != celast.CallKind || x.AsCall().FunctionName() != "@in" || len(x.AsCall().Args()) != 2 {
				return
			}
			args := x.AsCall().Args()
			name, ok := args[0].AsLiteral().(types.String)
			if args[0].Kind() != celast.LiteralKind || !ok {
				return
			}
			switch reference(native, args[1]) {
			case "command.objects", "command.reads", "command.writes":
				out = append(out, Mention{Rule: r.Rule, Name: string(name)})
			case "command.columns", "command.filters":
				out = append(out, Mention{Rule: r.Rule, Name: string(name), Column: true})
			}
		}))
	}
	return out
}

// Covers reports whether the rule is about the target.
func (r *Rule) Covers(t Target) bool { return r.coversTarget(t) }

// NearestName returns the known name that a misspelt one probably meant, "" if
// none is near.
func NearestName(name string, known []string) string {
	return nearest(strings.ToLower(name), known)
}
