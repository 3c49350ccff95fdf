package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/command"
)

// compared says which uses of customers.email a statement has, in words.
func compared(t testing.TB, sql string) []string {
	t.Helper()
	return comparedIn(t, shopWithKeys(), sql)
}

func comparedIn(t testing.TB, s *Snapshot, sql string) []string {
	t.Helper()
	c := NewCatalog(s)
	f := resolved(t, c, sql, public, "")
	return words(c.Masks([]command.Column{{Schema: "public", Table: "customers", Name: "email"}}).Compared(&f), &f)
}

func words(list []command.Compared, f *command.Facts) []string {
	var out []string
	for _, x := range list {
		s := string(x.Use)
		switch {
		case x.Literal > 0:
			s += fmt.Sprintf(" literal %d of %d", x.Literal, len(f.Literals))
		case x.Parameter > 0 && x.Alone:
			s += fmt.Sprintf(" $%d alone", x.Parameter)
		case x.Parameter > 0:
			s += fmt.Sprintf(" $%d", x.Parameter)
		}
		if !x.Same {
			s += " with another"
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func shopWithKeys() *Snapshot {
	s := shop()
	for i := range s.Relations {
		if s.Relations[i].OID == oidCustomers {
			s.Relations[i].Keys = []int16{1, 2}
		}
	}
	return s
}

// TestRedteam13_KeysThatAreMade: whether a key holds tells what is in a column.
func TestRedteam13_KeysThatAreMade(t *testing.T) {
	for _, sql := range []string{
		"ALTER TABLE other ADD FOREIGN KEY (id) REFERENCES customers (email)",
		"ALTER TABLE other ADD FOREIGN KEY (id) REFERENCES customers (email) NOT VALID",
		"ALTER TABLE other ADD COLUMN e text DEFAULT 'guess' REFERENCES public.customers (email)",
		"ALTER TABLE other ADD COLUMN e text DEFAULT 'guess' REFERENCES customers",
		"ALTER TABLE customers ADD FOREIGN KEY (email) REFERENCES other (id)",
		"ALTER TABLE customers ADD UNIQUE (name, email)",
		"ALTER TABLE customers ADD PRIMARY KEY (email)",
		"ALTER TABLE customers ADD EXCLUDE USING btree (email WITH =)",
		"CREATE UNIQUE INDEX ON customers (email)",
		"CREATE UNIQUE INDEX ON customers (left(email, 1))",
	} {
		if got := compared(t, sql); len(got) == 0 {
			t.Errorf("%s: no use of the column", sql)
		}
	}
	for _, sql := range []string{
		"ALTER TABLE customers ADD UNIQUE (name)", "CREATE UNIQUE INDEX ON customers (name)", "ALTER TABLE customers ADD COLUMN more text",
		"ALTER TABLE other ADD FOREIGN KEY (id) REFERENCES customers (name)",
	} {
		if got := compared(t, sql); len(got) > 0 {
			t.Errorf("%s: %q", sql, got)
		}
	}
}

// TestComparisons: each statement with the uses of customers.email in it.
func TestComparisons(t *testing.T) {
	for sql, want := range map[string]string{
		// No use at all.
		"SELECT email FROM customers":               "",
		"SELECT id FROM customers WHERE name = 'x'": "",
		"SELECT lower(email), email || 'x', coalesce(email, '') FROM customers WHERE id > 3 ORDER BY id":               "",
		"SELECT left(email, 3), substring(email from 1 for 3) FROM customers":                                          "",
		"SELECT row_to_json(c), c::text, c FROM customers c ORDER BY c.name":                                           "",
		"SELECT CASE WHEN id = 1 THEN email END FROM customers":                                                        "",
		"SELECT max(email), string_agg(email, ',' ORDER BY id) FROM customers GROUP BY name":                           "",
		"SELECT * FROM customers WHERE id = 1 ORDER BY name":                                                           "",
		"SELECT x FROM (SELECT email, id AS x FROM customers) s WHERE x = '3' ORDER BY x":                              "",
		"WITH c AS (SELECT id, email FROM customers) SELECT email FROM c WHERE id = '3'":                               "",
		"SELECT email FROM customers UNION ALL SELECT 'a'":                                                             "",
		"SELECT * FROM contacts WHERE id = '3'":                                                                        "",
		"SELECT mail FROM over WHERE id = '3'":                                                                         "",
		"UPDATE customers SET name = 'x' WHERE id = '3'":                                                               "",
		"DELETE FROM customers WHERE id = '3'":                                                                         "",
		"INSERT INTO orders(id) SELECT id FROM customers":                                                              "",
		"SELECT id, rank() OVER (PARTITION BY name ORDER BY id) FROM customers":                                        "",
		"SELECT (SELECT email FROM customers c WHERE c.id = o.customer) FROM orders o":                                 "",
		"SELECT id FROM customers WHERE ctid = '(0,1)'":                                                                "",
		"SELECT relname FROM pg_class WHERE relname = 'email'":                                                         "",
		"SELECT tablename FROM pg_stats WHERE tablename = 'customers'":                                                 "",
		"SELECT id FROM orders WHERE customer IN (SELECT id FROM customers) ORDER BY total":                            "",
		"WITH RECURSIVE r AS (SELECT id, email FROM customers UNION ALL SELECT r.id, r.email FROM r) SELECT id FROM r": "",

		// Equality.
		"SELECT id FROM customers WHERE email = 'a'":                                                     "equality literal 1 of 1",
		"SELECT id FROM customers WHERE 'a'::text = email":                                               "equality literal 1 of 1",
		"SELECT id FROM customers WHERE email = $1":                                                      "equality $1 alone",
		"SELECT id, $1 FROM customers WHERE email = $1":                                                  "equality $1",
		"SELECT id FROM customers WHERE email = $1 AND name = $1":                                        "equality $1",
		"SELECT id FROM customers WHERE email = $1 AND email = $1::text":                                 "equality $1 alone",
		"SELECT id FROM customers WHERE email <> 'a' OR email IS DISTINCT FROM 'b'":                      "equality literal 1 of 2, equality literal 2 of 2",
		"SELECT id FROM customers WHERE email IN ('a')":                                                  "equality literal 1 of 1",
		"SELECT id FROM customers WHERE (id, email) = ('1', 'b')":                                        "equality literal 2 of 2",
		"SELECT c.email = 'x' FROM customers AS c":                                                       "equality literal 1 of 1",
		"SELECT id FROM (SELECT id, email AS e FROM customers) s WHERE s.e = 'a'":                        "equality literal 1 of 1",
		"SELECT id FROM (SELECT * FROM customers) s WHERE s.email = 'a'":                                 "equality literal 1 of 1",
		"SELECT id FROM (SELECT * FROM customers) s(a, b) WHERE s.b = 'a'":                               "expression",
		"SELECT id FROM customers c(a, b, d) WHERE b = 'a'":                                              "expression",
		"WITH c(a) AS (SELECT email FROM customers) SELECT 1 FROM c WHERE a = 'a'":                       "equality literal 2 of 2",
		"SELECT id FROM contacts WHERE mail = 'a'":                                                       "equality literal 1 of 1",
		"SELECT id FROM over WHERE mail = 'a'":                                                           "equality literal 1 of 1",
		"SELECT id FROM child WHERE email = 'a'":                                                         "equality literal 1 of 1",
		"SELECT 'a' IN (SELECT email FROM customers)":                                                    "equality literal 1 of 1",
		"UPDATE customers SET name = 'x' WHERE email = 'a'":                                              "equality literal 2 of 2",
		"DELETE FROM customers WHERE email = 'a' RETURNING id":                                           "equality literal 1 of 1",
		"EXPLAIN SELECT id FROM customers WHERE email = 'a'":                                             "equality literal 1 of 1",
		"SELECT id FROM customers WHERE NOT (email = 'a')":                                               "equality literal 1 of 1",
		"SELECT id FROM customers WHERE email::varchar = 'a'":                                            "equality literal 1 of 1",
		"SELECT count(*) FILTER (WHERE email = 'a') FROM customers":                                      "equality literal 1 of 1",
		"SELECT CASE email WHEN 'a' THEN 1 END FROM customers":                                           "equality literal 1 of 2",
		"SELECT id FROM customers WHERE email = 'abc'::varchar(1)":                                       "other",
		"SELECT id FROM customers WHERE email = $1::varchar(1)":                                          "other",
		"SELECT id FROM customers WHERE email = 'a' || 'b'":                                              "other",
		"SELECT id FROM customers WHERE email = current_user":                                            "other",
		"PREPARE p AS SELECT id FROM customers WHERE email = $1":                                         "",
		"PREPARE p AS SELECT id FROM customers WHERE email = $1 AND email < 'x'":                         "range",
		"EXPLAIN EXECUTE p ('x')":                                                                        "other",
		"EXECUTE p ('x')":                                                                                "other",
		"SELECT id FROM contacts WHERE lowered = 'a'":                                                    "",
		"SELECT id FROM (SELECT id, email FROM customers UNION ALL SELECT '1', 'x') s WHERE email = 'a'": "equality literal 3 of 3",

		// Joins.
		"SELECT 1 FROM customers a JOIN customers b ON a.email = b.email":                         "join",
		"SELECT 1 FROM customers a JOIN customers b USING (email)":                                "join",
		"SELECT 1 FROM customers a, child b WHERE a.email = b.email":                              "join",
		"SELECT 1 FROM customers a JOIN archive b ON a.email = b.note":                            "join with another",
		"SELECT 1 FROM customers a JOIN (VALUES ('x')) v(email) USING (email)":                    "join with another",
		"SELECT 1 FROM customers WHERE email IN (SELECT note FROM archive)":                       "join with another",
		"SELECT 1 FROM customers WHERE email IN (SELECT email FROM child)":                        "join",
		"SELECT 1 FROM customers WHERE email IN (VALUES ('a'), ('b'))":                            "list",
		"SELECT 1 FROM customers WHERE email = (SELECT note FROM archive LIMIT 1)":                "join with another",
		"SELECT 1 FROM customers a NATURAL JOIN archive b":                                        "other",
		"SELECT 1 FROM customers a JOIN generate_series(1, 9) g ON a.email = g::text":             "join with another",
		"SELECT 1 FROM customers c, unnest(ARRAY['a','b']) u WHERE c.email = u":                   "join with another",
		"SELECT 1 FROM customers a JOIN customers b ON a.email <> b.email":                        "other",
		"SELECT 1 FROM customers a JOIN archive b ON a.email = lower(b.note)":                     "join with another",
		"SELECT 1 FROM archive b WHERE EXISTS (SELECT 1 FROM customers c WHERE c.email = b.note)": "join with another",
		"MERGE INTO archive a USING customers c ON c.email = a.note WHEN MATCHED THEN DELETE":     "join with another",

		// Everything else.
		"SELECT id FROM customers WHERE email IN ('a', 'b')":                                   "list",
		"SELECT id FROM customers WHERE email = ANY('{a,b}')":                                  "list",
		"SELECT id FROM customers WHERE email = ANY($1)":                                       "list",
		"SELECT id FROM customers WHERE email > 'a'":                                           "range",
		"SELECT id FROM customers WHERE email BETWEEN 'a' AND 'b'":                             "range",
		"SELECT id FROM customers WHERE 'm' < ALL (SELECT email FROM customers)":               "range",
		"SELECT id FROM customers WHERE (email, id) > ('a', 'b')":                              "range",
		"SELECT id FROM customers WHERE email LIKE 'a%'":                                       "pattern",
		"SELECT id FROM customers WHERE email ~ '^a'":                                          "pattern",
		"SELECT id FROM customers WHERE 'abc' ~ email":                                         "pattern",
		"SELECT id FROM customers WHERE email SIMILAR TO 'a%'":                                 "pattern",
		"SELECT email LIKE 'a%' FROM customers":                                                "pattern",
		"SELECT id FROM customers ORDER BY email":                                              "order",
		"SELECT id, email FROM customers ORDER BY 2":                                           "order",
		"SELECT id, email AS e FROM customers ORDER BY e":                                      "order",
		"SELECT id FROM customers ORDER BY lower(email)":                                       "expression",
		"SELECT id, lower(email) AS e FROM customers ORDER BY e":                               "expression",
		"SELECT * FROM customers ORDER BY 2":                                                   "expression",
		"SELECT array_agg(id ORDER BY email) FROM customers":                                   "order",
		"SELECT row_number() OVER (ORDER BY email) FROM customers":                             "order",
		"SELECT row_number() OVER w FROM customers WINDOW w AS (ORDER BY email)":               "order",
		"SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY email) FROM customers":             "expression, order",
		"SELECT count(*) AS count FROM customers GROUP BY name ORDER BY count":                 "",
		"SELECT name AS lower, count(*) FROM customers GROUP BY lower":                         "",
		"SELECT id FROM customers c WHERE c.to_json::text = 'x'":                               "expression",
		"SELECT id FROM (SELECT * FROM customers) s WHERE s.to_json::text = 'x'":               "expression",
		"SELECT count(*) FROM customers GROUP BY email":                                        "group",
		"SELECT count(*), email FROM customers GROUP BY 2":                                     "group",
		"SELECT count(*) FROM customers GROUP BY ROLLUP (name, email)":                         "group",
		"SELECT DISTINCT email FROM customers":                                                 "group",
		"SELECT DISTINCT * FROM customers":                                                     "group",
		"SELECT DISTINCT ON (email) id FROM customers":                                         "group",
		"SELECT count(DISTINCT email) FROM customers":                                          "group",
		"SELECT rank() OVER (PARTITION BY email ORDER BY id) FROM customers":                   "group",
		"SELECT count(*) FROM customers GROUP BY left(email, 1)":                               "expression",
		"SELECT email FROM customers UNION SELECT 'guess'":                                     "other",
		"SELECT email FROM customers UNION SELECT email FROM child":                            "group",
		"SELECT email FROM customers UNION SELECT note FROM archive":                           "group with another",
		"SELECT email FROM customers INTERSECT SELECT 'guess'":                                 "join with another",
		"SELECT note FROM archive EXCEPT SELECT email FROM customers":                          "join with another",
		"SELECT DISTINCT e FROM (SELECT email AS e FROM customers UNION ALL SELECT 'guess') s": "other",
		"SELECT id FROM customers WHERE email IS NULL":                                         "is_null",
		"SELECT count(email) FROM customers":                                                   "is_null",
		"SELECT id FROM customers WHERE substring(email from '^a') IS NOT NULL":                "expression",
		"SELECT substring(email from '^a') FROM customers":                                     "expression",
		"SELECT nullif(email, 'a') FROM customers":                                             "condition",
		"SELECT id FROM customers WHERE nullif(email, 'a') IS NULL":                            "condition, expression",
		"SELECT id FROM customers WHERE email::boolean":                                        "expression",
		"SELECT CASE WHEN email > 'm' THEN 1/0 END FROM customers":                             "range",
		"SELECT 1/(length(email) - 5) FROM customers":                                          "expression",
		"SELECT email::int FROM customers":                                                     "expression",
		"SELECT generate_series(1, length(email)) FROM customers":                              "expression",
		"SELECT 1 FROM customers, generate_series(1, length(email))":                           "expression",
		"SELECT unnest(string_to_array(email, '')) FROM customers":                             "expression",
		"SELECT 1 FROM customers c, LATERAL regexp_split_to_table(c.email, '@')":               "expression",
		"SELECT repeat('x', ascii(email)) FROM customers":                                      "expression",
		"SELECT left(name, length(email)) FROM customers":                                      "expression",
		"SELECT id FROM customers LIMIT (SELECT length(max(email)) FROM customers)":            "other",
		"SELECT id FROM customers WHERE lower(email) = 'a'":                                    "expression",
		"SELECT id FROM customers WHERE length(email) = 3":                                     "expression",
		"SELECT id FROM customers c WHERE c::text LIKE '%a%'":                                  "expression",
		"SELECT id FROM customers c WHERE c = ROW('1', 'a', 'b', 'c', 'd')":                    "expression",
		"SELECT id FROM customers c WHERE row_to_json(c)->>'email' = 'a'":                      "expression",
		"SELECT id FROM customers c WHERE (c).email = 'a'":                                     "expression",
		"SELECT id FROM customers WHERE greatest(email, 'm') = 'm'":                            "expression",
		"SELECT id FROM customers GROUP BY id HAVING max(email) > 'm'":                         "expression",
		"SELECT s.* FROM customers c, LATERAL (SELECT id FROM orders WHERE total < c.email) s": "range",
		"SELECT 1 FROM pg_stats WHERE most_common_vals::text LIKE '%a%'":                       "expression",
		"SELECT id FROM whole WHERE doc = '{}'":                                                "expression",
		"SELECT id FROM whole ORDER BY doc":                                                    "expression",
		"SELECT id FROM customers WHERE (SELECT email) = 'a'":                                  "equality literal 1 of 1",
		"SELECT id FROM customers WHERE ARRAY[email] @> ARRAY['a']":                            "expression",
		"SELECT id FROM customers WHERE ARRAY[email] = ARRAY['a']":                             "expression",
		"WITH RECURSIVE r(n, e) AS (SELECT 1, email FROM customers UNION ALL SELECT n + 1, e FROM r WHERE n < 5) SELECT n FROM r WHERE e LIKE 'a%'": "pattern",
		"WITH RECURSIVE r(n, e) AS (SELECT 1, 'x' UNION ALL SELECT n + 1, email FROM r, customers WHERE n < 5) SELECT n FROM r WHERE e LIKE 'a%'":   "pattern",
		"UPDATE archive SET note = 'x' FROM customers WHERE email LIKE 'a%'":                                                                        "pattern",
		"UPDATE archive SET note = CASE WHEN email LIKE 'a%' THEN 'x' END FROM customers":                                                           "pattern",
		"SELECT JSON_VALUE(to_jsonb(email), '$ ? (@ starts with \"a\")') FROM customers":                                                            "other",
		"CREATE INDEX ON customers ((email > 'm'))":                                                                                                 "range",
		"ALTER TABLE customers ADD CHECK (email > 'm')":                                                                                             "range",
		"CREATE VIEW v AS SELECT id FROM customers WHERE email LIKE 'a%'":                                                                           "pattern",
		"CREATE POLICY p ON customers USING (email = current_user)":                                                                                 "other",

		// Names.
		"SELECT 1 FROM (SELECT CASE WHEN true THEN '' ELSE e END FROM (SELECT email AS e FROM customers) q) s WHERE e < 'Y'":                 "expression",
		"SELECT 1 FROM (SELECT (SELECT e)::text FROM (SELECT email AS e FROM customers) q) s WHERE e < 'Y'":                                  "range",
		"SELECT 1 FROM (SELECT nullif(email, 'x') FROM customers) s WHERE nullif < 'Y'":                                                      "condition, expression",
		"SELECT id FROM (SELECT c.email || '' AS e, o.* FROM customers c, orders o) s WHERE s.to_json::text LIKE '%X%'":                      "expression",
		"SELECT id FROM (SELECT c.email || '' AS e, o.* FROM customers c, orders o) s WHERE s.total = '1'":                                   "",
		"SELECT 1 FROM customers a JOIN orders o USING (id) JOIN customers c USING (email)":                                                  "join",
		"SELECT 1 FROM customers JOIN orders USING (id) WHERE email = $1":                                                                    "equality $1 alone",
		"SELECT 1 FROM (SELECT id, email FROM customers) a NATURAL JOIN (SELECT id, total FROM orders) b":                                    "",
		"SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM archive c, (SELECT c.name AS n) w WHERE n = 'x')":                            "",
		"WITH RECURSIVE r AS (SELECT id FROM customers UNION ALL SELECT id FROM orders LIMIT (SELECT length(email) FROM customers)) TABLE r": "other",
		// Writes that answer.
		"INSERT INTO customers(id, email) VALUES ('1', 'a')":                                              "key",
		"INSERT INTO customers VALUES ('1', 'a')":                                                         "key",
		"INSERT INTO customers(id, name) VALUES ('1', 'a') ON CONFLICT DO NOTHING":                        "",
		"INSERT INTO customers(id, email) VALUES ('1', 'a') ON CONFLICT DO NOTHING":                       "conflict, key",
		"INSERT INTO customers(id, email) VALUES ('1', 'a') ON CONFLICT (email) DO UPDATE SET name = 'x'": "conflict, key",
		"INSERT INTO customers(id, name) VALUES ('1', 'a') ON CONFLICT ON CONSTRAINT c DO NOTHING":        "conflict",
		"UPDATE customers SET email = 'a' WHERE id = '3'":                                                 "key",
		"DO 'begin end'": "other",
	} {
		t.Run(sql, func(t *testing.T) {
			if diff := cmp.Diff(want, strings.Join(compared(t, sql), ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
