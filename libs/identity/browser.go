package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
)

// Browser signs people in at a page: the authorization code flow with PKCE,
// state and nonce (OpenID Connect Core, 3.1; RFC 7636; RFC 9207; RFC 9700). The
// provider is asked at the first sign-in, so that it may be down before. Safe
// for concurrent use.
type Browser struct {
	persons *PersonVerifier
	issuer  string
	local   bool
	client  *http.Client
	oauth   oauth2.Config // without endpoints

	clock     func() time.Time
	mu        sync.Mutex
	endpoints oauth2.Endpoint // empty until discovered
	asked     time.Time       // the last attempt that failed, and why
	failure   error
}

// Attempt is one sign-in under way. Only the browser that began it may finish
// it: keep it where no other can put or read it.
type Attempt struct {
	State, Nonce, Verifier string
}

// NewBrowser returns a sign-in for the provider of the configuration, whose
// answers come to redirect, a URL that the provider knows. The client is that of
// sign_in.web where it is named.
func NewBrowser(cfg config.SignIn, dir, redirect string, clock func() time.Time) (*Browser, error) {
	if cfg.Web.ClientID != "" {
		cfg.ClientID = cfg.Web.ClientID
	}
	persons, err := NewPersonVerifier(cfg, dir, clock)
	if err != nil {
		return nil, err
	}
	b := &Browser{persons: persons, issuer: cfg.Issuer, local: cfg.Loopback, clock: clock}
	if b.client, err = newClient(cfg.CA, dir, cfg.Loopback); err != nil {
		return nil, err
	}
	b.oauth = oauth2.Config{ClientID: cfg.ClientID, RedirectURL: redirect, Scopes: []string{oidc.ScopeOpenID, "email", "profile"}}
	if cfg.Web.ClientSecret != "" {
		if b.oauth.ClientSecret, err = cfg.Web.ClientSecret.Resolve(dir); err != nil {
			return nil, fmt.Errorf("identity: $.sign_in.web.client_secret: %w", err)
		}
	}
	return b, nil
}

// Begin returns an attempt and where to send the browser for it.
func (b *Browser) Begin(ctx context.Context) (Attempt, string, error) {
	o, err := b.discovered(ctx)
	if err != nil {
		return Attempt{}, "", err
	}
	a := Attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	return a, o.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), nil
}

// Finish takes the provider's answer, as the redirect's parameters, and returns
// who signed in, or a *refusal.Refusal. The answer to another attempt than a is
// refused before the provider is asked.
func (b *Browser) Finish(ctx context.Context, a Attempt, answer url.Values) (*Person, error) {
	if a.State == "" || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(a.State)) != 1 {
		return nil, again("this is the answer to another sign-in than the one that began here")
	}
	if iss := answer.Get("iss"); iss != "" && iss != b.issuer {
		return nil, again("another provider answered than the one asked")
	}
	if answer.Get("error") != "" {
		return nil, again("the provider did not sign you in")
	}
	o, err := b.discovered(ctx)
	if err != nil {
		return nil, err
	}
	t, err := o.Exchange(oidc.ClientContext(ctx, b.client), answer.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		var said *oauth2.RetrieveError
		if errors.As(err, &said) {
			return nil, again("the provider does not accept its own answer any more")
		}
		return nil, unreachable(b.issuer, err)
	}
	raw, _ := t.Extra("id_token").(string)
	if raw == "" {
		return nil, again("the provider sent no ID token")
	}
	p, err := b.persons.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(p.Nonce), []byte(a.Nonce)) != 1 {
		return nil, again("the provider's token is for another sign-in")
	}
	return p, nil
}

// discovered returns the client with the provider's endpoints. A provider that
// is down is asked every other second only: strangers can have it asked.
func (b *Browser) discovered(ctx context.Context) (*oauth2.Config, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.endpoints.AuthURL == "" {
		if b.failure != nil && b.clock().Sub(b.asked) < afterFailure {
			return nil, b.failure
		}
		e, err := b.discover(ctx)
		if err != nil {
			err = unreachable(b.issuer, err)
			if ctx.Err() == nil { // else it was the visitor who went away
				b.asked, b.failure = b.clock(), err
			}
			return nil, err
		}
		b.endpoints, b.failure = e, nil
	}
	o := b.oauth
	o.Endpoint = b.endpoints
	return &o, nil
}

func (b *Browser) discover(ctx context.Context) (oauth2.Endpoint, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, b.client), b.issuer)
	if err != nil {
		return oauth2.Endpoint{}, fmt.Errorf("discovery: %w", err)
	}
	e := provider.Endpoint()
	for _, u := range []string{e.AuthURL, e.TokenURL} {
		if err := checkEndpoint(u, b.local); err != nil {
			return oauth2.Endpoint{}, err
		}
	}
	if b.oauth.ClientSecret == "" {
		e.AuthStyle = oauth2.AuthStyleInParams // a client without a secret
	}
	return e, nil
}

func checkEndpoint(raw string, local bool) error {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !local || !isLoopback(u.Host)) {
		return errors.New("it names an endpoint without https")
	}
	return nil
}

func again(message string) error {
	return &refusal.Refusal{Code: refusal.TokenInvalid, Message: message, Hint: "sign in again"}
}

func unreachable(issuer string, cause error) error {
	return &outage{cause: fmt.Errorf("identity: sign-in at %s: %w", issuer, cause), refusal: &refusal.Refusal{
		Code: refusal.TokenIssuer, Message: "the sign-in provider " + issuer + " does not answer as one",
		Hint: "try again in a minute; if it stays so, check sign_in in gatestay.yaml",
	}}
}
