package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

const reachSetup = `DROP SCHEMA IF EXISTS reach CASCADE; DROP SCHEMA IF EXISTS reach_first CASCADE; CREATE SCHEMA reach; CREATE SCHEMA reach_first; SET search_path = reach;
	CREATE TABLE secrets (id int PRIMARY KEY, email text, note text); CREATE TABLE child () INHERITS (secrets);
	CREATE TABLE old (id int PRIMARY KEY, note text); CREATE TABLE parts (id int, email text) PARTITION BY RANGE (id); CREATE TABLE part (id int, email text); CREATE TABLE heir (LIKE old);
	CREATE TYPE mood AS ENUM ('good'); CREATE TABLE moods (m mood); CREATE VIEW shown AS SELECT id, note FROM old;
	CREATE FUNCTION loud(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x'; CREATE DOMAIN checked AS int CHECK (loud(VALUE) > 0); CREATE TABLE coded (id int CHECK (loud(id) > 0));
	CREATE FUNCTION lower(mood) RETURNS text LANGUAGE sql AS 'SELECT ''x'''; CREATE TABLE reach_first.other (id int);
	CREATE TABLE unique_secrets (id int PRIMARY KEY, email text UNIQUE); CREATE TABLE keyed_secrets (email text PRIMARY KEY);`

// TestRedteam13_ReachOfDefinitions: behind a change of definitions in the same
// transaction, a statement's comparisons are known where the change cannot have
// touched what it uses, and nowhere else; what the cause is stands in the reason.
func TestRedteam13_ReachOfDefinitions(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", reachSetup); err != nil {
		t.Fatal(err)
	}
	const probe = "UPDATE secrets SET note = 'x' WHERE id = 1"
	for _, c := range []struct {
		name   string
		before []string
		probe  string // empty: probe
		cause  string // empty: known
	}{
		{"nothing", nil, "", ""},
		{"another table is made", []string{"CREATE TABLE fresh (id serial PRIMARY KEY, n int DEFAULT 1, at timestamptz DEFAULT now(), u uuid DEFAULT gen_random_uuid(), m mood, CHECK (n > 0))"}, "", ""},
		{"one that refers to it", []string{"CREATE TABLE fresh (id int REFERENCES secrets ON DELETE CASCADE)"}, "", ""},
		{"a migration", []string{"CREATE TABLE fresh (id int)", "CREATE INDEX ON fresh (id)", "ALTER TABLE fresh ADD COLUMN note text", "COMMENT ON TABLE secrets IS 'x'", "ALTER TABLE old ADD COLUMN more text DEFAULT 'x'", "ALTER TABLE old ADD CHECK (id > 0)", "CREATE SEQUENCE counter"}, "", ""},
		{"with rows", []string{"CREATE TABLE fresh (id int)", "INSERT INTO fresh VALUES (1)"}, "", ""},
		{"another table goes", []string{"DROP TABLE moods"}, "", ""},
		{"rows of another are copied", []string{"CREATE TABLE fresh AS SELECT id, note FROM old"}, "UPDATE old SET note = 'x' WHERE id = 1", ""},
		{"a temporary table", []string{"CREATE TEMP TABLE fresh (id int)"}, "", ""},

		{"the table itself", []string{"ALTER TABLE secrets ADD COLUMN more text"}, "", "alter table reach.secrets"},
		{"its child", []string{"ALTER TABLE child ADD COLUMN more text"}, "", "alter table reach.child"},
		{"its parent", []string{"ALTER TABLE secrets ADD COLUMN more text"}, "SELECT note FROM child WHERE id = 1", "alter table reach.secrets"},
		{"the new table", []string{"CREATE TABLE fresh (id int)"}, "SELECT s.note FROM secrets s JOIN fresh f ON f.id = s.id", ""},
		{"one of its name in another schema", []string{"CREATE TABLE reach_first.secrets (id int)"}, "", ""},
		{"one of its name in another schema, like another", []string{"CREATE TABLE reach_first.secrets (LIKE old)"}, "", "create table reach_first.secrets"},
		{"a temporary one of its name", []string{"CREATE TEMP TABLE secrets (id int)"}, "", "create table"},
		{"one of its name goes", []string{"DROP TABLE reach_first.other"}, "SELECT o.id FROM reach_first.other o, secrets s WHERE s.id = o.id", "drop table reach_first.other"},
		{"a renaming", []string{"ALTER TABLE old RENAME TO older"}, "", "alter table reach.old"},
		{"a renamed column", []string{"ALTER TABLE old RENAME COLUMN note TO email"}, "", "alter table reach.old"},
		{"another schema", []string{"ALTER TABLE old SET SCHEMA reach_first"}, "", "alter table reach.old"},
		{"a drop of all that depends", []string{"DROP TABLE moods CASCADE"}, "", "drop table reach.moods"},
		{"a column with all that depends", []string{"ALTER TABLE old DROP COLUMN note CASCADE"}, "", "alter table reach.old"},
		{"a type", []string{"ALTER TYPE mood ADD VALUE 'bad'"}, "", "alter type"},
		{"a function", []string{"CREATE FUNCTION reach.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"}, "", "create function"},
		{"a view", []string{"CREATE OR REPLACE VIEW shown AS SELECT id, note FROM old"}, "", "create view"},
		{"a trigger", []string{"CREATE TRIGGER t BEFORE UPDATE ON old FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"}, "", "create trigger"},
		{"a partition", []string{"ALTER TABLE parts ATTACH PARTITION part FOR VALUES FROM (0) TO (10)"}, "", "alter table reach.parts"},
		{"a new partition", []string{"CREATE TABLE fresh PARTITION OF parts FOR VALUES FROM (0) TO (10)"}, "", "create table reach.fresh"},
		{"an heir", []string{"CREATE TABLE fresh () INHERITS (old)"}, "", "create table reach.fresh"},
		{"one that becomes an heir", []string{"ALTER TABLE heir INHERIT old"}, "", "alter table reach.heir"},
		{"the likeness of one", []string{"CREATE TABLE fresh (LIKE coded INCLUDING ALL)"}, "", "create table reach.fresh"},
		{"a default that runs code", []string{"ALTER TABLE old ADD COLUMN n int DEFAULT loud(1)"}, "", "alter table reach.old"},
		{"a domain that runs code", []string{"ALTER TABLE old ADD COLUMN n checked DEFAULT 1"}, "", "alter table reach.old"},
		{"a check that runs code", []string{"ALTER TABLE coded ADD COLUMN n int"}, "", "alter table reach.coded"},
		{"an index that runs code", []string{"CREATE INDEX ON old (loud(id))"}, "", "create index"},
		{"an overload of PostgreSQL's own", []string{"CREATE INDEX ON old (lower(note))"}, "", "create index"},
		{"a setting of the session", []string{"ALTER TABLE old ADD COLUMN n text DEFAULT set_config('search_path', 'reach_first', false)"}, "", "alter table reach.old"},
		{"code", []string{"DO 'BEGIN END'"}, "", "do"},
		{"a foreign key that changes rows", []string{"ALTER TABLE old ADD FOREIGN KEY (id) REFERENCES secrets ON DELETE CASCADE"}, "", "alter table reach.old"},
		{"the array of its row", []string{"CREATE TABLE fresh (LIKE old)"}, "SELECT note FROM secrets WHERE id = 1 AND '{}'::fresh[] IS NOT NULL", "create table reach.fresh"},
	} {
		g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "reach", Table: "secrets", Column: "email"}}})
		r := dialRaw(t, g.config(t))
		r.query(t, "SET search_path = reach_first, reach")
		r.query(t, "BEGIN")
		for _, sql := range c.before {
			r.query(t, strings.ReplaceAll(sql, "CREATE TABLE fresh", "CREATE TABLE reach.fresh"))
		}
		probe := probe
		if c.probe != "" {
			probe = c.probe
		}
		probe = strings.ReplaceAll(probe, " fresh", " reach.fresh")
		got := r.query(t, probe)
		all := g.Admitted(probe)
		if len(all) != 1 {
			t.Fatalf("%s: %q", c.name, got)
		}
		known(t, c.name, &all[0].Command.Facts, c.cause)
		r.query(t, "ROLLBACK")
		r.query(t, probe+" /* again */")
		known(t, c.name+", rolled back", &g.Admitted("/* again */")[0].Command.Facts, "")
	}
}

// TestRedteam13_NewTables: what a transaction has made is known to what follows in
// it, where its text tells all about it and masks do not concern it.
func TestRedteam13_NewTables(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", reachSetup); err != nil {
		t.Fatal(err)
	}
	const fresh = "CREATE TABLE fresh (id serial PRIMARY KEY, tag text NOT NULL DEFAULT 'x' CHECK (tag <> ''), at timestamptz DEFAULT now(), more text[])"
	const insert = "INSERT INTO fresh (tag) VALUES ('a')"
	for _, c := range []struct {
		name   string
		before []string
		probe  string // empty: insert
		cause  string // empty: known
	}{
		{"a new table", []string{fresh}, "", ""},
		{"with its schema", []string{strings.Replace(fresh, "fresh", "reach.fresh", 1)}, "INSERT INTO reach.fresh (tag) VALUES ('a')", ""},
		{"its rows", []string{fresh, insert}, "UPDATE fresh SET tag = 'b' WHERE id = 1", ""},
		{"from another", []string{fresh}, "INSERT INTO fresh (tag) SELECT note FROM old WHERE id = 1", ""},
		{"with indexes and a comment", []string{fresh, "CREATE INDEX ON fresh (tag)", "CREATE UNIQUE INDEX ON fresh (tag, id)", "COMMENT ON TABLE fresh IS 'x'"}, "", ""},
		{"two that refer to each other's", []string{fresh, "CREATE TABLE second (id int PRIMARY KEY REFERENCES fresh, up int REFERENCES second, o int REFERENCES old)"}, "INSERT INTO second VALUES (1, NULL, NULL)", ""},
		{"behind a savepoint", []string{"SAVEPOINT a", fresh, "RELEASE a"}, "", ""},
		{"beside a changed one", []string{"ALTER TABLE old ADD COLUMN more text", fresh}, "", ""},
		{"COPY", []string{fresh}, "COPY fresh (tag) FROM STDIN", ""},

		{"one that refers to a masked table", []string{"CREATE TABLE fresh (tag text, s int REFERENCES secrets, t int, FOREIGN KEY (t) REFERENCES secrets (id))"}, "", ""},
		{"one that refers to a masked column", []string{"CREATE TABLE fresh (tag text REFERENCES unique_secrets (email))"}, "", "create table reach.fresh"},
		{"or by the primary key", []string{"CREATE TABLE fresh (tag text REFERENCES keyed_secrets)"}, "", "create table reach.fresh"},
		{"beside it", []string{"CREATE TABLE fresh (tag text, s int REFERENCES unique_secrets)"}, "", ""},
		{"by way of a new one", []string{"CREATE TABLE fresh (tag text PRIMARY KEY REFERENCES unique_secrets (email))", "CREATE TABLE second (tag text REFERENCES fresh)"}, "INSERT INTO second VALUES ('a')", "create table reach.second"},
		{"a masked one", []string{"CREATE TABLE guarded (id int, hush text)"}, "INSERT INTO guarded (hush) VALUES ('a')", "create table reach.guarded"},
		{"altered", []string{fresh, "ALTER TABLE fresh ADD FOREIGN KEY (tag) REFERENCES unique_secrets (email)"}, "", "alter table reach.fresh"},
		{"the array of its row", []string{fresh}, "SELECT note FROM old WHERE id = 1 AND '{}'::fresh[] IS NOT NULL", "it casts to the type fresh"},
		{"made from rows", []string{"CREATE TABLE fresh AS SELECT note AS tag FROM old"}, "", "create table as reach.fresh"},
		{"like another", []string{"CREATE TABLE fresh (LIKE secrets, tag text)"}, "", "create table reach.fresh"},
		{"perhaps there already", []string{"CREATE TABLE IF NOT EXISTS fresh (tag text)"}, "", "create table reach.fresh"},
		{"temporary", []string{"CREATE TEMP TABLE fresh (tag text)"}, "", "create table"},
		{"computed", []string{"CREATE TABLE fresh (tag text, n int GENERATED ALWAYS AS (length(tag)) STORED)"}, "", "create table reach.fresh"},
		{"with a trigger", []string{fresh, "CREATE TRIGGER t BEFORE INSERT ON fresh FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"}, "", "create trigger"},
		{"of a user's type", []string{"CREATE TABLE fresh (tag text, m mood)"}, "", "create table reach.fresh"},
		{"taken back", []string{"SAVEPOINT a", fresh, "ROLLBACK TO a"}, "INSERT INTO reach_first.fresh (tag) VALUES ('a')", "create table reach.fresh"},
		{"twice", []string{"CREATE TABLE reach_first.fresh (tag text)", "CREATE TABLE reach.fresh (tag text REFERENCES unique_secrets (email))"}, "INSERT INTO reach.fresh (tag) VALUES ('a')", "create table reach.fresh"},
		{"twice, the other way", []string{"CREATE TABLE reach.fresh (tag text REFERENCES unique_secrets (email))", "CREATE TABLE reach_first.fresh (tag text)"}, "INSERT INTO reach.fresh (tag) VALUES ('a')", "create table"},
		{"made anew", []string{"DROP TABLE moods", "CREATE TABLE moods (tag text)"}, "INSERT INTO moods (tag) VALUES ('a')", "create table reach.moods"},
	} {
		g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "reach", Table: "secrets", Column: "email"}, {Schema: "reach", Table: "unique_secrets", Column: "email"}, {Schema: "reach", Table: "keyed_secrets", Column: "email"}, {Table: "guarded", Column: "hush"}}})
		r := dialRaw(t, g.config(t))
		r.query(t, "SET search_path = reach")
		probe := insert
		if c.probe != "" {
			probe = c.probe
		}
		r.query(t, "BEGIN")
		for _, sql := range c.before {
			r.query(t, sql)
		}
		r.send(t, &pgproto3.Query{String: probe}, &pgproto3.CopyDone{})
		r.until(t, 1)
		all := g.Admitted(probe)
		if len(all) != 1 {
			t.Fatalf("%s: %d commands", c.name, len(all))
		}
		newTable(t, c.name, &all[0].Command.Facts, c.cause)
		r.query(t, "ROLLBACK")
		// All in one text.
		r.send(t, &pgproto3.Query{String: strings.Join(append(slices.Clone(c.before), probe+" /* all */", "SELECT 1/0"), "; ")}, &pgproto3.CopyDone{})
		r.until(t, 1)
		for _, a := range g.Admitted("/* all */") {
			if strings.HasPrefix(a.Command.Text, probe[:8]) {
				newTable(t, c.name+", in one text", &a.Command.Facts, c.cause)
			}
		}
	}
}

func newTable(t *testing.T, name string, f *command.Facts, cause string) {
	t.Helper()
	known := len(f.Unknown) == 0 && len(f.Compared) == 0 && f.Class == command.Write
	if known != (cause == "") || !strings.Contains(f.Why, cause) {
		t.Errorf("%s: class %s, unknown %q, compared %+v, why %q, want %q", name, f.Class, f.Unknown, f.Compared, f.Why, cause)
	}
}

func known(t *testing.T, name string, f *command.Facts, cause string) {
	t.Helper()
	if f.IsUnknown("comparisons") != (cause != "") || !strings.Contains(f.Why, cause) {
		t.Errorf("%s: unknown: %q, why: %q, want %q", name, f.Unknown, f.Why, cause)
	}
	if cause != "" && len(f.Comparisons) > 0 && (len(f.Compared) != 1 || !strings.Contains(f.Compared[0].Why, cause)) {
		t.Errorf("%s: compared: %+v", name, f.Compared)
	}
}

// TestRedteam13_EventTriggersReachAll: where each change of a definition runs
// somebody's code, nothing is known behind one.
func TestRedteam13_EventTriggersReachAll(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "DROP DATABASE IF EXISTS reach_events"); err != nil {
		t.Fatal(err)
	}
	if err := target.Exec(t.Context(), "postgres", "CREATE DATABASE reach_events"); err != nil {
		t.Fatal(err)
	}
	const setup = `CREATE TABLE secrets (id int, email text, note text); CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`
	if err := target.Exec(t.Context(), "reach_events", setup); err != nil {
		t.Fatal(err)
	}
	up := upstreamOf(t)
	up.Database = "reach_events"
	g := start(t, &seamtest.Gate{Upstream: up, Masked: []seam.MaskedColumn{{Schema: "public", Table: "secrets", Column: "email"}}})
	r := dialRaw(t, g.config(t))
	for i, step := range []struct{ sql, cause string }{
		{"SELECT 1", ""},
		{"CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION noted()", "create table"},
		{"ALTER EVENT TRIGGER noting DISABLE", ""},
		{"ALTER EVENT TRIGGER noting ENABLE", "create table"},
		{"DROP EVENT TRIGGER noting", ""},
	} {
		r.query(t, step.sql)
		r.query(t, "BEGIN")
		r.query(t, "CREATE TABLE fresh (id int)")
		probe := "UPDATE secrets SET note = 'x' WHERE id = " + strings.Repeat("1", i+1)
		r.query(t, probe)
		f := g.Admitted(probe)[0].Command.Facts
		known(t, step.sql, &f, step.cause)
		if f.Class != command.Write || f.Neutral && step.cause != "" {
			t.Errorf("%s: class %s, neutral %t: it writes whatever its names are", step.sql, f.Class, f.Neutral)
		}
		read := "SELECT note FROM secrets WHERE id = " + strings.Repeat("1", i+1)
		r.query(t, read)
		if f := g.Admitted(read)[0].Command.Facts; (f.Class == command.Unknown) != (step.cause != "") {
			t.Errorf("%s: class %s of a read: what it reads may be a view by now", step.sql, f.Class)
		}
		r.query(t, "ROLLBACK")
	}
}
