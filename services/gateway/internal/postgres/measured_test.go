package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// bounded starts a gateway that lets pass what is measured to change at most so many
// rows, and rehearses it first.
func bounded(t *testing.T, most uint64, between func()) *gateway {
	t.Helper()
	return start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if !strings.Contains(c.Text, "/* bounded */") || c.Rehearse == nil {
			return seamtest.Decision{}
		}
		return seamtest.Decision{Rehearse: 10 * time.Second, Between: between, Check: func(r *seam.Rehearsal) error {
			if r.Unknown == "" && r.Alone == "" && r.Rows() <= most {
				return nil
			}
			return exceeded(r)
		}, Limit: 5 * time.Second}
	}})
}

func exceeded(r *seam.Rehearsal) *refusal.Refusal {
	return &refusal.Refusal{Code: refusal.RunExceeded, Message: fmt.Sprintf("%d rows in %v %s%s", r.Rows(), r.Tables(), r.Unknown, r.Alone)}
}

// modes are the ways in which pgx sends a command.
var modes = map[string]pgx.QueryExecMode{
	"simple": pgx.QueryExecModeSimpleProtocol, "extended": pgx.QueryExecModeExec, "described": pgx.QueryExecModeDescribeExec, "prepared": pgx.QueryExecModeCacheStatement,
}

// refusedWith checks that an error is a refusal of this code.
func refusedWith(t *testing.T, err error, code refusal.Code, words string) {
	t.Helper()
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || !strings.HasPrefix(pe.Message, string(code)) || !strings.Contains(pe.Message+pe.Detail, words) {
		t.Errorf("%v; want %s, %q", err, code, words)
	}
}

// outcomeOf waits for how a command ended.
func outcomeOf(t *testing.T, g *gateway, mark string) *seam.Outcome {
	t.Helper()
	eventually(t, "an outcome of "+mark, func() bool {
		a := g.Admitted(mark)
		if len(a) == 0 || a[len(a)-1].Err != nil {
			return len(a) > 0
		}
		o, _ := a[len(a)-1].Outcome()
		return o != nil
	})
	a := g.Admitted(mark)
	o, _ := a[len(a)-1].Outcome()
	return o
}

// The client does not notice that its command was measured.
func TestMeasuredRunIsCommittedWithinItsBound(t *testing.T) {
	d := direct(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			shopTables(t, d)
			g := bounded(t, 30, nil)
			conn := g.connect(t)
			for i, c := range []struct {
				text string
				args []any
				tag  string
			}{
				{"UPDATE reh.people SET note = $1 WHERE team = $2 /* bounded */ /* m1 */", []any{"it's", 3}, "UPDATE 10"},
				{"DELETE FROM reh.teams WHERE id = 4 /* bounded */", nil, "DELETE 1"},
				{"INSERT INTO reh.people (id, team, note) VALUES ($1, 1, $2) /* bounded */", []any{500, nil}, "INSERT 0 1"},
				{"UPDATE reh.people SET note = 'x' WHERE false /* bounded */", nil, "UPDATE 0"},
			} {
				tag, err := conn.Exec(t.Context(), c.text, append([]any{mode}, c.args...)...)
				if err != nil || tag.String() != c.tag || conn.PgConn().TxStatus() != 'I' {
					t.Errorf("%d: %s, %v", i, tag, err)
				}
			}
			if v := value(t, d, "SELECT count(*) FILTER (WHERE note = 'it''s') || ' ' || count(*) FILTER (WHERE id = 500 AND note IS NULL) || ' ' || count(*) FROM reh.people"); v != "10 1 91" {
				t.Error(v)
			}
			if o := outcomeOf(t, g, "/* m1 */"); o.Status != "ok" || o.Rows != 10 {
				t.Errorf("%+v", o)
			}
			_, err := conn.Exec(t.Context(), "UPDATE reh.people SET note = 'many' /* bounded */", mode)
			refusedWith(t, err, refusal.RunExceeded, "91 rows in [reh.people]")
			if err := conn.QueryRow(t.Context(), "SELECT 1", mode).Scan(new(int)); err != nil {
				t.Error(err)
			}
		})
	}
}

// What others commit between the rehearsal and the run counts.
func TestRedteam21_ARunThatExceedsItsRehearsalIsRolledBack(t *testing.T) {
	d := direct(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			shopTables(t, d)
			g := bounded(t, 30, func() { run(t, d, "INSERT INTO reh.people SELECT g, 3 FROM generate_series(1000, 1100) g") })
			conn := g.connect(t)
			_, err := conn.Exec(t.Context(), "DELETE FROM reh.people WHERE team = 3 /* bounded */ /* m2 */", mode)
			refusedWith(t, err, refusal.RunExceeded, "121 rows in [reh.cards reh.people]")
			if v := value(t, d, "SELECT count(*)::text FROM reh.people"); v != "201" {
				t.Errorf("%s rows are left", v)
			}
			if o := outcomeOf(t, g, "/* m2 */"); o.Status != "not_executed" || o.Code != string(refusal.RunExceeded) {
				t.Errorf("%+v", o)
			}
			if err := conn.QueryRow(t.Context(), "SELECT 1", mode).Scan(new(int)); err != nil || conn.PgConn().TxStatus() != 'I' {
				t.Error(err)
			}
		})
	}
}

// A trigger that came between the two is not run.
func TestRedteam21_ATriggerBetweenRehearsalAndRunIsNotFired(t *testing.T) {
	d := direct(t)
	for _, table := range []string{"reh.people", "reh.cards"} { // named, and reached by a foreign key
		shopTables(t, d)
		run(t, d, "CREATE TABLE reh.marks (id int)",
			`CREATE FUNCTION reh.mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO reh.marks VALUES (1); RETURN COALESCE(NEW, OLD); END $$`)
		g := bounded(t, 30, func() {
			run(t, d, "CREATE TRIGGER late BEFORE UPDATE OR DELETE ON "+table+" FOR EACH ROW EXECUTE FUNCTION reh.mark()")
		})
		_, err := g.connect(t).Exec(t.Context(), "DELETE FROM reh.people WHERE team = 3 /* bounded */")
		refusedWith(t, err, refusal.RunExceeded, "Nothing was changed")
		if v := value(t, d, "SELECT (SELECT count(*) FROM reh.people) || ' ' || (SELECT count(*) FROM reh.marks)"); v != "100 0" {
			t.Error(v)
		}
	}
}

// A function that came between the two, and that a name in the command means now,
// is not called.
func TestRedteam21_AFunctionBetweenRehearsalAndRunIsNotCalled(t *testing.T) {
	d := direct(t)
	for name, mode := range modes {
		shopTables(t, d)
		run(t, d, "CREATE SEQUENCE reh.sprung")
		g := bounded(t, 30, func() {
			run(t, d, `CREATE FUNCTION reh.lower(varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('reh.sprung'); RETURN $1; END $$`)
		})
		conn := g.connect(t)
		run(t, conn, "SET search_path = reh")
		_, err := conn.Exec(t.Context(), "UPDATE people SET note = 'y' WHERE lower(note::varchar) = 'n' AND team = 3 /* bounded */", mode)
		refusedWith(t, err, refusal.RunExceeded, "Nothing was changed")
		if v := value(t, d, "SELECT (SELECT count(*) FROM reh.people WHERE note = 'y') || ' ' || (SELECT is_called FROM reh.sprung)"); v != "0 false" {
			t.Errorf("%s: %s", name, v)
		}
	}
}

// No row is sent before it is known whether the command is committed: what returns
// rows is not run in this way.
func TestRedteam21_NoRowIsReturnedBeforeTheCommit(t *testing.T) {
	d := direct(t)
	shopTables(t, d)
	g := bounded(t, 30, nil)
	conn := g.connect(t)
	for _, text := range []string{"DELETE FROM reh.people WHERE id = 1 RETURNING note /* bounded */", "WITH x AS (DELETE FROM reh.people WHERE id = 1 RETURNING 1) SELECT * FROM x /* bounded */"} {
		for name, mode := range modes {
			rows, err := conn.Query(t.Context(), text, mode)
			if err == nil {
				for rows.Next() {
					t.Errorf("%s: a row came", name)
				}
				err = rows.Err()
			}
			refusedWith(t, err, refusal.RunExceeded, "returns rows")
		}
	}
	if v := value(t, d, "SELECT count(*)::text FROM reh.people"); v != "100" {
		t.Errorf("%s rows are left", v)
	}
}

// An error of the run is the target's, and a cancel reaches it.
func TestMeasuredRunFailsAsACommandDoes(t *testing.T) {
	d := direct(t)
	shopTables(t, d)
	g := bounded(t, 30, func() { run(t, d, "INSERT INTO reh.people (id, team) VALUES (777, 1) ON CONFLICT DO NOTHING") })
	conn := g.connect(t)
	for name, mode := range modes {
		run(t, d, "DELETE FROM reh.people WHERE id = 777")
		_, err := conn.Exec(t.Context(), "INSERT INTO reh.people (id, team) VALUES (777, 2) /* bounded */ /* m3 */", mode)
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != "23505" || pe.ConstraintName != "people_pkey" {
			t.Errorf("%s: %v", name, err)
		}
		if o := outcomeOf(t, g, "/* m3 */"); o.Status != "error" || o.Code != "23505" {
			t.Errorf("%+v", o)
		}
	}
	lock := direct(t)
	g = bounded(t, 30, func() { run(t, lock, "BEGIN", "SELECT FROM reh.people WHERE id = 5 FOR UPDATE") })
	conn = g.connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "DELETE FROM reh.people WHERE id = 5 /* bounded */ /* m4 */")
		done <- err
	}()
	defer cancel()
	eventually(t, "the run waits for a lock", func() bool {
		return value(t, d, "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'gatestay measured run' AND wait_event_type = 'Lock'") == "1"
	})
	if err := conn.PgConn().CancelRequest(ctx); err != nil {
		t.Fatal(err)
	}
	var pe *pgconn.PgError
	if err := <-done; !errors.As(err, &pe) || pe.Code != "57014" {
		t.Error(err)
	}
	run(t, lock, "ROLLBACK")
	if v := value(t, d, "SELECT count(*)::text FROM reh.people WHERE id = 5"); v != "1" {
		t.Error("a cancelled command ran")
	}
}

// Within a transaction of the client's, a text of several commands or a pipeline it
// is not run beside them.
func TestRedteam21_AMeasuredRunIsAlone(t *testing.T) {
	d := direct(t)
	shopTables(t, d)
	g := bounded(t, 30, nil)
	conn := g.connect(t)
	const text = "DELETE FROM reh.cards WHERE id = 1 /* bounded */"
	run(t, conn, "BEGIN")
	_, err := conn.Exec(t.Context(), text)
	refusedWith(t, err, refusal.RunExceeded, "open transaction")
	run(t, conn, "ROLLBACK")
	_, err = conn.Exec(t.Context(), "SELECT 1; "+text, pgx.QueryExecModeSimpleProtocol)
	refusedWith(t, err, refusal.RunExceeded, "several commands")
	// In a pipeline: before others, behind others, and without a Sync.
	batch := &pgx.Batch{}
	batch.Queue(text)
	batch.Queue("INSERT INTO reh.cards VALUES (900, 1)")
	err = conn.SendBatch(t.Context(), batch).Close()
	refusedWith(t, err, refusal.RunExceeded, "pipeline")
	batch = &pgx.Batch{}
	batch.Queue("INSERT INTO reh.cards VALUES (900, 1)")
	batch.Queue(text)
	err = conn.SendBatch(t.Context(), batch).Close()
	refusedWith(t, err, refusal.RunExceeded, "open transaction")
	if v := value(t, d, "SELECT count(*)::text FROM reh.cards"); v != "100" {
		t.Errorf("%s rows", v)
	}
	raw, err := pgconn.ConnectConfig(t.Context(), g.config(t))
	if err != nil {
		t.Fatal(err)
	}
	hijacked, err := raw.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer hijacked.Conn.Close()
	f := hijacked.Frontend
	send := func(messages ...pgproto3.FrontendMessage) {
		t.Helper()
		for _, m := range messages {
			f.Send(m)
		}
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		_ = hijacked.Conn.SetReadDeadline(time.Now().Add(15 * time.Second))
		for _, w := range want {
			m, err := f.Receive()
			if err != nil {
				t.Fatalf("%s: %v", w, err)
			}
			got := strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
			if c, ok := m.(*pgproto3.CommandComplete); ok {
				got += " " + string(c.CommandTag)
			}
			if e, ok := m.(*pgproto3.ErrorResponse); ok {
				got += " " + e.Message[:6]
			}
			if r, ok := m.(*pgproto3.ReadyForQuery); ok {
				got += " " + string(r.TxStatus)
			}
			if got != w {
				t.Fatalf("%s, not %s", got, w)
			}
		}
	}
	bind := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}}
	send(append(bind, &pgproto3.Flush{})...)
	expect("ParseComplete", "BindComplete", "NoData", "ErrorResponse GS1350")
	send(&pgproto3.Sync{})
	expect("ReadyForQuery I")
	send(append(bind, &pgproto3.Execute{}, &pgproto3.Sync{})...)
	expect("ParseComplete", "BindComplete", "NoData", "ErrorResponse GS1350", "ReadyForQuery I")
	send(append(bind, &pgproto3.Sync{}, &pgproto3.Query{String: "SELECT"}, &pgproto3.Query{String: text}, &pgproto3.Sync{})...)
	expect("ParseComplete", "BindComplete", "NoData", "CommandComplete DELETE 1", "ReadyForQuery I", "RowDescription", "DataRow", "CommandComplete SELECT 1", "ReadyForQuery I",
		"CommandComplete DELETE 0", "ReadyForQuery I", "ReadyForQuery I")
	if v := value(t, d, "SELECT count(*)::text FROM reh.cards"); v != "99" {
		t.Errorf("%s rows", v)
	}
}
