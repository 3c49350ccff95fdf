package postgres

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// define reads a statement that creates an object. Expressions that are only
// stored (defaults of a new table, bodies, the query of a view) do not run
// now: what they call is named, and does not make the statement unknown.
func (w *walker) define(n *pg.Node, e env) bool {
	e.top, e.access = false, command.DDL
	stored := e
	stored.stored = true
	switch s := n.GetNode().(type) {
	case *pg.Node_CreateStmt:
		w.ddl("create table")
		w.createStmt(s.CreateStmt, e)
		if w.f.Verb == "create table" { // not of a CREATE SCHEMA
			w.makes = makingOf(s.CreateStmt)
		}
	case *pg.Node_CreateForeignTableStmt:
		w.ddl("create foreign table")
		w.secretOptions()
		w.createStmt(s.CreateForeignTableStmt.GetBaseStmt(), e)
		w.f.Confined = false
	case *pg.Node_CreateSchemaStmt:
		w.createSchema(s.CreateSchemaStmt, e)
	case *pg.Node_IndexStmt:
		w.ddl("create index")
		w.f.Confined = true
		w.children(s.IndexStmt.ProtoReflect(), w.over(s.IndexStmt.GetRelation(), e))
	case *pg.Node_ViewStmt:
		w.ddl("create view")
		w.keeps = keptQuery
		w.creates(s.ViewStmt.GetView())
		w.each(stored, s.ViewStmt.GetQuery())
		w.each(stored, s.ViewStmt.GetOptions()...)
	case *pg.Node_CreateSeqStmt:
		w.ddl("create sequence")
		w.f.Confined = true
		w.creates(s.CreateSeqStmt.GetSequence())
		w.each(stored, s.CreateSeqStmt.GetOptions()...)
	case *pg.Node_CreateTrigStmt:
		w.ddl("create trigger")
		w.define1("function", names(s.CreateTrigStmt.GetFuncname()), false)
		w.children(s.CreateTrigStmt.ProtoReflect(), stored)
	case *pg.Node_RuleStmt:
		w.ddl("create rule")
		w.keeps = keptQuery
		w.object(s.RuleStmt.GetRelation(), command.DDL)
		w.each(stored, s.RuleStmt.GetWhereClause())
		for _, a := range s.RuleStmt.GetActions() {
			w.statement(a, stored)
		}
	case *pg.Node_CreatePolicyStmt:
		w.ddl("create policy")
		w.children(s.CreatePolicyStmt.ProtoReflect(), w.over(s.CreatePolicyStmt.GetTable(), stored))
	case *pg.Node_CreateFunctionStmt:
		if s.CreateFunctionStmt.GetIsProcedure() {
			w.ddl("create procedure")
		} else {
			w.ddl("create function")
		}
		w.define1("function", names(s.CreateFunctionStmt.GetFuncname()), true)
		w.children(s.CreateFunctionStmt.ProtoReflect(), stored)
	case *pg.Node_CreateDomainStmt:
		w.ddl("create domain")
		w.define1("type", names(s.CreateDomainStmt.GetDomainname()), true)
		w.children(s.CreateDomainStmt.ProtoReflect(), stored)
	case *pg.Node_CreateEnumStmt:
		w.ddl("create type")
		w.define1("type", names(s.CreateEnumStmt.GetTypeName()), true)
	case *pg.Node_CreateRangeStmt:
		w.ddl("create type")
		w.define1("type", names(s.CreateRangeStmt.GetTypeName()), true)
	case *pg.Node_CompositeTypeStmt:
		w.ddl("create type")
		rv := s.CompositeTypeStmt.GetTypevar()
		w.define1("type", []string{rv.GetSchemaname(), rv.GetRelname()}, true)
	case *pg.Node_DefineStmt:
		words, kind, _, cluster := kindOf(s.DefineStmt.GetKind())
		w.ddl("create " + words)
		if cluster {
			w.raise(command.Admin)
		}
		w.define1(kind, names(s.DefineStmt.GetDefnames()), true)
	case *pg.Node_CreateOpClassStmt:
		w.ddl("create operator class")
		w.define1("operator class", names(s.CreateOpClassStmt.GetOpclassname()), true)
	case *pg.Node_CreateOpFamilyStmt:
		w.ddl("create operator family")
		w.define1("operator family", names(s.CreateOpFamilyStmt.GetOpfamilyname()), true)
	case *pg.Node_CreateConversionStmt:
		w.ddl("create conversion")
		w.define1("conversion", names(s.CreateConversionStmt.GetConversionName()), true)
	case *pg.Node_CreateStatsStmt:
		w.ddl("create statistics")
		w.define1("statistics", names(s.CreateStatsStmt.GetDefnames()), true)
		w.each(e, s.CreateStatsStmt.GetRelations()...)
		if r := s.CreateStatsStmt.GetRelations(); len(r) == 1 {
			e = w.over(r[0].GetRangeVar(), e)
		}
		w.each(e, s.CreateStatsStmt.GetExprs()...)
	default:
		return false
	}
	return true
}

func (w *walker) ddl(verb string) {
	w.verb(verb)
	w.raise(command.DDL)
}

// createStmt reads CREATE TABLE. Its defaults and checks are stored; the
// bounds of a partition are computed now.
func (w *walker) createStmt(s *pg.CreateStmt, e env) {
	w.creates(s.GetRelation())
	w.f.Confined = s.GetPartbound() == nil && len(s.GetInhRelations()) == 0 && s.GetOfTypename() == nil &&
		!slices.ContainsFunc(s.GetTableElts(), func(n *pg.Node) bool { return n.GetTableLikeClause() != nil })
	if s.GetPartbound() != nil {
		w.message(e, s.GetPartbound())
	}
	e.stored = true
	w.each(e, s.GetTableElts()...)
	w.each(e, s.GetInhRelations()...)
	w.each(e, s.GetConstraints()...)
	w.message(e, s.GetPartspec())
	w.message(e, s.GetOfTypename())
}

// createSchema reads CREATE SCHEMA with the statements inside, whose objects
// come to lie in the new schema.
func (w *walker) createSchema(s *pg.CreateSchemaStmt, e env) {
	w.ddl("create schema")
	name := s.GetSchemaname()
	if name == "" {
		name = s.GetAuthrole().GetRolename()
	}
	w.define1("schema", []string{name}, true)
	for _, el := range s.GetSchemaElts() {
		w.statement(el, e)
	}
	w.f.Confined = false
	var objects set[command.Object]
	for _, o := range w.objects.list {
		if o.New && o.Kind != "schema" && o.Schema == "" {
			o.Schema = name
		}
		objects.add(o)
	}
	w.objects = objects
}

// columnDef reads a column of a new or altered table, or of a function in
// FROM. Its type is no cast where the column is only made.
func (w *walker) columnDef(n *pg.ColumnDef, e env) {
	typ := e
	typ.stored = e.stored || e.access == command.DDL
	if n.GetTypeName() != nil {
		w.typeName(n.GetTypeName(), typ)
		if parts := names(n.GetTypeName().GetNames()); e.access == command.DDL && !builtinType(parts) && !has(serialTypes, parts[len(parts)-1]) {
			w.columnTypes = append(w.columnTypes, strings.Join(parts, "."))
		}
	}
	w.each(e, n.GetRawDefault())
	w.each(e, n.GetConstraints()...)
	w.each(e, n.GetFdwoptions()...)
}

// serialTypes are the grammar's, and no types: integers with a sequence.
var serialTypes = []string{"bigserial", "serial", "serial2", "serial4", "serial8", "smallserial"}

// indexed notes a column of an index, of statistics, or of ON CONFLICT.
func (w *walker) indexed(name string, e env) {
	if name != "" {
		w.column(e.from.column([]string{name}), e)
	}
}
