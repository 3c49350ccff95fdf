//go:build !linux

package embedded

import (
	"os/exec"
	"syscall"
)

// detach gives the child a process group of its own, so that an interrupt typed
// at the terminal reaches this process only. There is no parent-death signal
// here; ClickHouse notices by its pipe.
func detach(cmd *exec.Cmd, _ syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}
