package embedded

import (
	"context"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func TestClickHouse_keepsDataOverStopAndKill(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	s := startClickHouse(t, ClickHouseOptions{Dir: dir})
	t.Logf("ready after %s", time.Since(began))
	execute(t, s.Native, "CREATE DATABASE IF NOT EXISTS d")
	execute(t, s.Native, "CREATE TABLE d.t (x UInt64) ENGINE = MergeTree ORDER BY x")
	execute(t, s.Native, "INSERT INTO d.t VALUES (1), (2)")
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	s = startClickHouse(t, ClickHouseOptions{Dir: dir, Native: s.Native, HTTP: s.HTTP})
	if n := count(t, s.Native, "SELECT count() FROM d.t"); n != 2 {
		t.Fatalf("after a stop: %d rows, want 2", n)
	}
	execute(t, s.Native, "INSERT INTO d.t VALUES (3)")
	s.Kill()

	s = startClickHouse(t, ClickHouseOptions{Dir: dir, Native: s.Native, HTTP: s.HTTP})
	if n := count(t, s.Native, "SELECT count() FROM d.t"); n != 3 {
		t.Fatalf("after a kill: %d rows, want 3", n)
	}
}

func startClickHouse(t *testing.T, o ClickHouseOptions) *ClickHouseServer {
	t.Helper()
	o.Progress = func(line string) { t.Log(line) }
	s, err := ClickHouse(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			select {
			case <-s.Done():
			default:
				t.Error(err)
			}
		}
	})
	return s
}

func open(t *testing.T, native string) clickhouse.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{native}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func execute(t *testing.T, native, sql string) {
	t.Helper()
	if err := open(t, native).Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func count(t *testing.T, native, sql string) (n uint64) {
	t.Helper()
	if err := open(t, native).QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}
