package e2e

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/e2e/kit"
)

// attack tries statements of a job that may read, whose writes are held and
// whose schema changes are denied. Each holds the marker; the target must never
// see it, in whatever protocol it comes. A held one counts as stopped.
func attack(t *testing.T, statements map[string]string) {
	t.Helper()
	for name, sql := range statements {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they mostly wait for what must not come
			g := shared.Get(t)
			for protocol, mode := range modes {
				marker := kit.Marker("attack")
				err := once(t, g, strings.ReplaceAll(sql, "MARKER", marker), mode)
				if err == nil {
					t.Errorf("%s: the statement succeeded", protocol)
				}
				if g.TargetSaw(t, marker) {
					t.Errorf("%s: the target has seen it; the client was told %v", protocol, err)
				}
			}
		})
	}
}

// once runs a statement on a connection of its own, and gives up on a held one.
func once(t *testing.T, g *kit.Gatestay, sql string, mode pgx.QueryExecMode) error {
	t.Helper()
	c := g.Connect(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if mode == pgx.QueryExecModeSimpleProtocol {
		_, err := c.PgConn().Exec(ctx, sql).ReadAll()
		return err
	}
	_, err := c.Exec(ctx, sql, mode)
	return err
}

func TestRedteam06_StatementsHiddenInOthers(t *testing.T) {
	attack(t, map[string]string{
		"behind a read":                    "SELECT 1; INSERT INTO notes (author) VALUES ('MARKER')",
		"behind a comment's end":           "SELECT 1 /* /* */ ; INSERT */ ; DELETE FROM notes WHERE author = 'MARKER'",
		"behind a line comment":            "SELECT 1 -- '\n; DELETE FROM notes WHERE author = 'MARKER'",
		"between empty statements":         ";;; DELETE FROM notes WHERE author = 'MARKER' ;;;",
		"behind a dollar quote":            "SELECT $a$ $b$ $a$; DELETE FROM notes WHERE author = 'MARKER'",
		"behind an escape string":          `SELECT E'\''; DELETE FROM notes WHERE author = 'MARKER' --'`,
		"an identifier in escapes":         `DELETE FROM U&"n\006Ftes" WHERE author = 'MARKER'`,
		"inside a transaction in one text": "BEGIN; INSERT INTO notes (author) VALUES ('MARKER'); COMMIT",
		"what the parser cannot read":      "UPDATE notes SET author = 'MARKER' RETURNING WITH (OLD AS o) o.author",
		"strings read otherwise":           `SET standard_conforming_strings = off; SELECT '\'; DELETE FROM notes WHERE author = ''MARKER'' --'`,
		"an encoding with quotes in bytes": "SET client_encoding = 'SJIS' /* MARKER */",
	})
}

func TestRedteam07_WritesDressedAsReads(t *testing.T) {
	g := shared.Get(t)
	g.SQL(t, `CREATE OR REPLACE FUNCTION bump(a text) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO notes (author) VALUES (a) RETURNING 1';
		CREATE OR REPLACE FUNCTION liar(a text) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN bump(a); END'`)
	attack(t, map[string]string{
		"a writing CTE":             "WITH w AS (INSERT INTO notes (author) VALUES ('MARKER') RETURNING 1) SELECT * FROM w",
		"EXPLAIN ANALYZE":           "EXPLAIN ANALYZE INSERT INTO notes (author) VALUES ('MARKER')",
		"EXPLAIN with options":      "EXPLAIN (COSTS off, ANALYZE) DELETE FROM notes WHERE author = 'MARKER'",
		"DO":                        "DO $$ BEGIN INSERT INTO notes (author) VALUES ('MARKER'); END $$",
		"SELECT INTO":               "SELECT 'MARKER' AS a INTO stolen FROM notes",
		"CREATE TABLE AS":           "CREATE TABLE stolen AS SELECT 'MARKER' AS a",
		"CREATE FUNCTION":           "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 /* MARKER */'",
		"MERGE":                     "MERGE INTO notes n USING (SELECT 'MARKER' AS a) s ON n.author = s.a WHEN NOT MATCHED THEN INSERT (author) VALUES (s.a)",
		"a writing function":        "SELECT bump('MARKER')",
		"one that claims stability": "SELECT liar('MARKER')",
		"in a filter":               "SELECT item FROM orders WHERE bump('MARKER') = 1",
		"in a FROM clause":          "SELECT * FROM liar('MARKER')",
		"query_to_xml":              "SELECT query_to_xml('DELETE FROM notes WHERE author = ''MARKER''', true, false, '')",
		"table_to_xml":              "SELECT table_to_xml('customers', true, false, 'MARKER')",
		"nextval":                   "SELECT nextval('notes_id_seq'), 'MARKER'",
		"a locking read":            "SELECT author FROM notes WHERE author = 'MARKER' FOR UPDATE",
		"LISTEN and NOTIFY":         "NOTIFY channel, 'MARKER'",
	})
}

func TestRedteam08_FilesProgramsAndBackEnds(t *testing.T) {
	attack(t, map[string]string{
		"COPY of a write out":    "COPY (DELETE FROM notes WHERE author = 'MARKER' RETURNING author) TO STDOUT",
		"COPY in":                "COPY notes (author, body) FROM STDIN WITH (NULL 'MARKER')",
		"COPY to a program":      "COPY (SELECT 'MARKER') TO PROGRAM 'cat >/tmp/x'",
		"the server's files":     "SELECT pg_read_file('/etc/passwd'), 'MARKER'",
		"a folder of the server": "SELECT * FROM pg_ls_dir('.') WHERE 'MARKER' <> ''",
		"a large object in":      "SELECT lo_import('/etc/passwd'), 'MARKER'",
		"a large object out":     "SELECT lo_export(1, '/tmp/MARKER')",
		"another back end":       "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE 'MARKER' <> ''",
		"an advisory lock":       "SELECT pg_advisory_lock(hashtext('MARKER'))",
		"a long sleep":           "SELECT pg_sleep(1), 'MARKER'",
		"dblink":                 "SELECT * FROM dblink('dbname=shop', 'SELECT ''MARKER''') AS t(a text)",
		"an extension":           "CREATE EXTENSION dblink /* MARKER */",
		"the log's settings":     "ALTER SYSTEM SET log_statement = 'none' /* MARKER */",
		"a server's reload":      "SELECT pg_reload_conf(), 'MARKER'",
	})
}

// TestRedteam14_CopyOut: a COPY that reads passes where reads do, masked, or is
// refused where what comes out could not be told from a NULL or be read.
func TestRedteam14_CopyOut(t *testing.T) {
	g := shared.Get(t)
	for name, sql := range map[string]string{
		"a query":           "COPY (SELECT email FROM customers) TO STDOUT",
		"a table":           "COPY customers TO STDOUT",
		"csv":               "COPY customers (email, id) TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER '@')",
		"binary":            "COPY customers (email) TO STDOUT WITH (FORMAT binary)",
		"an expression":     "COPY (SELECT upper(email) FROM customers) TO STDOUT",
		"another encoding":  "COPY (SELECT email FROM customers) TO STDOUT WITH (ENCODING 'LATIN1')",
		"a string for NULL": "COPY (SELECT email FROM customers) TO STDOUT WITH (NULL 'x')",
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			tag, err := g.Connect(t, nil).PgConn().CopyTo(t.Context(), &out, sql)
			if strings.Contains(strings.ToLower(out.String()), "@example.com") {
				t.Errorf("a masked column came out: %q", out.String())
			}
			if name == "another encoding" || name == "a string for NULL" {
				kit.Refused(t, err, "GS1204")
			} else if err != nil || tag.RowsAffected() == 0 {
				t.Errorf("%v, %v: %q", tag, err, out.String())
			}
		})
	}
}

func TestRedteam09_PreparedInSQL(t *testing.T) {
	attack(t, map[string]string{
		"PREPARE of a write":   "PREPARE p AS INSERT INTO notes (author) VALUES ('MARKER')",
		"EXECUTE of a write":   "PREPARE p (text) AS INSERT INTO notes (author) VALUES ($1); EXECUTE p ('MARKER')",
		"a cursor's UPDATE":    "UPDATE notes SET author = 'MARKER' WHERE CURRENT OF c",
		"a cursor WITH HOLD":   "DECLARE c CURSOR WITH HOLD FOR SELECT bump('MARKER')",
		"a statement's CALL":   "CALL nothing('MARKER')",
		"CREATE RULE DO ALSO":  "CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM notes WHERE author = 'MARKER'",
		"a trigger on the way": "CREATE TRIGGER MARKER BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
	})
}

// Parse once, bind twice: what was approved are the first parameters.
func TestRedteam09_EachExecutionOfAPreparedStatementIsDecided(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, nil)
	if _, err := c.Prepare(t.Context(), "write", insertNote); err != nil {
		t.Fatal(err)
	}
	approved, other := kit.Marker("approved"), kit.Marker("other")
	held := c.Go(t, "write", approved)
	g.AwaitMessage(t, approved).Approve(t, kit.Dana)
	if _, err := held.Wait(t); err != nil {
		t.Fatal(err)
	}
	held = c.Go(t, "write", other)
	m := g.AwaitMessage(t, other)
	kit.Never(t, 300*time.Millisecond, g.NotSeen(t, other))
	running(t, held)
	m.Deny(t, kit.Dana)
	_, err := held.Wait(t)
	kit.Refused(t, err, "GS1301")
	if g.TargetSaw(t, other) {
		t.Error("the target has seen parameters that nobody approved")
	}
}

// A pipeline with a write between reads: what stands before it runs, it waits,
// what stands behind it waits with it.
func TestRedteam09_PipelineAroundAHeldStatement(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, nil)
	before, offender, behind := kit.Marker("before"), kit.Marker("offender"), kit.Marker("behind")
	batch := &pgx.Batch{}
	batch.Queue("SELECT item, '" + before + "' FROM orders LIMIT 1")
	batch.Queue("INSERT INTO notes (author, body) VALUES ('" + offender + "', 'x')")
	batch.Queue("SELECT item, '" + behind + "' FROM orders LIMIT 1")
	done := make(chan error, 1)
	go func() { done <- c.SendBatch(context.WithoutCancel(t.Context()), batch).Close() }()
	m := g.AwaitMessage(t, offender)
	for _, marker := range []string{offender, behind} {
		kit.Never(t, 200*time.Millisecond, g.NotSeen(t, marker))
	}
	m.Deny(t, kit.Dana)
	kit.Refused(t, <-done, "GS1301")
	for _, marker := range []string{offender, behind} {
		if g.TargetSaw(t, marker) {
			t.Errorf("the target has seen %s", marker)
		}
	}
	usable(t, c)
}

func TestRedteam10_SessionState(t *testing.T) {
	attack(t, map[string]string{
		"SET ROLE":                  "SET ROLE postgres /* MARKER */",
		"SET SESSION AUTHORIZATION": "SET SESSION AUTHORIZATION postgres /* MARKER */",
		"set_config of the role":    "SELECT set_config('role', 'postgres', false), 'MARKER'",
		"a table that shadows":      "CREATE TEMP TABLE customers (email text, MARKER int)",
		"the encoding GBK":          "SET client_encoding TO 'GBK' /* MARKER */",
		"the encoding by NAMES":     "SET NAMES 'BIG5' /* MARKER */",
	})
	t.Run("in the start-up packet", func(t *testing.T) {
		g := shared.Get(t)
		for name, change := range map[string]func(*pgx.ConnConfig){
			"options":         func(c *pgx.ConnConfig) { c.RuntimeParams["options"] = "-c role=postgres" },
			"a setting":       func(c *pgx.ConnConfig) { c.RuntimeParams["session_replication_role"] = "replica" },
			"replication":     func(c *pgx.ConnConfig) { c.RuntimeParams["replication"] = "database" },
			"an encoding":     func(c *pgx.ConnConfig) { c.RuntimeParams["client_encoding"] = "SJIS" },
			"quotes read off": func(c *pgx.ConnConfig) { c.RuntimeParams["standard_conforming_strings"] = "off" },
		} {
			t.Run(name, func(t *testing.T) {
				c, err := g.Dial(t.Context(), kit.Target, g.Token(t, nil), change)
				if err == nil {
					c.Hang()
					t.Error("the gateway took it")
				}
			})
		}
	})
}

func TestRedteam12_MetaCommandsOfPsql(t *testing.T) {
	g := shared.Get(t)
	for name, script := range map[string]string{
		`\gexec`:    "SELECT format('DELETE FROM notes WHERE author = %%L', 'MARKER') \\gexec",
		`\copy`:     `\copy (DELETE FROM notes WHERE author = 'MARKER' RETURNING author) TO '/dev/stdout'`,
		`\copy in`:  `\copy notes (author) FROM '/dev/null' (NULL 'MARKER')`,
		`\gset`:     "SELECT 'DELETE FROM notes WHERE author = ''MARKER''' AS q \\gset\n:q;",
		`\bind`:     "INSERT INTO notes (author, body) VALUES ($1, $2) \\bind MARKER x \\g",
		`\watch`:    "DELETE FROM notes WHERE author = 'MARKER' \\watch c=2 i=0.1",
		`\;`:        "SELECT 1 \\; DELETE FROM notes WHERE author = 'MARKER';",
		"backticks": "\\set q `echo \"DELETE FROM notes WHERE author = 'MARKER'\"`\n:q;",
	} {
		t.Run(name, func(t *testing.T) {
			marker := kit.Marker("meta")
			script := strings.ReplaceAll(strings.ReplaceAll(script, "MARKER", marker), "%%", "%")
			out, _, code := gatestay(t, g, nil, "run", kit.Target, "--", "timeout", "2", "sh", "-c", fmt.Sprintf("psql -X -v ON_ERROR_STOP=1 <<'END'\n%s\nEND\n", script))
			if strings.Contains(out, "@example.com") {
				t.Errorf("a masked column came out:\n%s", out)
			}
			// The text that makes the statement may be read; the statement may not run.
			for _, line := range strings.Split(g.TargetRan(t), "\n") {
				if strings.Contains(line, marker) && !strings.Contains(line, "SELECT format(") && !strings.Contains(line, "SELECT 'DELETE") {
					t.Errorf("exit status %d; the target has seen: %s", code, line)
				}
			}
		})
	}
}
