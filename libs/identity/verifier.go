package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	warmUp = time.Second
	// maxLife bounds what is left of a single-use token's life. Used tokens are
	// remembered for 48 hours; a token that outlives its memory could be replayed.
	maxLife = 24 * time.Hour
)

// Verifier verifies job tokens of several issuers. Safe for concurrent use; it
// does not change: a new configuration is a new Verifier.
type Verifier struct {
	issuers map[string]*jobIssuer
	clock   func() time.Time
}

type jobIssuer struct {
	*issuer
	preset    string
	principal preset
	singleUse bool
}

// preset maps verified claims to a principal, or says which claim is missing.
type preset func(issuer string, c Claims) (*eventv1.Principal, error)

// Verified is what a valid token says.
type Verified struct {
	Principal *eventv1.Principal
	Expiry    time.Time // the token's exp: limits sign-in, not the session
	// ReplayKey is 64 hex digits that name this token, whatever its spelling:
	// made of issuer and jti, or of the signing input where there is no jti.
	ReplayKey string
	// SingleUse says that a second use of ReplayKey must be refused.
	SingleUse bool
}

// NewVerifier returns a verifier for the configured issuers. Relative paths
// start at dir. clock is time.Now, or a test's. It fails on a wrong
// configuration, never because an issuer is down: it tries for a second to read
// all keys, so that a later outage goes unnoticed, and leaves the rest to Verify.
func NewVerifier(ctx context.Context, issuers []config.Issuer, dir string, clock func() time.Time) (*Verifier, error) {
	v := &Verifier{issuers: map[string]*jobIssuer{}, clock: clock}
	for _, c := range issuers {
		p, ok := presets[c.Preset]
		if !ok {
			return nil, fmt.Errorf("identity: issuer %s: the preset %q is not known; known: github-actions, gitlab-ci, generic", c.Issuer, c.Preset)
		}
		if v.issuers[c.Issuer] != nil {
			return nil, fmt.Errorf("identity: issuer %s is configured twice", c.Issuer)
		}
		i, err := newIssuer(issuerOptions{url: c.Issuer, audience: c.Audience, ca: c.CA, dir: dir, loopback: c.Loopback, clock: clock})
		if err != nil {
			return nil, err
		}
		v.issuers[c.Issuer] = &jobIssuer{issuer: i, preset: c.Preset, principal: p, singleUse: c.SingleUse == nil || *c.SingleUse}
	}
	v.warm(ctx)
	return v, nil
}

var presets = map[string]preset{"github-actions": gitHub, "gitlab-ci": gitLab, "generic": generic}

func (v *Verifier) warm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, warmUp)
	defer cancel()
	var wg sync.WaitGroup
	for _, i := range v.issuers {
		wg.Go(func() { _, _ = i.keys.find(ctx, "", "") })
	}
	wg.Wait()
}

// Verify returns what a token says, or a *refusal.Refusal (found with
// errors.As; it also wraps ErrIssuerUnavailable where that is the reason). It
// does not remember the token: the caller uses up ReplayKey.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Verified, error) {
	t, err := parseJWT(raw)
	if err != nil {
		return nil, invalid(err)
	}
	iss, _ := t.claims["iss"].(string)
	i, ok := v.issuers[iss]
	if !ok {
		return nil, v.unknownIssuer(iss)
	}
	expiry, err := i.verify(ctx, raw, t)
	if err != nil {
		return nil, err
	}
	if i.singleUse && expiry.Sub(v.clock()) > maxLife {
		return nil, &refusal.Refusal{
			Code: refusal.TokenTime, Message: fmt.Sprintf("the token lives until %s, longer than used tokens are remembered", expiry.UTC().Format(time.RFC3339)),
			Hint: "let the issuer make tokens of 24 hours at most, or set single_use: false for it if its tokens are meant to be used again",
		}
	}
	principal, err := i.principal(iss, t.claims)
	if err != nil {
		return nil, err
	}
	key, err := replayKey(iss, t)
	if err != nil {
		return nil, err
	}
	return &Verified{Principal: principal, Expiry: expiry, ReplayKey: key, SingleUse: i.singleUse}, nil
}

func (v *Verifier) unknownIssuer(iss string) error {
	r := &refusal.Refusal{
		Code: refusal.TokenIssuer, Message: fmt.Sprintf("the token's issuer %q is not configured here", clip(iss)),
		Hint: "add it under issuers in gatestay.yaml, exactly as written in the token's iss claim",
	}
	for known := range v.issuers {
		if strings.EqualFold(strings.TrimRight(known, "/"), strings.TrimRight(iss, "/")) {
			r.Detail = fmt.Sprintf("%q is configured; issuers are compared exactly, also in case and trailing slash", known)
		}
	}
	return r
}

// replayKey names a token. A jti is unique per issuer (RFC 7519, section 4.1.7).
func replayKey(iss string, t *jwt) (string, error) {
	name := "signed\x00" + t.signed
	if v, present := t.claims["jti"]; present {
		jti, ok := v.(string)
		if !ok || jti == "" {
			return "", missing("jti")
		}
		name = "jti\x00" + jti
	}
	sum := sha256.Sum256([]byte(iss + "\x00" + name))
	return hex.EncodeToString(sum[:]), nil
}
