package postgres

import (
	"cmp"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// statement reads a statement of the top level.
func (p *prover) statement(n *pg.Node) rows {
	switch s := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		out := p.selectStmt(s.SelectStmt, &scope{})
		first := s.SelectStmt
		for first.GetLarg() != nil {
			first = first.GetLarg()
		}
		if into := first.GetIntoClause(); into != nil {
			p.storeAll(out, into.GetRel(), names(into.GetColNames()))
		}
		return out
	case *pg.Node_CreateTableAsStmt:
		into := s.CreateTableAsStmt.GetInto()
		p.storeAll(p.query(s.CreateTableAsStmt.GetQuery(), &scope{}), into.GetRel(), names(into.GetColNames()))
		return rows{}
	case *pg.Node_ViewStmt:
		p.storeAll(p.query(s.ViewStmt.GetQuery(), &scope{}), s.ViewStmt.GetView(), names(s.ViewStmt.GetAliases()))
		return rows{}
	}
	return p.query(n, &scope{})
}

// storeAll notes that the columns of a new relation are stored.
func (p *prover) storeAll(r rows, rv *pg.RangeVar, columns []string) {
	r = r.renamed(columns)
	schema := p.path.schema(rv.GetSchemaname())
	temp := rv.GetRelpersistence() == "t" || temporary(rv.GetSchemaname())
	switch {
	case temp:
		schema = cmp.Or(p.path.temp, "pg_temp")
	case schema == "":
		schema = p.path.creation()
	}
	for _, o := range r.outputs {
		p.store(o, command.Column{Schema: schema, Table: rv.GetRelname(), Name: cmp.Or(o.name, "*")}, temp)
	}
	if r.open {
		p.store(output{from: r.rest}, command.Column{Schema: schema, Table: rv.GetRelname(), Name: "*"}, temp)
	}
}

// store notes that a value comes to lie somewhere, if no mask is on it there.
func (p *prover) store(o output, to command.Column, temp bool) {
	if len(o.from) == 0 || to.Table != "" && p.masks.covered(to) {
		return
	}
	plain := false
	if o.origin != (ColumnRef{}) {
		_, plain, _ = p.masks.column(o.origin.OID, o.origin.Number)
	}
	for _, c := range o.from {
		p.copies.add(command.Copy{From: c, To: to, Temporary: temp, Plain: plain && len(o.from) == 1})
	}
}

// assign notes what SET assigns.
func (p *prover) assign(target *item, list []*pg.Node, s *scope) {
	for _, t := range list {
		r := t.GetResTarget()
		o := output{from: p.node(r.GetVal(), s)}
		if ref := r.GetVal().GetColumnRef(); ref != nil {
			o = p.column(ref, s)
		}
		p.store(o, target.place(r.GetName()), target.temporary())
	}
}

// place is a column of the relation that a statement writes.
func (it *item) place(name string) command.Column { return it.written.column(name) }

func (it *item) temporary() bool { return temporary(it.written.Schema) }

// change is what INSERT, UPDATE, DELETE or MERGE returns. The target's columns
// derive from what they are, and from what the statement writes to them.
func (p *prover) change(n *pg.Node, outer *scope) rows {
	var (
		at        = outer.inner()
		rv        *pg.RangeVar
		returning []*pg.Node
		list      []*pg.Node
		amount    derived
		sub       rows // what is inserted
		unordered bool // what a star of all is, is not known
	)
	switch c := n.GetNode().(type) {
	case *pg.Node_InsertStmt:
		at = p.with(c.InsertStmt.GetWithClause(), at)
		rv, returning = c.InsertStmt.GetRelation(), c.InsertStmt.GetReturningList()
		if c.InsertStmt.GetSelectStmt() != nil {
			sub = p.query(c.InsertStmt.GetSelectStmt(), at)
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
	if p.failed {
		return rows{}
	}
	target.written = target.rel
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
	p.stored(n, &target, sub, at)
	out := rows{control: p.every}
	at.amount = amount.and(more)
	out.outputs, out.open, out.rest, out.amount = p.targets(returning, at)
	out.amount = out.amount.and(at.amount)
	if unordered && slices.ContainsFunc(returning, starOfAll) {
		out.open = true
	}
	return out
}

// stored notes what a statement stores in its target.
func (p *prover) stored(n *pg.Node, target *item, sub rows, at *scope) {
	switch c := n.GetNode().(type) {
	case *pg.Node_InsertStmt:
		cols := make([]string, 0, len(c.InsertStmt.GetCols()))
		for _, col := range c.InsertStmt.GetCols() {
			cols = append(cols, col.GetResTarget().GetName())
		}
		p.insert(target, cols, sub)
		if set := c.InsertStmt.GetOnConflictClause().GetTargetList(); len(set) > 0 {
			excluded := *target
			excluded.alias, excluded.rel, excluded.columns = "excluded", nil, false
			excluded.rows = rows{open: true, rest: sub.all()}
			p.assign(target, set, &scope{items: []item{*target, excluded}, outer: at.outer, ctes: at.ctes})
		}
	case *pg.Node_UpdateStmt:
		p.assign(target, c.UpdateStmt.GetTargetList(), at)
	case *pg.Node_MergeStmt:
		for _, w := range c.MergeStmt.GetMergeWhenClauses() {
			when := w.GetMergeWhenClause()
			if when.GetCommandType() != pg.CmdType_CMD_INSERT {
				p.assign(target, when.GetTargetList(), at)
				continue
			}
			cols := make([]string, 0, len(when.GetTargetList()))
			for _, col := range when.GetTargetList() {
				cols = append(cols, col.GetResTarget().GetName())
			}
			var values rows
			for _, v := range when.GetValues() {
				o := output{from: p.node(v, at)}
				if ref := v.GetColumnRef(); ref != nil {
					o = p.column(ref, at)
				}
				values.outputs = append(values.outputs, o)
			}
			p.insert(target, cols, values)
		}
	}
}

// insert notes what goes into which column, by position.
func (p *prover) insert(target *item, cols []string, values rows) {
	if len(cols) == 0 {
		for _, c := range target.written.Columns {
			cols = append(cols, c.Name)
		}
	}
	if values.open { // any value may go into any column
		for _, c := range cols {
			p.store(output{from: values.all()}, target.place(c), target.temporary())
		}
		return
	}
	for i, o := range values.outputs {
		if i >= len(cols) {
			p.fail()
			return
		}
		p.store(o, target.place(cols[i]), target.temporary())
	}
}

// starOfAll reports a target that is a star without a name before it.
func starOfAll(n *pg.Node) bool {
	f := n.GetResTarget().GetVal().GetColumnRef().GetFields()
	return len(f) == 1 && f[0].GetAStar() != nil
}
