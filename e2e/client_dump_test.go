package e2e

import (
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

// dumpRules are what pg_dump needs, and pg_restore: a restore changes owners, runs
// DO and more that is unknown, so its rule has no condition. Give that one to the
// job that restores, and to no other.
const dumpRules = `rules:
  - name: backups-read
    effect: allow
    targets: [dump-db]
    principals: [{repository: acme/backup, repository_id: "1004", repository_owner_id: "2002"}]
    when: >
      command.class == "read" || command.class == "session" ||
      command.class == "write" && command.functions.all(f, f in ["pg_export_snapshot", "pg_catalog.pg_export_snapshot"]) && size(command.writes) == 0
  - name: restores-are-trusted
    effect: allow
    targets: [dump-db]
    principals: [{repository: acme/restore, repository_id: "1005", repository_owner_id: "2002"}]
`

// TestDumpAndRestore dumps a full schema with its data, large objects among it, in
// all of pg_dump's formats, as directly, and restores it.
func TestDumpAndRestore(t *testing.T) {
	g := shared.Get(t)
	db := startDebians(t, g)
	schema, err := os.ReadFile(clientFile("schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	direct := way{name: "direct", environment: func() []string { return libpq(db.address, g.CA, "postgres", db.password, "matrix") }}
	postgres := way{name: "postgres", environment: func() []string { return libpq(db.address, g.CA, "postgres", db.password, "postgres") }}
	postgres.run(t, "psql", "-Xqc", "CREATE ROLE app LOGIN", "-c", "CREATE DATABASE matrix", "-c", "CREATE DATABASE restored")
	direct.psql(t, "\\set ON_ERROR_STOP on\n"+string(schema))
	direct.psql(t, `\set ON_ERROR_STOP on
		SELECT lo_from_bytea(4711, convert_to(repeat('a large object, ', 10000), 'UTF8')); COMMENT ON LARGE OBJECT 4711 IS 'long'; ALTER LARGE OBJECT 4711 OWNER TO app;
		SELECT lo_from_bytea(4712, '\x00ff0a'); GRANT SELECT ON LARGE OBJECT 4712 TO app; SELECT lo_create(4713);`)

	if err := os.WriteFile(g.Path("keys", "dump.password"), []byte(db.password), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Rewrite("policies/dump.yaml", func(string) string { return dumpRules }); err != nil {
		t.Fatal(err)
	}
	if err := g.Rewrite("gatestay.yaml", func(text string) string {
		return strings.Replace(text, "targets:\n", fmt.Sprintf(`targets:
  dump-db: {protocol: postgres, environment: test, address: "%s", database: matrix, databases: [restored], user: postgres, password: "file:keys/dump.password", tls: verify-full, ca: "%s", session_limit: 10m}
`, db.address, g.CA), 1)
	}); err != nil {
		t.Fatal(err)
	}
	as := func(name string, claims kit.Claims) way {
		var credential string
		kit.Eventually(t, 20*time.Second, func() (err error) {
			if credential, err = g.Exchange(t.Context(), g.Token(t, claims), "dump-db"); err != nil {
				return err
			}
			c, err := g.Dial(t.Context(), "dump-db", credential, nil)
			if err != nil {
				return err
			}
			defer c.Hang()
			_, err = c.Exec(t.Context(), "SELECT 1")
			return err
		})
		return way{name: name, environment: func() []string { return libpq(g.Postgres, g.CA, "postgres", credential, "dump-db") }}
	}
	gateway := as("gateway", kit.Claims{"repository": "acme/backup", "repository_id": "1004"})
	restorer := as("restorer", kit.Claims{"repository": "acme/restore", "repository_id": "1005"})

	dir := t.TempDir()
	custom, folder := filepath.Join(dir, "custom"), filepath.Join(dir, "folder")
	want := normalDump(direct.run(t, "pg_dump"))
	if got := normalDump(gateway.run(t, "pg_dump")); got != want {
		same(t, want, got)
	}
	gateway.run(t, "pg_dump", "--format=custom", "--file="+custom)
	gateway.run(t, "pg_dump", "--format=directory", "--jobs=2", "--file="+folder)
	for _, archive := range []string{custom, folder} {
		if got := normalDump(direct.run(t, "pg_restore", "--file=-", archive)); got != want {
			same(t, want, got)
		}
	}
	restorer.run(t, "pg_restore", "--jobs=2", "--exit-on-error", "--dbname=dump-db/restored", folder)
	restored := direct
	restored.environment = func() []string { return libpq(db.address, g.CA, "postgres", db.password, "restored") }
	if got := normalDump(restored.run(t, "pg_dump")); got != want {
		same(t, want, got)
	}
}

var passing = regexp.MustCompile(`(?m)^(\\(un)?restrict .*|-- (Dumped|Started|Completed) .*)\n`)

// normalDump takes out what differs between any two dumps.
func normalDump(text string) string { return passing.ReplaceAllString(text, "") }

// debians is the PostgreSQL of Debian's packages: pg_dump dumps no server that
// is newer than itself.
type debians struct{ address, password string }

func startDebians(t *testing.T, g *kit.Gatestay) debians {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Fatalf("Debian's PostgreSQL is not installed: %v", err)
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "gatestay-debians-") // where an unprivileged account may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	db := debians{password: kit.Marker("debians")}
	for name, from := range map[string]string{"server.pem": g.Path("tls", "gateway.pem"), "server.key": g.Path("tls", "gateway.key"), "password": ""} {
		raw := []byte(db.password)
		if from != "" {
			if raw, err = os.ReadFile(from); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 { // which PostgreSQL refuses to run as
		const nobody = 65534
		attributes.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		for _, name := range []string{".", "server.pem", "server.key", "password"} {
			if err := os.Chown(filepath.Join(dir, name), nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	prepare := func(name string, arguments ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), arguments...)
		c.Dir, c.Env, c.SysProcAttr = "/", []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}, attributes
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := prepare("initdb", "--pgdata="+data, "--username=postgres", "--pwfile="+filepath.Join(dir, "password"), "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	db.address = l.Addr().String()
	_, port, _ := net.SplitHostPort(db.address)
	_ = l.Close()
	server := prepare("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "wal_level=logical",
		"-c", "ssl=on", "-c", "ssl_cert_file="+filepath.Join(dir, "server.pem"), "-c", "ssl_key_file="+filepath.Join(dir, "server.key"))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
	})
	ready := way{environment: func() []string { return libpq(db.address, g.CA, "postgres", db.password, "postgres") }}
	kit.Eventually(t, 20*time.Second, func() error {
		if out, err := ready.command(t.Context(), "psql", "-Xqc", "SELECT 1").CombinedOutput(); err != nil {
			return errors.Join(err, errors.New(string(out)))
		}
		return nil
	})
	return db
}
