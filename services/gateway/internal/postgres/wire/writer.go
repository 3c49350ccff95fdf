package wire

import (
	"fmt"
	"io"
	"sync"
)

// flushAt is how many bytes a Writer gathers before it writes by itself.
const flushAt = 64 << 10

// idle are buffers of Writers that have nothing to write: most connections do not.
var idle = sync.Pool{New: func() any { b := make([]byte, 0, minBuffer); return &b }}

// Writer gathers messages and writes them together. Each method takes whole
// messages and is safe for concurrent use, so that messages of different
// goroutines never mix. The first error sticks.
type Writer struct {
	mu   sync.Mutex
	dst  io.Writer
	buf  []byte
	lent *[]byte // buf, of idle
	err  error
}

// NewWriter returns a Writer to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Append lets encode append messages.
func (w *Writer) Append(encode func(dst []byte) []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.borrow()
	w.buf = encode(w.buf)
	return w.spill()
}

// Write takes messages as they are. A large block is written without a copy.
func (w *Writer) Write(block []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(block); err != nil {
		return 0, err
	}
	return len(block), nil
}

// Exclusive lets stream write one message in pieces: nothing else goes out in
// between.
func (w *Writer) Exclusive(stream func(write func([]byte) error) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return stream(w.write)
}

// Flush writes what was gathered.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) write(block []byte) error {
	if len(w.buf)+len(block) <= flushAt {
		w.borrow()
		w.buf = append(w.buf, block...)
		return w.err
	}
	if err := w.flush(); err != nil {
		return err
	}
	if len(block) < flushAt/4 {
		w.borrow()
		w.buf = append(w.buf, block...)
		return nil
	}
	return w.send(block)
}

func (w *Writer) spill() error {
	if len(w.buf) >= flushAt {
		return w.flush()
	}
	return w.err
}

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return w.err
	}
	err := w.send(w.buf)
	if cap(w.buf) <= 2*flushAt {
		*w.lent = w.buf[:0]
		idle.Put(w.lent)
	}
	w.buf, w.lent = nil, nil
	return err
}

func (w *Writer) borrow() {
	if w.lent == nil {
		w.lent = idle.Get().(*[]byte) //nolint:forcetypeassert // it holds nothing else
		w.buf = *w.lent
	}
}

func (w *Writer) send(block []byte) error {
	if w.err == nil {
		if _, err := w.dst.Write(block); err != nil {
			w.err = fmt.Errorf("wire: write: %w", err)
		}
	}
	return w.err
}
