package wire

import "encoding/binary"

// BindMessage makes a portal of a statement and parameters.
type BindMessage struct {
	Portal, Statement []byte
	ParameterFormats  []int16
	Values            [][]byte // nil is NULL
	ResultFormats     []int16
}

// Decode reads the body of a Bind. It reuses the slices.
func (m *BindMessage) Decode(src []byte) error {
	b := body{src: src}
	m.Portal, m.Statement = b.string(), b.string()
	m.ParameterFormats = b.formats(m.ParameterFormats[:0])
	m.Values = m.Values[:0]
	for range b.count(4) {
		m.Values = append(m.Values, b.value())
	}
	m.ResultFormats = b.formats(m.ResultFormats[:0])
	if err := b.end(); err != nil {
		return err
	}
	if n := len(m.ParameterFormats); n > 1 && n != len(m.Values) {
		return ErrMalformed
	}
	return nil
}

func (b *body) formats(dst []int16) []int16 {
	for range b.count(2) {
		f := b.int16()
		if f != 0 && f != 1 {
			b.fail()
		}
		dst = append(dst, f)
	}
	return dst
}

// Format returns the format of value i in a list of formats as Bind has them:
// none is text for all, one is for all.
func Format(formats []int16, i int) int16 {
	switch len(formats) {
	case 0:
		return 0
	case 1:
		return formats[0]
	}
	if i < len(formats) {
		return formats[i]
	}
	return 0
}

// Append appends the message.
func (m *BindMessage) Append(dst []byte) []byte {
	dst, at := begin(dst, Bind)
	dst = appendString(appendString(dst, string(m.Portal)), string(m.Statement))
	dst = appendFormats(dst, m.ParameterFormats)
	return end(appendFormats(appendValues(dst, m.Values), m.ResultFormats), at)
}

func appendValues(dst []byte, values [][]byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(values))) //nolint:gosec // as many as it was read with
	for _, v := range values {
		if v == nil {
			dst = binary.BigEndian.AppendUint32(dst, 1<<32-1)
			continue
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...) //nolint:gosec // bounded by the message that it was read from
	}
	return dst
}

func appendFormats(dst []byte, formats []int16) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(formats))) //nolint:gosec // as many as it was read with
	for _, f := range formats {
		dst = binary.BigEndian.AppendUint16(dst, uint16(f)) //nolint:gosec // 0 or 1
	}
	return dst
}

// AppendBind appends a Bind without parameters, with all results as text.
func AppendBind(dst []byte, portal, statement string) []byte {
	dst, at := begin(dst, Bind)
	dst = appendString(appendString(dst, portal), statement)
	return end(append(dst, 0, 0, 0, 0, 0, 0), at)
}
