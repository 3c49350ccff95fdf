package wire

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
