package wire

// CopyResponse is the body of a CopyInResponse, CopyOutResponse or
// CopyBothResponse.
type CopyResponse struct {
	Binary  bool    // of the data as a whole
	Formats []int16 // of each column: 0 text, 1 binary
}

// DecodeCopyResponse reads how the data of a COPY is written.
func DecodeCopyResponse(src []byte) (CopyResponse, error) {
	b := body{src: src}
	format := b.byte()
	n := b.count(2)
	m := CopyResponse{Binary: format == 1, Formats: make([]int16, 0, n)}
	for range n {
		m.Formats = append(m.Formats, b.int16())
	}
	if format > 1 {
		b.fail()
	}
	return m, b.end()
}

// AppendCopyData appends a CopyData whose data fill appends; nothing where it
// appends none.
func AppendCopyData(dst []byte, fill func(dst []byte) []byte) []byte {
	start := len(dst)
	dst, at := begin(dst, CopyData)
	before := len(dst)
	if dst = fill(dst); len(dst) == before {
		return dst[:start]
	}
	return end(dst, at)
}

// AppendCopyFail appends a CopyFail.
func AppendCopyFail(dst []byte, reason string) []byte {
	dst, at := begin(dst, CopyFail)
	return end(appendString(dst, reason), at)
}
