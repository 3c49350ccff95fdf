package policy_test

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
	"github.com/gatestay/gatestay/services/gatestay/internal/policy"
)

var update = flag.Bool("update", false, "write what the scripts print")

// world is a folder with a copy of testdata/shop, and the current folder.
type world struct {
	*testing.T
	stdin  string
	getenv map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, ".gatestay"), os.DirFS("testdata/shop")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	return &world{T: t, getenv: map[string]string{}}
}

// run runs one command line and returns what it printed and its exit code.
func (w *world) run(args ...string) (out string, code int) {
	w.Helper()
	var stdout, stderr bytes.Buffer
	env := &cli.Env{
		Stdin: strings.NewReader(w.stdin), Stdout: &stdout, Stderr: &stderr, Getenv: func(n string) string { return w.getenv[n] },
		Dir: ".gatestay", Output: "text",
	}
	c := policy.Command(env)
	c.PersistentFlags().StringVarP(&env.Output, "output", "o", "text", "text or json")
	c.SetArgs(args)
	c.SetIn(env.Stdin)
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SilenceUsage, c.SilenceErrors = true, true
	err := c.ExecuteContext(w.Context())
	var exit cli.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		code = int(exit)
	default:
		code = 1
		fmt.Fprintln(&stderr, "gatestay:", err)
	}
	return stdout.String() + stderr.String(), code
}

func (w *world) file(name, content string) {
	w.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
}

var (
	duration = regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s)\b`)
	seconds  = regexp.MustCompile(`"seconds": [0-9.e-]+`)
)

// Every file in testdata/scripts is a session at a terminal: lines with "$ "
// are command lines, "< file" writes the lines up to "<" to a file, and "stdin"
// those to standard input, "## " comments; what follows a command line is what
// it prints.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range paths {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(newWorld(t), string(raw))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(raw), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		})
	}
}

func play(w *world, script string) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimSuffix(script, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		name, isFile := strings.CutPrefix(line, "< ")
		args, isCommand := strings.CutPrefix(line, "$ gatestay policy ")
		switch {
		case isFile:
			var content []string
			out.WriteString(line + "\n")
			for i++; i < len(lines) && lines[i] != "<"; i++ {
				content = append(content, lines[i])
				out.WriteString(lines[i] + "\n")
			}
			out.WriteString("<\n")
			text := strings.Join(content, "\n") + "\n"
			if name == "stdin" {
				w.stdin = text
				continue
			}
			w.file(name, text)
		case isCommand:
			printed, code := w.run(words(args)...)
			out.WriteString(line + "\n" + duration.ReplaceAllStringFunc(seconds.ReplaceAllString(printed, `"seconds": 0`), steady))
			if code != 0 {
				fmt.Fprintf(&out, "[exit %d]\n", code)
			}
		case strings.HasPrefix(line, "$ cat "):
			raw, err := os.ReadFile(strings.TrimPrefix(line, "$ cat "))
			if err != nil {
				w.Fatal(err)
			}
			out.WriteString(line + "\n" + string(raw))
		case strings.HasPrefix(line, "## "), line == "" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "## "):
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// steady keeps durations that a policy names and blanks those that were measured.
func steady(s string) string {
	if strings.Contains(s, "µ") || strings.Contains(s, ".") || strings.HasSuffix(s, "ms") || s == "0s" {
		return "0ms"
	}
	return s
}

// words splits a command line at spaces outside single quotes.
func words(line string) []string {
	var out []string
	var word strings.Builder
	quoted, any := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, any = !quoted, true
		case r == ' ' && !quoted:
			if word.Len() > 0 || any {
				out = append(out, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteRune(r)
		}
	}
	if word.Len() > 0 || any {
		out = append(out, word.String())
	}
	return out
}
