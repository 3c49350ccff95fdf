package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// seeds are the texts of testdata, besides those under testdata/fuzz.
func seeds(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"*.sql", filepath.Join("facts", "*.sql")} {
		files, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds (%v)", err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, sql := range strings.Split(string(raw), "\n\n") {
				f.Add(sql)
			}
		}
	}
}

// FuzzParse: whatever the text, facts come or a SyntaxError, and what holds for
// all facts holds.
func FuzzParse(f *testing.F) {
	seeds(f)
	for _, place := range strings.Split(strings.TrimSpace(places), "\n") {
		f.Add(strings.ReplaceAll(place, "{}", "(SELECT max(email) FROM public.customers)"))
	}
	catalog := NewCatalog(shop())
	masks := catalog.Masks(maskedEmail)
	f.Fuzz(func(t *testing.T, sql string) {
		st, err := Parse(sql)
		var se *SyntaxError
		if err != nil {
			if !errors.As(err, &se) || len(st) > 0 {
				t.Fatalf("error %v with %d statements", err, len(st))
			}
			return
		}
		end := 0
		for _, s := range st {
			if s.Start < end || s.End < s.Start || s.Text != sql[s.Start:s.End] {
				t.Fatalf("statement at %d to %d after %d", s.Start, s.End, end)
			}
			end = s.End
			checkFacts(t, s.Text, s.Facts)
			r := catalog.Resolve(s.Facts, []string{"public", "app"}, "pg_temp_3")
			checkFacts(t, s.Text, r)
			if rank(r.Class) < rank(s.Facts.Class) {
				t.Fatalf("resolving made %s of %s", r.Class, s.Facts.Class)
			}
			taint := masks.Taint(&r)
			taint.Copies()
			taint.Columns([]ColumnRef{{}, {OID: oidCustomers, Number: 2}})
			masks.Compared(&r)
		}
	})
}

func checkFacts(t *testing.T, text string, f command.Facts) {
	t.Helper()
	switch {
	case rank(f.Class) < 0:
		t.Fatalf("class %q", f.Class)
	case f.Verb == "":
		t.Fatal("no verb")
	case f.Class == command.Unknown && (f.Why == "" || !f.IsUnknown("class") || !f.IsUnknown("objects")):
		t.Fatalf("unknown without a reason: %q, %v", f.Why, f.Unknown)
	case f.Catalog && f.Class != command.Read:
		t.Fatalf("a catalog read of class %s", f.Class)
	case f.Neutral && slices.Contains([]command.Class{command.Unknown, command.DDL, command.Admin}, f.Class):
		t.Fatalf("neutral, of class %s", f.Class)
	}
	end := 0
	for _, l := range f.Literals {
		if l.Start < end || l.End <= l.Start || l.End > len(text) {
			t.Fatalf("literal at %d to %d of %d, after %d", l.Start, l.End, len(text), end)
		}
		end = l.End
	}
}

// FuzzLex: our scanner finds the texts, numbers, brackets and comments that
// PostgreSQL's finds, in every text that PostgreSQL can parse.
func FuzzLex(f *testing.F) {
	seeds(f)
	f.Add("SELECT 1.5e-10, .5, 1..2, 0x1F, 1_000, $1, U&'a' UESCAPE '!', e'\\'', $a$ $b$ $a$, a$b$c, \"x\"\"y\"")
	f.Add("SELECT 'a'\n 'b', - -1, a*-1, b@-1 /* /* */ */ -- x")
	f.Fuzz(func(t *testing.T, sql string) {
		if len(sql) > 4<<10 || !utf8.ValidString(sql) || strings.IndexByte(sql, 0) >= 0 || measured(sql, lex(sql)) != nil {
			return
		}
		if _, err := parseTree(sql); err != nil {
			return
		}
		want, err := pg.Scan(sql)
		if err != nil {
			t.Fatalf("it parses and does not scan: %v", err)
		}
		type place struct {
			start, end int32
			what       string
		}
		var a, b []place
		for _, tok := range lex(sql) {
			switch _, literal := constant(sql, tok); {
			case literal:
				a = append(a, place{tok.start, tok.end, "literal"})
			case tok.kind == tokComment:
				a = append(a, place{tok.start, tok.end, "comment"})
			case tok.kind == tokOther && strings.ContainsAny(tok.text(sql), "()[],;"):
				a = append(a, place{tok.start, tok.end, tok.text(sql)})
			}
		}
		for _, tok := range want.GetTokens() {
			p := place{start: tok.GetStart(), end: tok.GetEnd()}
			switch tok.GetToken() {
			case pg.Token_SCONST, pg.Token_USCONST, pg.Token_BCONST, pg.Token_XCONST, pg.Token_ICONST, pg.Token_FCONST,
				pg.Token_TRUE_P, pg.Token_FALSE_P:
				p.what = "literal"
			case pg.Token_SQL_COMMENT, pg.Token_C_COMMENT:
				p.what = "comment"
			case pg.Token_ASCII_40, pg.Token_ASCII_41, pg.Token_ASCII_91, pg.Token_ASCII_93, pg.Token_ASCII_44, pg.Token_ASCII_59:
				p.what = sql[p.start:p.end]
			default:
				continue
			}
			b = append(b, p)
		}
		if !slices.Equal(a, b) {
			t.Fatalf("%q:\nours %v\ntheirs %v", sql, a, b)
		}
	})
}
