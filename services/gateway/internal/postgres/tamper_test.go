package postgres_test

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// tamperer stands between the gateway and the target. Where rewrite returns
// anything for a message of the gateway, that is done in its place.
type tamperer struct {
	rewrite func(m []byte) (toTarget, toGateway []byte, hit bool)
}

func (m *tamperer) start(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(c)
		}
	}()
	return l.Addr().String()
}

func (m *tamperer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	up, err := net.Dial("tcp", target.Address)
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	start, err := wire.ReadStartup(c)
	if err != nil {
		return
	}
	_, _ = up.Write(packet(start.Code, start.Body))
	back := wire.NewWriter(c)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := up.Read(buf)
			if n > 0 {
				_, _ = back.Write(buf[:n])
				_ = back.Flush()
			}
			if err != nil {
				_ = c.Close()
				return
			}
		}
	}()
	in := wire.NewReader(c)
	for {
		h, err := in.Next()
		if err != nil {
			return
		}
		message, err := in.Message(h, 1<<20)
		if err != nil {
			return
		}
		toTarget, toGateway, hit := m.rewrite(message)
		if !hit {
			toTarget = message
		}
		if _, err := up.Write(toTarget); err != nil {
			return
		}
		if toGateway != nil {
			_, _ = back.Write(toGateway)
			_ = back.Flush()
			if bytes.HasSuffix(toGateway, cut) {
				return
			}
		}
	}
}

// cut is half a row, after which the target is gone.
var cut = []byte{'D', 0, 0, 0, 50, 0, 1}

func encode(t testing.TB, list ...encoder) []byte {
	t.Helper()
	var out []byte
	for _, m := range list {
		b, err := m.Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

type encoder interface {
	Encode(dst []byte) ([]byte, error)
}

// TestLyingTarget lets the target answer what fits no question. Nothing of it
// reaches the client, which is told that the session is over.
func TestLyingTarget(t *testing.T) {
	row := &pgproto3.DataRow{Values: [][]byte{[]byte("planted")}}
	columns := &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("planted"), DataTypeOID: 25}}}
	complete, ready := &pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}, &pgproto3.ReadyForQuery{TxStatus: 'I'}
	failure := &pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "XX000", Message: "m"}
	for name, c := range map[string]struct {
		text  string
		reply []byte
		want  string
	}{
		"a row without columns":         {"SELECT 1", encode(t, row, complete, ready), "error GS1502"},
		"an acknowledgement":            {"SELECT 1", encode(t, &pgproto3.ParseComplete{}, ready), "error GS1502"},
		"more results than statements":  {"SELECT 1", encode(t, complete, columns, row, complete, ready), "error GS1502"},
		"a result of nothing":           {"", encode(t, columns, row, complete, ready), "error GS1502"},
		"an answer to nothing":          {"SELECT 1", encode(t, complete, ready, ready), "error GS1502"},
		"two errors":                    {"SELECT 1", encode(t, failure, failure, ready), "error GS1502"},
		"a result after an error":       {"SELECT 1", encode(t, failure, columns, row, complete, ready), "error GS1502"},
		"a marker that does not fail":   {"SELECT forbidden", encode(t, complete, ready), "error GS1502"},
		"a marker with a result":        {"SELECT forbidden", encode(t, columns, row, complete, ready), "error GS1502"},
		"a row that does not fit":       {"SELECT email", encode(t, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("e"), DataTypeOID: 25, TableOID: 1 << 30, TableAttributeNumber: 1}}}, &pgproto3.DataRow{Values: [][]byte{[]byte("***"), []byte("planted")}}, complete, ready), "error GS1502"},
		"an unknown transaction state":  {"SELECT 1", []byte{'Z', 0, 0, 0, 5, 'X'}, "error GS1502"},
		"a length below four":           {"SELECT 1", []byte{'D', 0, 0, 0, 3}, "error GS1408"},
		"an error without an end":       {"SELECT 1", []byte{'E', 0, 0, 0, 6, 'M', 'x'}, "error GS1502"},
		"COPY, in":                      {"SELECT 1", encode(t, &pgproto3.CopyInResponse{}), "error GS1502"},
		"COPY, out":                     {"SELECT 1", encode(t, &pgproto3.CopyOutResponse{}, &pgproto3.CopyData{Data: []byte("planted")}), "error GS1502"},
		"COPY, both ways":               {"COPY customers TO STDOUT", encode(t, &pgproto3.CopyBothResponse{}, &pgproto3.CopyData{Data: []byte("planted")}), "error GS1502"},
		"COPY, the other way":           {"COPY customers TO STDOUT", encode(t, &pgproto3.CopyInResponse{}), "error GS1502"},
		"COPY data without a beginning": {"COPY customers TO STDOUT", encode(t, &pgproto3.CopyData{Data: []byte("planted")}), "error GS1502"},
		"COPY without an end":           {"COPY customers (id) TO STDOUT", encode(t, &pgproto3.CopyOutResponse{ColumnFormatCodes: []uint16{0}}, complete, ready), "error GS1502"},
		"an end in the middle of a row": {"SELECT 1", append(encode(t, columns), cut...), "error GS1408"},
		"an error that ends it":         {"SELECT 1", encode(t, &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P01", Message: "m"}), "error 57P01"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &tamperer{rewrite: func(m []byte) ([]byte, []byte, bool) {
				if m[0] == wire.Query && (bytes.Contains(m, []byte("tamper")) || bytes.Contains(m, []byte("gatestay refused"))) {
					return nil, c.reply, true
				}
				return nil, nil, false
			}}
			up := upstreamOf(t)
			up.Address, up.TLS = m.start(t), "disable"
			g := start(t, &seamtest.Gate{Upstream: up, Decide: denying("forbidden"), Masked: emails}, func(o *postgres.Options) { o.Log = zerolog.Nop() })
			r := dialRaw(t, g.config(t))
			text := c.text + " /* tamper */"
			if c.text == "" {
				text = "/* tamper */"
			}
			r.send(t, &pgproto3.Query{String: text})
			got, err := r.rest()
			if err != nil || got[len(got)-1] != c.want {
				t.Errorf("%q, %v; want %s", got, err, c.want)
			}
			if strings.Contains(strings.Join(got, " "), "row") {
				t.Errorf("the client got %q", got)
			}
			closed(t, g, 0)
			for _, a := range g.Admitted("tamper") {
				if _, n := a.Outcome(); a.Err == nil && n != 1 {
					t.Errorf("%d outcomes", n)
				}
			}
		})
	}
}

// failingInquiries makes the n-th question of the gateway's own fail.
func failingInquiries(t *testing.T, nth int64) seam.Upstream {
	t.Helper()
	var asked atomic.Int64
	m := &tamperer{rewrite: func(m []byte) ([]byte, []byte, bool) {
		if m[0] == wire.Parse && bytes.Contains(m, []byte("current_schemas(true)")) && asked.Add(1) == nth {
			return wire.AppendParse(nil, "gatestay_inquiry", "SELECT FROM WHERE"), nil, true
		}
		return nil, nil, false
	}}
	up := upstreamOf(t)
	up.Address, up.TLS = m.start(t), "disable"
	return up
}

func TestInquiryFails(t *testing.T) {
	after := []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"}
	t.Run("at the start", func(t *testing.T) {
		g := start(t, &seamtest.Gate{Upstream: failingInquiries(t, 1)})
		_, err := pgconn.ConnectConfig(t.Context(), g.config(t))
		if err == nil || !strings.Contains(err.Error(), "GS1111") {
			t.Error(err)
		}
		closed(t, g, 0)
	})
	for name, c := range map[string]struct {
		messages []pgproto3.FrontendMessage
		want     []string
	}{
		"before a Query":    {[]pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT 1"}}, []string{"error 42601", "ready I"}},
		"before a pipeline": {[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}, []string{"error 42601", "ready I"}},
		"inside of one": {[]pgproto3.FrontendMessage{
			&pgproto3.Parse{Name: "s", Query: "SELECT 2 AS b"}, &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{},
			&pgproto3.Parse{Query: "SET work_mem = '4MB'"}, &pgproto3.Bind{}, &pgproto3.Execute{},
			&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{},
		}, []string{"ParseComplete", "BindComplete", `row ["2"]`, "complete SELECT 1", "ParseComplete", "BindComplete", "complete SET", "error 42601", "ready I"}},
	} {
		t.Run(name, func(t *testing.T) {
			nth := int64(2)
			g := start(t, &seamtest.Gate{Upstream: failingInquiries(t, nth)})
			r := dialRaw(t, g.config(t))
			if name != "inside of one" {
				r.query(t, "SET work_mem = '2MB'")
			}
			r.send(t, c.messages...)
			equal(t, name, r.until(t, 1), c.want)
			equal(t, "after it", r.query(t, "SELECT 1 AS a"), after)
		})
	}
}

// TestRedteam14_NoticeOfAnInquiry: what the target says to a question of the
// gateway's own is not for the client.
func TestRedteam14_NoticeOfAnInquiry(t *testing.T) {
	planted := encode(t, &pgproto3.NoticeResponse{Severity: "NOTICE", SeverityUnlocalized: "NOTICE", Code: "00000", Message: "planted"})
	m := &tamperer{rewrite: func(m []byte) ([]byte, []byte, bool) {
		if m[0] == wire.Parse && bytes.Contains(m, []byte("current_schemas(true)")) {
			return m, planted, true
		}
		return nil, nil, false
	}}
	up := upstreamOf(t)
	up.Address, up.TLS = m.start(t), "disable"
	g := start(t, &seamtest.Gate{Upstream: up})
	c := g.config(t)
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { t.Errorf("at the start: %s", n.Message) }
	r := dialRaw(t, c)
	r.query(t, "SET work_mem = '2MB'")
	equal(t, "after a change of state", r.query(t, "SELECT 1 AS a"), []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
}

func TestABugEndsOneSessionOnly(t *testing.T) {
	var log lockedBuffer
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if strings.Contains(c.Text, "bug") {
			panic("secret-in-a-panic")
		}
		return seamtest.Decision{}
	}}, func(o *postgres.Options) { o.Log = zerolog.New(&log) })
	r, other := dialRaw(t, g.config(t)), dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Query{String: "SELECT 1 /* bug */"})
	if got, err := r.rest(); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(got, err)
	}
	closed(t, g, 0)
	equal(t, "another session", other.query(t, "SELECT 1 AS a"), []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
	if s := log.String(); !strings.Contains(s, "a bug in the gateway") || strings.Contains(s, "secret-in-a-panic") {
		t.Error(s)
	}
}
