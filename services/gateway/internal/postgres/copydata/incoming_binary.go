package copydata

import (
	"encoding/binary"
	"fmt"
)

// feedBinary takes data in the binary format.
func (r *Incoming) feedBinary(b []byte) error {
	for len(b) > 0 && !r.ended {
		if r.state == readField || r.state == readExtension {
			n := min(r.need, len(b))
			r.need -= n
			if r.state == readField {
				if err := r.look(r.column, b[:n], r.need == 0); err != nil {
					return err
				}
			}
			b = b[n:]
			if r.need == 0 {
				r.nextField()
			}
			continue
		}
		want := r.numberSize()
		n := min(want-len(r.small), len(b))
		r.small, b = append(r.small, b[:n]...), b[n:]
		if len(r.small) < want {
			return nil
		}
		if err := r.number(); err != nil {
			return err
		}
		r.small = r.small[:0]
	}
	return nil
}

// numberSize is how many bytes say how the data goes on.
func (r *Incoming) numberSize() int {
	if r.state == readHeader {
		return binaryHeader
	}
	if r.state == readTuple {
		return 2
	}
	return 4 // the length of a field
}

// number takes what says how the data goes on.
func (r *Incoming) number() error {
	switch r.state {
	case readHeader:
		r.need = int(binary.BigEndian.Uint32(r.small[len(signature)+4:]))
		if string(r.small[:len(signature)]) != signature || r.need > 1<<31-1 {
			return fmt.Errorf("%w: it begins as no data in the binary format does", ErrMalformed)
		}
		if r.state = readExtension; r.need == 0 {
			r.state = readTuple
		}
	case readTuple:
		r.column = 0
		r.fields = int(int16(binary.BigEndian.Uint16(r.small))) //nolint:gosec // the format's own sign
		switch {
		case r.fields == -1:
			r.ended = true // the server takes nothing behind it
		case r.fields < 0:
			return fmt.Errorf("%w: a row of %d fields", ErrMalformed, r.fields)
		case r.fields > 0:
			r.state = readLength
		}
	case readLength:
		size := int32(binary.BigEndian.Uint32(r.small)) //nolint:gosec // the format's own sign
		switch {
		case size == -1:
			r.nextField()
		case size < 0:
			return fmt.Errorf("%w: a field of %d bytes", ErrMalformed, size)
		case size == 0:
			err := r.look(r.column, nil, true)
			r.nextField()
			return err
		default:
			r.state, r.need = readField, int(size)
		}
	case readPlain, readBackslash, readOctal, readHex, readQuoted, readEscape, readQuote, readExtension, readField:
	}
	return nil
}

// nextField goes on behind a field, or behind the header's extension.
func (r *Incoming) nextField() {
	if r.state == readExtension {
		r.state = readTuple
		return
	}
	r.column, r.fields = r.column+1, r.fields-1
	if r.state = readLength; r.fields == 0 {
		r.state = readTuple
	}
}
