package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

func closed(t testing.TB, g *gateway, session int) string {
	t.Helper()
	eventually(t, "the session is closed", func() bool { return g.Sessions()[session].Closed() != "" })
	return g.Sessions()[session].Closed()
}

func TestDrain(t *testing.T) {
	g := start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.Limits.Drain = 10 * time.Second })
	idle, busy, open := dialRaw(t, g.config(t)), dialRaw(t, g.config(t)), dialRaw(t, g.config(t))
	busy.send(t, &pgproto3.Query{String: "SELECT pg_sleep(0.3) /* draining */"})
	open.query(t, "BEGIN")
	eventually(t, "it runs", func() bool { return seen(t, "draining") })
	g.stop()
	got, _ := idle.rest()
	equal(t, "an idle session", got, []string{"error GS1404"})
	got, _ = busy.rest()
	equal(t, "a busy session", got, []string{"notice 00000", "columns pg_sleep:2278/0", `row [""]`, "complete SELECT 1", "ready I", "error GS1404"})
	equal(t, "a session in a transaction goes on", open.query(t, "SELECT 1 AS a"), []string{"notice 00000", "columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready T"})
	open.send(t, &pgproto3.Query{String: "COMMIT"})
	got, _ = open.rest()
	equal(t, "until it ends", got, []string{"complete COMMIT", "ready I", "error GS1404"})
	for i := range 3 {
		closed(t, g, i)
	}
}

func TestDrainHasALimit(t *testing.T) {
	g := start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.Limits.Drain = 200 * time.Millisecond })
	r := dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Query{String: "SELECT pg_sleep(60) /* dl_slow */"})
	eventually(t, "it runs", func() bool { return seen(t, "dl_slow") })
	g.stop()
	got, _ := r.rest()
	if got[len(got)-1] != "error GS1404" {
		t.Errorf("%q", got)
	}
	if o := onlyOutcome(t, g.Gate, "dl_slow"); o.Status != "cancelled" {
		t.Errorf("%+v", o)
	}
}

func TestTheCoreEndsAHeldSession(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "held")}
	}})
	r := dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Query{String: "SELECT 1 /* held */"})
	<-g.Held()
	g.Sessions()[0].End(&refusal.Refusal{Code: refusal.SessionEnded, Message: "the job has ended"})
	got, _ := r.rest()
	if n := len(got); n > 0 && got[n-1] == "ready I" { // the target may answer before the session is seen to have ended
		got = got[:n-1]
	}
	equal(t, "what the client is told", got, []string{"notice 00000", "error GS1405"})
	if why := closed(t, g, 0); !strings.Contains(why, "GS1405") {
		t.Errorf("closed because %q", why)
	}
}

// A session may end between a command's admission and its way to the target.
func TestTheSessionEndsAsACommandIsAdmitted(t *testing.T) {
	const text = "CREATE TABLE late_one ()"
	for name, sent := range map[string][2][]pgproto3.FrontendMessage{
		"simple":   {{&pgproto3.Sync{}}, {&pgproto3.Query{String: text}}},
		"extended": {{&pgproto3.Parse{Query: text}, &pgproto3.Sync{}}, {&pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}},
	} {
		t.Run(name, func(t *testing.T) {
			var armed atomic.Bool
			deciding, told := make(chan struct{}), make(chan struct{})
			g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision {
				if armed.Load() {
					close(deciding)
					<-told
				}
				return seamtest.Decision{}
			}})
			r := dialRaw(t, g.config(t))
			r.send(t, sent[0]...)
			r.until(t, 1)
			armed.Store(true)
			r.send(t, sent[1]...)
			<-deciding
			g.Sessions()[0].End(&refusal.Refusal{Code: refusal.SessionEnded, Message: "the job has ended"})
			for said := ""; said != "error GS1405"; {
				m, err := r.Receive()
				if err != nil {
					t.Fatal(err)
				}
				said = say(m)
			}
			close(told)
			closed(t, g, 0)
			if o := onlyOutcome(t, g.Gate, "late_one"); o.Status != "not_executed" {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestReminder(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "held")}
	}}, func(o *postgres.Options) { o.Limits.Reminder = 20 * time.Millisecond })
	r := dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Query{String: "SELECT 1 AS a /* held */"})
	h := <-g.Held()
	for range 3 {
		if m, err := r.Receive(); err != nil || say(m) != "notice 00000" {
			t.Fatal(m, err)
		}
	}
	h.Approve()
	got := r.until(t, 1)
	for got[0] == "notice 00000" {
		got = got[1:]
	}
	equal(t, "then", got, []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
}

func TestTerminateDuringAHold(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "held")}
	}})
	r := dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Query{String: "UPDATE scratch SET note = 'held' WHERE id < 0"})
	<-g.Held()
	// Behind more than may be read ahead it is not seen at once, but it is.
	r.send(t, &pgproto3.Sync{}, &pgproto3.Terminate{})
	closed(t, g, 0)
	if seen(t, "note = 'held'") {
		t.Error("the command of a client that was gone has run")
	}
}

// TestTheCoreEndsASlowReader ends a session whose client reads nothing, so that
// it cannot even be told.
func TestTheCoreEndsASlowReader(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	mark := fmt.Sprintf("sr_large_%d", time.Now().UnixNano()) // the server's log remembers earlier runs
	r.send(t, &pgproto3.Query{String: "SELECT repeat('x', 1000) FROM generate_series(1, 200000) /* " + mark + " */"})
	eventually(t, "it runs", func() bool { return seen(t, mark) })
	g.Sessions()[0].End(&refusal.Refusal{Code: refusal.SessionEnded, Message: "the job has ended"})
	closed(t, g, 0)
	if o := onlyOutcome(t, g.Gate, mark); o.Status != "cancelled" {
		t.Errorf("%+v", o)
	}
}

// TestCancelBeforeTheRecordIsDurable cancels while the core is not holding, but
// writing the intent down.
func TestCancelBeforeTheRecordIsDurable(t *testing.T) {
	never := make(chan struct{})
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if strings.Contains(c.Text, "cb_write") {
			return seamtest.Decision{Durable: never, Wait: true}
		}
		return seamtest.Decision{}
	}})
	r := dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Query{String: "UPDATE scratch SET note = 'cb_write' WHERE id < 0"})
	eventually(t, "it waits", func() bool { return len(g.Waiting()) == 1 })
	g.cancelRequest(t, r.pid, r.key)
	equal(t, "cancelled", r.until(t, 1), []string{"error 57014", "ready I"})
	if seen(t, "cb_write") {
		t.Error("it was forwarded")
	}
}

func TestUpstreamGoes(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	admin := direct(t)
	t.Run("while idle", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		if _, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = ''"); err != nil {
			t.Fatal(err)
		}
		got, _ := r.rest()
		equal(t, "what the client is told", got, []string{"error 57P01"})
		closed(t, g, 0)
	})
	t.Run("while running", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		r.send(t, &pgproto3.Query{String: "SELECT pg_sleep(60) /* up_slow */"})
		eventually(t, "it runs", func() bool { return seen(t, "up_slow") })
		if _, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%up_slow%' AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		got, _ := r.rest()
		equal(t, "what the client is told", got, []string{"columns pg_sleep:2278/0", "error 57P01"})
		if o := onlyOutcome(t, g.Gate, "up_slow"); o.Status != "error" || o.Code != "57P01" {
			t.Errorf("%+v", o)
		}
	})
}

// TestClientGoes drops clients at every point of a conversation: the target
// keeps no session and every command has its outcome.
func TestClientGoes(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	talk := []pgproto3.FrontendMessage{
		&pgproto3.Query{String: "BEGIN"}, &pgproto3.Query{String: "UPDATE scratch SET note = 'gone' WHERE id < 0"},
		&pgproto3.Parse{Query: "SELECT * FROM customers"}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 3}, &pgproto3.Sync{}, &pgproto3.Execute{}, &pgproto3.Sync{},
		&pgproto3.Query{String: "SELECT repeat('x', 1000) FROM generate_series(1, 20000)"},
	}
	for n := range talk {
		r := dialRaw(t, g.config(t))
		r.send(t, talk[:n+1]...)
		_ = r.Close()
	}
	for i := range talk {
		closed(t, g, i)
	}
	for _, a := range g.Admitted("") {
		if o, n := a.Outcome(); n != 1 || o.Status == "" {
			t.Errorf("%s ended %+v, said %d times", a.Text, o, n)
		}
	}
}

func TestSlowTargetDoesNotTouchOthers(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	slow := dialRaw(t, g.config(t))
	slow.send(t, &pgproto3.Query{String: "SELECT pg_sleep(60) /* st_hang */"})
	eventually(t, "it runs", func() bool { return seen(t, "st_hang") })
	conn := g.connect(t)
	begun := time.Now()
	for range 20 {
		if err := conn.Ping(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("20 pings took %s", d)
	}
	g.cancelRequest(t, slow.pid, slow.key)
	slow.until(t, 1)
}
