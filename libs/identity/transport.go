package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const (
	maxAnswer    = 1 << 20
	fetchTimeout = 5 * time.Second
)

// guard is the transport to one issuer: HTTPS only, or plain HTTP to a loopback
// address where the configuration says so, and bounded answers.
type guard struct {
	loopback bool
	next     http.RoundTripper
}

// RoundTrip refuses plain HTTP and bounds the body.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.loopback {
		return nil, fmt.Errorf("refusing %s: keys over plain HTTP could be anybody's", req.URL.Redacted())
	}
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // the client wraps it with method and URL
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxAnswer}
	return resp, nil
}

type bounded struct {
	io.ReadCloser
	left int
}

// Read fails once the bound is passed, so that nothing is read cut off.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errors.New("the answer is too long")
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// newClient returns the HTTP client for one issuer. It follows no redirects: an
// issuer's keys are where it says they are.
func newClient(ca, dir string, loopback bool) (*http.Client, error) {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   fetchTimeout,
		ResponseHeaderTimeout: fetchTimeout,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   1,
		ForceAttemptHTTP2:     true,
	}
	if loopback {
		transport.Proxy, transport.DialContext = nil, dialLoopback
	}
	if ca != "" {
		if !filepath.IsAbs(ca) {
			ca = filepath.Join(dir, ca)
		}
		pem, err := os.ReadFile(ca) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, fmt.Errorf("identity: issuer's CA: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("identity: issuer's CA: %s holds no PEM certificate", ca)
		}
	}
	return &http.Client{
		Transport: &guard{loopback: loopback, next: transport}, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// dialLoopback connects to loopback addresses only, whatever a name resolves to.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: fetchTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	if remote, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err != nil || !remote.Addr().Unmap().IsLoopback() {
		_ = conn.Close()
		return nil, fmt.Errorf("refusing %s: not a loopback address", address)
	}
	return conn, nil
}
