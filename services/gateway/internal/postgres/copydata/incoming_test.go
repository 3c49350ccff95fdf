package copydata

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// shown reads data in pieces of the given sizes and returns the values by row.
func shown(f Format, src []byte, pieces []int) (rows [][]string, err error) {
	var cell []byte
	begun := false
	r := NewIncoming(f, func(column int, piece []byte, last bool) error {
		if !begun {
			begun = true
			if column == 0 {
				rows = append(rows, nil)
			}
		}
		if cell = append(cell, piece...); last {
			if len(rows) == 0 || len(rows[len(rows)-1]) != column {
				return fmt.Errorf("column %d behind %q", column, rows)
			}
			rows[len(rows)-1] = append(rows[len(rows)-1], string(cell))
			cell, begun = nil, false
		}
		return nil
	})
	for i := 0; len(src) > 0; i++ {
		n := min(len(src), max(1, pieces[i%len(pieces)]))
		if err := r.Feed(bytes.Clone(src[:n])); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return rows, r.End()
}

// TestIncoming: however a client writes its values, and wherever the data is
// cut, they are shown as they are.
func TestIncoming(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFormat(t)
		f.Header = false
		var rows [][][]byte
		var want [][]string
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			var row [][]byte
			var cells []string
			for range f.Columns {
				v := rapid.StringOfN(rapid.SampledFrom([]rune("ab\"'\\,;\t\n\r@exyN.!|Z\x01\v\b\fé07")), 0, 8, -1).Draw(t, "value")
				row, cells = append(row, []byte(v)), append(cells, v)
			}
			rows, want = append(rows, row), append(want, cells)
		}
		src := written(t, f, rows)
		if f.Kind != Binary {
			want = append(want, []string{""}) // behind the last line's end
		}
		got, err := shown(f, src, rapid.SliceOfN(rapid.IntRange(1, 9), 1, 6).Draw(t, "pieces"))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%+v, %q: %v\n%s", f, src, err, diff)
		}
	})
}

// written writes rows in one of the many ways that a server takes.
func written(t *rapid.T, f Format, rows [][][]byte) []byte {
	var b []byte
	if f.Kind == Binary {
		b = append(b, "PGCOPY\n\377\r\n\000\000\000\000\000"...)
		extension := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "extension")
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(extension))), extension...)
	}
	for _, row := range rows {
		if f.Kind == Binary {
			b = binary.BigEndian.AppendUint16(b, uint16(len(row)))
		}
		for i, v := range row {
			if i > 0 && f.Kind != Binary {
				b = append(b, f.Delimiter)
			}
			switch f.Kind {
			case Binary:
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
			case Text:
				b = append(b, escaped7(t, f, v)...)
			case CSV:
				b = append(b, quotedPartly(t, f, v)...)
			}
		}
		if f.Kind != Binary {
			b = append(b, rapid.SampledFrom([]string{"\n", "\r"}).Draw(t, "end")...)
		}
	}
	if f.Kind == Binary {
		b = append(b, 255, 255)
	}
	return b
}

// escaped7 escapes some characters in text format, and all that have to be.
func escaped7(t *rapid.T, f Format, v []byte) (out []byte) {
	for i, c := range v {
		must := c == '\\' || c == '\n' || c == '\r' || c == f.Delimiter
		if !must && rapid.IntRange(0, 3).Draw(t, "escape") > 0 {
			out = append(out, c)
			continue
		}
		digit := i+1 < len(v) && (v[i+1] >= '0' && v[i+1] <= '9' || v[i+1] >= 'a' && v[i+1] <= 'f')
		switch way := rapid.IntRange(0, 4).Draw(t, "way"); {
		case way == 0 && (c < '0' || c > '9') && (c < 'a' || c > 'z'):
			out = append(out, '\\', c)
		case way == 1 && !digit:
			out = append(out, fmt.Sprintf(`\x%X`, c)...)
		case way == 2:
			out = append(out, fmt.Sprintf(`\x%02x`, c)...)
		case way == 3 && !digit:
			out = append(out, fmt.Sprintf(`\%o`, c)...)
		default:
			out = append(out, fmt.Sprintf(`\%03o`, c)...)
		}
	}
	return out
}

// quotedPartly quotes a part of a value in CSV, and all that has to be.
func quotedPartly(t *rapid.T, f Format, v []byte) (out []byte) {
	in := false
	for _, c := range v {
		must := c == f.Delimiter || c == f.Quote || c == '\n' || c == '\r'
		if next := must || rapid.IntRange(0, 3).Draw(t, "quote") == 0; next != in && (must || f.Escape != f.Quote || len(out) == 0) {
			out, in = append(out, f.Quote), next
		}
		if in && (c == f.Quote || c == f.Escape) {
			out = append(out, f.Escape)
		}
		out = append(out, c)
	}
	if in {
		out = append(out, f.Quote)
	}
	return out
}

func TestIncomingMalformed(t *testing.T) {
	const header = "PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000"
	for name, src := range map[string]string{
		"no signature": "gst_ gst_ gst_ gst_ gst_", "fewer fields than none": header + "\377\376", "a length below none": header + "\000\001\377\377\377\376",
		"an endless extension": header[:15] + "\377\377\377\377planted",
	} {
		if _, err := shown(Format{Kind: Binary}, []byte(src), []int{1}); err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What ends early is shown as far as it goes.
	for _, c := range []struct {
		f    Format
		src  string
		want string
	}{
		{Format{Kind: Text, Delimiter: '\t'}, `a\`, "a"},
		{Format{Kind: Text, Delimiter: '\t'}, `a\x`, "ax"},
		{Format{Kind: Text, Delimiter: '\t'}, `\14`, "\f"},
		{Format{Kind: CSV, Delimiter: ',', Quote: '"', Escape: '"'}, `"ab`, "ab"},
		{Format{Kind: CSV, Delimiter: ',', Quote: '"', Escape: '"'}, `"ab"`, "ab"},
		{Format{Kind: CSV, Delimiter: ',', Quote: '"', Escape: '!'}, `"ab!`, "ab!"},
	} {
		got, err := shown(c.f, []byte(c.src), []int{1})
		if err != nil || len(got) != 1 || got[0][0][:len(c.want)] != c.want {
			t.Errorf("%q: %q, %v", c.src, got, err)
		}
	}
}

// FuzzIncoming: any data is shown the same, however it is cut.
func FuzzIncoming(f *testing.F) {
	f.Add(byte(0), byte('\t'), byte(0), byte(0), []byte("1\ta\\tb\\x41\\101\n\\N\t\n"))
	f.Add(byte(1), byte(','), byte('"'), byte('"'), []byte("a,b\n1,x\"\"\"\n,\"\n,\n"))
	f.Add(byte(1), byte(';'), byte('\''), byte('\\'), []byte("'\\'';NULL\n"))
	f.Add(byte(2), byte(0), byte(0), byte(0), []byte("PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000\000\002\000\000\000\001x\377\377\377\377\377\377"))
	f.Fuzz(func(t *testing.T, kind, delimiter, quote, escape byte, src []byte) {
		format := Format{Kind: Kind(kind % 3), Delimiter: delimiter, Quote: quote, Escape: escape}
		whole, err := shown(format, src, []int{len(src)})
		cut, cutErr := shown(format, src, []int{1})
		if diff := cmp.Diff(whole, cut); diff != "" || (err == nil) != (cutErr == nil) {
			t.Fatalf("%v, %v: %s", err, cutErr, diff)
		}
	})
}
