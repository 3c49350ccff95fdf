package wire

import "encoding/binary"

// DecodeDataRow appends the cells of a row to dst; nil is NULL.
func DecodeDataRow(dst [][]byte, src []byte) ([][]byte, error) {
	b := body{src: src}
	for range b.count(4) {
		dst = append(dst, b.value())
	}
	return dst, b.end()
}

// AppendDataRow appends a row.
func AppendDataRow(dst []byte, cells [][]byte) []byte {
	dst, at := begin(dst, DataRow)
	dst = appendInt16(dst, int16(len(cells))) //nolint:gosec // as many as came in one row
	for _, c := range cells {
		if c == nil {
			dst = appendInt32(dst, -1)
			continue
		}
		dst = appendInt32(dst, int32(len(c))) //nolint:gosec // bounded by the limit of a row
		dst = append(dst, c...)
	}
	return end(dst, at)
}

// MaskDataRows appends a block of whole DataRows with some of their cells
// replaced: mask is called for those that are touched and not NULL, and returns
// what stands in their place; nil is NULL. All else is copied as it came. Each
// row must have as many cells as touched.
func MaskDataRows(dst, block []byte, touched []bool, mask func(cell int, value []byte) []byte) ([]byte, error) {
	for len(block) > 0 {
		if len(block) < headerSize+2 || block[0] != DataRow {
			return dst, ErrMalformed
		}
		size := 1 + int(binary.BigEndian.Uint32(block[1:]))
		if size < headerSize+2 || size > len(block) || int(binary.BigEndian.Uint16(block[headerSize:])) != len(touched) {
			return dst, ErrMalformed
		}
		var err error
		if dst, err = maskDataRow(dst, block[:size], touched, mask); err != nil {
			return dst, err
		}
		block = block[size:]
	}
	return dst, nil
}

// maskDataRow is MaskDataRows for one of them. What is not touched goes over in
// as few pieces as there are.
func maskDataRow(dst, row []byte, touched []bool, mask func(int, []byte) []byte) ([]byte, error) {
	start := len(dst)
	copied := 0 // of row
	at := headerSize + 2
	for i := range touched {
		if len(row)-at < 4 {
			return dst, ErrMalformed
		}
		size := int(int32(binary.BigEndian.Uint32(row[at:]))) //nolint:gosec // -1 is NULL
		value := at + 4
		if size < 0 { // NULL
			if size != -1 {
				return dst, ErrMalformed
			}
			at = value
			continue
		}
		if size > len(row)-value {
			return dst, ErrMalformed
		}
		next := value + size
		if touched[i] {
			dst = append(dst, row[copied:at]...)
			if masked := mask(i, row[value:next:next]); masked == nil {
				dst = appendInt32(dst, -1)
			} else {
				dst = appendInt32(dst, int32(len(masked))) //nolint:gosec // bounded by the limit of a row
				dst = append(dst, masked...)
			}
			copied = next
		}
		at = next
	}
	if at != len(row) {
		return dst, ErrMalformed
	}
	dst = append(dst, row[copied:]...)
	return end(dst, start+1), nil
}
