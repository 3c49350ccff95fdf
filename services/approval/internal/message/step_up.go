package message

import (
	"github.com/gatestay/gatestay/libs/electorate"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// stepUp reports that a request cannot be approved by a click in Slack: its rule,
// or one of its plan's, asks for a passkey.
func stepUp(r *eventv1.ApprovalRequest) bool {
	e := electorate.Electorate{Approvers: r.GetApprovers()}
	for _, rule := range r.GetPlan().GetRules() {
		e.And = append(e.And, rule.GetApprovers())
	}
	return e.StepUp()
}

// stepUp leads to where a passkey can be used.
func (in Input) stepUp() string {
	if !stepUp(in.Request) {
		return ""
	}
	if in.Inbox == "" {
		return ":key: Approving this takes a passkey, in the web inbox: a click here is not enough."
	}
	return ":key: <" + escape(in.Inbox) + "|*Approve with your passkey*>: a click here is not enough for this rule."
}
