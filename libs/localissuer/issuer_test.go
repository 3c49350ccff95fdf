package localissuer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/refusal"
)

// A server that closes a connection lingers half a second, so that the client
// reads the answer before the reset: it ends by itself.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// world is a served issuer and a client for it.
type world struct {
	*Issuer
	t      *testing.T
	client *http.Client

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Now()}
	i, err := New(Options{Dir: t.TempDir(), Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.Issuer = i
	server := &http.Server{Handler: i.Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(i.listener) }()
	transport := &http.Transport{}
	w.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() { transport.CloseIdleConnections(); _ = server.Close(); <-done })
	return w
}

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// call sends a request; body is url.Values, a JSON value, or nil.
func (w *world) call(method, path string, body any, header map[string]string) (int, http.Header, string) {
	w.t.Helper()
	var reader io.Reader
	contentType := ""
	switch b := body.(type) {
	case nil:
	case url.Values:
		reader, contentType = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		reader, contentType = bytes.NewReader(raw), "application/json"
	}
	target := path
	if strings.HasPrefix(path, "/") {
		target = w.URL() + path
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, target, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for k, v := range header {
		if k == "Host" {
			req.Host = v
		} else {
			req.Header.Set(k, v)
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

func (w *world) withSecret() map[string]string {
	return map[string]string{"Authorization": "Bearer " + w.Secret()}
}

func field(t *testing.T, body, name string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	s, _ := v[name].(string)
	return s
}

func (w *world) verifier() *identity.Verifier {
	w.t.Helper()
	v, err := identity.NewVerifier(w.t.Context(), w.JobIssuers(), "", w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) people() *identity.PersonVerifier {
	w.t.Helper()
	v, err := identity.NewPersonVerifier(config.SignIn{Issuer: w.URL(), ClientID: "gatestay-cli", Loopback: true}, "", w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func TestMint_IsAcceptedByTheVerifier(t *testing.T) {
	w := newWorld(t)
	for preset, want := range map[string]string{
		GitHub: "repo:acme@2002/shop@1001:environment:production", GitLab: "project_path:acme/shop:ref_type:branch:ref:main", Generic: "local-job",
	} {
		status, _, body := w.call("POST", "/mint", MintRequest{Preset: preset, Claims: map[string]any{"environment": "production", "agent": "claude"}}, w.withSecret())
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", preset, status, body)
		}
		v, err := w.verifier().Verify(t.Context(), field(t, body, "value"))
		if err != nil {
			t.Fatalf("%s: %v", preset, err)
		}
		if v.Principal.GetPreset() != preset || v.Principal.GetSubject() != want || v.Principal.GetEnvironment()+v.Principal.GetClaims()["environment"] != "production" || v.Principal.GetAgent() != "claude" {
			t.Errorf("%s: %v", preset, v.Principal)
		}
	}
}

func TestMint_ChangesAndRemovals(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	for name, c := range map[string]struct {
		claims map[string]any
		code   refusal.Code
	}{
		"other ids":     {map[string]any{"repository": "acme/other", "repository_id": "7"}, ""},
		"names only":    {map[string]any{"sub": "repo:acme/shop:ref:refs/heads/main"}, ""},
		"expired":       {map[string]any{"exp": w.clock().Add(-time.Hour).Unix()}, refusal.TokenTime},
		"no repository": {map[string]any{"repository_id": nil, "sub": "x"}, refusal.TokenClaims},
		"no jti":        {map[string]any{"jti": nil}, ""},
		"audience":      {map[string]any{"aud": "other"}, refusal.TokenAudience},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := w.Mint(GitHub, c.claims)
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), token)
			var r *refusal.Refusal
			if c.code == "" && err != nil || c.code != "" && (!errors.As(err, &r) || r.Code != c.code) {
				t.Fatalf("got %v, want %q", err, c.code)
			}
		})
	}
	if _, err := w.Mint(GitHub, map[string]any{"iss": "https://token.actions.githubusercontent.com"}); err == nil {
		t.Fatal("minted in another issuer's name")
	}
	if _, err := w.Mint("jenkins", nil); err == nil {
		t.Fatal("minted for an unknown preset")
	}
}

func TestActions_RequestURL(t *testing.T) {
	w := newWorld(t)
	status, _, body := w.call("POST", "/job", MintRequest{Claims: map[string]any{"environment": "production", "base_ref": nil}}, w.withSecret())
	if status != http.StatusOK {
		t.Fatal(body)
	}
	requestURL, requestToken := field(t, body, "request_url"), field(t, body, "request_token")
	// As GitHub's toolkit does: the audience is appended to the URL's query.
	get := func(token string) (int, string) {
		status, _, body := w.call("GET", requestURL+"&audience=gatestay", nil, map[string]string{"Authorization": "Bearer " + token})
		return status, body
	}
	seen := map[string]string{}
	for range 2 {
		status, body := get(requestToken)
		if status != http.StatusOK {
			t.Fatal(body)
		}
		v, err := w.verifier().Verify(t.Context(), field(t, body, "value"))
		if err != nil {
			t.Fatal(err)
		}
		if v.Principal.GetEnvironment() != "production" {
			t.Fatalf("%v", v.Principal)
		}
		seen[v.ReplayKey] = v.Principal.GetRunId()
	}
	runs := map[string]bool{}
	for _, run := range seen {
		runs[run] = true
	}
	if len(seen) != 2 || len(runs) != 1 {
		t.Fatalf("want two tokens of one run, got %v", seen)
	}
	for name, token := range map[string]string{"none": "", "garbage": "x.y", "tampered": "e30" + requestToken, "mint secret": w.Secret()} {
		if status, body := get(token); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	w.advance(jobLife + time.Minute)
	if status, _ := get(requestToken); status != http.StatusUnauthorized {
		t.Error("a token for a job that has ended")
	}
}

func TestKeys_SurviveARestartAndStayPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	open := func() *Issuer {
		i, err := New(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		return i
	}
	first, second := open(), open()
	if first.Secret() != second.Secret() || keyID(first.key) != keyID(second.key) {
		t.Fatal("other keys after a restart")
	}
	for _, name := range []string{"issuer.pem", SecretFile} {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", name, info.Mode(), err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Fatalf("%s readable by others: %v", name, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(Options{Dir: dir, Listen: "0.0.0.0:0"}); err == nil {
		t.Fatal("listens beyond loopback")
	}
}

func TestRedteam32_MintingByOthers(t *testing.T) {
	w := newWorld(t)
	for name, header := range map[string]map[string]string{
		"no secret":           {},
		"wrong secret":        {"Authorization": "Bearer " + strings.Repeat("x", len(w.Secret()))},
		"a page's request":    {"Authorization": "Bearer " + w.Secret(), "Origin": "https://evil.example"},
		"our own page":        {"Authorization": "Bearer " + w.Secret(), "Origin": w.URL()},
		"a rebound name":      {"Authorization": "Bearer " + w.Secret(), "Host": "evil.example"},
		"another port":        {"Authorization": "Bearer " + w.Secret(), "Host": "127.0.0.1:1"},
		"a sandboxed page":    {"Authorization": "Bearer " + w.Secret(), "Origin": "null"},
		"the secret as Basic": {"Authorization": "Basic " + w.Secret()},
	} {
		for _, path := range []string{"/mint", "/job", "/signin"} {
			if status, _, body := w.call("POST", path, map[string]any{}, header); status != http.StatusForbidden && status != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s", name, path, status, body)
			}
		}
	}
	if status, _, _ := w.call("GET", "/keys", nil, map[string]string{"Host": "evil.example"}); status != http.StatusForbidden {
		t.Errorf("keys under another name: %d", status)
	}
	huge := map[string]any{"claims": map[string]any{"x": strings.Repeat("x", maxBody)}}
	if status, _, _ := w.call("POST", "/mint", huge, w.withSecret()); status != http.StatusBadRequest {
		t.Errorf("a huge body: %d", status)
	}
}

func TestHandler_UnderATestServer(t *testing.T) {
	// The guard compares with the listener's address, not with whatever serves it.
	w := newWorld(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/keys", nil)
	r.Host = "localhost:" + strings.TrimPrefix(w.URL(), "http://127.0.0.1:")
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusOK || strings.Contains(rec.Body.String(), `"d"`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
}
