package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// statement follows one statement and returns the columns that it gives.
func (c *comparer) statement(n *pg.Node, s *compareScope) compareRows {
	switch v := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return c.query(v.SelectStmt, s)
	case *pg.Node_InsertStmt:
		return c.insert(v.InsertStmt, s)
	case *pg.Node_UpdateStmt:
		return c.update(v.UpdateStmt, s)
	case *pg.Node_DeleteStmt:
		return c.remove(v.DeleteStmt, s)
	case *pg.Node_MergeStmt:
		return c.mergeStatement(v.MergeStmt, s)
	case *pg.Node_ExplainStmt:
		return c.statement(v.ExplainStmt.GetQuery(), s)
	case *pg.Node_DeclareCursorStmt:
		return c.statement(v.DeclareCursorStmt.GetQuery(), s)
	case *pg.Node_CreateTableAsStmt:
		return c.statement(v.CreateTableAsStmt.GetQuery(), s)
	case *pg.Node_PrepareStmt:
		return c.statement(v.PrepareStmt.GetQuery(), s)
	case *pg.Node_ExecuteStmt: // where it is known what it runs, Referred says
		c.budget = 0
	case *pg.Node_ViewStmt:
		return c.kept(v.ViewStmt.GetQuery(), s)
	case *pg.Node_CopyStmt:
		c.copy(v.CopyStmt, s)
	case nil:
	default:
		c.uses(c.kin(n, s), command.Other)
	}
	return compareRows{}
}

// kept follows a statement that is stored and runs later.
func (c *comparer) kept(n *pg.Node, s *compareScope) compareRows {
	before := c.stored
	c.stored = true
	out := c.statement(n, s)
	c.stored = before
	return out
}

// checked notes a use of a column that is named without a scope; an expression
// has no name here.
func (c *comparer) checked(rv *pg.RangeVar, name string, use command.Use) {
	if name != "" {
		c.note(comparison{Comparison: command.Comparison{Column: command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname(), Name: name}, Use: use}})
	}
}

func (c *comparer) copy(n *pg.CopyStmt, s *compareScope) {
	if n.GetQuery() != nil {
		c.statement(n.GetQuery(), s)
	}
	if n.GetRelation() == nil {
		return
	}
	c.condition(n.GetWhereClause(), s.Over(c.written(n.GetRelation())))
	if n.GetIsFrom() {
		c.assigned(n.GetRelation(), names(n.GetAttlist()), true)
	}
}

// written is the item of a table that a statement writes.
func (c *comparer) written(rv *pg.RangeVar) compareItem {
	it, _ := c.Relation(rv)
	it.Bare, it.Named = true, true
	if a := rv.GetAlias(); a != nil {
		it.Alias, it.Schema = a.GetAliasname(), ""
		it.Rows = c.names.Renamed(it.Rows, names(a.GetColnames()))
	}
	return it
}

// versions makes the names known by which RETURNING and ON CONFLICT call rows
// of the table.
func (c *comparer) versions(rv *pg.RangeVar, s *compareScope, aliases ...string) *compareScope {
	items := slices.Clone(s.Items)
	for _, alias := range aliases {
		if c.names.Find("", alias, s) == nil {
			it, _ := c.Relation(rv)
			it.Alias, it.Schema, it.Named = alias, "", true
			items = append(items, it)
		}
	}
	return s.Over(items...)
}

// assigned notes that columns get values which keys may check.
func (c *comparer) assigned(rv *pg.RangeVar, cols []string, inserts bool) {
	if inserts && len(cols) == 0 {
		cols = []string{"*"}
	}
	for _, name := range cols {
		c.checked(rv, name, command.Key)
	}
}

func (c *comparer) insert(n *pg.InsertStmt, outer *compareScope) compareRows {
	s := c.names.With(n.GetWithClause(), outer.Inner())
	given := c.query(n.GetSelectStmt().GetSelectStmt(), s)
	s = s.Over(c.written(n.GetRelation()))
	cols := make([]string, 0, len(n.GetCols()))
	for _, t := range n.GetCols() {
		cols = append(cols, t.GetResTarget().GetName())
		c.subscripts(t.GetResTarget(), s)
	}
	c.assigned(n.GetRelation(), cols, true)
	c.inserted(&given, n.GetRelation(), cols)
	if conflict := n.GetOnConflictClause(); conflict != nil {
		c.conflict(conflict, n.GetRelation(), cols, s)
	}
	return c.results(n.GetReturningList(), c.versions(n.GetRelation(), s, "old", "new"))
}

// conflict follows ON CONFLICT: which rows it meets tells whether they exist.
func (c *comparer) conflict(n *pg.OnConflictClause, rv *pg.RangeVar, cols []string, s *compareScope) {
	note := func(name string) {
		col := command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname(), Name: name}
		c.note(comparison{Comparison: command.Comparison{Column: col, Use: command.Conflict}})
	}
	with := c.versions(rv, s, "excluded")
	switch infer := n.GetInfer(); {
	case infer.GetConname() != "":
		note("*")
	case infer == nil:
		for _, name := range cols {
			note(name)
		}
		if len(cols) == 0 {
			note("*")
		}
	default:
		for _, e := range infer.GetIndexElems() {
			if name := e.GetIndexElem().GetName(); name != "" {
				note(name)
			}
			c.uses(c.eval(e.GetIndexElem().GetExpr(), s), command.Conflict)
		}
		c.condition(infer.GetWhereClause(), s)
	}
	c.sets(n.GetTargetList(), rv, with)
	c.condition(n.GetWhereClause(), with)
}

// sets follows the assignments of UPDATE.
func (c *comparer) sets(list []*pg.Node, rv *pg.RangeVar, s *compareScope) {
	var several value
	for _, t := range list {
		r := t.GetResTarget()
		c.assigned(rv, []string{r.GetName()}, false)
		c.given(rv, r.GetName(), command.Key, command.Referred)
		c.given(rv, r.GetName(), command.Expression, command.Checked)
		c.subscripts(r, s)
		if m := r.GetVal().GetMultiAssignRef(); m != nil {
			if m.GetColno() == 1 { // the source is there once a column
				several = c.changed(c.eval(m.GetSource(), s))
			}
			c.rewrites(several, rv, r.GetName())
			continue
		}
		c.rewrites(c.chosen(r.GetVal(), s), rv, r.GetName())
	}
}

// subscripts follows those of a target, as of SET a[i]: they say where its value
// goes, and whether it can.
func (c *comparer) subscripts(r *pg.ResTarget, s *compareScope) {
	for _, i := range r.GetIndirection() {
		if a := i.GetAIndices(); a != nil {
			c.usesAll([]value{c.changed(c.eval(a.GetLidx(), s)), c.changed(c.eval(a.GetUidx(), s))}, command.Expression)
		}
	}
}

// inserted follows what a query or VALUES gives to columns.
func (c *comparer) inserted(given *compareRows, rv *pg.RangeVar, cols []string) {
	if given.Open() && len(given.Columns) == 0 && len(cols) == 0 {
		if rest := given.Rest("*"); len(rest.from) == 1 && rest.from[0].exact { // a table's columns, one by one
			c.rewrites(rest, rv, "*")
			return
		}
	}
	if given.Open() || len(cols) == 0 { // any may go into any
		if len(cols) == 0 {
			cols = []string{"*"}
		}
		all := c.all(given)
		for _, name := range cols {
			c.rewrites(all, rv, name)
		}
		return
	}
	for i, col := range given.Columns {
		if i < len(cols) {
			c.rewrites(col.Value, rv, cols[i])
		}
	}
}

// rewrites notes that a column is given what was computed from others: where it is
// masked, its mask shows of these what it shows of its own values, a first letter
// perhaps, or that two are equal.
func (c *comparer) rewrites(v value, rv *pg.RangeVar, name string) {
	into := command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname(), Name: name}
	for _, o := range v.from {
		x := comparison{Comparison: command.Comparison{Column: o.column, Use: command.Expression, Dotted: o.dotted, Into: into}}
		if o.exact {
			x.Use = command.Other // and one where the masks differ
		}
		c.note(x)
	}
}

// chosen is eval of what a column is given. What chooses among values changes none.
func (c *comparer) chosen(n *pg.Node, s *compareScope) value {
	among := n.GetCoalesceExpr().GetArgs()
	if w := n.GetCaseExpr(); w != nil {
		c.eval(n, s)
		for _, when := range w.GetArgs() {
			among = append(among, when.GetCaseWhen().GetResult())
		}
		among = append(among, w.GetDefresult())
	}
	if len(among) == 0 || !c.spend(len(among)) {
		return c.eval(n, s)
	}
	out := nothing
	for _, a := range among {
		out = c.union(out, c.chosen(a, s))
	}
	return out
}

// given notes a use that depends on what the catalog says of a column.
func (c *comparer) given(rv *pg.RangeVar, name string, use command.Use, what command.Given) {
	c.note(comparison{Comparison: command.Comparison{
		Column: command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname(), Name: name}, Use: use, Given: what,
	}})
}

func (c *comparer) update(n *pg.UpdateStmt, outer *compareScope) compareRows {
	s := c.names.With(n.GetWithClause(), outer.Inner())
	s, _ = c.names.From(n.GetFromClause(), []compareItem{c.written(n.GetRelation())}, s)
	c.sets(n.GetTargetList(), n.GetRelation(), s)
	c.condition(n.GetWhereClause(), s)
	return c.results(n.GetReturningList(), c.versions(n.GetRelation(), s, "old", "new"))
}

func (c *comparer) remove(n *pg.DeleteStmt, outer *compareScope) compareRows {
	s := c.names.With(n.GetWithClause(), outer.Inner())
	s, _ = c.names.From(n.GetUsingClause(), []compareItem{c.written(n.GetRelation())}, s)
	c.condition(n.GetWhereClause(), s)
	c.given(n.GetRelation(), "*", command.Key, command.Referred)
	return c.results(n.GetReturningList(), c.versions(n.GetRelation(), s, "old", "new"))
}

func (c *comparer) mergeStatement(n *pg.MergeStmt, outer *compareScope) compareRows {
	s := c.names.With(n.GetWithClause(), outer.Inner())
	s, _ = c.names.From([]*pg.Node{n.GetSourceRelation()}, []compareItem{c.written(n.GetRelation())}, s)
	c.condition(n.GetJoinCondition(), s)
	for _, w := range n.GetMergeWhenClauses() {
		m := w.GetMergeWhenClause()
		c.condition(m.GetCondition(), s)
		switch m.GetCommandType() { //nolint:exhaustive // the others change no rows
		case pg.CmdType_CMD_DELETE:
			c.given(n.GetRelation(), "*", command.Key, command.Referred)
		case pg.CmdType_CMD_UPDATE:
			c.sets(m.GetTargetList(), n.GetRelation(), s)
		case pg.CmdType_CMD_INSERT:
			cols := make([]string, 0, len(m.GetTargetList()))
			for _, t := range m.GetTargetList() {
				cols = append(cols, t.GetResTarget().GetName())
				c.subscripts(t.GetResTarget(), s)
			}
			c.assigned(n.GetRelation(), cols, true)
			var given compareRows
			for _, v := range m.GetValues() {
				given.Columns = append(given.Columns, scope.Column[value]{Value: c.eval(v, s)})
			}
			c.inserted(&given, n.GetRelation(), cols)
		}
	}
	return c.results(n.GetReturningList(), c.versions(n.GetRelation(), s, "old", "new"))
}
