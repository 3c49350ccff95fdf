package wire

// DecodeParameterStatus reads a reported setting.
func DecodeParameterStatus(src []byte) (name, value string, err error) {
	b := body{src: src}
	name, value = string(b.string()), string(b.string())
	return name, value, b.end()
}

// AppendParameterStatus appends a ParameterStatus.
func AppendParameterStatus(dst []byte, name, value string) []byte {
	dst, at := begin(dst, ParameterStatus)
	return end(appendString(appendString(dst, name), value), at)
}
