package wire_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// What is rewritten in place is what decoding, masking and encoding give.
func TestMaskDataRowsIsDecodeMaskEncode(t *testing.T) {
	mask := func(cell int, value []byte) []byte {
		switch len(value) % 4 {
		case 0:
			return nil
		case 1:
			return value
		case 2:
			return append([]byte{byte(cell)}, bytes.Repeat(value, 2)...)
		default:
			return []byte{}
		}
	}
	cell := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 20))
	rapid.Check(t, func(t *rapid.T) {
		touched := rapid.SliceOfN(rapid.Bool(), 0, 6).Draw(t, "touched")
		var block, want []byte
		for range rapid.IntRange(0, 4).Draw(t, "rows") {
			row := rapid.SliceOfN(cell, len(touched), len(touched)).Draw(t, "row")
			block = wire.AppendDataRow(block, row)
			for i, v := range row {
				if touched[i] && v != nil {
					row[i] = mask(i, v)
				}
			}
			want = wire.AppendDataRow(want, row)
		}
		got, err := wire.MaskDataRows([]byte("before"), block, touched, mask)
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Fatalf("%v\n got %x\nwant %x", err, got, want)
		}
	})
}

func FuzzMaskDataRows(f *testing.F) {
	f.Add(wire.AppendDataRow(nil, [][]byte{[]byte("a"), nil, {}}), 3)
	f.Add([]byte{'D', 0, 0, 0, 6, 0xff, 0xff}, 0)
	f.Fuzz(func(t *testing.T, block []byte, columns int) {
		touched := make([]bool, min(max(columns, 0), 100))
		for i := range touched {
			touched[i] = i%2 == 0
		}
		keep := func(_ int, v []byte) []byte { return v }
		got, err := wire.MaskDataRows(nil, block, touched, keep)
		if err == nil && !bytes.Equal(got, block) {
			t.Errorf("a mask that changes nothing made %x of %x", got, block)
		}
	})
}

func BenchmarkMaskDataRows(b *testing.B) {
	var block []byte
	row := [][]byte{[]byte("123456"), []byte("2026-01-01 00:00:00+00"), []byte("Person number 123456"), []byte("person.123456@example.com"), bytes.Repeat([]byte("x"), 80)}
	const rows = 300
	for range rows {
		block = wire.AppendDataRow(block, row)
	}
	touched := []bool{false, false, false, true, false}
	masked := []byte("p***@example.com")
	dst := make([]byte, 0, len(block))
	for b.Loop() {
		if _, err := wire.MaskDataRows(dst, block, touched, func(int, []byte) []byte { return masked }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}
