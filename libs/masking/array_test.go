package masking

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"
)

// arrays are the array types that are masked, with the types of their elements.
var arrays = map[uint32]uint32{
	pgtype.TextArrayOID: pgtype.TextOID, pgtype.VarcharArrayOID: pgtype.VarcharOID, pgtype.JSONArrayOID: pgtype.JSONOID,
	pgtype.JSONBArrayOID: pgtype.JSONBOID, pgtype.ByteaArrayOID: pgtype.ByteaOID,
}

var arrayKinds = map[uint32]Kind{
	pgtype.TextOID: KindText, pgtype.VarcharOID: KindText, pgtype.JSONOID: KindJSON, pgtype.JSONBOID: KindJSONB, pgtype.ByteaOID: KindBytes,
}

// TestRedteam14_Arrays: an array stays an array of its own type in both formats,
// whatever is masked in it, and no secret is left.
func TestRedteam14_Arrays(t *testing.T) {
	types := pgtype.NewMap()
	engines := map[string]*Engine{}
	for _, rule := range []string{"column: t.c, strategy: hash", "column: t.c, strategy: partial", "column: t.c, strategy: token", "column: t.c, strategy: redact", "detectors: [all], strategy: redact", "detectors: [all], strategy: null"} {
		engines[rule] = engine(t, "masks:\n  - {name: a, "+rule+"}\n")
	}
	word := rapid.OneOf(rapid.StringN(0, 10, 40), rapid.SampledFrom([]string{`"`, `\`, "{}", "NULL", "null", "", " ", ",", "a,b"}))
	rapid.Check(t, func(t *rapid.T) {
		var values []any
		var planted []string
		oid := rapid.SampledFrom(keysOf(arrays)).Draw(t, "type")
		elem := arrays[oid]
		for range rapid.IntRange(0, 4).Draw(t, "length") {
			w := word.Draw(t, "word")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				values = append(values, nil)
				continue
			case 1:
				w = secrets().Draw(t, "secret")
				planted = append(planted, w)
				w = " " + w + " "
			}
			switch arrayKinds[elem] {
			case KindText:
				values = append(values, strings.ReplaceAll(w, "\x00", ""))
			case KindBytes:
				values = append(values, []byte(w))
			default:
				values = append(values, quoteJSON([]byte(w)))
			}
		}
		binary := rapid.Bool().Draw(t, "binary")
		format := int16(pgtype.TextFormatCode)
		if binary {
			format = pgtype.BinaryFormatCode
		}
		var cell []byte
		var err error
		if cell, err = types.Encode(oid, format, pgtype.Array[any]{Elements: values, Dims: []pgtype.ArrayDimension{{Length: int32(len(values)), LowerBound: 1}}, Valid: true}, nil); err != nil {
			t.Fatal(err)
		}
		c := ResultColumn{Name: "a", Kind: arrayKinds[elem], Element: elem, Binary: binary, Origin: Column{Table: "t", Name: "c"}}
		for rule, e := range engines {
			p, err := e.Plan("x", []ResultColumn{c})
			if err != nil {
				t.Fatal(err)
			}
			before := bytes.Clone(cell)
			masked, changed := p.Mask(0, cell)
			if !bytes.Equal(before, cell) || !changed && !bytes.Equal(masked, cell) {
				t.Fatalf("%s: the input was altered", rule)
			}
			typ, _ := types.TypeForOID(oid)
			back, err := typ.Codec.DecodeValue(types, oid, format, masked)
			if err != nil {
				t.Fatalf("%s: %q became %q: %v", rule, cell, masked, err)
			}
			if n := len(back.([]any)); n != len(values) && rule != "column: t.c, strategy: redact" {
				t.Fatalf("%s: %d elements became %d", rule, len(values), n)
			}
			for _, w := range planted {
				if bytes.Contains(masked, []byte(w)) {
					t.Fatalf("%s: %q is in %q", rule, w, masked)
				}
			}
		}
	})
}

func keysOf(m map[uint32]uint32) []uint32 {
	var out []uint32
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func TestArrayTexts(t *testing.T) {
	star := func([]byte) ([]byte, bool) { return []byte(`*"\`), true }
	null := func([]byte) ([]byte, bool) { return nil, true }
	same := func(v []byte) ([]byte, bool) { return v, false }
	for cell, want := range map[string][3]string{
		`{}`:                       {`{}`, `{}`, `{}`},
		`{a,NULL,"b c","NULL",""}`: {`{"*\"\\",NULL,"*\"\\","*\"\\","*\"\\"}`, `{NULL,NULL,NULL,NULL,NULL}`, `{a,NULL,"b c","NULL",""}`},
		`[2:3]={{a},{"}\""}}`:      {`[2:3]={{"*\"\\"},{"*\"\\"}}`, `[2:3]={{NULL},{NULL}}`, `[2:3]={{a},{"}\""}}`},
	} {
		for i, mask := range []element{star, null, same} {
			got, changed, ok := textArray([]byte(cell), mask)
			if string(got) != want[i] || !ok || changed != (want[i] != cell) {
				t.Errorf("%s: %s, %v, %v; want %s", cell, got, changed, ok, want[i])
			}
		}
	}
	for _, cell := range []string{"", "a", "{", "}", "{a", `{"a`, `{"a\`, `{a\`, "{a}}", "{a}b", "[1:2]", `{a{b}`, `{a"b"}`} {
		if got, _, ok := textArray([]byte(cell), star); ok && cell != "" {
			t.Errorf("%q is read as %q", cell, got)
		}
	}
}

// FuzzArray: no cell hurts, and what is not masked keeps its bytes.
func FuzzArray(f *testing.F) {
	f.Add([]byte(`[0:1]={"a b",NULL,{c}}`))
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x19\x00\x00\x00\x02\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, cell []byte) {
		for _, binary := range []bool{false, true} {
			c := ResultColumn{Kind: KindText, Element: oidText, Binary: binary}
			if got, changed, ok := array(c, cell, func(v []byte) ([]byte, bool) { return v, false }); ok && (changed || !bytes.Equal(got, cell)) {
				t.Fatalf("%q became %q", cell, got)
			}
			got, _, ok := array(c, cell, func([]byte) ([]byte, bool) { return []byte("*"), true })
			if !ok {
				continue
			}
			if again, _, ok := array(c, got, func([]byte) ([]byte, bool) { return []byte("*"), true }); !ok || !bytes.Equal(got, again) {
				t.Fatalf("%q, masked %q, reads as %q, %v", cell, got, again, ok)
			}
		}
	})
}
