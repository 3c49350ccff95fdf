package run

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What a shell exits with (POSIX, 2.8.2).
const (
	exitNotFound      = 127
	exitNotExecutable = 126
	exitSignalled     = 128
)

// child is the command and its surroundings.
type child struct {
	args        []string
	environment []string
	stdin       io.Reader
	stdout      io.Writer
	stderr      io.Writer
}

// run runs the command to its end and returns its exit code: its own, 128 + n
// where a signal ended it, 127 or 126 (with an error) where it did not start.
//
// Signals reach the command exactly once. Beside a terminal it stays in our
// process group, so that job control works as ever: ^C and ^\ come to it from
// the terminal, and we only stay alive. Without a terminal it gets a group of
// its own, and what we receive is passed on to that group.
func (c *child) run() (int, error) {
	cmd := exec.Command(c.args[0], c.args[1:]...) //nolint:gosec,noctx // running it is the purpose; it ends by itself or by signals
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.environment, c.stdin, c.stdout, c.stderr
	cmd.WaitDelay = time.Second // for output pipes that a grandchild keeps open
	tty, terminal := openTerminal()
	if terminal {
		defer func() { _ = tty.Close() }()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !terminal}

	signals := make(chan os.Signal, 16)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(s) { // nohup stays nohup
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)

	if err := cmd.Start(); err != nil {
		return startFailed(c.args[0], err)
	}
	ended := make(chan struct{})
	forwarded := make(chan struct{})
	go func() {
		defer close(forwarded)
		for {
			select {
			case s := <-signals:
				forward(cmd.Process.Pid, s, tty)
			case <-ended:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	<-forwarded
	return exitCode(cmd.ProcessState, err)
}

func startFailed(name string, err error) (int, error) {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return exitNotFound, fmt.Errorf("run: %s: command not found", name)
	case errors.Is(err, fs.ErrPermission):
		return exitNotExecutable, fmt.Errorf("run: %s: not executable", name)
	default:
		return exitNotExecutable, fmt.Errorf("run: %w", err)
	}
}

func exitCode(state *os.ProcessState, err error) (int, error) {
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return exitSignalled + int(status.Signal()), nil
	case state.Exited():
		return state.ExitCode(), nil
	default:
		return 1, fmt.Errorf("run: wait for the command: %w", err)
	}
}

// forward passes a signal on. tty is nil where the command has a group of its own.
func forward(pid int, s os.Signal, tty *os.File) {
	number, ok := s.(syscall.Signal)
	if !ok {
		return
	}
	if tty == nil {
		_ = syscall.Kill(-pid, number)
		return
	}
	if (number == syscall.SIGINT || number == syscall.SIGQUIT) && inForeground(tty) {
		return // typed at the terminal: the command got it too
	}
	_ = syscall.Kill(pid, number)
}

// openTerminal returns the controlling terminal, if there is one.
func openTerminal() (*os.File, bool) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	return tty, err == nil
}

func inForeground(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
