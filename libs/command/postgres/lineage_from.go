package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// fromClause reads the FROM items of one level, after those that it has, and
// returns it with them; what tells how many rows they give; and what decides
// which.
func (p *prover) fromClause(list []*pg.Node, first []item, at *scope) (level *scope, amount, control derived) {
	f := &from{prover: p}
	items := first
	for _, n := range list {
		_, seen := f.item(n, &scope{items: sideways(items), outer: at.outer, ctes: at.ctes})
		items = append(items[:len(items):len(items)], seen...)
	}
	return &scope{items: items, outer: at.outer, ctes: at.ctes}, f.amount, f.control
}

// sideways marks items as what only a query that may look sideways sees.
func sideways(items []item) []item {
	out := slices.Clone(items)
	for i := range out {
		out[i].lateral = true
	}
	return out
}

// from reads FROM items.
type from struct {
	*prover
	amount, control derived
}

// item reads one item. seen is what names find of it.
func (f *from) item(n *pg.Node, s *scope) (top item, seen []item) {
	alias := (*pg.Alias)(nil)
	top.columns, top.name = true, true
	switch n := n.GetNode().(type) {
	case *pg.Node_JoinExpr:
		return f.join(n.JoinExpr, s)
	case *pg.Node_RangeTableSample:
		top, seen = f.item(n.RangeTableSample.GetRelation(), s)
		d := f.each(n.RangeTableSample.GetArgs(), s.sideways(true)).and(f.node(n.RangeTableSample.GetRepeatable(), s.sideways(true)))
		f.amount = f.amount.and(d)
		return top, seen
	case *pg.Node_RangeVar:
		f.relation(n.RangeVar, s, &top)
		alias = n.RangeVar.GetAlias()
	case *pg.Node_RangeSubselect:
		top.rows = f.query(n.RangeSubselect.GetSubquery(), s.sideways(n.RangeSubselect.GetLateral()))
		alias = n.RangeSubselect.GetAlias()
	case *pg.Node_RangeFunction:
		f.function(n.RangeFunction, s, &top)
		alias = n.RangeFunction.GetAlias()
	case *pg.Node_RangeTableFunc:
		f.computed(f.derive(n.RangeTableFunc.ProtoReflect(), s.sideways(true)), "xmltable", &top)
		alias = n.RangeTableFunc.GetAlias()
	case *pg.Node_JsonTable:
		d := f.derive(n.JsonTable.ProtoReflect(), s.sideways(true))
		f.computed(d, "json_table", &top)
		top.rows = jsonTable(n.JsonTable, top.rows)
		alias = n.JsonTable.GetAlias()
	default:
		f.fail()
	}
	f.amount = f.amount.and(top.amount)
	f.control = f.control.and(top.control)
	if alias != nil {
		top.alias, top.rel = alias.GetAliasname(), nil
		top.rows = top.renamed(names(alias.GetColnames()))
	}
	top.name = top.alias != ""
	return top, []item{top}
}

// relation reads a table, a view, or the name of a WITH query.
func (f *from) relation(rv *pg.RangeVar, s *scope, top *item) {
	top.alias = rv.GetRelname()
	if rv.GetSchemaname() == "" && rv.GetCatalogname() == "" {
		if q := s.ctes.find(rv.GetRelname()); q != nil {
			top.rows = f.withRows(q)
			return
		}
	}
	f.base(rv, top)
}

// base reads a relation of the catalog.
func (p *prover) base(rv *pg.RangeVar, top *item) {
	rel := p.masks.catalog.find(p.path, rv.GetSchemaname(), rv.GetRelname())
	if rel == nil {
		p.fail()
		return
	}
	top.alias, top.rel, top.table = rel.Name, rel, true
	for _, c := range rel.Columns {
		ref := ColumnRef{rel.OID, c.Number}
		o := output{name: c.Name, origin: ref}
		switch masked, is, tainted := p.masks.column(rel.OID, c.Number); {
		case is:
			o.from = derived{masked}
		case tainted || p.written[ref]:
			o.from = derived{rel.column(c.Name)}
		}
		top.outputs = append(top.outputs, o)
	}
}

// singleColumn are functions that give one column, whatever their arguments.
var singleColumn = []string{
	"generate_series", "generate_subscripts", "json_array_elements", "json_array_elements_text", "json_object_keys",
	"jsonb_array_elements", "jsonb_array_elements_text", "jsonb_object_keys", "jsonb_path_query", "regexp_matches",
	"regexp_split_to_table", "string_to_table",
}

// function reads functions in FROM. What columns they have, and what they are
// called, is mostly not for the text to say.
func (f *from) function(n *pg.RangeFunction, s *scope, top *item) {
	first, known := "", true
	var outputs []output
	var all derived
	for i, l := range n.GetFunctions() {
		items := l.GetList().GetItems()
		d := f.each(items, s.sideways(true))
		all = all.and(d)
		name := ""
		if len(items) > 0 {
			_, name = split(names(items[0].GetFuncCall().GetFuncname()))
		}
		if i == 0 {
			first = name
		}
		known = known && has(singleColumn, name)
		outputs = append(outputs, output{from: d})
	}
	if defined := n.GetColdeflist(); len(defined) > 0 {
		known, outputs = len(n.GetFunctions()) == 1, nil
		for _, c := range defined {
			outputs = append(outputs, output{name: c.GetColumnDef().GetColname(), from: all})
		}
	}
	f.computed(all, first, top)
	if known {
		if n.GetOrdinality() {
			outputs = append(outputs, output{name: "ordinality", from: all})
		}
		top.rows = rows{outputs: outputs, amount: all}
	}
}

// computed is an item whose columns all derive from the same.
func (f *from) computed(d derived, name string, top *item) {
	top.rows = rows{open: true, rest: d, amount: d}
	top.alias = name
}

// jsonTable has the columns of a JSON_TABLE, where none of them is nested.
func jsonTable(n *pg.JsonTable, r rows) rows {
	out := rows{amount: r.amount}
	for _, c := range n.GetColumns() {
		col := c.GetJsonTableColumn()
		if col == nil || len(col.GetColumns()) > 0 || col.GetName() == "" {
			return r
		}
		out.outputs = append(out.outputs, output{name: col.GetName(), from: r.rest})
	}
	return out
}

func (f *from) join(n *pg.JoinExpr, s *scope) (top item, seen []item) {
	l, lefts := f.item(n.GetLarg(), s)
	right := &scope{items: append(s.items[:len(s.items):len(s.items)], sideways(lefts)...), outer: s.outer, ctes: s.ctes}
	r, rights := f.item(n.GetRarg(), right)
	seen = append(lefts[:len(lefts):len(lefts)], rights...)
	f.control = f.control.and(f.leniently(&scope{items: seen, outer: s.outer, ctes: s.ctes}, n.GetQuals()))

	top.columns = true
	var merged []output
	top.rows, merged = merge(&l.rows, &r.rows, names(n.GetUsingClause()), n.GetIsNatural())
	if a := n.GetJoinUsingAlias(); a != nil {
		seen = append(seen, item{alias: a.GetAliasname(), rows: rows{outputs: merged}, name: true})
	}
	if a := n.GetAlias(); a != nil { // it hides what is below
		top.alias, top.name = a.GetAliasname(), true
		top.rows = top.renamed(names(a.GetColnames()))
		return top, []item{top}
	}
	seen = slices.Clone(seen)
	for i := range seen {
		seen[i].columns = false
	}
	return top, append(seen, top)
}

// merge is what a join returns: the columns that both have once, then the rest
// of the left side, then that of the right one.
func merge(l, r *rows, using []string, natural bool) (out rows, merged []output) {
	known := !l.open && !r.open
	if natural {
		known = known && l.named() && r.named()
		for _, o := range l.outputs {
			if o.name != "" && slices.ContainsFunc(r.outputs, func(c output) bool { return c.name == o.name }) {
				using = append(using[:len(using):len(using)], o.name)
			}
		}
	}
	for _, name := range using {
		a, b := l.only(name), r.only(name)
		if a == nil || b == nil {
			known = false
			merged = append(merged, output{name: name, from: l.all().and(r.all())})
			continue
		}
		merged = append(merged, output{name: name, from: a.from.and(b.from)})
	}
	out.outputs = append(out.outputs, merged...)
	for _, side := range []*rows{l, r} {
		for _, o := range side.outputs {
			if o.name == "" || !slices.Contains(using, o.name) {
				out.outputs = append(out.outputs, o)
			}
		}
	}
	if known || !natural && len(using) == 0 {
		out.open, out.rest = l.open || r.open, l.rest.and(r.rest)
		return out, merged
	}
	// Which columns are merged cannot be told: each may be any.
	all := l.all().and(r.all())
	for i, o := range out.outputs {
		out.outputs[i] = output{name: o.name, from: all}
	}
	out.open, out.rest = true, all
	return out, merged
}

// named reports that all names are known.
func (r *rows) named() bool {
	return !slices.ContainsFunc(r.outputs, func(o output) bool { return o.name == "" })
}

// only is the one output of a name, nil where there is none, or several.
func (r *rows) only(name string) *output {
	var hit *output
	for i := range r.outputs {
		if r.outputs[i].name == name {
			if hit != nil {
				return nil
			}
			hit = &r.outputs[i]
		}
	}
	return hit
}
