package postgres

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// query returns what a statement that returns rows gives. outer is what it may
// name besides its own.
func (p *prover) query(n *pg.Node, outer *level) rows {
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

func (p *prover) selectStmt(n *pg.SelectStmt, outer *level) rows {
	at := p.names.With(n.GetWithClause(), outer.Inner())
	var out rows
	switch {
	case len(n.GetValuesLists()) > 0:
		out = p.values(n.GetValuesLists(), at)
	case n.GetOp() != pg.SetOperation_SETOP_NONE && n.GetOp() != pg.SetOperation_SET_OPERATION_UNDEFINED:
		out = p.union(p.selectStmt(n.GetLarg(), at), p.selectStmt(n.GetRarg(), at))
	default:
		var control trace
		at, control = p.names.From(n.GetFromClause(), nil, at)
		at.Windows.from = p.each(n.GetWindowClause(), at)
		out = p.targets(n.GetTargetList(), at)
		out.Control = control
		out.Amount.from = out.Amount.from.and(at.Amount.from)
	}
	out.Amount.from = out.Amount.from.and(p.leniently(at, n.GetLimitCount(), n.GetLimitOffset()))
	out.Control.from = out.Control.from.and(out.Amount.from, p.leniently(at, n.GetWhereClause(), n.GetHavingClause()),
		p.leniently(at, n.GetGroupClause()...), p.leniently(at, n.GetSortClause()...), p.leniently(at, n.GetDistinctClause()...))
	return out
}

// leniently is each for what decides which rows there are: names of outputs are
// known there too, and what is not understood may be anything.
func (p *prover) leniently(s *level, nodes ...*pg.Node) derived {
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
func (p *prover) values(lists []*pg.Node, s *level) rows {
	var out rows
	for i, row := range lists {
		for j, v := range row.GetList().GetItems() {
			if i == 0 {
				out.Columns = append(out.Columns, scope.Column[trace]{Name: fmt.Sprintf("column%d", j+1)})
			}
			if j >= len(out.Columns) {
				p.fail()
				return rows{}
			}
			out.Columns[j].Value.from = out.Columns[j].Value.from.and(p.node(v, s))
		}
	}
	return out
}

// union is what either of two queries returns, by position; the names are of
// the first.
func (p *prover) union(l, r rows) rows {
	out := rows{Amount: p.Union(l.Amount, r.Amount), Control: p.Union(l.Control, r.Control)}
	add := func(name string, from derived) {
		out.Columns = append(out.Columns, scope.Column[trace]{Name: name, Value: trace{from: from}})
	}
	switch {
	case l.Open() && r.Open():
		out.Rest = scope.Always(trace{from: p.all(&l).and(p.all(&r))})
	case l.Open():
		for _, c := range r.Columns {
			add("", c.Value.from.and(p.all(&l)))
		}
	case r.Open():
		for _, c := range l.Columns {
			add(c.Name, c.Value.from.and(p.all(&r)))
		}
	case len(l.Columns) != len(r.Columns):
		p.fail()
	default:
		for i, c := range l.Columns {
			add(c.Name, c.Value.from.and(r.Columns[i].Value.from))
		}
	}
	return out
}

// targets are the columns of a target list.
func (p *prover) targets(list []*pg.Node, s *level) (out rows) {
	outside := p.produced
	p.produced = nil
	for _, t := range list {
		r := t.GetResTarget()
		val := r.GetVal()
		if ref := val.GetColumnRef(); ref != nil {
			if parts := names(ref.GetFields()); len(parts) < len(ref.GetFields()) {
				for _, it := range p.starred(parts, s) {
					p.names.Star(&out, &it.Rows)
				}
				continue
			}
			out.Columns = append(out.Columns, scope.Column[trace]{Name: scope.ResultName(r), Value: p.column(ref, s)})
			continue
		}
		v := trace{from: p.node(val, s)}
		if ind := val.GetAIndirection().GetIndirection(); len(ind) > 0 && ind[len(ind)-1].GetAStar() != nil {
			p.names.Star(&out, &rows{Rest: scope.Always(v)})
			continue
		}
		out.Columns = append(out.Columns, scope.Column[trace]{Name: scope.ResultName(r), Value: v})
	}
	out.Amount.from, p.produced = p.produced, outside
	return out
}
