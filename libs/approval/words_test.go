package approval

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestDescribe(t *testing.T) {
	gitlab := &eventv1.Principal{Preset: "gitlab-ci", Repository: "acme/shop", RunId: "9", Ref: "refs/tags/v1", Actor: "kim", TriggeringActor: "lee", RunAttempt: "2"}
	agent := principal()
	agent.Agent, agent.OnBehalfOf, agent.Asserted = "coder", "dana@acme.example", []string{"agent"}
	hostile := principal()
	hostile.Actor = "dana\n\u202eadmin"
	for name, c := range map[string]struct {
		p    *eventv1.Principal
		want string
	}{
		"github":       {principal(), "job deploy of acme/shop, run 4711, on main, started by dana"},
		"gitlab":       {gitlab, "a job of acme/shop, pipeline 9 attempt 2, on tag v1, started by kim, run again by lee"},
		"agent":        {agent, "job deploy of acme/shop, run 4711, on main, started by dana, agent coder (unverified), on behalf of dana@acme.example"},
		"hostile":      {hostile, "job deploy of acme/shop, run 4711, on main, started by dana⏎‹U+202E›admin"},
		"workflow":     {&eventv1.Principal{Workflow: "nightly", Subject: "ci-1"}, "workflow nightly of ci-1"},
		"pull request": {&eventv1.Principal{Subject: "s", Ref: "refs/pull/7/merge"}, "s, on pull request 7"},
		"empty":        {&eventv1.Principal{Issuer: "https://x"}, "an unnamed principal of https://x"},
		"nil":          {nil, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Describe(c.p); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestHeadline(t *testing.T) {
	o := func(schema, name, access string) *eventv1.Object {
		return &eventv1.Object{Schema: schema, Name: name, Access: access}
	}
	for want, c := range map[string]struct {
		verb    string
		objects []*eventv1.Object
	}{
		"UPDATE public.customers":                   {"update", []*eventv1.Object{o("public", "customers", "write"), o("public", "customers", "read")}},
		"INSERT public.b (reading public.a)":        {"insert", []*eventv1.Object{o("public", "a", "read"), o("public", "b", "write")}},
		"TRUNCATE a, b, c and 2 more":               {"truncate", []*eventv1.Object{o("", "a", "ddl"), o("", "b", "ddl"), o("", "c", "ddl"), o("", "d", "ddl"), o("", "e", "ddl")}},
		"UNKNOWN COMMAND":                           {"", nil},
		"Plan of 1 statement, 1 held: public.a":     {PlanVerb(1, 1), []*eventv1.Object{o("public", "a", "write")}},
		"DELETE public.‹U+200B›x":                   {"delete", []*eventv1.Object{o("public", "\u200bx", "write")}},
		"DROP TABLE public.customers, public.other": {"drop table", []*eventv1.Object{o("public", "customers", "ddl"), o("public", "other", "ddl")}},
	} {
		t.Run(want, func(t *testing.T) {
			if got := Headline(c.verb, c.objects); got != want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestRedteam21_Visible(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT 'é', '日本', 'Ω' -- 😀": "SELECT 'é', '日本', 'Ω' -- 😀",
		"a\u202eb":                   "a‹U+202E›b",
		"a\u200bb":                   "a‹U+200B›b",
		"a\u2066b":                   "a‹U+2066›b",
		"a\x1b[2Kb":                  "a‹U+001B›[2Kb",
		"a\x00\x7f\u0085":            "a‹U+0000›‹U+007F›‹U+0085›",
		"a\u00a0b":                   "a‹U+00A0›b",
		"a\u00adb":                   "a‹U+00AD›b",
		"a\ufe0fb":                   "a‹U+FE0F›b",
		"a\U000E0041b":               "a‹U+E0041›b",
		"a\u2028b":                   "a‹U+2028›b",
		"a\u3164b":                   "a‹U+3164›b",
		"a\u0336b":                   "a‹U+0336›b",
		"a\xff\xfeb":                 "a‹0xFF›‹0xFE›b",
		"a\nb\tc":                    "a⏎b c",
	} {
		if got := Visible(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := VisibleText("a\r\nb\tc\rd\n"); got != "a\nb\tc‹U+000D›d\n" {
		t.Errorf("text: %q", got)
	}
}

func TestVisibleHidesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		for _, v := range []string{Visible(s), VisibleText(s)} {
			if !utf8.ValidString(v) {
				t.Fatalf("not UTF-8: %q", v)
			}
			for _, r := range v {
				if r != '\n' && r != '\t' && hidden(r) {
					t.Fatalf("%U left in %q", r, v)
				}
			}
		}
		if v := Visible(s); Visible(v) != v || strings.ContainsAny(v, "\n\t") {
			t.Fatalf("not stable: %q", v)
		}
	})
}

func TestRedteam21_LookAlikes(t *testing.T) {
	for in, want := range map[string][]string{
		"UPDATE customers SET a = 1":                 nil,
		"SELECT 'Привет, мир', 'Καλημέρα', 'é'":      nil,
		"UPDATE p\u0430yments SET x = 1":             {"p\u0430yments"},            // Cyrillic a
		"DELETE FROM \u043e\u0440\u0435\u0445":       {"\u043e\u0440\u0435\u0445"}, // wholly twins
		"DELETE FROM p\u0430y; DELETE FROM p\u0430y": {"p\u0430y"},                 // once
		"DROP TABLE \uff43\uff55\uff53\uff54":        {"\uff43\uff55\uff53\uff54"}, // full width
		"SELECT cust\u200bomers":                     nil,                          // made visible instead
	} {
		if got := LookAlikes(in); !slices.Equal(got, want) {
			t.Errorf("%q: got %q", in, got)
		}
	}
	if got := SpellOut("p\u0430y"); got != "p‹U+0430›y" {
		t.Error(got)
	}
}
