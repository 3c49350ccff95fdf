package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// The lock modes of relations, as PostgreSQL's manual calls them (13.3.1), from
// the weakest to the strongest.
const (
	AccessShare          = "ACCESS SHARE"
	RowShare             = "ROW SHARE"
	RowExclusive         = "ROW EXCLUSIVE"
	ShareUpdateExclusive = "SHARE UPDATE EXCLUSIVE"
	Share                = "SHARE"
	ShareRowExclusive    = "SHARE ROW EXCLUSIVE"
	Exclusive            = "EXCLUSIVE"
	AccessExclusive      = "ACCESS EXCLUSIVE"
)

// LockModes are all of them, the strongest last. LOCK TABLE's numbers in a parse
// tree are their places, from 1.
var LockModes = []string{AccessShare, RowShare, RowExclusive, ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive}

// Lock returns the strongest lock that a definition takes of the relation that it
// changes, as PostgreSQL 18 takes it; empty where it takes none, or where that is
// not known. The text is one statement.
func Lock(sql string) string {
	if readable(sql) != nil || measured(sql, lex(sql)) != nil {
		return ""
	}
	tree, err := parseTree(sql)
	if err != nil || len(tree.GetStmts()) != 1 {
		return ""
	}
	n := tree.GetStmts()[0].GetStmt()
	switch s := n.GetNode().(type) {
	case *pg.Node_AlterTableStmt:
		return alterLock(s.AlterTableStmt)
	case *pg.Node_DropStmt:
		return dropLock(s.DropStmt)
	case *pg.Node_IndexStmt:
		return concurrent(s.IndexStmt.GetConcurrent(), Share, ShareUpdateExclusive)
	case *pg.Node_RefreshMatViewStmt:
		return concurrent(s.RefreshMatViewStmt.GetConcurrent(), AccessExclusive, Exclusive)
	case *pg.Node_LockStmt:
		if m := int(s.LockStmt.GetMode()); m >= 1 && m <= len(LockModes) {
			return LockModes[m-1]
		}
		return ""
	case *pg.Node_VacuumStmt:
		if s.VacuumStmt.GetIsVacuumcmd() && option(s.VacuumStmt.GetOptions(), "full") {
			return AccessExclusive
		}
		return ShareUpdateExclusive
	case *pg.Node_ReindexStmt:
		switch s.ReindexStmt.GetKind() {
		case pg.ReindexObjectType_REINDEX_OBJECT_TABLE, pg.ReindexObjectType_REINDEX_OBJECT_INDEX:
			return concurrent(option(s.ReindexStmt.GetParams(), "concurrently"), Share, ShareUpdateExclusive)
		default:
			return ""
		}
	case *pg.Node_TruncateStmt, *pg.Node_ClusterStmt, *pg.Node_RuleStmt, *pg.Node_CreatePolicyStmt, *pg.Node_AlterPolicyStmt:
		return AccessExclusive
	case *pg.Node_CreateTrigStmt:
		return ShareRowExclusive
	case *pg.Node_CreateStatsStmt:
		return ShareUpdateExclusive
	case *pg.Node_RenameStmt:
		return renameLock(s.RenameStmt)
	default:
		return ""
	}
}

func concurrent(yes bool, without, with string) string {
	if yes {
		return with
	}
	return without
}

// option reports an option that is on: FULL, (FULL), (FULL true). One whose value is
// anything else counts as on.
func option(list []*pg.Node, name string) bool {
	return slices.ContainsFunc(list, func(n *pg.Node) bool {
		d := n.GetDefElem()
		if d.GetDefname() != name {
			return false
		}
		switch a := d.GetArg(); {
		case a.GetBoolean() != nil:
			return a.GetBoolean().GetBoolval()
		case a.GetString_() != nil:
			return !slices.Contains([]string{"false", "off"}, a.GetString_().GetSval())
		case a.GetInteger() != nil:
			return a.GetInteger().GetIval() != 0
		default:
			return true
		}
	})
}

var relationKinds = []pg.ObjectType{
	pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_INDEX, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW,
	pg.ObjectType_OBJECT_SEQUENCE, pg.ObjectType_OBJECT_FOREIGN_TABLE,
}

func dropLock(s *pg.DropStmt) string {
	switch kind := s.GetRemoveType(); {
	case slices.Contains(relationKinds, kind):
		return concurrent(s.GetConcurrent(), AccessExclusive, ShareUpdateExclusive)
	case kind == pg.ObjectType_OBJECT_TRIGGER, kind == pg.ObjectType_OBJECT_RULE, kind == pg.ObjectType_OBJECT_POLICY:
		return AccessExclusive
	default:
		return ""
	}
}

func renameLock(s *pg.RenameStmt) string {
	switch s.GetRenameType() {
	case pg.ObjectType_OBJECT_INDEX:
		return ShareUpdateExclusive
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW, pg.ObjectType_OBJECT_COLUMN,
		pg.ObjectType_OBJECT_TABCONSTRAINT, pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_POLICY:
		return AccessExclusive
	default:
		return ""
	}
}

// alterLock is the strongest of what the parts of an ALTER TABLE take
// (AlterTableGetLockLevel in commands/tablecmds.c).
func alterLock(s *pg.AlterTableStmt) string {
	strongest := 0
	for _, n := range s.GetCmds() {
		strongest = max(strongest, slices.Index(LockModes, partLock(n.GetAlterTableCmd())))
	}
	if len(s.GetCmds()) == 0 {
		return ""
	}
	return LockModes[strongest]
}

func partLock(c *pg.AlterTableCmd) string {
	switch c.GetSubtype() {
	case pg.AlterTableType_AT_SetStatistics, pg.AlterTableType_AT_ClusterOn, pg.AlterTableType_AT_DropCluster, pg.AlterTableType_AT_SetOptions,
		pg.AlterTableType_AT_ResetOptions, pg.AlterTableType_AT_ValidateConstraint, pg.AlterTableType_AT_AttachPartition, pg.AlterTableType_AT_DetachPartitionFinalize:
		return ShareUpdateExclusive
	case pg.AlterTableType_AT_DetachPartition:
		return concurrent(c.GetDef().GetPartitionCmd().GetConcurrent(), AccessExclusive, ShareUpdateExclusive)
	case pg.AlterTableType_AT_EnableTrig, pg.AlterTableType_AT_EnableAlwaysTrig, pg.AlterTableType_AT_EnableReplicaTrig, pg.AlterTableType_AT_EnableTrigAll,
		pg.AlterTableType_AT_EnableTrigUser, pg.AlterTableType_AT_DisableTrig, pg.AlterTableType_AT_DisableTrigAll, pg.AlterTableType_AT_DisableTrigUser:
		return ShareRowExclusive
	case pg.AlterTableType_AT_AddConstraint:
		if c.GetDef().GetConstraint().GetContype() == pg.ConstrType_CONSTR_FOREIGN {
			return ShareRowExclusive
		}
		return AccessExclusive
	case pg.AlterTableType_AT_SetRelOptions, pg.AlterTableType_AT_ResetRelOptions:
		// Those that take less than this differ from version to version.
		return optionsLock(c.GetDef().GetList().GetItems())
	default:
		return AccessExclusive
	}
}

// lightOptions are parameters of a table that can be set beside writes.
var lightOptions = []string{
	"fillfactor", "toast_tuple_target", "parallel_workers", "vacuum_index_cleanup", "vacuum_truncate", "log_autovacuum_min_duration",
}

func optionsLock(list []*pg.Node) string {
	for _, n := range list {
		name := n.GetDefElem().GetDefname()
		if !slices.Contains(lightOptions, name) && (len(name) < 11 || name[:11] != "autovacuum_") {
			return AccessExclusive
		}
	}
	return ShareUpdateExclusive
}
