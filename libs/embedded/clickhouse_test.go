package embedded

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
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

const clientVariable = "GATESTAY_EMBEDDED_TEST_CLIENT"

// clientRole is a client that the test kills: it queries without end.
func clientRole(native string) {
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{native}})
	if err != nil {
		os.Exit(1)
	}
	fmt.Println("on it")
	for {
		rows, err := conn.Query(context.Background(), "SELECT number FROM numbers(100000)")
		if err != nil {
			os.Exit(1)
		}
		for rows.Next() {
			_ = rows.Err()
		}
		_ = rows.Close()
	}
}

// The library takes its process down when a connection is reset; see relay.
func TestClickHouse_survivesItsClients(t *testing.T) {
	s := startClickHouse(t, ClickHouseOptions{Dir: t.TempDir()})
	for range 5 {
		client := exec.Command(os.Args[0])
		client.Env = append(os.Environ(), clientVariable+"="+s.Native)
		out, err := client.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		// A stream of answers stands still, and is then reset.
		for _, path := range []string{s.Native, s.HTTP} {
			reset(t, path)
		}
		if err := client.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = client.Wait()
		if n := count(t, s.Native, "SELECT toUInt64(7)"); n != 7 {
			t.Fatal(n)
		}
	}
	select {
	case <-s.Done():
		t.Fatal("ClickHouse is gone")
	default:
	}
}

// reset opens a connection, says something, and resets it.
func reset(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("GET /?query=SELECT+number+FROM+numbers(100000000) HTTP/1.1\r\nHost: x\r\n\r\n"))
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
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
