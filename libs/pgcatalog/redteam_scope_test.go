package pgcatalog_test

import (
	"slices"
	"testing"

	"github.com/gatestay/gatestay/libs/pgcatalog/querytest"
)

const suppliers = `CREATE TABLE suppliers (id int, email text, city text); INSERT INTO suppliers VALUES (1, 'open', 'x');`

// TestRedteam13_NamesOfAnOuterLevel: a name that an item beside has means that
// of an outer level, where what says it does not see the item beside.
func TestRedteam13_NamesOfAnOuterLevel(t *testing.T) {
	attack(t, suppliers, email,
		"SELECT (SELECT w.n FROM suppliers c, (SELECT c.email || '' AS n) w LIMIT 1) FROM customers c",
		"SELECT (SELECT max(z) FROM suppliers c, (VALUES (c.email)) v(z)) FROM customers c",
		"SELECT (SELECT s.z FROM suppliers, (SELECT suppliers.email || '' AS z) s LIMIT 1) FROM customers suppliers",
		"SELECT (SELECT s.z FROM suppliers c, (SELECT c.email || '' AS z UNION SELECT 'x') s LIMIT 1) FROM customers c",
		"SELECT (SELECT j.k FROM suppliers c, (SELECT k FROM JSON_TABLE(to_json(c.email), '$' COLUMNS (k text PATH '$')) j) j LIMIT 1) FROM customers c",
		"SELECT s.z FROM customers c CROSS JOIN LATERAL (SELECT y.z FROM suppliers c, (SELECT c.email || '' z) y) s",
		"SELECT w.z FROM customers c, LATERAL (SELECT u.z FROM suppliers c CROSS JOIN (SELECT c.email || '' AS z) u) w",
		"UPDATE orders SET total = 1 FROM customers c, LATERAL (SELECT y.z FROM suppliers c, (SELECT c.email || '' z) y) s RETURNING s.z",
	)
}

// TestRedteam13_OraclesThatHide: statements that tell of a masked column, each
// by a way that was once not seen: with other values they give something else.
func TestRedteam13_OraclesThatHide(t *testing.T) {
	d := newDifferOf(t, "", querytest.Schema+suppliers)
	other := newDifferOf(t, "twin", twin()+suppliers)
	for _, sql := range []string{
		// The condition of a join does not see what stands before the join, and a
		// sub-select in FROM nothing beside it.
		"SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM (SELECT 'x' AS email) d, (VALUES (1)) v JOIN (VALUES (2)) w ON email LIKE 'X%')",
		"SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM suppliers c, (VALUES (1)) v JOIN (VALUES (2)) w ON c.email LIKE 'X%')",
		"SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM orders c, (VALUES (1)) v JOIN (VALUES (2)) w ON c.email LIKE 'X%')",
		"SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM suppliers c, ((SELECT 1 FROM (VALUES (1)) z WHERE c.email LIKE 'X%') x CROSS JOIN (VALUES (2)) w) AS j)",
		"SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM suppliers c, (SELECT c.*) w WHERE w.email LIKE 'X%')",
		// The name of an item is no column of it, and an item whose columns are
		// not known need not have it.
		`SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM json_each('{"a":1}') AS email WHERE email LIKE 'X%')`,
		"SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM JSON_TABLE(to_jsonb(c.name), '$' COLUMNS (k text PATH '$')) j WHERE email LIKE 'X%')",
		"SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM orders AS o (a, b, d) WHERE email LIKE 'X%')",
		"SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM (SELECT (o).* FROM orders o) o WHERE email LIKE 'X%')",
		// A query of WITH RECURSIVE that is not recursive has a LIMIT.
		"WITH RECURSIVE r AS (SELECT id FROM orders UNION ALL SELECT id FROM orders LIMIT (SELECT length(email) - 20 FROM customers LIMIT 1)) SELECT * FROM r",
		"WITH RECURSIVE r AS (SELECT id FROM orders UNION ALL SELECT id FROM orders OFFSET (SELECT length(email) - 25 FROM customers LIMIT 1)) SELECT * FROM r",
		// substring by a pattern is NULL where it does not fit.
		"SELECT substring(email from 'X#\"%#\"' for '#') FROM customers",
		"SELECT substring(email, 'X#\"%#\"', '#') FROM customers",
		// Arrays of different sizes do not go into one.
		"SELECT array_agg(x) FROM (SELECT tags AS x FROM customers UNION ALL SELECT ARRAY['a']) s",
		"SELECT ARRAY(SELECT tags FROM customers)",
		"SELECT ARRAY[tags, ARRAY['a']] FROM customers",
		"SELECT tags || ARRAY[['a']] FROM customers",
	} {
		one, f := d.result(t, sql)
		two, _ := other.result(t, sql)
		switch {
		case one.state == two.state && one.rows == two.rows && slices.Equal(one.columns, two.columns):
			t.Errorf("%s: gives the same with other values, and shows nothing", sql)
		case len(d.masks.Compared(&f)) == 0:
			t.Errorf("%s: no use of a masked column is found", sql)
		}
	}
}

// TestArraysOfMaskedColumns: what cannot fail is no comparison.
func TestArraysOfMaskedColumns(t *testing.T) {
	d := newDiffer(t)
	for _, sql := range []string{
		"SELECT array_agg(email), ARRAY[max(card)] FROM customers",
		"SELECT ARRAY[email, 'x'], email || 'x', ARRAY(SELECT email) FROM customers",
		"SELECT substring(email from 2 for 3), substring(email, 1, 2) FROM customers",
	} {
		if _, f := d.result(t, sql); len(d.masks.Compared(&f)) > 0 {
			t.Errorf("%s: %+v", sql, d.masks.Compared(&f))
		}
	}
}
