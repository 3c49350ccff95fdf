package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/rs/zerolog"
)

// ClickHouseOptions says where a ClickHouse keeps its data and listens.
type ClickHouseOptions struct {
	Dir      string // data; created where missing, kept afterwards
	Log      zerolog.Logger
	Progress func(string) // one line when something is installed; may be nil
	// Native and HTTP are loopback host:port; empty chooses free ports.
	Native, HTTP string
}

// ClickHouseServer is a running server. Its default user has no password.
type ClickHouseServer struct {
	Native string // host:port of the native protocol
	HTTP   string // host:port of the HTTP interface; empty for CLICKHOUSE_ADDR without CLICKHOUSE_HTTP_ADDR
	// External is true when the server is not ours (CLICKHOUSE_ADDR): Stop and
	// Kill leave it alone, and its data may hold anything.
	External bool

	process *process
	hold    *os.File // the write end of the pipe that keeps the library serving
	output  *tail
}

const readyTimeout = 30 * time.Second

// ClickHouse returns a server that answers. In this order: the one that
// CLICKHOUSE_ADDR names, a recent `clickhouse` on the PATH, the library from
// npm in a child process (see MaybeChild). ctx bounds the start only.
func ClickHouse(ctx context.Context, o ClickHouseOptions) (*ClickHouseServer, error) {
	if addr := os.Getenv("CLICKHOUSE_ADDR"); addr != "" {
		s := &ClickHouseServer{Native: addr, HTTP: os.Getenv("CLICKHOUSE_HTTP_ADDR"), External: true}
		return s, s.ready(ctx)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded: clickhouse: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded: clickhouse: %w", err)
	}
	free, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &ClickHouseServer{Native: or(o.Native, free[0]), HTTP: or(o.HTTP, free[1]), output: &tail{}}
	began := time.Now()
	if binary := clickHouseOnPath(ctx); binary != "" {
		err = s.startBinary(binary, dir)
	} else {
		err = s.startLibrary(ctx, dir, o.Progress)
	}
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		s.Kill()
		return nil, err
	}
	o.Log.Debug().Str("native", s.Native).Str("http", s.HTTP).Dur("took", time.Since(began)).Msg("clickhouse started")
	return s, nil
}

// startLibrary runs this program again as the helper process.
func (s *ClickHouseServer) startLibrary(ctx context.Context, dir string, progress func(string)) error {
	p, err := clickHousePackage()
	if err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	folder, err := install(ctx, cache, p, progress)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("embedded: clickhouse: own executable: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("embedded: clickhouse: %w", err)
	}
	defer func() { _ = read.Close() }()
	cmd := exec.Command(self) //nolint:gosec // ourselves
	cmd.Args = []string{"clickhouse", dir, s.Native, s.HTTP, "3"}
	cmd.Env = append(os.Environ(), childVariable+"="+filepath.Join(folder, "libchdb.so"))
	cmd.ExtraFiles = []*os.File{read} // becomes descriptor 3
	cmd.Stdout, cmd.Stderr = s.output, s.output
	detach(cmd, syscall.SIGKILL)
	if s.process, err = start(cmd); err != nil {
		_ = write.Close()
		return fmt.Errorf("embedded: clickhouse: start: %w", err)
	}
	s.hold = write
	return nil
}

// ready polls until a query works over the native protocol.
func (s *ClickHouseServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{s.Native}, DialTimeout: time.Second, MaxOpenConns: 1,
		Auth: clickhouse.Auth{Username: os.Getenv("CLICKHOUSE_USER"), Password: os.Getenv("CLICKHOUSE_PASSWORD")},
	})
	if err != nil {
		return fmt.Errorf("embedded: clickhouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	ended := make(<-chan struct{})
	if s.process != nil {
		ended = s.process.done
	}
	for {
		if err = conn.Exec(ctx, "SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("embedded: clickhouse ended at start: %w:\n%s", errors.Join(s.process.err, err), s.output)
		case <-ctx.Done():
			return fmt.Errorf("embedded: clickhouse at %s does not answer: %w", s.Native, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Done is closed when the server has ended; nil for an external one.
func (s *ClickHouseServer) Done() <-chan struct{} {
	if s.process == nil {
		return nil
	}
	return s.process.done
}

// Stop ends the server in order and waits for it; when ctx ends first it kills.
func (s *ClickHouseServer) Stop(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	if s.hold != nil {
		_ = s.hold.Close()
	} else {
		s.process.signal(syscall.SIGTERM)
	}
	select {
	case <-s.process.done:
	case <-ctx.Done():
		s.Kill()
		return fmt.Errorf("embedded: clickhouse had to be killed: %w", ctx.Err())
	}
	if s.process.err != nil {
		return fmt.Errorf("embedded: clickhouse: %w:\n%s", s.process.err, s.output)
	}
	return nil
}

// Kill ends the server at once, as a crash would, and waits for it.
func (s *ClickHouseServer) Kill() {
	if s.process == nil {
		return
	}
	s.process.signal(syscall.SIGKILL)
	<-s.process.done
	if s.hold != nil {
		_ = s.hold.Close()
	}
}

func or(s, otherwise string) string {
	if strings.TrimSpace(s) != "" {
		return s
	}
	return otherwise
}
