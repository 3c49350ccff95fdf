package regress

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Suite is the regression suite in a folder: sql, data and the schedule.
type Suite struct{ Dir string }

// Find returns the suite, which the first call on a machine brings.
func Find(ctx context.Context, root string) (Suite, error) {
	command := exec.CommandContext(ctx, filepath.Join(root, ".ci", "regress-source"))
	var said strings.Builder
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		return Suite{}, fmt.Errorf("regress: %w\n%s", err, said.String())
	}
	return Suite{Dir: strings.TrimSpace(string(out))}, nil
}

// Tests are the names of the suite's files in the order of its schedule, whose
// later ones need what earlier ones leave.
func (s Suite) Tests() ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(s.Dir, "parallel_schedule"))
	if err != nil {
		return nil, fmt.Errorf("regress: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(raw)) {
		if group, ok := strings.CutPrefix(line, "test:"); ok {
			names = append(names, strings.Fields(group)...)
		}
	}
	return names, nil
}

func (s Suite) script(name string) string { return filepath.Join(s.Dir, "sql", name+".sql") }
