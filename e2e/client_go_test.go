package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/gatestay/gatestay/e2e/kit"
)

// TestGoClients is the job of TestClients with Go's drivers, in this process.
func TestGoClients(t *testing.T) {
	g := shared.Get(t)
	for _, w := range ways(t, g) {
		if w.wrap != nil {
			continue // its credential never leaves the wrapped command
		}
		dsn := w.dsn()
		t.Run(w.name, func(t *testing.T) {
			t.Run("pgx", func(t *testing.T) { w.sqlJob(t, g, stdlib.OpenDB(*pgxConfig(t, dsn)), true) })
			t.Run("lib pq", func(t *testing.T) {
				connector, err := pq.NewConnector(dsn)
				if err != nil {
					t.Fatal(err)
				}
				w.sqlJob(t, g, sql.OpenDB(connector), false) // by itself it gives up a cancelled connection
			})
		})
	}
}

// dsn is the way as a connection string.
func (w way) dsn() string {
	words := map[string]string{"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname", "PGSSLMODE": "sslmode", "PGSSLROOTCERT": "sslrootcert"}
	var b strings.Builder
	for _, variable := range w.environment() {
		name, value, _ := strings.Cut(variable, "=")
		if word := words[name]; word != "" {
			fmt.Fprintf(&b, "%s='%s' ", word, value)
		}
	}
	return b.String()
}

// pgxConfig has a cancelled context cancel the statement, not the connection.
func pgxConfig(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: 20 * time.Second}
	}
	return config
}

// sqlJob is the job by database/sql; not every driver goes on after a cancel.
func (w way) sqlJob(t *testing.T, g *kit.Gatestay, db *sql.DB, goesOn bool) {
	t.Helper()
	defer func() { _ = db.Close() }()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var out strings.Builder
	value := func(query string, arguments ...any) (v any) {
		t.Helper()
		if err := c.QueryRowContext(ctx, query, arguments...).Scan(&v); err != nil {
			t.Fatalf("%s: %v\n%s", query, err, out.String())
		}
		return v
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	me, endless := kit.Marker("go"), kit.Marker("endless")
	var name, email string
	if err := c.QueryRowContext(ctx, "SELECT name, email FROM customers WHERE id = $1", 1).Scan(&name, &email); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out, "read:", name, email)
	fmt.Fprintln(&out, "written:", value("INSERT INTO notes (author, body) VALUES ($1, $2) RETURNING body", me, `it's \ ünïcode`))
	tx, err := c.BeginTx(ctx, nil)
	must(nil, err)
	must(tx.ExecContext(ctx, "INSERT INTO notes (author, body) VALUES ($1, $2)", me, "never"))
	must(nil, tx.Rollback())
	fmt.Fprintln(&out, "rolled back:", value("SELECT count(*) FROM notes WHERE author = $1", me))
	_, err = c.ExecContext(ctx, "SELECT 1/0")
	fmt.Fprintln(&out, "error:", sqlState(err))
	fmt.Fprintln(&out, "after the error:", value("SELECT 1"))
	_, err = c.ExecContext(ctx, "CREATE TABLE never (x int)")
	fmt.Fprintln(&out, "refused:", sqlState(err))
	fmt.Fprintln(&out, "said:", primary(err))
	fmt.Fprintln(&out, "after the refusal:", value("SELECT 2"))
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(running, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT count(*) AS "+endless+" FROM r")
		ended <- err
	}()
	kit.Eventually(t, 20*time.Second, func() error {
		if !g.TargetSaw(t, endless) {
			return errors.New("the statement to cancel has not run")
		}
		return nil
	})
	cancel()
	fmt.Fprintln(&out, "cancelled:", sqlState(<-ended))
	want := w.want
	if goesOn {
		fmt.Fprintln(&out, "after the cancel:", value("SELECT 3"))
	} else {
		want, _, _ = strings.Cut(want, "after the cancel:")
	}
	if got := ownWords.ReplaceAllString(out.String(), "said: $1"); got != want {
		t.Errorf("the job went\n%s\nwant\n%s", got, want)
	}
}

func sqlState(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return fmt.Sprint(err)
}

// primary is the server's own words in an error.
func primary(err error) string {
	var x *pgconn.PgError
	var q *pq.Error
	switch {
	case errors.As(err, &x):
		return x.Message
	case errors.As(err, &q):
		return q.Message
	}
	return fmt.Sprint(err)
}

// TestPgxInEveryMode runs what pgx can say in all of its modes on both ways.
func TestPgxInEveryMode(t *testing.T) {
	g := shared.Get(t)
	modes := []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	}
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			var said []string
			for _, w := range ways(t, g)[:2] {
				config := pgxConfig(t, w.dsn())
				config.DefaultQueryExecMode = mode
				conn, err := pgx.ConnectConfig(t.Context(), config)
				if err != nil {
					t.Fatal(err)
				}
				said = append(said, strings.ReplaceAll(everyCall(t, conn), maskedEmail, plainEmail))
				_ = conn.Close(t.Context())
			}
			if said[0] != said[1] {
				t.Errorf("directly:\n%s\nthrough the gateway:\n%s", said[0], said[1])
			}
		})
	}
}

// everyCall returns what pgx's calls return.
func everyCall(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out strings.Builder
	say := func(v ...any) { fmt.Fprintln(&out, v...) }
	for range 2 { // the second time from its cache
		var id int64
		var email string
		var at time.Time
		var numbers []int32
		err := conn.QueryRow(ctx, "SELECT id, email, $2::timestamptz, $3::int[] FROM customers WHERE id = $1", int64(1), time.Unix(0, 0).UTC(), []int32{1, -2}).Scan(&id, &email, &at, &numbers)
		say("row", err, id, email, at.UTC(), numbers)
	}
	me := kit.Marker("pgx")
	batch := &pgx.Batch{}
	batch.Queue("INSERT INTO notes (author, body) VALUES ($1, $2)", me, "one")
	batch.Queue("SELECT count(*) FROM notes WHERE author = $1", me).QueryRow(func(row pgx.Row) error {
		var n int
		err := row.Scan(&n)
		say("batch", err, n)
		return nil
	})
	say("batch", conn.SendBatch(ctx, batch).Close())
	failing := &pgx.Batch{}
	failing.Queue("INSERT INTO notes (author, body) VALUES ($1, $2)", me, "never")
	failing.Queue("CREATE TABLE never (x int)")
	failing.Queue("SELECT 1")
	say("refused batch", sqlState(conn.SendBatch(ctx, failing).Close()))
	copied, err := conn.CopyFrom(ctx, pgx.Identifier{"notes"}, []string{"author", "body"}, pgx.CopyFromRows([][]any{{me, "two"}, {me, nil}, {me, "fo\tur"}}))
	say("copy in", err, copied)
	var csv bytes.Buffer
	tag, err := conn.PgConn().CopyTo(ctx, &csv, "COPY (SELECT body FROM notes WHERE author = '"+me+"' ORDER BY id) TO STDOUT")
	say("copy out", err, tag, csv.String())
	rows, _ := conn.Query(ctx, "SELECT item, cents FROM orders WHERE id < $1 ORDER BY id", 4)
	orders, err := pgx.CollectRows(rows, pgx.RowToMap)
	say("rows", err, orders)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM notes WHERE author = $1", me)
		say("delete", err)
		return errors.New("changed my mind")
	})
	say("transaction", err)
	var n int
	say("count", conn.QueryRow(ctx, "SELECT count(*) FROM notes WHERE author = $1", me).Scan(&n), n)
	_, err = conn.Exec(ctx, "DELETE FROM notes WHERE author = $1", me)
	say("delete", err)
	return out.String()
}
