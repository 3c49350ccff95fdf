package message

import (
	"fmt"
	"strings"
	"testing"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// plan is a request for n statements under two rules, as a gateway makes it.
func plan(n int) *eventv1.ApprovalRequest {
	r := request()
	r.Verb, r.Parameters = fmt.Sprintf("plan of %d statements, %d held:", n, n), nil
	var shown strings.Builder
	r.Plan = &eventv1.Plan{Tool: "goose", Rules: []*eventv1.PlanRule{
		{Rule: r.Rule, RuleHash: "1", Approvers: r.Approvers}, {Rule: "schema", RuleHash: "2", Approvers: &eventv1.Approvers{SlackUsers: []string{"U0SAM"}}},
	}}
	for i := range n {
		fmt.Fprintf(&shown, "-- %d of %d, held by rule \"schema\", %05d_step.sql:2\n  ALTER TABLE customers ADD COLUMN c%d int;\n", i+1, n, i+1, i+1)
		r.Plan.Steps = append(r.Plan.Steps, &eventv1.PlanStep{Digest: []byte{1}, State: []byte{1}})
	}
	r.Statement = strings.TrimSuffix(shown.String(), "\n")
	return r
}

// A plan is approved in Slack where Slack shows every statement of it, and says
// whose approvals it takes.
func TestRedteam21_APlanIsApprovedInSlackWhereAllOfItIsShown(t *testing.T) {
	small := render(t, plan(5), nil)
	text := small.Text + "\n" + strings.Join(texts(small), "\n")
	for _, want := range []string{"Plan of 5 statements, 5 held", "00005_step.sql:2", "ADD COLUMN c5 int", "once and in this order", "under 2 rules", "<@U0DANA>", "<@U0SAM>"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if !small.Approvable {
		t.Error("shown whole, it has no Approve button")
	}
	large := render(t, plan(200), nil)
	if large.Approvable || Approvable(plan(200)) || !strings.Contains(strings.Join(texts(large), "\n"), "This is not all of it") {
		t.Error("cut, it can be approved")
	}
}
