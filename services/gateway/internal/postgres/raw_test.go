package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// raw is a client that speaks single messages.
type raw struct {
	net.Conn
	*pgproto3.Frontend
	pid uint32
	key []byte
}

func dialRaw(t testing.TB, c *pgconn.Config) *raw {
	t.Helper()
	conn, err := pgconn.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SyncConn(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := conn.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Conn.Close() })
	_ = h.Conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &raw{Conn: h.Conn, Frontend: pgproto3.NewFrontend(h.Conn, h.Conn), pid: h.PID, key: h.SecretKey}
}

func directConfig(t testing.TB) *pgconn.Config {
	t.Helper()
	c, err := pgconn.ParseConfig(target.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends messages in one packet.
func (r *raw) send(t testing.TB, messages ...pgproto3.FrontendMessage) {
	t.Helper()
	for _, m := range messages {
		r.Send(m)
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
}

// until reads the answers up to a number of ReadyForQuery, in words.
func (r *raw) until(t testing.TB, ready int) []string {
	t.Helper()
	var got []string
	for ready > 0 {
		m, err := r.Receive()
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		got = append(got, say(m))
		if _, ok := m.(*pgproto3.ReadyForQuery); ok {
			ready--
		}
	}
	return got
}

// rest reads the answers until the connection ends.
func (r *raw) rest() ([]string, error) {
	var got []string
	for {
		m, err := r.Receive()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return got, nil
			}
			return got, err
		}
		got = append(got, say(m))
	}
}

// say puts an answer into words that do not depend on who gave it.
func say(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.ErrorResponse:
		code, _, _ := strings.Cut(m.Message, ":")
		if strings.HasPrefix(code, "GS") {
			return "error " + code
		}
		return "error " + m.Code
	case *pgproto3.NoticeResponse:
		return "notice " + m.Code
	case *pgproto3.ReadyForQuery:
		return "ready " + string(m.TxStatus)
	case *pgproto3.CommandComplete:
		return "complete " + string(m.CommandTag)
	case *pgproto3.DataRow:
		return fmt.Sprintf("row %q", m.Values)
	case *pgproto3.CopyData:
		return fmt.Sprintf("data %q", m.Data)
	case *pgproto3.CopyOutResponse:
		return fmt.Sprintf("copy out %d %d", m.OverallFormat, m.ColumnFormatCodes)
	case *pgproto3.CopyInResponse:
		return fmt.Sprintf("copy in %d %d", m.OverallFormat, m.ColumnFormatCodes)
	case *pgproto3.RowDescription:
		var names []string
		for _, f := range m.Fields {
			names = append(names, fmt.Sprintf("%s:%d/%d", f.Name, f.DataTypeOID, f.Format))
		}
		return "columns " + strings.Join(names, ",")
	case *pgproto3.ParameterStatus:
		if m.Name == "session_authorization" {
			return "status session_authorization"
		}
		return "status " + m.Name + "=" + m.Value
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
	}
}

// cancelRequest sends a CancelRequest on a connection of its own.
func (g *gateway) cancelRequest(t testing.TB, pid uint32, key []byte) {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.DialContext(context.Background(), "tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	b, err := (&pgproto3.CancelRequest{ProcessID: pid, SecretKey: key}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c)
}

// sleep lets a session run until it is cancelled, and returns once it runs.
func sleep(t testing.TB, r *raw, mark string) {
	t.Helper()
	r.send(t, &pgproto3.Query{String: "SELECT pg_sleep(60) /* " + mark + " */"})
	eventually(t, "it runs", func() bool { return seen(t, mark) })
}
