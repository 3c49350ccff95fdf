package postgres_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

func (g *gateway) plain(t testing.TB) net.Conn {
	t.Helper()
	return g.from(t, "127.0.0.1")
}

// from connects from another address of this machine.
func (g *gateway) from(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext(t.Context(), "tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// secure goes through SSLRequest.
func (g *gateway) secure(t testing.TB) *tls.Conn {
	t.Helper()
	c := g.plain(t)
	write(t, c, packet(80877103, nil))
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || b[0] != 'S' {
		t.Fatalf("SSLRequest: %q, %v", b, err)
	}
	s := tls.Client(c, &tls.Config{RootCAs: g.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	if err := s.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// packet makes a first packet.
func packet(code uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(b, code), body...)
}

func startup(settings ...string) []byte {
	return packet(196608, []byte(strings.Join(settings, "\x00")+"\x00\x00"))
}

func write(t testing.TB, c io.Writer, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// answer reads one message, or says that the connection has ended.
func answer(t testing.TB, c net.Conn) string {
	t.Helper()
	m, err := pgproto3.NewFrontend(c, c).Receive()
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatal("the gateway neither answers nor hangs up")
		}
		return "end"
	}
	return say(m)
}

func TestRedteam11_StartUp(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	user, database := "user\x00job", "database\x00prod-db"
	for name, c := range map[string]struct {
		first []byte
		want  string
	}{
		"length of zero":              {binary.BigEndian.AppendUint64(nil, 196608), "end"},
		"negative length":             {append([]byte{0xff, 0xff, 0xff, 0xff}, 0, 3, 0, 0), "end"},
		"length above the limit":      {append([]byte{0, 0, 0x27, 0x11}, 0, 3, 0, 0), "end"},
		"length without a code":       {append([]byte{0, 0, 0, 4}, 0, 3, 0, 0), "end"},
		"protocol 2":                  {packet(2<<16, []byte("\x00")), "error GS1501"},
		"no end":                      {packet(196608, []byte("user\x00job")), "error GS1502"},
		"bytes after the end":         {packet(196608, []byte("user\x00job\x00\x00more")), "error GS1502"},
		"a name twice":                {startup(user, "user\x00other"), "error GS1502"},
		"a name without a value":      {packet(196608, []byte("user\x00")), "error GS1502"},
		"no user":                     {startup(database), "error GS1502"},
		"replication":                 {startup(user, database, "replication\x00database"), "error GS1501"},
		"options that are no setting": {startup(user, database, "options\x00-F"), "error GS1501"},
		"a setting of its own":        {startup(user, database, "session_replication_role\x00replica"), "error GS1501"},
		"role":                        {startup(user, database, "role\x00postgres"), "error GS1501"},
		"another encoding":            {startup(user, database, "client_encoding\x00SJIS"), "error GS1503"},
		"standard strings off":        {startup(user, database, "standard_conforming_strings\x00off"), "error GS1503"},
		"empty options":               {startup(user, database, "options\x00"), "AuthenticationCleartextPassword"},
		"settings of drivers":         {startup(user, database, "DateStyle\x00ISO", "TimeZone\x00UTC", "extra_float_digits\x003", "client_encoding\x00utf-8"), "AuthenticationCleartextPassword"},
		"a newer minor version":       {packet(196611, []byte("user\x00job\x00\x00")), "NegotiateProtocolVersion"},
		"an unknown protocol option":  {startup(user, "_pq_.report\x00all"), "NegotiateProtocolVersion"},
		"a CancelRequest without key": {packet(80877102, []byte{0, 0}), "end"},
		"SSLRequest inside of TLS":    {packet(80877103, nil), "end"},
		"GSSENCRequest inside of TLS": {packet(80877104, nil), "end"},
	} {
		t.Run(name, func(t *testing.T) {
			s := g.secure(t)
			write(t, s, c.first)
			if got := answer(t, s); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if len(g.Sessions()) != 0 {
		t.Error("a session was opened")
	}
}

func TestRedteam11_SecondStartUpDuringAuthentication(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	s := g.secure(t)
	write(t, s, startup("user\x00job", "database\x00prod-db"))
	if got := answer(t, s); got != "AuthenticationCleartextPassword" {
		t.Fatal(got)
	}
	write(t, s, startup("user\x00somebody-else", "database\x00other-db"))
	if got := answer(t, s); got != "error GS1502" && got != "end" {
		t.Errorf("got %q", got)
	}
	if len(g.Sessions()) != 0 {
		t.Error("a session was opened")
	}
}

func TestRedteam11_BytesPipelinedBeforeTLS(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	c := g.plain(t)
	// What an attacker in the middle would slip in: it must not be taken as if
	// it had come through TLS.
	write(t, c, append(packet(80877103, nil), startup("user\x00mallory", "database\x00prod-db")...))
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || b[0] != 'S' {
		t.Fatalf("%q, %v", b, err)
	}
	s := tls.Client(c, &tls.Config{RootCAs: g.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	if err := s.HandshakeContext(t.Context()); err == nil {
		t.Fatal("the handshake went on over injected bytes")
	}
	if len(g.Sessions()) != 0 {
		t.Error("a session was opened")
	}
}

func TestRedteam11_PlainTextIsRefused(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	c := g.plain(t)
	write(t, c, startup("user\x00job", "database\x00prod-db"))
	if got := answer(t, c); got != "error GS1110" {
		t.Errorf("got %q", got)
	}
}

func TestRedteam11_GSSIsDeclinedOnce(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	c := g.plain(t)
	var b [1]byte
	write(t, c, packet(80877104, nil))
	if _, err := io.ReadFull(c, b[:]); err != nil || b[0] != 'N' {
		t.Fatalf("%q, %v", b, err)
	}
	write(t, c, packet(80877103, nil)) // as libpq goes on
	if _, err := io.ReadFull(c, b[:]); err != nil || b[0] != 'S' {
		t.Fatalf("%q, %v", b, err)
	}
	again := g.plain(t)
	for range 2 {
		write(t, again, packet(80877104, nil))
	}
	if got, err := io.ReadAll(again); err != nil && !strings.Contains(err.Error(), "reset") || string(got) != "N" {
		t.Errorf("asked twice: %q, %v", got, err)
	}
}

func TestDirectTLS(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	t.Run("with ALPN", func(t *testing.T) {
		s := tls.Client(g.plain(t), &tls.Config{RootCAs: g.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"}})
		write(t, s, startup("user\x00job", "database\x00prod-db"))
		if got := answer(t, s); got != "AuthenticationCleartextPassword" {
			t.Error(got)
		}
	})
	t.Run("without ALPN", func(t *testing.T) {
		s := tls.Client(g.plain(t), &tls.Config{RootCAs: g.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
		write(t, s, startup("user\x00job", "database\x00prod-db"))
		if got := answer(t, s); got != "end" {
			t.Error(got)
		}
	})
}

func TestRedteam05_SilentConnections(t *testing.T) {
	g := start(t, &seamtest.Gate{}, func(o *postgres.Options) {
		o.Limits.Startup, o.Limits.Unauthenticated = 300*time.Millisecond, 8
	})
	t.Run("silence is ended", func(t *testing.T) {
		for name, first := range map[string][]byte{"not a byte": nil, "half a packet": {0, 0, 0, 50, 0, 3}, "half a handshake": {0x16, 3, 1}} {
			t.Run(name, func(t *testing.T) {
				c := g.plain(t)
				write(t, c, first)
				if got := answer(t, c); got != "end" {
					t.Error(got)
				}
			})
		}
	})
	// The honest client below may be slow on a busy machine: only the crowd's
	// size is bounded here, not its time.
	g = start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.Limits.Unauthenticated = 8 })
	t.Run("a crowd does not keep others out", func(t *testing.T) {
		for range 50 {
			g.plain(t)
		}
		// The last of the crowd may still be on their way in and push one client
		// out; they cannot keep on.
		deadline := time.Now().Add(10 * time.Second)
		for {
			conn, err := pgconn.ConnectConfig(t.Context(), g.config(t))
			if err == nil {
				if err := conn.Close(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	})
	t.Run("a crowd from one address pushes out its own", func(t *testing.T) {
		g := start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.Limits.Unauthenticated = 8 })
		alone := g.plain(t) // silent too, and the oldest
		const crowd, room = 50, 8
		gone := make(chan struct{}, crowd)
		for range crowd {
			c := g.from(t, "127.0.0.2")
			go func() {
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
					gone <- struct{}{}
				}
			}()
		}
		for range crowd - room { // whoever is left has found its place
			select {
			case <-gone:
			case <-time.After(10 * time.Second):
				t.Fatal("the crowd stays")
			}
		}
		write(t, alone, packet(80877103, nil))
		var b [1]byte
		if _, err := io.ReadFull(alone, b[:]); err != nil || b[0] != 'S' {
			t.Errorf("SSLRequest: %q, %v", b, err)
		}
	})
	t.Run("a giant password", func(t *testing.T) {
		s := g.secure(t)
		write(t, s, startup("user\x00job", "database\x00prod-db"))
		if got := answer(t, s); got != "AuthenticationCleartextPassword" {
			t.Fatal(got)
		}
		write(t, s, []byte{'p', 0x7f, 0xff, 0xff, 0xff, 'x'})
		if got := answer(t, s); got != "error GS1502" {
			t.Error(got)
		}
	})
}

func TestRefusedLogin(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	c := g.config(t)
	c.Password = "wrong"
	_, err := pgconn.ConnectConfig(t.Context(), c)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if refused.Severity != "FATAL" || refused.Code != "28P01" || !strings.HasPrefix(refused.Message, "GS1101: ") ||
		!strings.HasSuffix(refused.Detail, `gatestay: {"code":"GS1101"}`) || refused.Hint == "" {
		t.Errorf("%+v", refused)
	}
}

// TestRedteam15_UpstreamLoginTellsNothing lets the sign-in upstream fail in
// each way and looks for what the client must not learn.
func TestRedteam15_UpstreamLoginTellsNothing(t *testing.T) {
	secrets := []string{"hunter2hunter2", "secret-user", "secret-database", "127.0.0.1", "secret.host.invalid", "127.0.0.2"}
	for name, change := range map[string]func(*seamtest.Gate){
		"wrong password": func(g *seamtest.Gate) { g.Upstream.Password = secrets[0] },
		"wrong user":     func(g *seamtest.Gate) { g.Upstream.User = secrets[1] },
		"no database":    func(g *seamtest.Gate) { g.Upstream.Database = secrets[2] },
		"nobody listens": func(g *seamtest.Gate) { g.Upstream.Address = "127.0.0.1:1" },
		"no such host":   func(g *seamtest.Gate) { g.Upstream.Address = secrets[4] + ":5432" },
		"wrong name": func(g *seamtest.Gate) {
			g.Upstream.Address = strings.Replace(target.Address, "127.0.0.1", secrets[5], 1)
		},
		"wrong CA": func(g *seamtest.Gate) { g.Upstream.CA = "" },
	} {
		t.Run(name, func(t *testing.T) {
			gate := &seamtest.Gate{Upstream: upstreamOf(t)}
			change(gate)
			g := start(t, gate)
			_, err := pgconn.ConnectConfig(t.Context(), g.config(t))
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || !strings.HasPrefix(refused.Message, "GS1111: ") {
				t.Fatal(err)
			}
			said := refused.Message + refused.Detail + refused.Hint
			for _, secret := range secrets {
				if strings.Contains(said, secret) {
					t.Errorf("the client is told %q: %s", secret, said)
				}
			}
			if g.Sessions()[0].Closed() == "" {
				t.Error("the session was not closed")
			}
		})
	}
}

// TestRedteam11_PasswordOfNegativeLength breaks the protocol before there is a
// session.
func TestRedteam11_PasswordOfNegativeLength(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	for _, length := range []uint32{0, 3, 1 << 31, 1<<32 - 1} {
		s := g.secure(t)
		write(t, s, startup("user\x00job", "database\x00prod-db"))
		if got := answer(t, s); got != "AuthenticationCleartextPassword" {
			t.Fatal(got)
		}
		write(t, s, binary.BigEndian.AppendUint32([]byte{'p'}, length))
		if got := answer(t, s); got != "error GS1502" {
			t.Errorf("length %d: %s", length, got)
		}
	}
}

func TestTargetAndDatabase(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "CREATE DATABASE otherdb"); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{})
	c := g.config(t)
	c.Database = "prod-db/otherdb"
	conn, err := pgconn.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	r := conn.ExecParams(t.Context(), "SELECT current_database()", nil, nil, nil, nil).Read()
	if r.Err != nil || string(r.Rows[0][0]) != "otherdb" {
		t.Errorf("%v, %v", r.Rows, r.Err)
	}
	if got := g.Sessions()[0].Credentials; got.Target != "prod-db" || got.Database != "otherdb" || got.Asserted["user"] != "job" {
		t.Errorf("%+v", got)
	}
	if got := conn.ParameterStatus("session_authorization"); got != "job" {
		t.Errorf("the client learns the target's user: %q", got)
	}
}
