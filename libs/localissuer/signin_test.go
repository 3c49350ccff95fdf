package localissuer

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const verifierText = "a-verifier-of-at-least-forty-three-characters-"

func (w *world) authorizeQuery(changes map[string]string) url.Values {
	sum := sha256.Sum256([]byte(verifierText))
	v := url.Values{
		"response_type": {"code"}, "client_id": {"gatestay-cli"}, "redirect_uri": {"http://127.0.0.1:4999/callback"}, "scope": {"openid email"},
		"state": {"state-1"}, "nonce": {"nonce-1"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "proof": {Proof(w.Secret(), "state-1")},
	}
	for name, value := range changes {
		v.Set(name, value)
	}
	return v
}

// choose posts the page's form as a browser does and returns the code.
func (w *world) choose(person string, changes map[string]string) (code string, status int, body string) {
	w.t.Helper()
	v := w.authorizeQuery(changes)
	v.Set("person", person)
	status, header, body := w.call("POST", "/authorize", v, map[string]string{"Origin": w.URL()})
	if status != http.StatusSeeOther {
		return "", status, body
	}
	u, err := url.Parse(header.Get("Location"))
	if err != nil {
		w.t.Fatal(err)
	}
	if u.Host != "127.0.0.1:4999" || u.Query().Get("state") != "state-1" || u.Query().Get("iss") != w.URL() {
		w.t.Fatalf("redirected to %s", u)
	}
	return u.Query().Get("code"), status, body
}

func (w *world) redeem(code string, changes map[string]string) (int, string) {
	w.t.Helper()
	v := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"gatestay-cli"},
		"redirect_uri": {"http://127.0.0.1:4999/callback"}, "code_verifier": {verifierText},
	}
	for name, value := range changes {
		v.Set(name, value)
	}
	status, _, body := w.call("POST", "/token", v, nil)
	return status, body
}

func TestAuthorize_CodeFlow(t *testing.T) {
	w := newWorld(t)
	status, header, body := w.call("GET", "/authorize?"+w.authorizeQuery(nil).Encode(), nil, nil)
	if status != http.StatusOK || !strings.Contains(body, "dana@acme.example") || !strings.Contains(body, "kim@acme.example") || strings.Contains(body, `name="secret"`) {
		t.Fatalf("%d %s", status, body)
	}
	if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "form-action 'self' http://127.0.0.1:4999;") {
		t.Fatalf("policy %q", csp)
	}
	code, status, body := w.choose("dana", nil)
	if code == "" {
		t.Fatalf("%d %s", status, body)
	}
	status, body = w.redeem(code, nil)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	p, err := w.people().Verify(t.Context(), field(t, body, "id_token"))
	if err != nil || p.Account != "oidc:dana@acme.example" || p.Name != "Dana" {
		t.Fatalf("%+v %v", p, err)
	}
	if status, _ := w.redeem(code, nil); status != http.StatusBadRequest {
		t.Fatal("a code was redeemed twice")
	}
}

func TestRedteam32_SignInByOthers(t *testing.T) {
	w := newWorld(t)
	for name, changes := range map[string]map[string]string{
		"open redirect":       {"redirect_uri": "https://evil.example/callback"},
		"redirect look-alike": {"redirect_uri": "http://127.0.0.1.evil.example:80/"},
		"redirect user info":  {"redirect_uri": "http://127.0.0.1:80@evil.example:80/"},
		"redirect script":     {"redirect_uri": "javascript:alert(1)"},
		"no proof":            {"proof": ""},
		"proof of another":    {"proof": Proof(w.Secret(), "state-2")},
		"no state to prove":   {"proof": Proof(w.Secret(), ""), "state": ""},
		"wrong secret":        {"proof": "", "secret": "guess"},
		"unknown client":      {"client_id": "evil"},
		"no challenge":        {"code_challenge": ""},
		"plain challenge":     {"code_challenge_method": "plain"},
		"implicit flow":       {"response_type": "token"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, status, _ := w.choose("dana", changes); code != "" || status < 400 {
				t.Fatalf("%d, code %q", status, code)
			}
		})
	}
	if code, status, _ := w.choose("mallory", nil); code != "" || status != http.StatusForbidden {
		t.Fatal("an unknown person signed in")
	}
	v := w.authorizeQuery(nil)
	v.Set("person", "dana")
	if status, _, _ := w.call("POST", "/authorize", v, map[string]string{"Origin": "https://evil.example"}); status != http.StatusForbidden {
		t.Fatal("a page elsewhere chose for the person")
	}
	// Typing the secret in is the other way.
	if code, _, body := w.choose("dana", map[string]string{"proof": "", "secret": w.Secret() + "\n"}); code == "" {
		t.Fatal(body)
	}
	_, _, body := w.call("GET", "/authorize?"+w.authorizeQuery(map[string]string{"proof": ""}).Encode(), nil, nil)
	if !strings.Contains(body, `name="secret"`) {
		t.Fatal("the page does not ask for the secret")
	}
	_, _, body = w.call("GET", "/authorize?"+w.authorizeQuery(map[string]string{"state": `"><script>alert(1)</script>`}).Encode(), nil, nil)
	if strings.Contains(body, "<script>") {
		t.Fatal("script in the page")
	}

	for name, changes := range map[string]map[string]string{
		"another verifier": {"code_verifier": "x"}, "another client": {"client_id": "evil"}, "another address": {"redirect_uri": "http://127.0.0.1:5000/callback"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, _ := w.choose("dana", nil)
			if status, _ := w.redeem(code, changes); status != http.StatusBadRequest {
				t.Fatalf("redeemed: %d", status)
			}
			if status, _ := w.redeem(code, nil); status != http.StatusBadRequest {
				t.Fatal("a code that somebody tried out still works")
			}
		})
	}
	code, _, _ := w.choose("dana", nil)
	w.advance(codeLife + time.Second)
	if status, _ := w.redeem(code, nil); status != http.StatusBadRequest {
		t.Fatal("an expired code works")
	}
}

func TestSignIn_Direct(t *testing.T) {
	w := newWorld(t)
	status, _, body := w.call("POST", "/signin", map[string]string{"person": "kim", "client_id": "gatestay-cli"}, w.withSecret())
	if status != http.StatusOK {
		t.Fatal(body)
	}
	token := field(t, body, "id_token")
	if p, err := w.people().Verify(t.Context(), token); err != nil || p.Account != "oidc:kim@acme.example" {
		t.Fatalf("%+v %v", p, err)
	}
	if _, err := w.verifier().Verify(t.Context(), token); err == nil {
		t.Fatal("a person's token is accepted as a job's")
	}
	w.advance(personTokenLife + 2*time.Minute)
	if _, err := w.people().Verify(t.Context(), token); err == nil {
		t.Fatal("an expired sign-in is accepted")
	}
	for _, in := range []map[string]string{{"person": "mallory", "client_id": "gatestay-cli"}, {"person": "kim", "client_id": "gatestay"}, {"unknown": "x"}} {
		if status, _, _ := w.call("POST", "/signin", in, w.withSecret()); status != http.StatusBadRequest {
			t.Errorf("%v: %d", in, status)
		}
	}
}

func TestDevice_Flow(t *testing.T) {
	w := newWorld(t)
	start := func() (deviceCode, userCode string) {
		status, _, body := w.call("POST", "/device_authorization", url.Values{"client_id": {"gatestay-cli"}, "scope": {"openid"}}, nil)
		if status != http.StatusOK || !strings.HasSuffix(field(t, body, "verification_uri_complete"), field(t, body, "user_code")) {
			t.Fatalf("%d %s", status, body)
		}
		return field(t, body, "device_code"), field(t, body, "user_code")
	}
	poll := func(code string) (int, string) {
		status, _, body := w.call("POST", "/token", url.Values{"grant_type": {deviceGrant}, "device_code": {code}, "client_id": {"gatestay-cli"}}, nil)
		return status, body
	}
	pollError := func(code, want string) {
		t.Helper()
		if status, body := poll(code); status != http.StatusBadRequest || field(t, body, "error") != want {
			t.Fatalf("%d %s, want %s", status, body, want)
		}
	}
	answer := func(userCode string, changes map[string]string) (int, string) {
		v := url.Values{"user_code": {userCode}, "proof": {Proof(w.Secret(), userCode)}}
		for name, value := range changes {
			v.Set(name, value)
		}
		status, _, body := w.call("POST", "/device", v, map[string]string{"Origin": w.URL()})
		return status, body
	}

	code, user := start()
	pollError(code, "authorization_pending")
	pollError(code, "slow_down")
	w.advance(5 * time.Second)
	pollError(code, "slow_down") // the interval is ten seconds now, and fifteen after this
	w.advance(15 * time.Second)
	pollError(code, "authorization_pending")

	// A code typed without its dash, in small letters.
	typed := strings.ToLower(strings.ReplaceAll(user, "-", ""))
	if status, _, body := w.call("GET", "/device?user_code="+typed, nil, nil); status != http.StatusOK || !strings.Contains(body, user) || !strings.Contains(body, `name="secret"`) {
		t.Fatalf("%d %s", status, body)
	}
	if status, _ := answer(user, map[string]string{"person": "dana", "proof": ""}); status != http.StatusForbidden {
		t.Fatalf("signed in without proof: %d", status)
	}
	if status, body := answer(user, map[string]string{"person": "dana"}); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if status, _ := answer(user, map[string]string{"person": "kim"}); status != http.StatusBadRequest {
		t.Fatal("answered twice")
	}
	w.advance(15 * time.Second)
	status, body := poll(code)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if p, err := w.people().Verify(t.Context(), field(t, body, "id_token")); err != nil || p.Account != "oidc:dana@acme.example" {
		t.Fatalf("%+v %v", p, err)
	}
	pollError(code, "expired_token")

	code, user = start()
	if status, _ := answer(user, map[string]string{"deny": "1"}); status != http.StatusOK {
		t.Fatal(status)
	}
	pollError(code, "access_denied")

	code, user = start()
	w.advance(deviceLife + time.Second)
	pollError(code, "expired_token")
	if status, _ := answer(user, map[string]string{"person": "dana"}); status != http.StatusBadRequest {
		t.Fatal("an expired code was answered")
	}
	if status, _, body := w.call("GET", "/device?user_code="+user, nil, nil); status != http.StatusOK || !strings.Contains(body, "has expired") {
		t.Fatalf("%d %s", status, body)
	}
	if status, _, _ := w.call("POST", "/device_authorization", url.Values{"client_id": {"evil"}}, nil); status != http.StatusBadRequest {
		t.Fatal("an unknown client")
	}
}
