package masking

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// engine compiles one file with a fixed key.
func engine(t testing.TB, source string) *Engine {
	t.Helper()
	e, err := Compile(map[string][]byte{"masks.yaml": []byte(source)})
	if err != nil {
		t.Fatal(err)
	}
	e, err = e.WithKey([32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCompileSaysFileLineAndRemedy(t *testing.T) {
	for name, tc := range map[string]struct {
		source string
		want   []string
	}{
		"unknown strategy": {
			"masks:\n  - name: a\n    column: t.c\n    strategy: blur\n",
			[]string{`m.yaml:4: unknown strategy "blur"; choose one of null, redact, hash, token, partial, clear`},
		},
		"unknown key": {
			"masks:\n  - name: a\n    colum: t.c\n    strategy: redact\n",
			[]string{`m.yaml:3: unknown field "colum"; ` + shape},
		},
		"unknown key at the top": {
			"rules:\n  - name: a\n",
			[]string{`m.yaml:1: unknown key "rules"; known at the top: masks`},
		},
		"unknown detector": {
			"masks:\n- name: a\n  strategy: redact\n  detectors: [email, phone]\n",
			[]string{`m.yaml:4: unknown detector "phone"; known: api-key, aws-key, card, connection-string, email, github-token, gitlab-token, google-key, iban, jwt, password, private-key, slack-token, stripe-key, us-ssn, all, personal, secrets`},
		},
		"column without table": {
			"masks:\n- name: a\n  column: email\n  strategy: redact\n",
			[]string{`m.yaml:3: column: "email" has 1 parts; write [schema.]table.column, e.g. public.customers.email; quote what is not lower case: public."Customers".email`},
		},
		"nothing to mask, twice the same name, and a cleared detector": {
			"masks:\n- name: a\n  strategy: redact\n- name: a\n  detectors: [email]\n  strategy: clear\n",
			[]string{
				`m.yaml:2: mask "a" says nothing to mask; add column: schema.table.column or detectors: [email, …]`,
				`m.yaml:4: the name "a" is taken by m.yaml:2; rename one of them`,
				`m.yaml:6: mask "a" would clear a detector everywhere; leave the mask out, or except single columns: column: t.c with strategy: clear`,
			},
		},
		"both": {
			"masks:\n- name: a\n  column: t.c\n  detectors: [email]\n  strategy: redact\n",
			[]string{`m.yaml:2: mask "a" names both a column and detectors; split it into two masks`},
		},
		"bad target": {
			"masks:\n- name: a\n  targets: ['[']\n  column: t.c\n  strategy: redact\n- name: b\n  targets: []\n  column: t.c\n  strategy: redact\n",
			[]string{
				`m.yaml:3: target "[" is no name and no pattern; write a target's name, or a pattern with * and ?`,
				"m.yaml:7: an empty list of targets; name targets, or leave targets: out for all of them",
			},
		},
		"no strategy": {"masks:\n- name: a\n  column: t.c\n- name: b\n  column: t.c\n  strategy:\n", []string{
			`m.yaml:2: unknown strategy ""; choose one of null, redact, hash, token, partial, clear`,
			`m.yaml:6: unknown strategy ""; choose one of null, redact, hash, token, partial, clear`,
		}},
		"no YAML":         {"masks: [\n", []string{"m.yaml:1: sequence end token ']' not found; " + shape}},
		"no mapping":      {"- a\n", []string{"m.yaml:1: the file is no mapping; " + shape}},
		"masks no list":   {"masks: 3\n", []string{"m.yaml:1: masks: is no list; " + shape}},
		"second document": {"masks: []\n---\nmasks: []\n", []string{"m.yaml:3: a second YAML document would be ignored; put all masks of a file under one masks: key"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(map[string][]byte{"m.yaml": []byte(tc.source)})
			var problems *ProblemsError
			if !errors.As(err, &problems) {
				t.Fatalf("error is %v", err)
			}
			var got []string
			for _, p := range problems.Problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompileTakesEmptyFiles(t *testing.T) {
	for name, source := range map[string]string{"empty": "", "comment": "# nothing yet\n", "no masks": "masks:\n", "empty list": "masks: []\n"} {
		if _, err := Compile(map[string][]byte{"m.yaml": []byte(source)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestColumnsOfTarget(t *testing.T) {
	e := engine(t, `masks:
  - {name: a, targets: [prod-db], column: public.customers.email, strategy: partial}
  - {name: b, targets: ["*-db"], column: public.customers.email, strategy: hash}
  - {name: c, column: Customers.Note, strategy: redact}
  - {name: d, column: 'public."Odd.Name"."C""x"', strategy: redact}
  - {name: e, column: public.customers.city, strategy: clear}
  - {name: f, targets: [other], column: t.c, strategy: redact}
`)
	want := []Column{{"public", "customers", "email"}, {"", "customers", "note"}, {"public", "Odd.Name", `C"x`}}
	if diff := cmp.Diff(want, e.Columns("prod-db")); diff != "" {
		t.Error(diff)
	}
	words := []string{"public.customers.email (hash)", "customers.note (redact)", `public."Odd.Name"."C""x" (redact)`, "public.customers.city (clear)"}
	if diff := cmp.Diff(words, e.Masks("prod-db")); diff != "" {
		t.Error(diff)
	}
	if got := e.Columns("staging"); len(got) != 2 {
		t.Errorf("staging has %v", got)
	}
	if got := len(e.Rules()); got != 6 {
		t.Errorf("%d rules", got)
	}
}

func TestStrictestStrategyWins(t *testing.T) {
	for i, weak := range Strategies() {
		for _, strong := range Strategies()[i:] {
			e := engine(t, "masks:\n  - {name: a, column: s.t.c, strategy: "+string(strong)+"}\n  - {name: b, column: t.C, strategy: "+string(weak)+"}\n")
			if got := e.view("x").of(Column{"s", "t", "c"}); got != strong {
				t.Errorf("%s and %s give %s", strong, weak, got)
			}
		}
	}
}

func TestColumnReadsBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringN(1, 12, -1).Filter(func(s string) bool { return s != "" })
		c := Column{Table: part.Draw(t, "table"), Name: part.Draw(t, "name")}
		if rapid.Bool().Draw(t, "schema") {
			c.Schema = part.Draw(t, "schema name")
		}
		if back, err := parseColumn(c.String()); err != nil || back != c {
			t.Fatalf("%#v is written %s and read %#v, %v", c, c, back, err)
		}
	})
}
