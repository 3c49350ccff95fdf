package regress

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Difference is what a file of the suite may print otherwise through the
// gateway.
type Difference struct {
	Reason string // which refusal demands it; empty: nobody has looked yet
	Diff   string // as Comparison.Run returns it
}

const (
	section = "== "
	preface = `# How the regression suite's output differs through the gateway, with the reason:
# the refusals that are meant, and what follows from them. "-" is the server's
# line, "+" the gateway's. make regress ARGS=-update writes it anew.
`
)

// ReadDifferences reads the committed list, by the names of the suite's files.
func ReadDifferences(path string) (map[string]Difference, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("regress: %w", err)
	}
	out := map[string]Difference{}
	name := ""
	for line := range strings.Lines(string(raw)) {
		if head, ok := strings.CutPrefix(line, section); ok {
			var reason string
			name, reason, _ = strings.Cut(head, ":")
			out[name] = Difference{Reason: strings.TrimSpace(reason)}
			continue
		}
		if name != "" {
			d := out[name]
			d.Diff += line
			out[name] = d
		}
	}
	for name, d := range out {
		d.Diff = strings.TrimRight(d.Diff, "\n") + "\n"
		out[name] = d
	}
	return out, nil
}

// WriteDifferences writes the list.
func WriteDifferences(path string, all map[string]Difference) error {
	var b strings.Builder
	b.WriteString(preface)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if d := all[name]; d.Diff != "" {
			fmt.Fprintf(&b, "\n%s%s: %s\n%s", section, name, d.Reason, d.Diff)
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("regress: %w", err)
	}
	return nil
}
