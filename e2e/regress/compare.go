package regress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Comparison runs the suite's files on both sides.
type Comparison struct {
	Suite           Suite
	Direct, Gateway Side
	// Output keeps what psql printed: NAME.direct and NAME.gateway.
	Output string
}

// Prepare makes the folders that it writes to.
func (c Comparison) Prepare() error {
	if err := os.MkdirAll(c.Output, 0o750); err != nil {
		return fmt.Errorf("regress: %w", err)
	}
	return errors.Join(c.Direct.prepare(), c.Gateway.prepare())
}

// Run returns how the output through the gateway differs from that of the
// server itself, as changed lines of diff ("-" the server's, "+" the gateway's);
// empty when a client could not tell.
func (c Comparison) Run(ctx context.Context, name string) (string, error) {
	paths := map[string]Side{filepath.Join(c.Output, name+".direct"): c.Direct, filepath.Join(c.Output, name+".gateway"): c.Gateway}
	work, running := errgroup.WithContext(ctx)
	for path, side := range paths {
		work.Go(func() error {
			out, err := side.run(running, c.Suite, name)
			if err := os.WriteFile(path, side.normalise(out), 0o600); err != nil {
				return fmt.Errorf("regress: %w", err)
			}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return "", err
	}
	return difference(ctx, filepath.Join(c.Output, name+".direct"), filepath.Join(c.Output, name+".gateway"))
}

// volatile is what differs between two runs on two servers: ids of the gateway's
// own, process ids, pages found in memory, transaction ids and OIDs where the
// suite shows them.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b(cmd|ses)_[0-9A-Z]{26}`), "${1}_…"},
	{regexp.MustCompile(`server process with PID \d+`), "server process with PID …"},
	{regexp.MustCompile(`Buffers: shared hit=\d+`), "Buffers: shared hit=…"},
	{regexp.MustCompile(`(?m)^( +)\d{5,} (\| r +\| +)\d+$`), "$1… ${2}…"}, // reltoastrelid, relkind, relfrozenxid
}

// normalise takes out of an output what differs between any two runs.
func (s Side) normalise(out []byte) []byte {
	out = bytes.ReplaceAll(out, []byte(s.Dir), []byte("/builddir"))
	for _, v := range volatile {
		out = v.pattern.ReplaceAll(out, []byte(v.with))
	}
	return out
}

// difference returns the changed lines of two files.
func difference(ctx context.Context, from, to string) (string, error) {
	out, err := exec.CommandContext(ctx, "diff", "-a", "-U0", from, to).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return "", fmt.Errorf("regress: diff: %w", err)
	}
	_, hunks, _ := strings.Cut(string(out), "\n@@")
	if hunks == "" {
		return "", nil
	}
	var b strings.Builder
	for line := range strings.Lines("@@" + hunks) {
		switch line[0] {
		case '@':
			b.WriteString("@@\n")
		case '+', '-':
			b.WriteString(cut(line))
		}
	}
	return b.String(), nil
}

// cut shortens a line that is too wide for a list that people read.
func cut(line string) string {
	const width = 240
	if len(line) <= width {
		return line
	}
	return fmt.Sprintf("%s… (%d bytes)\n", strings.ToValidUTF8(line[:width], ""), len(line))
}
