package bench

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/e2e/kit"
)

// way is what the gateway does besides deciding and recording.
type way struct {
	contender string // its name in tables
	suffix    string // of its targets' names
	masks     string // masking rules; %s is the target
	results   bool   // worth a line for large results only
}

// ways are the gateway's contenders. Both masked columns are ones that the
// measured queries return: an integer, which becomes NULL, and a text.
var ways = []way{
	{contender: "gateway", suffix: ""},
	{contender: "gateway+masking", suffix: "-masked", masks: `
  - {name: balance%[2]s, targets: [%[1]s], column: public.pgbench_accounts.abalance, strategy: "null"}
  - {name: mail%[2]s, targets: [%[1]s], column: public.rows1m.mail, strategy: partial}`},
	{contender: "gateway+detectors", suffix: "-detected", results: true, masks: `
  - {name: detectors%[2]s, targets: [%[1]s], detectors: [card, aws-key, github-token, jwt, private-key], strategy: redact}`},
}

// targetName is the gateway's name for the one database, by what it does and
// whether it reaches it over TLS.
func (w way) targetName(tls bool) string {
	if tls {
		return "bench-tls" + w.suffix
	}
	return "bench-plain" + w.suffix
}

// addTargets lets the gateway reach the same database in each way, with and
// without TLS, and lets clients in without TLS.
func addTargets(g *kit.Gatestay) error {
	targets, masks, all := "", "", []string{}
	for _, w := range ways {
		for _, tls := range []bool{false, true} {
			name := w.targetName(tls)
			all = append(all, name)
			security := "tls: disable"
			if tls {
				security = "tls: verify-full\n    ca: " + g.DB.CA
			}
			targets += fmt.Sprintf("  %s:\n    protocol: postgres\n    environment: bench\n    address: %s\n    database: shop\n    user: app\n"+
				"    password: env:GATESTAY_TARGET_PASSWORD\n    %s\n", name, g.DB.Address, security)
			if w.masks != "" {
				masks += fmt.Sprintf(w.masks, name, map[bool]string{false: "", true: "-tls"}[tls])
			}
		}
	}
	return errors.Join(
		g.Rewrite("gatestay.yaml", func(s string) string {
			s = strings.Replace(s, "gateway:\n  id: gw1\n  postgres: {", "gateway:\n  id: gw1\n  run_connections: 2000\n  postgres: {plaintext: true, ", 1)
			return strings.Replace(s, "targets:\n", "targets:\n"+targets, 1)
		}),
		// The kit's own rules look for secrets on every target.
		g.Rewrite("masking/shop.yaml", func(s string) string {
			return strings.Replace(s, "name: secrets-anywhere, ", "name: secrets-anywhere, targets: ["+kit.Target+"], ", 1)
		}),
		g.Rewrite("masking/bench.yaml", func(string) string { return "masks:" + masks + "\n" }),
		g.Rewrite("policies/bench.yaml", func(string) string {
			return fmt.Sprintf(`rules:
  - name: bench
    effect: allow
    targets: [%s]
    principals: [{repository: acme/importer, repository_id: "1002", repository_owner_id: "2002"}]
    when: command.class == "read" || command.class == "write"
`, strings.Join(all, ", "))
		}),
	)
}
