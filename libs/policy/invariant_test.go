package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// drawRules makes a small policy in which agents, names and facts matter.
func drawRules(t *rapid.T) string {
	selectors := []string{
		"any: true", "any: true, agent: claude", "any: true, environment: production", "repository: acme/shop",
		`repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"`,
		`repository_id: "1001", repository_owner_id: "2002", agent: claude`, `repository_id: "7", repository_owner_id: "2002"`,
	}
	conditions := []string{
		`command.class == "read"`, `command.class != "write"`, `principal.agent == "claude"`, `principal.agent != "claude"`,
		`principal.agent == "" || command.class == "read"`, `"public.a" in command.objects`, `!("public.a" in command.objects)`,
		`session.reason != ""`, `session.reason != "load"`, `session.reason == "load" && principal.agent == "claude"`, `command.filtered`, `principal.environment != "production"`, `command.catalog`,
		`!(principal.agent == "claude" && command.class == "read")`, `command.writes.all(o, o == "public.a")`,
	}
	var y strings.Builder
	y.WriteString("rules:\n")
	for i := range rapid.IntRange(1, 6).Draw(t, "rules") {
		effect := rapid.SampledFrom([]string{"allow", "hold", "deny"}).Draw(t, "effect")
		fmt.Fprintf(&y, "  - name: r%d\n    effect: %s\n    targets: [prod-db]\n    principals: [{%s}]\n", i, effect, rapid.SampledFrom(selectors).Draw(t, "selector"))
		if rapid.Bool().Draw(t, "conditional") {
			fmt.Fprintf(&y, "    when: |\n      %s\n", rapid.SampledFrom(conditions).Draw(t, "when"))
		}
		if effect == "hold" {
			fmt.Fprintf(&y, "    approvers: {persons: [dana, kim, lee], count: %d}\n", rapid.IntRange(1, 3).Draw(t, "count"))
		}
	}
	return y.String()
}

func drawInput(t *rapid.T) policy.Input {
	p := shop()
	p.Environment = rapid.SampledFrom([]string{"", "production"}).Draw(t, "environment")
	f := &command.Facts{
		Class:    rapid.SampledFrom([]command.Class{command.Read, command.Write, command.DDL, command.Session}).Draw(t, "class"),
		Filtered: rapid.Bool().Draw(t, "filtered"), Catalog: rapid.Bool().Draw(t, "catalog"),
	}
	if rapid.Bool().Draw(t, "object") {
		f.Objects = []command.Object{object("a", f.Class)}
	}
	return policy.Input{Principal: p, Target: prod(), Facts: f}
}

func order(e policy.Effect) int {
	return map[policy.Effect]int{policy.Allow: 0, policy.Hold: 1, policy.Deny: 2}[e]
}

func drawEngine(t *rapid.T) (*policy.Engine, string) {
	rules := drawRules(t)
	e, err := policy.Compile(map[string][]byte{"rules.yaml": []byte(rules), "people.yaml": []byte(people)})
	if err != nil {
		t.Fatal(err)
	}
	return e, rules
}

// Whatever the rules, saying something never gives more than saying nothing.
func TestSayingNeverWidens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, rules := drawEngine(t)
		silent := drawInput(t)
		said := silent
		said.Principal = shop(func(p *eventv1.Principal) {
			p.Environment = silent.Principal.Environment
			p.Agent, p.Asserted = rapid.SampledFrom([]string{"claude", "other"}).Draw(t, "agent"), []string{"agent"}
		})
		said.Session.Reason = rapid.SampledFrom([]string{"", "load", "other"}).Draw(t, "reason")
		before, after := e.Decide(silent), e.Decide(said)
		if order(after.Effect) < order(before.Effect) {
			t.Fatalf("%s without, %s with an asserted agent, under\n%s", before.Effect, after.Effect, rules)
		}
		if before.Effect == policy.Hold && after.Effect == policy.Hold && before.RuleHash != after.RuleHash {
			t.Fatalf("the assertion chose rule %q over %q, under\n%s", after.Rule, before.Rule, rules)
		}
		if e.Reaches(said.Principal, said.Target, time.Time{}) && !e.Reaches(silent.Principal, silent.Target, time.Time{}) {
			t.Fatalf("the assertion opens the target, under\n%s", rules)
		}
	})
}

// Whatever the rules, knowing less never allows more.
func TestNotKnowingNeverAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, rules := drawEngine(t)
		known := drawInput(t)
		less := known
		facts := *known.Facts
		facts.Unknown = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"class", "objects", "columns", "functions", "filtered", "catalog"}), 1, 4, rapid.ID[string]).Draw(t, "unknown")
		less.Facts = &facts
		if before, after := e.Decide(known), e.Decide(less); after.Effect == policy.Allow && before.Effect != policy.Allow {
			t.Fatalf("%s when known, allowed when %v is not, under\n%s", before.Effect, facts.Unknown, rules)
		}
	})
}

// Whatever the rules, Explain tells what Decide does, and a principal that
// does not reach a target is denied everything there.
func TestExplainAndReachesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, rules := drawEngine(t)
		in := drawInput(t)
		d, x := e.Decide(in), e.Explain(in)
		matched := map[policy.Effect]bool{}
		for _, r := range x.Rules {
			matched[r.Effect] = matched[r.Effect] || r.Matched && !r.Restricts
			if r.Decides && !r.Matched && !x.Preamble {
				t.Fatalf("rule %q decides and does not match, under\n%s", r.Rule, rules)
			}
		}
		if !x.Preamble && matched[policy.Deny] != (d.Effect == policy.Deny && d.Rule != "") {
			t.Fatalf("explained deny %v, decided %s by %q, under\n%s", matched[policy.Deny], d.Effect, d.Rule, rules)
		}
		if !e.Reaches(in.Principal, in.Target, time.Time{}) && d.Effect != policy.Deny {
			t.Fatalf("not reached, and %s by %q, under\n%s", d.Effect, d.Rule, rules)
		}
	})
}
