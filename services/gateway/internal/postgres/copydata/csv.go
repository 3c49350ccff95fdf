package copydata

import (
	"bytes"
	"fmt"
	"slices"
)

// csvRow finds a row and its cells. Line breaks may stand in quotes. The server
// quotes a value whole or not at all.
func (s *Stream) csvRow(data []byte) (int, error) {
	if s.row.at == 0 {
		s.cells = append(s.cells[:0], cell{})
	}
	f := &s.format
	for i := s.row.at; i < len(data); i++ {
		c := data[i]
		current := &s.cells[len(s.cells)-1]
		switch s.row.state {
		case inQuotes:
			switch {
			case c == f.Escape && f.Escape != f.Quote:
				s.row.state = escaped
			case c == f.Quote:
				s.row.state = quoteSeen
			}
			continue
		case escaped:
			if c != f.Quote && c != f.Escape {
				return 0, fmt.Errorf("%w: an escape before a character that needs none", ErrMalformed)
			}
			s.row.state = inQuotes
			continue
		case quoteSeen:
			if c == f.Quote && f.Escape == f.Quote {
				s.row.state = inQuotes
				continue
			}
			if c != f.Delimiter && c != '\n' {
				return 0, fmt.Errorf("%w: text behind a closing quote", ErrMalformed)
			}
			current.end = i - 1
		case cellStart, bare:
			switch {
			case c == f.Quote && s.row.state == cellStart:
				s.row.state = inQuotes
				current.start, current.quoted = i+1, true
				continue
			case c == f.Quote, c == '\r':
				return 0, fmt.Errorf("%w: a character that the server puts in quotes", ErrMalformed)
			case c != f.Delimiter && c != '\n':
				s.row.state = bare
				continue
			}
			current.end = i
		}
		if c == '\n' {
			return i + 1, nil
		}
		s.row.state = cellStart
		s.cells = append(s.cells, cell{start: i + 1})
	}
	s.row.at = len(data)
	return 0, nil
}

// unquote appends what stands between quotes.
func (s *Stream) unquote(dst, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, s.format.Escape)
		if i < 0 || i+1 >= len(raw) {
			return append(dst, raw...)
		}
		dst = append(append(dst, raw[:i]...), raw[i+1])
		raw = raw[i+2:]
	}
}

// appendCSV appends a value, nil for NULL, in quotes where it needs them. That
// the masked value had them says nothing: they tell what is in it.
func (s *Stream) appendCSV(dst, value []byte) []byte {
	f := &s.format
	if value == nil {
		return append(dst, f.Null...)
	}
	special := []byte{f.Delimiter, f.Quote, '\n', '\r'}
	if string(value) != f.Null && string(value) != `\.` && !slices.ContainsFunc(special, func(c byte) bool { return bytes.IndexByte(value, c) >= 0 }) {
		return append(dst, value...)
	}
	dst = append(dst, f.Quote)
	for _, c := range value {
		if c == f.Quote || c == f.Escape {
			dst = append(dst, f.Escape)
		}
		dst = append(dst, c)
	}
	return append(dst, f.Quote)
}
