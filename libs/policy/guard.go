package policy

import (
	"slices"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/gatestay/gatestay/libs/command"
)

// guard is a part of a condition without which all of it is false: that the
// command's class, or its verb, is one of some words. Most conditions have one,
// and most rules are about other commands: the guard tells without evaluating
// CEL, in which a false operand of && decides, whatever the other is.
type guard struct {
	variable variable // commandClass or commandVerb
	words    []string
}

// guards finds those in the operands of a chain of &&.
func guards(checked *cel.Ast) []guard {
	var out []guard
	native := checked.NativeRep()
	var visit func(e celast.Expr)
	visit = func(e celast.Expr) {
		if e.Kind() != celast.CallKind || len(e.AsCall().Args()) != 2 {
			return
		}
		left, right := e.AsCall().Args()[0], e.AsCall().Args()[1]
		switch e.AsCall().FunctionName() {
		case operators.LogicalAnd:
			visit(left)
			visit(right)
		case operators.Equals:
			if words, ok := wordsOf(right); ok {
				out = appendGuard(out, reference(native, left), words)
			} else if words, ok := wordsOf(left); ok {
				out = appendGuard(out, reference(native, right), words)
			}
		case operators.In:
			if right.Kind() != celast.ListKind {
				return
			}
			if words, ok := wordsOf(right.AsList().Elements()...); ok {
				out = appendGuard(out, reference(native, left), words)
			}
		}
	}
	visit(native.Expr())
	return out
}

func appendGuard(out []guard, name string, words []string) []guard {
	switch v := variableByName[name]; {
	case name == "" || v != commandClass && v != commandVerb:
		return out
	default:
		return append(out, guard{v, words})
	}
}

// wordsOf returns the expressions' texts; ok is false where one is no literal
// text.
func wordsOf(list ...celast.Expr) (words []string, ok bool) {
	for _, e := range list {
		if e.Kind() != celast.LiteralKind {
			return nil, false
		}
		word, ok := e.AsLiteral().(types.String)
		if !ok {
			return nil, false
		}
		words = append(words, string(word))
	}
	return words, true
}

// excludes reports that the guard is false for what is known of the command.
func (g *guard) excludes(f *command.Facts, hide set) bool {
	if hide.has(g.variable) {
		return false
	}
	is := ""
	switch {
	case f == nil:
	case g.variable == commandClass:
		is = string(f.Class)
	default:
		is = f.Verb
	}
	return !slices.Contains(g.words, is)
}
