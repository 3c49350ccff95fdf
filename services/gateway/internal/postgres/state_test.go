package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// query runs simple queries one after the other and returns all answers.
func (r *raw) query(t testing.TB, texts ...string) []string {
	t.Helper()
	var got []string
	for _, text := range texts {
		r.send(t, &pgproto3.Query{String: text})
		got = append(got, r.until(t, 1)...)
	}
	return got
}

// stateOf returns the state and facts that the one command with a mark was
// decided under.
func stateOf(t testing.TB, g *seamtest.Gate, mark string) (command.State, command.Facts) {
	t.Helper()
	a := g.Admitted(mark)
	if len(a) != 1 {
		t.Fatalf("%d commands with %s", len(a), mark)
	}
	return a[0].State, a[0].Facts
}

func TestRedteam10_StateIsAsked(t *testing.T) {
	const setup = `CREATE SCHEMA IF NOT EXISTS shadow; CREATE TABLE IF NOT EXISTS shadow.customers (id int, email text); DROP ROLE IF EXISTS reader; CREATE ROLE reader; GRANT reader TO postgres;
		CREATE OR REPLACE FUNCTION sneak() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'shadow', false) $$;`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	resolved := func(f command.Facts) string {
		if len(f.Objects) == 0 {
			return ""
		}
		return f.Objects[0].String()
	}
	for name, c := range map[string]struct {
		before []string
		path   string // first of the search path
		object string // what "customers" is
		role   string
		tx     byte
	}{
		"at first":                     {nil, "public", "public.customers", "postgres", 'I'},
		"SET":                          {[]string{"SET search_path = shadow"}, "shadow", "shadow.customers", "postgres", 'I'},
		"set_config":                   {[]string{"SELECT set_config('search_path', 'shadow', false)"}, "shadow", "shadow.customers", "postgres", 'I'},
		"a function that sets it":      {[]string{"SELECT sneak()"}, "shadow", "shadow.customers", "postgres", 'I'},
		"SET, taken back by ROLLBACK":  {[]string{"BEGIN", "SET search_path = shadow", "ROLLBACK"}, "public", "public.customers", "postgres", 'I'},
		"SET LOCAL, ended by COMMIT":   {[]string{"BEGIN", "SET LOCAL search_path = shadow", "COMMIT"}, "public", "public.customers", "postgres", 'I'},
		"SET LOCAL, still on":          {[]string{"BEGIN", "SET LOCAL search_path = shadow"}, "shadow", "shadow.customers", "postgres", 'T'},
		"SET, taken back to savepoint": {[]string{"BEGIN", "SAVEPOINT a", "SET search_path = shadow", "ROLLBACK TO a"}, "public", "public.customers", "postgres", 'T'},
		"SET in a text that fails":     {[]string{"SET search_path = shadow; SELECT 1/0"}, "public", "public.customers", "postgres", 'I'},
		"SET ROLE":                     {[]string{"SET ROLE reader"}, "public", "public.customers", "reader", 'I'},
		"SET ROLE and RESET":           {[]string{"SET ROLE reader", "RESET ROLE"}, "public", "public.customers", "postgres", 'I'},
		"DISCARD ALL":                  {[]string{"SET search_path = shadow", "DISCARD ALL"}, "public", "public.customers", "postgres", 'I'},
		"a temporary table":            {[]string{"CREATE TEMP TABLE customers (id int, email text)"}, "pg_temp_", "pg_temp_", "postgres", 'I'},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, &seamtest.Gate{})
			r := dialRaw(t, g.config(t))
			r.query(t, c.before...)
			for _, text := range []string{"SELECT email FROM customers WHERE id = 1 /* st_simple */"} {
				r.query(t, text)
			}
			r.send(t, &pgproto3.Parse{Query: "SELECT email FROM customers WHERE id = 1 /* st_extended */"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
			r.until(t, 1)
			for _, mark := range []string{"st_simple", "st_extended"} {
				state, facts := stateOf(t, g.Gate, mark)
				path := slices.DeleteFunc(slices.Clone(state.SearchPath), func(s string) bool { return s == "pg_catalog" })
				if len(path) == 0 || !strings.HasPrefix(path[0], c.path) || !strings.HasPrefix(resolved(facts), c.object) || state.User != c.role || state.InTransaction != c.tx {
					t.Errorf("%s: path %q, object %q, role %q, transaction %c", mark, path, resolved(facts), state.User, state.InTransaction)
				}
			}
		})
	}
}

// TestRedteam10_StateTakenBackWithItsPipeline sets something, reads under it,
// and fails, all in one implicit transaction.
func TestRedteam10_StateTakenBackWithItsPipeline(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "CREATE SCHEMA IF NOT EXISTS shadow; CREATE TABLE IF NOT EXISTS shadow.customers (id int, email text)"); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	var messages []pgproto3.FrontendMessage
	for _, text := range []string{"SET search_path = shadow", "SELECT email FROM customers /* tb_under */", "SELECT 1/0"} {
		messages = append(messages, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{})
	}
	r.send(t, append(messages, &pgproto3.Sync{})...)
	r.until(t, 1)
	r.query(t, "SELECT email FROM customers WHERE id = 1 /* tb_after */")
	for mark, want := range map[string]string{"tb_under": "shadow.customers", "tb_after": "public.customers"} {
		if _, f := stateOf(t, g.Gate, mark); f.Objects[0].String() != want {
			t.Errorf("%s: %v, want %s", mark, f.Objects, want)
		}
	}
}

// TestStateIsNotAskedInVain counts what the target is asked besides the
// client's own statements.
func TestStateIsNotAskedInVain(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	asked := func() int { return strings.Count(targetLog(t), "current_schemas(true)") }
	before := asked()
	for range 10 {
		r.query(t, "BEGIN", "SELECT 1 FROM customers LIMIT 1", "UPDATE scratch SET note = 'x' WHERE id < 0", "COMMIT", "SELECT lower('X')", "SHOW search_path")
	}
	if n := asked() - before; n != 0 {
		t.Errorf("the state was asked %d times after neutral statements", n)
	}
	r.query(t, "SET work_mem = '2MB'", "SELECT 1", "SELECT 1")
	if n := asked() - before; n != 1 {
		t.Errorf("the state was asked %d times after one SET", n)
	}
}

func TestRedteam06_FixedSettings(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	t.Run("refused by their text", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		for _, text := range []string{
			"SET client_encoding = 'SJIS'", "SET CLIENT_ENCODING TO gbk", "SET NAMES 'BIG5'", "SET LOCAL client_encoding = latin1", "SET standard_conforming_strings = off", "SET SESSION standard_conforming_strings TO 0",
			"SELECT 1; SET client_encoding = 'SJIS'", "SELECT set_config('client_encoding', 'SJIS', false)", "SELECT set_config('standard_conforming_strings', 'off', false)",
		} {
			got := r.query(t, text)
			equal(t, text, got, []string{"error GS1503", "ready I"})
		}
	})
	t.Run("as they are, allowed", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		for _, text := range []string{"SET client_encoding = 'UTF8'", "SET client_encoding TO utf8", "SET NAMES 'utf-8'", "RESET client_encoding", "SET standard_conforming_strings = on"} {
			if got := r.query(t, text); got[len(got)-1] != "ready I" || strings.HasPrefix(got[0], "error") {
				t.Errorf("%s: %q", text, got)
			}
		}
	})
	for _, text := range []string{
		"SELECT set_config('client_' || 'encoding', 'SJIS', false)", "SELECT set_config('standard_conforming_' || 'strings', 'off', false)",
		"DO $$ BEGIN PERFORM set_config('client_encoding', 'GBK', false); END $$", "UPDATE pg_settings SET setting = 'BIG5' WHERE name = 'client_encoding'",
	} {
		t.Run(text, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			// In one pipeline with what would be read otherwise.
			r.send(t, &pgproto3.Query{String: text}, &pgproto3.Query{String: "UPDATE scratch SET note = 'fixed_after' WHERE id < 0"})
			got, _ := r.rest()
			if !slices.Contains(got, "error GS1503") {
				t.Errorf("%q", got)
			}
			if seen(t, "fixed_after") {
				t.Error("a statement was forwarded under another encoding")
			}
		})
	}
}

func TestRedteam10_LaterStatementsOfAText(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	r.query(t,
		"SET search_path = shadow; SELECT email FROM customers /* lt_path */",
		"RESET search_path",
		"SET work_mem = '3MB'; SELECT email FROM customers LIMIT 1 /* lt_plain */",
		"SELECT sneak(); SELECT 1 FROM customers LIMIT 1 /* lt_function */",
		"RESET search_path",
		"BEGIN; SELECT email FROM customers LIMIT 1 /* lt_begin */; COMMIT",
		"CREATE TABLE IF NOT EXISTS lt_new (id int); INSERT INTO lt_new VALUES (1) /* lt_ddl */",
	)
	for mark, want := range map[string]bool{"lt_path": true, "lt_plain": false, "lt_function": true, "lt_begin": false, "lt_ddl": true} {
		_, f := stateOf(t, g.Gate, mark)
		if got := f.IsUnknown("objects"); got != want {
			t.Errorf("%s: objects unknown %v, %+v", mark, got, f)
		}
	}
	if s, _ := stateOf(t, g.Gate, "lt_begin"); s.InTransaction != 'T' {
		t.Errorf("after BEGIN of the same text: %c", s.InTransaction)
	}
	if _, f := stateOf(t, g.Gate, "lt_ddl"); f.Class != command.Write {
		t.Errorf("a write after CREATE TABLE is %s", f.Class)
	}
}

func TestRedteam09_PortalUnderAnotherState(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	r.query(t, "BEGIN")
	r.send(t, &pgproto3.Parse{Name: "s", Query: "SELECT id FROM customers ORDER BY id"}, &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s"}, &pgproto3.Execute{Portal: "p", MaxRows: 1}, &pgproto3.Sync{})
	equal(t, "first", r.until(t, 1), []string{"ParseComplete", "BindComplete", `row ["1"]`, "PortalSuspended", "ready T"})
	r.send(t, &pgproto3.Execute{Portal: "p", MaxRows: 1}, &pgproto3.Sync{})
	equal(t, "goes on", r.until(t, 1), []string{`row ["2"]`, "PortalSuspended", "ready T"})
	r.query(t, "SET LOCAL DateStyle = 'German'")
	r.send(t, &pgproto3.Execute{Portal: "p", MaxRows: 1}, &pgproto3.Sync{})
	equal(t, "under another state", r.until(t, 1), []string{"error GS1206", "status DateStyle=ISO, MDY", "ready E"})
}

// TestRedteam09_RepointedNames lets SQL put another statement, or another
// cursor, under a name that the gateway knows.
func TestRedteam09_RepointedNames(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: denying("SELECT email"), Masked: []seam.MaskedColumn{{Schema: "public", Table: "customers", Column: "email"}}})
	t.Run("a prepared statement", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		r.send(t, &pgproto3.Parse{Name: "x", Query: "SELECT 1 AS harmless"}, &pgproto3.Sync{})
		r.until(t, 1)
		r.query(t, "DEALLOCATE x", "PREPARE x AS UPDATE scratch SET note = 'repointed' WHERE id < 0 RETURNING 1")
		r.send(t, &pgproto3.Bind{PreparedStatement: "x"}, &pgproto3.Execute{}, &pgproto3.Sync{})
		equal(t, "Bind of a name that SQL has taken", r.until(t, 1), []string{"error 26000", "ready I"})
	})
	t.Run("a prepared statement that is still the same", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		r.send(t, &pgproto3.Parse{Name: "x", Query: "SELECT 1"}, &pgproto3.Sync{})
		r.until(t, 1)
		r.query(t, "PREPARE y AS SELECT 2", "DEALLOCATE y", "SELECT sneak()")
		r.send(t, &pgproto3.Bind{PreparedStatement: "x"}, &pgproto3.Execute{}, &pgproto3.Sync{})
		equal(t, "Bind", r.until(t, 1), []string{"BindComplete", `row ["1"]`, "complete SELECT 1", "ready I"})
	})
	t.Run("a cursor under a portal's name", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		r.query(t, "BEGIN")
		r.send(t, &pgproto3.Parse{Name: "x", Query: "SELECT name FROM customers"}, &pgproto3.Bind{PreparedStatement: "x", DestinationPortal: "p"},
			&pgproto3.Describe{ObjectType: 'P', Name: "p"}, &pgproto3.Sync{})
		r.until(t, 1)
		r.query(t, "CLOSE p", "DECLARE p CURSOR FOR TABLE customers")
		r.send(t, &pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{})
		equal(t, "Execute of a name that SQL has taken", r.until(t, 1), []string{"error 34000", "ready E"})
	})
	t.Run("the same, all extended", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		r.query(t, "BEGIN")
		messages := []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "x", Query: "SELECT name FROM customers"}, &pgproto3.Bind{PreparedStatement: "x", DestinationPortal: "p"}, &pgproto3.Describe{ObjectType: 'P', Name: "p"}}
		for _, text := range []string{"CLOSE p", "DECLARE p CURSOR FOR TABLE customers"} {
			messages = append(messages, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{})
		}
		r.send(t, append(messages, &pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{})...)
		got := r.until(t, 1)
		equal(t, "the end", got[len(got)-2:], []string{"error 34000", "ready E"})
	})
}

func TestDDLIsSeen(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r, other := dialRaw(t, g.config(t)), dialRaw(t, g.config(t))
	r.query(t, "DROP TABLE IF EXISTS ddl_seen", "CREATE TABLE ddl_seen (id int)", "SELECT id FROM ddl_seen /* d_after */")
	if _, f := stateOf(t, g.Gate, "d_after"); f.Class != command.Read || f.IsUnknown("objects") {
		t.Errorf("after CREATE TABLE: %+v", f)
	}
	other.query(t, "SELECT id FROM ddl_seen /* d_other */")
	if _, f := stateOf(t, g.Gate, "d_other"); f.Class != command.Read {
		t.Errorf("in another session: %+v", f)
	}
	// Not through this gateway: found when the name is asked for.
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS ddl_beside; CREATE TABLE ddl_beside (id int)"); err != nil {
		t.Fatal(err)
	}
	<-time.After(1100 * time.Millisecond) // a miss is looked up once a second
	r.query(t, "SELECT id FROM ddl_beside /* d_beside */")
	if _, f := stateOf(t, g.Gate, "d_beside"); f.Class != command.Read {
		t.Errorf("made beside the gateway: %+v", f)
	}
	r.query(t, "BEGIN", "CREATE OR REPLACE VIEW ddl_view AS SELECT sneak() AS x", "SELECT 1 FROM customers /* d_view */", "ROLLBACK")
	if _, f := stateOf(t, g.Gate, "d_view"); f.Class != command.Unknown {
		t.Errorf("in a transaction that made a view: %+v", f)
	}
}

func TestCatalogDown(t *testing.T) {
	// The side connection fails where the role may hold one connection only.
	if err := target.Exec(t.Context(), "postgres", "DROP ROLE IF EXISTS single; CREATE ROLE single LOGIN PASSWORD 'single' CONNECTION LIMIT 1; GRANT SELECT ON customers TO single"); err != nil {
		t.Fatal(err)
	}
	up := upstreamOf(t)
	up.User, up.Password = "single", "single"
	g := start(t, &seamtest.Gate{Upstream: up, Masked: []seam.MaskedColumn{{Schema: "public", Table: "customers", Column: "email"}}})
	r := dialRaw(t, g.config(t))
	got := r.query(t, "SELECT name FROM customers WHERE id = 1 /* cd_1 */")
	if _, f := stateOf(t, g.Gate, "cd_1"); !f.IsUnknown("objects") || f.Class != command.Unknown {
		t.Errorf("without a catalog: %+v", f)
	}
	equal(t, "without a catalog all is masked, and said to be", got, []string{"notice 00000", "columns name:25/0", `row ["***"]`, "complete SELECT 1", "ready I"})
}

func TestRedteam33_AMaskThatFindsNoColumnIsTold(t *testing.T) {
	gone := seam.MaskedColumn{Schema: "public", Table: "customers", Column: "e_mail"}
	g := start(t, &seamtest.Gate{Masked: append([]seam.MaskedColumn{gone}, emails...)})
	conn := g.connect(t)
	var name string
	if err := conn.QueryRow(t.Context(), "SELECT name FROM customers LIMIT 1").Scan(&name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mask that finds nothing is told", func() bool {
		told := g.NotFound()
		return len(told) > 0 && !slices.ContainsFunc(told, func(c seam.MaskedColumn) bool { return c != gone })
	})
}
