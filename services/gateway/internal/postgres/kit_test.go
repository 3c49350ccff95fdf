package postgres_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// gateway is a Server under test.
type gateway struct {
	*seamtest.Gate
	addr  string
	roots *x509.CertPool
	leaf  []byte
	stop  context.CancelFunc
	ended chan error
}

func upstreamOf(t testing.TB) seam.Upstream {
	t.Helper()
	return seam.Upstream{Address: target.Address, Database: "postgres", User: target.Superuser, Password: target.Password, TLS: "verify-full", CA: target.CA}
}

// start runs a gateway with a scripted gate until the test ends.
func start(t testing.TB, gate *seamtest.Gate, change ...func(*postgres.Options)) *gateway {
	t.Helper()
	if gate.Upstream.Address == "" {
		gate.Upstream = upstreamOf(t)
	}
	cert, roots := certificate(t)
	o := postgres.Options{
		TLS:  &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		Gate: gate, Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel),
	}
	for _, f := range change {
		f(&o)
	}
	s, err := postgres.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &gateway{Gate: gate, addr: l.Addr().String(), roots: roots, leaf: cert.Certificate[0], stop: cancel, ended: make(chan error, 1)}
	go func() { g.ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-g.ended:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(20 * time.Second):
			stacks := make([]byte, 1<<20)
			t.Errorf("Serve did not end:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	})
	return g
}

// config is how a client connects to the gateway.
func (g *gateway) config(t testing.TB) *pgconn.Config {
	t.Helper()
	c, err := pgconn.ParseConfig("host=127.0.0.1 user=job password=" + seamtest.Secret + " dbname=prod-db sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(g.addr)
	var n uint16
	for _, d := range port {
		n = n*10 + uint16(d-'0')
	}
	c.Host, c.Port = host, n
	c.TLSConfig = &tls.Config{RootCAs: g.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	return c
}

// connect opens a session with pgx.
func (g *gateway) connect(t testing.TB, change ...func(*pgx.ConnConfig)) *pgx.Conn {
	t.Helper()
	c, err := pgx.ParseConfig("host=127.0.0.1 user=x sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	c.Config = *g.config(t)
	for _, f := range change {
		f(c)
	}
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// direct opens a session with the target itself.
func direct(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), target.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// seen reports that the target's log of statements holds a text.
func seen(t testing.TB, text string) bool {
	t.Helper()
	log, err := os.ReadFile(target.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(log, []byte(text))
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func targetLog(t testing.TB) string {
	t.Helper()
	log, err := os.ReadFile(target.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// refusing is a gate that turns everybody away.
type refusing struct {
	*seamtest.Gate
	cause error
}

// Authenticate implements seam.Gate.
func (r *refusing) Authenticate(context.Context, seam.Credentials) (seam.Session, error) {
	return nil, r.cause
}
