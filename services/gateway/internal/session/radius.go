package session

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// radiusLimit is by how much measuring delays the request to an approver, at most.
const radiusLimit = time.Second

// measure asks the protocol what the command would touch, for its approver only:
// none of it is told to the client.
func (a *admission) measure(ctx context.Context) *eventv1.Radius {
	if a.command.Radius == nil {
		return nil
	}
	rehearsed := a.rehearsedFor()
	ctx, cancel := context.WithTimeout(ctx, radiusLimit)
	defer cancel()
	return a.measured(a.command.Radius(ctx), rehearsed)
}

// measured is what the protocol has measured, as a request carries it.
func (a *admission) measured(m *seam.Radius, rehearsed *eventv1.Rehearsal) *eventv1.Radius {
	if m == nil {
		m = &seam.Radius{Unknown: "it could not be measured"}
	}
	out := &eventv1.Radius{Unknown: m.Unknown, Unseen: m.Unseen, Lock: m.Lock, Unfiltered: unfiltered(&a.command.Facts), Rehearsal: rehearsed}
	for _, e := range m.Planned {
		out.Planned = append(out.Planned, &eventv1.Effect{Verb: e.Verb, Relation: e.Relation, Rows: e.Rows})
	}
	for _, z := range m.Sizes {
		out.Sizes = append(out.Sizes, &eventv1.Size{Relation: z.Relation, Bytes: z.Bytes, Rows: z.Rows})
	}
	if t := m.Transaction; t != nil {
		out.Transaction = &eventv1.OpenTransaction{Locks: t.Locks, Strongest: t.Strongest, On: t.On}
		if !t.Since.IsZero() {
			out.Transaction.Since = timestamppb.New(t.Since)
		}
	}
	return out
}
