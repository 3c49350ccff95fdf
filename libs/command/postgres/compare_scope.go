package postgres

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// compareScope is what names mean at one place of a statement: the FROM items of one
// query level, and the levels around it.
type compareScope struct {
	outer *compareScope
	ctes  *cteScope
	items []*compareItem
}

// compareItem is one FROM item.
type compareItem struct {
	alias string
	// table is set where it is a table or a view of the target.
	table command.Column
	// columns are set where it is anything else.
	columns *columns
}

// columns are what a query or a function returns, as far as it can be told.
type columns struct {
	list []named
	// stars are tables of which all columns are among them; where they stand in
	// the list is not known then.
	stars []command.Column
	// any is the value of a column of any name.
	any value
}

// named is one column of a result.
type named struct {
	name  string
	value value
}

// cteScope has the WITH queries that are known.
type cteScope struct {
	outer   *cteScope
	name    string
	columns *columns
}

func (s *cteScope) find(name string) *columns {
	for ; s != nil; s = s.outer {
		if s.name == name {
			return s.columns
		}
	}
	return nil
}

func (s *compareScope) inner() *compareScope { return &compareScope{outer: s, ctes: s.ctes} }

// star stands for all columns of a table.
func star(table command.Column) value {
	table.Name = "*"
	return value{from: []origin{{column: table}}, mixed: true}
}

// whole is the value of a whole row.
func (c *comparer) whole(i *compareItem) value {
	if i.columns == nil {
		return star(i.table)
	}
	return c.all(i.columns)
}

// all is what any of the columns may be.
func (c *comparer) all(cols *columns) value {
	out := c.changed(cols.any)
	for _, n := range cols.list {
		out = c.union(out, c.changed(n.value))
	}
	for _, t := range cols.stars {
		out = c.union(out, star(t))
	}
	return out
}

// column is a column of a FROM item, ok where it may have such.
func (c *comparer) column(i *compareItem, name string) (v value, ok bool) {
	if i.columns == nil {
		i.table.Name = name
		return value{from: []origin{{column: i.table, exact: true}}}, true
	}
	return c.named(i.columns, name)
}

func (c *comparer) named(cols *columns, name string) (v value, ok bool) {
	c.spend(len(cols.list))
	for _, n := range cols.list {
		if n.name == name {
			if ok {
				v = c.union(v, n.value)
			} else {
				v, ok = n.value, true
			}
		}
	}
	for _, t := range cols.stars {
		t.Name = name
		v, ok = c.union(v, value{from: []origin{{column: t, exact: true}}}), true
	}
	if len(cols.any.from) > 0 {
		v, ok = c.union(v, c.changed(cols.any)), true
	}
	return v, ok
}

// at is the column at a position of a result, from 1.
func (c *comparer) at(cols *columns, position int) value {
	if len(cols.stars) == 0 && len(cols.any.from) == 0 && position >= 1 && position <= len(cols.list) {
		return cols.list[position-1].value
	}
	return c.all(cols)
}

// reference is the value of a column reference.
func (c *comparer) reference(n *pg.ColumnRef, s *compareScope) value {
	parts := names(n.GetFields())
	starred := len(parts) < len(n.GetFields())
	switch {
	case starred && len(parts) == 0:
		return c.everything(s)
	case starred && len(parts) == 1:
		return c.row(parts[0], s)
	case starred:
		return star(command.Column{Schema: parts[len(parts)-2], Table: parts[len(parts)-1]})
	case len(parts) == 1:
		return c.unqualified(parts[0], s)
	case len(parts) == 2:
		return c.qualified(parts[0], parts[1], s)
	}
	return value{from: []origin{{column: command.Column{
		Schema: parts[len(parts)-3], Table: parts[len(parts)-2], Name: parts[len(parts)-1],
	}, exact: true, dotted: true}}}
}

func (c *comparer) everything(s *compareScope) value {
	out := nothing
	for ; s != nil && c.spend(len(s.items)); s = s.outer {
		for _, i := range s.items {
			out = c.union(out, c.whole(i))
		}
	}
	return out
}

// row is the value of all columns of the items of that name: of every level, as
// in qualified.
func (c *comparer) row(alias string, s *compareScope) value {
	out := nothing
	for ; s != nil && c.spend(len(s.items)); s = s.outer {
		for _, i := range s.items {
			if i.alias == alias {
				out = c.union(out, c.whole(i))
			}
		}
	}
	return out
}

// qualified is a column of an item. It may be one of an outer level though an
// inner one has the alias, too: a sub-select without LATERAL and the condition
// of a join do not see all items of their level.
func (c *comparer) qualified(alias, name string, s *compareScope) value {
	out, found := value{}, false
	for ; s != nil && c.spend(len(s.items)); s = s.outer {
		for _, i := range s.items {
			if i.alias != alias {
				continue
			}
			v, ok := c.column(i, name)
			if !ok {
				v = c.whole(i) // a function of the row, in attribute notation
			}
			if found {
				v = c.union(out, v)
			}
			out, found = v, true
		}
	}
	if found {
		return c.dotted(out)
	}
	return value{from: []origin{{column: command.Column{Name: name}, exact: true}}}
}

func (c *comparer) dotted(v value) value {
	out := value{from: append([]origin{}, v.from...), mixed: v.mixed}
	c.spend(len(out.from))
	for i := range out.from {
		out.from[i].dotted = true
	}
	return out
}

// unqualified is a column that some item of any level has, or a whole row.
// Which table has it is left to Resolve, unless there is only one.
func (c *comparer) unqualified(name string, s *compareScope) value {
	out, found, tables := value{}, false, 0
	var only command.Column
	add := func(v value) {
		if found {
			out = c.union(out, v)
		} else {
			out, found = v, true
		}
	}
	levels := 0
	for ; s != nil && c.spend(1); s = s.outer {
		for _, i := range s.items {
			if !c.spend(1) {
				return out
			}
			if i.columns == nil {
				tables++
				only = i.table
			} else if v, ok := c.column(i, name); ok {
				add(v)
			}
			if i.alias == name {
				add(c.whole(i))
			}
			levels++
		}
	}
	if tables == 0 && found {
		return out
	}
	col := command.Column{Name: name}
	if tables == 1 && levels == 1 {
		only.Name = name
		col = only
	}
	add(value{from: []origin{{column: col, exact: true}}})
	return out
}
