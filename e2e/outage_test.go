package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

var parts = []string{kit.Gateway, kit.Policy, kit.Masking, kit.Approval, kit.Archival, kit.Bus, kit.ClickHouse}

// Whatever is killed while writes flow: each write that the target saw is in
// the audit, once, in order within its session, when all is back.
func TestKillingAnyPartLosesNoRecordOfWhatTheTargetSaw(t *testing.T) {
	for _, part := range parts {
		t.Run(part, func(t *testing.T) {
			g := shared.Get(t)
			w := write(t, g)
			w.await(t, 20)
			g.Kill(t, part)
			// The others go on, or refuse; either way some more are tried.
			w.awaitTried(t, 10)
			g.Start(t, part)
			w.awaitDone(t, 20)
			w.stop()
			audited(t, g, w.marker)
		})
	}
}

// writer is a job that inserts one marked row after the other, and connects
// again when it must.
type writer struct {
	marker      string
	tried, done atomic.Int64
	cancel      context.CancelFunc
	ended       sync.WaitGroup
}

func write(t *testing.T, g *kit.Gatestay) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{marker: kit.Marker("flow"), cancel: cancel}
	w.ended.Go(func() {
		var c *kit.Client
		for ctx.Err() == nil {
			if c == nil {
				token, err := g.Issuer.Mint("github-actions", kit.Importer)
				if err != nil {
					t.Error(err)
					return
				}
				dial, stop := context.WithTimeout(ctx, 5*time.Second)
				c, err = g.Dial(dial, kit.Target, token, nil)
				stop()
				if err != nil {
					w.tried.Add(1)
					pause(ctx)
					continue
				}
			}
			n := w.tried.Add(1)
			one, stop := context.WithTimeout(ctx, 10*time.Second)
			_, err := c.Exec(one, fmt.Sprintf("INSERT INTO notes (author, body) VALUES ('%s', 'row %d')", w.marker, n))
			stop()
			switch {
			case err == nil:
				w.done.Add(1)
			case c.IsClosed():
				c = nil
			default:
				pause(ctx)
			}
		}
		if c != nil {
			c.Hang()
		}
	})
	t.Cleanup(w.stop)
	return w
}

// pause keeps a refused writer from spinning.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

func (w *writer) stop() {
	w.cancel()
	w.ended.Wait()
}

func (w *writer) await(t *testing.T, done int64) { t.Helper(); w.reach(t, &w.done, done) }

func (w *writer) awaitDone(t *testing.T, more int64) {
	t.Helper()
	w.reach(t, &w.done, w.done.Load()+more)
}

func (w *writer) awaitTried(t *testing.T, more int64) {
	t.Helper()
	w.reach(t, &w.tried, w.tried.Load()+more)
}

func (w *writer) reach(t *testing.T, counter *atomic.Int64, n int64) {
	t.Helper()
	kit.Eventually(t, 40*time.Second, func() error {
		if now := counter.Load(); now < n {
			return fmt.Errorf("%d of %d writes", now, n)
		}
		return nil
	})
}

// audited compares what the target saw of a marker with what the audit holds.
func audited(t *testing.T, g *kit.Gatestay, marker string) {
	t.Helper()
	saw := map[string]bool{}
	for _, line := range strings.Split(g.TargetRan(t), "\n") {
		if _, row, ok := strings.Cut(line, marker+"', 'row "); ok {
			number, _, _ := strings.Cut(row, "'")
			saw[number] = true
		}
	}
	if len(saw) == 0 {
		t.Fatal("the target has seen nothing; the test shows nothing")
	}
	about := "session_id IN (SELECT session_id FROM records WHERE statement LIKE '%" + marker + "%')"
	rows := g.AwaitRows(t, "SELECT * FROM records WHERE producer LIKE 'gateway/%' AND "+about+" ORDER BY session_id, session_sequence", func(rows []kit.Row) error {
		if missing := unrecorded(saw, rows, marker); len(missing) > 0 {
			return fmt.Errorf("%d of %d statements that the target saw have no intent record: %v", len(missing), len(saw), missing[:min(5, len(missing))])
		}
		return gaps(rows)
	})
	ids, last := map[string]int{}, map[string]int{}
	for _, r := range rows {
		if ids[r.String("id")]++; ids[r.String("id")] > 1 {
			t.Errorf("record %s is there %d times", r.String("id"), ids[r.String("id")])
		}
		last[r.String("session_id")]++
	}
	t.Logf("%d statements seen by the target, %d records of %d sessions, each once and in order", len(saw), len(rows), len(last))
}

func unrecorded(saw map[string]bool, rows []kit.Row, marker string) (missing []string) {
	intents := map[string]bool{}
	for _, r := range rows {
		if _, row, ok := strings.Cut(r.String("statement"), marker+"', 'row "); ok && strings.Contains(r.String("kind"), "intent") {
			number, _, _ := strings.Cut(row, "'")
			intents[number] = true
		}
	}
	for number := range saw {
		if !intents[number] {
			missing = append(missing, number)
		}
	}
	return missing
}

// gaps reports a session whose sequence numbers are not 1, 2, 3, …
func gaps(rows []kit.Row) error {
	next := map[string]int{}
	for _, r := range rows {
		session := r.String("session_id")
		next[session]++
		if got := r.String("session_sequence"); got != fmt.Sprint(next[session]) {
			return fmt.Errorf("session %s: record %s follows %d", session, got, next[session]-1)
		}
	}
	return nil
}

// Whatever is killed while a statement is held: it does not run without its
// approval.
func TestKillingAnyPartLetsNoHeldStatementThrough(t *testing.T) {
	for _, part := range parts {
		t.Run(part, func(t *testing.T) {
			g := shared.Get(t)
			c := g.Connect(t, nil)
			marker := kit.Marker("held")
			held := c.Go(t, insertNote, marker)
			m := g.AwaitMessage(t, marker)
			g.Kill(t, part)
			kit.Never(t, 500*time.Millisecond, g.NotSeen(t, marker))
			g.Start(t, part)
			kit.Never(t, 500*time.Millisecond, g.NotSeen(t, marker))

			// Either the hold survived and a click releases it, or it ended with
			// an error and a click changes nothing.
			_ = m.Click(t.Context(), kit.Dana, "Approve")
			_, err := held.Wait(t)
			if ran := g.TargetSaw(t, marker); ran != (err == nil) {
				t.Errorf("the client was told %v, and the target has seen the statement: %v", err, ran)
			}
			if part != kit.Gateway && part != kit.Policy && err != nil {
				t.Errorf("the hold did not survive: %v", err)
			}
		})
	}
}

// A gateway that cannot hear the control plane could not hear a freeze.
func TestGatewayCutOffFromTheBusAdmitsNothing(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, kit.Importer)
	usable(t, c)
	g.Kill(t, kit.Bus)
	kit.Eventually(t, 15*time.Second, func() error {
		_, err := c.Exec(t.Context(), "SELECT item FROM orders LIMIT 1")
		if err == nil {
			return errors.New("still admitted")
		}
		kit.Refused(t, err, "GS14")
		return nil
	})
	marker := kit.Marker("cutoff")
	_, err := c.Exec(t.Context(), insertNote, marker)
	kit.Refused(t, err, "GS14")
	if g.TargetSaw(t, marker) {
		t.Error("the target has seen a statement of a cut-off gateway")
	}
	g.Start(t, kit.Bus)
	kit.Eventually(t, 15*time.Second, func() error {
		_, err := c.Exec(t.Context(), insertNote, marker)
		return err
	})
	g.AwaitRecord(t, "statement LIKE '%notes%' AND arrayExists(p -> p LIKE '%"+marker+"%', parameters)", 1)
}
