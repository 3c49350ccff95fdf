package approval_test

import (
	"strings"
	"testing"

	approvals "github.com/gatestay/gatestay/libs/approval"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Deny asks why, in a dialog; who may not vote is told before it opens, and what
// ended meanwhile is told in it.
func TestDenyAsksWhy(t *testing.T) {
	w := newWorld(t)
	w.start()
	r := w.hold("one-click")
	w.deny(r, "U0RILEY")
	if _, open := w.slack.Open("U0RILEY"); open {
		t.Fatal("a stranger got a dialog")
	}
	if err := w.click(r, "U0KIM", denyButton); err != nil {
		t.Fatal(err)
	}
	if err := w.click(r, "U0DANA", denyButton); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.slack.Answer(t.Context(), "U0DANA", "wrong *table* <!here>"); err != nil {
		t.Fatal(err)
	}
	m := w.message(r, "Denied")
	if !strings.Contains(shown(m), "wrong *table* ") || strings.Contains(shown(m), "<!here>") {
		t.Fatalf("the reason is not shown as it was said: %s", shown(m))
	}
	d, _, err := w.slack.Answer(t.Context(), "U0KIM", "me too")
	if err != nil || !strings.Contains(string(d.Response), "errors") || !strings.Contains(string(d.Response), "This is over") {
		t.Fatalf("the late one was told %s, %v", d.Response, err)
	}
	if got := w.outcome(r); got.Outcome != approvals.Denied || got.Votes[0].Reason != "wrong *table* <!here>" {
		t.Fatalf("decided %v", got)
	}
}

func (w *world) outcome(r *request) *eventv1.ApprovalDecision {
	w.t.Helper()
	d, err := w.decided(r)
	if d == nil {
		w.t.Fatal(err)
	}
	return d
}

const whyRules = `
rules:
  - name: why
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA, U0KIM], count: 1, channel: C0PROD, reason: required}
    deadline: 15m
`

func TestRedteam21_ARequiredReasonIsRequired(t *testing.T) {
	w := newWorld(t)
	w.publish(whyRules, people)
	w.start()
	r := w.hold("why")
	if err := w.click(r, "U0DANA", approveButton); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.slack.Answer(t.Context(), "U0DANA", ""); err == nil {
		t.Fatal("an empty reason was submitted")
	}
	if _, _, err := w.slack.Answer(t.Context(), "U0DANA", "   \u200b"); err != nil {
		t.Fatal(err)
	}
	if _, open := w.slack.Open("U0DANA"); !open {
		t.Fatal("white space was taken for a reason")
	}
	if _, _, err := w.slack.Answer(t.Context(), "U0DANA", "release 42"); err != nil {
		t.Fatal(err)
	}
	if got := w.outcome(r); got.Outcome != approvals.Approved || got.Votes[0].Reason != "release 42" {
		t.Fatalf("decided %v", got)
	}
}
