package scope

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// From reads the FROM items of one level, after those that it has, and returns
// it with them, and what decides which rows they give.
func (a *Analysis[V]) From(list []*pg.Node, first []Item[V], at *Scope[V]) (level *Scope[V], control V) {
	f := &from[V]{Analysis: a}
	items := slices.Clone(first)
	for _, n := range list {
		_, seen := f.item(n, at.Over().behind(items))
		items = append(items, seen...)
	}
	level = at.Over(items...)
	level.Amount = f.amount
	return level, f.control
}

// from reads FROM items.
type from[V any] struct {
	*Analysis[V]
	amount, control V
}

// item reads one item. seen is what names find of it.
func (f *from[V]) item(n *pg.Node, s *Scope[V]) (top Item[V], seen []Item[V]) {
	var alias *pg.Alias
	switch n := n.GetNode().(type) {
	case *pg.Node_JoinExpr:
		return f.join(n.JoinExpr, s)
	case *pg.Node_RangeTableSample:
		top, seen = f.item(n.RangeTableSample.GetRelation(), s)
		v := f.each(append(n.RangeTableSample.GetArgs(), n.RangeTableSample.GetRepeatable()), s.sideways(true))
		f.multiply(v)
		return top, seen
	case *pg.Node_RangeVar:
		top = f.relation(n.RangeVar, s)
		alias = n.RangeVar.GetAlias()
	case *pg.Node_RangeSubselect:
		top.Rows = f.Query(n.RangeSubselect.GetSubquery(), s.sideways(n.RangeSubselect.GetLateral()))
		alias = n.RangeSubselect.GetAlias()
	case *pg.Node_RangeFunction:
		top = f.function(n.RangeFunction, s.sideways(true))
		alias = n.RangeFunction.GetAlias()
	case *pg.Node_RangeTableFunc:
		top = f.computed(n.RangeTableFunc.ProtoReflect(), "xmltable", s)
		alias = n.RangeTableFunc.GetAlias()
	case *pg.Node_JsonTable:
		top = f.computed(n.JsonTable.ProtoReflect(), "json_table", s)
		jsonTable(n.JsonTable, &top.Rows)
		alias = n.JsonTable.GetAlias()
	default:
		f.Fail()
	}
	f.amount, f.control = f.Union(f.amount, top.Amount), f.Union(f.control, top.Control)
	if alias != nil {
		top.Alias, top.Schema = alias.GetAliasname(), ""
		top.Rows = f.Renamed(top.Rows, Names(alias.GetColnames()))
	}
	top.Bare, top.Named = true, top.Alias != ""
	return top, []Item[V]{top}
}

// multiply notes a value that tells how many rows there are.
func (f *from[V]) multiply(v V) {
	f.Multiplies(v)
	f.amount = f.Union(f.amount, v)
}

func (f *from[V]) each(nodes []*pg.Node, s *Scope[V]) V {
	var v V
	for _, n := range nodes {
		if n != nil {
			v = f.Union(v, f.Computed(f.Value(n.ProtoReflect(), s)))
		}
	}
	return v
}

// relation reads a table, a view, or the name of a WITH query.
func (f *from[V]) relation(rv *pg.RangeVar, s *Scope[V]) Item[V] {
	if rv.GetSchemaname() == "" && rv.GetCatalogname() == "" {
		if q := s.with.find(rv.GetRelname()); q != nil {
			return Item[V]{Alias: rv.GetRelname(), Rows: f.rows(q)}
		}
	}
	it, ok := f.Relation(rv)
	if !ok {
		f.Fail()
	}
	return it
}

// singleColumn are functions that give one column, whatever their arguments.
var singleColumn = map[string]bool{
	"generate_series": true, "generate_subscripts": true, "json_array_elements": true, "json_array_elements_text": true,
	"json_object_keys": true, "jsonb_array_elements": true, "jsonb_array_elements_text": true, "jsonb_object_keys": true,
	"jsonb_path_query": true, "regexp_matches": true, "regexp_split_to_table": true, "string_to_table": true,
}

// function reads functions in FROM. What columns they have, and what they are
// called, is mostly not for the text to say.
func (f *from[V]) function(n *pg.RangeFunction, s *Scope[V]) Item[V] {
	var (
		top   Item[V]
		all   V
		known = true
	)
	for i, l := range n.GetFunctions() {
		items := l.GetList().GetItems()
		v := f.each(items, s)
		all = f.Union(all, v)
		name := ""
		if len(items) > 0 {
			if parts := Names(items[0].GetFuncCall().GetFuncname()); len(parts) > 0 {
				name = parts[len(parts)-1]
			}
		}
		if i == 0 {
			top.Alias = name
		}
		known = known && singleColumn[name]
		top.Columns = append(top.Columns, Column[V]{Value: v})
	}
	f.Multiplies(all)
	top.Amount = all
	if defined := n.GetColdeflist(); len(defined) > 0 {
		known, top.Columns = len(n.GetFunctions()) == 1, nil
		for _, c := range defined {
			top.Columns = append(top.Columns, Column[V]{c.GetColumnDef().GetColname(), all})
		}
	}
	if n.GetOrdinality() {
		top.Columns = append(top.Columns, Column[V]{"ordinality", all})
	}
	if !known {
		top.Columns, top.Rest = nil, Always(all)
	}
	return top
}

// computed is an item whose columns all come from the same.
func (f *from[V]) computed(m protoreflect.Message, name string, s *Scope[V]) Item[V] {
	v := f.Computed(f.Value(m, s.sideways(true)))
	f.Multiplies(v)
	return Item[V]{Alias: name, Rows: Rows[V]{Rest: Always(v), Amount: v}}
}

// jsonTable finds the columns of a JSON_TABLE, where none of them is nested.
func jsonTable[V any](n *pg.JsonTable, r *Rows[V]) {
	var out []Column[V]
	for _, c := range n.GetColumns() {
		col := c.GetJsonTableColumn()
		if col == nil || len(col.GetColumns()) > 0 || col.GetName() == "" {
			return
		}
		out = append(out, Column[V]{col.GetName(), r.Rest("*")})
	}
	r.Columns, r.Rest = out, nil
}
