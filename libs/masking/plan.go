package masking

import (
	"fmt"

	"github.com/gatestay/gatestay/libs/refusal"
)

// Kind is what a value is, as far as masking cares.
type Kind int

// The kinds. Text, varchar, json and their like have the same bytes in both
// formats; jsonb has a version byte in binary; bytea is hex in text format.
// Wordless values (numbers, times, identifiers) hold no text of a user; others
// (records, enums, arrays of these) may, in a form that is not looked into.
const (
	KindOther Kind = iota
	KindText
	KindJSON
	KindJSONB
	KindBytes
	KindWordless
)

// ResultColumn is one column of a result.
type ResultColumn struct {
	Name string
	// Origin is the catalog column it comes from unchanged; zero where it is
	// computed or the origin cannot be told.
	Origin Column
	// Tainted reports that the value may derive from a masked column, though
	// its origin cannot be told: it is masked whole.
	Tainted bool
	Kind    Kind
	// Element is the type of the elements of an array, and Kind then what they
	// are; 0 for what is no array.
	Element uint32
	Binary  bool
}

// Plan masks the cells of one result. It is immutable and safe for concurrent
// use.
type Plan struct {
	cells []cell
	any   bool
}

// cell says what becomes of the cells of one column.
type cell struct {
	mask func(value []byte) (masked []byte, changed bool) // nil: untouched
}

// Plan prepares the masks for a result. It returns a *refusal.Refusal (GS1204)
// where a mask touches a value that cannot be masked in its format.
func (e *Engine) Plan(target string, columns []ResultColumn) (*Plan, error) {
	v := e.view(target)
	p := &Plan{cells: make([]cell, len(columns))}
	for i, c := range columns {
		strategy := v.of(c.Origin)
		if c.Tainted {
			strategy = stricter(Redact, strategy)
		}
		switch {
		case strategy == Clear:
			continue
		case strategy != "":
			mask, err := e.whole(strategy, c)
			if err != nil {
				return nil, err
			}
			p.cells[i].mask = mask
		case v.detectors != 0 && c.Kind == KindOther && c.Binary:
			return nil, inBinary(c, "may hold what a detector looks for, and its type cannot be searched in binary format",
				"Text, varchar, json, jsonb, bytea and arrays of these are searched in both formats, numbers and times need not be; other types are searched in text format.")
		case v.detectors != 0 && c.Kind != KindOther && c.Kind != KindWordless:
			p.cells[i].mask = e.detectIn(v, c)
		default:
			continue
		}
		p.any = true
	}
	return p, nil
}

// Any reports whether the plan may change any cell.
func (p *Plan) Any() bool { return p.any }

// Untouched reports that column i passes as it is: its cells need not be
// offered to Mask.
func (p *Plan) Untouched(i int) bool { return p.cells[i].mask == nil }

// Mask returns the cell to send in place of value; nil is NULL. value must not
// be nil; it is neither kept nor altered, but may be what is returned. changed
// reports that the result differs from value. The caller must not alter the
// result.
func (p *Plan) Mask(i int, value []byte) (masked []byte, changed bool) {
	if p.cells[i].mask == nil {
		return value, false
	}
	return p.cells[i].mask(value)
}

// inBinary refuses a result for the format of one column.
func inBinary(c ResultColumn, why, detail string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.BinaryMasked, Message: fmt.Sprintf("column %q %s", c.Name, why), Detail: detail,
		Hint: fmt.Sprintf("ask for results in text format (pgx: QueryExecModeSimpleProtocol; JDBC: binaryTransfer=false), cast the column (%s::text), or leave it out", c.Name),
	}
}

// whole masks every cell of a column by one strategy.
func (e *Engine) whole(s Strategy, c ResultColumn) (func([]byte) ([]byte, bool), error) {
	toNull := func([]byte) ([]byte, bool) { return nil, true }
	opaque := c.Kind == KindOther || c.Kind == KindWordless
	switch {
	case s == Null:
		return toNull, nil
	case opaque && c.Binary:
		return nil, inBinary(c, "is masked, and its type cannot be masked in binary format",
			"Text, varchar, json, jsonb, bytea and arrays of these are masked in both formats. In text format numbers and times become NULL, and other types (enums, composites, ranges) a text.")
	case opaque:
		return toNull, nil
	}
	if s == Redact {
		constant := encode(c.Kind, c.Binary, []byte(redacted))
		if c.Element != 0 {
			constant = lone(c, constant)
		}
		return func([]byte) ([]byte, bool) { return constant, true }, nil
	}
	mask := func(value []byte) ([]byte, bool) { return e.value(s, c, value), true }
	if c.Element != 0 {
		return each(c, mask), nil
	}
	return mask, nil
}

// value masks one value by a strategy; nil is NULL.
func (e *Engine) value(s Strategy, c ResultColumn, value []byte) []byte {
	plain, ok := decode(c.Kind, c.Binary, value)
	if !ok {
		return nil
	}
	if s == Partial && c.Kind != KindText {
		s = Redact // a part of a document is no hint
	}
	masked, ok := e.keys.text(s, "", plain)
	if !ok {
		return nil
	}
	return encode(c.Kind, c.Binary, masked)
}

// each masks an array element by element. What is no array becomes NULL.
func each(c ResultColumn, mask element) func([]byte) ([]byte, bool) {
	return func(cell []byte) ([]byte, bool) {
		masked, changed, ok := array(c, cell, mask)
		if !ok {
			return nil, true
		}
		return masked, changed
	}
}
