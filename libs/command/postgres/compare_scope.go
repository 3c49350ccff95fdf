package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

type (
	compareRows  = scope.Rows[value]
	compareScope = scope.Scope[value]
	compareItem  = scope.Item[value]
)

var _ scope.Reader[value] = (*comparer)(nil)

// Relation has the columns that it is asked for: which there are, Resolve knows.
func (c *comparer) Relation(rv *pg.RangeVar) (compareItem, bool) {
	return compareItem{
		Alias: rv.GetRelname(), Schema: rv.GetSchemaname(), Table: true,
		Rows: c.columnsOf(command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname()}),
	}, true
}

// columnsOf are the columns of a table, or of any where it has no name.
func (c *comparer) columnsOf(table command.Column) compareRows {
	return compareRows{Rest: func(name string) value {
		table.Name = name
		return value{from: []origin{{column: table, exact: true}}}
	}}
}

// Query implements scope.Reader.
func (c *comparer) Query(n *pg.Node, at *compareScope) compareRows { return c.statement(n, at) }

// Value implements scope.Reader.
func (c *comparer) Value(m protoreflect.Message, at *compareScope) value {
	if n, ok := m.Interface().(*pg.Node); ok {
		return c.eval(n, at)
	}
	return c.children(m, at)
}

// Condition implements scope.Reader.
func (c *comparer) Condition(n *pg.Node, at *compareScope) value {
	c.condition(n, at)
	return value{}
}

// Multiplies implements scope.Reader: how many rows come answers a question.
func (c *comparer) Multiplies(v value) { c.uses(v, command.Expression) }

// Equal implements scope.Reader.
func (c *comparer) Equal(l, r value) { c.compared(l, r) }

// Unclear implements scope.Reader.
func (c *comparer) Unclear(v value) { c.uses(v, command.Other) }

// Union implements scope.Reader.
func (c *comparer) Union(l, r value) value { return c.union(l, r) }

// Computed implements scope.Reader.
func (c *comparer) Computed(v value) value { return c.changed(v) }

// Size implements scope.Reader.
func (c *comparer) Size(v value) int {
	if v.mixed {
		return len(v.from) + 1
	}
	return len(v.from)
}

// Spend implements scope.Reader.
func (c *comparer) Spend() bool { return c.spend(1) }

// Fail implements scope.Reader.
func (c *comparer) Fail() { c.budget = 0 }

// all is what any of the columns may be.
func (c *comparer) all(r *compareRows) value { return c.names.All(r) }

// result is what a query as a whole comes to.
func (c *comparer) result(r compareRows) value { return c.all(&r) }

// reference is the value of a column reference.
func (c *comparer) reference(n *pg.ColumnRef, s *compareScope) value {
	parts := names(n.GetFields())
	c.spend(s.Width())
	switch {
	case len(parts) < len(n.GetFields()):
		r := c.starred(parts, s)
		return c.all(&r)
	case len(parts) == 1:
		return c.bare(parts[0], s)
	case len(parts) == 2:
		return c.qualified(parts[0], parts[1], s)
	}
	return value{from: []origin{{column: command.Column{
		Schema: parts[len(parts)-3], Table: parts[len(parts)-2], Name: parts[len(parts)-1],
	}, exact: true, dotted: true}}}
}

// starred are the columns that a star stands for.
func (c *comparer) starred(qualifier []string, s *compareScope) (out compareRows) {
	switch {
	case len(qualifier) == 0:
		for _, it := range s.Visible() {
			c.names.Star(&out, &it.Rows)
		}
		return out
	case len(qualifier) > 1:
		return c.columnsOf(command.Column{Schema: qualifier[len(qualifier)-2], Table: qualifier[len(qualifier)-1]})
	}
	if it := c.names.Find("", qualifier[0], s); it != nil {
		return it.Rows
	}
	return c.columnsOf(command.Column{}) // of a rule's old, say
}

// bare is a column by its name alone, or a whole row. Which table has it is left
// to Resolve.
func (c *comparer) bare(name string, s *compareScope) value {
	f := c.names.Bare(name, s)
	list := f.Maybe
	if f.Column != nil {
		list = append(slices.Clone(list), f.Column.Value)
	} else if f.Row != nil {
		list = append(slices.Clone(list), c.all(&f.Row.Rows))
	}
	if len(list) == 0 {
		return value{from: []origin{{column: command.Column{Name: name}, exact: true}}}
	}
	out := list[0]
	for _, v := range list[1:] {
		out = c.union(out, v)
	}
	return out
}

// qualified is a column of an item, or a function of its row in attribute notation.
func (c *comparer) qualified(alias, name string, s *compareScope) value {
	it := c.names.Find("", alias, s)
	if it == nil {
		return value{from: []origin{{column: command.Column{Name: name}, exact: true}}}
	}
	v, ok := c.names.ByName(&it.Rows, name)
	known := slices.ContainsFunc(it.Columns, func(col scope.Column[value]) bool { return col.Name == name })
	if !known && (!it.Open() || functionTrust([]string{name}) != foreign) {
		row := c.all(&compareRows{Columns: it.Columns})
		if ok {
			row = c.union(v, row)
		}
		v = row
	}
	return c.dotted(v)
}

func (c *comparer) dotted(v value) value {
	out := value{from: append([]origin{}, v.from...), mixed: v.mixed}
	c.spend(len(out.from))
	for i := range out.from {
		out.from[i].dotted = true
	}
	return out
}
