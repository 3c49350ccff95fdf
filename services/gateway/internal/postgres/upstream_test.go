package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// authority signs the gateway's certificates for the target.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

// issue returns the path of a certificate for a name, and its key.
func (a *authority) issue(t testing.TB, name string) (path, key string) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.certificate, &own.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "client.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

const rolePassword = "correct horse"

// access lets the target ask each role in its own way.
const access = `hostssl all by_cert 127.0.0.1/32 cert
hostssl all by_both 127.0.0.1/32 scram-sha-256 clientcert=verify-full
host all by_md5 127.0.0.1/32 md5
host all by_password 127.0.0.1/32 password
host all by_trust 127.0.0.1/32 trust
`

// roles makes the target's roles, once, and returns who signs certificates.
var roles = func() func(t testing.TB) *authority {
	var once sync.Once
	var a *authority
	return func(t testing.TB) *authority {
		t.Helper()
		once.Do(func() {
			a = newAuthority(t)
			var path string
			if err := direct(t).QueryRow(t.Context(), "SHOW hba_file").Scan(&path); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			ca := filepath.Join(filepath.Dir(path), "clients.pem")
			for file, text := range map[string][]byte{
				path: append([]byte(access), before...),
				ca:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}),
			} {
				if err := os.WriteFile(file, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := target.Exec(t.Context(), "postgres", `
				CREATE ROLE by_cert LOGIN; CREATE ROLE by_trust LOGIN;
				CREATE ROLE by_both LOGIN PASSWORD '`+rolePassword+`'; CREATE ROLE by_password LOGIN PASSWORD '`+rolePassword+`';
				SET password_encryption = md5; CREATE ROLE by_md5 LOGIN PASSWORD '`+rolePassword+`';`); err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{"ALTER SYSTEM SET ssl_ca_file = '" + ca + "'", "SELECT pg_reload_conf()"} {
				if err := target.Exec(t.Context(), "postgres", statement); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the target has read its configuration", func() bool {
				config := directConfig(t)
				config.User, config.Password = "by_trust", "is not asked for"
				conn, err := pgconn.ConnectConfig(t.Context(), config)
				return err == nil && conn.Close(t.Context()) == nil
			})
		})
		return a
	}
}()

// signIn lets the gateway sign in to a target; it returns the refusal, or nil.
func signIn(t testing.TB, up seam.Upstream) *pgconn.PgError {
	t.Helper()
	g := start(t, &seamtest.Gate{Upstream: up})
	conn, err := pgconn.ConnectConfig(t.Context(), g.config(t))
	if err == nil {
		r := conn.ExecParams(t.Context(), "SELECT 1", nil, nil, nil, nil).Read()
		if r.Err != nil {
			t.Error(r.Err)
		}
		_ = conn.Close(t.Context())
		return nil
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Message, "GS1111: ") {
		t.Fatalf("not a refusal: %v", err)
	}
	for _, secret := range []string{up.Password, up.User, up.Address, "PRIVATE KEY"} {
		if secret != "" && strings.Contains(refused.Message+refused.Detail+refused.Hint, secret) {
			t.Errorf("the client is told %q: %+v", secret, refused)
		}
	}
	return refused
}

// TestSignIn proves itself to a real server in each way there is.
func TestSignIn(t *testing.T) {
	a := roles(t)
	pair := func(u *seam.Upstream, name string) { u.Certificate, u.Key = a.issue(t, name) }
	for name, c := range map[string]struct {
		change func(*seam.Upstream)
		ok     bool
	}{
		"scram, bound":                  {func(u *seam.Upstream) { u.ChannelBinding = true }, true},
		"scram, bound, direct":          {func(u *seam.Upstream) { u.ChannelBinding, u.Direct = true, true }, true},
		"scram, bound, whoever answers": {func(u *seam.Upstream) { u.ChannelBinding, u.TLS = true, "require" }, true},
		"scram, verify-ca":              {func(u *seam.Upstream) { u.TLS = "verify-ca" }, true},
		"scram, no TLS":                 {func(u *seam.Upstream) { u.TLS = "disable" }, true},
		"bound, no TLS":                 {func(u *seam.Upstream) { u.TLS, u.ChannelBinding = "disable", true }, false},
		"direct, no TLS":                {func(u *seam.Upstream) { u.TLS, u.Direct = "disable", true }, false},
		"prefer":                        {func(u *seam.Upstream) { u.TLS = "prefer" }, false},
		"md5":                           {func(u *seam.Upstream) { u.User, u.Password = "by_md5", rolePassword }, true},
		"md5, bound":                    {func(u *seam.Upstream) { u.User, u.Password, u.ChannelBinding = "by_md5", rolePassword, true }, false},
		"md5, whoever answers":          {func(u *seam.Upstream) { u.User, u.Password, u.TLS = "by_md5", rolePassword, "require" }, false},
		"md5, no TLS":                   {func(u *seam.Upstream) { u.User, u.Password, u.TLS = "by_md5", rolePassword, "disable" }, false},
		"md5, no TLS, said so": {func(u *seam.Upstream) {
			u.User, u.Password, u.TLS, u.RequireAuth = "by_md5", rolePassword, "disable", []string{"md5"}
		}, true},
		"password":                  {func(u *seam.Upstream) { u.User, u.Password = "by_password", rolePassword }, true},
		"password, bound":           {func(u *seam.Upstream) { u.User, u.Password, u.ChannelBinding = "by_password", rolePassword, true }, false},
		"password, whoever answers": {func(u *seam.Upstream) { u.User, u.Password, u.TLS = "by_password", rolePassword, "require" }, false},
		"password, no TLS, said so": {func(u *seam.Upstream) {
			u.User, u.Password, u.TLS, u.RequireAuth = "by_password", rolePassword, "disable", []string{"password"}
		}, false},
		"password, forbidden": {func(u *seam.Upstream) {
			u.User, u.Password, u.RequireAuth = "by_password", rolePassword, []string{"scram-sha-256"}
		}, false},
		"trust":                 {func(u *seam.Upstream) { u.User, u.Password = "by_trust", "" }, false},
		"trust, and a password": {func(u *seam.Upstream) { u.User, u.Password = "by_trust", rolePassword }, false},
		"trust, said so":        {func(u *seam.Upstream) { u.User, u.Password, u.RequireAuth = "by_trust", "", []string{"none"} }, true},
		"a certificate":         {func(u *seam.Upstream) { u.User, u.Password = "by_cert", ""; pair(u, "by_cert") }, true},
		"a certificate, direct": {func(u *seam.Upstream) { u.User, u.Password, u.Direct = "by_cert", "", true; pair(u, "by_cert") }, true},
		"another's certificate": {func(u *seam.Upstream) { u.User, u.Password = "by_cert", ""; pair(u, "by_both") }, false},
		"no certificate":        {func(u *seam.Upstream) { u.User, u.Password = "by_cert", "" }, false},
		"a certificate of another CA": {func(u *seam.Upstream) {
			u.User, u.Password = "by_cert", ""
			u.Certificate, u.Key = newAuthority(t).issue(t, "by_cert")
		}, false},
		"a certificate and another's key": {func(u *seam.Upstream) {
			u.User, u.Password = "by_cert", ""
			pair(u, "by_cert")
			_, u.Key = a.issue(t, "by_cert")
		}, false},
		"a certificate and a password": {func(u *seam.Upstream) { u.User, u.Password = "by_both", rolePassword; pair(u, "by_both") }, true},
		"a certificate and a password, bound": {func(u *seam.Upstream) {
			u.User, u.Password, u.ChannelBinding = "by_both", rolePassword, true
			pair(u, "by_both")
		}, true},
		"a password where a certificate is due": {func(u *seam.Upstream) { u.User, u.Password = "by_both", rolePassword }, false},
		"a certificate and a wrong password":    {func(u *seam.Upstream) { u.User, u.Password = "by_both", "wrong horse"; pair(u, "by_both") }, false},
		"a certificate that is not there":       {func(u *seam.Upstream) { u.Certificate, u.Key = "/nowhere/client.pem", "x" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			up := upstreamOf(t)
			c.change(&up)
			if refused := signIn(t, up); (refused == nil) != c.ok {
				t.Errorf("%+v", refused)
			}
		})
	}
}

// TestCancelOverDirectTLS cancels on the target in the way that the session
// itself was encrypted.
func TestCancelOverDirectTLS(t *testing.T) {
	up := upstreamOf(t)
	up.Direct = true
	g := start(t, &seamtest.Gate{Upstream: up})
	r := dialRaw(t, g.config(t))
	sleep(t, r, "dt_slow")
	g.cancelRequest(t, r.pid, r.key)
	if got := r.until(t, 1); got[len(got)-2] != "error 57014" {
		t.Errorf("%q", got)
	}
}
