package policy

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// A condition with guards comes out as it does without: known, unknown or in
// error.
func TestGuardsDecideNothingElse(t *testing.T) {
	c, err := newConditions()
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{
		`command.class == "read"`, `"write" == command.class`, `command.class in ["ddl", "admin"]`, `command.verb in []`, `command.verb == "delete"`,
		`command.class != "read"`, `!command.filtered`, `"public.t" in command.objects`, `principal.claims["x"] == "y"`, `command.verb == command.class`,
		`command.class in command.objects`, `(command.verb == "select" || command.filtered)`, `command.objects.all(o, o == "public.t")`,
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(parts).Draw(t, "part")
		for range rapid.IntRange(0, 3).Draw(t, "more") {
			text = fmt.Sprintf("(%s) %s %s", text, rapid.SampledFrom([]string{"&&", "&&", "||"}).Draw(t, "operator"), rapid.SampledFrom(parts).Draw(t, "part"))
		}
		with, faults := c.compile(text)
		if len(faults) > 0 {
			t.Fatal(text, faults)
		}
		without := *with
		without.guards = nil
		facts := &command.Facts{
			Class: rapid.SampledFrom([]command.Class{command.Read, command.Write, command.DDL, command.Unknown}).Draw(t, "class"),
			Verb:  rapid.SampledFrom([]string{"", "select", "delete"}).Draw(t, "verb"), Filtered: rapid.Bool().Draw(t, "filtered"),
			Objects: []command.Object{{Schema: "public", Name: "t", Access: command.Read}},
		}
		hide := set(rapid.Uint64Range(0, uint64(allVariables)).Draw(t, "hide"))
		if rapid.Bool().Draw(t, "known") {
			hide = 0
		}
		if rapid.IntRange(0, 9).Draw(t, "nothing") == 0 {
			facts = nil
		}
		a := func() *activation {
			return &activation{in: &Input{Principal: &eventv1.Principal{}, Facts: facts}, unknown: hide}
		}
		got, value, _ := with.eval(a(), hide)
		want, wanted, _ := without.eval(a(), hide)
		if got != want || got != unknown && value != wanted {
			t.Fatalf("%s, hidden %b: %d (%v), without guards %d (%v)", text, hide, got, value, want, wanted)
		}
	})
}
