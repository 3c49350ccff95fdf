package approval_test

import (
	"strings"
	"testing"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// An approver sees what became of the same statement before, also after a
// restart, and nothing of another one.
func TestEarlierDecisions(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	shape := func(f string) func(*eventv1.ApprovalRequest) {
		return func(r *eventv1.ApprovalRequest) { r.Fingerprint = f }
	}
	first := w.hold("one-click", shape("a"))
	w.approve(first, "U0DANA")
	w.message(first, "*Approved*")
	second := w.hold("one-click", shape("a"))
	w.message(second, "approved by <@U0DANA>")
	w.deny(second, "U0KIM")
	w.message(second, "*Denied*")
	r.stop()
	w.start()
	third := w.hold("one-click", shape("a"))
	if m := shown(w.message(third, "approved by <@U0DANA>")); !strings.Contains(m, "denied by <@U0KIM>") {
		t.Fatalf("the denial is not named: %s", m)
	}
	other := w.hold("one-click", shape("b"))
	if m := shown(w.message(other, approveButton)); strings.Contains(m, "The same statement before") {
		t.Fatalf("another statement's decisions are named: %s", m)
	}
}
