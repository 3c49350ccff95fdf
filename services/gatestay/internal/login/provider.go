package login

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/identity"
)

// provider is an OIDC provider as a client sees it.
type provider struct {
	issuer string
	oauth  oauth2.Config
	client *http.Client
	people *identity.PersonVerifier
}

func newProvider(ctx context.Context, issuer, clientID, ca string) (*provider, error) {
	client, err := newClient(ca)
	if err != nil {
		return nil, err
	}
	// The verifier refuses plain HTTP but to this machine, also for the keys.
	local := isLocal(issuer)
	people, err := identity.NewPersonVerifier(config.SignIn{Issuer: issuer, ClientID: clientID, CA: ca, Loopback: local}, ".", time.Now)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	discovered, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("login: the provider %s does not answer as one: %w", issuer, err)
	}
	endpoint := discovered.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // a client without a secret
	for _, u := range []string{endpoint.AuthURL, endpoint.TokenURL, endpoint.DeviceAuthURL} {
		if u != "" && !secure(u, local) {
			return nil, fmt.Errorf("login: the provider %s names an endpoint without https: %s", issuer, u)
		}
	}
	return &provider{
		issuer: issuer, client: client, people: people,
		oauth: oauth2.Config{ClientID: clientID, Endpoint: endpoint, Scopes: []string{oidc.ScopeOpenID, "email", "profile"}},
	}, nil
}

func newClient(ca string) (*http.Client, error) {
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 10 * time.Second,
	}
	if ca != "" {
		pem, err := os.ReadFile(ca) //nolint:gosec // the caller names the file
		if err != nil {
			return nil, fmt.Errorf("login: the provider's CA: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("login: %s holds no PEM certificate", ca)
		}
	}
	return &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func secure(raw string, local bool) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "https" || local && isLocal(raw))
}

func isLocal(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host, _, err := net.SplitHostPort(u.Host)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// accept verifies the token that a flow brought and that it answers this very
// request.
func (p *provider) accept(ctx context.Context, t *oauth2.Token, nonce string) (credential, error) {
	raw, _ := t.Extra("id_token").(string)
	if raw == "" {
		return credential{}, errors.New("login: the provider sent no ID token: does it know the scope openid?")
	}
	person, err := p.people.Verify(ctx, raw)
	if err != nil {
		return credential{}, fmt.Errorf("login: %w", err)
	}
	if nonce != "" && person.Nonce != nonce {
		return credential{}, errors.New("login: the provider answered another sign-in than this one")
	}
	return credential{IDToken: raw, Account: person.Account, Expiry: person.Expiry}, nil
}

func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

// words gives the provider's own answer a shape for people.
func words(err error) error {
	var r *oauth2.RetrieveError
	if errors.As(err, &r) && r.ErrorCode != "" {
		return fmt.Errorf("login: the provider refused: %s (%s)", r.ErrorCode, r.ErrorDescription)
	}
	return fmt.Errorf("login: %w", err)
}

func random() string { return rand.Text() }
