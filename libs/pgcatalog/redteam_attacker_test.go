package pgcatalog_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/pgcatalog"
	"github.com/gatestay/gatestay/libs/pgcatalog/querytest"
)

// workshop is what an attacker with rights to define things works on, beside the shop.
const workshop = `
ALTER TABLE customers ADD CONSTRAINT mail_key UNIQUE (email);
CREATE TABLE refs (id int, who text CONSTRAINT who_fk REFERENCES customers (email));
INSERT INTO refs SELECT id, email FROM ONLY customers;
CREATE TABLE codes (code text PRIMARY KEY);
INSERT INTO codes VALUES ('a1'), ('b2'), ('c3');
CREATE TABLE guests (id int, code text REFERENCES codes);
INSERT INTO guests VALUES (1, 'a1');
CREATE TABLE limits (id int, low int, high int, CHECK (low <= high));
INSERT INTO limits VALUES (1, 3, 50);
CREATE DOMAIN word AS text;
CREATE TABLE typed (id int, v word);
INSERT INTO typed VALUES (1, 'Ny4Gv8Jr2Dm6');
CREATE TABLE parts (id int, secret text) PARTITION BY RANGE (secret);
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts VALUES (1, 'Wf7Xz3Kq9Bt5');
CREATE TYPE shape AS (id int, email text);
CREATE TABLE shaped OF shape;
INSERT INTO shaped VALUES (1, 'Xq7Zk9Wv2Jm4Tp');
CREATE TABLE slots (id int, a int[], note text);
INSERT INTO slots VALUES (1, '{}', 'x');
CREATE SCHEMA side;
`

// workshopMasks are the masked columns of both.
func workshopMasks() []command.Column {
	out := querytest.Masked()
	for _, c := range []string{"guests.code", "limits.high", "typed.v", "parts.secret", "shaped.email"} {
		table, name, _ := strings.Cut(c, ".")
		out = append(out, command.Column{Schema: "public", Table: table, Name: name})
	}
	return out
}

// attacker writes statements that define, move and change things.
type attacker struct{ rand *rand.Rand }

func (a *attacker) pick(list ...string) string { return list[a.rand.IntN(len(list))] }

// column picks a table and two of its columns.
func (a *attacker) column() (table, one, other string) {
	t := a.pick("customers id email name city card tags", "customers email name", "child id email", "refs id who", "guests id code", "limits low high", "typed id v",
		"parts id secret", "parts_rest id secret", "shaped id email", "orders id note", "archive id note", "logs id secret", "codes code code", "slots a note", "taken x y", "side.customers email id")
	f := strings.Fields(t)
	return f[0], f[1+a.rand.IntN(len(f)-1)], f[1+a.rand.IntN(len(f)-1)]
}

// expression writes something over a column.
func (a *attacker) expression(c string) string {
	return a.pick(c, "left("+c+"::text, 4)", "upper("+c+"::text)", "ascii("+c+"::text)", c+"::text || 'x'", "coalesce("+c+"::text, 'none')", "'lit'", "7")
}

func (a *attacker) condition(c string) string {
	return c + a.pick("::text < 'M'", "::text LIKE 'X%'", " IS NOT NULL", "::text <> 'a1'", "::text = 'a1'")
}

// statement writes one.
func (a *attacker) statement() string {
	t, c, d := a.column()
	u, e, _ := a.column()
	name := a.pick("taken", "hidden", "customers", "x1", "x2")
	pick := a.pick
	switch a.rand.IntN(20) {
	case 0:
		return "ALTER TABLE " + t + " ALTER " + c + " TYPE " + pick("int", "varchar(9)", "text", "word", "numeric", "char(3)", "jsonb", "date", "text COLLATE \"C\"") + pick("", "", " USING "+a.expression(d))
	case 1:
		return "ALTER TABLE " + t + " ALTER " + c + pick(" SET NOT NULL", " DROP NOT NULL", " DROP EXPRESSION", " SET DEFAULT 'x'", " SET STATISTICS 10")
	case 2:
		return "ALTER TABLE " + t + " ADD " + pick("UNIQUE ("+c+")", "PRIMARY KEY ("+c+")", "CHECK ("+a.condition(c)+")", "UNIQUE ("+c+", "+d+")",
			"FOREIGN KEY ("+c+") REFERENCES "+u+" ("+e+")", "EXCLUDE USING btree ("+c+" WITH =)", "COLUMN g1 text GENERATED ALWAYS AS ("+a.expression(c)+") STORED", "COLUMN g2 text DEFAULT 'a1' REFERENCES codes")
	case 3:
		return "CREATE " + pick("", "UNIQUE ") + "INDEX ON " + t + " (" + pick(c, "("+a.expression(c)+")") + ")" + pick("", " WHERE "+a.condition(d))
	case 4:
		return "ALTER DOMAIN word " + pick("ADD CHECK (VALUE < 'O')", "ADD CHECK (VALUE LIKE 'N%')", "SET NOT NULL", "ADD CHECK (VALUE <> 'b') NOT VALID")
	case 5:
		return "CREATE TABLE " + name + " (LIKE " + t + ") PARTITION BY " + pick("RANGE", "LIST") + " (" + c + ")"
	case 6:
		return "ALTER TABLE " + pick(name, "parts", "logs") + " ATTACH PARTITION " + t + pick(" FOR VALUES FROM ('N') TO ('Z')", " FOR VALUES FROM ('A') TO ('C')", " DEFAULT", " FOR VALUES IN ('a1')")
	case 7:
		return "CREATE TABLE " + name + " PARTITION OF parts FOR VALUES FROM ('" + pick("A", "V", "a") + "') TO ('" + pick("X", "W", "z") + "')"
	case 8:
		return "ALTER " + pick("TABLE", "INDEX", "VIEW", "SEQUENCE", "FOREIGN TABLE") + " " + pick(t, "contacts", "mail_key") + " RENAME TO " + name
	case 9:
		return "ALTER TABLE " + t + " " + pick("RENAME "+c+" TO z1", "SET SCHEMA side", "RENAME "+c+" TO email", "DROP COLUMN "+c+" CASCADE", "DROP CONSTRAINT mail_key CASCADE", "DROP CONSTRAINT who_fk", "DROP COLUMN "+c)
	case 10:
		return pick("ALTER SCHEMA public RENAME TO pub", "ALTER TYPE shape RENAME ATTRIBUTE email TO z2 CASCADE", "ALTER TYPE shape ADD ATTRIBUTE email text CASCADE", "DROP INDEX mail_key CASCADE", "DROP TABLE customers CASCADE",
			"ALTER TABLE child NO INHERIT customers", "ALTER TABLE parts DETACH PARTITION parts_rest", "ALTER TABLE logs DETACH PARTITION logs_1", "ALTER TABLE "+t+" INHERIT "+u, "DROP VIEW contacts CASCADE")
	case 11:
		q := "SELECT " + a.expression(c) + " AS x, " + a.expression(d) + " AS y FROM " + t
		return pick("CREATE TABLE "+name+" AS "+q, "EXPLAIN ANALYZE CREATE TABLE "+name+" AS "+q, "SELECT "+c+" AS x INTO "+name+" FROM "+t, "CREATE VIEW "+name+" AS "+q, "CREATE MATERIALIZED VIEW "+name+" AS "+q,
			"CREATE SCHEMA s1 CREATE VIEW v1 AS "+q, "EXPLAIN (ANALYZE) SELECT "+c+" AS x INTO "+name+" FROM "+t, "CREATE TEMP TABLE "+name+" AS "+q, "CREATE RECURSIVE VIEW "+name+" (x, y) AS "+q)
	case 12:
		return "INSERT INTO " + u + " (" + e + ") SELECT " + a.expression(c) + " FROM " + t + pick("", "", " WHERE "+a.condition(d))
	case 13:
		return "UPDATE " + t + " SET " + c + " = " + pick("'guess'", "20", a.expression(d)) + pick("", " WHERE "+a.condition(d))
	case 14:
		return "UPDATE slots SET " + pick("a["+pick("1", "ascii(left("+c+"::text, 1))")+"] = 1", "note = "+a.expression(c)) + " FROM " + t
	case 15:
		return "DELETE FROM " + t + pick("", " WHERE "+a.condition(c), " WHERE code = 'a1'", " WHERE code = 'b2'")
	case 16:
		return "MERGE INTO " + t + " t USING " + u + " s ON " + pick("true", "false", "t."+c+"::text = s."+e+"::text") + " WHEN " + pick("MATCHED THEN DELETE", "MATCHED THEN UPDATE SET "+c+" = s."+e, "NOT MATCHED THEN INSERT ("+c+") VALUES (s."+e+")")
	case 17:
		return pick("CREATE STATISTICS st1 (mcv) ON "+c+", "+d+" FROM "+t, "CREATE STATISTICS ON ("+a.expression(c)+"), "+d+" FROM "+t, "ANALYZE "+t, "REFRESH MATERIALIZED VIEW "+name, "CLUSTER "+t, "TRUNCATE "+t)
	case 18:
		return pick("CREATE RULE r1 AS ON INSERT TO slots DO ALSO UPDATE slots SET note = (SELECT min("+c+"::text) FROM "+t+")", "CREATE POLICY p1 ON "+t+" USING ("+a.condition(c)+")", "ALTER TABLE "+t+" ENABLE ROW LEVEL SECURITY",
			"CREATE TRIGGER t1 BEFORE UPDATE ON "+t+" FOR EACH ROW WHEN (old."+a.condition(c)+") EXECUTE FUNCTION suppress_redundant_updates_trigger()", "CREATE FUNCTION f1() RETURNS text RETURN (SELECT min("+c+"::text) FROM "+t+")", "COMMENT ON TABLE "+t+" IS 'x'")
	default:
		return pick("SELECT count(*) FROM "+t+" WHERE "+a.condition(c), "EXPLAIN SELECT "+c+" FROM "+t+" WHERE "+a.condition(d), "SELECT "+a.expression(c)+" FROM "+t, "SELECT pg_advisory_xact_lock(length("+a.expression(c)+")) FROM "+t,
			"SELECT set_config('a.b', "+c+"::text, false) FROM "+t, "PREPARE q1 AS SELECT "+c+" FROM "+t, "CREATE TABLE "+name+" AS EXECUTE q1", "LOCK "+t, "NOTIFY c, 'x'", "SELECT "+c+", count(*) FROM "+t+" GROUP BY 1")
	}
}

// attacked is one of the two databases that an attacker works on.
type attacked struct {
	template, name string
	conn           *pgx.Conn
	reads          *pgx.Conn
	reader         *pgcatalog.Reader
	catalog        *postgres.Catalog
	masks          *postgres.Masks
}

func newAttacked(t *testing.T, name, schema string) *attacked {
	t.Helper()
	a := &attacked{template: "t" + t.Name() + name}
	a.name = a.template + "_now"
	_ = named(t, name, schema).Close(t.Context())
	return a
}

// renew makes the database anew.
func (a *attacked) renew(t *testing.T) {
	t.Helper()
	if a.conn != nil {
		_, _ = a.conn.Close(t.Context()), a.reads.Close(t.Context())
	}
	for _, sql := range []string{`DROP DATABASE IF EXISTS "` + a.name + `" WITH (FORCE)`, `CREATE DATABASE "` + a.name + `" TEMPLATE "` + a.template + `"`} {
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	a.conn, a.reads = connect(t, a.name), connect(t, a.name)
	a.reader = pgcatalog.NewReader(a.reads)
	if _, err := a.conn.Exec(t.Context(), "SET statement_timeout = '5s'"); err != nil {
		t.Fatal(err)
	}
}

func (a *attacked) reload(t *testing.T) {
	t.Helper()
	snapshot, changed, err := a.reader.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !changed {
		return
	}
	a.catalog = postgres.NewCatalog(snapshot)
	a.masks = a.catalog.Masks(workshopMasks())
}

// run runs one statement.
func (a *attacked) run(t *testing.T, sql string) (state string) {
	t.Helper()
	_, err := a.conn.PgConn().Exec(t.Context(), sql).ReadAll()
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	} else if err != nil {
		t.Fatal(err)
	}
	return ""
}

// shown looks for planted values in what passes of every relation that there is.
func (a *attacked) shown(t *testing.T) (sql, cell string) {
	t.Helper()
	rows, err := a.conn.Query(t.Context(), "SELECT format('SELECT * FROM %I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm') AND c.oid >= 16384 AND nspname !~ '^pg_toast'")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range list {
		results, err := a.conn.PgConn().Exec(t.Context(), sql).ReadAll()
		if err != nil {
			continue
		}
		st, err := postgres.Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		f := a.catalog.Resolve(st[0].Facts, []string{"public"}, "")
		r := results[0]
		origins := make([]postgres.ColumnRef, len(r.FieldDescriptions))
		for i, fd := range r.FieldDescriptions {
			origins[i] = postgres.ColumnRef{OID: fd.TableOID, Number: int16(fd.TableAttributeNumber)}
		}
		for i, j := range a.masks.Taint(&f).Columns(origins) {
			for _, row := range r.Rows {
				if querytest.Secret(row[i]) != "" && !j.Is && !j.Tainted {
					return sql, string(row[i])
				}
			}
		}
	}
	return "", ""
}

// TestRedteam13_AnAttackerWhoDefines: random scripts of an attacker who may run all
// that neither copies a masked column nor uses its values, as far as is known.
// Whatever was run, no relation shows a planted value, and no error tells two
// databases apart that differ in nothing but masked values.
func TestRedteam13_AnAttackerWhoDefines(t *testing.T) {
	const steps = 16
	seeds, most := long(40, 60*time.Second)
	one := newAttacked(t, "", querytest.Schema+workshop)
	two := newAttacked(t, "twin", strings.NewReplacer("'a1');\nCREATE TABLE limits", "'b2');\nCREATE TABLE limits", "(1, 3, 50)", "(1, 3, 9)", "Xq7Zk9Wv2Jm4Tp", "Aq").Replace(twin()+workshop))
	end := time.Now().Add(most)
	start := time.Now()
	var scripts, written, refused, ran, failed int
	for seed := uint64(1); seed <= seeds && time.Now().Before(end); seed++ {
		a := &attacker{rand.New(rand.NewPCG(seed, 11))}
		for _, d := range []*attacked{one, two} {
			d.renew(t)
		}
		one.reload(t)
		scripts++
		var script []string
		for range steps {
			sql := a.statement()
			written++
			st, err := postgres.Parse(sql)
			if err != nil || len(st) != 1 {
				t.Fatalf("%s: %v", sql, err)
			}
			f := one.catalog.Resolve(st[0].Facts, []string{"public"}, "")
			if f.Class == command.Unknown || len(one.masks.Taint(&f).Copies()) > 0 || len(one.masks.Compared(&f)) > 0 {
				refused++
				continue
			}
			first, second := one.run(t, sql), two.run(t, sql)
			script = append(script, sql)
			if first != second {
				t.Fatalf("seed %d: %q and %q, for other masked values, of the last of\n%s", seed, first, second, strings.Join(script, ";\n"))
			}
			if first != "" {
				failed++
				continue
			}
			ran++
			if f.Class != command.Read {
				one.reload(t)
			}
		}
		if sql, cell := one.shown(t); sql != "" {
			t.Fatalf("seed %d: %s shows %q after\n%s", seed, sql, cell, strings.Join(script, ";\n"))
		}
	}
	t.Logf("%s: %d scripts of %d statements: %d refused, %d ran, %d failed alike", time.Since(start).Round(time.Second), scripts, written, refused, ran, failed)
	if ran < written/10 || refused < written/10 {
		t.Error("too few of them: the test shows nothing")
	}
}
