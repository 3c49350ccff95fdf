package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// gatestay runs the command line as a CI job would: with its token in the
// environment.
func gatestay(t *testing.T, g *kit.Gatestay, claims kit.Claims, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, g.Binary("gatestay"), arguments...)
	command.Env = append(os.Environ(), g.Environment()...)
	command.Env = append(command.Env, "GATESTAY_ID_TOKEN="+g.Token(t, claims))
	var out, err strings.Builder
	command.Stdout, command.Stderr = &out, &err
	failed := command.Run()
	var exit *exec.ExitError
	switch {
	case failed == nil:
	case errors.As(failed, &exit):
		code = exit.ExitCode()
	default:
		t.Fatalf("gatestay %v: %v\n%s", arguments, failed, err.String())
	}
	return out.String(), err.String(), code
}

func TestRunLetsAChildInWithoutACredentialOfItsOwn(t *testing.T) {
	g := shared.Get(t)
	out, stderr, code := gatestay(t, g, nil, "run", kit.Target, "--", "psql", "-XAtc", "SELECT count(*) >= 30 FROM orders") // other tests add some
	if strings.TrimSpace(out) != "t" || code != 0 {
		t.Fatalf("psql printed %q, exit status %d\n%s", out, code, stderr)
	}
	t.Run("the CI system's token is not handed on", func(t *testing.T) {
		out, _, _ := gatestay(t, g, nil, "run", kit.Target, "--", "env")
		if strings.Contains(out, "GATESTAY_ID_TOKEN") || strings.Contains(out, "eyJ") {
			t.Error("the child sees a token")
		}
		if !strings.Contains(out, "PGHOST=") || !strings.Contains(out, "PGDATABASE=") {
			t.Errorf("the child is not told where to connect:\n%s", out)
		}
	})
	t.Run("the exit status is the child's", func(t *testing.T) {
		if _, _, code := gatestay(t, g, nil, "run", kit.Target, "--", "sh", "-c", "exit 7"); code != 7 {
			t.Errorf("exit status %d, want 7", code)
		}
	})
	t.Run("nothing is left behind", func(t *testing.T) {
		out, _, _ := gatestay(t, g, nil, "run", kit.Target, "--", "sh", "-c", `printf %s "$PGHOST"`)
		if !strings.HasPrefix(out, "/") {
			t.Fatalf("PGHOST is %q, want a folder with a socket", out)
		}
		if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", out, err)
		}
	})
	t.Run("psql looks around", func(t *testing.T) {
		out, stderr, code := gatestay(t, g, nil, "run", kit.Target, "--", "psql", "-X", "-c", `\d customers`, "-c", `\l`, "-c", `\dt`)
		if code != 0 || !strings.Contains(out, "email") {
			t.Errorf(`\d: exit status %d`+"\n%s\n%s", code, out, stderr)
		}
	})
}

// One job token opens one connection; exchanged once, it serves a whole step.
func TestOneTokenServesAWholeStep(t *testing.T) {
	g := shared.Get(t)
	g.SQL(t, `CREATE TABLE IF NOT EXISTS pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
		CREATE TABLE IF NOT EXISTS pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
		INSERT INTO pgbench_branches VALUES (1, 0) ON CONFLICT DO NOTHING;
		INSERT INTO pgbench_accounts SELECT n, 1, 0 FROM generate_series(1, 100000) n ON CONFLICT DO NOTHING;
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO app`)
	out, stderr, code := gatestay(t, g, nil, "run", kit.Target, "--",
		"pgbench", "--no-vacuum", "--select-only", "--client=16", "--jobs=2", "--transactions=20", "--protocol=prepared")
	if code != 0 || !strings.Contains(out, "number of transactions actually processed: 320/320") {
		t.Errorf("exit status %d\n%s\n%s", code, out, stderr)
	}
}

func TestCanTellsWhatAJobMayDo(t *testing.T) {
	g := shared.Get(t)
	out, stderr, code := gatestay(t, g, nil, "run", kit.Target, "--", g.Binary("gatestay"), "can", kit.Target)
	if code != 0 {
		t.Fatalf("exit status %d\n%s", code, stderr)
	}
	for _, want := range []string{"jobs-read", "writes-need-a-click", "customers.email"} {
		if !strings.Contains(out, want) {
			t.Errorf("gatestay can does not say %q:\n%s", want, out)
		}
	}
}
