package copydata

import "strings"

// Incoming shows the values of a COPY FROM STDIN, as the server reads them
// (CopyReadLine and CopyReadAttributes in src/backend/commands/copyfromparse.c),
// while the data comes in pieces that are cut anywhere. It keeps none of them.
// What it lets pass and the server does not take is the server's to refuse. Not
// safe for concurrent use.
type Incoming struct {
	format  Format
	look    Look
	special [256]bool // what ends a run of plain bytes, outside of quotes

	column int
	state  reading
	digits int    // of an escape that are behind
	code   byte   // what they say
	need   int    // bytes of a field that are to come
	fields int    // of the row, that are to come
	small  []byte // a number of the binary format that is not whole yet
	ended  bool
}

// Look is shown a piece of a value, last its end, and the place of its column in
// the row, from 0. It does not keep the piece. An error of it ends the reading.
type Look func(column int, piece []byte, last bool) error

// reading is where in a value a reader is.
type reading int

const (
	readPlain     reading = iota
	readBackslash         // behind one: text
	readOctal             // in \NNN: text
	readHex               // in \xHH: text
	readQuoted            // in quotes: CSV
	readEscape            // behind an escape in quotes, which is no quote
	readQuote             // behind a quote in quotes, which is an escape, too
	readHeader            // binary: in the file's header
	readExtension         // binary: behind it
	readTuple             // binary: before the number of fields
	readLength            // binary: before a field
	readField             // binary: in it
)

// NewIncoming returns a reader of data in a format. Where its Header is set the
// first line is shown as any other.
func NewIncoming(f Format, look Look) *Incoming {
	r := &Incoming{format: f, look: look}
	switch f.Kind {
	case Text:
		r.mark('\\', '\n', '\r', f.Delimiter)
	case CSV:
		r.mark(f.Quote, '\n', '\r', f.Delimiter)
	case Binary:
		r.state = readHeader
	}
	return r
}

func (r *Incoming) mark(bytes ...byte) {
	for _, c := range bytes {
		r.special[c] = true
	}
}

// Feed takes the next piece of the data. It returns the error of Look, or
// ErrMalformed.
func (r *Incoming) Feed(piece []byte) error {
	if r.format.Kind == Binary {
		return r.feedBinary(piece)
	}
	for len(piece) > 0 {
		n, err := r.step(piece)
		if err != nil {
			return err
		}
		piece = piece[n:]
	}
	return nil
}

// End is to be called behind the last piece: a line may end without its end.
func (r *Incoming) End() error {
	if r.format.Kind == Binary {
		return nil
	}
	if r.state == readBackslash {
		r.state = readPlain
	}
	err := r.Feed([]byte{'\n'})
	if err == nil && r.state == readQuoted {
		err = r.look(r.column, nil, true)
	}
	return err
}

// step takes one byte, or a run of plain ones, and returns how many.
func (r *Incoming) step(b []byte) (int, error) {
	c := b[0]
	switch r.state {
	case readBackslash:
		return r.behindBackslash(c)
	case readOctal:
		if c >= '0' && c <= '7' && r.digits < 3 {
			r.code, r.digits = r.code<<3|(c-'0'), r.digits+1
			return 1, nil
		}
		r.state = readPlain
		return 0, r.say(r.code)
	case readHex:
		if d, ok := hexDigit(c); ok && r.digits < 2 {
			r.code, r.digits = r.code<<4|d, r.digits+1
			return 1, nil
		}
		r.state = readPlain
		if r.digits == 0 {
			return 0, r.say('x')
		}
		return 0, r.say(r.code)
	case readQuoted:
		return r.insideQuotes(b)
	case readEscape:
		r.state = readQuoted
		if c == r.format.Escape || c == r.format.Quote {
			return 1, r.say(c)
		}
		return 0, r.say(r.format.Escape)
	case readQuote:
		if c == r.format.Quote {
			r.state = readQuoted
			return 1, r.say(c)
		}
		r.state = readPlain
		return 0, nil
	case readPlain, readHeader, readExtension, readTuple, readLength, readField:
	}
	return r.outside(b)
}

// outside takes what stands outside of quotes and escapes.
func (r *Incoming) outside(b []byte) (int, error) {
	n := 0
	for n < len(b) && !r.special[b[n]] {
		n++
	}
	if n == len(b) {
		return n, r.look(r.column, b, false)
	}
	switch c := b[n]; {
	case c == r.format.Delimiter || c == '\n' || c == '\r':
		if err := r.look(r.column, b[:n], true); err != nil {
			return n, err
		}
		r.next(c)
		return n + 1, nil
	case n > 0:
		return n, r.look(r.column, b[:n], false)
	case r.format.Kind == Text:
		r.state = readBackslash
	default:
		r.state = readQuoted
	}
	return 1, nil
}

// insideQuotes takes what stands in quotes.
func (r *Incoming) insideQuotes(b []byte) (int, error) {
	n := 0
	for n < len(b) && b[n] != r.format.Quote && b[n] != r.format.Escape {
		n++
	}
	switch {
	case n > 0:
		return n, r.look(r.column, b[:n], false)
	case r.format.Escape == r.format.Quote:
		r.state = readQuote
	case b[0] == r.format.Escape:
		r.state = readEscape
	default:
		r.state = readPlain
	}
	return 1, nil
}

// behindBackslash takes the byte behind a backslash.
func (r *Incoming) behindBackslash(c byte) (int, error) {
	r.state, r.code, r.digits = readPlain, 0, 0
	switch i := strings.IndexByte(letters, c); {
	case c >= '0' && c <= '7':
		r.state, r.code, r.digits = readOctal, c-'0', 1
		return 1, nil
	case c == 'x':
		r.state = readHex
		return 1, nil
	case i >= 0:
		return 1, r.say(controls[i])
	}
	return 1, r.say(c)
}

func (r *Incoming) say(c byte) error { return r.look(r.column, []byte{c}, false) }

func (r *Incoming) next(c byte) {
	r.column++
	if c != r.format.Delimiter {
		r.column = 0
	}
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
