package localissuer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"strings"
)

const maxBody = 64 << 10

// guard refuses what does not come from this machine's own programs and pages:
// another Host (a name rebound to loopback), another Origin (a page elsewhere).
func (i *Issuer) guard(next http.Handler) http.Handler {
	address := strings.TrimPrefix(i.url, "http://")
	_, port, _ := net.SplitHostPort(address)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != address && r.Host != "localhost:"+port {
			fail(w, http.StatusForbidden, "invalid_host", "this issuer answers as "+address+" only")
			return
		}
		if origin, sent := r.Header["Origin"]; sent && (len(origin) != 1 || origin[0] != i.url && origin[0] != "http://localhost:"+port) {
			fail(w, http.StatusForbidden, "invalid_origin", "pages of other origins may not call this issuer")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// requireSecret lets in who can read the mint secret. No page ever can, so a
// request with an Origin is refused whatever it is.
func (i *Issuer) requireSecret(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, page := r.Header["Origin"]; page || !same(bearer(r), i.secret) {
			fail(w, http.StatusUnauthorized, "invalid_client", "send the content of "+SecretFile+" as bearer token")
			return
		}
		next(w, r)
	})
}

// Proof shows that its maker can read the mint secret, bound to one sign-in
// (its state, or a device's user code). 'gatestay login' adds it to the URL that
// it opens, so that the page needs no secret typed in.
func Proof(secret, about string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("sign in\x00" + about))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// proved reports that the request carries a proof or the secret itself.
func (i *Issuer) proved(proof, typed, about string) bool {
	return about != "" && same(proof, Proof(i.secret, about)) || same(strings.TrimSpace(typed), i.secret)
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// fail answers as RFC 6749, section 5.2.
func fail(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(r.Body)
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		fail(w, http.StatusBadRequest, "invalid_request", "the body is not the JSON expected: "+err.Error())
		return false
	}
	return true
}
