// Package remote calls a service's small HTTP API as the person who is signed
// in with gatestay login.
package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/loopback"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

const (
	callLimit = 40 * time.Second
	maxAnswer = 64 << 20
)

// Service names one of the services that people call.
type Service struct {
	Name     string // archival, approval: for messages
	Variable string // the environment variable with its URL
	URL      func(*cli.Dev) string
}

// The two.
var (
	Approvals = Service{"approval", "GATESTAY_APPROVALS", func(d *cli.Dev) string { return d.Approvals }}
	Console   = Service{"archival", "GATESTAY_CONSOLE", func(d *cli.Dev) string { return d.Console }}
)

// Client calls one service.
type Client struct {
	service Service
	base    *url.URL
	token   string
	http    *http.Client
}

// New finds the service and signs in. token is login.Token, or a test's.
func New(env *cli.Env, s Service, token func(*cli.Env) (string, error)) (*Client, error) {
	endpoints, err := env.Endpoints()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(s.URL(endpoints))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("no address of the %s service: set %s to its URL, or start 'gatestay dev'", s.Name, s.Variable)
	}
	// The token would cross the network readable.
	if base.Scheme != "https" && (base.Scheme != "http" || !loopback.Host(base.Hostname())) {
		return nil, fmt.Errorf("%s is not https: your sign-in would cross the network readable", base.Redacted())
	}
	roots, err := roots(endpoints.Gateway.CA)
	if err != nil {
		return nil, err
	}
	c := &Client{service: s, base: base, http: &http.Client{
		Timeout:       callLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // never hand the token on
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment},
	}}
	if c.token, err = token(env); err != nil {
		return nil, err
	}
	return c, nil
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
		return nil, fmt.Errorf("the CA (GATESTAY_CA): %w", err)
	}
	pool.AppendCertsFromPEM(raw)
	return pool, nil
}

// Get asks and decodes the answer into out.
func (c *Client) Get(ctx context.Context, path []string, query url.Values, out any) error {
	u := c.base.JoinPath(path...)
	u.RawQuery = query.Encode()
	return c.call(ctx, http.MethodGet, u, nil, out)
}

// Post sends JSON and decodes the answer into out.
func (c *Client) Post(ctx context.Context, path []string, body, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return c.call(ctx, http.MethodPost, c.base.JoinPath(path...), raw, out)
}

func (c *Client) call(ctx context.Context, method string, u *url.URL, body []byte, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("the %s service cannot be reached: %w", c.service.Name, err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the %s service's answer: %w", c.service.Name, err)
	}
	if response.StatusCode != http.StatusOK {
		return c.refused(response, raw)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the answer cannot be read; is this gatestay older than the %s service?", c.service.Name)
	}
	return nil
}

// refused is the service's own words, made safe for a terminal.
func (c *Client) refused(response *http.Response, raw []byte) error {
	var said struct{ Code, Message, Detail, Hint string }
	if err := json.Unmarshal(raw, &said); err != nil || said.Message == "" {
		return fmt.Errorf("the %s service answered %s", c.service.Name, approval.Visible(response.Status))
	}
	if strings.HasPrefix(said.Code, "GS") { // the archival service has names of its own
		said.Message = said.Code + ": " + said.Message
	}
	if said.Detail != "" {
		said.Message += ". " + said.Detail
	}
	if said.Hint != "" {
		said.Message += " (" + said.Hint + ")"
	}
	// Whatever is wrong with the sign-in, a person mends it in one way.
	if response.StatusCode == http.StatusUnauthorized && !strings.Contains(said.Message, "gatestay login") {
		said.Message += "; run 'gatestay login'"
	}
	return errors.New(approval.Visible(said.Message))
}
