package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// sslRequest is PostgreSQL's request for TLS: length 8, code 80877103.
var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

// Splice forwards every connection of the listener to target and looks at
// nothing. With a server and a client configuration it ends TLS on both sides,
// as a proxy that reads must.
func Splice(l net.Listener, target string, server, client *tls.Config) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("bench: splice: %w", err)
		}
		go func() { _ = forward(c, target, server, client) }()
	}
}

func forward(raw net.Conn, target string, server, client *tls.Config) error {
	defer func() { _ = raw.Close() }()
	rawUpstream, err := net.Dial("tcp", target)
	if err != nil {
		return err
	}
	defer func() { _ = rawUpstream.Close() }()
	c, upstream := raw, rawUpstream
	if server != nil {
		if c, err = secure(c, func(raw net.Conn) net.Conn { return tls.Server(raw, server) }, true); err != nil {
			return err
		}
		if upstream, err = secure(upstream, func(raw net.Conn) net.Conn { return tls.Client(raw, client) }, false); err != nil {
			return err
		}
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, upstream}, {upstream, c}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // splice(2) in the kernel where both are TCP
			if half, ok := way[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		})
	}
	both.Wait()
	return nil
}

// secure does PostgreSQL's handshake for TLS on one side.
func secure(c net.Conn, wrap func(net.Conn) net.Conn, asServer bool) (net.Conn, error) {
	if asServer {
		request := make([]byte, len(sslRequest))
		if _, err := io.ReadFull(c, request); err != nil {
			return nil, err
		}
		if string(request) != string(sslRequest) {
			return nil, errors.New("bench: the client does not ask for TLS")
		}
		if _, err := c.Write([]byte{'S'}); err != nil {
			return nil, err
		}
		return wrap(c), nil
	}
	if _, err := c.Write(sslRequest); err != nil {
		return nil, err
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, err
	}
	if answer[0] != 'S' {
		return nil, errors.New("bench: the target refuses TLS")
	}
	return wrap(c), nil
}
