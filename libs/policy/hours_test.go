package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
)

const office = `{days: [mon-fri], from: "09:00", to: "17:30", zone: Europe/Berlin}`

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Outside its hours a rule is not there; where the moment is not known, only one
// that restricts is.
func TestRedteam21_HoursOfARule(t *testing.T) {
	const rest = `, targets: [prod-db], principals: [{any: true}]`
	read := command.Facts{Class: command.Read, Verb: "select", Filtered: true}
	for name, c := range map[string]struct {
		rules, at string
		want      policy.Effect
		reaches   bool
	}{
		"an allow, within":          {`- {name: a, effect: allow, hours: ` + office + rest + `}`, "2026-11-30T10:00:00+01:00", policy.Allow, true},
		"an allow, outside":         {`- {name: a, effect: allow, hours: ` + office + rest + `}`, "2026-11-30T18:00:00+01:00", policy.Deny, false},
		"an allow, nobody knows":    {`- {name: a, effect: allow, hours: ` + office + rest + `}`, "", policy.Deny, false},
		"a deny, within":            {`- {name: a, effect: allow` + rest + `}` + "\n  - {name: d, effect: deny, hours: " + office + rest + `}`, "2026-11-30T10:00:00+01:00", policy.Deny, false},
		"a deny, outside":           {`- {name: a, effect: allow` + rest + `}` + "\n  - {name: d, effect: deny, hours: " + office + rest + `}`, "2026-11-28T10:00:00+01:00", policy.Allow, true},
		"a deny, nobody knows":      {`- {name: a, effect: allow` + rest + `}` + "\n  - {name: d, effect: deny, hours: " + office + rest + `}`, "", policy.Deny, false},
		"a hold, within":            {`- {name: h, effect: hold, approvers: {slack_users: [U1]}, hours: ` + office + rest + `}`, "2026-11-30T10:00:00+01:00", policy.Hold, true},
		"a hold, outside":           {`- {name: a, effect: allow` + rest + `}` + "\n  - {name: h, effect: hold, approvers: {slack_users: [U1]}, hours: " + office + rest + `}`, "2026-11-28T10:00:00+01:00", policy.Allow, true},
		"a hold, nobody knows":      {`- {name: h, effect: hold, approvers: {slack_users: [U1]}, hours: ` + office + rest + `}`, "", policy.Hold, true},
		"in the skipped hour":       {`- {name: a, effect: allow, hours: {from: "02:00", to: "03:00", zone: Europe/Berlin}` + rest + `}`, "2026-03-29T01:30:00Z", policy.Deny, false},
		"in the repeated hour":      {`- {name: a, effect: allow, hours: {from: "02:00", to: "03:00", zone: Europe/Berlin}` + rest + `}`, "2026-10-25T01:30:00Z", policy.Allow, true},
		"the second of two windows": {`- {name: a, effect: allow, hours: [{days: [sun], zone: UTC}, ` + office + `]` + rest + `}`, "2026-11-30T10:00:00+01:00", policy.Allow, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := compile(t, "rules:\n  "+c.rules+"\n")
			in := policy.Input{Principal: shop(), Target: prod(), Facts: &read}
			if c.at != "" {
				in.At = moment(t, c.at)
			}
			if d := e.Decide(in); d.Effect != c.want {
				t.Errorf("%s: %s", d.Effect, d.Why)
			}
			if got := e.Reaches(in.Principal, in.Target, in.At); got != c.reaches {
				t.Errorf("reaches: %v", got)
			}
			for _, r := range e.Explain(in).Rules {
				if strings.Contains(r.Why, "only") != strings.Contains(c.rules, r.Rule+", effect: "+string(r.Effect)+", hours") && r.Effect == policy.Allow {
					t.Errorf("explained as %q", r.Why)
				}
			}
		})
	}
}

// A decision may be kept to the next edge of hours, and no longer.
func TestLastingEndsAtTheNextEdge(t *testing.T) {
	e := compile(t, `
rules:
  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}], when: command.class == "write", hours: {from: "22:00", to: "06:00", zone: Europe/Berlin}}
  - {name: o, effect: deny, targets: [other], principals: [{any: true}], hours: `+office+`}
`)
	for at, want := range map[string]string{
		"2026-11-30T21:00:00+01:00": "2026-11-30T22:00:00+01:00",
		"2026-11-30T22:00:00+01:00": "2026-12-01T06:00:00+01:00",
		"2026-10-25T00:00:00+02:00": "2026-10-25T06:00:00+01:00", // an hour later by the sun
	} {
		if until, ok := e.Lasting(prod(), moment(t, at)); !ok || !until.Equal(moment(t, want)) {
			t.Errorf("from %s until %s, %v", at, until, ok)
		}
	}
	if _, ok := e.Lasting(prod(), time.Time{}); ok {
		t.Error("a decision at no moment lasts")
	}
}

// What is shown of hours: in words, with whether they are on; as problems; in the
// rule's hash.
func TestHoursInWords(t *testing.T) {
	const rule = "rules:\n  - {name: h, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U1], hours: " + office + "}, hours: " + office + "}\n"
	e := compile(t, rule)
	saturday := moment(t, "2026-11-28T10:00:00+01:00")
	c := strings.Join(e.Can(shop(), prod(), saturday).Sentences, "\n")
	if !strings.Contains(c, "mon-fri 09:00-17:30 Europe/Berlin only, not now") || !strings.Contains(c, "Slack user U1 in Slack (mon-fri 09:00-17:30 Europe/Berlin, not now)") {
		t.Errorf("can: %s", c)
	}
	for name, other := range map[string]string{
		"no hours":           strings.Replace(rule, "}, hours: "+office, "}", 1),
		"other hours":        strings.Replace(rule, "}, hours: {days: [mon-fri]", "}, hours: {days: [mon-sat]", 1),
		"other of approvers": strings.Replace(rule, "U1], hours: {days: [mon-fri]", "U1], hours: {days: [mon-sat]", 1),
	} {
		if other == rule || compile(t, other).Hashes()["h"] == e.Hashes()["h"] {
			t.Errorf("%s: the hash is the same", name)
		}
	}
	if same := compile(t, strings.Replace(rule, "mon-fri", "mon, tue-fri", 2)); same.Hashes()["h"] != e.Hashes()["h"] {
		t.Error("the same days in another way are another rule")
	}
	_, err := policy.Compile(map[string][]byte{"r.yaml": []byte(strings.Replace(rule, "Europe/Berlin}}, hours", "Europe/Berlim}}, hours", 1))})
	if err == nil || !strings.Contains(err.Error(), `r.yaml:2:`) || !strings.Contains(err.Error(), `zone "Europe/Berlim" is not known`) {
		t.Errorf("problem: %v", err)
	}
}

// A case says its moment; one that does not is told so where it fails.
func TestCasesHaveAMoment(t *testing.T) {
	e := compile(t, "rules:\n  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}], hours: "+office+"}\n")
	cases := func(at, expect string) []byte {
		return []byte("cases:\n  - {name: c, principal: {preset: generic, subject: s, issuer: i}, target: prod-db, facts: {class: read, verb: select}, " + at + "expect: " + expect + "}\n")
	}
	for name, c := range map[string]struct {
		at, expect string
		passes     bool
	}{
		"within":  {`at: "2026-11-30T10:00:00+01:00", `, "allow", true},
		"outside": {`at: "2026-11-30T19:00:00+01:00", `, "deny", true},
		"none":    {"", "allow", false},
	} {
		results, err := e.Test(map[string][]byte{"a_test.yaml": cases(c.at, c.expect)}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r := results[0]; r.Passed() != c.passes || !c.passes && !strings.Contains(strings.Join(r.Failures, "\n"), "no at:") {
			t.Errorf("%s: %q", name, r.Failures)
		}
	}
	if _, err := e.Test(map[string][]byte{"a_test.yaml": cases(`at: "tomorrow", `, "allow")}, nil, nil); err == nil {
		t.Error("tomorrow is a moment")
	}
}

// What an escalation says: in words, in the hash, in what a request carries.
func TestEscalationOfApprovers(t *testing.T) {
	const rule = "rules:\n  - {name: h, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U1], escalate: {after: 10m, to: {slack_groups: [S0LEADS]}}}}\n"
	e := compile(t, rule)
	a := e.Rules()[0].Approvers.Event()
	if words := e.People().Approvers(a, []string{"slack:U9"}, time.Time{}); !strings.Contains(words, "; after 10m also a member of Slack group S0LEADS") {
		t.Errorf("in words: %q", words)
	}
	if a.GetEscalation().GetAfter().AsDuration() != 10*time.Minute || a.GetEscalation().GetTo().GetSlackGroups()[0] != "S0LEADS" {
		t.Errorf("carried: %v", a)
	}
	for name, other := range map[string]string{
		"none": strings.Replace(rule, ", escalate: {after: 10m, to: {slack_groups: [S0LEADS]}}", "", 1), "earlier": strings.Replace(rule, "10m", "9m", 1),
		"to others": strings.Replace(rule, "S0LEADS", "S0OTHER", 1),
	} {
		if compile(t, other).Hashes()["h"] == e.Hashes()["h"] {
			t.Errorf("%s: the hash is the same", name)
		}
	}
	for text, want := range map[string]string{
		strings.Replace(rule, "10m", "15m", 1):                                            "when its deadline of 15m is over",
		strings.Replace(rule, "slack_groups: [S0LEADS]", "persons: [nobody]", 1):          `"nobody" is not in people.yaml`,
		strings.Replace(rule, "slack_groups: [S0LEADS]", "slack_groups: [\"@leads\"]", 1): "not the id of a Slack user group",
	} {
		if _, err := policy.Compile(map[string][]byte{"r.yaml": []byte(text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
