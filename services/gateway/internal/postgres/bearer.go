package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// bearer is the SASL mechanism by which clients since PostgreSQL 18 hand over a
// token (RFC 7628).
const bearer = "OAUTHBEARER"

// authSetting is the setting by which a client chooses what it is asked for:
// PGOPTIONS='-c gatestay.auth=oauthbearer'. A server asks for one thing only, and
// an older client would not understand to be asked for this one.
const authSetting = "gatestay.auth"

// Discovery says where a client that has no token yet gets one.
type Discovery struct {
	Issuer string // its URL; empty: the client is not told
	Scope  string // "openid" where empty
}

// askBearer reads the client's token. A client that gives none wants to know
// where to get one; it is told, and comes again.
func (s *Server) askBearer(c net.Conn, in *wire.Reader) (string, error) {
	body, err := answerBody(in)
	if err != nil {
		return "", err
	}
	mechanism, data, err := wire.DecodeSASLInitialResponse(body)
	if err != nil {
		return "", violation(err)
	}
	if mechanism != bearer {
		return "", violation(fmt.Errorf("mechanism %q was not offered", mechanism))
	}
	token, err := wire.DecodeBearer(data)
	if err != nil {
		return "", violation(err)
	}
	if token == "" {
		return "", s.challenge(c, in, noToken())
	}
	return token, nil
}

// challenge tells a client, in the mechanism's own words, that its token was
// not taken, and where to get another. Any other refusal speaks for itself.
func (s *Server) challenge(c net.Conn, in *wire.Reader, cause error) error {
	var r *refusal.Refusal
	if !errors.As(cause, &r) || !slices.Contains(aboutToken, r.Code) {
		return cause
	}
	words := struct {
		Status   string `json:"status"`
		Document string `json:"openid-configuration,omitempty"`
		Scope    string `json:"scope,omitempty"`
	}{Status: "invalid_token"}
	if d := s.discovery; d.Issuer != "" {
		words.Document = strings.TrimRight(d.Issuer, "/") + "/.well-known/openid-configuration"
		words.Scope = d.Scope
		if words.Scope == "" {
			words.Scope = "openid"
		}
	}
	text, err := json.Marshal(words)
	if err != nil {
		return cause
	}
	_ = c.SetDeadline(time.Now().Add(s.limits.Startup))
	if _, err := c.Write(wire.AppendSASLContinue(nil, text)); err != nil {
		return cause
	}
	// The client answers with one byte, or hangs up; it gets the refusal either way.
	_, _ = answerBody(in)
	return cause
}

// aboutToken lists the refusals that another token would help against.
var aboutToken = []refusal.Code{
	refusal.TokenInvalid, refusal.TokenIssuer, refusal.TokenAudience, refusal.TokenTime, refusal.TokenUsed, refusal.TokenClaims, refusal.CredentialInvalid,
}
