package policy_test

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/policy"
)

func surroundings() policy.Surroundings {
	return policy.Surroundings{
		Targets: []policy.Target{{Name: "prod-db", Environment: "production"}, {Name: "stage-db", Environment: "staging"}},
		Issuers: []policy.Issuer{{URL: "https://token.actions.githubusercontent.com", Preset: "github-actions"}},
	}
}

// Silence: what never applies is said.
func TestRedteam33_SilenceIsFound(t *testing.T) {
	const any = "targets: [prod-db], principals: [{any: true}]"
	cases := []struct {
		kind, rules string
		want        string // in the text of the finding
	}{
		{policy.FoundUnpinned, `{name: r, effect: allow, targets: ["*"], principals: [{repository: acme/shop}]}`, "acme/shop has no repository_id, so it matches nothing"},
		{policy.FoundUnpinned, `{name: r, effect: allow, targets: ["*"], principals: [{repository: acme/shop, repository_id: "1001"}]}`, "gatestay policy pin acme/shop --repository-id 1001"},
		{policy.FoundUnpinned, `{name: r, effect: deny, targets: ["*"], principals: [{repository: acme/shop}]}`, "only restricts"},
		{policy.FoundNoTarget, `{name: r, effect: allow, targets: [prod], principals: [{any: true}]}`, "targets prod"},
		{policy.FoundNoTarget, `{name: r, effect: allow, environments: [prod], principals: [{any: true}]}`, "environments prod"},
		{policy.FoundUncovered, `{name: r, effect: allow, ` + any + `}`, "target stage-db"},
		{policy.FoundUncovered, `{name: r, effect: allow, targets: [stage-db], principals: [{repository: acme/shop}]}`, "target stage-db"},
		{policy.FoundNever, `{name: r, effect: allow, ` + any + `, when: 'command.class == "read" && command.class == "write"'}`, "false, whatever the command is"},
		{policy.FoundNever, `{name: r, effect: deny, ` + any + `, when: 'false && command.filtered'}`, "false, whatever the command is"},
		{policy.FoundWhole, `{name: r, effect: deny, ` + any + `, when: 'command.functions == ["lo_export"]'}`, "comparing the whole list"},
		{policy.FoundWhole, `{name: r, effect: allow, ` + any + `, when: 'command.class == "read" && ["now"] != command.functions'}`, "comparing the whole list"},
		{policy.FoundShadowed, `{name: r, effect: allow, ` + any + `, when: 'command.class == "read"'}` + "\n  - " + `{name: d, effect: deny, targets: ["prod-*"], principals: [{any: true}]}`, `rule "d" always decides`},
		{policy.FoundShadowed, `{name: r, effect: allow, environments: [production], principals: [{repository_id: "1", repository_owner_id: "2"}]}` + "\n  - " + `{name: d, effect: hold, environments: [production], principals: [{repository_owner_id: "2"}], approvers: {persons: [dana, kim]}}`, `rule "d" always decides`},
		{policy.FoundAsserted, `{name: r, effect: allow, ` + any + `, when: 'session.reason != ""'}`, "reason: required"},
		{policy.FoundAsserted, `{name: r, effect: deny, ` + any + `, when: 'command.class == "write" && session.reason != "hotfix"'}`, "does not lift a deny"},
		{policy.FoundAsserted, `{name: r, effect: allow, ` + any + `, when: 'principal.agent == "claude"'}`, "principal.agent"},
		{policy.FoundAsserted, `{name: r, effect: allow, targets: [prod-db], principals: [{any: true, agent: claude}]}`, "agent:"},
		{policy.FoundUnmapped, `{name: r, effect: hold, ` + any + `, approvers: {slack_users: [U0DANA, U9]}}`, "Slack user U9"},
		{policy.FoundLone, `{name: r, effect: hold, ` + any + `, approvers: {slack_users: [U0DANA], persons: [dana]}}`, "only one person"},
		{policy.FoundLone, `{name: r, effect: hold, ` + any + `, approvers: {all_of: [{name: a, persons: [dana]}, {name: b, slack_groups: [S1]}]}}`, `only one person can approve for group "a"`},
		{policy.FoundUnmapped, `{name: r, effect: hold, ` + any + `, approvers: {all_of: [{name: a, slack_users: [U9]}, {name: b, slack_groups: [S1]}]}}`, "Slack user U9"},
		{policy.FoundOverlap, `{name: r, effect: hold, ` + any + `, approvers: {slack_groups: [S1]}}` + "\n  - " + `{name: s, effect: hold, ` + any + `, when: 'command.class == "write"', approvers: {slack_groups: [S2]}}`, `where rule "r" holds`},
		{policy.FoundOverlap, `{name: r, effect: hold, ` + any + `, approvers: {persons: [dana, kim]}}` + "\n  - " + `{name: s, effect: hold, ` + any + `, when: 'command.class == "write"', approvers: {persons: [dana, lee]}}`, `where rule "r" holds`},
		{policy.FoundIssuer, `{name: r, effect: allow, targets: [prod-db], principals: [{repository_id: "1", preset: gitlab-ci}]}`, "no configured issuer"},
	}
	for _, c := range cases {
		t.Run(c.kind, func(t *testing.T) {
			findings := policy.Check(compile(t, "rules:\n  - "+c.rules+"\n"), surroundings())
			for _, f := range findings {
				if f.Remedy == "" {
					t.Errorf("no remedy: %s", f)
				}
				if f.Kind == c.kind && strings.Contains(f.String(), c.want) {
					return
				}
			}
			t.Errorf("not found among %v", findings)
		})
	}
}

// Asking for no function at all, or for single ones, is answered.
func TestOnlyAWholeListIsFound(t *testing.T) {
	for _, when := range []string{`command.functions == []`, `size(command.functions) == 0`, `"now" in command.functions`, `command.functions.all(f, f in ["now", "pg_catalog.now"])`, `command.objects == ["public.t"]`} {
		for _, f := range policy.Check(compile(t, "rules:\n  - {name: r, effect: allow, targets: ['*'], principals: [{any: true}], when: '"+when+"'}\n"), surroundings()) {
			if f.Kind == policy.FoundWhole {
				t.Errorf("%s: %s", when, f)
			}
		}
	}
}

func TestTwoIssuersMayGiveOutOneID(t *testing.T) {
	s := surroundings()
	s.Issuers = []policy.Issuer{{URL: "https://gitlab.com", Preset: "gitlab-ci"}, {URL: "https://gitlab.acme.example", Preset: "gitlab-ci"}}
	find := func(sel string) int {
		n := 0
		for _, f := range policy.Check(compile(t, "rules:\n  - {name: r, effect: allow, targets: ['*'], principals: [{"+sel+"}]}\n"), s) {
			if f.Kind == policy.FoundIssuer {
				n++
			}
		}
		return n
	}
	if find(`repository_id: "1001"`) != 1 {
		t.Error("an ambiguous id is not found")
	}
	if find(`repository_id: "1001", issuer: "https://gitlab.com"`) != 0 {
		t.Error("a selector with its issuer is not ambiguous")
	}
}

func TestNothingIsFoundInAGoodPolicy(t *testing.T) {
	e := compile(t, `
rules:
  - {name: reads, effect: allow, targets: ["*"], principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}], when: command.class == "read"}
  - {name: writes, effect: hold, environments: [production], principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}], when: command.class == "write", approvers: {slack_users: [U0DANA, U0KIM]}}
  - {name: ddl, effect: hold, environments: [production], principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}], when: command.class == "ddl", approvers: {persons: [dana, lee]}}
  - {name: forks, effect: deny, targets: ["*"], principals: [{any: true}], when: principal.event == "pull_request"}
`)
	for _, f := range policy.Check(e, surroundings()) {
		t.Errorf("found %s: %s", f.Kind, f)
	}
}

func TestEmptyPolicyIsFound(t *testing.T) {
	findings := policy.Check(compile(t, "rules: []"), surroundings())
	if len(findings) != 3 || findings[0].Kind != policy.FoundNoRules && findings[2].Kind != policy.FoundNoRules {
		t.Errorf("found %v", findings)
	}
}

func TestRedteam33_ASignInGroupOfNobody(t *testing.T) {
	e, err := policy.Compile(map[string][]byte{
		"rules.yaml":  []byte(`rules: [{name: r, effect: hold, targets: [db], principals: [{any: true}], approvers: {oidc_groups: [dba]}}]`),
		"people.yaml": []byte(`people: [{name: dana, accounts: ["slack:U0DANA"]}]`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range policy.Check(e, policy.Surroundings{}) {
		if f.Kind == policy.FoundUnmapped && strings.Contains(f.What, "oidc_groups lets nobody vote") {
			return
		}
	}
	t.Error("not found")
}
