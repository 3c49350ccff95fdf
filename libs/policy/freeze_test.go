package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
)

const frozen = `
rules:
  - {name: all, effect: allow, targets: [prod-db], principals: [{any: true}], when: command.class != "admin"}
  - {name: two, effect: hold, targets: [prod-db], principals: [{any: true}], when: command.class == "ddl", approvers: {slack_users: [U1, U2, U3], count: 2}}
freezes:
  - {name: year-end, reason: holidays, targets: [prod-db], from: 2026-12-20, to: 2027-01-02, zone: Europe/Berlin%s}
`

func facts(class command.Class) *command.Facts {
	return &command.Facts{Class: class, Verb: "x", Filtered: true}
}

// While a freeze is on nothing but reads passes, from its first moment to its
// last; nothing passes by it that no rule lets pass.
func TestRedteam21_AFreezeLetsReadsPassOnly(t *testing.T) {
	const on, hold = "2026-12-24T12:00:00Z", `, effect: hold, approvers: {slack_users: [U8, U9], count: 2}`
	for name, c := range map[string]struct {
		with, at string
		class    command.Class
		want     policy.Effect
		rule     string
	}{
		"a read":                           {"", on, command.Read, policy.Allow, "all"},
		"a client's preamble":              {"", on, command.Session, policy.Allow, "all"},
		"a write":                          {"", on, command.Write, policy.Deny, "year-end"},
		"what would be held":               {"", on, command.DDL, policy.Deny, "year-end"},
		"what no rule lets pass":           {"", on, command.Admin, policy.Deny, ""},
		"what is unknown":                  {"", on, command.Unknown, policy.Hold, ""},
		"a moment before":                  {"", "2026-12-19T23:59:59+01:00", command.Write, policy.Allow, "all"},
		"from its first":                   {"", "2026-12-20T00:00:00+01:00", command.Write, policy.Deny, "year-end"},
		"to its last":                      {"", "2027-01-02T23:59:59+01:00", command.Write, policy.Deny, "year-end"},
		"and not after":                    {"", "2027-01-03T00:00:00+01:00", command.Write, policy.Allow, "all"},
		"at no moment":                     {"", "", command.Write, policy.Allow, "all"},
		"an exception":                     {hold, on, command.Write, policy.Hold, "year-end"},
		"an exception of what is held":     {hold, on, command.DDL, policy.Hold, "year-end"},
		"no exception of what is denied":   {hold, on, command.Admin, policy.Deny, ""},
		"a read where it holds":            {hold, on, command.Read, policy.Allow, "all"},
		"never fewer than the rule's":      {strings.Replace(hold, "count: 2", "count: 1", 1), on, command.DDL, policy.Deny, "year-end"},
		"but as many where a rule allowed": {strings.Replace(hold, "count: 2", "count: 1", 1), on, command.Write, policy.Hold, "year-end"},
	} {
		t.Run(name, func(t *testing.T) {
			e := compile(t, fmt.Sprintf(frozen, c.with))
			in := policy.Input{Principal: shop(), Target: prod(), Facts: facts(c.class)}
			if c.at != "" {
				in.At = moment(t, c.at)
			}
			d := e.Decide(in)
			if c.class == command.Unknown { // held by the rule, or frozen: never allowed
				if d.Effect == policy.Allow {
					t.Fatal("what is unknown passes")
				}
				return
			}
			if d.Effect != c.want || d.Rule != c.rule || d.Frozen != (c.rule == "year-end") {
				t.Fatalf("%s by %q: %s", d.Effect, d.Rule, d.Why)
			}
			for _, want := range []string{"year-end", "holidays", "until 2027-01-03 00:00 CET"} {
				if d.Frozen && !strings.Contains(d.Why, want) {
					t.Errorf("%q is not in %q", want, d.Why)
				}
			}
			if d.Effect == policy.Hold && (d.RuleHash != e.Hashes()["year-end"] || d.Approvers.GetSlackUsers()[0] != "U8" || d.BreakGlass != nil) {
				t.Errorf("held by another: %+v", d)
			}
			decides := ""
			for _, r := range e.Explain(in).Rules {
				if r.Decides {
					decides = r.Rule
				}
			}
			if decides != c.rule {
				t.Errorf("explained as decided by %q", decides)
			}
		})
	}
}

// Of two freezes the one that denies goes before the one that holds; another
// target's is none; a kept decision ends where one begins.
func TestFreezesAddUp(t *testing.T) {
	e := compile(t, `
rules: [{name: all, effect: allow, targets: ["*"], principals: [{any: true}]}]
freezes:
  - {name: a, targets: [prod-db], from: "2026-12-20T00:00:00Z", to: "2026-12-30T00:00:00Z", effect: hold, approvers: {slack_users: [U8]}}
  - {name: b, environments: [production], from: "2026-12-24T00:00:00Z", to: "2026-12-26T00:00:00Z"}
  - {name: c, targets: [other], from: "2026-12-01T00:00:00Z", to: "2027-12-01T00:00:00Z"}
`)
	in := policy.Input{Principal: shop(), Target: prod(), Facts: facts(command.Write)}
	for at, want := range map[string]policy.Effect{"2026-12-19T23:00:00Z": policy.Allow, "2026-12-22T00:00:00Z": policy.Hold, "2026-12-25T00:00:00Z": policy.Deny} {
		if in.At = moment(t, at); e.Decide(in).Effect != want {
			t.Errorf("at %s: %s", at, e.Decide(in).Effect)
		}
	}
	if until, ok := e.Lasting(prod(), moment(t, "2026-12-19T23:00:00Z")); !ok || !until.Equal(moment(t, "2026-12-20T00:00:00Z")) {
		t.Errorf("kept until %s", until)
	}
	if text := strings.Join(e.Can(shop(), prod(), moment(t, "2026-12-25T00:00:00Z")).Sentences, "; "); !strings.Contains(text, `freeze "b", until 2026-12-26 00:00 UTC, denies all but reads`) {
		t.Errorf("can: %s", text)
	}
}

func TestFreezeProblemsAndFindings(t *testing.T) {
	for with, want := range map[string]string{
		"name: n, targets: [x], from: 2026-12-20, to: 2026-12-21":                                                          "from is not a moment",
		"name: n, targets: [x], from: 2026-12-20, to: 2026-12-19, zone: UTC":                                               "ends before it begins",
		"name: n, targets: [x], from: 2026-12-20, zone: UTC":                                                               "without to",
		"name: n, from: 2026-12-20, to: 2026-12-21, zone: UTC":                                                             "without targets",
		"targets: [x], from: 2026-12-20, to: 2026-12-21, zone: UTC":                                                        "without a name",
		"name: all, targets: [x], from: 2026-12-20, to: 2026-12-21, zone: UTC":                                             "the name is taken",
		"name: n, targets: [x], from: 2026-12-20, to: 2026-12-21, zone: UTC, effect: allow":                                "a freeze that allows",
		"name: n, targets: [x], from: 2026-12-20, to: 2026-12-21, zone: UTC, effect: hold":                                 "nobody could approve",
		"name: n, targets: [x], from: 2026-12-20, to: 2026-12-21, zone: UTC, approvers: {slack_users: [U1]}":               "on a freeze that denies",
		"name: n, targets: [x], from: 2026-12-20, to: 2026-12-21, zone: UTC, effect: hold, approvers: {persons: [nobody]}": `"nobody" is not in people.yaml`,
		"name: n, targets: [x], from: 2026-12-20, to: 2026-12-21, zone: Mars/Base":                                         "is not known",
		"name: n, targets: [x], from: 2026-12-20, to: 2026-12-21, zone: UTC, when: command.class == \"write\"":             "unknown key",
	} {
		_, err := policy.Compile(map[string][]byte{"r.yaml": []byte("rules: [{name: all, effect: allow, targets: [x], principals: [{any: true}]}]\nfreezes:\n  - {" + with + "}\n")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", with, err)
		}
	}
	e := compile(t, fmt.Sprintf(frozen, ", effect: hold, approvers: {slack_users: [U8, U9], count: 1}"))
	found := func(now time.Time) string {
		text := ""
		for _, f := range policy.Check(e, policy.Surroundings{Now: now}) {
			if f.Kind == policy.FoundFreeze {
				text += f.What + "; "
			}
		}
		return text
	}
	if text := found(moment(t, "2026-12-24T00:00:00Z")); !strings.Contains(text, `rule "two" asks for more`) || strings.Contains(text, "ended") {
		t.Errorf("found %q", text)
	}
	if text := found(moment(t, "2027-01-02T23:00:00Z")); !strings.Contains(text, "ended at 2027-01-03 00:00 CET") {
		t.Errorf("found %q", text)
	}
}
