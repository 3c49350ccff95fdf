package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// alter reads a statement that changes or drops an object.
func (w *walker) alter(n *pg.Node, e env) bool {
	e.top, e.access = false, command.DDL
	switch s := n.GetNode().(type) {
	case *pg.Node_AlterTableStmt:
		w.alterTable(s.AlterTableStmt, e)
	case *pg.Node_DropStmt:
		words, _, _, _ := kindOf(s.DropStmt.GetRemoveType())
		w.ddl("drop " + words)
		for _, o := range s.DropStmt.GetObjects() {
			w.changed(s.DropStmt.GetRemoveType(), o)
		}
		w.cascades(s.DropStmt.GetBehavior())
		w.drops(s.DropStmt)
		w.f.Confined = s.DropStmt.GetBehavior() != pg.DropBehavior_DROP_CASCADE && slices.Contains(droppedAlone, s.DropStmt.GetRemoveType())
	case *pg.Node_RenameStmt:
		w.rename(s.RenameStmt)
	case *pg.Node_AlterObjectSchemaStmt:
		to := command.Column{Schema: s.AlterObjectSchemaStmt.GetNewschema(), Table: "*", Name: "*"}
		if rv := s.AlterObjectSchemaStmt.GetRelation(); rv != nil {
			w.move(rv, "*", to)
		} else if s.AlterObjectSchemaStmt.GetObjectType() == pg.ObjectType_OBJECT_EXTENSION { // what belongs to it goes along
			w.moves.add(command.Move{From: command.Column{Table: "*", Name: "*"}, To: to})
		}
		w.altered(s.AlterObjectSchemaStmt.GetObjectType(), s.AlterObjectSchemaStmt.GetRelation(), s.AlterObjectSchemaStmt.GetObject())
	case *pg.Node_AlterOwnerStmt:
		w.altered(s.AlterOwnerStmt.GetObjectType(), s.AlterOwnerStmt.GetRelation(), s.AlterOwnerStmt.GetObject())
		w.raise(command.Admin) // a change of privileges
	case *pg.Node_AlterObjectDependsStmt:
		w.altered(s.AlterObjectDependsStmt.GetObjectType(), s.AlterObjectDependsStmt.GetRelation(), s.AlterObjectDependsStmt.GetObject())
	case *pg.Node_AlterSeqStmt:
		w.ddl("alter sequence")
		w.f.Confined = true
		w.children(s.AlterSeqStmt.ProtoReflect(), e)
	case *pg.Node_AlterFunctionStmt:
		words, _, _, _ := kindOf(s.AlterFunctionStmt.GetObjtype())
		w.ddl("alter " + words)
		w.define1("function", names(s.AlterFunctionStmt.GetFunc().GetObjname()), false)
	case *pg.Node_AlterDomainStmt:
		w.ddl("alter domain")
		w.define1("type", names(s.AlterDomainStmt.GetTypeName()), false)
		w.each(e, s.AlterDomainStmt.GetDef())
	case *pg.Node_AlterEnumStmt:
		w.ddl("alter type")
		w.define1("type", names(s.AlterEnumStmt.GetTypeName()), false)
	case *pg.Node_AlterTypeStmt:
		w.ddl("alter type")
		w.define1("type", names(s.AlterTypeStmt.GetTypeName()), false)
	case *pg.Node_AlterPolicyStmt:
		w.ddl("alter policy")
		w.children(s.AlterPolicyStmt.ProtoReflect(), w.over(s.AlterPolicyStmt.GetTable(), e))
	case *pg.Node_AlterOperatorStmt:
		w.ddl("alter operator")
		w.define1("operator", names(s.AlterOperatorStmt.GetOpername().GetObjname()), false)
	case *pg.Node_AlterOpFamilyStmt:
		w.ddl("alter operator family")
		w.define1("operator family", names(s.AlterOpFamilyStmt.GetOpfamilyname()), false)
	case *pg.Node_AlterCollationStmt:
		w.ddl("alter collation")
		w.define1("collation", names(s.AlterCollationStmt.GetCollname()), false)
	case *pg.Node_AlterStatsStmt:
		w.ddl("alter statistics")
		w.define1("statistics", names(s.AlterStatsStmt.GetDefnames()), false)
	case *pg.Node_AlterTsdictionaryStmt:
		w.ddl("alter text search dictionary")
		w.define1("text search dictionary", names(s.AlterTsdictionaryStmt.GetDictname()), false)
	case *pg.Node_AlterTsconfigurationStmt:
		w.ddl("alter text search configuration")
		w.define1("text search configuration", names(s.AlterTsconfigurationStmt.GetCfgname()), false)
	case *pg.Node_CommentStmt:
		w.ddl("comment")
		w.f.Confined = true
		w.changed(s.CommentStmt.GetObjtype(), s.CommentStmt.GetObject())
	case *pg.Node_TruncateStmt:
		// All rows go at once: a write without a WHERE.
		w.verb("truncate")
		w.raise(command.Write)
		w.f.Filtered = false
		w.changes(e)
		w.cascades(s.TruncateStmt.GetBehavior())
		e.access = command.Write
		w.each(e, s.TruncateStmt.GetRelations()...)
	case *pg.Node_LockStmt:
		w.verb("lock")
		if s.LockStmt.GetMode() != accessShare {
			w.raise(command.Write)
			e.access = command.Write
		}
		w.each(e, s.LockStmt.GetRelations()...)
	case *pg.Node_NotifyStmt:
		w.verb("notify")
		w.raise(command.Write)
	default:
		return false
	}
	return true
}

// accessShare is the mode of the lock that a SELECT takes, too.
const accessShare = 1

// droppedAlone are kinds of objects that take nothing along that others see, save
// by CASCADE.
var droppedAlone = []pg.ObjectType{pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_INDEX, pg.ObjectType_OBJECT_SEQUENCE}

// alteredAlone are the changes of a table that nothing but the table, and what
// inherits from it, shows.
var alteredAlone = []pg.AlterTableType{
	pg.AlterTableType_AT_AddColumn, pg.AlterTableType_AT_DropColumn, pg.AlterTableType_AT_ColumnDefault, pg.AlterTableType_AT_CookedColumnDefault,
	pg.AlterTableType_AT_SetNotNull, pg.AlterTableType_AT_DropNotNull, pg.AlterTableType_AT_SetStatistics, pg.AlterTableType_AT_SetOptions,
	pg.AlterTableType_AT_ResetOptions, pg.AlterTableType_AT_SetStorage, pg.AlterTableType_AT_SetCompression, pg.AlterTableType_AT_SetRelOptions,
	pg.AlterTableType_AT_ResetRelOptions, pg.AlterTableType_AT_AddConstraint, pg.AlterTableType_AT_ValidateConstraint,
	pg.AlterTableType_AT_DropConstraint, pg.AlterTableType_AT_AlterColumnType, pg.AlterTableType_AT_AddIdentity, pg.AlterTableType_AT_SetIdentity,
	pg.AlterTableType_AT_DropIdentity,
}

// cascades notes that CASCADE takes along what is not named.
func (w *walker) cascades(b pg.DropBehavior) {
	if b == pg.DropBehavior_DROP_CASCADE {
		w.unknown("objects", "writes")
	}
}

// alterTable reads ALTER TABLE and its like: index, view, sequence, type.
func (w *walker) alterTable(s *pg.AlterTableStmt, e env) {
	words, kind, _, _ := kindOf(s.GetObjtype())
	w.ddl("alter " + words)
	if kind == "" {
		w.object(s.GetRelation(), command.DDL)
	} else {
		w.define1(kind, []string{s.GetRelation().GetSchemaname(), s.GetRelation().GetRelname()}, false)
	}
	e = w.over(s.GetRelation(), e)
	w.f.Confined = s.GetObjtype() == pg.ObjectType_OBJECT_TABLE
	for _, n := range s.GetCmds() {
		c := n.GetAlterTableCmd()
		cmd := e
		w.f.Confined = w.f.Confined && slices.Contains(alteredAlone, c.GetSubtype()) && c.GetBehavior() != pg.DropBehavior_DROP_CASCADE
		w.cascades(c.GetBehavior())
		switch c.GetSubtype() { //nolint:exhaustive // the others run what they hold, and change no privilege
		case pg.AlterTableType_AT_ChangeOwner:
			w.raise(command.Admin)
		case pg.AlterTableType_AT_ColumnDefault:
			cmd.stored = true
		case pg.AlterTableType_AT_AlterColumnType:
			if using := c.GetDef().GetColumnDef().GetRawDefault(); using != nil && carries(using.ProtoReflect()) {
				w.computed.add(command.Column{Schema: s.GetRelation().GetSchemaname(), Table: s.GetRelation().GetRelname(), Name: c.GetName()})
			}
		case pg.AlterTableType_AT_DropExpression: // it keeps what was computed
			w.computed.add(command.Column{Schema: s.GetRelation().GetSchemaname(), Table: s.GetRelation().GetRelname(), Name: c.GetName()})
		case pg.AlterTableType_AT_DropInherit, pg.AlterTableType_AT_DropConstraint:
			w.part(s.GetRelation())
			w.frees(c.GetBehavior(), s.GetRelation(), "*")
		case pg.AlterTableType_AT_DropColumn:
			w.frees(c.GetBehavior(), s.GetRelation(), c.GetName())
		case pg.AlterTableType_AT_DetachPartition:
			w.part(c.GetDef().GetPartitionCmd().GetName())
		}
		if c.GetName() != "" && s.GetRelation() != nil {
			w.column(command.Column{Schema: s.GetRelation().GetSchemaname(), Table: s.GetRelation().GetRelname(), Name: c.GetName()}, env{})
		}
		w.each(cmd, n)
	}
}

// part notes a relation that is cut off from others.
func (w *walker) part(rv *pg.RangeVar) {
	w.parted.add(command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname(), Name: "*"})
}

// frees notes that foreign keys to a column go along with something.
func (w *walker) frees(b pg.DropBehavior, rv *pg.RangeVar, column string) {
	if b == pg.DropBehavior_DROP_CASCADE {
		w.freed.add(command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname(), Name: column})
	}
}

// drops notes what DROP … CASCADE may take away from columns that refer to others:
// with a table the keys to it; with an index, a type or an extension any.
func (w *walker) drops(s *pg.DropStmt) {
	if s.GetBehavior() != pg.DropBehavior_DROP_CASCADE {
		return
	}
	for _, o := range s.GetObjects() {
		switch s.GetRemoveType() { //nolint:exhaustive // no other has keys
		case pg.ObjectType_OBJECT_TABLE:
			schema, name := split(objectName(o))
			w.freed.add(command.Column{Schema: schema, Table: name, Name: "*"})
		case pg.ObjectType_OBJECT_INDEX, pg.ObjectType_OBJECT_TYPE, pg.ObjectType_OBJECT_DOMAIN, pg.ObjectType_OBJECT_EXTENSION,
			pg.ObjectType_OBJECT_SCHEMA, pg.ObjectType_OBJECT_OPCLASS, pg.ObjectType_OBJECT_OPFAMILY, pg.ObjectType_OBJECT_OPERATOR,
			pg.ObjectType_OBJECT_COLLATION, pg.ObjectType_OBJECT_ACCESS_METHOD, pg.ObjectType_OBJECT_FUNCTION:
			w.freed.add(command.Column{Table: "*", Name: "*"})
		}
	}
}

// move notes that a relation's columns go by another name.
func (w *walker) move(rv *pg.RangeVar, column string, to command.Column) {
	w.moves.add(command.Move{From: command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname(), Name: column}, To: to})
}

func (w *walker) rename(s *pg.RenameStmt) {
	t := s.GetRenameType()
	switch t {
	case pg.ObjectType_OBJECT_COLUMN:
		w.move(s.GetRelation(), s.GetSubname(), command.Column{Name: s.GetNewname()})
	case pg.ObjectType_OBJECT_SCHEMA:
		w.moves.add(command.Move{
			From: command.Column{Schema: s.GetSubname(), Table: "*", Name: "*"},
			To:   command.Column{Schema: s.GetNewname(), Table: "*", Name: "*"},
		})
	case pg.ObjectType_OBJECT_ATTRIBUTE:
		if s.GetBehavior() == pg.DropBehavior_DROP_CASCADE { // in all tables OF the type
			w.moves.add(command.Move{From: command.Column{Table: "*", Name: s.GetSubname()}, To: command.Column{Table: "*", Name: s.GetNewname()}})
		}
	default: // ALTER INDEX renames a table, too
		if _, kind, part, _ := kindOf(t); s.GetRelation() != nil && kind == "" && !part {
			w.move(s.GetRelation(), "*", command.Column{Table: s.GetNewname(), Name: "*"})
		}
	}
	if t == pg.ObjectType_OBJECT_COLUMN {
		t = s.GetRelationType()
		w.indexed(s.GetSubname(), w.over(s.GetRelation(), env{}))
	}
	w.altered(t, s.GetRelation(), s.GetObject())
}

// altered notes what ALTER ... RENAME, OWNER, SET SCHEMA and DEPENDS change:
// a relation (for its parts too), or an object by name.
func (w *walker) altered(t pg.ObjectType, rv *pg.RangeVar, object *pg.Node) {
	words, kind, part, cluster := kindOf(t)
	w.ddl("alter " + words)
	switch {
	case rv != nil && (kind == "" || part):
		w.object(rv, command.DDL)
	case rv != nil:
		w.define1(kind, []string{rv.GetSchemaname(), rv.GetRelname()}, false)
	default:
		w.changed(t, object)
	}
	if cluster {
		w.raise(command.Admin)
	}
}
