package postgres_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// impostor answers in the target's place, with a certificate of its own.
type impostor struct {
	addr string
	ca   string // path of its certificate

	mu     sync.Mutex
	proofs [][]byte // what it was sent to prove who the gateway is
	starts int      // start-up packets it was sent
}

// newImpostor starts one that plays a script once it has had a start-up packet.
func newImpostor(t testing.TB, script func(i *impostor, c *tls.Conn, b *pgproto3.Backend)) *impostor {
	t.Helper()
	cert, _ := certificate(t)
	i := &impostor{ca: filepath.Join(t.TempDir(), "impostor.pem")}
	if err := os.WriteFile(i.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"}}
	i.addr = listen(t, func(raw net.Conn) {
		first, err := wire.ReadStartup(raw)
		if err != nil || first.Code != wire.CodeSSL {
			return
		}
		_, _ = raw.Write([]byte{'S'})
		c := tls.Server(raw, config)
		b := pgproto3.NewBackend(c, c)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return
		}
		i.mu.Lock()
		i.starts++
		i.mu.Unlock()
		script(i, c, b)
	})
	return i
}

// listen serves connections until the test ends.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			all.Go(func() { defer func() { _ = c.Close() }(); serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String()
}

// ask sends messages and keeps what is answered.
func (i *impostor) ask(b *pgproto3.Backend, auth uint32, m ...pgproto3.BackendMessage) {
	for _, m := range m {
		b.Send(m)
	}
	if b.Flush() != nil || b.SetAuthType(auth) != nil {
		return
	}
	got, err := b.Receive()
	if err != nil {
		return
	}
	raw, _ := got.Encode(nil)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.proofs = append(i.proofs, raw)
}

func (i *impostor) got() [][]byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.proofs)
}

// TestRedteam11_Impostor stands in the target's place where its certificate is
// not checked (tls: require), and asks for the password in each way: it gets
// neither that, nor a hash that is fast to guess, and no session.
func TestRedteam11_Impostor(t *testing.T) {
	welcome := []pgproto3.BackendMessage{
		&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"}, &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: make([]byte, 4)},
		&pgproto3.ReadyForQuery{TxStatus: 'I'},
	}
	for name, c := range map[string]struct {
		ask     []pgproto3.BackendMessage
		auth    uint32
		binding bool
		proof   string // what it may be sent at most
	}{
		"the password":                   {ask: []pgproto3.BackendMessage{&pgproto3.AuthenticationCleartextPassword{}}, auth: pgproto3.AuthTypeCleartextPassword},
		"a hash":                         {ask: []pgproto3.BackendMessage{&pgproto3.AuthenticationMD5Password{Salt: [4]byte{1, 2, 3, 4}}}, auth: pgproto3.AuthTypeMD5Password},
		"nothing":                        {ask: welcome},
		"to be let in without a word":    {ask: welcome[3:]},
		"a token":                        {ask: []pgproto3.BackendMessage{&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"OAUTHBEARER"}}}, auth: pgproto3.AuthTypeSASL},
		"Kerberos":                       {ask: []pgproto3.BackendMessage{&pgproto3.AuthenticationGSS{}}, auth: pgproto3.AuthTypeGSS},
		"scram without binding, to bind": {ask: []pgproto3.BackendMessage{&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}}, auth: pgproto3.AuthTypeSASL, binding: true},
		"scram, and then nothing": {
			ask:  append([]pgproto3.BackendMessage{&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}}, welcome...),
			auth: pgproto3.AuthTypeSASL, proof: "SCRAM-SHA-256",
		},
		"a giant key": {ask: append(slices.Clone(welcome[:2]), &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: make([]byte, 257)}, welcome[3])},
	} {
		t.Run(name, func(t *testing.T) {
			i := newImpostor(t, func(i *impostor, _ *tls.Conn, b *pgproto3.Backend) { i.ask(b, c.auth, c.ask...) })
			up := upstreamOf(t)
			up.Address, up.TLS, up.ChannelBinding = i.addr, "require", c.binding
			if name == "a giant key" {
				up.RequireAuth = []string{"none"}
			}
			if signIn(t, up) == nil {
				t.Fatal("a session was opened")
			}
			for _, p := range i.got() {
				if p[0] == 'p' && (c.proof == "" || !bytes.Contains(p, []byte(c.proof))) {
					t.Errorf("the impostor got %q", p)
				}
				if bytes.Contains(p, []byte(up.Password)) {
					t.Errorf("the impostor got the password: %q", p)
				}
			}
		})
	}
	t.Run("where the certificate is checked", func(t *testing.T) {
		for _, mode := range []string{"verify-full", "verify-ca"} {
			i := newImpostor(t, func(i *impostor, _ *tls.Conn, b *pgproto3.Backend) {
				i.ask(b, pgproto3.AuthTypeCleartextPassword, &pgproto3.AuthenticationCleartextPassword{})
			})
			up := upstreamOf(t)
			up.Address, up.TLS = i.addr, mode
			if signIn(t, up) == nil || i.starts > 0 {
				t.Errorf("%s: it was told %d times who signs in", mode, i.starts)
			}
		}
	})
}

// TestRedteam11_RelayedScram has somebody between who speaks TLS with both sides
// and hands the proof on to the real target, as it came or without the word
// that binding is possible. The proof is bound to another certificate, and the
// target does not take it.
func TestRedteam11_RelayedScram(t *testing.T) {
	roots, err := os.ReadFile(target.CA)
	if err != nil {
		t.Fatal(err)
	}
	for name, strip := range map[string]bool{"as it came": false, "binding taken out": true} {
		for _, binding := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				i := newImpostor(t, func(_ *impostor, c *tls.Conn, _ *pgproto3.Backend) { between(t, c, roots, strip) })
				up := upstreamOf(t)
				up.Address, up.TLS, up.ChannelBinding = i.addr, "require", binding
				if signIn(t, up) == nil {
					t.Error("a session was opened through somebody")
				}
			})
		}
	}
}

// between signs in at the real target with what the gateway says.
func between(t testing.TB, gateway *tls.Conn, roots []byte, strip bool) {
	raw, err := net.Dial("tcp", target.Address)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = raw.Write(packet(80877103, nil))
	if _, err := io.ReadFull(raw, make([]byte, 1)); err != nil {
		t.Error(err)
		return
	}
	server := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // an attacker does not care
	_, _ = server.Write(startup("user\x00"+target.Superuser, "database\x00postgres"))
	front, back := pgproto3.NewFrontend(server, server), pgproto3.NewBackend(gateway, gateway)
	for auth := uint32(pgproto3.AuthTypeSASL); ; auth = pgproto3.AuthTypeSASLContinue {
		m, err := front.Receive()
		if err != nil {
			return
		}
		if sasl, ok := m.(*pgproto3.AuthenticationSASL); ok && strip {
			sasl.AuthMechanisms = []string{"SCRAM-SHA-256"}
		}
		back.Send(m)
		if _, refused := m.(*pgproto3.ErrorResponse); back.Flush() != nil || refused || back.SetAuthType(auth) != nil {
			return
		}
		answer, err := back.Receive()
		if err != nil {
			return
		}
		front.Send(answer)
		if front.Flush() != nil {
			return
		}
	}
}

// TestRedteam11_EncryptionTakenAway has somebody on the wire refuse encryption
// in the target's name, say something in the clear, or slip in what a client
// could take for encrypted [CVE-2021-23222]: nothing is sent in the clear, and
// the client is told none of it.
func TestRedteam11_EncryptionTakenAway(t *testing.T) {
	said, err := (&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28000", Message: "send your password to mallory"}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	ok, err := (&pgproto3.AuthenticationOk{}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string][]byte{
		"refused": {'N'}, "an error in the clear": said, "something before TLS": append([]byte{'S'}, ok...), "an error before TLS": append([]byte{'S'}, said...), "GSS": {'G'}, "silence": nil,
	} {
		for _, mode := range []string{"require", "verify-full"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				var mu sync.Mutex
				var clear []byte
				up := upstreamOf(t)
				up.TLS = mode
				up.Address = listen(t, func(c net.Conn) {
					if _, err := wire.ReadStartup(c); err != nil {
						return
					}
					_, _ = c.Write(answer)
					if answer == nil {
						return
					}
					rest, _ := io.ReadAll(io.LimitReader(c, 1<<16))
					mu.Lock()
					defer mu.Unlock()
					clear = append(clear, rest...)
				})
				refused := signIn(t, up)
				if refused == nil {
					t.Fatal("a session was opened")
				}
				if strings.Contains(refused.Message+refused.Detail+refused.Hint, "mallory") {
					t.Errorf("the client is told what came in the clear: %+v", refused)
				}
				mu.Lock()
				defer mu.Unlock()
				if bytes.Contains(clear, []byte("user\x00")) || bytes.Contains(clear, []byte(target.Password)) {
					t.Errorf("in the clear: %q", clear)
				}
			})
		}
	}
}

// TestRedteam11_DirectTLSToAnotherProtocol leads the gateway to a server of
// another protocol that has the right certificate.
func TestRedteam11_DirectTLSToAnotherProtocol(t *testing.T) {
	cert, _ := certificate(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, protocols := range map[string][]string{"names none": nil, "names another": {"http/1.1"}} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			told := false
			address := listen(t, func(c net.Conn) {
				s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: protocols})
				n, _ := s.Read(make([]byte, 1))
				mu.Lock()
				defer mu.Unlock()
				told = told || n > 0
			})
			if signIn(t, seam.Upstream{Address: address, User: "app", Password: "s3cret-s3cret", Database: "shop", TLS: "verify-full", CA: ca, Direct: true}) == nil {
				t.Error("a session was opened")
			}
			mu.Lock()
			defer mu.Unlock()
			if told {
				t.Error("it was told who signs in")
			}
		})
	}
}
