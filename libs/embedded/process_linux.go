package embedded

import (
	"os/exec"
	"syscall"
)

// detach gives the child a process group of its own, so that an interrupt typed
// at the terminal reaches this process only, which then ends the child in order,
// and asks the kernel to send it a signal when this process dies.
func detach(cmd *exec.Cmd, atParentDeath syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = atParentDeath
}
