package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// dialVersion opens a session with a version of the protocol.
func (g *gateway) dialVersion(t testing.TB, version string) *raw {
	t.Helper()
	c := g.config(t)
	c.MinProtocolVersion, c.MaxProtocolVersion = version, version
	return dialRaw(t, c)
}

// begin sends a start-up packet over TLS and returns the answer to it.
func (g *gateway) begin(t testing.TB, packet []byte) pgproto3.BackendMessage {
	t.Helper()
	s := g.secure(t)
	write(t, s, packet)
	m, err := pgproto3.NewFrontend(s, s).Receive()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRedteam11_VersionNegotiation asks for versions that there are not, and
// for protocol options that nobody knows: the answer is what a server says.
func TestRedteam11_VersionNegotiation(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	body := func(settings ...string) []byte {
		return []byte(strings.Join(append([]string{"user\x00job", "database\x00prod-db"}, settings...), "\x00") + "\x00\x00")
	}
	for name, c := range map[string]struct {
		version  uint32
		settings []string
		speaks   uint32 // 0: no negotiation
		unknown  []string
	}{
		"3.0":                      {version: 3 << 16},
		"3.1":                      {version: 3<<16 | 1}, // never released; a server takes it as it is
		"3.2":                      {version: 3<<16 | 2},
		"3.3":                      {version: 3<<16 | 3, speaks: 3<<16 | 2},
		"3.9999, which tests us":   {version: 3<<16 | 9999, speaks: 3<<16 | 2},
		"3.65535":                  {version: 3<<16 | 65535, speaks: 3<<16 | 2},
		"3.0 and unknown options":  {version: 3 << 16, settings: []string{"_pq_.a\x001", "_pq_.b\x002"}, speaks: 3 << 16, unknown: []string{"_pq_.a", "_pq_.b"}},
		"3.2 and an option":        {version: 3<<16 | 2, settings: []string{"_pq_.command_tag\x00x"}, speaks: 3<<16 | 2, unknown: []string{"_pq_.command_tag"}},
		"newer, and a long option": {version: 3<<16 | 4, settings: []string{"_pq_." + strings.Repeat("o", 9000) + "\x00x"}, speaks: 3<<16 | 2, unknown: []string{"_pq_." + strings.Repeat("o", 9000)}},
	} {
		t.Run(name, func(t *testing.T) {
			first := packet(c.version, body(c.settings...))
			got := g.begin(t, first)
			if c.speaks == 0 {
				if say(got) != "AuthenticationCleartextPassword" {
					t.Errorf("%#v", got)
				}
				return
			}
			n, ok := got.(*pgproto3.NegotiateProtocolVersion)
			if !ok || n.NewestMinorProtocol != c.speaks || !slices.Equal(n.UnrecognizedOptions, c.unknown) {
				t.Errorf("%#v", got)
			}
			if theirs := negotiated(t, c.version, c.settings); !bytes.Equal(theirs, encoded(t, got)) {
				t.Errorf("a server says %q, the gateway %q", theirs, encoded(t, got))
			}
		})
	}
}

func encoded(t testing.TB, m pgproto3.BackendMessage) []byte {
	t.Helper()
	b, err := m.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// negotiated returns the target's own answer.
func negotiated(t testing.TB, version uint32, settings []string) []byte {
	t.Helper()
	c, err := net.Dial("tcp", target.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	write(t, c, packet(version, []byte(strings.Join(append([]string{"user\x00postgres", "database\x00postgres"}, settings...), "\x00")+"\x00\x00")))
	m, err := pgproto3.NewFrontend(c, c).Receive()
	if err != nil {
		t.Fatal(err)
	}
	return encoded(t, m)
}

// TestRedteam11_CancelKeys tries keys that are not a session's: none of them
// cancels, the right one does, on a connection without TLS and on one with it.
func TestRedteam11_CancelKeys(t *testing.T) {
	for version, size := range map[string]int{"3.0": 4, "3.2": 32} {
		t.Run(version, func(t *testing.T) {
			g := start(t, &seamtest.Gate{})
			r, other := g.dialVersion(t, version), g.dialVersion(t, version)
			if len(r.key) != size || len(other.key) != size || bytes.Equal(r.key, other.key) {
				t.Fatalf("keys %x, %x", r.key, other.key)
			}
			text := "SELECT pg_sleep(60) /* ck_" + strings.ReplaceAll(version, ".", "") + " */"
			r.send(t, &pgproto3.Query{String: text})
			eventually(t, "it runs", func() bool { return seen(t, text) })
			flipped := slices.Clone(r.key)
			flipped[len(flipped)-1] ^= 1
			for what, key := range map[string][]byte{
				"another session's": other.key, "one bit off": flipped, "cut": r.key[:len(r.key)-1], "the first four bytes": r.key[:min(4, size-1)],
				"longer": append(slices.Clone(r.key), 0), "zeros": make([]byte, size), "the longest": make([]byte, 256), "too long": make([]byte, 257), "none": nil,
			} {
				g.sendCancel(t, g.plain(t), r.pid, key)
				if n, _ := onlyRun(t, text); n != 1 {
					t.Fatalf("%s cancels", what)
				}
			}
			g.sendCancel(t, g.plain(t), r.pid+1, r.key)
			g.sendCancel(t, g.plain(t), other.pid, r.key)
			if n, _ := onlyRun(t, text); n != 1 {
				t.Fatal("another process id cancels")
			}
			g.sendCancel(t, g.secure(t), r.pid, r.key)
			if got := r.until(t, 1); got[len(got)-2] != "error 57014" {
				t.Errorf("%q", got)
			}
			r.send(t, &pgproto3.Query{String: text})
			eventually(t, "it runs again", func() bool { n, _ := onlyRun(t, text); return n == 1 })
			g.sendCancel(t, g.plain(t), r.pid, r.key)
			if got := r.until(t, 1); got[len(got)-2] != "error 57014" {
				t.Errorf("%q", got)
			}
			if got := other.query(t, "SELECT 1 AS a"); got[len(got)-1] != "ready I" {
				t.Errorf("the other session: %q", got)
			}
		})
	}
}

// sendCancel sends a CancelRequest of any length and waits until the gateway
// has dealt with it.
func (g *gateway) sendCancel(t testing.TB, c net.Conn, pid uint32, key []byte) {
	t.Helper()
	write(t, c, packet(80877102, append(binary.BigEndian.AppendUint32(nil, pid), key...)))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a CancelRequest was answered")
	}
}

// onlyRun counts the sessions of the target that run a text.
func onlyRun(t testing.TB, text string) (int, error) {
	t.Helper()
	n := 0
	err := direct(t).QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = $1", text).Scan(&n)
	return n, err
}

// TestCancelOfAHoldWithALongKey cancels what is held, in the clear, though the
// session needs TLS.
func TestCancelOfAHoldWithALongKey(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "held")}
	}})
	r := g.dialVersion(t, "3.2")
	r.send(t, &pgproto3.Query{String: "SELECT 1 /* held lk */"})
	<-g.Held()
	g.sendCancel(t, g.plain(t), r.pid, r.key)
	equal(t, "cancelled", r.until(t, 1), []string{"notice 00000", "error GS1303", "ready I"})
	if seen(t, "held lk") {
		t.Error("it was forwarded")
	}
}

// TestTargetSpeaksTheNewestVersion looks at what the gateway says to a target:
// 3.2, and a cancel key as long as the target made it.
func TestTargetSpeaksTheNewestVersion(t *testing.T) {
	between := newRelay(t, nil)
	gate := &seamtest.Gate{Upstream: upstreamOf(t)}
	gate.Upstream.Address, gate.Upstream.TLS = between.addr, "disable"
	g := start(t, gate)
	r := g.dialVersion(t, "3.0")
	r.send(t, &pgproto3.Query{String: "SELECT pg_sleep(60) /* tv_slow */"})
	eventually(t, "it runs", func() bool { return seen(t, "tv_slow") })
	g.cancelRequest(t, r.pid, r.key)
	if got := r.until(t, 1); got[len(got)-2] != "error 57014" {
		t.Errorf("%q", got)
	}
	versions, keys := []uint32{}, []int{}
	for _, p := range between.packets() {
		if p.Code == wire.CodeCancel {
			_, key, err := p.Cancel()
			if err != nil {
				t.Error(err)
			}
			keys = append(keys, len(key))
		} else {
			versions = append(versions, p.Code)
		}
	}
	if versions[0] != wire.Version32 || !slices.Equal(keys, []int{32}) {
		t.Errorf("versions %x, keys of %d bytes", versions, keys)
	}
}

// TestOldTarget has targets that do not know 3.2: one says so, one hangs up.
// They are asked once, and then not again for a while.
func TestOldTarget(t *testing.T) {
	for name, refuse := range map[string]func(net.Conn){
		"refuses": func(c net.Conn) {
			b, _ := (&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "unsupported frontend protocol 3.2"}).Encode(nil)
			_, _ = c.Write(b)
		},
		"hangs up": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			between := newRelay(t, func(c net.Conn, first *wire.Startup) bool {
				if first.Code == wire.Version32 {
					refuse(c)
					return false
				}
				return true
			})
			gate := &seamtest.Gate{Upstream: upstreamOf(t)}
			gate.Upstream.Address, gate.Upstream.TLS = between.addr, "disable"
			g := start(t, gate)
			for range 3 {
				if got := g.dialVersion(t, "3.2").query(t, "SELECT 1 AS a"); got[len(got)-1] != "ready I" {
					t.Errorf("%q", got)
				}
			}
			newer := 0
			for _, p := range between.packets() {
				if p.Code == wire.Version32 {
					newer++
				}
			}
			if newer != 1 {
				t.Errorf("asked for 3.2 %d times", newer)
			}
		})
	}
}

// TestLibpq18 is psql with PostgreSQL 18's own libpq: versions, direct TLS, and
// Ctrl-C, which it sends in the clear.
func TestLibpq18(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	env := append(g.environment(t), "LD_LIBRARY_PATH="+target.Libraries)
	for _, c := range []string{
		"", "min_protocol_version=3.2 max_protocol_version=3.2", "max_protocol_version=latest", "max_protocol_version=3.0",
		"sslnegotiation=direct", "sslnegotiation=direct min_protocol_version=3.2 max_protocol_version=3.2",
	} {
		t.Run(c, func(t *testing.T) {
			out, err := tool(t, env, "", "psql", "-XAt", "-d", c, "-c", "SELECT 'through'", "-c", `\conninfo`)
			if err != nil || !strings.Contains(out, "through") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	for _, version := range []string{"3.0", "3.2"} {
		t.Run("Ctrl-C "+version, func(t *testing.T) {
			text := "SELECT pg_sleep(60) /* cc_" + version + " */"
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			c := exec.CommandContext(ctx, "psql", "-X", "-d", "min_protocol_version="+version+" max_protocol_version="+version, "-c", text)
			c.Env = env
			var out bytes.Buffer
			c.Stdout, c.Stderr = &out, &out
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it runs", func() bool { return seen(t, text) })
			if err := c.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if err := c.Wait(); err == nil || !strings.Contains(out.String(), "canceling statement due to user request") {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

// TestSSLModes is psql, on its own libpq and on 18's, in each of libpq's modes
// with a listener that needs TLS and with one that does not.
func TestSSLModes(t *testing.T) {
	strict := start(t, &seamtest.Gate{})
	lax := start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.AllowPlaintext = true })
	none := start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.AllowPlaintext, o.TLS = true, nil })
	const tls, plain, refused = "SSL connection", "through", "GS1110"
	for _, c := range []struct {
		mode string
		want map[*gateway]string
	}{
		{"disable", map[*gateway]string{strict: refused, lax: plain, none: plain}},
		{"allow", map[*gateway]string{strict: tls, lax: plain, none: plain}},
		{"prefer", map[*gateway]string{strict: tls, lax: tls, none: plain}},
		{"require", map[*gateway]string{strict: tls, lax: tls, none: "server does not support SSL"}},
		{"verify-ca", map[*gateway]string{strict: tls, lax: tls, none: "server does not support SSL"}},
		{"verify-full", map[*gateway]string{strict: tls, lax: tls, none: "server does not support SSL"}},
	} {
		for _, libraries := range []string{"", target.Libraries} {
			for g, want := range c.want {
				env := append(g.environment(t), "LD_LIBRARY_PATH="+libraries)
				out, _ := tool(t, env, "", "psql", "-XAt", "-d", "sslmode="+c.mode, "-c", "SELECT 'through'", "-c", `\conninfo`)
				if !strings.Contains(out, want) || want == plain && strings.Contains(out, tls) {
					t.Errorf("sslmode %s, libpq %q: no %q in %s", c.mode, libraries, want, out)
				}
			}
		}
	}
}
