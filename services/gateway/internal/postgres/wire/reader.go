package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// MaxBuffer is the largest message that is worth reading whole before it is
// passed on.
const MaxBuffer = maxBuffer

// A Reader's buffer starts small, since most connections are idle, and grows
// for those that move much.
const (
	minBuffer = 1 << 10
	maxBuffer = 64 << 10
	// smallReads is how many small reads in a row give a grown buffer back.
	smallReads = 32
)

// Reader frames the messages of a connection. What it returns borrows from its
// buffer and is valid until the next call of a method that reads. A Reader is
// not safe for concurrent use.
type Reader struct {
	// BeforeRead is called when the buffer has run dry, before a read that may
	// block: what waits to be written has to go out now.
	BeforeRead func() error

	src   io.Reader
	conn  *Conn // below src; nil where there is none
	buf   []byte
	r, w  int
	ahead []byte // read by Ahead, not yet moved to buf
	small int
	quiet bool // BeforeRead is not called
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src, conn: below(src)} }

// Buffered returns how many bytes were read and not yet taken.
func (r *Reader) Buffered() int { return r.w - r.r + len(r.ahead) }

// Next waits for the next message and returns its header without taking it.
func (r *Reader) Next() (Header, error) {
	if err := r.need(headerSize); err != nil {
		return Header{}, err
	}
	h := Header{Type: r.buf[r.r]}
	n := binary.BigEndian.Uint32(r.buf[r.r+1:])
	if n < 4 || n > 1<<31-1 {
		return Header{}, fmt.Errorf("%w: message %q with length %d", ErrMalformed, h.Type, n)
	}
	h.Length = int(n) - 4
	return h, nil
}

// Body takes the message whose header Next returned, and returns its body. A
// body longer than limit is a *TooLongError and stays untaken.
func (r *Reader) Body(h Header, limit int) ([]byte, error) {
	message, err := r.Message(h, limit)
	if err != nil {
		return nil, err
	}
	return message[headerSize:], nil
}

// Message is Body with the header before it.
func (r *Reader) Message(h Header, limit int) ([]byte, error) {
	if h.Length > limit {
		return nil, &TooLongError{Type: h.Type, Length: h.Length, Limit: limit}
	}
	n := headerSize + h.Length
	if err := r.need(n); err != nil {
		return nil, err
	}
	m := r.buf[r.r : r.r+n : r.r+n]
	r.r += n
	return m, nil
}

// Frames takes as many whole messages of one type as lie in the buffer, at
// most the given number, and returns them as they came. It does not read.
func (r *Reader) Frames(typ byte, most int) (block []byte, n int) {
	at := r.r
	for n < most && r.w-at >= headerSize && r.buf[at] == typ {
		length := binary.BigEndian.Uint32(r.buf[at+1:])
		if length < 4 || uint64(length) > uint64(r.w-at-1) { //nolint:gosec // w >= at
			break
		}
		at += 1 + int(length)
		n++
	}
	block = r.buf[r.r:at:at]
	r.r = at
	return block, n
}

// Stream takes the message whose header Next returned and passes it on, header
// included, in pieces as they come. BeforeRead is not called in between: whoever
// takes the pieces may hold what it needs.
func (r *Reader) Stream(h Header, to func([]byte) error) error {
	r.quiet = true
	defer func() { r.quiet = false }()
	for left := headerSize + h.Length; left > 0; {
		if err := r.need(1); err != nil {
			return err
		}
		n := min(left, r.w-r.r)
		if err := to(r.buf[r.r : r.r+n]); err != nil {
			return err
		}
		r.r += n
		left -= n
	}
	return nil
}

// Skip takes the message whose header Next returned and drops it.
func (r *Reader) Skip(h Header) error {
	return r.Stream(h, func([]byte) error { return nil })
}

// Ahead reads once more from the connection, without touching what was
// returned before, to notice that the other side goes away while nobody wants
// its messages. It reports false without reading once limit bytes wait.
func (r *Reader) Ahead(limit int) (bool, error) {
	if len(r.ahead) >= limit {
		return false, nil
	}
	var piece [1024]byte
	n, err := r.src.Read(piece[:min(len(piece), limit-len(r.ahead))])
	r.ahead = append(r.ahead, piece[:n]...)
	return true, err //nolint:wrapcheck // the caller tells a deadline from an end
}

// Waiting calls look for the type of each whole message that waits, in order,
// until it returns false.
func (r *Reader) Waiting(look func(typ byte) bool) {
	rest := append(append([]byte(nil), r.buf[r.r:r.w]...), r.ahead...)
	for len(rest) >= headerSize {
		n := uint64(binary.BigEndian.Uint32(rest[1:]))
		if n < 4 || n > uint64(len(rest)-1) || !look(rest[0]) { //nolint:gosec // rest has a header
			return
		}
		rest = rest[1+n:]
	}
}

// need returns when n bytes lie in the buffer.
func (r *Reader) need(n int) error {
	for r.w-r.r < n {
		r.makeRoom(n)
		got, err := r.read(r.buf[r.w:])
		r.w += got
		if r.w-r.r >= n {
			return nil
		}
		if err != nil {
			if err == io.EOF && r.w > r.r { //nolint:errorlint // io.Reader returns it bare
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("wire: read: %w", err)
		}
	}
	return nil
}

func (r *Reader) read(p []byte) (int, error) {
	if len(r.ahead) > 0 {
		n := copy(p, r.ahead)
		r.ahead = r.ahead[n:]
		if len(r.ahead) == 0 {
			r.ahead = nil
		}
		return n, nil
	}
	n, err := r.readOn(p)
	if n < minBuffer && n < len(p) {
		r.small++
	} else {
		r.small = 0
	}
	return n, err //nolint:wrapcheck // need wraps
}

// readOn reads from the connection. After a large read, which more is likely to
// follow, BeforeRead is called only where the connection would wait.
func (r *Reader) readOn(p []byte) (int, error) {
	if r.BeforeRead == nil || r.quiet {
		return r.src.Read(p) //nolint:wrapcheck // need wraps
	}
	if r.conn != nil && r.buf != nil && r.small == 0 {
		r.conn.beforeWait = r.BeforeRead
		defer func() { r.conn.beforeWait = nil }()
		return r.src.Read(p) //nolint:wrapcheck // as above
	}
	if err := r.BeforeRead(); err != nil {
		return 0, err
	}
	return r.src.Read(p) //nolint:wrapcheck // as above
}

// makeRoom makes sure that a read has somewhere to go. For a message larger
// than the buffer it grows as bytes arrive, not as the length claims.
func (r *Reader) makeRoom(n int) {
	have := r.w - r.r
	if have == 0 {
		r.r, r.w = 0, 0
		switch {
		case r.buf == nil, len(r.buf) > maxBuffer, len(r.buf) > minBuffer && r.small >= smallReads:
			r.buf, r.small = make([]byte, minBuffer), 0
		case r.small == 0 && len(r.buf) < maxBuffer:
			r.buf = make([]byte, 2*len(r.buf))
		}
		return
	}
	if r.small == 0 && r.w == len(r.buf) && len(r.buf) < maxBuffer { // a lot is coming
		r.grow(2 * len(r.buf))
		return
	}
	if r.w < len(r.buf) && n <= len(r.buf)-r.r && have > len(r.buf)/4 {
		return
	}
	if r.r > 0 && (n <= len(r.buf) || have <= len(r.buf)/2) {
		copy(r.buf, r.buf[r.r:r.w])
		r.r, r.w = 0, have
	}
	if r.w < len(r.buf) { // what there is fills up first
		return
	}
	r.grow(min(max(2*len(r.buf), minBuffer), max(n, maxBuffer)))
}

func (r *Reader) grow(size int) {
	grown := make([]byte, size)
	r.w = copy(grown, r.buf[r.r:r.w])
	r.buf, r.r = grown, 0
}

// FrameSize is how many bytes a message takes, its header included.
func FrameSize(h Header) int { return headerSize + h.Length }
