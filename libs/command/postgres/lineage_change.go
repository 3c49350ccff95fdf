package postgres

import (
	"cmp"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// statement reads a statement of the top level.
func (p *prover) statement(n *pg.Node) rows {
	switch s := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		out := p.selectStmt(s.SelectStmt, &level{})
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
		p.storeAll(p.query(s.CreateTableAsStmt.GetQuery(), &level{}), into.GetRel(), names(into.GetColNames()))
		return rows{}
	case *pg.Node_ViewStmt:
		p.storeAll(p.query(s.ViewStmt.GetQuery(), &level{}), s.ViewStmt.GetView(), names(s.ViewStmt.GetAliases()))
		return rows{}
	}
	return p.query(n, &level{})
}

// storeAll notes that the columns of a new relation are stored.
func (p *prover) storeAll(r rows, rv *pg.RangeVar, columns []string) {
	r = p.names.Renamed(r, columns)
	schema := p.path.schema(rv.GetSchemaname())
	temp := rv.GetRelpersistence() == "t" || temporary(rv.GetSchemaname())
	switch {
	case temp:
		schema = cmp.Or(p.path.temp, "pg_temp")
	case schema == "":
		schema = p.path.creation()
	}
	for _, c := range r.Columns {
		p.store(c.Value, command.Column{Schema: schema, Table: rv.GetRelname(), Name: cmp.Or(c.Name, "*")}, temp)
	}
	if r.Open() {
		p.store(r.Rest("*"), command.Column{Schema: schema, Table: rv.GetRelname(), Name: "*"}, temp)
	}
}

// store notes that a value comes to lie somewhere, if its mask is not on it there.
func (p *prover) store(o trace, to command.Column, temp bool) {
	if len(o.from) == 0 {
		return
	}
	over := command.Column{}
	if to.Table != "" {
		over = p.masks.over(to)
	}
	plain := false
	if o.origin != (ColumnRef{}) {
		_, plain, _ = p.masks.column(o.origin.OID, o.origin.Number)
	}
	for _, c := range o.from {
		if over == (command.Column{}) || c != over {
			p.copies.add(command.Copy{From: c, To: to, Temporary: temp, Plain: plain && len(o.from) == 1 && over == (command.Column{}), Over: over})
		}
	}
}

// assign notes what SET assigns.
func (p *prover) assign(target *target, list []*pg.Node, s *level) {
	for _, t := range list {
		r := t.GetResTarget()
		o := trace{from: p.node(r.GetVal(), s)}
		if ref := r.GetVal().GetColumnRef(); ref != nil {
			o = p.column(ref, s)
		}
		p.store(o, target.place(r.GetName()), target.temporary())
		p.subscripts(target, r, s)
	}
}

// subscripts notes what those of a target store: where in it a value lies.
func (p *prover) subscripts(target *target, r *pg.ResTarget, s *level) {
	p.store(trace{from: p.each(r.GetIndirection(), s)}, target.place(r.GetName()), target.temporary())
}

// change is what INSERT, UPDATE, DELETE or MERGE returns. The target's columns
// derive from what they are, and from what the statement writes to them.
func (p *prover) change(n *pg.Node, outer *level) rows {
	var (
		at        = outer.Inner()
		rv        *pg.RangeVar
		returning []*pg.Node
		list      []*pg.Node
		sub       rows // what is inserted
		unordered bool // what a star of all is, is not known
	)
	switch c := n.GetNode().(type) {
	case *pg.Node_InsertStmt:
		at = p.names.With(c.InsertStmt.GetWithClause(), at)
		rv, returning = c.InsertStmt.GetRelation(), c.InsertStmt.GetReturningList()
		if c.InsertStmt.GetSelectStmt() != nil {
			sub = p.query(c.InsertStmt.GetSelectStmt(), at)
		}
	case *pg.Node_UpdateStmt:
		at = p.names.With(c.UpdateStmt.GetWithClause(), at)
		rv, returning, list = c.UpdateStmt.GetRelation(), c.UpdateStmt.GetReturningList(), c.UpdateStmt.GetFromClause()
	case *pg.Node_DeleteStmt:
		at = p.names.With(c.DeleteStmt.GetWithClause(), at)
		rv, returning, list = c.DeleteStmt.GetRelation(), c.DeleteStmt.GetReturningList(), c.DeleteStmt.GetUsingClause()
	case *pg.Node_MergeStmt:
		at = p.names.With(c.MergeStmt.GetWithClause(), at)
		rv, returning, unordered = c.MergeStmt.GetRelation(), c.MergeStmt.GetReturningList(), true
		list = []*pg.Node{c.MergeStmt.GetSourceRelation()}
	}
	it, ok := p.Relation(rv)
	if !ok {
		p.fail()
		return rows{}
	}
	into := &target{item: it, rel: p.masks.catalog.find(p.path, rv.GetSchemaname(), rv.GetRelname())}
	into.Bare, into.Named = true, true
	if a := rv.GetAlias(); a != nil {
		into.Alias, into.Schema = a.GetAliasname(), ""
		into.Rows = p.names.Renamed(into.Rows, names(a.GetColnames()))
	}
	at, _ = p.names.From(list, []item{into.item}, at)
	for _, alias := range []string{"old", "new"} {
		if p.names.Find("", alias, at) == nil {
			it := into.item
			it.Alias, it.Schema, it.Bare = alias, "", false
			at.Items = append(at.Items, it)
		}
	}
	p.stored(n, into, sub, at)
	at.Amount = p.Union(at.Amount, sub.Amount)
	out := p.targets(returning, at)
	out.Control.from = p.every
	out.Amount = p.Union(out.Amount, at.Amount)
	if unordered && slices.ContainsFunc(returning, starOfAll) && !out.Open() {
		out.Rest = scope.Always(trace{})
	}
	return out
}

// stored notes what a statement stores in its target.
func (p *prover) stored(n *pg.Node, target *target, sub rows, at *level) {
	switch c := n.GetNode().(type) {
	case *pg.Node_InsertStmt:
		cols := make([]string, 0, len(c.InsertStmt.GetCols()))
		for _, col := range c.InsertStmt.GetCols() {
			cols = append(cols, col.GetResTarget().GetName())
			p.subscripts(target, col.GetResTarget(), at)
		}
		p.insert(target, cols, sub)
		if set := c.InsertStmt.GetOnConflictClause().GetTargetList(); len(set) > 0 {
			excluded := item{Alias: "excluded", Named: true, Rows: rows{Rest: scope.Always(trace{from: p.all(&sub)})}}
			p.assign(target, set, at.Over(target.item, excluded))
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
				p.subscripts(target, col.GetResTarget(), at)
			}
			var values rows
			for _, v := range when.GetValues() {
				o := trace{from: p.node(v, at)}
				if ref := v.GetColumnRef(); ref != nil {
					o = p.column(ref, at)
				}
				values.Columns = append(values.Columns, scope.Column[trace]{Value: o})
			}
			p.insert(target, cols, values)
		}
	}
}

// insert notes what goes into which column, by position.
func (p *prover) insert(target *target, cols []string, values rows) {
	if len(cols) == 0 {
		for _, c := range target.rel.Columns {
			cols = append(cols, c.Name)
		}
	}
	if values.Open() { // any value may go into any column
		for _, c := range cols {
			p.store(trace{from: p.all(&values)}, target.place(c), target.temporary())
		}
		return
	}
	for i, c := range values.Columns {
		if i >= len(cols) {
			p.fail()
			return
		}
		p.store(c.Value, target.place(cols[i]), target.temporary())
	}
}

// starOfAll reports a target that is a star without a name before it.
func starOfAll(n *pg.Node) bool {
	f := n.GetResTarget().GetVal().GetColumnRef().GetFields()
	return len(f) == 1 && f[0].GetAStar() != nil
}
