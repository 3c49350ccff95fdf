package desk

import (
	"context"
	"time"

	"github.com/gatestay/gatestay/libs/electorate"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// Escalates returns when a request escalates, in order.
func Escalates(r *eventv1.ApprovalRequest) []time.Time {
	e := electorate.Electorate{Approvers: r.GetApprovers(), Requested: r.GetRequestedAt().AsTime()}
	for _, rule := range r.GetPlan().GetRules() {
		e.And = append(e.And, rule.GetApprovers())
	}
	return e.Escalations()
}

// Escalate has those told who may vote from now on, too. Whether their votes count
// depends on the time alone, not on this.
func (d *Desk) Escalate(ctx context.Context, id string) error {
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) {
		r, err := st.Parse()
		if err != nil || r == nil {
			return false, err
		}
		if _, err := d.Rules().ByRule(r); err != nil { // nobody is told what is not the rule's word
			return false, nil //nolint:nilerr // it is on its way, or the approval about to be ended
		}
		return st.Escalate(Escalates(r), d.Now()), nil
	})
	return err
}
