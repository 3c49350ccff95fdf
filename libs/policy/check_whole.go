package policy

import (
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// whole finds conditions that compare all of command.functions with a list: each
// function is in it under both of its names, and in no order that a rule could
// rely on. Only an empty list is a question that has an answer.
func (c *checker) whole(r *rule) {
	if r.condition == nil {
		return
	}
	native := r.condition.ast.NativeRep()
	functions := func(e celast.Expr) bool { return reference(native, e) == "command.functions" }
	found := false
	celast.PostOrderVisit(native.Expr(), celast.NewExprVisitor(func(x celast.Expr) {
		if x.Kind() != celast.CallKind || x.AsCall().FunctionName() != operators.Equals && x.AsCall().FunctionName() != operators.NotEquals {
			return
		}
		a, b := x.AsCall().Args()[0], x.AsCall().Args()[1]
		if functions(b) {
			a, b = b, a
		}
		found = found || functions(a) && (b.Kind() != celast.ListKind || b.AsList().Size() > 0)
	}))
	if found {
		c.add(FoundWhole, r, "when", "command.functions has each function under both of its names (upper and pg_catalog.upper): comparing the whole list finds none",
			`ask for one with "upper" in command.functions, for nothing else with command.functions.all(f, f in ["upper", "pg_catalog.upper"])`)
	}
}
