package postgres

import (
	"fmt"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// columnRef reads a, t.a, s.t.a or t.*.
func (w *walker) columnRef(n *pg.ColumnRef, e env) {
	parts := names(n.GetFields())
	if len(parts) < len(n.GetFields()) { // ends in a star
		w.star(parts, e)
		w.f.WholeRow = true // a star of a target list does not come here
		return
	}
	if len(parts) == 0 {
		w.opaque("it has a column without a name")
		return
	}
	name := parts[len(parts)-1]
	w.last = append(w.last, name)
	if len(parts) == 1 {
		w.alone.add(name)
	}
	c := e.from.column(parts)
	w.column(c, e)
	if len(parts) > 1 {
		w.attribute(name, c.Table != "", e)
	}
}

// column notes a mentioned column.
func (w *walker) column(c command.Column, e env) {
	w.columns.add(c)
	if e.filter {
		w.filters.add(c)
	}
}

// star notes that all columns of one or of all FROM items are mentioned.
func (w *walker) star(qualifier []string, e env) {
	if len(qualifier) > 0 {
		// Of a derived item, what it returns is mentioned where it is made.
		if c := e.from.column(append(qualifier[:len(qualifier):len(qualifier)], "*")); c.Table != "" {
			w.column(c, e)
			return
		}
		w.starOf(e.from.below(qualifier), e)
		return
	}
	w.starOf(e.from, e)
}

// starOf notes all columns of what a frame has.
func (w *walker) starOf(f *frame, e env) {
	if f == nil || f.starred {
		return
	}
	f.starred = true
	for _, s := range f.items {
		if !s.derived {
			w.column(command.Column{Schema: s.schema, Table: s.table, Name: "*"}, e)
		}
		w.starOf(s.inner, e)
	}
}

// attribute reads name of x.name, which PostgreSQL takes for a call of the
// function name(x) where x has no such column: (10::float8).pg_sleep sleeps,
// customers.to_json is a whole row. ofTable: x is a table, so that Resolve can
// tell which it is.
func (w *walker) attribute(name string, ofTable bool, e env) {
	if !ofTable { // for a table, Resolve knows whether it has such a column
		w.attributes.add(name)
	}
	switch functionTrust([]string{name}) {
	case volatile:
		w.call(fmt.Sprintf("may call %s in attribute notation", name), e)
	case writing:
		w.raise(command.Write)
	case trusted:
		if !ofTable {
			w.f.WholeRow = true
		}
	case foreign: // a column, or a function that Resolve knows
	}
}

// call makes the statement opaque, unless what it calls is only stored.
func (w *walker) call(why string, e env) {
	if !e.stored {
		w.opaque("it " + why + ", which is not on the list of harmless functions")
	}
}

func (w *walker) funcCall(n *pg.FuncCall, e env) {
	parts := names(n.GetFuncname())
	w.functions.add(lower(parts))
	switch functionTrust(parts) {
	case trusted:
	case writing:
		if !e.stored {
			w.raise(command.Write)
		}
	case foreign, volatile:
		if !w.largeObject(parts, e) {
			w.call("calls "+strings.Join(parts, "."), e)
		}
	}
	if _, name := split(parts); name == "set_config" {
		w.setConfig(n)
	}
	w.each(e, n.GetArgs()...)
	w.each(e, n.GetAggOrder()...)
	w.each(e, n.GetAggFilter())
	w.message(e, n.GetOver())
}

// setConfig names the setting that set_config assigns, where it is written out.
func (w *walker) setConfig(n *pg.FuncCall) {
	if args := n.GetArgs(); len(args) > 0 {
		if c := args[0].GetAConst(); c != nil && c.GetSval() != nil {
			w.settings.add(strings.ToLower(c.GetSval().GetSval()))
			return
		}
	}
	w.unknown("settings")
}

// expr reads an operator expression and notes which column its constants and
// parameters are compared with.
func (w *walker) expr(n *pg.A_Expr, e env) {
	switch n.GetKind() {
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
		pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		w.operator([]string{">="}, e)
		w.operator([]string{"<="}, e)
		w.operator([]string{"<"}, e)
		w.operator([]string{">"}, e)
	case pg.A_Expr_Kind_AEXPR_OP, pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL,
		pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg.A_Expr_Kind_AEXPR_NULLIF,
		pg.A_Expr_Kind_AEXPR_IN, pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE,
		pg.A_Expr_Kind_AEXPR_SIMILAR:
		w.operator(names(n.GetName()), e)
	case pg.A_Expr_Kind_A_EXPR_KIND_UNDEFINED:
		w.opaque("it has an expression of no known kind")
	default:
		w.opaque("it has an expression of no known kind")
	}
	w.compare(n.GetLexpr(), n.GetRexpr())
	w.each(e, n.GetLexpr(), n.GetRexpr())
}

// compare pairs what is on two sides of an operator.
func (w *walker) compare(l, r *pg.Node) {
	if lr, rr := l.GetRowExpr(), r.GetRowExpr(); lr != nil && rr != nil && len(lr.GetArgs()) == len(rr.GetArgs()) {
		for i := range lr.GetArgs() {
			w.compare(lr.GetArgs()[i], rr.GetArgs()[i])
		}
		return
	}
	w.assign(place{column: onlyColumn(l)}, r)
	w.assign(place{column: onlyColumn(r)}, l)
}

// onlyColumn returns the one column that an expression mentions, through
// functions and casts: what is compared with lower(email) tells of email.
func onlyColumn(n *pg.Node) string {
	switch n := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		if parts := names(n.ColumnRef.GetFields()); len(parts) == len(n.ColumnRef.GetFields()) && len(parts) > 0 {
			return parts[len(parts)-1]
		}
	case *pg.Node_TypeCast:
		return onlyColumn(n.TypeCast.GetArg())
	case *pg.Node_CollateClause:
		return onlyColumn(n.CollateClause.GetArg())
	case *pg.Node_AIndirection:
		return onlyColumn(n.AIndirection.GetArg())
	case *pg.Node_FuncCall:
		return oneOf(n.FuncCall.GetArgs())
	case *pg.Node_CoalesceExpr:
		return oneOf(n.CoalesceExpr.GetArgs())
	case *pg.Node_AExpr:
		return oneOf([]*pg.Node{n.AExpr.GetLexpr(), n.AExpr.GetRexpr()})
	}
	return ""
}

func oneOf(nodes []*pg.Node) string {
	column := ""
	for _, n := range nodes {
		switch c := onlyColumn(n); {
		case c == "":
		case column != "" && c != column:
			return ""
		default:
			column = c
		}
	}
	return column
}

// operator notes an operator by its written or implied name.
func (w *walker) operator(parts []string, e env) {
	w.operators.add(strings.Join(parts, "."))
	if !builtinOperator(parts) && !e.stored {
		w.opaque(fmt.Sprintf("it uses the operator %s, which is not PostgreSQL's own", strings.Join(parts, ".")))
	}
}

func (w *walker) subLink(n *pg.SubLink, e env) {
	if len(n.GetOperName()) > 0 {
		w.operator(names(n.GetOperName()), e)
	} else if n.GetTestexpr() != nil { // x IN (SELECT ...)
		w.operator([]string{"="}, e)
	}
	w.each(e, n.GetTestexpr(), n.GetSubselect())
}

func (w *walker) caseExpr(n *pg.CaseExpr, e env) {
	if n.GetArg() != nil {
		w.operator([]string{"="}, e)
		for _, a := range n.GetArgs() {
			w.assign(place{column: onlyColumn(n.GetArg())}, a.GetCaseWhen().GetExpr())
		}
	}
	w.each(e, n.GetArg())
	w.each(e, n.GetArgs()...)
	w.each(e, n.GetDefresult())
}

func (w *walker) indirection(n *pg.A_Indirection, e env) {
	w.each(e, n.GetArg())
	for _, i := range n.GetIndirection() {
		switch i := i.GetNode().(type) {
		case *pg.Node_String_:
			w.attribute(i.String_.GetSval(), false, e)
		case *pg.Node_AStar:
			w.f.WholeRow = true
		case *pg.Node_AIndices:
			w.each(e, i.AIndices.GetLidx(), i.AIndices.GetUidx())
		default:
			w.opaque("it selects a part of a value in a way that Gatestay does not know")
		}
	}
}

// typeName notes a type that is not PostgreSQL's: reading a value of it may
// run a check of its own, which Resolve looks up.
func (w *walker) typeName(n *pg.TypeName, e env) {
	parts := names(n.GetNames())
	switch {
	case len(parts) == 0 || e.stored || builtinType(parts):
	case strings.Contains(strings.Join(parts, ""), "."):
		w.opaque("it casts to a type with a dot in its name") // cannot be told from a qualified one
	default:
		w.types.add(strings.Join(parts, "."))
	}
	w.each(e, n.GetTypmods()...)
}
