package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// execute runs 'gatestay run' in this process with the test binary as command.
func execute(t *testing.T, env *cli.Env, part string, args ...string) int {
	t.Helper()
	t.Setenv(helperVariable, part)
	c := Command(env)
	c.SetArgs(append(args, "--", os.Args[0]))
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	var exit cli.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	default:
		t.Fatalf("run: %v", err)
		return -1
	}
}

// privateTemp makes temporary folders visible: nothing may be left in it.
func privateTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return dir
}

func isEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v %v", left, err)
	}
}

func TestRun_ThroughTheSocket(t *testing.T) {
	for _, way := range [][]string{{"prod-db"}, {"prod-db", "--tcp"}, {"prod-db", "--direct"}} {
		t.Run(strings.Join(way, " "), func(t *testing.T) {
			g, tmp := newFakeGateway(t), privateTemp(t)
			env, stdout, stderr := g.env(t, map[string]string{"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
			args := append(way, "--reason", "INC-2041", "--agent", "claude", "--on-behalf-of", "dana@acme.example")
			if code := execute(t, env, "query:select 1", args...); code != 0 {
				t.Fatalf("exit %d: %s %s", code, stdout, stderr)
			}
			if !strings.Contains(stdout.String(), "8 bytes: select 1") || !strings.Contains(stderr.String(), "run_01TEST") {
				t.Fatalf("%q %q", stdout, stderr)
			}
			form := g.seen().exchanges[0]
			for name, want := range map[string]string{
				"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": jobToken, "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
				"resource": "prod-db", "reason": "INC-2041", "agent": "claude", "on_behalf_of": "dana@acme.example",
			} {
				if form.Get(name) != want {
					t.Errorf("%s: %q, want %q", name, form.Get(name), want)
				}
			}
			if got := g.seen().headers[0].Get("Traceparent"); got != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
				t.Errorf("traceparent %q", got)
			}
			if len(g.seen().passwords) != 1 || g.seen().passwords[0] != credential || g.seen().startups[0]["database"] != "prod-db" {
				t.Errorf("the gateway got %v %v", g.seen().passwords, g.seen().startups)
			}
			if len(g.seen().ended) != 1 || g.seen().ended[0] != "Bearer "+credential {
				t.Errorf("ended %v", g.seen().ended)
			}
			isEmpty(t, tmp)
		})
	}
}

func TestRun_ManyConnectionsAndLargeResults(t *testing.T) {
	g := newFakeGateway(t)
	env, stdout, _ := g.env(t, nil)
	if code := execute(t, env, "many", "prod-db/otherdb", "-q"); code != 0 {
		t.Fatalf("exit %d: %s", code, stdout)
	}
	if n := strings.Count(stdout.String(), "8388608 bytes: 0123456789abcdef"); n != 4 {
		t.Fatalf("%d whole results: %s", n, stdout)
	}
	if len(g.seen().exchanges) != 1 || g.seen().exchanges[0].Get("resource") != "prod-db" || g.seen().startups[0]["database"] != "prod-db/otherdb" {
		t.Fatalf("%v %v", g.seen().exchanges, g.seen().startups)
	}
}

func TestRun_CancelRequest(t *testing.T) {
	for _, way := range [][]string{{"prod-db"}, {"prod-db", "--tcp"}} {
		g := newFakeGateway(t)
		env, stdout, _ := g.env(t, nil)
		if code := execute(t, env, "cancel", way...); code != 0 || !strings.Contains(stdout.String(), "57014") {
			t.Fatalf("%v: exit %d: %s", way, code, stdout)
		}
	}
}

func TestRun_Environment(t *testing.T) {
	for name, secret := range map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL": "https://x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x", "GATESTAY_ID_TOKEN": jobToken, "CI_JOB_JWT": "x", "CI_JOB_JWT_V2": "x",
		"MY_OWN_NAME": jobToken, "PGHOSTADDR": "10.0.0.1", "PGSERVICE": "elsewhere", "PGSSLMODE": "prefer", "PGCHANNELBINDING": "require",
	} {
		t.Setenv(name, secret)
	}
	t.Setenv("CI_JOB_TOKEN", "opens GitLab only")
	t.Setenv("PGUSER", "postgres")
	g := newFakeGateway(t)
	run := func(args ...string) map[string]string {
		env, stdout, stderr := g.env(t, nil)
		if code := execute(t, env, "environ", args...); code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		got := map[string]string{}
		for line := range strings.Lines(stdout.String()) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			got[name] = value
		}
		for _, name := range []string{
			"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GATESTAY_ID_TOKEN", "CI_JOB_JWT", "CI_JOB_JWT_V2", "MY_OWN_NAME",
			"PGHOSTADDR", "PGSERVICE", "PGCHANNELBINDING",
		} {
			if v, ok := got[name]; ok {
				t.Errorf("%v: the command has %s=%s", args, name, v)
			}
		}
		if got["GATESTAY_RUN"] != "run_01TEST" || got["PGDATABASE"] != "prod-db" || got["CI_JOB_TOKEN"] == "" || got["PGUSER"] != "gatestay" {
			t.Errorf("%v: %v", args, got)
		}
		return got
	}
	got := run("prod-db")
	if !filepath.IsAbs(got["PGHOST"]) || got["PGPORT"] != "5432" || got["PGSSLMODE"] != "disable" || got["PGGSSENCMODE"] != "disable" || got["PGPASSWORD"] == "" {
		t.Errorf("socket: %v", got)
	}
	for name, value := range got {
		if strings.Contains(value, credential) {
			t.Errorf("the command has the credential in %s", name)
		}
	}
	got = run("prod-db", "--tcp")
	if got["PGHOST"] != "127.0.0.1" || len(got["PGPASSWORD"]) < 20 || got["PGPASSWORD"] == credential || got["PGSSLMODE"] != "disable" {
		t.Errorf("tcp: %v", got)
	}
	got = run("prod-db", "--direct")
	if got["PGPASSWORD"] != credential || got["PGSSLMODE"] != "verify-full" || got["PGSSLROOTCERT"] != g.ca || got["PGGSSENCMODE"] != "disable" ||
		got["PGHOST"]+":"+got["PGPORT"] != g.listener.Addr().String() {
		t.Errorf("direct: %v", got)
	}
}

func TestChildEnvironment_OtherTokens(t *testing.T) {
	other := "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJzdHMuYW1hem9uYXdzLmNvbSJ9.c2ln" // aud: sts.amazonaws.com
	list := "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsieCIsImdhdGVzdGF5Il19.c2ln"      // aud: [x, gatestay]
	out := childEnvironment([]string{"AWS=" + other, "LIST=" + list, "SAME=tok", "PATH=/bin", "EMPTY=", "ODD"}, map[string]string{"PATH": "/x"}, "tok", "gatestay")
	if got := strings.Join(out, " "); got != "AWS="+other+" EMPTY= ODD PATH=/x" {
		t.Fatal(got)
	}
}

func TestRun_ExitCodes(t *testing.T) {
	g := newFakeGateway(t)
	for part, want := range map[string]int{"exit:0": 0, "exit:3": 3, "exit:255": 255, "die": 143} {
		env, stdout, stderr := g.env(t, nil)
		if code := execute(t, env, part, "prod-db"); code != want {
			t.Errorf("%s: exit %d, want %d: %s %s", part, code, want, stdout, stderr)
		}
	}
	before := len(g.seen().exchanges)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]int{"no-such-command-anywhere": 127, "/no/such/file": 127, plain: 126} {
		env, _, stderr := g.env(t, nil)
		c := Command(env)
		c.SetArgs([]string{"prod-db", "--", command})
		c.SilenceErrors, c.SilenceUsage = true, true
		var exit cli.ExitError
		if err := c.ExecuteContext(t.Context()); !errors.As(err, &exit) || int(exit) != want || stderr.String() == "" {
			t.Errorf("%s: %v, want %d: %s", command, err, want, stderr)
		}
	}
	if len(g.seen().exchanges) != before {
		t.Error("a token was used up for a command that does not exist")
	}
}

func TestRun_Usage(t *testing.T) {
	g := newFakeGateway(t)
	for _, args := range [][]string{{}, {"prod-db"}, {"prod-db", "--"}, {"prod-db", "psql"}, {"a", "b", "--", "psql"}, {"a b", "--", "true"}, {"", "--", "true"}, {"x", "--tcp", "--direct", "--", "true"}} {
		env, _, _ := g.env(t, nil)
		c := Command(env)
		c.SetArgs(args)
		c.SilenceErrors, c.SilenceUsage = true, true
		if err := c.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
	if len(g.seen().exchanges) != 0 {
		t.Error("a token was used up")
	}
}

func TestGateway_Refusals(t *testing.T) {
	g := newFakeGateway(t)
	c := g.client(t)
	g.apiHandler = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "code": "GS1105", "message": "already used\x1b[2J", "detail": "at 12:00, by session s1", "hint": "ask for a new one"})
	}
	_, err := c.Exchange(t.Context(), ExchangeRequest{Token: "t", Target: "prod-db"})
	var refused *Refused
	if !errors.As(err, &refused) || refused.Code != "GS1105" || err.Error() != "GS1105: already used[2J\nat 12:00, by session s1\nask for a new one" {
		t.Fatalf("%q", err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"no JSON":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
		"nothing":       func(http.ResponseWriter, *http.Request) {},
		"no credential": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"run":"run_1"}`)) },
		"endless":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswer+1)) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/v1/exchange", http.StatusTemporaryRedirect)
		},
	} {
		g.apiHandler = h
		if r, err := c.Exchange(t.Context(), ExchangeRequest{Token: "secret-token", Target: "prod-db"}); err == nil || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%s: %v %v", name, r, err)
		}
	}
}

func TestNewGateway_OnlyHTTPS(t *testing.T) {
	g := newFakeGateway(t)
	for name, vars := range map[string]map[string]string{
		"plain http":  {"GATESTAY_GATEWAY": "http://gateway.example"},
		"no scheme":   {"GATESTAY_GATEWAY": "gateway.example:8443"},
		"user info":   {"GATESTAY_GATEWAY": "https://x:y@gateway.example"},
		"no port":     {"GATESTAY_POSTGRES": "gateway.example"},
		"missing CA":  {"GATESTAY_CA": "/no/such/file"},
		"CA is no CA": {"GATESTAY_CA": os.Args[0]},
	} {
		env, _, _ := g.env(t, vars)
		if _, err := NewGateway(env); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	// A gateway whose certificate another CA made.
	_, other := certificate(t, "127.0.0.1")
	env, _, _ := g.env(t, map[string]string{"GATESTAY_CA": other})
	c, err := NewGateway(env)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Exchange(t.Context(), ExchangeRequest{Token: "t", Target: "x"}); err == nil || len(g.seen().exchanges) != 0 {
		t.Fatalf("%v", err)
	}
}

func TestCredential_PrintsAsDots(t *testing.T) {
	r := Run{Credential: credential, ID: "run_1"}
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%v %+v %#v %s %q", r, r, r, r.Credential, r.Credential), fmt.Sprintf("%x", r.Credential)} {
		if strings.Contains(s, credential) || strings.Contains(s, fmt.Sprintf("%x", credential)) {
			t.Fatalf("printed: %s", s)
		}
	}
}
