package kit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Repository returns the folder with go.work, above the working directory.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("kit: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("kit: no go.work above the working directory: run inside the repository")
		}
		dir = parent
	}
}

// build compiles what the kit runs, from the sources as they are. Go's cache
// makes it quick when nothing has changed.
func (g *Gatestay) build(ctx context.Context) error {
	if g.options.Bin != "" {
		return nil
	}
	root, err := Repository()
	if err != nil {
		return err
	}
	flavour := "e2e"
	arguments := []string{"build"}
	if g.options.Race {
		flavour = "e2e-race"
		arguments = append(arguments, "-race")
	}
	g.options.Bin = filepath.Join(root, "build", flavour)
	if err := os.MkdirAll(g.options.Bin, 0o750); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	arguments = append(arguments, "-o", g.options.Bin+string(filepath.Separator))
	for _, name := range append([]string{"gatestay"}, Services...) {
		arguments = append(arguments, "./services/"+name+"/cmd/"+name)
	}
	for _, a := range [][]string{arguments, {"build", "-o", g.options.Bin + "/nats-server", "github.com/nats-io/nats-server/v2"}} {
		command := exec.CommandContext(ctx, "go", a...)
		command.Dir = root
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("kit: go %v: %w\n%s", a[0], err, out)
		}
	}
	return nil
}

// Binary returns the path of a built binary, gatestay included.
func (g *Gatestay) Binary(name string) string { return filepath.Join(g.options.Bin, name) }
