package postgres

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
)

// condition follows an expression that is true or not.
func (c *comparer) condition(n *pg.Node, s *compareScope) {
	if n == nil {
		return
	}
	v := c.eval(n, s)
	c.uses(v, command.Condition)
}

// eval follows an expression and returns what its value comes from. A value
// whose use was noted on the way is nothing from there on.
func (c *comparer) eval(n *pg.Node, s *compareScope) value {
	if n == nil || !c.spend(1) {
		return nothing
	}
	switch n := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return c.reference(n.ColumnRef, s)
	case *pg.Node_AConst, *pg.Node_SqlvalueFunction, *pg.Node_ParamRef, *pg.Node_SetToDefault, *pg.Node_CurrentOfExpr,
		*pg.Node_MergeSupportFunc, *pg.Node_GroupingFunc, nil:
		return nothing
	case *pg.Node_TypeCast:
		return c.cast(n.TypeCast, s)
	case *pg.Node_CollateClause:
		return c.changed(c.eval(n.CollateClause.GetArg(), s))
	case *pg.Node_NamedArgExpr:
		return c.eval(n.NamedArgExpr.GetArg(), s)
	case *pg.Node_FuncCall:
		return c.call(n.FuncCall, s)
	case *pg.Node_AExpr:
		return c.operation(n.AExpr, s)
	case *pg.Node_BoolExpr:
		for _, a := range n.BoolExpr.GetArgs() {
			c.condition(a, s)
		}
		return nothing
	case *pg.Node_BooleanTest:
		c.condition(n.BooleanTest.GetArg(), s)
		return nothing
	case *pg.Node_NullTest:
		c.uses(c.eval(n.NullTest.GetArg(), s), command.Null)
		return nothing
	case *pg.Node_CaseExpr:
		return c.caseExpr(n.CaseExpr, s)
	case *pg.Node_CoalesceExpr:
		return c.changed(c.evalAll(n.CoalesceExpr.GetArgs(), s)...)
	case *pg.Node_MinMaxExpr:
		return c.changed(c.evalAll(n.MinMaxExpr.GetArgs(), s)...)
	case *pg.Node_RowExpr:
		return c.changed(c.evalAll(n.RowExpr.GetArgs(), s)...)
	case *pg.Node_AArrayExpr:
		elements := c.evalAll(n.AArrayExpr.GetElements(), s)
		for _, e := range elements {
			c.sized(e)
		}
		return c.changed(elements...)
	case *pg.Node_List:
		return c.changed(c.evalAll(n.List.GetItems(), s)...)
	case *pg.Node_SubLink:
		return c.subLink(n.SubLink, s)
	case *pg.Node_AIndirection:
		return c.part(n.AIndirection, s)
	case *pg.Node_SelectStmt:
		return c.result(c.query(n.SelectStmt, s))
	}
	v := c.children(inside(n), s)
	c.uses(v, command.Other)
	return c.changed(v)
}

func (c *comparer) evalAll(nodes []*pg.Node, s *compareScope) []value {
	out := make([]value, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, c.eval(n, s))
	}
	return out
}

// children is what all expressions below a message come from.
func (c *comparer) children(m protoreflect.Message, s *compareScope) value {
	out := nothing
	for child := range below(m) {
		if c.budget <= 0 {
			break
		}
		if n, ok := child.Interface().(*pg.Node); ok {
			out = c.union(out, c.below(n, s))
			continue
		}
		out = c.union(out, c.message(child, s))
	}
	return out
}

// message follows a message that no Node wraps.
func (c *comparer) message(m protoreflect.Message, s *compareScope) value {
	switch v := m.Interface().(type) {
	case *pg.SelectStmt:
		return c.result(c.query(v, s))
	case *pg.FuncCall:
		return c.call(v, s)
	case *pg.WindowDef:
		c.window(v, s)
		return nothing
	case *pg.RangeVar, *pg.TypeName:
		return nothing
	}
	return c.children(m, s)
}

// inside is the message that a Node wraps.
func inside(n *pg.Node) protoreflect.Message {
	m := n.ProtoReflect()
	return m.Get(m.WhichOneof(m.Descriptor().Oneofs().Get(0))).Message()
}

// below follows a node of any kind, an expression or not.
func (c *comparer) below(n *pg.Node, s *compareScope) value {
	switch v := n.GetNode().(type) {
	case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		return c.result(c.statement(n, s))
	case *pg.Node_RangeVar, *pg.Node_TypeName, nil:
		return nothing
	case *pg.Node_ColumnRef, *pg.Node_AConst, *pg.Node_ParamRef, *pg.Node_TypeCast, *pg.Node_FuncCall, *pg.Node_AExpr,
		*pg.Node_BoolExpr, *pg.Node_BooleanTest, *pg.Node_NullTest, *pg.Node_CaseExpr, *pg.Node_CoalesceExpr,
		*pg.Node_MinMaxExpr, *pg.Node_RowExpr, *pg.Node_AArrayExpr, *pg.Node_List, *pg.Node_SubLink, *pg.Node_AIndirection,
		*pg.Node_CollateClause, *pg.Node_NamedArgExpr, *pg.Node_SqlvalueFunction, *pg.Node_SetToDefault:
		return c.eval(n, s)
	case *pg.Node_SortBy:
		key := c.eval(v.SortBy.GetNode(), s)
		c.uses(key, command.Order)
		return key
	case *pg.Node_WindowDef:
		c.window(v.WindowDef, s)
		return nothing
	}
	return c.children(inside(n), s)
}
