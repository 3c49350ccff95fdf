package run

import (
	"bytes"
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
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

const (
	callTimeout = 30 * time.Second
	maxAnswer   = 4 << 20
)

// Credential is a run-bound credential. It prints as dots.
type Credential string

// String hides the value.
func (Credential) String() string { return "gsr_…" }

// GoString hides the value from %#v too.
func (Credential) GoString() string { return "gsr_…" }

// Gateway is the gateway as a job sees it: its API and where databases connect.
type Gateway struct {
	api      string
	postgres string // host:port
	ca       string // PEM file; empty for the system's roots
	roots    *x509.CertPool
	client   *http.Client
}

// NewGateway finds the gateway (GATESTAY_GATEWAY, GATESTAY_POSTGRES and
// GATESTAY_CA, or a running gatestay dev). It refuses anything but HTTPS.
func NewGateway(env *cli.Env) (*Gateway, error) {
	d, err := env.Endpoints()
	if err != nil {
		return nil, err //nolint:wrapcheck // says all there is to say
	}
	g := &Gateway{api: strings.TrimRight(d.Gateway.API, "/"), postgres: d.Gateway.Postgres, ca: d.Gateway.CA}
	if u, err := url.Parse(g.api); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("run: the gateway's address %q is not https://host:port; set GATESTAY_GATEWAY", g.api)
	}
	if _, _, err := net.SplitHostPort(g.postgres); err != nil {
		return nil, fmt.Errorf("run: the gateway's PostgreSQL address %q is not host:port; set GATESTAY_POSTGRES", g.postgres)
	}
	if g.ca != "" {
		pem, err := os.ReadFile(g.ca)
		if err != nil {
			return nil, fmt.Errorf("run: the gateway's CA (GATESTAY_CA): %w", err)
		}
		g.roots = x509.NewCertPool()
		if !g.roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("run: the gateway's CA (GATESTAY_CA): %s holds no PEM certificate", g.ca)
		}
	}
	g.client = &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     &tls.Config{RootCAs: g.roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
		},
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return g, nil
}

// Close frees idle connections.
func (g *Gateway) Close() { g.client.CloseIdleConnections() }

// ExchangeRequest is what a step says of itself.
type ExchangeRequest struct {
	Token, Target             string
	Reason, Agent, OnBehalfOf string
	Purpose                   string // "can": nothing will be connected
	Hold                      string // wait, no-wait, or empty: as the rules say
	Plan                      string // id of an approved plan, or empty
	BreakGlass                bool   // needs a reason
	TraceParent               string // W3C; left out where it is malformed
}

// Run is a step that the gateway knows.
type Run struct {
	Credential  Credential `json:"access_token"`
	ExpiresIn   int        `json:"expires_in"` // seconds
	Connections int        `json:"connections"`
	ID          string     `json:"run"`
	TraceID     string     `json:"trace_id"`
}

// traceParent is the form of W3C Trace Context, section 3.2.
var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Exchange turns the job's token into a run-bound credential (RFC 8693).
func (g *Gateway) Exchange(ctx context.Context, r ExchangeRequest) (*Run, error) {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {r.Token},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		"resource":           {r.Target},
	}
	for name, value := range map[string]string{"reason": r.Reason, "agent": r.Agent, "on_behalf_of": r.OnBehalfOf, "purpose": r.Purpose, "hold": r.Hold, "plan": r.Plan} {
		if value != "" {
			form.Set(name, value)
		}
	}
	if r.BreakGlass {
		form.Set("break_glass", "true")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.api+"/v1/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if traceParent.MatchString(r.TraceParent) {
		req.Header.Set("traceparent", r.TraceParent)
	}
	raw, err := g.do(req)
	if err != nil {
		return nil, err
	}
	var run Run
	if err := json.Unmarshal(raw, &run); err != nil || run.Credential == "" || strings.ContainsAny(string(run.Credential), "\x00\r\n") || run.ID == "" {
		return nil, errors.New("run: the gateway's answer is not one to a token exchange; is GATESTAY_GATEWAY its API?")
	}
	return &run, nil
}

// End tells the gateway that the step is over.
func (g *Gateway) End(ctx context.Context, c Credential) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.api+"/v1/runs/end", nil)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(c))
	_, err = g.do(req)
	return err
}

// Can returns the gateway's answer to what may be done on a target at a moment
// (RFC 3339; empty: now), as JSON.
func (g *Gateway) Can(ctx context.Context, c Credential, target, at string) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.api+"/v1/can?"+asked(target, at), nil)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(c))
	return g.do(req)
}

// asked is the query of a question.
func asked(target, at string) string {
	q := url.Values{"target": {target}}
	if at != "" {
		q.Set("at", at)
	}
	return q.Encode()
}

// Plan has the gateway decide a list of statements, and ask for their approval;
// its answer is JSON.
func (g *Gateway) Plan(ctx context.Context, c Credential, statements any) (json.RawMessage, error) {
	body, err := json.Marshal(statements)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.api+"/v1/plans", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(c))
	req.Header.Set("Content-Type", "application/json")
	return g.do(req)
}

// PlanState returns where the approval of a plan stands, as JSON.
func (g *Gateway) PlanState(ctx context.Context, c Credential, id string) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.api+"/v1/plans/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(c))
	return g.do(req)
}

// Refused is the gateway's no.
type Refused struct {
	Status                      int    `json:"-"`
	Code, Message, Detail, Hint string // GS1105, ...
}

// Error returns code, message, detail and hint, free of control characters.
func (r *Refused) Error() string {
	s := r.Message
	if r.Code != "" {
		s = r.Code + ": " + s
	}
	if r.Detail != "" {
		s += "\n" + r.Detail
	}
	if r.Hint != "" {
		s += "\n" + r.Hint
	}
	return Clean(s)
}

func (g *Gateway) do(req *http.Request) ([]byte, error) {
	resp, err := g.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("run: the gateway %s does not answer: %w", g.api, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(raw) > maxAnswer {
		return nil, fmt.Errorf("run: the gateway's answer cannot be read: %w", errors.Join(err, errTooLong(len(raw))))
	}
	return answered(resp, raw)
}

// answered returns a good answer's body, or the refusal in a bad one.
func answered(resp *http.Response, raw []byte) ([]byte, error) {
	if resp.StatusCode/100 == 2 {
		return raw, nil
	}
	r := &Refused{Status: resp.StatusCode}
	if json.Unmarshal(raw, r) != nil || r.Message == "" {
		r.Message = "the gateway answered " + resp.Status
	}
	return nil, r
}

func errTooLong(n int) error {
	if n > maxAnswer {
		return errors.New("it is too long")
	}
	return nil
}

// Clean removes what could steer a terminal from text of others: control
// characters but line ends, and what reorders or hides text.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
