package session_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// What was measured is for the approver: it is in what the decision is bound to,
// and in nothing that the client is told.
func TestRedteam21_TheClientIsNotToldWhatWasMeasured(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	var told strings.Builder
	c := write()
	c.Notify = func(n seam.Notice) { told.WriteString(n.Message + n.Detail + n.Hint) }
	c.Radius = func(context.Context) *seam.Radius {
		return &seam.Radius{
			Planned:     []seam.Effect{{Verb: "update", Relation: "public.customers", Rows: 4711}},
			Transaction: &seam.OpenTransaction{Locks: 2, Strongest: "ROW EXCLUSIVE", On: "public.orders", Since: time.Now()},
			Sizes:       []seam.Size{{Relation: "public.customers", Bytes: 47110, Rows: 4711}},
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Admit(t.Context(), c)
		done <- err
	}()
	r := <-w.requests
	if m := r.GetRadius(); len(m.GetPlanned()) != 1 || m.Planned[0].Rows != 4711 || m.GetTransaction().GetLocks() != 2 || m.Sizes[0].GetBytes() != 47110 {
		t.Errorf("%v", m)
	}
	d := w.decision(r)
	d.Outcome = approval.Denied
	w.decide(w.approvals, d)
	err := <-done
	refused(t, err, refusal.ApprovalDenied)
	if all := told.String() + err.Error(); strings.Contains(all, "4711") || strings.Contains(all, "4,7") || told.Len() == 0 {
		t.Errorf("the client was told %q", all)
	}
}

// Measuring delays a request by its limit at most, and a client that goes away is
// not waited for.
func TestMeasuringHasALimit(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	c := write()
	c.Radius = func(ctx context.Context) *seam.Radius {
		<-ctx.Done()
		return &seam.Radius{Unknown: "it could not be measured in time"}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	begun := time.Now()
	go func() {
		_, err := s.Admit(ctx, c)
		done <- err
	}()
	r := <-w.requests
	if took := time.Since(begun); took > 3*time.Second || r.GetRadius().GetUnknown() == "" {
		t.Errorf("after %s: %v", took, r.GetRadius())
	}
	cancel()
	refused(t, <-done, refusal.ApprovalCancelled)
}
