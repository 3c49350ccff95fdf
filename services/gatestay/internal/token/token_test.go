package token

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.Exit(code) }))
}

const sample = "aGVhZA.cGF5bG9hZA.c2ln"

type world struct {
	*cli.Env
	vars           map[string]string
	stdout, stderr bytes.Buffer
}

// newWorld is a command line without anything around it.
func newWorld(t *testing.T) *world {
	w := &world{vars: map[string]string{}}
	w.Env = &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &w.stdout, Stderr: &w.stderr, Dir: t.TempDir(), Output: "text",
		Getenv: func(name string) string { return w.vars[name] },
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return w
}

// withDev adds a running local issuer, as gatestay dev does.
func (w *world) withDev(t *testing.T) *localissuer.Issuer {
	t.Helper()
	i, err := localissuer.New(localissuer.Options{Dir: filepath.Join(w.Dir, "keys")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- i.Serve(ctx) }()
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); cancel(); <-done })
	raw, _ := json.Marshal(map[string]any{"issuer": i.URL()})
	if err := os.WriteFile(filepath.Join(w.Dir, "dev.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

func (w *world) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	w.stdout.Reset()
	c := Command(w.Env)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	return w.stdout.String(), err //nolint:wrapcheck // a test
}

func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFind_GitLab(t *testing.T) {
	w := newWorld(t)
	w.vars[gitLabToken] = " " + sample + "\n"
	f, err := Find(t.Context(), w.Env, Options{})
	if err != nil || f.Value != sample || f.Fresh {
		t.Fatalf("%+v %v", f, err)
	}
	for _, broken := range []string{"not a token", "a.b", "a.b.c d", strings.Repeat("a.", 2) + strings.Repeat("a", maxToken)} {
		w.vars[gitLabToken] = broken
		if _, err := Find(t.Context(), w.Env, Options{}); err == nil || strings.Contains(err.Error(), broken) {
			t.Errorf("%.20q: %v", broken, err)
		}
	}
}

func TestFind_File(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.Dir, "token")
	if err := os.WriteFile(path, []byte(sample+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := w.run(t, "--file", path); err != nil || out != sample+"\n" {
		t.Fatalf("%q %v", out, err)
	}
	if _, err := w.run(t, "--file", path+"x"); err == nil {
		t.Fatal("a missing file")
	}
}

func TestFind_GitHubAgainstTheLocalIssuer(t *testing.T) {
	w := newWorld(t)
	i := w.withDev(t)
	out, err := w.run(t, "--dev", "--job-env", "--claim", "environment=production")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		w.vars[name] = strings.Trim(value, "'")
	}
	first, err := Find(t.Context(), w.Env, Options{})
	if err != nil || !first.Fresh {
		t.Fatalf("%+v %v", first, err)
	}
	second, err := Find(t.Context(), w.Env, Options{Audience: "other"})
	if err != nil {
		t.Fatal(err)
	}
	a, b := claims(t, first.Value), claims(t, second.Value)
	if a["aud"] != "gatestay" || b["aud"] != "other" || a["jti"] == b["jti"] || a["run_id"] != b["run_id"] || a["environment"] != "production" || a["iss"] != i.URL() {
		t.Fatalf("%v\n%v", a, b)
	}
}

func TestFind_GitHubRetriesAndGivesUp(t *testing.T) {
	var asked atomic.Int64
	status := http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer request-token" || r.URL.Query().Get("api-version") != "2.0" {
			t.Errorf("%v %v", r.URL, r.Header)
		}
		if asked.Add(1) == 1 {
			rw.WriteHeader(status)
			return
		}
		_ = json.NewEncoder(rw).Encode(map[string]string{"value": sample})
	}))
	defer server.Close()
	w := newWorld(t)
	w.vars[gitHubURL], w.vars[gitHubToken] = server.URL+"/?api-version=2.0", "request-token"
	if f, err := Find(t.Context(), w.Env, Options{}); err != nil || f.Value != sample || asked.Load() != 2 {
		t.Fatalf("%+v %v after %d", f, err, asked.Load())
	}
	// A refusal is not repeated, and no error says the request token or the URL.
	asked.Store(0)
	status = http.StatusForbidden
	_, err := Find(t.Context(), w.Env, Options{})
	if err == nil || asked.Load() != 1 || strings.Contains(err.Error(), "request-token") || strings.Contains(err.Error(), server.URL) {
		t.Fatalf("%v after %d", err, asked.Load())
	}
	w.vars[gitHubURL] = "http://token.example/?api-version=2.0"
	if _, err := Find(t.Context(), w.Env, Options{}); err == nil || !strings.Contains(err.Error(), "https") {
		t.Fatalf("plain http: %v", err)
	}
}

func TestFind_NothingSaysWhatToDo(t *testing.T) {
	for variable, want := range map[string]string{"GITHUB_ACTIONS": "id-token: write", "GITLAB_CI": "id_tokens:", "": "gatestay dev"} {
		w := newWorld(t)
		w.vars[variable] = "true"
		_, err := Find(t.Context(), w.Env, Options{})
		if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}

func TestFind_DevOnlyWhereNothingElseIsNamed(t *testing.T) {
	w := newWorld(t)
	w.withDev(t)
	if f, err := Find(t.Context(), w.Env, Options{}); err != nil || !f.Fresh || claims(t, f.Value)["repository"] != "acme/shop" {
		t.Fatalf("%+v %v", f, err)
	}
	w.vars["GATESTAY_GATEWAY"] = "https://gateway.acme.example"
	if _, err := Find(t.Context(), w.Env, Options{}); !errors.Is(err, ErrNone) {
		t.Fatalf("a dev token for a real gateway: %v", err)
	}
}

func TestCommand_Dev(t *testing.T) {
	w := newWorld(t)
	w.withDev(t)
	out, err := w.run(t, "--dev", "--preset", "gitlab-ci", "--claim", "environment=production", "--claim", "user_login=lee", "--claim", "exp=1")
	if err != nil {
		t.Fatal(err)
	}
	c := claims(t, out)
	if c["project_id"] != "1001" || c["environment"] != "production" || c["user_login"] != "lee" || c["exp"] != 1.0 {
		t.Fatalf("%v", c)
	}
	w.Output = "json"
	if out, err = w.run(t, "--dev"); err != nil {
		t.Fatal(err)
	}
	var j struct{ Token, Source string }
	if err := json.Unmarshal([]byte(out), &j); err != nil || claims(t, j.Token)["aud"] != "gatestay" || j.Source == "" {
		t.Fatalf("%s %v", out, err)
	}
	for name, args := range map[string][]string{
		"claims of a real system": {"--claim", "a=b"}, "no value": {"--dev", "--claim", "a"}, "no number": {"--dev", "--claim", "exp=soon"},
		"another issuer": {"--dev", "--claim", "iss=https://token.actions.githubusercontent.com"}, "preset": {"--dev", "--preset", "jenkins"},
	} {
		if out, err := w.run(t, args...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestRedteam15_SecretsStayHere(t *testing.T) {
	// A dev.json that names another machine does not get the mint secret.
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	w := newWorld(t)
	w.withDev(t)
	raw, _ := json.Marshal(map[string]any{"issuer": "http://issuer.example:80"})
	if err := os.WriteFile(filepath.Join(w.Dir, "dev.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.run(t, "--dev"); err == nil || !strings.Contains(err.Error(), "not on this machine") || asked {
		t.Fatalf("%v", err)
	}
}

func TestExplain(t *testing.T) {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://i.example","sub":"repo:acme/shop\u001b[2J","exp":1060}`))
	got := explain(&Found{Value: "e30." + payload + ".c2ln", Source: "a file"}, time.Unix(1000, 0))
	if !strings.Contains(got, "valid for 1m0s") || !strings.Contains(got, "https://i.example") || strings.Contains(got, "\x1b") || strings.Contains(got, payload) {
		t.Fatal(got)
	}
}
