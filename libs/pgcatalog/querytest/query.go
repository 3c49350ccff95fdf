package querytest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Generator writes random statements. Not safe for concurrent use.
type Generator struct {
	// Clean: nothing that is written derives from a masked column.
	Clean bool

	rand  *rand.Rand
	alias int
	with  []item // queries of WITH that are known
}

// New returns a generator of the same statements for the same seed.
func New(seed uint64) *Generator {
	return &Generator{rand: rand.New(rand.NewPCG(seed, 17))} //nolint:gosec // reproducible is what it must be
}

func (g *Generator) pick(list ...string) string { return list[g.rand.IntN(len(list))] }

func (g *Generator) chance(percent int) bool { return g.rand.IntN(100) < percent }

// may reports that what is secret, or is not, may be read.
func (g *Generator) may(secret bool) bool { return !secret || !g.Clean }

func (g *Generator) name() string {
	g.alias++
	return fmt.Sprintf("a%d", g.alias)
}

// Query writes a query of few rows. secret says of each output whether it may
// derive from a masked column.
func (g *Generator) Query() (sql string, secret []bool) {
	g.alias, g.with = 0, nil
	sql, cols := g.query(nil, 3)
	for _, c := range cols {
		secret = append(secret, c.secret)
	}
	if !strings.Contains(sql, "LIMIT") && !strings.Contains(sql, "FETCH") {
		sql += " LIMIT 20"
	}
	return sql, secret
}

// single writes a query of one column.
func (g *Generator) single(outer []item, k kind, depth int) value {
	from, items := g.from(outer, depth)
	v := g.expression(append(append([]item{}, outer...), items...), k, depth)
	return v.as(k, "SELECT "+v.sql+" FROM "+from)
}

// pair writes a query of a text and a number.
func (g *Generator) pair(outer []item, depth int) value {
	from, items := g.from(outer, depth)
	all := append(append([]item{}, outer...), items...)
	a, n := g.expression(all, text, depth), g.expression(all, number, depth)
	return join(text, "SELECT "+a.sql+", "+n.sql+" FROM "+from, a, n)
}

var kinds = []kind{text, text, text, number, truth, json, array}

// query writes a query and returns the columns that it has.
func (g *Generator) query(outer []item, depth int) (string, []value) {
	if depth > 0 {
		switch g.rand.IntN(14) {
		case 0:
			return g.setOperation(outer, depth)
		case 1, 2:
			return g.withQuery(outer, depth)
		case 3:
			return g.recursive(outer, depth)
		case 4:
			return g.grouped(outer, depth)
		}
	}
	from, items := g.from(outer, depth)
	all := append(append([]item{}, outer...), items...)
	var targets []string
	var cols []value
	for i := range 1 + g.rand.IntN(4) {
		it := items[g.rand.IntN(len(items))]
		if g.chance(15) && g.may(it.secret()) {
			targets = append(targets, it.alias+".*")
			cols = append(cols, it.columns...)
			continue
		}
		v := g.target(all, depth)
		name := fmt.Sprintf("%s%d", g.pick("id", "email", "name", "c"), i)
		targets, cols = append(targets, v.sql+" AS "+name), append(cols, value{name, v.kind, v.secret})
	}
	sql := "SELECT " + g.pick("", "", "", "DISTINCT ON (1) ") + strings.Join(targets, ", ") + " FROM " + from
	if g.chance(25) {
		sql += " WHERE " + g.expression(all, truth, 1).sql
	}
	switch {
	case g.chance(10):
		sql += " ORDER BY 1 LIMIT 5"
	case g.chance(4):
		sql += " ORDER BY 1 USING > FETCH FIRST 3 ROWS WITH TIES"
	case g.chance(4):
		q := g.single(nil, number, 1)
		sql += " " + g.pick("LIMIT", "OFFSET") + " (SELECT abs(max(s))::bigint % 4 FROM (" + q.sql + ") AS s (s))"
	}
	return sql, unique(cols)
}

// unique drops columns whose name is there twice: they cannot be referred to.
// A marker keeps their place.
func unique(cols []value) []value {
	seen := map[string]int{}
	for _, c := range cols {
		seen[c.sql]++
	}
	out := make([]value, len(cols))
	for i, c := range cols {
		if seen[c.sql] > 1 {
			c.kind = '?'
		}
		out[i] = c
	}
	return out
}

// target writes an output, a window function now and then.
func (g *Generator) target(items []item, depth int) value {
	v := g.expression(items, kinds[g.rand.IntN(len(kinds))], depth)
	if g.chance(10) {
		o := g.expression(items, text, 1)
		frame := g.pick("", "", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", " GROUPS CURRENT ROW", " RANGE UNBOUNDED PRECEDING EXCLUDE TIES")
		if n := g.expression(items, number, 1); g.chance(20) {
			if q := g.single(items, number, 1); g.may(q.secret) { // what a frame says of its size has no columns of its own level
				frame = " ROWS (SELECT abs(max(s))::bigint % 4 FROM (" + q.sql + ") AS s (s)) PRECEDING"
				return join(v.kind, "last_value("+v.sql+") OVER (ORDER BY "+o.sql+frame+")", v, o, q)
			}
			return join(v.kind, "nth_value("+v.sql+", (abs("+n.sql+")::bigint % 3 + 1)::int) OVER (ORDER BY "+o.sql+")", v, o, n)
		}
		return join(v.kind, g.pick("first_value", "lag", "last_value")+"("+v.sql+") OVER (PARTITION BY "+o.sql+" ORDER BY "+o.sql+frame+")", v, o)
	}
	return v
}

func (g *Generator) grouped(outer []item, depth int) (string, []value) {
	from, items := g.from(outer, depth)
	key := g.expression(items, text, 1)
	v, n, t := g.expression(items, text, depth-1), g.expression(items, number, depth-1), g.expression(items, truth, 1)
	targets := []value{
		key.as(text, "("+key.sql+")"),
		{"count(*)", number, false},
		v.as(text, "string_agg("+v.sql+", ',')"), v.as(array, "array_agg("+v.sql+")"),
		v.as(text, "min("+v.sql+")"), n.as(number, "sum("+n.sql+")"), join(json, "jsonb_object_agg('k', "+v.sql+") FILTER (WHERE "+t.sql+")", v, t),
		t.as(number, "count(*) FILTER (WHERE "+t.sql+")"),
	}
	var cols []value
	var names []string
	for i, t := range targets {
		if i < 2 || g.chance(40) {
			name := fmt.Sprintf("g%d", i)
			names = append(names, t.sql+" AS "+name)
			cols = append(cols, value{name, t.kind, t.secret})
		}
	}
	by := g.pick("1", "1", "ROLLUP (1)", "GROUPING SETS ((1), ())", "CUBE (1)", "DISTINCT 1")
	if g.chance(20) {
		by += " HAVING " + g.pick("count(*) > 1", "min("+v.sql+") < 'm'", "bool_and("+t.sql+")")
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM " + from + " GROUP BY " + by, cols
}

func (g *Generator) setOperation(outer []item, depth int) (string, []value) {
	var sql []string
	a, b := value{"u1", text, false}, value{"u2", number, false}
	for range 2 + g.rand.IntN(2) {
		from, items := g.from(outer, depth-1)
		v, n := g.expression(items, text, depth-1), g.expression(items, number, depth-1)
		sql = append(sql, "SELECT "+v.sql+" AS u1, ("+n.sql+")::numeric AS u2 FROM "+from)
		a.secret, b.secret = a.secret || v.secret, b.secret || n.secret
	}
	return strings.Join(sql, g.pick(" UNION ALL ", " UNION ", " EXCEPT ALL ", " INTERSECT ", " UNION ALL ")), []value{a, b}
}

func (g *Generator) withQuery(outer []item, depth int) (string, []value) {
	saved := g.with
	inner, cols := g.query(nil, depth-1)
	name := g.pick("customers", "orders", "safe", g.name()) // shadows a table, often
	head := "WITH " + name
	if g.chance(30) {
		var renamed string
		renamed, cols = g.renamed(item{columns: cols})
		head += renamed
	}
	g.with = known(saved, item{sql: name, columns: cols})
	sql, out := g.query(outer, depth-1)
	g.with = saved
	if strings.HasPrefix(sql, "WITH") { // one query has one WITH
		sql = "SELECT * FROM (" + sql + ") AS " + g.name()
	}
	return head + " AS " + g.pick("", "MATERIALIZED ", "NOT MATERIALIZED ") + "(" + inner + ") " + sql, out
}

// known adds a query of WITH, which hides another of its name.
func known(with []item, q item) []item {
	out := slices.DeleteFunc(slices.Clone(with), func(w item) bool { return w.sql == q.sql })
	return append(out, q)
}

// recursive writes a query in which values move from column to column.
func (g *Generator) recursive(outer []item, depth int) (string, []value) {
	saved := g.with
	from, items := g.from(nil, depth-1)
	a, b, c := g.expression(items, text, depth-1), g.expression(items, text, 1), g.expression(items, text, 1)
	name := g.pick("customers", g.name())
	self := item{alias: "r", columns: []value{{"x", text, false}, {"y", text, false}, {"z", text, false}}}
	step := []string{"r." + g.pick("x", "y", "z"), "r." + g.pick("x", "y", "z"), "lower(r." + g.pick("x", "y", "z") + ")"}
	secret := map[string]bool{"x": a.secret, "y": b.secret, "z": c.secret}
	for range 3 {
		for i, to := range []string{"x", "y", "z"} {
			for _, of := range []string{"x", "y", "z"} {
				secret[to] = secret[to] || strings.Contains(step[i], "r."+of) && secret[of]
			}
		}
	}
	for i := range self.columns {
		self.columns[i].secret = secret[self.columns[i].sql]
	}
	self.columns = append(self.columns, value{"n", number, false})
	head := fmt.Sprintf("WITH RECURSIVE %s (x, y, z, n) AS (SELECT %s, %s, %s, 1 FROM %s UNION ALL SELECT %s, n + 1 FROM %s AS r WHERE n < 4) ",
		name, a.sql, b.sql, c.sql, from, strings.Join(step, ", "), name)
	g.with = known(saved, item{sql: name, columns: self.columns})
	sql, out := g.query(outer, depth-1)
	g.with = saved
	if strings.HasPrefix(sql, "WITH") { // one query has one WITH
		sql = "SELECT * FROM (" + sql + ") AS " + g.name()
	}
	return head + sql, out
}

// Change writes a statement that changes rows and returns some; it is meant to
// be rolled back.
func (g *Generator) Change() (sql string, secret []bool) {
	g.alias, g.with = 0, nil
	source, items := g.from(nil, 1)
	v, w := g.expression(items, text, 2), g.expression(items, text, 1)
	switch g.rand.IntN(12) {
	case 6:
		return "UPDATE orders AS t SET (note, total) = (SELECT " + v.sql + ", 1 FROM " + source + " LIMIT 1) RETURNING t.note, t.total + 1, t.note || ''", []bool{v.secret, v.secret, v.secret}
	case 7:
		return "INSERT INTO orders (id, note) SELECT 1, " + v.sql + " FROM " + source + " LIMIT 1 ON CONFLICT (id) DO UPDATE SET note = excluded.note || orders.note RETURNING note, upper(note), id + 1", []bool{v.secret, v.secret, false}
	case 8:
		return "MERGE INTO orders t USING (SELECT " + v.sql + " AS v, " + w.sql + " AS w FROM " + source + " LIMIT 1) s ON t.id = 1 WHEN MATCHED AND s.w IS NOT NULL THEN UPDATE SET note = s.v WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), t.note, s.w || '', t.total + 1",
			[]bool{false, v.secret, w.secret, false}
	case 9:
		return "DELETE FROM orders AS t USING (SELECT " + v.sql + " AS v FROM " + source + " LIMIT 1) AS q WHERE t.id < 3 RETURNING t.*, q.v || '', q", []bool{false, false, false, false, v.secret, v.secret}
	case 10:
		return "WITH u AS (UPDATE orders SET note = (SELECT min(" + v.sql + ") FROM " + source + ") RETURNING id, note AS n), i AS (INSERT INTO archive SELECT id, n FROM u RETURNING note) SELECT i.note || '', u.id + 1 FROM i, u", []bool{v.secret, false}
	case 11:
		return "UPDATE customers AS t SET name = q.v, city = 'here' FROM (SELECT " + v.sql + " AS v FROM " + source + " LIMIT 1) AS q RETURNING t.id + 1, lower(t.name), lower(t.city), t.email, to_jsonb(t)", []bool{false, v.secret, false, true, true}
	case 0:
		return "UPDATE orders AS t SET note = q.v FROM (SELECT " + v.sql + " AS v FROM " + source + " LIMIT 1) AS q RETURNING t.note, t.total + 1, lower(q.v)", []bool{v.secret, false, v.secret}
	case 1:
		return "INSERT INTO archive SELECT 1, " + v.sql + " FROM " + source + " RETURNING id + 1, note, upper(note), archive", []bool{false, v.secret, v.secret, v.secret}
	case 2:
		return "INSERT INTO archive (note, id) VALUES ((SELECT min(" + v.sql + ") FROM " + source + "), 7) RETURNING *, id + 1", []bool{false, v.secret, false}
	case 3:
		return "MERGE INTO archive t USING (SELECT " + v.sql + " AS v, " + w.sql + " AS w FROM " + source + ") s ON false WHEN NOT MATCHED THEN INSERT VALUES (1, s.v) RETURNING merge_action(), t.id + 1, t.note || '', s.w || ''",
			[]bool{false, false, v.secret, w.secret}
	case 4:
		return "WITH d AS (DELETE FROM customers RETURNING email AS a, name AS b) SELECT a || '', lower(b), count(*) OVER () FROM d", []bool{true, false, false}
	default:
		return "WITH i AS (INSERT INTO archive SELECT 1, " + v.sql + " FROM " + source + " RETURNING id, note AS n) SELECT lower(n), id + 1 FROM i", []bool{v.secret, false}
	}
}
