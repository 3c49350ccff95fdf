package postgres

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/command"
)

// session reads a statement that changes or shows only the session.
func (w *walker) session(n *pg.Node, e env) bool {
	switch s := n.GetNode().(type) {
	case *pg.Node_TransactionStmt:
		w.transaction(s.TransactionStmt)
		return true
	case *pg.Node_VariableSetStmt:
		w.variableSet(s.VariableSetStmt)
		return true
	case *pg.Node_VariableShowStmt:
		w.verb("show")
		w.f.Neutral = true
	case *pg.Node_DiscardStmt:
		w.verb("discard")
		w.settings.add(everySetting)
	case *pg.Node_ListenStmt:
		w.verb("listen")
		w.f.Neutral = true
	case *pg.Node_UnlistenStmt:
		w.verb("unlisten")
		w.f.Neutral = true
	case *pg.Node_DeallocateStmt:
		w.verb("deallocate")
		w.f.Neutral = true
	case *pg.Node_ClosePortalStmt:
		w.verb("close")
		w.f.Neutral = true
	case *pg.Node_ConstraintsSetStmt:
		// What was deferred is checked now: the transaction's own constraints.
		w.verb("set constraints")
	default:
		return false
	}
	w.f.Class = command.Session
	return true
}

// everySetting stands in Facts.Settings for all of them.
const everySetting = "*"

func (w *walker) transaction(s *pg.TransactionStmt) {
	kind := ""
	switch s.GetKind() {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START:
		kind, w.f.Neutral = "begin", true
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		kind = "commit" // SET LOCAL ends
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		kind = "rollback" // SET is undone
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		kind, w.f.Neutral = "savepoint", true
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		kind, w.f.Neutral = "release", true
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		kind = "rollback to"
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		w.twoPhase("prepare transaction")
		return
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED:
		w.twoPhase("commit prepared")
		return
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		w.twoPhase("rollback prepared")
		return
	case pg.TransactionStmtKind_TRANSACTION_STMT_KIND_UNDEFINED:
		w.opaque("it is a transaction statement of no known kind")
		return
	default:
		w.opaque("it is a transaction statement of no known kind")
		return
	}
	w.verb(kind)
	w.f.Transaction, w.f.Class = kind, command.Session
}

// twoPhase is unknown: the transaction it ends may be another session's.
func (w *walker) twoPhase(verb string) {
	w.verb(verb)
	w.opaque("two-phase commit takes a transaction out of its session, where Gatestay cannot follow it")
	w.unknown("transaction")
}

func (w *walker) variableSet(s *pg.VariableSetStmt) {
	name := strings.ToLower(s.GetName())
	switch s.GetKind() {
	case pg.VariableSetKind_VAR_SET_VALUE, pg.VariableSetKind_VAR_SET_DEFAULT, pg.VariableSetKind_VAR_SET_CURRENT:
		w.verb("set")
		w.settings.add(name)
	case pg.VariableSetKind_VAR_RESET:
		w.verb("reset")
		w.settings.add(name)
	case pg.VariableSetKind_VAR_RESET_ALL:
		w.verb("reset")
		w.settings.add(everySetting)
	case pg.VariableSetKind_VAR_SET_MULTI: // SET TRANSACTION and its like
		w.verb("set")
		for _, a := range s.GetArgs() {
			if d := a.GetDefElem().GetDefname(); d != "" {
				w.settings.add(d)
				w.settings.add("default_" + d)
			}
		}
		w.settings.add(name)
		// It is about the open transaction only, and what it sets is no part of
		// the state that meaning depends on. SET SESSION CHARACTERISTICS is more.
		w.f.Neutral = strings.HasPrefix(name, "transaction")
	case pg.VariableSetKind_VARIABLE_SET_KIND_UNDEFINED:
		w.opaque("it sets something in no known way")
		return
	default:
		w.opaque("it sets something in no known way")
		return
	}
	w.assigns(name)
}

// assigns gives a statement that sets one thing its class: who acts is more
// than a matter of the session, and so is what only a superuser may change.
func (w *walker) assigns(name string) {
	w.f.Class = command.Session
	switch name {
	case "role":
		w.f.Verb, w.f.Class = w.f.Verb+" role", command.Admin
	case "session_authorization":
		w.f.Verb, w.f.Class = w.f.Verb+" session authorization", command.Admin
	default:
		if has(superuserSettings, name) { // triggers off, nothing logged, code loaded
			w.f.Class = command.Admin
		}
	}
}

// setsOnly reads SELECT set_config('name', 'value', false), which pg_dump and
// others send in place of SET: it is just that, where all is written out.
func (w *walker) setsOnly(s *pg.SelectStmt) bool {
	if len(s.GetTargetList()) != 1 {
		return false
	}
	call := s.GetTargetList()[0].GetResTarget().GetVal().GetFuncCall()
	parts := names(call.GetFuncname())
	if schema, name := split(parts); name != "set_config" || len(parts) > 2 || schema != "" && schema != "pg_catalog" ||
		len(call.GetArgs()) != 3 || call.GetFuncVariadic() || call.GetAggFilter() != nil || call.GetOver() != nil {
		return false
	}
	if call.GetArgs()[1].GetAConst() == nil || call.GetArgs()[2].GetAConst() == nil {
		return false
	}
	if w.setsIfKnown(s, call) {
		return true
	}
	if len(parts) != 2 || call.GetArgs()[0].GetAConst() == nil {
		return false
	}
	// Nothing else may be in it.
	bare := &pg.SelectStmt{TargetList: s.GetTargetList(), LimitOption: s.GetLimitOption(), Op: s.GetOp()}
	if !proto.Equal(bare, s) {
		return false
	}
	w.verb("set")
	w.functions.add(lower(parts))
	w.setConfig(call)
	w.assigns(strings.ToLower(call.GetArgs()[0].GetAConst().GetSval().GetSval()))
	return true
}

// setsIfKnown reads what pg_dump sets a setting with that older servers do not
// have: SELECT set_config(name, 'value', false) FROM pg_settings WHERE name =
// 'setting'. Which one it is stands there. Resolve sees to it that the names are
// PostgreSQL's own.
func (w *walker) setsIfKnown(s *pg.SelectStmt, call *pg.FuncCall) bool {
	where := s.GetWhereClause().GetAExpr()
	setting := where.GetRexpr().GetAConst().GetSval().GetSval()
	if len(s.GetFromClause()) != 1 || setting == "" || where.GetKind() != pg.A_Expr_Kind_AEXPR_OP ||
		!settingName(call.GetArgs()[0]) || !settingName(where.GetLexpr()) || strings.Join(names(where.GetName()), ".") != "=" {
		return false
	}
	rv := s.GetFromClause()[0].GetRangeVar()
	if rv.GetRelname() != "pg_settings" || rv.GetSchemaname() != "" && rv.GetSchemaname() != "pg_catalog" || rv.GetAlias() != nil || rv.GetCatalogname() != "" {
		return false
	}
	bare := &pg.SelectStmt{TargetList: s.GetTargetList(), FromClause: s.GetFromClause(), WhereClause: s.GetWhereClause(), LimitOption: s.GetLimitOption(), Op: s.GetOp()}
	setting = strings.ToLower(setting)
	if !proto.Equal(bare, s) || setting == "role" || setting == "session_authorization" || has(superuserSettings, setting) {
		return false
	}
	w.verb("set")
	w.functions.add(lower(names(call.GetFuncname())))
	w.operators.add("=")
	w.object(rv, command.Read)
	w.settings.add(setting)
	w.f.Class = command.Session
	return true
}

// settingName reports the column name, and nothing else.
func settingName(n *pg.Node) bool {
	parts := names(n.GetColumnRef().GetFields())
	return len(parts) == 1 && parts[0] == "name" && len(n.GetColumnRef().GetFields()) == 1
}
