package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// BenchmarkDecide100Rules decides a read under 100 rules: 90 of other
// repositories, 10 of the principal's own or of everybody, 5 of those with a
// condition over the command's facts.
func BenchmarkDecide100Rules(b *testing.B) {
	var y strings.Builder
	y.WriteString("rules:\n")
	for i := range 90 {
		fmt.Fprintf(&y, "  - {name: other-%02d, effect: allow, targets: [prod-*], principals: [{repository: acme/r%d, repository_id: \"%d\", repository_owner_id: \"2\"}], when: 'command.class == \"read\"'}\n", i, i, 5000+i)
	}
	own := `principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2"}]`
	fmt.Fprintf(&y, "  - {name: reads, effect: allow, targets: [prod-db], %s, when: 'command.class == \"read\"'}\n", own)
	fmt.Fprintf(&y, "  - {name: writes, effect: hold, targets: [prod-db], %s, when: 'command.class == \"write\"', approvers: {slack_users: [U1]}}\n", own)
	fmt.Fprintf(&y, "  - {name: no-ddl, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'command.class in [\"ddl\", \"admin\"]'}\n")
	fmt.Fprintf(&y, "  - {name: no-forks, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'principal.event == \"pull_request\"'}\n")
	fmt.Fprintf(&y, "  - {name: secrets, effect: deny, targets: [prod-db], principals: [{any: true}], when: '\"public.secrets\" in command.objects'}\n")
	for i := range 5 {
		fmt.Fprintf(&y, "  - {name: elsewhere-%d, effect: allow, targets: [stage-%d], principals: [{any: true}]}\n", i, i)
	}
	e, err := policy.Compile(map[string][]byte{"rules.yaml": []byte(y.String())})
	if err != nil {
		b.Fatal(err)
	}
	in := policy.Input{
		Principal: &eventv1.Principal{Preset: "github-actions", Repository: "acme/shop", RepositoryId: "1001", RepositoryOwnerId: "2", Event: "push"},
		Target:    policy.Target{Name: "prod-db", Environment: "production", Protocol: "postgres"},
		Facts: &command.Facts{
			Verb: "select", Class: command.Read, Filtered: true,
			Objects: []command.Object{{Schema: "public", Name: "customers", Access: command.Read}},
		},
	}
	if d := e.Decide(in); d.Effect != policy.Allow || d.Rule != "reads" {
		b.Fatalf("decided %+v", d)
	}
	b.ReportAllocs()
	for b.Loop() {
		if d := e.Decide(in); d.Effect != policy.Allow {
			b.Fatal(d)
		}
	}
}

// BenchmarkDecideDenied is a denial, which also says what would be allowed.
func BenchmarkDecideDenied(b *testing.B) {
	e := compile(b, standard)
	in := policy.Input{Principal: shop(), Target: prod(), Facts: &command.Facts{Verb: "drop table", Class: command.DDL}}
	b.ReportAllocs()
	for b.Loop() {
		if d := e.Decide(in); d.Effect != policy.Deny || len(d.Allowed) == 0 {
			b.Fatal(d)
		}
	}
}
