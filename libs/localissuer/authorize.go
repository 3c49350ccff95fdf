package localissuer

import (
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

const (
	codeLife   = time.Minute
	maxPending = 1000 // codes and devices at once
)

// grant is what an authorization code stands for.
type grant struct {
	person, client, redirect, nonce, challenge string
	expiry                                     time.Time
}

// signInRequest is an authorization request (OpenID Connect Core, 3.1.2.1).
type signInRequest struct {
	ClientID, RedirectURI, State, Nonce, Challenge, Proof string
}

// readSignIn returns the request, or says what is wrong with it. Nothing is ever
// sent to a redirect URI that is not a loopback one: this is no open redirect.
func (i *Issuer) readSignIn(v url.Values) (*signInRequest, string) {
	q := &signInRequest{
		ClientID: v.Get("client_id"), RedirectURI: v.Get("redirect_uri"), State: v.Get("state"),
		Nonce: v.Get("nonce"), Challenge: v.Get("code_challenge"), Proof: v.Get("proof"),
	}
	switch {
	case !i.client(q.ClientID):
		return nil, "The application is not known here."
	case !loopbackURL(q.RedirectURI):
		return nil, "The application did not name a loopback address to return to."
	case v.Get("response_type") != "code":
		return nil, "Only the authorization code flow is offered (response_type=code)."
	case v.Get("code_challenge_method") != "S256" || len(q.Challenge) != 43:
		return nil, "The application did not send a PKCE challenge (S256)."
	}
	return q, ""
}

func loopbackURL(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		return false
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil || port == "" {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (i *Issuer) authorizePage(w http.ResponseWriter, r *http.Request) {
	q, problem := i.readSignIn(r.URL.Query())
	if problem != "" {
		i.showMessage(w, http.StatusBadRequest, "This sign-in cannot go on", problem)
		return
	}
	u, _ := url.Parse(q.RedirectURI)
	i.showChoice(w, choicePage{
		Action: "/authorize", ReturnTo: "http://" + u.Host, Application: q.ClientID, People: i.o.People,
		AskSecret: !i.proved(q.Proof, "", q.State),
		Hidden: map[string]string{
			"client_id": q.ClientID, "redirect_uri": q.RedirectURI, "state": q.State, "nonce": q.Nonce, "proof": q.Proof,
			"response_type": "code", "code_challenge": q.Challenge, "code_challenge_method": "S256",
		},
	})
}

func (i *Issuer) authorizeChoice(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		i.showMessage(w, http.StatusBadRequest, "This sign-in cannot go on", "The form could not be read.")
		return
	}
	q, problem := i.readSignIn(r.PostForm)
	person, known := i.person(r.PostForm.Get("person"))
	switch {
	case problem == "" && !i.proved(q.Proof, r.PostForm.Get("secret"), q.State):
		problem = "The secret is not the content of keys/" + SecretFile + " in the folder of gatestay dev."
	case problem == "" && !known:
		problem = "This person is not known here."
	}
	if problem != "" {
		i.showMessage(w, http.StatusForbidden, "This sign-in cannot go on", problem)
		return
	}
	code := random(24)
	if !i.keepCode(code, &grant{
		person: person.Name, client: q.ClientID, redirect: q.RedirectURI, nonce: q.Nonce, challenge: q.Challenge,
		expiry: i.o.Clock().Add(codeLife),
	}) {
		i.showMessage(w, http.StatusTooManyRequests, "Too many sign-ins at once", "Try again in a minute.")
		return
	}
	u, _ := url.Parse(q.RedirectURI)
	v := u.Query()
	v.Set("code", code)
	v.Set("state", q.State)
	v.Set("iss", i.url) // RFC 9207
	u.RawQuery = v.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther) //nolint:gosec // readSignIn lets loopback addresses through only
}

func (i *Issuer) keepCode(code string, g *grant) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.o.Clock()
	for c, old := range i.codes {
		if now.After(old.expiry) {
			delete(i.codes, c)
		}
	}
	if len(i.codes) >= maxPending {
		return false
	}
	i.codes[code] = g
	return true
}

// takeCode returns what a code stands for, once.
func (i *Issuer) takeCode(code string) (*grant, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	g, ok := i.codes[code]
	delete(i.codes, code)
	return g, ok && !i.o.Clock().After(g.expiry)
}

// fits reports that a code is redeemed by whom it was given to (RFC 7636, 4.6).
func (g *grant) fits(client, redirect, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return g.client == client && g.redirect == redirect && same(g.challenge, base64.RawURLEncoding.EncodeToString(sum[:]))
}
