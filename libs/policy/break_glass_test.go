package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const glassPolicy = `
rules:
  - name: writes
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write"
    approvers: {persons: [dana]}
    break_glass: BREAK
`

func glassEngine(t *testing.T, how, more string) (*Engine, error) {
	t.Helper()
	return Compile(map[string][]byte{
		"people.yaml": []byte("people:\n  - {name: dana, accounts: [\"slack:U0DANA\"]}\n"),
		"a.yaml":      []byte(strings.Replace(glassPolicy, "BREAK", how, 1) + more),
	})
}

func glassOf(t *testing.T, e *Engine, p *eventv1.Principal) Decision {
	t.Helper()
	return e.Decide(Input{Principal: p, Target: Target{Name: "prod-db"}, Facts: &command.Facts{Verb: "update", Class: command.Write, Filtered: true}})
}

func TestBreakGlassSaysWhoAndHowFar(t *testing.T) {
	job := &eventv1.Principal{Issuer: "i", Subject: "s", RepositoryId: "1001", RepositoryOwnerId: "2002", Workflow: "rescue"}
	agent := &eventv1.Principal{Issuer: "i", Subject: "s", RepositoryId: "1001", RepositoryOwnerId: "2002", Agent: "claude", Asserted: []string{"agent"}}
	claimed := &eventv1.Principal{Issuer: "i", Subject: "s", RepositoryId: "1001", RepositoryOwnerId: "2002", Workflow: "rescue", Asserted: []string{"workflow"}}
	const narrowed = `{for: 5m, uses: 7, principals: [{repository_id: "1001", repository_owner_id: "2002", workflow: rescue}]}`
	for _, c := range []struct {
		how       string
		principal *eventv1.Principal
		life      time.Duration // 0: it may not
		uses      uint32
	}{
		{"allow", job, DefaultGlassLife, DefaultGlassUses},
		{"allow", agent, 0, 0},
		{"{agents: allow}", agent, DefaultGlassLife, DefaultGlassUses},
		{narrowed, job, 5 * time.Minute, 7},
		{narrowed, claimed, 0, 0}, // what the caller says opens nothing
	} {
		e, err := glassEngine(t, c.how, "")
		if err != nil {
			t.Fatal(err)
		}
		d := glassOf(t, e, c.principal)
		if d.Effect != Hold || (d.BreakGlass != nil) != (c.life > 0) || (d.Unbreakable == "") != (c.life > 0) || e.BreaksGlass(c.principal, Target{Name: "prod-db"}) != (c.life > 0) {
			t.Errorf("%s: %+v", c.how, d)
		}
		if d.BreakGlass != nil && (d.BreakGlass.Life != c.life || d.BreakGlass.Uses != c.uses) {
			t.Errorf("%s: %+v", c.how, d.BreakGlass)
		}
	}
}

// Of two hold rules that match, both must allow it, whichever decides.
func TestBreakGlassOfEveryRuleThatHolds(t *testing.T) {
	const second = "  - {name: careful, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {persons: [dana]}}\n"
	e, err := glassEngine(t, "allow", second)
	if err != nil {
		t.Fatal(err)
	}
	if d := glassOf(t, e, &eventv1.Principal{}); d.BreakGlass != nil || !strings.Contains(d.Unbreakable, `"careful"`) {
		t.Errorf("%+v", d)
	}
}

func TestBreakGlassProblems(t *testing.T) {
	for how, want := range map[string]string{
		"alow":                          `break_glass "alow" is not known`,
		"{for: 9h}":                     "for of 9h is out of range",
		"{uses: 0}":                     "uses must be a whole number from 1 to 1000",
		"{agents: true}":                `agents "true" is not known`,
		"{principals: []}":              "break_glass for no principals",
		"{reason: short}":               `unknown key "reason" in break_glass`,
		"{principals: [{event: push}]}": "a principal that names nobody",
	} {
		_, err := glassEngine(t, how, "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", how, err)
		}
	}
	_, err := Compile(map[string][]byte{"a.yaml": []byte("rules:\n  - {name: a, effect: allow, targets: [x], principals: [{any: true}], break_glass: allow}\n")})
	if err == nil || !strings.Contains(err.Error(), "break_glass on a rule whose effect is allow") {
		t.Error(err)
	}
}

// It is part of what an approver decides under.
func TestBreakGlassIsPartOfTheRulesHash(t *testing.T) {
	var hashes []string
	for _, how := range []string{"allow", "{uses: 7}", "{for: 7m}", "{agents: allow}", "{principals: [{subject: s, issuer: i}]}"} {
		e, err := glassEngine(t, how, "")
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, e.Hashes()["writes"])
	}
	slices.Sort(hashes)
	if n := len(slices.Compact(hashes)); n != 5 {
		t.Errorf("%d hashes of 5 rules", n)
	}
}

func TestBreakGlassIsTestedAndPinned(t *testing.T) {
	e, err := glassEngine(t, "{principals: [{repository: acme/shop, repository_id: \"1001\", repository_owner_id: \"2002\"}]}", "")
	if err != nil {
		t.Fatal(err)
	}
	const cases = `
cases:
  - {name: may, principal: {repository_id: "1001", repository_owner_id: "2002"}, target: prod-db, facts: {class: write}, expect: {effect: hold, break_glass: allow}}
  - {name: other, principal: {repository_id: "1002", repository_owner_id: "2002"}, target: prod-db, facts: {class: write}, expect: {effect: hold, break_glass: allow}}
`
	results, err := e.Test(map[string][]byte{"a_test.yaml": []byte(cases)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !results[0].Passed() || results[1].Passed() || !strings.Contains(results[1].Failures[0], "break_glass: got deny, want allow") {
		t.Errorf("%+v", results)
	}
	unpinned := strings.Replace(glassPolicy, "BREAK", "{principals: [{repository: acme/shop}]}", 1)
	changed, _, err := Pin(map[string][]byte{"a.yaml": []byte(unpinned)}, Pins{Repository: "acme/shop", RepositoryID: "1001", RepositoryOwnerID: "2002"})
	if err != nil || !strings.Contains(string(changed["a.yaml"]), `{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}`) {
		t.Errorf("%s, %v", changed["a.yaml"], err)
	}
}

func TestTellingReasons(t *testing.T) {
	for reason, want := range map[string]bool{
		"INC-2041: orders are stuck": true, "注文が止まっています。今すぐ直します": true, "": false, "fix": false, "aaaaaaaaaaaaaaaaaaa": false, "1111111111111": false, "…………………………": false,
	} {
		if Telling(reason) != want {
			t.Errorf("%q: %v", reason, !want)
		}
	}
}

// A freeze is not passed by breaking the glass, whether it denies or holds.
func TestRedteam21_BreakGlassDoesNotPassAFreeze(t *testing.T) {
	at := time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)
	for effect, want := range map[string]Effect{"": Deny, ", effect: hold, approvers: {persons: [dana]}": Hold} {
		e, err := glassEngine(t, "allow", "freezes:\n  - {name: holidays, targets: [prod-db], from: \"2026-12-23T00:00:00Z\", to: \"2026-12-27T00:00:00Z\""+effect+"}\n")
		if err != nil {
			t.Fatal(err)
		}
		in := Input{Principal: &eventv1.Principal{}, Target: Target{Name: "prod-db"}, Facts: &command.Facts{Verb: "update", Class: command.Write, Filtered: true}, At: at}
		if d := e.Decide(in); d.Effect != want || d.BreakGlass != nil {
			t.Errorf("%s: %+v", effect, d)
		}
		in.At = at.AddDate(0, 0, 7)
		if d := e.Decide(in); d.Effect != Hold || d.BreakGlass == nil {
			t.Errorf("after it: %+v", d)
		}
	}
}
