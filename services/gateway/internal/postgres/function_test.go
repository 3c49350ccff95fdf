package postgres_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// oidOf finds a function by its signature.
func oidOf(t testing.TB, signature string) uint32 {
	t.Helper()
	var oid uint32
	if err := direct(t).QueryRow(t.Context(), "SELECT $1::text::regprocedure::oid", signature).Scan(&oid); err != nil {
		t.Fatal(err)
	}
	return oid
}

func callOf(oid uint32, arguments ...string) *pgproto3.FunctionCall {
	m := &pgproto3.FunctionCall{Function: oid}
	for _, a := range arguments {
		m.Arguments = append(m.Arguments, []byte(a))
	}
	return m
}

// TestRedteam09_FunctionCallIsDecided calls functions by their OIDs: each is
// decided as the SELECT that would call it.
func TestRedteam09_FunctionCallIsDecided(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if c.Facts.Class != command.Read {
			return seamtest.Decision{Refuse: &refusal.Refusal{Code: refusal.DeniedByRule, Message: "reads only"}}
		}
		return seamtest.Decision{}
	}})
	r := dialRaw(t, g.config(t))
	for _, c := range []struct {
		signature string
		arguments []string
		text      string
		class     command.Class
	}{
		{"pg_catalog.reverse(text)", []string{"TEXT"}, "SELECT pg_catalog.reverse($1)", command.Read},
		{"public.volatile_write()", nil, `SELECT "public".volatile_write()`, command.Unknown},
		{"pg_catalog.set_config(text,text,boolean)", []string{"role", "nobody", "f"}, "SELECT pg_catalog.set_config($1, $2, $3)", command.Unknown},
		{"pg_catalog.pg_notify(text,text)", []string{"channel", "hello"}, "SELECT pg_catalog.pg_notify($1, $2)", command.Write},
		{"pg_catalog.pg_read_file(text)", []string{"postgresql.conf"}, "SELECT pg_catalog.pg_read_file($1)", command.Unknown},
		{"pg_catalog.query_to_xml(text,boolean,boolean,text)", []string{"SELECT 1", "f", "f", ""}, "SELECT pg_catalog.query_to_xml($1, $2, $3, $4)", command.Unknown},
		{"pg_catalog.lo_import(text)", []string{"/etc/passwd"}, "SELECT pg_catalog.lo_import($1)", command.Unknown},
		{"pg_catalog.pg_advisory_lock(bigint)", []string{"1"}, "SELECT pg_catalog.pg_advisory_lock($1)", command.Write},
	} {
		t.Run(c.signature, func(t *testing.T) {
			want := []string{"error GS1201", "ready I"}
			if c.class == command.Read {
				want = []string{"FunctionCallResponse", "ready I"}
			}
			r.send(t, callOf(oidOf(t, c.signature), c.arguments...))
			equal(t, c.signature, r.until(t, 1), want)
			a := g.Admitted(c.text)
			if len(a) != 1 || a[0].Text != c.text || a[0].Facts.Class != c.class {
				t.Fatalf("admitted: %+v", a)
			}
			for i, p := range a[0].Parameters {
				if string(p.Value) != c.arguments[i] || p.Type == 0 {
					t.Errorf("parameter %d: %+v", i, p)
				}
			}
		})
	}
	if n := count(t, "SELECT count(*) FROM scratch WHERE id = 4711"); n != 0 {
		t.Error("a refused function ran")
	}
	o, _ := g.Admitted("reverse")[0].Outcome()
	if o == nil || o.Status != "ok" || o.Rows != 1 || o.Bytes == 0 {
		t.Errorf("outcome: %+v", o)
	}
}

func count(t testing.TB, query string) int {
	t.Helper()
	var n int
	if err := direct(t).QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFunctionCallIsInStep sends function calls among other messages: what came
// of each is what a server says.
func TestFunctionCallIsInStep(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: denying("md5(")})
	reverse, digest := oidOf(t, "pg_catalog.reverse(text)"), oidOf(t, "pg_catalog.md5(text)")
	one := []string{"columns ?column?:23/0", `row ["1"]`, "complete SELECT 1", "ready I"}
	for name, c := range map[string]struct {
		messages []pgproto3.FrontendMessage
		ready    int
		want     []string
	}{
		"refused":           {[]pgproto3.FrontendMessage{callOf(digest, "a")}, 1, []string{"error GS1201", "ready I"}},
		"no such function":  {[]pgproto3.FrontendMessage{callOf(4711)}, 1, []string{"error 42883", "ready I"}},
		"too few arguments": {[]pgproto3.FrontendMessage{callOf(reverse)}, 1, []string{"error 08P01", "ready I"}},
		"an aggregate":      {[]pgproto3.FrontendMessage{callOf(oidOf(t, "pg_catalog.sum(integer)"), "1")}, 1, []string{"error 0A000", "ready I"}},
		"a bad argument":    {[]pgproto3.FrontendMessage{callOf(oidOf(t, "pg_catalog.abs(integer)"), "x")}, 1, []string{"error 22P02", "ready I"}},
		"in a transaction": {
			[]pgproto3.FrontendMessage{&pgproto3.Query{String: "BEGIN"}, callOf(reverse, "A"), callOf(digest, "a"), callOf(reverse, "A"), &pgproto3.Query{String: "ROLLBACK"}},
			5,
			[]string{"complete BEGIN", "ready T", "FunctionCallResponse", "ready T", "error GS1201", "ready E", "error 25P02", "ready E", "complete ROLLBACK", "ready I"},
		},
		"behind a failed pipeline": {
			[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: "nonsense"}, callOf(reverse, "A"), &pgproto3.Sync{}, callOf(reverse, "A")},
			2,
			[]string{"error 42601", "ready I", "FunctionCallResponse", "ready I"},
		},
		"before a Sync": {
			[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, callOf(reverse, "A"), &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}},
			2,
			[]string{"ParseComplete", "BindComplete", `row ["1"]`, "complete SELECT 1", "FunctionCallResponse", "ready T", "BindComplete", `row ["1"]`, "complete SELECT 1", "ready I"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			r.send(t, append(c.messages, &pgproto3.Query{String: "SELECT 1"})...)
			c.want = append(c.want, one...)
			equal(t, name, r.until(t, c.ready+1), c.want)
			if strings.Contains(strings.Join(c.want, ""), "GS") {
				return
			}
			r = dialRaw(t, directConfig(t))
			r.send(t, append(c.messages, &pgproto3.Query{String: "SELECT 1"})...)
			equal(t, "a server", r.until(t, c.ready+1), c.want)
		})
	}
}

func TestFunctionCallIsHeld(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "reverse(")}
	}})
	r := dialRaw(t, g.config(t))
	r.send(t, callOf(oidOf(t, "pg_catalog.reverse(text)"), "TEXT"))
	h := <-g.Held()
	if h.Command.Text != "SELECT pg_catalog.reverse($1)" || string(h.Command.Parameters[0].Value) != "TEXT" {
		t.Errorf("held: %+v", h.Command)
	}
	h.Approve()
	equal(t, "approved", r.until(t, 1), []string{"notice 00000", "FunctionCallResponse", "ready I"})
}

// TestRedteam16_FunctionCallIsRecordedFirst shows that no result passes before
// the intent is durable.
func TestRedteam16_FunctionCallIsRecordedFirst(t *testing.T) {
	durable := make(chan struct{})
	g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision { return seamtest.Decision{Durable: durable} }})
	r := dialRaw(t, g.config(t))
	oid := oidOf(t, "pg_catalog.reverse(text)")
	r.send(t, callOf(oid, "TEXT"))
	got := make(chan []string)
	go func() { got <- r.until(t, 1) }()
	eventually(t, "it is admitted", func() bool { return len(g.Admitted("reverse(")) == 1 })
	select {
	case early := <-got:
		t.Errorf("before the record is durable: %q", early)
	default:
	}
	close(durable)
	equal(t, "then", <-got, []string{"FunctionCallResponse", "ready I"})
}

// TestRedteam13_FunctionCallOfMaskedData calls what may return a masked column.
func TestRedteam13_FunctionCallOfMaskedData(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "CREATE FUNCTION an_email(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM customers WHERE id = $1'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Exec(context.Background(), "postgres", "DROP FUNCTION an_email(int)") })
	g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "public", Table: "customers", Column: "email"}}})
	r := dialRaw(t, g.config(t))
	for _, format := range []uint16{0, 1} {
		m := callOf(oidOf(t, "public.an_email(integer)"), "1")
		m.ResultFormatCode = format
		r.send(t, m)
		equal(t, "masked", r.until(t, 1), []string{"error GS1204", "ready I"})
	}
	for _, a := range g.Admitted("an_email") {
		if o, n := a.Outcome(); n != 1 || o.Status != "not_executed" {
			t.Errorf("%d outcomes: %+v", n, o)
		}
	}
	r.send(t, callOf(oidOf(t, "pg_catalog.reverse(text)"), "TEXT"))
	equal(t, "not masked", r.until(t, 1), []string{"FunctionCallResponse", "ready I"})
}

func TestFunctionCallLimits(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision { return seamtest.Decision{MaxBytes: 20} }})
	r := dialRaw(t, g.config(t))
	oid := oidOf(t, "pg_catalog.reverse(text)")
	r.send(t, callOf(oid, "short"), callOf(oid, strings.Repeat("long", 10)), callOf(oid, "short"))
	equal(t, "answers", r.until(t, 3), []string{"FunctionCallResponse", "ready I", "error GS1406", "ready I", "FunctionCallResponse", "ready I"})
}

// TestPsqlLargeObjects has psql carry a file in and out again.
func TestPsqlLargeObjects(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	dir := t.TempDir()
	content := strings.Repeat("0123456789abcdef\x00\xff\n", 10000)
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := tool(t, g.environment(t), `\set ON_ERROR_STOP on
\lo_import '`+in+`' 'a comment'
\lo_list
SELECT length(lo_get(:LASTOID));
\lo_export :LASTOID '`+out+`'
\lo_unlink :LASTOID
SELECT count(*) FROM pg_largeobject;
`, "psql", "-XAtq")
	if err != nil {
		t.Fatal(err, said)
	}
	if got, err := os.ReadFile(out); err != nil || string(got) != content {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(content), err)
	}
	if !strings.Contains(said, "a comment") || !strings.Contains(said, "\n190000\n") || !strings.HasSuffix(said, "\n0\n") {
		t.Errorf("psql said:\n%s", said)
	}
	if a := g.Admitted("SELECT pg_catalog.lowrite($1, $2)"); len(a) == 0 || len(a[0].Parameters[1].Value) == 0 {
		t.Error("the data was not among the parameters")
	}
}
