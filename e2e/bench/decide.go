package bench

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/policy"
)

// decide times, in this process, what the gateway does before it forwards: the
// facts of a text it has seen before, and a decision among a hundred rules.
func decide(_ context.Context, t *table) error {
	const text = "SELECT c.name, sum(o.cents) FROM customers AS c JOIN orders AS o ON o.customer = c.id WHERE c.tier = $1 GROUP BY c.name ORDER BY 2 DESC LIMIT 10"
	cache := pgfacts.NewCache(1 << 20)
	statements, err := cache.Parse(text)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	engine, err := policy.Compile(map[string][]byte{"rules.yaml": []byte(hundredRules())})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	facts := statements[0].Facts
	for i := range facts.Objects {
		facts.Objects[i].Schema = "public"
	}
	facts.Unknown = nil
	input := policy.Input{
		Principal: benchPrincipal, Target: policy.Target{Name: "prod-db", Environment: "production", Protocol: "postgres", Database: "shop"},
		Session: policy.Session{ID: "ses_1", Age: time.Minute}, Facts: &facts,
	}
	if d := engine.Decide(input); d.Effect != policy.Allow {
		return fmt.Errorf("bench: the statement is not allowed: %s", d.Why)
	}
	for range t.options.Rounds {
		t.nanoseconds("facts/cached", func() { _, _ = cache.Parse(text) })
		t.nanoseconds("policy/decide/100_rules", func() { engine.Decide(input) })
	}
	return nil
}

func (t *table) nanoseconds(name string, f func()) {
	if !t.wants(name) {
		return
	}
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			f()
		}
	})
	t.at(name, "ns").add(float64(r.T.Nanoseconds()) / float64(r.N))
}

// hundredRules are rules of the kinds that people write; the last allows.
func hundredRules() string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range 99 {
		fmt.Fprintf(&b, "  - name: rule-%02d\n    targets: [prod-db]\n    principals: [{repository: acme/shop, repository_id: \"1001\", repository_owner_id: \"2002\"}]\n", i)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "    effect: deny\n    when: command.class == \"ddl\" && \"public.table_%d\" in command.writes\n", i)
		case 1:
			fmt.Fprintf(&b, "    effect: hold\n    approvers: {slack_users: [U0DANA], count: 1}\n    when: command.verb == \"delete\" && !command.filtered && \"public.table_%d\" in command.objects\n", i)
		default:
			fmt.Fprintf(&b, "    effect: allow\n    when: command.class == \"write\" && command.objects.all(o, o == \"public.table_%d\")\n", i)
		}
	}
	b.WriteString("  - name: reads\n    effect: allow\n    targets: [prod-db]\n    principals: [{repository: acme/shop, repository_id: \"1001\", repository_owner_id: \"2002\"}]\n    when: command.class == \"read\"\n")
	return b.String()
}

func printDecide(t *table) {
	if !t.measured("facts/cached", "policy/decide/100_rules") {
		return
	}
	t.heading("Before a command is forwarded, ns")
	t.row("", "facts of a cached statement", "a decision among 100 rules")
	t.rule(2)
	t.row("", t.series["facts/cached"].cell(), t.series["policy/decide/100_rules"].cell())
}
