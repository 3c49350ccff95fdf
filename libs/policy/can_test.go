package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestCanInWords(t *testing.T) {
	const own = `principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]`
	cases := []struct {
		name, rules string
		principal   *eventv1.Principal
		want        []string
	}{
		{"the usual", `
  - {name: reads, effect: allow, targets: [prod-db], ` + own + `, when: command.class == "read"}
  - {name: writes, effect: hold, targets: [prod-db], ` + own + `, when: command.class == "write", approvers: {persons: [dana, kim]}}
  - {name: no-ddl, effect: deny, targets: [prod-db], ` + own + `, when: 'command.class in ["ddl", "admin"]'}`, shop(), []string{
			"job acme/shop may read every table of prod-db", "a write waits for kim in Slack", "no rule allows DDL or an administrative command",
		}},
		{"conditions that remain", `
  - {name: reads, effect: allow, targets: [prod-db], ` + own + `, when: 'command.class == "read" && principal.event == "push" && !("public.secrets" in command.objects)', row_limit: 100}
  - {name: bare, effect: hold, targets: [prod-db], ` + own + `, when: 'command.class == "write" && !command.filtered', approvers: {slack_users: [U0DANA, U9], count: 2}, reason: required}
  - {name: writes, effect: allow, targets: [prod-db], ` + own + `, when: 'command.class == "write"'}
  - {name: no-orders, effect: deny, targets: [prod-db], ` + own + `, when: '"public.orders" in command.writes'}`, shop(), []string{
			`job acme/shop may read every table of prod-db, at most 100 rows when !("public.secrets" in command.objects)`,
			`a read is denied by rule "no-orders" when "public.orders" in command.writes`,
			"it may write every table of prod-db",
			"a write waits for 2 approvers, of whom there is only Slack user U9 in Slack, with a reason when !command.filtered",
			`a write is denied by rule "no-orders" when "public.orders" in command.writes`,
			"no rule allows DDL or an administrative command",
		}},
		{"nothing", `
  - {name: reads, effect: allow, targets: [prod-db], ` + own + `}`, shop(func(p *eventv1.Principal) { p.RepositoryId = "3" }), []string{
			"job acme/shop may do nothing on prod-db: no rule lets it connect",
		}},
		{"only holds", `
  - {name: all, effect: hold, targets: [prod-db], ` + own + `, approvers: {persons: [lee, kim, dana], count: 2}}`, shop(), []string{
			"for job acme/shop on prod-db, a read waits for lee and kim in Slack",
			"a write waits for lee and kim in Slack", "DDL waits for lee and kim in Slack", "an administrative command waits for lee and kim in Slack",
		}},
		{"groups", `
  - {name: some, effect: hold, targets: [prod-db], ` + own + `, approvers: {slack_groups: [S0DBA], persons: [kim], count: 2}, when: 'command.class == "read"'}
  - {name: each, effect: hold, targets: [prod-db], ` + own + `, approvers: {all_of: [{name: dba, persons: [kim]}, {name: security, oidc_groups: [sec], count: 2}]}, when: 'command.class != "read"'}`, shop(), []string{
			"for job acme/shop on prod-db, a read waits for 2 of kim, a member of Slack group S0DBA",
			"a write waits for each of 1 of dba (kim in Slack), 2 of security (a member of sign-in group sec)",
			"DDL waits for each of 1 of dba (kim in Slack), 2 of security (a member of sign-in group sec)",
			"an administrative command waits for each of 1 of dba (kim in Slack), 2 of security (a member of sign-in group sec)",
		}},
		{"asserted opens nothing", `
  - {name: reads, effect: allow, targets: [prod-db], ` + own + `, when: 'command.class == "read"'}
  - {name: agents, effect: allow, targets: [prod-db], ` + own + `, when: 'principal.agent == "claude"'}`, saying("claude"), []string{
			"job acme/shop may read every table of prod-db", "no rule allows a write, DDL or an administrative command",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := compile(t, "rules:"+c.rules+"\n").Can(c.principal, prod(), time.Time{})
			if diff := cmp.Diff(c.want, got.Sentences); diff != "" {
				t.Error(diff)
			}
			if got.Reaches != (len(got.Ways) > 0) {
				t.Errorf("reaches %v with %d ways", got.Reaches, len(got.Ways))
			}
		})
	}
}

// What Can lists as certain is what Decide does.
func TestCanAgreesWithDecide(t *testing.T) {
	e := compile(t, standard)
	for _, way := range e.Can(shop(), prod(), time.Time{}).Ways {
		if way.When != "" {
			continue
		}
		d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: &command.Facts{Class: way.Class, Filtered: true}})
		if d.Effect != way.Effect || d.Rule != way.Rule {
			t.Errorf("%s: can says %s by %q, decide says %s by %q", way.Class, way.Effect, way.Rule, d.Effect, d.Rule)
		}
	}
}

func TestADenialTeaches(t *testing.T) {
	d := compile(t, standard).Decide(policy.Input{Principal: shop(), Target: prod(), Facts: &command.Facts{Verb: "drop table", Class: command.DDL, Objects: []command.Object{object("orders", command.DDL)}}})
	if want := "no rule allows drop table of public.orders on prod-db to job acme/shop"; d.Why != want {
		t.Errorf("why %q, want %q", d.Why, want)
	}
	if got := strings.Join(d.Allowed, "; "); !strings.HasPrefix(got, "job acme/shop may read every table of prod-db") || !strings.Contains(got, "a write waits for kim in Slack") {
		t.Errorf("allowed %q", got)
	}
	d = compile(t, standard).Decide(policy.Input{Principal: shop(), Target: prod(), Facts: &command.Facts{Class: command.Unknown, Why: "function f() is not known"}})
	if !strings.Contains(d.Why, "a command that could not be classified (function f() is not known)") || !strings.Contains(d.Why, "not known of it: command.objects") {
		t.Errorf("why %q", d.Why)
	}
}

func TestExplain(t *testing.T) {
	e := compile(t, standard+`
  - {name: elsewhere, effect: allow, targets: [stage], principals: [{any: true}]}
  - {name: unpinned, effect: allow, targets: [prod-db], principals: [{repository: acme/shop}]}
  - {name: agents, effect: hold, targets: [prod-db], principals: [{any: true, agent: claude}], approvers: {persons: [dana, lee]}}
  - {name: pull, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'principal.event == "pull_request" && principal.ref != "x"'}
  - {name: why, effect: allow, targets: [prod-db], principals: [{any: true}], when: 'session.reason != ""'}
`)
	x := e.Explain(policy.Input{Principal: saying("claude"), Target: prod(), Facts: &command.Facts{Verb: "select", Class: command.Read, Unknown: []string{"objects"}}})
	var got strings.Builder
	for _, r := range x.Rules {
		mark := "-"
		switch {
		case r.Decides:
			mark = "*"
		case r.Matched:
			mark = "+"
		}
		got.WriteString(mark + " " + string(r.Effect) + " " + r.Rule + ": " + r.Why + "\n")
	}
	golden(t, "testdata/explain.golden", got.String())
	if x.Decision.Rule != "no-secrets" || strings.Join(x.Unknown, " ") != "objects reads writes catalog" {
		t.Errorf("decided by %q, unknown %v", x.Decision.Rule, x.Unknown)
	}
}

// Explain and Decide never differ.
func TestExplainAgreesWithDecide(t *testing.T) {
	e := compile(t, standard)
	for _, f := range []*command.Facts{read("orders"), write("orders"), read("secrets"), nil, {Class: command.Session}, {Class: command.DDL}, {Class: command.Unknown}} {
		in := policy.Input{Principal: shop(), Target: prod(), Facts: f}
		if diff := cmp.Diff(e.Decide(in).Rule, e.Explain(in).Decision.Rule); diff != "" {
			t.Error(diff)
		}
		decides := 0
		for _, r := range e.Explain(in).Rules {
			if r.Decides {
				decides++
			}
		}
		if want := min(1, len(e.Decide(in).Rule)); decides != want {
			t.Errorf("%v: %d rules decide", f, decides)
		}
	}
}

func TestCanSaysHowAHoldGoesOn(t *testing.T) {
	const rule = `rules:
  - name: writes
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA]}
`
	for more, want := range map[string]string{
		"":                                   "a write waits for dana in Slack",
		"    hold: return\n":                 "a write waits for dana in Slack, and passes when the job runs again",
		"    grants: {scopes: [run, job]}\n": "a write waits for dana in Slack, who may let the same statement pass for the whole run",
		"    grants: {scopes: [job]}\n":      "a write waits for dana in Slack, who may let the same statement pass for the whole job",
	} {
		e, err := policy.Compile(map[string][]byte{"r.yaml": []byte(rule + more), "people.yaml": []byte(people)})
		if err != nil {
			t.Fatal(err)
		}
		c := e.Can(&eventv1.Principal{Issuer: "https://i", Subject: "s"}, policy.Target{Name: "prod-db"}, time.Time{})
		if !slices.ContainsFunc(c.Sentences, func(s string) bool { return strings.Contains(s, want+" when") || strings.HasSuffix(s, want) }) {
			t.Errorf("%q: no %q among %q", more, want, c.Sentences)
		}
	}
}
