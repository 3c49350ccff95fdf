package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gatestay/gatestay/e2e/kit"
)

// contender is one way to the same database.
type contender struct {
	name string
	tls  bool
	pid  int // of the proxy; 0 for none
	// connect returns how to reach it now: a credential is made anew each time.
	connect func(ctx context.Context) (connection, error)
	// unable names a protocol that it cannot do.
	unable string
	stop   func()
}

// Contenders, in the order of the table.
var names = []string{"direct", "pgbouncer-session", "pgbouncer-transaction", "splice", "gateway"}

// target is the database itself, as the account that the gateway uses, too.
func target(g *kit.Gatestay, tls bool) connection {
	host, port, _ := net.SplitHostPort(g.DB.Address)
	return connection{host: host, port: port, database: "shop", user: "app", password: g.TargetPassword(), tls: tls, ca: g.DB.CA}
}

// contenders starts all ways, with or without TLS on both sides.
func contenders(ctx context.Context, g *kit.Gatestay, tls bool) ([]*contender, error) {
	direct := target(g, tls)
	all := []*contender{{name: "direct", tls: tls, connect: fixed(direct), stop: func() {}}}
	certificate, key := filepath.Join(g.Dir, "tls", "gateway.pem"), filepath.Join(g.Dir, "tls", "gateway.key")
	for _, mode := range []string{"session", "transaction"} {
		dir, err := os.MkdirTemp("", "gatestay-bench-")
		if err != nil {
			return all, fmt.Errorf("bench: %w", err)
		}
		b, err := startBouncer(ctx, dir, mode, direct, certificate, key)
		if err != nil {
			return all, err
		}
		b.via.ca = g.CA
		c := &contender{name: "pgbouncer-" + mode, tls: tls, pid: b.cmd.Process.Pid, connect: fixed(b.via), stop: func() {
			b.stop()
			_ = os.RemoveAll(dir)
		}}
		if mode == "transaction" {
			c.unable = "prepared" // Debian 12's pgbouncer 1.18; since 1.21 it can
		}
		all = append(all, c)
	}
	s, err := spliceProcess(ctx, g, direct, certificate, key)
	if err != nil {
		return all, err
	}
	all = append(all, s)
	return append(all, gateway(g, tls)), nil
}

func fixed(c connection) func(context.Context) (connection, error) {
	return func(context.Context) (connection, error) { return c, nil }
}

func gateway(g *kit.Gatestay, tls bool) *contender {
	host, port, _ := net.SplitHostPort(g.Postgres)
	name := kit.Target
	if !tls {
		name = plainTarget
	}
	return &contender{name: "gateway", tls: tls, pid: g.PID(kit.Gateway), stop: func() {}, connect: func(ctx context.Context) (connection, error) {
		token, err := g.Issuer.Mint("github-actions", kit.Importer)
		if err != nil {
			return connection{}, fmt.Errorf("bench: %w", err)
		}
		credential, err := g.Exchange(ctx, token, name)
		if err != nil {
			return connection{}, err
		}
		return connection{host: host, port: port, database: name, user: "job", password: credential, tls: tls, ca: g.CA}, nil
	}}
}

// spliceProcess runs Splice in a process of its own, so that its CPU time can
// be told apart.
func spliceProcess(ctx context.Context, g *kit.Gatestay, direct connection, certificate, key string) (*contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	address := l.Addr().String()
	_ = l.Close()
	arguments := []string{"splice", address, net.JoinHostPort(direct.host, direct.port)}
	if direct.tls {
		arguments = append(arguments, certificate, key, direct.ca)
	}
	command := exec.Command(self, arguments...)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("bench: splice: %w", err)
	}
	c := &contender{name: "splice", tls: direct.tls, pid: command.Process.Pid, stop: func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}}
	if err := listening(ctx, address); err != nil {
		c.stop()
		return nil, fmt.Errorf("bench: splice: %w", err)
	}
	via := direct
	via.host, via.port, _ = net.SplitHostPort(address)
	via.ca = g.CA
	c.connect = fixed(via)
	return c, nil
}

const plainTarget = "plain-db"

// addPlainTarget lets the gateway reach the same database without TLS, and lets
// clients in without TLS.
func addPlainTarget(g *kit.Gatestay) error {
	return errors.Join(
		g.Rewrite("gatestay.yaml", func(s string) string {
			s = strings.Replace(s, "gateway:\n  id: gw1\n  postgres: {", "gateway:\n  id: gw1\n  run_connections: 1000\n  postgres: {plaintext: true, ", 1)
			return strings.Replace(s, "targets:\n", fmt.Sprintf(`targets:
  %s:
    protocol: postgres
    environment: bench
    address: %s
    database: shop
    user: app
    password: env:GATESTAY_TARGET_PASSWORD
    tls: disable
`, plainTarget, g.DB.Address), 1)
		}),
		g.Rewrite("policies/bench.yaml", func(string) string {
			return fmt.Sprintf(`rules:
  - name: bench
    effect: allow
    targets: [%s]
    principals: [{repository: acme/importer, repository_id: "1002", repository_owner_id: "2002"}]
`, plainTarget)
		}),
	)
}
