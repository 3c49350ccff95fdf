package postgres

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// query follows a query and returns its columns.
func (c *comparer) query(n *pg.SelectStmt, outer *compareScope) *columns {
	out := &columns{}
	if n == nil || !c.spend(1) {
		return out
	}
	s := outer.inner()
	c.with(n.GetWithClause(), s)
	switch op := n.GetOp(); {
	case op != pg.SetOperation_SETOP_NONE && op != pg.SetOperation_SET_OPERATION_UNDEFINED:
		out = c.setOperation(n, s)
	case len(n.GetValuesLists()) > 0:
		out = c.rows(n.GetValuesLists(), s)
	default:
		for _, item := range n.GetFromClause() {
			c.from(item, s)
		}
		out = c.results(n.GetTargetList(), s)
		c.condition(n.GetWhereClause(), s)
		c.condition(n.GetHavingClause(), s)
	}
	c.distinct(n.GetDistinctClause(), out, s)
	for _, g := range n.GetGroupClause() {
		c.grouping(g, out, s)
	}
	for _, w := range n.GetWindowClause() {
		c.window(w.GetWindowDef(), s)
	}
	c.limits(n, out, s)
	return out
}

// limits follows what orders the rows of a query, and says how many come.
func (c *comparer) limits(n *pg.SelectStmt, out *columns, s *compareScope) {
	for _, by := range n.GetSortClause() {
		c.uses(c.sortKey(by.GetSortBy().GetNode(), out, s), command.Order)
	}
	c.uses(c.union(c.eval(n.GetLimitCount(), s), c.eval(n.GetLimitOffset(), s)), command.Other)
}

// rows are the columns of VALUES.
func (c *comparer) rows(lists []*pg.Node, s *compareScope) *columns {
	out := &columns{}
	for _, row := range lists {
		for i, v := range row.GetList().GetItems() {
			val := c.eval(v, s)
			if i == len(out.list) {
				out.list = append(out.list, named{columnName(i), val})
				continue
			}
			if i < len(out.list) {
				out.list[i].value = c.union(out.list[i].value, val)
			}
		}
	}
	return out
}

// results are the columns of a target list.
func (c *comparer) results(list []*pg.Node, s *compareScope) *columns {
	out := &columns{}
	for _, t := range list {
		r := t.GetResTarget()
		ref := r.GetVal().GetColumnRef()
		if parts := names(ref.GetFields()); ref != nil && len(parts) < len(ref.GetFields()) {
			c.expand(parts, s, out)
			continue
		}
		if ind := r.GetVal().GetAIndirection(); ind != nil && endsInStar(ind) { // (row).*
			out.any = c.union(out.any, c.changed(c.eval(ind.GetArg(), s)))
			continue
		}
		out.list = append(out.list, named{resultName(r), c.eval(r.GetVal(), s)})
	}
	return out
}

func endsInStar(n *pg.A_Indirection) bool {
	for _, i := range n.GetIndirection() {
		if i.GetAStar() != nil {
			return true
		}
	}
	return false
}

// expand adds what a star stands for.
func (c *comparer) expand(qualifier []string, s *compareScope, out *columns) {
	if len(qualifier) > 1 {
		out.stars = append(out.stars, command.Column{Schema: qualifier[len(qualifier)-2], Table: qualifier[len(qualifier)-1]})
		return
	}
	for level := s; level != nil && c.spend(len(level.items)); level = level.outer {
		for _, i := range level.items {
			if len(qualifier) == 1 && i.alias != qualifier[0] {
				continue
			}
			if i.columns == nil {
				out.stars = append(out.stars, i.table)
				continue
			}
			if !c.spend(len(i.columns.list) + len(i.columns.stars)) {
				return
			}
			out.list = append(out.list, i.columns.list...)
			out.stars = append(out.stars, i.columns.stars...)
			out.any = c.union(out.any, i.columns.any)
		}
		if len(qualifier) == 0 { // a star of all is of its own level
			return
		}
	}
}

// resultName is the name that the server gives a result column.
func resultName(r *pg.ResTarget) string {
	if r.GetName() != "" {
		return r.GetName()
	}
	n := r.GetVal()
	for {
		switch v := n.GetNode().(type) {
		case *pg.Node_ColumnRef:
			if parts := names(v.ColumnRef.GetFields()); len(parts) > 0 {
				return parts[len(parts)-1]
			}
			return ""
		case *pg.Node_TypeCast:
			n = v.TypeCast.GetArg()
			if n.GetColumnRef() == nil && n.GetFuncCall() == nil && n.GetTypeCast() == nil {
				_, name := split(names(v.TypeCast.GetTypeName().GetNames()))
				return name
			}
		case *pg.Node_CollateClause:
			n = v.CollateClause.GetArg()
		case *pg.Node_FuncCall:
			_, name := split(names(v.FuncCall.GetFuncname()))
			return name
		case *pg.Node_AIndirection:
			if list := names(v.AIndirection.GetIndirection()); len(list) > 0 {
				return list[len(list)-1]
			}
			n = v.AIndirection.GetArg()
		case *pg.Node_CoalesceExpr:
			return "coalesce"
		case *pg.Node_CaseExpr:
			return "case"
		case *pg.Node_RowExpr:
			return "row"
		case *pg.Node_AArrayExpr:
			return "array"
		case *pg.Node_MinMaxExpr:
			if v.MinMaxExpr.GetOp() == pg.MinMaxOp_IS_LEAST {
				return "least"
			}
			return "greatest"
		case *pg.Node_SubLink:
			return subLinkName(v.SubLink)
		default:
			return "?column?"
		}
	}
}

func subLinkName(n *pg.SubLink) string {
	switch n.GetSubLinkType() { //nolint:exhaustive // the others have no name of their own
	case pg.SubLinkType_EXISTS_SUBLINK:
		return "exists"
	case pg.SubLinkType_ARRAY_SUBLINK:
		return "array"
	case pg.SubLinkType_EXPR_SUBLINK:
		if list := n.GetSubselect().GetSelectStmt().GetTargetList(); len(list) > 0 {
			return resultName(list[0].GetResTarget())
		}
	}
	return "?column?"
}

// distinct follows DISTINCT and DISTINCT ON.
func (c *comparer) distinct(list []*pg.Node, out *columns, s *compareScope) {
	on := false
	for _, d := range list {
		if d.GetNode() != nil {
			on = true
			c.groups(c.sortKey(d, out, s))
		}
	}
	if len(list) > 0 && !on {
		c.groupsAll(out)
	}
}

// groupsAll notes that equal rows come together.
func (c *comparer) groupsAll(cols *columns) {
	for _, n := range cols.list {
		c.groups(n.value)
	}
	for _, t := range cols.stars {
		t.Name = "*"
		c.groups(value{from: []origin{{column: t, exact: true}}})
	}
	c.groups(cols.any)
}

func (c *comparer) grouping(n *pg.Node, out *columns, s *compareScope) {
	if set := n.GetGroupingSet(); set != nil {
		for _, g := range set.GetContent() {
			c.grouping(g, out, s)
		}
		return
	}
	if row := n.GetRowExpr(); row != nil {
		for _, g := range row.GetArgs() {
			c.grouping(g, out, s)
		}
		return
	}
	c.groups(c.sortKey(n, out, s))
}

// sortKey is what an entry of ORDER BY, GROUP BY or DISTINCT ON stands for: a
// position or a name of the result, or an expression over the FROM items. Where
// it may be either, it is taken for both.
func (c *comparer) sortKey(n *pg.Node, out *columns, s *compareScope) value {
	if k, ok := n.GetNode().(*pg.Node_AConst); ok && k.AConst.GetIval() != nil {
		return c.at(out, int(k.AConst.GetIval().GetIval()))
	}
	if ref := n.GetColumnRef(); ref != nil {
		if parts := names(ref.GetFields()); len(parts) == 1 && len(ref.GetFields()) == 1 {
			// A plain column under its own name is found in the FROM items alike.
			if v, ok := c.named(out, parts[0]); ok {
				if len(s.items) == 0 {
					return v
				}
				return c.merge(v, c.reference(ref, s))
			}
		}
	}
	return c.eval(n, s)
}

// merge is a value that is either of two, one of which does not exist.
func (c *comparer) merge(a, b value) value {
	if len(a.from) == 0 && a.mixed { // an expression over no column has its name
		return c.union(b, value{})
	}
	v := c.union(value{from: a.from}, value{from: b.from})
	v.mixed = a.mixed || b.mixed
	return v
}

func (c *comparer) window(w *pg.WindowDef, s *compareScope) {
	if w == nil {
		return
	}
	for _, p := range w.GetPartitionClause() {
		c.groups(c.eval(p, s))
	}
	for _, by := range w.GetOrderClause() {
		c.uses(c.eval(by.GetSortBy().GetNode(), s), command.Order)
	}
	c.uses(c.union(c.eval(w.GetStartOffset(), s), c.eval(w.GetEndOffset(), s)), command.Other)
}

// setOperation follows UNION, INTERSECT and EXCEPT.
func (c *comparer) setOperation(n *pg.SelectStmt, s *compareScope) *columns {
	l, r := c.query(n.GetLarg(), s), c.query(n.GetRarg(), s)
	return c.combine(n, l, r)
}

func (c *comparer) combine(n *pg.SelectStmt, l, r *columns) *columns {
	out := &columns{}
	if plain := len(l.stars)+len(r.stars)+len(l.any.from)+len(r.any.from) == 0; plain && len(l.list) == len(r.list) {
		for i := range l.list {
			out.list = append(out.list, named{l.list[i].name, c.union(l.list[i].value, r.list[i].value)})
		}
	} else { // which column meets which cannot be told
		out.any = c.union(c.all(l), c.all(r))
		for _, n := range l.list {
			out.list = append(out.list, named{n.name, c.changed(out.any)})
		}
	}
	if n.GetOp() != pg.SetOperation_SETOP_UNION {
		for i := range out.list {
			if len(out.any.from) == 0 {
				c.compared(l.list[i].value, r.list[i].value)
			}
		}
		c.uses(out.any, command.Other)
	} else if !n.GetAll() {
		c.groupsAll(out)
	}
	return out
}

// with follows the queries of a WITH clause, and makes them known.
func (c *comparer) with(w *pg.WithClause, s *compareScope) {
	for _, n := range w.GetCtes() {
		q := n.GetCommonTableExpr()
		if q == nil || !c.spend(1) {
			continue
		}
		var cols *columns
		if sel := q.GetCtequery().GetSelectStmt(); w.GetRecursive() && sel.GetOp() == pg.SetOperation_SETOP_UNION {
			cols = c.recursive(q, sel, s)
		} else {
			cols = c.statement(q.GetCtequery(), s)
		}
		cols = c.renamed(cols, names(q.GetAliascolnames()))
		if q.GetSearchClause() != nil || q.GetCycleClause() != nil {
			c.uses(c.all(cols), command.Other)
			cols.any = c.union(cols.any, c.all(cols)) // and has columns of other names
		}
		s.ctes = &cteScope{outer: s.ctes, name: q.GetCtename(), columns: cols}
	}
	if w.GetRecursive() { // one may name another that comes after it
		c.forward(w, s)
	}
}

// recursive follows a recursive query until its columns have all they can get.
func (c *comparer) recursive(q *pg.CommonTableExpr, n *pg.SelectStmt, s *compareScope) *columns {
	inner := s.inner()
	c.with(n.GetWithClause(), inner)
	first := c.query(n.GetLarg(), inner)
	out := first
	for c.spend(1) {
		before := c.size(out)
		again := inner.inner()
		again.ctes = &cteScope{outer: inner.ctes, name: q.GetCtename(), columns: c.renamed(out, names(q.GetAliascolnames()))}
		next := c.combine(n, out, c.query(n.GetRarg(), again))
		out = next
		if c.size(out) == before {
			break
		}
	}
	c.limits(n, out, inner)
	return out
}

func (c *comparer) size(cols *columns) int {
	n := len(cols.any.from) + len(cols.stars)
	for _, x := range cols.list {
		n += len(x.value.from)
		if x.value.mixed {
			n++
		}
	}
	return n
}

// forward finds a WITH query that uses one that comes after it: it is not
// followed, and all that both mention is used in ways that are not understood.
func (c *comparer) forward(w *pg.WithClause, s *compareScope) {
	later := map[string]bool{}
	for i := len(w.GetCtes()) - 1; i >= 0; i-- {
		q := w.GetCtes()[i].GetCommonTableExpr()
		for _, name := range c.relationsBelow(q.GetCtequery()) {
			if later[name] {
				c.budget = 0 // rare: nothing is known
			}
		}
		later[q.GetCtename()] = true
	}
}
