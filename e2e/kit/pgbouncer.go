package kit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Pool is a pgbouncer with TLS on both sides.
type Pool struct {
	Address string
	CA      string // its clients verify it with
	log     string
}

// PoolOptions say what a Pool stands in front of.
type PoolOptions struct {
	Mode     string // session, transaction
	Database string // as its clients name it
	// Server is what it connects to, in words of pgbouncer's [databases].
	Server string
	CA     string // verifies the server
	// Users are who may connect, with their passwords; with none, whoever comes.
	Users map[string]string
}

const unprivileged = 65534 // pgbouncer does not run as root

// Pool starts a pgbouncer that ends with the test. It shows the gateway's
// certificate.
func (g *Gatestay) Pool(t testing.TB, o PoolOptions) *Pool {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer"
	}
	free, err := freeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "gatestay-pgbouncer-") // where an unprivileged account may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &Pool{Address: free[0], CA: g.CA, log: filepath.Join(dir, "pgbouncer.log")}
	_, port, _ := net.SplitHostPort(p.Address)
	auth, users := "any", ""
	for user, password := range o.Users {
		auth, users = "scram-sha-256", users+fmt.Sprintf("%q %q\n", user, password)
	}
	config := fmt.Sprintf(`[databases]
%s = %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = %s
auth_file = %s/users.txt
pool_mode = %s
logfile = %s
ignore_startup_parameters = extra_float_digits
client_tls_sslmode = require
client_tls_cert_file = %s/cert.pem
client_tls_key_file = %s/key.pem
server_tls_sslmode = verify-full
server_tls_ca_file = %s/ca.pem
`, o.Database, o.Server, port, auth, dir, o.Mode, p.log, dir, dir, dir)
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "pgbouncer.ini"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "users.txt"), []byte(users), 0o600),
		copyTo(g.path("tls", "gateway.pem"), filepath.Join(dir, "cert.pem")),
		copyTo(g.path("tls", "gateway.key"), filepath.Join(dir, "key.pem")),
		copyTo(o.CA, filepath.Join(dir, "ca.pem")),
	)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, "-q", filepath.Join(dir, "pgbouncer.ini"))
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: unprivileged, Gid: unprivileged}
		for _, name := range []string{".", "pgbouncer.ini", "users.txt", "cert.pem", "key.pem", "ca.pem"} {
			if err := os.Chown(filepath.Join(dir, name), unprivileged, unprivileged); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	Eventually(t, 10*time.Second, func() error {
		c, err := net.DialTimeout("tcp", p.Address, time.Second)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, p.Log())
		}
		return c.Close()
	})
	return p
}

// Log returns what the pool has logged.
func (p *Pool) Log() string {
	raw, _ := os.ReadFile(p.log)
	return string(raw)
}

func copyTo(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, raw, 0o600)
}
