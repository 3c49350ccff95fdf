package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/e2e/kit"
)

const insertNote = "INSERT INTO notes (author, body) VALUES ($1, 'from a test')"

// modes are the ways in which a client may send a statement.
var modes = map[string]pgx.QueryExecMode{
	"simple":   pgx.QueryExecModeSimpleProtocol,
	"extended": pgx.QueryExecModeExec,
	"prepared": pgx.QueryExecModeCacheStatement,
}

func TestNothingReachesTheTargetBeforeTheDecision(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			g := shared.Get(t)
			c := g.Connect(t, nil)
			marker := kit.Marker("before")
			held := c.Go(t, insertNote, mode, marker)
			m := g.AwaitMessage(t, marker)

			n := c.AwaitNotice(t, "apr_")
			for _, want := range []string{"writes-need-a-click", "apr_"} {
				if all := n.Message + n.Detail + n.Hint; !strings.Contains(all, want) {
					t.Errorf("the notice does not say %q: %s", want, all)
				}
			}
			kit.Never(t, 300*time.Millisecond, g.NotSeen(t, marker))
			running(t, held)

			m.Approve(t, kit.Dana)
			if tag, err := held.Wait(t); err != nil || tag.RowsAffected() != 1 {
				t.Fatalf("after the approval: %v, %v", tag, err)
			}
			if !g.TargetSaw(t, marker) {
				t.Error("the target has not seen the approved statement")
			}
			m.Await(t, "approved")
			m.Await(t, "ran: 1 row")
			usable(t, c)
		})
	}
}

func TestDeniedStatementNeverRuns(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			g := shared.Get(t)
			c := g.Connect(t, nil)
			marker := kit.Marker("denied")
			held := c.Go(t, insertNote, mode, marker)
			m := g.AwaitMessage(t, marker)
			m.Deny(t, kit.Dana)
			_, err := held.Wait(t)
			kit.Refused(t, err, "GS1301")
			m.Await(t, "denied")
			usable(t, c)
			if g.TargetSaw(t, marker) {
				t.Error("the target has seen a denied statement")
			}
		})
	}
}

func TestHeldClientThatDisconnectsCancelsTheMessage(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, nil)
	marker := kit.Marker("gone")
	held := c.Go(t, insertNote, marker)
	m := g.AwaitMessage(t, marker)
	c.Hang()
	if _, err := held.Wait(t); err == nil {
		t.Fatal("the statement of a client that is gone succeeded")
	}
	m.Await(t, "cancelled")
	if err := m.Click(t.Context(), kit.Dana, "Approve"); !errors.Is(err, kit.ErrNoButton) {
		t.Errorf("the cancelled message still offers Approve (%v)", err)
	}
	kit.Never(t, 300*time.Millisecond, g.NotSeen(t, marker))
}

func TestCancelRequestEndsTheHold(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, nil)
	marker := kit.Marker("cancel")
	held := c.Go(t, insertNote, marker)
	m := g.AwaitMessage(t, marker)
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := held.Wait(t)
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Code != "57014" {
		t.Fatalf("got %v, want query_canceled (57014)", err)
	}
	m.Await(t, "cancelled")
	usable(t, c)
	if g.TargetSaw(t, marker) {
		t.Error("the target has seen a cancelled statement")
	}
}

func TestHoldExpires(t *testing.T) {
	g := shared.Get(t)
	withPolicy(t, g, "expires.yaml", `rules:
  - name: impatient
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/impatient, repository_id: "1003", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA], count: 1, channel: C0PROD}
    deadline: 1s
  - name: impatient-reads
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/impatient, repository_id: "1003", repository_owner_id: "2002"}]
    when: command.class == "read"
`)
	c := g.Connect(t, kit.Claims{"repository": "acme/impatient", "repository_id": "1003"})
	marker := kit.Marker("expires")
	_, err := c.Exec(t.Context(), insertNote, marker)
	kit.Refused(t, err, "GS1302")
	g.AwaitMessage(t, marker).Await(t, "expired")
	usable(t, c)
	if g.TargetSaw(t, marker) {
		t.Error("the target has seen an expired statement")
	}
}

// A hold in a transaction that has written would block others for as long as a
// person takes to look.
func TestStatementIsRefusedRatherThanHeldOnceItsTransactionHasWritten(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, nil)
	first, second := kit.Marker("first"), kit.Marker("second")
	if _, err := c.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	held := c.Go(t, insertNote, first)
	g.AwaitMessage(t, first).Approve(t, kit.Dana)
	if _, err := held.Wait(t); err != nil {
		t.Fatal(err)
	}
	_, err := c.Exec(t.Context(), insertNote, second)
	kit.Refused(t, err, "GS1205")
	if _, err := c.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	usable(t, c)
	if g.TargetSaw(t, second) {
		t.Error("the target has seen a refused statement")
	}
}

func running(t *testing.T, r *kit.Running) {
	t.Helper()
	select {
	case <-r.Done():
		tag, err := r.Wait(t)
		t.Fatalf("the statement ended before the decision: %v, %v", tag, err)
	default:
	}
}

// usable fails unless the connection answers, in step, in both protocols.
func usable(t *testing.T, c *kit.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, mode := range modes {
		var got int64
		if err := c.QueryRow(ctx, "SELECT count(*) + $1::bigint FROM orders", mode, int64(7)).Scan(&got); err != nil || got != 37 {
			t.Fatalf("the connection is out of step (%s): %d, %v", name, got, err)
		}
	}
}
