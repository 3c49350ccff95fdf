package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const nobody = 65534 // pgbouncer refuses to run as root

// bouncer is a pgbouncer in one mode, with or without TLS on both sides.
type bouncer struct {
	mode string // session, transaction
	tls  bool
	via  connection
	cmd  *exec.Cmd
}

// startBouncer runs pgbouncer in front of the target. files holds the
// certificate and key it serves; dir is a new folder.
func startBouncer(ctx context.Context, dir, mode string, target connection, certificate, key string) (*bouncer, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return nil, fmt.Errorf("bench: pgbouncer is missing: install Debian's package of that name: %w", err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	b := &bouncer{mode: mode, tls: target.tls, via: target}
	b.via.host, b.via.port = "127.0.0.1", port
	config := fmt.Sprintf(`[databases]
%s = host=%s port=%s dbname=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s/users.txt
pool_mode = %s
default_pool_size = 100
max_client_conn = 200
logfile = %s/pgbouncer.log
ignore_startup_parameters = extra_float_digits
`, target.database, target.host, target.port, target.database, port, dir, mode, dir)
	if target.tls {
		config += fmt.Sprintf("client_tls_sslmode = require\nclient_tls_cert_file = %s/cert.pem\nclient_tls_key_file = %s/key.pem\nserver_tls_sslmode = verify-ca\nserver_tls_ca_file = %s/ca.pem\n", dir, dir, dir)
	}
	err = errors.Join(
		os.MkdirAll(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "pgbouncer.ini"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "users.txt"), fmt.Appendf(nil, "%q %q\n", target.user, target.password), 0o600),
		copyFile(certificate, filepath.Join(dir, "cert.pem")), copyFile(key, filepath.Join(dir, "key.pem")), copyFile(target.ca, filepath.Join(dir, "ca.pem")),
	)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	b.cmd = exec.Command(path, "-q", filepath.Join(dir, "pgbouncer.ini"))
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		b.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := own(dir, nobody); err != nil {
			return nil, err
		}
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: pgbouncer: %w", err)
	}
	if err := listening(ctx, net.JoinHostPort("127.0.0.1", port)); err != nil {
		raw, _ := os.ReadFile(filepath.Join(dir, "pgbouncer.log"))
		b.stop()
		return nil, fmt.Errorf("bench: pgbouncer: %w\n%s", err, raw)
	}
	return b, nil
}

func (b *bouncer) stop() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

func own(dir string, uid int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	for _, e := range entries {
		if err := os.Chown(filepath.Join(dir, e.Name()), uid, uid); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	if err := os.Chown(dir, uid, uid); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

func copyFile(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, raw, 0o600)
}

// listening waits until somebody accepts at the address.
func listening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody listens at %s: %w", address, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
