package masking

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

func run(t *testing.T, answer string, args ...string) (asked, stdout string, err error) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		asked = r.Method + " " + r.URL.String() + " " + body.String()
		_, _ = rw.Write([]byte(answer))
	}))
	defer api.Close()
	var out bytes.Buffer
	env := &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &bytes.Buffer{}, Dir: t.TempDir(), Output: "text",
		Getenv: func(name string) string { return map[string]string{"GATESTAY_APPROVALS": api.URL}[name] },
	}
	c := (&tool{env: env, token: func(*cli.Env) (string, error) { return "id-token", nil }}).command()
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	err = c.Execute()
	return asked, out.String(), err
}

func TestCopies(t *testing.T) {
	const answer = `{"copies":[{"target":"prod-db","database":"shop","schema":"public","table":"archive","column":"note\u001b[2J","from":"public.customers.email","by":"cmd_1"}]}`
	asked, out, err := run(t, answer, "copies", "list", "prod-db")
	if err != nil || asked != "GET /v1/copies?target=prod-db " || !strings.Contains(out, "public.archive.note") || strings.Contains(out, "\x1b") || !strings.Contains(out, "from public.customers.email") {
		t.Errorf("%q %q %v", asked, out, err)
	}
	if _, out, err = run(t, `{"copies":[]}`, "copies", "list", "prod-db"); err != nil || !strings.Contains(out, "Nothing that was copied") {
		t.Errorf("%q %v", out, err)
	}
	asked, out, err = run(t, answer, "copies", "lift", "prod-db", `public."Odd.Table".note`, "--reason", "dropped", "--database", "shop")
	want := `POST /v1/copies/lift {"column":"note","database":"shop","reason":"dropped","schema":"public","table":"Odd.Table","target":"prod-db"}`
	if err != nil || asked != want || !strings.Contains(out, "lifted") {
		t.Errorf("%q %q %v", asked, out, err)
	}
	for _, args := range [][]string{{"prod-db", "archive", "--reason", "x"}, {"prod-db", "public.archive"}, {"prod-db", "a.b.c.d", "--reason", "x"}, {"prod-db", "public.", "--reason", "x"}, {"prod-db", `public."a`, "--reason", "x"}, {"public.archive", "--reason", "x"}} {
		if asked, _, err := run(t, answer, append([]string{"copies", "lift"}, args...)...); err == nil || asked != "" {
			t.Errorf("%q: %q, %v", args, asked, err)
		}
	}
}

func TestParts(t *testing.T) {
	for text, want := range map[string][]string{
		"public.archive": {"public", "archive"}, "public.archive.note": {"public", "archive", "note"}, `"a.b"."c""d".e`: {"a.b", `c"d`, "e"},
		"archive": nil, "": nil, `"a"b.c`: nil, "a.b.c.d": nil, "a..b": nil,
	} {
		if got, err := parts(text); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}
