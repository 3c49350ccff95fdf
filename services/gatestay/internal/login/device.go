package login

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/oauth2"
)

// viaDevice signs in with a code that is typed on another device (RFC 8628).
// show gets what to tell the person.
func (p *provider) viaDevice(ctx context.Context, show func(*oauth2.DeviceAuthResponse)) (credential, error) {
	if p.oauth.Endpoint.DeviceAuthURL == "" {
		return credential{}, errors.New("login: the provider offers no device flow; leave --device out")
	}
	ctx, cancel := context.WithTimeout(ctx, patience*2)
	defer cancel()
	d, err := p.oauth.DeviceAuth(p.context(ctx))
	if err != nil {
		return credential{}, words(err)
	}
	if !secure(d.VerificationURI, isLocal(p.issuer)) {
		return credential{}, fmt.Errorf("login: the provider names a page without https: %q", d.VerificationURI)
	}
	show(d)
	// Polls at the interval that the provider asks for, and slower when told so.
	t, err := p.oauth.DeviceAccessToken(p.context(ctx), d)
	if err != nil {
		return credential{}, words(err)
	}
	return p.accept(ctx, t, "")
}
