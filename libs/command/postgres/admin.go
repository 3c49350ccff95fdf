package postgres

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/command"
)

// admin reads a statement that changes privileges, roles, the server or what
// is not a matter of one database's schema, and maintenance.
func (w *walker) admin(n *pg.Node, e env) bool {
	e.top, e.access = false, command.DDL
	verb, inner := "", proto.Message(nil)
	switch s := n.GetNode().(type) {
	case *pg.Node_GrantStmt:
		verb = grantVerb(s.GrantStmt.GetIsGrant())
		w.granted(s.GrantStmt)
	case *pg.Node_GrantRoleStmt:
		verb = grantVerb(s.GrantRoleStmt.GetIsGrant())
	case *pg.Node_AlterDefaultPrivilegesStmt:
		verb = "alter default privileges"
	case *pg.Node_CreateRoleStmt:
		verb = "create role"
		w.secretOptions()
		w.define1("role", []string{s.CreateRoleStmt.GetRole()}, true)
	case *pg.Node_AlterRoleStmt:
		verb = "alter role"
		w.secretOptions()
		w.define1("role", []string{s.AlterRoleStmt.GetRole().GetRolename()}, false)
	case *pg.Node_AlterRoleSetStmt:
		verb = "alter role"
		w.define1("role", []string{s.AlterRoleSetStmt.GetRole().GetRolename()}, false)
	case *pg.Node_DropRoleStmt:
		verb = "drop role"
		for _, r := range s.DropRoleStmt.GetRoles() {
			w.define1("role", objectName(r), false)
		}
	case *pg.Node_ReassignOwnedStmt:
		verb = "reassign owned"
	case *pg.Node_DropOwnedStmt:
		verb = "drop owned"
		w.unknown("objects", "writes")
	case *pg.Node_AlterSystemStmt:
		verb = "alter system"
		w.settings.add(s.AlterSystemStmt.GetSetstmt().GetName())
	case *pg.Node_LoadStmt:
		verb = "load"
	case *pg.Node_CheckPointStmt:
		verb = "checkpoint"
	case *pg.Node_SecLabelStmt:
		verb = "security label"
		w.changed(s.SecLabelStmt.GetObjtype(), s.SecLabelStmt.GetObject())
	case *pg.Node_VacuumStmt:
		verb = "vacuum"
		if !s.VacuumStmt.GetIsVacuumcmd() {
			verb = "analyze"
		}
		if len(s.VacuumStmt.GetRels()) == 0 {
			w.unknown("objects", "writes")
		}
		inner = s.VacuumStmt
	case *pg.Node_ReindexStmt:
		verb = "reindex"
		if s.ReindexStmt.GetRelation() == nil {
			w.unknown("objects", "writes")
		}
		inner = s.ReindexStmt
	case *pg.Node_ClusterStmt:
		verb = "cluster"
		if s.ClusterStmt.GetRelation() == nil {
			w.unknown("objects", "writes")
		}
		inner = s.ClusterStmt
	case *pg.Node_RefreshMatViewStmt:
		verb, inner = "refresh materialized view", s.RefreshMatViewStmt
	default:
		return w.cluster(n, e)
	}
	w.verb(verb)
	w.raise(command.Admin)
	if inner != nil {
		e.access = command.Write
		w.children(inner.ProtoReflect(), e)
	}
	return true
}

// cluster reads a statement on what lies outside one database's schema:
// databases, tablespaces, extensions, replication, foreign servers, languages.
func (w *walker) cluster(n *pg.Node, e env) bool {
	verb, kind, name := "", "", ""
	switch s := n.GetNode().(type) {
	case *pg.Node_CreatedbStmt:
		verb, kind, name = "create database", "database", s.CreatedbStmt.GetDbname()
	case *pg.Node_AlterDatabaseStmt:
		verb, kind, name = "alter database", "database", s.AlterDatabaseStmt.GetDbname()
	case *pg.Node_AlterDatabaseRefreshCollStmt:
		verb, kind, name = "alter database", "database", s.AlterDatabaseRefreshCollStmt.GetDbname()
	case *pg.Node_AlterDatabaseSetStmt:
		verb, kind, name = "alter database", "database", s.AlterDatabaseSetStmt.GetDbname()
	case *pg.Node_DropdbStmt:
		verb, kind, name = "drop database", "database", s.DropdbStmt.GetDbname()
	case *pg.Node_CreateTableSpaceStmt:
		verb, kind, name = "create tablespace", "tablespace", s.CreateTableSpaceStmt.GetTablespacename()
	case *pg.Node_DropTableSpaceStmt:
		verb, kind, name = "drop tablespace", "tablespace", s.DropTableSpaceStmt.GetTablespacename()
	case *pg.Node_AlterTableSpaceOptionsStmt:
		verb, kind, name = "alter tablespace", "tablespace", s.AlterTableSpaceOptionsStmt.GetTablespacename()
	case *pg.Node_AlterTableMoveAllStmt:
		verb, kind, name = "alter table", "tablespace", s.AlterTableMoveAllStmt.GetOrigTablespacename()
		w.unknown("objects", "writes")
	case *pg.Node_CreateExtensionStmt:
		verb, kind, name = "create extension", "extension", s.CreateExtensionStmt.GetExtname()
	case *pg.Node_AlterExtensionStmt:
		verb, kind, name = "alter extension", "extension", s.AlterExtensionStmt.GetExtname()
	case *pg.Node_AlterExtensionContentsStmt:
		verb, kind, name = "alter extension", "extension", s.AlterExtensionContentsStmt.GetExtname()
	case *pg.Node_CreateFdwStmt:
		verb, kind, name = "create foreign data wrapper", "foreign data wrapper", s.CreateFdwStmt.GetFdwname()
		w.secretOptions()
	case *pg.Node_AlterFdwStmt:
		verb, kind, name = "alter foreign data wrapper", "foreign data wrapper", s.AlterFdwStmt.GetFdwname()
		w.secretOptions()
	case *pg.Node_CreateForeignServerStmt:
		verb, kind, name = "create server", "server", s.CreateForeignServerStmt.GetServername()
		w.secretOptions()
	case *pg.Node_AlterForeignServerStmt:
		verb, kind, name = "alter server", "server", s.AlterForeignServerStmt.GetServername()
		w.secretOptions()
	case *pg.Node_CreateUserMappingStmt:
		verb, kind, name = "create user mapping", "server", s.CreateUserMappingStmt.GetServername()
		w.secretOptions()
	case *pg.Node_AlterUserMappingStmt:
		verb, kind, name = "alter user mapping", "server", s.AlterUserMappingStmt.GetServername()
		w.secretOptions()
	case *pg.Node_DropUserMappingStmt:
		verb, kind, name = "drop user mapping", "server", s.DropUserMappingStmt.GetServername()
	case *pg.Node_ImportForeignSchemaStmt:
		verb, kind, name = "import foreign schema", "schema", s.ImportForeignSchemaStmt.GetLocalSchema()
		w.unknown("objects", "writes")
	case *pg.Node_CreatePublicationStmt:
		verb, kind, name = "create publication", "publication", s.CreatePublicationStmt.GetPubname()
		w.publishes(s.CreatePublicationStmt.GetPubobjects(), e)
		if s.CreatePublicationStmt.GetForAllTables() {
			w.unknown("objects", "reads")
		}
	case *pg.Node_AlterPublicationStmt:
		verb, kind, name = "alter publication", "publication", s.AlterPublicationStmt.GetPubname()
		if s.AlterPublicationStmt.GetAction() != pg.AlterPublicationAction_AP_DropObjects {
			w.publishes(s.AlterPublicationStmt.GetPubobjects(), e)
		}
		if s.AlterPublicationStmt.GetForAllTables() {
			w.unknown("objects", "reads")
		}
	case *pg.Node_CreateSubscriptionStmt:
		verb, kind, name = "create subscription", "subscription", s.CreateSubscriptionStmt.GetSubname()
		w.secretOptions()
		w.unknown("objects", "writes")
	case *pg.Node_AlterSubscriptionStmt:
		verb, kind, name = "alter subscription", "subscription", s.AlterSubscriptionStmt.GetSubname()
		w.secretOptions()
		w.unknown("objects", "writes")
	case *pg.Node_DropSubscriptionStmt:
		verb, kind, name = "drop subscription", "subscription", s.DropSubscriptionStmt.GetSubname()
	case *pg.Node_CreateEventTrigStmt:
		verb, kind, name = "create event trigger", "event trigger", s.CreateEventTrigStmt.GetTrigname()
	case *pg.Node_AlterEventTrigStmt:
		verb, kind, name = "alter event trigger", "event trigger", s.AlterEventTrigStmt.GetTrigname()
	case *pg.Node_CreatePlangStmt:
		verb, kind, name = "create language", "language", s.CreatePlangStmt.GetPlname()
	case *pg.Node_CreateAmStmt:
		verb, kind, name = "create access method", "access method", s.CreateAmStmt.GetAmname()
	case *pg.Node_CreateCastStmt:
		verb, kind = "create cast", "cast"
	case *pg.Node_CreateTransformStmt:
		verb, kind, name = "create transform", "transform", s.CreateTransformStmt.GetLang()
	default:
		return false
	}
	w.verb(verb)
	w.raise(command.Admin)
	w.define1(kind, []string{name}, false)
	return true
}

// publishes notes the tables of a publication: whoever subscribes to it gets their
// rows, from now on and all that there are.
func (w *walker) publishes(list []*pg.Node, e env) {
	for _, n := range list {
		t := n.GetPublicationObjSpec().GetPubtable()
		if t == nil {
			w.unknown("objects", "reads") // all in a schema
			continue
		}
		w.object(t.GetRelation(), command.Read)
		own := w.over(t.GetRelation(), e)
		columns := names(t.GetColumns())
		if len(columns) == 0 {
			columns = []string{"*"}
		}
		for _, c := range columns {
			w.indexed(c, own)
		}
		own.filter = true
		w.each(own, t.GetWhereClause())
	}
}

func grantVerb(grant bool) string {
	if grant {
		return "grant"
	}
	return "revoke"
}

// granted notes the objects of GRANT and REVOKE.
func (w *walker) granted(s *pg.GrantStmt) {
	if s.GetTargtype() != pg.GrantTargetType_ACL_TARGET_OBJECT {
		w.unknown("objects", "writes") // all in a schema
		return
	}
	for _, o := range s.GetObjects() {
		w.changed(s.GetObjtype(), o)
	}
}

// secretOptions marks the string constants of a statement as secrets.
func (w *walker) secretOptions() { w.secret = true }
