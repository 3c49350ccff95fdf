package pgcatalog_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/pgcatalog"
)

// server is shared by the tests of this package, each in its own database.
var server *embedded.PostgreSQLServer

func TestMain(m *testing.M) {
	embedded.MaybeChild()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pgcatalog")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if server, err = embedded.PostgreSQL(ctx, embedded.PostgreSQLOptions{Dir: dir}); err != nil {
		panic(err)
	}
	defer server.Kill()
	return m.Run()
}

// database makes a database with a schema and returns a connection to it.
func database(t *testing.T, sql string) *pgx.Conn {
	t.Helper()
	return named(t, "", sql)
}

// named makes one more database of a test.
func named(t *testing.T, suffix, sql string) *pgx.Conn {
	t.Helper()
	name := "t" + t.Name() + suffix
	if err := server.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(t.Context(), name, sql); err != nil {
		t.Fatal(err)
	}
	return connect(t, name)
}

func connect(t *testing.T, name string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func load(t *testing.T, conn *pgx.Conn) *postgres.Catalog {
	t.Helper()
	s, err := pgcatalog.Load(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return postgres.NewCatalog(s)
}

func resolve(t *testing.T, c *postgres.Catalog, sql string) command.Facts {
	t.Helper()
	st, err := postgres.Parse(sql)
	if err != nil || len(st) != 1 {
		t.Fatalf("parse %q: %v", sql, err)
	}
	return c.Resolve(st[0].Facts, []string{"public"}, "")
}

const shop = `
CREATE TABLE customers (id serial PRIMARY KEY, email text, name text DEFAULT upper('x'), born date);
CREATE TABLE plain (id int, note text);
CREATE TABLE audited (id int);
CREATE FUNCTION noisy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION evil() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE TRIGGER noise BEFORE INSERT ON audited FOR EACH ROW EXECUTE FUNCTION noisy();
CREATE TABLE ruled (id int);
CREATE RULE quiet AS ON INSERT TO ruled DO INSTEAD NOTHING;
CREATE TABLE defaulted (id int DEFAULT evil());
CREATE TABLE guarded (id int);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON guarded USING (evil() = id);
CREATE TABLE events (id int, at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE child () INHERITS (customers);
CREATE VIEW contacts AS SELECT id, email AS mail, lower(name) AS lowered FROM customers;
CREATE VIEW rows_of AS SELECT id, row_to_json(c) AS whole FROM customers c;
CREATE VIEW over AS SELECT * FROM contacts;
CREATE VIEW calling AS SELECT evil() AS e;
CREATE VIEW upon_calling AS SELECT * FROM calling;
CREATE VIEW sequence_user AS SELECT nextval('customers_id_seq') AS n;
CREATE VIEW harmless AS SELECT count(*) FROM plain;
CREATE MATERIALIZED VIEW stored AS SELECT email FROM customers;
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN sneaky AS int CHECK (evil() > 0);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE moods (m mood, s sneaky);
CREATE FUNCTION eq(mood, text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE SCHEMA ops;
CREATE OPERATOR ops.= (LEFTARG = mood, RIGHTARG = text, FUNCTION = eq);
CREATE TYPE turned AS ENUM ('x');
CREATE FUNCTION turn(turned) RETURNS text STABLE LANGUAGE sql AS 'SELECT ''''';
CREATE CAST (turned AS text) WITH FUNCTION turn(turned) AS IMPLICIT;
CREATE TABLE turning (t turned);
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE remote (id int) SERVER elsewhere;
`

func TestLoad_classesFollowWhatTheCatalogRuns(t *testing.T) {
	c := load(t, database(t, shop))
	for _, tc := range []struct {
		sql     string
		class   command.Class
		neutral bool
	}{
		{"SELECT * FROM customers", command.Read, true},
		{"SELECT * FROM contacts", command.Read, true},
		{"SELECT * FROM harmless", command.Read, true},
		{"SELECT * FROM stored", command.Read, true},
		{"SELECT * FROM pg_class", command.Read, true},
		{"SELECT * FROM information_schema.tables", command.Read, true},
		{"SELECT * FROM calling", command.Unknown, false},
		{"SELECT * FROM upon_calling", command.Unknown, false},
		{"SELECT * FROM sequence_user", command.Unknown, false},
		{"SELECT * FROM guarded", command.Unknown, false},
		{"SELECT * FROM remote", command.Unknown, false},
		{"SELECT * FROM not_there", command.Unknown, false},
		{"SELECT evil()", command.Unknown, false},
		{"SELECT 'happy'::mood", command.Read, true},
		{"SELECT 1::positive", command.Read, true},
		{"SELECT 1::sneaky", command.Unknown, false},
		{"SELECT '(1,2)'::pair", command.Unknown, false},
		{"SELECT null::customers", command.Unknown, false},
		{"SELECT * FROM moods", command.Read, true},
		{"SELECT * FROM turning", command.Unknown, false},
		{"SELECT 'x'::turned", command.Unknown, false},
		{"INSERT INTO plain VALUES (1)", command.Write, true},
		{"UPDATE plain SET note = '' WHERE id = 1", command.Write, true},
		{"INSERT INTO customers (email) VALUES ('x')", command.Write, true},
		{"INSERT INTO events VALUES (1, now())", command.Write, true},
		{"INSERT INTO audited VALUES (1)", command.Write, false},
		{"INSERT INTO ruled VALUES (1)", command.Write, false},
		{"INSERT INTO defaulted VALUES (1)", command.Write, false},
		{"INSERT INTO not_there VALUES (1)", command.Write, false},
		{"SELECT c.evil FROM customers c", command.Unknown, false},
		{"SELECT (1).evil", command.Unknown, false},
	} {
		t.Run(tc.sql, func(t *testing.T) {
			f := resolve(t, c, tc.sql)
			if f.Class != tc.class || f.Neutral != tc.neutral {
				t.Errorf("class %s, neutral %v (%s, unknown %v); want %s, %v", f.Class, f.Neutral, f.Why, f.Unknown, tc.class, tc.neutral)
			}
		})
	}
	t.Run("an operator on the path", func(t *testing.T) {
		st, err := postgres.Parse("SELECT 1 = 1")
		if err != nil {
			t.Fatal(err)
		}
		if f := c.Resolve(st[0].Facts, []string{"public"}, ""); f.Class != command.Read {
			t.Errorf("not on the path: %s, %s", f.Class, f.Why)
		}
		if f := c.Resolve(st[0].Facts, []string{"public", "ops"}, ""); f.Class != command.Unknown {
			t.Errorf("on the path: %s, want unknown", f.Class)
		}
	})
}

func TestLoad_viewsNameWhatTheyRead(t *testing.T) {
	c := load(t, database(t, shop))
	f := resolve(t, c, "SELECT * FROM over")
	for _, want := range []string{"public.over", "public.contacts", "public.customers"} {
		if !slices.ContainsFunc(f.Objects, func(o command.Object) bool { return o.String() == want && o.Access == command.Read }) {
			t.Errorf("objects %v lack %s", f.Objects, want)
		}
	}
}

// TestLoad_tracksMasksThroughViewsAndInheritance asks the server for the
// origin of each result column, as an adapter does.
func TestLoad_tracksMasksThroughViewsAndInheritance(t *testing.T) {
	conn := database(t, shop)
	c := load(t, conn)
	email := command.Column{Schema: "public", Table: "customers", Name: "email"}
	masks := c.Masks([]command.Column{email})
	const masked, tainted, clean = "masked", "tainted", "clean"
	for _, tc := range []struct {
		sql  string
		want []string
	}{
		{"SELECT id, email FROM customers", []string{clean, masked}},
		{"SELECT email AS x FROM (SELECT * FROM customers) s", []string{masked}},
		{"SELECT id, email FROM child", []string{clean, masked}},
		{"SELECT * FROM contacts", []string{clean, masked, clean}},
		{"SELECT * FROM over", []string{clean, masked, clean}},
		{"SELECT * FROM rows_of", []string{clean, tainted}},
		{"SELECT * FROM stored", []string{masked}},
		{"SELECT count(*) FROM harmless", []string{clean}},
		{"SELECT upper(email), id FROM customers", []string{tainted, clean}},
		{"SELECT tablename, most_common_vals FROM pg_stats", []string{tainted, tainted}},
	} {
		t.Run(tc.sql, func(t *testing.T) {
			taint := masks.Taint(ptr(resolve(t, c, tc.sql)))
			sd, err := conn.Prepare(t.Context(), "", tc.sql)
			if err != nil {
				t.Fatal(err)
			}
			for i, fd := range sd.Fields {
				col, is, may := taint.Column(fd.TableOID, int16(fd.TableAttributeNumber))
				got := clean
				if is {
					got = masked
					if col != email {
						t.Errorf("column %d: %v", i, col)
					}
				} else if may {
					got = tainted
				}
				if got != tc.want[i] {
					t.Errorf("column %d (%s) is %s, want %s", i, fd.Name, got, tc.want[i])
				}
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestLoad_doesNotWaitForALockedTable(t *testing.T) {
	conn := database(t, shop)
	other := connect(t, "t"+t.Name())
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c := load(t, conn)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if f := resolve(t, c, "SELECT * FROM contacts"); f.Class != command.Unknown {
		t.Errorf("a view that could not be read is %s, want unknown", f.Class)
	}
	if f := resolve(t, c, "SELECT * FROM harmless"); f.Class != command.Read {
		t.Errorf("a view that could be read is %s: %s", f.Class, f.Why)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := resolve(t, load(t, conn), "SELECT * FROM contacts"); f.Class != command.Read {
		t.Errorf("after the lock: %s, %s", f.Class, f.Why)
	}
}

func TestLoad_isOpenToEveryRole(t *testing.T) {
	database(t, shop+`CREATE ROLE nobody_special LOGIN PASSWORD 'x';`)
	conn, err := pgx.Connect(t.Context(), server.UserURL("nobody_special", "x", "t"+t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if f := resolve(t, load(t, conn), "SELECT * FROM over"); f.Class != command.Read {
		t.Errorf("%s, %s", f.Class, f.Why)
	}
	var path string
	if err := conn.QueryRow(t.Context(), "SHOW search_path").Scan(&path); err != nil || path != `"$user", public` {
		t.Errorf("the connection's search_path is now %s (%v)", path, err)
	}
}
