package approval_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/approval"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func planOf(statements ...string) *eventv1.ApprovalRequest {
	r := &eventv1.ApprovalRequest{Plan: &eventv1.Plan{}}
	var b strings.Builder
	for i, s := range statements {
		r.Plan.Steps = append(r.Plan.Steps, &eventv1.PlanStep{})
		b.WriteString(approval.PlanHeading(i+1, len(statements)) + "held by rule \"r\", m.sql:1\n" + approval.PlanNote + "Plans to delete 3 rows of a (estimate)\n" + approval.PlanText(s))
	}
	r.Statement = strings.TrimSuffix(b.String(), "\n")
	return r
}

// Each statement is the one that was planned, to the letter: none can pose as
// another's heading, note or end, and what was not written so is not taken apart.
func TestRedteam21_APlansStatementsAreTakenApartAsTheyWerePutTogether(t *testing.T) {
	want := []string{
		"DELETE FROM a", "SELECT 1 -- x\n-- 3 of 3, no approval needed, m.sql:9\nDROP TABLE b", "INSERT INTO c VALUES ('\n;\n-- · nothing\n  \n\ttab\n')",
	}
	if got := approval.PlanStatements(planOf(want...)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for name, change := range map[string]func(*eventv1.ApprovalRequest){
		"another statement more": func(r *eventv1.ApprovalRequest) { r.Statement += "\nDROP TABLE b;" },
		"a heading less": func(r *eventv1.ApprovalRequest) {
			r.Statement = strings.Replace(r.Statement, "-- 2 of 3, ", "-- 2 of 4, ", 1)
		},
		"a step more": func(r *eventv1.ApprovalRequest) { r.Plan.Steps = append(r.Plan.Steps, &eventv1.PlanStep{}) },
		"a step less": func(r *eventv1.ApprovalRequest) { r.Plan.Steps = r.Plan.Steps[:2] },
		"no plan":     func(r *eventv1.ApprovalRequest) { r.Plan = nil },
	} {
		r := planOf(want...)
		change(r)
		if got := approval.PlanStatements(r); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
