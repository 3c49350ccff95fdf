package approvals

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is an approval service and a command line that finds it.
type world struct {
	tool   *tool
	vars   map[string]string
	stdout bytes.Buffer
	asked  []string
	bodies []string
	tokens []string
	status int
	answer string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{vars: map[string]string{}, status: http.StatusOK}
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		w.asked, w.bodies, w.tokens = append(w.asked, r.Method+" "+r.URL.String()), append(w.bodies, body.String()), append(w.tokens, r.Header.Get("Authorization"))
		rw.WriteHeader(w.status)
		_, _ = rw.Write([]byte(w.answer))
	}))
	t.Cleanup(api.Close)
	w.vars["GATESTAY_APPROVALS"] = api.URL
	env := &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &w.stdout, Stderr: &bytes.Buffer{}, Dir: t.TempDir(), Output: "text",
		Getenv: func(name string) string { return w.vars[name] },
	}
	w.tool = &tool{env: env, token: func(*cli.Env) (string, error) { return "id-token", nil }, now: func() time.Time { return now }}
	return w
}

func (w *world) run(args ...string) error {
	c := w.tool.command()
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	return c.Execute()
}

const id = "apr_01JD0000000000000000000000"

func waiting() map[string]any {
	return map[string]any{
		"id": id, "state": "waiting", "headline": "UPDATE public.customers", "who": "job deploy of acme/shop, run 4711, on main, started by riley",
		"run_url": "https://ci.example/runs/4711", "target": "prod-db", "environment": "production", "database": "shop",
		"statement": "UPDATE customers\n   SET plan = $1", "parameters": []string{"'pro'"}, "reason": "backfill plans", "rule": "migrations-need-a-click",
		"rule_description": "Writes wait for the owners.", "policy_version": 3, "warnings": []string{"no WHERE clause"}, "deadline": now.Add(15 * time.Minute),
		"approvers": "dana or kim", "needed": 1, "missing": 1, "votes": []any{}, "may_vote": true, "session_id": "ses_1", "objects": []string{"public.customers"},
	}
}

func with(changes map[string]any) map[string]any {
	a := waiting()
	for k, v := range changes {
		a[k] = v
	}
	return a
}

func encode(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
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
	if string(want) != got {
		t.Errorf("differs from %s (run with -update and read the difference):\n%s", path, got)
	}
}

func TestShow(t *testing.T) {
	vote := func(v, via, reason string) map[string]any {
		return map[string]any{"person": "dana", "vote": v, "via": via, "reason": reason, "at": now.Local()}
	}
	for name, a := range map[string]map[string]any{
		"waiting": waiting(),
		"hostile": with(map[string]any{
			"statement": "DELETE FROM p\u0430yments\x1b[2K -- \u202ehidden", "headline": "DELETE p\u0430yments", "look_alikes": []string{"p\u0430yments"},
			"who": "job \x1b]0;title\x07deploy", "reason": "a\nstate  approved", "warnings": []string{"\x1b[31mred"},
		}),
		"not_yours":  with(map[string]any{"may_vote": false, "why_not": "you are among those who asked for this"}),
		"one_of_two": with(map[string]any{"needed": 2, "missing": 1, "requesters_unknown": []string{"github:ghost"}, "votes": []any{vote("approve", "slack", "")}, "slack_trouble": "is_archived"}),
		"denied":     with(map[string]any{"state": "denied", "votes": []any{vote("deny", "cli", "not on a Friday")}}),
		"not_used":   with(map[string]any{"state": "approved", "void": "the client went away", "votes": []any{vote("approve", "slack", "")}}),
		"measured": with(map[string]any{
			"radius": []string{"Plans to update about 210 rows of public.customers (estimate)", "Its session holds\u202e 2 locks"}, "reason_required": true,
			"offer": map[string]any{"scopes": []string{"run", "job", "return"}, "uses": 20, "seconds": 3600},
		}),
		"ended": with(map[string]any{
			"state": "approved", "votes": []any{vote("approve", "web", "ok")},
			"grant":  map[string]any{"scope": "run", "covers": "this statement with any values", "uses": 20, "expires_at": now},
			"latest": map[string]any{"status": "error", "code": "23505", "message": "duplicate \x1bkey", "duration_ms": 2.34, "uses": 3},
		}),
		"step_up":     with(map[string]any{"step_up": true, "approvers": "dana, with a passkey"}),
		"rule_change": with(map[string]any{"state": "cancelled", "why": "the rule changed"}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer = encode(t, a)
			if err := w.run("show", id); err != nil {
				t.Fatal(err)
			}
			if w.asked[0] != "GET /v1/approvals/"+id || w.tokens[0] != "Bearer id-token" {
				t.Errorf("asked %s with %s", w.asked, w.tokens)
			}
			got := strings.ReplaceAll(w.stdout.String(), now.Local().Format(time.TimeOnly), "12:00:00")
			golden(t, "show_"+name, got)
			if strings.ContainsAny(got, "\x1b\x07\u202e") {
				t.Error("control characters reached the terminal")
			}
		})
	}
}

func TestListFitsTheWidth(t *testing.T) {
	list := map[string]any{"approvals": []any{
		waiting(),
		with(map[string]any{"id": "apr_01JD0000000000000000000001", "headline": "TRUNCATE public.a, public.b, public.c and 12 more", "may_vote": false, "who": "job 日本語 of acme/shop, " + strings.Repeat("x", 200)}),
		with(map[string]any{"id": "apr_01JD0000000000000000000002", "state": "denied"}),
	}}
	for _, columns := range []string{"", "120", "90", "60", "40"} {
		t.Run("columns "+columns, func(t *testing.T) {
			w := newWorld(t)
			w.vars["COLUMNS"] = columns
			w.answer = encode(t, list)
			if err := w.run("list"); err != nil {
				t.Fatal(err)
			}
			var limit int
			_, _ = fmt.Sscan(columns, &limit)
			body, _, _ := strings.Cut(w.stdout.String(), "\n\n") // the note may wrap
			for l := range strings.Lines(body) {
				if n := cells(strings.TrimRight(l, "\n")); limit >= 60 && n > limit {
					t.Errorf("%d columns: %s", n, l)
				}
			}
			golden(t, "list_"+columns, w.stdout.String())
		})
	}
}

func TestEmptyLists(t *testing.T) {
	for state, want := range none {
		w := newWorld(t)
		w.answer = `{"approvals":[]}`
		if err := w.run("list", "--state", state); err != nil || w.stdout.String() != want+"\n" || w.asked[0] != "GET /v1/approvals?state="+state {
			t.Errorf("%s: got %q, %v, asked %s", state, w.stdout.String(), err, w.asked)
		}
	}
}

func TestVote(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		answer map[string]any
		body   string
		want   string
	}{
		"approve":    {[]string{"approve", id}, with(map[string]any{"state": "approved"}), `{"reason":"","vote":"approve"}`, "approved: UPDATE public.customers on prod-db, for job deploy"},
		"one of two": {[]string{"approve", id}, with(map[string]any{"missing": 1}), `{"reason":"","vote":"approve"}`, "You approved it; one more approval still needed: UPDATE"},
		"deny":       {[]string{"deny", id, "--reason", "no"}, with(map[string]any{"state": "denied"}), `{"reason":"no","vote":"deny"}`, "denied: UPDATE public.customers"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer = encode(t, c.answer)
			if err := w.run(c.args...); err != nil {
				t.Fatal(err)
			}
			if w.asked[0] != "POST /v1/approvals/"+id+"/vote" || w.bodies[0] != c.body || !strings.HasPrefix(w.stdout.String(), c.want) {
				t.Errorf("asked %s %s, said %q", w.asked, w.bodies, w.stdout.String())
			}
		})
	}
}

func TestJSONIsAllThatTheServiceSays(t *testing.T) {
	for _, args := range [][]string{{"show", id}, {"approve", id}, {"list"}} {
		w := newWorld(t)
		w.tool.env.Output = "json"
		w.answer = `{"id":"x","approvals":[],"a_field_of_tomorrow":1}`
		if err := w.run(args...); err != nil || !strings.Contains(w.stdout.String(), `"a_field_of_tomorrow": 1`) {
			t.Errorf("%s: %q, %v", args, w.stdout.String(), err)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		args   []string
		want   []string
	}{
		"refused": {
			http.StatusForbidden, `{"code":"GS1307","message":"the rule does not name you as an approver","detail":"The rule asks for dana.","hint":"ask one of the approvers"}`,
			[]string{"approve", id},
			[]string{"GS1307", "does not name you", "The rule asks for dana.", "ask one of the approvers"},
		},
		"not JSON":        {http.StatusBadGateway, "<html>", []string{"list"}, []string{"approval service answered 502"}},
		"no id":           {0, "", []string{"show"}, []string{"gatestay approvals list"}},
		"not an id":       {0, "", []string{"approve", "4711"}, []string{"apr_…"}},
		"a path":          {0, "", []string{"approve", "apr_/../../x"}, []string{"apr_…"}},
		"unknown state":   {0, "", []string{"list", "--state", "open"}, []string{"waiting, decided or all"}},
		"terminal escape": {http.StatusConflict, `{"code":"GS1309","message":"\u001b[2Jgone"}`, []string{"deny", id}, []string{"‹U+001B›[2Jgone"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.status, w.answer = c.status, c.answer
			err := w.run(c.args...)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing from %v", want, err)
				}
			}
			if c.status == 0 && len(w.asked) > 0 {
				t.Errorf("asked %s", w.asked)
			}
		})
	}
	t.Run("nothing runs", func(t *testing.T) {
		w := newWorld(t)
		delete(w.vars, "GATESTAY_APPROVALS")
		if err := w.run("list"); err == nil || !strings.Contains(err.Error(), "gatestay dev") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("plain http to another machine", func(t *testing.T) {
		w := newWorld(t)
		w.vars["GATESTAY_APPROVALS"] = "http://approvals.example"
		if err := w.run("list"); err == nil || !strings.Contains(err.Error(), "https") {
			t.Errorf("got %v", err)
		}
	})
}
