package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Codes of the first packet of a connection.
const (
	CodeSSL    = 80877103
	CodeGSS    = 80877104
	CodeCancel = 80877102
	Version30  = 3 << 16
	// Version32 has cancel keys of up to MaxKey bytes; it is the newest there is.
	Version32 = 3<<16 | 2
)

// Lengths of a cancel key that PostgreSQL and we take, in bytes.
const (
	MinKey = 4
	MaxKey = 256
)

// MaxStartup is the longest first packet, in bytes, that PostgreSQL and we
// take.
const MaxStartup = 10000

// Startup is the first packet of a connection: a request for encryption, a
// request to cancel, or the start of a session.
type Startup struct {
	Code uint32
	// Body is what follows the code.
	Body []byte
}

// ReadStartup reads a first packet, and not a byte more: what a client sent
// after a request for encryption must never be taken for what came after it.
func ReadStartup(r io.Reader) (*Startup, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("wire: read start-up: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 8 || n > MaxStartup {
		return nil, fmt.Errorf("%w: start-up packet of %d bytes", ErrMalformed, n)
	}
	s := &Startup{Code: binary.BigEndian.Uint32(head[4:]), Body: make([]byte, n-8)}
	if _, err := io.ReadFull(r, s.Body); err != nil {
		return nil, fmt.Errorf("wire: read start-up: %w", err)
	}
	return s, nil
}

// Setting is one parameter of a start-up packet.
type Setting struct{ Name, Value string }

// Settings reads the parameters of a session's start-up packet, in order. An
// empty name ends the list and the packet; a name that comes twice is refused.
func (s *Startup) Settings() ([]Setting, error) {
	b := body{src: s.Body}
	var list []Setting
	seen := map[string]bool{}
	for {
		name := string(b.string())
		if b.bad {
			return nil, fmt.Errorf("%w: start-up packet without an end", ErrMalformed)
		}
		if name == "" {
			break
		}
		value := string(b.string())
		if b.bad || seen[name] {
			return nil, fmt.Errorf("%w: start-up parameter without a value, or twice", ErrMalformed)
		}
		seen[name] = true
		list = append(list, Setting{name, value})
	}
	if err := b.end(); err != nil {
		return nil, fmt.Errorf("%w: start-up packet goes on after its end", ErrMalformed)
	}
	return list, nil
}

// Cancel reads a CancelRequest: the process id and the secret key.
func (s *Startup) Cancel() (pid uint32, key []byte, err error) {
	b := body{src: s.Body}
	pid = b.uint32()
	key = b.take(len(b.src))
	if b.bad || len(key) < MinKey || len(key) > MaxKey {
		return 0, nil, ErrMalformed
	}
	return pid, key, nil
}

// AppendCancel appends a CancelRequest.
func AppendCancel(dst []byte, pid uint32, key []byte) []byte {
	at := len(dst)
	dst = appendInt32(dst, 0)
	dst = appendInt32(dst, CodeCancel)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return end(append(dst, key...), at)
}

// AppendCode appends a request for encryption.
func AppendCode(dst []byte, code uint32) []byte {
	return binary.BigEndian.AppendUint32(appendInt32(dst, 8), code)
}
