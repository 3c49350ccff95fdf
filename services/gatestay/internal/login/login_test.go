package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// lines is a writer that a test reads while a command writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

func (l *lines) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

type world struct {
	*cli.Env
	t      *testing.T
	issuer *localissuer.Issuer
	vars   map[string]string
	stderr lines
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, vars: map[string]string{"XDG_CONFIG_HOME": t.TempDir()}}
	w.Env = &cli.Env{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &w.stderr, Dir: t.TempDir(), Output: "text",
		Getenv: func(name string) string { return w.vars[name] },
	}
	var err error
	w.issuer, err = localissuer.New(localissuer.Options{Dir: filepath.Join(w.Dir, "keys"), Interval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.issuer.Serve(ctx) }()
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); cancel(); <-done })
	raw, _ := json.Marshal(map[string]any{"issuer": w.issuer.URL()})
	if err := os.WriteFile(filepath.Join(w.Dir, "dev.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// start runs a command and returns how it ends.
func (w *world) start(c *cobra.Command, args ...string) <-chan error {
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	done := make(chan error, 1)
	go func() { done <- c.ExecuteContext(w.t.Context()) }()
	return done
}

func (w *world) run(c *cobra.Command, args ...string) error {
	w.t.Helper()
	select {
	case err := <-w.start(c, args...):
		return err //nolint:wrapcheck // a test
	case <-time.After(20 * time.Second):
		w.t.Fatal("the command does not end")
		return nil
	}
}

// said waits until the command has said something.
func (w *world) said(pattern string) []string {
	w.t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		if m := re.FindStringSubmatch(w.stderr.String()); m != nil {
			return m
		}
	}
	w.t.Fatalf("%q was not said in:\n%s", pattern, w.stderr.String())
	return nil
}

// click plays the person in front of the page: it posts the form of the page.
func (w *world) click(page string, choice url.Values) *http.Response {
	w.t.Helper()
	body := get(w.t, page)
	form := url.Values{}
	for _, m := range regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for name, v := range choice {
		form[name] = v
	}
	u, err := url.Parse(page)
	if err != nil {
		w.t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+u.Host+u.Path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "http://"+u.Host)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func get(t *testing.T, page string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, _ := io.ReadAll(resp.Body)
	return string(raw)
}

func (w *world) signedInAs(account string) {
	w.t.Helper()
	got, err := Account(w.Env)
	if err != nil || got != account {
		w.t.Fatalf("signed in as %q, %v; want %q", got, err, account)
	}
	if token, err := Token(w.Env); err != nil || strings.Count(token, ".") != 2 {
		w.t.Fatalf("token: %v", err)
	}
}

func TestLogin_ThroughTheBrowser(t *testing.T) {
	w := newWorld(t)
	done := w.start(Command(w.Env))
	page := w.said(`Open (http://\S+/authorize\S+)`)[1]
	if body := get(t, page); strings.Contains(body, `name="secret"`) {
		t.Fatal("the page asks for the secret that the command line has")
	}
	if resp := w.click(page, url.Values{"person": {"dana"}}); resp.StatusCode != http.StatusOK {
		t.Fatalf("the browser ends at %s", resp.Status)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.signedInAs("oidc:dana@acme.example")
	info, err := os.Stat(filepath.Join(w.vars["XDG_CONFIG_HOME"], "gatestay", "credentials.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if token, _ := Token(w.Env); strings.Contains(w.stderr.String(), token) {
		t.Fatal("the token was printed")
	}
}

func TestRedteam32_StrangersAtTheCallback(t *testing.T) {
	w := newWorld(t)
	done := w.start(Command(w.Env))
	page := w.said(`Open (http://\S+/authorize\S+)`)[1]
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	redirect, state := u.Query().Get("redirect_uri"), u.Query().Get("state")
	if u.Query().Get("code_challenge_method") != "S256" || u.Query().Get("nonce") == "" {
		t.Fatalf("no PKCE or nonce in %s", page)
	}
	for name, q := range map[string]url.Values{
		"no state": {"code": {"x"}}, "another state": {"code": {"x"}, "state": {"guess"}},
		"another provider": {"code": {"x"}, "state": {state}, "iss": {"https://evil.example"}},
	} {
		if body := get(t, redirect+"?"+q.Encode()); !strings.Contains(body, "not the answer") {
			t.Errorf("%s: %s", name, body)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("a stranger ended the sign-in: %v", err)
	default:
	}
	w.click(page, url.Values{"person": {"kim"}})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.signedInAs("oidc:kim@acme.example")
}

func TestLogin_Refused(t *testing.T) {
	w := newWorld(t)
	done := w.start(Command(w.Env))
	u, _ := url.Parse(w.said(`Open (http://\S+/authorize\S+)`)[1])
	get(t, u.Query().Get("redirect_uri")+"?"+url.Values{"state": {u.Query().Get("state")}, "error": {"access_denied\x1b[2J"}}.Encode())
	if err := <-done; err == nil || !strings.Contains(err.Error(), "access_denied") || strings.Contains(err.Error(), "\x1b") {
		t.Fatalf("%v", err)
	}
	// A code that was not made for us.
	w.stderr = lines{}
	done = w.start(Command(w.Env))
	u, _ = url.Parse(w.said(`Open (http://\S+/authorize\S+)`)[1])
	get(t, u.Query().Get("redirect_uri")+"?"+url.Values{"state": {u.Query().Get("state")}, "code": {"stolen"}}.Encode())
	if err := <-done; err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Fatalf("%v", err)
	}
	if _, err := Token(w.Env); !errors.Is(err, ErrSignedOut) || !strings.Contains(err.Error(), "gatestay login") {
		t.Fatalf("%v", err)
	}
}

func TestLogin_Device(t *testing.T) {
	w := newWorld(t)
	done := w.start(Command(w.Env), "--device")
	m := w.said(`Open (\S+/device\S*)\nand enter the code (\S+)`)
	if resp := w.click(m[1], url.Values{"person": {"dana"}}); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.signedInAs("oidc:dana@acme.example")

	w.stderr = lines{}
	done = w.start(Command(w.Env), "--device")
	m = w.said(`Open (\S+/device\S*)\nand enter the code (\S+)`)
	w.click(m[1], url.Values{"deny": {"1"}})
	if err := <-done; err == nil || !strings.Contains(err.Error(), "access_denied") {
		t.Fatalf("%v", err)
	}
}

func TestLogin_AsAndLogout(t *testing.T) {
	w := newWorld(t)
	if err := w.run(Command(w.Env), "--as", "dana"); err != nil {
		t.Fatal(err)
	}
	w.signedInAs("oidc:dana@acme.example")
	if err := w.run(Command(w.Env), "--as", "mallory"); err == nil {
		t.Fatal("an unknown person signed in")
	}
	w.vars["GATESTAY_ISSUER"] = "https://id.acme.example"
	if _, err := Token(w.Env); !errors.Is(err, ErrSignedOut) {
		t.Fatalf("one provider's token is used for another: %v", err)
	}
	delete(w.vars, "GATESTAY_ISSUER")
	if err := w.run(Logout(w.Env)); err != nil {
		t.Fatal(err)
	}
	if _, err := Token(w.Env); !errors.Is(err, ErrSignedOut) {
		t.Fatalf("%v", err)
	}
	if err := w.run(Command(w.Env), "--as", "kim"); err != nil {
		t.Fatal(err)
	}
	if err := w.run(Logout(w.Env), "--all"); err != nil {
		t.Fatal(err)
	}
	if _, err := Token(w.Env); !errors.Is(err, ErrSignedOut) {
		t.Fatalf("%v", err)
	}
}

// Folders of gatestay dev take turns on the issuer's port, each with its keys.
func TestToken_OfThisFolder(t *testing.T) {
	w := newWorld(t)
	if err := w.run(Command(w.Env), "--as", "dana"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(w.Dir, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	here := w.Dir
	w.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(w.Dir, "dev.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Token(w.Env); !errors.Is(err, ErrSignedOut) || !strings.Contains(err.Error(), "gatestay login") {
		t.Fatalf("another folder's sign-in is used: %v", err)
	}
	w.Dir = here
	w.signedInAs("oidc:dana@acme.example")
}

func TestToken_ExpiredAndExposed(t *testing.T) {
	w := newWorld(t)
	if err := w.run(Command(w.Env), "--as", "dana"); err != nil {
		t.Fatal(err)
	}
	c, err := current(w.Env, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := current(w.Env, c.Expiry.Add(-ending+time.Second)); !errors.Is(err, ErrSignedOut) || !strings.Contains(err.Error(), "ended at") {
		t.Fatalf("%v", err)
	}
	path := filepath.Join(w.vars["XDG_CONFIG_HOME"], "gatestay", "credentials.json")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Token(w.Env); err == nil || !strings.Contains(err.Error(), "others may read") {
		t.Fatalf("%v", err)
	}
}

func TestProvider_PlainHTTP(t *testing.T) {
	for _, issuer := range []string{"http://id.acme.example", "http://127.0.0.1.acme.example:80", "ftp://127.0.0.1:1"} {
		if _, err := newProvider(t.Context(), issuer, "x", ""); err == nil {
			t.Errorf("%s was accepted", issuer)
		}
	}
	if secure("http://127.0.0.1:80/token", false) || secure("http://id.example/token", true) || !secure("https://id.example/token", false) {
		t.Error("endpoints")
	}
	w := newWorld(t)
	w.vars["GATESTAY_ISSUER"] = "http://id.acme.example"
	if err := w.run(Command(w.Env)); err == nil || !strings.Contains(err.Error(), "https") {
		t.Fatalf("%v", err)
	}
	if err := os.Remove(filepath.Join(w.Dir, "dev.json")); err != nil {
		t.Fatal(err)
	}
	w.vars = map[string]string{}
	if err := w.run(Command(w.Env)); err == nil || !strings.Contains(err.Error(), "GATESTAY_ISSUER") {
		t.Fatalf("%v", err)
	}
}
