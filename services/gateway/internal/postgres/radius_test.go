package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// holding starts a gateway that holds what has the mark in it.
func holding(t *testing.T, masked ...seam.MaskedColumn) *gateway {
	t.Helper()
	return start(t, &seamtest.Gate{Masked: masked, Decide: func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "/* hold */")}
	}})
}

// measured runs a statement that is held, measures it, lets meanwhile look on, and
// denies it.
func (g *gateway) measured(t *testing.T, conn *pgx.Conn, text string, args ...any) *seam.Radius {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), text+" /* hold */", args...)
		done <- err
	}()
	select {
	case h := <-g.Held():
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r := h.Command.Radius(ctx)
		h.Deny()
		<-done
		return r
	case err := <-done:
		t.Fatalf("%s was not held: %v", text, err)
	case <-time.After(20 * time.Second):
		t.Fatalf("%s was not held", text)
	}
	return nil
}

func run(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestRadiusIsThePlannersEstimate(t *testing.T) {
	d := direct(t)
	run(t, d, "DROP SCHEMA IF EXISTS blast CASCADE", "CREATE SCHEMA blast", "CREATE TABLE blast.people (id int PRIMARY KEY, team int, note text)",
		"INSERT INTO blast.people SELECT g, g % 10, 'n' FROM generate_series(1, 5000) g", "ANALYZE blast.people",
		"CREATE TABLE blast.parts (id int, at date) PARTITION BY RANGE (at)",
		"CREATE TABLE blast.parts_1 PARTITION OF blast.parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
		"CREATE TABLE blast.parts_2 PARTITION OF blast.parts FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
		"INSERT INTO blast.parts SELECT g, date '2020-01-01' + g % 700 FROM generate_series(1, 3000) g", "ANALYZE blast.parts")
	g := holding(t)
	conn := g.connect(t)
	for text, want := range map[string]struct {
		args     []any
		verb     string
		relation string
		from, to uint64
	}{
		"UPDATE blast.people SET note = 'x'":                                                        {nil, "update", "blast.people", 5000, 5000},
		"UPDATE blast.people SET note = 'x' WHERE team = $1":                                        {[]any{3}, "update", "blast.people", 400, 600},
		"DELETE FROM blast.people WHERE id = 7":                                                     {nil, "delete", "blast.people", 1, 1},
		"DELETE FROM blast.parts":                                                                   {nil, "delete", "blast.parts", 3000, 3000},
		"INSERT INTO blast.people SELECT id + 10000, team FROM blast.people WHERE team < 5":         {nil, "insert", "blast.people", 2000, 3000},
		"WITH gone AS (DELETE FROM blast.people WHERE team = 1 RETURNING id) SELECT * FROM gone":    {nil, "delete", "blast.people", 400, 600},
		"SELECT * FROM blast.people FOR UPDATE":                                                     {nil, "select", "", 5000, 5000},
		"MERGE INTO blast.people p USING blast.parts q ON p.id = q.id WHEN MATCHED THEN DO NOTHING": {nil, "merge", "blast.people", 2000, 3000},
	} {
		r := g.measured(t, conn, text, want.args...)
		if r.Unknown != "" || len(r.Planned) != 1 {
			t.Errorf("%s: %+v", text, r)
			continue
		}
		if e := r.Planned[0]; e.Verb != want.verb || e.Relation != want.relation || e.Rows < want.from || e.Rows > want.to {
			t.Errorf("%s: %+v", text, e)
		}
	}
	// The session's search_path and role are the ones that count.
	run(t, conn, "SET search_path = blast")
	if r := g.measured(t, conn, "DELETE FROM people"); r.Unknown != "" || r.Planned[0].Rows != 5000 || r.Sizes[0].Rows != 5000 || r.Sizes[0].Bytes < 100<<10 {
		t.Errorf("%+v", r)
	}
	run(t, d, "DROP ROLE IF EXISTS weak", "CREATE ROLE weak", "GRANT USAGE ON SCHEMA blast TO weak")
	run(t, conn, "SET ROLE weak")
	if r := g.measured(t, conn, "DELETE FROM people"); !strings.Contains(r.Unknown, "42501") || len(r.Planned) > 0 {
		t.Errorf("as a role that may not: %+v", r)
	}
}

// A temporary table is not the one of the same name.
func TestRadiusOfATemporaryTableIsUnknown(t *testing.T) {
	g := holding(t)
	conn := g.connect(t)
	run(t, conn, "CREATE TEMP TABLE customers (id int)")
	if r := g.measured(t, conn, "DELETE FROM customers"); r.Unknown == "" || len(r.Planned) > 0 {
		t.Errorf("%+v", r)
	}
}

func TestRadiusShowsWhatTheSessionHolds(t *testing.T) {
	var r *seam.Radius
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if strings.Contains(c.Text, "/* measure */") {
			r = c.Radius(t.Context())
		}
		return seamtest.Decision{}
	}})
	conn := g.connect(t)
	run(t, conn, "BEGIN", "UPDATE scratch SET note = note", "SELECT count(*) FROM customers", "UPDATE customers SET name = name /* measure */")
	tx := r.Transaction
	if tx == nil || tx.Locks < 2 || tx.Strongest != "ROW EXCLUSIVE" || !strings.HasPrefix(tx.On, "public.scratch") || time.Since(tx.Since) > time.Minute || time.Since(tx.Since) < 0 {
		t.Errorf("%+v of %+v", tx, r)
	}
	run(t, conn, "ROLLBACK", "BEGIN", "SELECT 1", "SELECT 2 /* measure */")
	if tx := r.Transaction; tx == nil || tx.Locks != 0 || tx.Since.IsZero() {
		t.Errorf("%+v of %+v", tx, r)
	}
	run(t, conn, "COMMIT", "UPDATE customers SET name = name /* measure */")
	if r.Transaction != nil || r.Unseen != "" {
		t.Errorf("%+v", r)
	}
}

// The lock that is shown is the one that the target takes.
func TestRadiusNamesTheLockOfADefinition(t *testing.T) {
	d := direct(t)
	setup := "DROP SCHEMA IF EXISTS locks CASCADE; CREATE SCHEMA locks; CREATE TABLE locks.a (id int PRIMARY KEY, n int NOT NULL, CONSTRAINT odd CHECK (n > 0) NOT VALID); " +
		"CREATE TABLE locks.b (id int PRIMARY KEY); CREATE INDEX a_n ON locks.a (n); CREATE FUNCTION locks.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; " +
		"CREATE TRIGGER t AFTER INSERT ON locks.a EXECUTE FUNCTION locks.t(); CREATE POLICY p ON locks.a; CREATE RULE r AS ON INSERT TO locks.a DO ALSO NOTHING"
	g := holding(t)
	conn := g.connect(t)
	for _, text := range []string{
		"ALTER TABLE locks.a ADD COLUMN x int", "ALTER TABLE locks.a DROP COLUMN n", "ALTER TABLE locks.a ALTER n TYPE bigint", "ALTER TABLE locks.a ALTER n SET DEFAULT 1",
		"ALTER TABLE locks.a ALTER n DROP NOT NULL", "ALTER TABLE locks.a ALTER n SET STATISTICS 10", "ALTER TABLE locks.a ALTER n SET (n_distinct = 5)",
		"ALTER TABLE locks.a ADD CHECK (n < 9)", "ALTER TABLE locks.a ADD FOREIGN KEY (n) REFERENCES locks.b", "ALTER TABLE locks.a ADD UNIQUE (n)",
		"ALTER TABLE locks.a VALIDATE CONSTRAINT odd", "ALTER TABLE locks.a DROP CONSTRAINT odd", "ALTER TABLE locks.a DISABLE TRIGGER t", "ALTER TABLE locks.a ENABLE ROW LEVEL SECURITY",
		"ALTER TABLE locks.a CLUSTER ON a_n", "ALTER TABLE locks.a SET (fillfactor = 50)", "ALTER TABLE locks.a SET (autovacuum_enabled = false)", "ALTER TABLE locks.a SET (user_catalog_table = true)",
		"ALTER TABLE locks.a ALTER n SET STATISTICS 10, ADD COLUMN y int", "ALTER TABLE locks.a RENAME TO c", "ALTER TABLE locks.a RENAME n TO m", "ALTER TABLE locks.a REPLICA IDENTITY FULL",
		"CREATE INDEX ON locks.a (n)", "CREATE TRIGGER u AFTER INSERT ON locks.a EXECUTE FUNCTION locks.t()", "CREATE POLICY q ON locks.a", "CREATE STATISTICS locks.s ON id, n FROM locks.a",
		"CREATE RULE s AS ON DELETE TO locks.a DO ALSO NOTHING", "DROP TRIGGER t ON locks.a", "DROP POLICY p ON locks.a", "DROP RULE r ON locks.a", "TRUNCATE locks.a", "CLUSTER locks.a USING a_n",
		"REINDEX TABLE locks.a", "ANALYZE locks.a", "LOCK TABLE locks.a IN EXCLUSIVE MODE", "LOCK TABLE locks.a",
	} {
		run(t, d, setup)
		r := g.measured(t, conn, text)
		if r.Lock == "" || r.Unknown == "" || len(r.Planned) > 0 {
			t.Errorf("%s: %+v", text, r)
			continue
		}
		run(t, d, "BEGIN", text)
		rows, err := d.Query(t.Context(), "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = (SELECT oid FROM pg_class WHERE relnamespace = 'locks'::regnamespace AND relname IN ('a', 'c'))")
		if err != nil {
			t.Fatal(err)
		}
		taken, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		run(t, d, "ROLLBACK")
		order := []string{"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
		best := 0
		for _, m := range taken {
			best = max(best, slices.Index(order, m))
		}
		if want := strings.ToLower(strings.TrimSuffix(order[best], "Lock")); want != strings.ToLower(strings.ReplaceAll(r.Lock, " ", "")) {
			t.Errorf("%s: %s is said, %v are taken", text, r.Lock, taken)
		}
	}
}

// What planning would evaluate leaves its mark, so that one call of it is seen.
func TestRedteam21_MeasuringRunsNoCodeOfOthers(t *testing.T) {
	d := direct(t)
	run(t, d, "DROP SCHEMA IF EXISTS trap CASCADE", "CREATE SCHEMA trap", "CREATE SEQUENCE trap.sprung",
		// A function that lies about being IMMUTABLE; the log and the sequence outlive a rollback.
		`CREATE FUNCTION trap.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE LOG 'trap-has-sprung'; PERFORM nextval('trap.sprung'); RETURN $1; END $$`,
		`CREATE FUNCTION trap.yes(int) RETURNS bool LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE LOG 'trap-has-sprung'; RETURN true; END $$`,
		`CREATE FUNCTION trap.eq(int, text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE LOG 'trap-has-sprung'; RETURN true; END $$`,
		`CREATE FUNCTION trap.trg() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'trap-has-sprung'; RETURN NEW; END $$`,
		`CREATE FUNCTION trap.cmp(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE LOG 'trap-has-sprung'; RETURN CASE WHEN $1 < $2 THEN -1 WHEN $1 > $2 THEN 1 ELSE 0 END; END $$`,
		`CREATE OPERATOR trap.=== (LEFTARG = int, RIGHTARG = text, FUNCTION = trap.eq, RESTRICT = eqsel)`,
		`CREATE OPERATOR CLASS trap.ops FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 trap.cmp(int, int)`,
		`CREATE DOMAIN trap.dom AS int CHECK (trap.yes(VALUE))`)
	tables := map[string]string{
		"plain":     "",
		"defaults":  "ALTER TABLE %s ALTER b SET DEFAULT trap.f(1)",
		"checks":    "ALTER TABLE %s ADD CHECK (a < trap.f(100)) NOT VALID",
		"indexed":   "CREATE INDEX ON %s ((a + trap.f(1)))",
		"predicate": "CREATE INDEX ON %s (a) WHERE a > trap.f(1)",
		"opclass":   "CREATE INDEX ON %s (a trap.ops)",
		"ruled":     "CREATE RULE r AS ON UPDATE TO %s DO ALSO SELECT trap.f(1)",
		"secured":   "ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; ALTER TABLE %[1]s FORCE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s USING (a > trap.f(0))",
		"generated": "ALTER TABLE %s ADD g int GENERATED ALWAYS AS (a + trap.f(1)) STORED",
		"virtual":   "ALTER TABLE %s ADD g int",
		"domained":  "ALTER TABLE %s ADD d trap.dom",
		"stats":     "CREATE STATISTICS trap.s ON (a + trap.f(1)), (a %% 7) FROM %s; ANALYZE trap.stats",
		"triggered": "CREATE TRIGGER t BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION trap.trg()",
	}
	for name, alter := range tables {
		run(t, d, "CREATE TABLE trap."+name+" (a int, b int)", "INSERT INTO trap."+name+" SELECT g, g FROM generate_series(1, 100) g", "ANALYZE trap."+name)
		if alter != "" {
			run(t, d, fmt.Sprintf(alter, "trap."+name))
		}
	}
	run(t, d, "CREATE VIEW trap.seen AS SELECT a, trap.f(1) AS b FROM trap.plain",
		"CREATE TABLE trap.parted (a int, b int) PARTITION BY RANGE (a trap.ops)", "CREATE TABLE trap.parted_1 PARTITION OF trap.parted FOR VALUES FROM (1) TO (10)",
		"CREATE TABLE trap.folks (a int, b int) PARTITION BY LIST (b)", "CREATE TABLE trap.folks_1 PARTITION OF trap.folks FOR VALUES IN (1)",
		"CREATE INDEX ON trap.folks_1 ((a + trap.f(1)))")
	g := holding(t)
	conn := g.connect(t)
	statements := []string{
		"UPDATE trap.plain SET b = 1 WHERE a = trap.f(5)", "DELETE FROM trap.plain WHERE trap.yes(1)", "DELETE FROM trap.plain WHERE a OPERATOR(trap.===) 'x'",
		"UPDATE trap.plain SET b = 5::trap.dom", "DELETE FROM trap.seen", "UPDATE trap.parted SET b = 1 WHERE a = 5", "UPDATE trap.folks SET a = 1 WHERE b = 1",
		"DELETE FROM trap.plain USING trap.seen", "INSERT INTO trap.defaults (a) VALUES (1)",
	}
	for name := range tables {
		if name != "plain" && name != "virtual" && name != "triggered" {
			statements = append(statements, "UPDATE trap."+name+" SET b = 1 WHERE a = 5")
		}
	}
	begun := len(targetLog(t))
	for _, s := range statements {
		if r := g.measured(t, conn, s); r.Unknown == "" || len(r.Planned) > 0 {
			t.Errorf("%s: planned: %+v", s, r)
		}
	}
	run(t, conn, "SET search_path = trap, public")
	if r := g.measured(t, conn, "UPDATE plain SET b = 1 WHERE f(a) = 1"); r.Unknown == "" {
		t.Errorf("a function of the search_path: %+v", r)
	}
	for _, s := range []string{"UPDATE trap.plain SET b = 1 WHERE a = 5", "UPDATE trap.triggered SET b = 1 WHERE a = 5"} {
		if r := g.measured(t, conn, s); r.Unknown != "" {
			t.Errorf("%s: a trigger does not run when its table's command is planned: %+v", s, r)
		}
	}
	if log := targetLog(t)[begun:]; strings.Contains(log, "LOG:  trap-has-sprung") {
		t.Error("measuring has run code of others")
	}
	// The trap springs: what was refused would have run it.
	begun = len(targetLog(t))
	run(t, d, "EXPLAIN UPDATE trap.plain SET b = 1 WHERE a = trap.f(5)", "EXPLAIN UPDATE trap.indexed SET b = 1 WHERE a = 5", "EXPLAIN INSERT INTO trap.defaults (a) VALUES (1)",
		"EXPLAIN UPDATE trap.parted SET b = 1 WHERE a = 5")
	if n := strings.Count(targetLog(t)[begun:], "LOG:  trap-has-sprung"); n < 3 {
		t.Errorf("the trap has sprung %d times", n)
	}
}

// How many rows a masked value has tells of the value.
func TestRedteam21_AnEstimateIsNoOracleOfMaskedValues(t *testing.T) {
	g := holding(t, seam.MaskedColumn{Schema: "public", Table: "customers", Column: "email"})
	conn := g.connect(t)
	for _, s := range []string{
		"UPDATE customers SET balance = 0 WHERE email = 'user7@example.com'", "DELETE FROM customers WHERE email LIKE 'user%'",
		"DELETE FROM scratch USING customers WHERE customers.id = scratch.id AND customers.email > 'm'",
		"UPDATE customers SET balance = 0 WHERE id IN (SELECT id FROM customers WHERE email IS NULL)",
	} {
		if r := g.measured(t, conn, s); !strings.Contains(r.Unknown, "masked") || len(r.Planned) > 0 {
			t.Errorf("%s: %+v", s, r)
		}
	}
	if r := g.measured(t, conn, "UPDATE customers SET balance = 0 WHERE id = 7"); r.Unknown != "" {
		t.Errorf("of what no mask is about: %+v", r)
	}
}

func TestRadiusTakesItsTimeAndNoMore(t *testing.T) {
	d := direct(t)
	g := holding(t)
	conn := g.connect(t)
	run(t, conn, "SELECT 1")
	run(t, d, "BEGIN", "LOCK TABLE scratch IN ACCESS EXCLUSIVE MODE")
	begun := time.Now()
	r := g.measured(t, conn, "UPDATE scratch SET note = 'x' WHERE id = 1")
	if r.Unknown == "" || len(r.Planned) > 0 || time.Since(begun) > 4*time.Second {
		t.Errorf("of a locked table, after %s: %+v", time.Since(begun), r)
	}
	run(t, d, "ROLLBACK")
	eventually(t, "no connection is left", func() bool {
		var n int
		if err := d.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gatestay radius'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
}

func TestRadiusOfATargetWithoutASecondConnection(t *testing.T) {
	d := direct(t)
	run(t, d, "DROP ROLE IF EXISTS lonely", "CREATE ROLE lonely LOGIN PASSWORD 'alone-in-here' CONNECTION LIMIT 2", "GRANT ALL ON customers TO lonely")
	g := start(t, &seamtest.Gate{
		Upstream: func() seam.Upstream { u := upstreamOf(t); u.User, u.Password = "lonely", "alone-in-here"; return u }(),
		Decide: func(c *seam.Command) seamtest.Decision {
			return seamtest.Decision{Hold: strings.Contains(c.Text, "/* hold */")}
		},
	})
	conn := g.connect(t) // with the catalog's, two
	r := g.measured(t, conn, "UPDATE customers SET name = name WHERE id = 1")
	if r.Unknown != "the target takes no second connection" || r.Unseen != r.Unknown || len(r.Planned) > 0 {
		t.Errorf("%+v", r)
	}
}
