package wire

// DecodeCommandComplete reads a command's tag and the number of rows in it; 0
// where it has none.
func DecodeCommandComplete(src []byte) (tag []byte, rows int64, err error) {
	b := body{src: src}
	tag = b.string()
	if err := b.end(); err != nil {
		return nil, 0, err
	}
	unit := int64(1)
	for i := len(tag) - 1; i >= 0; i-- {
		c := tag[i]
		if c == ' ' {
			return tag, rows, nil
		}
		if c < '0' || c > '9' || unit > 1e17 {
			return tag, 0, nil
		}
		rows += int64(c-'0') * unit
		unit *= 10
	}
	return tag, 0, nil
}

// AppendCommandComplete appends a CommandComplete.
func AppendCommandComplete(dst []byte, tag string) []byte {
	dst, at := begin(dst, CommandComplete)
	return end(appendString(dst, tag), at)
}
