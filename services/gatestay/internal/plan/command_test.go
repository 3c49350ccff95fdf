package plan

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// world is a gateway's API and a command line that finds it.
type world struct {
	*cli.Env
	stdout, stderr bytes.Buffer
	answer         Plan
	states         []string // one for each question
	asked          map[string]any
}

func newWorld(t *testing.T, p Plan) *world {
	t.Helper()
	w := &world{answer: p}
	api := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/exchange":
			_, _ = rw.Write([]byte(`{"access_token":"gsr_x","run":"run_1","expires_in":60,"connections":1}`))
		case "/v1/plans":
			_ = json.NewDecoder(r.Body).Decode(&w.asked)
			_ = json.NewEncoder(rw).Encode(w.answer)
		case "/v1/plans/" + w.answer.ID:
			_ = json.NewEncoder(rw).Encode(map[string]any{"state": w.states[0], "message": "the plan was " + w.states[0], "approvers": []string{"dana"}, "until": time.Now(), "plan": w.answer})
			if len(w.states) > 1 {
				w.states = w.states[1:]
			}
		}
	}))
	t.Cleanup(api.Close)
	dir := t.TempDir()
	ca, token, file := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token"), filepath.Join(dir, "m.sql")
	for path, text := range map[string][]byte{
		ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}), token: []byte("a.b.c"), file: []byte("DROP TABLE a;"),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{"GATESTAY_GATEWAY": api.URL, "GATESTAY_POSTGRES": "127.0.0.1:5432", "GATESTAY_CA": ca}
	w.Env = &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &w.stdout, Stderr: &w.stderr, Dir: dir, Output: "text", Getenv: func(name string) string { return vars[name] },
	}
	return w
}

func (w *world) run(t *testing.T, args ...string) error {
	t.Helper()
	c := Command(w.Env)
	c.SetArgs(append([]string{"prod-db/shop", "-f", filepath.Join(w.Dir, "m.sql"), "--token-file", filepath.Join(w.Dir, "token")}, args...))
	c.SilenceErrors, c.SilenceUsage = true, true
	return c.ExecuteContext(t.Context()) //nolint:wrapcheck // a test
}

const id = "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV"

// hostile is a plan that others wrote: what it holds must not be taken for ours.
func hostile() Plan {
	deadline := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	return Plan{
		ID: id, Target: "prod-db", Database: "shop", Tool: "sql", Held: 2, Rules: []string{"drops"}, Approvers: "dana in Slack", Deadline: &deadline, Life: 3600,
		Steps: []Step{
			{Source: "m.sql:1", Verb: "drop table", Class: "ddl", Objects: []string{"public.a"}, Statement: "DROP TABLE a", Effect: "hold", Rule: "drops", Warnings: []string{"look"}},
			{
				Source: "x|y`z.sql:1", Verb: "update", Objects: []string{"public.<img src=x>", "@everyone", "[a](http://evil)"}, Effect: "hold", Rule: "a|b",
				Statement: "UPDATE b SET c = '\n</details>\n```\n| 3 | | ok | passes | |\n# Approved\n'\u202e\x1b[2J", Warnings: []string{"a\n# b"},
			},
		},
	}
}

func TestAPlanIsPrinted(t *testing.T) {
	w := newWorld(t, hostile())
	if err := w.run(t, "--reason", "release 42"); err != nil {
		t.Fatal(err)
	}
	out := w.stdout.String()
	for _, want := range []string{"Plan of 2 statements on prod-db/shop, 2 held", "m.sql:1", "DROP TABLE public.a", "dana in Slack", "gatestay run prod-db/shop --plan " + id} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.ContainsAny(out, "\x1b\u202e") {
		t.Errorf("what others wrote steers the terminal:\n%q", out)
	}
	if w.asked["database"] != "shop" || w.asked["tool"] != "sql" || w.asked["dry_run"] != false {
		t.Errorf("asked %v", w.asked)
	}
}

// No text of others ends a cell, a line, a code block or the comment, or becomes a
// mention, a link or markup.
func TestRedteam21_TheCommentIsOursWhateverItShows(t *testing.T) {
	w := newWorld(t, hostile())
	w.Output = "markdown"
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	out := w.stdout.String()
	table, statements, _ := strings.Cut(out, "<details>")
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "|") && strings.Count(line, "|") != 6 {
			t.Errorf("cells: %q", line)
		}
		for _, bad := range []string{"<img", "@everyone", "](", "`z"} {
			if strings.Contains(line, bad) {
				t.Errorf("%q in %q", bad, line)
			}
		}
		if strings.HasPrefix(line, "# b") {
			t.Errorf("a warning is a heading: %q", line)
		}
	}
	if n := strings.Count(statements, "\n</details>"); n != 1 || !strings.HasSuffix(out, "\n</details>\n") {
		t.Errorf("%d ends of the details:\n%s", n, statements)
	}
	for line := range strings.Lines(statements) {
		for _, bad := range []string{"```", "# Approved", "| 3 |"} {
			if strings.Contains(line, bad) && !strings.HasPrefix(line, "        ") {
				t.Errorf("outside of code: %q", line)
			}
		}
	}
	if strings.ContainsAny(out, "\x1b\u202e") {
		t.Errorf("invisible characters: %q", out)
	}
}

func TestWaitEndsWithTheDecision(t *testing.T) {
	for last, code := range map[string]int{"approved": 0, "denied": 1, "expired": 1} {
		w := newWorld(t, hostile())
		w.states = []string{"waiting", last}
		err := w.run(t, "--wait")
		var exit cli.ExitError
		if code == 0 && err != nil || code != 0 && (!errors.As(err, &exit) || int(exit) != code) {
			t.Errorf("%s: %v\n%s", last, err, w.stderr.String())
		}
		if !strings.Contains(w.stderr.String(), last) {
			t.Errorf("%s: %s", last, w.stderr.String())
		}
	}
}

func TestADeniedPlanFails(t *testing.T) {
	p := hostile()
	p.ID, p.Denied, p.Deadline = "", 1, nil
	p.Steps[0].Effect, p.Steps[0].Why = "deny", `rule "no-drops" denies it`
	w := newWorld(t, p)
	var exit cli.ExitError
	if err := w.run(t, "--wait"); !errors.As(err, &exit) || exit != 1 {
		t.Errorf("%v", err)
	}
	if out := w.stdout.String(); !strings.Contains(out, "no-drops") || !strings.Contains(out, "Nobody was asked") {
		t.Error(out)
	}
}

// A thousand statements, or one of half a megabyte: within what a pull request takes,
// whole in what it shows, and said to be a part.
func TestTheCommentFitsAPullRequest(t *testing.T) {
	long := hostile()
	for range 1000 {
		long.Steps = append(long.Steps, long.Steps[1])
	}
	wide := hostile()
	wide.Steps[1].Statement = strings.Repeat("SELECT 1;\n", 50_000)
	for name, p := range map[string]Plan{"long": long, "wide": wide} {
		w := newWorld(t, p)
		w.Output = "markdown"
		if err := w.run(t); err != nil {
			t.Fatal(err)
		}
		out := w.stdout.String()
		if len(out) > maxComment || !strings.Contains(out, "**This is not all of it:**") || !strings.Contains(out, "gatestay approvals show "+id) || strings.Count(out, "</details>\n") != 1 {
			t.Errorf("%s: %d bytes, %s", name, len(out), out[max(0, len(out)-400):])
		}
	}
}

// The comment is edited as the approval goes on.
func TestAPlanIsShownAsItStands(t *testing.T) {
	for state, want := range map[string]string{"waiting": ":hourglass: Waits for dana in Slack", "approved": "**Approved** by dana", "denied": "**Denied**"} {
		w := newWorld(t, hostile())
		w.states, w.Output = []string{state}, "markdown"
		c := Command(w.Env)
		c.SetArgs([]string{"show", "prod-db/shop", id, "--token-file", filepath.Join(w.Dir, "token")})
		c.SilenceErrors, c.SilenceUsage = true, true
		if err := c.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out := w.stdout.String(); !strings.Contains(out, want) || !strings.Contains(out, "| 1 | m.sql&#58;1 |") {
			t.Errorf("%s: %s", state, out)
		}
	}
}
