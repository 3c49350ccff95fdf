package run

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

const (
	credential = "gsr_the-run-bound-credential"
	jobToken   = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJnYXRlc3RheSJ9.c2ln" // aud: gatestay
)

// fakeGateway speaks TLS, the start-up and a few queries, as the real one does,
// and the exchange API. A test breaks parts of it.
type fakeGateway struct {
	t        *testing.T
	ca       string // PEM file
	cert     tls.Certificate
	api      *httptest.Server
	listener net.Listener
	sessions sync.WaitGroup

	// How it behaves; set before use.
	answerTLS  byte                      // to an SSLRequest; default S
	login      []pgproto3.BackendMessage // instead of asking for a password
	refuse     *pgproto3.ErrorResponse   // after the password
	apiHandler http.HandlerFunc          // instead of the API

	mu        sync.Mutex
	log       seen
	cancelled chan struct{} // closed by a CancelRequest with the right key
	conns     map[net.Conn]bool
}

// seen is what reached the gateway.
type seen struct {
	passwords []string
	startups  []map[string]string
	exchanges []url.Values
	headers   []http.Header
	ended     []string
}

// seen returns what has reached the gateway so far.
func (g *fakeGateway) seen() seen {
	g.mu.Lock()
	defer g.mu.Unlock()
	return seen{
		slices.Clone(g.log.passwords), slices.Clone(g.log.startups), slices.Clone(g.log.exchanges), slices.Clone(g.log.headers), slices.Clone(g.log.ended),
	}
}

var cancelKey = []byte{1, 2, 3, 4}

func newFakeGateway(t *testing.T) *fakeGateway {
	t.Helper()
	g := &fakeGateway{t: t, answerTLS: 'S', cancelled: make(chan struct{}), conns: map[net.Conn]bool{}}
	g.cert, g.ca = certificate(t, "127.0.0.1")
	g.api = httptest.NewUnstartedServer(http.HandlerFunc(g.serveAPI))
	g.api.TLS = &tls.Config{Certificates: []tls.Certificate{g.cert}, MinVersion: tls.VersionTLS12}
	g.api.StartTLS()
	var err error
	if g.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	g.sessions.Go(func() {
		for {
			conn, err := g.listener.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			g.conns[conn] = true
			g.mu.Unlock()
			g.sessions.Go(func() { defer func() { _ = conn.Close() }(); g.serve(conn) })
		}
	})
	t.Cleanup(func() {
		g.api.Close()
		_ = g.listener.Close()
		g.mu.Lock()
		for c := range g.conns {
			_ = c.Close()
		}
		g.mu.Unlock()
		g.sessions.Wait()
	})
	return g
}

func certificate(t *testing.T, host string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

func (g *fakeGateway) serveAPI(w http.ResponseWriter, r *http.Request) {
	if g.apiHandler != nil {
		g.apiHandler(w, r)
		return
	}
	_ = r.ParseForm()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log.headers = append(g.log.headers, r.Header)
	switch r.URL.Path {
	case "/v1/exchange":
		g.log.exchanges = append(g.log.exchanges, r.PostForm)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": credential, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "N_A",
			"expires_in": 3600, "connections": 4, "run": "run_01TEST", "trace_id": "0af7651916cd43dd8448eb211c80319c",
		})
	case "/v1/runs/end":
		g.log.ended = append(g.log.ended, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNoContent)
	case "/v1/can":
		if r.Header.Get("Authorization") != "Bearer "+credential {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"target": r.URL.Query().Get("target"), "principal": "acme/shop", "allowed": []string{"read"}})
	default:
		http.NotFound(w, r)
	}
}

// serve is one connection of the PostgreSQL side.
func (g *fakeGateway) serve(raw net.Conn) {
	b := pgproto3.NewBackend(raw, raw)
	m, err := b.ReceiveStartupMessage()
	if _, ok := m.(*pgproto3.SSLRequest); err != nil || !ok {
		g.t.Errorf("the gateway got %T in plain text", m)
		return
	}
	if _, err := raw.Write([]byte{g.answerTLS}); err != nil || g.answerTLS != 'S' {
		rest, _ := io.ReadAll(raw)
		if len(rest) > 0 {
			g.t.Errorf("%d bytes in plain text after TLS was refused", len(rest))
		}
		return
	}
	conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{g.cert}, MinVersion: tls.VersionTLS12})
	b = pgproto3.NewBackend(conn, conn)
	m, err = b.ReceiveStartupMessage()
	if err != nil {
		return
	}
	switch m := m.(type) {
	case *pgproto3.CancelRequest:
		if m.ProcessID == 42 && bytes.Equal(m.SecretKey, cancelKey) {
			close(g.cancelled)
		}
	case *pgproto3.StartupMessage:
		g.mu.Lock()
		g.log.startups = append(g.log.startups, m.Parameters)
		g.mu.Unlock()
		if g.authenticate(b) {
			g.queries(conn, b)
		}
	}
}

func (g *fakeGateway) authenticate(b *pgproto3.Backend) bool {
	ask := g.login
	if ask == nil {
		ask = []pgproto3.BackendMessage{&pgproto3.AuthenticationCleartextPassword{}}
	}
	for _, m := range ask {
		b.Send(m)
	}
	auth := uint32(pgproto3.AuthTypeCleartextPassword)
	if _, ok := ask[len(ask)-1].(*pgproto3.AuthenticationSASL); ok {
		auth = pgproto3.AuthTypeSASL
	}
	_ = b.SetAuthType(auth)
	if b.Flush() != nil {
		return false
	}
	m, err := b.Receive()
	if err != nil {
		return false
	}
	given := ""
	switch m := m.(type) {
	case *pgproto3.PasswordMessage:
		given = m.Password
	case *pgproto3.SASLInitialResponse:
		given = string(m.Data)
	default:
		return false
	}
	g.mu.Lock()
	g.log.passwords = append(g.log.passwords, given)
	g.mu.Unlock()
	if g.refuse != nil && auth == pgproto3.AuthTypeSASL {
		b.Send(&pgproto3.AuthenticationSASLContinue{Data: []byte(`{"status":"invalid_token"}`)})
		_ = b.SetAuthType(pgproto3.AuthTypeSASLContinue)
		if b.Flush() != nil {
			return false
		}
		if _, err := b.Receive(); err != nil {
			return false
		}
	}
	if g.refuse != nil {
		b.Send(g.refuse)
		_ = b.Flush()
		return false
	}
	// All at once: what follows AuthenticationOk must not be lost.
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "18.0"})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 42, SecretKey: cancelKey})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return b.Flush() == nil
}

// queries answers simple queries: hang waits to be cancelled, big is 8 MiB.
func (g *fakeGateway) queries(conn net.Conn, b *pgproto3.Backend) {
	for {
		m, err := b.Receive()
		if err != nil {
			return
		}
		q, ok := m.(*pgproto3.Query)
		if !ok {
			return
		}
		value := []byte(q.String)
		switch q.String {
		case "hang":
			select {
			case <-g.cancelled:
				b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "57014", Message: "canceling statement due to user request"})
			case <-time.After(20 * time.Second):
			}
		case "big":
			value = bytes.Repeat([]byte("0123456789abcdef"), 8<<16)
			fallthrough
		default:
			b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("v"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}}})
			b.Send(&pgproto3.DataRow{Values: [][]byte{value}})
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		}
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if b.Flush() != nil {
			return
		}
		if q.String == "last words" {
			_ = conn.Close()
		}
	}
}

// env is a command line that finds this gateway.
func (g *fakeGateway) env(t *testing.T, vars map[string]string) (*cli.Env, *syncBuffer, *syncBuffer) {
	t.Helper()
	all := map[string]string{
		"GATESTAY_GATEWAY": g.api.URL, "GATESTAY_POSTGRES": g.listener.Addr().String(), "GATESTAY_CA": g.ca, "GATESTAY_ID_TOKEN": jobToken,
	}
	for name, value := range vars {
		all[name] = value
	}
	var stdout, stderr syncBuffer
	return &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Dir: t.TempDir(), Output: "text",
		Getenv: func(name string) string { return all[name] },
	}, &stdout, &stderr
}

func (g *fakeGateway) client(t *testing.T) *Gateway {
	t.Helper()
	env, _, _ := g.env(t, nil)
	c, err := NewGateway(env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// syncBuffer is a buffer that two goroutines may use.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }
