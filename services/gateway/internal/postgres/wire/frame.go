package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// headerSize is a message's type byte and its length.
const headerSize = 5

// Types of messages from the client.
const (
	Bind      = 'B'
	Close     = 'C'
	CopyData  = 'd'
	CopyDone  = 'c'
	CopyFail  = 'f'
	Describe  = 'D'
	Execute   = 'E'
	Flush     = 'H'
	Function  = 'F'
	Parse     = 'P'
	Password  = 'p'
	Query     = 'Q'
	Sync      = 'S'
	Terminate = 'X'
)

// Types of messages from the server.
const (
	Authentication       = 'R'
	BackendKeyData       = 'K'
	BindComplete         = '2'
	CloseComplete        = '3'
	CommandComplete      = 'C'
	CopyBothResponse     = 'W'
	CopyInResponse       = 'G'
	CopyOutResponse      = 'H'
	DataRow              = 'D'
	EmptyQueryResponse   = 'I'
	ErrorResponse        = 'E'
	FunctionCallResponse = 'V'
	NegotiateVersion     = 'v'
	NoData               = 'n'
	NoticeResponse       = 'N'
	NotificationResponse = 'A'
	ParameterDescription = 't'
	ParameterStatus      = 'S'
	ParseComplete        = '1'
	PortalSuspended      = 's'
	ReadyForQuery        = 'Z'
	RowDescription       = 'T'
)

// ErrMalformed is a message whose bytes contradict its format.
var ErrMalformed = errors.New("wire: malformed message")

// A TooLongError is a message longer than the limit for its type.
type TooLongError struct {
	Type          byte
	Length, Limit int
}

// Error implements error.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("wire: message %q of %d bytes, at most %d are taken", e.Type, e.Length, e.Limit)
}

// Header is the type of a message and the length of its body in bytes.
type Header struct {
	Type   byte
	Length int
}

// begin appends a header with an open length; end fills it in.
func begin(dst []byte, typ byte) ([]byte, int) {
	dst = append(dst, typ, 0, 0, 0, 0)
	return dst, len(dst) - 4
}

func end(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at)) //nolint:gosec // our own messages are small
	return dst
}

func appendString(dst []byte, s string) []byte { return append(append(dst, s...), 0) }

func appendInt16(dst []byte, v int16) []byte {
	return binary.BigEndian.AppendUint16(dst, uint16(v)) //nolint:gosec // bit pattern only
}

func appendInt32(dst []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(v)) //nolint:gosec // bit pattern only
}

// AppendEmpty appends a message without a body.
func AppendEmpty(dst []byte, typ byte) []byte { return append(dst, typ, 0, 0, 0, 4) }

// AppendMessage appends a message with the given body.
func AppendMessage(dst []byte, typ byte, body []byte) []byte {
	dst, at := begin(dst, typ)
	return end(append(dst, body...), at)
}
