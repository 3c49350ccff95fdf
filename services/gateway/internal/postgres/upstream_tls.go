package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// tlsConfig is nil only where the target's configuration says "disable".
func tlsConfig(up seam.Upstream, host string) (*tls.Config, error) {
	// The name of the protocol keeps the connection from being led to a server of
	// another one.
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, NextProtos: []string{alpn}}
	if up.CA != "" {
		pem, err := os.ReadFile(up.CA)
		if err != nil {
			return nil, fmt.Errorf("postgres: target CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("postgres: target CA: the file holds no certificate")
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
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if up.Direct && s.NegotiatedProtocol != alpn {
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
