package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

var approvalID = regexp.MustCompile(`apr_[0-9A-Z]{26}`)

const grantPolicy = `rules:
  - name: granted-updates
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/granted, repository_id: "1013", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {slack_users: [` + kit.Dana + `]}
    grants: {scopes: [run, job], uses: 3, for: 10m}
  - name: granted-reads
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/granted, repository_id: "1013", repository_owner_id: "2002"}]
    when: command.class == "read"
`

func granted(run string) kit.Claims {
	return kit.Claims{"repository": "acme/granted", "repository_id": "1013", "repository_owner_id": "2002", "run_id": run}
}

// One click covers the statement's shape for the rest of the run: other values
// and other connections pass, another statement, another run and one more than
// granted are asked for, and so is everything once it is revoked.
func TestApproveForThisRun(t *testing.T) {
	g := shared.Get(t)
	withPolicy(t, g, "granted.yaml", grantPolicy)
	c := g.Connect(t, granted("9001"))
	first := kit.Marker("granted")
	held := c.Go(t, insertNote, first)
	m := g.AwaitMessage(t, first)
	m.Await(t, "with any values")
	if err := m.Click(t.Context(), kit.Dana, "Approve for this run"); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Wait(t); err != nil {
		t.Fatal(err)
	}
	m.Await(t, "for the rest of this run")

	another := g.Connect(t, granted("9001"))
	second := kit.Marker("granted")
	if _, err := another.Exec(t.Context(), insertNote, second); err != nil {
		t.Fatalf("not covered by the grant: %v", err)
	}
	n := another.AwaitNotice(t, "use 2 of 3")
	id := approvalID.FindString(n.Detail)
	g.AwaitRecord(t, "kind = 'intent' AND approval_id = '"+id+"' AND has(approvers, 'dana') AND details['grant_use'] = '2 of 3'", 1)

	other := g.Connect(t, granted("9002"))
	third := kit.Marker("other_run")
	waiting := other.Go(t, insertNote, third)
	g.AwaitMessage(t, third).Deny(t, kit.Dana)
	_, err := waiting.Wait(t)
	kit.Refused(t, err, "GS1301")

	if err := m.Click(t.Context(), kit.Dana, "Revoke"); err != nil {
		t.Fatal(err)
	}
	m.Await(t, "Revoked")
	last := kit.Marker("revoked")
	waiting = c.Go(t, insertNote, last)
	g.AwaitMessage(t, last).Deny(t, kit.Dana)
	_, err = waiting.Wait(t)
	kit.Refused(t, err, "GS1301")
	g.AwaitRecord(t, "kind = 'approval' AND action = 'revoked' AND approval_id = '"+id+"' AND actor = 'dana'", 1)
}

// A job that cannot wait is refused at once and passes, once, when it runs again.
func TestHoldReturn(t *testing.T) {
	g := shared.Get(t)
	withPolicy(t, g, "returned.yaml", strings.NewReplacer("granted", "returned", "1013", "1014",
		"grants: {scopes: [run, job], uses: 3, for: 10m}", "deadline: 1h\n    hold: return").Replace(grantPolicy))
	claims := func(attempt string) kit.Claims {
		return kit.Claims{"repository": "acme/returned", "repository_id": "1014", "repository_owner_id": "2002", "run_attempt": attempt, "run_id": "9100"}
	}
	statement := "INSERT INTO notes (author, body) VALUES ('" + kit.Marker("returned") + "', 'from a test')"
	began := time.Now()
	_, err := g.Connect(t, claims("1")).Exec(t.Context(), statement)
	refused := kit.Refused(t, err, "GS1312")
	if waited := time.Since(began); waited > 5*time.Second {
		t.Errorf("it waited %s", waited)
	}
	id := approvalID.FindString(refused.Detail)
	m := g.AwaitMessage(t, id)
	m.Await(t, "does not wait")
	_, err = g.Connect(t, claims("2")).Exec(t.Context(), statement)
	if again := kit.Refused(t, err, "GS1312"); !strings.Contains(again.Detail, id) {
		t.Errorf("asked again: %s", again.Detail)
	}
	m.Approve(t, kit.Dana)
	m.Await(t, "approved")
	c := g.Connect(t, claims("3"))
	kit.Eventually(t, 10*time.Second, func() error { // the decision is on its way to the gateway
		_, err := c.Exec(t.Context(), statement)
		return err
	})
	_, err = c.Exec(t.Context(), statement)
	kit.Refused(t, err, "GS1312")
}
