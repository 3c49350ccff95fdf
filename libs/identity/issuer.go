package identity

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/gatestay/gatestay/libs/refusal"
)

// leeway is the clock skew accepted at both edges of a token's life.
const leeway = time.Minute

// issuer verifies the tokens that one issuer makes for one audience.
type issuer struct {
	url      string
	audience string
	keys     *keySet
	clock    func() time.Time
}

type issuerOptions struct {
	url, audience, ca, dir string
	loopback               bool
	clock                  func() time.Time
}

func newIssuer(o issuerOptions) (*issuer, error) {
	if err := checkURL(o.url, o.loopback); err != nil {
		return nil, err
	}
	if o.audience == "" {
		return nil, fmt.Errorf("identity: issuer %s: no audience; without one, tokens made for others would be accepted", o.url)
	}
	client, err := newClient(o.ca, o.dir, o.loopback)
	if err != nil {
		return nil, err
	}
	return &issuer{url: o.url, audience: o.audience, keys: newKeySet(o.url, client, o.clock), clock: o.clock}, nil
}

// checkURL accepts https, or http to a loopback address where that is allowed.
func checkURL(raw string, loopback bool) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("identity: issuer %q: not a plain URL; write it exactly as in the token's iss claim", raw)
	}
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback && isLoopback(u.Host):
		return nil
	default:
		return fmt.Errorf("identity: issuer %q: use https (plain http is for loopback issuers on a loopback address)", raw)
	}
}

func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// verify checks audience, times and signature of a token that names this issuer.
func (i *issuer) verify(ctx context.Context, raw string, t *jwt) (expiry time.Time, err error) {
	if !slices.Contains(t.claims.audience(), i.audience) {
		return time.Time{}, &refusal.Refusal{
			Code: refusal.TokenAudience, Message: fmt.Sprintf("the token was made for %q, not for %q", clip(strings.Join(t.claims.audience(), ", ")), i.audience),
			Hint: fmt.Sprintf("ask the CI system for a token with audience %q", i.audience),
		}
	}
	if expiry, err = i.checkTimes(t.claims); err != nil {
		return time.Time{}, err
	}
	keys, err := i.keys.find(ctx, t.keyID, t.algorithm)
	if err != nil {
		return time.Time{}, i.noKey(err)
	}
	judge := oidc.NewVerifier(i.url, &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
		ClientID: i.audience, SupportedSigningAlgs: algorithms,
		Now: func() time.Time { return i.clock().Add(-leeway) },
	})
	if _, err := judge.Verify(ctx, raw); err != nil {
		return time.Time{}, &refusal.Refusal{
			Code: refusal.TokenInvalid, Message: "the token's signature is not one of " + i.url,
			Hint: "pass the OIDC token exactly as the CI system gave it; 'gatestay token' prints it",
		}
	}
	return expiry, nil
}

func (i *issuer) noKey(err error) error {
	if !errors.Is(err, errUnknownKey) {
		return err
	}
	return &refusal.Refusal{
		Code: refusal.TokenInvalid, Message: fmt.Sprintf("the token is signed with a key that %s does not publish", i.url),
		Hint: fmt.Sprintf("if the issuer changed its keys just now, try again in %d seconds", int(askAgain.Seconds())),
	}
}

// checkTimes returns exp, if the token is valid now.
func (i *issuer) checkTimes(c Claims) (time.Time, error) {
	expiry, present, err := c.moment("exp")
	if err != nil || !present {
		return time.Time{}, invalid(errors.New("it has no usable exp claim"))
	}
	now := i.clock()
	if now.After(expiry.Add(leeway)) {
		return time.Time{}, &refusal.Refusal{
			Code: refusal.TokenTime, Message: "the token expired at " + expiry.UTC().Format(time.RFC3339),
			Hint: "ask the CI system for a new token right before it is used",
		}
	}
	for _, name := range []string{"nbf", "iat"} {
		t, present, err := c.moment(name)
		if err != nil {
			return time.Time{}, invalid(err)
		}
		if present && now.Add(leeway).Before(t) {
			return time.Time{}, &refusal.Refusal{
				Code: refusal.TokenTime, Message: fmt.Sprintf("the token is not valid before %s (%s)", t.UTC().Format(time.RFC3339), name),
				Hint: "compare the clocks of the gateway and of the issuer: they differ by more than a minute",
			}
		}
	}
	return expiry, nil
}
