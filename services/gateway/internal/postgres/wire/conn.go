package wire

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Conn is a TCP connection, below TLS where there is TLS, that a Reader above
// can ask to be told before it waits. While a lot comes, what has come is then
// passed on in larger pieces: whatever more is there already is taken first.
type Conn struct {
	*net.TCPConn
	raw syscall.RawConn
	// beforeWait is set for one Read at a time, by the only goroutine that reads.
	beforeWait func() error
	try        func(fd uintptr) bool
	into       []byte // what try reads into
	n          int
	err        error
}

// NewConn returns a Conn over a TCP connection; any other kind of connection is
// returned as it is.
func NewConn(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	w := &Conn{TCPConn: t, raw: raw}
	w.try = func(fd uintptr) bool {
		w.n, w.err = tryRead(fd, w.into)
		return true
	}
	return w
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	if c.beforeWait == nil || len(p) == 0 {
		return c.TCPConn.Read(p) //nolint:wrapcheck // a connection's own error
	}
	c.into = p
	err := c.raw.Read(c.try)
	c.into = nil
	switch {
	case err != nil:
		return 0, err //nolint:wrapcheck // as above
	case c.err == nil && c.n > 0:
		return c.n, nil
	case c.err == nil:
		return 0, io.EOF
	case c.err != syscall.EAGAIN && c.err != syscall.EINTR: //nolint:errorlint // tryRead returns them bare
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", c.err)}
	}
	if err := c.beforeWait(); err != nil {
		return 0, err
	}
	return c.TCPConn.Read(p) //nolint:wrapcheck // as above
}

// below returns the Conn at the bottom of a connection, nil where there is none.
func below(src io.Reader) *Conn {
	for {
		switch c := src.(type) {
		case *Conn:
			return c
		case interface{ NetConn() net.Conn }: // tls.Conn
			src = c.NetConn()
		default:
			return nil
		}
	}
}
