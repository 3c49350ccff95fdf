//go:build unix

package wire

import "syscall"

// tryRead reads what is there, and does not wait: connections are non-blocking.
func tryRead(fd uintptr, p []byte) (int, error) {
	return syscall.Read(int(fd), p) //nolint:wrapcheck // the caller tells EAGAIN apart
}
