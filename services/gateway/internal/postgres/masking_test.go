package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

var emails = []seam.MaskedColumn{{Schema: "public", Table: "customers", Column: "email"}}

// TestRedteam13_MaskedColumn reads a masked column in many ways; not one shows
// a value of it.
func TestRedteam13_MaskedColumn(t *testing.T) {
	const setup = `CREATE OR REPLACE VIEW customer_view AS SELECT id, email AS contact, upper(email) AS loud FROM customers;
		CREATE OR REPLACE VIEW view_of_view AS SELECT contact FROM customer_view;
		DROP TABLE IF EXISTS parted; CREATE TABLE parted (LIKE customers) PARTITION BY RANGE (id);`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: emails})
	r := dialRaw(t, g.config(t))
	for _, text := range []string{
		"SELECT email FROM customers WHERE id = 7", "SELECT * FROM customers WHERE id = 7", "SELECT email AS name FROM customers WHERE id = 7", "TABLE customers LIMIT 7",
		"SELECT upper(email) FROM customers WHERE id = 7", "SELECT substring(email, 1, 5) FROM customers WHERE id = 7", "SELECT email || '' FROM customers WHERE id = 7",
		"SELECT email::varchar FROM customers WHERE id = 7", "SELECT customers FROM customers WHERE id = 7", "SELECT row_to_json(c) FROM customers c WHERE id = 7",
		"SELECT c.* FROM customers c WHERE id = 7", "SELECT (c).email FROM customers c WHERE id = 7", "SELECT email(c) FROM customers c WHERE id = 7", "SELECT c::text FROM customers c WHERE id = 7",
		"SELECT array_agg(email) FROM customers WHERE id = 7", "SELECT string_agg(email, ',') FROM customers WHERE id = 7", "SELECT max(email) FROM customers",
		"SELECT x FROM (SELECT email AS x FROM customers WHERE id = 7) q", "WITH c AS (SELECT email FROM customers WHERE id = 7) SELECT * FROM c",
		"WITH customers AS (SELECT email AS name FROM public.customers WHERE id = 7) SELECT name FROM customers",
		"WITH RECURSIVE r AS (SELECT email, 1 AS n FROM customers WHERE id = 7 UNION ALL SELECT email, n + 1 FROM r WHERE n < 3) SELECT email FROM r",
		"SELECT name FROM customers WHERE id = 8 UNION ALL SELECT email FROM customers WHERE id = 7", "SELECT (SELECT email FROM customers WHERE id = 7)",
		"SELECT unnest(ARRAY[email]) FROM customers WHERE id = 7", "SELECT jsonb_array_elements(jsonb_build_array(email)) FROM customers WHERE id = 7",
		"SELECT a.x FROM customers c, LATERAL (SELECT c.email AS x) a WHERE c.id = 7", "SELECT x FROM customers AS c(a, b, x) WHERE a = 7",
		"SELECT contact FROM customer_view WHERE id = 7", "SELECT loud FROM customer_view WHERE id = 7", "SELECT * FROM view_of_view WHERE contact LIKE 'user7@%'",
		"UPDATE customers SET id = id WHERE id = 7 RETURNING email", "UPDATE customers SET id = id WHERE id = 7 RETURNING lower(email), *", "DELETE FROM customers WHERE id = 7 AND false RETURNING email",
		"SELECT first_value(email) OVER () FROM customers WHERE id = 7", "SELECT CASE WHEN id = 7 THEN email END FROM customers WHERE id = 7", "SELECT coalesce(null, email) FROM customers WHERE id = 7",
		"SELECT pg_typeof(email), email FROM customers WHERE id = 7", "SELECT format('%s', email) FROM customers WHERE id = 7", "SELECT query_to_xml('SELECT email FROM customers WHERE id = 7', true, false, '')",
		"SELECT encode(convert_to(email, 'UTF8'), 'hex') FROM customers WHERE id = 7", "SELECT ascii(substr(email, 5, 1)) FROM customers WHERE id = 7", "VALUES ((SELECT email FROM customers WHERE id = 7))",
		"SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename = 'customers' AND attname = 'email'",
		"BEGIN; DECLARE k CURSOR FOR SELECT email FROM customers WHERE id = 7; FETCH ALL FROM k; COMMIT", "BEGIN; DECLARE k CURSOR FOR SELECT upper(email) FROM customers WHERE id = 7; FETCH ALL FROM k; COMMIT",
		"PREPARE pp AS SELECT email FROM customers WHERE id = 7; EXECUTE pp", "PREPARE pq AS SELECT upper(email) FROM customers WHERE id = 7; EXECUTE pq",
		"CREATE TEMP TABLE copied AS SELECT id, email AS innocent FROM customers; SELECT innocent FROM copied WHERE id = 7", "SELECT table_to_xml('customers', true, false, '')",
	} {
		t.Run(text, func(t *testing.T) {
			got := r.query(t, text)
			leak(t, got)
			r.send(t, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
			leak(t, r.until(t, 1))
		})
	}
}

// leak looks for the planted value, also in upper case and in hex.
func leak(t testing.TB, got []string) {
	t.Helper()
	for _, line := range got {
		if !strings.HasPrefix(line, "row ") {
			continue
		}
		low := strings.ToLower(line)
		for _, planted := range []string{"user7", "@example", fmt.Sprintf("%x", "user7"), `"55"`} {
			if strings.Contains(low, planted) {
				t.Errorf("a masked value shows: %s", line)
			}
		}
	}
}

func TestUnmaskedPasses(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails})
	r := dialRaw(t, g.config(t))
	for text, want := range map[string]string{
		"SELECT id, name FROM customers WHERE id = 7":            `row ["7" "name 7"]`,
		"SELECT upper(name) FROM customers WHERE id = 7":         `row ["NAME 7"]`,
		"SELECT count(*) FROM customers":                         `row ["100"]`,
		"SELECT relname FROM pg_class WHERE relname = 'scratch'": `row ["scratch"]`,
		"SELECT id, email FROM customers WHERE id = 7":           `row ["7" "***"]`,
		"SELECT NULL::text, email FROM customers WHERE id = 7":   `row ["" "***"]`,
		"SHOW search_path": `row ["\"$user\", public"]`,
	} {
		if got := r.query(t, text); !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %s", text, got, want)
		}
	}
}

// TestRedteam14_Binary asks for binary results.
func TestRedteam14_Binary(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: append(emails, seam.MaskedColumn{Schema: "public", Table: "customers", Column: "balance"})})
	ask := func(describe, text string, formats ...int16) []pgproto3.FrontendMessage {
		m := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}}
		if strings.Contains(describe, "S") {
			m = append(m, &pgproto3.Describe{ObjectType: 'S'})
		}
		m = append(m, &pgproto3.Bind{ResultFormatCodes: formats})
		if strings.Contains(describe, "P") {
			m = append(m, &pgproto3.Describe{ObjectType: 'P'})
		}
		return append(m, &pgproto3.Execute{}, &pgproto3.Sync{})
	}
	for _, describe := range []string{"", "S", "P", "SP"} {
		t.Run("described "+describe, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			rows := func(got []string) []string {
				return slices.DeleteFunc(got, func(s string) bool {
					return !strings.HasPrefix(s, "row") && !strings.HasPrefix(s, "error") && !strings.HasPrefix(s, "ready")
				})
			}
			r.send(t, ask(describe, "SELECT email FROM customers WHERE id = 7", 1)...)
			equal(t, "text is masked in binary", rows(r.until(t, 1)), []string{`row ["***"]`, "ready I"})
			r.send(t, ask(describe, "SELECT id FROM customers WHERE id = 7", 1)...)
			equal(t, "what no mask touches passes", rows(r.until(t, 1)), []string{`row ["\x00\x00\x00\a"]`, "ready I"})
			r.send(t, ask(describe, "UPDATE scratch SET note = 'bin' WHERE false RETURNING id", 1)...)
			equal(t, "no rows", rows(r.until(t, 1)), []string{"ready I"})
			r.send(t, ask(describe, "SELECT balance FROM customers WHERE id = 7 /* binary"+describe+" */", 1)...)
			equal(t, "another type is refused", rows(r.until(t, 1)), []string{"error GS1204", "ready I"})
			r.send(t, ask(describe, "SELECT balance FROM customers WHERE id = 7", 0)...)
			equal(t, "as text it is masked", rows(r.until(t, 1)), []string{`row ["***"]`, "ready I"})
			if o := onlyOutcome(t, g.Gate, "binary"+describe+" "); o.Status == "ok" {
				t.Errorf("a refused result ended %+v", o)
			}
			r.query(t, "BEGIN")
			r.send(t, ask(describe, "SELECT balance FROM customers WHERE id = 7", 1)...)
			equal(t, "in a transaction", rows(r.until(t, 1)), []string{"error GS1204", "ready E"})
			r.query(t, "ROLLBACK")
		})
	}
	t.Run("a binary cursor in the simple protocol", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		r.query(t, "BEGIN", "DECLARE b BINARY CURSOR FOR SELECT balance FROM customers")
		equal(t, "FETCH", r.query(t, "FETCH 5 FROM b"), []string{"error GS1204", "ready E"})
		equal(t, "in step", r.query(t, "ROLLBACK", "SELECT 1"), []string{"complete ROLLBACK", "ready I", "columns ?column?:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
	})
}

// TestRedteam14_BinaryContainers: arrays, records, ranges and enums may hold
// words that no detector finds in binary; numbers and times may not.
func TestRedteam14_BinaryContainers(t *testing.T) {
	const setup = `DROP TYPE IF EXISTS mood CASCADE; CREATE TYPE mood AS ENUM ('user@mood.example');
		DROP TYPE IF EXISTS words CASCADE; CREATE TYPE words AS RANGE (subtype = text);`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Detects: true})
	r := dialRaw(t, g.config(t))
	ask := func(text string, format int16) string {
		r.send(t, &pgproto3.Parse{Query: text}, &pgproto3.Bind{ResultFormatCodes: []int16{format}}, &pgproto3.Execute{}, &pgproto3.Sync{})
		got := r.until(t, 1)
		return got[len(got)-2]
	}
	for _, text := range []string{
		"SELECT ROW('a@b.example', 1)", "SELECT c FROM customers c LIMIT 1",
		"SELECT words('a', 'b')", "SELECT 'user@mood.example'::mood", "SELECT ARRAY['user@mood.example'::mood]", "SELECT 'a@b.example'::tsvector",
		"SELECT '$.a'::jsonpath", "SELECT ARRAY[ROW('a')]",
	} {
		if got := ask(text, 1); got != "error GS1204" {
			t.Errorf("%s in binary: %s", text, got)
		}
		if got := ask(text, 0); got != "complete SELECT 1" {
			t.Errorf("%s in text: %s", text, got)
		}
	}
	for _, value := range []string{
		"1", "1.5", "true", "now()", "current_date", "interval '1 day'", "gen_random_uuid()", "'pg_class'::regclass", "1::oid", "'1'::xid8", "'10.0.0.1'::inet", "point(1, 2)",
		"ARRAY[1, 2]", "ARRAY[1::bigint]", "ARRAY[1.5]", "ARRAY[true]", "ARRAY[now()]", "ARRAY[current_date]", "ARRAY[gen_random_uuid()]", "ARRAY[1::oid]", "ARRAY['1 day'::interval]",
		"ARRAY['pg_class'::regclass]", "ARRAY[point(1, 2)]", "ARRAY['10.0.0.1'::inet]", "ARRAY[1::float4]", "ARRAY[B'1']", "ARRAY['1'::xid8]", "int4range(1, 2)", "tstzrange(now(), null)",
		"'a'::text", "'a'::varchar", "'{}'::json", "'{}'::jsonb", "'x'::bytea", "'a'::name", "'a'::\"char\"",
		"ARRAY['a@b.example']", "ARRAY['a'::varchar]", "ARRAY['a'::name]", "ARRAY['{}'::json]", "ARRAY['{}'::jsonb]", "ARRAY['x'::bytea]", "ARRAY['<a/>'::xml]", "ARRAY['a'::char(3)]",
	} {
		if got := ask("SELECT "+value, 1); got != "complete SELECT 1" {
			t.Errorf("%s in binary: %s", value, got)
		}
	}
	var numbers []int32
	if err := g.connect(t).QueryRow(t.Context(), "SELECT ARRAY[1, 2]").Scan(&numbers); err != nil || len(numbers) != 2 {
		t.Errorf("pgx reads an array of numbers: %v, %v", numbers, err)
	}
}

func TestMaskedValues(t *testing.T) {
	for name, mask := range map[string]func([]byte) []byte{
		"grows": func(v []byte) []byte { return []byte(strings.Repeat("x", 10*len(v))) }, "shrinks": func([]byte) []byte { return []byte("-") },
		"empty": func([]byte) []byte { return []byte{} }, "null": func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, &seamtest.Gate{Masked: emails, Mask: mask})
			conn := g.connect(t, func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol })
			rows, err := conn.Query(t.Context(), "SELECT id, email, name FROM customers ORDER BY id")
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for rows.Next() {
				n++
				v := rows.RawValues()
				want := mask([]byte(fmt.Sprintf("user%d@example.com", n)))
				if string(v[0]) != fmt.Sprint(n) || string(v[1]) != string(want) || (v[1] == nil) != (want == nil) || string(v[2]) != fmt.Sprintf("name %d", n) {
					t.Fatalf("%q", v)
				}
			}
			if rows.Err() != nil || n != 100 {
				t.Errorf("%d rows, %v", n, rows.Err())
			}
		})
	}
}

// TestRedteam14_Reports looks for values in errors, notices and notifications.
func TestRedteam14_Reports(t *testing.T) {
	const setup = `CREATE OR REPLACE FUNCTION tell() RETURNS void LANGUAGE plpgsql AS $$ DECLARE v text; BEGIN SELECT email INTO v FROM customers WHERE id = 7;
		RAISE NOTICE 'got %', v USING DETAIL = v, HINT = v; PERFORM pg_notify('words', v); EXECUTE 'SELECT ''' || v || '''::int'; END $$;`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: emails, Scrub: func(s string) string { return strings.ReplaceAll(s, "user7@example.com", "(scrubbed)") }})
	r := dialRaw(t, g.config(t))
	listener := dialRaw(t, g.config(t))
	listener.query(t, "LISTEN words")
	r.query(t, "LISTEN words")
	check := func(m pgproto3.BackendMessage) {
		if said := fmt.Sprintf("%+v", m); strings.Contains(said, "user7@") || strings.Contains(said, "7resu") {
			t.Errorf("a value shows in %s", said)
		}
	}
	read := func(r *raw) (kinds []string) {
		for {
			m, err := r.Receive()
			if err != nil {
				t.Fatal(err)
			}
			check(m)
			switch m := m.(type) {
			case *pgproto3.NoticeResponse:
				kinds = append(kinds, "notice "+m.Message)
			case *pgproto3.ErrorResponse:
				kinds = append(kinds, "error "+m.Code)
			case *pgproto3.NotificationResponse:
				own := ""
				if m.PID == r.pid {
					own = " own"
				}
				kinds = append(kinds, "notification "+m.Payload+own)
			case *pgproto3.ReadyForQuery:
				return kinds
			}
		}
	}
	r.send(t, &pgproto3.Query{String: "SELECT tell() /* tells */"})
	equal(t, "what the session is told", read(r), []string{"notice masked whole, since they may derive from masked columns: tell", "notice " + withheld("00000: a notice"), "error 22P02"})
	const hidden = "notification (withheld: columns of this target are masked)"
	for i, value := range []string{"email", "reverse(email)"} {
		r.send(t, &pgproto3.Query{String: "SELECT pg_notify('words', " + value + ") FROM customers WHERE id = 7"})
		told := []string{"notice masked whole, since they may derive from masked columns: pg_notify", hidden + " own"}
		equal(t, "its own notification", read(r), told[i:]) // a name is told once
		listener.send(t, &pgproto3.Query{String: ""})
		equal(t, "another's", read(listener), []string{hidden})
	}
	r.send(t, &pgproto3.Query{String: "NOTIFY words"})
	equal(t, "without a payload", read(r), []string{"notification  own"})
	listener.send(t, &pgproto3.Query{String: ""})
	equal(t, "another's, without a payload", read(listener), []string{"notification "})
	r.send(t, &pgproto3.Query{String: "INSERT INTO customers (id, email) VALUES (7, 'user7@example.com')"})
	equal(t, "a violated key", read(r), []string{"error 23505"})
}

// What the target says of a text that it could not read speaks of names and of
// the text itself: it passes as it is, and teaches.
func TestATypoIsExplained(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails, Scrub: func(string) string { return "[redacted]" }})
	conn := g.connect(t)
	_, err := conn.Exec(t.Context(), "SELECT emai FROM customers")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Message != `column "emai" does not exist` || e.Hint != `Perhaps you meant to reference the column "customers.email".` || e.Position != 8 {
		t.Errorf("%+v", err)
	}
}

func withheld(what string) string {
	return what + " (the text is withheld: it may quote masked columns or secrets of the catalog; run the command without them to see it)"
}

func TestRowLimit(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if strings.Contains(c.Text, "limited") {
			return seamtest.Decision{MaxRows: 3}
		}
		return seamtest.Decision{}
	}})
	large := "SELECT g FROM generate_series(1, 5000000) g /* limited_%s */"
	one, two, three := `row ["1"]`, `row ["2"]`, `row ["3"]`
	for name, c := range map[string]struct {
		before   string
		messages []pgproto3.FrontendMessage
		want     []string
	}{
		"simple":                {"", []pgproto3.FrontendMessage{&pgproto3.Query{String: large}}, []string{"columns g:23/0", one, two, three, "error GS1406", "ready I"}},
		"simple, short":         {"", []pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT generate_series(1, 4) AS g /* limited */"}}, []string{"columns g:23/0", one, two, three, "error GS1406", "ready I"}},
		"simple, within":        {"", []pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT generate_series(1, 3) AS g /* limited */"}}, []string{"columns g:23/0", one, two, three, "complete SELECT 3", "ready I"}},
		"in a transaction":      {"BEGIN", []pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT generate_series(1, 4) AS g /* limited */"}}, []string{"columns g:23/0", one, two, three, "error GS1406", "ready E"}},
		"extended":              {"", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: large}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}, []string{"ParseComplete", "BindComplete", one, two, three, "error GS1406", "ready I"}},
		"extended, short, in T": {"BEGIN", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT generate_series(1, 4) AS g /* limited */"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}, []string{"ParseComplete", "BindComplete", one, two, three, "error GS1406", "ready E"}},
		"a pipeline stops there": {"", []pgproto3.FrontendMessage{
			&pgproto3.Parse{Query: "SELECT generate_series(1, 4) AS g /* limited */"}, &pgproto3.Bind{}, &pgproto3.Execute{},
			&pgproto3.Parse{Query: "UPDATE scratch SET note = 'behind the limit' WHERE id < 0"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
		}, []string{"ParseComplete", "BindComplete", one, two, three, "error GS1406", "ready I"}},
		"in pieces": {"", []pgproto3.FrontendMessage{
			&pgproto3.Parse{Query: large}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Sync{},
		}, []string{"ParseComplete", "BindComplete", one, two, "PortalSuspended", three, "error GS1406", "ready I"}},
		"a write took effect": {"", []pgproto3.FrontendMessage{&pgproto3.Query{String: "UPDATE customers SET id = id WHERE id <= 5 RETURNING 1 AS g /* limited */"}}, []string{"columns g:23/0", one, one, one, "notice 00000", "complete UPDATE 5", "ready I"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			if c.before != "" {
				r.query(t, c.before)
			}
			r.send(t, c.messages...)
			equal(t, name, r.until(t, 1), c.want)
			if c.before != "" {
				r.query(t, "ROLLBACK")
			}
			equal(t, "in step", r.query(t, "SELECT 1 AS g"), []string{"columns g:23/0", one, "complete SELECT 1", "ready I"})
		})
	}
	if seen(t, "behind the limit") {
		t.Error("what came behind a cut result was forwarded")
	}
}

// TestRowLimitHitsNothingElse sends the next command right behind a result that
// is cut: the cancel that ends the one must not meet the other.
func TestRowLimitHitsNothingElse(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if strings.Contains(c.Text, "limited") {
			return seamtest.Decision{MaxRows: 1}
		}
		return seamtest.Decision{}
	}})
	r := dialRaw(t, g.config(t))
	for range 20 {
		r.send(t, &pgproto3.Query{String: "SELECT generate_series(1, 2) AS g /* limited */"}, &pgproto3.Query{String: "SELECT pg_sleep(0.01)"})
		got := r.until(t, 2)
		equal(t, "both", got, []string{"columns g:23/0", `row ["1"]`, "error GS1406", "ready I", "columns pg_sleep:2278/0", `row [""]`, "complete SELECT 1", "ready I"})
	}
}

func TestLongRowThatIsMasked(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails}, func(o *postgres.Options) { o.Limits.Row = 100_000 })
	r := dialRaw(t, g.config(t))
	if got := r.query(t, "SELECT repeat('x', 1000000)"); len(got[1]) != 1000000+len(`row [""]`) {
		t.Errorf("a long row that no mask touches: %d bytes", len(got[1]))
	}
	r.send(t, &pgproto3.Query{String: "SELECT email, repeat('x', 1000000) FROM customers WHERE id = 1"})
	got, _ := r.rest()
	if got[len(got)-1] != "error GS1406" {
		t.Errorf("%q", short(got))
	}
}
