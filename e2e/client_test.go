package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// job is what every client does, in the words that it prints: see
// testdata/clients. The address is masked on the way through the gateway, and
// the refusal's text is the gateway's; all else is as on a server.
const job = `read: Ada Lovelace %s
written: it's \ ünïcode
rolled back: 1
error: 22012
after the error: 1
refused: 42501
said: %s
after the refusal: 2
cancelled: 57014
after the cancel: 3
`

const (
	plainEmail  = "ada@example.com"
	maskedEmail = "a•••@•••.com"
	theServers  = "permission denied for schema public"
	theGateways = "GS1201: "
)

var ownWords = regexp.MustCompile(`(?m)^said: (GS120[0-9]: |permission denied for schema public).*$`)

// way is a way for a client to the database.
type way struct {
	name        string
	environment func() []string // libpq's variables
	wrap        []string        // goes before the command
	want        string
}

// ways are straight to the database, through the gateway, and through it with
// gatestay run.
func ways(t *testing.T, g *kit.Gatestay) []way {
	t.Helper()
	credential, err := g.Exchange(t.Context(), g.Token(t, kit.Importer), kit.Target)
	if err != nil {
		t.Fatal(err)
	}
	masked := fmt.Sprintf(job, maskedEmail, theGateways)
	return []way{
		{"direct", func() []string { return libpq(g.DB.Address, g.DB.CA, "app", g.TargetPassword(), "shop") }, nil, fmt.Sprintf(job, plainEmail, theServers)},
		{"gateway", func() []string { return libpq(g.Postgres, g.CA, "job", credential, kit.Target) }, nil, masked},
		{"gatestay run", func() []string { return append(g.Environment(), "GATESTAY_ID_TOKEN="+g.Token(t, kit.Importer)) }, []string{g.Binary("gatestay"), "run", kit.Target, "--"}, masked},
	}
}

// libpq are the variables that libpq, and most others, are told by.
func libpq(address, ca, user, password, database string) []string {
	host, port, _ := net.SplitHostPort(address)
	return []string{
		"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + user, "PGPASSWORD=" + password, "PGDATABASE=" + database,
		"PGSSLMODE=verify-full", "PGSSLROOTCERT=" + ca, "PGGSSENCMODE=disable", "PGCONNECT_TIMEOUT=10",
	}
}

// command prepares a client program.
func (w way) command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	all := append(append([]string{}, w.wrap...), append([]string{name}, arguments...)...)
	command := exec.CommandContext(ctx, all[0], all[1:]...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin", "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8", "PGCLIENTENCODING=UTF8", "PYTHONDONTWRITEBYTECODE=1"}, w.environment()...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does, for its Ctrl-C
	return command
}

// run runs a client program to its end.
func (w way) run(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := w.command(ctx, name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v, %s: %v\n%s", name, arguments, w.name, err, out)
	}
	return string(out)
}

// client is a program that does the job.
type client struct {
	command func(me, endless string) []string
	env     []string
	// interrupt: Ctrl-C cancels it, after which it ends with this status; others
	// are told by a line on standard input, and go on.
	interrupt int
	noSocket  bool // knows no Unix sockets
}

func clients(t *testing.T) map[string]client {
	t.Helper()
	python := func(driver string) client { // Debian's python, which has Debian's drivers
		return client{command: func(me, endless string) []string {
			return []string{"/usr/bin/python3", clientFile("job.py"), driver, me, endless}
		}}
	}
	return map[string]client{
		"psql": {interrupt: 3, command: func(me, endless string) []string {
			return []string{"psql", "-X", "-q", "-v", "me=" + me, "-v", "endless=" + endless, "-f", clientFile("job.psql")}
		}},
		"psycopg2": python("psycopg2"),
		"psycopg":  python("psycopg"),
		"node-postgres": {env: []string{"NODE_PATH=" + filepath.Join(nodeClients(t), "node_modules")}, command: func(me, endless string) []string {
			return []string{"node", clientFile("job.cjs"), me, endless}
		}},
		"jdbc": {noSocket: true, command: func(me, endless string) []string {
			return []string{"java", "-cp", "/usr/share/java/bsh.jar:/usr/share/java/postgresql.jar", "bsh.Interpreter", clientFile("job.bsh"), me, endless}
		}},
	}
}

func clientFile(name string) string {
	path, _ := filepath.Abs(filepath.Join("testdata", "clients", name))
	return path
}

// nodeClients returns the folder with node's packages, installed where missing.
func nodeClients(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(ciScript(t, "node-clients"))
}

// ciScript runs a script of .ci and returns what it prints.
func ciScript(t *testing.T, name string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(repository(t), ".ci", name))
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		t.Fatalf(".ci/%s: %v\n%s", name, err, said.Bytes())
	}
	return string(out)
}

// TestClients has every client do the same job, and expects the same of it as
// without a gateway.
func TestClients(t *testing.T) {
	g := shared.Get(t)
	all := clients(t)
	for _, w := range ways(t, g) {
		t.Run(w.name, func(t *testing.T) {
			for name, c := range all {
				if w.wrap == nil || !c.noSocket {
					t.Run(name, func(t *testing.T) { w.job(t, g, name, c) })
				}
			}
		})
	}
}

// job has a client do the job.
func (w way) job(t *testing.T, g *kit.Gatestay, name string, c client) {
	t.Helper()
	endless := kit.Marker("endless")
	command := c.command(kit.Marker(name), "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT count(*) AS "+endless+" FROM r")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	running := w.command(ctx, command[0], command[1:]...)
	running.Env = append(running.Env, c.env...)
	var out, said bytes.Buffer
	running.Stdout, running.Stderr = &out, &said
	stdin, err := running.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- running.Wait() }()
	for ran := false; !ran; ran = g.TargetSaw(t, endless) {
		select {
		case err := <-ended:
			t.Fatalf("%v before the statement to cancel had run:\n%s\n%s", err, out.String(), said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	want := w.want
	if c.interrupt != 0 {
		err = syscall.Kill(-running.Process.Pid, syscall.SIGINT)
		want, _, _ = strings.Cut(want, "cancelled:")
	} else {
		_, err = stdin.Write([]byte("cancel\n"))
	}
	if err != nil {
		t.Fatal(err)
	}
	err = <-ended
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == c.interrupt && strings.Contains(said.String(), "canceling statement due to user request") {
		err = nil
	}
	got := ownWords.ReplaceAllString(out.String(), "said: $1")
	if err != nil || got != want {
		t.Errorf("%v; the job went\n%s\nwant\n%s\n%s", err, got, want, said.String())
	}
}
