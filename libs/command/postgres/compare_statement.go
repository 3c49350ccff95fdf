package postgres

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// statement follows one statement and returns the columns that it gives.
func (c *comparer) statement(n *pg.Node, s *compareScope) *columns {
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
	return &columns{}
}

// kept follows a statement that is stored and runs later.
func (c *comparer) kept(n *pg.Node, s *compareScope) *columns {
	before := c.stored
	c.stored = true
	out := c.statement(n, s)
	c.stored = before
	return out
}

// kin follows a statement of another kind: all columns that are mentioned in
// it, in conditions of an index, a policy or a check, are used in a way that
// is not understood.
func (c *comparer) kin(n *pg.Node, s *compareScope) value {
	c.stored = true
	inner := s.inner()
	m := inside(n)
	for child := range below(m) {
		if wrapped, ok := child.Interface().(*pg.Node); ok && wrapped.GetRangeVar() != nil {
			inner.items = append(inner.items, c.table(wrapped.GetRangeVar(), s))
		} else if rv, ok := child.Interface().(*pg.RangeVar); ok {
			inner.items = append(inner.items, c.table(rv, s))
		}
	}
	return c.children(m, inner)
}

func (c *comparer) copy(n *pg.CopyStmt, s *compareScope) {
	if n.GetQuery() != nil {
		c.statement(n.GetQuery(), s)
	}
	inner := s.inner()
	if n.GetRelation() != nil {
		inner.items = append(inner.items, c.table(n.GetRelation(), s))
	}
	c.condition(n.GetWhereClause(), inner)
	if n.GetIsFrom() && n.GetRelation() != nil {
		c.assigned(inner.items[0], names(n.GetAttlist()), true)
	}
}

// written is the level of a statement that writes a table.
func (c *comparer) written(rv *pg.RangeVar, s *compareScope) *compareItem {
	i := &compareItem{alias: rv.GetRelname(), table: command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname()}}
	if a := rv.GetAlias(); a != nil {
		i.alias = a.GetAliasname()
	}
	s.items = append(s.items, i)
	return i
}

// versions makes the names known by which RETURNING and ON CONFLICT call rows
// of the table.
func (c *comparer) versions(i *compareItem, s *compareScope, aliases ...string) *compareScope {
	inner := s.inner()
	for _, a := range aliases {
		inner.items = append(inner.items, &compareItem{alias: a, table: i.table})
	}
	inner.items = append(inner.items, s.items...)
	return inner
}

// assigned notes that columns get values which keys may check.
func (c *comparer) assigned(i *compareItem, cols []string, inserts bool) {
	if inserts && len(cols) == 0 {
		cols = []string{"*"}
	}
	for _, name := range cols {
		col := i.table
		col.Name = name
		c.note(comparison{Comparison: command.Comparison{Column: col, Use: command.Key}})
	}
}

func (c *comparer) insert(n *pg.InsertStmt, outer *compareScope) *columns {
	s := outer.inner()
	c.with(n.GetWithClause(), s)
	c.query(n.GetSelectStmt().GetSelectStmt(), s)
	i := c.written(n.GetRelation(), s)
	cols := make([]string, 0, len(n.GetCols()))
	for _, t := range n.GetCols() {
		cols = append(cols, t.GetResTarget().GetName())
	}
	c.assigned(i, cols, true)
	if conflict := n.GetOnConflictClause(); conflict != nil {
		c.conflict(conflict, i, cols, s)
	}
	return c.results(n.GetReturningList(), c.versions(i, s, "old", "new"))
}

// conflict follows ON CONFLICT: which rows it meets tells whether they exist.
func (c *comparer) conflict(n *pg.OnConflictClause, i *compareItem, cols []string, s *compareScope) {
	note := func(name string) {
		col := i.table
		col.Name = name
		c.note(comparison{Comparison: command.Comparison{Column: col, Use: command.Conflict}})
	}
	with := c.versions(i, s, "excluded")
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
	c.sets(n.GetTargetList(), i, with)
	c.condition(n.GetWhereClause(), with)
}

// sets follows the assignments of UPDATE.
func (c *comparer) sets(list []*pg.Node, i *compareItem, s *compareScope) {
	for _, t := range list {
		r := t.GetResTarget()
		c.assigned(i, []string{r.GetName()}, false)
		if m := r.GetVal().GetMultiAssignRef(); m != nil {
			if m.GetColno() == 1 { // the source is there once a column
				c.eval(m.GetSource(), s)
			}
			continue
		}
		c.eval(r.GetVal(), s)
	}
}

func (c *comparer) update(n *pg.UpdateStmt, outer *compareScope) *columns {
	s := outer.inner()
	c.with(n.GetWithClause(), s)
	i := c.written(n.GetRelation(), s)
	for _, f := range n.GetFromClause() {
		c.from(f, s)
	}
	c.sets(n.GetTargetList(), i, s)
	c.condition(n.GetWhereClause(), s)
	return c.results(n.GetReturningList(), c.versions(i, s, "old", "new"))
}

func (c *comparer) remove(n *pg.DeleteStmt, outer *compareScope) *columns {
	s := outer.inner()
	c.with(n.GetWithClause(), s)
	i := c.written(n.GetRelation(), s)
	for _, f := range n.GetUsingClause() {
		c.from(f, s)
	}
	c.condition(n.GetWhereClause(), s)
	return c.results(n.GetReturningList(), c.versions(i, s, "old", "new"))
}

func (c *comparer) mergeStatement(n *pg.MergeStmt, outer *compareScope) *columns {
	s := outer.inner()
	c.with(n.GetWithClause(), s)
	i := c.written(n.GetRelation(), s)
	c.from(n.GetSourceRelation(), s)
	c.condition(n.GetJoinCondition(), s)
	for _, w := range n.GetMergeWhenClauses() {
		m := w.GetMergeWhenClause()
		c.condition(m.GetCondition(), s)
		if m.GetCommandType() != pg.CmdType_CMD_INSERT {
			c.sets(m.GetTargetList(), i, s)
			continue
		}
		cols := make([]string, 0, len(m.GetTargetList()))
		for _, t := range m.GetTargetList() {
			cols = append(cols, t.GetResTarget().GetName())
		}
		c.assigned(i, cols, true)
		for _, v := range m.GetValues() {
			c.eval(v, s)
		}
	}
	return c.results(n.GetReturningList(), c.versions(i, s, "old", "new"))
}
