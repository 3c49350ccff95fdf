package embedded

import (
	"io"
	"net"
)

// relay hands connections on to the library's own listener.
//
// A client that is killed with an answer unread resets its connection, and the
// library (26.7) takes its whole process down with an exception that it does not
// catch. Here such a connection ends in order instead: the server is told that
// the client says no more, and what it still has to say is read to the end.
func relay(l net.Listener, to string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go forward(client.(*net.TCPConn), to)
	}
}

func forward(client *net.TCPConn, to string) {
	defer func() { _ = client.Close() }()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		return // not ready yet; the client tries again
	}
	server := conn.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(server, client)
		_ = server.CloseWrite()
	}()
	if _, err := io.Copy(client, server); err != nil {
		_, _ = io.Copy(io.Discard, server)
	}
	_ = client.CloseWrite()
	_ = client.CloseRead() // ends the other direction where the server was first
	<-done
}
