package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatestay/gatestay/libs/config"
)

// signingKeys are generated once: RSA keys take a while.
var signingKeys = sync.OnceValue(func() map[string]crypto.Signer {
	must := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	return map[string]crypto.Signer{
		"rsa":     must(rsa.GenerateKey(rand.Reader, 2048)),
		"rsa-2":   must(rsa.GenerateKey(rand.Reader, 2048)),
		"weak":    must(rsa.GenerateKey(rand.Reader, 1024)),
		"p256":    must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"p384":    must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"p521":    must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"ed25519": must(ed, err),
	}
})

// authority is an OIDC issuer whose every part a test can break.
type authority struct {
	t        testing.TB
	server   *httptest.Server
	ca       string // PEM file, for TLS
	requests atomic.Int64

	mu     sync.Mutex
	keys   []jose.JSONWebKey
	issuer string // as the discovery document says it
	jwks   string
	broken http.HandlerFunc // answers instead, where set
}

func newAuthority(t testing.TB, tls bool) *authority {
	t.Helper()
	a := &authority{t: t}
	if tls {
		a.server = httptest.NewTLSServer(a)
		a.ca = filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
		if err := os.WriteFile(a.ca, block, 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		a.server = httptest.NewServer(a)
	}
	t.Cleanup(a.server.Close)
	a.issuer, a.jwks = a.server.URL, a.server.URL+"/keys"
	a.publish("rsa")
	return a
}

func (a *authority) publish(names ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = nil
	for _, name := range names {
		a.keys = append(a.keys, jose.JSONWebKey{Key: signingKeys()[name].Public(), KeyID: name, Use: "sig"})
	}
}

// fail answers everything with f; nil repairs it.
func (a *authority) fail(f http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = f
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.requests.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.broken != nil:
		a.broken(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": a.issuer, "jwks_uri": a.jwks})
	default:
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: a.keys})
	}
}

func (a *authority) config(preset string) config.Issuer {
	return config.Issuer{Preset: preset, Issuer: a.server.URL, Audience: "gatestay", CA: a.ca, Loopback: a.ca == ""}
}

// clock is a wall clock that a test sets.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.set(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	return c
}

func (c *clock) set(t time.Time)         { c.now.Store(&t) }
func (c *clock) advance(d time.Duration) { c.set(c.Now().Add(d)) }
func (c *clock) Now() time.Time          { return *c.now.Load() }

// world is a verifier of one issuer with its clock.
type world struct {
	*authority
	*clock
	verifier *Verifier
}

func newWorld(t testing.TB, preset string) *world {
	t.Helper()
	w := &world{authority: newAuthority(t, true), clock: newClock()}
	w.verifier = w.newVerifier(w.config(preset))
	return w
}

func (w *world) newVerifier(issuers ...config.Issuer) *Verifier {
	w.t.Helper()
	v, err := NewVerifier(w.t.Context(), issuers, w.t.TempDir(), w.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// job returns the claims of a GitHub job, with changes; a nil value removes one.
func (w *world) job(changes map[string]any) map[string]any {
	return merge(map[string]any{
		"iss": w.server.URL, "aud": "gatestay", "jti": "jti-1",
		"iat": w.Now().Unix(), "nbf": w.Now().Add(-time.Minute).Unix(), "exp": w.Now().Add(5 * time.Minute).Unix(),
		"sub":        "repo:acme@2002/shop@1001:environment:production",
		"repository": "acme/shop", "repository_id": "1001", "repository_owner": "acme", "repository_owner_id": "2002",
		"workflow": "deploy", "run_id": "900", "run_attempt": "2", "check_run_id": "77", "ref": "refs/heads/main",
		"environment": "production", "event_name": "push", "actor": "kim", "actor_id": "55", "runner_environment": "github-hosted",
	}, changes)
}

func (w *world) project(changes map[string]any) map[string]any {
	return merge(map[string]any{
		"iss": w.server.URL, "aud": "gatestay", "jti": "jti-1",
		"iat": w.Now().Unix(), "nbf": w.Now().Unix(), "exp": w.Now().Add(time.Hour).Unix(),
		"sub":          "project_path:acme/tools/shop:ref_type:branch:ref:main",
		"project_path": "acme/tools/shop", "project_id": "42", "namespace_id": "7", "namespace_path": "acme/tools",
		"pipeline_id": "500", "pipeline_source": "push", "job_id": "501", "ref": "main", "ref_protected": "true",
		"environment": "production", "user_login": "kim", "user_id": "55", "user_email": "kim@acme.example",
		"ci_config_ref_uri": "gitlab.example/acme/tools/shop//.gitlab-ci.yml@refs/heads/main", "groups_direct": []string{"acme"},
	}, changes)
}

func merge(claims, changes map[string]any) map[string]any {
	for name, v := range changes {
		if v == nil {
			delete(claims, name)
		} else {
			claims[name] = v
		}
	}
	return claims
}

// sign signs claims with a named key, whose name is the kid.
func sign(t testing.TB, claims map[string]any, key string, algorithm jose.SignatureAlgorithm, header map[jose.HeaderKey]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return signBytes(t, payload, jose.JSONWebKey{Key: signingKeys()[key], KeyID: key}, algorithm, header)
}

func signBytes(t testing.TB, payload []byte, key any, algorithm jose.SignatureAlgorithm, header map[jose.HeaderKey]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
