package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

var update = flag.Bool("update", false, "write the golden files")

// world is an archival service and a command line that finds it.
type world struct {
	*cli.Env
	vars   map[string]string
	stdout bytes.Buffer
	asked  []string // paths with their queries
	tokens []string
	status int
	pages  []string // answers to searches, in order
	story  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{vars: map[string]string{}, status: http.StatusOK}
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked = append(w.asked, r.URL.String())
		w.tokens = append(w.tokens, r.Header.Get("Authorization"))
		rw.WriteHeader(w.status)
		switch {
		case len(w.pages) > 0:
			_, _ = rw.Write([]byte(w.pages[0]))
			w.pages = w.pages[1:]
		default:
			_, _ = rw.Write([]byte(w.story))
		}
	}))
	t.Cleanup(api.Close)
	w.vars["GATESTAY_CONSOLE"] = api.URL
	w.Env = &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &w.stdout, Stderr: &bytes.Buffer{}, Dir: t.TempDir(), Output: "text",
		Getenv: func(name string) string { return w.vars[name] },
	}
	return w
}

func (w *world) tool() *tool {
	return &tool{env: w.Env, token: signedIn, now: func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }}
}

func signedIn(*cli.Env) (string, error) { return "the-token", nil }

func (w *world) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	w.stdout.Reset()
	c := w.tool().command()
	c.SetArgs(args)
	c.SetOut(&w.stdout)
	c.SetErr(&bytes.Buffer{})
	c.SilenceUsage, c.SilenceErrors = true, true
	err := c.ExecuteContext(t.Context())
	return w.stdout.String(), err
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

var opened = time.Date(2026, 11, 3, 11, 2, 33, 0, time.UTC)

// commands are those of a job: a read, a held write, a refused drop, and one
// whose outcome never came.
func commands() []command {
	p := principal{Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:acme/shop:ref:refs/heads/main", Repository: "acme/shop", RepositoryID: "1001", Workflow: "deploy", RunID: "77", Actor: "kim", Agent: "fixer"}
	at := func(n int, statement, effect, rule string) command {
		return command{
			Time: opened.Add(time.Duration(n) * 1700 * time.Millisecond), SessionID: "ses_01K9ZQ4T7M0V9X2C3B5N6M7K8J", Sequence: uint64(2 * n), CommandID: fmt.Sprintf("cmd_%d", n), Principal: p,
			Target: "prod-db", Database: "shop", Objects: []string{"public.customers"}, Statement: statement, Reason: "ticket 12", Effect: effect, Rule: rule,
		}
	}
	read := at(1, "SELECT name, email, phone FROM customers ORDER BY id LIMIT 4", "allow", "reads")
	read.Status, read.Rows, read.MaskedCells, read.Duration = "ok", 4, 8, 0.0031
	held := at(2, "UPDATE customers\nSET vip = true\nWHERE spent > $1", "hold", "writes-need-a-click")
	held.Parameters, held.Approvers, held.Wait = []string{"1000"}, []string{"dana"}, 12.4
	held.Status, held.Rows, held.Duration = "ok", 612, 0.42
	denied := at(9, "DROP TABLE customers", "deny", "no-schema-changes")
	denied.Status, denied.Code, denied.Message = "refused", "GS1201", "denied by rule no-schema-changes"
	lost := at(10, "DELETE FROM customers WHERE id = 7", "allow", "cleanup")
	lost.Status = "unknown"
	return []command{lost, denied, held, read}
}

func page(t *testing.T, next string, cs ...command) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"commands": cs, "next": next})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestSearch_fitsTheWidth(t *testing.T) {
	for _, columns := range []string{"", "160", "120", "80", "40"} {
		t.Run("columns "+columns, func(t *testing.T) {
			w := newWorld(t)
			w.vars["COLUMNS"] = columns
			w.pages = []string{page(t, "", commands()...)}
			out, err := w.run(t, "search")
			if err != nil {
				t.Fatal(err)
			}
			table, _, _ := strings.Cut(out, "\n\n")
			for line := range strings.Lines(table) {
				if n := cells(strings.TrimRight(line, "\n")); columns != "" && fmt.Sprint(n) > columns && len(fmt.Sprint(n)) >= len(columns) {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			golden(t, "search"+columns, out)
		})
	}
}

func TestSearch_asksForWhatWasTyped(t *testing.T) {
	w := newWorld(t)
	w.pages = []string{page(t, "")}
	out, err := w.run(t, "search", "drop table", "--principal", "kim", "--repository", "acme/shop", "--target", "prod-db", "--object", "customers", "--verdict", "DENY",
		"--since", "2026-11-01T00:00:00Z", "--until", "2026-11-02T00:00:00Z")
	if err != nil || out != "Nothing found.\n" {
		t.Fatalf("%q, %v", out, err)
	}
	want := "/v1/audit/search?limit=50&object=customers&principal=kim&repository=acme%2Fshop&since=2026-11-01T00%3A00%3A00Z&target=prod-db&text=drop+table&until=2026-11-02T00%3A00%3A00Z&verdict=deny"
	if diff := cmp.Diff([]string{want}, w.asked); diff != "" {
		t.Error(diff)
	}
	if w.tokens[0] != "Bearer the-token" {
		t.Errorf("asked as %q", w.tokens[0])
	}
}

func TestSearch_pages(t *testing.T) {
	w := newWorld(t)
	cs := commands()
	w.pages = []string{page(t, "one", cs[0], cs[1]), page(t, "two", cs[2])}
	w.Output = "json"
	out, err := w.run(t, "search", "--limit", "3")
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Commands []command `json:"commands"`
		More     bool      `json:"more"`
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || !said.More {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(cs[:3], said.Commands); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/v1/audit/search?limit=3", "/v1/audit/search?cursor=one&limit=1"}, w.asked); diff != "" {
		t.Error(diff)
	}
}

func TestSearch_csvIsNoFormula(t *testing.T) {
	w := newWorld(t)
	cs := commands()[:1]
	cs[0].Statement, cs[0].Reason = `=HYPERLINK("https://evil.example")`, "line one,\nline \"two\""
	w.pages = []string{page(t, "", cs...)}
	w.Output = "csv"
	out, err := w.run(t, "search")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]string{}
	for i, name := range rows[0] {
		got[name] = rows[1][i]
	}
	if got["statement"] != `'=HYPERLINK("https://evil.example")` || got["reason"] != cs[0].Reason || got["repository_id"] != "1001" {
		t.Errorf("got %v", got)
	}
}

func tale(t *testing.T) string {
	t.Helper()
	cs := commands()
	closed := opened.Add(133 * time.Second)
	s := session{
		SessionID: cs[0].SessionID, TraceID: "0af7651916cd43dd8448eb211c80319c", State: "closed", Opened: opened, Closed: &closed, Principal: cs[0].Principal, Target: "prod-db", Database: "shop",
		Reason: "ticket 12", Ended: "client left", Remote: "10.0.0.7:51000", Commands: []command{cs[3], cs[2], cs[1], cs[0]},
		Approvals: []request{{ApprovalID: "apr_1", CommandID: "cmd_2", Requested: opened.Add(3 * time.Second), Ended: opened.Add(15400 * time.Millisecond), Outcome: "approved", Votes: []vote{
			{Person: "dana", Vote: "approve", Via: "slack", Reason: "looks right", At: opened.Add(15400 * time.Millisecond)},
		}}},
		Missing: 1, Unverified: 2,
	}
	s.Principal.Asserted, s.Principal.URL = []string{"agent"}, "https://github.com/acme/shop/actions/runs/77"
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestShow(t *testing.T) {
	for _, columns := range []string{"", "60"} {
		w := newWorld(t)
		w.vars["COLUMNS"] = columns
		w.story = tale(t)
		var out bytes.Buffer
		w.Stdout = &out
		if err := w.tool().show(t.Context(), "ses_01K9ZQ4T7M0V9X2C3B5N6M7K8J"); err != nil {
			t.Fatal(err)
		}
		golden(t, "show"+columns, out.String())
		if w.asked[0] != "/v1/audit/sessions/ses_01K9ZQ4T7M0V9X2C3B5N6M7K8J" {
			t.Errorf("asked %s", w.asked[0])
		}
	}
}

// "ended" alone says no more than the first line does.
func TestShow_endedInOrder(t *testing.T) {
	w := newWorld(t)
	w.story = strings.Replace(tale(t), `"client left"`, `"ended"`, 1)
	var out bytes.Buffer
	w.Stdout = &out
	if err := w.tool().show(t.Context(), "ses_01K9ZQ4T7M0V9X2C3B5N6M7K8J"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "ended  ") || !strings.Contains(out.String(), "closed after 2 min") {
		t.Error(out.String())
	}
}

// What a job wrote into its statements, names and reasons moves no cursor,
// sets no title, and hides nothing, whatever the output.
func TestRedteam16_EscapesReachNoTerminal(t *testing.T) {
	const hostile = "\x1b]0;owned\x07\x1b[2J\u202eevil\u200b\r\x9b31m"
	w := newWorld(t)
	cs := commands()
	for i := range cs {
		c := &cs[i]
		for _, field := range []*string{
			&c.SessionID, &c.Target, &c.Statement, &c.Reason, &c.Effect, &c.Rule, &c.Status, &c.Code, &c.Message, &c.Principal.Repository, &c.Principal.Actor, &c.Principal.Agent,
			&c.Principal.OnBehalfOf, &c.Principal.Workflow, &c.Principal.URL,
		} {
			*field += hostile
		}
		c.Parameters, c.Approvers, c.Redacted = []string{hostile}, []string{hostile}, []string{hostile}
	}
	raw, err := json.Marshal(session{
		SessionID: hostile, State: hostile, Target: hostile, Database: hostile, Reason: hostile, Ended: hostile, Code: hostile, Remote: hostile, TraceID: hostile,
		Principal: cs[0].Principal, Commands: cs, Approvals: []request{{CommandID: "cmd_2", Outcome: hostile, Ended: opened, Votes: []vote{{Person: hostile, Vote: hostile, Via: hostile, Reason: hostile}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"search"}, {"show", "ses_1"}} {
		w.pages, w.story, w.status = nil, string(raw), http.StatusOK
		if args[0] == "search" {
			w.pages = []string{page(t, "", cs...)}
		}
		out, err := w.run(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		w.status, w.story = http.StatusForbidden, `{"message":"no `+strings.ReplaceAll(strings.ReplaceAll(hostile, "\x1b", `\u001b`), "\x07", `\u0007`)+`"}`
		w.story = strings.ToValidUTF8(strings.ReplaceAll(w.story, "\r", `\r`), "")
		_, refused := w.run(t, args...)
		if refused == nil || !strings.Contains(refused.Error(), "‹U+001B›") {
			t.Fatalf("got %v", refused)
		}
		for _, bad := range []string{"\x1b", "\x07", "\r", "\u202e", "\u200b", "\u009b", "\x9b31m"} {
			if strings.Contains(out+refused.Error(), bad) {
				t.Errorf("%s: %q reaches the terminal", args[0], bad)
			}
		}
		if !strings.Contains(out, "‹U+202E›") {
			t.Errorf("%s: the override is not shown", args[0])
		}
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		args   []string
		want   string
	}{
		"a time":     {func(*world) {}, []string{"search", "--since", "soon"}, "--since: \"soon\" is no time"},
		"a limit":    {func(*world) {}, []string{"search", "--limit", "0"}, "--limit"},
		"text twice": {func(*world) {}, []string{"search", "a", "--text", "b"}, "once"},
		"refused": {func(w *world) {
			w.status, w.story = 403, `{"code":"not_an_auditor","message":"kim may not read audits","hint":"ask an operator"}`
		}, []string{"show", "x"}, "audit: kim may not read audits (ask an operator)"},
		"a stale sign-in": {func(w *world) {
			w.status, w.story = 401, `{"code":"GS1101","message":"the token is signed with a key that http://127.0.0.1:6443 does not publish"}`
		}, []string{"show", "x"}, "run 'gatestay login'"},
		"no words":     {func(w *world) { w.status, w.story = 502, "<html>" }, []string{"show", "x"}, "502 Bad Gateway"},
		"not JSON":     {func(w *world) { w.story = "<html>" }, []string{"show", "x"}, "older than"},
		"a redirect":   {func(w *world) { w.status = 302 }, []string{"show", "x"}, "302"},
		"plain http":   {func(w *world) { w.vars["GATESTAY_CONSOLE"] = "http://audit.example:9104" }, []string{"search"}, "not https"},
		"no address":   {func(w *world) { w.vars["GATESTAY_CONSOLE"] = ""; w.vars["GATESTAY_ISSUER"] = "https://x" }, []string{"search"}, "GATESTAY_CONSOLE"},
		"nobody there": {func(w *world) { w.vars["GATESTAY_CONSOLE"] = "http://127.0.0.1:1" }, []string{"search"}, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			if _, err := w.run(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
	w := newWorld(t)
	out := errors.New("signed out")
	asker := w.tool()
	asker.token = func(*cli.Env) (string, error) { return "", out }
	err := asker.show(t.Context(), "x")
	if !errors.Is(err, out) || len(w.asked) > 0 {
		t.Errorf("signed out: %v, asked %v", err, w.asked)
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"short", 10, "short"}, {"exactly", 7, "exactly"}, {"too long", 5, "too …"}, {"日本語", 5, "日本…"}, {"日本語", 6, "日本語"}, {"e\u0301a\u0300u", 3, "e\u0301a\u0300u"}, {"any", 0, "any"},
	} {
		if got := fit(c.in, c.n); got != c.want {
			t.Errorf("fit(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
	if got := wrap("one two three\nfour", 8); cmp.Diff([]string{"one two", "three", "four"}, got) != "" {
		t.Errorf("%q", got)
	}
	if got := wrap("abcdefghij", 4); cmp.Diff([]string{"abcd", "efgh", "ij"}, got) != "" {
		t.Errorf("%q", got)
	}
}

func TestWho(t *testing.T) {
	job := principal{Repository: "acme/shop", Actor: "riley"}
	agent, said, signed := job, job, job
	agent.Agent = "fixer"
	said.OnBehalfOf, said.Asserted = "dana@acme.ex", []string{"on_behalf_of"}
	signed.OnBehalfOf = "dana@acme.ex"
	for _, c := range []struct {
		p    principal
		want string
	}{
		{job, "acme/shop (riley)"},
		{agent, "fixer (riley)"},
		{said, "acme/shop (riley, says for dana@acme.ex)"},
		{signed, "acme/shop (riley, for dana@acme.ex)"},
		{principal{Subject: "robot"}, "robot"},
	} {
		if got := who(c.p); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
