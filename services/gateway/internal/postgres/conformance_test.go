package postgres_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

func TestConformance(t *testing.T) {
	for name, extended := range map[string]bool{"simple": false, "extended": true} {
		t.Run(name, func(t *testing.T) { seamtest.Conformance(t, &adapter{extended: extended, prefix: name}) })
	}
}

type adapter struct {
	extended bool
	prefix   string // keeps the marks of two runs apart
	gateway  *gateway
}

func (a *adapter) Start(t *testing.T, g *seamtest.Gate) { a.gateway = start(t, g) }

func (a *adapter) Seen(t *testing.T, mark string) bool { return seen(t, a.prefix+mark) }

func (a *adapter) Commands() seamtest.Commands {
	text := func(format string) func(string) string {
		return func(mark string) string { return fmt.Sprintf(format, "/* "+a.prefix+mark+" */") }
	}
	return seamtest.Commands{
		Read: text("SELECT 1 %s"), Write: text("UPDATE scratch SET note = 'x' WHERE id < 0 %s"), Fail: text("SELECT 1/0 %s"), Slow: text("SELECT pg_sleep(60) %s"),
		Secret: text("SELECT email FROM customers WHERE id = 1 %s"), Plain: "user1@example.com",
		Masked: seam.MaskedColumn{Schema: "public", Table: "customers", Column: "email"},
		Large:  text("SELECT repeat('x', 1000) FROM generate_series(1, 200000) %s"),
	}
}

func (a *adapter) Dial(t *testing.T) seamtest.Client {
	c := &client{t: t, adapter: a}
	c.conn = a.gateway.connect(t, func(o *pgx.ConnConfig) {
		o.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.notices = append(c.notices, n.Message)
		}
		o.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, n net.Conn) (net.Conn, error) {
			c.net = n
			return n, nil
		}
		o.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		if a.extended {
			o.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
		}
	})
	return c
}

type client struct {
	t       *testing.T
	adapter *adapter
	conn    *pgx.Conn
	net     net.Conn

	mu      sync.Mutex
	notices []string
}

func (c *client) Run(ctx context.Context, text string) (string, error) {
	rows, err := c.conn.Query(ctx, text)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	value := ""
	if rows.Next() && len(rows.RawValues()) > 0 {
		value = string(rows.RawValues()[0])
		if c.adapter.extended && rows.FieldDescriptions()[0].Format == 1 && len(value) == 4 {
			value = fmt.Sprint(value[3])
		}
	}
	rows.Close()
	return value, rows.Err()
}

func (c *client) Notices() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.notices...)
}

func (c *client) Cancel(t *testing.T) {
	c.adapter.gateway.cancelRequest(t, c.conn.PgConn().PID(), c.conn.PgConn().SecretKey())
}

func (c *client) Vanish() { _ = c.net.Close() }

func (c *client) Close() { _ = c.conn.Close(context.Background()) }

func (c *client) RunAndHalfClose(_ context.Context, text string) (string, error) {
	r := dialRaw(c.t, c.adapter.gateway.config(c.t))
	if c.adapter.extended {
		r.Send(&pgproto3.Parse{Query: text})
		r.Send(&pgproto3.Bind{})
		r.Send(&pgproto3.Execute{})
		r.Send(&pgproto3.Sync{})
	} else {
		r.Send(&pgproto3.Query{String: text})
	}
	if err := r.Flush(); err != nil {
		return "", err
	}
	if err := r.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	value := ""
	for {
		m, err := r.Receive()
		if err != nil {
			return value, nil //nolint:nilerr // the end
		}
		if d, ok := m.(*pgproto3.DataRow); ok {
			value = string(d.Values[0])
		}
	}
}

func (c *client) RunSlowly(t *testing.T, text string) func() error {
	r := dialRaw(t, c.adapter.gateway.config(t))
	r.send(t, &pgproto3.Query{String: text})
	for range 5 {
		if _, err := r.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	return func() error {
		_ = r.SetDeadline(time.Now().Add(30 * time.Second))
		for rows := 0; ; {
			m, err := r.Receive()
			if err != nil {
				return err
			}
			switch m.(type) {
			case *pgproto3.DataRow:
				rows++
			case *pgproto3.ReadyForQuery:
				if rows != 200000-4 {
					return fmt.Errorf("%d rows", rows)
				}
				return nil
			}
		}
	}
}
