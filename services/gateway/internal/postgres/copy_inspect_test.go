package postgres_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/copydata"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// marked refuses values that have the word MADE in them.
type marked struct{ value []byte }

func (m *marked) Look(i int, piece []byte, last bool) error {
	m.value = append(m.value, piece...)
	found := bytes.Contains(m.value, []byte("MADE"))
	if last {
		m.value = m.value[:0]
	}
	if found {
		return &refusal.Refusal{Code: refusal.MaskWrittenBack, Message: fmt.Sprintf("column %d", i)}
	}
	return nil
}

// inspecting is a gate that looks at all data, and notes the columns it is for.
func inspecting(columns func([]string)) *seamtest.Gate {
	return &seamtest.Gate{Decide: func(*seam.Command) seamtest.Decision {
		return seamtest.Decision{Written: func(c []string) (seam.Inspector, error) {
			if columns != nil {
				columns(c)
			}
			return &marked{}, nil
		}}
	}}
}

func copyHeader(fields ...string) string {
	b := []byte("PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000")
	for row := range slices.Chunk(fields, 2) {
		b = binary.BigEndian.AppendUint16(b, 2)
		for _, f := range row {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		}
	}
	return string(append(b, 255, 255))
}

// TestRedteam13_CopyOfWhatAMaskMade: whatever the format, and wherever the data is
// cut, nothing of a COPY with such a value is kept, and the connection is in step.
func TestRedteam13_CopyOfWhatAMaskMade(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS guarded; CREATE TABLE guarded (a text, b text)"); err != nil {
		t.Fatal(err)
	}
	g := start(t, inspecting(nil))
	for _, c := range []struct{ with, bad, good string }{
		{"", "1\tx\n2\tMADE\n3\ty\n", "1\tM\\tADE\n"},
		{"", "1\tM\\101\\x44E\n", "1\tM\\\\101DE\n"},
		{"", "1\tx\n2\tMADE", "1\tMAD"},
		{"", "MADE\tx\n\\.\n", "MAD\tE\n\\.\n"},
		{"(FORMAT csv)", "1,x\n2,MADE\n", "1,MA\n2,DE\n"},
		{"(FORMAT csv)", "1,M\"A\"\"\"\n2,\"MA\"D\"E\"\n", "1,\"M\nA\"\n"},
		{"(FORMAT csv, DELIMITER 'A')", "1Ax\n2A\"MADE\"\n", "MADE\n"},
		{"(FORMAT csv, QUOTE 'A', ESCAPE 'M')", "1,x\n2,AMAA\n3,AMMMADEA\n", "1,MADEA\n"},
		{"(FORMAT csv, HEADER)", "a,b\n1,MADE\n", "a,b\n1,M\n"},
		{"(FORMAT binary)", copyHeader("1", "x", "2", "MADE"), copyHeader("1", "MA", "DE", "2")},
		{"(ENCODING 'LATIN1')", "1\tMADE\n", "1\t\xe9\n"},
	} {
		text := "COPY guarded FROM STDIN " + c.with
		for _, messages := range [][]pgproto3.FrontendMessage{simple(text), join(extended(text), syncs)} {
			r := dialRaw(t, g.config(t))
			for _, size := range []int{1, 2, 7, len(c.bad)} {
				var pieces []string
				for p := range slices.Chunk([]byte(c.bad), size) {
					pieces = append(pieces, string(p))
				}
				r.send(t, join(messages, data(pieces...), done, syncs)...)
				got := r.until(t, 1)
				if len(messages) == 1 { // of the Sync
					got = append(got, r.until(t, 1)...)
				}
				if i := slices.Index(got, "error GS1223"); i < 0 || slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "complete") }) {
					t.Errorf("%s %q in pieces of %d: %q", text, c.bad, size, got)
				}
				equal(t, text+": in step", r.query(t, "SELECT count(*) AS n FROM guarded"), []string{"columns n:20/0", `row ["0"]`, "complete SELECT 1", "ready I"})
			}
			r.send(t, join(messages, data(c.good), done, syncs)...)
			got := r.until(t, 1)
			if len(messages) == 1 {
				got = append(got, r.until(t, 1)...)
			}
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "complete COPY") }) {
				t.Errorf("%s %q: %q", text, c.good, got)
			}
			r.query(t, "TRUNCATE guarded")
		}
	}
	all := g.Admitted("COPY guarded")
	if o, n := all[0].Outcome(); n != 1 || o.Status != "error" || o.Code != "GS1223" {
		t.Errorf("the outcome is %+v, %d times", o, n)
	}
}

// TestCopyThatFailsAndIsRefused: what the target refuses by itself first, and what
// the gateway cannot read, leave the connection in step, too.
func TestCopyThatFailsAndIsRefused(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS guarded_ids; CREATE TABLE guarded_ids (id int)"); err != nil {
		t.Fatal(err)
	}
	g := start(t, inspecting(nil))
	for _, c := range []struct {
		text string
		data []string
		want []string // one of them
	}{
		{"COPY guarded_ids FROM STDIN", []string{"1\nx\n", "2\n", "MADE\n", "3\n"}, []string{"error 22P02", "error GS1223"}},
		{"COPY guarded_ids FROM STDIN", []string{"1\n", "MADE\n", "x\n"}, []string{"error GS1223"}},
		{"COPY guarded_ids FROM STDIN (FORMAT binary)", []string{"planted planted planted"}, []string{"error GS1223"}},
		{"COPY guarded_ids FROM STDIN (ENCODING 'SJIS')", []string{"1\n"}, []string{"error GS1223"}},
		{"COPY guarded_ids FROM STDIN", []string{strings.Repeat("1\n", 1<<20) + "MADE\n" + strings.Repeat("1\n", 1<<20)}, []string{"error GS1223"}},
	} {
		for _, messages := range [][]pgproto3.FrontendMessage{simple(c.text), join(extended(c.text), syncs), simple("BEGIN; " + c.text + "; SELECT 1")} {
			r := dialRaw(t, g.config(t))
			r.send(t, join(messages, data(c.data...), done, syncs)...)
			got := r.until(t, 1)
			if len(messages) == 1 || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "copy in") }) {
				got = append(got, r.until(t, 1)...) // the second Sync's, where the first was not ignored
			}
			if !slices.ContainsFunc(got, func(s string) bool { return slices.Contains(c.want, s) }) || slices.Contains(got, "complete SELECT 1") {
				t.Errorf("%s: %q", c.text, got)
			}
			r.query(t, "ROLLBACK")
			equal(t, c.text+": in step", r.query(t, "SELECT count(*) AS n FROM guarded_ids"), []string{"columns n:20/0", `row ["0"]`, "complete SELECT 1", "ready I"})
		}
	}
}

// TestCopyColumns: the columns that data is for are named, or said to be unknown.
func TestCopyColumns(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS received; CREATE TABLE received (id int, gone int, "Odd, name" text, twice int GENERATED ALWAYS AS (id * 2) STORED, last text);
		ALTER TABLE received DROP COLUMN gone; DROP TABLE IF EXISTS received_fixed; CREATE TABLE received_fixed (id int, one int GENERATED ALWAYS AS (1) STORED)`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	g := start(t, inspecting(func(c []string) {
		mu.Lock()
		defer mu.Unlock()
		got = c
	}))
	r := dialRaw(t, g.config(t))
	r.query(t, "CREATE TEMP TABLE received_here (x int, y int)")
	for what, want := range map[string][]string{
		"received": {"id", "Odd, name", "last"}, `public.received (last, "Odd, name")`: {"last", "Odd, name"}, "received_here": {"x", "y"}, "received_fixed": nil, "received_fixed (id)": {"id"},
	} {
		r.send(t, join(simple("COPY "+what+" FROM STDIN"), done)...)
		if answers := r.until(t, 1); !slices.Contains(answers, "complete COPY 0") {
			t.Errorf("%s: %q", what, answers)
		}
		mu.Lock()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		mu.Unlock()
	}
}

// TestRedteam13_DataIsReadAsTheServerReadsIt: whatever of random data the server
// takes, the gateway has seen the same values.
func TestRedteam13_DataIsReadAsTheServerReadsIt(t *testing.T) {
	conn := direct(t)
	if _, err := conn.Exec(t.Context(), "CREATE TEMP TABLE taken (n int GENERATED ALWAYS AS IDENTITY, a text, b text)"); err != nil {
		t.Fatal(err)
	}
	formats := []struct {
		with string
		f    copydata.Format
	}{
		{"", copydata.Format{Kind: copydata.Text, Delimiter: '\t'}},
		{"DELIMITER '|'", copydata.Format{Kind: copydata.Text, Delimiter: '|'}},
		{"FORMAT csv", copydata.Format{Kind: copydata.CSV, Delimiter: ',', Quote: '"', Escape: '"'}},
		{"FORMAT csv, ESCAPE 'x'", copydata.Format{Kind: copydata.CSV, Delimiter: ',', Quote: '"', Escape: 'x'}},
		{`FORMAT csv, ESCAPE E'\\', QUOTE 'a', DELIMITER '7'`, copydata.Format{Kind: copydata.CSV, Delimiter: '7', Quote: 'a', Escape: '\\'}},
	}
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(formats).Draw(t, "format")
		end := rapid.SampledFrom([]string{"\n", "\r", "\r\n"}).Draw(t, "end")
		cell := rapid.StringOfN(rapid.SampledFrom([]rune("ax\"\\.\r\n7|,\té0")), 0, 6, -1)
		var src string
		for range rapid.IntRange(1, 3).Draw(t, "rows") {
			src += cell.Draw(t, "a") + string(c.f.Delimiter) + cell.Draw(t, "b") + end
		}
		if _, err := conn.Exec(t.Context(), "TRUNCATE taken"); err != nil {
			t.Fatal(err)
		}
		// No value is the string for NULL.
		_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader(src), "COPY taken (a, b) FROM STDIN ("+strings.TrimPrefix(c.with+", NULL 'no such value'", ", ")+")")
		if err != nil {
			return // the server does not take it
		}
		rows, err := conn.Query(t.Context(), "SELECT a, b FROM taken ORDER BY n")
		if err != nil {
			t.Fatal(err)
		}
		var want, seen []string
		var a, b string
		if _, err := pgx.ForEachRow(rows, []any{&a, &b}, func() error { want = append(want, a, b); return nil }); err != nil {
			t.Fatal(err)
		}
		var value []byte
		reader := copydata.NewIncoming(c.f, func(_ int, piece []byte, last bool) error {
			if value = append(value, piece...); last {
				seen, value = append(seen, string(value)), nil
			}
			return nil
		})
		for _, p := range []byte(src) {
			if err := reader.Feed([]byte{p}); err != nil {
				t.Fatal(err)
			}
		}
		if err := reader.End(); err != nil {
			t.Fatal(err)
		}
		// Line ends of two bytes, and the end, are shown as empty lines, which the table
		// cannot have; and what is behind the server's own end is shown, too.
		i := 0
		for _, v := range seen {
			if i < len(want) && v == want[i] {
				i++
			}
		}
		if i < len(want) {
			t.Fatalf("%s: of %q the server took %q, and this was seen: %q", c.with, src, want, seen)
		}
		taken++
	})
	if taken < 10 {
		t.Errorf("the server took %d only", taken)
	}
}
