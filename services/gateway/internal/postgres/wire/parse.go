package wire

// ParseMessage asks to prepare a statement.
type ParseMessage struct {
	Name, Text []byte
	Types      []uint32 // of the parameters, as far as the client says; 0 is unspecified
}

// Decode reads the body of a Parse. It reuses Types.
func (m *ParseMessage) Decode(src []byte) error {
	b := body{src: src}
	m.Name, m.Text = b.string(), b.string()
	n := b.count(4)
	m.Types = m.Types[:0]
	for range n {
		m.Types = append(m.Types, b.uint32())
	}
	return b.end()
}

// AppendParse appends a Parse without parameter types.
func AppendParse(dst []byte, name, text string) []byte {
	dst, at := begin(dst, Parse)
	dst = appendString(appendString(dst, name), text)
	return end(appendInt16(dst, 0), at)
}
