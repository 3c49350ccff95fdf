package run

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is 'gatestay run' as a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *syncBuffer
}

func startProcess(t *testing.T, g *fakeGateway, part string, attributes *syscall.SysProcAttr, tty *os.File) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0]), output: &syncBuffer{}}
	p.cmd.Env = append(os.Environ(), helperVariable+"=gatestay:"+part, "GATESTAY_GATEWAY="+g.api.URL,
		"GATESTAY_POSTGRES="+g.listener.Addr().String(), "GATESTAY_CA="+g.ca, "GATESTAY_ID_TOKEN="+jobToken)
	p.cmd.SysProcAttr = attributes
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if tty != nil {
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) said(text string) {
	p.t.Helper()
	waitFor(p.t, func() bool { return strings.Contains(p.output.String(), text) }, func() string { return "said: " + p.output.String() })
}

func waitFor(t *testing.T, ok func() bool, what func() string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal(what())
}

func (p *process) exit() int {
	p.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); _ = p.cmd.Wait() }()
	select {
	case <-done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
		p.t.Fatalf("does not end: %s", p.output)
		return -1
	}
}

func TestRun_SignalsWithoutATerminal(t *testing.T) {
	g, tmp := newFakeGateway(t), privateTemp(t)
	p := startProcess(t, g, "count", &syscall.SysProcAttr{Setsid: true}, nil)
	p.said("counting")
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGUSR1} {
		if err := p.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		p.said("got " + s.String())
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.exit(); code != 42 {
		t.Fatalf("exit %d, want 40 and two signals: %s", code, p.output)
	}
	if len(g.seen().ended) != 1 {
		t.Fatal("the gateway was not told")
	}
	isEmpty(t, tmp)
}

func TestRun_KilledChild(t *testing.T) {
	g, tmp := newFakeGateway(t), privateTemp(t)
	p := startProcess(t, g, "die", &syscall.SysProcAttr{Setsid: true}, nil)
	if code := p.exit(); code != 128+int(syscall.SIGTERM) || len(g.seen().ended) != 1 {
		t.Fatalf("exit %d, ended %v", code, g.seen().ended)
	}
	isEmpty(t, tmp)
}

func TestRedteam32_SocketUsedByAnotherUser(t *testing.T) {
	g := newFakeGateway(t)
	w := openTestWay(t, g, false)
	ours := w.dial(t)
	_, _ = ours.Write(startup(t))
	if m := next(t, ours); m == nil {
		t.Fatal("our own user was refused")
	}
	if os.Getuid() != 0 {
		return // only root can play another user
	}
	// Even where the folder were open to all.
	for path, mode := range map[string]os.FileMode{w.dir: 0o755, w.listener.Addr().String(): 0o666, w.control.Addr().String(): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	// The test binary lies where nobody else may look: put a copy in the open.
	open, err := os.MkdirTemp("/tmp", "open")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(open) })
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	knocker := filepath.Join(open, "knocker")
	if err := errors.Join(os.Chmod(open, 0o755), os.WriteFile(knocker, binary, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(knocker)
	cmd.Dir = "/"
	cmd.Env = []string{helperVariable + "=knock:" + w.listener.Addr().String() + "," + w.control.Addr().String()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), ": 0 bytes\n") != 2 {
		t.Fatalf("another user was let in: %v %s", err, out)
	}
}
