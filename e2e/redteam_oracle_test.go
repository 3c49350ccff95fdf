package e2e

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/e2e/kit"
)

// TestRedteam13_Oracles: a masked column cannot be read by asking about it. The
// target never sees the question.
func TestRedteam13_Oracles(t *testing.T) {
	attack(t, map[string]string{
		"a pattern":                 "SELECT id FROM customers WHERE email LIKE 'MARKER%'",
		"a regular expression":      "SELECT id FROM customers WHERE email ~ '^MARKER'",
		"a range":                   "SELECT id FROM customers WHERE email > 'MARKER'",
		"BETWEEN":                   "SELECT id FROM customers WHERE email BETWEEN 'MARKER' AND 'z'",
		"a list":                    "SELECT id FROM customers WHERE email IN ('MARKER', 'b')",
		"an array":                  "SELECT id FROM customers WHERE email = ANY('{MARKER,b}')",
		"a generated list":          "SELECT c.id FROM customers c JOIN generate_series(1, 9) g ON c.email = 'MARKER' || g",
		"rows made up":              "SELECT c.id FROM customers c JOIN (VALUES ('MARKER'), ('b')) v(e) ON c.email = v.e",
		"a sub-select":              "SELECT 'MARKER' < (SELECT email FROM customers WHERE id = 1)",
		"an order":                  "SELECT id FROM customers WHERE name <> 'MARKER' ORDER BY email",
		"an order by its place":     "SELECT id, email FROM customers WHERE name <> 'MARKER' ORDER BY 2",
		"an order of a window":      "SELECT id, rank() OVER (ORDER BY email) FROM customers WHERE name <> 'MARKER'",
		"CASE":                      "SELECT CASE WHEN email > 'MARKER' THEN 1 ELSE 2 END FROM customers",
		"an error":                  "SELECT 1 / (length(email) - 15), 'MARKER' FROM customers",
		"a cast":                    "SELECT email::int, 'MARKER' FROM customers",
		"NULL":                      "SELECT nullif(email, 'MARKER') FROM customers",
		"a regular part":            "SELECT substring(email from '^MARKER') FROM customers",
		"how many rows":             "SELECT generate_series(1, length(email)), 'MARKER' FROM customers",
		"a limit":                   "SELECT 'MARKER' FROM orders LIMIT (SELECT length(email) FROM customers WHERE id = 1)",
		"a function":                "SELECT id FROM customers WHERE left(email, 3) = 'MARKER'",
		"the whole row":             "SELECT id FROM customers c WHERE c::text LIKE '%MARKER%'",
		"a row as JSON":             "SELECT id FROM customers c WHERE to_jsonb(c) @> '{\"email\": \"MARKER\"}'",
		"under another name":        "SELECT x FROM (SELECT id, email FROM customers) s(x, y) WHERE y LIKE 'MARKER%'",
		"WITH":                      "WITH c AS (SELECT email AS e FROM customers) SELECT 1 FROM c WHERE e LIKE 'MARKER%'",
		"a recursive WITH":          "WITH RECURSIVE r AS (SELECT email AS e, 1 AS n FROM customers UNION ALL SELECT e, n + 1 FROM r WHERE n < 2) SELECT n FROM r WHERE e > 'MARKER'",
		"UNION":                     "SELECT email FROM customers UNION SELECT 'MARKER'",
		"INTERSECT":                 "SELECT email FROM customers INTERSECT SELECT 'MARKER'",
		"EXCEPT":                    "SELECT 'MARKER' EXCEPT SELECT email FROM customers",
		"DISTINCT among guesses":    "SELECT count(DISTINCT e) FROM (SELECT email AS e FROM customers UNION ALL SELECT 'MARKER') s",
		"NATURAL JOIN":              "SELECT 1 FROM customers NATURAL JOIN (SELECT 'MARKER' AS email) g",
		"USING":                     "SELECT 1 FROM customers JOIN (SELECT 'MARKER' AS email) g USING (email)",
		"EXISTS":                    "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM customers c WHERE c.id = o.customer AND c.email < 'MARKER')",
		"HAVING":                    "SELECT tier FROM customers GROUP BY tier HAVING max(email) > 'MARKER'",
		"FILTER":                    "SELECT count(*) FILTER (WHERE email > 'MARKER') FROM customers",
		"an aggregate's order":      "SELECT array_agg(id ORDER BY email), 'MARKER' FROM customers",
		"EXPLAIN":                   "EXPLAIN SELECT id FROM customers WHERE email < 'MARKER'",
		"a cursor":                  "DECLARE k CURSOR WITH HOLD FOR SELECT id FROM customers WHERE email < 'MARKER'",
		"statistics":                "SELECT 1 FROM pg_stats WHERE tablename = 'customers' AND most_common_vals::text LIKE '%MARKER%'",
		"COPY":                      "COPY (SELECT id FROM customers WHERE email < 'MARKER') TO STDOUT",
		"prepared in SQL":           "PREPARE p AS SELECT id, 'MARKER' FROM customers WHERE email < $1",
		"prepared and run in SQL":   "PREPARE p AS SELECT id FROM customers WHERE lower(email) = $1; EXECUTE p ('MARKER')",
		"an argument that computes": "PREPARE p AS SELECT id FROM customers WHERE email = $1; EXECUTE p (coalesce('MARKER', 'x'))",
	})
}

// TestMaskedColumnsAreLookedUp: what a mask allows works, in every protocol.
func TestMaskedColumnsAreLookedUp(t *testing.T) {
	g := shared.Get(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			c := g.Connect(t, nil)
			var id int64
			if err := c.QueryRow(t.Context(), "SELECT id FROM customers WHERE email = $1", mode, "grace@example.com").Scan(&id); err != nil || id != 2 {
				t.Errorf("by a value: %d, %v", id, err)
			}
			for _, sql := range []string{
				"SELECT count(*) FROM customers GROUP BY email",
				"SELECT 1 FROM customers a JOIN customers b ON a.email = b.email",
				"SELECT 1 FROM customers WHERE email IS NOT NULL",
			} {
				rows, err := c.Query(t.Context(), sql, mode)
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for rows.Next() {
					n++
				}
				if rows.Err() != nil || n < 3 {
					t.Errorf("%s: %d rows, %v", sql, n, rows.Err())
				}
			}
		})
	}
}

// TestRedteam13_GuessesRunOut: a list of guesses ends after twenty a day, over
// sessions and in every way to say one.
func TestRedteam13_GuessesRunOut(t *testing.T) {
	g := shared.Get(t)
	for n := range 20 {
		mode, sql, args := pgx.QueryExecModeSimpleProtocol, fmt.Sprintf("SELECT id FROM customers WHERE phone = 'guess%d'", n), []any(nil)
		switch n % 3 {
		case 1:
			mode, sql, args = pgx.QueryExecModeExec, "SELECT id FROM customers WHERE $1 = phone", []any{fmt.Sprintf("guess%d", n)}
		case 2:
			sql = fmt.Sprintf("PREPARE p (int, text) AS SELECT id FROM customers WHERE phone = $2; EXECUTE p (NULL, 'guess%d')", n)
		}
		if _, err := g.Connect(t, kit.Importer).Exec(t.Context(), sql, append([]any{mode}, args...)...); err != nil {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	c := g.Connect(t, kit.Importer)
	_, err := c.Exec(t.Context(), "SELECT id FROM customers WHERE phone = $1", "guess20")
	kit.Refused(t, err, "GS1222")
	_, err = c.PgConn().Exec(t.Context(), "PREPARE p AS SELECT id FROM customers WHERE phone = $1; EXECUTE p ('guess20')").ReadAll()
	kit.Refused(t, err, "GS1222")
	if _, err := c.Exec(t.Context(), "SELECT id FROM customers WHERE phone = $1", "guess7"); err != nil {
		t.Errorf("asked for before: %v", err)
	}
}
