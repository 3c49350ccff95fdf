package postgres

import (
	"slices"
	"sync/atomic"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// Lineage of a statement is proved from its parse tree and the catalog: for each
// output, which masked columns its value may derive from. Names are looked up
// as PostgreSQL's analysis does (parse_relation.c, parse_clause.c); where more
// than one thing may be meant, the value derives from all of them; where the
// tree has a part that is not understood, nothing is proved, and the caller
// masks whatever the statement may have touched.
//
// A value derives from what it is computed from, and from what decides which
// value it has: the condition of a CASE, the filter and order of an aggregate,
// the whole of a sub-select inside an expression. The rows of a query do not
// derive from what filters, groups or orders them: that is for the rules on
// comparisons. What says how many rows there are, though (LIMIT, the arguments of
// a function in FROM), is a value that count(*) would tell, and counts.

// derived are the masked columns that a value may derive from.
type derived []command.Column

// and returns the union.
func (d derived) and(more ...derived) derived {
	for _, m := range more {
		for _, c := range m {
			if !slices.Contains(d, c) {
				d = append(d[:len(d):len(d)], c)
			}
		}
	}
	return d
}

// prover reads one statement.
type prover struct {
	names   scope.Analysis[trace]
	masks   *Masks
	path    path
	written map[ColumnRef]bool
	// every is all masked columns, for what is not followed in detail.
	every derived
	// produced is what tells how many rows the functions of a target list give.
	produced derived
	// copies are where masked values are stored.
	copies set[command.Copy]
	// failed: nothing is proved.
	failed bool
	// partial: something that decides which rows there are was not understood.
	partial bool
	steps   int
}

// maxSteps bounds the work on one statement: recursive queries nested in each
// other are evaluated again and again.
const maxSteps = 200_000

// fail gives up.
func (p *prover) fail() derived {
	p.failed = true
	return nil
}

// text is what the facts of a statement keep of it, so that its lineage can be
// read when it is asked for.
type text struct {
	sql   string
	path  path
	keeps kept
	// columnTypes are the types of columns that the statement defines, where they are
	// not PostgreSQL's own.
	columnTypes []string
	// whole are the relations of which all columns may be taken unnamed.
	whole []wholeRow
	// makes is what a CREATE TABLE says of its table, and fresh what that is once
	// resolved; nil where it does not tell all.
	makes *making
	fresh *Fresh
	// resolved: path is known.
	resolved bool
	last     atomic.Pointer[proof]
}

// proof is the lineage under some masks.
type proof struct {
	masks *Masks
	rows  *rows // nil: not proved
}

// lineage returns what the outputs of a resolved statement derive from, nil
// where that cannot be proved.
func (m *Masks) lineage(f *command.Facts, written map[ColumnRef]bool) *rows {
	t, ok := f.Source.(*text)
	if !ok || !t.resolved || (f.Class != command.Read && f.Class != command.Write) || f.IsUnknown("objects") || f.IsUnknown("columns") {
		return nil
	}
	if last := t.last.Load(); last != nil && last.masks == m {
		return last.rows
	}
	out := m.prove(t, written)
	t.last.Store(&proof{m, out})
	return out
}

func (m *Masks) prove(t *text, written map[ColumnRef]bool) *rows {
	_, out := m.read(t, written)
	return out
}

// read reads a statement, and returns nothing where it is not understood.
func (m *Masks) read(t *text, written map[ColumnRef]bool) (*prover, *rows) {
	tree, err := parseTree(t.sql)
	if err != nil || len(tree.GetStmts()) != 1 {
		return nil, nil
	}
	p := &prover{masks: m, path: t.path, written: written, every: m.rules()}
	p.names.Reader = p
	out := p.statement(returning(tree.GetStmts()[0].GetStmt()))
	if p.failed {
		return nil, nil
	}
	return p, &out
}

// returning is the statement whose rows a statement returns, or gives a name to:
// COPY (query), DECLARE, PREPARE.
func returning(n *pg.Node) *pg.Node {
	for _, q := range []*pg.Node{n.GetCopyStmt().GetQuery(), n.GetDeclareCursorStmt().GetQuery(), n.GetPrepareStmt().GetQuery()} {
		if q != nil {
			return q
		}
	}
	return n
}

// proveView reads the lineage of a view's columns, and first that of the views
// below it.
func (m *Masks) proveView(rel *relation) {
	if rel == nil || rel.view == nil || !m.views[rel.OID] {
		return
	}
	if _, done := m.proved[rel.OID]; done {
		return
	}
	m.proved[rel.OID] = nil
	for _, below := range rel.view.reads {
		m.proveView(below)
	}
	r := m.lineage(&rel.view.facts, nil)
	if r == nil || r.Open() || len(r.Columns) != len(rel.Columns) {
		return
	}
	columns := make(map[int16]derived, len(r.Columns))
	for i, c := range r.Columns {
		columns[rel.Columns[i].Number] = c.Value.from
	}
	m.proved[rel.OID] = columns
}

// rules are the columns that masking rules name.
func (m *Masks) rules() derived {
	out := derived{}
	for _, c := range m.columns {
		out = out.and(derived{c})
	}
	if len(out) == 0 {
		out = derived{{Name: "*"}}
	}
	return out
}

// derive returns what a value at one place of the tree may derive from.
func (p *prover) derive(m protoreflect.Message, s *level) derived {
	if p.steps++; p.steps > maxSteps {
		return p.fail()
	}
	switch n := m.Interface().(type) {
	case *pg.Node:
		if fd := m.WhichOneof(m.Descriptor().Oneofs().Get(0)); fd != nil {
			return p.derive(m.Get(fd).Message(), s)
		}
		return nil
	case *pg.ColumnRef:
		return p.column(n, s).from
	case *pg.SubLink:
		sub := p.query(n.GetSubselect(), s)
		return p.node(n.GetTestexpr(), s).and(p.all(&sub), sub.Control.from)
	case *pg.FuncCall:
		return p.call(n, s)
	case *pg.WindowDef:
		return p.window(n, s)
	case *pg.JsonArrayAgg, *pg.JsonObjectAgg:
		d := p.below(m, s)
		return d.and(p.amounts(s))
	case *pg.TypeName:
		return nil
	case *pg.ColumnDef: // of a record's shape
		return nil
	case *pg.A_Expr, *pg.CaseExpr, *pg.SortBy, *pg.A_Indirection, *pg.ParamRef:
	case *pg.CurrentOfExpr:
		return p.fail()
	default:
		if !plainNodes[string(m.Descriptor().Name())] {
			return p.fail()
		}
	}
	return p.below(m, s)
}

// below is what the parts of a node derive from.
func (p *prover) below(m protoreflect.Message, s *level) derived {
	var d derived
	for child := range below(m) {
		d = d.and(p.derive(child, s))
	}
	return d
}

// node is derive for a node that may be nil.
func (p *prover) node(n *pg.Node, s *level) derived {
	if n == nil {
		return nil
	}
	return p.derive(n.ProtoReflect(), s)
}

func (p *prover) each(nodes []*pg.Node, s *level) derived {
	var d derived
	for _, n := range nodes {
		d = d.and(p.node(n, s))
	}
	return d
}

// call is a function's value. How many rows have a value at all tells none of
// it: count of a masked column itself is clean, count of an expression, which
// may compare, is not.
func (p *prover) call(n *pg.FuncCall, s *level) derived {
	args := p.each(n.GetArgs(), s)
	_, name := split(names(n.GetFuncname()))
	if name == "count" && len(n.GetArgs()) == 1 {
		if ref := n.GetArgs()[0].GetColumnRef(); ref != nil && p.column(ref, s).origin != (ColumnRef{}) {
			args = nil
		}
	}
	d := args.and(p.each(n.GetAggOrder(), s), p.node(n.GetAggFilter(), s))
	switch {
	case has(countingFunctions, name):
		d = d.and(p.amounts(s))
	case has(rowFunctions, name):
		p.produced = p.produced.and(args)
	case has(keepers, name):
		p.store(trace{from: args}, command.Column{Name: name}, false)
	}
	if readsLargeObject(name) { // anything may have been stored there
		d = d.and(p.every)
	}
	if n.GetOver() != nil {
		d = d.and(p.window(n.GetOver(), s))
	}
	return d
}

// window is what orders and limits the rows that a window function sees.
func (p *prover) window(n *pg.WindowDef, s *level) derived {
	d := p.each(n.GetPartitionClause(), s).and(p.each(n.GetOrderClause(), s), p.node(n.GetStartOffset(), s), p.node(n.GetEndOffset(), s))
	for _, name := range []string{n.GetName(), n.GetRefname()} {
		if name != "" {
			d = d.and(s.Windows.from)
		}
	}
	return d
}
