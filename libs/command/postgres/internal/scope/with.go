package scope

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// with has the queries of WITH clauses, innermost first.
type with[V any] struct {
	byName map[string]*query[V]
	outer  *with[V]
}

// query is one query of a WITH clause.
type query[V any] struct {
	node *pg.CommonTableExpr
	env  *Scope[V]
	// done: rows are final; busy: they are so far, while it is being read.
	done, busy bool
	rows       Rows[V]
}

func (w *with[V]) find(name string) *query[V] {
	for ; w != nil; w = w.outer {
		if q := w.byName[name]; q != nil {
			return q
		}
	}
	return nil
}

// With makes the queries of a WITH clause known.
func (a *Analysis[V]) With(c *pg.WithClause, s *Scope[V]) *Scope[V] {
	if c == nil {
		return s
	}
	known := s.with
	if c.GetRecursive() {
		known = &with[V]{byName: map[string]*query[V]{}, outer: s.with}
	}
	var all []*query[V]
	for _, n := range c.GetCtes() {
		q := &query[V]{node: n.GetCommonTableExpr(), env: &Scope[V]{Outer: s.Outer, with: known}}
		all = append(all, q)
		if c.GetRecursive() {
			known.byName[q.node.GetCtename()] = q
			continue
		}
		known = &with[V]{byName: map[string]*query[V]{q.node.GetCtename(): q}, outer: known}
	}
	for _, q := range all {
		if a.Eager || q.node.GetCtequery().GetSelectStmt() == nil { // it runs, named or not
			a.rows(q)
		}
	}
	return &Scope[V]{Outer: s.Outer, with: known}
}

// mostRounds bounds how often a query that refers to itself is read.
const mostRounds = 64

// rows reads a query of a WITH clause; one that refers to itself until nothing is
// added.
func (a *Analysis[V]) rows(q *query[V]) Rows[V] {
	if q.done || q.busy {
		return q.rows
	}
	q.busy = true
	recursive := q.env.with.find(q.node.GetCtename()) == q && refers(q.node)
	if recursive {
		q.rows = a.start(q)
	}
	for i := 0; ; i++ {
		if i == mostRounds {
			a.Fail()
			break
		}
		before := a.size(&q.rows)
		q.rows = a.named(q, a.Query(q.node.GetCtequery(), q.env))
		if !recursive || a.size(&q.rows) == before {
			break
		}
	}
	if q.node.GetSearchClause() != nil || q.node.GetCycleClause() != nil { // they add columns
		all := a.All(&q.rows)
		a.Unclear(all)
		a.open(&q.rows, Always(all))
	}
	q.busy, q.done = false, true
	return q.rows
}

// start is what a recursive query knows of itself at first: what its first part
// gives, to which the second only adds.
func (a *Analysis[V]) start(q *query[V]) Rows[V] {
	sel := q.node.GetCtequery().GetSelectStmt()
	if sel.GetLarg() == nil {
		var none V
		return Rows[V]{Rest: Always(none)}
	}
	at := a.With(sel.GetWithClause(), q.env.Inner())
	return a.named(q, a.Query(&pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: sel.GetLarg()}}, at))
}

// named are the rows of a query by the names that its WITH clause gives them.
func (a *Analysis[V]) named(q *query[V], r Rows[V]) Rows[V] {
	return a.Renamed(r, Names(q.node.GetAliascolnames()))
}

// refers reports that a query may name itself.
func refers(q *pg.CommonTableExpr) bool {
	var mentions func(m protoreflect.Message) bool
	mentions = func(m protoreflect.Message) bool {
		if rv, ok := m.Interface().(*pg.RangeVar); ok {
			return rv.GetSchemaname() == "" && rv.GetRelname() == q.GetCtename()
		}
		for child := range Below(m) {
			if mentions(child) {
				return true
			}
		}
		return false
	}
	return mentions(q.GetCtequery().ProtoReflect())
}
