package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam14_CopyOfAMaskedColumn reads a masked column through COPY in many
// ways; not one shows a value of it.
func TestRedteam14_CopyOfAMaskedColumn(t *testing.T) {
	const setup = `CREATE OR REPLACE VIEW copy_view AS SELECT id, email AS contact FROM customers;
		DROP MATERIALIZED VIEW IF EXISTS copy_mat; CREATE MATERIALIZED VIEW copy_mat AS SELECT id, email AS contact FROM customers WHERE id = 7;
		DROP TABLE IF EXISTS copy_child, copy_parent, copied_rows, copy_twist; CREATE TABLE copy_parent (id int, email text) PARTITION BY RANGE (id); CREATE TABLE copy_child PARTITION OF copy_parent FOR VALUES FROM (0) TO (100);
		INSERT INTO copy_parent VALUES (7, E'user7@example.com\n"quoted", \\ and\ttab');
		CREATE TABLE copy_twist (email text, id int); ALTER TABLE copy_twist DROP COLUMN id; ALTER TABLE copy_twist ADD COLUMN id int GENERATED ALWAYS AS (7) STORED, ADD COLUMN name text;
		INSERT INTO copy_twist VALUES ('user7@example.com', DEFAULT, 'name');
		CREATE TABLE copied_rows (id int, what text);`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	masked := append([]seam.MaskedColumn{{Schema: "public", Table: "copy_parent", Column: "email"}, {Schema: "public", Table: "copy_twist", Column: "email"}}, emails...)
	for kind, mask := range map[string]func([]byte) []byte{
		"shorter": nil, "NULL": func([]byte) []byte { return nil }, "longer": func(v []byte) []byte { return []byte(strings.Repeat("\n\",\\\t", len(v))) },
	} {
		g := start(t, &seamtest.Gate{Masked: masked, Mask: mask})
		r := dialRaw(t, g.config(t))
		for _, what := range []string{
			"customers", "customers (email)", "customers (name, email, id)", "public.customers (email, id)", `"customers" ("email")`, "copy_child", "copy_child (email, id)", "copy_twist", "copy_twist (name, email)", "copy_mat",
			"(SELECT email FROM customers)", "(SELECT * FROM customers)", "(TABLE customers)", "(SELECT email AS id, id AS email FROM customers)", "(SELECT upper(email), id FROM customers)",
			"(SELECT contact FROM copy_view)", "(SELECT c FROM customers c)", "(SELECT row_to_json(c) FROM customers c)", "(SELECT id, email FROM copy_parent)", "(WITH c AS (SELECT email FROM customers) SELECT * FROM c)",
			"(SELECT id FROM customers UNION ALL SELECT length(email) FROM customers)", "(INSERT INTO copied_rows SELECT id, email FROM customers RETURNING what)", "(UPDATE customers SET id = id RETURNING email)",
			"(DELETE FROM customers WHERE false RETURNING *)", "(SELECT string_agg(email, E'\\n') FROM customers)", "(SELECT email, email FROM customers)", "(SELECT NULL, email FROM customers)",
			"(SELECT contact FROM copy_mat)", "(SELECT email FROM customers FOR UPDATE)", "(VALUES ((SELECT email FROM customers WHERE id = 7)))",
		} {
			if kind != "shorter" && !strings.HasPrefix(what, "c") {
				continue
			}
			for _, with := range []string{
				"", "(FORMAT csv)", "(FORMAT csv, HEADER)", "(FORMAT csv, HEADER off)", "(FORMAT csv, DELIMITER '@')", "(FORMAT csv, QUOTE 'u')", "(FORMAT csv, QUOTE '7', ESCAPE 'r')", "(FORMAT csv, ESCAPE '@')", "(FORMAT csv, FORCE_QUOTE *)",
				"(DELIMITER '@')", "(DELIMITER '|', NULL '')", "(HEADER)", "(HEADER true, DELIMITER E'\\x01')", "(FORMAT csv, DELIMITER 'e')", "(FORMAT csv, DELIMITER E'\\\\')",
				"(ENCODING 'UTF8')", "(ENCODING 'LATIN1')", "(FORMAT binary)", "(FORMAT csv, NULL '', FORCE_QUOTE (email))",
			} {
				text := "COPY " + what + " TO STDOUT " + with
				leakCopy(t, text, kind, r.query(t, text))
			}
			text := "COPY " + what + " TO STDOUT"
			r.send(t, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
			leakCopy(t, text+" (extended)", kind, r.until(t, 1))
		}
	}
}

func leakCopy(t *testing.T, text, kind string, got []string) {
	t.Helper()
	low := strings.ToLower(strings.Join(got, ""))
	for _, planted := range []string{"user7", "@example", "example.com", fmt.Sprintf("%x", "user7"), "ser7"} {
		if strings.Contains(low, planted) {
			t.Errorf("%s (%s): a masked value shows: %.300s", text, kind, low)
			return
		}
	}
}

// TestCopyMasked: what is masked is so in the right form, and nothing else is.
func TestCopyMasked(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS letters; CREATE TABLE letters (id int, email text, note text);
		INSERT INTO letters VALUES (1, 'a@b.example', E'tab\t, "quote" and \\'), (2, NULL, ''), (3, E'c\nd', NULL), (4, '', 'x');`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	letters := []seam.MaskedColumn{{Schema: "public", Table: "letters", Column: "email"}}
	show := func(v []byte) []byte { return []byte("<" + strings.ReplaceAll(string(v), "b", "\t,") + ">") }
	g := start(t, &seamtest.Gate{Masked: letters, Mask: show})
	r := dialRaw(t, g.config(t))
	for text, want := range map[string]string{
		"COPY letters TO STDOUT":                                             "1\t<a@\\t,.example>\ttab\\t, \"quote\" and \\\\\n2\t\\N\t\n3\t<c\\nd>\t\\N\n4\t<>\tx\n",
		"COPY letters TO STDOUT (FORMAT csv, HEADER)":                        "id,email,note\n1,\"<a@\t,.example>\",\"tab\t, \"\"quote\"\" and \\\"\n2,,\"\"\n3,\"<c\nd>\",\n4,<>,x\n",
		"COPY letters (email) TO STDOUT (FORMAT csv, NULL '<>')":             "\"<a@\t,.example>\"\n<>\n\"<c\nd>\"\n\"<>\"\n",
		"COPY letters (note, email) TO STDOUT (DELIMITER ',')":               "tab\\t\\, \"quote\" and \\\\,<a@\\t\\,.example>\n,\\N\n\\N,<c\\nd>\nx,<>\n",
		"COPY (SELECT email, id FROM letters WHERE id = 1) TO STDOUT BINARY": "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x02\x00\x00\x00\x0e<a@\t,.example>\x00\x00\x00\x04\x00\x00\x00\x01" + "\xff\xff",
	} {
		r.send(t, &pgproto3.Query{String: text})
		if got := copied(t, r); got != want {
			t.Errorf("%s:\n%q, want\n%q", text, got, want)
		}
	}
}

func copied(t testing.TB, r *raw) string {
	t.Helper()
	var b strings.Builder
	for {
		m, err := r.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			b.Write(m.Data)
		case *pgproto3.ErrorResponse:
			t.Errorf("after %q: %s %s", b.String(), m.Code, m.Message)
		case *pgproto3.ReadyForQuery:
			return b.String()
		}
	}
}

// TestRedteam14_CopyThatCannotBeMasked is refused before it runs, and says what
// to do.
func TestRedteam14_CopyThatCannotBeMasked(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "public", Table: "customers", Column: "balance"}, {Schema: "public", Table: "customers", Column: "email"}}})
	r := dialRaw(t, g.config(t))
	for text, want := range map[string]string{
		"COPY customers TO STDOUT (FORMAT binary)":                                            "error GS1204",
		"COPY customers (email) TO STDOUT (ENCODING 'LATIN1')":                                "error GS1204",
		"SET search_path = public; COPY customers (email) TO STDOUT":                          "error GS1204",
		"CREATE TEMP TABLE t AS SELECT email FROM customers; COPY t TO STDOUT":                "error GS1204",
		"ALTER TABLE customers RENAME email TO mail; COPY customers TO STDOUT":                "error GS1204",
		"COPY customers (id) TO STDOUT (FORMAT binary)":                                       "copy out 1 [1]",
		"SELECT 1; COPY (SELECT id FROM customers LIMIT 1) TO STDOUT (DELIMITER ',', HEADER)": "columns ?column?:23/0",
	} {
		got := r.query(t, text)
		if got[0] != want {
			t.Errorf("%s: %q, want %s", text, short(got), want)
		}
	}
	if got := r.query(t, "SELECT count(email) FROM customers"); len(got) != 4 {
		t.Errorf("a refused text ran: %q", got)
	}
}

func TestCopyRowLimit(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision { return seamtest.Decision{MaxRows: 3} }})
	r := dialRaw(t, g.config(t))
	for text, want := range map[string][]string{
		"COPY (SELECT generate_series(1, 3)) TO STDOUT":                                    {"copy out 0 [0]", `data "1\n"`, `data "2\n"`, `data "3\n"`, "CopyDone", "complete COPY 3", "ready I"},
		"COPY (SELECT generate_series(1, 3)) TO STDOUT (FORMAT csv, HEADER)":               {"copy out 0 [0]", `data "generate_series\n"`, `data "1\n"`, `data "2\n"`, `data "3\n"`, "CopyDone", "complete COPY 3", "ready I"},
		"COPY (SELECT generate_series(1, 4)) TO STDOUT":                                    {"copy out 0 [0]", `data "1\n"`, `data "2\n"`, `data "3\n"`, "error GS1406", "ready I"},
		"COPY (SELECT generate_series(1, 4000000)) TO STDOUT":                              {"copy out 0 [0]", `data "1\n"`, `data "2\n"`, `data "3\n"`, "error GS1406", "ready I"},
		"COPY (UPDATE customers SET id = id WHERE id < 7 RETURNING 1) TO STDOUT":           {"copy out 0 [0]", `data "1\n"`, `data "1\n"`, `data "1\n"`, "CopyDone", "notice 00000", "complete COPY 6", "ready I"},
		"COPY (UPDATE customers SET id = id WHERE id < 7 RETURNING NULL) TO STDOUT BINARY": {"copy out 1 [1]", `data "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff"`, `data "\x00\x01\xff\xff\xff\xff"`, `data "\x00\x01\xff\xff\xff\xff"`, `data "\xff\xff"`, "CopyDone", "notice 00000", "complete COPY 6", "ready I"},
	} {
		equal(t, text, r.query(t, text), want)
		equal(t, "in step", r.query(t, "SELECT 1 AS a"), []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
	}
}

// TestRedteam14_CopyOptionsAsOracles: what a masked value looks like in the data
// does not depend on whether it is the string for NULL, or holds a delimiter.
func TestRedteam14_CopyOptionsAsOracles(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS guesses; CREATE TABLE guesses (email text); INSERT INTO guesses VALUES ('guess@a.example'), ('other@a.example');`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "public", Table: "guesses", Column: "email"}}})
	r := dialRaw(t, g.config(t))
	for _, with := range []string{
		"(NULL 'guess@a.example')", "(FORMAT csv, NULL 'guess@a.example')", "(DELIMITER '|', NULL '***')", "(FORMAT csv, DELIMITER 'g')", "(FORMAT csv, QUOTE 'g')", "(FORMAT csv, ESCAPE 'g')", "(FORMAT csv, FORCE_QUOTE *)", "(DELIMITER 'G')",
		"(FORMAT csv, HEADER, NULL 'guess@a.example')",
	} {
		r.send(t, &pgproto3.Query{String: "COPY guesses TO STDOUT " + with})
		if strings.HasPrefix(with, "(NULL 'g") || strings.Contains(with, "NULL '***'") {
			equal(t, with, r.until(t, 1), []string{"error GS1204", "ready I"}) // whatever is in the table
			continue
		}
		lines := strings.Split(strings.TrimSuffix(copied(t, r), "\n"), "\n")
		if n := len(lines); n < 2 || lines[n-1] != lines[n-2] || !strings.Contains(lines[n-1], "***") {
			t.Errorf("%s tells them apart: %q", with, lines)
		}
	}
}
