package hold

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// maxRan is how many outcomes wait for the bus; more are not told.
const maxRan = 1024

// Ran tells the approval service how a command ended that an approval let pass,
// so that its message can say it. It does not block: the outcome's record is the
// truth, and what cannot be told now is not told.
func (d *Desk) Ran(by *Result, r *eventv1.Record) {
	if by.Grant != nil && by.Grant.Number == 0 {
		return // a tool's bookkeeping is none of what was approved
	}
	o := &eventv1.ApprovalOutcome{
		ApprovalId: by.ApprovalID, SessionId: r.SessionId, CommandId: r.CommandId, Status: r.Status, Code: r.Code, Message: r.Message,
		Rows: r.Rows, DurationNs: r.DurationNs, At: timestamppb.New(d.now()),
	}
	if by.Grant != nil {
		o.Use = by.Grant.Number
	}
	select {
	case d.ran <- o:
	default:
		d.log.Warn().Str("approval_id", o.ApprovalId).Msg("too many outcomes wait for the bus; one is not told to its approvers")
	}
}

func (d *Desk) tell(ctx context.Context, b *bus.Bus) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-d.ran:
			raw, err := proto.Marshal(o)
			if err == nil {
				err = d.publish(ctx, b, bus.Ran, o.ApprovalId, raw, nil)
			}
			if err != nil {
				d.log.Warn().Err(err).Str("approval_id", o.ApprovalId).Msg("an outcome was not told to its approvers")
			}
		}
	}
}
