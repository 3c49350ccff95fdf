package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

func data(pieces ...string) []pgproto3.FrontendMessage {
	var out []pgproto3.FrontendMessage
	for _, p := range pieces {
		out = append(out, &pgproto3.CopyData{Data: []byte(p)})
	}
	return out
}

func simple(text string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{&pgproto3.Query{String: text}}
}

func extended(text string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}}
}

func join(parts ...[]pgproto3.FrontendMessage) []pgproto3.FrontendMessage {
	return slices.Concat(parts...)
}

var (
	done    = []pgproto3.FrontendMessage{&pgproto3.CopyDone{}}
	fail    = []pgproto3.FrontendMessage{&pgproto3.CopyFail{Message: "no more"}}
	syncs   = []pgproto3.FrontendMessage{&pgproto3.Sync{}}
	flushes = []pgproto3.FrontendMessage{&pgproto3.Flush{}}
)

// TestCopy compares what COPY does through the gateway with what it does
// directly, in all its ways.
func TestCopy(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS loads, wide; CREATE TABLE loads (id int PRIMARY KEY, note text); INSERT INTO loads VALUES (1, 'one');
		CREATE TABLE wide (a int, b text, c bytea, d jsonb, twice int GENERATED ALWAYS AS (a * 2) STORED);
		INSERT INTO wide SELECT g, E'tab\tnew\nline "quoted" \\ back' || g, '\x00ff', '{"k": "v"}' FROM generate_series(1, 50) g;`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: emails, Detects: true})
	binary := "PGCOPY\n\377\r\n\000\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x02\x00\x00\x00\x04\x00\x00\x00\x63\x00\x00\x00\x01x" + "\xff\xff"
	for name, messages := range map[string][]pgproto3.FrontendMessage{
		"out":                      simple("COPY wide TO STDOUT"),
		"out, csv":                 simple("COPY wide TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *)"),
		"out, binary":              simple("COPY wide TO STDOUT BINARY"),
		"out, columns":             simple("COPY wide (b, a) TO STDOUT"),
		"out, query":               simple("COPY (SELECT a, b FROM wide ORDER BY a DESC) TO STDOUT CSV"),
		"out, returning":           simple("COPY (UPDATE wide SET a = a WHERE a < 3 RETURNING a) TO STDOUT"),
		"out, nothing":             simple("COPY (SELECT FROM wide) TO STDOUT"),
		"out, no rows":             simple("COPY (SELECT 1 WHERE false) TO STDOUT (FORMAT csv, HEADER)"),
		"out, fails":               simple("COPY (SELECT 1 / (3 - g) FROM generate_series(1, 5) g) TO STDOUT"),
		"out, no table":            simple("COPY nowhere TO STDOUT"),
		"out, no column":           simple("COPY wide (nothing) TO STDOUT"),
		"out, several":             simple("SELECT 1; COPY wide (a) TO STDOUT; COPY (SELECT 5) TO STDOUT; SELECT 2"),
		"out, in T":                join(simple("BEGIN"), simple("COPY wide (a) TO STDOUT"), simple("COPY nowhere TO STDOUT"), simple("ROLLBACK")),
		"out, in F":                join(simple("BEGIN"), simple("SELECT 1/0"), simple("COPY wide (a) TO STDOUT"), simple("ROLLBACK")),
		"out, extended":            join(extended("COPY wide TO STDOUT"), syncs),
		"out, extended, binary":    join(extended("COPY wide (a, b) TO STDOUT BINARY"), syncs),
		"out, extended, pipelined": join(extended("COPY (SELECT 1) TO STDOUT"), extended("COPY (SELECT 2) TO STDOUT"), extended("SELECT 3"), syncs),
		"out, extended, fails":     join(extended("COPY (SELECT 1/0) TO STDOUT"), extended("SELECT 3"), syncs),
		"out, extended, no table":  join(extended("COPY nowhere TO STDOUT"), extended("SELECT 3"), syncs),
		"out, extended, twice":     join(extended("COPY (SELECT 1) TO STDOUT"), []pgproto3.FrontendMessage{&pgproto3.Execute{}}, syncs),
		"out, extended, after":     join(extended("SELECT 1"), extended("COPY wide (a) TO STDOUT"), syncs),

		"in":                          join(simple("COPY loads FROM STDIN"), data("2\ttwo\n", "3\tthree\n"), done),
		"in, cut anywhere":            join(simple("COPY loads FROM STDIN"), data("3\tth", "", "ree\n4", "\tfour", "\n"), done),
		"in, csv":                     join(simple("COPY loads FROM STDIN CSV HEADER"), data("id,note\n5,\"a\n", "b\"\n"), done),
		"in, binary":                  join(simple("COPY loads FROM STDIN BINARY"), data(binary[:7], binary[7:]), done),
		"in, nothing":                 join(simple("COPY loads FROM STDIN"), done),
		"in, refused by the client":   join(simple("COPY loads FROM STDIN"), data("6\tsix\n"), fail),
		"in, bad data":                join(simple("COPY loads FROM STDIN"), data("7\tseven\n", "x\teight\n", "9\tnine\n"), done),
		"in, bad data, then fails":    join(simple("COPY loads FROM STDIN"), data("x\n"), fail),
		"in, a key twice":             join(simple("COPY loads FROM STDIN"), data("1\tagain\n"), done),
		"in, flush and sync":          join(simple("COPY loads FROM STDIN"), flushes, syncs, data("10\tten\n"), flushes, done),
		"in, no table":                join(simple("COPY nowhere FROM STDIN"), data("1\n"), done),
		"in, several":                 join(simple("COPY loads FROM STDIN; SELECT 1; COPY loads FROM STDIN"), data("11\ta\n"), done, data("12\tb\n"), done),
		"in, several, the first bad":  join(simple("COPY loads FROM STDIN; COPY loads FROM STDIN"), data("x\n"), done, data("13\tb\n"), done),
		"in, and out":                 join(simple("COPY loads FROM STDIN; COPY loads TO STDOUT"), data("14\tfourteen\n"), done),
		"in, in T":                    join(simple("BEGIN"), simple("COPY loads FROM STDIN"), data("15\ta\n"), done, simple("ROLLBACK")),
		"in, fails in T":              join(simple("BEGIN"), simple("COPY loads FROM STDIN"), data("x\ta\n"), done, simple("COMMIT")),
		"in, where":                   join(simple("COPY loads FROM STDIN WHERE id > 20"), data("16\ta\n21\tb\n"), done),
		"in, extended":                join(extended("COPY loads FROM STDIN"), data("31\ta\n"), done, syncs),
		"in, extended, as libpq":      join(extended("COPY loads FROM STDIN"), syncs, data("32\ta\n"), done, syncs),
		"in, extended, fails":         join(extended("COPY loads FROM STDIN"), data("x\n", "33\ta\n"), done, syncs),
		"in, extended, fails, libpq":  join(extended("COPY loads FROM STDIN"), syncs, data("x\n", "33\ta\n"), done, syncs),
		"in, extended, refused":       join(extended("COPY loads FROM STDIN"), data("34\ta\n"), fail, syncs),
		"in, extended, pipelined":     join(extended("COPY loads FROM STDIN"), data("35\ta\n"), done, extended("SELECT 1"), extended("COPY loads FROM STDIN"), data("36\ta\n"), done, syncs),
		"in, extended, no table":      join(extended("COPY nowhere FROM STDIN"), data("1\n"), done, syncs),
		"data without a COPY":         join(data("x"), done, fail, simple("SELECT 1")),
		"data behind a COPY":          join(simple("COPY loads FROM STDIN"), data("37\ta\n"), done, data("38\tb\n"), done, fail),
		"a command behind bad data":   join(simple("COPY loads FROM STDIN"), data("x\n"), simple("SELECT 1")),
		"a command behind bad data 2": join(extended("COPY loads FROM STDIN"), data("x\n"), simple("SELECT 1"), syncs),
		"a program":                   simple("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'"),
		"the server's file":           simple("COPY loads FROM '/nowhere'"),
		"an empty file name":          simple("COPY loads FROM ''"),
	} {
		t.Run(name, func(t *testing.T) {
			messages := join(messages, simple("SELECT 99 AS end"), []pgproto3.FrontendMessage{&pgproto3.Terminate{}})
			var got [2][]string
			for i, r := range []*raw{dialRaw(t, g.config(t)), dialRaw(t, directConfig(t))} {
				got[i] = converse(t, r, messages)
				if err := target.Exec(t.Context(), "postgres", "DELETE FROM loads WHERE id > 1"); err != nil {
					t.Fatal(err)
				}
			}
			equal(t, "through the gateway", got[0], got[1])
		})
	}
}

// TestCopyOutcome: rows and bytes of both directions are recorded.
func TestCopyOutcome(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS counted; CREATE TABLE counted (id int, note text)"); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	r.send(t, join(simple("COPY counted FROM STDIN"), data("1\ta\n", "2\tb\n", "3\tc\n"), done)...)
	r.until(t, 1)
	r.send(t, simple("COPY counted TO STDOUT")...)
	r.until(t, 1)
	r.send(t, join(simple("COPY counted FROM STDIN /* bad */"), data("x\ta\n"), done)...)
	r.until(t, 1)
	for text, want := range map[string]string{"COPY counted FROM STDIN": "ok 3 27", "COPY counted TO STDOUT": "ok 3 27", "/* bad */": "error 0 9"} {
		a := g.Admitted(text)[0]
		eventually(t, "an outcome", func() bool { o, _ := a.Outcome(); return o != nil })
		o, n := a.Outcome()
		if got := fmt.Sprint(o.Status, " ", o.Rows, " ", o.Bytes); got != want || n != 1 {
			t.Errorf("%s: %s, %d times; want %s", text, got, n, want)
		}
	}
	if got := g.Admitted("FROM STDIN")[0].Facts; string(got.Class) != "write" || !strings.Contains(fmt.Sprint(got.Objects), "counted") {
		t.Errorf("facts: %+v", got)
	}
}

// TestCopyMistakesStayReadable: the context of an error in the client's own data
// is no secret of the target's.
func TestCopyMistakesStayReadable(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails})
	r := dialRaw(t, g.config(t))
	for text, want := range map[string]string{
		"COPY scratch FROM STDIN":   `invalid input syntax for type integer: "nonsense" COPY scratch, line 1, column id: "nonsense"`,
		"COPY customers FROM STDIN": withheld("22P02: invalid text representation") + " ",
	} {
		r.send(t, join(simple(text), data("nonsense\ta\n"), done)...)
		for {
			m, err := r.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := m.(*pgproto3.ErrorResponse); ok && e.Message+" "+e.Where != want {
				t.Errorf("%s: %q %q, want %q", text, e.Message, e.Where, want)
			}
			if _, ok := m.(*pgproto3.ReadyForQuery); ok {
				break
			}
		}
	}
}
