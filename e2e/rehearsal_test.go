package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/e2e/kit"
)

const rehearsalPolicy = `rules:
  - name: few-notes
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/rehearsed, repository_id: "1061", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {slack_users: [` + kit.Dana + `]}
    rehearsal: allow
    approve_if: rehearsal.rows <= 3 && rehearsal.tables.all(t, t == "public.notes")
`

// measuredNotes writes n notes past the gateway, and returns how many there are with
// a body.
func measuredNotes(t *testing.T, g *kit.Gatestay, author string, n int) func(body string) int {
	t.Helper()
	d, err := pgx.Connect(t.Context(), g.DB.URL("shop"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	if _, err := d.Exec(t.Context(), "INSERT INTO notes (author, body) SELECT $1, 'old' FROM generate_series(1, $2)", author, n); err != nil {
		t.Fatal(err)
	}
	return func(body string) int {
		t.Helper()
		var found int
		if err := d.QueryRow(t.Context(), "SELECT count(*) FROM notes WHERE author = $1 AND body = $2", author, body).Scan(&found); err != nil {
			t.Fatal(err)
		}
		return found
	}
}

// What a rehearsal shows to be within the rule's bound needs nobody, and the audit
// says so; what exceeds it asks a person, who sees what it changed.
func TestMeasuredEffectsDecide(t *testing.T) {
	g := shared.Get(t)
	withPolicy(t, g, "rehearsed.yaml", rehearsalPolicy)
	c := g.Connect(t, kit.Claims{"repository": "acme/rehearsed", "repository_id": "1061", "repository_owner_id": "2002"})
	const update = "UPDATE notes SET body = 'new' WHERE author = $1"

	few := kit.Marker("few")
	count := measuredNotes(t, g, few, 3)
	tag, err := c.Exec(t.Context(), update, few)
	if err != nil || tag.RowsAffected() != 3 || count("new") != 3 {
		t.Fatalf("%s, %v: %d", tag, err, count("new"))
	}
	passed := g.AwaitRecord(t, "kind = 'intent' AND verb = 'update' AND rule = 'few-notes' AND approval_id = '' AND details['approved_by'] = 'rule approve_if' AND details['rehearsed_rows'] = '3'", 1)[0]
	g.AwaitRecord(t, fmt.Sprintf("kind = 'outcome' AND command_id = '%v' AND status = 'ok' AND details['measured_rows'] = '3'", passed["command_id"]), 1)
	g.AwaitRecord(t, fmt.Sprintf("kind = 'outcome' AND details['rehearsal_of'] = '%v' AND details['rolled_back_rows'] = '3'", passed["command_id"]), 1)

	many := kit.Marker("many")
	count = measuredNotes(t, g, many, 4)
	held := c.Go(t, update, many)
	m := g.AwaitMessage(t, many)
	m.Await(t, "Rehearsed, and rolled back: update 4 rows of public.notes")
	m.Await(t, "Asks a person")
	if count("new") != 0 {
		t.Error("the rehearsal has changed something")
	}
	m.Approve(t, kit.Dana)
	if _, err := held.Wait(t); err != nil || count("new") != 4 {
		t.Fatalf("%v: %d", err, count("new"))
	}

	// A sequence is moved for good: neither rehearsed nor taken to change nothing.
	sequence := kit.Marker("sequence")
	held = c.Go(t, insertNote, sequence)
	m = g.AwaitMessage(t, sequence)
	m.Await(t, "Not rehearsed, so what it changes is not measured: public.notes takes numbers of a sequence")
	if saw := strings.Count(g.TargetRan(t), sequence); saw != 0 {
		t.Errorf("the target has seen it %d times", saw)
	}
	m.Deny(t, kit.Dana)
	_, err = held.Wait(t)
	kit.Refused(t, err, "GS1301")
}
