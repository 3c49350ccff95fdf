package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// TestMemoryOfALargeResult lets 160 MB pass through, and stop in the middle.
func TestMemoryOfALargeResult(t *testing.T) {
	for name, masked := range map[string][]seam.MaskedColumn{"as it is": nil, "masked": emails} {
		t.Run(name, func(t *testing.T) {
			g := start(t, &seamtest.Gate{Masked: masked})
			r := dialRaw(t, g.config(t))
			before := heap()
			r.send(t, &pgproto3.Query{String: "SELECT g, repeat('x', 100), c.email FROM generate_series(1, 10000) g, customers c"})
			rows, most := 0, uint64(0)
			for {
				m, err := r.Receive()
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := m.(*pgproto3.DataRow); ok {
					if rows++; rows%200_000 == 100_000 {
						most = max(most, heap())
					}
				}
				if _, ok := m.(*pgproto3.ReadyForQuery); ok {
					break
				}
			}
			if rows != 1_000_000 {
				t.Errorf("%d rows", rows)
			}
			if most > before+16<<20 {
				t.Errorf("the process grew by %d MiB", (most-before)>>20)
			}
		})
	}
}

// TestMemoryOfIdleSessions measures what an idle session costs, TLS on both
// sides.
func TestMemoryOfIdleSessions(t *testing.T) {
	const sessions = 60
	g := start(t, &seamtest.Gate{})
	one := dialRaw(t, g.config(t)) // loads the catalog
	one.query(t, "SELECT 1")
	before := heap()
	for range sessions {
		r := dialRaw(t, g.config(t))
		r.query(t, "SELECT 1")
	}
	each := (heap() - before) / sessions
	t.Logf("an idle session and its client: %d KiB", each>>10)
	if each > 200<<10 { // two ends of TLS of the gateway, and the client's
		t.Errorf("an idle session costs %d KiB", each>>10)
	}
}

func TestLimits(t *testing.T) {
	g := start(t, &seamtest.Gate{}, func(o *postgres.Options) {
		o.Limits.Message, o.Limits.Names, o.Limits.Texts, o.Limits.Pipeline = 100_000, 10, 50_000, 16
	})
	after := []string{"columns ?column?:23/0", `row ["1"]`, "complete SELECT 1", "ready I"}
	long := "SELECT '" + strings.Repeat("x", 200_000) + "'"
	for name, c := range map[string]struct {
		messages []pgproto3.FrontendMessage
		want     []string
	}{
		"a long Query": {[]pgproto3.FrontendMessage{&pgproto3.Query{String: long}}, []string{"error GS1406", "ready I"}},
		"a long Parse": {[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: long}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}, []string{"error GS1406", "ready I"}},
		"a long Bind": {
			[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT $1::text"}, &pgproto3.Bind{Parameters: [][]byte{[]byte(long)}}, &pgproto3.Sync{}},
			[]string{"ParseComplete", "error GS1406", "ready I"},
		},
		"long texts": {
			[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "a", Query: "SELECT '" + long[50_000:80_000] + "'"}, &pgproto3.Parse{Name: "b", Query: "SELECT '" + long[50_000:80_000] + "'"}, &pgproto3.Sync{}},
			[]string{"ParseComplete", "error GS1406", "ready I"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			r.send(t, c.messages...)
			equal(t, name, r.until(t, 1), c.want)
			equal(t, "after it", r.query(t, "SELECT 1"), after)
		})
	}
	t.Run("many names", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		var messages []pgproto3.FrontendMessage
		for i := range 20 {
			messages = append(messages, &pgproto3.Parse{Name: fmt.Sprint("n", i), Query: "SELECT 1"})
		}
		r.send(t, append(messages, &pgproto3.Sync{})...)
		if got := r.until(t, 1); !slices.Contains(got, "error GS1406") {
			t.Errorf("%q", got)
		}
	})
	t.Run("a long pipeline goes through", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		messages := []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "p", Query: "SELECT 1"}}
		for range 100 {
			messages = append(messages, &pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{})
		}
		r.send(t, append(messages, &pgproto3.Sync{})...)
		if got := r.until(t, 1); len(got) != 1+300+1 || got[len(got)-1] != "ready I" {
			t.Errorf("%d answers", len(got))
		}
	})
}

// TestRedteam06_QuoteInsideACharacter sends bytes in which another encoding
// would hide a quote: whatever is no UTF-8 is unknown.
func TestRedteam06_QuoteInsideACharacter(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if c.Facts.Class == command.Unknown {
			return denying("")(c)
		}
		return seamtest.Decision{}
	}})
	r := dialRaw(t, g.config(t))
	for _, text := range []string{"SELECT '\x8f\\'; DELETE FROM scratch --'", "SELECT '\x95\x5c'; DELETE FROM scratch --'", "SELECT '\xa1\x27; DELETE FROM scratch --'", "SELECT '\xff'"} {
		equal(t, fmt.Sprintf("%q", text), r.query(t, text), []string{"error GS1201", "ready I"})
	}
}

// TestRedteam15_LogsTellNothing runs all kinds of things with a logger that
// keeps every word.
func TestRedteam15_LogsTellNothing(t *testing.T) {
	var log lockedBuffer
	g := start(t, &seamtest.Gate{Decide: denying("forbidden")}, func(o *postgres.Options) { o.Log = zerolog.New(&log).Level(zerolog.TraceLevel) })
	conn := g.connect(t)
	for _, text := range []string{"SELECT 'literal-secret'", "SELECT 'literal-secret'::int", "SELECT forbidden('literal-secret')", "SELECT 'literal-secret", "DO $$ BEGIN RAISE NOTICE 'literal-secret'; END $$"} {
		_, _ = conn.Exec(t.Context(), text)
	}
	_, _ = conn.Exec(t.Context(), "SELECT $1::int", "parameter-secret")
	bad := g.config(t)
	bad.Password = "token-secret"
	_, _ = pgconn.ConnectConfig(t.Context(), bad)
	wrong := upstreamOf(t)
	wrong.Password = "upstream-secret"
	other := start(t, &seamtest.Gate{Upstream: wrong}, func(o *postgres.Options) { o.Log = zerolog.New(&log).Level(zerolog.TraceLevel) })
	_, _ = pgconn.ConnectConfig(t.Context(), other.config(t))
	r := dialRaw(t, g.config(t))
	write(t, r.Conn, []byte("zzzzz-wire-secret"))
	_, _ = r.rest()
	for _, secret := range []string{"literal-secret", "parameter-secret", "token-secret", "upstream-secret", "wire-secret", seamtest.Secret, target.Password} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, log.String())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestRedteam11_UpstreamDowngrade puts somebody between the gateway and its
// target who says that there is no TLS, or says something else first.
func TestRedteam11_UpstreamDowngrade(t *testing.T) {
	for name, reply := range map[string]string{
		"no TLS": "N", "an error instead": "E\x00\x00\x00\x0aMhello\x00\x00", "bytes before the handshake": "SR\x00\x00\x00\x08\x00\x00\x00\x03",
	} {
		for _, mode := range []string{"require", "verify-ca", "verify-full"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				got := make(chan string, 1)
				go func() {
					c, err := l.Accept()
					if err != nil {
						return
					}
					defer func() { _ = c.Close() }()
					_ = c.SetDeadline(time.Now().Add(5 * time.Second))
					b := make([]byte, 4096)
					n, _ := c.Read(b)
					_, _ = c.Write([]byte(reply))
					m, _ := c.Read(b[n:])
					got <- string(b[:n+m])
				}()
				defer func() { _ = l.Close() }()
				up := upstreamOf(t)
				up.Address, up.TLS = l.Addr().String(), mode
				g := start(t, &seamtest.Gate{Upstream: up})
				_, err = pgconn.ConnectConfig(t.Context(), g.config(t))
				if err == nil || !strings.Contains(err.Error(), "GS1111") {
					t.Error(err)
				}
				if sent := <-got; strings.Contains(sent, target.Password) || strings.Contains(sent, "user\x00") {
					t.Errorf("the gateway sent %q in the clear", sent)
				}
			})
		}
	}
}

func TestRedteam12_PsqlMeta(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: denying("forbidden")})
	out, _ := tool(t, g.environment(t), strings.Join([]string{
		`\copy scratch TO STDOUT (NULL 'forbidden')`, `\copy scratch FROM PROGRAM 'echo 1' (NULL 'forbidden')`, `SELECT 'UPDATE scratch SET note = ''forb' || 'idden''' \gexec`,
		`SELECT 1 AS harmless \gset`, `UPDATE scratch SET note = 'forbidden' \g | cat`, `SELECT 42 AS still_alive;`,
	}, "\n"), "psql", "-X")
	if n := strings.Count(out, "ERROR:  GS1201"); n != 4 {
		t.Errorf("%d of 4 were refused:\n%s", n, out)
	}
	if !strings.Contains(out, "still_alive") || seen(t, "note = 'forbidden'") {
		t.Errorf("the session ended, or the target has seen what was refused:\n%s", out)
	}
}

func TestPlaintextWhereAllowed(t *testing.T) {
	g := start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.TLS, o.AllowPlaintext = nil, true })
	c := g.config(t)
	c.TLSConfig = nil
	conn, err := pgconn.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(context.Background())
	env := append(g.environment(t), "PGSSLMODE=prefer")
	if out, err := tool(t, env, "", "psql", "-X", "-Atc", "SELECT 1"); err != nil || strings.TrimSpace(out) != "1" {
		t.Error(out, err)
	}
}
