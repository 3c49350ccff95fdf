package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam14_ErrorTextsCarryValues makes the target say masked values in
// disguises that no scrubber knows.
func TestRedteam14_ErrorTextsCarryValues(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS people, notes; CREATE TABLE people (id int, email text, phone text) PARTITION BY LIST (phone);
		CREATE TABLE people_1 PARTITION OF people FOR VALUES IN ('555-0199');
		ALTER TABLE people ADD CHECK (id < 100);
		INSERT INTO people VALUES (7, 'dora@quux.example', '555-0199');
		CREATE TABLE notes (id int, note text);
		CREATE OR REPLACE FUNCTION gossip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			RAISE EXCEPTION 'said %', (SELECT reverse(email) FROM people) USING TABLE = (SELECT reverse(email) FROM people), ERRCODE = 'DOR01'; END $$;
		CREATE TRIGGER gossip BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION gossip();
		CREATE OR REPLACE FUNCTION gossip_later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			RAISE EXCEPTION 'said %', (SELECT reverse(email) FROM people); END $$;
		CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON people DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gossip_later();`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	masked := []seam.MaskedColumn{{Schema: "public", Table: "people", Column: "email"}, {Schema: "public", Table: "people", Column: "phone"}}
	g := start(t, &seamtest.Gate{Masked: masked})
	r := dialRaw(t, g.config(t))
	shown := func(t *testing.T) (text, state string) {
		for {
			m, err := r.Receive()
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *pgproto3.ErrorResponse:
				text, state = text+fmt.Sprintf("%+v", m), m.Code
			case *pgproto3.NoticeResponse:
				text += fmt.Sprintf("%+v", m)
			case *pgproto3.ReadyForQuery:
				return text, state
			}
		}
	}
	check := func(t *testing.T, text, state, want string) {
		t.Helper()
		for _, planted := range []string{"quux", "xuuq", "555", "d_quux", "dora", "DOR", "1684013682"} {
			if strings.Contains(text, planted) {
				t.Errorf("%q shows: %s", planted, text)
			}
		}
		if state != want {
			t.Errorf("SQLSTATE %s, not %s: %s", state, want, text)
		}
		if want != "" && !strings.Contains(text, "withheld") {
			t.Errorf("the text does not say that it is withheld: %s", text)
		}
	}
	for text, want := range map[string]string{
		`select xmlparse(document string_agg(translate(email||phone,'@.+','__p'),'/')) from people`:                                               "2200M",
		`select xml('<a '||phone) from people limit 1`:                                                                                            "2200N",
		`select current_setting('a" '||replace(email,'@','#')||' "b') from people`:                                                                "42704",
		`select split_part(email, chr(64), 1)::regclass from people`:                                                                              "42P01",
		`select id from people where reverse(email)::date > now()`:                                                                                "22007",
		`select make_date(ascii(email)*16777216+ascii(substr(email,2))*65536+ascii(substr(email,3))*256+ascii(substr(email,4)),13,1) from people`: "22008",
		`insert into people select id, email, phone || 'x' from people /* e_part */`:                                                              "23514",
		`update people set id = 1000`:                                                  "23514",
		`insert into notes values (1, 'x')`:                                            "XX000",
		`do $$ begin raise exception '%', (select reverse(email) from people); end $$`: "P0001",
		`do $$ begin raise notice '%', (select reverse(email) from people); end $$`:    "",
		`alter table people add check (email::int > 1)`:                                "22P02",
		`update people set id = 8 where id = 7`:                                        "P0001",
		`begin; update people set id = 8 where id = 7; set constraints all immediate`:  "P0001",
	} {
		t.Run(text, func(t *testing.T) {
			r.send(t, &pgproto3.Query{String: text})
			said, state := shown(t)
			check(t, said, state, want)
			r.query(t, "ROLLBACK")
			if strings.HasPrefix(text, "begin") {
				return
			}
			r.send(t, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
			said, state = shown(t)
			check(t, said, state, want)
			if want == "" {
				return
			}
			for _, a := range g.Admitted(text) {
				eventually(t, "an outcome", func() bool { o, _ := a.Outcome(); return o != nil })
				o, _ := a.Outcome()
				for _, planted := range []string{"quux", "xuuq", "555"} {
					if strings.Contains(o.Message, planted) {
						t.Errorf("%q is recorded: %+v", planted, o)
					}
				}
			}
		})
	}
}

// TestOrdinaryMistakesStayReadable: a text that is withheld teaches nobody.
func TestOrdinaryMistakesStayReadable(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails})
	r := dialRaw(t, g.config(t))
	for text, want := range map[string]string{
		"SELECT emial FROM customers":                          `column "emial" does not exist`,
		"SELECT email, title FROM customers":                   `column "title" does not exist`,
		"SELECT email FROM custmers":                           `relation "custmers" does not exist`,
		"SELEC 1":                                              `syntax error at or near "SELEC"`,
		"SELECT email FROM customers WHERE born = 'tomorroww'": `invalid input syntax for type date: "tomorroww"`,
		"SELECT name::int FROM customers WHERE id = 100":       `invalid input syntax for type integer: "name 100"`,
		"SELECT id / 0, email FROM customers":                  "division by zero",
		"INSERT INTO scratch VALUES (1, 'a'), (1, 'b')":        `duplicate key value violates unique constraint "scratch_pkey"`,
	} {
		for range 2 {
			r.send(t, &pgproto3.Query{String: text})
			for {
				m, err := r.Receive()
				if err != nil {
					t.Fatal(err)
				}
				if e, ok := m.(*pgproto3.ErrorResponse); ok && e.Message != want {
					t.Errorf("%s: %q, want %q", text, e.Message, want)
				}
				if _, ok := m.(*pgproto3.ReadyForQuery); ok {
					break
				}
			}
		}
	}
}
