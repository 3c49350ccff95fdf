package postgres

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
)

// columnName is the server's name for a column of VALUES.
func columnName(i int) string { return fmt.Sprintf("column%d", i+1) }

// from adds one FROM item to the level, and follows what is in it.
func (c *comparer) from(node *pg.Node, s *compareScope) {
	if !c.spend(1) {
		return
	}
	switch n := node.GetNode().(type) {
	case *pg.Node_RangeVar:
		s.items = append(s.items, c.table(n.RangeVar, s))
	case *pg.Node_RangeSubselect:
		around := s // LATERAL sees the items before it
		if !n.RangeSubselect.GetLateral() {
			around = &compareScope{outer: s.outer, ctes: s.ctes}
		}
		cols := c.statement(n.RangeSubselect.GetSubquery(), around)
		s.items = append(s.items, c.aliased(n.RangeSubselect.GetAlias(), "", cols))
	case *pg.Node_JoinExpr:
		c.join(n.JoinExpr, s)
	case *pg.Node_RangeTableSample:
		c.from(n.RangeTableSample.GetRelation(), s)
		for _, a := range append(n.RangeTableSample.GetArgs(), n.RangeTableSample.GetRepeatable()) {
			c.uses(c.eval(a, s), command.Other)
		}
	case *pg.Node_RangeFunction:
		c.rangeFunction(n.RangeFunction, s)
	case nil:
	default: // JSON_TABLE, XMLTABLE: how many rows there are depends on what goes in
		v := c.children(inside(node), s)
		c.uses(v, command.Expression)
		s.items = append(s.items, &compareItem{alias: aliasOf(n), columns: &columns{any: c.changed(v)}})
	}
}

// aliasOf is the alias of a FROM item of any kind.
func aliasOf(n any) string {
	switch n := n.(type) {
	case *pg.Node_RangeTableFunc:
		return n.RangeTableFunc.GetAlias().GetAliasname()
	case *pg.Node_JsonTable:
		return n.JsonTable.GetAlias().GetAliasname()
	}
	return ""
}

// table is a table or a view, or a WITH query.
func (c *comparer) table(rv *pg.RangeVar, s *compareScope) *compareItem {
	if rv.GetSchemaname() == "" && rv.GetCatalogname() == "" {
		if cols := s.ctes.find(rv.GetRelname()); cols != nil {
			return c.aliased(rv.GetAlias(), rv.GetRelname(), cols)
		}
	}
	i := &compareItem{alias: rv.GetRelname(), table: command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname()}}
	if a := rv.GetAlias(); a != nil {
		i.alias = a.GetAliasname()
		if len(a.GetColnames()) > 0 { // which column has which name is not known
			i.columns = &columns{any: star(i.table)}
		}
	}
	return i
}

// aliased is an item that is no table, under its alias.
func (c *comparer) aliased(a *pg.Alias, name string, cols *columns) *compareItem {
	if a == nil {
		return &compareItem{alias: name, columns: cols}
	}
	return &compareItem{alias: a.GetAliasname(), columns: c.renamed(cols, names(a.GetColnames()))}
}

// renamed gives the first columns other names.
func (c *comparer) renamed(cols *columns, names []string) *columns {
	if len(names) == 0 {
		return cols
	}
	c.spend(len(cols.list) + len(names))
	out := &columns{stars: cols.stars, any: cols.any, list: append([]named{}, cols.list...)}
	if len(cols.stars) > 0 || len(cols.any.from) > 0 || len(names) > len(cols.list) {
		all := c.all(cols)
		for _, n := range names {
			out.list = append(out.list, named{n, all})
		}
		return out
	}
	for i, n := range names {
		out.list[i].name = n
	}
	return out
}

func (c *comparer) join(n *pg.JoinExpr, s *compareScope) {
	level := s
	if n.GetAlias() != nil { // it hides the names below it
		level = s.inner()
	}
	first := len(level.items)
	c.from(n.GetLarg(), level)
	middle := len(level.items)
	c.from(n.GetRarg(), level)
	left, right := level.items[first:middle:middle], level.items[middle:]
	c.condition(n.GetQuals(), level)
	using := &columns{}
	for _, name := range names(n.GetUsingClause()) {
		l, r := c.among(left, name), c.among(right, name)
		c.compared(l, r)
		using.list = append(using.list, named{name, c.union(l, r)})
	}
	if n.GetIsNatural() { // by which columns, the text does not say
		for _, i := range level.items[first:] {
			c.uses(c.whole(i), command.Other)
		}
	}
	if a := n.GetJoinUsingAlias(); a != nil {
		level.items = append(level.items, &compareItem{alias: a.GetAliasname(), columns: using})
	}
	if a := n.GetAlias(); a != nil {
		cols := &columns{}
		c.expand(nil, level, cols)
		s.items = append(s.items, c.aliased(a, "", cols))
	}
}

// among is a column that one of the items has.
func (c *comparer) among(items []*compareItem, name string) value {
	if len(items) == 1 {
		if v, ok := c.column(items[0], name); ok {
			return v
		}
	}
	out, found := value{}, false
	for _, i := range items {
		if i.columns == nil {
			continue
		}
		if v, ok := c.column(i, name); ok {
			out, found = c.union(out, v), true
		}
	}
	if found {
		return out
	}
	return value{from: []origin{{column: command.Column{Name: name}, exact: true}}}
}

// rangeFunction is a function in FROM: how many rows it gives depends on its
// arguments.
func (c *comparer) rangeFunction(n *pg.RangeFunction, s *compareScope) {
	args, name := nothing, ""
	for _, l := range n.GetFunctions() {
		for _, f := range l.GetList().GetItems() {
			v := c.eval(f, s)
			c.uses(v, command.Expression)
			args = c.union(args, c.changed(v))
			if parts := names(f.GetFuncCall().GetFuncname()); len(parts) > 0 && name == "" {
				name = parts[len(parts)-1]
			}
		}
	}
	cols := &columns{any: args}
	if len(args.from) == 0 {
		// What it returns comes from no column; its columns' names are not known.
		cols = &columns{any: nothing}
	}
	i := &compareItem{alias: name, columns: cols}
	if a := n.GetAlias(); a != nil {
		i.alias = a.GetAliasname()
		for _, col := range names(a.GetColnames()) {
			cols.list = append(cols.list, named{col, args})
		}
		cols.list = append(cols.list, named{a.GetAliasname(), args})
	} else {
		cols.list = append(cols.list, named{name, args})
	}
	for _, d := range n.GetColdeflist() {
		cols.list = append(cols.list, named{d.GetColumnDef().GetColname(), args})
	}
	if n.GetOrdinality() {
		cols.list = append(cols.list, named{"ordinality", nothing})
	}
	s.items = append(s.items, i)
}

// relationsBelow are the unqualified names of relations anywhere below a node.
func (c *comparer) relationsBelow(n *pg.Node) []string {
	var out []string
	var walk func(m protoreflect.Message)
	walk = func(m protoreflect.Message) {
		if rv, ok := m.Interface().(*pg.RangeVar); ok && rv.GetSchemaname() == "" {
			out = append(out, rv.GetRelname())
		}
		for child := range below(m) {
			if c.spend(1) {
				walk(child)
			}
		}
	}
	if n != nil {
		walk(n.ProtoReflect())
	}
	return out
}
