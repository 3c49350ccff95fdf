package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestLimitAmongOthers exceeds a limit in the middle of a text: as after a
// server's error there, nothing behind it remains, nor what its transaction did
// before; the session is in step, and no record says what is not so.
func TestLimitAmongOthers(t *testing.T) {
	watcher := direct(t)
	for limit, decision := range map[string]seamtest.Decision{"rows": {MaxRows: 3}, "bytes": {MaxBytes: 40}} {
		g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision { return decision }})
		long, huge := "SELECT generate_series(1, 10) AS g", "SELECT g FROM generate_series(1, 1000000) g"
		for i, c := range []struct {
			before, text, after string
			refused             bool // before any of it runs
		}{
			{text: long + "; UPDATE", refused: true},
			{text: huge + "; UPDATE", refused: true},
			{text: "UPDATE; " + long, refused: true},
			{text: "UPDATE; " + long + "; UPDATE", refused: true},
			{text: "BEGIN; " + long + "; UPDATE; COMMIT", refused: true},
			{text: "BEGIN; UPDATE; " + long + "; COMMIT", refused: true},
			{text: "BEGIN; UPDATE; COMMIT; " + long + "; UPDATE", refused: true},
			{text: "BEGIN; " + long + "; SAVEPOINT a; UPDATE; COMMIT", refused: true},
			{text: long + "; DO $$ BEGIN UPDATE; END $$", refused: true},
			{text: long + "; COPY scratch (id, note) FROM STDIN", refused: true},
			{text: long + "; PREPARE limited_p AS SELECT 1", refused: true},
			{text: long + "; SET work_mem = '2MB'", refused: true},
			{before: "BEGIN; UPDATE", text: long + "; COMMIT", after: "ROLLBACK", refused: true},
			{before: "BEGIN; UPDATE", text: "UPDATE; " + long, after: "COMMIT"},
			{before: "BEGIN; UPDATE", text: long + "; SELECT 1; " + long + "; SELECT 2", after: "COMMIT"},
			{before: "BEGIN; UPDATE", text: huge + "; SELECT 1", after: "COMMIT"},
			{text: "BEGIN; UPDATE; " + long, after: "COMMIT"},
			{text: "BEGIN; UPDATE; " + huge + "; SELECT 2; " + long, after: "COMMIT"},
			{text: long + "; SELECT 1"},
			{text: huge + "; SELECT 1; SELECT 1/0"},
			{text: long + "; SELECT 1/0; SELECT 1"},
			{text: "SELECT 1; " + long + "; COPY (SELECT generate_series(1, 9)) TO STDOUT; SHOW work_mem; " + long},
			{text: "SET work_mem = '2MB'; " + long},
		} {
			t.Run(fmt.Sprintf("%s, %d", limit, i), func(t *testing.T) {
				mark := fmt.Sprintf("among_%s_%d", limit, i)
				update := strings.NewReplacer("UPDATE", "INSERT INTO scratch (id, note) VALUES (-10 - (random() * 1e9)::int, '"+mark+"')")
				r := dialRaw(t, g.config(t))
				if c.before != "" {
					r.query(t, update.Replace(c.before))
				}
				r.send(t, &pgproto3.Query{String: update.Replace(c.text) + " /* " + mark + " */"})
				got := r.until(t, 1)
				if n := strings.Count(strings.Join(got, "\n"), "error GS1406"); n != 1 || got[len(got)-2] != "error GS1406" {
					t.Errorf("%s: %q", c.text, short(got))
				}
				if c.refused && len(got) != 2 {
					t.Errorf("%s: something was run: %q", c.text, short(got))
				}
				if c.after != "" {
					r.query(t, c.after)
				}
				equal(t, "in step", r.query(t, "SELECT 1 AS g"), []string{"columns g:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
				if n := noted(t, watcher, mark); n != 0 {
					t.Errorf("%s: %d rows remain", c.text, n)
				}
				for _, a := range g.Admitted(mark) {
					o, n := a.Outcome()
					if n != 1 || o.Status == "unknown" {
						t.Errorf("%s: %q ended %+v, said %d times", c.text, a.Text, o, n)
					} else if c.refused && c.before == "" && o.Status != "not_executed" {
						t.Errorf("%s: %q was refused and is %q", c.text, a.Text, o.Status)
					}
				}
			})
		}
	}
}

// TestLimitAmongOthersWithin lets texts pass whose results are within the limit, or
// whose limited results cannot fail.
func TestLimitAmongOthersWithin(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision { return seamtest.Decision{MaxRows: 3, MaxBytes: 100} }})
	r := dialRaw(t, g.config(t))
	insert := "INSERT INTO scratch (id, note) VALUES (-10 - (random() * 1e9)::int, 'within')"
	for text, want := range map[string][]string{
		"BEGIN; " + insert + "; ROLLBACK":                                                         {"complete BEGIN", "complete INSERT 0 1", "complete ROLLBACK", "ready I"},
		"BEGIN; " + insert + "; COMMIT; SELECT 1 AS g; SELECT 1 AS g":                             {"complete BEGIN", "complete INSERT 0 1", "complete COMMIT", "columns g:23/0", `row ["1"]`, "complete SELECT 1", "columns g:23/0", `row ["1"]`, "complete SELECT 1", "ready I"},
		"SET work_mem = '2MB'; SELECT 1 AS g":                                                     {"complete SET", "columns g:23/0", `row ["1"]`, "complete SELECT 1", "ready I"},
		insert + "; UPDATE scratch SET id = -9 WHERE note = 'within' AND false RETURNING id AS g": {"complete INSERT 0 1", "columns g:23/0", "complete UPDATE 0", "ready I"},
	} {
		got := r.query(t, text)
		for i := range got {
			if strings.HasPrefix(got[i], "columns g:") {
				got[i] = "columns g:23/0"
			}
		}
		equal(t, text, got, want)
	}
	if _, err := direct(t).Exec(t.Context(), "DELETE FROM scratch WHERE id < 0"); err != nil {
		t.Fatal(err)
	}
}

// TestLimitBehindSet exceeds a limit behind SET: where that stays in force, the
// error says so, and only there.
func TestLimitBehindSet(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision { return seamtest.Decision{MaxRows: 3} }})
	for _, rows := range []int{4, 4, 4, 1000000} {
		c := g.connect(t)
		_, err := c.PgConn().Exec(t.Context(), fmt.Sprintf("SET work_mem = '2MB'; SELECT generate_series(1, %d)", rows)).ReadAll()
		var failed *pgconn.PgError
		if !errors.As(err, &failed) || !strings.HasPrefix(failed.Message, "GS1406: ") {
			t.Fatal(err)
		}
		var now string
		if err := c.QueryRow(t.Context(), "SHOW work_mem").Scan(&now); err != nil {
			t.Fatal(err)
		}
		if says := strings.Contains(failed.Detail, "it took effect"); says != (now == "2MB") {
			t.Errorf("work_mem is %s, and the error says %q", now, failed.Detail)
		}
	}
}

// TestLimitInPipeline exceeds a limit between two writes of one group: the
// implicit transaction fails.
func TestLimitInPipeline(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision { return seamtest.Decision{MaxRows: 3} }})
	watcher := direct(t)
	insert := func(n int) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: fmt.Sprintf("INSERT INTO scratch (id, note) VALUES (%d, 'in_pipeline')", -n)}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	for _, rows := range []int{4, 1000000} {
		r := dialRaw(t, g.config(t))
		messages := insert(1)
		messages = append(messages, &pgproto3.Parse{Query: fmt.Sprintf("SELECT g FROM generate_series(1, %d) g /* in_pipeline */", rows)}, &pgproto3.Bind{}, &pgproto3.Execute{})
		messages = append(append(messages, insert(2)...), &pgproto3.Sync{})
		r.send(t, messages...)
		got := r.until(t, 1)
		equal(t, "answers", got[len(got)-2:], []string{"error GS1406", "ready I"})
		equal(t, "in step", r.query(t, "SELECT 1 AS g"), []string{"columns g:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
		if n := noted(t, watcher, "in_pipeline"); n != 0 {
			t.Errorf("%d rows remain", n)
		}
	}
	for _, a := range g.Admitted("in_pipeline") {
		if o, n := a.Outcome(); n != 1 || o.Status == "ok" || o.Status == "unknown" {
			t.Errorf("%q ended %+v, said %d times", a.Text, o, n)
		}
	}
}

// noted counts the rows of a note, as another session sees them.
func noted(t testing.TB, c *pgx.Conn, note string) (n int) {
	t.Helper()
	if err := c.QueryRow(t.Context(), "SELECT count(*) FROM scratch WHERE note = $1", note).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
