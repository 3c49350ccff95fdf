//go:build !unix

package wire

import "syscall"

// tryRead finds nothing: the caller waits.
func tryRead(uintptr, []byte) (int, error) { return 0, syscall.EAGAIN }
