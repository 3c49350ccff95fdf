package masking

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/command"
)

func TestComparisonsInWords(t *testing.T) {
	e := engine(t, `masks:
  - {name: a, column: public.t.a, strategy: redact}
  - {name: b, column: public.t.b, strategy: redact, compare: {allow: [], otherwise: deny}}
  - {name: c, column: public.t.c, strategy: redact, compare: {otherwise: allow}}
  - {name: d, column: public.t.d, strategy: redact, compare: {allow: [equality, range, join], values_per_day: 5}}
  - {name: d2, column: t.d, strategy: redact, compare: {allow: [equality, range], otherwise: allow}}
  - {name: e, column: public.t.e, strategy: clear}
`)
	want := []string{
		"public.t.a: equality with one literal or parameter (at most 20 different values a day), join with a column that has the same mask, group, is_null; anything else only where a person approves it",
		"public.t.b: nothing; nothing else",
		"public.t.c: any",
		"public.t.d: equality with one literal or parameter (at most 5 different values a day), join with a column that has the same mask, range; anything else only where a person approves it",
		"t.d: equality with one literal or parameter (at most 5 different values a day), join with a column that has the same mask, range; anything else only where a person approves it",
	}
	if diff := cmp.Diff(want, e.Comparisons("x")); diff != "" {
		t.Error(diff)
	}
}

// TestRedteam13_TheStrictestRuleSaysWhatIsCompared: a second, more lenient mask
// on a column opens nothing.
func TestRedteam13_TheStrictestRuleSaysWhatIsCompared(t *testing.T) {
	e := engine(t, `masks:
  - {name: a, column: public.t.c, strategy: redact, compare: {allow: [equality], values_per_day: 3}}
  - {name: b, column: public.t.c, strategy: redact, compare: {allow: [equality, pattern], values_per_day: 9, otherwise: allow}}
  - {name: c, column: T.C, strategy: redact, compare: {allow: [equality, order], values_per_day: 7, otherwise: deny}}
`)
	compared := func(use command.Use, mask command.Column) []command.Compared {
		return []command.Compared{{Comparison: command.Comparison{Column: mask, Use: use}, Mask: mask, Same: true}}
	}
	mask := command.Column{Schema: "public", Table: "t", Name: "c"}
	for _, use := range []command.Use{command.Pattern, command.Order, command.Join} {
		if _, refused, final := e.Compare("x", compared(use, mask)); refused == nil || !final {
			t.Errorf("%s is not refused for good", use)
		}
	}
	counted, refused, _ := e.Compare("x", compared(command.Equality, mask))
	if refused != nil || len(counted) != 1 || counted[0].PerDay != 3 {
		t.Errorf("%v, %v", counted, refused)
	}
	if _, refused, _ := e.Compare("x", compared(command.Equality, command.Column{})); refused == nil {
		t.Error("what may derive from any mask is allowed")
	}
}

func TestCompileChecksCompare(t *testing.T) {
	for name, tc := range map[string]struct{ source, want string }{
		"unknown use":       {"{name: a, column: t.c, strategy: redact, compare: {allow: [like]}}", `compare.allow: unknown comparison "like"; known: equality, join`},
		"none a day":        {"{name: a, column: t.c, strategy: redact, compare: {values_per_day: 0}}", "compare.values_per_day: 0; choose 1 to 1000"},
		"too many a day":    {"{name: a, column: t.c, strategy: redact, compare: {values_per_day: 1001}}", "compare.values_per_day: 1001"},
		"unknown otherwise": {"{name: a, column: t.c, strategy: redact, compare: {otherwise: maybe}}", `compare.otherwise: unknown "maybe"; choose one of deny, hold, allow`},
		"unknown key":       {"{name: a, column: t.c, strategy: redact, compare: {deny: [range]}}", `unknown field "deny"`},
		"a detector":        {"{name: a, detectors: [email], strategy: redact, compare: {}}", `compare: on mask "a", which hides no column`},
		"a clear column":    {"{name: a, column: t.c, strategy: clear, compare: {}}", `compare: on mask "a", which hides no column`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(map[string][]byte{"m.yaml": []byte("masks:\n  - " + tc.source + "\n")})
			var problems *ProblemsError
			if !errors.As(err, &problems) || !strings.Contains(problems.Problems[0].String(), tc.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestLiteralValue(t *testing.T) {
	for literal, want := range map[string]string{"'it''s'": "it's", `E'a\x62'`: "ab", "-5": "-5", "true": "true", `$$x$$`: "$$x$$"} {
		if got := string(LiteralValue("x = "+literal+" ;", command.Literal{Start: 4, End: 4 + len(literal)})); got != want {
			t.Errorf("%s is %s", literal, got)
		}
	}
}

// TestEveryUseReadsBackFromYAML: no name of a use is a word that YAML reads as
// something else.
func TestEveryUseReadsBackFromYAML(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, column: t.c, strategy: redact, compare: {allow: ["+uses()+"]}}\n")
	if diff := cmp.Diff(command.Uses(), e.Rules()[0].Compare.Allow); diff != "" {
		t.Error(diff)
	}
}

// TestRedteam13_AMaskThatTellsMoreHidesLess: a value that moves under another mask
// is hidden as before only where that one is as strict in each respect.
func TestRedteam13_AMaskThatTellsMoreHidesLess(t *testing.T) {
	e := engine(t, `masks:
  - {name: redact, column: public.t.redact, strategy: redact}
  - {name: same, column: public.t.same, strategy: redact}
  - {name: partial, column: public.t.partial, strategy: partial}
  - {name: asked, column: public.t.asked, strategy: redact, compare: {otherwise: allow}}
  - {name: final, column: public.t.final, strategy: redact, compare: {allow: [], otherwise: deny}}
  - {name: ranged, column: public.t.ranged, strategy: redact, compare: {allow: [equality, range]}}
  - {name: often, column: public.t.often, strategy: redact, compare: {values_per_day: 21}}
  - {name: clear, column: public.t.clear, strategy: clear}
`)
	column := func(name string) command.Column { return command.Column{Schema: "public", Table: "t", Name: name} }
	for _, tc := range []struct {
		to, from string
		want     bool
	}{
		{"redact", "same", true},
		{"redact", "partial", true},
		{"final", "redact", true},
		{"redact", "asked", true},
		{"partial", "redact", false},
		{"asked", "redact", false},
		{"redact", "final", false},
		{"ranged", "redact", false},
		{"often", "redact", false},
		{"clear", "partial", false},
		{"nowhere", "partial", false},
		{"redact", "", false},
		{"redact", "computed", false},
		{"final", "computed", true},
	} {
		if got := e.Hides("x", column(tc.to), column(tc.from)); got != tc.want {
			t.Errorf("%s hides what is of %q: %v", tc.to, tc.from, got)
		}
	}
}
