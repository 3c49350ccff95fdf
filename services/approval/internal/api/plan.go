package api

import (
	"github.com/gatestay/gatestay/libs/approval"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Step is one statement of a plan. The statement of the whole plan has all of it,
// too.
type Step struct {
	Number    int      `json:"number"` // from 1
	Source    string   `json:"source"` // file:line
	Effect    string   `json:"effect"` // allow, hold
	Rule      string   `json:"rule,omitempty"`
	Verb      string   `json:"verb"`
	Objects   []string `json:"objects"`
	Statement string   `json:"statement"`
	Warnings  []string `json:"warnings"`
	Radius    []string `json:"radius,omitempty"` // what it would touch, in words
}

// steps are those of a plan; nil where its text does not show one for each.
func steps(r *eventv1.ApprovalRequest) []Step {
	texts := approval.PlanStatements(r)
	var out []Step
	for i, text := range texts {
		s := r.Plan.Steps[i]
		step := Step{Number: i + 1, Source: s.Source, Effect: s.Effect, Rule: s.Rule, Verb: s.Verb, Objects: []string{}, Statement: text, Warnings: some(s.Warnings), Radius: approval.StepRadius(s)}
		for _, o := range s.Objects {
			name := o.GetName()
			if o.GetSchema() != "" {
				name = o.GetSchema() + "." + name
			}
			step.Objects = append(step.Objects, name)
		}
		out = append(out, step)
	}
	return out
}
