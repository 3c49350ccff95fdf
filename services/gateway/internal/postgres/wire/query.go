package wire

// DecodeQuery reads a Query: the text.
func DecodeQuery(src []byte) ([]byte, error) {
	b := body{src: src}
	text := b.string()
	return text, b.end()
}

// AppendQuery appends a Query.
func AppendQuery(dst []byte, text string) []byte {
	dst, at := begin(dst, Query)
	return end(appendString(dst, text), at)
}
