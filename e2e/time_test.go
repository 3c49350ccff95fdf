package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// timed is a policy whose writes kim and dana's stand-ins may approve, and whose
// freeze is on or was.
func timed(from, to time.Time) string {
	return fmt.Sprintf(`rules:
  - name: timed-writes
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/timed, repository_id: "1099", repository_owner_id: "2002"}]
    when: command.class == "write"
    hours: {zone: UTC}
    approvers:
      slack_users: [%s]
      hours: {days: [%s], zone: UTC}
      escalate: {after: 2s, to: {slack_users: [%s]}}
  - name: timed-reads
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/timed, repository_id: "1099", repository_owner_id: "2002"}]
    when: command.class == "read"
freezes:
  - {name: timed-freeze, reason: counting the stock, targets: [prod-db], from: %q, to: %q}
`, kit.Dana, strings.ToLower(time.Now().UTC().Add(-48*time.Hour).Format("Mon")), kit.Kim, from.Format(time.RFC3339), to.Format(time.RFC3339))
}

// A freeze refuses writes and lets reads pass; outside their hours approvers are
// told so and may not approve; after the escalation the second group is mentioned,
// and its click lets the command pass at the gateway, too.
func TestHoursFreezesAndEscalation(t *testing.T) {
	g := shared.Get(t)
	now := time.Now().UTC()
	claims := kit.Claims{"repository": "acme/timed", "repository_id": "1099", "repository_owner_id": "2002", "actor": "riley"}
	t.Run("a freeze", func(t *testing.T) {
		withPolicy(t, g, "timed.yaml", timed(now.Add(-time.Hour), now.Add(time.Hour)))
		c := g.Connect(t, claims)
		_, err := c.Exec(t.Context(), insertNote, kit.Marker("frozen"))
		kit.Refused(t, err, "GS1207")
		if !strings.Contains(err.Error(), "counting the stock") {
			t.Errorf("it does not say why: %v", err)
		}
		if _, err := c.Exec(t.Context(), "SELECT count(*) FROM notes"); err != nil {
			t.Errorf("a read in a freeze: %v", err)
		}
	})
	t.Run("hours and an escalation", func(t *testing.T) {
		withPolicy(t, g, "timed.yaml", timed(now.Add(-2*time.Hour), now.Add(-time.Hour)))
		c := g.Connect(t, claims)
		marker := kit.Marker("timed")
		held := c.Go(t, insertNote, marker)
		m := g.AwaitMessage(t, marker)
		if err := m.Click(t.Context(), kit.Dana, "Approve"); err != nil {
			t.Fatal(err)
		}
		g.Answers(t, kit.Dana, "and not now")
		m.Await(t, "<@"+kit.Kim+">")
		m.Approve(t, kit.Kim)
		if _, err := held.Wait(t); err != nil {
			t.Fatal(err)
		}
	})
}
