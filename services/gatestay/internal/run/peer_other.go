//go:build !linux

package run

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// sameUser reports that the process at the other end of a Unix socket is ours.
// For TCP it is the password that tells.
func sameUser(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return true
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Xucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	}); err != nil || failed != nil {
		return false
	}
	return int(peer.Uid) == os.Getuid()
}
