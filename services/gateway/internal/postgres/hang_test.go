package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// several is a gate to several targets.
type several struct {
	*seamtest.Gate
	targets map[string]seam.Upstream
}

type oneOfSeveral struct {
	seam.Session
	up seam.Upstream
}

// Authenticate implements seam.Gate.
func (g *several) Authenticate(ctx context.Context, c seam.Credentials) (seam.Session, error) {
	s, err := g.Gate.Authenticate(ctx, c)
	if err != nil {
		return nil, err
	}
	return &oneOfSeveral{s, g.targets[c.Target]}, nil
}

// Upstream implements seam.Session.
func (s *oneOfSeveral) Upstream(context.Context) (seam.Upstream, error) { return s.up, nil }

// startTwo runs a gateway to a target that is well, prod-db, and to another.
func startTwo(t testing.TB, other seam.Upstream, change ...func(*postgres.Options)) *gateway {
	t.Helper()
	gate := &several{Gate: &seamtest.Gate{}, targets: map[string]seam.Upstream{"prod-db": upstreamOf(t), "other-db": other}}
	return start(t, gate.Gate, append(change, func(o *postgres.Options) { o.Gate = gate })...)
}

func (g *gateway) other(t testing.TB) *pgconn.Config {
	t.Helper()
	c := g.config(t)
	c.Database = "other-db"
	return c
}

// TestTargetThatHangsAtSignIn has a target that says nothing more at some point
// of a sign-in: its client is told within the limit, and sessions with another
// target do not notice.
func TestTargetThatHangsAtSignIn(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"at once":           func(net.Conn) {},
		"asked for TLS":     func(c net.Conn) { _, _ = wire.ReadStartup(c) },
		"in the handshake":  func(c net.Conn) { _, _ = wire.ReadStartup(c); _, _ = c.Write([]byte{'S'}) },
		"within an answer":  func(c net.Conn) { _, _ = wire.ReadStartup(c); _, _ = c.Write([]byte{'S', 0x16, 3}) },
		"talks without end": func(c net.Conn) { _, _ = wire.ReadStartup(c); _, _ = c.Write([]byte{'S'}); trickle(c) },
	} {
		t.Run(name, func(t *testing.T) {
			up := upstreamOf(t)
			up.Address = listen(t, func(c net.Conn) { serve(c); _, _ = io.Copy(io.Discard, c) })
			g := startTwo(t, up, func(o *postgres.Options) { o.Limits.Login = 2 * time.Second })
			well := g.connect(t)
			told := make(chan error, 1)
			config := g.other(t)
			go func() {
				_, err := pgconn.ConnectConfig(context.Background(), config)
				told <- err
			}()
			for waiting := true; waiting; {
				select {
				case err := <-told:
					var refused *pgconn.PgError
					if !errors.As(err, &refused) || !strings.HasPrefix(refused.Message, "GS1111: ") {
						t.Fatal(err)
					}
					waiting = false
				case <-time.After(50 * time.Millisecond):
				}
				begun := time.Now()
				if err := well.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(begun); d > 2*time.Second {
					t.Errorf("a ping of another target took %s", d)
				}
			}
			if err := g.connect(t).Ping(t.Context()); err != nil {
				t.Errorf("a new session with another target: %v", err)
			}
		})
	}
}

// trickle sends a byte now and then, so that no single wait is long.
func trickle(c net.Conn) {
	for {
		if _, err := c.Write([]byte{0x16}); err != nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// valve passes bytes on until it is shut.
type valve struct {
	mu     sync.Mutex
	open   sync.Cond
	shut   bool
	broken bool
	conns  []net.Conn
}

func newValve() *valve {
	v := &valve{}
	v.open.L = &v.mu
	return v
}

func (v *valve) set(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
	v.open.Broadcast()
	if v.broken {
		for _, c := range v.conns {
			_ = c.Close()
		}
	}
}

func (v *valve) copy(dst, src net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := src.Read(b)
		v.mu.Lock()
		for v.shut && !v.broken {
			v.open.Wait()
		}
		broken := v.broken
		v.mu.Unlock()
		if broken || err != nil {
			break
		}
		if _, err := dst.Write(b[:n]); err != nil {
			break
		}
	}
	_, _ = src.Close(), dst.Close()
}

// through returns an address that leads to the target by a valve.
func (v *valve) through(t testing.TB) string {
	return listen(t, func(c net.Conn) {
		up, err := net.Dial("tcp", target.Address)
		if err != nil {
			return
		}
		v.set(func() { v.conns = append(v.conns, c, up) })
		done := make(chan struct{})
		go func() { defer close(done); v.copy(up, c) }()
		v.copy(c, up)
		<-done
	})
}

// TestTargetThatHangs has a target that stops in the middle of sessions: idle,
// running and cancelled. Others do not notice, and a session can be ended.
func TestTargetThatHangs(t *testing.T) {
	v := newValve()
	t.Cleanup(func() { v.set(func() { v.broken = true }) })
	up := upstreamOf(t)
	up.Address = v.through(t)
	g := startTwo(t, up)
	t.Cleanup(func() { v.set(func() { v.broken = true }) }) // before the gateway waits for its sessions
	well := g.connect(t)
	idle, running := dialRaw(t, g.other(t)), dialRaw(t, g.other(t))
	sleep(t, running, "th_slow")
	v.set(func() { v.shut = true })
	idle.send(t, &pgproto3.Query{String: "SELECT 1 /* th_idle */"})
	cancelled := make(chan struct{})
	go func() { defer close(cancelled); g.cancelRequest(t, running.pid, running.key) }()
	var slowest time.Duration
	for over := false; !over; {
		select {
		case <-cancelled:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
		begun := time.Now()
		if err := well.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(begun))
	}
	if slowest > 2*time.Second {
		t.Errorf("a ping of another target took %s", slowest)
	}
	// As on a server, what runs does not end with its client; it does with its
	// session's limit, though the target hears of nothing.
	_ = idle.Close()
	g.Sessions()[1].End(&refusal.Refusal{Code: refusal.SessionEnded, Message: "the limit is reached"})
	deadline := time.Now().Add(30 * time.Second)
	for g.Sessions()[1].Closed() == "" {
		if time.Now().After(deadline) {
			t.Fatal("the session stays")
		}
		<-time.After(10 * time.Millisecond)
	}
	v.set(func() { v.broken = true })
	got, _ := running.rest()
	equal(t, "the other is told when the connection breaks", got[len(got)-1:], []string{"error GS1408"})
	if err := well.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestTargetConnectionBreaks breaks the connection without a word from the
// target: the client is told, in the protocol, with a condition that pools
// reconnect at.
func TestTargetConnectionBreaks(t *testing.T) {
	for name, talk := range map[string]func(testing.TB, *raw){
		"idle":             func(testing.TB, *raw) {},
		"running":          func(t testing.TB, r *raw) { sleep(t, r, "tb_running") },
		"in a transaction": func(t testing.TB, r *raw) { r.query(t, "BEGIN") },
		"in a pipeline": func(t testing.TB, r *raw) {
			r.send(t, &pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, &pgproto3.Flush{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newValve()
			up := upstreamOf(t)
			up.Address = v.through(t)
			g := start(t, &seamtest.Gate{Upstream: up})
			t.Cleanup(func() { v.set(func() { v.broken = true }) })
			r := dialRaw(t, g.config(t))
			talk(t, r)
			v.set(func() { v.shut = true })
			r.send(t, &pgproto3.Sync{}) // wakes whoever reads, so that it sees the break
			v.set(func() { v.broken = true })
			for {
				m, err := r.Receive()
				if err != nil {
					t.Fatal("the connection ends without a word: ", err)
				}
				if e, ok := m.(*pgproto3.ErrorResponse); ok {
					if e.Severity != "FATAL" || e.Code != "08006" || !strings.HasPrefix(e.Message, "GS1408: ") || strings.Contains(fmt.Sprint(e), "127.0.0.1") {
						t.Errorf("%+v", e)
					}
					break
				}
			}
			if _, err := r.Receive(); err == nil {
				t.Error("something follows")
			}
		})
	}
}

// TestRedteam05_SilentWhenAsked stops at each question of a sign-in.
func TestRedteam05_SilentWhenAsked(t *testing.T) {
	g := start(t, &seamtest.Gate{}, asksBearer, func(o *postgres.Options) { o.Limits.Startup = 500 * time.Millisecond })
	password := packet(196608, []byte("user\x00job\x00database\x00prod-db\x00gatestay.auth\x00password\x00\x00"))
	for name, say := range map[string]func(testing.TB, net.Conn){
		"for the password":    func(t testing.TB, c net.Conn) { write(t, c, password) },
		"within the password": func(t testing.TB, c net.Conn) { write(t, c, append(slices.Clone(password), 'p', 0, 0, 0, 20, 'x')) },
		"for a token":         func(t testing.TB, c net.Conn) { write(t, c, startup("user\x00job", "database\x00prod-db")) },
		"after the challenge": func(t testing.TB, c net.Conn) {
			write(t, c, startup("user\x00job", "database\x00prod-db"))
			write(t, c, sasl("n,,\x01auth=\x01\x01"))
		},
		"after a second start": func(t testing.TB, c net.Conn) { write(t, c, packet(80877104, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := g.secure(t)
			say(t, c)
			_ = c.SetReadDeadline(time.Now().Add(8 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays")
			}
		})
	}
	if n := len(g.Sessions()); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

func sasl(data string) []byte {
	b, _ := token(data).Encode(nil)
	return b
}

// TestKeepAlive looks at the kernel's timers: both sides of a session have one,
// so that a dead peer is noticed and firewalls between keep a held connection.
func TestKeepAlive(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	conn := g.connect(t, func(c *pgx.ConnConfig) { c.DialFunc = (&net.Dialer{KeepAlive: -1}).DialContext })
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	local := conn.PgConn().Conn().LocalAddr().String()
	eventually(t, "a timer towards the client", func() bool { return keepsAlive(t, g.addr, local) > 0 })
	eventually(t, "a timer towards the target", func() bool { return keepsAlive(t, "", target.Address) > 0 })
}

// keepsAlive counts the established connections from an address, or any, to
// another that have a keepalive timer.
func keepsAlive(t testing.TB, from, to string) int {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[3] == "01" && strings.HasPrefix(f[5], "02:") && (from == "" || f[1] == hexAddress(t, from)) && f[2] == hexAddress(t, to) {
			n++
		}
	}
	return n
}

// hexAddress is an IPv4 address and port as the kernel writes it.
func hexAddress(t testing.TB, address string) string {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	ip := a.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
}
