package postgres

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// verb sets the verb of a statement: of the outermost, not of those inside.
func (w *walker) verb(v string) {
	if w.f.Verb == "" {
		w.f.Verb = v
	}
}

// statement reads one statement by its kind. Every kind has a case in one of
// the functions that it asks; one that has none is unknown.
func (w *walker) statement(n *pg.Node, e env) {
	switch s := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		if e.top && w.setsOnly(s.SelectStmt) {
			return
		}
		switch {
		case s.SelectStmt.GetIntoClause() != nil:
			w.verb("select into")
		case len(s.SelectStmt.GetValuesLists()) > 0:
			w.verb("values")
		default:
			w.verb("select")
		}
		w.selectStmt(s.SelectStmt, e)
	case *pg.Node_InsertStmt:
		w.verb("insert")
		w.insertStmt(s.InsertStmt, e)
	case *pg.Node_UpdateStmt:
		w.verb("update")
		w.updateStmt(s.UpdateStmt, e)
	case *pg.Node_DeleteStmt:
		w.verb("delete")
		w.deleteStmt(s.DeleteStmt, e)
	case *pg.Node_MergeStmt:
		w.verb("merge")
		w.mergeStmt(s.MergeStmt, e)
	default:
		if w.session(n, e) || w.wrapped(n, e) || w.admin(n, e) || w.define(n, e) || w.alter(n, e) {
			return
		}
		w.opaque(fmt.Sprintf("it is of a kind that Gatestay does not know (%T)", s))
		w.each(e, n)
	}
}

// wrapped reads a statement that holds another.
func (w *walker) wrapped(n *pg.Node, e env) bool {
	switch s := n.GetNode().(type) {
	case *pg.Node_ExplainStmt:
		w.explain(s.ExplainStmt, e)
	case *pg.Node_PrepareStmt:
		w.verb("prepare")
		w.each(e, s.PrepareStmt.GetArgtypes()...)
		w.statement(s.PrepareStmt.GetQuery(), e)
	case *pg.Node_DeclareCursorStmt:
		w.verb("declare")
		w.statement(s.DeclareCursorStmt.GetQuery(), e)
	case *pg.Node_CreateTableAsStmt:
		if s.CreateTableAsStmt.GetObjtype() == pg.ObjectType_OBJECT_MATVIEW {
			w.verb("create materialized view")
		} else {
			w.verb("create table as")
		}
		w.intoClause(s.CreateTableAsStmt.GetInto(), e)
		e.top = false // its columns become those of the new table
		w.statement(s.CreateTableAsStmt.GetQuery(), e)
		w.f.Confined = w.f.Verb == "create table as"
	case *pg.Node_CopyStmt:
		w.copyStmt(s.CopyStmt, e)
	case *pg.Node_ExecuteStmt:
		w.verb("execute")
		w.opaque("EXECUTE runs a statement that was given earlier by PREPARE: send it itself, or use the driver's prepared statements")
		w.each(e, s.ExecuteStmt.GetParams()...)
	case *pg.Node_DoStmt:
		w.verb("do")
		w.opaque("DO runs code that Gatestay does not read")
	case *pg.Node_CallStmt:
		w.verb("call")
		w.opaque("CALL runs a procedure that Gatestay does not read")
		w.message(e, s.CallStmt.GetFunccall())
	case *pg.Node_FetchStmt:
		w.verb("fetch")
		if s.FetchStmt.GetIsmove() {
			w.f.Verb = "move"
		}
		w.opaque("FETCH returns rows of a query that was decided at DECLARE, which Gatestay does not follow yet")
	default:
		return false
	}
	return true
}

// explain reads EXPLAIN: it only reads, unless it runs the statement.
func (w *walker) explain(s *pg.ExplainStmt, e env) {
	w.verb("explain")
	analyze := false
	for _, o := range s.GetOptions() {
		d := o.GetDefElem()
		switch {
		case d.GetDefname() == "analyze":
			analyze = analyze || !switchedOff(d.GetArg())
		default:
			w.each(e, d.GetArg())
		}
	}
	e.top = false // the result is a plan
	w.statement(s.GetQuery(), e)
	if analyze || w.f.Class == command.Unknown {
		return
	}
	w.f.Class, w.f.Filtered, w.f.Changes, w.keeps = command.Read, true, false, keptNothing
	var objects set[command.Object]
	for _, o := range w.objects.list {
		if !o.New {
			o.Access = command.Read
			objects.add(o)
		}
	}
	w.objects = objects
}

// switchedOff reports that an option is plainly false.
func switchedOff(n *pg.Node) bool {
	switch v := n.GetNode().(type) {
	case *pg.Node_String_:
		s := v.String_.GetSval()
		return s == "off" || s == "false"
	case *pg.Node_Boolean:
		return !v.Boolean.GetBoolval()
	case *pg.Node_Integer:
		return v.Integer.GetIval() == 0
	default:
		return false
	}
}
