package copydata

import (
	"errors"
	"fmt"
)

// Kind is a format of COPY.
type Kind int

// The formats.
const (
	Text Kind = iota
	CSV
	Binary
)

// Format says how rows are written.
type Format struct {
	Kind                     Kind
	Delimiter, Quote, Escape byte
	Null                     string
	// Header reports that the first line names the columns.
	Header bool
	// Columns are the names of the columns.
	Columns []string
}

// Masker masks the cells of one COPY. A nil value is NULL.
type Masker interface {
	Untouched(i int) bool
	Mask(i int, value []byte) (masked []byte, changed bool)
}

// Errors of Feed and End.
var (
	// ErrMalformed is data that no server writes in this format.
	ErrMalformed = errors.New("copydata: malformed")
	// ErrTooLong is a row that is longer than the bound.
	ErrTooLong = errors.New("copydata: a row is too long")
	// ErrLimit is a row above MaxRows.
	ErrLimit = errors.New("copydata: more rows than allowed")
)

// Stream masks the data of one COPY. Not safe for concurrent use.
type Stream struct {
	// MaxRows bounds the rows that pass, MaxRow the bytes of one; 0 is no bound.
	MaxRows int64
	MaxRow  int
	// Rows is how many have passed.
	Rows int64

	format  Format
	masker  Masker
	touched []bool

	rest  []byte // of a row that is not whole yet
	begun bool   // the header is behind
	ended bool   // the trailer of the binary format was there
	row   scanner
	cells []cell
	plain []byte // scratch: a cell, decoded

	nullIsValue bool // text: a value may be written as the string for NULL is
}

// cell is one cell of a row: where its bytes stand.
type cell struct {
	start, end int
	quoted     bool // CSV: the bytes are those between the quotes
	null       bool
}

// scanner finds the end of a row and its cells, across pieces.
type scanner struct {
	at    int // bytes of the row that were looked at
	state state
}

// New returns a Stream; a nil masker lets all cells pass, and counts rows.
func New(f Format, m Masker) *Stream {
	s := &Stream{format: f, masker: m, touched: make([]bool, len(f.Columns)), plain: make([]byte, 0, 64)}
	for i := range s.touched {
		s.touched[i] = m != nil && !m.Untouched(i)
	}
	if f.Kind == Text && f.Null != "" {
		value, err := s.unescape(nil, []byte(f.Null))
		s.nullIsValue = err == nil && string(s.appendText(nil, append([]byte{}, value...))) == f.Null
	}
	return s
}

// NullHidden reports that a NULL cannot be told from a value which would be
// masked: both are shown as masked values. It does not depend on the data.
func (s *Stream) NullHidden() bool {
	if !s.nullIsValue {
		return false
	}
	value, _ := s.unescape(nil, []byte(s.format.Null))
	for i, touched := range s.touched {
		if !touched {
			continue
		}
		if _, changed := s.masker.Mask(i, value); changed {
			return true
		}
	}
	return false
}

// Feed takes the next piece of the data, and appends to dst what goes on. The
// piece is not kept. After an error what dst has more is whole rows.
func (s *Stream) Feed(dst, piece []byte) ([]byte, error) {
	data := piece
	if len(s.rest) > 0 {
		s.rest = append(s.rest, piece...)
		data = s.rest
	}
	for len(data) > 0 {
		n, err := s.next(data)
		if err != nil {
			return dst, err
		}
		if n == 0 {
			break
		}
		if dst, err = s.pass(dst, data[:n]); err != nil {
			return dst, err
		}
		data = data[n:]
		s.row, s.cells = scanner{}, s.cells[:0]
	}
	if s.MaxRow > 0 && len(data) > s.MaxRow {
		return dst, fmt.Errorf("%w: over %d bytes", ErrTooLong, s.MaxRow)
	}
	if s.rest = append(s.rest[:0], data...); len(data) == 0 && cap(s.rest) > keep {
		s.rest = nil
	}
	return dst, nil
}

// keep is how much memory is kept for rows that come in pieces.
const keep = 64 << 10

// End reports whether the data ended where a row may.
func (s *Stream) End() error {
	if len(s.rest) > 0 || s.format.Kind == Binary && !s.ended {
		return fmt.Errorf("%w: it ends in the middle of a row", ErrMalformed)
	}
	return nil
}

// Trailer appends what ends data that was cut short.
func (s *Stream) Trailer(dst []byte) []byte {
	if s.format.Kind == Binary && !s.ended {
		dst = append(dst, 0xff, 0xff)
	}
	return dst
}

// next finds the row, header or trailer at the beginning of data, and its
// cells. It returns 0 where it is not whole yet.
func (s *Stream) next(data []byte) (int, error) {
	switch s.format.Kind {
	case Text:
		return s.textRow(data)
	case CSV:
		return s.csvRow(data)
	case Binary:
		return s.binaryRow(data)
	}
	return 0, ErrMalformed
}

// pass appends one row, masked.
func (s *Stream) pass(dst, row []byte) ([]byte, error) {
	if !s.begun {
		s.begun = true
		if s.format.Kind == Binary {
			return append(dst, row...), nil
		}
		if s.format.Header {
			return s.header(dst, row)
		}
	}
	if s.ended {
		return append(dst, row...), nil
	}
	if !s.fits() {
		return dst, fmt.Errorf("%w: %d cells, not %d", ErrMalformed, len(s.cells), len(s.format.Columns))
	}
	if s.MaxRows > 0 && s.Rows >= s.MaxRows {
		return dst, ErrLimit
	}
	s.Rows++
	return s.mask(dst, row)
}

// fits reports that a row has a cell for each column. A line for no column is
// empty.
func (s *Stream) fits() bool {
	if len(s.format.Columns) == 0 && s.format.Kind != Binary {
		return len(s.cells) == 1 && s.cells[0].start == s.cells[0].end
	}
	return len(s.cells) == len(s.format.Columns)
}

// header passes the line that names the columns: these, and no other.
func (s *Stream) header(dst, row []byte) ([]byte, error) {
	if !s.fits() {
		return dst, fmt.Errorf("%w: a header of %d cells, not %d", ErrMalformed, len(s.cells), len(s.format.Columns))
	}
	for i, name := range s.format.Columns {
		if value, err := s.value(row, s.cells[i]); err != nil || string(value) != name {
			return dst, fmt.Errorf("%w: a header with another name", ErrMalformed)
		}
	}
	return append(dst, row...), nil
}

// mask appends a row with the cells that a mask changes in their new form. A
// row that none changes keeps its bytes.
func (s *Stream) mask(dst, row []byte) ([]byte, error) {
	start := len(dst)
	last := 0
	for i, touched := range s.touched {
		c := s.cells[i]
		if !touched || s.null(row, c) {
			continue
		}
		value, err := s.value(row, c)
		if err != nil {
			return dst[:start], err
		}
		masked, changed := s.masker.Mask(i, value)
		if !changed {
			continue
		}
		from, to := s.whole(c)
		dst = append(dst, row[last:from]...)
		dst = s.encode(dst, masked)
		last = to
	}
	return append(dst, row[last:]...), nil
}

// value is what a cell says.
func (s *Stream) value(row []byte, c cell) (value []byte, err error) {
	switch raw := row[c.start:c.end]; {
	case s.format.Kind == Text:
		s.plain, err = s.unescape(s.plain[:0], raw)
		return s.plain, err
	case c.quoted:
		s.plain = s.unquote(s.plain[:0], raw)
		return s.plain, nil
	default:
		return raw, nil
	}
}

// null reports that a cell is NULL. In text format a value may be written as
// the string for NULL is, unless no value can be: such a cell counts as a value,
// save an empty one, which hides nothing.
func (s *Stream) null(row []byte, c cell) bool {
	switch s.format.Kind {
	case Text:
		return string(row[c.start:c.end]) == s.format.Null && !s.nullIsValue
	case CSV:
		return !c.quoted && string(row[c.start:c.end]) == s.format.Null
	case Binary:
		return c.null
	}
	return false
}

// whole is where a cell stands with its quotes, or its length.
func (s *Stream) whole(c cell) (from, to int) {
	switch {
	case c.quoted:
		return c.start - 1, c.end + 1
	case s.format.Kind == Binary:
		return c.start - 4, c.end
	}
	return c.start, c.end
}

func (s *Stream) encode(dst, value []byte) []byte {
	switch s.format.Kind {
	case Text:
		return s.appendText(dst, value)
	case CSV:
		return s.appendCSV(dst, value)
	case Binary:
		return appendBinary(dst, value)
	}
	return dst
}
