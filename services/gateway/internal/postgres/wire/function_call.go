package wire

import "encoding/binary"

// FunctionCallMessage calls a function by its OID.
type FunctionCallMessage struct {
	Function  uint32
	Formats   []int16
	Arguments [][]byte // nil is NULL
	Result    int16    // format
}

// Decode reads the body of a FunctionCall.
func (m *FunctionCallMessage) Decode(src []byte) error {
	b := body{src: src}
	m.Function = b.uint32()
	m.Formats = b.formats(m.Formats[:0])
	m.Arguments = m.Arguments[:0]
	for range b.count(4) {
		m.Arguments = append(m.Arguments, b.value())
	}
	m.Result = b.int16()
	if m.Result != 0 && m.Result != 1 {
		b.fail()
	}
	if err := b.end(); err != nil {
		return err
	}
	if n := len(m.Formats); n > 1 && n != len(m.Arguments) {
		return ErrMalformed
	}
	return nil
}

// Append appends the message.
func (m *FunctionCallMessage) Append(dst []byte) []byte {
	dst, at := begin(dst, Function)
	dst = binary.BigEndian.AppendUint32(dst, m.Function)
	dst = appendValues(appendFormats(dst, m.Formats), m.Arguments)
	return end(appendInt16(dst, m.Result), at)
}

// DecodeFunctionCallResponse returns what a function has returned, nil where that is
// NULL: a part of src.
func DecodeFunctionCallResponse(src []byte) ([]byte, error) {
	b := body{src: src}
	v := b.value()
	return v, b.end()
}
