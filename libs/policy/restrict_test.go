package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func saying(agent string) *eventv1.Principal {
	return shop(func(p *eventv1.Principal) { p.Agent, p.Asserted = agent, []string{"agent"} })
}

func verified(agent string) *eventv1.Principal {
	return shop(func(p *eventv1.Principal) { p.Agent = agent })
}

func decide(t *testing.T, rules string, p *eventv1.Principal, f *command.Facts) policy.Decision {
	t.Helper()
	return compile(t, rules).Decide(policy.Input{Principal: p, Target: prod(), Facts: f})
}

// What a caller merely says can only restrict.
func TestRedteam04_AssertedFieldsOnlyRestrict(t *testing.T) {
	const (
		all         = "  - {name: all, effect: allow, targets: [prod-db], principals: [{any: true}]}\n"
		allowBySel  = "  - {name: r, effect: allow, targets: [prod-db], principals: [{any: true, agent: claude}]}\n"
		allowByCel  = "  - {name: r, effect: allow, targets: [prod-db], principals: [{any: true}], when: 'principal.agent == \"claude\"'}\n"
		allowUnless = "  - {name: r, effect: allow, targets: [prod-db], principals: [{any: true}], when: 'principal.agent != \"claude\"'}\n"
		denyBySel   = "  - {name: r, effect: deny, targets: [prod-db], principals: [{any: true, agent: claude}]}\n"
		denyByCel   = "  - {name: r, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'principal.agent == \"claude\"'}\n"
		denyUnless  = "  - {name: r, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'principal.agent != \"trusted\"'}\n"
		holdBySel   = "  - {name: r, effect: hold, targets: [prod-db], principals: [{any: true, agent: claude}], approvers: {persons: [lee]}}\n"
		holdByCel   = "  - {name: r, effect: hold, targets: [prod-db], principals: [{any: true}], when: 'principal.agent == \"claude\"', approvers: {persons: [lee]}}\n"
		holdUnless  = "  - {name: r, effect: hold, targets: [prod-db], principals: [{any: true}], when: 'principal.agent != \"trusted\"', approvers: {persons: [lee]}}\n"
	)
	cases := []struct {
		name, rules string
		principal   *eventv1.Principal
		want        policy.Effect
	}{
		{"allow by a verified agent", allowBySel, verified("claude"), policy.Allow},
		{"no allow by an asserted agent", allowBySel, saying("claude"), policy.Deny},
		{"no allow by an asserted agent in CEL", allowByCel, saying("claude"), policy.Deny},
		{"no allow by asserting another agent", allowUnless, saying("other"), policy.Deny},
		{"an asserted agent is denied", all + denyBySel, saying("claude"), policy.Deny},
		{"an asserted agent is denied in CEL", all + denyByCel, saying("claude"), policy.Deny},
		{"asserting does not lift a denial", all + denyUnless, saying("trusted"), policy.Deny},
		{"a verified agent lifts it", all + denyUnless, verified("trusted"), policy.Allow},
		{"an asserted agent is held", all + holdBySel, saying("claude"), policy.Hold},
		{"an asserted agent is held in CEL", all + holdByCel, saying("claude"), policy.Hold},
		{"asserting does not lift a hold", all + holdUnless, saying("trusted"), policy.Hold},
		{"a hold by assertion opens nothing", holdBySel, saying("claude"), policy.Deny},
		{"a hold by assertion opens nothing in CEL", holdByCel, saying("claude"), policy.Deny},
		{"a hold by a verified agent stands alone", holdBySel, verified("claude"), policy.Hold},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := decide(t, "rules:\n"+c.rules, c.principal, read()); d.Effect != c.want {
				t.Fatalf("decided %s by %q, want %s: %s", d.Effect, d.Rule, c.want, d.Why)
			}
		})
	}
}

// A reason is typed by the caller: no reason gives more than another, or none.
func TestRedteam04_AReasonOnlyRestricts(t *testing.T) {
	const all = "  - {name: all, effect: allow, targets: [prod-db], principals: [{any: true}]}\n"
	rule := func(effect, when string) string {
		approvers := ""
		if effect == "hold" {
			approvers = ", approvers: {persons: [lee]}"
		}
		return all + "  - {name: r, effect: " + effect + ", targets: [prod-db], principals: [{any: true}], when: '" + when + "'" + approvers + "}\n"
	}
	for _, c := range []struct {
		name, rules, reason string
		want                policy.Effect
	}{
		{"a hold", rule("hold", `session.reason != "load"`), "load", policy.Hold},
		{"a denial", rule("deny", `session.reason != "hotfix"`), "hotfix", policy.Deny},
		{"by its beginning", rule("hold", `!session.reason.startsWith("INC-")`), "INC-1", policy.Hold},
		{"beside an asserted agent", rule("hold", `principal.agent != "trusted" && session.reason != "load"`), "load", policy.Hold},
		{"where one is demanded", rule("deny", `session.reason == ""`), "why not", policy.Deny},
		{"it may restrict", rule("hold", `session.reason.contains("delete")`), "delete all", policy.Hold},
		{"or not", rule("hold", `session.reason.contains("delete")`), "", policy.Allow},
		{"it allows nothing", "  - {name: r, effect: allow, targets: [prod-db], principals: [{any: true}], when: 'session.reason == \"load\"'}\n", "load", policy.Deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := compile(t, "rules:\n"+c.rules)
			in := policy.Input{Principal: saying("trusted"), Target: prod(), Facts: read(), Session: policy.Session{Reason: c.reason}}
			if d := e.Decide(in); d.Effect != c.want {
				t.Errorf("decided %s by %q, want %s", d.Effect, d.Rule, c.want)
			}
			for _, s := range e.Can(in.Principal, in.Target, time.Time{}).Sentences {
				if strings.Contains(s, "load") && c.want == policy.Deny {
					t.Errorf("promises %q", s)
				}
			}
		})
	}
}

// A hold that rests on an assertion must not replace the approvers of another.
func TestRedteam19_CallerCannotChooseItsApprovers(t *testing.T) {
	d := decide(t, `
rules:
  - {name: firm, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {persons: [dana]}}
  - {name: a-chosen, effect: hold, targets: [prod-db], principals: [{any: true, agent: mine}], approvers: {persons: [kim, lee], count: 2}}
`, saying("mine"), write("x"))
	if d.Rule != "firm" {
		t.Fatalf("decided by %q: the caller chose its approvers", d.Rule)
	}
}

// A repository's name matches nothing before its ids are pinned, and what is
// not pinned can only restrict.
func TestRedteam02_NameMatchesBeforeIDsArePinned(t *testing.T) {
	const all = "  - {name: all, effect: allow, targets: [prod-db], principals: [{any: true}]}\n"
	rule := func(effect, sel string) string {
		r := "  - {name: r, effect: " + effect + ", targets: [prod-db], principals: [{" + sel + "}]"
		if effect == "hold" {
			r += ", approvers: {persons: [lee]}"
		}
		return r + "}\n"
	}
	gitlab := &eventv1.Principal{Preset: "gitlab-ci", Repository: "acme/shop", RepositoryId: "1001"}
	cases := []struct {
		name, rules string
		principal   *eventv1.Principal
		want        policy.Effect
	}{
		{"a name allows nothing", rule("allow", "repository: acme/shop"), shop(), policy.Deny},
		{"GitHub needs the owner's id too", rule("allow", `repository: acme/shop, repository_id: "1001"`), shop(), policy.Deny},
		{"an id without a name needs it too", rule("allow", `repository_id: "1001"`), shop(), policy.Deny},
		{"GitLab's project id is enough", rule("allow", `repository: acme/shop, repository_id: "1001"`), gitlab, policy.Allow},
		{"both ids", rule("allow", `repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"`), shop(), policy.Allow},
		{"a name holds nothing open", rule("hold", "repository: acme/shop"), shop(), policy.Deny},
		{"a name restricts: hold", all + rule("hold", "repository: acme/shop"), shop(), policy.Hold},
		{"a name restricts: deny", all + rule("deny", "repository: acme/shop"), shop(), policy.Deny},
		{"another name is not restricted", all + rule("deny", "repository: acme/other"), shop(), policy.Allow},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := decide(t, "rules:\n"+c.rules, c.principal, read()); d.Effect != c.want {
				t.Fatalf("decided %s by %q, want %s: %s", d.Effect, d.Rule, c.want, d.Why)
			}
		})
	}
}

// The same subject from a recreated repository, and a missing environment.
func TestRedteam03_RecreatedRepositoryAndMissingEnvironment(t *testing.T) {
	const rules = `
rules:
  - {name: r, effect: allow, targets: [prod-db], principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002", environment: production}]}
`
	if d := decide(t, rules, shop(), read()); d.Effect != policy.Allow {
		t.Fatal(d.Why)
	}
	for name, change := range map[string]func(*eventv1.Principal){
		"recreated under the same name":          func(p *eventv1.Principal) { p.RepositoryId = "1009" },
		"owner's name taken over":                func(p *eventv1.Principal) { p.RepositoryOwnerId = "2009" },
		"no environment in the token":            func(p *eventv1.Principal) { p.Environment = "" },
		"environment with other case":            func(p *eventv1.Principal) { p.Environment = "Production" },
		"environment asserted by the caller":     func(p *eventv1.Principal) { p.Asserted = []string{"environment"} },
		"ids asserted by the caller":             func(p *eventv1.Principal) { p.Asserted = []string{"repository_id"} },
		"no ids in the token, only the subject":  func(p *eventv1.Principal) { p.RepositoryId, p.RepositoryOwnerId = "", "" },
		"a fork's pull request, ids of the fork": func(p *eventv1.Principal) { p.RepositoryId, p.Event = "5005", "pull_request" },
	} {
		t.Run(name, func(t *testing.T) {
			if d := decide(t, rules, shop(change), read()); d.Effect != policy.Deny {
				t.Fatalf("decided %s", d.Effect)
			}
		})
	}
}

func TestPreambleNeverTripsARule(t *testing.T) {
	set := &command.Facts{Verb: "set", Class: command.Session}
	catalog := &command.Facts{Verb: "select", Class: command.Read, Catalog: true, Objects: []command.Object{{Schema: "pg_catalog", Name: "pg_class", Access: command.Read}}}
	cases := []struct {
		name, rules string
		facts       *command.Facts
		want        policy.Effect
	}{
		{"under a narrow allow", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}], when: '"public.orders" in command.reads'}`, catalog, policy.Allow},
		{"under a hold", `  - {name: a, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {persons: [lee]}}`, set, policy.Allow},
		{
			"a denial of all but reads", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'command.class != "read"'}`, set, policy.Allow,
		},
		{
			"a denial of everything counts", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}]}`, set, policy.Deny,
		},
		{
			"a denial of the principal counts", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'principal.event == "push"'}`, set, policy.Deny,
		},
		{
			"a rule may speak of the catalog", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'command.catalog && "pg_catalog.pg_class" in command.reads'}`, catalog, policy.Deny,
		},
		{
			"a rule may speak of session commands", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: hold, targets: [prod-db], principals: [{any: true}], when: 'command.class == "session"', approvers: {persons: [lee]}}`, set, policy.Hold,
		},
		{
			"a rule may name a system catalog", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}], when: '"pg_catalog.pg_class" in command.objects'}`, catalog, policy.Deny,
		},
		{
			"a rule may name functions", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}], when: '"version" in command.functions'}`,
			&command.Facts{Verb: "select", Class: command.Read, Catalog: true, Functions: []string{"version"}}, policy.Deny,
		},
		{
			"a rule may hold the commit", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: hold, targets: [prod-db], principals: [{any: true}], when: 'command.transaction == "commit"', approvers: {persons: [lee]}}`,
			&command.Facts{Verb: "commit", Class: command.Session, Transaction: "commit"}, policy.Hold,
		},
		{
			"a rule may name a verb", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'command.verb == "set"'}`, set, policy.Deny,
		},
		{
			"a list of verbs that are allowed speaks of others", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-db], principals: [{any: true}], when: '!(command.verb in ["select", "insert"])'}`, set, policy.Allow,
		},
		{"nobody's rule", `  - {name: a, effect: allow, targets: [prod-db], principals: [{repository_id: "9"}]}`, set, policy.Deny},
		{"a rule that cannot be for this principal", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}], when: 'principal.event == "schedule"'}`, set, policy.Deny},
		{"an unpinned rule does not let in", `  - {name: a, effect: allow, targets: [prod-db], principals: [{repository: acme/shop}]}`, set, policy.Deny},
		{"SET ROLE is no session command", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}], when: 'command.class == "read"'}`, &command.Facts{Verb: "set", Class: command.Admin}, policy.Deny},
		{"an unknown class is no preamble", `  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}], when: 'command.class == "read"'}`, &command.Facts{Verb: "set", Class: command.Session, Unknown: []string{"class"}}, policy.Deny},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := decide(t, "rules:\n"+c.rules+"\n", shop(), c.facts); d.Effect != c.want {
				t.Fatalf("decided %s by %q, want %s: %s", d.Effect, d.Rule, c.want, d.Why)
			}
		})
	}
}

func TestReaches(t *testing.T) {
	e := compile(t, `
rules:
  - {name: a, effect: allow, targets: ["prod-*"], principals: [{any: true}], when: 'command.class == "read" && principal.event == "push"'}
  - {name: b, effect: hold, targets: [stage], principals: [{any: true}], when: 'principal.agent == "claude" && command.class == "write"', approvers: {persons: [lee]}}
  - {name: c, effect: deny, targets: [prod-2], principals: [{any: true}]}
  - {name: o, effect: allow, targets: [open], principals: [{any: true}]}
  - {name: d, effect: deny, targets: [prod-3], principals: [{any: true}], when: 'command.class == "write"'}
`)
	for _, c := range []struct {
		principal *eventv1.Principal
		target    string
		want      bool
	}{
		{shop(), "prod-1", true},
		{shop(func(p *eventv1.Principal) { p.Event = "schedule" }), "prod-1", false},
		{shop(), "prod-2", false},
		{shop(), "prod-3", true},
		{shop(), "stage", false},
		{verified("claude"), "stage", true},
		{saying("claude"), "stage", false},
		{shop(), "elsewhere", false},
		{nil, "open", false},
		{&eventv1.Principal{}, "open", true},
	} {
		if got := e.Reaches(c.principal, policy.Target{Name: c.target}, time.Time{}); got != c.want {
			t.Errorf("%s reaches %s: %v, want %v", c.principal, c.target, got, c.want)
		}
	}
}
