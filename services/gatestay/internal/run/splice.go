package run

import (
	"io"
	"net"
	"sync"
)

// splice copies both ways until both sides have ended. An end of one direction
// is passed on as such, so that answers still under way arrive; a failure ends
// both.
func splice(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { pump(a, b) })
	both.Go(func() { pump(b, a) })
	both.Wait()
}

func pump(dst, src net.Conn) {
	_, err := io.Copy(dst, src)
	half, ok := dst.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		_ = dst.Close()
		_ = src.Close()
	}
}
