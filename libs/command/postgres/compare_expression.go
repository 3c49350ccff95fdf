package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// cast follows a cast. One to a type that takes any value is no use of it; any
// other fails for some values, and tells which.
func (c *comparer) cast(n *pg.TypeCast, s *compareScope) value {
	v := c.eval(n.GetArg(), s)
	if len(v.from) == 0 {
		return v
	}
	schema, name := split(names(n.GetTypeName().GetNames()))
	text := (schema == "" || schema == "pg_catalog") && (name == "text" || name == "varchar") && len(n.GetTypeName().GetArrayBounds()) == 0
	switch {
	case text && len(n.GetTypeName().GetTypmods()) == 0:
		return v
	case text, schema == "pg_catalog" && name == "bpchar":
		return c.changed(v)
	}
	c.uses(c.changed(v), command.Expression)
	return c.changed(v)
}

// total are functions that take any value, give one row and no NULL that tells
// more than a NULL that goes in. Their other arguments may not come from
// columns: left(name, n) fails or not by n.
var total = plain(`
	lower upper initcap length char_length character_length octet_length bit_length md5 sha224 sha256 sha384 sha512 reverse
	btrim ltrim rtrim trim left right substr concat concat_ws quote_literal quote_nullable text varchar
	to_json to_jsonb row_to_json array_to_json json_build_array jsonb_build_array
	count sum avg min max array_agg string_agg json_agg jsonb_agg any_value
	first_value last_value nth_value lag lead`)

// several are those of them that take a value in every argument.
var several = plain(`concat concat_ws json_build_array jsonb_build_array string_agg`)

// call follows the call of a function.
func (c *comparer) call(n *pg.FuncCall, s *compareScope) value {
	parts := names(n.GetFuncname())
	_, name := split(parts)
	args := c.evalAll(n.GetArgs(), s)
	for _, by := range n.GetAggOrder() {
		key := c.eval(by.GetSortBy().GetNode(), s)
		c.uses(key, command.Order)
		if n.GetAggWithinGroup() {
			args = append(args, key)
		}
	}
	c.condition(n.GetAggFilter(), s)
	c.window(n.GetOver(), s)
	own := len(parts) == 1 || len(parts) == 2 && parts[0] == "pg_catalog"
	if own && name == "count" { // how many are not NULL, or differ
		for _, v := range args {
			if n.GetAggDistinct() {
				c.groups(v)
			} else {
				c.uses(v, command.Null)
			}
		}
		return nothing
	}
	if n.GetAggDistinct() {
		for _, v := range args {
			c.groups(v)
		}
	}
	if name == "array_agg" { // what it is given may be nothing, or a star
		for _, v := range args {
			c.sized(v)
		}
	}
	if own && readsLargeObject(name) {
		args = append(args, value{from: []origin{{column: largeObjectData}}})
	}
	whole := total[name] && (len(args) == 1 || name != "varchar" && name != "length") // those with more arguments fail for some values
	if !own || !whole && (name != "substring" || !between(n.GetArgs())) {
		for _, v := range args {
			c.uses(c.changed(v), command.Expression)
		}
		return c.changed(args...)
	}
	for i, v := range args {
		if i > 0 && !several[name] {
			c.uses(c.changed(v), command.Expression)
		}
	}
	return c.changed(args...)
}

// between reports the arguments of substring(x from 1 for 3), which never fails.
// With texts in place of numbers it is a pattern, and NULL where that does not fit.
func between(args []*pg.Node) bool {
	number := func(n *pg.Node) bool { return n.GetAConst().GetIval() != nil }
	return len(args) == 3 && number(args[1]) && number(args[2])
}

// starred reports t.*, which stands for any number of columns.
func starred(n *pg.Node) bool {
	f := n.GetColumnRef().GetFields()
	return len(f) > 0 && f[len(f)-1].GetAStar() != nil
}

// operatorOf is an operator of PostgreSQL's by its name. What one of another schema
// does is not known, whatever it is called.
func operatorOf(parts []*pg.Node) string {
	if schema, op := split(names(parts)); schema == "" || schema == "pg_catalog" {
		return op
	}
	return "?"
}

// operation follows an operator.
func (c *comparer) operation(n *pg.A_Expr, s *compareScope) value {
	op := operatorOf(n.GetName())
	switch n.GetKind() { //nolint:exhaustive // the others are operators by name
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
		pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		c.uses(c.eval(n.GetLexpr(), s), command.Range)
		c.usesAll(c.evalAll(n.GetRexpr().GetList().GetItems(), s), command.Range)
		return nothing
	case pg.A_Expr_Kind_AEXPR_IN:
		c.in(n, op, s)
		return nothing
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		c.usesAll([]value{c.eval(n.GetLexpr(), s), c.eval(n.GetRexpr(), s)}, command.Pattern)
		return nothing
	case pg.A_Expr_Kind_AEXPR_NULLIF: // NULL or not tells whether they are equal
		l, r := c.eval(n.GetLexpr(), s), c.eval(n.GetRexpr(), s)
		c.usesAll([]value{l, r}, command.Condition)
		return c.changed(l)
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		use := useOf(op)
		if use == command.Equality {
			use = command.List
		}
		c.usesAll([]value{c.eval(n.GetLexpr(), s), c.eval(n.GetRexpr(), s)}, use)
		return nothing
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		c.compare("=", n.GetLexpr(), n.GetRexpr(), s)
		return nothing
	}
	switch use := useOf(op); use { //nolint:exhaustive // an operator has no other use
	case command.Equality, command.Range, command.Pattern:
		c.compare(op, n.GetLexpr(), n.GetRexpr(), s)
		return nothing
	}
	l, r := c.eval(n.GetLexpr(), s), c.eval(n.GetRexpr(), s)
	c.sized(l)
	c.sized(r)
	if op != "||" {
		c.usesAll([]value{c.changed(l), c.changed(r)}, command.Expression)
	}
	return c.changed(l, r)
}

func (c *comparer) usesAll(values []value, use command.Use) {
	for _, v := range values {
		c.uses(v, use)
	}
}

// useOf is what an operator of PostgreSQL does with its arguments.
func useOf(op string) command.Use {
	switch op {
	case "=", "<>", "!=":
		return command.Equality
	case "<", ">", "<=", ">=":
		return command.Range
	case "~", "!~", "~*", "!~*", "~~", "!~~", "~~*", "!~~*", "^@":
		return command.Pattern
	}
	return command.Expression
}

// in follows x IN (a, b). A list of one is an equality.
func (c *comparer) in(n *pg.A_Expr, op string, s *compareScope) {
	items := n.GetRexpr().GetList().GetItems()
	if len(items) == 1 {
		c.compare(op, n.GetLexpr(), items[0], s)
		return
	}
	c.uses(c.eval(n.GetLexpr(), s), command.List)
	c.usesAll(c.evalAll(items, s), command.List)
}

// compare follows l op r.
func (c *comparer) compare(op string, l, r *pg.Node, s *compareScope) {
	lr, rr := l.GetRowExpr(), r.GetRowExpr()
	if lr != nil && rr != nil && len(lr.GetArgs()) == len(rr.GetArgs()) {
		for i := range lr.GetArgs() {
			c.compare(op, lr.GetArgs()[i], rr.GetArgs()[i], s)
		}
		return
	}
	use := useOf(op)
	if use != command.Equality {
		c.usesAll([]value{c.eval(l, s), c.eval(r, s)}, use)
		return
	}
	lv, rv := c.eval(l, s), c.eval(r, s)
	switch {
	case len(lv.from) == 0 && len(rv.from) == 0:
	case len(rv.from) == 0:
		c.equals(lv, r)
	case len(lv.from) == 0:
		c.equals(rv, l)
	case op != "=":
		c.usesAll([]value{lv, rv}, command.Other)
	default:
		c.compared(lv, rv)
	}
}

// compared notes an equality of two values, of which at least one comes from
// columns.
func (c *comparer) compared(l, r value) {
	one := func(l, r value) {
		for _, o := range l.from {
			x := comparison{Comparison: command.Comparison{Column: o.column, Use: command.Join, Dotted: o.dotted}}
			if !o.exact {
				x.Use = command.Expression
				c.note(x)
				continue
			}
			if r.mixed || len(r.from) == 0 {
				c.note(x) // with something else
			}
			for _, other := range r.from {
				if x.With, x.WithDotted = (command.Column{}), false; other.exact {
					x.With, x.WithDotted = other.column, other.dotted
				}
				c.note(x)
			}
		}
	}
	one(l, r)
	one(r, l)
}

// equals notes an equality with what comes from no column.
func (c *comparer) equals(v value, n *pg.Node) {
	x := comparison{Comparison: command.Comparison{Use: command.Equality}}
	for cast := n.GetTypeCast(); cast != nil && keepsLiteral(cast.GetTypeName()); cast = n.GetTypeCast() {
		n = cast.GetArg()
	}
	switch k := n.GetNode().(type) {
	case *pg.Node_AConst:
		if k.AConst.GetIsnull() {
			x.Use = command.Null
		}
		x.literal = k.AConst.GetLocation() + 1
	case *pg.Node_ParamRef:
		if c.stored {
			x.Use = command.Other
			break
		}
		x.Parameter = int(k.ParamRef.GetNumber())
		exact := !slices.ContainsFunc(v.from, func(o origin) bool { return !o.exact })
		if was, seen := c.parameters[k.ParamRef.GetLocation()]; !seen || was {
			c.parameters[k.ParamRef.GetLocation()] = exact && !v.mixed
		}
	default:
		x.Use = command.Other
	}
	for _, o := range v.from {
		if x.Column, x.Dotted = o.column, o.dotted; !o.exact {
			x.Use, x.Parameter, x.literal = command.Expression, 0, 0
		}
		c.note(x)
	}
}

// keepsLiteral reports a cast that makes one value of one literal, which is then
// compared as PostgreSQL does: 'abc'::varchar(1) is another value with each length,
// and a type of somebody else may have equalities of its own.
func keepsLiteral(t *pg.TypeName) bool {
	return len(t.GetTypmods()) == 0 && builtinType(names(t.GetNames()))
}

func (c *comparer) caseExpr(n *pg.CaseExpr, s *compareScope) value {
	out := []value{c.eval(n.GetDefresult(), s)}
	for _, w := range n.GetArgs() {
		if n.GetArg() != nil {
			c.compare("=", n.GetArg(), w.GetCaseWhen().GetExpr(), s)
		} else {
			c.condition(w.GetCaseWhen().GetExpr(), s)
		}
		out = append(out, c.eval(w.GetCaseWhen().GetResult(), s))
	}
	return c.changed(out...)
}

func (c *comparer) subLink(n *pg.SubLink, s *compareScope) value {
	cols := c.statement(n.GetSubselect(), s)
	switch n.GetSubLinkType() { //nolint:exhaustive // the others are not written by anybody
	case pg.SubLinkType_EXISTS_SUBLINK:
		return nothing
	case pg.SubLinkType_EXPR_SUBLINK:
		if len(cols.Columns) > 1 { // a row, which is compared as one
			return c.changed(c.all(&cols))
		}
		return c.names.At(&cols, 1)
	case pg.SubLinkType_ARRAY_SUBLINK:
		c.sized(c.all(&cols))
		return c.changed(c.all(&cols))
	case pg.SubLinkType_ANY_SUBLINK, pg.SubLinkType_ALL_SUBLINK:
		c.quantified(n, &cols, s)
		return nothing
	}
	v := c.union(c.eval(n.GetTestexpr(), s), c.all(&cols))
	c.uses(v, command.Other)
	return c.changed(v)
}

// quantified follows x op ANY (SELECT …).
func (c *comparer) quantified(n *pg.SubLink, cols *compareRows, s *compareScope) {
	op := "="
	if len(n.GetOperName()) > 0 {
		op = operatorOf(n.GetOperName())
	}
	tests := []*pg.Node{n.GetTestexpr()}
	if row := n.GetTestexpr().GetRowExpr(); row != nil {
		tests = row.GetArgs()
	}
	if !cols.Open() && len(cols.Columns) != len(tests) || slices.ContainsFunc(tests, starred) { // which meets which cannot be told
		c.uses(c.union(c.changed(c.evalAll(tests, s)...), c.all(cols)), command.Other)
		return
	}
	for i, t := range tests {
		v, sub := c.eval(t, s), c.names.At(cols, i+1)
		switch {
		case useOf(op) != command.Equality:
			c.usesAll([]value{v, sub}, useOf(op))
		case op != "=":
			c.usesAll([]value{v, sub}, command.Other)
		case len(v.from) == 0 && len(sub.from) > 0:
			c.equals(sub, t)
		case len(v.from) > 0 && len(sub.from) > 0:
			c.compared(v, sub)
		default: // what the query makes up is a list
			c.uses(v, command.List)
		}
	}
}

// part follows x.field and x[1]. Whether an array has an element answers a
// question, a field of a row does not.
func (c *comparer) part(n *pg.A_Indirection, s *compareScope) value {
	v := c.changed(c.eval(n.GetArg(), s))
	for _, i := range n.GetIndirection() {
		if a := i.GetAIndices(); a != nil {
			c.usesAll([]value{v, c.changed(c.eval(a.GetLidx(), s)), c.changed(c.eval(a.GetUidx(), s))}, command.Expression)
		} else if i.GetString_() != nil { // may be a function of the row
			c.uses(v, command.Expression)
		}
	}
	return v
}
