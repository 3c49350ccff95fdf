package postgres

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// kindOf says what PostgreSQL calls a kind of object, and what Object.Kind is:
// empty for relations. part: the object is a part of a relation, which is
// named before it (a trigger ON a table). cluster: it is not a matter of one
// database's schema, so that changing it is administration.
func kindOf(t pg.ObjectType) (words, kind string, part, cluster bool) {
	words = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(t.String(), "OBJECT_")), "_", " ")
	switch t { //nolint:exhaustive // the rest is called what it is named, and is a kind of its own
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_SEQUENCE,
		pg.ObjectType_OBJECT_INDEX, pg.ObjectType_OBJECT_FOREIGN_TABLE:
		return words, "", false, false
	case pg.ObjectType_OBJECT_MATVIEW:
		return "materialized view", "", false, false
	case pg.ObjectType_OBJECT_COLUMN, pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_RULE,
		pg.ObjectType_OBJECT_POLICY:
		return words, words, true, false
	case pg.ObjectType_OBJECT_TABCONSTRAINT:
		return "constraint", "constraint", true, false
	case pg.ObjectType_OBJECT_DOMCONSTRAINT:
		return "domain", "type", false, false
	case pg.ObjectType_OBJECT_ATTRIBUTE, pg.ObjectType_OBJECT_DOMAIN, pg.ObjectType_OBJECT_TYPE:
		if t == pg.ObjectType_OBJECT_ATTRIBUTE {
			words = "type"
		}
		return words, "type", false, false
	case pg.ObjectType_OBJECT_FUNCTION, pg.ObjectType_OBJECT_PROCEDURE, pg.ObjectType_OBJECT_ROUTINE,
		pg.ObjectType_OBJECT_AGGREGATE:
		return words, "function", false, false
	case pg.ObjectType_OBJECT_OPCLASS:
		return "operator class", "operator class", false, false
	case pg.ObjectType_OBJECT_OPFAMILY:
		return "operator family", "operator family", false, false
	case pg.ObjectType_OBJECT_STATISTIC_EXT:
		return "statistics", "statistics", false, false
	case pg.ObjectType_OBJECT_TSCONFIGURATION:
		return "text search configuration", "text search configuration", false, false
	case pg.ObjectType_OBJECT_TSDICTIONARY:
		return "text search dictionary", "text search dictionary", false, false
	case pg.ObjectType_OBJECT_TSPARSER:
		return "text search parser", "text search parser", false, true
	case pg.ObjectType_OBJECT_TSTEMPLATE:
		return "text search template", "text search template", false, true
	case pg.ObjectType_OBJECT_FDW:
		return "foreign data wrapper", "foreign data wrapper", false, true
	case pg.ObjectType_OBJECT_FOREIGN_SERVER:
		return "server", "server", false, true
	case pg.ObjectType_OBJECT_LARGEOBJECT:
		return "large object", "large object", false, true
	case pg.ObjectType_OBJECT_DATABASE, pg.ObjectType_OBJECT_TABLESPACE, pg.ObjectType_OBJECT_ROLE,
		pg.ObjectType_OBJECT_SUBSCRIPTION, pg.ObjectType_OBJECT_PUBLICATION,
		pg.ObjectType_OBJECT_PUBLICATION_NAMESPACE, pg.ObjectType_OBJECT_PUBLICATION_REL,
		pg.ObjectType_OBJECT_EVENT_TRIGGER, pg.ObjectType_OBJECT_USER_MAPPING,
		pg.ObjectType_OBJECT_LANGUAGE, pg.ObjectType_OBJECT_ACCESS_METHOD,
		pg.ObjectType_OBJECT_EXTENSION, pg.ObjectType_OBJECT_TRANSFORM,
		pg.ObjectType_OBJECT_PARAMETER_ACL, pg.ObjectType_OBJECT_DEFACL,
		pg.ObjectType_OBJECT_CAST:
		return words, words, false, true
	}
	return words, words, false, false
}

// objectName returns the parts of a name, however the grammar holds it.
func objectName(n *pg.Node) []string {
	switch v := n.GetNode().(type) {
	case *pg.Node_String_:
		return []string{v.String_.GetSval()}
	case *pg.Node_List:
		return names(v.List.GetItems())
	case *pg.Node_TypeName:
		return names(v.TypeName.GetNames())
	case *pg.Node_ObjectWithArgs:
		return names(v.ObjectWithArgs.GetObjname())
	case *pg.Node_RangeVar:
		if v.RangeVar.GetSchemaname() != "" {
			return []string{v.RangeVar.GetSchemaname(), v.RangeVar.GetRelname()}
		}
		return []string{v.RangeVar.GetRelname()}
	case *pg.Node_RoleSpec:
		return []string{v.RoleSpec.GetRolename()}
	default:
		return nil
	}
}

// changed notes an object that a statement drops, alters or comments on.
func (w *walker) changed(t pg.ObjectType, n *pg.Node) {
	parts := objectName(n)
	_, kind, part, cluster := kindOf(t)
	if cluster {
		w.raise(command.Admin)
	}
	if t == pg.ObjectType_OBJECT_DOMCONSTRAINT && len(n.GetList().GetItems()) > 0 {
		parts = objectName(n.GetList().GetItems()[0])
	}
	if part && len(parts) > 1 {
		kind, parts = "", parts[:len(parts)-1]
	}
	w.define1(kind, parts, false)
}

// define1 notes one object of DDL.
func (w *walker) define1(kind string, parts []string, created bool) {
	schema, name := split(parts)
	w.named(command.Object{Schema: schema, Name: name, Kind: kind, Access: command.DDL, New: created})
}

// creates notes a relation that a statement creates.
func (w *walker) creates(rv *pg.RangeVar) {
	o := command.Object{Schema: rv.GetSchemaname(), Name: rv.GetRelname(), Access: command.DDL, New: true}
	if o.Schema == "" && rv.GetRelpersistence() == "t" {
		o.Schema = "pg_temp"
	}
	w.named(o)
}
