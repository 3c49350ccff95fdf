package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/policy"
)

// rehearsing are hold rules with these keys each, for what their condition says.
func rehearsing(t *testing.T, rules ...string) policy.Decision {
	t.Helper()
	text := "rules:\n"
	for _, r := range rules {
		text += "  - {effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U0LEE]}, " + r + "}\n"
	}
	return compile(t, text).Decide(policy.Input{Principal: shop(), Target: prod(), Facts: write("orders")})
}

func TestApproveIfIsTrueWithinItsBoundOnly(t *testing.T) {
	d := rehearsing(t, `name: a, rehearsal: {timeout: 9s}, approve_if: 'rehearsal.rows <= 50 && rehearsal.tables.all(t, t == "public.orders")'`)
	if d.Rehearsal == nil || d.Rehearsal.Timeout != 9*time.Second || d.ApproveIf == nil {
		t.Fatalf("%+v", d)
	}
	orders := []string{"public.orders"}
	for name, c := range map[string]struct {
		m    policy.Measured
		want bool
	}{
		"none":                {policy.Measured{}, true},
		"the bound":           {policy.Measured{Rows: 50, Tables: orders}, true},
		"one more":            {policy.Measured{Rows: 51, Tables: orders}, false},
		"another table":       {policy.Measured{Rows: 1, Tables: []string{"public.orders", "public.items"}}, false},
		"more than an int64":  {policy.Measured{Rows: 1 << 63, Tables: orders}, false},
		"as a negative int64": {policy.Measured{Rows: 1<<64 - 1, Tables: orders}, false},
	} {
		if got := d.ApproveIf.Allows(c.m); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	d = rehearsing(t, "name: a, rehearsal: allow, approve_if: 'rehearsal.rows <= 50 && rehearsal.total <= 120'")
	for m, want := range map[[2]uint64]bool{{50, 120}: true, {50, 0}: true, {50, 121}: false, {51, 0}: false, {1, 1 << 63}: false} {
		if got := d.ApproveIf.Allows(policy.Measured{Rows: m[0], Total: m[1]}); got != want {
			t.Errorf("%v: %v", m, got)
		}
	}
	if (*policy.ApproveIf)(nil).Allows(policy.Measured{}) || rehearsing(t, "name: a").ApproveIf.Allows(policy.Measured{}) {
		t.Error("what no rule lets pass passes")
	}
	if d := rehearsing(t, "name: a, rehearsal: allow"); d.Rehearsal.Timeout != policy.DefaultRehearsalTimeout || d.ApproveIf.Allows(policy.Measured{}) {
		t.Errorf("%+v", d)
	}
	if d := rehearsing(t, "name: a, rehearsal: allow, approve_if: '10 / rehearsal.rows == 3'"); d.ApproveIf.Allows(policy.Measured{}) {
		t.Error("what cannot be evaluated passes")
	}
}

// A rule that wants a person, or no rehearsal, is not got round through another one
// that decides: by its number of approvers, or by its name.
func TestRedteam21_OneRulesBoundIsNoLeaveOfAnother(t *testing.T) {
	const small, strict = "rehearsal: allow, approve_if: 'rehearsal.rows <= 50'", "rehearsal: allow, approve_if: 'rehearsal.rows <= 5'"
	if d := rehearsing(t, "name: a, "+small, "name: b"); d.Rule != "a" || d.Rehearsal != nil || d.ApproveIf != nil {
		t.Errorf("%+v", d)
	}
	if d := rehearsing(t, "name: a, "+small, "name: b, rehearsal: {timeout: 2s}"); d.Rule != "a" || d.Rehearsal == nil || d.Rehearsal.Timeout != 2*time.Second || d.ApproveIf != nil {
		t.Errorf("%+v", d)
	}
	d := rehearsing(t, "name: a, "+small, "name: b, "+strict)
	if d.ApproveIf.Allows(policy.Measured{Rows: 6}) || !d.ApproveIf.Allows(policy.Measured{Rows: 5}) || d.ApproveIf.String() != "rehearsal.rows <= 5 && rehearsal.rows <= 50" {
		t.Errorf("%+v: %s", d, d.ApproveIf)
	}
	// One that cannot be told not to match counts as if it did.
	e := compile(t, "rules:\n  - {name: a, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U0LEE]}, "+small+"}\n"+
		"  - {name: b, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U0LEE]}, when: '\"card\" in command.filters'}\n")
	facts := write("orders")
	if d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: facts}); d.ApproveIf == nil {
		t.Errorf("%+v", d)
	}
	facts.Unknown = []string{"filters"}
	if d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: facts}); d.Rule != "a" || d.ApproveIf != nil || d.Rehearsal != nil {
		t.Errorf("%+v", d)
	}
}

// A freeze wants its approvers, whatever a rule's rehearsal would show.
func TestRedteam21_AFreezeIsNotPassedByARehearsal(t *testing.T) {
	e := compile(t, "rules:\n  - {name: a, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U0LEE]}, rehearsal: allow, approve_if: 'rehearsal.rows <= 50'}\n"+
		"freezes:\n  - {name: holidays, targets: [prod-db], from: \"2026-12-20T00:00:00Z\", to: \"2027-01-02T00:00:00Z\", effect: hold, approvers: {slack_users: [U0LEE]}}\n")
	in := policy.Input{Principal: shop(), Target: prod(), Facts: write("orders"), At: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)}
	if d := e.Decide(in); !d.Frozen || d.Rehearsal != nil || d.ApproveIf != nil {
		t.Errorf("%+v", d)
	}
	in.At = time.Date(2027, 1, 3, 0, 0, 0, 0, time.UTC)
	if d := e.Decide(in); d.Frozen || d.ApproveIf == nil {
		t.Errorf("%+v", d)
	}
}

func TestApproveIfIsPartOfTheRulesHash(t *testing.T) {
	seen := map[string]string{}
	for _, keys := range []string{"", ", rehearsal: allow", ", rehearsal: {timeout: 6s}", ", rehearsal: allow, approve_if: 'rehearsal.rows <= 5'", ", rehearsal: allow, approve_if: 'rehearsal.rows <= 6'"} {
		h := rehearsing(t, "name: a"+keys).RuleHash
		if seen[h] != "" {
			t.Errorf("%q has the hash of %q", keys, seen[h])
		}
		seen[h] = keys + " "
	}
}

func TestApproveIfProblemsTeach(t *testing.T) {
	for keys, want := range map[string]string{
		"approve_if: 'rehearsal.rows <= 50'":                                           "approve_if without a rehearsal: nothing would be measured; add rehearsal: allow",
		"rehearsal: allow, approve_if: 'true'":                                         "it does not look at rehearsal.rows or rehearsal.total, so it bounds nothing",
		"rehearsal: allow, approve_if: 'rehearsal.rows >= 0'":                          "it is true however many rows are changed",
		"rehearsal: allow, approve_if: 'rehearsal.row <= 50'":                          "compare rehearsal.rows or rehearsal.total (numbers)",
		"rehearsal: allow, approve_if: 'rehearsal.rows'":                               "it is of type int, not bool",
		"rehearsal: allow, approve_if: 'rehearsal.rows <= \"x\"'":                      "no matching overload",
		"rehearsal: allow, approve_if: 'rehearsal.rows <= 5 && command.verb == \"x\"'": "undeclared reference",
		"rehearsal: maybe":          `rehearsal "maybe" is not known`,
		"rehearsal: {timeout: 31s}": "timeout of 31s is out of range; write 1s to 30s",
		"rehearsal: {lock: 1s}":     `unknown key "lock"`,
	} {
		_, err := policy.Compile(map[string][]byte{"r.yaml": []byte("rules:\n  - {name: a, effect: hold, targets: [x], principals: [{any: true}], approvers: {slack_users: [U1]}, " + keys + "}\n")})
		var p *policy.ProblemsError
		if !errors.As(err, &p) || !strings.Contains(err.Error(), want) || p.Problems[0].Line != 2 {
			t.Errorf("%s: %v", keys, err)
		}
	}
	_, err := policy.Compile(map[string][]byte{"r.yaml": []byte("rules:\n  - {name: a, effect: allow, targets: [x], principals: [{any: true}], rehearsal: allow}\n")})
	if err == nil || !strings.Contains(err.Error(), "rehearsal on a rule whose effect is allow") {
		t.Error(err)
	}
}

func TestCasesSayWhatARehearsalWouldMeasure(t *testing.T) {
	e := compile(t, "rules:\n  - {name: small, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U0LEE]}, rehearsal: allow, approve_if: 'rehearsal.rows <= 50'}\n")
	const one = "cases:\n  - {name: a, principal: {repository: x}, target: prod-db, facts: {class: write, verb: delete}, "
	for tail, want := range map[string]string{
		"rehearsal: {rows: 50, tables: [public.orders]}, expect: {effect: hold, approve_if: true}}": "",
		"rehearsal: {rows: 5, total: 51}, expect: {effect: hold, approve_if: true}}":                "",
		"rehearsal: {rows: 51}, expect: {effect: hold, approve_if: false}}":                         "",
		"rehearsal: {rows: 51}, expect: {effect: hold, approve_if: true}}":                          "approve_if: got false, want true",
	} {
		results, err := e.Test(map[string][]byte{"a_test.yaml": []byte(one + tail)}, []policy.Target{prod()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(results[0].Failures, "; "); (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", tail, got)
		}
	}
	if _, err := e.Test(map[string][]byte{"a_test.yaml": []byte(one + "expect: {effect: hold, approve_if: true}}")}, nil, nil); err == nil || !strings.Contains(err.Error(), "add rehearsal: {rows: 12") {
		t.Error(err)
	}
}
