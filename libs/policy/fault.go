package policy

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// fault is a problem at a place of a condition's text: line from 0, column
// from 0.
type fault struct {
	line, column int
	what, remedy string
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
			name, _, _ = strings.Cut(name, ".")
			f.what, f.remedy = fmt.Sprintf("%q is not known", name), "there are "+strings.Join(roots(), ", ")
			if n := nearest(name, roots()); n != "" {
				f.remedy = fmt.Sprintf("did you mean %q?", n)
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
