package gatestay

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

var update = flag.Bool("update", false, "write what the session prints")

// Every command line of testdata/session.txt prints what follows it there.
func TestSession(t *testing.T) {
	path, err := filepath.Abs("testdata/session.txt")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var got strings.Builder
	for line := range strings.Lines(string(raw)) {
		if args, isCommand := strings.CutPrefix(line, "$ gatestay"); isCommand {
			got.WriteString(line + typed(t, strings.Fields(args)...))
		} else if strings.HasPrefix(line, "## ") {
			got.WriteString("\n" + line)
		}
	}
	out := strings.TrimPrefix(got.String(), "\n")
	if *update {
		if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(raw), out); diff != "" && !*update {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

var version = regexp.MustCompile(`(?m)^gatestay (\(devel\)|v[0-9].*|unknown)?$`)

func typed(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	env := &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
		Dir: ".gatestay", Output: "text", Program: "build/bin/gatestay",
	}
	c := Command(env)
	c.SetArgs(args)
	code, err := outcome(env, c.ExecuteContext(t.Context()))
	if err != nil {
		fmt.Fprintln(&out, "gatestay:", err)
	}
	if code != 0 {
		fmt.Fprintf(&out, "[exit %d]\n", code)
	}
	return version.ReplaceAllString(out.String(), "gatestay VERSION")
}

func TestOutcome(t *testing.T) {
	env := &cli.Env{}
	for name, c := range map[string]struct {
		err  error
		code int
		says bool
	}{
		"success":          {nil, 0, false},
		"an error":         {errors.New("x"), 1, true},
		"the child's code": {fmt.Errorf("run: %w", cli.ExitError(7)), 7, false},
	} {
		t.Run(name, func(t *testing.T) {
			if code, err := outcome(env, c.err); code != c.code || (err != nil) != c.says {
				t.Errorf("%d, %v", code, err)
			}
		})
	}
}
