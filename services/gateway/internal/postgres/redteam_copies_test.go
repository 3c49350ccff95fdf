package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam13_CopiesOfMaskedColumnsAreSeen: whatever puts a masked column
// where no mask is on it is known to do so when it is decided, in either protocol.
func TestRedteam13_CopiesOfMaskedColumnsAreSeen(t *testing.T) {
	const setup = `CREATE TABLE IF NOT EXISTS copied_to (id int, note text); CREATE SEQUENCE IF NOT EXISTS copied_seq;
		DROP TABLE IF EXISTS whole_log; CREATE TABLE whole_log (id int, email text) PARTITION BY RANGE (id); CREATE TABLE whole_log_1 PARTITION OF whole_log DEFAULT;`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	masked := append([]seam.MaskedColumn{{Schema: "public", Table: "whole_log", Column: "email"}}, emails...)
	g := start(t, &seamtest.Gate{Masked: masked, Decide: func(c *seam.Command) seamtest.Decision {
		if len(c.Facts.Copies) > 0 {
			return seamtest.Decision{Refuse: &refusal.Refusal{Code: refusal.MaskedCopy, Message: "copies"}}
		}
		return seamtest.Decision{}
	}})
	r := dialRaw(t, g.config(t))
	refusedBoth := func(text string, want bool) {
		t.Helper()
		for name, messages := range map[string][]pgproto3.FrontendMessage{
			"simple":   {&pgproto3.Query{String: text}},
			"extended": {&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}},
		} {
			r.send(t, &pgproto3.Query{String: "BEGIN"})
			r.until(t, 1)
			r.send(t, messages...)
			got := strings.Join(r.until(t, 1), "; ")
			if refused := strings.Contains(got, "error GS1209"); refused != want {
				t.Errorf("%s, %s: %s", text, name, got)
			}
			r.send(t, &pgproto3.Query{String: "ROLLBACK"})
			r.until(t, 1)
		}
	}
	for _, text := range []string{
		"INSERT INTO copied_to SELECT id, email FROM customers", "INSERT INTO copied_to (note) VALUES ((SELECT max(email) FROM customers))",
		"UPDATE customers SET name = email WHERE id = 7", "UPDATE copied_to t SET note = c.email FROM customers c", "CREATE TABLE made AS SELECT * FROM customers",
		"SELECT email INTO made FROM customers", "CREATE TEMP TABLE made AS TABLE customers", "CREATE VIEW made AS SELECT left(email, 3) AS x FROM customers",
		"CREATE MATERIALIZED VIEW made AS SELECT row_to_json(c) AS j FROM customers c", "WITH i AS (INSERT INTO copied_to SELECT id, email FROM customers RETURNING 1) SELECT 1",
		"MERGE INTO copied_to t USING customers c ON t.id = c.id WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.email)", "EXPLAIN ANALYZE INSERT INTO copied_to SELECT id, email FROM customers",
		"SELECT pg_notify('c', email) FROM customers", "SELECT setval('copied_seq', ascii(email)) FROM customers", "SELECT set_config('a.b', email, false) FROM customers WHERE id = 7",
		"SELECT lo_from_bytea(0, email::bytea) FROM customers WHERE id = 7", "SELECT pg_logical_emit_message(false, 'a', email) FROM customers WHERE id = 7",
		"ALTER TABLE customers RENAME email TO mail", "ALTER TABLE customers RENAME TO clients", "ALTER TABLE customers SET SCHEMA pg_temp", "ALTER TABLE whole_log DETACH PARTITION whole_log_1",
		"ALTER TABLE customers ALTER name TYPE text USING email", "CREATE RULE made AS ON UPDATE TO customers DO ALSO INSERT INTO copied_to VALUES (1, new.email)",
		"COPY customers TO '/tmp/never'", "COPY (SELECT email FROM customers) TO PROGRAM 'true'", "PREPARE q AS INSERT INTO copied_to SELECT id, email FROM customers",
		"CREATE PUBLICATION made FOR TABLE customers", "CREATE PUBLICATION made FOR TABLE copied_to, customers (id, email)", "CREATE PUBLICATION made FOR ALL TABLES", "CREATE PUBLICATION made FOR TABLES IN SCHEMA public",
		"EXPLAIN ANALYZE CREATE TABLE made AS SELECT * FROM customers", "EXPLAIN (ANALYZE) SELECT email INTO made FROM customers", "CREATE SCHEMA made CREATE VIEW v AS SELECT email FROM public.customers",
		"CREATE TABLE made AS EXECUTE q", "ALTER INDEX customers RENAME TO clients", "SELECT pg_advisory_xact_lock(ascii(email)) FROM customers",
		"ALTER PUBLICATION made ADD TABLE customers", "ALTER PUBLICATION made SET TABLE copied_to, ONLY customers", "ALTER PUBLICATION made ADD TABLES IN SCHEMA public", "CREATE PUBLICATION made FOR TABLE whole_log_1",
	} {
		refusedBoth(text, true)
	}
	for _, text := range []string{
		"INSERT INTO copied_to SELECT id, name FROM customers WHERE email LIKE 'user7@%'", "CREATE TABLE made AS SELECT id, name FROM customers", "UPDATE customers SET email = lower(email) WHERE id = 7",
		"DELETE FROM copied_to USING customers c WHERE c.email = note", "CREATE VIEW made AS SELECT id FROM customers WHERE email IS NOT NULL", "SELECT pg_notify('c', name) FROM customers WHERE id = 7",
		"ALTER TABLE customers RENAME name TO called", "CREATE PUBLICATION made FOR TABLE copied_to, customers (id, name)", "CREATE PUBLICATION made", "ALTER PUBLICATION made DROP TABLE customers", "ALTER PUBLICATION made SET (publish = 'insert')",
		"SELECT email, lower(email) FROM customers WHERE id = 7",
	} {
		refusedBoth(text, false)
	}
}

// TestRedteam13_CopiesAreFollowed: a column that a masked one was copied to is
// masked as if a rule named it; where it is not there, nothing is.
func TestRedteam13_CopiesAreFollowed(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS kept_copy, all_copied; CREATE TABLE kept_copy (id int, note text); INSERT INTO kept_copy VALUES (1, 'user7@example.com');
		CREATE TABLE all_copied AS TABLE kept_copy;`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	copied := func(table, column string) seam.MaskedColumn {
		return seam.MaskedColumn{Schema: "public", Table: table, Column: column, Copied: true}
	}
	g := start(t, &seamtest.Gate{Masked: append([]seam.MaskedColumn{copied("kept_copy", "note"), copied("all_copied", "*"), copied("dropped", "name")}, emails...)})
	r := dialRaw(t, g.config(t))
	for text, want := range map[string]string{
		"SELECT id, note FROM kept_copy":                 `row ["1" "***"]`,
		"SELECT id + 1, upper(note) FROM kept_copy":      `row ["2" "***"]`,
		"SELECT note FROM all_copied":                    `row ["***"]`,
		"SELECT lower(note), 1 FROM all_copied":          `row ["***" "1"]`,
		"SELECT name FROM customers WHERE id = 7":        `row ["name 7"]`,
		"SELECT upper(name) FROM customers WHERE id = 7": `row ["NAME 7"]`,
	} {
		if got := r.query(t, text); !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %s", text, got, want)
		}
	}
}
