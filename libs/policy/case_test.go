package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
)

// words is a FactsFunc that understands as much SQL as these tests need.
func words(_ policy.Target, sql string) ([]command.Facts, error) {
	var out []command.Facts
	for _, statement := range strings.Split(sql, ";") {
		f := strings.Fields(statement)
		switch {
		case len(f) == 0:
		case f[0] == "select":
			out = append(out, *read(f[1:]...))
		case f[0] == "update":
			out = append(out, *write(f[1]))
		case f[0] == "drop":
			out = append(out, command.Facts{Verb: "drop table", Class: command.DDL})
		default:
			return nil, errors.New("syntax error at " + f[0])
		}
	}
	return out, nil
}

func TestCases(t *testing.T) {
	e := compile(t, standard)
	results, err := e.Test(map[string][]byte{"rules_test.yaml": []byte(`
principals:
  deploy: {preset: github-actions, repository: acme/shop, repository_id: 1001, repository_owner_id: "2002", event: push}
cases:
  - {name: a read, principal: deploy, target: prod-db, sql: select orders, expect: allow}
  - name: a write waits
    principal: deploy
    target: prod-db
    session: {reason: ticket 4, age: 10m}
    sql: update orders
    expect: {effect: hold, rule: writes, reason: required, deadline: 20m, hold_in_transaction: 30s, approvers: {persons: [kim], slack_users: [U0DANA], channel: C0PROD}}
  - {name: the worst of several, principal: deploy, target: prod-db, sql: select orders; drop orders; update orders, expect: deny}
  - {name: not parsed, principal: deploy, target: prod-db, sql: vacuum, expect: {effect: deny, rule: no-secrets}}
  - {name: by facts, principal: deploy, target: prod-db, facts: {class: read, verb: select, reads: [public.orders]}, expect: {effect: allow, row_limit: 0}}
  - {name: a stranger, principal: {repository_id: "7"}, target: {name: prod-db, environment: production}, sql: select x, expect: deny}
  - {name: wrong effect, principal: deploy, target: prod-db, sql: update orders, expect: {effect: allow, rule: reads}}
  - {name: wrong obligations, principal: deploy, target: prod-db, sql: select orders, expect: {effect: allow, reason: required, row_limit: 5}}
  - {name: wrong approvers, principal: deploy, target: prod-db, sql: update orders, expect: {effect: hold, deadline: 1m, hold_in_transaction: 1s, approvers: {persons: [kim]}}}
  - {name: wrong default, principal: deploy, target: prod-db, sql: drop x, expect: {effect: deny, rule: no-secrets}}
`), "rules.yaml": nil}, nil, words)
	if err != nil {
		t.Fatal(err)
	}
	failures := map[string]string{
		"wrong effect":      "effect: got hold, want allow; rule: got writes, want reads",
		"wrong obligations": "reason: got not required, want required; row_limit: got 0, want 5",
		"wrong approvers":   "deadline: got 20m, want 1m; hold_in_transaction: got 30s, want 1s; approvers: got 1 of persons [kim], slack_users [U0DANA] in C0PROD, want 1 of persons [kim], slack_users []",
		"wrong default":     "rule: got no rule (the default), want no-secrets",
	}
	if len(results) != 10 {
		t.Fatalf("%d results", len(results))
	}
	for _, r := range results {
		got := strings.Join(r.Failures, "; ")
		if want := failures[r.Case.Name]; !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", r.Case.Name, got, want)
		}
		if r.Passed() != (failures[r.Case.Name] == "") {
			t.Errorf("%s: passed %v", r.Case.Name, r.Passed())
		}
		if r.Case.File != "rules_test.yaml" || r.Case.Line < 5 {
			t.Errorf("%s lies at %s:%d", r.Case.Name, r.Case.File, r.Case.Line)
		}
	}
}

func TestCaseTargetsHaveTheirEnvironment(t *testing.T) {
	e := compile(t, "rules:\n  - {name: r, effect: allow, environments: [production], principals: [{any: true}]}\n")
	cases := map[string][]byte{"a_test.yaml": []byte("cases:\n  - {name: a, principal: {repository: x}, target: prod-db, facts: {class: read}, expect: allow}\n")}
	for want, targets := range map[bool][]policy.Target{true: {prod()}, false: nil} {
		results, err := e.Test(cases, targets, nil)
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Passed() != want {
			t.Errorf("with %v: %v", targets, results[0].Failures)
		}
	}
}

func TestCaseProblems(t *testing.T) {
	_, err := compile(t, standard).Test(map[string][]byte{"a_test.yaml": []byte(`
principals:
  deploy: {repositry: acme/shop}
cases:
  - {name: a, principal: deplo, target: prod-db, sql: x, expect: alow}
  - {name: b, principal: {}, target: prod-db, sql: x, facts: {class: read}, expect: {rule: read, efect: allow}}
  - {name: c}
  - {name: d, principal: deploy, target: {nam: x}, sql: "", session: {age: old}, expect: {effect: hold, reason: please, row_limit: -1}}
`), "b_test.yaml": []byte("tests: []")}, nil, words)
	if err == nil {
		t.Fatal("no problems")
	}
	golden(t, "testdata/cases.golden", err.Error()+"\n")
}
