package copydata

import (
	"bytes"
	"fmt"
)

// state is where in a row a scanner is.
type state int

const (
	cellStart state = iota
	bare            // in a cell without quotes
	escaped         // behind a backslash, or an escape in quotes
	inQuotes
	quoteSeen // behind a quote in quotes: an end, or the first of two
)

// textRow finds a line and its cells. The server writes a line break of the
// data as \n.
func (s *Stream) textRow(data []byte) (int, error) {
	if s.row.at == 0 {
		s.cells = append(s.cells[:0], cell{})
	}
	for i := s.row.at; i < len(data); i++ {
		c := data[i]
		switch {
		case s.row.state == escaped:
			if c == '\n' {
				return 0, fmt.Errorf("%w: a backslash before the end of a line", ErrMalformed)
			}
			s.row.state = bare
		case c == '\\':
			s.row.state = escaped
		case c == s.format.Delimiter:
			s.cells[len(s.cells)-1].end = i
			s.cells = append(s.cells, cell{start: i + 1})
		case c == '\n':
			s.cells[len(s.cells)-1].end = i
			return i + 1, nil
		}
	}
	s.row.at = len(data)
	return 0, nil
}

// controls are the characters that have a letter of their own behind a
// backslash.
const (
	controls = "\b\f\n\r\t\v"
	letters  = "bfnrtv"
)

// unescape appends what a cell in text format says.
func (s *Stream) unescape(dst, raw []byte) ([]byte, error) {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(dst, raw...), nil
		}
		if i+1 >= len(raw) {
			return dst, fmt.Errorf("%w: a backslash at the end of a cell", ErrMalformed)
		}
		dst = append(dst, raw[:i]...)
		switch c := raw[i+1]; {
		case c == '\\' || c == s.format.Delimiter:
			dst = append(dst, c)
		case bytes.IndexByte([]byte(letters), c) >= 0:
			dst = append(dst, controls[bytes.IndexByte([]byte(letters), c)])
		default:
			return dst, fmt.Errorf("%w: an escape that no server writes", ErrMalformed)
		}
		raw = raw[i+2:]
	}
}

// appendText appends a value, nil for NULL, as the server would write it.
func (s *Stream) appendText(dst, value []byte) []byte {
	if value == nil {
		return append(dst, s.format.Null...)
	}
	for _, c := range value {
		if i := bytes.IndexByte([]byte(controls), c); i >= 0 {
			dst = append(dst, '\\', letters[i])
			continue
		}
		if c == '\\' || c == s.format.Delimiter {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}
