package wire

// Kinds of what Describe and Close name.
const (
	Statement = 'S'
	Portal    = 'P'
)

// DecodeTarget reads the body of a Describe or Close: Statement or Portal, and
// its name.
func DecodeTarget(src []byte) (kind byte, name []byte, err error) {
	b := body{src: src}
	kind, name = b.byte(), b.string()
	if err := b.end(); err != nil {
		return 0, nil, err
	}
	if kind != Statement && kind != Portal {
		return 0, nil, ErrMalformed
	}
	return kind, name, nil
}

// AppendTarget appends a Describe or a Close.
func AppendTarget(dst []byte, typ, kind byte, name string) []byte {
	dst, at := begin(dst, typ)
	return end(appendString(append(dst, kind), name), at)
}

// DecodeExecute reads the body of an Execute. A maximum of 0 or less is none.
func DecodeExecute(src []byte) (portal []byte, maximum int32, err error) {
	b := body{src: src}
	portal, maximum = b.string(), b.int32()
	return portal, maximum, b.end()
}

// AppendExecute appends an Execute of all rows.
func AppendExecute(dst []byte, portal string) []byte {
	dst, at := begin(dst, Execute)
	return end(appendInt32(appendString(dst, portal), 0), at)
}
