package e2e

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/e2e/kit"
)

// TestRedteam09_FunctionCall calls by their OIDs functions that a job which reads
// may not call, and one that it may.
func TestRedteam09_FunctionCall(t *testing.T) {
	for signature, arguments := range map[string][]string{
		"pg_read_file(text,bigint,bigint)":            {"postgresql.conf", "0", "10"},
		"lo_import(text)":                             {"/etc/hostname"},
		"lo_create(oid)":                              {"471147"},
		"set_config(text,text,boolean)":               {"role", "pg_monitor", "f"},
		"table_to_xml(regclass,boolean,boolean,text)": {"customers", "t", "f", ""},
		"pg_notify(text,text)":                        {"channel", "hello"},
		"pg_advisory_lock(bigint)":                    {"471147"},
		"pg_terminate_backend(integer,bigint)":        {"1", "0"},
		"nextval(regclass)":                           {"notes_id_seq"},
	} {
		t.Run(signature, func(t *testing.T) {
			t.Parallel()
			// A held one is given up.
			if result, called := functionCall(t, shared.Get(t), 700*time.Millisecond, signature, arguments); called {
				t.Errorf("it was called, and returned %q", result)
			}
		})
	}
	t.Run("a read", func(t *testing.T) {
		t.Parallel()
		if result, called := functionCall(t, shared.Get(t), 20*time.Second, "reverse(text)", []string{"abc"}); !called || string(result) != "cba" {
			t.Errorf("%v, %q", called, result)
		}
	})
}

func functionCall(t *testing.T, g *kit.Gatestay, patience time.Duration, signature string, arguments []string) (result []byte, called bool) {
	t.Helper()
	c := g.Connect(t, nil)
	m := &pgproto3.FunctionCall{}
	if err := c.QueryRow(t.Context(), "SELECT ('pg_catalog.' || $1::text)::regprocedure::oid", signature).Scan(&m.Function); err != nil {
		t.Fatal(err)
	}
	for _, a := range arguments {
		m.Arguments = append(m.Arguments, []byte(a))
	}
	h, err := c.PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Conn.Close() }()
	_ = h.Conn.SetDeadline(time.Now().Add(patience))
	h.Frontend.Send(m)
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		switch m, err := h.Frontend.Receive(); m := m.(type) {
		case *pgproto3.FunctionCallResponse:
			return m.Result, true
		case *pgproto3.ReadyForQuery:
			return nil, false
		default:
			if err != nil {
				return nil, false
			}
		}
	}
}
