package postgres

import (
	"strings"
	"testing"
)

// lineageOf says which outputs of a statement derive from a masked column: T or
// -, one a column; ? where nothing is proved.
func lineageOf(t *testing.T, c *Catalog, m *Masks, sql string) string {
	t.Helper()
	f := resolved(t, c, sql, public, "")
	r := m.lineage(&f, m.Taint(&f).written)
	if r == nil || r.Open() {
		return "?"
	}
	var b strings.Builder
	for _, c := range r.Columns {
		if len(c.Value.from) > 0 {
			b.WriteByte('T')
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}

// TestRedteam13_LineageOfEachColumn: T where a value may derive from
// customers.email, - where it is proved not to. libs/pgcatalog shows the same
// with planted values on a real server.
func TestRedteam13_LineageOfEachColumn(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	for sql, want := range map[string]string{
		"SELECT count(*), lower(email), lower(name) FROM customers":                                      "-T-",
		"SELECT * FROM customers":                                                                        "-T---",
		"SELECT id, c.*, 1 FROM customers c":                                                             "--T----",
		"SELECT count(email), count(DISTINCT email), count(lower(email)) FROM customers":                 "--T",
		"SELECT count(*) FILTER (WHERE email LIKE 'a%'), count(*) FROM customers":                        "T-",
		"SELECT CASE WHEN email LIKE 'a%' THEN 1 END, CASE name WHEN 'a' THEN 1 END FROM customers":      "T-",
		"SELECT max(name ORDER BY email), string_agg(name, '' ORDER BY email), max(name) FROM customers": "TT-",
		"SELECT row_number() OVER (ORDER BY email), row_number() OVER (ORDER BY name), rank() OVER w FROM customers WINDOW w AS (PARTITION BY name ORDER BY email)":                     "T-T",
		"SELECT coalesce(name, email), coalesce(name, 'x'), name || id, email::int FROM customers":                                                                                      "T--T",
		"SELECT lower(name) FROM customers WHERE email = 'x' ORDER BY email":                                                                                                            "-",
		"SELECT (SELECT email), (SELECT name), EXISTS (SELECT 1 WHERE email > 'a'), ARRAY(SELECT name) FROM customers":                                                                  "T-T-",
		"SELECT (SELECT 1 FROM orders ORDER BY c.email LIMIT 1), name || '' FROM customers c":                                                                                           "T-",
		"SELECT id IN (SELECT customer FROM orders), name IN (SELECT email FROM customers) FROM customers":                                                                              "-T",
		"SELECT s.a || '', s.b || '' FROM (SELECT email AS a, name AS b FROM customers) s":                                                                                              "T-",
		"SELECT s.b || '', a || '' FROM (SELECT email, name FROM customers) s (a, b)":                                                                                                   "-T",
		"SELECT lower, upper FROM (SELECT lower(email), upper(name) FROM customers) s":                                                                                                  "T-",
		"SELECT x || '', y || '' FROM (SELECT email AS x FROM customers) a, (SELECT name AS y FROM customers) b":                                                                        "T-",
		"SELECT c.name || '', o.total || '', c.email || '' FROM customers c JOIN orders o ON o.customer = c.id":                                                                         "--T",
		"SELECT lower(name), lower(email) FROM customers a NATURAL JOIN archive b":                                                                                                      "-T",
		"SELECT id || '', lower(u.id::text) FROM customers JOIN archive USING (id) AS u":                                                                                                "--",
		"SELECT j.name || '', j.email || '' FROM (customers c JOIN archive a USING (id)) AS j":                                                                                          "-T",
		"SELECT j.b || '', j.c || '' FROM (customers c JOIN archive a USING (id)) AS j (a, b, c)":                                                                                       "T-",
		"SELECT lower(name), lower(email) FROM customers UNION SELECT 'a', 'b'":                                                                                                         "-T",
		"SELECT 'a', 'b' UNION ALL SELECT lower(name), lower(email) FROM customers":                                                                                                     "-T",
		"VALUES ((SELECT email FROM customers), 1)":                                                                                                                                     "T-",
		"SELECT column1 || '', column2 + 1 FROM (VALUES ((SELECT email FROM customers), 1)) v":                                                                                          "T-",
		"WITH w AS (SELECT email AS a, name AS b FROM customers) SELECT a || '', b || '' FROM w":                                                                                        "T-",
		"WITH w (b, a) AS (SELECT email AS a, name AS b FROM customers) SELECT a || '', b || '' FROM w":                                                                                 "-T",
		"WITH customers AS (SELECT name AS email, email AS name FROM customers) SELECT lower(email), lower(name) FROM customers":                                                        "-T",
		"WITH RECURSIVE r (a, b, c, n) AS (SELECT email, name, '', 1 FROM customers UNION ALL SELECT b, c, a, n + 1 FROM r WHERE n < 5) SELECT a || '', b || '', c || '', n + 0 FROM r": "TTT-",
		"WITH RECURSIVE r (a, b, n) AS (SELECT email, name, 1 FROM customers UNION ALL SELECT a, b, n + 1 FROM r WHERE n < 5) SELECT a || '', b || '', n + 0 FROM r":                    "T--",
		"WITH RECURSIVE a AS (SELECT x || '' AS y, z FROM b), b AS (SELECT email AS x, name AS z FROM customers) SELECT y || '', z || '' FROM a":                                        "T-",
		"SELECT l.a || '', l.b || '' FROM customers c, LATERAL (SELECT c.email AS a, c.name AS b) l":                                                                                    "T-",
		"SELECT u || '', name || '' FROM customers, unnest(ARRAY[email]) u":                                                                                                             "T-",
		"SELECT count(*), lower(name) FROM customers, generate_series(1, ascii(email)) GROUP BY name":                                                                                   "T-",
		"SELECT count(*) FROM (SELECT 1 FROM orders LIMIT (SELECT ascii(email) FROM customers)) s":                                                                                      "T",
		"SELECT count(*) FROM (SELECT generate_series(1, ascii(email)), 1 FROM customers) s":                                                                                            "T",
		"SELECT (SELECT count(c.id)), 1 FROM customers c, generate_series(1, ascii(c.email))":                                                                                           "T-",
		"SELECT json_arrayagg(1) FROM customers c, generate_series(1, ascii(c.email))":                                                                                                  "T",
		"SELECT row_to_json(c), row_to_json(o), c.name || '' FROM customers c, orders o":                                                                                                "T--",
		"SELECT c, o, (c).name, (o).total, to_json(c.*), c.text FROM customers c, orders o":                                                                                             "T-T-TT",
		"SELECT json_build_object('a', email), json_object('a': name), xmlelement(name x, email) FROM customers":                                                                        "T-T",
		"SELECT j.a || '', name || '' FROM customers, JSON_TABLE(to_json(email), '$' COLUMNS (a text PATH '$')) j":                                                                      "T-",
		"SELECT mail || '', lowered || '', id + 1 FROM contacts":                                                                                                                        "T--",
		"SELECT doc::text, id + 1 FROM whole":                                                                                                                                           "T-",
		"SELECT lower(name) FROM safe":                                                                                                                                                  "-",
		"SELECT ctid::text, tableoid + 0, name || '' FROM customers":                                                                                                                    "---",
		"SELECT public.customers.email || '', public.customers.name || '' FROM customers":                                                                                               "T-",
		"SELECT grouping(name), count(*), email || '' FROM customers GROUP BY ROLLUP (name), email":                                                                                     "--T",
		"UPDATE customers SET name = email RETURNING lower(name), lower(tags), old.name || '', new.id":                                                                                  "T-T-",
		"UPDATE customers c SET name = 'x' FROM orders o WHERE o.customer = c.id RETURNING lower(c.email), lower(c.name), o.total + 1":                                                  "T--",
		"INSERT INTO archive SELECT id, email FROM customers RETURNING lower(note)":                                                                                                     "T",
		"INSERT INTO archive VALUES (1, 'x') RETURNING lower(note)":                                                                                                                     "-",
		"DELETE FROM customers USING orders o WHERE o.customer = customers.id RETURNING *, lower(email)":                                                                                "-T------T",
		"WITH d AS (DELETE FROM customers RETURNING email AS a, name AS b) SELECT a || '', b || '' FROM d":                                                                              "T-",
		"MERGE INTO archive a USING customers c ON a.id = c.id WHEN MATCHED THEN UPDATE SET note = c.email RETURNING a.note":                                                            "T",
		"SELECT (json_populate_record(null::json, to_json(c))).* FROM customers c":                                                                                                      "?",
		"SELECT * FROM customers, unnest(ARRAY[email])":                                                                                                                                 "?",
		"SELECT name FROM nowhere":                       "?",
		"SELECT app.evil(), lower(email) FROM customers": "?",
		"EXPLAIN SELECT email FROM customers":            "?",
	} {
		if got := lineageOf(t, c, m, sql); got != want {
			f := resolved(t, c, sql, public, "")
			t.Errorf("%s: %s, want %s (%s)", sql, got, want, f.Why)
		}
	}
}
