package policy_test

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const copyRules = `
rules:
  - name: writes
    effect: allow
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write"
  - name: backup
    effect: allow
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write" && command.writes == ["public.backup"]
    masked_copies: allow
  - name: unknowns
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write" && command.writes == ["public.other"] || command.class == "unknown"
    approvers: {persons: [dana]}
  - name: agents
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: principal.agent == "helper"
    approvers: {persons: [dana]}
    masked_copies: allow
`

// TestRedteam13_CopiesOfMaskedColumnsAreDeniedByDefault: whatever else a rule
// allows, it must say that a masked column may go where no mask is.
func TestRedteam13_CopiesOfMaskedColumnsAreDeniedByDefault(t *testing.T) {
	e := compile(t, copyRules)
	copies := func(f *command.Facts) *command.Facts {
		f.Copies = []command.Copy{{
			From: command.Column{Schema: "public", Table: "customers", Name: "email"},
			To:   command.Column{Schema: "public", Table: "archive", Name: "note"},
		}}
		return f
	}
	unknown := copies(write("backup"))
	unknown.Unknown = []string{"writes"}
	for name, c := range map[string]struct {
		facts  *command.Facts
		agent  bool
		effect policy.Effect
		copies bool
	}{
		"a write":                           {write("archive"), false, policy.Allow, false},
		"a copy":                            {copies(write("archive")), false, policy.Deny, true},
		"a copy that a rule names":          {copies(write("backup")), false, policy.Allow, false},
		"a held copy":                       {copies(write("other")), false, policy.Deny, true},
		"where it writes is not known":      {unknown, false, policy.Deny, true},
		"by what the caller says of itself": {copies(write("archive")), true, policy.Deny, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := shop(func(p *eventv1.Principal) {
				if c.agent {
					p.Agent, p.Asserted = "helper", []string{"agent"}
				}
			})
			d := e.Decide(policy.Input{Principal: p, Target: prod(), Facts: c.facts})
			if d.Effect != c.effect || d.MaskedCopy != c.copies {
				t.Errorf("%s, masked copy %v: %s", d.Effect, d.MaskedCopy, d.Why)
			}
			if d.MaskedCopy && !strings.Contains(d.Why, "public.customers.email into public.archive.note") {
				t.Errorf("it does not say what goes where: %s", d.Why)
			}
		})
	}
}
