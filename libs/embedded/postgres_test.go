package embedded

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestPostgreSQL_servesAndKeepsDataOverStopAndKill(t *testing.T) {
	o := PostgreSQLOptions{Dir: t.TempDir(), LogStatements: true}
	began := time.Now()
	s := startPostgres(t, o)
	t.Logf("ready after %s", time.Since(began))
	if err := s.CreateDatabase(t.Context(), "Shop 1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "Shop 1", "CREATE TABLE t (x int); INSERT INTO t VALUES (1), (2)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	o.Address = s.Address
	s = startPostgres(t, o)
	if n := rows(t, s, "Shop 1"); n != 2 {
		t.Fatalf("after a stop: %d rows, want 2", n)
	}
	if err := s.Exec(t.Context(), "Shop 1", "INSERT INTO t VALUES (3)"); err != nil {
		t.Fatal(err)
	}
	s.Kill()

	s = startPostgres(t, o)
	if n := rows(t, s, "Shop 1"); n != 3 {
		t.Fatalf("after a kill: %d rows, want 3", n)
	}
	log, err := os.ReadFile(s.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "INSERT INTO t VALUES (3)") {
		t.Fatal("the log does not show the statement")
	}
	if strings.Contains(string(log), s.Password) {
		t.Fatal("the log shows the superuser's password")
	}
}

func TestPostgreSQL_acceptsOnlyTheRightPassword(t *testing.T) {
	s := startPostgres(t, PostgreSQLOptions{Dir: t.TempDir()})
	for name, url := range map[string]string{
		"wrong password":        s.UserURL(s.Superuser, "wrong", "postgres"),
		"wrong, without TLS":    "postgres://postgres:wrong@" + s.Address + "/postgres?sslmode=disable",
		"no password, no TLS":   "postgres://postgres@" + s.Address + "/postgres?sslmode=disable",
		"an untrusted CA store": "postgres://postgres:" + s.Password + "@" + s.Address + "/postgres?sslmode=verify-full",
	} {
		t.Run(name, func(t *testing.T) {
			if conn, err := pgx.Connect(t.Context(), url); err == nil {
				_ = conn.Close(t.Context())
				t.Fatal("connected")
			}
		})
	}
}

func startPostgres(t *testing.T, o PostgreSQLOptions) *PostgreSQLServer {
	t.Helper()
	o.Progress = func(line string) { t.Log(line) }
	s, err := PostgreSQL(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.Done():
			return
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func rows(t *testing.T, s *PostgreSQLServer, database string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
