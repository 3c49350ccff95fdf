package postgres

import (
	"slices"
	"sync"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// checks has, by a column's name, the columns that one condition of a relation is
// about besides it. It is read when it is first asked for.
type checks struct {
	once sync.Once
	with map[string][]string
}

// checkedWith are the columns that a check, the predicate of an index or a policy
// compares with a column: where it is changed, an error tells of them.
func (r *relation) checkedWith(name string) []string {
	r.checks.once.Do(func() {
		r.checks.with = map[string][]string{}
		for _, expr := range r.WriteExpressions {
			tree, err := parseTree("SELECT WHERE " + expr)
			if err != nil || len(tree.GetStmts()) != 1 {
				continue
			}
			for _, part := range conjuncts(tree.GetStmts()[0].GetStmt().GetSelectStmt().GetWhereClause()) {
				r.checks.add(part)
			}
		}
	})
	return r.checks.with[name]
}

func (c *checks) add(condition *pg.Node) {
	if !decides(condition) {
		return
	}
	var found set[string]
	mentions(condition.ProtoReflect(), func(m protoreflect.ProtoMessage) bool {
		if ref, ok := m.(*pg.ColumnRef); ok {
			if parts := names(ref.GetFields()); len(parts) > 0 {
				found.add(parts[len(parts)-1])
			}
		}
		return false
	})
	for _, name := range found.list {
		for _, other := range found.list {
			if other != name && !slices.Contains(c.with[name], other) {
				c.with[name] = append(c.with[name], other)
			}
		}
	}
}

// conjuncts are the conditions that all have to be true.
func conjuncts(n *pg.Node) []*pg.Node {
	if b := n.GetBoolExpr(); b.GetBoolop() == pg.BoolExprType_AND_EXPR {
		var out []*pg.Node
		for _, a := range b.GetArgs() {
			out = append(out, conjuncts(a)...)
		}
		return out
	}
	return []*pg.Node{n}
}

// decides reports a condition. What a generated column or an index computes is
// none: it takes any values, save where it calls what fails for some.
func decides(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case *pg.Node_BoolExpr, *pg.Node_NullTest, *pg.Node_BooleanTest, *pg.Node_SubLink, *pg.Node_CaseExpr:
		return true
	case *pg.Node_AExpr:
		return v.AExpr.GetKind() != pg.A_Expr_Kind_AEXPR_NULLIF && (v.AExpr.GetKind() != pg.A_Expr_Kind_AEXPR_OP || slices.Contains(deciding, operatorOf(v.AExpr.GetName())))
	case *pg.Node_FuncCall:
		_, name := split(names(v.FuncCall.GetFuncname()))
		return slices.Contains([]string{"regexp_like", "starts_with"}, name)
	}
	return false
}

// deciding are the operators of conditions.
var deciding = []string{"=", "<>", "!=", "<", ">", "<=", ">=", "~", "!~", "~*", "!~*", "~~", "!~~", "~~*", "!~~*", "^@", "@>", "<@", "&&", "?", "?|", "?&", "@@", "@?"}
