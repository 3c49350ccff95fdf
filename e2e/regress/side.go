package regress

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Side is one of the two ways to a server.
type Side struct {
	Host, Port, User, Password, CA string
	Database                       string
	// Dir is where the suite's own files go that the server writes.
	Dir string
}

// prepare makes the folder for what the server writes, which may run under
// another account.
func (s Side) prepare() error {
	results := filepath.Join(s.Dir, "results")
	if err := errors.Join(os.MkdirAll(results, 0o700), os.Chmod(s.Dir, 0o777), os.Chmod(results, 0o777)); err != nil {
		return fmt.Errorf("regress: %w", err)
	}
	return nil
}

// run has psql run a file of the suite as pg_regress does, and returns what it
// printed.
func (s Side) run(ctx context.Context, suite Suite, name string) ([]byte, error) {
	script, err := os.Open(suite.script(name))
	if err != nil {
		return nil, fmt.Errorf("regress: %w", err)
	}
	defer func() { _ = script.Close() }()
	command := exec.CommandContext(ctx, "psql", "-X", "-a", "-q", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on")
	command.Dir = s.Dir
	command.Stdin = script
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "LC_MESSAGES=C", "PGTZ=PST8PDT", "PGDATESTYLE=Postgres, MDY", "PGCLIENTENCODING=UTF8", "PGGSSENCMODE=disable",
		"PGHOST=" + s.Host, "PGPORT=" + s.Port, "PGUSER=" + s.User, "PGPASSWORD=" + s.Password, "PGDATABASE=" + s.Database,
		"PGSSLMODE=verify-full", "PGSSLROOTCERT=" + s.CA, "PGAPPNAME=pg_regress/" + name,
		"PG_ABS_SRCDIR=" + suite.Dir, "PG_ABS_BUILDDIR=" + s.Dir, "PG_LIBDIR=/nowhere", "PG_DLSUFFIX=.so",
	}
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return out, fmt.Errorf("regress: %s: %w", name, errors.Join(err, ctx.Err()))
	}
	return out, nil
}
