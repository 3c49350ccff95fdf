package masking

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

const scrubRules = `masks:
  - {name: email, targets: [prod-db], column: public.customers.email, strategy: partial}
  - {name: salary, targets: [prod-db], column: public.customers.salary, strategy: redact}
  - {name: city, targets: [prod-db], column: public.customers.city, strategy: clear}
`

// tagless drops the tags: they depend on the key.
func tagless(s string) string {
	for {
		at := strings.Index(s, " #")
		if at < 0 || len(s) < at+8 || !strings.HasPrefix(s[at+8:], "›") {
			return s
		}
		s = s[:at] + s[at+8:]
	}
}

// facts are those of a statement in which ⟦column|literal⟧ marks the literals.
func facts(marked string, f command.Facts) (string, *command.Facts) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(marked, "⟦")
		b.WriteString(before)
		if !ok {
			return b.String(), &f
		}
		inside, after, _ := strings.Cut(rest, "⟧")
		column, literal, _ := strings.Cut(inside, "|")
		f.Literals = append(f.Literals, command.Literal{Start: b.Len(), End: b.Len() + len(literal), Column: column, Text: !isDigit(literal[0]) && literal[0] != '-'})
		b.WriteString(literal)
		marked = after
	}
}

func TestScrubStatement(t *testing.T) {
	e := engine(t, scrubRules)
	email := command.Column{Name: "email"}
	customers := command.Object{Schema: "public", Name: "customers"}
	reads, writes := customers, customers
	reads.Access, writes.Access = command.Read, command.Write
	for name, tc := range map[string]struct {
		target, marked string
		facts          command.Facts
		want           string
	}{
		"compared with a masked column": {
			"prod-db", "SELECT id FROM customers WHERE email = ⟦email|'dana'⟧ AND id = ⟦id|42⟧",
			command.Facts{Verb: "select", Class: command.Read, Objects: []command.Object{reads}, Columns: []command.Column{email}},
			"SELECT id FROM customers WHERE email = '‹text 4›' AND id = 42",
		},
		"no certain column, masked one mentioned": {
			"prod-db", "SELECT coalesce(email, ⟦|'dana'⟧) FROM customers LIMIT ⟦|10⟧ OFFSET ⟦|20⟧",
			command.Facts{Verb: "select", Class: command.Read, Objects: []command.Object{reads}, Columns: []command.Column{email}},
			"SELECT coalesce(email, '‹text 4›') FROM customers LIMIT 10 OFFSET 20",
		},
		"numbers of a masked column": {
			"prod-db", "SELECT salary FROM customers WHERE salary > ⟦salary|52000⟧ OR salary < ⟦salary|-1.5e3⟧",
			command.Facts{Verb: "select", Class: command.Read, Objects: []command.Object{reads}, Columns: []command.Column{{Name: "salary"}}},
			"SELECT salary FROM customers WHERE salary > ‹number 5› OR salary < -‹number 5›",
		},
		"writes a relation that has a masked column": {
			"prod-db", "INSERT INTO customers SELECT ⟦|'dana'⟧, upper(⟦|'x'⟧)",
			command.Facts{Verb: "insert", Class: command.Write, Objects: []command.Object{writes}},
			"INSERT INTO customers SELECT '‹text 4›', upper('‹text 1›')",
		},
		"writes only columns that are not masked": {
			"prod-db", "UPDATE customers SET plan = ⟦plan|'free'⟧ WHERE id = ⟦id|7⟧",
			command.Facts{Verb: "update", Class: command.Write, Objects: []command.Object{writes}, Columns: []command.Column{{Name: "plan"}, {Name: "id"}}},
			"UPDATE customers SET plan = 'free' WHERE id = 7",
		},
		"whole rows": {
			"prod-db", "SELECT c::text LIKE ⟦|'%dana%'⟧ FROM customers c",
			command.Facts{Verb: "select", Class: command.Read, Objects: []command.Object{reads}, WholeRow: true},
			"SELECT c::text LIKE '‹text 6›' FROM customers c",
		},
		"another relation": {
			"prod-db", "SELECT f(⟦|'x'⟧) FROM orders -- it's",
			command.Facts{Verb: "select", Class: command.Read, Objects: []command.Object{{Schema: "public", Name: "orders", Access: command.Read}}},
			"SELECT f('x') FROM orders -- it's",
		},
		"a column of the same name elsewhere is masked too": {
			"prod-db", "SELECT 1 FROM orders WHERE email = ⟦email|'dana'⟧",
			command.Facts{Verb: "select", Class: command.Read, Columns: []command.Column{email}},
			"SELECT 1 FROM orders WHERE email = '‹text 4›'",
		},
		"clear column": {
			"prod-db", "SELECT email FROM customers WHERE city = ⟦city|'Berlin'⟧",
			command.Facts{Verb: "select", Class: command.Read, Columns: []command.Column{email}},
			"SELECT email FROM customers WHERE city = 'Berlin'",
		},
		"another target": {
			"staging", "SELECT 1 FROM customers WHERE email = ⟦email|'dana'⟧",
			command.Facts{Verb: "select", Class: command.Read, Columns: []command.Column{email}},
			"SELECT 1 FROM customers WHERE email = 'dana'",
		},
		"detectors look everywhere": {
			"staging", "SELECT ⟦|'dana@acme.example'⟧ AS \"eve@acme.example\" -- bob@acme.example\n/* ghp_abcdefghijklmnopqrstuvwxyz0123456789 */",
			command.Facts{Verb: "select", Class: command.Read},
			"SELECT '[redacted:email]' AS \"[redacted:email]\" -- [redacted:email]\n/* [redacted:github-token] */",
		},
		"escapes hide nothing": {
			"staging", "SELECT ⟦|E'dana\\x40acme.example'⟧, ⟦|U&'dana\\0040acme.example'⟧, ⟦|E'it\\'s'⟧",
			command.Facts{Verb: "select", Class: command.Read},
			"SELECT '‹text 17›', '‹text 17›', E'it\\'s'",
		},
		"comments where a masked column is mentioned": {
			"prod-db", "SELECT email FROM customers -- WHERE name = 'Dana'",
			command.Facts{Verb: "select", Class: command.Read, Columns: []command.Column{email}},
			"SELECT email FROM customers -- WHERE name = '‹text 4›'",
		},
		"password in DDL": {
			"staging", "CREATE ROLE app LOGIN PASSWORD 'hunter2' VALID UNTIL '2027-01-01'",
			command.Facts{Verb: "create role", Class: command.Admin},
			"CREATE ROLE app LOGIN PASSWORD '[redacted:password]' VALID UNTIL '2027-01-01'",
		},
		"types keep their length": {
			"prod-db", "ALTER TABLE customers ADD note varchar(⟦|20⟧) DEFAULT ⟦|'x'⟧",
			command.Facts{Verb: "alter table", Class: command.DDL, Objects: []command.Object{{Schema: "public", Name: "customers", Access: command.DDL}}},
			"ALTER TABLE customers ADD note varchar(20) DEFAULT '‹text 1›'",
		},
		"code stays readable": {
			"prod-db", "DO $$ BEGIN UPDATE customers SET email = 'dana' WHERE id = 7; -- x\n END $$",
			command.Facts{Verb: "do", Class: command.Unknown},
			"DO $$ BEGIN UPDATE customers SET email = '‹text 4›' WHERE id = ‹number 1›; /* ‹comment 2› */\n END $$",
		},
		"a string continued on the next line": {
			"prod-db", "SELECT 1 FROM t WHERE email = ⟦email|'da'\n  'na'⟧",
			command.Facts{Verb: "select", Class: command.Read, Columns: []command.Column{email}},
			"SELECT 1 FROM t WHERE email = '‹text 2›'\n  '‹text 2›'",
		},
		"objects not known": {
			"prod-db", "SELECT f(⟦|'dana'⟧)",
			command.Facts{Verb: "select", Class: command.Read, Unknown: []string{"objects"}},
			"SELECT f('‹text 4›')",
		},
		"multi-byte characters before the literal": {
			"prod-db", "SELECT \"größe\" FROM \"übung\" WHERE email = ⟦email|'ßecret'⟧ AND city = ⟦city|'Köln'⟧",
			command.Facts{Verb: "select", Class: command.Read, Columns: []command.Column{email}},
			"SELECT \"größe\" FROM \"übung\" WHERE email = '‹text 6›' AND city = 'Köln'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, f := facts(tc.marked, tc.facts)
			if got := tagless(e.ScrubStatement(tc.target, text, f)); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestScrubUnreadStatement(t *testing.T) {
	e := engine(t, scrubRules)
	for name, tc := range map[string]struct{ target, text, want string }{
		"strings and numbers":       {"prod-db", "SELEC 'dana' 42 $1 \"t\"", "SELEC '‹text 4›' ‹number 2› $1 \"t\""},
		"numbers without masks":     {"staging", "SELEC 'dana' 42", "SELEC '‹text 4›' 42"},
		"dollar quotes":             {"staging", "SELEC $a$it's$a$", "SELEC '‹text 4›'"},
		"comments":                  {"staging", "SELEC -- WHERE x = 'dana'\n/* a /* b */ c */ 'x'", "SELEC /* ‹comment 17› */\n/* ‹comment 13› */ '‹text 1›'"},
		"unterminated":              {"staging", "SELEC x 'dana", "SELEC x '‹text 5›'"},
		"apostrophe in a comment":   {"staging", "SELEC 'a' /* it's", "SELEC '‹text 11›'"},
		"backslash before a quote":  {"staging", `SELEC 'it\'s dana' || x`, `SELEC '‹text 17›'`},
		"detectors look at words":   {"staging", "SELEC dana@acme.example", "SELEC [redacted:email]"},
		"dollar inside a name":      {"staging", "SELEC a$b$c 'x'", "SELEC a$b$c '‹text 1›'"},
		"PostgreSQL 18 only syntax": {"staging", "UPDATE t SET x = 'dana' RETURNING WITH (OLD AS o) o.x", "UPDATE t SET x = '‹text 4›' RETURNING WITH (OLD AS o) o.x"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range []*command.Facts{nil, {}, {Class: command.Unknown, Unknown: []string{"class", "objects"}}} {
				if got := tagless(e.ScrubStatement(tc.target, tc.text, f)); got != tc.want {
					t.Errorf("\n got %s\nwant %s", got, tc.want)
				}
			}
		})
	}
}

func TestTagsTellEqualFromDifferent(t *testing.T) {
	e := engine(t, scrubRules)
	a, b := e.scrubbed("text", "dana"), e.scrubbed("text", "evee")
	if a == b || a != e.scrubbed("text", "dana") {
		t.Errorf("%s, %s", a, b)
	}
	other, err := e.WithKey([32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	if a == other.scrubbed("text", "dana") {
		t.Error("the tag does not depend on the key")
	}
	// A parameter and a literal of one value have one tag.
	literal := e.ScrubStatement("prod-db", "x 'dana'", nil)
	parameter := e.ScrubParameter("prod-db", command.Parameter{Type: oidText, Value: []byte("dana")}, "email")
	if !strings.Contains(literal, parameter) {
		t.Errorf("%s, %s", literal, parameter)
	}
}

func TestScrubParameter(t *testing.T) {
	e := engine(t, scrubRules)
	text := func(s string) command.Parameter { return command.Parameter{Type: oidText, Value: []byte(s)} }
	for name, tc := range map[string]struct {
		target    string
		parameter command.Parameter
		column    string
		want      string
	}{
		"masked column":             {"prod-db", text("dana"), "email", "‹text 4›"},
		"masked column, other case": {"prod-db", text("dana"), "EMAIL", "‹text 4›"},
		"other column":              {"prod-db", text("it's"), "plan", "'it''s'"},
		"unknown column":            {"prod-db", text("dana"), "", "‹text 4›"},
		"unknown column, no masks":  {"staging", text("dana"), "", "'dana'"},
		"NULL":                      {"prod-db", command.Parameter{Type: oidText}, "email", "NULL"},
		"number":                    {"prod-db", command.Parameter{Type: oidInt4, Value: []byte("42")}, "id", "42"},
		"masked number":             {"prod-db", command.Parameter{Type: oidNumeric, Value: []byte("52000.5")}, "salary", "‹number 7›"},
		"no number at all":          {"prod-db", command.Parameter{Type: oidInt4, Value: []byte("dana'--")}, "id", "'dana''--'"},
		"left to the server":        {"prod-db", command.Parameter{Value: []byte("42")}, "id", "'42'"},
		"detectors":                 {"staging", text("x dana@acme.example"), "note", "'x [redacted:email]'"},
		"bytea in text":             {"staging", command.Parameter{Type: oidBytes, Value: []byte(hexed("dana@acme.example"))}, "b", "‹bytes 36›"},
		"binary int4":               {"prod-db", command.Parameter{Type: oidInt4, Format: 1, Value: []byte{0xff, 0xff, 0xff, 0xfe}}, "id", "-2"},
		"binary int8":               {"prod-db", command.Parameter{Type: oidInt8, Format: 1, Value: []byte{0, 0, 0, 0, 0, 0, 1, 0}}, "id", "256"},
		"binary int2":               {"prod-db", command.Parameter{Type: oidInt2, Format: 1, Value: []byte{1, 0}}, "id", "256"},
		"binary bool":               {"prod-db", command.Parameter{Type: oidBool, Format: 1, Value: []byte{1}}, "ok", "true"},
		"binary float8":             {"prod-db", command.Parameter{Type: oidFloat8, Format: 1, Value: []byte{0x3f, 0xf8, 0, 0, 0, 0, 0, 0}}, "x", "1.5"},
		"binary text":               {"prod-db", command.Parameter{Type: oidVarchar, Format: 1, Value: []byte("dana")}, "email", "‹text 4›"},
		"binary bytea":              {"prod-db", command.Parameter{Type: oidBytes, Format: 1, Value: []byte{0, 1}}, "b", `'\x0001'`},
		"binary jsonb":              {"prod-db", command.Parameter{Type: oidJSONB, Format: 1, Value: []byte("\x01{\"a\":1}")}, "j", `'{"a":1}'`},
		"binary uuid":               {"prod-db", command.Parameter{Type: oidUUID, Format: 1, Value: []byte("0123456789abcdef")}, "u", "'30313233-3435-3637-3839-616263646566'"},
		"binary date":               {"prod-db", command.Parameter{Type: oidDate, Format: 1, Value: []byte{0, 0, 0x26, 0x60}}, "d", "'2026-11-24'"},
		"binary timestamptz":        {"prod-db", command.Parameter{Type: oidTimestampTZ, Format: 1, Value: []byte{0, 0, 0, 0, 0, 0x0f, 0x42, 0x40}}, "d", "'2000-01-01 00:00:01Z'"},
		"binary numeric":            {"prod-db", command.Parameter{Type: oidNumeric, Format: 1, Value: []byte{0, 2, 0, 0, 0x40, 0, 0, 2, 0, 42, 0x13, 0x88}}, "n", "-42.50"},
		"binary of another type":    {"prod-db", command.Parameter{Type: 600, Format: 1, Value: []byte("dana")}, "id", "‹binary 4›"},
		"binary of no type":         {"prod-db", command.Parameter{Format: 1, Value: []byte("dana")}, "id", "‹binary 4›"},
		"binary of a wrong length":  {"prod-db", command.Parameter{Type: oidInt4, Format: 1, Value: []byte("da")}, "id", "‹binary 2›"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tagless(e.ScrubParameter(tc.target, tc.parameter, tc.column)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestScrubParametersKnowTheStatement(t *testing.T) {
	e := engine(t, scrubRules)
	parameters := []command.Parameter{{Type: oidText, Value: []byte("dana")}, {Type: oidText, Value: []byte("Berlin")}, {Type: oidInt4, Value: []byte("10")}}
	mentions := &command.Facts{Verb: "select", Class: command.Read, Columns: []command.Column{{Name: "email"}}, ParameterColumns: []string{"email", "city", ""}}
	for name, tc := range map[string]struct {
		text  string
		facts *command.Facts
		want  string
	}{
		"mentions a masked column": {"SELECT 1 FROM customers WHERE email = $1 AND city = $2 AND f($3)", mentions, "‹text 4› 'Berlin' ‹number 2›"},
		"a query inside may rename it": {
			"SELECT 1 FROM (SELECT email AS city FROM customers) s WHERE email = $1 AND city = $2 AND f($3)", mentions, "‹text 4› ‹text 6› ‹number 2›",
		},
		"mentions none": {"SELECT f($1) WHERE city = $2", &command.Facts{Verb: "select", Class: command.Read, ParameterColumns: []string{"", "city"}}, "'dana' 'Berlin' 10"},
		"not parsed":    {"SELEC", nil, "‹text 4› ‹text 6› ‹number 2›"},
	} {
		if got := tagless(strings.Join(e.ScrubParameters("prod-db", tc.text, parameters, tc.facts), " ")); got != tc.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func FuzzScrubNeverPanicsOrLeaks(f *testing.F) {
	e := engine(f, scrubRules)
	for _, seed := range []string{"SELECT 'a'", "$a$ $b$", `E'\'`, "U&\"x", "/* /* */", "--", "1e", "$", "'\\", "U&'\\004"} {
		f.Add(seed, 0, 3)
	}
	f.Fuzz(func(t *testing.T, text string, start, end int) {
		planted := text + " 'plänted-value'"
		for _, facts := range []*command.Facts{nil, {Verb: "x", Literals: []command.Literal{{Start: start, End: end, Text: true}}}} {
			got := e.ScrubStatement("prod-db", planted, facts)
			if facts == nil && strings.Contains(got, "plänted") && !strings.ContainsAny(text, `"-/`) {
				t.Errorf("leaked: %q from %q", got, planted)
			}
		}
	})
}
