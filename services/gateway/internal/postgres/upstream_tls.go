package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// authorities are the pools of CA certificates, by what their files hold: a
// thousand sessions with one target need one. The file is read anew each time, so
// that a renewed one counts at once. Safe for concurrent use; the zero value is
// empty.
type authorities struct {
	mu    sync.Mutex
	pools map[string]*x509.CertPool
}

// maxAuthorities bounds the pools that are kept.
const maxAuthorities = 64

func (a *authorities) pool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path) //nolint:gosec // the operator's own configuration names it
	if err != nil {
		return nil, fmt.Errorf("postgres: target CA: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if pool := a.pools[string(pem)]; pool != nil {
		return pool, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("postgres: target CA: the file holds no certificate")
	}
	if a.pools == nil || len(a.pools) >= maxAuthorities {
		a.pools = map[string]*x509.CertPool{}
	}
	a.pools[string(pem)] = pool
	return pool, nil
}

// tlsConfig is nil only where the target's configuration says "disable".
func (a *authorities) tlsConfig(up seam.Upstream, host string) (*tls.Config, error) {
	// The name of the protocol keeps the connection from being led to a server of
	// another one.
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, NextProtos: []string{alpn}}
	if up.CA != "" {
		var err error
		if c.RootCAs, err = a.pool(up.CA); err != nil {
			return nil, err
		}
	}
	if up.Certificate != "" {
		pem, err := os.ReadFile(up.Certificate)
		if err != nil {
			return nil, fmt.Errorf("postgres: certificate for the target: %w", err)
		}
		pair, err := tls.X509KeyPair(pem, []byte(up.Key))
		if err != nil {
			return nil, fmt.Errorf("postgres: certificate for the target: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	chain := func(tls.ConnectionState) error { return nil }
	switch up.TLS {
	case "disable":
		if up.Direct || up.ChannelBinding || up.Certificate != "" {
			return nil, errors.New("postgres: the target's configuration asks for more than a connection without TLS gives")
		}
		return nil, nil
	case "require": // encrypted, whoever answers: the owner of the target chose so
		c.InsecureSkipVerify = true // the meaning of this mode
	case "verify-ca":
		c.InsecureSkipVerify = true // VerifyConnection checks the chain, not the name
		roots := c.RootCAs
		chain = func(s tls.ConnectionState) error { return verifyChain(s, roots) }
	case "verify-full", "":
	default:
		return nil, fmt.Errorf("postgres: unknown TLS mode %q", up.TLS)
	}
	direct := up.Direct // by itself: the session keeps this, and must not keep the password
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if direct && s.NegotiatedProtocol != alpn {
			return errors.New("postgres: the target does not say that it is a PostgreSQL server")
		}
		return chain(s)
	}
	return c, nil
}

func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("postgres: the target sent no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := s.PeerCertificates[0].Verify(o); err != nil {
		return fmt.Errorf("postgres: target certificate: %w", err)
	}
	return nil
}
