package wire

// AppendSASL appends an AuthenticationSASL: the mechanisms a client may choose
// from.
func AppendSASL(dst []byte, mechanisms ...string) []byte {
	dst, at := begin(dst, Authentication)
	dst = appendInt32(dst, 10)
	for _, m := range mechanisms {
		dst = appendString(dst, m)
	}
	return end(append(dst, 0), at)
}

// AppendSASLContinue appends an AuthenticationSASLContinue: a mechanism's next
// word.
func AppendSASLContinue(dst, data []byte) []byte {
	dst, at := begin(dst, Authentication)
	return end(append(appendInt32(dst, 11), data...), at)
}

// DecodeSASLInitialResponse reads the body of a SASLInitialResponse: the
// mechanism that the client chose, and its first word, nil where it has none.
func DecodeSASLInitialResponse(src []byte) (mechanism string, data []byte, err error) {
	b := body{src: src}
	m := b.string()
	data = b.value()
	return string(m), data, b.end()
}
