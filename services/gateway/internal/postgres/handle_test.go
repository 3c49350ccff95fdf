package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestHandles: FETCH and EXECUTE are decided as the query that their name stands
// for, and what no mask touches comes back as it is.
func TestHandles(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails})
	r := dialRaw(t, g.config(t))
	row := func(got []string) string {
		for _, line := range got {
			if strings.HasPrefix(line, "row ") || strings.HasPrefix(line, "error ") {
				return line
			}
		}
		return ""
	}
	r.query(t, "BEGIN", "DECLARE known CURSOR FOR SELECT id, upper(name), email, lower(email) FROM customers WHERE id = 7")
	if got := row(r.query(t, "FETCH 1 FROM known /* simple */")); got != `row ["7" "NAME 7" "***" "***"]` {
		t.Error(got)
	}
	r.query(t, "MOVE ABSOLUTE 0 IN known")
	r.send(t, &pgproto3.Parse{Query: "FETCH ALL FROM known"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if got := row(r.until(t, 1)); got != `row ["7" "NAME 7" "***" "***"]` {
		t.Error(got)
	}
	r.query(t, "CLOSE known", "COMMIT", "PREPARE kept (int, text) AS SELECT id, upper(name), lower(email) FROM customers WHERE id = $1 AND name <> $2")
	for _, text := range []string{"EXECUTE kept (7, 'secret')", "SET work_mem = '2MB'; EXECUTE kept (7, 'secret')", "PREPARE other AS SELECT id, upper(name), lower(email) FROM customers WHERE id = 7; EXECUTE other"} {
		if got := row(r.query(t, text)); got != `row ["7" "NAME 7" "***"]` {
			t.Errorf("%s: %s", text, got)
		}
	}
	for text, want := range map[string]string{
		"FETCH 1 FROM known /* simple */": "FETCH 1 FROM known /* simple */;\n-- which is:\nDECLARE known CURSOR FOR SELECT id, upper(name), email, lower(email) FROM customers WHERE id = 7 read fetch",
		"EXECUTE kept":                    "EXECUTE kept (7, 'secret');\n-- which is:\nPREPARE kept (int, text) AS SELECT id, upper(name), lower(email) FROM customers WHERE id = $1 AND name <> $2 read execute",
	} {
		a := g.Admitted(text)[0]
		if got := fmt.Sprint(a.Text, " ", a.Facts.Class, " ", a.Facts.Verb); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if len(a.Facts.Objects) != 1 || a.Facts.Objects[0].String() != "public.customers" {
			t.Errorf("%s: objects %v", text, a.Facts.Objects)
		}
		for _, l := range a.Facts.Literals {
			if lit := a.Text[l.Start:l.End]; lit != "7" && lit != "'secret'" && lit != "1" {
				t.Errorf("%s: literal %q", text, lit)
			}
		}
	}
	if l := g.Admitted("EXECUTE kept")[0].Facts.Literals; len(l) != 2 || l[0].Column != "id" || l[1].Column != "name" {
		t.Errorf("literals: %+v", l)
	}
}

// TestRedteam13_HandlesThatMeanSomethingElse: a name that another query may have
// by now is unknown, and shows nothing.
func TestRedteam13_HandlesThatMeanSomethingElse(t *testing.T) {
	const setup = `DROP SCHEMA IF EXISTS decoy CASCADE; CREATE SCHEMA decoy; CREATE TABLE decoy.customers (id int, name text, email text); INSERT INTO decoy.customers VALUES (7, 'decoy', 'decoy');
		DROP TABLE IF EXISTS coded; CREATE TABLE coded (id int);
		CREATE OR REPLACE FUNCTION redeclare() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'k'; BEGIN OPEN c FOR SELECT upper(email) FROM public.customers WHERE id = 7; RETURN NEW; END $$;
		CREATE TRIGGER redeclare BEFORE INSERT ON coded FOR EACH ROW EXECUTE FUNCTION redeclare();`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	const secret = "SELECT upper(email) FROM public.customers WHERE id = 7"
	for name, texts := range map[string][]string{
		"another search_path at FETCH": {"SET search_path = public", "BEGIN", "DECLARE k CURSOR FOR SELECT upper(email) FROM customers WHERE id = 7", "SET search_path = decoy", "FETCH k"},
		"a failed second DECLARE": {
			"SET search_path = public", "BEGIN", "DECLARE k CURSOR FOR SELECT upper(email) FROM customers WHERE id = 7", "SET search_path = decoy", "SAVEPOINT s",
			"DECLARE k CURSOR FOR SELECT upper(email) FROM customers WHERE id = 7", "ROLLBACK TO s", "FETCH k",
		},
		"a DO in between":            {"BEGIN", "DECLARE k CURSOR FOR SELECT 'x' FROM decoy.customers", "DO $$ DECLARE c refcursor := 'k'; BEGIN CLOSE c; OPEN c FOR " + secret + "; END $$", "FETCH k"},
		"a DO in one text":           {"BEGIN; DECLARE k CURSOR FOR SELECT 'x' FROM decoy.customers; DO $$ DECLARE c refcursor := 'k'; BEGIN CLOSE c; OPEN c FOR " + secret + "; END $$; FETCH k"},
		"a trigger":                  {"BEGIN", "DECLARE k CURSOR FOR SELECT 'x'", "CLOSE k", "INSERT INTO coded VALUES (1)", "FETCH k"},
		"a trigger in one text":      {"BEGIN; DECLARE k CURSOR FOR SELECT 'x'; CLOSE k; INSERT INTO coded VALUES (1); FETCH k"},
		"prepared, another path":     {"SET search_path = decoy", "PREPARE k AS SELECT upper(email) FROM customers WHERE id = 7", "SET search_path = public", "EXECUTE k"},
		"prepared, a temporary twin": {"SET search_path = public", "CREATE TEMP TABLE t (a int)", "PREPARE k AS SELECT upper(email) FROM customers WHERE id = 7", "CREATE TEMP TABLE customers (id int, email text)", "EXECUTE k"},
		"prepared by a DO":           {"PREPARE k AS SELECT 'x'", "DO $$ BEGIN EXECUTE 'DEALLOCATE k'; EXECUTE 'PREPARE k AS " + secret + "'; END $$", "EXECUTE k"},
		"prepared anew":              {"PREPARE k AS SELECT 'x'", "DEALLOCATE k; PREPARE k AS " + secret, "EXECUTE k"},
		"held over the end":          {"BEGIN; DECLARE k CURSOR WITH HOLD FOR " + secret + "; COMMIT", "FETCH k"},
		"one after the other":        {"BEGIN", "DECLARE k CURSOR FOR SELECT 'x'; CLOSE k; DECLARE k CURSOR FOR " + secret + "; FETCH k"},
		"arguments":                  {"PREPARE k (text) AS SELECT $1", "EXECUTE k ((SELECT upper(email) FROM public.customers WHERE id = 7))", "EXECUTE k (pg_catalog.query_to_xml('" + secret + "', true, false, ''))"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, &seamtest.Gate{Masked: emails})
			r := dialRaw(t, g.config(t))
			for _, text := range texts {
				leak(t, r.query(t, text))
			}
			r = dialRaw(t, g.config(t))
			for _, text := range texts {
				r.send(t, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
				leak(t, r.until(t, 1))
			}
			// All in one go, so that nothing is answered when the next is decided.
			r = dialRaw(t, g.config(t))
			for _, text := range texts {
				r.Send(&pgproto3.Parse{Query: text})
				r.Send(&pgproto3.Bind{})
				r.Send(&pgproto3.Execute{})
				r.Send(&pgproto3.Sync{})
			}
			if err := r.Flush(); err != nil {
				t.Fatal(err)
			}
			leak(t, r.until(t, len(texts)))
		})
	}
	g := start(t, &seamtest.Gate{Masked: emails})
	r := dialRaw(t, g.config(t))
	t.Run("a portal of that name", func(t *testing.T) {
		r.query(t, "BEGIN", "DECLARE k CURSOR FOR SELECT 'x'", "CLOSE k")
		r.send(t, &pgproto3.Parse{Query: secret}, &pgproto3.Bind{DestinationPortal: "k"}, &pgproto3.Parse{Query: "FETCH k"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		leak(t, r.until(t, 1))
		r.query(t, "ROLLBACK")
	})
	t.Run("another cursor between Bind and Execute", func(t *testing.T) {
		r.query(t, "BEGIN", "DECLARE k CURSOR FOR SELECT 'x'")
		bind := func(portal, text string) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{DestinationPortal: portal}, &pgproto3.Describe{ObjectType: 'P', Name: portal}}
		}
		run := func(portal string) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Execute{Portal: portal}}
		}
		r.send(t, join(bind("f", "FETCH k"), bind("c", "CLOSE k"), run("c"), bind("d", "DECLARE k CURSOR FOR "+secret), run("d"), run("f"), syncs)...)
		got := r.until(t, 1)
		leak(t, got)
		if got[len(got)-2] != "error 34000" {
			t.Errorf("%q", got)
		}
	})
}
