package pgcatalog_test

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
)

// planted is in every masked value, and nowhere else.
const planted = "planted"

const plantedShop = `
CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE, name text, tags text[], doc jsonb,
	shout text GENERATED ALWAYS AS (upper(email)) STORED);
INSERT INTO customers VALUES (1, 'planted1@secret.example', 'dana', '{a}', '{}'), (2, 'planted2@secret.example', 'eve', '{b}', '{}');
CREATE TABLE orders (id int PRIMARY KEY, customer int, total int);
INSERT INTO orders VALUES (1, 1, 10), (2, 2, 20);
CREATE TABLE archive (id int, note text);
CREATE TABLE child () INHERITS (customers);
INSERT INTO child VALUES (3, 'planted3@secret.example', 'mallory', '{c}', '{}');
CREATE VIEW contacts AS SELECT id, email AS mail, lower(name) AS lowered FROM customers;
CREATE VIEW safe AS SELECT id, name FROM customers;
CREATE VIEW whole AS SELECT id, to_jsonb(c) AS doc FROM customers c;
CREATE VIEW over AS SELECT id, mail FROM contacts;
CREATE MATERIALIZED VIEW kept AS SELECT name, email || '' AS e FROM customers;
ANALYZE;
`

// disguises are forms in which the planted value would still be recognised.
func disguises() []string {
	reversed := []byte(planted)
	slices.Reverse(reversed)
	return []string{
		planted, string(reversed), hex.EncodeToString([]byte(planted)),
		base64.StdEncoding.EncodeToString([]byte("planted1"))[:8],
	}
}

// TestRedteam13_NoPlantedValueIsClean runs every known way of getting a masked
// column out on a real server, and looks for the planted values in all result
// columns that are neither masked nor tainted.
func TestRedteam13_NoPlantedValueIsClean(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "command", "postgres", "testdata", "leaks.sql"))
	if err != nil {
		t.Fatal(err)
	}
	statements := append(strings.Split(strings.TrimSpace(string(raw)), "\n\n")[1:],
		"SELECT shout FROM customers", "SELECT lower(shout) FROM customers", "SELECT e FROM kept", "SELECT * FROM kept",
		"SELECT *, id FROM customers", "TABLE contacts", "TABLE whole", "TABLE over",
		"UPDATE customers SET name = email RETURNING name, id",
		"UPDATE customers SET (name, doc) = (SELECT email, to_jsonb(email)) RETURNING name, doc",
		"INSERT INTO archive SELECT id, email FROM customers RETURNING *",
		"INSERT INTO archive (note) VALUES ((SELECT min(email) FROM customers)) RETURNING note",
		"INSERT INTO customers (id, name) SELECT id + 50, email FROM customers RETURNING name",
		"INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = customers.email RETURNING name",
		"MERGE INTO archive a USING customers c ON false WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.email) RETURNING a.note",
		"MERGE INTO customers a USING customers c ON a.id = c.id WHEN MATCHED THEN UPDATE SET name = c.email RETURNING a.name, new.name, old.name",
		"SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'customers'",
		"SELECT stavalues1::text FROM pg_statistic",
		"SELECT lower(x::text) FROM pg_stats x",
	)
	conn := database(t, plantedShop)
	c := load(t, conn)
	masks := c.Masks([]command.Column{{Schema: "public", Table: "customers", Name: "email"}})
	if _, err := conn.Exec(t.Context(), "SET statement_timeout = '5s'"); err != nil {
		t.Fatal(err)
	}
	l := &leakFinder{conn: conn, catalog: c, masks: masks}
	for _, sql := range statements {
		l.run(t, sql)
	}
	if l.ran < len(statements)*9/10 || l.seen < 100 {
		t.Errorf("only %d of %d statements ran, with %d planted values in their results", l.ran, len(statements), l.seen)
	}
}

// TestRedteam13_NoGeneratedQueryLeaks does the same with random queries, the
// same ones each time.
func TestRedteam13_NoGeneratedQueryLeaks(t *testing.T) {
	const queries = 1500
	conn := database(t, plantedShop)
	c := load(t, conn)
	if _, err := conn.Exec(t.Context(), "SET statement_timeout = '5s'"); err != nil {
		t.Fatal(err)
	}
	l := &leakFinder{conn: conn, catalog: c, masks: c.Masks([]command.Column{{Schema: "public", Table: "customers", Name: "email"}}), quiet: true}
	g := &generator{rand: rand.New(rand.NewPCG(7, 11))}
	for range queries {
		sql, _ := g.query(3)
		l.run(t, sql+" LIMIT 20")
	}
	t.Logf("%d of %d queries ran; %d planted values hidden, %d cells passed", l.ran, queries, l.seen, l.clean)
	if l.ran < queries/2 || l.seen < queries || l.clean < queries {
		t.Errorf("%d of %d queries ran; %d planted values hidden, %d cells passed", l.ran, queries, l.seen, l.clean)
	}
}

// leakFinder runs statements and looks for planted values in what would pass.
type leakFinder struct {
	conn    *pgx.Conn
	catalog *postgres.Catalog
	masks   *postgres.Masks
	quiet   bool // say nothing of what the server refuses

	ran, seen, clean int
}

func (l *leakFinder) run(t *testing.T, sql string) {
	t.Helper()
	st, err := postgres.Parse(sql)
	if err != nil || len(st) != 1 {
		t.Errorf("%s: %v", sql, err)
		return
	}
	f := l.catalog.Resolve(st[0].Facts, []string{"public"}, "")
	taint := l.masks.Taint(&f)
	results, err := l.conn.PgConn().Exec(t.Context(), "BEGIN; "+sql+"; ROLLBACK").ReadAll()
	if err != nil { // some are attempts that the server refuses, which is just as well
		if !l.quiet {
			t.Logf("%s: %v", sql, err)
		}
		if _, err := l.conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		return
	}
	l.ran++
	for _, r := range results {
		origins := make([]postgres.ColumnRef, len(r.FieldDescriptions))
		for i, fd := range r.FieldDescriptions {
			origins[i] = postgres.ColumnRef{OID: fd.TableOID, Number: int16(fd.TableAttributeNumber)}
		}
		judged := taint.Columns(origins)
		for i, fd := range r.FieldDescriptions {
			is, tainted := judged[i].Is, judged[i].Tainted
			for _, row := range r.Rows {
				value := strings.ToLower(string(row[i]))
				secret := slices.ContainsFunc(disguises(), func(d string) bool { return strings.Contains(value, strings.ToLower(d)) })
				switch {
				case !is && !tainted && secret:
					t.Errorf("%s: column %d (%s) is clean, and has %q", sql, i, fd.Name, row[i])
				case secret:
					l.seen++
				case !is && !tainted:
					l.clean++
				}
			}
		}
	}
}
