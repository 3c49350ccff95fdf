package postgres

import (
	"fmt"
	"iter"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// node reads one node of the tree and what is below it. Nodes that carry facts
// have a case; of the others those in plainNodes are walked through, and any
// other makes the class unknown.
func (w *walker) node(m protoreflect.Message, e env) {
	switch n := m.Interface().(type) {
	case *pg.Node: // has one of 270 fields: do not ask for each
		if fd := m.WhichOneof(m.Descriptor().Oneofs().Get(0)); fd != nil {
			w.node(m.Get(fd).Message(), e)
		}
	case *pg.SelectStmt:
		w.selectStmt(n, e)
	case *pg.InsertStmt:
		w.insertStmt(n, e)
	case *pg.UpdateStmt:
		w.updateStmt(n, e)
	case *pg.DeleteStmt:
		w.deleteStmt(n, e)
	case *pg.MergeStmt:
		w.mergeStmt(n, e)
	case *pg.RangeVar:
		w.rangeVar(n, e)
	case *pg.JoinExpr:
		w.joinExpr(n, e)
	case *pg.RangeSubselect:
		w.each(e, n.GetSubquery())
	case *pg.RangeTableSample:
		w.tableSample(n, e)
	case *pg.RangeFunction:
		w.children(m, e)
	case *pg.ColumnRef:
		w.columnRef(n, e)
	case *pg.ParamRef:
		w.parameter(int(n.GetNumber()), place{})
	case *pg.FuncCall:
		w.funcCall(n, e)
	case *pg.A_Expr:
		w.expr(n, e)
	case *pg.SubLink:
		w.subLink(n, e)
	case *pg.CaseExpr:
		w.caseExpr(n, e)
	case *pg.SortBy:
		if len(n.GetUseOp()) > 0 {
			w.operator(names(n.GetUseOp()), e)
		}
		w.each(e, n.GetNode())
	case *pg.A_Indirection:
		w.indirection(n, e)
	case *pg.TypeName:
		w.typeName(n, e)
	case *pg.ColumnDef:
		w.columnDef(n, e)
	case *pg.IndexElem:
		w.indexed(n.GetName(), e)
		w.each(e, n.GetExpr())
	case *pg.StatsElem:
		w.indexed(n.GetName(), e)
		w.each(e, n.GetExpr())
	case *pg.CommonTableExpr:
		w.each(e, n.GetCtequery())
	case *pg.LockingClause:
		// Its names are aliases of FROM items.
		w.raise(command.Write)
	default:
		name := string(m.Descriptor().Name())
		if !plainNodes[name] {
			w.opaque(fmt.Sprintf("it has a part that Gatestay does not know (%s)", name))
		}
		w.children(m, e)
	}
}

// children walks every message below m.
func (w *walker) children(m protoreflect.Message, e env) {
	for child := range below(m) {
		w.node(child, e)
	}
}

// below yields the messages that m holds, in the order of the grammar.
func below(m protoreflect.Message) iter.Seq[protoreflect.Message] { return scope.Below(m) }

// each walks nodes that may be nil.
func (w *walker) each(e env, nodes ...*pg.Node) {
	for _, n := range nodes {
		if n != nil {
			w.node(n.ProtoReflect(), e)
		}
	}
}

// message walks a message of any kind that may be nil.
func (w *walker) message(e env, m proto.Message) {
	if r := m.ProtoReflect(); r.IsValid() {
		w.node(r, e)
	}
}

func plain(list string) map[string]bool {
	out := map[string]bool{}
	for _, n := range strings.Fields(list) {
		out[n] = true
	}
	return out
}
