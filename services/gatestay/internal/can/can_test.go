package can

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

const answer = `{"target":"prod-db","principal":"acme/shop, job 77","allowed":["read (rule reads: Reads\u001b[2J are free)"],
"held":["write (rule clicks: Writes wait), approved by dana"],"denied":["ddl"],"masked":[{"column":"public.customers.email","strategy":"partial"},{"column":"public.customers.card"}]}`

// world is a gateway's API and a command line that finds it.
type world struct {
	*cli.Env
	vars   map[string]string
	stdout bytes.Buffer
	calls  []string
	status int
	body   string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{vars: map[string]string{}, status: http.StatusOK, body: answer}
	api := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.calls = append(w.calls, strings.TrimSpace(r.URL.Path+" "+r.Form.Get("purpose")+r.Form.Get("target")+" "+r.Header.Get("Authorization")))
		switch r.URL.Path {
		case "/v1/exchange":
			_, _ = rw.Write([]byte(`{"access_token":"gsr_x","run":"run_1","expires_in":60,"connections":1}`))
		case "/v1/can":
			rw.WriteHeader(w.status)
			_, _ = rw.Write([]byte(w.body))
		}
	}))
	t.Cleanup(api.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	w.vars["GATESTAY_GATEWAY"], w.vars["GATESTAY_POSTGRES"], w.vars["GATESTAY_CA"] = api.URL, "127.0.0.1:5432", ca
	w.Env = &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &w.stdout, Stderr: &bytes.Buffer{}, Dir: t.TempDir(), Output: "text",
		Getenv: func(name string) string { return w.vars[name] },
	}
	return w
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

// freshTokens plays GitHub's token service.
func (w *world) freshTokens(t *testing.T) {
	t.Helper()
	tokens := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"value":"a.b.c"}`)) }))
	t.Cleanup(tokens.Close)
	w.vars["ACTIONS_ID_TOKEN_REQUEST_URL"], w.vars["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = tokens.URL, "x"
}

func TestCan_WithAFreshToken(t *testing.T) {
	w := newWorld(t)
	w.freshTokens(t)
	out, err := w.run(t, "prod-db/otherdb")
	if err != nil {
		t.Fatal(err)
	}
	want := `acme/shop, job 77 on prod-db

may
  read (rule reads: Reads[2J are free)

waits for an approval to
  write (rule clicks: Writes wait), approved by dana

may not
  ddl

gets back masked
  public.customers.email (partial)
  public.customers.card
`
	if out != want {
		t.Fatalf("got\n%s\nwant\n%s", out, want)
	}
	if got := strings.Join(w.calls, "\n"); got != "/v1/exchange can\n/v1/can prod-db Bearer gsr_x\n/v1/runs/end  Bearer gsr_x" {
		t.Fatalf("calls:\n%s", got)
	}
}

func TestCan_JSON(t *testing.T) {
	w := newWorld(t)
	w.freshTokens(t)
	w.Output, w.body = "json", `{"target":"prod-db","principal":"p","allowed":["read"],"held":null}`
	out, err := w.run(t, "prod-db")
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"allowed", "held", "denied", "masked"} {
		if _, ok := c[list].([]any); !ok {
			t.Errorf("%s is no list: %s", list, out)
		}
	}
}

func TestCan_NothingAllowed(t *testing.T) {
	w := newWorld(t)
	w.freshTokens(t)
	w.body = `{"target":"prod-db","principal":"p"}`
	if out, err := w.run(t, "prod-db"); err != nil || !strings.Contains(out, "No rule lets") {
		t.Fatalf("%q %v", out, err)
	}
	w.status, w.body = http.StatusForbidden, `{"code":"GS1108","message":"no rule lets this job do anything","hint":"ask the owners"}`
	if _, err := w.run(t, "prod-db"); err == nil || err.Error() != "GS1108: no rule lets this job do anything\nask the owners" {
		t.Fatalf("%v", err)
	}
	if last := w.calls[len(w.calls)-1]; !strings.HasPrefix(last, "/v1/runs/end") {
		t.Fatalf("the run stays open: %s", last)
	}
	w.status, w.body = http.StatusOK, "<html>"
	if _, err := w.run(t, "prod-db"); err == nil {
		t.Fatal("read something else than JSON")
	}
}

func TestRedteam30_TheOnlyTokenIsNotSpentUnasked(t *testing.T) {
	w := newWorld(t)
	w.vars["GATESTAY_ID_TOKEN"] = "a.b.c"
	if _, err := w.run(t, "prod-db"); err == nil || !strings.Contains(err.Error(), "gatestay run prod-db -- gatestay can prod-db") || len(w.calls) != 0 {
		t.Fatalf("%v %v", err, w.calls)
	}
	if _, err := w.run(t, "prod-db", "--spend-token"); err != nil || len(w.calls) != 3 {
		t.Fatalf("%v %v", err, w.calls)
	}
}

func TestCan_InsideARun(t *testing.T) {
	w := newWorld(t)
	// After --direct: with the credential at hand.
	w.vars["GATESTAY_RUN"], w.vars["PGPASSWORD"] = "run_1", "gsr_mine"
	if _, err := w.run(t, "prod-db"); err != nil || strings.Join(w.calls, "\n") != "/v1/can prod-db Bearer gsr_mine" {
		t.Fatalf("%v %v", err, w.calls)
	}
	// Through the socket.
	dir, err := os.MkdirTemp("/tmp", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/v1/can?target=prod-db" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		_, _ = rw.Write([]byte(answer))
	})}}
	server.Start()
	w.vars["GATESTAY_SOCKET"] = filepath.Join(dir, "s")
	if out, err := w.run(t, "prod-db"); err != nil || !strings.Contains(out, "public.customers.email") || len(w.calls) != 1 {
		t.Fatalf("%v %s", err, out)
	}
	server.Close()
	if _, err := w.run(t, "prod-db"); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Fatalf("%v", err)
	}
}
