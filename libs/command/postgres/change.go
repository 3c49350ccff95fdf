package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
)

// target notes the table that a statement writes, and returns its frame.
func (w *walker) target(rv *pg.RangeVar, e env, returning bool) *frame {
	w.raise(command.Write)
	w.object(rv, command.Write)
	if returning {
		w.object(rv, command.Read)
		w.ranges["old"], w.ranges["new"] = true, true
	}
	s := w.source(rv, env{})
	s.derived, s.schema, s.table = false, rv.GetSchemaname(), rv.GetRelname()
	for _, name := range []string{s.alias, "old", "new"} {
		w.ranged(name, s.schema, s.table)
	}
	f := &frame{outer: e.from}
	f.add(s)
	if returning {
		f.alias("old", s)
		f.alias("new", s)
	}
	return f
}

func (w *walker) insertStmt(n *pg.InsertStmt, e env) {
	top := e.top
	e.top = false
	e = w.with(n.GetWithClause(), e)
	f := w.target(n.GetRelation(), e, len(n.GetReturningList()) > 0)
	cols := make([]string, 0, len(n.GetCols()))
	for _, c := range n.GetCols() {
		cols = append(cols, c.GetResTarget().GetName())
		w.column(command.Column{Schema: f.items[0].schema, Table: f.items[0].table, Name: c.GetResTarget().GetName()}, e)
		if carries(c.ProtoReflect()) { // in its subscripts
			w.computed.add(command.Column{Schema: f.items[0].schema, Table: f.items[0].table, Name: c.GetResTarget().GetName()})
		}
		w.each(e, c.GetResTarget().GetIndirection()...)
	}
	if len(cols) == 0 {
		w.positional(n.GetRelation())
	}
	sel := n.GetSelectStmt().GetSelectStmt()
	for _, row := range sel.GetValuesLists() {
		w.assignRow(cols, row.GetList().GetItems())
	}
	if len(sel.GetTargetList()) > 0 {
		values := make([]*pg.Node, 0, len(sel.GetTargetList()))
		for _, t := range sel.GetTargetList() {
			values = append(values, t.GetResTarget().GetVal())
		}
		w.assignRow(cols, values)
	}
	w.inserted(f.items[0], cols, sel)
	w.each(e, n.GetSelectStmt())
	own := e
	own.from = f
	if c := n.GetOnConflictClause(); c != nil {
		w.ranges["excluded"] = true
		f.alias("excluded", f.items[0])
		if c.GetAction() == pg.OnConflictAction_ONCONFLICT_UPDATE {
			w.set(c.GetTargetList(), own)
			w.changes(e)
		}
		w.message(own, c.GetInfer())
		where := own
		where.filter = true
		w.each(where, c.GetWhereClause())
	}
	w.targets(n.GetReturningList(), own, top)
}

// inserted notes the columns of an INSERT that take their values from other
// columns, of the query or of a sub-select.
func (w *walker) inserted(into source, cols []string, sel *pg.SelectStmt) {
	if sel == nil {
		return
	}
	if len(sel.GetValuesLists()) > 0 && len(cols) > 0 {
		for _, row := range sel.GetValuesLists() {
			for i, v := range row.GetList().GetItems() {
				if i < len(cols) && carries(v.ProtoReflect()) {
					w.computed.add(command.Column{Schema: into.schema, Table: into.table, Name: cols[i]})
				}
			}
		}
		return
	}
	if !carries(sel.ProtoReflect()) {
		return
	}
	if len(cols) == 0 {
		cols = []string{"*"}
	}
	for _, c := range cols {
		w.computed.add(command.Column{Schema: into.schema, Table: into.table, Name: c})
	}
}

// positional notes the table whose columns are meant by their position. Where
// a statement has two such tables, positions tell nothing.
func (w *walker) positional(rv *pg.RangeVar) {
	t := command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname()}
	w.column(command.Column{Schema: t.Schema, Table: t.Table, Name: "*"}, env{})
	if w.f.Positional == (command.Column{}) {
		w.f.Positional = t
	} else if w.f.Positional != t {
		w.f.Positional = command.Column{Name: "?"}
	}
}

// assignRow pairs values with the columns at the same place.
func (w *walker) assignRow(cols []string, values []*pg.Node) {
	for i, v := range values {
		switch {
		case i < len(cols):
			w.assign(place{column: cols[i]}, v)
		case len(cols) == 0:
			w.assign(place{position: i + 1}, v)
		}
	}
}

// changes notes that rows which exist may change.
func (w *walker) changes(e env) { w.f.Changes = w.f.Changes || !e.stored }

func (w *walker) updateStmt(n *pg.UpdateStmt, e env) {
	w.changes(e)
	top := e.top
	e.top = false
	e = w.with(n.GetWithClause(), e)
	f := w.target(n.GetRelation(), e, len(n.GetReturningList()) > 0)
	for _, item := range n.GetFromClause() {
		w.sources(item, e, f)
	}
	e.from = f
	w.each(e, n.GetFromClause()...)
	w.set(n.GetTargetList(), e)
	w.where(n.GetWhereClause(), e)
	w.targets(n.GetReturningList(), e, top)
}

// set walks the assignments of UPDATE.
func (w *walker) set(list []*pg.Node, e env) {
	for _, t := range list {
		r := t.GetResTarget()
		c := command.Column{Schema: e.from.items[0].schema, Table: e.from.items[0].table, Name: r.GetName()}
		w.column(c, e)
		if carries(r.ProtoReflect()) {
			w.computed.add(c)
		}
		w.each(e, r.GetIndirection()...)
		val := r.GetVal()
		if m := val.GetMultiAssignRef(); m != nil {
			if row := m.GetSource().GetRowExpr(); row != nil && int(m.GetColno()) <= len(row.GetArgs()) && m.GetColno() > 0 {
				w.assign(place{column: r.GetName()}, row.GetArgs()[m.GetColno()-1])
			}
		}
		w.assign(place{column: r.GetName()}, val)
		w.each(e, val)
	}
}

// where walks the condition of UPDATE or DELETE and says whether it restricts
// the rows.
func (w *walker) where(cond *pg.Node, e env) {
	if !e.stored && !restricts(cond) {
		w.f.Filtered = false
	}
	e.filter = true
	w.each(e, cond)
}

func (w *walker) deleteStmt(n *pg.DeleteStmt, e env) {
	w.changes(e)
	top := e.top
	e.top = false
	e = w.with(n.GetWithClause(), e)
	f := w.target(n.GetRelation(), e, len(n.GetReturningList()) > 0)
	for _, item := range n.GetUsingClause() {
		w.sources(item, e, f)
	}
	e.from = f
	w.each(e, n.GetUsingClause()...)
	w.where(n.GetWhereClause(), e)
	w.targets(n.GetReturningList(), e, top)
}

func (w *walker) mergeStmt(n *pg.MergeStmt, e env) {
	w.changes(e)
	top := e.top
	e.top = false
	e = w.with(n.GetWithClause(), e)
	f := w.target(n.GetRelation(), e, len(n.GetReturningList()) > 0)
	w.sources(n.GetSourceRelation(), e, f)
	e.from = f
	w.each(e, n.GetSourceRelation())
	w.where(n.GetJoinCondition(), e)
	for _, c := range n.GetMergeWhenClauses() {
		m := c.GetMergeWhenClause()
		when := e
		when.filter = true
		w.each(when, m.GetCondition())
		if m.GetCommandType() == pg.CmdType_CMD_INSERT {
			cols := make([]string, 0, len(m.GetTargetList()))
			for _, t := range m.GetTargetList() {
				cols = append(cols, t.GetResTarget().GetName())
				into := command.Column{Schema: f.items[0].schema, Table: f.items[0].table, Name: t.GetResTarget().GetName()}
				w.column(into, e)
				if carries(t.ProtoReflect()) { // in its subscripts
					w.computed.add(into)
				}
				w.each(e, t.GetResTarget().GetIndirection()...)
			}
			if len(cols) == 0 {
				w.positional(n.GetRelation())
			}
			w.assignRow(cols, m.GetValues())
			w.inserted(f.items[0], cols, &pg.SelectStmt{ValuesLists: []*pg.Node{
				{Node: &pg.Node_List{List: &pg.List{Items: m.GetValues()}}},
			}})
			w.each(e, m.GetValues()...)
			continue
		}
		w.set(m.GetTargetList(), e)
		w.each(e, m.GetValues()...)
	}
	w.targets(n.GetReturningList(), e, top)
}

// restricts reports that a condition can keep rows out: it mentions a column,
// and is not made true by an arm of OR that does not.
func restricts(n *pg.Node) bool {
	switch b := n.GetNode().(type) {
	case nil:
		return false
	case *pg.Node_BoolExpr:
		any := func(args []*pg.Node) bool { return slices.ContainsFunc(args, restricts) }
		all := func(args []*pg.Node) bool {
			return !slices.ContainsFunc(args, func(a *pg.Node) bool { return !restricts(a) })
		}
		if b.BoolExpr.GetBoolop() == pg.BoolExprType_OR_EXPR {
			return all(b.BoolExpr.GetArgs())
		}
		return any(b.BoolExpr.GetArgs())
	case *pg.Node_AExpr: // id = id restricts nothing
		l, r := b.AExpr.GetLexpr().GetColumnRef(), b.AExpr.GetRexpr().GetColumnRef()
		if l != nil && r != nil && slices.Equal(names(l.GetFields()), names(r.GetFields())) {
			return false
		}
	}
	return mentionsColumn(n.ProtoReflect())
}

// mentionsColumn looks for a column, or a cursor's place, anywhere below m.
func mentionsColumn(m protoreflect.Message) bool {
	return mentions(m, func(m protoreflect.ProtoMessage) bool {
		switch m.(type) {
		case *pg.ColumnRef, *pg.CurrentOfExpr:
			return true
		}
		return false
	})
}

// carries looks for what brings stored data into a value: a column, or a large
// object.
func carries(m protoreflect.Message) bool {
	return mentions(m, func(m protoreflect.ProtoMessage) bool {
		switch n := m.(type) {
		case *pg.ColumnRef, *pg.CurrentOfExpr:
			return true
		case *pg.FuncCall:
			_, name := split(names(n.GetFuncname()))
			return readsLargeObject(name)
		}
		return false
	})
}

func mentions(m protoreflect.Message, what func(protoreflect.ProtoMessage) bool) bool {
	if what(m.Interface()) {
		return true
	}
	if n, ok := m.Interface().(*pg.Node); ok {
		fd := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
		return n.GetNode() != nil && fd != nil && mentions(m.Get(fd).Message(), what)
	}
	for child := range below(m) {
		if mentions(child, what) {
			return true
		}
	}
	return false
}
