package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// change is what INSERT, UPDATE, DELETE or MERGE returns. The target's columns
// derive from what they are, and from what the statement writes to them.
func (p *prover) change(n *pg.Node, outer *scope) rows {
	var (
		at        = outer.inner()
		rv        *pg.RangeVar
		returning []*pg.Node
		list      []*pg.Node
		amount    derived
		unordered bool // what a star of all is, is not known
	)
	switch c := n.GetNode().(type) {
	case *pg.Node_InsertStmt:
		at = p.with(c.InsertStmt.GetWithClause(), at)
		rv, returning = c.InsertStmt.GetRelation(), c.InsertStmt.GetReturningList()
		if c.InsertStmt.GetSelectStmt() != nil {
			sub := p.query(c.InsertStmt.GetSelectStmt(), at)
			amount = sub.amount
		}
	case *pg.Node_UpdateStmt:
		at = p.with(c.UpdateStmt.GetWithClause(), at)
		rv, returning, list = c.UpdateStmt.GetRelation(), c.UpdateStmt.GetReturningList(), c.UpdateStmt.GetFromClause()
	case *pg.Node_DeleteStmt:
		at = p.with(c.DeleteStmt.GetWithClause(), at)
		rv, returning, list = c.DeleteStmt.GetRelation(), c.DeleteStmt.GetReturningList(), c.DeleteStmt.GetUsingClause()
	case *pg.Node_MergeStmt:
		at = p.with(c.MergeStmt.GetWithClause(), at)
		rv, returning, unordered = c.MergeStmt.GetRelation(), c.MergeStmt.GetReturningList(), true
		list = []*pg.Node{c.MergeStmt.GetSourceRelation()}
	}
	target := item{columns: true, name: true}
	p.base(rv, &target)
	if a := rv.GetAlias(); a != nil {
		target.alias, target.rel = a.GetAliasname(), nil
		target.rows = target.renamed(names(a.GetColnames()))
	}
	at, more, _ := p.fromClause(list, []item{target}, at)
	for _, alias := range []string{"old", "new"} {
		if p.named([]string{alias}, at) == nil {
			it := target
			it.alias, it.rel, it.columns = alias, nil, false
			at.items = append(at.items, it)
		}
	}
	out := rows{control: p.every}
	at.amount = amount.and(more)
	out.outputs, out.open, out.rest, out.amount = p.targets(returning, at)
	out.amount = out.amount.and(at.amount)
	if unordered && slices.ContainsFunc(returning, starOfAll) {
		out.open = true
	}
	return out
}

// starOfAll reports a target that is a star without a name before it.
func starOfAll(n *pg.Node) bool {
	f := n.GetResTarget().GetVal().GetColumnRef().GetFields()
	return len(f) == 1 && f[0].GetAStar() != nil
}
