package masking

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// element is the mask of one element of an array; nil is NULL.
type element func(value []byte) (masked []byte, changed bool)

// array masks the elements of an array cell, and keeps its shape. ok is false
// where the cell is no array of elements of that type.
func array(c ResultColumn, cell []byte, mask element) (masked []byte, changed, ok bool) {
	if c.Binary {
		return binaryArray(c.Element, cell, mask)
	}
	return textArray(cell, mask)
}

// lone is an array of one element, in either format: what stands for an array
// that is masked whole.
func lone(c ResultColumn, value []byte) []byte {
	if !c.Binary {
		return append(appendElement([]byte{'{'}, value), '}')
	}
	out := binary.BigEndian.AppendUint32(nil, 1) // dimensions
	out = binary.BigEndian.AppendUint32(out, 0)  // no NULL among them
	out = binary.BigEndian.AppendUint32(out, c.Element)
	out = binary.BigEndian.AppendUint32(out, 1) // length
	out = binary.BigEndian.AppendUint32(out, 1) // lower bound
	return appendField(out, value)
}

// maxDimensions is PostgreSQL's MAXDIM.
const maxDimensions = 6

// binaryArray reads array_send's form: dimensions, whether there is a NULL, the
// type of the elements, length and lower bound of each dimension, then the
// elements, each behind its length.
func binaryArray(typ uint32, cell []byte, mask element) (masked []byte, changed, ok bool) {
	word := func(at int) uint32 { return binary.BigEndian.Uint32(cell[at:]) }
	if len(cell) < 12 || word(0) > maxDimensions || word(4) > 1 || word(8) != typ {
		return nil, false, false
	}
	at := 12 + 8*int(word(0))
	if at > len(cell) {
		return nil, false, false
	}
	out := append(make([]byte, 0, len(cell)+32), cell[:at]...)
	for at < len(cell) {
		if len(cell)-at < 4 {
			return nil, false, false
		}
		n := int(int32(word(at))) //nolint:gosec // two's complement on the wire
		if at += 4; n == -1 {
			out = appendField(out, nil)
			continue
		}
		if n < 0 || n > len(cell)-at {
			return nil, false, false
		}
		value, touched := mask(cell[at : at+n : at+n])
		if out = appendField(out, value); value == nil {
			binary.BigEndian.PutUint32(out[4:], 1)
		}
		changed = changed || touched
		at += n
	}
	if !changed {
		return cell, false, true
	}
	return out, true, true
}

// appendField appends a value behind its length, -1 for NULL.
func appendField(dst, value []byte) []byte {
	if value == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(value))), value...) //nolint:gosec // part of a cell, with a mask
}

// textArray reads array_out's form: {a,"b c",NULL,{…}}, perhaps with bounds
// before it, [2:3]={…}.
func textArray(cell []byte, mask element) (masked []byte, changed, ok bool) {
	at, depth := 0, 0
	if len(cell) > 0 && cell[0] == '[' {
		if at = bytes.IndexByte(cell, '=') + 1; at == 0 {
			return nil, false, false
		}
	}
	out := append(make([]byte, 0, len(cell)+32), cell[:at]...)
	for at < len(cell) {
		switch c := cell[at]; {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c != ',':
			value, next, fine := textElement(cell, at)
			if !fine || depth < 1 {
				return nil, false, false
			}
			raw := cell[at:next]
			if at = next; raw[0] != '"' && strings.EqualFold(string(raw), "NULL") {
				out = append(out, raw...)
				continue
			}
			if value, touched := mask(value); touched {
				out, changed = appendElement(out, value), true
				continue
			}
			out = append(out, raw...)
			continue
		}
		if depth < 0 || depth == 0 && cell[at] != '}' {
			return nil, false, false
		}
		out = append(out, cell[at])
		at++
	}
	if depth != 0 {
		return nil, false, false
	}
	if !changed {
		return cell, false, true
	}
	return out, true, true
}

// textElement reads an element of an array in text format, quoted or not, and
// where the next begins.
func textElement(cell []byte, at int) (value []byte, next int, ok bool) {
	quoted := cell[at] == '"'
	if quoted {
		at++
	}
	value = []byte{}
	for ; at < len(cell); at++ {
		switch c := cell[at]; {
		case c == '\\':
			if at++; at == len(cell) {
				return nil, 0, false
			}
			value = append(value, cell[at])
		case quoted && c == '"':
			return value, at + 1, true
		case !quoted && (c == ',' || c == '}'):
			return value, at, true
		case !quoted && (c == '{' || c == '"'):
			return nil, 0, false
		default:
			value = append(value, c)
		}
	}
	return nil, 0, false
}

// appendElement appends an element in text format.
func appendElement(dst, value []byte) []byte {
	if value == nil {
		return append(dst, "NULL"...)
	}
	dst = append(dst, '"')
	for _, c := range value {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
