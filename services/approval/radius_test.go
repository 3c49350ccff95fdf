package approval_test

import (
	"strings"
	"testing"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// What an approver is shown of a command's effects is in the message, and in the
// record of the first step.
func TestWhatItWouldTouchIsShownAndRecorded(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) {
		r.Radius = &eventv1.Radius{Planned: []*eventv1.Effect{{Verb: "update", Relation: "public.customers", Rows: 1187}}, Unfiltered: true}
	})
	const words = "Plans to update about 1,200 rows of public.customers (estimate) · no WHERE"
	w.message(q, words)
	w.recorded(q, "requested")
	if got := w.steps(q)[0].Details["radius"]; got != words {
		t.Errorf("recorded %q", got)
	}
	unknown := w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.Radius = &eventv1.Radius{Unknown: "it calls app.f()"} })
	if m := shown(w.message(unknown, "How many rows is unknown: it calls app.f()")); strings.Contains(m, "0 rows") {
		t.Errorf("unknown looks like none: %s", m)
	}
}
