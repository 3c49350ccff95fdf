package postgres_test

import (
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam18_APortalIsNoStoredPermit: what was bound before the rules changed
// does not run after, nor goes on where the masks have changed.
func TestRedteam18_APortalIsNoStoredPermit(t *testing.T) {
	var changed atomic.Bool
	var begun atomic.Int32
	g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision {
		return seamtest.Decision{Stands: func(b bool) error {
			if b {
				begun.Add(1)
			}
			if !changed.Load() {
				return nil
			}
			return &refusal.Refusal{Code: refusal.StateChanged, Message: "changed"}
		}}
	}})
	r := dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Query{String: "BEGIN"})
	r.until(t, 1)
	r.send(t, &pgproto3.Parse{Query: "UPDATE scratch SET note = 'p_stored'"}, &pgproto3.Bind{DestinationPortal: "write"},
		&pgproto3.Parse{Query: "SELECT id FROM customers /* p_rows */ ORDER BY id"}, &pgproto3.Bind{DestinationPortal: "read"},
		&pgproto3.Execute{Portal: "read", MaxRows: 1}, &pgproto3.Execute{Portal: "read", MaxRows: 1}, &pgproto3.Sync{})
	r.until(t, 1)
	if begun.Load() != 1 {
		t.Errorf("asked %d times of what goes on, want once", begun.Load())
	}
	changed.Store(true)
	for _, portal := range []string{"write", "read"} {
		r.send(t, &pgproto3.Execute{Portal: portal}, &pgproto3.Sync{})
		equal(t, portal, r.until(t, 1), []string{"error GS1206", "ready E"})
		changed.Store(false)
		r.send(t, &pgproto3.Query{String: "ROLLBACK"})
		r.until(t, 1)
		r.send(t, &pgproto3.Query{String: "BEGIN"})
		r.until(t, 1)
		r.send(t, &pgproto3.Parse{Query: "SELECT id FROM customers ORDER BY id"}, &pgproto3.Bind{DestinationPortal: "read"}, &pgproto3.Execute{Portal: "read", MaxRows: 1}, &pgproto3.Sync{})
		r.until(t, 1)
		changed.Store(true)
	}
	if seen(t, "p_stored") && onlyOutcome(t, g.Gate, "p_stored").Status != "not_executed" {
		t.Error("the write ran")
	}
}
