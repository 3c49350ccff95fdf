package approval

import (
	"fmt"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// PlanHeading begins a statement in a plan's text. Nothing else begins a line with
// it: statements are indented (PlanText).
func PlanHeading(number, of int) string { return fmt.Sprintf("-- %d of %d, ", number, of) }

// PlanNote begins a line that says more of the statement above it.
const PlanNote = "-- · "

// PlanText indents a statement of a plan, so that no comment in it can pose as a
// heading.
func PlanText(statement string) string {
	var b strings.Builder
	for line := range strings.Lines(statement) {
		b.WriteString("  " + line)
	}
	return b.String() + ";\n"
}

// PlanStatements returns the statements of a plan's text, one for each step, and
// nil where the text is not one that a gateway writes: then it is to be read as it is.
func PlanStatements(r *eventv1.ApprovalRequest) []string {
	steps := r.GetPlan().GetSteps()
	if len(steps) == 0 {
		return nil
	}
	out := make([]string, 0, len(steps))
	for line := range strings.Lines(r.Statement + "\n") {
		n := len(out)
		switch {
		case n < len(steps) && strings.HasPrefix(line, PlanHeading(n+1, len(steps))):
			out = append(out, "")
		case n > 0 && strings.HasPrefix(line, PlanNote):
		case n > 0 && strings.HasPrefix(line, "  "):
			out[n-1] += line[2:]
		case n > 0 && line == ";\n": // of an empty line at a statement's end
		default:
			return nil
		}
	}
	if len(out) != len(steps) {
		return nil
	}
	for i := range out {
		out[i] = strings.TrimSuffix(strings.TrimSuffix(out[i], "\n"), ";")
	}
	return out
}

// StepRadius says in lines what a statement of a plan would touch, as Radius does.
func StepRadius(step *eventv1.PlanStep) []string {
	return Radius(&eventv1.ApprovalRequest{Radius: step.GetRadius(), Class: step.GetClass()})
}
