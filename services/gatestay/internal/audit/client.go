package audit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
)

const (
	callLimit = 40 * time.Second
	maxAnswer = 64 << 20
)

// client calls archival as the person who is signed in.
type client struct {
	base  *url.URL
	token string
	http  *http.Client
}

func (t *tool) client() (*client, error) {
	endpoints, err := t.env.Endpoints()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	base, err := url.Parse(endpoints.Console)
	if err != nil || base.Host == "" {
		return nil, errors.New("audit: no address of the archival service: set GATESTAY_CONSOLE to its URL, or start 'gatestay dev'")
	}
	// The token would cross the network readable.
	if base.Scheme != "https" && (base.Scheme != "http" || !loopback(base.Hostname())) {
		return nil, fmt.Errorf("audit: %s is not https: your sign-in would cross the network readable", base.Redacted())
	}
	roots, err := roots(endpoints.Gateway.CA)
	if err != nil {
		return nil, err
	}
	c := &client{base: base, http: &http.Client{
		Timeout:       callLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // never hand the token on
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment},
	}}
	if c.token, err = t.token(t.env); err != nil {
		return nil, err //nolint:wrapcheck // says what to do
	}
	return c, nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// roots is the system's store and the deployment's own CA.
func roots(ca string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if ca == "" {
		return pool, nil
	}
	raw, err := os.ReadFile(ca) //nolint:gosec // the caller's own environment names it
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	pool.AppendCertsFromPEM(raw)
	return pool, nil
}

// get asks and decodes the answer into out.
func (c *client) get(ctx context.Context, path []string, query url.Values, out any) error {
	u := c.base.JoinPath(path...)
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("audit: the archival service cannot be reached: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return refused(response.Status, raw)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return errors.New("audit: the answer cannot be read; is this gatestay older than the archival service?")
	}
	return nil
}

// refused is the service's own words, made safe for a terminal.
func refused(status string, raw []byte) error {
	var said struct{ Message, Hint string }
	if err := json.Unmarshal(raw, &said); err != nil || said.Message == "" {
		return fmt.Errorf("audit: the archival service answered %s", approval.Visible(status))
	}
	if said.Hint != "" {
		said.Message += " (" + said.Hint + ")"
	}
	return errors.New("audit: " + approval.Visible(said.Message))
}
