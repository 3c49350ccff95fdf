package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const people = `
people:
  - name: dana
    accounts: ["github:dana", "slack:U0DANA", "oidc:dana@acme.example"]
  - name: kim
    accounts: ["gitlab:kim", "slack:U0KIM"]
  - name: lee
    accounts: ["slack:U0LEE"]
`

// compile makes an engine of one rule file and the people above.
func compile(t testing.TB, rules string) *policy.Engine {
	t.Helper()
	e, err := policy.Compile(map[string][]byte{"rules.yaml": []byte(rules), "people.yaml": []byte(people)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func shop(change ...func(*eventv1.Principal)) *eventv1.Principal {
	p := &eventv1.Principal{
		Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:acme/shop:ref:refs/heads/main", Preset: "github-actions",
		Repository: "acme/shop", RepositoryId: "1001", RepositoryOwnerId: "2002", Workflow: "deploy", Ref: "refs/heads/main",
		Environment: "production", Event: "push", Actor: "dana", RunId: "9", Claims: map[string]string{"runner": "self-hosted"},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func object(name string, access command.Class) command.Object {
	return command.Object{Schema: "public", Name: name, Access: access}
}

func read(tables ...string) *command.Facts {
	f := &command.Facts{Verb: "select", Class: command.Read, Filtered: true}
	for _, t := range tables {
		f.Objects = append(f.Objects, object(t, command.Read))
	}
	return f
}

func write(table string) *command.Facts {
	return &command.Facts{Verb: "update", Class: command.Write, Filtered: true, Objects: []command.Object{object(table, command.Write)}}
}

func prod() policy.Target {
	return policy.Target{Name: "prod-db", Environment: "production", Protocol: "postgres", Database: "shop"}
}

const standard = `
rules:
  - name: reads
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "read"
  - name: writes
    description: Writes wait for the database owners.
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA], persons: [kim], channel: C0PROD}
    deadline: 20m
    hold_in_transaction: 30s
    reason: required
  - name: no-secrets
    effect: deny
    targets: ["*"]
    principals: [{any: true}]
    when: '"public.secrets" in command.objects'
`

func TestDecide(t *testing.T) {
	e := compile(t, standard)
	cases := []struct {
		name      string
		principal *eventv1.Principal
		target    policy.Target
		facts     *command.Facts
		effect    policy.Effect
		rule      string
	}{
		{"a read is allowed", shop(), prod(), read("orders"), policy.Allow, "reads"},
		{"a write is held", shop(), prod(), write("orders"), policy.Hold, "writes"},
		{"deny beats allow", shop(), prod(), read("orders", "secrets"), policy.Deny, "no-secrets"},
		{"deny beats hold", shop(), prod(), write("secrets"), policy.Deny, "no-secrets"},
		{"no rule is a denial", shop(), prod(), &command.Facts{Verb: "drop table", Class: command.DDL}, policy.Deny, ""},
		{"another target", shop(), policy.Target{Name: "prod-db2"}, read("orders"), policy.Deny, ""},
		{"another repository", shop(func(p *eventv1.Principal) { p.RepositoryId = "1002" }), prod(), read("orders"), policy.Deny, ""},
		{"another owner", shop(func(p *eventv1.Principal) { p.RepositoryOwnerId = "2003" }), prod(), read("orders"), policy.Deny, ""},
		{"another name, the same ids", shop(func(p *eventv1.Principal) { p.Repository = "acme/renamed" }), prod(), read("orders"), policy.Allow, "reads"},
		{"no principal", nil, prod(), read("orders"), policy.Deny, ""},
		{"no facts", shop(), prod(), nil, policy.Deny, "no-secrets"},
		{"an unknown class", shop(), prod(), &command.Facts{Class: command.Unknown}, policy.Deny, "no-secrets"},
		{"an id is text, not a number", shop(func(p *eventv1.Principal) { p.RepositoryId = "01001" }), prod(), read("orders"), policy.Deny, ""},
		{"session commands pass", shop(), prod(), &command.Facts{Verb: "set", Class: command.Session}, policy.Allow, "reads"},
		{"the catalog may be read", shop(), prod(), &command.Facts{Verb: "select", Class: command.Read, Catalog: true}, policy.Allow, "reads"},
		{"but not by strangers", shop(func(p *eventv1.Principal) { p.RepositoryId = "7" }), prod(), &command.Facts{Verb: "set", Class: command.Session}, policy.Deny, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := e.Decide(policy.Input{Principal: c.principal, Target: c.target, Facts: c.facts})
			if d.Effect != c.effect || d.Rule != c.rule {
				t.Fatalf("decided %s by %q (%s), want %s by %q", d.Effect, d.Rule, d.Why, c.effect, c.rule)
			}
			if d.Why == "" {
				t.Error("it does not say why")
			}
		})
	}
}

func TestRedteam21_EveryApproverFieldReachesTheDecision(t *testing.T) {
	d := compile(t, standard).Decide(policy.Input{Principal: shop(), Target: prod(), Facts: write("orders")})
	if d.Deadline != 20*time.Minute || d.HoldInTransaction != 30*time.Second || !d.ReasonRequired || d.RowLimit != 0 {
		t.Errorf("obligations: %+v", d)
	}
	a := d.Approvers
	if a.GetCount() != 1 || a.GetChannel() != "C0PROD" || strings.Join(a.GetSlackUsers(), ",") != "U0DANA" || strings.Join(a.GetPersons(), ",") != "kim" {
		t.Errorf("approvers: %v", a)
	}
	if d.Description != "Writes wait for the database owners." || len(d.RuleHash) != 64 {
		t.Errorf("description %q, hash %q", d.Description, d.RuleHash)
	}
	if want := `rule "writes" holds update of public.orders on prod-db until approved by kim in Slack`; d.Why != want {
		t.Errorf("why %q, want %q", d.Why, want)
	}
}

// Every field of a rule, a selector and an approver list has a case here that
// fails when the field is ignored (a constraint that nothing enforces).
func TestRedteam21_EverySelectorFieldIsEnforced(t *testing.T) {
	change := map[string]func(*eventv1.Principal){
		`issuer: "https://token.actions.githubusercontent.com"`: func(p *eventv1.Principal) { p.Issuer += "/" },
		`subject: "repo:acme/shop:ref:refs/heads/main"`:         func(p *eventv1.Principal) { p.Subject += "x" },
		`preset: github-actions`:                                func(p *eventv1.Principal) { p.Preset = "gitlab-ci" },
		`repository_owner_id: "2002"`:                           func(p *eventv1.Principal) { p.RepositoryOwnerId = "2003" },
		`workflow: deploy`:                                      func(p *eventv1.Principal) { p.Workflow = "Deploy" },
		`ref: refs/heads/main`:                                  func(p *eventv1.Principal) { p.Ref = "refs/heads/main2" },
		`environment: production`:                               func(p *eventv1.Principal) { p.Environment = "" },
		`event: push`:                                           func(p *eventv1.Principal) { p.Event = "pull_request" },
		`agent: claude`:                                         func(p *eventv1.Principal) { p.Agent = "" },
	}
	for field, spoil := range change {
		t.Run(field, func(t *testing.T) {
			sel := `repository_id: "1001", ` + field
			if !strings.HasPrefix(field, "repository_owner_id") {
				sel += `, repository_owner_id: "2002"`
			}
			e := compile(t, "rules:\n  - {name: r, effect: allow, targets: [prod-db], principals: [{"+sel+"}]}\n")
			p := shop(func(p *eventv1.Principal) { p.Agent = "claude" })
			if d := e.Decide(policy.Input{Principal: p, Target: prod(), Facts: read()}); d.Effect != policy.Allow {
				t.Fatalf("the fitting principal is refused: %s", d.Why)
			}
			spoil(p)
			if d := e.Decide(policy.Input{Principal: p, Target: prod(), Facts: read()}); d.Effect != policy.Deny {
				t.Fatalf("%s is ignored", field)
			}
		})
	}
}

func TestObligationsAddUp(t *testing.T) {
	e := compile(t, `
rules:
  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}], row_limit: 500}
  - {name: b, effect: allow, targets: [prod-db], principals: [{any: true}], row_limit: 100, when: 'command.class == "read"'}
  - {name: c, effect: allow, targets: [prod-db], principals: [{any: true}], reason: required}
  - {name: d, effect: hold, targets: [prod-db], principals: [{any: true}], row_limit: 50, when: 'command.class == "write"', approvers: {persons: [lee]}}
`)
	for _, c := range []struct {
		facts  *command.Facts
		effect policy.Effect
		rule   string
		limit  int64
	}{{read(), policy.Allow, "a", 100}, {write("x"), policy.Hold, "d", 50}, {&command.Facts{Class: command.DDL}, policy.Allow, "a", 500}} {
		d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: c.facts})
		if d.Effect != c.effect || d.Rule != c.rule || d.RowLimit != c.limit || !d.ReasonRequired {
			t.Errorf("%s: decided %+v", c.facts.Class, d)
		}
	}
}

func TestTheStrictestHoldDecides(t *testing.T) {
	e := compile(t, `
rules:
  - {name: a-one, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {persons: [lee]}}
  - {name: b-two, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {persons: [dana, kim], count: 2}}
  - {name: c-two, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {persons: [dana, lee], count: 2}}
`)
	d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: write("x")})
	if d.Rule != "b-two" || d.Approvers.GetCount() != 2 {
		t.Fatalf("decided by %q, %d approvers", d.Rule, d.Approvers.GetCount())
	}
}

func TestRedteam24_UnknownFactsAreNotEmptyOnes(t *testing.T) {
	unknown := func(class command.Class, names ...string) *command.Facts {
		return &command.Facts{Verb: "select", Class: class, Unknown: names}
	}
	cases := []struct {
		name, effect, when string
		facts              *command.Facts
		match              bool
	}{
		{"allow does not take an unknown object", "allow", `!("public.secrets" in command.objects)`, unknown(command.Read, "objects"), false},
		{"allow takes what is known", "allow", `command.class == "read"`, unknown(command.Read, "objects"), true},
		{"false beats unknown", "deny", `command.class == "write" && "public.a" in command.reads`, unknown(command.Read, "objects"), false},
		{"true beats unknown", "allow", `command.class == "read" || "public.a" in command.reads`, unknown(command.Read, "objects"), true},
		{"deny takes an unknown object", "deny", `"public.secrets" in command.objects`, unknown(command.Read, "objects"), true},
		{"deny takes an unknown in a loop", "deny", `command.writes.exists(o, o.startsWith("billing."))`, unknown(command.Read, "objects"), true},
		{"allow does not take an unknown loop", "allow", `command.writes.all(o, o.startsWith("billing."))`, unknown(command.Read, "objects"), false},
		{"not-equal does not allow an unknown class", "allow", `command.class != "write"`, unknown(command.Unknown), false},
		{"class unknown leaves no objects known", "allow", `!command.objects.exists(o, o == "public.secrets")`, unknown(command.Unknown, "class"), false},
		{"a rule can speak of the unknown", "allow", `"class" in command.unknown`, unknown(command.Unknown, "class"), true},
		{"no facts at all", "allow", `size(command.unknown) == 0`, nil, false},
		{"unknown filters", "deny", `"email" in command.filters`, unknown(command.Read, "columns"), true},
		{"unknown functions", "deny", `"dblink" in command.functions`, unknown(command.Read, "functions"), true},
		{"unknown transaction", "deny", `command.transaction == "commit"`, unknown(command.Read, "transaction"), true},
		{"unknown filtered", "allow", `command.filtered`, unknown(command.Write, "filtered"), false},
		{"a fact nobody knows of makes all unknown", "allow", `command.class == "read"`, unknown(command.Read, "mood"), false},
		{"settings are not asked for", "allow", `command.class == "read"`, unknown(command.Read, "settings"), true},
		{"a missing claim is an error, and an error is unknown: allow", "allow", `principal.claims.nothing == "x"`, read(), false},
		{"a missing claim is an error, and an error is unknown: deny", "deny", `principal.claims.nothing == "x"`, read(), true},
		{"a present claim", "allow", `principal.claims.runner == "self-hosted"`, read(), true},
		{"a claim asked for", "allow", `has(principal.claims.runner)`, read(), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rules := "rules:\n  - {name: other, effect: allow, targets: [prod-db], principals: [{any: true}]}\n"
			if c.effect == "allow" {
				rules = "rules:\n"
			}
			e := compile(t, rules+"  - name: r\n    effect: "+c.effect+"\n    targets: [prod-db]\n    principals: [{any: true}]\n    when: |\n      "+c.when+"\n")
			d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: c.facts})
			if got := d.Rule == "r"; got != c.match {
				t.Fatalf("matched %v, want %v: %s", got, c.match, d.Why)
			}
		})
	}
}

func TestConditionSeesEverything(t *testing.T) {
	for _, when := range []string{
		`principal.issuer.startsWith("https://token.")`, `principal.subject != ""`, `principal.preset == "github-actions"`, `principal.repository == "acme/shop"`,
		`principal.repository_id == "1001"`, `principal.repository_owner_id == "2002"`, `principal.workflow == "deploy"`, `principal.run_id == "9"`,
		`principal.ref == "refs/heads/main"`, `principal.environment == "production"`, `principal.event == "push"`, `principal.actor == "dana"`,
		`principal.agent == ""`, `principal.on_behalf_of == ""`, `principal.claims == {"runner": "self-hosted"}`,
		`target.name == "prod-db" && target.environment == "production" && target.protocol == "postgres" && target.database == "shop"`,
		`session.id == "s1" && session.age_seconds < 120`,
		`command.verb == "update" && command.class == "write"`,
		`command.objects == ["public.a", "public.b"]`, `command.reads == ["public.a"]`, `command.writes == ["public.b"]`,
		`command.columns == ["public.a.x", "y"]`, `command.filters == ["y"]`, `command.functions == ["lower"]`,
		`command.filtered && !command.catalog && command.transaction == "" && command.unknown == []`,
	} {
		t.Run(when, func(t *testing.T) {
			e := compile(t, "rules:\n  - name: r\n    effect: allow\n    targets: [prod-db]\n    principals: [{any: true}]\n    when: |\n      "+when+"\n")
			d := e.Decide(policy.Input{
				Principal: shop(), Target: prod(), Session: policy.Session{ID: "s1", Age: time.Minute, Reason: "because"},
				Facts: &command.Facts{
					Verb: "update", Class: command.Write, Filtered: true, Functions: []string{"lower"},
					Objects: []command.Object{object("a", command.Read), object("b", command.Write)},
					Columns: []command.Column{{Schema: "public", Table: "a", Name: "x"}, {Name: "y"}}, Filters: []command.Column{{Name: "y"}},
				},
			})
			if d.Effect != policy.Allow {
				t.Fatal(d.Why)
			}
		})
	}
}

func TestConditionCostIsBounded(t *testing.T) {
	e := compile(t, `
rules:
  - {name: allow, effect: allow, targets: [prod-db], principals: [{any: true}]}
  - name: costly
    effect: deny
    targets: [prod-db]
    principals: [{any: true}]
    when: command.objects.exists(a, command.objects.exists(b, command.objects.exists(c, a + b == c)))
`)
	f := read()
	for range 400 {
		f.Objects = append(f.Objects, object(strings.Repeat("t", len(f.Objects)+1), command.Read))
	}
	start := time.Now()
	d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: f})
	if d.Rule != "costly" {
		t.Fatalf("a condition that costs too much came out %q, want it unknown, so denied", d.Rule)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}
