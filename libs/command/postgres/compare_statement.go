package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
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

// kin follows a statement of another kind: all columns that are mentioned in
// it, in conditions of an index, a policy or a check, are used in a way that
// is not understood.
func (c *comparer) kin(n *pg.Node, s *compareScope) value {
	c.stored = true
	inner := s.Inner()
	m := inside(n)
	for child := range below(m) {
		if wrapped, ok := child.Interface().(*pg.Node); ok && wrapped.GetRangeVar() != nil {
			inner.Items = append(inner.Items, c.written(wrapped.GetRangeVar()))
		} else if rv, ok := child.Interface().(*pg.RangeVar); ok {
			inner.Items = append(inner.Items, c.written(rv))
		}
	}
	if alter := n.GetAlterTableStmt(); alter != nil {
		c.keys(alter.GetRelation(), m)
	}
	if index := n.GetIndexStmt(); index.GetUnique() {
		for _, e := range index.GetIndexParams() {
			c.checked(index.GetRelation(), e.GetIndexElem().GetName(), command.Other)
		}
	}
	return c.children(m, inner)
}

// keys follows keys that a table with rows is given: whether they hold tells
// whether values are there, or there twice.
func (c *comparer) keys(rv *pg.RangeVar, m protoreflect.Message) {
	for child := range below(m) {
		k, ok := child.Interface().(*pg.Constraint)
		if !ok {
			c.keys(rv, child)
			continue
		}
		switch k.GetContype() { //nolint:exhaustive // the others are conditions, or ask nothing
		case pg.ConstrType_CONSTR_FOREIGN:
			c.assigned(k.GetPktable(), names(k.GetPkAttrs()), true)
			for _, name := range names(k.GetFkAttrs()) {
				c.checked(rv, name, command.Other)
			}
		case pg.ConstrType_CONSTR_PRIMARY, pg.ConstrType_CONSTR_UNIQUE, pg.ConstrType_CONSTR_EXCLUSION:
			for _, name := range names(k.GetKeys()) {
				c.checked(rv, name, command.Other)
			}
			for _, e := range k.GetExclusions() {
				for _, item := range e.GetList().GetItems() {
					c.checked(rv, item.GetIndexElem().GetName(), command.Other)
				}
			}
		}
	}
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
	c.query(n.GetSelectStmt().GetSelectStmt(), s)
	s = s.Over(c.written(n.GetRelation()))
	cols := make([]string, 0, len(n.GetCols()))
	for _, t := range n.GetCols() {
		cols = append(cols, t.GetResTarget().GetName())
	}
	c.assigned(n.GetRelation(), cols, true)
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
	for _, t := range list {
		r := t.GetResTarget()
		c.assigned(rv, []string{r.GetName()}, false)
		if m := r.GetVal().GetMultiAssignRef(); m != nil {
			if m.GetColno() == 1 { // the source is there once a column
				c.eval(m.GetSource(), s)
			}
			continue
		}
		c.eval(r.GetVal(), s)
	}
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
	return c.results(n.GetReturningList(), c.versions(n.GetRelation(), s, "old", "new"))
}

func (c *comparer) mergeStatement(n *pg.MergeStmt, outer *compareScope) compareRows {
	s := c.names.With(n.GetWithClause(), outer.Inner())
	s, _ = c.names.From([]*pg.Node{n.GetSourceRelation()}, []compareItem{c.written(n.GetRelation())}, s)
	c.condition(n.GetJoinCondition(), s)
	for _, w := range n.GetMergeWhenClauses() {
		m := w.GetMergeWhenClause()
		c.condition(m.GetCondition(), s)
		if m.GetCommandType() != pg.CmdType_CMD_INSERT {
			c.sets(m.GetTargetList(), n.GetRelation(), s)
			continue
		}
		cols := make([]string, 0, len(m.GetTargetList()))
		for _, t := range m.GetTargetList() {
			cols = append(cols, t.GetResTarget().GetName())
		}
		c.assigned(n.GetRelation(), cols, true)
		for _, v := range m.GetValues() {
			c.eval(v, s)
		}
	}
	return c.results(n.GetReturningList(), c.versions(n.GetRelation(), s, "old", "new"))
}
