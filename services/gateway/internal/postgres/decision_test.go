package postgres_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// denying refuses the commands whose text contains mark.
func denying(mark string) func(*seam.Command) seamtest.Decision {
	return func(c *seam.Command) seamtest.Decision {
		if strings.Contains(c.Text, mark) {
			return seamtest.Decision{Refuse: &refusal.Refusal{Code: refusal.DeniedByRule, Rule: "no-such-thing", ID: "cmd_1", Message: "not this", Hint: "Do that."}}
		}
		return seamtest.Decision{}
	}
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// onlyOutcome returns how the one command with a mark ended.
func onlyOutcome(t testing.TB, g *seamtest.Gate, mark string) seam.Outcome {
	t.Helper()
	eventually(t, "an outcome of "+mark, func() bool {
		a := g.Admitted(mark)
		if len(a) != 1 {
			return false
		}
		o, _ := a[0].Outcome()
		return o != nil
	})
	o, n := g.Admitted(mark)[0].Outcome()
	if n != 1 {
		t.Errorf("%d outcomes of %s", n, mark)
	}
	return *o
}

func TestRedteam06_SeveralStatementsInOne(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: denying("forbidden")})
	r := dialRaw(t, g.config(t))
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"the last is denied":    {"SELECT 11 /* m_a */; UPDATE scratch SET note = 'forbidden'", []string{"error GS1201", "ready I"}},
		"hidden by a comment":   {"SELECT 12 /* m_b /* nested */ ; */; UPDATE scratch SET note = 'forbidden'", []string{"error GS1201", "ready I"}},
		"hidden by a quote":     {"SELECT $x$;'$x$; UPDATE scratch SET note = 'forbidden'", []string{"error GS1201", "ready I"}},
		"each has its answer":   {"SELECT 13 AS a; SELECT 14 AS b", []string{"columns a:23/0", `row ["13"]`, "complete SELECT 1", "columns b:23/0", `row ["14"]`, "complete SELECT 1", "ready I"}},
		"a backslash is a rune": {`SELECT '\'; UPDATE scratch SET note = 'forbidden' --'`, []string{"error GS1201", "ready I"}},
	} {
		t.Run(name, func(t *testing.T) {
			r.send(t, &pgproto3.Query{String: c.text})
			equal(t, c.text, r.until(t, 1), c.want)
		})
	}
	if len(g.Admitted("m_a")) != 0 || seen(t, "m_a") {
		t.Error("a part of a denied text was admitted, or forwarded")
	}
}

func TestOutcomesOfSeveralStatements(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Query{String: "UPDATE scratch SET note = 'o_first' WHERE id < 0; SELECT 1/0 /* o_second */; SELECT 1 /* o_third */"})
	equal(t, "answers", r.until(t, 1), []string{"complete UPDATE 0", "error 22012", "ready I"})
	if o := onlyOutcome(t, g.Gate, "o_first"); o.Status != "error" || o.Code != "22012" || !strings.Contains(o.Message, "rolled back") {
		t.Errorf("what was rolled back ended %+v", o)
	}
	if o := onlyOutcome(t, g.Gate, "o_second"); o.Status != "error" || o.Code != "22012" {
		t.Errorf("what failed ended %+v", o)
	}
	if o := onlyOutcome(t, g.Gate, "o_third"); o.Status != "not_executed" {
		t.Errorf("what came after ended %+v", o)
	}
	r.send(t, &pgproto3.Query{String: "SELECT id FROM customers LIMIT 5 /* o_rows */"})
	r.until(t, 1)
	if o := onlyOutcome(t, g.Gate, "o_rows"); o.Status != "ok" || o.Rows != 5 || o.Bytes == 0 || o.Duration <= 0 {
		t.Errorf("a read ended %+v", o)
	}
}

// TestOutcomeOfWhatForgetsNames runs statements after which the gateway trusts
// no name: how they end is still theirs.
func TestOutcomeOfWhatForgetsNames(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	for mark, c := range map[string]struct{ text, want string }{
		"of_raise": {"DO $$ BEGIN RAISE EXCEPTION 'x' /* of_raise */; END $$", "error"},
		"of_do":    {"DO $$ BEGIN NULL /* of_do */; END $$", "ok"},
	} {
		r.send(t, &pgproto3.Parse{Query: c.text}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		r.until(t, 1)
		if o := onlyOutcome(t, g.Gate, mark); o.Status != c.want {
			t.Errorf("%s ended %+v", c.text, o)
		}
	}
}

func TestRefusalTeaches(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: denying("forbidden")})
	r := dialRaw(t, g.config(t))
	r.Send(&pgproto3.Query{String: "UPDATE scratch SET note = 'forbidden'"})
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	m, err := r.Receive()
	e, ok := m.(*pgproto3.ErrorResponse)
	if err != nil || !ok || e.Severity != "ERROR" || e.Code != "42501" || e.Message != "GS1201: not this" || e.Hint != "Do that." ||
		e.Detail != `gatestay: {"code":"GS1201","rule":"no-such-thing","id":"cmd_1"}` || e.Position != 0 {
		t.Errorf("%v, %+v", err, m)
	}
}

func TestRedteam09_EachExecutionIsDecided(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		for _, p := range c.Parameters {
			if string(p.Value) == "13" || slices.Equal(p.Value, []byte{0, 0, 0, 13}) {
				return seamtest.Decision{Refuse: &refusal.Refusal{Code: refusal.DeniedByRule, Message: "not thirteen"}}
			}
		}
		return seamtest.Decision{}
	}})
	conn := g.connect(t)
	if _, err := conn.Prepare(t.Context(), "q", "SELECT id + $1::int FROM customers WHERE id = 1 /* e_each */"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 13, 3} {
		var got int
		err := conn.QueryRow(t.Context(), "q", n).Scan(&got)
		if n == 13 {
			if err == nil || !strings.Contains(err.Error(), "GS1201") {
				t.Errorf("13: %v", err)
			}
			continue
		}
		if err != nil || got != n+1 {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
	if n := len(g.Admitted("e_each")); n != 4 {
		t.Errorf("%d executions were decided, not 4", n)
	}
	if p := g.Admitted("e_each")[0].Parameters; len(p) != 1 || p[0].Type != 23 || p[0].Format != 1 {
		t.Errorf("parameters: %+v", p)
	}
}

func TestRedteam09_Pipeline(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: denying("forbidden")})
	r := dialRaw(t, g.config(t))
	one := func(text string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	r.send(t, slices.Concat(one("UPDATE scratch SET note = 'p_before' WHERE id < 0"), one("UPDATE scratch SET note = 'forbidden'"),
		one("UPDATE scratch SET note = 'p_behind' WHERE id < 0"), []pgproto3.FrontendMessage{&pgproto3.Sync{}, &pgproto3.Query{String: "SELECT 1"}})...)
	equal(t, "answers", r.until(t, 2), []string{
		"ParseComplete", "BindComplete", "complete UPDATE 0", "error GS1201", "ready I", "columns ?column?:23/0", `row ["1"]`, "complete SELECT 1", "ready I",
	})
	if o := onlyOutcome(t, g.Gate, "p_before"); o.Status != "error" || !strings.Contains(o.Message, "rolled back") {
		t.Errorf("what came before ended %+v", o)
	}
	if seen(t, "p_behind") {
		t.Error("what came behind a refusal was forwarded")
	}
}

func TestHoldInPipeline(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "held")}
	}})
	r := dialRaw(t, g.config(t))
	one := func(text string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	sync := []pgproto3.FrontendMessage{&pgproto3.Sync{}}
	t.Run("what came before is answered first", func(t *testing.T) {
		r.send(t, slices.Concat(one("SELECT 1 /* hp_1 */"), one("SELECT 2 /* held_1 */"), one("SELECT 3 /* hp_2 */"), sync)...)
		h := <-g.Held()
		if !seen(t, "hp_1") || seen(t, "hp_2") || seen(t, "held_1") {
			t.Error("before the decision the target has seen too little, or too much")
		}
		h.Approve()
		got := r.until(t, 1)
		want := []string{"ParseComplete", "BindComplete", `row ["1"]`, "complete SELECT 1", "ParseComplete", "notice 00000"}
		equal(t, "answers", got[:len(want)], want)
		equal(t, "answers", got[len(want):], []string{
			"BindComplete", `row ["2"]`, "complete SELECT 1", "ParseComplete", "BindComplete", `row ["3"]`, "complete SELECT 1", "ready I",
		})
	})
	t.Run("an error before it spares the approver", func(t *testing.T) {
		r.send(t, slices.Concat(one("SELECT 1/0"), one("SELECT 2 /* held_2 */"), sync)...)
		got := r.until(t, 1)
		equal(t, "answers", got, []string{"ParseComplete", "error 22012", "ready I"})
		if len(g.Admitted("held_2")) != 0 {
			t.Error("a command was held although the target would drop it")
		}
	})
	t.Run("a transaction that has written is not held", func(t *testing.T) {
		r.send(t, &pgproto3.Query{String: "BEGIN"}, &pgproto3.Query{String: "UPDATE scratch SET note = 'locked' WHERE id < 0"}, &pgproto3.Query{String: "SELECT 3 /* held_3 */"}, &pgproto3.Query{String: "ROLLBACK"})
		got := r.until(t, 4)
		equal(t, "answers", got, []string{"complete BEGIN", "ready T", "complete UPDATE 0", "ready T", "error GS1205", "ready E", "complete ROLLBACK", "ready I"})
	})
	t.Run("a transaction that has only read is", func(t *testing.T) {
		r.send(t, &pgproto3.Query{String: "BEGIN"}, &pgproto3.Query{String: "SELECT 1 FROM customers LIMIT 1"}, &pgproto3.Query{String: "SELECT 4 /* held_4 */"}, &pgproto3.Query{String: "COMMIT"})
		h := <-g.Held()
		if h.Command.State.InTransaction != 'T' || h.Command.Dirty {
			t.Errorf("%c, %v", h.Command.State.InTransaction, h.Command.Dirty)
		}
		h.Approve()
		r.until(t, 4)
	})
}

func TestCancelOfHold(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "held")}
	}})
	for _, messages := range [][]pgproto3.FrontendMessage{
		{&pgproto3.Query{String: "SELECT 1 /* held */"}},
		{&pgproto3.Parse{Query: "SELECT 1 /* held */"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}},
	} {
		r := dialRaw(t, g.config(t))
		r.send(t, messages...)
		<-g.Held()
		g.cancelRequest(t, r.pid, r.key)
		var last *pgproto3.ErrorResponse
		for ready := false; !ready; {
			m, err := r.Receive()
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *pgproto3.ErrorResponse:
				e := *m
				last = &e
			case *pgproto3.ReadyForQuery:
				ready = true
			}
		}
		if last == nil || last.Code != "57014" || !strings.Contains(last.Detail, "GS1303") {
			t.Errorf("%+v", last)
		}
	}
}

func TestRedteam11_ForgedCancel(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r, other := dialRaw(t, g.config(t)), dialRaw(t, g.config(t))
	if len(r.key) != 4 || r.pid == other.pid || slices.Equal(r.key, other.key) {
		t.Fatalf("keys: %d %x, %d %x", r.pid, r.key, other.pid, other.key)
	}
	r.send(t, &pgproto3.Query{String: "SELECT pg_sleep(0.5) /* forged */"})
	eventually(t, "it runs", func() bool { return seen(t, "forged") })
	wrong := slices.Clone(r.key)
	wrong[3] ^= 1
	g.cancelRequest(t, r.pid, wrong)
	g.cancelRequest(t, r.pid, other.key)
	g.cancelRequest(t, other.pid, other.key)
	g.cancelRequest(t, 0, nil)
	if got := r.until(t, 1); got[len(got)-2] != "complete SELECT 1" {
		t.Errorf("a forged cancel worked: %q", got)
	}
	// The target's own key, which a client has no way to know, is not taken.
	if _, err := direct(t).Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
}

// TestLateCancel cancels again and again while short commands run: a cancel
// never hits a later one than it was meant for, and the session stays in step.
func TestLateCancel(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	r := dialRaw(t, g.config(t))
	for range 30 {
		r.send(t, &pgproto3.Query{String: "SELECT 1"})
		g.cancelRequest(t, r.pid, r.key)
		got := r.until(t, 1)
		if last := got[len(got)-2]; last != "complete SELECT 1" && last != "error 57014" {
			t.Fatalf("%q", got)
		}
		// This one was sent after the cancel was answered.
		r.send(t, &pgproto3.Query{String: "SELECT 2"})
		equal(t, "the next", r.until(t, 1), []string{"columns ?column?:23/0", `row ["2"]`, "complete SELECT 1", "ready I"})
	}
}

func TestRedteam08_MessagesThatAreNotForwarded(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	for name, c := range map[string]struct {
		messages []pgproto3.FrontendMessage
		want     []string
	}{
		"CopyData without a COPY": {[]pgproto3.FrontendMessage{&pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyDone{}, &pgproto3.Sync{}}, []string{"ready I"}},
		"the gateway's own name":  {[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "gatestay_inquiry", Query: "SELECT 1"}, &pgproto3.Sync{}}, []string{"error GS1501", "ready I"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			r.send(t, append(c.messages, &pgproto3.Query{String: "SELECT 1"})...)
			equal(t, name, r.until(t, 2), append(c.want, "columns ?column?:23/0", `row ["1"]`, "complete SELECT 1", "ready I"))
		})
	}
}

func TestRedteam11_MalformedMessages(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	message := func(typ byte, body string) []byte {
		return append([]byte{typ, 0, 0, byte((len(body) + 4) >> 8), byte(len(body) + 4)}, body...)
	}
	sync := message('S', "")
	for name, c := range map[string]struct {
		raw  []byte
		want []string
	}{
		"a Query without an end":             {message('Q', "SELECT 1"), []string{"error GS1502", "ready I"}},
		"a Query with more than its text":    {message('Q', "SELECT 1\x00more"), []string{"error GS1502", "ready I"}},
		"a Bind that lies about its values":  {append(message('B', "\x00\x00\x00\x00\xff\xff"), sync...), []string{"error GS1502", "ready I"}},
		"a Bind with a negative length":      {append(message('B', "\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00"), sync...), []string{"error GS1502", "ready I"}},
		"a Bind with a format of its own":    {append(message('B', "\x00\x00\x00\x01\x00\x07\x00\x00\x00\x00"), sync...), []string{"error GS1502", "ready I"}},
		"a Parse that lies about its types":  {append(message('P', "\x00SELECT 1\x00\x7f\xff"), sync...), []string{"error GS1502", "ready I"}},
		"a Describe of nothing known":        {append(message('D', "X\x00"), sync...), []string{"error GS1502", "ready I"}},
		"an Execute without a maximum":       {append(message('E', "\x00"), sync...), []string{"error GS1502", "ready I"}},
		"a Close without a name":             {append(message('C', "S"), sync...), []string{"error GS1502", "ready I"}},
		"a length below four":                {[]byte{'Q', 0, 0, 0, 3}, nil},
		"a negative length":                  {[]byte{'Q', 0xff, 0xff, 0xff, 0xff}, nil},
		"a type that there is not":           {message('z', ""), nil},
		"a password in the middle":           {message('p', "again\x00"), nil},
		"an Execute longer than any":         {append([]byte{'E', 0, 2, 0, 0}, make([]byte, 2<<16-4)...), []string{}},
		"a StartupMessage after the start":   {startup("user\x00mallory"), nil},
		"a length just above the limit of 2": {[]byte{'Q', 0x80, 0, 0, 0}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			write(t, r.Conn, c.raw)
			switch {
			case c.want == nil: // fatal
				got, _ := r.rest()
				equal(t, name, got, []string{"error GS1502"})
			case len(c.want) == 0:
				write(t, r.Conn, sync)
				equal(t, name, r.until(t, 1), []string{"error GS1406", "ready I"})
			default:
				equal(t, name, r.until(t, 1), c.want)
				r.send(t, &pgproto3.Query{String: "SELECT 1"})
				equal(t, "after it", r.until(t, 1), []string{"columns ?column?:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
			}
		})
	}
}

func TestBatch(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	conn := g.connect(t)
	b := &pgx.Batch{}
	for i := range 50 {
		b.Queue("SELECT $1::int + id FROM customers WHERE id = $2", i, i%100+1)
	}
	results := conn.SendBatch(context.Background(), b)
	for i := range 50 {
		var n int
		if err := results.QueryRow().Scan(&n); err != nil || n != i+i%100+1 {
			t.Fatalf("%d: %d, %v", i, n, err)
		}
	}
	if err := results.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(g.Admitted("$1::int + id")); n != 50 {
		t.Errorf("%d of 50 were decided", n)
	}
}

func TestUnreadableTextIsUnknown(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if c.Facts.Class == command.Unknown {
			return seamtest.Decision{Refuse: &refusal.Refusal{Code: refusal.CommandUnknown, Message: c.Facts.Why}}
		}
		return seamtest.Decision{}
	}})
	r := dialRaw(t, g.config(t))
	for _, text := range []string{"SELECT FROM WHERE", "SELECT 'unterminated", "UPDATE scratch SET note = 'x' RETURNING WITH (OLD AS o) o.note", "DO $$ BEGIN END $$", "SELECT volatile_write()"} {
		r.send(t, &pgproto3.Query{String: text})
		equal(t, text, r.until(t, 1), []string{"error GS1203", "ready I"})
		r.send(t, &pgproto3.Parse{Query: text}, &pgproto3.Sync{})
		equal(t, text, r.until(t, 1), []string{"error GS1203", "ready I"})
	}
	conn := g.connect(t)
	for text, state := range map[string]string{"selec 1": "42601", "SELECT volatile_write()": "42501"} {
		var e *pgconn.PgError
		if _, err := conn.Exec(t.Context(), text); !errors.As(err, &e) || e.Code != state {
			t.Errorf("%s: %v, want SQLSTATE %s", text, err, state)
		}
	}
	if a := g.Admitted("unterminated"); len(a) != 1 || !a[0].Facts.IsUnknown("objects") {
		t.Errorf("%+v", a)
	}
}
