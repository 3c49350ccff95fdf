package postgres_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestCopyHeld: no data is asked for before somebody has approved, and none is
// taken of a COPY that is denied.
func TestCopyHeld(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS held_rows; CREATE TABLE held_rows (id int)"); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision { return seamtest.Decision{Hold: c.Facts.Class == "write"} }})
	for _, messages := range [][]pgproto3.FrontendMessage{simple("COPY held_rows FROM STDIN"), join(extended("COPY held_rows FROM STDIN"), syncs)} {
		r := dialRaw(t, g.config(t))
		r.send(t, join(messages, data("1\n"), done, syncs)...) // all of it at once
		h := <-g.Held()
		if seen(t, "COPY held_rows FROM STDIN --") {
			t.Error("it was forwarded while held")
		}
		h.Approve()
		got := r.until(t, 1)
		if end := got[len(got)-2]; end != "complete COPY 1" {
			t.Errorf("%q", got)
		}
		r = dialRaw(t, g.config(t))
		r.send(t, join(messages, data("2\n"), done, syncs)...)
		(<-g.Held()).Deny()
		if got := r.until(t, 1); got[len(got)-2] != "error GS1301" {
			t.Errorf("%q", got)
		}
	}
	if got := dialRaw(t, directConfig(t)).query(t, "SELECT id FROM held_rows"); len(got) != 5 {
		t.Errorf("%q", got)
	}
}

// TestCopyDurable: nothing of a COPY passes before its intent is on disk.
func TestCopyDurable(t *testing.T) {
	durable := make(chan struct{})
	g := start(t, &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision { return seamtest.Decision{Durable: durable} }})
	r := dialRaw(t, g.config(t))
	r.send(t, simple("COPY (SELECT 1 /* durable copy */) TO STDOUT")...)
	eventually(t, "the target has seen it", func() bool { return seen(t, "durable copy") })
	_ = r.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if m, err := r.Receive(); err == nil {
		t.Errorf("%s came before", say(m))
	}
	close(durable)
	_ = r.SetReadDeadline(time.Now().Add(10 * time.Second))
	equal(t, "then", r.until(t, 1), []string{"copy out 0 [0]", `data "1\n"`, "CopyDone", "complete COPY 1", "ready I"})
}

// TestCopyClientGone: of a client that goes away in the middle nothing is kept.
func TestCopyClientGone(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS gone_rows; CREATE TABLE gone_rows (id int, note text)"); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{})
	for name, leave := range map[string]func(r *raw){
		"closed":                     func(r *raw) { _ = r.Close() },
		"half closed":                func(r *raw) { _ = r.Conn.(interface{ CloseWrite() error }).CloseWrite() },
		"terminated":                 func(r *raw) { r.Send(&pgproto3.Terminate{}); _ = r.Flush() },
		"in the middle of a message": func(r *raw) { _, _ = r.Write([]byte("d\x00\x10\x00\x00123\tabc\n")); _ = r.Close() },
	} {
		for _, messages := range [][]pgproto3.FrontendMessage{simple("COPY gone_rows FROM STDIN /* " + name + " */"), extended("COPY gone_rows FROM STDIN /* " + name + " */")} {
			r := dialRaw(t, g.config(t))
			r.send(t, join(messages, data("1\ta\n", "2\tb\n"))...)
			eventually(t, "the target wants data", func() bool { return seen(t, "/* "+name+" */") })
			leave(r)
			a := g.Admitted(name)
			eventually(t, name+": an outcome that is no success", func() bool { o, _ := a[len(a)-1].Outcome(); return o != nil && o.Status != "ok" })
		}
	}
	if got := dialRaw(t, directConfig(t)).query(t, "SELECT id FROM gone_rows"); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// TestCopyCancelled: a cancel during COPY meets the COPY.
func TestCopyCancelled(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	r.send(t, simple("COPY (SELECT g, pg_sleep(0.01) FROM generate_series(1, 100000) g /* cancelled copy */) TO STDOUT")...)
	eventually(t, "it runs", func() bool { return seen(t, "cancelled copy") })
	g.cancelRequest(t, r.pid, r.key)
	got := r.until(t, 1)
	equal(t, "the end", got[len(got)-2:], []string{"error 57014", "ready I"})
	r.send(t, simple("COPY scratch FROM STDIN")...)
	if m, err := r.Receive(); err != nil || say(m) != "copy in 0 [0 0]" {
		t.Fatal(m, err)
	}
	g.cancelRequest(t, r.pid, r.key)
	r.send(t, data("12345\ta\n", "12346\tb\n")...)
	got = r.until(t, 1)
	equal(t, "cancelled in", got, []string{"error 57014", "ready I"})
	equal(t, "in step", r.query(t, "SELECT 1 AS a"), []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
}

// TestCopyLargeMessages: huge messages pass in both directions without being held
// whole.
func TestCopyLargeMessages(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS huge; CREATE TABLE huge (note text)"); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: emails})
	r := dialRaw(t, g.config(t))
	note := strings.Repeat("x", 20<<20) + "\n"
	r.send(t, join(simple("COPY huge FROM STDIN"), data(note+note[:3<<20], note[3<<20:]+"\\.\n"), done)...)
	equal(t, "in", r.until(t, 1), []string{"copy in 0 [0]", "complete COPY 2", "ready I"})
	r.send(t, simple("COPY huge TO STDOUT")...)
	if got := copied(t, r); got != note+note {
		t.Errorf("%d bytes came back, of %d", len(got), 2*len(note))
	}
}

// TestCopySlowReader: a client that does not read holds back the target, whether
// the data is masked or not.
func TestCopySlowReader(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails})
	for _, text := range []string{
		"COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT", "COPY (SELECT c.email, repeat('x', 1000) FROM customers c, generate_series(1, 1000)) TO STDOUT CSV",
	} {
		r := dialRaw(t, g.config(t))
		r.send(t, simple(text)...)
		a := g.Admitted(text)
		eventually(t, "it is admitted", func() bool { a = g.Admitted(text); return len(a) == 1 })
		stalled(t, text)
		if o, _ := a[0].Outcome(); o != nil {
			t.Errorf("100 MB are somewhere: %+v", o)
		}
		n := int64(0)
		for {
			m, err := r.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := m.(*pgproto3.CopyData); ok {
				n += int64(len(d.Data))
			}
			if _, ok := m.(*pgproto3.ReadyForQuery); ok {
				break
			}
		}
		if n < 100_000_000 {
			t.Errorf("%d bytes", n)
		}
	}
}

// TestCopyThroughPgx: a driver's own way.
func TestCopyThroughPgx(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS driven; CREATE TABLE driven (id int, note text)"); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: emails})
	conn := g.connect(t)
	rows := make([][]any, 5000)
	for i := range rows {
		rows[i] = []any{i, strings.Repeat("y", i%50)}
	}
	n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"driven"}, []string{"id", "note"}, pgx.CopyFromRows(rows))
	if err != nil || n != 5000 {
		t.Errorf("%d rows, %v", n, err)
	}
	var out strings.Builder
	tag, err := conn.PgConn().CopyTo(t.Context(), &out, "COPY driven TO STDOUT")
	if err != nil || tag.RowsAffected() != 5000 || strings.Count(out.String(), "\n") != 5000 {
		t.Errorf("%v, %v", tag, err)
	}
	if _, err := conn.PgConn().CopyFrom(t.Context(), io.LimitReader(strings.NewReader("nonsense\n"), 100), "COPY driven FROM STDIN"); err == nil {
		t.Error("nonsense was taken")
	}
}

// stalled waits until the target itself waits for the client to read.
func stalled(t *testing.T, text string) {
	t.Helper()
	admin := direct(t)
	eventually(t, "the target waits", func() bool {
		waits := 0
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND wait_event = 'ClientWrite'", text).Scan(&waits)
		return err == nil && waits > 0
	})
}

// A COPY that has failed, a Sync in its data and a goodbye, sent at once: the
// target answers the Sync, and so the client gets its answer.
func TestSyncInAFailedCopyBeforeTheGoodbye(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS goodbye; CREATE TABLE goodbye (a int, b text)"); err != nil {
		t.Fatal(err)
	}
	sent := []pgproto3.FrontendMessage{
		&pgproto3.Query{String: "COPY goodbye FROM STDIN WHERE false"}, &pgproto3.CopyData{Data: []byte("stray\n")}, &pgproto3.Sync{}, &pgproto3.Terminate{},
	}
	want := converse(t, dialRaw(t, directConfig(t)), sent)
	for range 20 { // whichever comes first
		equal(t, "through the gateway", converse(t, dialRaw(t, g.config(t)), sent), want)
	}
}

// A Sync or Flush has no body. A server answers one that has with an error of its
// own, and drops what follows: what hides in it must not put answers out of step.
func TestRedteam11_FlushWithABody(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	for _, kind := range []byte{'H', 'S'} {
		r := dialRaw(t, g.config(t))
		hidden := []byte{kind, 0, 0, 0, 4 + 13, 'Q', 0, 0, 0, 12, 'S', 'E', 'L', 'E', 'C', 'T', ' ', '1'}
		raw, err := (&pgproto3.Query{String: "SELECT 2 AS a"}).Encode(hidden)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Write(raw); err != nil {
			t.Fatal(err)
		}
		got, err := r.rest()
		if err != nil {
			t.Fatalf("%c: after %q: %v", kind, got, err)
		}
		equal(t, string(kind), got, []string{"error GS1502"})
	}
	if n := len(g.Admitted("")); n != 0 {
		t.Errorf("%d commands were admitted", n)
	}
}
