package approval_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/localslack"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const escalatingRules = `
rules:
  - name: late
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    approvers: {slack_users: [U0KIM], channel: C0PROD, escalate: {after: 5m, to: {slack_groups: [S0LEADS], slack_users: [U0DANA]}}}
    deadline: 15m
`

// An escalation that fell due while nobody ran is caught up with: the message
// mentions the second group, a note in its thread tells them, once, though two
// replicas look; their vote counts.
func TestAnEscalationSurvivesARestartAndTwoReplicas(t *testing.T) {
	w := newWorld(t)
	w.slack.SetGroup(localslack.Group{ID: "S0LEADS", Handle: "leads", Members: []string{"U0DANA"}})
	w.publish(escalatingRules, people)
	first := w.start()
	q := w.hold("late", func(r *eventv1.ApprovalRequest) {
		r.Deadline = timestamppb.New(r.RequestedAt.AsTime().Add(15 * time.Minute))
	})
	if m := w.message(q, approveButton); strings.Contains(shown(m), "S0LEADS") {
		t.Fatalf("the second group is mentioned at once: %s", shown(m))
	}
	w.approve(q, "U0DANA")
	w.told("U0DANA", "and not now")
	first.stop()
	w.later = 6 * time.Minute
	second := w.start()
	w.start()
	w.message(q, "<!subteam^S0LEADS>")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	note, err := w.slack.Await(ctx, channel, func(m localslack.Message) bool {
		return m.ThreadTS != "" && strings.Contains(m.Text, "may approve it now, too")
	})
	if err != nil || !strings.Contains(note.Text, "<!subteam^S0LEADS>") || strings.Contains(note.Text, "U0KIM") {
		t.Fatalf("noted %q, %v", note.Text, err)
	}
	if status, c := second.vote(q, "slack:U0DANA", "approve"); status != http.StatusOK {
		t.Fatalf("the second group's vote: %d %s", status, c)
	}
	w.recorded(q, "requested", "escalated", "voted", "decided approved")
	notes := 0
	for _, m := range w.slack.Messages(channel) {
		if strings.Contains(m.Text, "may approve it now, too") {
			notes++
		}
	}
	if notes != 1 {
		t.Fatalf("%d notes", notes)
	}
}
