package localissuer

import "net/http"

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// token is the token endpoint for both flows.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		fail(w, http.StatusBadRequest, "invalid_request", "the form could not be read")
		return
	}
	f := r.PostForm
	switch f.Get("grant_type") {
	case "authorization_code":
		g, ok := i.takeCode(f.Get("code"))
		if !ok || !g.fits(f.Get("client_id"), f.Get("redirect_uri"), f.Get("code_verifier")) {
			fail(w, http.StatusBadRequest, "invalid_grant", "the code is unknown, used, expired, or another client's")
			return
		}
		i.answerSignIn(w, g.person, g.client, g.nonce)
	case deviceGrant:
		person, problem := i.pollDevice(f.Get("device_code"), f.Get("client_id"))
		if problem != "" {
			fail(w, http.StatusBadRequest, problem, devicePollHelp[problem])
			return
		}
		i.answerSignIn(w, person, f.Get("client_id"), "")
	default:
		fail(w, http.StatusBadRequest, "unsupported_grant_type", "offered: authorization_code, "+deviceGrant)
	}
}

func (i *Issuer) answerSignIn(w http.ResponseWriter, person, client, nonce string) {
	idToken, err := i.SignIn(person, client, nonce)
	if err != nil {
		fail(w, http.StatusBadRequest, "invalid_grant", err.Error())
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"id_token": idToken, "access_token": random(24), "token_type": "Bearer", "expires_in": int(personTokenLife.Seconds()),
	})
}
