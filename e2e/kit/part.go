package kit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/embedded"
)

const patience = 20 * time.Second

// Kill ends a part as a crash would (SIGKILL).
func (g *Gatestay) Kill(t testing.TB, part string) {
	t.Helper()
	if part == ClickHouse {
		g.clickhouse.Kill()
		return
	}
	p := g.take(part)
	if p == nil {
		t.Fatalf("kit: %s does not run", part)
	}
	p.kill()
}

// Stop ends a part in order (SIGTERM).
func (g *Gatestay) Stop(t testing.TB, part string) {
	t.Helper()
	if part == ClickHouse {
		g.clickhouse.Kill()
		return
	}
	if err := g.stop(part); err != nil {
		t.Fatalf("%v\n%s", err, g.LogTail(part, 20))
	}
}

// Start starts a part again and waits until it is ready.
func (g *Gatestay) Start(t testing.TB, part string) {
	t.Helper()
	g.StartOnly(t, part)
	g.Ready(t, part)
}

// StartOnly starts a part without waiting for it.
func (g *Gatestay) StartOnly(t testing.TB, part string) {
	t.Helper()
	if err := g.start1(t.Context(), part); err != nil {
		t.Fatal(err)
	}
}

// Ready waits until a service says that it is ready.
func (g *Gatestay) Ready(t testing.TB, part string) {
	t.Helper()
	if g.addresses.health[part] == "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.ready(ctx, part); err != nil {
		t.Fatalf("%v\n%s", err, g.LogTail(part, 20))
	}
}

// Freeze stops a part's clock without ending it (SIGSTOP): it is slow, not dead.
// The returned function lets it go on, and so does the test's end.
func (g *Gatestay) Freeze(t testing.TB, part string) (thaw func()) {
	t.Helper()
	if err := g.Signal(part, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw = func() { _ = g.Signal(part, syscall.SIGCONT) }
	t.Cleanup(thaw)
	return thaw
}

// Signal sends a signal to a service or the bus.
func (g *Gatestay) Signal(part string, s syscall.Signal) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.processes[part]
	if p == nil {
		return fmt.Errorf("kit: %s does not run", part)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("kit: signal %s: %w", part, err)
	}
	return nil
}

// PID returns the process id of a service or the bus.
func (g *Gatestay) PID(part string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.processes[part]; p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// Health returns the base URL of a service's HTTP interface: its API for the
// four that have it there, and /healthz, /readyz and /metrics.
func (g *Gatestay) Health(part string) string { return "http://" + g.addresses.health[part] }

// take removes the part's process from the running ones.
func (g *Gatestay) take(part string) *process {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.processes[part]
	delete(g.processes, part)
	return p
}

func (g *Gatestay) stop(part string) error {
	p := g.take(part)
	if p == nil {
		return nil
	}
	return p.stop(patience)
}

// start1 starts one part at its address.
func (g *Gatestay) start1(ctx context.Context, part string) error {
	switch part {
	case ClickHouse:
		s, err := embedded.ClickHouse(ctx, embedded.ClickHouseOptions{
			Dir: g.path("data", "clickhouse"), Log: zerolog.Nop(), Progress: g.options.Progress,
			Native: g.addresses.clickhouse, HTTP: g.addresses.clickhouseHTTP,
		})
		if err != nil {
			return fmt.Errorf("kit: %w", err)
		}
		g.clickhouse = s
		return nil
	case Bus:
		return g.run(part, g.busCommand())
	default:
		cmd := exec.Command(g.Binary(part), "--config", g.path("gatestay.yaml"), "--log-level", g.options.LogLevel)
		cmd.Env = append(os.Environ(),
			"GATESTAY_BUS_URL="+g.busURL(part),
			"CLICKHOUSE_ADDR="+g.clickhouse.Native,
			"GATESTAY_TARGET_PASSWORD="+g.targetPass,
			"GATESTAY_SLACK_BOT_TOKEN="+g.Slack.BotToken(), "GATESTAY_SLACK_APP_TOKEN="+g.Slack.AppToken(),
			"GORACE=halt_on_error=0 exitcode=0", // read from the log; see races
		)
		return g.run(part, cmd)
	}
}

func (g *Gatestay) run(part string, cmd *exec.Cmd) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.processes[part]; p != nil && !p.ended() {
		return fmt.Errorf("kit: %s runs already", part)
	}
	p, err := startProcess(part, cmd, g.logPath(part))
	if err != nil {
		return err
	}
	g.processes[part] = p
	return nil
}

// ready polls /readyz.
func (g *Gatestay) ready(ctx context.Context, part string) error {
	client := &http.Client{Timeout: time.Second}
	var last error
	for {
		response, err := client.Get(g.Health(part) + "/readyz") //nolint:noctx // bounded by the client
		if err == nil {
			said, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(strings.TrimSpace(string(said)))
		}
		last = err
		g.mu.Lock()
		p := g.processes[part]
		g.mu.Unlock()
		if p == nil || p.ended() {
			return fmt.Errorf("kit: %s ended before it was ready", part)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kit: %s is not ready: %w", part, last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (g *Gatestay) logPath(part string) string { return g.path("logs", part+".log") }

// Log returns what a part has written so far.
func (g *Gatestay) Log(part string) string {
	raw, _ := os.ReadFile(g.logPath(part))
	return string(raw)
}

// LogTail returns the last lines of a part's log.
func (g *Gatestay) LogTail(part string, n int) string {
	lines := strings.Split(strings.TrimSpace(g.Log(part)), "\n")
	return part + " said:\n  " + strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}

// races reports a data race in any service's log.
func (g *Gatestay) races() error {
	var errs []error
	for _, name := range Services {
		raw, err := os.ReadFile(g.logPath(name))
		if err != nil {
			continue // never started
		}
		if i := bytes.Index(raw, []byte("WARNING: DATA RACE")); i >= 0 {
			errs = append(errs, fmt.Errorf("kit: data race in %s:\n%s", name, raw[i:min(len(raw), i+6000)]))
		}
	}
	return errors.Join(errs...)
}

// busCommand runs a NATS server with the permissions that deploy/nats ships.
func (g *Gatestay) busCommand() *exec.Cmd {
	host, port, _ := net.SplitHostPort(g.addresses.bus)
	cmd := exec.Command(g.natsServer, "--config", g.path("nats-server.conf"), "--addr", host, "--port", port)
	cmd.Env = append(os.Environ(), "GATESTAY_BUS_STORE="+g.path("data", "bus"))
	for name, password := range g.passwords {
		cmd.Env = append(cmd.Env, "GATESTAY_BUS_PASSWORD_"+strings.ToUpper(name)+"="+password)
	}
	return cmd
}

func (g *Gatestay) busURL(user string) string {
	return "nats://" + user + ":" + g.passwords[user] + "@" + g.addresses.bus
}

// BusURL is the bus as one service's user reaches it: what a thief of that
// credential holds.
func (g *Gatestay) BusURL(user string) string { return g.busURL(user) }

// Restart stops the services of both lists in order and starts those of the
// first again, for callers without a test.
func (g *Gatestay) Restart(ctx context.Context, again, end []string) error {
	for _, name := range append(append([]string{}, again...), end...) {
		if err := g.stop(name); err != nil {
			return err
		}
	}
	for _, name := range again {
		if err := g.start1(ctx, name); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, name := range again {
		if err := g.ready(ctx, name); err != nil {
			return fmt.Errorf("%w\n%s", err, g.LogTail(name, 20))
		}
	}
	return nil
}
