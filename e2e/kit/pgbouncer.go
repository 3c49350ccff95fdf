package kit

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Pool is a pgbouncer.
type Pool struct {
	Address string
	CA      string // its clients verify it with
	Process *os.Process
	dir     string
	command *exec.Cmd
}

// PoolOptions say what a Pool stands in front of.
type PoolOptions struct {
	Mode     string // session, transaction
	Database string // as its clients name it
	// Server is what it connects to, in words of pgbouncer's [databases].
	Server string
	// CA verifies the server, and there is TLS on both sides; empty: on none.
	CA string
	// Users are who may connect, with their passwords; with none, whoever comes.
	Users map[string]string
}

const unprivileged = 65534 // pgbouncer does not run as root

// Pool starts a pgbouncer that ends with the test.
func (g *Gatestay) Pool(t testing.TB, o PoolOptions) *Pool {
	t.Helper()
	p, err := g.StartPool(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
		p.Close()
	})
	return p
}

// StartPool starts a pgbouncer, of Debian's package, that shows the gateway's
// certificate. It runs until Close.
func (g *Gatestay) StartPool(ctx context.Context, o PoolOptions) (*Pool, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // not on everybody's path
	}
	free, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gatestay-pgbouncer-") // where an unprivileged account may enter
	if err != nil {
		return nil, fmt.Errorf("kit: pgbouncer: %w", err)
	}
	p := &Pool{Address: free[0], CA: g.CA, dir: dir, command: exec.Command(path, "-q", filepath.Join(dir, "pgbouncer.ini"))}
	if err := g.configurePool(p, o); err != nil {
		p.Close()
		return nil, fmt.Errorf("kit: pgbouncer: %w", err)
	}
	if err := p.command.Start(); err != nil {
		p.Close()
		return nil, fmt.Errorf("kit: pgbouncer: install Debian's package of that name: %w", err)
	}
	p.Process = p.command.Process
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Address)
		if err == nil {
			return p, c.Close()
		}
		select {
		case <-ctx.Done():
			defer p.Close()
			return nil, fmt.Errorf("kit: pgbouncer: %w\n%s", err, p.Log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (g *Gatestay) configurePool(p *Pool, o PoolOptions) error {
	_, port, _ := net.SplitHostPort(p.Address)
	auth, users := "any", ""
	for user, password := range o.Users {
		auth, users = "scram-sha-256", users+fmt.Sprintf("%q %q\n", user, password)
	}
	config := fmt.Sprintf(`[databases]
%[1]s = %[2]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[3]s
unix_socket_dir =
auth_type = %[4]s
auth_file = %[5]s/users.txt
pool_mode = %[6]s
default_pool_size = 100
max_client_conn = 200
logfile = %[5]s/pgbouncer.log
ignore_startup_parameters = extra_float_digits
`, o.Database, o.Server, port, auth, p.dir, o.Mode)
	files := map[string][]byte{"users.txt": []byte(users)}
	if o.CA != "" {
		config += fmt.Sprintf(`client_tls_sslmode = require
client_tls_cert_file = %[1]s/cert.pem
client_tls_key_file = %[1]s/key.pem
server_tls_sslmode = verify-full
server_tls_ca_file = %[1]s/ca.pem
`, p.dir)
		for name, from := range map[string]string{"cert.pem": g.path("tls", "gateway.pem"), "key.pem": g.path("tls", "gateway.key"), "ca.pem": o.CA} {
			raw, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			files[name] = raw
		}
	}
	files["pgbouncer.ini"] = []byte(config)
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	root := os.Getuid() == 0
	if root {
		p.command.SysProcAttr.Credential = &syscall.Credential{Uid: unprivileged, Gid: unprivileged}
		if err := os.Chown(p.dir, unprivileged, unprivileged); err != nil {
			return err
		}
	}
	for name, raw := range files {
		path := filepath.Join(p.dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			return err
		}
		if root {
			if err := os.Chown(path, unprivileged, unprivileged); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the pool.
func (p *Pool) Close() {
	if p.Process != nil {
		_ = p.Process.Kill()
		_ = p.command.Wait()
	}
	_ = os.RemoveAll(p.dir)
}

// Log returns what the pool has logged.
func (p *Pool) Log() string {
	raw, _ := os.ReadFile(filepath.Join(p.dir, "pgbouncer.log"))
	return string(raw)
}
