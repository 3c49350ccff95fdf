package postgres

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// query follows a query and returns its columns.
func (c *comparer) query(n *pg.SelectStmt, outer *compareScope) (out compareRows) {
	if n == nil || !c.spend(1) {
		return out
	}
	s := c.names.With(n.GetWithClause(), outer.Inner())
	switch op := n.GetOp(); {
	case op != pg.SetOperation_SETOP_NONE && op != pg.SetOperation_SET_OPERATION_UNDEFINED:
		out = c.combine(n, c.query(n.GetLarg(), s), c.query(n.GetRarg(), s))
	case len(n.GetValuesLists()) > 0:
		out = c.rows(n.GetValuesLists(), s)
	default:
		s, _ = c.names.From(n.GetFromClause(), nil, s)
		out = c.results(n.GetTargetList(), s)
		c.condition(n.GetWhereClause(), s)
		c.condition(n.GetHavingClause(), s)
	}
	c.distinct(n.GetDistinctClause(), &out, s)
	for _, g := range n.GetGroupClause() {
		c.grouping(g, &out, s)
	}
	for _, w := range n.GetWindowClause() {
		c.window(w.GetWindowDef(), s)
	}
	for _, by := range n.GetSortClause() {
		c.uses(c.sortKey(by.GetSortBy().GetNode(), &out, s), command.Order)
	}
	c.uses(c.union(c.eval(n.GetLimitCount(), s), c.eval(n.GetLimitOffset(), s)), command.Other)
	return out
}

// rows are the columns of VALUES.
func (c *comparer) rows(lists []*pg.Node, s *compareScope) (out compareRows) {
	for _, row := range lists {
		for i, v := range row.GetList().GetItems() {
			val := c.eval(v, s)
			if i == len(out.Columns) {
				out.Columns = append(out.Columns, scope.Column[value]{Name: fmt.Sprintf("column%d", i+1), Value: val})
				continue
			}
			out.Columns[i].Value = c.union(out.Columns[i].Value, val)
		}
	}
	return out
}

// results are the columns of a target list.
func (c *comparer) results(list []*pg.Node, s *compareScope) (out compareRows) {
	for _, t := range list {
		r := t.GetResTarget()
		ref := r.GetVal().GetColumnRef()
		if parts := names(ref.GetFields()); ref != nil && len(parts) < len(ref.GetFields()) {
			c.spend(s.Width())
			star := c.starred(parts, s)
			c.names.Star(&out, &star)
			continue
		}
		if ind := r.GetVal().GetAIndirection(); ind != nil && endsInStar(ind) { // (row).*
			c.names.Star(&out, &compareRows{Rest: scope.Always(c.changed(c.eval(ind.GetArg(), s)))})
			continue
		}
		out.Columns = append(out.Columns, scope.Column[value]{Name: scope.ResultName(r), Value: c.eval(r.GetVal(), s)})
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

// distinct follows DISTINCT and DISTINCT ON.
func (c *comparer) distinct(list []*pg.Node, out *compareRows, s *compareScope) {
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
func (c *comparer) groupsAll(r *compareRows) {
	for _, col := range r.Columns {
		c.groups(col.Value)
	}
	if !r.Open() {
		return
	}
	rest := r.Rest("*")
	if rest.mixed {
		c.groups(rest)
		return
	}
	for _, o := range rest.from {
		c.groups(value{from: []origin{o}})
	}
}

func (c *comparer) grouping(n *pg.Node, out *compareRows, s *compareScope) {
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
func (c *comparer) sortKey(n *pg.Node, out *compareRows, s *compareScope) value {
	if k, ok := n.GetNode().(*pg.Node_AConst); ok && k.AConst.GetIval() != nil {
		return c.names.At(out, int(k.AConst.GetIval().GetIval()))
	}
	if ref := n.GetColumnRef(); ref != nil {
		if parts := names(ref.GetFields()); len(parts) == 1 && len(ref.GetFields()) == 1 {
			// A plain column under its own name is found in the FROM items alike.
			if v, ok := c.names.ByName(out, parts[0]); ok {
				if len(s.Items) == 0 {
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

// combine follows UNION, INTERSECT and EXCEPT.
func (c *comparer) combine(n *pg.SelectStmt, l, r compareRows) (out compareRows) {
	union := n.GetOp() == pg.SetOperation_SETOP_UNION
	if l.Open() || r.Open() || len(l.Columns) != len(r.Columns) { // which column meets which cannot be told
		all := c.union(c.all(&l), c.all(&r))
		if out.Rest = scope.Always(all); !union {
			c.uses(all, command.Other)
		}
	}
	for i := range l.Columns {
		if out.Open() {
			break
		}
		a, b := l.Columns[i], r.Columns[i]
		out.Columns = append(out.Columns, scope.Column[value]{Name: a.Name, Value: c.union(a.Value, b.Value)})
		if !union {
			c.compared(a.Value, b.Value)
		}
	}
	if union && !n.GetAll() {
		c.groupsAll(&out)
	}
	return out
}
