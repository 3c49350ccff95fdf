package masking

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/refusal"
)

// look shows a value to a guard in pieces of at most n bytes.
func look(g *WriteGuard, column int, value []byte, n int) (refused *refusal.Refusal) {
	for len(value) > n && refused == nil {
		refused = g.Look(column, bytes.Clone(value[:n]), false)
		value = value[n:]
	}
	if r := g.Look(column, value, true); refused == nil {
		refused = r
	}
	return refused
}

// TestRedteam13_DataThatAMaskMadeIsNotWrittenBack however it is cut, and
// whatever stands around it.
func TestRedteam13_DataThatAMaskMadeIsNotWrittenBack(t *testing.T) {
	e := engine(t, tokenMasks)
	columns := []string{"id", "email", "note"}
	rapid.Check(t, func(t *rapid.T) {
		made := rapid.SampledFrom([][]byte{
			e.keys.token([]byte("ada@example.com")), e.keys.token(bytes.Repeat([]byte("long"), 500)), e.keys.hash([]byte("x")),
			[]byte("a•••@•••.example"), []byte("[redacted]"), []byte("see [redacted:none] and [redacted:card]"), []byte(`"[redacted]"`),
		}).Draw(t, "made")
		value := made
		if !bytes.Contains(made, []byte(redacted)) {
			around := rapid.StringOfN(rapid.SampledFrom([]rune("gst_h [].,•é")), 0, 80, -1)
			value = slices3(around.Draw(t, "before")+" ", made, " "+around.Draw(t, "behind"))
		}
		if rapid.Bool().Draw(t, "bytea") {
			value = hex.AppendEncode([]byte(`\x`), value)
		}
		g := e.WriteGuard("x", columns)
		n := rapid.IntRange(1, 40).Draw(t, "piece")
		if r := look(g, 0, []byte("planted"), n); r != nil {
			t.Fatalf("an innocent value: %v", r)
		}
		if r := look(g, 1, value, n); r == nil || r.Code != refusal.MaskWrittenBack || !strings.Contains(r.Message, "email") {
			t.Fatalf("%q in pieces of %d: %v", value, n, r)
		}
		everywhere := bytes.Contains(made, []byte(TokenPrefix)) || bytes.Contains(made, []byte(HashPrefix))
		if r := look(g, 0, value, n); (r != nil) != everywhere {
			t.Fatalf("%q for a column without a mask: %v", value, r)
		}
		if r := look(e.WriteGuard("x", nil), 9, value, n); r == nil {
			t.Fatalf("%q for a column that is not known passed", value)
		}
	})
}

func slices3(a string, b []byte, c string) []byte { return append(append([]byte(a), b...), c...) }

// TestWriteGuardLongValues: what is long is looked at whole, and not kept whole.
func TestWriteGuardLongValues(t *testing.T) {
	e := engine(t, tokenMasks)
	token := string(e.keys.token([]byte("ada@example.com")))
	filler := strings.Repeat(strings.Repeat("filler ", 500)+"gst_ ", 3*guardWindow/3504)
	for name, tc := range map[string]struct {
		value   string
		refused bool
	}{
		"innocent":                   {filler, false},
		"at the end":                 {filler + token, true},
		"in the middle":              {filler + token + " " + filler, true},
		"at the border":              {filler[:guardWindow-20] + " " + token + " " + filler, true},
		"a byte before the border":   {strings.Repeat(" ", guardWindow-1) + token + " " + filler, true},
		"a hint at the border":       {strings.Repeat("x", guardWindow-1) + "•••" + filler, true},
		"ends like a constant":       {strings.Repeat("x", guardWindow) + redacted, false},
		"a token of a long value":    {string(e.keys.token([]byte(strings.Repeat("long", guardWindow/40)))), true},
		"may be a longer token":      {TokenPrefix + strings.Repeat("a", 2*guardWindow), true},
		"a hash and more of its own": {filler + HashPrefix + strings.Repeat("a", 40), false},
	} {
		for _, n := range []int{7777, 64 << 10} {
			g := e.WriteGuard("x", []string{"email"})
			if r := look(g, 0, []byte(tc.value), n); (r != nil) != tc.refused {
				t.Errorf("%s in pieces of %d: %v", name, n, r)
			}
			if r := look(g, 0, hex.AppendEncode([]byte(`\x`), []byte(tc.value)), n); (r != nil) != tc.refused {
				t.Errorf("%s as bytea in pieces of %d: %v", name, n, r)
			}
			if cap(g.rest) > guardWindow/16 {
				t.Errorf("%s: %d bytes are kept", name, cap(g.rest))
			}
		}
	}
}

// TestWriteGuardOff: where nothing could be told by its form, nothing is looked at.
func TestWriteGuardOff(t *testing.T) {
	for name, tc := range map[string]struct {
		masks   string
		columns []string
		on      bool
	}{
		"no masks":                  {"masks:\n  - {name: other, targets: [y], column: public.customers.email, strategy: token}\n", nil, false},
		"a token anywhere":          {tokenMasks, []string{"id"}, true},
		"a detector's hashes":       {"masks:\n  - {name: d, detectors: [email], strategy: hash}\n", []string{"id"}, true},
		"another column's constant": {"masks:\n  - {name: m, column: public.customers.email, strategy: redact}\n", []string{"id"}, false},
		"the column's constant":     {"masks:\n  - {name: m, column: public.customers.email, strategy: redact}\n", []string{"id", "email"}, true},
		"columns not known":         {"masks:\n  - {name: m, column: public.customers.email, strategy: redact}\n", nil, true},
		"shown":                     {"masks:\n  - {name: m, column: public.customers.email, strategy: clear}\n", nil, false},
	} {
		if g := engine(t, tc.masks).WriteGuard("x", tc.columns); (g != nil) != tc.on {
			t.Errorf("%s: %v", name, g != nil)
		}
	}
}

func BenchmarkWriteGuard(b *testing.B) {
	e := engine(b, tokenMasks)
	g := e.WriteGuard("x", []string{"id", "name"})
	value := []byte("a value of a usual length, it is")
	for b.Loop() {
		if g.Look(1, value, true) != nil {
			b.Fatal("refused")
		}
	}
}
