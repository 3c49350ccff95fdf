package identity

import (
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
)

// refused fails the test unless the token is refused with the code.
func (w *world) refused(t *testing.T, token string, code refusal.Code) *refusal.Refusal {
	t.Helper()
	return wantRefusal(t, verifyError(w.verifier.Verify(w.t.Context(), token)), code)
}

func verifyError(_ *Verified, err error) error { return err }

func wantRefusal(t *testing.T, err error, code refusal.Code) *refusal.Refusal {
	t.Helper()
	var r *refusal.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, want a refusal %s", err, code)
	}
	if r.Hint == "" {
		t.Errorf("the refusal names no next step: %v", r)
	}
	return r
}

func (w *world) accepted(t *testing.T, token string) *Verified {
	t.Helper()
	v, err := w.verifier.Verify(w.t.Context(), token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return v
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestRedteam01_AlgorithmNone(t *testing.T) {
	w := newWorld(t, "github-actions")
	payload, _ := json.Marshal(w.job(nil))
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "rs256", "RS256 "} {
		header := `{"alg":"` + alg + `","kid":"rsa"}`
		w.refused(t, encode(header)+"."+encode(string(payload))+".", refusal.TokenInvalid)
		w.refused(t, encode(header)+"."+encode(string(payload))+"."+encode("x"), refusal.TokenInvalid)
	}
	w.refused(t, encode(`{"kid":"rsa"}`)+"."+encode(string(payload))+"."+encode("x"), refusal.TokenInvalid)
}

func TestRedteam01_SymmetricWithThePublicKey(t *testing.T) {
	w := newWorld(t, "github-actions")
	public := signingKeys()["rsa"].Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	jwk, _ := json.Marshal(jose.JSONWebKey{Key: public, KeyID: "rsa", Use: "sig"})
	payload, _ := json.Marshal(w.job(nil))
	for name, secret := range map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "DER": der,
		"PKCS1": x509.MarshalPKCS1PublicKey(public.(*rsa.PublicKey)), "JWK": jwk,
	} {
		t.Run(name, func(t *testing.T) {
			for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
				w.refused(t, signBytes(t, payload, secret, alg, map[jose.HeaderKey]any{"kid": "rsa"}), refusal.TokenInvalid)
			}
		})
	}
}

func TestRedteam01_UnknownKid(t *testing.T) {
	w := newWorld(t, "github-actions")
	w.refused(t, sign(t, w.job(nil), "rsa-2", jose.RS256, nil), refusal.TokenInvalid)

	// The right kid with the wrong key.
	payload, _ := json.Marshal(w.job(nil))
	forged := jose.JSONWebKey{Key: signingKeys()["rsa-2"], KeyID: "rsa"}
	w.refused(t, signBytes(t, payload, forged, jose.RS256, nil), refusal.TokenInvalid)

	// No kid where there are several keys: none is guessed.
	w.publish("rsa", "rsa-2")
	w.advance(2 * freshFor)
	w.refused(t, signBytes(t, mustJSON(t, w.job(nil)), signingKeys()["rsa"], jose.RS256, nil), refusal.TokenInvalid)
}

func TestRedteam01_UnknownKidsDoNotFloodTheIssuer(t *testing.T) {
	w := newWorld(t, "github-actions")
	before := w.requests.Load()
	for range 100 {
		w.refused(t, sign(t, w.job(nil), "rsa-2", jose.RS256, nil), refusal.TokenInvalid)
	}
	w.advance(askAgain + time.Second)
	for range 100 {
		w.refused(t, sign(t, w.job(nil), "rsa-2", jose.RS256, nil), refusal.TokenInvalid)
	}
	if n := w.requests.Load() - before; n > 2 {
		t.Fatalf("%d requests to the issuer for 200 tokens, want one read of two requests", n)
	}
}

func TestRedteam01_KeysInTheHeader(t *testing.T) {
	w := newWorld(t, "github-actions")
	asked := false
	evil := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked = true
		_ = json.NewEncoder(rw).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signingKeys()["rsa-2"].Public(), KeyID: "rsa"}}})
	}))
	defer evil.Close()
	public := &jose.JSONWebKey{Key: signingKeys()["rsa-2"].Public(), KeyID: "rsa"}
	for name, header := range map[string]map[jose.HeaderKey]any{
		"jku": {"jku": evil.URL}, "x5u": {"x5u": evil.URL}, "jwk": {"jwk": public}, "x5c": {"x5c": []string{"AAAA"}},
	} {
		t.Run(name, func(t *testing.T) {
			payload := mustJSON(t, w.job(nil))
			header["kid"] = "rsa"
			w.refused(t, signBytes(t, payload, signingKeys()["rsa-2"], jose.RS256, header), refusal.TokenInvalid)
		})
	}
	if asked {
		t.Fatal("the attacker's server was asked for keys")
	}
	// Where the real key signed, such a header changes nothing.
	w.accepted(t, sign(t, w.job(nil), "rsa", jose.RS256, map[jose.HeaderKey]any{"jku": evil.URL}))
	if asked {
		t.Fatal("the attacker's server was asked for keys")
	}
}

func TestRedteam01_KeysOverPlainHTTP(t *testing.T) {
	clock := newClock()
	for name, c := range map[string]config.Issuer{
		"plain issuer":         {Preset: "generic", Issuer: "http://issuer.example", Audience: "gatestay"},
		"loopback elsewhere":   {Preset: "generic", Issuer: "http://issuer.example", Audience: "gatestay", Loopback: true},
		"loopback look-alike":  {Preset: "generic", Issuer: "http://127.0.0.1.issuer.example", Audience: "gatestay", Loopback: true},
		"loopback user info":   {Preset: "generic", Issuer: "http://127.0.0.1@issuer.example", Audience: "gatestay", Loopback: true},
		"loopback not allowed": {Preset: "generic", Issuer: "http://127.0.0.1:80", Audience: "gatestay"},
		"another scheme":       {Preset: "generic", Issuer: "file:///etc/keys", Audience: "gatestay"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewVerifier(t.Context(), []config.Issuer{c}, "", clock.Now); err == nil {
				t.Fatal("accepted")
			}
		})
	}

	// An HTTPS issuer that sends on to plain HTTP, by its document or a redirect.
	plain := newAuthority(t, false)
	w := &world{authority: newAuthority(t, true), clock: clock}
	w.jwks = plain.jwks
	w.verifier = w.newVerifier(w.config("github-actions"))
	w.refused(t, sign(t, w.job(nil), "rsa", jose.RS256, nil), refusal.TokenIssuer)
	w.fail(func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, plain.server.URL+r.URL.Path, http.StatusFound)
	})
	w.advance(time.Minute)
	w.refused(t, sign(t, w.job(nil), "rsa", jose.RS256, nil), refusal.TokenIssuer)
	if n := plain.requests.Load(); n != 0 {
		t.Fatalf("%d requests over plain HTTP", n)
	}
}

func TestRedteam01_IssuerLookAlike(t *testing.T) {
	w := newWorld(t, "github-actions")
	for _, iss := range []any{
		w.server.URL + "/", w.server.URL + ".evil.example", strings.ToUpper(w.server.URL), w.server.URL[:len(w.server.URL)-1],
		" " + w.server.URL, w.server.URL + "\x00", "", nil,
		[]string{w.server.URL},
		"accounts.google.com",
	} {
		w.refused(t, sign(t, w.job(map[string]any{"iss": iss}), "rsa", jose.RS256, nil), refusal.TokenIssuer)
	}
	// An issuer whose document names another one.
	w.advance(2 * usableFor)
	w.issuer = "https://token.actions.githubusercontent.com"
	w.refused(t, sign(t, w.job(nil), "rsa", jose.RS256, nil), refusal.TokenIssuer)
}

func TestRedteam01_KeysThatMustNotVerify(t *testing.T) {
	w := newWorld(t, "github-actions")
	set := func(keys ...jose.JSONWebKey) {
		w.mu.Lock()
		w.keys = keys
		w.mu.Unlock()
		w.advance(2 * usableFor)
	}
	weak := signingKeys()["weak"]
	t.Run("short RSA", func(t *testing.T) {
		set(jose.JSONWebKey{Key: weak.Public(), KeyID: "weak"}, jose.JSONWebKey{Key: signingKeys()["rsa"].Public(), KeyID: "rsa"})
		w.refused(t, sign(t, w.job(nil), "weak", jose.RS256, nil), refusal.TokenInvalid)
	})
	t.Run("symmetric", func(t *testing.T) {
		secret := []byte("a secret that the issuer published by mistake")
		set(jose.JSONWebKey{Key: secret, KeyID: "s"}, jose.JSONWebKey{Key: signingKeys()["rsa"].Public(), KeyID: "rsa"})
		w.refused(t, signBytes(t, mustJSON(t, w.job(nil)), secret, jose.HS256, map[jose.HeaderKey]any{"kid": "s"}), refusal.TokenInvalid)
	})
	t.Run("for encryption", func(t *testing.T) {
		set(jose.JSONWebKey{Key: signingKeys()["rsa"].Public(), KeyID: "rsa", Use: "enc"}, jose.JSONWebKey{Key: signingKeys()["rsa-2"].Public(), KeyID: "rsa-2"})
		w.refused(t, sign(t, w.job(nil), "rsa", jose.RS256, nil), refusal.TokenInvalid)
	})
	t.Run("for another algorithm", func(t *testing.T) {
		set(jose.JSONWebKey{Key: signingKeys()["rsa"].Public(), KeyID: "rsa", Algorithm: "PS256"})
		w.refused(t, sign(t, w.job(nil), "rsa", jose.RS256, nil), refusal.TokenInvalid)
		w.accepted(t, sign(t, w.job(nil), "rsa", jose.PS256, nil))
	})
}

func TestRedteam02_AnotherAudience(t *testing.T) {
	w := newWorld(t, "github-actions")
	for _, aud := range []any{"sts.amazonaws.com", "gatestay2", "Gatestay", "", nil, []string{}, []any{"gatestay", 1}, map[string]string{"x": "gatestay"}} {
		w.refused(t, sign(t, w.job(map[string]any{"aud": aud}), "rsa", jose.RS256, nil), refusal.TokenAudience)
	}
	w.accepted(t, sign(t, w.job(map[string]any{"aud": []string{"other", "gatestay"}}), "rsa", jose.RS256, nil))
	if _, err := NewVerifier(t.Context(), []config.Issuer{{Preset: "generic", Issuer: "https://issuer.example"}}, "", w.Now); err == nil {
		t.Fatal("an issuer without an audience was accepted")
	}
}

func TestRedteam02_TimesAtBothEdges(t *testing.T) {
	w := newWorld(t, "github-actions")
	at := func(d time.Duration) int64 { return w.Now().Add(d).Unix() }
	for name, c := range map[string]struct {
		changes map[string]any
		code    refusal.Code // empty: accepted
	}{
		"expired within the leeway":        {map[string]any{"exp": at(-leeway)}, ""},
		"expired beyond":                   {map[string]any{"exp": at(-leeway - time.Second)}, refusal.TokenTime},
		"valid within the leeway":          {map[string]any{"nbf": at(leeway)}, ""},
		"not yet valid":                    {map[string]any{"nbf": at(leeway + time.Second)}, refusal.TokenTime},
		"issued within the leeway":         {map[string]any{"iat": at(leeway)}, ""},
		"issued in the future":             {map[string]any{"iat": at(leeway + time.Second)}, refusal.TokenTime},
		"no exp":                           {map[string]any{"exp": nil}, refusal.TokenInvalid},
		"exp as text":                      {map[string]any{"exp": "99999999999"}, refusal.TokenInvalid},
		"exp beyond all sense":             {map[string]any{"exp": 1e300}, refusal.TokenInvalid},
		"exp below zero":                   {map[string]any{"exp": -1}, refusal.TokenInvalid},
		"nbf as text":                      {map[string]any{"nbf": "0"}, refusal.TokenInvalid},
		"outlives the memory of used ones": {map[string]any{"exp": at(maxLife + time.Minute)}, refusal.TokenTime},
		"no nbf, no iat":                   {map[string]any{"nbf": nil, "iat": nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(t, w.job(c.changes), "rsa", jose.RS256, nil)
			if c.code == "" {
				w.accepted(t, token)
			} else {
				w.refused(t, token, c.code)
			}
		})
	}
}

func TestRedteam02_ReplayedTokenSpelledOtherwise(t *testing.T) {
	w := newWorld(t, "github-actions")
	w.publish("p256", "rsa")
	w.advance(2 * freshFor)
	for _, jti := range []any{"jti-1", nil} {
		token := sign(t, w.job(map[string]any{"jti": jti}), "p256", jose.ES256, nil)
		key := w.accepted(t, token).ReplayKey

		// An ECDSA signature (r, s) has a twin (r, n-s): the same token still.
		if twin := w.accepted(t, malleate(t, token)); twin.ReplayKey != key {
			t.Fatalf("jti %v: the twin signature is another token", jti)
		}
		// Any other spelling is refused or, at the least, the same token.
		for i := range len(token) {
			for _, c := range []string{"A", "Q", "g", "w", "-", "_", "=", ".", "\n", " ", "+"} {
				for _, other := range []string{token[:i] + c + token[i:], token[:i] + c + token[i+1:]} {
					v, err := w.verifier.Verify(t.Context(), other)
					if err == nil && v.ReplayKey != key {
						t.Fatalf("jti %v: changed at %d with %q, it is accepted as another token", jti, i, c)
					}
				}
			}
		}
		for name, other := range map[string]string{
			"padded": token + "=", "line end": token + "\n", "in front": " " + token, "a fourth part": token + ".", "cut": token[:len(token)-1],
			"spare bits": spareBits(t, token),
		} {
			t.Run(name, func(t *testing.T) { w.refused(t, other, refusal.TokenInvalid) })
		}
	}
}

// spareBits sets the bits of the last character that encode nothing.
func spareBits(t *testing.T, token string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	other := token[:len(token)-1] + string(alphabet[last|1])
	a, errA := base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:])
	b, errB := base64.RawURLEncoding.DecodeString(other[strings.LastIndex(other, ".")+1:])
	if errA != nil || errB != nil || string(a) != string(b) || other == token {
		t.Fatal("not another spelling of the same bytes")
	}
	return other
}

func malleate(t *testing.T, token string) string {
	t.Helper()
	cut := strings.LastIndex(token, ".") + 1
	sig, err := base64.RawURLEncoding.DecodeString(token[cut:])
	if err != nil || len(sig) != 64 {
		t.Fatal("not an ES256 signature")
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	return token[:cut] + base64.RawURLEncoding.EncodeToString(sig)
}

func TestRedteam02_ReplayKeys(t *testing.T) {
	w := newWorld(t, "github-actions")
	first := w.accepted(t, sign(t, w.job(nil), "rsa", jose.RS256, nil))
	if !first.SingleUse || len(first.ReplayKey) != 64 {
		t.Fatalf("%+v", first)
	}
	// A second, wider token of the same step is another token, with its own claims.
	second := w.accepted(t, sign(t, w.job(map[string]any{"jti": "jti-2", "environment": "staging"}), "rsa", jose.RS256, nil))
	if second.ReplayKey == first.ReplayKey || second.Principal.GetEnvironment() != "staging" {
		t.Fatalf("%+v", second)
	}
	// The same jti in other text is the same token.
	again := w.accepted(t, sign(t, w.job(map[string]any{"actor": "lee"}), "rsa", jose.RS256, nil))
	if again.ReplayKey != first.ReplayKey {
		t.Fatal("the same jti, another token")
	}
	for _, jti := range []any{"", 7, []string{"a"}, true} {
		w.refused(t, sign(t, w.job(map[string]any{"jti": jti}), "rsa", jose.RS256, nil), refusal.TokenClaims)
	}
	// Another issuer's token with the same jti is another token.
	other := newAuthority(t, true)
	w.verifier = w.newVerifier(w.config("github-actions"), other.config("github-actions"))
	elsewhere := w.accepted(t, sign(t, w.job(map[string]any{"iss": other.server.URL}), "rsa", jose.RS256, nil))
	if elsewhere.ReplayKey == first.ReplayKey {
		t.Fatal("two issuers share a jti")
	}
}

func TestRedteam02_TwoReadingsOfOneToken(t *testing.T) {
	w := newWorld(t, "github-actions")
	payload := string(mustJSON(t, w.job(nil)))
	for name, changed := range map[string]string{
		"a name twice":           strings.Replace(payload, "{", `{"repository_id":"6666",`, 1),
		"a name in another case": strings.Replace(payload, "{", `{"Repository_ID":"6666",`, 1),
		"escaped twice":          strings.Replace(payload, "{", `{"repository\u005fid":"6666",`, 1),
		"nested twice":           strings.Replace(payload, "{", `{"act":{"sub":"a","sub":"b"},`, 1),
		"text behind":            payload + "{}",
		"invalid UTF-8":          strings.Replace(payload, "acme/shop", "acme/sh\xffp", 1),
		"too deep":               strings.Replace(payload, "{", `{"x":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`,`, 1),
		"a list":                 "[" + payload + "]",
		"not JSON":               payload[:len(payload)-1],
		"nothing":                "",
	} {
		t.Run(name, func(t *testing.T) {
			token := signBytes(t, []byte(changed), jose.JSONWebKey{Key: signingKeys()["rsa"], KeyID: "rsa"}, jose.RS256, nil)
			w.refused(t, token, refusal.TokenInvalid)
		})
	}
}

func TestRedteam03_RecreatedRepository(t *testing.T) {
	w := newWorld(t, "github-actions")
	// The name is taken anew: the same sub in the old form, other ids.
	old := w.accepted(t, sign(t, w.job(map[string]any{"sub": "repo:acme/shop:ref:refs/heads/main"}), "rsa", jose.RS256, nil))
	taken := w.accepted(t, sign(t, w.job(map[string]any{
		"sub": "repo:acme/shop:ref:refs/heads/main", "repository_id": "6666", "repository_owner_id": "6667", "jti": "2",
	}), "rsa", jose.RS256, nil))
	if old.Principal.GetSubject() != taken.Principal.GetSubject() || old.Principal.GetRepositoryId() == taken.Principal.GetRepositoryId() {
		t.Fatal("a recreated repository cannot be told from the old one")
	}
}

func TestRedteam03_ForkAndEnvironment(t *testing.T) {
	w := newWorld(t, "github-actions")
	p := w.accepted(t, sign(t, w.job(map[string]any{
		"event_name": "pull_request", "head_ref": "patch-1", "environment": nil, "sub": "repo:acme/shop:pull_request",
	}), "rsa", jose.RS256, nil)).Principal
	if p.GetEvent() != "pull_request" || p.GetEnvironment() != "" || p.GetClaims()["head_ref"] != "patch-1" {
		t.Fatalf("%v", p)
	}
	g := newWorld(t, "gitlab-ci")
	fork := g.accepted(t, sign(t, g.project(map[string]any{
		"project_id": "6666", "project_path": "mallory/shop", "sub": "project_path:mallory/shop:ref_type:branch:ref:main",
		"pipeline_source": "merge_request_event",
	}), "rsa", jose.RS256, nil)).Principal
	if fork.GetRepositoryId() != "6666" || fork.GetEvent() != "merge_request_event" {
		t.Fatalf("%v", fork)
	}
}

func TestRedteam04_AnotherTrustDomain(t *testing.T) {
	w := newWorld(t, "github-actions")
	other := newAuthority(t, true)
	other.publish("rsa-2")
	w.verifier = w.newVerifier(w.config("github-actions"), other.config("generic"))
	// Signed by one issuer, in the name of the other.
	w.refused(t, sign(t, w.job(nil), "rsa-2", jose.RS256, nil), refusal.TokenInvalid)
	w.refused(t, sign(t, w.job(map[string]any{"iss": other.server.URL}), "rsa", jose.RS256, nil), refusal.TokenInvalid)
	// In its own name it is what its own preset makes of it: no repository.
	p := w.accepted(t, sign(t, w.job(map[string]any{"iss": other.server.URL}), "rsa-2", jose.RS256, nil)).Principal
	if p.GetRepositoryId() != "" || p.GetPreset() != "generic" || p.GetIssuer() != other.server.URL {
		t.Fatalf("%v", p)
	}
	// A JSON serialization, which some libraries take too.
	jws := sign(t, w.job(nil), "rsa", jose.RS256, nil)
	parsed, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	w.refused(t, parsed.FullSerialize(), refusal.TokenInvalid)
}

func TestRedteam05_HugeTokens(t *testing.T) {
	w := newWorld(t, "github-actions")
	w.refused(t, strings.Repeat("a", maxToken+1), refusal.TokenInvalid)
	w.refused(t, sign(t, w.job(map[string]any{"x": strings.Repeat("x", maxToken)}), "rsa", jose.RS256, nil), refusal.TokenInvalid)
	w.refused(t, strings.Repeat(".", maxToken), refusal.TokenInvalid)
	// An issuer that answers without end.
	w.advance(2 * usableFor)
	w.fail(func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := rw.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	w.refused(t, sign(t, w.job(nil), "rsa", jose.RS256, nil), refusal.TokenIssuer)
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
