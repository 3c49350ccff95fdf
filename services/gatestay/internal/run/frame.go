package run

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	maxStartup = 10_000   // as PostgreSQL's MAX_STARTUP_PACKET_LENGTH
	maxEarly   = 64 << 10 // of a message before the session is open
	maxSecret  = 1 << 10  // of a child's password message
)

// The codes in place of a protocol version (PostgreSQL documentation, 54.7).
const (
	codeCancel = 80877102
	codeSSL    = 80877103
	codeGSS    = 80877104
)

// readStartup reads one packet without a type: length, code, body. It returns
// all its bytes.
func readStartup(r io.Reader) (frame []byte, code uint32, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, fmt.Errorf("run: start-up packet: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 8 || n > maxStartup {
		return nil, 0, fmt.Errorf("run: start-up packet of %d bytes", n)
	}
	frame = append(make([]byte, 0, n), head[:]...)[:n]
	if _, err := io.ReadFull(r, frame[8:]); err != nil {
		return nil, 0, fmt.Errorf("run: start-up packet: %w", err)
	}
	return frame, binary.BigEndian.Uint32(head[4:]), nil
}

// readFrame reads one typed message: type, length, body. It reads not a byte
// more, and returns all of the message's bytes.
func readFrame(r io.Reader, most uint32) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("run: message: %w", err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > most {
		return nil, fmt.Errorf("run: message %q of %d bytes", head[0], n)
	}
	frame := append(make([]byte, 0, n+1), head[:]...)[:n+1]
	if _, err := io.ReadFull(r, frame[5:]); err != nil {
		return nil, fmt.Errorf("run: message: %w", err)
	}
	return frame, nil
}

// fromGateway understands one message of the gateway.
func fromGateway(frame []byte) (pgproto3.BackendMessage, error) {
	f := pgproto3.NewFrontend(bytes.NewReader(frame), io.Discard)
	f.SetMaxBodyLen(maxEarly)
	m, err := f.Receive()
	if err != nil {
		return nil, fmt.Errorf("run: message of the gateway: %w", err)
	}
	return m, nil
}

// passwordOf understands a child's password message.
func passwordOf(frame []byte) (string, error) {
	b := pgproto3.NewBackend(bytes.NewReader(frame), io.Discard)
	b.SetMaxBodyLen(maxSecret)
	if err := b.SetAuthType(pgproto3.AuthTypeCleartextPassword); err != nil {
		return "", fmt.Errorf("run: %w", err)
	}
	m, err := b.Receive()
	if err != nil {
		return "", fmt.Errorf("run: password message: %w", err)
	}
	p, ok := m.(*pgproto3.PasswordMessage)
	if !ok {
		return "", errors.New("run: not a password message")
	}
	return p.Password, nil
}

// fatal is an ErrorResponse that ends a connection.
func fatal(code, message, hint string) []byte {
	out, err := (&pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message, Hint: hint,
	}).Encode(nil)
	if err != nil {
		return nil
	}
	return out
}
