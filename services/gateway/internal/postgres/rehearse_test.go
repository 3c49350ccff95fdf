package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// rehearsed runs a statement that is held, rehearses it, and denies it.
func (g *gateway) rehearsed(t *testing.T, conn *pgx.Conn, text string, args ...any) *seam.Rehearsal {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), text+" /* hold */", args...)
		done <- err
	}()
	select {
	case h := <-g.Held():
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		begun := false
		r := h.Command.Rehearse(ctx, 10*time.Second, func() error { begun = true; return nil })
		h.Deny()
		<-done
		if begun != r.Sent && r.Unknown == "" {
			t.Errorf("%s: begun %v, %+v", text, begun, r)
		}
		return r
	case err := <-done:
		t.Fatalf("%s was not held: %v", text, err)
	case <-time.After(20 * time.Second):
		t.Fatalf("%s was not held", text)
	}
	return nil
}

func value(t *testing.T, conn *pgx.Conn, query string, args ...any) string {
	t.Helper()
	var v string
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// shopTables are a few tables with keys between them.
func shopTables(t *testing.T, d *pgx.Conn) {
	t.Helper()
	run(t, d, "DROP SCHEMA IF EXISTS reh CASCADE", "CREATE SCHEMA reh",
		"CREATE TABLE reh.teams (id int PRIMARY KEY, name text)",
		"CREATE TABLE reh.people (id int PRIMARY KEY, team int REFERENCES reh.teams ON DELETE CASCADE ON UPDATE CASCADE, note text, points int NOT NULL DEFAULT 0 CHECK (points >= 0))",
		"CREATE TABLE reh.cards (id int PRIMARY KEY, person int REFERENCES reh.people ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED)",
		"CREATE TABLE reh.logs (id int, at date) PARTITION BY RANGE (at)",
		"CREATE TABLE reh.logs_1 PARTITION OF reh.logs FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
		"CREATE TABLE reh.logs_2 PARTITION OF reh.logs FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
		"CREATE TABLE reh.numbered (id serial PRIMARY KEY, note text)",
		"CREATE TABLE reh.numbered_too (id int GENERATED ALWAYS AS IDENTITY, of int REFERENCES reh.numbered ON DELETE CASCADE)",
		"INSERT INTO reh.numbered (note) SELECT 'x' FROM generate_series(1, 10)", "INSERT INTO reh.numbered_too (of) SELECT 1 + g % 10 FROM generate_series(1, 20) g",
		"INSERT INTO reh.teams SELECT g, 't' FROM generate_series(1, 10) g",
		"INSERT INTO reh.people SELECT g, 1 + g % 10, 'n' FROM generate_series(1, 100) g",
		"INSERT INTO reh.cards SELECT g, g FROM generate_series(1, 100) g",
		"INSERT INTO reh.logs SELECT g, date '2020-01-01' + g FROM generate_series(1, 700) g")
}

// What counts is what the target counts, wherever a statement changes it.
func TestRehearsalCountsAllThatChanges(t *testing.T) {
	d := direct(t)
	shopTables(t, d)
	g := holding(t)
	conn := g.connect(t)
	fingerprint := "SELECT md5(string_agg(x::text, ',' ORDER BY x::text)) FROM (SELECT p::text FROM reh.people p UNION ALL SELECT c::text FROM reh.cards c UNION ALL SELECT t::text FROM reh.teams t UNION ALL SELECT l::text FROM reh.logs l UNION ALL SELECT n::text FROM reh.numbered n) x"
	before := value(t, d, fingerprint)
	for text, want := range map[string]struct {
		args []any
		rows uint64
		in   string
	}{
		"UPDATE reh.people SET note = 'x'":                                                        {nil, 100, "reh.people"},
		"UPDATE reh.people SET note = $1 WHERE team = $2":                                         {[]any{"y", 3}, 10, "reh.people"},
		"DELETE FROM reh.numbered WHERE id < 4":                                                   {nil, 3 + 6, "reh.numbered reh.numbered_too"},
		"DELETE FROM reh.teams WHERE id = 3":                                                      {nil, 1 + 10 + 10, "reh.cards reh.people reh.teams"},
		"UPDATE reh.teams SET id = 33 WHERE id = 3":                                               {nil, 1 + 10, "reh.people reh.teams"},
		"DELETE FROM reh.logs":                                                                    {nil, 700, "reh.logs_1 reh.logs_2"},
		"UPDATE reh.logs SET at = at + 360 WHERE at < '2021-01-01'":                               {nil, 725, "reh.logs_1 reh.logs_2"},
		"INSERT INTO reh.people (id, team) VALUES (1000, 1), (1001, 2)":                           {nil, 2, "reh.people"},
		"INSERT INTO reh.people (id, team) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET team = 2": {nil, 1, "reh.people"},
		"WITH gone AS (DELETE FROM reh.cards RETURNING person) UPDATE reh.people SET points = 1 WHERE id IN (SELECT person FROM gone WHERE person < 6)": {nil, 105, "reh.cards reh.people"},
		"MERGE INTO reh.people p USING reh.teams s ON p.id = s.id WHEN MATCHED AND s.id > 5 THEN DELETE WHEN MATCHED THEN UPDATE SET points = 1":        {nil, 15, "reh.cards reh.people"},
		"DELETE FROM reh.people WHERE id = 77 AND now() > timestamp '2020-01-01' AND length(note) = 1 AND random() >= 0":                                {nil, 2, "reh.cards reh.people"},
		"UPDATE reh.people SET note = 'x' WHERE false": {nil, 0, ""},
	} {
		r := g.rehearsed(t, conn, text, want.args...)
		if r.Unknown != "" || r.Rows() != want.rows || strings.Join(r.Tables(), " ") != want.in || r.Alone != "" {
			t.Errorf("%s: %d in %v, %+v", text, r.Rows(), r.Tables(), r)
		}
	}
	if r := g.rehearsed(t, conn, "DELETE FROM reh.cards WHERE id < 4 RETURNING id"); r.Rows() != 3 || r.Alone == "" {
		t.Errorf("%+v", r)
	}
	if after := value(t, d, fingerprint); after != before {
		t.Error("a rehearsal has changed something")
	}
	// The session's search_path, role and settings are the ones that count.
	run(t, conn, "SET search_path = reh", "SET DateStyle = 'German'")
	if r := g.rehearsed(t, conn, "DELETE FROM logs WHERE at <= '01.02.2020'"); r.Rows() != 31 {
		t.Errorf("%+v", r)
	}
	run(t, d, "DROP ROLE IF EXISTS feeble", "CREATE ROLE feeble", "GRANT USAGE ON SCHEMA reh TO feeble", "GRANT SELECT ON reh.people TO feeble")
	run(t, conn, "SET ROLE feeble")
	if r := g.rehearsed(t, conn, "DELETE FROM reh.people"); !strings.Contains(r.Unknown, "42501") || r.Sent {
		t.Errorf("as a role that may not: %+v", r)
	}
}

// What is not proved harmless is not sent, and not said to change nothing.
func TestRedteam21_RehearsingRunsNoCodeOfOthers(t *testing.T) {
	d := direct(t)
	shopTables(t, d)
	run(t, d, "CREATE SEQUENCE reh.sprung",
		`CREATE FUNCTION reh.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('reh.sprung'); RETURN NEW; END $$`,
		`CREATE FUNCTION reh.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('reh.sprung'); RETURN $1; END $$`,
		"CREATE TABLE reh.triggered (id int)", "CREATE TRIGGER t BEFORE UPDATE ON reh.triggered FOR EACH ROW EXECUTE FUNCTION reh.trap()",
		"CREATE TABLE reh.parent (id int PRIMARY KEY)", "CREATE TABLE reh.child (id int REFERENCES reh.parent ON DELETE CASCADE)",
		"CREATE TRIGGER t AFTER DELETE ON reh.child FOR EACH ROW EXECUTE FUNCTION reh.trap()",
		"CREATE TABLE reh.grandparent (id int PRIMARY KEY)", "ALTER TABLE reh.parent ADD FOREIGN KEY (id) REFERENCES reh.grandparent ON DELETE CASCADE",
		"CREATE TABLE reh.serial (id serial, note text)", "CREATE TABLE reh.identity (id int GENERATED ALWAYS AS IDENTITY, note text)",
		"CREATE TABLE reh.locked (id int CHECK (pg_try_advisory_lock(id)))",
		"CREATE TABLE reh.indexed (id int)", "CREATE INDEX ON reh.indexed (reh.f(id))",
		"CREATE TABLE reh.policed (id int)", "ALTER TABLE reh.policed ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON reh.policed USING (current_setting('app.tenant', true) = 'a')",
		"CREATE TABLE reh.ruled (id int)", "CREATE RULE r AS ON DELETE TO reh.ruled DO ALSO INSERT INTO reh.triggered VALUES (1)",
		"CREATE VIEW reh.seen AS SELECT id FROM reh.people", "CREATE VIEW reh.instead AS SELECT 1 AS id",
		"CREATE TRIGGER t INSTEAD OF DELETE ON reh.instead FOR EACH ROW EXECUTE FUNCTION reh.trap()",
		"CREATE FOREIGN DATA WRAPPER reh_none", "CREATE SERVER reh_none FOREIGN DATA WRAPPER reh_none", "CREATE FOREIGN TABLE reh.far (id int) SERVER reh_none",
		"CREATE TABLE reh.half (id int) PARTITION BY LIST (id)", "CREATE FOREIGN TABLE reh.half_far PARTITION OF reh.half FOR VALUES IN (1) SERVER reh_none",
		"CREATE DOMAIN reh.ticket AS int CHECK (nextval('reh.sprung') > 0)", "CREATE TABLE reh.domained (id reh.ticket, note text)",
		"CREATE TABLE reh.defaulted (id int REFERENCES reh.grandparent ON DELETE SET DEFAULT DEFAULT nextval('reh.sprung'))",
		"INSERT INTO reh.triggered VALUES (1)", "INSERT INTO reh.grandparent VALUES (1)", "INSERT INTO reh.parent VALUES (1)", "INSERT INTO reh.child VALUES (1)", "INSERT INTO reh.indexed VALUES (1)")
	t.Cleanup(func() {
		_, _ = d.Exec(context.Background(), "DROP FOREIGN DATA WRAPPER reh_none CASCADE")
	})
	calls := value(t, d, "SELECT last_value || ' ' || is_called FROM reh.sprung")
	g := holding(t)
	conn := g.connect(t)
	for text, why := range map[string]string{
		"UPDATE reh.triggered SET id = 2":                                   "trigger",
		"DELETE FROM reh.parent":                                            "trigger",
		"DELETE FROM reh.grandparent":                                       "trigger",
		"INSERT INTO reh.serial (note) VALUES ('x')":                        "nextval",
		"UPDATE reh.serial SET id = DEFAULT":                                "nextval",
		"INSERT INTO reh.identity (note) VALUES ('x')":                      "sequence",
		"INSERT INTO reh.locked VALUES (1)":                                 "pg_try_advisory_lock",
		"UPDATE reh.indexed SET id = 2":                                     "reh.indexed",
		"DELETE FROM reh.policed":                                           "current_setting",
		"DELETE FROM reh.ruled":                                             "rule",
		"DELETE FROM reh.seen":                                              "is no table",
		"DELETE FROM reh.instead":                                           "reh.trap",
		"DELETE FROM reh.far":                                               "foreign",
		"DELETE FROM reh.half":                                              "foreign",
		"INSERT INTO reh.domained VALUES (1, 'x')":                          "nextval",
		"UPDATE reh.people SET points = reh.f(1)":                           "reh.f",
		"UPDATE reh.people SET points = nextval('reh.sprung')":              "nextval",
		"UPDATE reh.people SET note = pg_notify('a', 'b')::text":            "pg_notify",
		"DELETE FROM reh.people WHERE pg_try_advisory_xact_lock(id)":        "pg_try_advisory_xact_lock",
		"DELETE FROM reh.people WHERE note = current_setting('app.tenant')": "current_setting",
		"DELETE FROM reh.people WHERE id = pg_backend_pid()":                "pg_backend_pid",
		"DELETE FROM reh.people WHERE id = 1::reh.ticket":                   "reh.ticket",
		"TRUNCATE reh.people":                                               "",
		"SELECT nextval('reh.sprung')":                                      "",
		"ALTER TABLE reh.people ADD COLUMN x int":                           "",
		"COPY reh.people FROM STDIN":                                        "",
		"DO $$ BEGIN PERFORM nextval('reh.sprung'); END $$":                 "",
		"EXPLAIN ANALYZE DELETE FROM reh.people":                            "",
	} {
		r := g.rehearsed(t, conn, text)
		if r.Unknown == "" || r.Sent || len(r.Changed) > 0 || !strings.Contains(r.Unknown, why) {
			t.Errorf("%s: %+v", text, r)
		}
	}
	if now := value(t, d, "SELECT last_value || ' ' || is_called FROM reh.sprung"); now != calls {
		t.Errorf("the trap has sprung: %s", now)
	}
	// That these are the reasons is shown by the rest: a table beside them is rehearsed.
	if r := g.rehearsed(t, conn, "INSERT INTO reh.child VALUES (1)"); r.Rows() != 1 {
		t.Errorf("%+v", r)
	}
}

// The proof is under the locks of the command, and holds for what it reaches through
// keys as well: what came since is seen behind it.
func TestRedteam21_ATriggerThatComesWithTheRehearsalIsSeen(t *testing.T) {
	d := direct(t)
	run(t, d, "SET lock_timeout = '300ms'")
	for table, locked := range map[string]bool{"reh.people": true, "reh.cards": false} {
		shopTables(t, d)
		run(t, d, "CREATE TABLE reh.marks (id int)",
			`CREATE FUNCTION reh.mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO reh.marks VALUES (1); RETURN COALESCE(NEW, OLD); END $$`)
		g := holding(t) // reads the catalog as it is now
		conn := g.connect(t)
		done := make(chan error, 1)
		go func() {
			_, err := conn.Exec(context.Background(), "DELETE FROM reh.people WHERE team = 3 /* hold */")
			done <- err
		}()
		h := <-g.Held()
		var created error
		r := h.Command.Rehearse(t.Context(), 10*time.Second, func() error {
			_, created = d.Exec(t.Context(), "CREATE TRIGGER late BEFORE UPDATE OR DELETE ON "+table+" FOR EACH ROW EXECUTE FUNCTION reh.mark()")
			return nil
		})
		h.Deny()
		<-done
		if (created != nil) != locked {
			t.Errorf("%s: %v", table, created)
		}
		if seen := strings.Contains(r.Unknown, "reh.cards fires the trigger late"); seen == locked || locked && r.Rows() != 20 {
			t.Errorf("%s: %+v", table, r)
		}
		if v := value(t, d, "SELECT count(*)::text FROM reh.marks"); v != "0" {
			t.Error(v)
		}
	}
}

// What another connection does not see is not rehearsed.
func TestRedteam21_ARehearsalIsOfTheSessionsOwnState(t *testing.T) {
	d := direct(t)
	shopTables(t, d)
	g := holding(t)
	conn := g.connect(t)
	for setup, why := range map[string]string{
		"BEGIN": "open transaction",
		"SET default_text_search_config = 'german'":             "default_text_search_config",
		"SET session_replication_role = replica":                "session_replication_role",
		"SET default_transaction_isolation = 'repeatable read'": "default_transaction_isolation",
		"CREATE TEMP TABLE people (id int, note text)":          "temporary",
	} {
		run(t, conn, setup)
		text := "DELETE FROM reh.people"
		if strings.Contains(setup, "TEMP") {
			text = "DELETE FROM people"
		}
		if r := g.rehearsed(t, conn, text); r.Sent || !strings.Contains(r.Unknown, why) {
			t.Errorf("after %s: %+v", setup, r)
		}
		run(t, conn, "ROLLBACK", "DISCARD ALL")
	}
	if r := g.rehearsed(t, conn, "DELETE FROM reh.people"); r.Rows() != 200 {
		t.Errorf("%+v", r)
	}
	run(t, d, "BEGIN", "LOCK TABLE reh.people IN SHARE MODE")
	if r := g.rehearsed(t, conn, "DELETE FROM reh.people"); r.Sent || !strings.Contains(r.Unknown, "lock") {
		t.Errorf("%+v", r)
	}
	run(t, d, "ROLLBACK")
	if r := g.rehearsed(t, conn, "UPDATE reh.people SET points = -1"); r.Unknown != "it failed with 23514" || r.Rows() != 0 {
		t.Errorf("%+v", r)
	}
}

// A rehearsal whose intent cannot be recorded is not sent.
func TestRedteam21_NothingIsRehearsedUnrecorded(t *testing.T) {
	d := direct(t)
	shopTables(t, d)
	g := holding(t)
	conn := g.connect(t)
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "DELETE FROM reh.people /* hold */ /* unrecorded */")
		done <- err
	}()
	h := <-g.Held()
	r := h.Command.Rehearse(t.Context(), time.Second, func() error { return errors.New("the journal is full") })
	h.Deny()
	<-done
	if r.Sent || r.Unknown == "" {
		t.Errorf("%+v", r)
	}
	if seen(t, "/* unrecorded */") {
		t.Error("the target has seen it")
	}
}
