package copydata

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// signature begins data in binary format.
const signature = "PGCOPY\n\377\r\n\000"

const binaryHeader = len(signature) + 4 + 4 // flags, length of an extension

// binaryRow finds the header, a tuple or the trailer.
func (s *Stream) binaryRow(data []byte) (int, error) {
	if s.ended {
		return 0, fmt.Errorf("%w: data behind the trailer", ErrMalformed)
	}
	if !s.begun {
		if len(data) < binaryHeader {
			return 0, nil
		}
		if !bytes.HasPrefix(data, []byte(signature)) || binary.BigEndian.Uint64(data[len(signature):]) != 0 {
			return 0, fmt.Errorf("%w: a header with flags or extensions, or none", ErrMalformed)
		}
		return binaryHeader, nil
	}
	if len(data) < 2 {
		return 0, nil
	}
	fields := int(int16(binary.BigEndian.Uint16(data))) //nolint:gosec // two's complement on the wire
	switch {
	case fields == -1:
		s.ended = true
		return 2, nil
	case fields != len(s.format.Columns):
		return 0, fmt.Errorf("%w: a row of %d fields, not %d", ErrMalformed, fields, len(s.format.Columns))
	}
	at := 2
	s.cells = s.cells[:0]
	for range fields {
		if len(data)-at < 4 {
			return 0, nil
		}
		n := int(int32(binary.BigEndian.Uint32(data[at:]))) //nolint:gosec // two's complement on the wire
		at += 4
		if n < -1 {
			return 0, fmt.Errorf("%w: a field of %d bytes", ErrMalformed, n)
		}
		c := cell{start: at, end: at + max(n, 0), null: n < 0}
		if c.end > len(data) {
			return 0, nil
		}
		at = c.end
		s.cells = append(s.cells, c)
	}
	return at, nil
}

// appendBinary appends a field, nil for NULL.
func appendBinary(dst, value []byte) []byte {
	if value == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(value))), value...) //nolint:gosec // bounded by the limit of a row
}
