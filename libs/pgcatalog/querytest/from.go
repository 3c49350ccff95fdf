package querytest

import (
	"fmt"
	"slices"
	"strings"
)

// item is a FROM item with its columns, whose sql is their names.
type item struct {
	sql, alias string
	columns    []value
}

func (it item) secret() bool {
	for _, c := range it.columns {
		if c.secret {
			return true
		}
	}
	return false
}

func columns(spec string) []value {
	var out []value
	for _, c := range strings.Fields(spec) { // name:kind, an exclamation mark where it is masked
		name, k, _ := strings.Cut(c, ":")
		out = append(out, value{name, kind(k[0]), strings.HasSuffix(k, "!")})
	}
	return out
}

var tables = []item{
	{sql: "customers", columns: columns("id:n email:t! name:t city:t card:n! tags:a! doc:j! born:d")},
	{sql: "public.customers", columns: columns("id:n email:t! name:t city:t card:n! tags:a! doc:j! born:d")},
	{sql: "child", columns: columns("id:n email:t! name:t city:t card:n! tags:a! doc:j! born:d")},
	{sql: "orders", columns: columns("id:n customer:n total:n note:t")},
	{sql: "logs", columns: columns("id:n line:t secret:t!")},
	{sql: "logs_1", columns: columns("id:n line:t secret:t!")},
	{sql: "contacts", columns: columns("id:n mail:t! lowered:t loud:t!")},
	{sql: "safe", columns: columns("id:n name:t city:t")},
	{sql: "whole", columns: columns("id:n doc:j!")},
	{sql: "over", columns: columns("id:n mail:t! low:t")},
	{sql: "mixed", columns: columns("id:n town:t back:t! orders:n")},
}

// fromItem writes one FROM item; before are those that it may look at sideways.
func (g *Generator) fromItem(before []item, depth int) item {
	out := item{alias: g.name()}
	if g.chance(15) {
		out.alias = g.pick("customers", "orders", "c", "email", "name") // confusing ones
	}
	switch n := g.rand.IntN(12); {
	case len(g.with) > 0 && n < 3:
		w := g.with[g.rand.IntN(len(g.with))]
		out.sql, out.columns = w.sql, w.columns
	case depth <= 0 || n < 6:
		t := tables[g.rand.IntN(len(tables))]
		if i := slices.IndexFunc(g.with, func(w item) bool { return w.sql == t.sql }); i >= 0 {
			t = g.with[i] // it shadows the table
		}
		out.sql, out.columns = t.sql, t.columns
		if g.chance(5) && out.sql == "public.customers" {
			out.sql, out.columns = out.sql+" AS "+out.alias+" TABLESAMPLE SYSTEM (100)", t.columns
			return out
		}
	case n < 9:
		saved := g.with
		q, cols := g.query(nil, depth-1)
		if len(before) > 0 && g.chance(50) {
			q, cols = g.query(before, depth-1)
			q = "LATERAL (" + q + ")"
		} else {
			q = "(" + q + ")"
		}
		g.with = saved
		out.sql, out.columns = q, cols
	default:
		return g.produced(before, depth, out.alias)
	}
	out.sql += " AS " + out.alias
	if g.chance(20) {
		out.sql, out.columns = g.renamed(out)
	}
	return out
}

func (g *Generator) renamed(it item) (string, []value) {
	cols := make([]value, len(it.columns))
	names := make([]string, len(it.columns))
	for i, c := range it.columns {
		c.sql = fmt.Sprintf("%s%d", g.pick("id", "email", "name", "x", "doc"), i)
		cols[i], names[i] = c, c.sql
	}
	return it.sql + " (" + strings.Join(names, ", ") + ")", cols
}

// produced writes a function, VALUES or the like in FROM.
func (g *Generator) produced(before []item, depth int, alias string) item {
	e := func(k kind) value { return g.expression(before, k, depth-1) }
	if len(before) == 0 {
		e = func(k kind) value {
			q := g.single(nil, k, depth-1)
			return q.as(k, "(SELECT min(q::text)::"+map[kind]string{text: "text", number: "numeric", json: "jsonb", array: "text[]", truth: "bool"}[k]+" FROM ("+q.sql+") AS z (q))")
		}
	}
	one := func(v value, k kind, sql string) item {
		if g.chance(50) {
			return item{sql: sql + " AS " + alias + " (f)", alias: alias, columns: []value{{"f", k, v.secret}}}
		}
		return item{sql: sql + " WITH ORDINALITY AS " + alias + " (f, o)", alias: alias, columns: []value{{"f", k, v.secret}, {"o", number, v.secret}}}
	}
	switch g.rand.IntN(12) {
	case 9:
		v := e(text)
		return item{sql: "XMLTABLE('/r' PASSING xmlelement(name r, xmlelement(name x, " + v.sql + ")) COLUMNS xt text PATH 'x', n FOR ORDINALITY) AS " + alias, alias: alias, columns: []value{{"xt", text, v.secret}, {"n", number, v.secret}}}
	case 10:
		v := e(text)
		return item{sql: "JSON_TABLE('[\"a\"]'::jsonb, '$[*]' PASSING " + v.sql + " AS p COLUMNS (jt text PATH '$', NESTED PATH '$' COLUMNS (k text PATH '$ ? (@ == $p)'))) AS " + alias, alias: alias, columns: []value{{"jt", text, v.secret}, {"k", text, v.secret}}}
	case 11:
		n := e(number)
		return item{sql: "public.orders AS " + alias + " TABLESAMPLE BERNOULLI ((SELECT 100 + 0 * abs((" + n.sql + ")::numeric))) REPEATABLE (3)", alias: alias, columns: columns("id:n customer:n total:n note:t")}
	case 0:
		v := e(array)
		return one(v, text, "unnest("+v.sql+")")
	case 1:
		v := e(json)
		return item{sql: "jsonb_each_text(CASE jsonb_typeof(" + v.sql + ") WHEN 'object' THEN " + v.sql + " END) AS " + alias, alias: alias, columns: []value{{"key", text, v.secret}, {"value", text, v.secret}}}
	case 2:
		v := e(text)
		return one(v, text, "regexp_split_to_table("+v.sql+", '[@;]')")
	case 3:
		v := e(text)
		return one(v, text, "string_to_table("+v.sql+", 'e')")
	case 4:
		v := e(text)
		return item{sql: "jsonb_to_record(jsonb_build_object('p', " + v.sql + ")) AS " + alias + " (p text, r int)", alias: alias, columns: []value{{"p", text, v.secret}, {"r", number, v.secret}}}
	case 5:
		v := e(text)
		return item{sql: "JSON_TABLE(jsonb_build_array(" + v.sql + "), '$[*]' COLUMNS (jt text PATH '$', n FOR ORDINALITY)) AS " + alias, alias: alias, columns: []value{{"jt", text, v.secret}, {"n", number, v.secret}}}
	case 6:
		a, b := e(text), e(number)
		return item{sql: "LATERAL (VALUES (" + a.sql + ", " + b.sql + "), ('v', 1)) AS " + alias, alias: alias, columns: []value{{"column1", text, a.secret}, {"column2", number, b.secret}}}
	case 7:
		v := e(array)
		return item{sql: "ROWS FROM (unnest(" + v.sql + "), generate_series(1, 2)) AS " + alias + " (u, g)", alias: alias, columns: []value{{"u", text, v.secret}, {"g", number, v.secret}}}
	}
	return item{sql: "generate_series(1, 2) AS " + alias + " (g)", alias: alias, columns: []value{{"g", number, false}}}
}

// from writes one to three FROM items, joined in any way.
func (g *Generator) from(outer []item, depth int) (string, []item) {
	first := g.fromItem(outer, depth)
	sql, items := first.sql, []item{first}
	listed := false
	for g.chance(40) && len(items) < 3 {
		next := g.fromItem(append(append([]item{}, outer...), items...), depth)
		last := items[len(items)-1]
		switch g.rand.IntN(9) {
		case 0, 1:
			sql += " CROSS JOIN " + next.sql
		case 2:
			sql, listed = sql+", "+next.sql, true
		case 3:
			sql += " NATURAL " + g.pick("", "LEFT ", "FULL ") + "JOIN " + next.sql
		case 4, 5:
			on := g.expression(append(append([]item{}, items...), next), truth, 1)
			sql += " LEFT JOIN " + next.sql + " ON " + on.sql
		case 6:
			if shared := sharedName(last, next); shared != "" && len(items) == 1 {
				sql += " " + g.pick("", "LEFT ", "FULL ", "RIGHT ") + "JOIN " + next.sql + " USING (" + shared + ")" + g.pick("", " AS u"+g.name())
				break
			}
			sql += " CROSS JOIN " + next.sql
		case 7:
			if listed { // no list can be a side of a join
				return sql, items
			}
			j := item{alias: g.name()}
			j.sql = "(" + sql + " CROSS JOIN " + next.sql + ") AS " + j.alias
			for _, it := range append(items, next) {
				j.columns = append(j.columns, it.columns...)
			}
			j.sql, j.columns = g.renamed(j)
			return j.sql, []item{j}
		default:
			sql += " JOIN " + next.sql + " ON true"
		}
		items = append(items, next)
	}
	return sql, items
}

func sharedName(a, b item) string {
	for _, x := range a.columns {
		for _, y := range b.columns {
			if x.sql == y.sql && x.kind == y.kind {
				return x.sql
			}
		}
	}
	return ""
}
