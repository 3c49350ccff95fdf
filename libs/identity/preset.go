package identity

import (
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// mapping fills principals from claims and remembers which it used and which
// it missed.
type mapping struct {
	claims Claims
	used   map[string]bool
	err    error
}

func newMapping(c Claims) *mapping { return &mapping{claims: c, used: map[string]bool{}} }

// want returns a claim that may be absent.
func (m *mapping) want(name string) string {
	m.used[name] = true
	return m.claims.Text(name)
}

// need returns a claim; its absence is an error.
func (m *mapping) need(name string) string {
	s := m.want(name)
	if s == "" && m.err == nil {
		m.err = missing(name)
	}
	return s
}

// needID returns a claim that is a number which the CI system never reuses.
func (m *mapping) needID(name string) string {
	s := m.need(name)
	if m.err == nil && !digits(s) {
		m.err = wrongClaim(name, "is not a number")
	}
	return s
}

// principal adds what all presets share and the claims that are left. Agent and
// on-behalf-of in a signed token are verified; those that only the caller says
// are added by the gateway, as asserted.
func (m *mapping) principal(p *eventv1.Principal) (*eventv1.Principal, error) {
	p.Subject = m.need("sub")
	p.Agent, p.OnBehalfOf = m.want("agent"), m.want("on_behalf_of")
	if m.err != nil {
		return nil, m.err
	}
	p.Claims = m.claims.rest(m.used)
	return p, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func missing(name string) error {
	return &refusal.Refusal{
		Code: refusal.TokenClaims, Message: fmt.Sprintf("the token has no usable %q claim", name),
		Hint: "check that the issuer's preset in gatestay.yaml is that of your CI system",
	}
}

func wrongClaim(name, what string) error {
	return &refusal.Refusal{
		Code: refusal.TokenClaims, Message: fmt.Sprintf("the token's %q claim %s", name, what),
		Hint: "check that the issuer's preset in gatestay.yaml is that of your CI system",
	}
}
