package postgres_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// pooler runs pgbouncer in front of the target and returns its address. Debian's
// is older than protocol 3.2.
func pooler(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = l.Close()
	dir, err := os.MkdirTemp("", "gatestay-pooler-") // t.TempDir's parents keep others out
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	host, upstream, _ := net.SplitHostPort(target.Address)
	for name, text := range map[string]string{
		"users.txt": fmt.Sprintf("%q %q\n", target.Superuser, target.Password),
		"pgbouncer.ini": fmt.Sprintf("[databases]\npostgres = host=%s port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\nauth_type = scram-sha-256\n"+
			"auth_file = %s/users.txt\npool_mode = session\n", host, upstream, port, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/usr/sbin/pgbouncer", "-q", filepath.Join(dir, "pgbouncer.ini"))
	if os.Geteuid() == 0 { // it refuses to run so
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	eventually(t, "pgbouncer listens", func() bool {
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	})
	return address
}

// TestPoolerBehindTheGateway signs in to an old pooler, and cancels through it.
func TestPoolerBehindTheGateway(t *testing.T) {
	up := upstreamOf(t)
	up.Address, up.TLS = pooler(t), "disable"
	g := start(t, &seamtest.Gate{Upstream: up})
	for range 2 {
		r := g.dialVersion(t, "3.2")
		if got := r.query(t, "SELECT 1 AS a"); got[len(got)-1] != "ready I" {
			t.Errorf("%q", got)
		}
		sleep(t, r, fmt.Sprintf("pl_slow_%d", r.pid))
		g.cancelRequest(t, r.pid, r.key)
		if got := r.until(t, 1); got[len(got)-2] != "error 57014" {
			t.Errorf("%q", got)
		}
	}
}
