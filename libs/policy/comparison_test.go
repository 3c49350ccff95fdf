package policy_test

import (
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
)

const comparisonRules = `rules:
  - name: reads
    effect: allow
    targets: [prod-db]
    principals: [{any: true}]
    when: >-
      command.class == "read" &&
      !command.comparisons.exists(c, c.column == "public.customers.email" && c.kind != "equality")
`

func TestDecide_comparisons(t *testing.T) {
	e := compile(t, comparisonRules)
	email := command.Column{Schema: "public", Table: "customers", Name: "email"}
	for name, tc := range map[string]struct {
		facts command.Facts
		want  policy.Effect
	}{
		"none":     {command.Facts{Class: command.Read}, policy.Allow},
		"equality": {command.Facts{Class: command.Read, Comparisons: []command.Comparison{{Column: email, Use: command.Equality}}}, policy.Allow},
		"range": {command.Facts{Class: command.Read, Comparisons: []command.Comparison{
			{Column: email, Use: command.Equality}, {Column: email, Use: command.Range},
		}}, policy.Deny},
		"not known": {command.Facts{Class: command.Read, Unknown: []string{"comparisons"}}, policy.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			in := policy.Input{Principal: shop(), Target: prod(), Facts: &tc.facts}
			if got := e.Decide(in); got.Effect != tc.want {
				t.Errorf("%s: %s", got.Effect, got.Why)
			}
		})
	}
}
