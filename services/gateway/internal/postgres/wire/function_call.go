package wire

// AppendFunctionCall appends a FunctionCall without arguments.
func AppendFunctionCall(dst []byte, function int32) []byte {
	dst, at := begin(dst, Function)
	dst = appendInt32(dst, function)
	return end(append(dst, 0, 0, 0, 0, 0, 0), at)
}
