package postgres

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// ctes are the names that one WITH clause defines.
type ctes struct {
	names   map[string]int
	visible int // how many of them, from the first
	outer   *ctes
}

func (c *ctes) has(name string) bool {
	for ; c != nil; c = c.outer {
		if i, ok := c.names[name]; ok && i < c.visible {
			return true
		}
	}
	return false
}

// with walks the queries of a WITH clause and returns the environment in which
// their names are known.
func (w *walker) with(c *pg.WithClause, e env) env {
	if c == nil {
		return e
	}
	all := &ctes{names: make(map[string]int, len(c.GetCtes())), outer: e.ctes}
	for i, n := range c.GetCtes() {
		all.names[n.GetCommonTableExpr().GetCtename()] = i
	}
	all.visible = len(c.GetCtes())
	for i, n := range c.GetCtes() {
		q := n.GetCommonTableExpr()
		w.ranges[q.GetCtename()] = true
		inner := e
		inner.ctes, inner.top, inner.filter, inner.access = all, false, false, ""
		if !c.GetRecursive() { // sees those before it only
			inner.ctes = &ctes{names: all.names, visible: i, outer: e.ctes}
		}
		w.message(inner, q)
		if q.GetCycleClause() != nil {
			w.operator([]string{"="}, e)
			w.operator([]string{"<>"}, e)
			w.message(inner, q.GetCycleClause())
		}
	}
	e.ctes = all
	return e
}

func (w *walker) selectStmt(n *pg.SelectStmt, e env) {
	top := e.top
	e.top, e.filter, e.access = false, false, ""
	e = w.with(n.GetWithClause(), e)
	if into := n.GetIntoClause(); into != nil {
		w.intoClause(into, e)
	}
	if n.GetOp() != pg.SetOperation_SETOP_NONE && n.GetOp() != pg.SetOperation_SET_OPERATION_UNDEFINED {
		w.selectStmt(n.GetLarg(), e)
		w.selectStmt(n.GetRarg(), e)
	}
	f := &frame{outer: e.from}
	for _, item := range n.GetFromClause() {
		w.sources(item, e, f)
	}
	if len(f.items) > 0 || e.from != nil {
		e.from = f
	}
	w.each(e, n.GetFromClause()...)
	w.targets(n.GetTargetList(), e, top)
	where := e
	where.filter = true
	w.each(where, n.GetWhereClause(), n.GetHavingClause())
	w.each(e, n.GetDistinctClause()...)
	w.each(e, n.GetGroupClause()...)
	w.each(e, n.GetWindowClause()...)
	w.each(e, n.GetValuesLists()...)
	w.each(e, n.GetSortClause()...)
	w.each(e, n.GetLimitOffset(), n.GetLimitCount())
	w.each(e, n.GetLockingClause()...)
}

// targets walks what a query returns. A star at the top of a statement gives
// columns that the server names by their origin; anywhere else columns flow
// through it unnamed.
func (w *walker) targets(list []*pg.Node, e env, top bool) {
	for _, t := range list {
		if ref := t.GetResTarget().GetVal().GetColumnRef(); ref != nil && top {
			if parts := names(ref.GetFields()); len(parts) < len(ref.GetFields()) {
				w.star(parts, e)
				continue
			}
		}
		w.each(e, t)
	}
}

// intoClause notes the table that SELECT INTO or CREATE TABLE AS creates.
func (w *walker) intoClause(into *pg.IntoClause, e env) {
	w.raise(command.DDL)
	w.keeps = keptRows
	w.creates(into.GetRel())
	w.each(e, into.GetOptions()...)
}
