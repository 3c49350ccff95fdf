package pgcatalog_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator writes random queries over plantedShop. It keeps track of the
// columns that each FROM item has, so that most of what it writes runs.
type generator struct {
	rand  *rand.Rand
	alias int
}

// item is a FROM item.
type item struct {
	sql, alias string
	columns    []string
}

func (g *generator) pick(list ...string) string { return list[g.rand.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.rand.IntN(100) < percent }

func (g *generator) name() string {
	g.alias++
	return fmt.Sprintf("a%d", g.alias)
}

// tables are what queries begin with.
func tables() []item {
	return []item{
		{sql: "customers", columns: []string{"id", "email", "name", "tags", "doc", "shout"}},
		{sql: "child", columns: []string{"id", "email", "name", "tags", "doc", "shout"}},
		{sql: "contacts", columns: []string{"id", "mail", "lowered"}},
		{sql: "over", columns: []string{"id", "mail"}},
		{sql: "whole", columns: []string{"id", "doc"}},
		{sql: "safe", columns: []string{"id", "name"}},
		{sql: "kept", columns: []string{"name", "e"}},
		{sql: "orders", columns: []string{"id", "customer", "total"}},
	}
}

// from writes one FROM item.
func (g *generator) from(depth int) item {
	out := item{alias: g.name()}
	switch n := g.rand.IntN(10); {
	case n < 4 || depth == 0:
		t := tables()[g.rand.IntN(8)]
		if g.chance(40) {
			t = tables()[0]
		}
		out.sql, out.columns = t.sql, t.columns
	case n < 8:
		sql, columns := g.query(depth - 1)
		out.sql, out.columns = "("+sql+")", columns
	default:
		sql, _ := g.single(depth - 1)
		out.sql, out.columns = "unnest(ARRAY("+sql+"))", []string{out.alias}
	}
	out.sql += " AS " + out.alias
	if g.chance(25) { // other names for its columns
		renamed := make([]string, len(out.columns))
		for i := range renamed {
			renamed[i] = g.pick("id", "email", "name", "x", "y", "doc") + fmt.Sprint(i)
		}
		out.sql += "(" + strings.Join(renamed, ", ") + ")"
		out.columns = renamed
	}
	return out
}

// expression writes a value of some FROM item, as text.
func (g *generator) expression(items []item, depth int) string {
	it := items[g.rand.IntN(len(items))]
	column := it.alias + "." + g.pick(it.columns...)
	text := column + "::text"
	switch g.rand.IntN(14) {
	case 0, 1:
		return column
	case 2:
		return text + " || ''"
	case 3:
		return "lower(" + text + ")"
	case 4:
		return "coalesce(" + text + ", 'none')"
	case 5:
		return "CASE WHEN " + text + " > 'a' THEN " + text + " END"
	case 6:
		return g.pick("to_jsonb", "row_to_json") + "(" + it.alias + ")"
	case 7:
		return it.alias + "." + g.pick("to_json", "to_jsonb", "row_to_json")
	case 8:
		return "(" + it.alias + ")::text"
	case 9:
		return "ROW(" + it.alias + ".*)::text"
	case 10:
		return "reverse(" + text + ")"
	case 11:
		return "(ARRAY[" + text + "])[1]"
	case 12:
		if depth > 0 {
			sql, _ := g.single(depth - 1)
			return "(SELECT string_agg(q::text, ',') FROM (" + sql + ") q)"
		}
		return "encode(convert_to(" + text + ", 'UTF8'), 'hex')"
	default:
		return "(SELECT " + text + ")"
	}
}

// join writes one to three FROM items.
func (g *generator) join(depth int) (string, []item) {
	first := g.from(depth)
	sql, items := first.sql, []item{first}
	for g.chance(30) && len(items) < 3 {
		next := g.from(depth)
		switch {
		case g.chance(40):
			sql += " CROSS JOIN " + next.sql
		case g.chance(50):
			sql += " NATURAL LEFT JOIN " + next.sql
		default:
			sql += " LEFT JOIN LATERAL (SELECT " + first.alias + ".*, " + g.expression(items, 0) + " AS lat) AS " + next.alias + " ON true"
			next.columns = append(append([]string{}, first.columns...), "lat")
		}
		items = append(items, next)
	}
	return sql, items
}

// single writes a query of one column of type text.
func (g *generator) single(depth int) (sql, column string) {
	from, items := g.join(depth)
	return "SELECT (" + g.expression(items, depth) + ")::text AS t FROM " + from, "t"
}

// query writes a query, and says how its columns are called.
func (g *generator) query(depth int) (sql string, columns []string) {
	switch n := g.rand.IntN(10); {
	case n == 0 && depth > 0:
		a, _ := g.single(depth - 1)
		b, _ := g.single(depth - 1)
		return a + g.pick(" UNION ALL ", " UNION ", " EXCEPT ") + b, []string{"t"}
	case n == 1 && depth > 0:
		inner, cols := g.query(depth - 1)
		name := g.pick("customers", "contacts", g.name()) // shadows a table, often
		outer := item{sql: name, alias: g.name(), columns: cols}
		return "WITH " + name + " AS (" + inner + ") SELECT " + outer.alias + ".*, " + g.expression([]item{outer}, 0) +
			" AS w FROM " + name + " AS " + outer.alias, append(append([]string{}, cols...), "w")
	}
	from, items := g.join(depth)
	var targets []string
	for i := range 1 + g.rand.IntN(3) {
		switch it := items[g.rand.IntN(len(items))]; {
		case g.chance(20):
			targets = append(targets, it.alias+".*")
			columns = append(columns, it.columns...)
		default:
			name := fmt.Sprintf("%s%d", g.pick("id", "email", "name", "c"), i)
			targets = append(targets, g.expression(items, depth)+" AS "+name)
			columns = append(columns, name)
		}
	}
	sql = "SELECT " + g.pick("", "", "DISTINCT ON (1) ") + strings.Join(targets, ", ") + " FROM " + from
	if g.chance(20) {
		sql += " WHERE " + g.expression(items, 0) + " IS NOT NULL"
	}
	return sql, columns
}
