package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/e2e/kit"
)

// withPolicy adds a file of rules for the time of a test, and waits until the
// gateway decides by it.
func withPolicy(t *testing.T, g *kit.Gatestay, name, text string) {
	t.Helper()
	edit := func(text string) {
		before := version(t, g)
		if err := g.Rewrite("policies/"+name, func(string) string { return text }); err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, 10*time.Second, func() error {
			if version(t, g) == before {
				return errors.New("the gateway still has the old policy")
			}
			return nil
		})
	}
	edit(text)
	t.Cleanup(func() {
		if _, err := os.Stat(g.Path("policies", name)); err == nil { // written twice, it is removed once
			edit("")
		}
	})
}

// version is the policy version that the gateway decides by.
func version(t *testing.T, g *kit.Gatestay) string {
	t.Helper()
	return g.Metric(t, kit.Gateway, "gatestay_gateway_policy_version")
}

// The figure is printed, not judged: a loaded machine would fail an honest
// build. What is judged is that it acts, and on the session that stayed open.
func TestPolicyChangeIsLiveAndDropsNoSession(t *testing.T) {
	g := shared.Get(t)
	for _, part := range []string{kit.Policy, kit.Gateway} { // a test before this one may have killed the bus
		g.Ready(t, part)
	}
	c := g.Connect(t, kit.Importer)
	usable(t, c)
	const name = "policies/freeze.yaml"
	t.Cleanup(func() { _ = g.Rewrite(name, func(string) string { return "" }) })

	var took [2]time.Duration
	for i, text := range []string{`rules:
  - name: orders-are-frozen
    effect: deny
    targets: [prod-db]
    principals: [{any: true}]
    when: '"public.orders" in command.objects'
`, ""} {
		changed := time.Now()
		if err := g.Rewrite(name, func(string) string { return text }); err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, 20*time.Second, func() error {
			_, err := c.Exec(t.Context(), "SELECT item FROM orders LIMIT 1")
			if denied := isRefusal(err, "orders-are-frozen"); denied != (text != "") {
				return fmt.Errorf("denied is %v: %w", denied, err)
			}
			return nil
		})
		took[i] = time.Since(changed)
	}
	t.Logf("a changed policy acts after %s, taken back after %s, on a session that stayed open",
		took[0].Round(time.Millisecond), took[1].Round(time.Millisecond))
}

func TestBrokenPolicyIsRejectedAndTheLastGoodOneStays(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, kit.Importer)
	before := version(t, g)
	const name = "policies/broken.yaml"
	if err := g.Rewrite(name, func(string) string {
		return "rules:\n  - name: broken\n    effect: perhaps\n    targets: [prod-db]\n    principals: [{any: true}]\n"
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Rewrite(name, func(string) string { return "" }) })
	kit.Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(g.Log(kit.Policy), "broken.yaml") {
			return errors.New("the policy service has not said which file is broken")
		}
		return nil
	})
	usable(t, c)
	if after := version(t, g); after != before {
		t.Errorf("the policy went from version %s to %s by a broken file", before, after)
	}
}

func TestTargetAddedToTheFileActsWithoutARestart(t *testing.T) {
	g := shared.Get(t)
	open := g.Connect(t, kit.Importer)
	var original string
	if err := g.Rewrite("gatestay.yaml", func(s string) string {
		original = s
		at := strings.Index(s, "  prod-db:\n")
		end := at + strings.Index(s[at:], "\n\n")
		return s[:at] + strings.Replace(s[at:end], "prod-db", "late-db", 1) + "\n" + s[at:]
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Rewrite("gatestay.yaml", func(string) string { return original }) })
	withPolicy(t, g, "late.yaml", `rules:
  - name: late-reads
    effect: allow
    targets: [late-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "read"
`)
	var late *kit.Client
	kit.Eventually(t, 5*time.Second, func() (err error) {
		late, err = g.Dial(t.Context(), "late-db", g.Token(t, nil), nil)
		return err
	})
	defer late.Hang()
	usable(t, late)
	usable(t, open)
}

func isRefusal(err error, says string) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && strings.Contains(refusal.Message+refusal.Detail+refusal.Hint, says)
}
