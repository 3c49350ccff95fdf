package wire

import (
	"bytes"
	"encoding/binary"
)

// body reads the fields of a message one after the other. After a failure all
// that follows is zero, and ok is false.
type body struct {
	src []byte
	bad bool
}

func (b *body) fail() { b.bad, b.src = true, nil }

// end reports whether all was there, and nothing more.
func (b *body) end() error {
	if b.bad || len(b.src) != 0 {
		return ErrMalformed
	}
	return nil
}

func (b *body) take(n int) []byte {
	if n < 0 || n > len(b.src) {
		b.fail()
		return nil
	}
	v := b.src[:n:n]
	b.src = b.src[n:]
	return v
}

func (b *body) byte() byte {
	if v := b.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (b *body) int16() int16 {
	if v := b.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v)) //nolint:gosec // bit pattern only
	}
	return 0
}

func (b *body) uint32() uint32 {
	if v := b.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (b *body) int32() int32 { return int32(b.uint32()) } //nolint:gosec // bit pattern only

// count reads a number of things of at least size bytes each: never more than
// the message can hold, so that a lie allocates nothing.
func (b *body) count(size int) int {
	n := int(b.int16())
	if n < 0 { // the server reads counts as unsigned
		n += 1 << 16
	}
	if n*size > len(b.src) {
		b.fail()
		return 0
	}
	return n
}

// string reads up to a zero byte.
func (b *body) string() []byte {
	i := bytes.IndexByte(b.src, 0)
	if i < 0 {
		b.fail()
		return nil
	}
	v := b.src[:i:i]
	b.src = b.src[i+1:]
	return v
}

// value reads a length and that many bytes; nil is NULL.
func (b *body) value() []byte {
	n := b.int32()
	if n == -1 {
		return nil
	}
	if n < 0 {
		b.fail()
		return nil
	}
	if n == 0 && !b.bad {
		return []byte{}
	}
	return b.take(int(n))
}
