package postgres

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// query returns what a statement that returns rows gives. outer is what it may
// name besides its own.
func (p *prover) query(n *pg.Node, outer *scope) rows {
	switch q := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return p.selectStmt(q.SelectStmt, outer)
	case *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		return p.change(n, outer)
	case *pg.Node_CopyStmt:
		if q.CopyStmt.GetQuery() != nil {
			return p.query(q.CopyStmt.GetQuery(), outer)
		}
	}
	p.fail()
	return rows{}
}

func (p *prover) selectStmt(n *pg.SelectStmt, outer *scope) rows {
	at := p.with(n.GetWithClause(), outer.inner())
	var out rows
	switch {
	case len(n.GetValuesLists()) > 0:
		out = p.values(n.GetValuesLists(), at)
	case n.GetOp() != pg.SetOperation_SETOP_NONE && n.GetOp() != pg.SetOperation_SET_OPERATION_UNDEFINED:
		out = p.union(p.selectStmt(n.GetLarg(), at), p.selectStmt(n.GetRarg(), at))
	default:
		var amount derived
		at, amount, out.control = p.fromClause(n.GetFromClause(), nil, at)
		at.amount = amount
		at.windows = p.each(n.GetWindowClause(), at)
		out.outputs, out.open, out.rest, out.amount = p.targets(n.GetTargetList(), at)
		out.amount = out.amount.and(amount)
	}
	limit := p.leniently(at, n.GetLimitCount(), n.GetLimitOffset())
	out.amount = out.amount.and(limit)
	out.control = out.control.and(out.amount, p.leniently(at, n.GetWhereClause(), n.GetHavingClause()),
		p.leniently(at, n.GetGroupClause()...), p.leniently(at, n.GetSortClause()...), p.leniently(at, n.GetDistinctClause()...))
	return out
}

// leniently is each for what decides which rows there are: names of outputs are
// known there too, and what is not understood may be anything.
func (p *prover) leniently(s *scope, nodes ...*pg.Node) derived {
	if p.failed {
		return nil
	}
	d := p.each(nodes, s)
	if p.failed && p.steps <= maxSteps {
		p.failed, p.partial = false, true
		return p.every
	}
	return d
}

// values are the rows of VALUES.
func (p *prover) values(lists []*pg.Node, s *scope) rows {
	var out rows
	for i, row := range lists {
		for j, v := range row.GetList().GetItems() {
			if i == 0 {
				out.outputs = append(out.outputs, output{name: fmt.Sprintf("column%d", j+1)})
			}
			if j >= len(out.outputs) {
				p.fail()
				return rows{}
			}
			out.outputs[j].from = out.outputs[j].from.and(p.node(v, s))
		}
	}
	return out
}

// union is what either of two queries returns, by position; the names are of
// the first.
func (p *prover) union(l, r rows) rows {
	out := rows{amount: l.amount.and(r.amount), control: l.control.and(r.control)}
	switch {
	case l.open && r.open:
		out.open, out.rest = true, l.all().and(r.all())
	case l.open:
		for _, o := range r.outputs {
			out.outputs = append(out.outputs, output{from: o.from.and(l.all())})
		}
	case r.open:
		for _, o := range l.outputs {
			out.outputs = append(out.outputs, output{name: o.name, from: o.from.and(r.all())})
		}
	case len(l.outputs) != len(r.outputs):
		p.fail()
	default:
		for i, o := range l.outputs {
			out.outputs = append(out.outputs, output{name: o.name, from: o.from.and(r.outputs[i].from)})
		}
	}
	return out
}

// targets are the columns of a target list.
func (p *prover) targets(list []*pg.Node, s *scope) (out []output, open bool, rest, amount derived) {
	outside := p.produced
	p.produced = nil
	for _, t := range list {
		r := t.GetResTarget()
		val := r.GetVal()
		if ref := val.GetColumnRef(); ref != nil {
			if parts := names(ref.GetFields()); len(parts) < len(ref.GetFields()) {
				for _, it := range p.starred(parts, s) {
					out = append(out, it.outputs...)
					open, rest = open || it.open, rest.and(it.rest)
				}
				continue
			}
			o := p.column(ref, s)
			if r.GetName() != "" {
				o.name = r.GetName()
			}
			out = append(out, o)
			continue
		}
		d := p.node(val, s)
		if ind := val.GetAIndirection().GetIndirection(); len(ind) > 0 && ind[len(ind)-1].GetAStar() != nil {
			open, rest = true, rest.and(d)
			continue
		}
		name := r.GetName()
		if parts := names(val.GetFuncCall().GetFuncname()); name == "" && len(parts) > 0 {
			name = parts[len(parts)-1]
		}
		out = append(out, output{name: name, from: d})
	}
	amount, p.produced = p.produced, outside
	return out, open, rest, amount
}

// with makes the queries of a WITH clause known.
func (p *prover) with(c *pg.WithClause, s *scope) *scope {
	if c == nil {
		return s
	}
	known := s.ctes
	if c.GetRecursive() {
		known = &withScope{byName: map[string]*withQuery{}, outer: s.ctes}
	}
	for _, n := range c.GetCtes() {
		q := &withQuery{node: n.GetCommonTableExpr(), env: &scope{outer: s.outer, ctes: known}}
		if c.GetRecursive() {
			known.byName[q.node.GetCtename()] = q
			continue
		}
		known = &withScope{byName: map[string]*withQuery{q.node.GetCtename(): q}, outer: known}
	}
	for w := known; w != s.ctes; w = w.outer {
		for _, q := range w.byName {
			if q.node.GetCtequery().GetSelectStmt() == nil { // it runs, named or not
				p.withRows(q)
			}
		}
	}
	return &scope{outer: s.outer, ctes: known}
}

// withRows evaluates a query of a WITH clause; one that refers to itself until
// nothing is added.
func (p *prover) withRows(q *withQuery) rows {
	if q.done || q.busy {
		return q.rows
	}
	q.busy = true
	q.rows = rows{open: true} // of itself nothing is known at first
	const most = 64
	for i := 0; ; i++ {
		now := p.query(q.node.GetCtequery(), q.env).renamed(names(q.node.GetAliascolnames()))
		if q.node.GetSearchClause() != nil || q.node.GetCycleClause() != nil {
			now.open, now.rest = true, now.all() // they add columns
		}
		if i == most {
			p.fail()
		}
		if p.failed {
			break
		}
		if i > 0 && now.within(&q.rows) {
			break
		}
		if i > 0 {
			now = now.joined(&q.rows)
		}
		q.rows = now
	}
	q.busy, q.done = false, true
	return q.rows
}

// within reports that r derives from nothing that o does not.
func (r *rows) within(o *rows) bool {
	if len(r.outputs) != len(o.outputs) || r.open != o.open || !subset(r.rest, o.rest) || !subset(r.amount, o.amount) || !subset(r.control, o.control) {
		return false
	}
	for i := range r.outputs {
		if r.outputs[i].name != o.outputs[i].name || r.outputs[i].origin != o.outputs[i].origin || !subset(r.outputs[i].from, o.outputs[i].from) {
			return false
		}
	}
	return true
}

func subset(d, of derived) bool { return len(of.and(d)) == len(of) }

// joined is what either derives from; r says how many outputs there are.
func (r rows) joined(o *rows) rows {
	r.rest, r.amount, r.control = r.rest.and(o.rest), r.amount.and(o.amount), r.control.and(o.control)
	outputs := make([]output, len(r.outputs))
	for i, c := range r.outputs {
		if i < len(o.outputs) {
			c.from = c.from.and(o.outputs[i].from)
		}
		outputs[i] = c
	}
	r.outputs = outputs
	return r
}
