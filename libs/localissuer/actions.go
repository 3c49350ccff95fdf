package localissuer

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// jobLife is how long a job of the local issuer may ask for tokens.
const jobLife = 6 * time.Hour

// jobTicket is what a request token carries: whose tokens its bearer may ask for.
type jobTicket struct {
	Preset string         `json:"preset"`
	Claims map[string]any `json:"claims"`
	Expiry int64          `json:"exp"`
}

// Job returns the two variables of a GitHub job's environment:
// ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN. As there,
// each request gives a fresh token of the same job.
func (i *Issuer) Job(preset string, claims map[string]any) (requestURL, requestToken string, err error) {
	now := i.o.Clock()
	// Fix the run now: all tokens of a job name one run.
	fixed, err := jobClaims(preset, now, nil, claims)
	if err != nil {
		return "", "", err
	}
	body, err := json.Marshal(jobTicket{Preset: preset, Claims: fixed, Expiry: now.Add(jobLife).Unix()})
	if err != nil {
		return "", "", errors.New("localissuer: claims cannot be written as JSON")
	}
	text := base64.RawURLEncoding.EncodeToString(body)
	return i.url + "/actions/token?api-version=2.0", text + "." + i.ticketMAC(text), nil
}

func (i *Issuer) ticketMAC(text string) string {
	mac := hmac.New(sha256.New, []byte(i.secret))
	mac.Write([]byte("job\x00" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (i *Issuer) job(w http.ResponseWriter, r *http.Request) {
	var in MintRequest
	if !readJSON(w, r, &in) {
		return
	}
	requestURL, token, err := i.Job(in.Preset, in.Claims)
	if err != nil {
		fail(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"request_url": requestURL, "request_token": token})
}

// actionsToken answers as GitHub's token service does.
func (i *Issuer) actionsToken(w http.ResponseWriter, r *http.Request) {
	text, mac, _ := strings.Cut(bearer(r), ".")
	body, err := base64.RawURLEncoding.DecodeString(text)
	var ticket jobTicket
	if !same(mac, i.ticketMAC(text)) || err != nil || decodeTicket(body, &ticket) != nil || i.o.Clock().Unix() > ticket.Expiry {
		fail(w, http.StatusUnauthorized, "invalid_token", "not a request token of a job of this issuer, or its job has ended")
		return
	}
	audience := r.URL.Query().Get("audience")
	if audience == "" {
		audience = "https://github.com/acme" // GitHub's default is the owner's page
	}
	claims := stamp(audience, i.o.Clock())
	apply(claims, ticket.Claims)
	i.answerToken(w, "value")(i.sign(i.IssuerFor(ticket.Preset), claims))
}

// decodeTicket keeps numbers as they were written.
func decodeTicket(body []byte, t *jobTicket) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(t); err != nil {
		return fmt.Errorf("localissuer: request token: %w", err)
	}
	return nil
}
