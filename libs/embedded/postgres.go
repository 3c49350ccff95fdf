package embedded

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

// PostgreSQLOptions says how a PostgreSQL runs.
type PostgreSQLOptions struct {
	Dir      string // data, certificates and log; created where missing, kept afterwards
	Log      zerolog.Logger
	Progress func(string) // one line when something is installed; may be nil
	Address  string       // loopback host:port; empty chooses a free port
	// Durable keeps fsync on. Without it a crash of the machine, not of the
	// server, may lose data; starts and commits are much faster.
	Durable bool
	// LogStatements writes every statement to LogPath, so that a test can say
	// what the target has seen.
	LogStatements bool
	// Settings are further lines of postgresql.conf.
	Settings map[string]string
}

// PostgreSQLServer is a running server. It takes scram-sha-256 over TCP, with
// or without TLS, and nothing else.
type PostgreSQLServer struct {
	Address   string // host:port
	Superuser string // "postgres"
	Password  string // of the superuser; kept in Dir over restarts
	CA        string // PEM file; the certificate is for 127.0.0.1, ::1 and localhost
	LogPath   string // the server's log (stderr format)
	Libraries string // the folder of its shared libraries: libpq of the same version

	dir     string
	process *process
}

const superuser = "postgres"

// PostgreSQL returns a server that answers. Run as root it gives the server an
// unprivileged uid, since PostgreSQL refuses to run as root. ctx bounds the
// start only.
func PostgreSQL(ctx context.Context, o PostgreSQLOptions) (*PostgreSQLServer, error) {
	p, err := postgresPackage()
	if err != nil {
		return nil, err
	}
	cache, err := postgresCacheDir()
	if err != nil {
		return nil, err
	}
	folder, err := install(ctx, cache, p, o.Progress)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded: postgres: %w", err)
	}
	free, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &PostgreSQLServer{
		Address: or(o.Address, free[0]), Superuser: superuser, dir: dir,
		CA: filepath.Join(dir, "ca.pem"), LogPath: filepath.Join(dir, "postgres.log"),
		Libraries: filepath.Join(folder, "native", "lib"),
	}
	began := time.Now()
	bin := filepath.Join(folder, "native", "bin")
	account := newAccount(dir)
	template := filepath.Join(cache, fmt.Sprintf("postgres-template-%s-%d", p.version, account.uid))
	if err := s.prepare(ctx, template, bin, account, o); err != nil {
		return nil, err
	}
	if err := s.start(bin, account); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		s.Kill()
		return nil, err
	}
	o.Log.Debug().Str("address", s.Address).Dur("took", time.Since(began)).Msg("postgres started")
	return s, nil
}

// prepare makes whatever Dir lacks: data, password, certificates, settings.
func (s *PostgreSQLServer) prepare(ctx context.Context, template, bin string, a account, o PostgreSQLOptions) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	if err := a.own(s.dir); err != nil {
		return err
	}
	if _, err := os.Stat(s.data()); errors.Is(err, os.ErrNotExist) {
		if err := copyTemplate(ctx, template, bin, a, s.data()); err != nil {
			return err
		}
	}
	if err := s.certify(a); err != nil {
		return err
	}
	if err := s.configure(o, a); err != nil {
		return err
	}
	return s.setPassword(ctx, bin, a)
}

func (s *PostgreSQLServer) data() string { return filepath.Join(s.dir, "data") }

// setPassword makes a password at the first start, by the server's single-user
// mode: so no server with a known password ever listens.
func (s *PostgreSQLServer) setPassword(ctx context.Context, bin string, a account) error {
	path := filepath.Join(s.dir, "superuser.password")
	raw, err := os.ReadFile(path) //nolint:gosec // our own folder
	if err == nil {
		s.Password = string(raw)
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	s.Password = hex.EncodeToString(secret)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--single", "-D", s.data(), "-c", "log_statement=none", "postgres") //nolint:gosec // our own binary
	if err := a.run(cmd, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'\n", superuser, s.Password)); err != nil {
		return fmt.Errorf("embedded: postgres: set password: %w", err)
	}
	if err := os.WriteFile(path, []byte(s.Password), 0o600); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	return nil
}

func (s *PostgreSQLServer) start(bin string, a account) error {
	log, err := os.OpenFile(s.LogPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", s.data()) //nolint:gosec // our own binary
	cmd.Stdout, cmd.Stderr = log, log
	a.apply(cmd)
	detach(cmd, syscall.SIGINT) // fast shutdown
	if s.process, err = start(cmd); err != nil {
		return fmt.Errorf("embedded: postgres: start: %w", err)
	}
	return nil
}

func (s *PostgreSQLServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.process.done:
			raw, _ := os.ReadFile(s.LogPath)
			return fmt.Errorf("embedded: postgres ended at start: %w:\n%s", errors.Join(s.process.err, err), lastLines(string(raw), 12))
		case <-ctx.Done():
			return fmt.Errorf("embedded: postgres at %s does not answer: %w", s.Address, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Done is closed when the server has ended.
func (s *PostgreSQLServer) Done() <-chan struct{} { return s.process.done }

// Stop disconnects all clients, ends the server in order and waits for it;
// when ctx ends first it kills.
func (s *PostgreSQLServer) Stop(ctx context.Context) error {
	s.process.signal(syscall.SIGINT)
	select {
	case <-s.process.done:
	case <-ctx.Done():
		s.Kill()
		return fmt.Errorf("embedded: postgres had to be killed: %w", ctx.Err())
	}
	if s.process.err != nil {
		return fmt.Errorf("embedded: postgres: %w", s.process.err)
	}
	return nil
}

// Kill ends the server at once, as a crash would, and waits for it.
func (s *PostgreSQLServer) Kill() {
	// SIGQUIT makes the postmaster take its children along, without a
	// checkpoint: the next start recovers from the log.
	s.process.signal(syscall.SIGQUIT)
	select {
	case <-s.process.done:
		return
	case <-time.After(5 * time.Second):
	}
	s.process.signal(syscall.SIGKILL)
	<-s.process.done
}

// Port returns the port of Address.
func (s *PostgreSQLServer) Port() string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}
