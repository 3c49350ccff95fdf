package postgres

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// frame is the FROM items of one query level.
type frame struct {
	items   []source
	byAlias map[string]source
	outer   *frame
	starred bool // its star has been noted
}

// add puts a FROM item last. A name that two of them have is of neither: which
// one is meant, or whether the server takes it, is not for the text to say.
func (f *frame) add(s source) {
	if f.byAlias == nil {
		f.byAlias = map[string]source{}
	}
	f.items = append(f.items, s)
	if _, taken := f.byAlias[s.alias]; taken {
		s = source{alias: s.alias, derived: true, inner: f}
	}
	f.byAlias[s.alias] = s
}

// alias gives a FROM item one more name, unless another has it.
func (f *frame) alias(name string, s source) {
	if _, taken := f.byAlias[name]; !taken {
		f.byAlias[name] = s
	}
}

// over is the environment of expressions over one table, as in an index.
func (w *walker) over(rv *pg.RangeVar, e env) env {
	f := &frame{}
	if rv != nil {
		f.add(source{alias: rv.GetRelname(), schema: rv.GetSchemaname(), table: rv.GetRelname()})
	}
	e.from = f
	return e
}

// source is one FROM item: a table, or derived (sub-select, WITH, function).
type source struct {
	alias         string
	schema, table string
	derived       bool
	// inner has the items that a star of this one may be of: of a join with a
	// name of its own, or all, where the name is ambiguous.
	inner *frame
}

// column says which table a column reference belongs to, where the text alone
// proves it.
func (f *frame) column(parts []string) command.Column {
	name := parts[len(parts)-1]
	switch {
	case len(parts) == 1:
		if f != nil && f.outer == nil && len(f.items) == 1 && !f.items[0].derived {
			return command.Column{Schema: f.items[0].schema, Table: f.items[0].table, Name: name}
		}
		return command.Column{Name: name}
	case len(parts) > 2:
		return command.Column{Schema: parts[len(parts)-3], Table: parts[len(parts)-2], Name: name}
	}
	if s, ok := f.only(parts[0]); ok && !s.derived {
		return command.Column{Schema: s.schema, Table: s.table, Name: name}
	}
	return command.Column{Name: name}
}

// only is the one FROM item of an alias. Where an outer level has one, too, it is
// of neither: what a sub-select without LATERAL, or the condition of a join, calls
// by the name is not the item beside it, but that of the outer level.
func (f *frame) only(alias string) (found source, ok bool) {
	for ; f != nil; f = f.outer {
		if s, has := f.byAlias[alias]; has {
			if ok {
				return source{derived: true}, true
			}
			found, ok = s, true
		}
	}
	return found, ok
}

// below has the items that a star of this name is of, where it is of several.
func (f *frame) below(qualifier []string) *frame {
	for ; f != nil && len(qualifier) == 1; f = f.outer {
		if s, ok := f.byAlias[qualifier[0]]; ok {
			return s.inner
		}
	}
	return nil
}

// sources collects the FROM items below a node, not those of sub-selects.
func (w *walker) sources(n *pg.Node, e env, f *frame) {
	add := func(a *pg.Alias, s source) {
		if a != nil {
			s.alias = a.GetAliasname()
			w.ranges[s.alias] = true
		}
		f.add(s)
	}
	switch n := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		f.add(w.source(n.RangeVar, e))
	case *pg.Node_JoinExpr:
		into := f
		if n.JoinExpr.GetAlias() != nil { // it hides the names below it
			into = w.joined(n.JoinExpr, e)
		} else {
			w.sources(n.JoinExpr.GetLarg(), e, f)
			w.sources(n.JoinExpr.GetRarg(), e, f)
		}
		if a := n.JoinExpr.GetJoinUsingAlias(); a != nil {
			w.ranges[a.GetAliasname()] = true
			into.add(source{alias: a.GetAliasname(), derived: true})
		}
		if a := n.JoinExpr.GetAlias(); a != nil {
			add(a, source{derived: true, inner: into})
			w.joins[a.GetAliasname()] = true
		}
	case *pg.Node_RangeTableSample:
		w.sources(n.RangeTableSample.GetRelation(), e, f)
	case *pg.Node_RangeSubselect:
		add(n.RangeSubselect.GetAlias(), source{derived: true})
	case *pg.Node_RangeFunction:
		add(n.RangeFunction.GetAlias(), source{derived: true})
		for _, l := range n.RangeFunction.GetFunctions() {
			for _, i := range l.GetList().GetItems() {
				if parts := names(i.GetFuncCall().GetFuncname()); len(parts) > 0 {
					w.ranges[parts[len(parts)-1]] = true
				}
			}
		}
	case *pg.Node_RangeTableFunc:
		add(n.RangeTableFunc.GetAlias(), source{derived: true})
	case *pg.Node_JsonTable:
		add(n.JsonTable.GetAlias(), source{derived: true})
	case nil:
	default:
		w.opaque(fmt.Sprintf("it reads from something that Gatestay does not know (%T)", n))
	}
}

// joined are the FROM items of one join, as its own condition sees them.
func (w *walker) joined(n *pg.JoinExpr, e env) *frame {
	f := &frame{outer: e.from}
	w.sources(n.GetLarg(), e, f)
	w.sources(n.GetRarg(), e, f)
	return f
}

// source is a table or the name of a WITH query.
func (w *walker) source(rv *pg.RangeVar, e env) source {
	s := source{alias: rv.GetRelname(), schema: rv.GetSchemaname(), table: rv.GetRelname()}
	if w.isCTE(rv, e) {
		s = source{alias: rv.GetRelname(), derived: true}
	}
	w.ranges[rv.GetRelname()] = true
	if a := rv.GetAlias(); a != nil {
		s.alias = a.GetAliasname()
		w.ranges[s.alias] = true
		if len(a.GetColnames()) > 0 {
			w.f.WholeRow = true // its columns go by other names from here
			if !s.derived {
				w.renamed.add(wholeRow{schema: s.schema, table: s.table})
			}
		}
	}
	if !s.derived {
		w.ranged(s.alias, s.schema, s.table)
	}
	return s
}

func (w *walker) isCTE(rv *pg.RangeVar, e env) bool {
	return rv.GetSchemaname() == "" && rv.GetCatalogname() == "" && e.ctes.has(rv.GetRelname())
}

func (w *walker) rangeVar(rv *pg.RangeVar, e env) {
	if w.isCTE(rv, e) {
		return
	}
	access := e.access
	if access == "" {
		access = command.Read
	}
	w.object(rv, access)
}

func (w *walker) joinExpr(n *pg.JoinExpr, e env) {
	if n.GetAlias() != nil {
		e.from = w.joined(n, e)
	}
	w.each(e, n.GetLarg(), n.GetRarg())
	on := e
	on.filter = true
	w.each(on, n.GetQuals())
	for _, c := range names(n.GetUsingClause()) {
		w.column(command.Column{Name: c}, on)
	}
	if n.GetIsNatural() {
		w.f.WholeRow, w.unnamed = true, true // it joins columns by names that are not written
		w.unknown("filters")
	}
	if n.GetIsNatural() || len(n.GetUsingClause()) > 0 {
		w.operator([]string{"="}, e)
	}
	if len(n.GetAlias().GetColnames()) > 0 {
		w.f.WholeRow, w.unnamed = true, true
	}
}

func (w *walker) tableSample(n *pg.RangeTableSample, e env) {
	switch m := lower(names(n.GetMethod())); m {
	case "system", "bernoulli", "pg_catalog.system", "pg_catalog.bernoulli":
	default:
		w.call("samples rows by "+m, e)
	}
	w.each(e, n.GetRelation(), n.GetRepeatable())
	w.each(e, n.GetArgs()...)
}
