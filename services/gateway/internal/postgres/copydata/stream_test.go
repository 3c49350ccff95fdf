package copydata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// masker changes the columns that fn is set for.
type masker []func([]byte) []byte

func (m masker) Untouched(i int) bool { return m[i] == nil }

func (m masker) Mask(i int, v []byte) ([]byte, bool) {
	out := m[i](v)
	return out, out == nil || !bytes.Equal(out, v)
}

// asServer writes rows as PostgreSQL's copyto.c does. It is written after that,
// apart from the code under test.
func asServer(f Format, rows [][][]byte, forced bool) []byte {
	var b []byte
	if f.Kind == Binary {
		b = append(b, "PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000"...)
	}
	if f.Header {
		var names [][]byte
		for _, c := range f.Columns {
			names = append(names, []byte(c))
		}
		rows = append([][][]byte{names}, rows...)
	}
	for n, row := range rows {
		if f.Kind == Binary {
			b = binary.BigEndian.AppendUint16(b, uint16(len(row)))
		}
		for i, v := range row {
			if i > 0 && f.Kind != Binary {
				b = append(b, f.Delimiter)
			}
			switch {
			case f.Kind == Binary && v == nil:
				b = append(b, 255, 255, 255, 255)
			case f.Kind == Binary:
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
			case v == nil:
				b = append(b, f.Null...)
			case f.Kind == Text:
				b = append(b, escape(f, v)...)
			default:
				b = append(b, quote(f, v, forced && (!f.Header || n > 0), len(row) == 1)...)
			}
		}
		if f.Kind != Binary {
			b = append(b, '\n')
		}
	}
	if f.Kind == Binary {
		b = append(b, 255, 255)
	}
	return b
}

func escape(f Format, v []byte) string {
	return strings.NewReplacer("\\", "\\\\", "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`, string(f.Delimiter), `\`+string(f.Delimiter)).Replace(string(v))
}

func quote(f Format, v []byte, forced, alone bool) string {
	s := string(v)
	if !forced && s != f.Null && !strings.ContainsAny(s, string(f.Delimiter)+string(f.Quote)+"\r\n") && (!alone || s != `\.`) {
		return s
	}
	s = strings.ReplaceAll(s, string(f.Escape), string(f.Escape)+string(f.Escape))
	if f.Escape != f.Quote {
		s = strings.ReplaceAll(s, string(f.Quote), string(f.Escape)+string(f.Quote))
	}
	return string(f.Quote) + s + string(f.Quote)
}

func drawFormat(t *rapid.T) Format {
	f := Format{Kind: Kind(rapid.IntRange(0, 2).Draw(t, "kind")), Delimiter: '\t', Null: `\N`, Header: rapid.Bool().Draw(t, "header")}
	switch f.Kind {
	case Text:
		f.Delimiter = rapid.SampledFrom([]byte("\t,|@Z\x01")).Draw(t, "delimiter")
		f.Null = rapid.SampledFrom([]string{`\N`, ""}).Draw(t, "null")
	case CSV:
		f.Delimiter = rapid.SampledFrom([]byte(",;\t@e\\")).Draw(t, "delimiter")
		f.Quote = rapid.SampledFrom([]byte(`"'x`)).Draw(t, "quote")
		f.Escape = rapid.SampledFrom([]byte{f.Quote, '\\', 'y', '!'}).Draw(t, "escape")
		f.Null = rapid.SampledFrom([]string{"", "NULL", `\N`}).Draw(t, "null")
		if f.Delimiter == '\\' && f.Null == `\N` {
			f.Null = ""
		}
	case Binary:
		f.Header = false
	}
	for range rapid.IntRange(1, 4).Draw(t, "columns") {
		f.Columns = append(f.Columns, rapid.SampledFrom([]string{"id", "email", "Odd,\t\"name\"\n", "xe@"}).Draw(t, "column"))
	}
	return f
}

// TestStream: whatever the format and the values are, and wherever the data is
// cut, masking it gives what the server would have written of masked values.
func TestStream(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.IntRange(0, 5).Draw(t, "NULL") == 0 {
			return nil
		}
		return []byte(rapid.StringOfN(rapid.SampledFrom([]rune("ab\"'\\,;\t\n\r@exyN.!|Z\x01\v\b\fé")), 0, 8, -1).Draw(t, "value"))
	})
	masks := []func([]byte) []byte{
		nil, func(v []byte) []byte { return v }, func([]byte) []byte { return nil }, func([]byte) []byte { return []byte("***") },
		func(v []byte) []byte { return append([]byte("\n\",\\\t'"), v...) }, func([]byte) []byte { return []byte{} },
	}
	rapid.Check(t, func(t *rapid.T) {
		f := drawFormat(t)
		m := make(masker, len(f.Columns))
		for i := range m {
			m[i] = masks[rapid.IntRange(0, len(masks)-1).Draw(t, "mask")]
		}
		var rows, masked [][][]byte
		for range rapid.IntRange(0, 4).Draw(t, "rows") {
			var row, out [][]byte
			for i := range f.Columns {
				v := value.Draw(t, "value")
				if f.Kind == Text && string(v) == f.Null { // as NULL is
					v = nil
				}
				row, out = append(row, v), append(out, v)
				if m[i] != nil && v != nil {
					out[i] = m[i](v)
				}
			}
			rows, masked = append(rows, row), append(masked, out)
		}
		src, want := asServer(f, rows, false), asServer(f, masked, false)
		got := feed(t, New(f, m), src, rapid.SliceOfN(rapid.IntRange(0, 9), 1, 6).Draw(t, "pieces"))
		if !bytes.Equal(got, want) {
			t.Fatalf("%+v\nfrom %q\ngot  %q\nwant %q", f, src, got, want)
		}
		if f.Kind == CSV { // values that the server quoted without need
			forced := asServer(f, rows, true)
			if got := feed(t, New(f, make(masker, len(f.Columns))), forced, []int{1}); !bytes.Equal(got, forced) {
				t.Fatalf("%q changed to %q", forced, got)
			}
		}
	})
}

func feed(t *rapid.T, s *Stream, src []byte, pieces []int) []byte {
	var out []byte
	for i := 0; len(src) > 0; i++ {
		n := min(len(src), pieces[i%len(pieces)]+i%2)
		var err error
		if out, err = s.Feed(out, bytes.Clone(src[:n])); err != nil {
			t.Fatalf("%v at %q", err, src)
		}
		src = src[n:]
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRedteam14_MalformedCopyData: data that no server writes never passes.
func TestRedteam14_MalformedCopyData(t *testing.T) {
	hide := masker{nil, func([]byte) []byte { return []byte("***") }}
	two := []string{"id", "email"}
	header := "PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000"
	csv := Format{Kind: CSV, Delimiter: ',', Quote: '"', Escape: '"', Columns: two}
	text := Format{Kind: Text, Delimiter: '\t', Null: `\N`, Columns: two}
	bin := Format{Kind: Binary, Columns: two}
	with := func(f Format, change func(*Format)) Format { change(&f); return f }
	for name, c := range map[string]struct {
		f   Format
		src string
	}{
		"a cell more":               {text, "1\tplanted\tplanted\n"},
		"a cell less":               {text, "planted\n"},
		"a line that goes on":       {text, "1\tplanted\\\nplanted\n"},
		"an escape of its own":      {text, "1\t\\x70lanted\n"},
		"the old end":               {text, "\\.\nplanted\n"},
		"no end":                    {text, "1\tplanted"},
		"no end, quoted":            {csv, "1,\"planted\n"},
		"text behind a quote":       {csv, "1,\"a\"planted\n"},
		"a quote in the middle":     {csv, "1,a\"planted\"\n"},
		"a carriage return":         {csv, "1,planted\r\n"},
		"csv, a cell more":          {csv, "1,planted,planted\n"},
		"csv, a cell less":          {csv, "planted\n"},
		"an escape of nothing":      {with(csv, func(f *Format) { f.Escape = '\\' }), "1,\"\\planted\"\n"},
		"another header":            {with(csv, func(f *Format) { f.Header = true }), "1,planted\n"},
		"a short header":            {with(text, func(f *Format) { f.Header = true }), "planted\n"},
		"no signature":              {bin, "planted planted planted planted"},
		"flags":                     {bin, header[:12] + "\001\000\000\000\000\000\000" + "\000\002"},
		"an extension":              {bin, header[:15] + "\000\000\000\007planted"},
		"a field more":              {bin, header + "\000\003\377\377\377\377\377\377\377\377\000\000\000\007planted"},
		"a field less":              {bin, header + "\000\001\000\000\000\007planted"},
		"fewer fields than none":    {bin, header + "\377\376\000\000\000\007planted"},
		"a length below none":       {bin, header + "\000\002\377\377\377\377\377\377\377\376planted"},
		"data behind the trailer":   {bin, header + "\377\377planted"},
		"no trailer":                {bin, header},
		"in the middle of a field":  {bin, header + "\000\002\377\377\377\377\000\000\000\010planted"},
		"no columns, and something": {Format{Kind: Text, Delimiter: '\t', Null: `\N`}, "planted\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := hide
			if len(c.f.Columns) == 0 {
				m = nil
			}
			s := New(c.f, m)
			out, err := s.Feed(nil, []byte(c.src))
			if err == nil {
				err = s.End()
			}
			if !errors.Is(err, ErrMalformed) || bytes.Contains(out, []byte("planted")) {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	f := Format{Kind: Text, Delimiter: '\t', Null: `\N`, Columns: []string{"a"}}
	s := New(f, nil)
	s.MaxRow = 10
	if _, err := s.Feed(nil, []byte("1\n01234567890")); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	s = New(f, nil)
	s.MaxRows = 2
	out, err := s.Feed(nil, []byte("1\n2\n3\n"))
	if !errors.Is(err, ErrLimit) || string(out) != "1\n2\n" || s.Rows != 2 {
		t.Errorf("%q, %v", out, err)
	}
	// A NULL that a value may look like is masked as one.
	s = New(Format{Kind: Text, Delimiter: '\t', Null: "secret", Columns: []string{"a"}}, masker{func([]byte) []byte { return []byte("***") }})
	if out, err := s.Feed(nil, []byte("secret\n")); err != nil || string(out) != "***\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// FuzzStream: any data in any format neither hurts nor depends on how it is cut,
// and what no mask changes keeps its bytes.
func FuzzStream(f *testing.F) {
	f.Add(byte(0), byte('\t'), byte(0), byte(0), `\N`, []byte("1\ta\\tb\n\\N\t\n"))
	f.Add(byte(1), byte(','), byte('"'), byte('"'), "", []byte("a,b\n1,\"x\"\"\n,\"\n,\n"))
	f.Add(byte(1), byte(';'), byte('\''), byte('\\'), "NULL", []byte("'\\'';NULL\n"))
	f.Add(byte(2), byte(0), byte(0), byte(0), "", []byte("PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000\000\002\000\000\000\001x\377\377\377\377\377\377"))
	f.Fuzz(func(t *testing.T, kind, delimiter, quote, escape byte, null string, src []byte) {
		format := Format{Kind: Kind(kind % 3), Delimiter: delimiter, Quote: quote, Escape: escape, Null: null, Header: kind >= 128, Columns: []string{"a", "b"}}
		hide := masker{nil, func([]byte) []byte { return []byte("*") }}
		keep := masker{nil, func(v []byte) []byte { return v }}
		whole, err := New(format, hide).Feed(nil, src)
		slow := New(format, hide)
		var cut []byte
		var cutErr error
		for i := 0; i < len(src) && cutErr == nil; i++ {
			cut, cutErr = slow.Feed(cut, src[i:i+1])
		}
		if !bytes.Equal(whole, cut) || (err == nil) != (cutErr == nil) {
			t.Fatalf("whole %q, %v\ncut %q, %v", whole, err, cut, cutErr)
		}
		s := New(format, keep)
		same, err := s.Feed(nil, src)
		if !bytes.HasPrefix(src, same) || err == nil && s.End() == nil && !bytes.Equal(src, same) {
			t.Fatalf("%q became %q", src, same)
		}
	})
}
