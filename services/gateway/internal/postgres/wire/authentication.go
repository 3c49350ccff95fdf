package wire

import "encoding/binary"

// AppendAuthenticationOK appends an AuthenticationOk.
func AppendAuthenticationOK(dst []byte) []byte {
	return append(dst, Authentication, 0, 0, 0, 8, 0, 0, 0, 0)
}

// AppendCleartextPassword appends an AuthenticationCleartextPassword.
func AppendCleartextPassword(dst []byte) []byte {
	return append(dst, Authentication, 0, 0, 0, 8, 0, 0, 0, 3)
}

// DecodePassword reads the body of a PasswordMessage.
func DecodePassword(src []byte) (string, error) {
	b := body{src: src}
	p := b.string()
	return string(p), b.end()
}

// AppendBackendKeyData appends what a client cancels with.
func AppendBackendKeyData(dst []byte, pid uint32, key []byte) []byte {
	dst, at := begin(dst, BackendKeyData)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return end(append(dst, key...), at)
}

// AppendNegotiateVersion appends the answer to a client that asked for a newer
// minor version than ours, or for protocol options, of which there are none: the
// version that is spoken now. Like a server's it is whole, not the minor alone.
func AppendNegotiateVersion(dst []byte, version uint32, unknown []string) []byte {
	dst, at := begin(dst, NegotiateVersion)
	dst = binary.BigEndian.AppendUint32(dst, version)
	dst = appendInt32(dst, int32(len(unknown))) //nolint:gosec // at most as many as a start-up packet holds
	for _, o := range unknown {
		dst = appendString(dst, o)
	}
	return end(dst, at)
}
