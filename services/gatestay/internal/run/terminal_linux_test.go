package run

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openPty returns both ends of a new pseudo terminal.
func openPty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestRun_InterruptAtATerminal(t *testing.T) {
	g, tmp := newFakeGateway(t), privateTemp(t)
	master, slave := openPty(t)
	p := startProcess(t, g, "count", &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}, slave)
	_ = slave.Close()
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(p.output, master) }() // ends with the last process on it
	p.said("counting")
	// ^C, typed: the whole foreground group gets it, the command once.
	if _, err := master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	p.said("got interrupt")
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.exit(); code != 41 {
		t.Fatalf("exit %d, want 40 and one signal: %s", code, p.output)
	}
	<-read
	if len(g.seen().ended) != 1 {
		t.Fatal("the gateway was not told")
	}
	isEmpty(t, tmp)
}
