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

// Splice is a proxy that looks at nothing.
type Splice struct {
	Target string
	// With both, it ends TLS on both sides, as a proxy that reads must.
	Server, Client *tls.Config
	// Recorder, where set, leaves two records of each command.
	Recorder *Recorder
}

// Serve forwards every connection of the listener.
func (s *Splice) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("bench: splice: %w", err)
		}
		go func() { _ = s.forward(c) }()
	}
}

func (s *Splice) forward(raw net.Conn) error {
	defer func() { _ = raw.Close() }()
	rawUpstream, err := net.Dial("tcp", s.Target)
	if err != nil {
		return err
	}
	defer func() { _ = rawUpstream.Close() }()
	c, upstream := raw, rawUpstream
	if s.Server != nil {
		if c, err = secure(c, func(raw net.Conn) net.Conn { return tls.Server(raw, s.Server) }, true); err != nil {
			return err
		}
		if upstream, err = secure(upstream, func(raw net.Conn) net.Conn { return tls.Client(raw, s.Client) }, false); err != nil {
			return err
		}
	}
	if s.Recorder != nil {
		return s.Recorder.forward(c, upstream)
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
