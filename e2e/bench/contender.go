package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// contender is one way to the same database.
type contender struct {
	name string
	tls  bool
	pid  int // of the proxy; 0 for none
	// results is set where only a large result is worth a line.
	results bool
	// commands is set where only small commands are worth a line.
	commands bool
	// records is set on the gateway: each of its commands leaves two.
	records bool
	// connect returns how to reach it now: a credential is made anew each time.
	connect func(ctx context.Context) (connection, error)
	// unable names a protocol that it cannot do.
	unable string
	stop   func()
}

// Contenders of small queries, and of large results, in the order of the tables.
var (
	names       = []string{"direct", "pgbouncer-session", "pgbouncer-transaction", "splice", "splice+records", "gateway", "gateway+masking"}
	resultNames = []string{"direct", "pgbouncer-session", "splice", "gateway", "gateway+masking", "gateway+detectors"}
)

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
		pool, err := g.StartPool(ctx, poolOptions(direct, mode))
		if err != nil {
			return all, fmt.Errorf("bench: %w", err)
		}
		via := direct
		via.host, via.port, _ = net.SplitHostPort(pool.Address)
		via.ca = pool.CA
		c := &contender{name: "pgbouncer-" + mode, tls: tls, pid: pool.Process.Pid, connect: fixed(via), stop: pool.Close}
		if mode == "transaction" {
			c.unable = "prepared" // Debian 12's pgbouncer 1.18; since 1.21 it can
		}
		all = append(all, c)
	}
	for _, records := range []bool{false, true} {
		s, err := spliceProcess(ctx, g, direct, certificate, key, records)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	for _, w := range ways {
		all = append(all, gateway(g, w, tls))
	}
	return all, nil
}

func poolOptions(direct connection, mode string) kit.PoolOptions {
	o := kit.PoolOptions{
		Mode: mode, Database: direct.database, Users: map[string]string{direct.user: direct.password},
		Server: fmt.Sprintf("host=%s port=%s dbname=%s", direct.host, direct.port, direct.database),
	}
	if direct.tls {
		o.CA = direct.ca
	}
	return o
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

// both starts all ways without TLS and all with it. stop ends them, also after
// an error.
func both(ctx context.Context, g *kit.Gatestay) (all [2][]*contender, stop func(), err error) {
	stop = func() {
		for _, set := range all {
			for _, c := range set {
				c.stop()
			}
		}
	}
	for i, tls := range []bool{false, true} {
		if all[i], err = contenders(ctx, g, tls); err != nil {
			return all, stop, err
		}
	}
	return all, stop, nil
}

func fixed(c connection) func(context.Context) (connection, error) {
	return func(context.Context) (connection, error) { return c, nil }
}

func gateway(g *kit.Gatestay, w way, tls bool) *contender {
	host, port, _ := net.SplitHostPort(g.Postgres)
	name := w.targetName(tls)
	return &contender{name: w.contender, results: w.results, records: true, tls: tls, pid: g.PID(kit.Gateway), stop: func() {}, connect: func(ctx context.Context) (connection, error) {
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
func spliceProcess(ctx context.Context, g *kit.Gatestay, direct connection, certificate, key string, records bool) (*contender, error) {
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
	name, dir := "splice", ""
	if records {
		name = "splice+records"
		if dir, err = os.MkdirTemp("", "gatestay-bench-"); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	arguments := []string{"splice", address, net.JoinHostPort(direct.host, direct.port), dir}
	if direct.tls {
		arguments = append(arguments, certificate, key, direct.ca)
	}
	command := exec.Command(self, arguments...)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("bench: splice: %w", err)
	}
	c := &contender{name: name, commands: records, tls: direct.tls, pid: command.Process.Pid, stop: func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = os.RemoveAll(dir)
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
