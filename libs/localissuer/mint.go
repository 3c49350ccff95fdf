package localissuer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	jobTokenLife    = 5 * time.Minute // as GitHub's
	personTokenLife = 8 * time.Hour
	// DefaultAudience is the audience that gatestay asks for.
	DefaultAudience = "gatestay"
)

// Mint returns a job token with the preset's claims and the audience gatestay.
// claims overrides any of them but iss, a nil value removes one: tests make
// expired and incomplete tokens with it.
func (i *Issuer) Mint(preset string, claims map[string]any) (string, error) {
	return i.mint(preset, DefaultAudience, claims)
}

func (i *Issuer) mint(preset, audience string, changes map[string]any) (string, error) {
	now := i.o.Clock()
	claims, err := jobClaims(preset, now, stamp(audience, now), changes)
	if err != nil {
		return "", err
	}
	return i.sign(i.IssuerFor(preset), claims)
}

// stamp returns the claims that differ from token to token.
func stamp(audience string, now time.Time) map[string]any {
	return map[string]any{
		"aud": audience, "jti": random(16),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(jobTokenLife).Unix(),
	}
}

// SignIn returns an ID token of a person for a client, without a page: for
// tests, and for 'gatestay login --as' by whoever holds the mint secret.
func (i *Issuer) SignIn(name, clientID, nonce string) (string, error) {
	p, ok := i.person(name)
	if !ok {
		return "", fmt.Errorf("localissuer: %q cannot sign in here", name)
	}
	if !i.client(clientID) {
		return "", fmt.Errorf("localissuer: the client %q is not known", clientID)
	}
	now := i.o.Clock()
	claims := map[string]any{
		"aud": clientID, "sub": p.Subject, "name": p.Title, "email": p.Email, "email_verified": true,
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(personTokenLife).Unix(),
	}
	if len(p.Groups) > 0 {
		claims["groups"] = p.Groups
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return i.sign(i.url, claims)
}

func (i *Issuer) client(id string) bool {
	for _, known := range i.o.Clients {
		if id == known {
			return true
		}
	}
	return false
}

func (i *Issuer) sign(issuer string, claims map[string]any) (string, error) {
	claims["iss"] = issuer
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("localissuer: claims: %w", err)
	}
	jws, err := i.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("localissuer: sign: %w", err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("localissuer: sign: %w", err)
	}
	return raw, nil
}

// MintRequest is the body of POST /mint and POST /job.
type MintRequest struct {
	Preset   string         `json:"preset,omitempty"`   // default github-actions
	Audience string         `json:"audience,omitempty"` // default gatestay; not for /job
	Claims   map[string]any `json:"claims,omitempty"`
}

func (i *Issuer) mintHTTP(w http.ResponseWriter, r *http.Request) {
	var in MintRequest
	if !readJSON(w, r, &in) {
		return
	}
	if in.Audience == "" {
		in.Audience = DefaultAudience
	}
	i.answerToken(w, "value")(i.mint(in.Preset, in.Audience, in.Claims))
}

func (i *Issuer) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Person   string `json:"person"`
		ClientID string `json:"client_id"`
		Nonce    string `json:"nonce"`
	}
	if readJSON(w, r, &in) {
		i.answerToken(w, "id_token")(i.SignIn(in.Person, in.ClientID, in.Nonce))
	}
}

func (i *Issuer) answerToken(w http.ResponseWriter, name string) func(string, error) {
	return func(token string, err error) {
		if err != nil {
			fail(w, http.StatusBadRequest, "invalid_request", err.Error())
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{name: token})
	}
}
